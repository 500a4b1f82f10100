package access_test

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

// Users, keys and sessions of a database from before there were groups and roles go on working.
func TestOldDatabase(t *testing.T) {
	ctx := t.Context()
	file := "sqlite:" + filepath.Join(t.TempDir(), "state.db")
	old := access.Schema()
	old.Steps = old.Steps[:1]
	d, err := db.Open(ctx, file, old)
	must(t, err)
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	const id, secret, session = "AKIA" + "OLDOLDOLDOLDOLD1", "old-secret-of-forty-characters", "the-session-of-kim"
	sealed, err := sealer.Seal(seal.Row{Table: "access_keys", ID: id, Column: "secret"}, secret)
	must(t, err)
	sum := sha256.Sum256([]byte(session))
	now := time.Now().UnixMicro()
	must(t, d.Write(ctx, func(tx *db.Tx) error {
		for _, s := range []struct {
			query string
			args  []any
		}{
			{"INSERT INTO access_users (name, id, created, password, failures, locked_until, signed_in) VALUES (?, ?, ?, '', 0, 0, 0)", []any{"kim", "AIDAOLD", now}},
			{"INSERT INTO access_policies (user_name, policy) VALUES (?, ?)", []any{"kim", access.Administrator}},
			{"INSERT INTO access_keys (id, user_name, secret, active, created, used) VALUES (?, ?, ?, 1, ?, 0)", []any{id, "kim", sealed, now}},
			{"INSERT INTO access_sessions (hash, user_name, created, seen) VALUES (?, ?, ?, ?)", []any{hex.EncodeToString(sum[:]), "kim", now, now}},
		} {
			if _, err := tx.Exec(s.query, s.args...); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, d.Close())
	d, err = db.Open(ctx, file, access.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	h := &house{Access: access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333"})}
	got, who, err := h.Secret(ctx, id, "")
	if err != nil || got != secret || who.ID != "AIDAOLD" || !h.may(ctx, who, "iam:CreateUser") {
		t.Errorf("the key: %+v, %v", who, err)
	}
	who, err = h.Session(ctx, session)
	if err != nil || !h.may(ctx, who, "iam:CreateUser") {
		t.Errorf("the session: %+v, %v", who, err)
	}
	users, err := h.Users(ctx)
	if err != nil || len(users) != 1 || users[0].Path != "/" || strings.Join(users[0].Policies, "") != access.Administrator || users[0].ARN != account+"user/kim" {
		t.Errorf("%+v, %v", users, err)
	}
	kind(t, "the last administrator", h.Detach(ctx, "kim", access.Administrator), fault.Conflict)
	must(t, h.TagHolder(ctx, access.UserNamed("kim"), map[string]string{"a": "b"}, nil))
	if who, err := h.Principal(ctx, "kim"); err != nil || !h.may(ctx, who, "iam:CreateUser") {
		t.Errorf("after a change: %+v, %v", who, err)
	}
}

// Whatever comes as a session token, only what was made here for that key is one.
func FuzzToken(f *testing.F) {
	ctx := f.Context()
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(f.TempDir(), "state.db"), access.Schema())
	check(f, err)
	f.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(f.TempDir(), "root.key"))
	check(f, err)
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333"})
	check(f, a.CreateUser(ctx, "admin", access.Administrator))
	who, err := a.Principal(ctx, "admin")
	check(f, err)
	one, err := a.SessionToken(ctx, who, 3600, "", "")
	check(f, err)
	f.Add(one.KeyID, one.Token.Reveal())
	f.Add("ASIAX", "s1.0011223344556677.AAAA")
	f.Add(one.KeyID, "")
	f.Fuzz(func(t *testing.T, id, token string) {
		_, who, err := a.Secret(ctx, id, token)
		if err == nil && (id != one.KeyID || token != one.Token.Reveal()) {
			t.Fatalf("%q %q is %s", id, token, who.ARN)
		}
		if err != nil && fault.Of(err) != fault.NotFound && fault.Of(err) != fault.Unauthenticated {
			t.Fatal(err)
		}
	})
}
