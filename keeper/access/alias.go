package access

import (
	"context"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

var aliasForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9](([a-z0-9]|-[a-z0-9])*)?$`) })

// SetAlias gives the account another name, in place of any former one.
func (a *Access) SetAlias(ctx context.Context, alias string) error {
	if len(alias) < 3 || len(alias) > 63 || !aliasForm().MatchString(alias) || strings.Trim(alias, "0123456789") == "" && len(alias) == 12 {
		return fault.Invalid.Errorf("an account's alias is 3 to 63 lower case letters, digits and single dashes, not %q", alias)
	}
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM access_things WHERE kind = ?", string(anAlias)); err != nil {
			return err
		}
		return create(tx, anAlias, alias, alias)
	})
}

// DeleteAlias takes the account's alias away.
func (a *Access) DeleteAlias(ctx context.Context, alias string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if _, err := find[string](tx, anAlias, alias); err != nil {
			return err
		}
		return remove(tx, anAlias, alias)
	})
}
