package route_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

const allFindings = `{"source":["aws.securityhub"]}`

// Ten thousand findings, in two halves, make three messages at most, each within
// Slack's limits, and every one of them is told of and marked.
func TestTenThousandFindings(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		var told notes
		c := newClock()
		n := start(t, openDB, c.use, func(c *route.Config) { c.Notify = told.notify })
		l := listen(t, nil)
		n.rule("r", allFindings, n.slack("s", l.URL, func(c *route.Receiver) { c.Pacing = route.Pacing{} }))
		for half := range 2 {
			for at := half * many / 2; at < (half+1)*many/2; at += 500 {
				n.publish(storm(at, 500)...)
			}
			eventually(t, "all to be waiting", func() bool { return n.count(route.Waiting) == many/2 })
			c.pass(10 * time.Second) // what one second would do for the first message, a storm needs for the second
			eventually(t, "none to be waiting", func() bool { return n.count(route.Waiting) == 0 })
		}
		eventually(t, "all to be marked", func() bool { return len(strings.Fields(told.String())) >= many })
		got := l.all()
		if len(got) > 3 {
			t.Errorf("%d messages, want at most 3", len(got))
		}
		sum := 0
		for _, r := range got {
			checkSlack(t, r.body)
			var k int
			var m struct {
				Text string `json:"text"`
			}
			if err := json.Unmarshal(r.body, &m); err != nil {
				t.Fatal(err)
			}
			fmt.Sscanf(m.Text, "%d new findings", &k)
			sum += k
		}
		if sum != many {
			t.Errorf("the messages tell of %d findings, want %d", sum, many)
		}
		if k := n.count(route.Delivered); k != many {
			t.Errorf("%d delivered, want %d", k, many)
		}
	})
}

// storm is events about n findings with long texts, each a group of its own.
func storm(from, n int) (events []event.Event) {
	for i := range n {
		f := open(fmt.Sprint(from+i), finding.Labels[(from+i)%5])
		f.Title = strings.Repeat("long <title> & more ", 12)
		f.Resources = []finding.Resource{{Type: "AwsS3Bucket", ID: fmt.Sprint("arn:aws:s3:::bucket-", from+i)}}
		events = append(events, imported(f))
	}
	return events
}

// checkSlack holds a message against Slack's limits.
func checkSlack(t *testing.T, body []byte) {
	t.Helper()
	var m struct {
		Text   string `json:"text"`
		Blocks []struct {
			Type string `json:"type"`
			Text struct {
				Text string `json:"text"`
			} `json:"text"`
			Elements []struct {
				Text string `json:"text"`
			} `json:"elements"`
		} `json:"blocks"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	sum := 0
	for _, b := range m.Blocks {
		limit := map[string]int{"header": 150, "section": 3000}[b.Type]
		if b.Type != "context" && (len(b.Text.Text) == 0 || len(b.Text.Text) > limit) {
			t.Errorf("a %s has %d bytes", b.Type, len(b.Text.Text))
		}
		sum += len(b.Text.Text)
		for _, e := range b.Elements {
			sum += len(e.Text)
		}
	}
	if m.Text == "" || len(m.Text) > 4000 || len(m.Blocks) > 50 || sum > 9000 {
		t.Errorf("text %d, %d blocks, %d bytes", len(m.Text), len(m.Blocks), sum)
	}
}

// A finding is told of once for each time that it is new, and then marked;
// when it is resolved that is told too.
func TestOncePerPeriod(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		var told notes
		n := start(t, openDB, func(c *route.Config) { c.Notify = told.notify })
		l := listen(t, nil)
		hook := n.slack("s", l.URL)
		n.rule("high", `{"source":["aws.securityhub"],"detail":{"findings":{"Severity":{"Label":["HIGH"]},"Workflow":{"Status":["NEW"]}}}}`, hook)
		n.rule("all", allFindings, hook) // the same channel is told once, though two rules ask
		f := with(open("x", finding.High), finding.New)
		quiet := func(why string) {
			t.Helper()
			before := len(l.all())
			n.settled()
			if k := len(l.all()); k != before {
				t.Fatalf("%s: there were %d messages, now %d", why, before, k)
			}
		}
		n.publish(imported(f), imported(f))
		l.until(t, 1)
		n.publish(imported(f)) // before it is marked
		n.settled()
		n.publish(imported(with(f, finding.Notified)))
		quiet("after it was marked")
		if got := told.String(); got != "x" {
			t.Errorf("marked %q, want x", got)
		}
		n.publish(imported(f)) // new again
		l.until(t, 2)
		n.settled()
		n.publish(imported(with(f, finding.Notified)), imported(with(f, finding.Resolved)))
		if got := l.until(t, 3)[2]; !strings.Contains(string(got.body), "1 resolved") {
			t.Errorf("no notice that it is resolved: %s", got.body)
		}
		n.settled()
		n.publish(imported(with(f, finding.Resolved)))
		quiet("resolved twice")
		n.publish(imported(f)) // and open again
		l.until(t, 4)
		n.settled()
		n.publish(imported(with(f, finding.Suppressed)))
		quiet("suppressed")
	})
}

// Findings that could not be marked at first are marked later, and told of once.
func TestMarkedLater(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		var told notes
		var calls atomic.Int32
		c := newClock()
		n := start(t, openDB, c.use, func(c *route.Config) {
			c.Notify = func(ctx context.Context, ids []route.Identity) error {
				if calls.Add(1) < 3 {
					return errors.New("the hub is busy")
				}
				return told.notify(ctx, ids)
			}
		})
		l := listen(t, nil)
		n.rule("r", allFindings, n.slack("s", l.URL))
		n.publish(imported(open("x", finding.High)))
		eventually(t, "one that waits", func() bool { return n.count(route.Waiting) == 1 })
		for told.String() == "" {
			c.pass(5 * time.Second)
			time.Sleep(20 * time.Millisecond)
		}
		if k := len(l.all()); told.String() != "x" || k != 1 {
			t.Errorf("marked %q after %d messages", &told, k)
		}
	})
}

// A webhook can be told of a finding once for each time that it is new, too, each in a delivery of its own.
func TestWebhookOnce(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		var told notes
		n := start(t, openDB, func(c *route.Config) { c.Notify = told.notify })
		l := listen(t, nil)
		arn := must(t)(n.PutReceiver(t.Context(), route.Receiver{Kind: "webhook", Name: "w", Once: true, Settings: map[string]string{"url": l.URL}, Secrets: map[string]seal.Secret{"secret": webhookSecret}}))
		n.rule("r", allFindings, arn)
		f := open("x", finding.High)
		n.publish(imported(f), imported(open("y", finding.Low)), imported(f))
		l.until(t, 2)
		n.settled()
		n.publish(imported(with(f, finding.Notified)), imported(with(f, finding.Notified)), imported(with(f, finding.Resolved)))
		got := l.until(t, 3)
		n.settled()
		if len(l.all()) != 3 || !strings.Contains(string(got[2].body), `"RESOLVED"`) || len(strings.Fields(told.String())) != 2 {
			t.Errorf("%d requests, marked %q, the last %s", len(l.all()), &told, got[2].body)
		}
	})
}

// A control that has passed is nothing to be told of, and one that passes again is resolved.
func TestPassedControls(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		l := listen(t, nil)
		n.rule("r", allFindings, n.slack("s", l.URL))
		control := func(id, status string) finding.Finding {
			f := open(id, finding.High)
			f.Compliance = &finding.Compliance{Status: status}
			return f
		}
		n.publish(imported(control("good", finding.Passed)), imported(control("bad", finding.Failed)))
		if s := string(l.until(t, 1)[0].body); !strings.Contains(s, "problem bad") || strings.Contains(s, "problem good") {
			t.Errorf("message %s", s)
		}
		n.settled()
		n.publish(imported(control("bad", finding.Passed)))
		if s := string(l.until(t, 2)[1].body); !strings.Contains(s, "1 resolved") {
			t.Errorf("message %s", s)
		}
	})
}

// What is closed before it was told of is not told of; without notices nothing is said when it is resolved.
func TestClosedBeforeTold(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		l := listen(t, nil)
		n.rule("r", allFindings, n.slack("s", l.URL, func(c *route.Receiver) { c.Pacing.Silent = true; c.Pacing.Wait = route.Span(300 * time.Millisecond) }))
		a, b := open("a", finding.High), open("b", finding.High)
		n.publish(imported(a), imported(b), imported(with(a, finding.Resolved)))
		got := l.until(t, 1)
		if s := string(got[0].body); strings.Contains(s, "problem a") || !strings.Contains(s, "problem b") {
			t.Errorf("message %s", s)
		}
		n.settled()
		n.publish(imported(with(b, finding.Resolved)))
		n.settled()
		if k := len(l.all()); k != 1 {
			t.Errorf("%d messages, want 1", k)
		}
		if k := n.count(route.Dropped); k != 1 {
			t.Errorf("%d dropped, want 1", k)
		}
	})
}

// All events of one failed run of a pipeline make one message.
func TestFailedRunOnce(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB, func(c *route.Config) { c.Page = func(path string) string { return "https://console.example" + path } })
		l := listen(t, nil)
		n.rule("r", `{"source":["aws.codepipeline"],"detail":{"state":["FAILED"]}}`, n.slack("s", l.URL))
		run := func(kind, id, more string) event.Event {
			return event.Event{Source: "aws.codepipeline", Type: "CodePipeline " + kind + " Execution State Change", Detail: []byte(`{"pipeline":"shop","execution-id":"` + id + `","state":"FAILED"` + more + `}`)}
		}
		n.publish(run("Action", "1", ""))
		l.until(t, 1)
		n.publish(run("Stage", "1", ""), run("Pipeline", "1", `,"pipeline-execution-attempt":1.0`))
		n.settled()
		n.publish(run("Pipeline", "2", `,"number":7,"branch":"main","commit":"c0ffee1234","subject":"<b>add</b>","author":"Ada","path":"/runs/2","failed-stage":"Gate","reasons":[{"severity":"CRITICAL","text":"a key","where":"a.env:1"}],"reason-count":9`))
		got := l.until(t, 2)
		for _, want := range []string{"<https://console.example/runs/2|Pipeline shop #7: run failed at Gate>", `main c0ffee1 &lt;b&gt;add&lt;/b&gt; (Ada)\n• CRITICAL a key · a.env:1\nand 4 more`} {
			if !strings.Contains(string(got[1].body), want) {
				t.Errorf("%s is not in %s", want, got[1].body)
			}
		}
		n.publish(run("Pipeline", "2", `,"pipeline-execution-attempt":2.0`))
		l.until(t, 3)
		n.settled()
		if len(l.all()) != 3 || !strings.Contains(string(got[0].body), "Pipeline shop: run failed") {
			t.Errorf("%d messages: %s", len(l.all()), got[0].body)
		}
	})
}

// Texts of findings make no links, mentions or commands.
func TestSlackEscapes(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB, func(c *route.Config) {
			c.Link = func(f *finding.Finding) string { return "https://console.example/f" }
		})
		l := listen(t, nil)
		n.rule("r", allFindings, n.slack("s", l.URL))
		f := open("x", finding.Critical)
		f.Title = `<!channel> & <https://evil.example|click> | >`
		f.Remediation = &finding.Remediation{Recommendation: &finding.Recommendation{Text: "<@U1>"}}
		n.publish(imported(f))
		var m struct {
			Text   string `json:"text"`
			Blocks []struct {
				Text struct {
					Text string `json:"text"`
				} `json:"text"`
				Type string `json:"type"`
			} `json:"blocks"`
		}
		if err := json.Unmarshal(l.until(t, 1)[0].body, &m); err != nil {
			t.Fatal(err)
		}
		texts := []string{m.Text}
		for _, b := range m.Blocks {
			if b.Type == "section" {
				texts = append(texts, b.Text.Text)
			}
		}
		for _, s := range texts {
			s = strings.ReplaceAll(s, "<https://console.example/f|", "")
			s = strings.Replace(s, ">", "", 1) // of our own link
			if strings.Contains(s, "<") || strings.Contains(s, "@U1>") {
				t.Errorf("unescaped: %s", s)
			}
		}
	})
}

// What is snoozed is told of when the snooze ends, by itself or by hand.
func TestSnooze(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		l := listen(t, nil)
		hook := n.slack("s", l.URL)
		n.rule("r", allFindings, hook)
		if err := n.PutSnooze(t.Context(), route.Snooze{Target: hook, Until: time.Now().Add(time.Hour), By: "ada", Reason: "moving"}); err != nil {
			t.Fatal(err)
		}
		n.publish(imported(open("x", finding.High)), imported(open("y", finding.High)))
		eventually(t, "two waiting", func() bool { return n.count(route.Waiting) == 2 })
		time.Sleep(200 * time.Millisecond)
		if k := len(l.all()); k != 0 {
			t.Fatalf("%d messages in spite of the snooze", k)
		}
		list, err := n.Snoozes(t.Context())
		if err != nil || len(list) != 1 || list[0].By != "ada" {
			t.Errorf("snoozes %+v, %v", list, err)
		}
		if err := n.PutSnooze(t.Context(), route.Snooze{Target: hook, Until: time.Now().Add(-time.Hour)}); err == nil {
			t.Error("a snooze in the past was taken")
		}
		if err := n.EndSnooze(t.Context(), hook, ""); err != nil {
			t.Fatal(err)
		}
		if s := string(l.until(t, 1)[0].body); !strings.Contains(s, "2 new findings") {
			t.Errorf("message %s", s)
		}
		if err := n.PutSnooze(t.Context(), route.Snooze{Target: hook, Until: time.Now().Add(700 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		n.publish(imported(open("z", finding.High)))
		got := l.until(t, 2)
		if waited := got[1].at.Sub(begun); waited < 600*time.Millisecond {
			t.Errorf("told after %s", waited)
		}
	})
}

// With a token, a topic's changes go to its thread and its headline counts.
func TestSlackBotThreads(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		l := listen(t, func(k int, w http.ResponseWriter, r received) {
			fmt.Fprintf(w, `{"ok":true,"ts":"ts%d","channel":"C1"}`, k)
		})
		arn := must(t)(n.PutReceiver(t.Context(), route.Receiver{Kind: "slackbot", Name: "b", Settings: map[string]string{"channel": "C1", "api": l.URL + "/api"},
			Secrets: map[string]seal.Secret{"token": "xoxb-test"}, Pacing: route.Pacing{Wait: route.Span(50 * time.Millisecond)}}))
		n.rule("r", allFindings, arn)
		one, two := open("one", finding.High), open("two", finding.High)
		two.GeneratorID = one.GeneratorID // the same problem in the same place
		n.publish(imported(one))
		l.until(t, 1)
		n.settled()
		n.publish(imported(two))
		l.until(t, 3)
		n.settled()
		n.publish(imported(with(one, finding.Resolved)))
		got := l.until(t, 5)
		type call struct {
			Channel string `json:"channel"`
			Thread  string `json:"thread_ts"`
			TS      string `json:"ts"`
			Text    string `json:"text"`
		}
		var calls []call
		for i, r := range got {
			var c call
			if err := json.Unmarshal(r.body, &c); err != nil {
				t.Fatal(err)
			}
			if r.header.Get("Authorization") != "Bearer xoxb-test" || c.Channel != "C1" {
				t.Errorf("call %d: %v %+v", i, r.header, c)
			}
			calls = append(calls, c)
		}
		if got[0].path != "/api/chat.postMessage" || calls[0].Thread != "" {
			t.Errorf("first %s %+v", got[0].path, calls[0])
		}
		for _, i := range []int{1, 3} {
			if got[i].path != "/api/chat.postMessage" || calls[i].Thread != "ts1" || got[i+1].path != "/api/chat.update" || calls[i+1].TS != "ts1" {
				t.Errorf("change: %s %+v, %s %+v", got[i].path, calls[i], got[i+1].path, calls[i+1])
			}
		}
		if !strings.Contains(calls[2].Text, "2 open of 2") || !strings.Contains(calls[4].Text, "1 open of 2") {
			t.Errorf("headlines %q, %q", calls[2].Text, calls[4].Text)
		}
	})
}
