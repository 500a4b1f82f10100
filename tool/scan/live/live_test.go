package live_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
)

const good = "the-right-one"

// service answers as the three do, and knows one secret.
func service(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	bearer := func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") }
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		switch bearer(r) {
		case good:
			fmt.Fprint(w, `{"login":"kim"}`)
		case "busy":
			http.Error(w, `{"message":"API rate limit exceeded"}`, http.StatusForbidden)
		default:
			http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST /api/auth.test", func(w http.ResponseWriter, r *http.Request) {
		if bearer(r) == good {
			fmt.Fprint(w, `{"ok":true,"team":"shop","user":"bot"}`)
			return
		}
		fmt.Fprint(w, `{"ok":false,"error":"token_revoked"}`)
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		claim, err := sigv4.Parse(r)
		if err == nil {
			_, err = new(sigv4.Verifier).Read(r, claim, good, time.Now(), 1000)
		}
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>`)
			return
		}
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/kim</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// Each provider tells a secret that works from one that does not, and from what it cannot say.
func TestAsk(t *testing.T) {
	s := service(t)
	keyID := "AKIA" + strings.ToUpper("qylpmn5hhhfpzam2")
	clock := time.Now()
	c := live.New(s.Client(), func() time.Time { clock = clock.Add(time.Minute); return clock }, live.AWS{Address: s.URL}, live.GitHub{Address: s.URL}, live.Slack{Address: s.URL})
	for _, q := range []struct {
		rule, id, secret string
		want             live.Answer
	}{
		{"github-pat", "", good, live.Answer{State: live.Works, Who: "kim"}},
		{"github-pat", "", "another", live.Answer{State: live.Dead}},
		{"github-app-token", "", "busy", live.Answer{State: live.Unknown, Why: "403 API rate limit exceeded"}},
		{"slack-token", "", good, live.Answer{State: live.Works, Who: "bot of shop"}},
		{"slack-token", "", "another", live.Answer{State: live.Dead}},
		{"aws-secret-access-key", keyID, good, live.Answer{State: live.Works, Who: "arn:aws:iam::123456789012:user/kim"}},
		{"aws-secret-access-key", keyID, "another", live.Answer{State: live.Dead}},
		{"aws-secret-access-key", "", good, live.Answer{State: live.Unknown, Why: "the id of the key stands nowhere near its secret"}},
	} {
		got, err := c.Ask(context.Background(), secret.Credential{Rule: q.rule, ID: q.id, Secret: q.secret})
		if err != nil || got != q.want {
			t.Errorf("%s %q: %+v, %v, want %+v", q.rule, q.secret, got, err, q.want)
		}
	}
	if _, err := c.Ask(context.Background(), secret.Credential{Rule: "npm-token"}); fault.Of(err) != fault.Unsupported {
		t.Errorf("nobody knows npm's: %v", err)
	}
}

// A provider is not asked again at once, and no error holds the secret.
func TestPause(t *testing.T) {
	s := service(t)
	clock := time.Now()
	c := live.New(s.Client(), func() time.Time { return clock }, live.GitHub{Address: s.URL}, live.Slack{Address: "http://127.0.0.1:1"})
	ask := func(rule string) error {
		_, err := c.Ask(context.Background(), secret.Credential{Rule: rule, Secret: good})
		return err
	}
	if err := ask("github-pat"); err != nil {
		t.Fatal(err)
	}
	if err := ask("github-pat"); fault.Of(err) != fault.Limit {
		t.Errorf("at once: %v", err)
	}
	if err := ask("slack-token"); err == nil || strings.Contains(err.Error(), good) {
		t.Errorf("not reached: %v", err)
	}
	clock = clock.Add(3 * time.Second)
	if err := ask("github-pat"); err != nil {
		t.Errorf("later: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", secret.Credential{Secret: good}, secret.Credential{Secret: good}, secret.Credential{Secret: good}); strings.Contains(text, good) {
		t.Errorf("printed: %s", text)
	}
}
