package forge_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/forge"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// works is the door in front of real pipelines, with a repository that has one commit.
type works struct {
	*testing.T
	*httptest.Server
	runs *pipeline.Pipelines
}

func pipelines(t *testing.T) *works {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), bus.Schema(), hub.Schema(), source.Schema(), work.Schema(), pipeline.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	river := bus.New(d, bus.Config{Poll: 20 * time.Millisecond})
	kept, err := hub.New(t.Context(), hub.Config{DB: d, Bus: river, Account: "111122223333", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	repositories := source.New(source.Config{DB: d, Bus: river, Dir: filepath.Join(dir, "repos"), Account: "111122223333", Region: "us-east-1", Log: quiet})
	if _, err := repositories.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	repo, err := repositories.Git("shop")
	if err != nil {
		t.Fatal(err)
	}
	clone := gittest.New(t)
	clone.Commit("one", map[string]string{"a.txt": "1"})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	if err := repositories.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &works{T: t}
	w.runs = pipeline.New(pipeline.Config{DB: d, Bus: river, Queue: work.New(work.Config{DB: d, Poll: 20 * time.Millisecond, Log: quiet}), Source: repositories, Hub: kept, Sealer: sealer, Account: "111122223333", Region: "us-east-1", Log: quiet})
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = w.runs.Run(ctx) })
	t.Cleanup(func() { cancel(); wait.Wait() })
	w.Server = httptest.NewServer(forge.Handler(forge.Config{Pipelines: w.runs, Log: quiet, SourceIP: func(r *http.Request) string { return r.Header.Get("From") }}))
	t.Cleanup(w.Close)
	return w
}

// put makes a webhook of shop's own pipeline, and tells its address.
func (w *works) put(h pipeline.Hook, secret seal.Secret) string {
	w.Helper()
	h.Pipeline, h.Action = "shop", "Source"
	made, err := w.runs.PutHook(w.Context(), h, secret)
	if err != nil {
		w.Fatal(err)
	}
	return w.URL + forge.PipelinePrefix + made.Token.Reveal()
}

func (w *works) post(address, body string, headers ...string) (int, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, address, bytes.NewReader([]byte(body)))
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (w *works) count() int {
	w.Helper()
	all, err := w.runs.Executions(w.Context(), pipeline.Query{Pipeline: "shop"})
	if err != nil {
		w.Fatal(err)
	}
	return len(all)
}

func hmacOf(sum []byte) string { return hex.EncodeToString(sum) }

// A webhook starts its pipeline for whoever proves itself as it asks, with a body that passes its filters, and for nobody else.
func TestPipelineHooks(t *testing.T) {
	w := pipelines(t)
	const push = `{"ref":"refs/heads/main","repository":{"name":"shop"},"commits":[{"added":["a"]},{"added":["docs/b"]}]}`
	signed := w.put(pipeline.Hook{Name: "signed", Proof: pipeline.ByHMAC, Filters: []pipeline.HookFilter{{Path: "$.ref", Equals: "refs/heads/main"}, {Path: "$.repository.name", Equals: "{RepositoryName}"}, {Path: "$.commits[*].added[*]", Equals: "docs/b"}}}, secret)
	near := w.put(pipeline.Hook{Name: "near", Proof: pipeline.ByIP, Range: "192.0.2.0/24", Filters: []pipeline.HookFilter{{Path: "$.ok"}}}, "")
	open := w.put(pipeline.Hook{Name: "open", Proof: pipeline.ByNone}, "")
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(push))
	good := "sha256=" + hmacOf(m.Sum(nil))
	old := hmac.New(sha1.New, []byte(secret))
	old.Write([]byte(push))
	sha := "sha1=" + hmacOf(old.Sum(nil))
	side := strings.Replace(push, "heads/main", "heads/side", 1)
	other := hmac.New(sha256.New, []byte(secret))
	other.Write([]byte(side))
	for deadline := time.Now().Add(20 * time.Second); w.count() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the push starts no run")
		}
	}
	runs := 1
	for _, c := range []struct {
		what, address, body string
		headers             []string
		status, starts      int
	}{
		{"signed", signed, push, []string{"X-Hub-Signature-256", good, "X-GitHub-Delivery", "1"}, 202, 1},
		{"the same delivery", signed, push, []string{"X-Hub-Signature-256", good, "X-GitHub-Delivery", "1"}, 202, 0},
		{"signed as it once was", signed, push, []string{"X-Hub-Signature", sha}, 202, 1},
		{"the old signature does not help a wrong new one", signed, push, []string{"X-Hub-Signature", sha, "X-Hub-Signature-256", "sha256=00"}, 403, 0},
		{"unsigned", signed, push, nil, 403, 0},
		{"another body", signed, push + " ", []string{"X-Hub-Signature-256", good}, 403, 0},
		{"a body that the filters do not let through", signed, side, []string{"X-Hub-Signature-256", "sha256=" + hmacOf(other.Sum(nil))}, 200, 0},
		{"a ping", signed, push, []string{"X-Hub-Signature-256", good, "X-GitHub-Event", "ping"}, 200, 0},
		{"from near", near, `{"ok":null}`, []string{"From", "192.0.2.7"}, 202, 1},
		{"from near, with a port", near, `{"ok":1}`, []string{"From", "[::ffff:192.0.2.7]:1234"}, 202, 1},
		{"from far", near, `{"ok":1}`, []string{"From", "198.51.100.7"}, 403, 0},
		{"from nowhere", near, `{"ok":1}`, nil, 403, 0},
		{"without what is asked for", near, `{}`, []string{"From", "192.0.2.7"}, 200, 0},
		{"whoever knows the address", open, `1`, nil, 202, 1},
		{"no JSON", open, `ref=main`, nil, 400, 0},
		{"JSON in a form", open, `payload=%7B%7D`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 202, 1},
		{"too much", open, strings.Repeat(" ", 5<<20+1), nil, 413, 0},
		{"no such address", open + "x", `1`, nil, 403, 0},
		{"no address", w.URL + forge.PipelinePrefix, `1`, nil, 403, 0},
	} {
		status, text := w.post(c.address, c.body, c.headers...)
		runs += c.starts
		if n := w.count(); status != c.status || n != runs {
			t.Errorf("%s: %d %s, %d runs, want %d and %d", c.what, status, text, n, c.status, runs)
			runs = n
		}
	}
	all, err := w.runs.Executions(t.Context(), pipeline.Query{Pipeline: "shop"})
	if err != nil || all[0].Trigger != (pipeline.Trigger{Type: "Webhook", Detail: "arn:aws:codepipeline:us-east-1:111122223333:webhook:open"}) || all[0].Branch != "main" {
		t.Errorf("%+v %v", all[0].Trigger, err)
	}
	if response, err := http.Get(open); err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Error(response, err)
	}
	if err := w.runs.DeleteHook(t.Context(), "open"); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.post(open, "1"); status != 403 {
		t.Error("a webhook that was deleted:", status)
	}
	h, err := w.runs.Hook(t.Context(), "signed")
	if err != nil || h.Triggered.IsZero() || h.Code != "" {
		t.Errorf("%+v %v", h, err)
	}
}
