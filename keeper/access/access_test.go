package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// house is an access on one database, with a clock that the test moves.
type house struct {
	*access.Access
	mu  sync.Mutex
	now time.Time
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func build(t *testing.T, d *db.DB, folder string) *house {
	t.Helper()
	sealer, err := seal.OpenOrCreate(filepath.Join(folder, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{now: time.Unix(1_800_000_000, 0)}
	h.Access = access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333", Folder: folder, Now: func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.now
	}})
	return h
}

func each(t *testing.T, test func(t *testing.T, ctx context.Context, h *house)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		test(t, dbtest.Context(t), build(t, open(access.Schema()), t.TempDir()))
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// A key belongs to one user, can be turned off and deleted, and is gone with its user at once.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		must(t, h.CreateUser(ctx, "admin", access.Administrator))
		must(t, h.CreateUser(ctx, "ann", access.Developer))
		id, secret, err := h.CreateKey(ctx, "ann")
		must(t, err)
		got, who, err := h.Secret(ctx, id, "")
		if err != nil || got.Reveal() != secret.Reveal() || who.ARN != "arn:aws:iam::111122223333:user/ann" || who.Name != "ann" {
			t.Errorf("got %+v, %v", who, err)
		}
		_, _, err = h.Secret(ctx, id, "token")
		kind(t, "a session token", err, fault.NotFound)
		_, _, err = h.Secret(ctx, "AKIANOBODYKNOWSTHIS0", "")
		kind(t, "unknown key", err, fault.NotFound)
		must(t, h.SetKey(ctx, "ann", id, false))
		_, _, err = h.Secret(ctx, id, "")
		kind(t, "a key that is off", err, fault.NotFound)
		must(t, h.SetKey(ctx, "ann", id, true))
		kind(t, "another's key", h.DeleteKey(ctx, "admin", id), fault.NotFound)
		_, _, err = h.CreateKey(ctx, "ann")
		must(t, err)
		_, _, err = h.CreateKey(ctx, "ann")
		kind(t, "a third key", err, fault.Limit)
		must(t, h.DeleteUser(ctx, "ann"))
		_, _, err = h.Secret(ctx, id, "")
		kind(t, "a key whose user is gone", err, fault.NotFound)
		kind(t, "the last administrator", h.DeleteUser(ctx, "admin"), fault.Conflict)
		kind(t, "the last administrator's policy", h.Detach(ctx, "admin", access.Administrator), fault.Conflict)
		kind(t, "a user's odd name", h.CreateUser(ctx, "../x"), fault.Invalid)
		kind(t, "the same again", h.CreateUser(ctx, "admin"), fault.Exists)
		if err := h.Attach(ctx, "admni", access.Developer); !strings.Contains(fmt.Sprint(err), `did you mean "admin"?`) {
			t.Errorf("a typing mistake: %v", err)
		}
	})
}

// A secret lies in the database only sealed, and only for its own row.
func TestSecretsAreSealed(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "state.db")
	d, err := db.Open(t.Context(), "sqlite:"+file, access.Schema())
	must(t, err)
	h := build(t, d, folder)
	must(t, h.CreateUser(t.Context(), "ann"))
	id, secret, err := h.CreateKey(t.Context(), "ann")
	must(t, err)
	_, token, err := h.CreateToken(t.Context(), "ann", access.Git)
	must(t, err)
	must(t, h.SetPassword(t.Context(), "ann", "correct horse battery"))
	session, err := h.SignIn(t.Context(), "ann", "correct horse battery")
	must(t, err)
	must(t, d.Close())
	files, err := filepath.Glob(file + "*")
	must(t, err)
	for _, name := range files {
		text, err := os.ReadFile(name)
		must(t, err)
		for _, s := range []seal.Secret{secret, token, session, "correct horse battery"} {
			if strings.Contains(string(text), s.Reveal()) {
				t.Errorf("a secret lies in %s", name)
			}
		}
	}
	if id == "" || len(files) == 0 {
		t.Error("nothing was looked at")
	}
}

// What policies do not allow is denied, in AWS's words; nobody is nobody.
func TestAllow(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		must(t, h.CreateUser(ctx, "admin", access.Administrator))
		must(t, h.CreateUser(ctx, "audit", "arn:aws:iam::aws:policy/SecurityAudit"))
		must(t, h.CreateUser(ctx, "dev", access.Developer))
		must(t, h.CreateUser(ctx, "new"))
		update := "securityhub:BatchUpdateFindings"
		status := func(s string) map[string][]string {
			return map[string][]string{"securityhub:ASFFSyntaxPath/Workflow.Status": {s}}
		}
		for _, c := range []struct {
			user, action string
			context      map[string][]string
			want         bool
		}{
			{"admin", update, nil, true},
			{"admin", "iam:CreateUser", nil, true},
			{"audit", "securityhub:GetFindings", nil, true},
			{"audit", update, nil, false},
			{"audit", "haechi:ImportReport", nil, false},
			{"dev", "codecommit:GitPush", nil, true},
			{"dev", "haechi:OverridePushProtection", nil, false},
			{"dev", "iam:CreateUser", nil, false},
			{"dev", update, status("NOTIFIED"), true},
			{"dev", update, status("SUPPRESSED"), false},
			{"dev", update, nil, true},
			{"new", "sts:GetCallerIdentity", nil, true}, // as AWS has it: who one is, everybody may ask
			{"new", "securityhub:GetFindings", nil, false},
		} {
			who, err := h.Principal(ctx, c.user)
			must(t, err)
			err = h.Allow(ctx, iam.Request{Principal: who, Action: c.action, Resource: "arn:aws:x:::y", Context: c.context})
			if (err == nil) != c.want || err != nil && !errors.Is(err, fault.Denied) {
				t.Errorf("%s %s %v: got %v, want allowed %v", c.user, c.action, c.context, err, c.want)
			}
		}
		admin, _ := h.Principal(ctx, "admin")
		forged := iam.Principal{Name: "admin", ARN: "arn:aws:iam::999999999999:user/admin"}
		read := iam.Request{Principal: admin, Action: "securityhub:GetFindings", Resource: "*"}
		kind(t, "nobody", h.Allow(ctx, iam.Request{Action: "securityhub:GetFindings", Resource: "*"}), fault.Denied)
		kind(t, "another account's admin", h.Allow(ctx, iam.Request{Principal: forged, Action: "securityhub:GetFindings", Resource: "*"}), fault.Denied)
		kind(t, "nothing asked", h.Allow(ctx), fault.Denied)
		kind(t, "one of two", h.Allow(ctx, read, iam.Request{Action: "x:y", Resource: "*"}), fault.Denied)
		must(t, h.Attach(ctx, "new", access.SecurityAudit))
		who, _ := h.Principal(ctx, "new")
		must(t, h.Allow(ctx, iam.Request{Principal: who, Action: "securityhub:GetFindings", Resource: "*"}))
		must(t, h.Detach(ctx, "new", access.SecurityAudit))
		kind(t, "taken away", h.Allow(ctx, iam.Request{Principal: who, Action: "securityhub:GetFindings", Resource: "*"}), fault.Denied)
	})
}

// A change on one node counts on the other within a second.
func TestNodesAgree(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		ctx, folder := dbtest.Context(t), t.TempDir()
		one := build(t, open(access.Schema()), folder)
		two := build(t, open(access.Schema()), folder)
		must(t, one.CreateUser(ctx, "ann"))
		id, _, err := one.CreateKey(ctx, "ann")
		must(t, err)
		_, _, err = two.Secret(ctx, id, "")
		must(t, err)
		must(t, one.SetKey(ctx, "ann", id, false))
		two.later(time.Second)
		_, _, err = two.Secret(ctx, id, "")
		kind(t, "turned off on the other node", err, fault.NotFound)
	})
}

// Sessions begin with the right password, end by themselves, and can be ended.
func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		must(t, h.CreateUser(ctx, "ann"))
		const password = "correct horse battery"
		_, err := h.SignIn(ctx, "ann", "")
		kind(t, "no password set", err, fault.Unauthenticated)
		kind(t, "a short password", h.SetPassword(ctx, "ann", "short"), fault.Invalid)
		must(t, h.SetPassword(ctx, "ann", password))
		_, err = h.SignIn(ctx, "nobody", password)
		kind(t, "nobody", err, fault.Unauthenticated)
		token, err := h.SignIn(ctx, "ann", password)
		must(t, err)
		for range 5 {
			h.later(50 * time.Minute)
			who, err := h.Session(ctx, token)
			if err != nil || who.Name != "ann" {
				t.Fatalf("%v, %v", who, err)
			}
		}
		h.later(61 * time.Minute)
		_, err = h.Session(ctx, token)
		kind(t, "an idle session", err, fault.Unauthenticated)
		token, err = h.SignIn(ctx, "ann", password)
		must(t, err)
		for range 14 {
			h.later(55 * time.Minute)
			_, err = h.Session(ctx, token)
		}
		kind(t, "an old session", err, fault.Unauthenticated)
		token, err = h.SignIn(ctx, "ann", password)
		must(t, err)
		must(t, h.SignOut(ctx, token))
		_, err = h.Session(ctx, token)
		kind(t, "after signing out", err, fault.Unauthenticated)
		token, err = h.SignIn(ctx, "ann", password)
		must(t, err)
		must(t, h.SetPassword(ctx, "ann", "another long password"))
		_, err = h.Session(ctx, token)
		kind(t, "after a new password", err, fault.Unauthenticated)
	})
}

// Wrong passwords lock a user for longer and longer, also when they come at once; then the right one does not work either.
func TestLockout(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		must(t, h.CreateUser(ctx, "ann"))
		const password = "correct horse battery"
		must(t, h.SetPassword(ctx, "ann", password))
		var guesses sync.WaitGroup
		for range 5 {
			guesses.Go(func() { _, _ = h.SignIn(ctx, "ann", "wrong") })
		}
		guesses.Wait()
		_, err := h.SignIn(ctx, "ann", password)
		kind(t, "locked", err, fault.Limit)
		h.later(61 * time.Second)
		_, err = h.SignIn(ctx, "ann", "wrong")
		kind(t, "wrong once more", err, fault.Unauthenticated)
		h.later(61 * time.Second)
		_, err = h.SignIn(ctx, "ann", password)
		kind(t, "locked for twice as long", err, fault.Limit)
		h.later(time.Minute)
		_, err = h.SignIn(ctx, "ann", password)
		must(t, err)
		_, err = h.SignIn(ctx, "ann", "wrong")
		kind(t, "counted anew", err, fault.Unauthenticated)
		_, err = h.SignIn(ctx, "ann", password)
		must(t, err)
	})
}

// A token is good for its purpose and its user alone; a link for one use within a minute.
func TestTokensAndLinks(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		must(t, h.CreateUser(ctx, "ann"))
		made, value, err := h.CreateToken(ctx, "ann", access.Git)
		must(t, err)
		who, err := h.Token(ctx, access.Git, "ann", value)
		if err != nil || who.Name != "ann" {
			t.Errorf("%v, %v", who, err)
		}
		_, err = h.Token(ctx, access.Intake, "", value)
		kind(t, "another purpose", err, fault.Unauthenticated)
		_, err = h.Token(ctx, access.Git, "bob", value)
		kind(t, "another user", err, fault.Unauthenticated)
		_, err = h.Token(ctx, access.Git, "ann", "")
		kind(t, "no token", err, fault.Unauthenticated)
		must(t, h.DeleteToken(ctx, "ann", made.ID))
		_, err = h.Token(ctx, access.Git, "ann", value)
		kind(t, "deleted", err, fault.Unauthenticated)

		link, err := h.Link(ctx, "ann")
		must(t, err)
		session, err := h.Redeem(ctx, link)
		must(t, err)
		_, err = h.Session(ctx, session)
		must(t, err)
		_, err = h.Redeem(ctx, link)
		kind(t, "a link used twice", err, fault.Unauthenticated)
		link, err = h.Link(ctx, "ann")
		must(t, err)
		h.later(61 * time.Second)
		_, err = h.Redeem(ctx, link)
		kind(t, "an old link", err, fault.Unauthenticated)
	})
}

// The first start makes an administrator and tells the owner of the folder; the file goes once both credentials were used.
func TestFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		ctx, folder := dbtest.Context(t), t.TempDir()
		h := build(t, open(access.Schema()), folder)
		made, err := h.First(ctx, folder, nil)
		if err != nil || made == nil {
			t.Fatal(made, err)
		}
		name := filepath.Join(folder, access.FirstFile)
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		read, err := access.ReadCredentials(name)
		if err != nil || read != *made {
			t.Errorf("the file says otherwise: %v", err)
		}
		if again, err := h.First(ctx, folder, nil); err != nil || again != nil {
			t.Errorf("a second start: %v, %v", again, err)
		}
		gone := func() bool {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			must(t, h.Run(ctx))
			_, err := os.Stat(name)
			return os.IsNotExist(err)
		}
		if _, err := h.SignIn(ctx, access.AdminUser, read.Password); err != nil || gone() {
			t.Errorf("%v, or gone after the password alone", err)
		}
		if _, _, err := h.Secret(ctx, read.KeyID, ""); err != nil || gone() {
			t.Errorf("%v, or gone before anything that the key signed was verified", err)
		}
		if h.Used(read.KeyID, "sts", "us-east-1"); !gone() {
			t.Error("still there after both")
		}
		users, err := h.Users(ctx)
		if err != nil || len(users) != 1 || users[0].Keys[0].Used.IsZero() || !slices.Equal(users[0].Policies, []string{access.Administrator}) {
			t.Errorf("%+v, %v", users, err)
		}
		after, err := h.Reset(ctx, folder)
		must(t, err)
		_, _, err = h.Secret(ctx, read.KeyID, "")
		kind(t, "the key before the reset", err, fault.NotFound)
		_, _, err = h.Secret(ctx, after.KeyID, "")
		must(t, err)
	})
}

// Under another root key the keys that were sealed are told of, and a reset gives them up.
func TestLostRootKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		ctx, d := dbtest.Context(t), open(access.Schema())
		h := build(t, d, t.TempDir())
		must(t, h.CreateUser(ctx, "admin", access.Administrator))
		must(t, h.CreateUser(ctx, "ann"))
		_, _, err := h.CreateKey(ctx, "ann")
		must(t, err)
		must(t, h.CheckKey(ctx))
		_, err = h.JWKS(ctx)
		must(t, err)
		folder := t.TempDir()
		other := build(t, d, folder)
		kind(t, "another root key", other.CheckKey(ctx), fault.Conflict)
		made, err := other.Reset(ctx, folder)
		must(t, err)
		must(t, other.CheckKey(ctx))
		_, err = other.JWKS(ctx) // tokens are signed anew
		must(t, err)
		_, _, err = other.Secret(ctx, made.KeyID, "")
		must(t, err)
	})
}

func TestReadCredentials(t *testing.T) {
	name := filepath.Join(t.TempDir(), "credentials")
	for text, want := range map[string]bool{
		"": false,
		"[default]\naws_access_key_id=A\naws_secret_access_key = b = c\nconsole_password= p\n": true,
		"[other]\naws_access_key_id=A\naws_secret_access_key=b\nconsole_password=p\n":          false,
	} {
		must(t, os.WriteFile(name, []byte(text), 0o600))
		c, err := access.ReadCredentials(name)
		if (err == nil) != want || want && c.Secret.Reveal() != "b = c" {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

// What has a policy of its own is opened by it to whom it names, and closed by it to all others, whatever their own policies say.
func TestPolicyOf(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), access.Schema())
	must(t, err)
	defer d.Close()
	const own, other = "arn:aws:secretsmanager:us-east-1:111122223333:secret:own-AAAAAA", "arn:aws:secretsmanager:us-east-1:111122223333:secret:other-BBBBBB"
	policy, err := iam.ParseAs(iam.Resource, "secret", []byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/new"},"Action":"secretsmanager:GetSecretValue","Resource":"*"},
		{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`))
	must(t, err)
	a := access.New(access.Config{DB: d, Account: "111122223333", PolicyOf: func(_ context.Context, arn string) (*iam.Policy, error) {
		switch arn {
		case own:
			return policy, nil
		case other:
			return nil, nil
		}
		return nil, fault.Unavailable.Errorf("the vault is closed")
	}})
	must(t, a.CreateUser(t.Context(), "admin", access.Administrator))
	must(t, a.CreateUser(t.Context(), "new"))
	for _, c := range []struct {
		user, arn string
		want      bool
	}{{"new", own, true}, {"new", other, false}, {"admin", own, false}, {"admin", other, true}, {"admin", "arn:aws:secretsmanager:us-east-1:111122223333:secret:broken", false}} {
		who, err := a.Principal(t.Context(), c.user)
		must(t, err)
		if err := a.Allow(t.Context(), iam.Request{Principal: who, Action: "secretsmanager:GetSecretValue", Resource: c.arn}); (err == nil) != c.want {
			t.Errorf("%s on %s: %v", c.user, c.arn, err)
		}
	}
}
