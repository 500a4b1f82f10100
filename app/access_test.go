package app_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/jwt"
	"github.com/haechi-dev/haechi/keeper/access"
)

// A build's token is changed for a role's credentials by whom the role trusts,
// and for no other; its keys are told to whoever wants to verify it.
func TestBuildTokens(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	status, _, body := do(t, request(t, http.MethodGet, h.url+"/.well-known/openid-configuration", ""))
	var said struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	must(t, json.Unmarshal([]byte(body), &said))
	if status != 200 || said.Issuer != h.url {
		t.Fatalf("%d %s, want the issuer %s", status, body, h.url)
	}
	_, _, set := do(t, request(t, http.MethodGet, said.Keys, ""))
	keys, err := jwt.ParseKeys([]byte(set))
	must(t, err)
	if strings.Contains(set, `"d"`) {
		t.Error("the private key is told")
	}
	token, err := h.Access.Vouch(ctx, "repo:shop:ref:refs/heads/main", access.OwnAudience, time.Hour, map[string]string{"repository": "shop"})
	must(t, err)
	claims, err := jwt.Verify(token.Reveal(), keys, jwt.Want{Issuer: said.Issuer, Audience: []string{access.OwnAudience}}, time.Now())
	if err != nil || claims.Subject != "repo:shop:ref:refs/heads/main" || claims.Expires.After(time.Now().Add(61*time.Minute)) {
		t.Errorf("%+v, %v", claims, err)
	}
	host := strings.TrimPrefix(said.Issuer, "http://")
	must(t, h.Access.CreateRole(ctx, access.Role{Name: "ci", Holder: access.Holder{Attached: []string{"HaechiPipeline"}},
		Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::` + h.Config.Account + `:oidc-provider/` + host + `"},"Action":"sts:AssumeRoleWithWebIdentity",
			"Condition":{"StringEquals":{"` + host + `:aud":"sts.amazonaws.com","` + host + `:sub":"repo:shop:ref:refs/heads/main"}}}]}`}))
	other, err := h.Access.Vouch(ctx, "repo:shop:ref:refs/heads/side", access.OwnAudience, time.Hour, nil)
	must(t, err)
	elsewhere, err := h.Access.Vouch(ctx, "repo:shop:ref:refs/heads/main", "another", time.Hour, nil)
	must(t, err)
	for what, c := range map[string]struct {
		token  string
		status int
		want   string
	}{
		"the branch that the role trusts": {token.Reveal(), 200, "<Arn>arn:aws:sts::" + h.Config.Account + ":assumed-role/ci/run<"},
		"another branch":                  {other.Reveal(), 403, "AccessDenied"},
		"for somebody else":               {elsewhere.Reveal(), 400, "InvalidIdentityToken"},
		"changed":                         {token.Reveal()[:len(token.Reveal())-8] + "AAAAAAAA", 400, "InvalidIdentityToken"},
	} {
		r := request(t, http.MethodPost, h.url+"/", url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::" + h.Config.Account + ":role/ci"}, "RoleSessionName": {"run"}, "WebIdentityToken": {c.token}}.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if status, _, body := do(t, r); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
}

var (
	hidden   = regexp.MustCompile(`name="serial" value="([^"]+)"`)
	seedText = regexp.MustCompile(`<code class="seed">([^<]+)</code>`)
	preText  = regexp.MustCompile(`(?s)<pre>(.*?)</pre>`)
)

// page posts a form and gives the page that comes.
func (h *house) page(t *testing.T, path, session string, values url.Values, more ...*http.Cookie) (int, http.Header, string) {
	t.Helper()
	r := request(t, http.MethodPost, h.url+path, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	if session != "" {
		r.AddCookie(&http.Cookie{Name: "haechi_session", Value: session})
	}
	for _, c := range more {
		r.AddCookie(c)
	}
	return do(t, r)
}

func cookie(header http.Header, name string) *http.Cookie {
	for _, c := range (&http.Response{Header: header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func code(seed string, at time.Time) string {
	key, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(seed, " ", ""))
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix()/30))
	m := hmac.New(sha1.New, key)
	m.Write(counter[:])
	sum := m.Sum(nil)
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff)%1000000)
}

// Somebody sets up a second factor on the page Users, and needs it from then on;
// a code that was used, and a form from elsewhere, are refused.
func TestSecondFactorAtTheConsole(t *testing.T) {
	h := build(t)
	admin, err := h.Access.SignIn(t.Context(), access.AdminUser, h.admin.Password)
	must(t, err)
	session := admin.Reveal()
	status, _, body := h.page(t, "/users/mfa", session, url.Values{"user": {"admin"}})
	seed, serial := seedText.FindStringSubmatch(body), hidden.FindStringSubmatch(body)
	if status != 200 || seed == nil || serial == nil || !strings.Contains(body, `<svg class="qr"`) {
		t.Fatalf("%d %.2000s", status, body)
	}
	now := time.Now()
	if status, _, _ := h.page(t, "/users/mfa-enable", session, url.Values{"user": {"admin"}, "serial": {serial[1]}, "code1": {"000000"}, "code2": {"000000"}}); status != 400 {
		t.Errorf("wrong codes: %d", status)
	}
	status, _, body = h.page(t, "/users/mfa-enable", session, url.Values{"user": {"admin"}, "serial": {serial[1]}, "code1": {code(seed[1], now.Add(-60*time.Second))}, "code2": {code(seed[1], now.Add(-30*time.Second))}})
	recovery := preText.FindStringSubmatch(body)
	if status != 200 || recovery == nil || len(strings.Fields(recovery[1])) != 11 {
		t.Fatalf("%d %.2000s", status, body)
	}
	signIn := func() *http.Cookie {
		t.Helper()
		status, header, body := h.page(t, "/sign-in", "", url.Values{"user": {"admin"}, "password": {h.admin.Password.Reveal()}})
		c := cookie(header, "haechi_challenge")
		if status != 200 || c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || cookie(header, "haechi_session") != nil || !strings.Contains(body, `name="code"`) {
			t.Fatalf("%d %v %.500s", status, header, body)
		}
		return c
	}
	c := signIn()
	if status, header, _ := h.page(t, "/sign-in/code", "", url.Values{"code": {"123456"}}, c); status != 401 || cookie(header, "haechi_session") != nil {
		t.Errorf("a wrong code: %d", status)
	}
	right := code(seed[1], time.Now())
	status, header, _ := h.page(t, "/sign-in/code", "", url.Values{"code": {right}, "next": {"/users"}}, c)
	got := cookie(header, "haechi_session")
	if status != 303 || header.Get("Location") != "/users" || got == nil {
		t.Fatalf("a right code: %d %v", status, header)
	}
	if who, err := h.Access.Session(t.Context(), "x"); err == nil {
		t.Errorf("a session of %s", who.ARN)
	}
	if status, _, _ := h.page(t, "/sign-in/code", "", url.Values{"code": {right}}, signIn()); status != 401 {
		t.Errorf("the code again: %d", status)
	}
	if status, _, _ := h.page(t, "/sign-in/code", "", url.Values{"code": {strings.Fields(recovery[1])[1]}}, signIn()); status != 303 {
		t.Errorf("a recovery code: %d", status)
	}
	if status, header, _ := h.page(t, "/sign-in/code", "", url.Values{"code": {right}}); status != 303 || header.Get("Location") != "/sign-in" {
		t.Errorf("without a challenge: %d", status)
	}
	r := request(t, http.MethodPost, h.url+"/sign-in/code", "code=1")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if status, _, _ := do(t, r); status != 403 {
		t.Errorf("from another site: %d", status)
	}
}

// Whoever has to set another password can do that, and nothing else before.
func TestMustChangePassword(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	must(t, h.Access.CreateUser(ctx, "kim", "SecurityAudit"))
	must(t, h.Access.PutPassword(ctx, "kim", "a first password", true))
	kim, err := h.Access.SignIn(ctx, "kim", "a first password")
	must(t, err)
	r := request(t, http.MethodGet, h.url+"/findings", "")
	r.AddCookie(&http.Cookie{Name: "haechi_session", Value: kim.Reveal()})
	if status, header, _ := do(t, r); status != 303 || header.Get("Location") != "/password" {
		t.Errorf("%d %s", status, header.Get("Location"))
	}
	if status, _, body := h.page(t, "/password", kim.Reveal(), url.Values{"password": {"another password"}, "again": {"another password!"}}); status != 400 {
		t.Errorf("two that differ: %d %.300s", status, body)
	}
	if status, _, body := h.page(t, "/password", kim.Reveal(), url.Values{"password": {"another password"}, "again": {"another password"}}); status != 303 {
		t.Errorf("setting it: %d %.300s", status, body)
	}
	kim, err = h.Access.SignIn(ctx, "kim", "another password")
	must(t, err)
	r = request(t, http.MethodGet, h.url+"/findings", "")
	r.AddCookie(&http.Cookie{Name: "haechi_session", Value: kim.Reveal()})
	if status, _, _ := do(t, r); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// The address of a sign-in by a provider that nobody configured is no page.
func TestUnknownLogin(t *testing.T) {
	h := build(t)
	if status, _, _ := do(t, request(t, http.MethodGet, h.url+"/sign-in/nobody", "")); status != 404 {
		t.Errorf("leaving: %d", status)
	}
	if status, _, _ := do(t, request(t, http.MethodGet, h.url+"/sign-in/nobody/back?code=x&state=y", "")); status != 401 {
		t.Errorf("coming back: %d", status)
	}
}

// Every door asks with what the call is about and where it comes from, so that policies can hold somebody to a network, and to one thing.
func TestDoorsAskWithContext(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	must(t, h.Access.CreateUser(ctx, "sender"))
	_, token, err := h.Access.CreateToken(ctx, "sender", access.Intake)
	must(t, err)
	id, secret, err := h.Access.CreateKey(ctx, "sender")
	must(t, err)
	_, git, err := h.Access.CreateToken(ctx, "sender", access.Git)
	must(t, err)
	own := "arn:aws:haechi:" + h.Config.Region + ":" + h.Config.Account + ":"
	for _, c := range []struct {
		resource, condition string
		lines, reports      int
		git, wire           int
	}{
		{"*", `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"},"Bool":{"aws:SecureTransport":"false"}`, 200, 400, 200, 200},
		{"*", `"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`, 403, 403, 403, 400},
		{"*", `"Bool":{"aws:SecureTransport":"true"}`, 403, 403, 403, 400},
		{"*", `"DateGreaterThan":{"aws:CurrentTime":"2100-01-01T00:00:00Z"}`, 403, 403, 403, 400},
		{own + "records", `"StringLike":{"aws:UserAgent":"Go-http-client*"}`, 200, 403, 403, 400},
		{own + "report/shop", `"StringEquals":{"aws:username":"sender"}`, 403, 400, 403, 400},
		{"arn:aws:codecommit:*:*:shop", `"StringEquals":{"aws:username":"sender"}`, 403, 403, 200, 400},
	} {
		must(t, h.Access.PutInline(ctx, access.UserNamed("sender"), "p", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["haechi:*","codecommit:*","events:*"],"Resource":"`+c.resource+`","Condition":{`+c.condition+`}}]}`))
		bearer := func(path string) int {
			r := request(t, http.MethodPost, h.url+path, "x\n")
			r.Header.Set("Authorization", "Bearer "+token.Reveal())
			status, _, _ := do(t, r)
			return status
		}
		r := request(t, http.MethodGet, h.url+"/git/shop/info/refs?service=git-receive-pack", "")
		r.SetBasicAuth("sender", git.Reveal())
		pushed, _, _ := do(t, r)
		asked, _ := h.wire(t, id, secret.Reveal(), "events", "AWSEvents.ListRules", `{}`)
		if lines, report := bearer("/intake/lines?source=app"), bearer("/haechi/reports?tool=sarif&target=shop"); lines != c.lines || report != c.reports || pushed != c.git || asked != c.wire {
			t.Errorf("%s %s: lines %d, report %d, git %d, wire %d, want %d %d %d %d", c.resource, c.condition, lines, report, pushed, asked, c.lines, c.reports, c.git, c.wire)
		}
	}
}

// A file of a provider's keys that is missing, or holds none, is told at the start.
func TestProviderKeys(t *testing.T) {
	for file, want := range map[string]string{"none.json": "no such file", "empty.json": "no key for RS256"} {
		folder := t.TempDir()
		must(t, os.WriteFile(filepath.Join(folder, "empty.json"), []byte(`{"keys":[]}`), 0o600))
		c := app.Default(func(string) string { return "" })
		c.Data, c.Keys = folder, map[string]string{"https://id.example.com": filepath.Join(folder, file)}
		a, err := app.Open(t.Context(), c, app.Env{Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" }})
		if err == nil {
			_ = a.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "id.example.com") {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}
