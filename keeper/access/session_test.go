package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

const account = "arn:aws:iam::111122223333:"

// may tells whether somebody may do something to everything.
func (h *house) may(ctx context.Context, who iam.Principal, action string) bool {
	return h.Allow(ctx, iam.Request{Principal: who, Action: action, Resource: "*"}) == nil
}

func (h *house) user(t *testing.T, ctx context.Context, name string, policies ...string) iam.Principal {
	t.Helper()
	must(t, h.CreateUser(ctx, name, policies...))
	who, err := h.Principal(ctx, name)
	must(t, err)
	return who
}

// in is who has temporary credentials.
func (h *house) in(t *testing.T, ctx context.Context, c access.Temporary) iam.Principal {
	t.Helper()
	secret, who, err := h.Secret(ctx, c.KeyID, c.Token.Reveal())
	must(t, err)
	if secret != c.Secret {
		t.Error("another secret came back")
	}
	return who
}

// What groups, boundaries and inline policies say counts at once, and so does their end.
func TestHolders(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		h.user(t, ctx, "admin", access.Administrator)
		kim := h.user(t, ctx, "kim")
		must(t, h.CreateGroup(ctx, "dev", "/eng/"))
		must(t, h.AttachTo(ctx, access.GroupNamed("dev"), access.Developer))
		must(t, h.Join(ctx, "dev", "kim"))
		if !h.may(ctx, kim, "codecommit:GitPush") {
			t.Error("the group's policy does not count")
		}
		must(t, h.CreatePolicy(ctx, "bound", "/b/", "", allow("securityhub:*"), nil))
		must(t, h.SetBoundary(ctx, access.UserNamed("kim"), account+"policy/b/bound"))
		if h.may(ctx, kim, "codecommit:GitPush") || !h.may(ctx, kim, "securityhub:GetFindings") {
			t.Error("the boundary does not bound")
		}
		_, err := h.CreatePolicyVersion(ctx, account+"policy/b/bound", allow("codecommit:*"), true)
		must(t, err)
		if !h.may(ctx, kim, "codecommit:GitPush") || h.may(ctx, kim, "securityhub:GetFindings") {
			t.Error("the new version does not count")
		}
		must(t, h.PutInline(ctx, access.GroupNamed("dev"), "no", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"codecommit:*","Resource":"*"}]}`))
		err = h.Allow(ctx, iam.Request{Principal: kim, Action: "codecommit:GitPush", Resource: "*"})
		if err == nil || !strings.Contains(err.Error(), "with an explicit deny in an identity-based policy") {
			t.Errorf("got %v", err)
		}
		must(t, h.Leave(ctx, "dev", "kim"))
		if h.may(ctx, kim, "codecommit:GitPush") {
			t.Error("the group's policy counts after leaving")
		}
	})
}

// Conditions see where a call comes from, when, who it is of, and its tags.
func TestConditions(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		h.user(t, ctx, "admin", access.Administrator)
		kim := h.user(t, ctx, "kim")
		must(t, h.TagHolder(ctx, access.UserNamed("kim"), map[string]string{"Team": "blue"}, nil))
		for _, c := range []struct {
			condition string
			context   map[string][]string
			want      bool
		}{
			{`"StringEquals":{"aws:PrincipalTag/Team":"blue"}`, nil, true},
			{`"StringEquals":{"aws:PrincipalTag/team":"red"}`, nil, false},
			{`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`, map[string][]string{"aws:SourceIp": {"10.1.1.1"}}, true},
			{`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`, map[string][]string{"aws:SourceIp": {"11.1.1.1"}}, false},
			{`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`, nil, false},
			{`"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}`, nil, true},
			{`"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`, nil, false},
			{`"Bool":{"aws:MultiFactorAuthPresent":"true"}`, nil, false},
			{`"Bool":{"aws:SecureTransport":"true"}`, map[string][]string{"aws:SecureTransport": {"true"}}, true},
			{`"StringEquals":{"aws:username":"kim"}`, nil, true},
			{`"StringEquals":{"aws:ResourceTag/x":"1"}`, nil, false},
		} {
			must(t, h.PutInline(ctx, access.UserNamed("kim"), "p", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+c.condition+`}}]}`))
			err := h.Allow(ctx, iam.Request{Principal: kim, Action: "securityhub:GetFindings", Resource: "*", Context: c.context})
			if (err == nil) != c.want {
				t.Errorf("%s with %v: %v, want allowed %v", c.condition, c.context, err, c.want)
			}
		}
	})
}

// A role is assumed by whom its trust policy names; its session may what the
// role may, as far as the session policy goes, until it ends or the role does.
func TestAssumeRole(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		admin := h.user(t, ctx, "admin", access.Administrator)
		kim := h.user(t, ctx, "kim")
		ci := account + "role/ci"
		must(t, h.CreateRole(ctx, access.Role{Name: "ci", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `user/kim"},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"sts:ExternalId":"x-1"}}}]}`,
			Holder: access.Holder{Attached: []string{access.Developer}}}))
		as := access.Assume{Role: ci, Name: "run-1", External: "x-1"}
		for what, bad := range map[string]access.Assume{
			"no external id": {Role: ci, Name: "run-1"}, "another one": {Role: ci, Name: "run-1", External: "x-2"}, "no such role": {Role: account + "role/none", Name: "run-1"},
		} {
			_, err := h.AssumeRole(ctx, kim, bad, nil)
			kind(t, what, err, fault.Denied)
		}
		_, err := h.AssumeRole(ctx, admin, as, nil)
		kind(t, "one whom the trust policy does not name", err, fault.Denied)
		_, err = h.AssumeRole(ctx, kim, access.Assume{Role: ci, Name: "run-1", External: "x-1", Seconds: 7200}, nil)
		kind(t, "longer than the role lasts", err, fault.Invalid)
		_, err = h.AssumeRole(ctx, kim, access.Assume{Role: ci, Name: "run-1", External: "x-1", Limited: "{"}, nil)
		kind(t, "a malformed session policy", err, fault.Invalid)

		c, err := h.AssumeRole(ctx, kim, as, nil)
		must(t, err)
		who := h.in(t, ctx, c)
		if who.ARN != "arn:aws:sts::111122223333:assumed-role/ci/run-1" || !strings.HasPrefix(who.ID, "AROA") || !strings.HasSuffix(who.ID, ":run-1") {
			t.Errorf("it is %+v", who)
		}
		if !h.may(ctx, who, "codecommit:GitPush") || h.may(ctx, who, "iam:CreateUser") {
			t.Error("the session may not what the role may")
		}
		as.Limited, as.Tags = allow("securityhub:Get*"), map[string]string{"run": "7"}
		less, err := h.AssumeRole(ctx, kim, as, nil)
		must(t, err)
		limited := h.in(t, ctx, less)
		if h.may(ctx, limited, "codecommit:GitPush") || !h.may(ctx, limited, "securityhub:GetFindings") {
			t.Error("the session policy does not limit")
		}
		if less.Packed == 0 {
			t.Error("nothing is packed")
		}
		forged := who
		forged.Session = nil
		if h.may(ctx, forged, "codecommit:GitPush") {
			t.Error("a session that nobody opened may something")
		}
		h.later(59 * time.Minute)
		h.in(t, ctx, c)
		h.later(2 * time.Minute)
		_, _, err = h.Secret(ctx, c.KeyID, c.Token.Reveal())
		kind(t, "an hour later", err, fault.Unauthenticated)
		if h.may(ctx, who, "codecommit:GitPush") {
			t.Error("the session outlives itself")
		}
		c, err = h.AssumeRole(ctx, kim, access.Assume{Role: ci, Name: "run-2", External: "x-1"}, nil)
		must(t, err)
		who = h.in(t, ctx, c)
		must(t, h.DetachFrom(ctx, access.RoleNamed("ci"), access.Developer))
		must(t, h.DeleteRole(ctx, "ci"))
		must(t, h.CreateRole(ctx, access.Role{Name: "ci", Trust: trusts(account + "user/kim"), Holder: access.Holder{Attached: []string{access.Administrator}}}))
		_, _, err = h.Secret(ctx, c.KeyID, c.Token.Reveal())
		kind(t, "a session of a role that is gone", err, fault.NotFound)
		if h.may(ctx, who, "codecommit:GitPush") {
			t.Error("a session went over to a role of the same name")
		}
	})
}

// From role to role a session lasts an hour at most, keeps its source identity and its lasting tags.
func TestChaining(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		admin := h.user(t, ctx, "admin", access.Administrator)
		open := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `root"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`
		for _, name := range []string{"first", "second"} {
			must(t, h.CreateRole(ctx, access.Role{Name: name, Trust: open, Longest: 43200, Holder: access.Holder{Attached: []string{access.Administrator}}}))
		}
		c, err := h.AssumeRole(ctx, admin, access.Assume{Role: account + "role/first", Name: "s1", Seconds: 43200, Source: "ann", Tags: map[string]string{"team": "blue", "x": "1"}, Lasting: []string{"team"}}, nil)
		must(t, err)
		who := h.in(t, ctx, c)
		second := access.Assume{Role: account + "role/second", Name: "s2"}
		long := second
		long.Seconds = 3601
		_, err = h.AssumeRole(ctx, who, long, nil)
		kind(t, "longer than an hour", err, fault.Invalid)
		other := second
		other.Source = "bob"
		_, err = h.AssumeRole(ctx, who, other, nil)
		kind(t, "another source identity", err, fault.Denied)
		c, err = h.AssumeRole(ctx, who, second, nil)
		must(t, err)
		got := h.in(t, ctx, c).Session.(*access.Session)
		if got.Source != "ann" || got.Tags["team"] != "blue" || got.Tags["x"] != "" {
			t.Errorf("got %+v", got)
		}
		if _, err := h.SessionToken(ctx, who, 0, "", ""); !errors.Is(err, fault.Denied) {
			t.Errorf("a role got a session token: %v", err)
		}
	})
}

// Temporary credentials of a user are good for less than the user; a federated user's for what both sides say.
func TestUserSessions(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		admin := h.user(t, ctx, "admin", access.Administrator)
		c, err := h.SessionToken(ctx, admin, 900, "", "")
		must(t, err)
		who := h.in(t, ctx, c)
		if who.ARN != admin.ARN || !h.may(ctx, who, "securityhub:GetFindings") || h.may(ctx, who, "iam:CreateUser") {
			t.Errorf("%+v may the wrong things", who)
		}
		_, err = h.SessionToken(ctx, admin, 899, "", "")
		kind(t, "too short", err, fault.Invalid)
		f, err := h.FederationToken(ctx, admin, access.Assume{Name: "guest"})
		must(t, err)
		if guest := h.in(t, ctx, f); h.may(ctx, guest, "securityhub:GetFindings") {
			t.Error("a federated user without policies may something")
		}
		f, err = h.FederationToken(ctx, admin, access.Assume{Name: "guest", Limited: allow("*")})
		must(t, err)
		guest := h.in(t, ctx, f)
		if guest.ARN != "arn:aws:sts::111122223333:federated-user/guest" || !h.may(ctx, guest, "securityhub:GetFindings") || h.may(ctx, guest, "iam:CreateUser") {
			t.Errorf("%+v may the wrong things", guest)
		}
	})
}

// A session token is good for its key, whole, and nothing else is one.
func TestTokenIsNotForged(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		admin := h.user(t, ctx, "admin", access.Administrator)
		one, err := h.SessionToken(ctx, admin, 900, "", "")
		must(t, err)
		two, err := h.SessionToken(ctx, admin, 900, "", "")
		must(t, err)
		token := one.Token.Reveal()
		for what, c := range map[string][2]string{
			"another key's": {two.KeyID, token}, "none": {one.KeyID, ""}, "cut": {one.KeyID, token[:len(token)-4]}, "long": {one.KeyID, strings.Repeat("A", 100_000)},
			"changed": {one.KeyID, token[:len(token)/2] + "AAAA" + token[len(token)/2+4:]}, "words": {one.KeyID, "s1.x.y"},
		} {
			_, _, err := h.Secret(ctx, c[0], c[1])
			kind(t, what, err, fault.NotFound)
		}
		kind(t, "deleting a password that there is not", h.DeletePassword(ctx, "admin"), fault.NotFound)
	})
}

// code is what an authenticator app shows for a seed.
func code(seed string, at time.Time) string {
	key, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(seed)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix()/30))
	m := hmac.New(sha1.New, key)
	m.Write(counter[:])
	sum := m.Sum(nil)
	o := sum[19] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[o:])&0x7fffffff)%1000000)
}

// A second factor is asked for once there is one; a code is good once, wrong
// ones lock, and recovery codes stand in for the device, each once.
func TestSecondFactor(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		const password = "correct horse battery"
		kim := h.user(t, ctx, "kim", access.Administrator)
		must(t, h.SetPassword(ctx, "kim", password))
		seed, err := h.CreateDevice(ctx, "kim", "", nil)
		must(t, err)
		text := seed.Base32.Reveal()
		if !strings.HasPrefix(seed.URL.Reveal(), "otpauth://totp/Haechi:kim@111122223333?secret="+text) {
			t.Errorf("the address is %s", seed.URL.Reveal())
		}
		_, err = h.EnableDevice(ctx, "kim", seed.Serial, "000000", "111111")
		kind(t, "wrong codes", err, fault.Denied)
		now := h.now
		recovery, err := h.EnableDevice(ctx, "kim", seed.Serial, code(text, now.Add(-30*time.Second)), code(text, now))
		must(t, err)
		if len(recovery) != 10 {
			t.Errorf("%d recovery codes", len(recovery))
		}
		signIn := func() *access.CodeNeeded {
			t.Helper()
			_, err := h.SignIn(ctx, "kim", password)
			var needed *access.CodeNeeded
			if !errors.As(err, &needed) {
				t.Fatalf("got %v", err)
			}
			return needed
		}
		c := signIn().Challenge
		_, err = h.Confirm(ctx, c, code(text, now))
		kind(t, "the code that enabled the device", err, fault.Denied)
		h.later(30 * time.Second)
		token, err := h.Confirm(ctx, c, code(text, h.now))
		must(t, err)
		who, err := h.Session(ctx, token)
		must(t, err)
		must(t, h.PutInline(ctx, access.UserNamed("kim"), "mfa", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotAction":"sts:GetSessionToken","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}`))
		if !h.may(ctx, who, "iam:CreateUser") || h.may(ctx, kim, "iam:CreateUser") {
			t.Error("the policies do not see the second factor")
		}
		_, err = h.Confirm(ctx, c, code(text, h.now))
		kind(t, "the challenge again", err, fault.Unauthenticated)
		_, err = h.Confirm(ctx, signIn().Challenge, code(text, h.now))
		kind(t, "a code again", err, fault.Denied)
		_, err = h.Confirm(ctx, signIn().Challenge, recovery[3].Reveal())
		must(t, err)
		_, err = h.Confirm(ctx, signIn().Challenge, recovery[3].Reveal())
		kind(t, "a recovery code again", err, fault.Denied)
		_, err = h.SessionToken(ctx, kim, 900, seed.Serial, "123456")
		kind(t, "a wrong code at sts", err, fault.Denied)
		h.later(time.Minute)
		withCode, err := h.SessionToken(ctx, kim, 900, seed.Serial, code(text, h.now))
		must(t, err)
		if !h.may(ctx, h.in(t, ctx, withCode), "iam:CreateUser") {
			t.Error("credentials with a second factor are not good for IAM")
		}
		c = signIn().Challenge
		for range 5 {
			if _, err := h.Confirm(ctx, c, "123456"); err == nil {
				t.Error("a wrong code is taken")
			}
		}
		_, err = h.Confirm(ctx, c, code(text, h.now.Add(30*time.Second)))
		kind(t, "after many wrong codes", err, fault.Limit)
		h.later(6 * time.Minute)
		_, err = h.Confirm(ctx, c, code(text, h.now))
		kind(t, "an old challenge", err, fault.Unauthenticated)
		must(t, h.DisableDevice(ctx, "kim", seed.Serial))
		_, err = h.SignIn(ctx, "kim", password)
		must(t, err)
		must(t, h.DeleteDevice(ctx, seed.Serial))
	})
}

// Keys that sign tokens are replaced, and told of for as long as what they signed may be valid.
func TestSigningKeysAreReplaced(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		count := func() int {
			t.Helper()
			text, err := h.JWKS(ctx)
			must(t, err)
			var set jwt.Set
			must(t, json.Unmarshal(text, &set))
			return len(set.Keys)
		}
		for _, c := range []struct {
			later time.Duration
			want  int
		}{{0, 1}, {29 * 24 * time.Hour, 1}, {2 * 24 * time.Hour, 2}, {2 * 24 * time.Hour, 1}} {
			h.later(c.later)
			if got := count(); got != c.want {
				t.Errorf("after %v: %d keys, want %d", c.later, got, c.want)
			}
		}
		if _, err := h.Vouch(ctx, "x", "y", time.Hour, nil); !errors.Is(err, fault.Unavailable) {
			t.Errorf("a token of a server without an address: %v", err)
		}
	})
}

// Tokens of an identity provider become a role that trusts it, for the audience
// and the subject that it names, and no other token does.
func TestWebIdentity(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		h.user(t, ctx, "admin", access.Administrator)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		signer := jwt.Signer{ID: "k1", Key: key}
		public, err := signer.Public()
		must(t, err)
		set, err := json.Marshal(jwt.Set{Keys: []jwt.JWK{public}})
		must(t, err)
		must(t, h.CreateProvider(ctx, "https://id.example.com/realm", []string{"haechi"}, nil, nil, string(set)))
		must(t, h.CreateRole(ctx, access.Role{Name: "web", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + account + `oidc-provider/id.example.com/realm"},"Action":"sts:AssumeRoleWithWebIdentity",
			"Condition":{"StringEquals":{"id.example.com/realm:aud":"haechi"},"StringLike":{"id.example.com/realm:sub":"repo:shop:ref:refs/heads/*"}}}]}`, Holder: access.Holder{Attached: []string{"HaechiPipeline"}}}))
		claims := func(change func(map[string]any)) string {
			c := map[string]any{"iss": "https://id.example.com/realm", "aud": "haechi", "sub": "repo:shop:ref:refs/heads/main", "iat": h.now.Unix(), "exp": h.now.Add(5 * time.Minute).Unix()}
			change(c)
			token, err := signer.Sign(c)
			must(t, err)
			return token
		}
		as := access.Assume{Role: account + "role/web", Name: "build"}
		w, err := h.AssumeWithWebIdentity(ctx, claims(func(map[string]any) {}), as, nil)
		must(t, err)
		who := h.in(t, ctx, w.Temporary)
		if who.ARN != "arn:aws:sts::111122223333:assumed-role/web/build" || !h.may(ctx, who, "codecommit:GitPull") || w.Audience != "haechi" {
			t.Errorf("got %+v, %+v", who, w)
		}
		for what, c := range map[string]struct {
			change func(map[string]any)
			want   fault.Kind
		}{
			"another subject":  {func(c map[string]any) { c["sub"] = "repo:evil:ref:refs/heads/main" }, fault.Denied},
			"another audience": {func(c map[string]any) { c["aud"] = "other" }, fault.Unauthenticated},
			"another issuer":   {func(c map[string]any) { c["iss"] = "https://id.example.com/other" }, fault.Unauthenticated},
			"expired":          {func(c map[string]any) { c["exp"] = h.now.Add(-2 * time.Minute).Unix() }, fault.Unauthenticated},
			"not yet":          {func(c map[string]any) { c["nbf"] = h.now.Add(time.Hour).Unix() }, fault.Unauthenticated},
			"tags": {func(c map[string]any) {
				c["https://aws.amazon.com/tags"] = map[string]any{"principal_tags": map[string][]string{"admin": {"1"}}}
			}, fault.Denied},
		} {
			_, err := h.AssumeWithWebIdentity(ctx, claims(c.change), as, nil)
			kind(t, what, err, c.want)
		}
		_, err = h.AssumeWithWebIdentity(ctx, claims(func(c map[string]any) { c["exp"] = h.now.Add(-2 * time.Minute).Unix() }), as, nil)
		if !errors.Is(err, access.ErrExpired) {
			t.Errorf("expired: %v", err)
		}
		signer.ID = "k2"
		_, err = h.AssumeWithWebIdentity(ctx, claims(func(map[string]any) {}), as, nil)
		kind(t, "an unknown key", err, fault.Unauthenticated)
		must(t, h.DeleteProvider(ctx, account+"oidc-provider/id.example.com/realm"))
		signer.ID = "k1"
		_, err = h.AssumeWithWebIdentity(ctx, claims(func(map[string]any) {}), as, nil)
		kind(t, "a provider that is gone", err, fault.Unauthenticated)
	})
}
