package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
)

// client does not follow redirects: where it is sent is what is looked at.
func client() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func do(t *testing.T, r *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	resp, err := client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return resp.StatusCode, resp.Header, "" // it would not end
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func request(t *testing.T, method, address, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var pathLabel = regexp.MustCompile(`\{[^}]*\}`)

// Nobody, the wrong one and one who may do nothing are refused at every page and every form of the console.
func TestConsoleDoor(t *testing.T) {
	h := build(t)
	must(t, h.Access.CreateUser(t.Context(), "weak"))
	must(t, h.Access.SetPassword(t.Context(), "weak", "correct horse battery"))
	weak, err := h.Access.SignIn(t.Context(), "weak", "correct horse battery")
	must(t, err)
	paths := h.Pages()
	if len(paths) < 10 {
		t.Fatalf("only %d paths: %v", len(paths), paths)
	}
	for _, path := range paths {
		method, pattern, _ := strings.Cut(path, " ")
		address := h.url + pathLabel.ReplaceAllString(strings.Replace(pattern, "{$}", "", 1), "x")
		for who, cookie := range map[string]string{"nobody": "", "wrong": strings.Repeat("x", 43), "weak": weak.Reveal()} {
			r := request(t, method, address, "")
			if method == http.MethodPost {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if cookie != "" {
				r.AddCookie(&http.Cookie{Name: "haechi_session", Value: cookie})
			}
			status, header, body := do(t, r)
			sent := status == http.StatusSeeOther && strings.HasPrefix(header.Get("Location"), "/sign-in")
			switch {
			case who == "weak" && pattern == "/live": // tells that something happened, not what
				if status != http.StatusOK && status != http.StatusForbidden {
					t.Errorf("%s as %s: %d", path, who, status)
				}
			case who == "weak" && status != http.StatusForbidden, who != "weak" && !sent && status != http.StatusUnauthorized:
				t.Errorf("%s as %s: %d %s %.200s", path, who, status, header.Get("Location"), body)
			}
		}
	}
}

// The same at every operation of every service that speaks AWS's protocols.
func TestWireDoor(t *testing.T) {
	h := build(t)
	must(t, h.Access.CreateUser(t.Context(), "weak"))
	id, secret, err := h.Access.CreateKey(t.Context(), "weak")
	must(t, err)
	for _, s := range h.Services() {
		answered := 0
		for _, name := range sortedKeys(s.Operations) {
			answered++
			m := s.Model.Operations[name]
			call := func() *http.Request {
				method, path := http.MethodPost, "/"
				if s.Model.Protocol == wire.RestJSON {
					method, path = m.Method, pathLabel.ReplaceAllString(m.URI, "x")
				}
				body := "{}"
				if s.Model.Protocol == wire.Query {
					body = url.Values{"Action": {name}, "Version": {s.Model.Version}}.Encode()
				}
				if method == http.MethodGet || method == http.MethodDelete {
					body = ""
				}
				r := request(t, method, h.url+path, body)
				switch s.Model.Protocol {
				case wire.JSON:
					r.Header.Set("X-Amz-Target", s.Model.Target+"."+name)
					r.Header.Set("Content-Type", "application/x-amz-json-1.1")
				case wire.Query:
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				default:
					r.Header.Set("Content-Type", "application/json")
				}
				return r
			}
			sign := func(key, secret string) *http.Request {
				r := call()
				body, err := io.ReadAll(r.Body)
				must(t, err)
				r = request(t, r.Method, r.URL.String(), string(body))
				r.Header = call().Header
				sigv4.Signer{AccessKey: key, Secret: secret, Region: "us-east-1", Service: s.Model.Signing}.Sign(r, sigv4.Hash(body), time.Now())
				return r
			}
			for who, r := range map[string]*http.Request{
				"nobody":       call(),
				"unknown key":  sign("AKIA"+strings.Repeat("X", 16), "nothing"),
				"wrong secret": sign(id, secret.Reveal()+"x"),
				"weak":         sign(id, secret.Reveal()),
			} {
				status, header, body := do(t, r)
				who := fmt.Sprintf("%s of %s as %s", name, s.Model.Signing, who)
				// Who one is, and credentials that end and may no more than one may: everybody may ask whom we know, as at AWS.
				open := (name == "GetCallerIdentity" || name == "GetSessionToken") && strings.HasSuffix(who, "weak")
				if status < 300 != open {
					t.Errorf("%s: %d %.300s", who, status, body)
				}
				if strings.Contains(header.Get("Content-Type"), "html") && !strings.HasSuffix(who, "nobody") {
					t.Errorf("%s: an answer in HTML", who)
				}
				if status == http.StatusInternalServerError {
					t.Errorf("%s: our fault: %.300s", who, body)
				}
			}
		}
		if answered == 0 {
			t.Errorf("nothing of %s is answered", s.Model.Signing)
		}
	}
}

// The same where logs, items and git come in.
func TestTokenDoors(t *testing.T) {
	h := build(t)
	must(t, h.Access.CreateUser(t.Context(), "weak"))
	_, intake, err := h.Access.CreateToken(t.Context(), "weak", access.Intake)
	must(t, err)
	_, git, err := h.Access.CreateToken(t.Context(), "weak", access.Git)
	must(t, err)
	for _, path := range []string{"POST /intake/lines", "POST /intake/firehose", "POST /intake/items", "GET /intake/", "GET /git/shop/info/refs?service=git-upload-pack",
		"GET /git/shop/info/refs?service=git-receive-pack", "POST /git/shop/git-upload-pack", "POST /git/shop/git-receive-pack", "GET /git/shop/HEAD", "GET /git/",
		"POST /hooks/cloudformation", "POST /hooks/kubernetes", "GET /hooks/kubernetes", "POST /hooks/", "POST /hooks/kubernetes/TOKEN"} {
		method, at, _ := strings.Cut(path, " ")
		for who, login := range map[string]func(*http.Request){
			"nobody":        func(*http.Request) {},
			"wrong":         func(r *http.Request) { r.SetBasicAuth("weak", "wrong") },
			"wrong bearer":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") },
			"another token": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+git.Reveal()) },
			"weak": func(r *http.Request) {
				if strings.HasPrefix(at, "/git/") {
					r.SetBasicAuth("weak", git.Reveal())
				} else {
					r.Header.Set("Authorization", "Bearer "+intake.Reveal())
				}
			},
		} {
			r := request(t, method, h.url+strings.Replace(at, "TOKEN", intake.Reveal(), 1), "{}")
			if strings.HasSuffix(at, "TOKEN") && who != "weak" {
				r = request(t, method, h.url+strings.Replace(at, "TOKEN", "wrong", 1), "{}")
			}
			if service, ok := strings.CutPrefix(at, "/git/shop/"); ok {
				r.Header.Set("Content-Type", "application/x-"+service+"-request")
			}
			login(r)
			status, _, body := do(t, r)
			if who == "weak" && !slices.Contains([]int{403, 404}, status) || who != "weak" && !slices.Contains([]int{401, 404}, status) {
				t.Errorf("%s as %s: %d %.200s", path, who, status, body)
			}
		}
	}
}

// A page elsewhere can neither give the server another name nor send it forms.
func TestOtherSites(t *testing.T) {
	h := build(t)
	r := request(t, http.MethodGet, h.url+"/sign-in", "")
	r.Host = "rebound.example"
	if status, _, _ := do(t, r); status != http.StatusMisdirectedRequest {
		t.Errorf("another host name: %d", status)
	}
	for _, header := range []string{"cross-site", "same-site"} {
		r = request(t, http.MethodPost, h.url+"/sign-in", "user=admin&password=x")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", header)
		if status, _, _ := do(t, r); status != http.StatusForbidden {
			t.Errorf("a form from a %s page: %d", header, status)
		}
	}
	r = request(t, http.MethodPost, h.url+"/sign-in", "user=admin&password=x")
	r.Header.Set("Origin", "https://elsewhere.example")
	if status, _, _ := do(t, r); status != http.StatusForbidden {
		t.Errorf("a form from another origin: %d", status)
	}
	status, header, _ := do(t, request(t, http.MethodGet, h.url+"/sign-in", ""))
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
		if !strings.Contains(header.Get(name), want) || status != http.StatusOK {
			t.Errorf("%s is %q", name, header.Get(name))
		}
	}
}

// A link signs in once; the cookie that it gives is for this server alone.
func TestLink(t *testing.T) {
	h := build(t)
	link, err := h.Access.Link(t.Context(), access.AdminUser)
	must(t, err)
	address := h.url + "/link/" + link.Reveal()
	if status, _, body := do(t, request(t, http.MethodGet, address, "")); status != http.StatusOK || !strings.Contains(body, "<form") {
		t.Errorf("looking at the link: %d", status)
	}
	status, header, _ := do(t, request(t, http.MethodPost, address, ""))
	cookie := header.Get("Set-Cookie")
	if status != http.StatusSeeOther || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
		t.Errorf("using it: %d, %s", status, cookie)
	}
	if status, _, _ := do(t, request(t, http.MethodPost, address, "")); status != http.StatusUnauthorized {
		t.Errorf("using it again: %d", status)
	}
}

// Off loopback there is no listening without TLS, and what is wrong with a configuration is said.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		change func(*app.Config)
		want   string
	}{
		{func(c *app.Config) {}, ""},
		{func(c *app.Config) { c.Listen = "0.0.0.0:8080" }, "passwords would pass in clear"},
		{func(c *app.Config) { c.Listen = ":8080" }, "passwords would pass in clear"},
		{func(c *app.Config) { c.Listen, c.Insecure = "0.0.0.0:8080", true }, ""},
		{func(c *app.Config) { c.Listen, c.TLS = "0.0.0.0:8080", app.TLS{Cert: "c", Key: "k"} }, ""},
		{func(c *app.Config) { c.TLS.Cert = "c" }, "both cert and key"},
		{func(c *app.Config) { c.Listen = "[::1]:1" }, ""},
		{func(c *app.Config) { c.Listen = "8080" }, "not an address"},
		{func(c *app.Config) { c.Account = "12" }, "12 digits"},
		{func(c *app.Config) { c.Region = "Mars!" }, "not a region"},
		{func(c *app.Config) { c.Log = "loud" }, "not a log level"},
		{func(c *app.Config) { c.Sandbox.Allow = "none" }, "no level of isolation"},
		{func(c *app.Config) { c.SignIn = []app.SignIn{{Name: "Code!"}} }, "small letters"},
		{func(c *app.Config) { c.SignIn = []app.SignIn{{Name: "company", Issuer: "http://id.example"}} }, "the issuer is https://HOST"},
		{func(c *app.Config) {
			c.SignIn = []app.SignIn{{Name: "company", Issuer: "https://id.example", Client: "x"}}
		}, "gives nobody a role"},
		{func(c *app.Config) {
			c.SignIn = []app.SignIn{{Name: "company", Issuer: "https://id.example", Client: "x", Secret: "in clear", Roles: []app.SignInRole{{Claim: "a", Value: "b", Role: "c"}}}}
		}, "env:NAME or file:PATH"},
		{func(c *app.Config) {
			c.SignIn = []app.SignIn{{Name: "company", Issuer: "https://id.example", Client: "x", Roles: []app.SignInRole{{Claim: "a", Value: "b", Role: "c"}}}}
		}, ""},
	} {
		config := app.Default(func(string) string { return "" })
		c.change(&config)
		err := config.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", config, err, c.want)
		}
	}
}

// A second server in the same folder is refused, with what to do.
func TestOneServerAFolder(t *testing.T) {
	h := build(t)
	_, err := app.Open(t.Context(), h.Config, app.Env{Getenv: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), "another haechi is using") {
		t.Errorf("got %v", err)
	}
}

// Health, readiness and metrics answer, and say nothing to strangers.
func TestHealth(t *testing.T) {
	h := build(t)
	for _, c := range []struct{ path, want string }{{"/healthz", "alive"}, {"/readyz", "ready"}, {"/metrics", "haechi_bus_behind"}} {
		if status, _, body := do(t, request(t, http.MethodGet, h.url+c.path, "")); status != http.StatusOK || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %.300s", c.path, status, body)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
