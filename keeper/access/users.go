package access

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// User is somebody, as an administrator sees them.
type User struct {
	Name     string
	ID       string // AIDA…
	ARN      string
	Created  time.Time
	Policies []string // names of managed policies
	Password bool     // may sign in to the console
	Locked   time.Time
	Keys     []Key
	Tokens   []Token
}

// Key is an access key without its secret.
type Key struct {
	ID      string // AKIA…
	User    string
	Active  bool
	Created time.Time
	Used    time.Time // zero if never
}

// Token is a credential for one purpose, without its value.
type Token struct {
	ID      string // ACCA…
	User    string
	Purpose Purpose
	Created time.Time
}

// Purpose is what a token is good for, and the only thing.
type Purpose string

const (
	Git    Purpose = "git"    // the password of git over HTTP
	Intake Purpose = "intake" // the access key of Firehose, or a bearer token of log senders
)

// CreateUser makes a user with the managed policies named.
func (a *Access) CreateUser(ctx context.Context, name string, policies ...string) error {
	if !userName.MatchString(name) {
		return fault.Invalid.Errorf("a user's name is 1 to 64 letters, digits and _+=,.@-, not %q", name)
	}
	return a.change(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("INSERT INTO access_users (name, id, created, password, failures, locked_until, signed_in) VALUES (?, ?, ?, '', 0, 0, 0) ON CONFLICT (name) DO NOTHING", name, newID("AIDA"), a.config.Now().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Exists.Errorf("user %q exists already", name)
		}
		for _, p := range policies {
			if err := attach(tx, name, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func attach(tx *db.Tx, user, policy string) error {
	policy = policyName(policy)
	if !slices.Contains(Managed(), policy) {
		return fault.NotFound.Errorf("no policy %q; there are %s", policy, strings.Join(Managed(), ", "))
	}
	_, err := tx.Exec("INSERT INTO access_policies (user_name, policy) VALUES (?, ?) ON CONFLICT (user_name, policy) DO NOTHING", user, policy)
	return err
}

// policyName takes a name or the ARN of a managed policy.
func policyName(text string) string { return text[strings.LastIndexByte(text, '/')+1:] }

// Attach gives a user a managed policy, by name or ARN.
func (a *Access) Attach(ctx context.Context, user, policy string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := a.must(tx, user); err != nil {
			return err
		}
		return attach(tx, user, policy)
	})
}

// Detach takes a managed policy from a user. The last administrator stays one.
func (a *Access) Detach(ctx context.Context, user, policy string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM access_policies WHERE user_name = ? AND policy = ?", user, policyName(policy))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NotFound.Errorf("user %q has no policy %q", user, policy)
		}
		return somebodyIsLeft(tx)
	})
}

// DeleteUser removes a user and all credentials. The last administrator stays.
func (a *Access) DeleteUser(ctx context.Context, user string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := a.must(tx, user); err != nil {
			return err
		}
		for _, table := range []string{"access_policies", "access_keys", "access_tokens", "access_sessions", "access_links"} {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE user_name = ?", user); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("DELETE FROM access_users WHERE name = ?", user); err != nil {
			return err
		}
		return somebodyIsLeft(tx)
	})
}

func somebodyIsLeft(tx *db.Tx) error {
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM access_policies WHERE policy = ?", Administrator)
	if err == nil && n == 0 {
		return fault.Conflict.Errorf("nobody would be left with %s: give it to somebody else first", Administrator)
	}
	return err
}

func (a *Access) must(tx *db.Tx, user string) error {
	names, err := db.All(tx, db.Value[string], "SELECT name FROM access_users ORDER BY name")
	if err != nil || slices.Contains(names, user) {
		return err
	}
	if hint := diag.DidYouMean(user, names); hint != "" {
		return fault.NotFound.Errorf("no user %q: %s", user, hint)
	}
	return fault.NotFound.Errorf("no user %q", user)
}

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
		if err := a.must(tx, user); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM access_keys WHERE user_name = ?", user)
		if err == nil && n >= 2 {
			return fault.Limit.Errorf("user %q has two access keys: delete one first", user)
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
		return one(tx, "access key", id, "UPDATE access_keys SET active = ? WHERE id = ? AND user_name = ?", on, id, user)
	})
}

// DeleteKey removes an access key.
func (a *Access) DeleteKey(ctx context.Context, user, id string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return one(tx, "access key", id, "DELETE FROM access_keys WHERE id = ? AND user_name = ?", id, user)
	})
}

func one(tx *db.Tx, what, id, query string, args ...any) error {
	n, err := tx.Exec(query, args...)
	if err == nil && n == 0 {
		return fault.NotFound.Errorf("no %s %q", what, id)
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
		if err := a.must(tx, user); err != nil {
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

// Users lists everybody, by name.
func (a *Access) Users(ctx context.Context) (users []User, err error) {
	err = a.config.DB.Read(ctx, func(tx *db.Tx) error {
		users, err = a.users(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	return users, nil
}

func (a *Access) users(tx *db.Tx) ([]User, error) {
	users, err := db.All(tx, func(scan db.Scan) (u User, err error) {
		var created, locked int64
		var password string
		err = scan(&u.Name, &u.ID, &created, &password, &locked)
		u.ARN, u.Created, u.Password = a.UserARN(u.Name), time.UnixMicro(created), password != ""
		if locked > a.config.Now().UnixMicro() {
			u.Locked = time.UnixMicro(locked)
		}
		return u, err
	}, "SELECT name, id, created, password, locked_until FROM access_users ORDER BY name")
	if err != nil {
		return nil, err
	}
	of := map[string]*User{}
	for i := range users {
		of[users[i].Name] = &users[i]
	}
	err = tx.Each(func(scan db.Scan) error {
		var user, policy string
		err := scan(&user, &policy)
		if u := of[user]; u != nil {
			u.Policies = append(u.Policies, policy)
		}
		return err
	}, "SELECT user_name, policy FROM access_policies ORDER BY user_name, policy")
	if err != nil {
		return nil, err
	}
	err = tx.Each(func(scan db.Scan) error {
		var k Key
		var active, created, used int64
		err := scan(&k.ID, &k.User, &active, &created, &used)
		k.Active, k.Created = active == 1, time.UnixMicro(created)
		if used > 0 {
			k.Used = time.UnixMicro(used)
		}
		if u := of[k.User]; u != nil {
			u.Keys = append(u.Keys, k)
		}
		return err
	}, "SELECT id, user_name, active, created, used FROM access_keys ORDER BY created, id")
	if err != nil {
		return nil, err
	}
	return users, tx.Each(func(scan db.Scan) error {
		var t Token
		var created int64
		err := scan(&t.ID, &t.User, (*string)(&t.Purpose), &created)
		t.Created = time.UnixMicro(created)
		if u := of[t.User]; u != nil {
			u.Tokens = append(u.Tokens, t)
		}
		return err
	}, "SELECT id, user_name, purpose, created FROM access_tokens ORDER BY created, id")
}
