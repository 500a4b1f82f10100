package source

import (
	"context"
	"errors"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Pulls says which pull requests are asked for.
type Pulls struct {
	Repository string // "" is all
	State      State  // "" is any
	Author     string // ARN
	Source     string // full ref
	Target     string // full ref
	Before     int64  // numbers below it; 0 is all
	Limit      int
}

// Pulls are pull requests, the newest first, as they were last looked at.
func (s *Source) Pulls(ctx context.Context, q Pulls) (all []Pull, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = pulls(tx, q)
		return err
	})
	return all, err
}

func pulls(tx *db.Tx, q Pulls) ([]Pull, error) {
	where, args := []string{"number < ?"}, []any{int64(1 << 62)}
	if q.Before > 0 {
		args[0] = q.Before
	}
	for _, c := range []struct{ column, value string }{{"repository", q.Repository}, {"state", string(q.State)}, {"author", q.Author}, {"source", q.Source}, {"target", q.Target}} {
		if c.value != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.value)
		}
	}
	return db.All(tx, scanPull, "SELECT body FROM source_pulls WHERE "+strings.Join(where, " AND ")+" ORDER BY number DESC LIMIT ?", append(args, max(q.Limit, 1))...)
}

// PullRepository is the repository of a pull request.
func (s *Source) PullRepository(ctx context.Context, number int64) (name string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		name, err = db.One(tx, db.Value[string], "SELECT repository FROM source_pulls WHERE number = ?", number)
		return err
	})
	if errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("there is no pull request %d", number)
	}
	return name, err
}
