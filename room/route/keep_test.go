package route_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// The delivery log is read page by page, the newest first, and by what one asks for.
func TestLogPages(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, nil)
		n.rule("a", `{"source":["shop"]}`, n.webhook("a", l.URL))
		n.rule("b", `{"source":["shop"],"detail":{"n":[0]}}`, n.webhook("b", l.URL))
		var events []event.Event
		for i := range 25 {
			events = append(events, custom("Order", fmt.Sprintf(`{"n":%d}`, i)))
		}
		n.publish(events...)
		n.settled()
		seen := map[string]bool{}
		var last time.Time
		for after := ""; ; {
			page, next, err := n.Log(t.Context(), route.LogQuery{Rule: "a", State: route.Delivered}, route.Page{After: after, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				if seen[e.ID] || e.Rule != "a" || !last.IsZero() && e.Created.After(last) {
					t.Errorf("entry %+v after %s", e, last)
				}
				seen[e.ID], last = true, e.Created
			}
			if after = next; after == "" {
				break
			}
		}
		if len(seen) != 25 {
			t.Errorf("%d entries, want 25", len(seen))
		}
		one, _, err := n.Log(t.Context(), route.LogQuery{Target: n.ReceiverARN("webhook", "b"), Bus: "default"}, route.Page{})
		if err != nil || len(one) != 1 {
			t.Fatalf("%+v, %v", one, err)
		}
		if both, _, err := n.Log(t.Context(), route.LogQuery{Event: one[0].EventID}, route.Page{}); err != nil || len(both) != 2 {
			t.Errorf("of one event: %+v, %v", both, err)
		}
		for _, q := range []func() error{
			func() error { _, _, err := n.Log(t.Context(), route.LogQuery{State: "gone"}, route.Page{}); return err },
			func() error {
				_, _, err := n.Log(t.Context(), route.LogQuery{}, route.Page{After: "nonsense"})
				return err
			},
			func() error { _, _, err := n.Routes(t.Context(), route.Page{After: "nonsense"}); return err },
		} {
			if err := q(); !errors.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// What is older than it is kept goes: finished deliveries and archived events; what waits stays.
func TestForget(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		c := newClock()
		n := start(t, open, c.use)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if r.path == "/bad" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		for name, days := range map[string]int{"week": 7, "ever": 0} {
			if _, err := n.CreateArchive(t.Context(), route.Archive{Name: name, Days: days}); err != nil {
				t.Fatal(err)
			}
		}
		n.rule("good", `{"source":["shop"]}`, n.webhook("good", l.URL+"/good"))
		n.rule("bad", `{"source":["shop"]}`, n.webhook("bad", l.URL+"/bad"))
		e := custom("Order", `{}`)
		e.Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		n.publish(e)
		eventually(t, "one delivered, one refused", func() bool { return n.count(route.Delivered) == 1 && len(l.all()) >= 2 })
		n.stop() // what waits is not tried again meanwhile
		c.pass(31 * 24 * time.Hour)
		if err := n.ForgetForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a, b := n.count(route.Delivered), n.count(route.Waiting); a != 0 || b != 1 {
			t.Errorf("%d delivered and %d waiting are kept, want 0 and 1", a, b)
		}
		for name, want := range map[string]int64{"week": 0, "ever": 1} {
			if a, err := n.Archive(t.Context(), name); err != nil || a.Events != want {
				t.Errorf("archive %s has %d events, want %d; %v", name, a.Events, want, err)
			}
		}
	})
}

// A node that hangs loses its queue to another; what it says afterwards does not count.
func TestHangingNodeLosesItsQueue(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if k == 1 {
				<-release
				w.WriteHeader(http.StatusBadRequest) // would be a dead letter
			}
		})
		slow := newClock()
		a := start(t, open, slow.use)
		if !a.db.Postgres() {
			close(release)
			return // there is one process at a time
		}
		a.rule("r", `{"source":["shop"]}`, a.webhook("w", l.URL))
		a.publish(custom("Order", `{}`))
		l.until(t, 1)
		fast := newClock()
		fast.pass(time.Minute)
		start(t, open, fast.use)
		got := l.until(t, 2)
		eventually(t, "one delivered", func() bool { return a.count(route.Delivered) == 1 })
		close(release)
		a.stop()
		if a, b := got[0].header.Get("webhook-id"), got[1].header.Get("webhook-id"); a != b {
			t.Errorf("ids %s and %s", a, b)
		}
		log, _, err := a.Log(t.Context(), route.LogQuery{}, route.Page{})
		if err != nil || len(log) != 1 || log[0].State != route.Delivered || log[0].Attempts != 1 {
			t.Errorf("log %+v, %v", log, err)
		}
	})
}

// Calls that only read are seen by rules that ask for them by their state, and by no others.
func TestReadingCalls(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, nil)
		n.rule("r", `{"source":["aws.s3"]}`, n.webhook("w", l.URL))
		call := func(name string) event.Event {
			return event.Event{Source: "aws.s3", Type: "AWS API Call via CloudTrail", Detail: []byte(`{"eventName":"` + name + `"}`)}
		}
		n.publish(call("ListBuckets"), call("DeleteBucket"))
		n.settled()
		if k := len(l.all()); k != 1 {
			t.Errorf("%d events, want 1", k)
		}
		if err := n.SetState(t.Context(), "", "r", route.EnabledWithReads); err != nil {
			t.Fatal(err)
		}
		n.publish(call("ListBuckets"))
		n.settled()
		if k := len(l.all()); k != 2 {
			t.Errorf("%d events, want 2", k)
		}
		if err := n.SetState(t.Context(), "", "r", route.Disabled); err != nil {
			t.Fatal(err)
		}
		n.publish(call("DeleteBucket"))
		n.settled()
		if k := len(l.all()); k != 2 {
			t.Errorf("%d events, want 2", k)
		}
		if err := n.SetState(t.Context(), "", "x", route.Enabled); !errors.Is(err, fault.NotFound) {
			t.Errorf("no rule: %v", err)
		}
	})
}

// Connections, destinations, archives, replays, buses and tags are made, changed, listed and deleted.
func TestLifeOfEverything(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open)
		ctx := t.Context()
		check := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		basic := route.AuthParameters{Basic: &route.BasicAuth{Username: "u", Password: "hush"}}
		c, err := n.CreateConnection(ctx, route.Connection{Name: "c", Type: "BASIC", Auth: basic})
		check("connection", err)
		if _, err := n.CreateConnection(ctx, route.Connection{Name: "c", Type: "BASIC", Auth: basic}); !errors.Is(err, fault.Exists) {
			t.Errorf("twice: %v", err)
		}
		c, err = n.UpdateConnection(ctx, "c", func(c *route.Connection) {
			if c.Auth.Basic.Password != "hush" {
				t.Error("a change does not see the password")
			}
			c.Description = "d"
		})
		check("change", err)
		if got, err := n.Connection(ctx, "c"); err != nil || got.Description != "d" || got.Auth.Basic.Password != "" {
			t.Errorf("%+v %v", got, err)
		}
		_, err = n.CreateDestination(ctx, route.Destination{Name: "d", Connection: c.ARN, Endpoint: "https://example.com", Method: "POST"})
		check("destination", err)
		_, err = n.UpdateDestination(ctx, "d", func(d *route.Destination) { d.Rate = 7 })
		check("change", err)
		if list, next, err := n.Destinations(ctx, "", c.ARN, route.Page{}); err != nil || len(list) != 1 || list[0].Rate != 7 || next != "" {
			t.Errorf("%+v %q %v", list, next, err)
		}
		if list, _, err := n.Connections(ctx, "x", route.Page{}); err != nil || len(list) != 0 {
			t.Errorf("%+v %v", list, err)
		}
		_, err = n.DeleteConnection(ctx, "c")
		check("delete", err)
		check("delete", n.DeleteDestination(ctx, "d"))
		if err := n.DeleteDestination(ctx, "d"); !errors.Is(err, fault.NotFound) {
			t.Errorf("twice: %v", err)
		}

		_, err = n.CreateArchive(ctx, route.Archive{Name: "a"})
		check("archive", err)
		_, err = n.UpdateArchive(ctx, "a", func(a *route.Archive) { a.Days, a.Bus = 3, "elsewhere" })
		check("change", err)
		if list, _, err := n.Archives(ctx, "", "default", route.Page{}); err != nil || len(list) != 1 || list[0].Days != 3 {
			t.Errorf("%+v %v", list, err)
		}
		_, err = n.StartReplay(ctx, route.Replay{Name: "p", Archive: "a", From: time.Unix(0, 0), To: time.Unix(1, 0)})
		check("replay", err)
		_, err = n.CancelReplay(ctx, "p")
		check("cancel", err)
		if list, _, err := n.Replays(ctx, "", "a", "CANCELLING", route.Page{}); err != nil || len(list) != 1 {
			t.Errorf("%+v %v", list, err)
		}
		check("delete", n.DeleteArchive(ctx, "a"))

		arn := must(t)(n.CreateBus(ctx, route.EventBus{Name: "b", Tags: map[string]string{"x": "1"}}))
		check("tag", n.Tag(ctx, arn, map[string]string{"y": "2"}))
		check("untag", n.Untag(ctx, arn, []string{"x"}))
		if tags, err := n.Tags(ctx, arn); err != nil || fmt.Sprint(tags) != "map[y:2]" {
			t.Errorf("%v %v", tags, err)
		}
		if err := n.Tag(ctx, arn, map[string]string{"aws:x": "2"}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
		if _, err := n.Tags(ctx, "arn:aws:s3:::b"); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
		check("change", n.UpdateBus(ctx, "b", func(b *route.EventBus) error { b.Policy = []byte(`{"Statement":[]}`); return nil }))
		if b, err := n.EventBus(ctx, arn); err != nil || string(b.Policy) != `{"Statement":[]}` {
			t.Errorf("%+v %v", b, err)
		}
		if err := n.UpdateBus(ctx, "b", func(b *route.EventBus) error { b.Policy = []byte(`[]`); return nil }); !errors.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
	})
}
