package reports_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// house is the door with a real access and a real hub behind it, all on one database.
type house struct {
	t           testing.TB
	url         string
	spool       string
	db          *db.DB
	hub         *hub.Hub
	token, weak string
	developer   string // may import reports, and not suppress findings
	client      *remote.Client
	clock       atomic.Int64 // seconds
}

const account = "111122223333"

func build(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, spool: filepath.Join(dir, "spool")}
	must(t, os.Mkdir(h.spool, 0o700))
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), access.Schema(), hub.Schema(), bus.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	h.db = d
	start := time.Now()
	now := func() time.Time { return start.Add(time.Duration(h.clock.Load()) * time.Second) }
	h.hub, err = hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d), Account: account, Region: "us-east-1", Now: now})
	must(t, err)
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	must(t, err)
	a := access.New(access.Config{DB: d, Sealer: sealer, Account: account, Folder: dir})
	must(t, a.CreateUser(t.Context(), "pipeline", access.Administrator))
	must(t, a.CreateUser(t.Context(), "weak"))
	token := func(user string) string {
		_, value, err := a.CreateToken(t.Context(), user, access.Intake)
		must(t, err)
		return value.Reveal()
	}
	must(t, a.CreateUser(t.Context(), "lee", access.Developer))
	h.token, h.weak, h.developer = token("pipeline"), token("weak"), token("lee")
	id, secret, err := a.CreateKey(t.Context(), "pipeline")
	must(t, err)
	server := httptest.NewServer(reports.Handler(reports.Config{Hub: h.hub, Access: a, Maker: finding.Maker{Account: account, Region: "us-east-1"}, Salt: []byte("salt"), Folder: h.spool}))
	t.Cleanup(server.Close)
	h.url = server.URL
	h.client = &remote.Client{Endpoint: server.URL, Region: "us-east-1", Key: id, Secret: secret, HTTP: server.Client(), Now: time.Now}
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send posts a report with a token, and answers what came of it.
func (h *house) send(token, query string, text []byte) (int, reports.Answer, string) {
	h.t.Helper()
	h.clock.Add(60)
	r, err := http.NewRequest("POST", h.url+reports.Path+"?"+query, bytes.NewReader(text))
	must(h.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	must(h.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(h.t, err)
	var a reports.Answer
	if resp.StatusCode == http.StatusOK {
		must(h.t, json.Unmarshal(body, &a))
	}
	return resp.StatusCode, a, string(body)
}

func (h *house) imports(query string, text []byte) reports.Answer {
	h.t.Helper()
	status, a, body := h.send(h.token, query, text)
	if status != http.StatusOK {
		h.t.Fatalf("%s: %d %s", query, status, body)
	}
	return a
}

// events is how many events there are on the bus.
func (h *house) events() (n int64) {
	h.t.Helper()
	must(h.t, h.db.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM bus_events")
		return err
	}))
	return n
}

func (h *house) present(target, branch string) map[string]finding.Finding {
	h.t.Helper()
	list, err := h.hub.Present(h.t.Context(), target, branch)
	must(h.t, err)
	all := map[string]finding.Finding{}
	for _, f := range list {
		all[f.ID] = f
	}
	return all
}

const semgrep = `{"version":"1","errors":[],"results":[{"check_id":"a.b","path":"x.py","start":{"line":1},"extra":{"severity":"ERROR","message":"m"}}],"paths":{}}`

// Nobody and the wrong one are refused before a byte of the report is kept; a signature and a token let in.
func TestWhoMay(t *testing.T) {
	h := build(t)
	for token, want := range map[string]int{"": 403, "wrong": 403, h.weak: 403, h.token: 200} {
		if status, _, body := h.send(token, "target=shop", []byte(semgrep)); status != want {
			t.Errorf("%.5q: %d %s, want %d", token, status, body, want)
		}
	}
	var a reports.Answer
	must(t, h.client.Upload(t.Context(), "haechi", reports.Path+"?target=shop", strings.NewReader(semgrep), &a))
	if a.Findings != 1 || a.Unchanged != 1 {
		t.Errorf("signed: %+v", a)
	}
	wrong := *h.client
	wrong.Secret = "no"
	if err := wrong.Upload(t.Context(), "haechi", reports.Path+"?target=shop", strings.NewReader(semgrep), &a); fault.Of(err) != fault.Unauthenticated {
		t.Errorf("a wrong secret: %v", err)
	}
	if err := h.client.Upload(t.Context(), "securityhub", reports.Path+"?target=shop", strings.NewReader(semgrep), &a); fault.Of(err) != fault.Unauthenticated {
		t.Errorf("another service: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(h.spool, "report-*"))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%d reports are left on the disk", len(left))
	}
}

// What is asked for wrongly, or is no report, is said so.
func TestRefusals(t *testing.T) {
	h := build(t)
	for _, c := range []struct{ query, text, want string }{
		{"", semgrep, "target is required"},
		{"target=x&brnch=y", semgrep, `\"brnch\" is unknown`},
		{"target=x&preview=perhaps", semgrep, "preview is 1 or 0"},
		{"target=x&mapping={", semgrep, "the mapping"},
		{"target=x&mapping=" + url.QueryEscape(`{"tool":"t"}`), semgrep, "needs rule and title"},
		{"target=x", "", "it is empty"},
		{"target=x", "{", "the report is torn"},
		{"target=x", `{"hello":"world"}`, "no known tool writes"},
		{"target=x", "\x00\x01\x02", "NUL"},
	} {
		if status, _, body := h.send(h.token, c.query, []byte(c.text)); status != 400 || !strings.Contains(body, c.want) {
			t.Errorf("%s %.20q: %d %s, want %s", c.query, c.text, status, body, c.want)
		}
	}
	if n := h.events(); n != 0 {
		t.Errorf("%d events", n)
	}
}
