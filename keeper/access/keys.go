package access

import (
	"context"
	"crypto/subtle"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// CreateKey makes an access key. Its secret is told this once.
func (a *Access) CreateKey(ctx context.Context, user string) (id string, secret seal.Secret, err error) {
	id, secret = newID("AKIA"), seal.Secret(newSecret())
	return id, secret, a.PutKey(ctx, user, id, secret)
}

// PutKey gives a user an access key that was made elsewhere. A user has at most two.
func (a *Access) PutKey(ctx context.Context, user, id string, secret seal.Secret) error {
	if len(id) < 16 || len(id) > 128 || len(secret.Reveal()) < 16 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return fault.Invalid.Errorf("an access key has an id of 16 to 128 characters without slash and a secret of at least 16")
	}
	sealed, err := a.config.Sealer.Seal(keyRow(id), secret)
	if err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM access_keys WHERE user_name = ?", user)
		if err == nil && n >= 2 {
			return fault.Limit.Errorf("Cannot exceed quota for AccessKeysPerUser: 2 (user %q: delete one first)", user)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO access_keys (id, user_name, secret, active, created, used) VALUES (?, ?, ?, 1, ?, 0)", id, user, sealed, a.config.Now().UnixMicro())
		return err
	})
}

// SetKey turns an access key on or off.
func (a *Access) SetKey(ctx context.Context, user, id string, active bool) error {
	on := 0
	if active {
		on = 1
	}
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		return one(tx, "Access Key", id, "UPDATE access_keys SET active = ? WHERE id = ? AND user_name = ?", on, id, user)
	})
}

// DeleteKey removes an access key.
func (a *Access) DeleteKey(ctx context.Context, user, id string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		return one(tx, "Access Key", id, "DELETE FROM access_keys WHERE id = ? AND user_name = ?", id, user)
	})
}

func one(tx *db.Tx, what, id, query string, args ...any) error {
	n, err := tx.Exec(query, args...)
	if err == nil && n == 0 {
		return fault.NotFound.Errorf("The %s with id %s cannot be found.", what, id)
	}
	return err
}

// CreateToken makes a token for one purpose. Its value is told this once.
func (a *Access) CreateToken(ctx context.Context, user string, purpose Purpose) (Token, seal.Secret, error) {
	if purpose != Git && purpose != Intake {
		return Token{}, "", fault.Invalid.Errorf("a token is for %s or %s, not for %q", Git, Intake, purpose)
	}
	t := Token{ID: newID("ACCA"), User: user, Purpose: purpose, Created: a.config.Now()}
	value := newToken()
	return t, seal.Secret(value), a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO access_tokens (hash, id, user_name, purpose, created) VALUES (?, ?, ?, ?, ?)", hash(value), t.ID, user, string(purpose), t.Created.UnixMicro())
		return err
	})
}

// DeleteToken removes a token by its id.
func (a *Access) DeleteToken(ctx context.Context, user, id string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return one(tx, "token", id, "DELETE FROM access_tokens WHERE id = ? AND user_name = ?", id, user)
	})
}

// Token is who has the token of that value for that purpose, else
// fault.Unauthenticated. user, where it is not "", must be the one who has it.
func (a *Access) Token(ctx context.Context, purpose Purpose, user string, value seal.Secret) (iam.Principal, error) {
	var name string
	err := a.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		name, err = db.One(tx, db.Value[string], "SELECT user_name FROM access_tokens WHERE hash = ? AND purpose = ?", hash(value.Reveal()), string(purpose))
		return err
	})
	switch {
	case fault.Of(err) == fault.NotFound, err == nil && user != "" && subtle.ConstantTimeCompare([]byte(user), []byte(name)) == 0:
		return iam.Principal{}, fault.Unauthenticated.Errorf("the token is wrong")
	case err != nil:
		return iam.Principal{}, err
	}
	return a.Principal(ctx, name)
}
