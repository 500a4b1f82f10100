package route_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// What a rule asks for is delivered once, signed, and with the rule's transform.
func TestWebhook(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, nil)
		n.rule("r", `{"source":["shop"],"detail":{"n":[{"numeric":[">",1]}]}}`, n.webhook("w", l.URL), func(rt *route.RuleTarget) {
			rt.Transformer = &route.Transformer{Paths: map[string]string{"n": "$.detail.n"}, Template: `{"number":<n>,"rule":"<aws.events.rule-name>"}`}
		})
		n.publish(custom("Order", `{"n":1}`), custom("Order", `{"n":2}`), custom("Order", `{"n":3}`))
		n.settled()
		got := l.until(t, 2)
		if len(got) != 2 {
			t.Fatalf("got %d requests, want 2", len(got))
		}
		bodies := map[string]bool{}
		for _, r := range got {
			bodies[string(r.body)] = true
			id, stamp := r.header.Get("webhook-id"), r.header.Get("webhook-timestamp")
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(webhookSecret, "whsec_"))
			mac := hmac.New(sha256.New, key)
			fmt.Fprintf(mac, "%s.%s.%s", id, stamp, r.body)
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.header.Get("webhook-signature") != want {
				t.Errorf("signature %s, want %s", r.header.Get("webhook-signature"), want)
			}
		}
		for _, want := range []string{`{"number":2,"rule":"r"}`, `{"number":3,"rule":"r"}`} {
			if !bodies[want] {
				t.Errorf("nobody got %s: %v", want, bodies)
			}
		}
		if n.count(route.Delivered) != 2 {
			t.Errorf("%d deliveries are done, want 2", n.count(route.Delivered))
		}
	})
}

// A receiver whose answer is lost gets the delivery again, with the same id.
func TestLostAnswerRepeatsWithTheSameID(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if k == 1 {
				panic(http.ErrAbortHandler) // cuts the connection
			}
		})
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		n.publish(custom("Order", `{}`))
		got := l.until(t, 2)
		n.settled()
		if a, b := got[0].header.Get("webhook-id"), got[1].header.Get("webhook-id"); a != b || a == "" {
			t.Errorf("ids %q and %q differ", a, b)
		}
		log, _, err := n.Log(t.Context(), route.LogQuery{}, route.Page{})
		if err != nil || len(log) != 1 || log[0].Attempts != 2 || log[0].State != route.Delivered || log[0].ID != got[0].header.Get("webhook-id") {
			t.Errorf("log %+v, %v", log, err)
		}
	})
}

// A receiver that says when to come again is left alone until then.
func TestRetryAfter(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if k == 1 {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		n.publish(custom("Order", `{}`))
		l.until(t, 1)
		n.publish(custom("Order", `{}`)) // another one does not get through earlier
		got := l.until(t, 3)
		for _, r := range got[1:] {
			if gap := r.at.Sub(got[0].at); gap < 1900*time.Millisecond {
				t.Errorf("asked again after %s", gap)
			}
		}
	})
}

// A target that takes its time holds up nobody else.
func TestSlowTargetHoldsUpNobody(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		release := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		defer slow.Close()
		defer close(release)
		fast := listen(t, nil)
		n.rule("slow", `{"source":["shop"]}`, n.webhook("slow", slow.URL))
		n.rule("fast", `{"source":["shop"]}`, n.webhook("fast", fast.URL))
		var events []event.Event
		for i := range 100 {
			events = append(events, custom("Order", fmt.Sprintf(`{"n":%d}`, i)))
		}
		n.publish(events...)
		fast.until(t, 100)
	})
}

// What is refused for good, or too often, is a dead letter: listed, retried with
// the target as it is then, or thrown away.
func TestDeadLetters(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if !strings.Contains(string(r.body), "good") {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, "no such thing, "+webhookSecret)
			}
		})
		down := listen(t, func(k int, w http.ResponseWriter, r received) { w.WriteHeader(http.StatusInternalServerError) })
		arn := n.webhook("w", l.URL)
		n.rule("r", `{"source":["shop"]}`, arn)
		zero := 0
		n.rule("down", `{"source":["shop"]}`, n.webhook("down", down.URL), func(rt *route.RuleTarget) { rt.Retry = &route.RetryPolicy{Attempts: &zero} })
		n.publish(custom("Order", `{"n":1}`))
		n.settled()
		dead, _, err := n.Log(t.Context(), route.LogQuery{State: route.Dead}, route.Page{})
		if err != nil || len(dead) != 2 {
			t.Fatalf("dead letters: %+v, %v", dead, err)
		}
		for _, d := range dead {
			full, err := n.DeadLetter(t.Context(), d.ID)
			if err != nil {
				t.Fatal(err)
			}
			if full.Item.Event.Source != "shop" || full.Attributes["RETRY_ATTEMPTS"] != "0" {
				t.Errorf("dead letter %+v", full)
			}
			switch d.Rule {
			case "r":
				if d.Status != 400 || !strings.Contains(d.Answer, "no such thing") || strings.Contains(d.Answer, webhookSecret) {
					t.Errorf("answer %d %q", d.Status, d.Answer)
				}
			case "down":
				if d.Status != 500 || full.Attributes["EXHAUSTED_RETRY_CONDITION"] != "MaximumRetryAttempts" {
					t.Errorf("answer %+v %v", d, full.Attributes)
				}
			}
		}
		// The rule is mended, and the letter sent again.
		n.rule("r", `{"source":["shop"]}`, arn, func(rt *route.RuleTarget) { rt.Input = `{"all":"good"}` })
		if k, err := n.RetryDeadLetters(t.Context(), route.DeadLetterQuery{Target: arn}); k != 1 || err != nil {
			t.Fatalf("retried %d, %v", k, err)
		}
		n.settled()
		if got := n.count(route.Delivered); got != 1 {
			t.Errorf("%d delivered, want 1", got)
		}
		if k, err := n.PurgeDeadLetters(t.Context(), route.DeadLetterQuery{}); k != 1 || err != nil {
			t.Errorf("purged %d, %v", k, err)
		}
	})
}

// What was folded is delivered after a restart, and nothing twice that was taken.
func TestRestartLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		block := make(chan struct{})
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if k > 20 {
				select {
				case <-block:
				case <-time.After(10 * time.Second):
				}
			}
		})
		first := start(t, open)
		first.rule("r", `{"source":["shop"]}`, first.webhook("w", l.URL))
		var events []event.Event
		for i := range 60 {
			events = append(events, custom("Order", fmt.Sprintf(`{"n":%d}`, i)))
		}
		first.publish(events...)
		l.until(t, 25)
		first.stop() // in the middle of eight deliveries
		first.db.Close()
		close(block)
		second := start(t, open)
		second.settled()
		ids := map[string]int{}
		for _, r := range l.all() {
			ids[r.header.Get("webhook-id")]++
		}
		if len(ids) != 60 {
			t.Errorf("%d different deliveries, want 60", len(ids))
		}
		repeats := 0
		for _, k := range ids {
			repeats += k - 1
		}
		if repeats > 8 {
			t.Errorf("%d repeats, but only 8 were on their way", repeats)
		}
	})
}

// Two nodes share the work: everything is delivered once.
func TestTwoNodes(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		l := listen(t, nil)
		a := start(t, open)
		if !a.db.Postgres() {
			t.Skip("one process at a time")
		}
		b := start(t, open)
		for i := range 10 {
			a.rule(fmt.Sprint("r", i), `{"source":["shop"]}`, a.webhook(fmt.Sprint("w", i), l.URL))
		}
		for i := range 30 {
			[]*node{a, b}[i%2].publish(custom("Order", fmt.Sprintf(`{"n":%d}`, i)))
		}
		a.settled()
		ids := map[string]int{}
		for _, r := range l.until(t, 300) {
			ids[r.header.Get("webhook-id")]++
		}
		if len(ids) != 300 || len(l.all()) != 300 {
			t.Errorf("%d requests with %d ids, want 300 each", len(l.all()), len(ids))
		}
	})
}

// The secrets of targets are in no log, no delivery log and no listing.
func TestSecretsStaySecret(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "no access for "+r.path)
		})
		const token = "T0secretB0secretXXsecret"
		hook := n.slack("s", l.URL+"/services/"+token)
		n.rule("r", `{"source":["shop"]}`, hook)
		gone := n.slack("gone", "http://127.0.0.1:1/services/"+token)
		n.rule("gone", `{"source":["shop"]}`, gone)
		n.publish(custom("Order", `{}`))
		eventually(t, "two refusals", func() bool { return strings.Count(n.log.String(), "a delivery was not taken") >= 2 })
		log, _, err := n.Log(t.Context(), route.LogQuery{}, route.Page{})
		if err != nil {
			t.Fatal(err)
		}
		list, err := n.Receivers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := list[0].Secrets["url"]; !ok {
			t.Error("the listing does not say that there is a secret")
		}
		for what, text := range map[string]string{"log": n.log.String(), "delivery log": fmt.Sprintf("%+v", log), "listing": fmt.Sprintf("%+v %#v", list, list)} {
			if strings.Contains(text, token) {
				t.Errorf("the %s tells the secret: %s", what, text)
			}
		}
	})
}

// An event goes on to another bus, and around a circle of buses once.
func TestBusTargetsAndLoops(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, nil)
		for _, name := range []string{"a", "b"} {
			must(t)(n.CreateBus(t.Context(), route.EventBus{Name: name}))
		}
		put := func(bus, name, arn string) {
			t.Helper()
			must(t)(n.PutRule(t.Context(), route.Rule{Name: name, Bus: bus, Pattern: `{"source":["shop"]}`}, nil))
			if failed, err := n.PutTargets(t.Context(), bus, name, route.RuleTarget{ID: "t", ARN: arn}); err != nil || len(failed) > 0 {
				t.Fatal(err, failed)
			}
		}
		put("default", "to-a", n.BusARN("a"))
		put("a", "to-b", n.BusARN("b"))
		if loops, err := n.Loops(t.Context()); err != nil || len(loops) != 0 {
			t.Errorf("loops %v, %v, want none", loops, err)
		}
		put("b", "to-a", n.BusARN("a"))
		put("a", "tell", n.webhook("w", l.URL))
		loops, err := n.Loops(t.Context())
		if want := fmt.Sprint([][]string{{n.BusARN("a"), n.BusARN("b"), n.BusARN("a")}}); err != nil || fmt.Sprint(loops) != want {
			t.Errorf("loops %v, %v, want %s", loops, err, want)
		}
		if !strings.Contains(n.log.String(), "circle") {
			t.Error("nobody was warned")
		}
		e := custom("Order", `{}`)
		e.ID = bus.ID()
		n.publish(e)
		n.settled()
		if got := l.all(); len(got) != 1 || !strings.Contains(string(got[0].body), e.ID) {
			t.Errorf("got %d events, want one", len(got))
		}
	})
}

// A target can be tried before anything depends on it; what goes wrong is told without its secrets.
func TestTry(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			if k > 1 {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, "no access for "+r.path)
			}
		})
		n.slack("s", l.URL+"/hush-hush")
		if err := n.Try(t.Context(), "slack", "s"); err != nil || !strings.Contains(string(l.all()[0].body), "Haechi Test") {
			t.Errorf("%v %s", err, l.all()[0].body)
		}
		if err := n.Try(t.Context(), "slack", "s"); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "hush-hush") {
			t.Errorf("refused: %v", err)
		}
		n.slack("gone", "http://127.0.0.1:1/hush-hush")
		if err := n.Try(t.Context(), "slack", "gone"); !errors.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hush-hush") {
			t.Errorf("gone: %v", err)
		}
		if err := n.Try(t.Context(), "slack", "nobody"); !errors.Is(err, fault.NotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}
