// Package access knows who is asking, and is the one place that says whether they may.
//
// Its users are IAM users: they have access keys (sealed, since SigV4 needs the
// secret back), a console password, tokens for git and for log senders (kept as
// hashes), and policies. Every door asks here twice: who is it, and may they.
package access

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"log/slog"
	"regexp"
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
	Account string           // 12 digits
	Folder  string           // the data folder, where FirstFile lies; or ""
	Now     func() time.Time // time.Now
	Log     *slog.Logger     // slog.Default
}

// Access keeps users and what they may do. It is safe for concurrent use.
type Access struct {
	config Config

	mu     sync.Mutex
	known  *people              // as of the last look at the database
	looked time.Time            // when that was
	used   map[string]time.Time // access keys, since the last flush
}

// New is the access of one installation.
func New(c Config) *Access {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Access{config: c, used: map[string]time.Time{}}
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
CREATE TABLE access_links (hash TEXT PRIMARY KEY, user_name TEXT NOT NULL, until BIGINT NOT NULL)`}}
}

var userName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`) // IAM's

// people is everybody, and what they may do.
type people struct {
	rev   int64
	users map[string]*person
	keys  map[string]key
}

type person struct {
	principal iam.Principal
	policies  []*iam.Policy
}

type key struct {
	user   string
	sealed string
	active bool
}

// fresh is how long what another node changed may go unnoticed here.
const fresh = time.Second

// people is everybody as the database has them, at most fresh ago.
func (a *Access) people(ctx context.Context) (*people, error) {
	a.mu.Lock()
	known, looked := a.known, a.looked
	a.mu.Unlock()
	now := a.config.Now()
	if known != nil && now.Sub(looked) < fresh && now.Sub(looked) >= 0 {
		return known, nil
	}
	var got *people
	err := a.config.DB.Read(ctx, func(tx *db.Tx) error {
		rev, err := db.One(tx, db.Value[int64], "SELECT rev FROM access_clock WHERE id = 1")
		if err != nil {
			return err
		}
		if got = known; known != nil && known.rev == rev {
			return nil
		}
		got, err = a.load(tx, rev)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up who is who: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || a.known.rev <= got.rev {
		a.known, a.looked = got, now
	}
	return got, nil
}

func (a *Access) load(tx *db.Tx, rev int64) (*people, error) {
	p := &people{rev: rev, users: map[string]*person{}, keys: map[string]key{}}
	err := tx.Each(func(scan db.Scan) error {
		var name, id string
		if err := scan(&name, &id); err != nil {
			return err
		}
		p.users[name] = &person{principal: iam.Principal{ARN: a.UserARN(name), Account: a.config.Account, ID: id, Type: "User", Name: name}}
		return nil
	}, "SELECT name, id FROM access_users")
	if err != nil {
		return nil, err
	}
	managed, err := managedPolicies()
	if err != nil {
		return nil, err
	}
	err = tx.Each(func(scan db.Scan) error {
		var user, policy string
		if err := scan(&user, &policy); err != nil {
			return err
		}
		if who, m := p.users[user], managed[policy]; who != nil && m != nil {
			who.policies = append(who.policies, m)
		}
		return nil
	}, "SELECT user_name, policy FROM access_policies ORDER BY user_name, policy")
	if err != nil {
		return nil, err
	}
	return p, tx.Each(func(scan db.Scan) error {
		var id string
		var k key
		var active int64
		err := scan(&id, &k.user, &k.sealed, &active)
		k.active = active == 1
		p.keys[id] = k
		return err
	}, "SELECT id, user_name, secret, active FROM access_keys")
}

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

// UserARN is the ARN of a user of this account.
func (a *Access) UserARN(name string) string {
	return "arn:aws:iam::" + a.config.Account + ":user/" + name
}

// Secret is the secret of an access key and who has it; a key that is unknown
// or off is fault.NotFound. There are no session tokens yet.
func (a *Access) Secret(ctx context.Context, id, token string) (seal.Secret, iam.Principal, error) {
	p, err := a.people(ctx)
	if err != nil {
		return "", iam.Principal{}, err
	}
	k, ok := p.keys[id]
	who := p.users[k.user]
	if !ok || !k.active || who == nil || token != "" {
		return "", iam.Principal{}, fault.NotFound.Errorf("no such access key")
	}
	secret, err := a.config.Sealer.Open(keyRow(id), k.sealed)
	if err != nil {
		return "", iam.Principal{}, err
	}
	a.mu.Lock()
	a.used[id] = a.config.Now()
	a.mu.Unlock()
	return secret, who.principal, nil
}

func keyRow(id string) seal.Row { return seal.Row{Table: "access_keys", ID: id, Column: "secret"} }

// Principal is a user by name.
func (a *Access) Principal(ctx context.Context, user string) (iam.Principal, error) {
	p, err := a.people(ctx)
	if err != nil {
		return iam.Principal{}, err
	}
	if who := p.users[user]; who != nil {
		return who.principal, nil
	}
	return iam.Principal{}, fault.NotFound.Errorf("no user %q", user)
}

// Allow is nil if the policies of whoever asks allow every request, and
// fault.Denied in AWS's words if they do not allow one.
func (a *Access) Allow(ctx context.Context, requests ...iam.Request) error {
	p, err := a.people(ctx)
	if err != nil {
		return err
	}
	if len(requests) == 0 {
		return fault.Denied.Errorf("nothing was asked, so nothing is allowed")
	}
	for _, r := range requests {
		var policies []*iam.Policy
		if who := p.users[r.Principal.Name]; who != nil && who.principal.ARN == r.Principal.ARN && r.Principal.ARN != "" {
			policies = who.policies
		}
		if r.Principal.ARN == "" {
			r.Principal.ARN = "anonymous"
		}
		if err := iam.Decide(r.Known(), policies...).Err(r); err != nil {
			return err
		}
	}
	return nil
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
	a.used = map[string]time.Time{}
	a.mu.Unlock()
	now := a.config.Now()
	err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
		for id, at := range used {
			if _, err := tx.Exec("UPDATE access_keys SET used = ? WHERE id = ? AND used < ?", at.UnixMicro(), id, at.UnixMicro()); err != nil {
				return err
			}
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
