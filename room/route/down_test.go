package route_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

// A target that is down is tried now and then, not with all that waits; when it is up again it gets everything.
func TestTargetDown(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		var up atomic.Bool
		var refused atomic.Int64
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if !up.Load() {
				refused.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		var events []event.Event
		for i := range 500 {
			events = append(events, custom("Order", fmt.Sprintf(`{"n":%d}`, i)))
		}
		n.publish(events...)
		eventually(t, "all to be waiting", func() bool { return n.count(route.Waiting) == 500 && refused.Load() > 8 })
		time.Sleep(500 * time.Millisecond)
		if k := refused.Load(); k >= 500 {
			t.Errorf("%d tries of a target that is down", k)
		}
		up.Store(true)
		n.settled()
		if k := n.count(route.Delivered); k != 500 {
			t.Errorf("%d delivered, want 500", k)
		}
	})
}

// What is too old when a target is still down becomes dead letters all at once.
func TestTooOld(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		c := newClock()
		n := start(t, openDB, c.use)
		l := listen(t, func(k int, w http.ResponseWriter, r received) { w.WriteHeader(http.StatusServiceUnavailable) })
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		var events []event.Event
		for i := range 300 {
			events = append(events, custom("Order", fmt.Sprintf(`{"n":%d}`, i)))
		}
		n.publish(events...)
		l.until(t, 8)
		eventually(t, "all to be waiting", func() bool { return n.count(route.Waiting) == 300 })
		c.pass(25 * time.Hour)
		eventually(t, "dead letters", func() bool { return n.count(route.Dead) == 300 })
		if k := len(l.all()); k > 290 {
			t.Errorf("%d tries", k)
		}
	})
}

// A receiver that sends us elsewhere is not followed.
func TestRedirectsAreNotFollowed(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		other := listen(t, nil)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(http.StatusFound)
		})
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		n.publish(custom("Order", `{}`))
		eventually(t, "a dead letter", func() bool { return n.count(route.Dead) == 1 })
		if len(other.all()) != 0 {
			t.Error("the redirect was followed")
		}
	})
}

// What waits for a target that is gone becomes a dead letter, and what it would have been told with it.
func TestReceiverGone(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		l := listen(t, func(k int, w http.ResponseWriter, r received) { w.WriteHeader(http.StatusServiceUnavailable) })
		hook := n.slack("s", l.URL)
		n.rule("r", allFindings, hook)
		n.publish(imported(open("x", finding.High)), imported(open("y", finding.High)))
		l.until(t, 1)
		if _, err := n.RemoveTargets(t.Context(), "", "r", "t"); err != nil {
			t.Fatal(err)
		}
		if err := n.DeleteReceiver(t.Context(), "slack", "s"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "dead letters", func() bool { return n.count(route.Dead) == 2 })
		n.slack("s", listen(t, nil).URL)
		if k, err := n.RetryDeadLetters(t.Context(), route.DeadLetterQuery{}); k != 2 || err != nil {
			t.Errorf("retried %d, %v", k, err)
		}
		n.settled()
		if k := n.count(route.Delivered); k != 2 {
			t.Errorf("%d delivered, want 2", k)
		}
	})
}

// In quiet hours CRITICAL findings are told of; the others wait.
func TestQuietHours(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		l := listen(t, nil)
		now := time.Now().UTC()
		n.rule("r", allFindings, n.slack("s", l.URL, func(c *route.Receiver) {
			c.Pacing.Quiet = route.Quiet{From: now.Add(-time.Hour).Format("15:04"), To: now.Add(time.Hour).Format("15:04")}
		}))
		n.publish(imported(open("high", finding.High)), imported(open("critical", finding.Critical)))
		got := l.until(t, 1)[0]
		if s := string(got.body); !strings.Contains(s, "problem critical") || strings.Contains(s, "problem high") {
			t.Errorf("message %s", s)
		}
		eventually(t, "one that waits", func() bool { return n.count(route.Waiting) == 1 && n.count(route.Delivered) == 1 })
	})
}

// Routes are listed with all that belongs to them, page by page.
func TestRoutes(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := prepare(t, openDB)
		must(t)(n.CreateBus(t.Context(), route.EventBus{Name: "a/b"}))
		must(t)(n.PutRule(t.Context(), route.Rule{Name: "x", Bus: "a/b", Pattern: `{"a":["b"]}`}, nil))
		must(t)(n.PutRule(t.Context(), route.Rule{Name: "s", Schedule: "rate(1 day)"}, map[string]string{"k": "v"}))
		n.rule("r", `{"a":["b"]}`, n.webhook("w", "https://example.com"))
		var got []string
		for after := ""; ; {
			list, next, err := n.Routes(t.Context(), route.Page{After: after, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				got = append(got, fmt.Sprint(r.Bus, "/", r.Name, " ", len(r.Targets), " ", r.Tags["k"], " ", !r.Next.IsZero()))
			}
			if after = next; after == "" {
				break
			}
		}
		if want := "a/b/x 0  false|default/r 1  false|default/s 0 v true"; strings.Join(got, "|") != want {
			t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
		}
	})
}

// Killed at any moment, the router delivers everything that was published, and
// what comes twice bears the same id.
func TestKilled(t *testing.T) {
	if url := os.Getenv("HAECHI_ROUTE_CHILD"); url != "" {
		child(t, url)
		return
	}
	t.Parallel()
	for name, address := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "state.db") },
		"postgres": func() string { return dbtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) { kill(t, address()) })
	}
}

func kill(t *testing.T, url string) {
	l := listen(t, nil)
	d, err := db.Open(t.Context(), url, bus.Schema(), route.Schema())
	if err != nil {
		t.Fatal(err)
	}
	n := prepare(t, func(...db.Schema) *db.DB { return d })
	n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
	d.Close()
	key, _ := keys.Load(t.Name())
	published := map[string]bool{}
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
		cmd.Env = append(os.Environ(), "HAECHI_ROUTE_CHILD="+url, "HAECHI_ROUTE_KEY="+key.(string), fmt.Sprint("HAECHI_ROUTE_ROUND=", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for said := 0; said < 10+7*round && lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "published "); ok {
				published[id] = true
				said++
			}
		}
		cmd.Process.Kill()
		for lines.Scan() { // what it said before it died counts
			if id, ok := strings.CutPrefix(lines.Text(), "published "); ok && len(id) == 36 {
				published[id] = true
			}
		}
		_ = cmd.Wait()
	}
	last := start(t, func(...db.Schema) *db.DB {
		d, err := db.Open(t.Context(), url, bus.Schema(), route.Schema())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}, func(c *route.Config) { c.Node = "child" })
	last.settled()
	events, ids := map[string]string{}, map[string]bool{}
	for _, r := range l.all() {
		_, after, _ := strings.Cut(string(r.body), `"id":"`)
		id := after[:36]
		if was := events[id]; was != "" && was != r.header.Get("webhook-id") {
			t.Errorf("event %s came as %s and as %s", id, was, r.header.Get("webhook-id"))
		}
		events[id] = r.header.Get("webhook-id")
		ids[r.header.Get("webhook-id")] = true
	}
	if len(published) < 100 {
		t.Fatalf("only %d events were published", len(published))
	}
	for id := range published {
		if events[id] == "" {
			t.Errorf("event %s was never delivered", id)
		}
	}
	if len(ids) != len(events) {
		t.Errorf("%d ids for %d events", len(ids), len(events))
	}
}

// child runs a router and publishes until it is killed.
func child(t *testing.T, url string) {
	keys.Store(t.Name(), os.Getenv("HAECHI_ROUTE_KEY"))
	n := start(t, func(...db.Schema) *db.DB {
		d, err := db.Open(context.Background(), url, bus.Schema(), route.Schema())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}, func(c *route.Config) { c.Node = "child" })
	for i := range 10000 {
		e := custom("Order", fmt.Sprintf(`{"n":%d}`, i))
		e.ID = bus.ID()
		n.publish(e)
		fmt.Println("published", e.ID)
	}
}
