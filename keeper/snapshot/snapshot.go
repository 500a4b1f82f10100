// Package snapshot keeps the last picture of each AWS account's users, roles and policies.
package snapshot

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/iam/account"
	"github.com/haechi-dev/haechi/word/fault"
)

// Snapshots keeps them. It is safe for concurrent use.
type Snapshots struct {
	db  *db.DB
	now func() time.Time

	mu     sync.Mutex
	parsed map[string]parsed // by account: compiling one takes longer than all questions to it
}

type parsed struct {
	taken   int64
	account *account.Account
}

// New keeps snapshots in d, whose tables must include Schema.
func New(d *db.DB, now func() time.Time) *Snapshots {
	return &Snapshots{db: d, now: now, parsed: map[string]parsed{}}
}

// Schema is snapshot's tables.
func Schema() db.Schema {
	return db.Schema{Room: "snapshot", Steps: []string{`
CREATE TABLE snapshot_accounts (account TEXT PRIMARY KEY, taken BIGINT NOT NULL, who TEXT NOT NULL, name TEXT NOT NULL, principals BIGINT NOT NULL, size BIGINT NOT NULL, body BLOB NOT NULL)`}}
}

// A Snapshot is one that is kept, without what it says.
type Snapshot struct {
	Account    string
	Taken      time.Time // when it was brought
	Who        string    // ARN of whoever brought it
	Name       string    // of the file
	Principals int
	Size       int64 // bytes, as it was brought
}

// Limits of what is kept.
const (
	MaxSize  = 64 << 20 // bytes of one snapshot
	accounts = 500
	inMemory = 8 // compiled snapshots
)

// Put keeps a snapshot in place of the account's former one, and answers what it says.
func (s *Snapshots) Put(ctx context.Context, who, name string, text []byte) (*account.Account, error) {
	if len(text) > MaxSize {
		return nil, fault.Limit.Errorf("the snapshot has %d MB, %d are allowed", len(text)>>20, MaxSize>>20)
	}
	a, err := account.Parse(name, text)
	if err != nil {
		return nil, err
	}
	if a.ID == "" {
		return nil, fault.Invalid.Errorf("%s: no ARN in it says of which account it is", name)
	}
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM snapshot_accounts WHERE account <> ?", a.ID)
		if err == nil && n >= accounts {
			return fault.Limit.Errorf("snapshots of %d accounts are kept, and no more", accounts)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO snapshot_accounts (account, taken, who, name, principals, size, body) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET taken = excluded.taken, who = excluded.who, name = excluded.name, principals = excluded.principals, size = excluded.size, body = excluded.body",
			a.ID, s.now().UnixMicro(), who, name, len(a.Principals), len(text), body.Bytes())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keeping the snapshot of %s: %w", a.ID, err)
	}
	return a, nil
}

// List are the snapshots that are kept, by account.
func (s *Snapshots) List(ctx context.Context) (all []Snapshot, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, func(scan db.Scan) (one Snapshot, err error) {
			var taken, principals int64
			err = scan(&one.Account, &taken, &one.Who, &one.Name, &principals, &one.Size)
			one.Taken, one.Principals = time.UnixMicro(taken).UTC(), int(principals)
			return one, err
		}, "SELECT account, taken, who, name, principals, size FROM snapshot_accounts ORDER BY account")
		return err
	})
	return all, err
}

// Account is what the snapshot of an account says; fault.NotFound if there is none.
func (s *Snapshots) Account(ctx context.Context, id string) (*account.Account, error) {
	var taken int64
	var name string
	var body []byte
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		if taken, err = db.One(tx, db.Value[int64], "SELECT taken FROM snapshot_accounts WHERE account = ?", id); err != nil {
			return err
		}
		if s.has(id, taken) != nil {
			return nil
		}
		return tx.Each(func(scan db.Scan) error { return scan(&name, &body) }, "SELECT name, body FROM snapshot_accounts WHERE account = ?", id)
	})
	if fault.Of(err) == fault.NotFound {
		return nil, fault.NotFound.Errorf("there is no snapshot of account %s", id)
	}
	if err != nil {
		return nil, err
	}
	if a := s.has(id, taken); a != nil {
		return a, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("unpacking the snapshot of %s: %w", id, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the snapshot of %s: %w", id, err)
	}
	a, err := account.Parse(cmp.Or(name, id), text)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.parsed {
		if len(s.parsed) < inMemory {
			break
		}
		delete(s.parsed, other)
	}
	s.parsed[id] = parsed{taken, a}
	return a, nil
}

func (s *Snapshots) has(id string, taken int64) *account.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parsed[id]; p.taken == taken {
		return p.account
	}
	return nil
}

// Delete forgets the snapshot of an account.
func (s *Snapshots) Delete(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM snapshot_accounts WHERE account = ?", id)
		if err == nil && n == 0 {
			return fault.NotFound.Errorf("there is no snapshot of account %s", id)
		}
		return err
	})
}
