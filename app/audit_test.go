package app_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/hub"
)

// wire signs and sends a call of the JSON protocol.
func (h *house) wire(t *testing.T, key, secret, service, target, body string) (int, string) {
	t.Helper()
	r := request(t, http.MethodPost, h.url+"/", body)
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	sigv4.Signer{AccessKey: key, Secret: secret, Region: "us-east-1", Service: service}.Sign(r, sigv4.Hash([]byte(body)), time.Now())
	status, _, text := do(t, r)
	return status, text
}

// form posts a form, with a session or without.
func (h *house) form(t *testing.T, path, session string, values url.Values) (int, http.Header) {
	t.Helper()
	r := request(t, http.MethodPost, h.url+path, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if session != "" {
		r.AddCookie(&http.Cookie{Name: "haechi_session", Value: session})
	}
	status, header, _ := do(t, r)
	return status, header
}

// Every door leaves a record of what is done and what is refused there: a
// change's and a refusal's before it is answered, a read's within a second; no
// secret is in any; and nobody has touched them.
func TestEveryDoorIsRecorded(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	const password = "correct horse battery"
	must(t, h.Access.CreateUser(ctx, "weak"))
	must(t, h.Access.SetPassword(ctx, "weak", password))
	weak, err := h.Access.SignIn(ctx, "weak", password)
	must(t, err)
	admin, err := h.Access.SignIn(ctx, access.AdminUser, h.admin.Password)
	must(t, err)
	_, sender, err := h.Access.CreateToken(ctx, access.AdminUser, access.Intake)
	must(t, err)
	_, git, err := h.Access.CreateToken(ctx, access.AdminUser, access.Git)
	must(t, err)
	var planted []string
	secret := func(text string) string { planted = append(planted, text); return text }
	secret(password)
	secret(h.admin.Secret.Reveal())
	secret(h.admin.Password.Reveal())
	secret(weak.Reveal())
	secret(admin.Reveal())
	secret(sender.Reveal())
	secret(git.Reveal())

	for _, c := range []struct {
		name string
		do   func()
		want audit.Record // what is set must be so
		slow bool         // a read, which may take its second
	}{
		{name: "wire: a change", want: audit.Record{Name: "CreateToken", Source: "haechi", Identity: audit.Identity{Type: "IAMUser", User: "admin"}}, do: func() {
			status, body := h.wire(t, h.admin.KeyID, h.admin.Secret.Reveal(), "haechi", "Haechi.CreateToken", `{"User":"weak","Purpose":"git"}`)
			if status != 200 {
				t.Errorf("%d %s", status, body)
			}
			_, rest, _ := strings.Cut(body, `"Value":"`)
			value, _, _ := strings.Cut(rest, `"`)
			secret(value)
		}},
		{name: "wire: a read", slow: true, want: audit.Record{Name: "ListRules", Source: "events.amazonaws.com", ReadOnly: true, Identity: audit.Identity{User: "admin"}}, do: func() {
			h.wire(t, h.admin.KeyID, h.admin.Secret.Reveal(), "events", "AWSEvents.ListRules", `{}`)
		}},
		{name: "wire: a wrong signature", want: audit.Record{Name: "ListRules", ReadOnly: true, Code: "InvalidSignatureException", Identity: audit.Identity{Type: "Unknown", Key: h.admin.KeyID}}, do: func() {
			h.wire(t, h.admin.KeyID, secret("wrong-"+strings.Repeat("s3cr3t", 5)), "events", "AWSEvents.ListRules", `{}`)
		}},
		{name: "vault: a secret", want: audit.Record{Name: "CreateSecret", Source: "secretsmanager.amazonaws.com", Identity: audit.Identity{User: "admin"}}, do: func() {
			h.wire(t, h.admin.KeyID, h.admin.Secret.Reveal(), "secretsmanager", "secretsmanager.CreateSecret", `{"Name":"shop/db","SecretString":"`+secret("staple-"+strings.Repeat("v4ult", 5))+`"}`)
		}},
		{name: "vault: a secret is told", slow: true, want: audit.Record{Name: "GetSecretValue", Source: "secretsmanager.amazonaws.com", ReadOnly: true, Identity: audit.Identity{User: "admin"}}, do: func() {
			if status, body := h.wire(t, h.admin.KeyID, h.admin.Secret.Reveal(), "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"shop/db"}`); status != 200 || !strings.Contains(body, "staple-") {
				t.Errorf("%d %s", status, body)
			}
		}},
		{name: "vault: a parameter", want: audit.Record{Name: "PutParameter", Source: "ssm.amazonaws.com", Identity: audit.Identity{User: "admin"}}, do: func() {
			h.wire(t, h.admin.KeyID, h.admin.Secret.Reveal(), "ssm", "AmazonSSM.PutParameter", `{"Name":"/shop/key","Type":"SecureString","Value":"`+secret("param-"+strings.Repeat("v4lue", 5))+`"}`)
		}},
		{name: "forge: followed", want: audit.Record{Name: "PutForge", Source: "haechi", Identity: audit.Identity{User: "admin"}}, do: func() {
			status, body := h.wire(t, h.admin.KeyID, h.admin.Secret.Reveal(), "haechi", "Haechi.PutForge", `{"Repository":"followed","Kind":"github","Clone":"https://forge.invalid/acme/shop.git","Token":"`+secret("token-"+strings.Repeat("f0rge", 5))+`"}`)
			_, rest, _ := strings.Cut(body, `"Secret":"`)
			value, _, _ := strings.Cut(rest, `"`)
			if secret(value); status != 200 || len(value) < 40 {
				t.Errorf("%d %s", status, body)
			}
		}},
		{name: "forge: a delivery of nobody", want: audit.Record{Name: "TakeDelivery", Source: "haechi", Code: "AccessDenied", Identity: audit.Identity{Type: "Unknown"}}, do: func() {
			r := request(t, http.MethodPost, h.url+"/hooks/forge/followed", `{}`)
			r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
			do(t, r)
		}},
		{name: "console: a page", slow: true, want: audit.Record{Name: "ListUsers", ReadOnly: true, Identity: audit.Identity{User: "admin"}}, do: func() {
			r := request(t, http.MethodGet, h.url+"/users", "")
			r.AddCookie(&http.Cookie{Name: "haechi_session", Value: admin.Reveal()})
			do(t, r)
		}},
		{name: "console: a change", want: audit.Record{Name: "UpdateLoginProfile", Identity: audit.Identity{User: "admin"}}, do: func() {
			h.form(t, "/users/password", admin.Reveal(), url.Values{"user": {"weak"}, "password": {secret("another horse staple")}})
		}},
		{name: "console: one who may not", want: audit.Record{Name: "CreateUser", Code: "InvalidClientTokenId"}, do: func() { // the password was changed: the session is over
			h.form(t, "/users/create", weak.Reveal(), url.Values{"user": {"mine"}})
		}},
		{name: "console: nobody", want: audit.Record{Name: "DeleteUser", Code: "InvalidClientTokenId", Identity: audit.Identity{Type: "Unknown"}}, do: func() {
			h.form(t, "/users/delete", "", url.Values{"user": {"admin"}})
		}},
		{name: "sign-in: wrong", want: audit.Record{Name: "ConsoleLogin", Type: "AwsConsoleSignIn", Reason: "Failed authentication", Identity: audit.Identity{Type: "IAMUser", User: "weak"}}, do: func() {
			h.form(t, "/sign-in", "", url.Values{"user": {"weak"}, "password": {secret("is it this one?!")}})
		}},
		{name: "sign-in: a password for a name", want: audit.Record{Name: "ConsoleLogin", Reason: "Failed authentication", Identity: audit.Identity{Type: "Unknown", User: audit.Hidden}}, do: func() {
			h.form(t, "/sign-in", "", url.Values{"user": {secret("typed-in-the-wrong-field")}, "password": {"x"}})
		}},
		{name: "sign-in", want: audit.Record{Name: "ConsoleLogin", Identity: audit.Identity{Type: "IAMUser", User: "admin"}}, do: func() {
			_, header := h.form(t, "/sign-in", "", url.Values{"user": {"admin"}, "password": {h.admin.Password.Reveal()}})
			session, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
			secret(strings.TrimPrefix(session, "haechi_session="))
		}},
		{name: "intake: lines", slow: true, want: audit.Record{Name: "PutRecords", Source: "haechi", Category: "Data", Identity: audit.Identity{User: "admin"}}, do: func() {
			r := request(t, http.MethodPost, h.url+"/intake/lines?source=app", "one line\n")
			r.Header.Set("Authorization", "Bearer "+sender.Reveal())
			do(t, r)
		}},
		{name: "intake: a wrong token", want: audit.Record{Name: "PutRecords", Code: "InvalidClientTokenId", Identity: audit.Identity{Type: "Unknown"}}, do: func() {
			r := request(t, http.MethodPost, h.url+"/intake/lines?source=app", "one line\n")
			r.Header.Set("Authorization", "Bearer "+secret("tok-"+strings.Repeat("z", 40)))
			do(t, r)
		}},
		{name: "hooks: a token in the path", slow: true, want: audit.Record{Name: "JudgeInfrastructure", Source: "haechi", Identity: audit.Identity{User: "admin"}}, do: func() {
			do(t, request(t, http.MethodPost, h.url+"/hooks/kubernetes/"+sender.Reveal(), `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"ConfigMap"},"operation":"CREATE","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}}}`))
		}},
		{name: "hooks: a wrong one", want: audit.Record{Name: "JudgeInfrastructure", Code: "InvalidClientTokenId", Identity: audit.Identity{Type: "Unknown"}}, do: func() {
			do(t, request(t, http.MethodPost, h.url+"/hooks/kubernetes/"+secret("hook-"+strings.Repeat("q", 38)), `{}`))
		}},
		{name: "reports: refused", want: audit.Record{Name: "ImportReport", Code: "UnrecognizedClientException"}, do: func() {
			do(t, request(t, http.MethodPost, h.url+"/haechi/reports?target=x", "{}"))
		}},
		{name: "git: refused", want: audit.Record{Name: "GitPush", Source: "codecommit.amazonaws.com", Code: "InvalidClientTokenId"}, do: func() {
			do(t, request(t, http.MethodGet, h.url+"/git/shop/info/refs?service=git-receive-pack", ""))
		}},
		{name: "git: a push", want: audit.Record{Name: "GitPush", Identity: audit.Identity{User: "admin"}}, do: func() {
			clone := gittest.New(t)
			clone.Commit("first", map[string]string{"README": "hello\n"})
			clone.Git("-c", "http.extraHeader=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("admin:"+git.Reveal())), "push", "-q", h.url+"/git/shop", "HEAD:refs/heads/main")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now().Add(-time.Second)
			c.do()
			h.recorded(t, began, c.want, c.slow)
		})
	}
	report, err := h.Audit.Verify(ctx)
	if err != nil || len(report.Problems) > 0 || report.Chains[0].Records < 15 {
		t.Errorf("got %+v, %v", report, err)
	}
	all, _, err := h.Audit.Find(ctx, audit.Query{Limit: 1000})
	must(t, err)
	for _, f := range all {
		for _, s := range planted {
			if s != "" && strings.Contains(string(f.JSON), s) {
				t.Errorf("a secret stands in %s", f.JSON)
			}
		}
	}
}

// recorded looks for a record; only a read may be late.
func (h *house) recorded(t *testing.T, since time.Time, want audit.Record, slow bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found, _, err := h.Audit.Find(t.Context(), audit.Query{Since: since, Action: want.Name, Limit: 10})
		must(t, err)
		for _, f := range found {
			r := f.Record
			like := func(got, want string) bool { return want == "" || got == want }
			if like(r.Source, want.Source) && like(r.Code, want.Code) && (want.Code != "" || r.Code == "") && like(r.Reason, want.Reason) && like(r.Type, want.Type) && like(r.Category, want.Category) && r.ReadOnly == want.ReadOnly &&
				like(r.Identity.Type, want.Identity.Type) && like(r.Identity.User, want.Identity.User) && like(r.Identity.Key, want.Identity.Key) {
				if r.SourceIP != "127.0.0.1" || r.RequestID == "" || r.ID == "" || r.Account == "" {
					t.Errorf("incomplete: %s", f.JSON)
				}
				return
			}
		}
		if !slow || time.Now().After(end) {
			t.Errorf("no record like %+v among %d of that name", want, len(found))
			for _, f := range found {
				t.Logf("%s", f.JSON)
			}
			return
		}
	}
}

// Haechi watches itself: wrong passwords at its own console become a finding by the rules for CloudTrail.
func TestOwnSignInsAreDetected(t *testing.T) {
	h := build(t)
	for range 11 {
		h.form(t, "/sign-in", "", url.Values{"user": {"nobody"}, "password": {"wrong"}})
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		page, err := h.Hub.Find(t.Context(), hub.Query{Limit: 10})
		must(t, err)
		for _, f := range page.Findings {
			if strings.Contains(f.Title, "passwords at the console") {
				return
			}
		}
	}
	t.Error("eleven wrong passwords raised nothing")
}
