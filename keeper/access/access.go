// Package access knows who is asking, and is the one place that says whether they may.
//
// Its users, groups, roles and policies are IAM's. Users have access keys (sealed,
// since SigV4 needs the secret back), a console password and a second factor, and
// tokens for git and for log senders (kept as hashes); roles are assumed for a
// while, by those whom their trust policy names. Every door asks here twice: who
// is it, and may they.
package access

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what an Access is made of.
type Config struct {
	DB      *db.DB // its tables must include Schema
	Sealer  *seal.Sealer
	Account string            // 12 digits
	HTTP    *http.Client      // fetches the keys of OpenID Connect providers; nil: only those that were given are used
	Issuer  func() string     // the address under which this installation signs tokens; nil or "": it signs none
	Keys    map[string]string // JWKS of identity providers, by host and path: these are not fetched
	Logins  []Login           // by which people sign in to the console, besides passwords
	// PolicyOf is the policy that something has itself, such as a secret's, by its ARN; nil
	// where it has none. It is asked with every question but IAM's own.
	PolicyOf func(ctx context.Context, arn string) (*iam.Policy, error)
	Folder   string           // the data folder, where FirstFile lies; or ""
	Now      func() time.Time // time.Now
	Log      *slog.Logger     // slog.Default
}

// Access keeps users and what they may do. It is safe for concurrent use.
type Access struct {
	config Config

	compiled compiled

	mu       sync.Mutex
	have     *Directory           // as of the last look at the database
	looked   time.Time            // when that was
	used     map[string]use       // access keys and roles (by ARN), since the last flush
	sessions map[string]*Session  // by token: opening one again would take longer
	fetches  map[string]time.Time // providers' keys, when they were last asked for
}

// use is when, for which service and where something was used last.
type use struct {
	at              time.Time
	service, region string
}

// New is the access of one installation.
func New(c Config) *Access {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Access{config: c, used: map[string]use{}, sessions: map[string]*Session{}, fetches: map[string]time.Time{}}
}

// Schema is access's tables.
func Schema() db.Schema {
	return db.Schema{Room: "access", Steps: []string{`
CREATE TABLE access_clock (id BIGINT PRIMARY KEY, rev BIGINT NOT NULL);
INSERT INTO access_clock (id, rev) VALUES (1, 0);
CREATE TABLE access_users (name TEXT PRIMARY KEY, id TEXT NOT NULL, created BIGINT NOT NULL, password TEXT NOT NULL, failures BIGINT NOT NULL, locked_until BIGINT NOT NULL, signed_in BIGINT NOT NULL);
CREATE TABLE access_policies (user_name TEXT NOT NULL, policy TEXT NOT NULL, PRIMARY KEY (user_name, policy));
CREATE TABLE access_keys (id TEXT PRIMARY KEY, user_name TEXT NOT NULL, secret TEXT NOT NULL, active BIGINT NOT NULL, created BIGINT NOT NULL, used BIGINT NOT NULL);
CREATE INDEX access_keys_by_user ON access_keys (user_name);
CREATE TABLE access_tokens (hash TEXT PRIMARY KEY, id TEXT NOT NULL, user_name TEXT NOT NULL, purpose TEXT NOT NULL, created BIGINT NOT NULL);
CREATE TABLE access_sessions (hash TEXT PRIMARY KEY, user_name TEXT NOT NULL, created BIGINT NOT NULL, seen BIGINT NOT NULL);
CREATE TABLE access_links (hash TEXT PRIMARY KEY, user_name TEXT NOT NULL, until BIGINT NOT NULL)`, `
CREATE TABLE access_things (kind TEXT NOT NULL, folded TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (kind, folded));
ALTER TABLE access_users ADD COLUMN doc TEXT NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN used_service TEXT NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN used_region TEXT NOT NULL DEFAULT '';
ALTER TABLE access_sessions ADD COLUMN held TEXT NOT NULL DEFAULT '';
CREATE TABLE access_challenges (hash TEXT PRIMARY KEY, user_name TEXT NOT NULL, until BIGINT NOT NULL);
CREATE TABLE access_uses (arn TEXT PRIMARY KEY, used BIGINT NOT NULL, region TEXT NOT NULL)`}}
}

var userName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w+=,.@-]{1,64}$`) }) // IAM's

// change is a write after which everybody is looked up anew.
func (a *Access) change(ctx context.Context, f func(*db.Tx) error) error {
	return a.config.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			a.mu.Lock()
			a.looked = time.Time{}
			a.mu.Unlock()
		})
		_, err := tx.Exec("UPDATE access_clock SET rev = rev + 1 WHERE id = 1")
		return err
	})
}

// UserARN is the ARN of a user of this account, as it would be if there is none of that name.
func (a *Access) UserARN(name string) string {
	d, err := a.known(context.Background())
	if err != nil {
		return "arn:aws:iam::" + a.config.Account + ":user/" + name
	}
	return d.OwnerARN(UserNamed(name))
}

// Secret is the secret of an access key and who has it. A key that is unknown
// or off, one that temporary credentials do not go with, and those of a role
// that is gone are fault.NotFound; those that have expired fault.Unauthenticated.
// To ask is no use of the key yet: whoever has verified what it signed says so (Used).
func (a *Access) Secret(ctx context.Context, id, token string) (seal.Secret, iam.Principal, error) {
	d, err := a.known(ctx)
	if err != nil {
		return "", iam.Principal{}, err
	}
	if token != "" {
		s, err := a.open(id, token)
		if err != nil {
			return "", iam.Principal{}, err
		}
		who, err := d.principal(s)
		if err == nil && a.config.Now().After(s.Expires) {
			err = fault.Unauthenticated.Errorf("the session is over")
		}
		return s.Secret, who, err
	}
	k := d.keys[id]
	if k == nil || !k.active || d.users[k.user] == nil {
		return "", iam.Principal{}, fault.NotFound.Errorf("no such access key")
	}
	opened := k.opened.Load()
	if opened == nil {
		secret, err := a.config.Sealer.Open(keyRow(id), k.sealed)
		if err != nil {
			return "", iam.Principal{}, err
		}
		opened = &secret
		k.opened.Store(opened)
	}
	return *opened, d.user(k.user), nil
}

// Used notes that an access key or a role (by its ARN) was used now; service
// and region where they are known.
func (a *Access) Used(id, service, region string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.used[id]
	u.at = a.config.Now()
	if service != "" {
		u.service, u.region = service, region
	}
	a.used[id] = u
}

func keyRow(id string) seal.Row { return seal.Row{Table: "access_keys", ID: id, Column: "secret"} }

func (d *Directory) user(name string) iam.Principal {
	u := d.users[name]
	return iam.Principal{ARN: u.ARN, Account: d.Account, ID: u.ID, Type: "User", Name: name}
}

// Principal is a user by name.
func (a *Access) Principal(ctx context.Context, user string) (iam.Principal, error) {
	d, err := a.known(ctx)
	if err != nil {
		return iam.Principal{}, err
	}
	if d.users[user] != nil {
		return d.user(user), nil
	}
	return iam.Principal{}, fault.NotFound.Errorf("no user %q", user)
}

// Run writes down when keys were last used and forgets what is over, once a
// minute and at the end.
func (a *Access) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return a.tidy(ctx)
		}
		if err := a.tidy(ctx); err != nil && ctx.Err() == nil {
			a.config.Log.Warn("the last use of access keys was not written down", "error", err)
		}
	}
}

func (a *Access) tidy(ctx context.Context) error {
	a.mu.Lock()
	used := a.used
	a.used = map[string]use{}
	a.mu.Unlock()
	now := a.config.Now()
	err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
		for id, u := range used {
			if err := u.write(tx, id); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("DELETE FROM access_challenges WHERE until < ?", now.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM access_sessions WHERE seen < ? OR created < ?", now.Add(-idle).UnixMicro(), now.Add(-absolute).UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM access_links WHERE until < ?", now.UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	return a.dropFirst(ctx)
}

func (u use) write(tx *db.Tx, id string) error {
	at := u.at.UnixMicro()
	if strings.HasPrefix(id, "arn:") {
		_, err := tx.Exec("INSERT INTO access_uses (arn, used, region) VALUES (?, ?, ?) ON CONFLICT (arn) DO UPDATE SET used = excluded.used, region = excluded.region", id, at, u.region)
		return err
	}
	if _, err := tx.Exec("UPDATE access_keys SET used = ? WHERE id = ? AND used < ?", at, id, at); err != nil || u.service == "" {
		return err
	}
	_, err := tx.Exec("UPDATE access_keys SET used_service = ?, used_region = ? WHERE id = ?", u.service, u.region, id)
	return err
}

// newID is an identifier as IAM makes them: a prefix and 16 letters and digits.
func newID(prefix string) string {
	var raw [10]byte
	rand.Read(raw[:])
	return prefix + base32.StdEncoding.EncodeToString(raw[:])
}

// newSecret is 240 random bits in 40 characters, as the secrets of access keys are.
func newSecret() string {
	var raw [30]byte
	rand.Read(raw[:])
	return base64.StdEncoding.EncodeToString(raw[:])
}

// newToken is 256 random bits that may stand in a URL.
func newToken() string {
	var raw [32]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
