package console_test

import (
	"github.com/go-json-experiment/json"

	"bufio"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/finding"
)

var label = regexp.MustCompile(`\{[^}]*\}`)

// Nobody gets in anywhere, and who may do nothing is told so everywhere.
func TestPathsRefuse(t *testing.T) {
	h := home(t)
	nobody, weak := h.nobody(), h.user("weak")
	paths := h.console.Paths()
	if len(paths) < 40 {
		t.Fatalf("only %d paths", len(paths))
	}
	for _, path := range paths {
		method, pattern, _ := strings.Cut(path, " ")
		address := label.ReplaceAllString(strings.Replace(pattern, "{$}", "", 1), "x")
		ask := func(p *person) answer {
			if method == http.MethodPost {
				return p.post(address)
			}
			return p.get(address)
		}
		if a := ask(nobody); a.status != http.StatusUnauthorized && (a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/sign-in")) {
			t.Errorf("%s as nobody: %d", path, a.status)
		}
		if pattern == "/live" {
			continue // tells that something happened, and never what
		}
		if a := ask(weak); a.status != http.StatusForbidden {
			t.Errorf("%s as one without policies: %d", path, a.status)
		}
	}
}

// The session's cookie cannot be read by scripts, is not sent from elsewhere, and is new after every sign-in.
func TestSession(t *testing.T) {
	h := home(t)
	p := h.nobody()
	if a := p.get("/findings?q=severity:high"); a.header.Get("Location") != "/sign-in?next="+url.QueryEscape("/findings?q=severity:high") {
		t.Errorf("nobody is sent to %q", a.header.Get("Location"))
	}
	if a := p.post("/sign-in", "user", "admin", "password", "wrong"); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "is wrong") {
		t.Errorf("a wrong password: %d", a.status)
	}
	a := p.post("/sign-in", "user", "admin", "password", pass, "next", "/findings?q=severity:high")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/findings?q=severity:high" {
		t.Errorf("signing in: %d to %q", a.status, a.header.Get("Location"))
	}
	cookie := a.header.Get("Set-Cookie")
	for _, want := range []string{"haechi_session=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie lacks %s: %s", want, cookie)
		}
	}
	old := p.client.Jar.Cookies(mustURL(t, h.server.URL))[0].Value
	if a := p.post("/sign-in", "user", "admin", "password", pass, "next", "https://evil.example/"); a.header.Get("Location") != "/" {
		t.Errorf("after signing in one is sent to %q", a.header.Get("Location"))
	}
	if now := p.client.Jar.Cookies(mustURL(t, h.server.URL))[0].Value; now == old {
		t.Error("the session is the same after signing in anew")
	}
	stale := h.nobody()
	stale.client.Jar.SetCookies(mustURL(t, h.server.URL), []*http.Cookie{{Name: "haechi_session", Value: old}})
	if a := stale.get("/"); a.status != http.StatusSeeOther {
		t.Errorf("the session before still works: %d", a.status)
	}
	p.post("/sign-out")
	if a := p.get("/"); a.header.Get("Location") != "/sign-in" {
		t.Errorf("after signing out: %d %q", a.status, a.header.Get("Location"))
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Over TLS the cookie is for TLS alone.
func TestSecureCookie(t *testing.T) {
	h := home(t)
	secure, err := console.New(console.Config{Access: h.access, People: h.access, DB: h.db, Hub: h.hub, Bus: h.bus, Account: account, Region: region, Secure: func(*http.Request) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	h.server.Config.Handler = secure
	if a := h.nobody().post("/sign-in", "user", "admin", "password", pass); !strings.Contains(a.header.Get("Set-Cookie"), "Secure") {
		t.Error(a.header.Get("Set-Cookie"))
	}
	p := h.nobody()
	if a := p.get("/runs"); a.status != http.StatusNotFound {
		t.Errorf("a page of a room that is not there: %d", a.status)
	}
}

// What another site makes a browser send changes nothing.
func TestOtherSites(t *testing.T) {
	h := home(t)
	p := h.admin()
	for _, header := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}} {
		r := p.request(http.MethodPost, "/users/create", strings.NewReader("user=mallory&policy=AdministratorAccess"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range header {
			r.Header.Set(name, value)
		}
		if a := p.do(r); a.status != http.StatusForbidden {
			t.Errorf("%v: %d", header, a.status)
		}
	}
	if _, err := h.access.Principal(t.Context(), "mallory"); err == nil {
		t.Error("another site has made a user")
	}
}

// A link that signs in is asked about before it is used, works once, and on this machine alone.
func TestLink(t *testing.T) {
	h := home(t)
	token, err := h.access.Link(t.Context(), access.AdminUser)
	if err != nil {
		t.Fatal(err)
	}
	path := "/link/" + token.Reveal()
	p := h.nobody()
	for range 2 {
		if a := p.get(path); a.status != http.StatusOK || !strings.Contains(a.body, "Go in") {
			t.Fatalf("looking at the link: %d", a.status)
		}
	}
	if a := p.post(path); a.status != http.StatusSeeOther || p.get("/").status != http.StatusOK {
		t.Errorf("using the link: %d", a.status)
	}
	if a := h.nobody().post(path); a.status != http.StatusUnauthorized && a.status != http.StatusNotFound {
		t.Errorf("using it again: %d %s", a.status, a.body)
	}
	handler := h.server.Config.Handler
	h.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "192.0.2.7:1234"
		handler.ServeHTTP(w, r)
	})
	if a := h.nobody().get(path); a.status != http.StatusForbidden {
		t.Errorf("from another machine: %d", a.status)
	}
}

// A developer may take a finding on, and not suppress it: what is to be set is asked for, not the action alone.
func TestDecide(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		h.bring("secret", "shop", wrong("AWS access key", finding.Critical), wrong("another key", finding.High))
		admin, dev := h.admin(), h.user("dev", access.Developer)
		refs := refs(t, admin.get("/findings").body)
		if len(refs) != 2 {
			t.Fatalf("%d findings can be chosen", len(refs))
		}
		status := func(i int) finding.Finding {
			all, err := h.hub.Find(t.Context(), hub.Query{Sort: []hub.Sort{{Field: "SeverityNormalized", SortOrder: "desc"}}})
			if err != nil {
				t.Fatal(err)
			}
			return all.Findings[i]
		}
		if _, err := h.hub.Update(t.Context(), hub.Update{Refs: []hub.Ref{hub.RefOf(status(0))}, Decision: hub.Decision{UserFields: map[string]string{"ticket": "SHOP-1"}}, By: "somebody"}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"SUPPRESSED", "RESOLVED"} {
			if a := dev.post("/findings/update", "ref", refs[0], "status", s, "reason", "I want to"); a.status != http.StatusForbidden {
				t.Errorf("a developer sets %s: %d", s, a.status)
			}
		}
		if a := dev.post("/findings/update", "ref", refs[0], "ref", refs[1], "owner", "dev", "reason", "mine", "next", "/findings?q="); a.status != http.StatusSeeOther || a.header.Get("Location") != "/findings?q=" {
			t.Errorf("a developer takes findings on: %d %s", a.status, a.body)
		}
		if a := dev.get("/findings"); !strings.Contains(a.body, "Findings changed: 2") || strings.Contains(dev.get("/findings").body, "Findings changed") {
			t.Error("what was done is not said, or said twice")
		}
		for i := range 2 {
			if f := status(i); f.UserFields["owner"] != "dev" || f.Status() != finding.New {
				t.Errorf("afterwards %v %v", f.UserFields, f.Status())
			}
		}
		for form, want := range map[string]string{"status=SUPPRESSED": "Say why", "reason=x": "Say what", "status=SUPPRESSED&reason=x&until=2001-01-01": "is not a day to come", "status=HUGE&reason=x": ""} {
			values, _ := url.ParseQuery(form)
			pairs := []string{"ref", refs[0]}
			for name := range values {
				pairs = append(pairs, name, values.Get(name))
			}
			if a := admin.post("/findings/update", pairs...); a.status != http.StatusBadRequest && a.status != http.StatusConflict || !strings.Contains(a.body, want) {
				t.Errorf("%s: %d, want one that says %q", form, a.status, want)
			}
		}
		if f := status(0); f.UserFields["ticket"] != "SHOP-1" {
			t.Errorf("an owner takes other fields away: %v", f.UserFields)
		}
		until := time.Now().AddDate(0, 1, 0).Format(time.DateOnly)
		if a := admin.post("/findings/update", "ref", refs[0], "ref", refs[1], "status", "SUPPRESSED", "kind", "false-positive", "reason", "an example in the documents", "until", until); a.status != http.StatusSeeOther {
			t.Errorf("an administrator suppresses: %d %s", a.status, a.body)
		}
		kept, err := h.hub.AcceptanceOf(t.Context(), hub.RefOf(status(0)))
		if err != nil || kept.Kind != "false-positive" || kept.Reason != "an example in the documents" || kept.Until.Format(time.DateOnly) != until || kept.Owner != "admin" {
			t.Errorf("accepted as %+v, %v", kept, err)
		}
		if a := admin.get(console.FindingPath(ptr(status(0)))); !strings.Contains(a.body, "an example in the documents") {
			t.Error("the finding's page does not say why")
		}
	})
}

func ptr[T any](v T) *T { return &v }

// refs are the findings that can be chosen on a page.
func refs(t testing.TB, page string) (all []string) {
	t.Helper()
	for _, n := range read(t, page).all("input") {
		if n.attr["name"] == "ref" {
			all = append(all, n.attr["value"])
		}
	}
	return all
}

// A filter is kept as an insight, and shows the same again.
func TestInsight(t *testing.T) {
	h := home(t)
	h.bring("secret", "shop", wrong("AWS access key", finding.Critical), wrong("a small thing", finding.Low))
	p := h.admin()
	a := p.post("/findings/insights", "q", "severity:critical", "name", "worst "+hostile)
	if a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	page := p.get(a.header.Get("Location"))
	if !strings.Contains(page.body, "AWS access key") || strings.Contains(page.body, "a small thing") || !strings.Contains(page.body, "The insight was saved.") {
		t.Error("the insight shows something else")
	}
	count := read(t, page.body)
	var one string
	for _, a := range count.all("a") {
		if strings.Contains(a.attr["href"], "&value=") {
			one = a.attr["href"]
		}
	}
	if group := p.get(one); group.status != http.StatusOK || !strings.Contains(group.body, "AWS access key") || len(readable(t, read(t, group.body))) > 0 {
		t.Errorf("a group of the insight: %d %q", group.status, one)
	}
	arn := mustURL(t, a.header.Get("Location")).Query().Get("insight")
	if a := p.post("/findings/insights/delete", "insight", arn); a.status != http.StatusSeeOther || p.get("/findings?insight="+url.QueryEscape(arn)).status != http.StatusNotFound {
		t.Errorf("deleting it: %d", a.status)
	}
}

// Routes are made in forms: a receiver, whose secret nobody sees again, and a rule that tells it.
func TestRouteForms(t *testing.T) {
	h := home(t)
	p := h.admin()
	secret := "whsec_" + strings.Repeat("QUJD", 10)
	if a := p.post("/routes/receiver", "kind", "webhook", "name", "desk", "new", "1", "field.url", "https://example.com/hook", "field.secret", secret); a.status != http.StatusSeeOther {
		t.Fatalf("making a receiver: %d %s", a.status, a.body)
	}
	page := p.get("/routes/receiver?kind=webhook&name=desk").body
	if strings.Contains(page, secret) || strings.Contains(page, "QUJD") || !strings.Contains(page, "https://example.com/hook") {
		t.Error("the receiver's page shows its secret, or not its address")
	}
	if a := p.post("/routes/receiver", "kind", "webhook", "name", "desk", "field.url", "https://example.com/other"); a.status != http.StatusSeeOther {
		t.Errorf("changing the address without the secret: %d %s", a.status, a.body)
	}
	if a := p.post("/routes/receiver", "kind", "webhook", "name", "desk", "new", "1", "field.url", "https://example.com/x", "field.secret", secret); a.status != http.StatusConflict {
		t.Errorf("making it a second time: %d", a.status)
	}
	arn := h.routes.ReceiverARN("webhook", "desk")
	if a := p.post("/routes/rule", "name", "worst", "new", "1", "pattern", `{"source": ["shop"]}`, "tell", arn, "on", "1"); a.status != http.StatusSeeOther {
		t.Fatalf("making a rule: %d %s", a.status, a.body)
	}
	if a := p.post("/routes/rule", "name", "bad", "new", "1", "pattern", `{"source": "shop"}`, "description", "what I have typed"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "what I have typed") || !strings.Contains(a.body, "^") {
		t.Errorf("a pattern that is none: %d, without what was typed or the place", a.status)
	}
	if a := p.post("/routes/receiver", "kind", "webhook", "name", "x", "new", "1", "field.url", "ftp://example.com", "field.secret", secret); a.status != http.StatusBadRequest || !strings.Contains(a.body, "ftp://example.com") || strings.Contains(a.body, "QUJD") {
		t.Errorf("an address that is none: %d, without what was typed or with the secret", a.status)
	}
	if a := p.post("/routes/receiver", "kind", "slack", "name", "x", "new", "1", "field.url", "https://example.com", "interval", "soon"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "is not a length of time") {
		t.Errorf("an interval that is none: %d", a.status)
	}
	targets, _, err := h.routes.Targets(t.Context(), "", "worst", route.Page{})
	if err != nil || len(targets) != 1 || targets[0].ARN != arn {
		t.Errorf("the rule tells %+v, %v", targets, err)
	}
	if a := p.post("/routes/receiver/delete", "kind", "webhook", "name", "desk"); a.status != http.StatusConflict {
		t.Errorf("deleting a receiver that is told: %d", a.status)
	}
	if a := p.post("/routes/rule", "name", "worst", "pattern", `{"source": ["shop"]}`); a.status != http.StatusSeeOther {
		t.Errorf("telling nobody: %d", a.status)
	}
	rule, err := h.routes.Rule(t.Context(), "", "worst")
	if targets, _, _ = h.routes.Targets(t.Context(), "", "worst", route.Page{}); err != nil || rule.State != route.Disabled || len(targets) != 0 {
		t.Errorf("then it is %+v with %v", rule, targets)
	}
	for _, path := range []string{"/routes/rule/delete", "/routes/receiver/delete"} {
		if a := p.post(path, "name", map[bool]string{true: "worst", false: "desk"}[path == "/routes/rule/delete"], "kind", "webhook"); a.status != http.StatusSeeOther {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// A pattern can be tried on what has happened, before anything is saved.
func TestTryPattern(t *testing.T) {
	h := home(t)
	h.bring("secret", "shop", wrong("AWS access key", finding.Critical), wrong("a small thing", finding.Low))
	p := h.admin()
	try := func(pattern, event string) string {
		t.Helper()
		a := p.post("/routes/rule/test", "new", "1", "pattern", pattern, "event", event)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a.body
	}
	if page := try(`{"detail": {"findings": {"Severity": {"Label": ["CRITICAL"]}}}}`, ""); !strings.Contains(page, "Events that match: 1 of 2") || !strings.Contains(page, "detail.findings.Severity.Label") {
		t.Error("the trial does not say what matches, or why not")
	}
	if page := try(`{"source": "x"}`, ""); !strings.Contains(page, `role="alert"`) {
		t.Error("a pattern that is none is not called so")
	}
	event := `{"id": "1", "account": "1", "source": "mine", "time": "2026-01-01T00:00:00Z", "region": "r", "resources": [], "detail-type": "t", "detail": {}}`
	if page := try(`{"source": ["mine"]}`, event); !strings.Contains(page, "Events that match: 1 of 1") {
		t.Error("an event of one's own does not match")
	}
	if rules, _, err := h.routes.Rules(t.Context(), "", "", route.Page{}); err != nil || len(rules) != 0 {
		t.Errorf("a trial has made a rule: %v %v", rules, err)
	}
}

// What could not be delivered can be sent again, or thrown away.
func TestDeadLetters(t *testing.T) {
	h := home(t)
	f := fill(h)
	p := h.admin()
	dead := refs(t, p.get("/deliveries?state=dead").body)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters", len(dead))
	}
	if a := p.get("/deliveries/" + dead[0]); a.status != http.StatusOK || !strings.Contains(a.body, "410") || !strings.Contains(a.body, "CodePipeline Pipeline Execution State Change") || len(readable(t, read(t, a.body))) > 0 {
		t.Errorf("looking at it: %d %s", a.status, a.body)
	}
	if a := p.post("/deliveries/retry"); a.status != http.StatusBadRequest {
		t.Errorf("sending none again: %d", a.status)
	}
	if a := p.post("/deliveries/retry", "ref", dead[0], "next", "/deliveries"); a.status != http.StatusSeeOther || !strings.Contains(p.get("/deliveries").body, "Dead letters on their way again: 1") {
		t.Errorf("sending it again: %d", a.status)
	}
	h.until("it is refused again", func() bool { return len(refs(t, p.get("/deliveries?state=dead").body)) == 1 })
	if a := p.post("/deliveries/purge", "all", "1", "target", f.hook); a.status != http.StatusSeeOther {
		t.Errorf("throwing it away: %d", a.status)
	}
	if left := refs(t, p.get("/deliveries?state=dead").body); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
}

// A receiver can be tried before anything depends on it.
func TestTryReceiver(t *testing.T) {
	h := home(t)
	h.listeners()
	p := h.admin()
	if a := p.post("/routes/receiver/try", "kind", "slack", "name", "security"); a.status != http.StatusOK || !strings.Contains(a.body, "The receiver has taken the message.") {
		t.Errorf("one that takes it: %d %s", a.status, a.body)
	}
	if a := p.post("/routes/receiver/try", "kind", "webhook", "name", "ticket-system"); a.status != http.StatusOK || !strings.Contains(a.body, "410") || strings.Contains(a.body, "has taken") {
		t.Errorf("one that refuses it: %d %s", a.status, a.body)
	}
}

// A receiver is quiet for a while, with who wanted it and why, and loud again when somebody says so.
func TestSnooze(t *testing.T) {
	h := home(t)
	slack, _ := h.listeners()
	p := h.admin()
	if a := p.post("/routes/snooze", "target", slack, "span", "1h"); a.status != http.StatusBadRequest {
		t.Errorf("without a reason: %d", a.status)
	}
	if a := p.post("/routes/snooze", "target", slack, "span", "1h", "reason", "we move house"); a.status != http.StatusSeeOther || !strings.Contains(p.get("/routes").body, "we move house") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := p.post("/routes/snooze/end", "target", slack); a.status != http.StatusSeeOther || strings.Contains(p.get("/routes").body, "we move house") {
		t.Errorf("ending it: %d", a.status)
	}
}

// A credential is shown once, when it is made.
func TestCredentialsOnce(t *testing.T) {
	h := home(t)
	p := h.admin()
	if a := p.post("/users/create", "user", "ada", "policy", access.Developer); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	page := read(t, p.post("/users/key", "user", "ada").body)
	lines := strings.Fields(page.all("pre")[0].text)
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "AKIA") {
		t.Fatalf("the key is shown as %q", lines)
	}
	if again := p.get("/users").body; strings.Contains(again, lines[1]) || !strings.Contains(again, lines[0]) {
		t.Error("the secret is shown again, or the key not")
	}
	if a := p.post("/users/delete", "user", "admin"); a.status != http.StatusConflict {
		t.Errorf("deleting oneself: %d", a.status)
	}
}

// events reads server-sent events until stop says so, or a while is over.
func (p *person) events(path string, stop func(name, data string) bool) {
	p.h.t.Helper()
	r := p.request(http.MethodGet, path, nil)
	r.Header.Set("Accept", "text/event-stream")
	got, err := p.client.Do(r)
	if err != nil {
		p.h.t.Fatal(err)
	}
	defer got.Body.Close()
	late := time.AfterFunc(20*time.Second, func() { got.Body.Close() })
	defer late.Stop()
	name := ""
	for lines := bufio.NewScanner(got.Body); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = n
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && stop(name, data) {
			return
		}
	}
	p.h.t.Fatalf("%s: what was waited for did not come", path)
}

// A page hears of every change.
func TestLive(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		p, n := h.admin(), 0
		p.events("/live", func(name, _ string) bool {
			if name == "change" {
				if n++; n == 1 {
					h.bring("secret", "shop", wrong("AWS access key", finding.Critical))
				}
			}
			return n == 2
		})
	})
}

// A run's log comes as it is written, to its end, and can be read as one text.
func TestRunLog(t *testing.T) {
	h := home(t)
	hold := make(chan string)
	h.build.hold = hold
	h.work()
	commit := h.push("main", "first", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n"})
	run := h.ran(commit, func(e pipeline.Execution) bool { return e.Status == pipeline.InProgress })
	path := pipeline.Path(run.ID)
	p := h.admin()
	go func() { hold <- "한글 <b>" }()
	lines := func(from string) (w struct {
		Total int
		Ended bool
		HTML  string
		Heads [][2]int
	}) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.get(path+"/log/lines?from="+from).body), &w, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	p.events(path+"/log", func(name, data string) bool {
		if log := lines("1"); strings.Contains(log.HTML, "한글 &lt;b&gt;") && hold != nil {
			page := p.get(path)
			if !strings.Contains(page.body, "data-log") || strings.Contains(page.body, "data-ended") || !strings.Contains(page.body, "Stop") {
				t.Error("the page of a run that goes on does not follow its log, or cannot stop it")
			}
			close(hold)
			hold = nil
		}
		return name == "end"
	})
	if log := lines("1"); strings.Contains(log.HTML, "\x1b") || !strings.Contains(log.HTML, "=== Build ===") || !log.Ended || len(log.Heads) < 5 {
		t.Errorf("the log came as %+v", log)
	}
	if beyond := lines("999"); beyond.HTML != "" || beyond.Total < 10 {
		t.Errorf("beyond its end: %+v", beyond)
	}
	if a := p.get(path + "/log/find?find=ISOLATION"); !strings.Contains(a.body, `"lines":[`) || strings.Contains(a.body, `"lines":[]`) {
		t.Errorf("found: %s", a.body)
	}
	if a := p.get(path + "?find=isolation"); !strings.Contains(a.body, `class="hits"`) {
		t.Error("the page without scripts finds nothing")
	}
	for _, wrong := range []string{"/log/lines?from=x", "/log/lines?count=0", "/log/find", "?line=x"} {
		if a := p.get(path + wrong); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, a.status)
		}
	}
	h.ran(commit, ended)
	text := p.get(path + "/log")
	if text.status != http.StatusOK || !strings.HasPrefix(text.header.Get("Content-Type"), "text/plain") || !strings.Contains(text.body, "=== Gate ===") {
		t.Errorf("the log as one text: %d %s", text.status, text.body)
	}
	if page := p.get(path); !strings.Contains(page.body, "data-ended") || !strings.Contains(page.body, "=== Gate ===") || !strings.Contains(page.body, "It passed") {
		t.Error("the page of a run that has ended")
	}
}

// A run is stopped, tried again and started by those who may.
func TestRunButtons(t *testing.T) {
	h := home(t)
	f := fill(h)
	admin, dev := h.admin(), h.user("dev", access.Developer)
	path := pipeline.Path(f.failed.ID)
	audit := h.user("audit", access.SecurityAudit)
	for _, do := range []string{"/stop", "/retry", "/override", "/rollback", "/approve"} {
		if a := audit.post(path + do); a.status != http.StatusForbidden {
			t.Errorf("an auditor does %s to a run: %d", do, a.status)
		}
	}
	if a := dev.post(path + "/stop"); a.status != http.StatusConflict { // it has ended
		t.Errorf("a developer stops a run: %d", a.status)
	}
	if a := dev.post(path + "/retry"); a.status != http.StatusSeeOther {
		t.Errorf("a developer tries again: %d %s", a.status, a.body)
	}
	h.ran(f.failed.Commit, func(e pipeline.Execution) bool { return e.Attempt == 2 && ended(e) })
	if a := admin.post("/runs", "repository", "shop", "branch", "main"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/runs/") {
		t.Errorf("starting a run: %d %s", a.status, a.body)
	}
	if a := admin.post("/runs", "repository", "none", "branch", "main"); a.status != http.StatusNotFound {
		t.Errorf("starting one of nothing: %d", a.status)
	}
}
