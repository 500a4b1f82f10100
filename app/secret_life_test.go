package app_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/word/finding"
)

// madeUp is text of n characters of an alphabet, made when the test runs.
func madeUp(seed uint64, n int, alphabet string) string {
	r, b := rand.New(rand.NewPCG(seed, 3)), make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

const alphanumeric = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

var shownFinding = regexp.MustCompile(`finding +([0-9a-f]{12})`)

// secretsOf are the findings of secrets in the hub, by file, once there are n.
func (h *house) secretsOf(t *testing.T, n int, when func(map[string]finding.Finding) bool) map[string]finding.Finding {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		page, err := h.Hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": {{Value: "secret/", Comparison: hub.Prefix}}}, Limit: 100})
		must(t, err)
		all := map[string]finding.Finding{}
		for _, f := range page.Findings {
			all[f.Place().File] = f
		}
		if len(all) == n && when(all) {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d secrets, want %d: %v", len(all), n, all)
		}
	}
}

// A secret is one finding from the commit that brings it to the day its
// provider knows it no more, and nothing but the repository ever holds it.
func TestLifeOfSecrets(t *testing.T) {
	h := build(t)
	const user = "admin"
	_, token, err := h.Access.CreateToken(t.Context(), user, access.Git)
	must(t, err)
	key, password, typed := "x"+"oxb-"+madeUp(1, 12, "123456789")+"-"+madeUp(2, 24, alphanumeric), "Kp4m!"+madeUp(3, 6, alphanumeric), madeUp(4, 40, alphanumeric)
	c := gittest.New(t)
	first := c.Commit("first", map[string]string{"bot.env": "SLACK=" + key + "\n", "db.env": "DB_PASSWORD=" + password + "\n"})
	c.Git("remote", "add", "haechi", strings.Replace(h.url, "http://", "http://"+user+":"+token.Reveal()+"@", 1)+"/git/shop")
	push := func() {
		t.Helper()
		said, err := c.Try("push", "-q", "haechi", "HEAD:main")
		if err == nil {
			return
		}
		var names []string
		for _, m := range shownFinding.FindAllStringSubmatch(said, -1) {
			names = append(names, m[1])
		}
		c.Git("push", "-q", "-o", "haechi.allow="+strings.Join(names, ","), "-o", "reason=for the test", "haechi", "HEAD:main")
	}
	push()
	all := h.secretsOf(t, 2, func(map[string]finding.Finding) bool { return true })
	if f := all["bot.env"]; f.ProductFields[finding.FieldStill] != finding.InHead || f.ProductFields[finding.FieldSince] != first || f.ProductFields[finding.FieldAuthor] != "Ada <ada@example.com>" {
		t.Errorf("in the files: %v", f.ProductFields)
	}
	was := all["bot.env"].ID
	c.Commit("taken out", map[string]string{"bot.env": "SLACK=from the environment\n"})
	push()
	all = h.secretsOf(t, 2, func(all map[string]finding.Finding) bool {
		return all["bot.env"].ProductFields[finding.FieldStill] == finding.InHistory
	})
	if f := all["bot.env"]; f.ID != was || f.RecordState != finding.Active || f.Status() == finding.Resolved {
		t.Errorf("only in history: %s %s, was %s", f.ID, f.RecordState, was)
	}
	h.letBe(t, all["db.env"])
	h.askSlack(t, key, all["bot.env"])
	h.tryRules(t, user, typed)
	h.nothingInClear(t, key, password, typed)
}

// askSlack asks a Slack of the test's, which knows the key and then does not.
func (h *house) askSlack(t *testing.T, key string, f finding.Finding) {
	t.Helper()
	knows := true
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if knows && r.Header.Get("Authorization") == "Bearer "+key {
			fmt.Fprint(w, `{"ok":true,"team":"shop","user":"bot"}`)
			return
		}
		fmt.Fprint(w, `{"ok":false,"error":"token_revoked"}`)
	}))
	defer slack.Close()
	now := time.Now()
	checker := live.New(slack.Client(), func() time.Time { now = now.Add(time.Minute); return now }, live.Slack{Address: slack.URL})
	for _, want := range []live.State{live.Works, live.Dead} {
		knows = want == live.Works
		answer, err := h.AskSecret(t.Context(), checker, hub.RefOf(f), "arn:aws:iam::000000000000:user/kim")
		if err != nil || answer.State != want {
			t.Fatalf("%+v, %v, want %s", answer, err, want)
		}
	}
	f, err := h.Hub.Get(t.Context(), hub.RefOf(f))
	must(t, err)
	if f.Status() != finding.Resolved || f.Verification != "TRUE_POSITIVE" || f.Note == nil || !strings.Contains(f.Note.Text, "does not know") {
		t.Errorf("when it is dead: %s %s %v", f.Status(), f.Verification, f.Note)
	}
}

// letBe suppresses what a .gitleaksignore names, and exports it so that a scan of the repository knows it.
func (h *house) letBe(t *testing.T, f finding.Finding) {
	t.Helper()
	call := func(operation, input string) string {
		t.Helper()
		r := request(t, http.MethodPost, h.url+"/", input)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "Haechi."+operation)
		sigv4.Signer{AccessKey: h.admin.KeyID, Secret: h.admin.Secret.Reveal(), Region: "us-east-1", Service: "haechi"}.Sign(r, sigv4.Hash([]byte(input)), time.Now())
		status, _, body := do(t, r)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", operation, status, body)
		}
		return body
	}
	if got := call("ImportSecrets", `{"Repository":"shop","Reason":"as before","Owner":"kim","Until":"2099-01-31","Files":[{"Name":".gitleaksignore","Text":"db.env:generic-api-key:1\n"}]}`); !strings.Contains(got, `"Suppressed":1`) {
		t.Errorf("imported: %s", got)
	}
	now, err := h.Hub.Get(t.Context(), hub.RefOf(f))
	must(t, err)
	if now.Status() != finding.Suppressed {
		t.Errorf("after the import it is %s", now.Status())
	}
	if got := call("ExportSecrets", `{"Repository":"shop"}`); !strings.Contains(got, "allow "+f.ProductFields[finding.FieldFingerprint]+" rule=secret/password until=2099-01-31 owner=kim reason=listed in .gitleaksignore") {
		t.Errorf("exported: %s", got)
	}
}

// tryRules types a secret into the box of the rules' page, and looks at the others.
func (h *house) tryRules(t *testing.T, user, typed string) {
	t.Helper()
	session, err := h.Access.SignIn(t.Context(), user, h.admin.Password)
	must(t, err)
	ask := func(method, path, body string) string {
		t.Helper()
		r := request(t, method, h.url+path, body)
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.AddCookie(&http.Cookie{Name: "haechi_session", Value: session.Reveal()})
		status, _, page := do(t, r)
		if status != http.StatusOK {
			t.Fatalf("%s %s: %d %.300s", method, path, status, page)
		}
		return page
	}
	if page := ask(http.MethodPost, "/secrets/rules", url.Values{"name": {"a.env"}, "text": {"API_TOKEN=" + typed}}.Encode()); !strings.Contains(page, "secret/generic-secret") {
		t.Errorf("the box finds nothing: %s", page)
	}
	list := ask(http.MethodGet, "/secrets?state=resolved", "")
	life := regexp.MustCompile(`href="(/secrets/[^"/]{30,})"`).FindStringSubmatch(list)
	if life == nil {
		t.Fatalf("no secret is on the page: %s", list)
	}
	if page := ask(http.MethodGet, life[1], ""); !strings.Contains(page, `<svg class="chart life"`) || !strings.Contains(page, "shop #") {
		t.Errorf("a life without its line or its builds: %s", page)
	}
	if file := ask(http.MethodGet, "/secrets/allowed?repository=shop", ""); !strings.Contains(file, "salt ") {
		t.Errorf("what is let be: %s", file)
	}
}

// nothingInClear greps the data folder, but for the repositories themselves,
// for secrets; the database holds findings, events and the trail.
func (h *house) nothingInClear(t *testing.T, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(h.Config.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "objects" && strings.Contains(path, "repos") {
				return fs.SkipDir // what was pushed
			}
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, s := range secrets {
			if bytes.Contains(text, []byte(s)) || bytes.Contains(text, []byte(s[:len(s)-3])) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return nil
	})
	must(t, err)
	if files < 5 {
		t.Errorf("only %d files were searched", files)
	}
	log := h.said.String()
	if log == "" {
		t.Error("the server wrote no log")
	}
	for _, s := range secrets {
		if strings.Contains(log, s[:len(s)-3]) {
			t.Error("the server's log holds a secret")
		}
	}
	for _, f := range h.secretsOf(t, 2, func(map[string]finding.Finding) bool { return true }) {
		for _, s := range secrets {
			if strings.Contains(string(f.JSON()), s[:len(s)-3]) {
				t.Errorf("a finding holds a secret: %s", f.Title)
			}
		}
	}
}
