package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

// provider is an identity provider: it tells of itself, gives codes to whoever
// signs in there, and tokens for codes, to whom they were given, once.
type provider struct {
	*httptest.Server
	signer  jwt.Signer
	asked   atomic.Int32 // for keys
	claims  func(map[string]any)
	pending map[string]url.Values // what was asked for, by code
}

func provide(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p := &provider{signer: jwt.Signer{ID: "k1", Key: key}, pending: map[string]url.Values{}}
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, v any) { _ = json.MarshalWrite(w, v) }
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/authorize?tenant=1", "token_endpoint": p.URL + "/token"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		public, err := p.signer.Public()
		must(t, err)
		write(w, jwt.Set{Keys: []jwt.JWK{public}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		asked, ok := p.pending[r.PostForm.Get("code")]
		delete(p.pending, r.PostForm.Get("code"))
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		user, password, _ := r.BasicAuth()
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || r.PostForm.Get("redirect_uri") != asked.Get("redirect_uri") || user != "haechi" || password != "of-the-client" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		c := map[string]any{"iss": p.URL, "aud": "haechi", "sub": "0042", "email": "kim@shop.example", "groups": []string{"staff", "platform"}, "nonce": asked.Get("nonce"), "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix()}
		if p.claims != nil {
			p.claims(c)
		}
		token, err := p.signer.Sign(c)
		must(t, err)
		write(w, map[string]string{"id_token": token, "access_token": "x", "token_type": "Bearer"})
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

// authorize is a person who signs in at the provider: the code that they bring back.
func (p *provider) authorize(t *testing.T, address string) (code, state string) {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	q := u.Query()
	if q.Get("tenant") != "1" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "haechi" || !strings.HasPrefix(q.Get("scope"), "openid ") || len(q.Get("nonce")) < 40 {
		t.Errorf("the browser is sent to %s", address)
	}
	code = "code-" + q.Get("state")[:8]
	p.pending[code] = q
	return code, q.Get("state")
}

// Whom an identity provider vouches for becomes the role that a claim maps to,
// if the role trusts the provider; what began elsewhere, was changed or was used is refused.
func TestLogin(t *testing.T) {
	ctx := t.Context()
	p := provide(t)
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "state.db"), access.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333", HTTP: p.Client(), Logins: []access.Login{{
		Name: "company", Issuer: p.URL, Client: "haechi", Secret: "of-the-client", Scopes: []string{"email"},
		Roles: []access.Mapping{{Claim: "groups", Value: "root", Role: "nobody"}, {Claim: "groups", Value: "platform", Role: "ops"}},
	}}})
	must(t, a.CreateUser(ctx, "admin", access.Administrator))
	host := strings.TrimPrefix(p.URL, "https://")
	const back = "https://haechi.example/sign-in/company/back"
	begin := func() (access.Leave, string, string) {
		t.Helper()
		leave, err := a.Go(ctx, "company", back)
		must(t, err)
		code, state := p.authorize(t, leave.URL)
		return leave, code, state
	}
	arrive := func(l access.Leave, code, state string) error {
		_, _, err := a.Back(ctx, "company", back, l.Kept, state, code, nil)
		return err
	}
	leave, code, state := begin()
	kind(t, "a provider that IAM does not know", arrive(leave, code, state), fault.Unauthenticated)
	must(t, a.CreateProvider(ctx, p.URL, []string{"haechi"}, nil, nil, ""))
	leave, code, state = begin()
	kind(t, "a role that there is not", arrive(leave, code, state), fault.Denied)
	trust := func(subject string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + account + `oidc-provider/` + host + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringLike":{"` + host + `:email":"` + subject + `"}}}]}`
	}
	must(t, a.CreateRole(ctx, access.Role{Name: "ops", Trust: trust("*@other.example"), Holder: access.Holder{Attached: []string{access.SecurityAudit}}}))
	leave, code, state = begin()
	kind(t, "a role that does not trust", arrive(leave, code, state), fault.Denied)
	must(t, a.SetTrust(ctx, "ops", trust("*@shop.example")))

	leave, code, state = begin()
	token, who, err := a.Back(ctx, "company", back, leave.Kept, state, code, nil)
	must(t, err)
	if who.ARN != "arn:aws:sts::111122223333:assumed-role/ops/kim@shop.example" {
		t.Errorf("it is %+v", who)
	}
	seated, err := a.Session(ctx, token)
	must(t, err)
	h := &house{Access: a}
	if seated.ARN != who.ARN || !h.may(ctx, seated, "securityhub:GetFindings") || h.may(ctx, seated, "iam:CreateUser") {
		t.Errorf("%+v may the wrong things", seated)
	}
	kind(t, "the code again", arrive(leave, code, state), fault.Unauthenticated)

	leave, code, _ = begin()
	kind(t, "another state", arrive(leave, code, state), fault.Unauthenticated)
	other, code, state := begin()
	kind(t, "what another browser kept", arrive(leave, code, state), fault.Unauthenticated)
	other.Kept = other.Kept[:len(other.Kept)-4] + "AAAA"
	kind(t, "what was changed", arrive(other, code, state), fault.Unauthenticated)
	for what, change := range map[string]func(map[string]any){
		"another nonce":      func(c map[string]any) { c["nonce"] = "x" },
		"another audience":   func(c map[string]any) { c["aud"] = "x" },
		"another party":      func(c map[string]any) { c["aud"], c["azp"] = []string{"haechi", "x"}, "x" },
		"another issuer":     func(c map[string]any) { c["iss"] = "https://elsewhere.example" },
		"expired":            func(c map[string]any) { c["exp"] = time.Now().Add(-2 * time.Minute).Unix() },
		"no claim that maps": nil,
	} {
		want := fault.Unauthenticated
		p.claims = change
		if change == nil {
			p.claims, want = func(c map[string]any) { c["groups"] = "staff" }, fault.Denied
		}
		leave, code, state = begin()
		kind(t, what, arrive(leave, code, state), want)
	}
	p.claims = nil
	if n := p.asked.Load(); n != 1 {
		t.Errorf("the keys were asked for %d times, want once: they are kept", n)
	}
	p.Close()
	if _, err := a.Go(ctx, "company", back); fault.Of(err) != fault.Unavailable {
		t.Errorf("a provider that is away: %v", err)
	}
	_, err = a.Go(ctx, "nobody", back)
	kind(t, "a provider that nobody named", err, fault.NotFound)
	kind(t, "a role with policies", a.DeleteRole(ctx, "ops"), fault.Conflict)
}

// Strangers' tokens do not make the server ask a provider for its keys again and again.
func TestKeysAreNotAskedForOften(t *testing.T) {
	ctx := t.Context()
	p := provide(t)
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "state.db"), access.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	now := time.Now()
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333", HTTP: p.Client(), Now: func() time.Time { return now }})
	must(t, a.CreateProvider(ctx, p.URL, []string{"haechi"}, nil, nil, ""))
	stranger := p.signer
	for i := range 20 {
		stranger.ID = string(rune('a' + i))
		token, err := stranger.Sign(map[string]any{"iss": p.URL, "aud": "haechi", "sub": "x", "exp": now.Add(time.Minute).Unix()})
		must(t, err)
		_, err = a.AssumeWithWebIdentity(ctx, token, access.Assume{Role: account + "role/x", Name: "ab"}, nil)
		kind(t, "an unknown key", err, fault.Unauthenticated)
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked %d times within a minute", n)
	}
	now = now.Add(2 * time.Minute)
	p.signer.ID = "k2" // it was rotated
	token, err := p.signer.Sign(map[string]any{"iss": p.URL, "aud": "haechi", "sub": "x", "exp": now.Add(time.Minute).Unix()})
	must(t, err)
	_, err = a.AssumeWithWebIdentity(ctx, token, access.Assume{Role: account + "role/x", Name: "ab"}, nil)
	kind(t, "a new key of the provider, and no such role", err, fault.Denied)
	p.Close() // offline, what is kept stays good
	_, err = a.AssumeWithWebIdentity(ctx, token, access.Assume{Role: account + "role/x", Name: "ab"}, nil)
	kind(t, "the same, offline", err, fault.Denied)

	public, err := p.signer.Public()
	must(t, err)
	set, err := json.Marshal(jwt.Set{Keys: []jwt.JWK{public}})
	must(t, err)
	never := access.New(access.Config{DB: d, Sealer: sealer, Account: "111122223333", Now: func() time.Time { return now }, Keys: map[string]string{"id.example.com": string(set)}})
	must(t, never.CreateProvider(ctx, "https://id.example.com", []string{"haechi"}, nil, nil, ""))
	token, err = p.signer.Sign(map[string]any{"iss": "https://id.example.com", "aud": "haechi", "sub": "x", "exp": now.Add(time.Minute).Unix()})
	must(t, err)
	_, err = never.AssumeWithWebIdentity(ctx, token, access.Assume{Role: account + "role/x", Name: "ab"}, nil)
	kind(t, "keys from a file, and no such role", err, fault.Denied)
}
