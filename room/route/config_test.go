package route_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

// PutRule replaces: what is not said becomes empty, tags and targets stay.
func TestPutRuleReplaces(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open)
		ctx := t.Context()
		first := route.Rule{Name: "r", Pattern: `{"source":["a"]}`, Schedule: "rate(5 minutes)", Description: "d", State: route.Disabled}
		arn := must(t)(n.PutRule(ctx, first, map[string]string{"team": "red"}))
		if want := "arn:aws:events:us-east-1:111122223333:rule/r"; arn != want {
			t.Errorf("arn %s, want %s", arn, want)
		}
		if failed, err := n.PutTargets(ctx, "default", "r", route.RuleTarget{ID: "t", ARN: n.webhook("w", "https://example.com")}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		must(t)(n.PutRule(ctx, route.Rule{Name: "r", Pattern: `{"source":["b"]}`}, map[string]string{"team": "blue"}))
		got, err := n.Rule(ctx, "", "r")
		if err != nil || got.Schedule != "" || got.Description != "" || got.State != route.Enabled || got.Pattern != `{"source":["b"]}` {
			t.Errorf("rule %+v, %v", got, err)
		}
		tags, err := n.Tags(ctx, arn)
		if err != nil || tags["team"] != "red" {
			t.Errorf("tags %v, %v", tags, err)
		}
		if targets, _, err := n.Targets(ctx, "", "r", route.Page{}); err != nil || len(targets) != 1 {
			t.Errorf("targets %v, %v", targets, err)
		}
		if err := n.DeleteRule(ctx, "", "r"); !errors.Is(err, fault.Invalid) {
			t.Errorf("deleting a rule with targets: %v", err)
		}
		if err := n.DeleteReceiver(ctx, "webhook", "w"); !errors.Is(err, fault.Conflict) {
			t.Errorf("deleting a target that is used: %v", err)
		}
		failed, err := n.RemoveTargets(ctx, "", "r", "t", "nobody")
		if err != nil || len(failed) != 1 || failed[0].TargetID != "nobody" {
			t.Errorf("removing: %v, %v", failed, err)
		}
		for range 2 { // a rule that is not there is fine
			if err := n.DeleteRule(ctx, "", "r"); err != nil {
				t.Error(err)
			}
		}
		if err := n.DeleteRule(ctx, "nowhere", "r"); !errors.Is(err, fault.NotFound) {
			t.Errorf("on no bus: %v", err)
		}
	})
}

func TestRulesRefused(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open)
		ctx := t.Context()
		for _, c := range []struct {
			rule route.Rule
			kind fault.Kind
			says string
		}{
			{route.Rule{Name: "r"}, fault.Invalid, "pattern or a schedule"},
			{route.Rule{Name: "a b", Pattern: `{"a":["b"]}`}, fault.Invalid, "name"},
			{route.Rule{Name: "r", Pattern: `{"a":"b"}`}, fault.Invalid, ""},
			{route.Rule{Name: "r", Pattern: `{`}, fault.Invalid, ""},
			{route.Rule{Name: "r", Pattern: `{"a":["b"]}`, State: "ON"}, fault.Invalid, "state"},
			{route.Rule{Name: "r", Schedule: "rate(1 minutes)"}, fault.Invalid, "minute"},
			{route.Rule{Name: "r", Pattern: `{"a":["b"]}`, Bus: "nowhere"}, fault.NotFound, "nowhere"},
			{route.Rule{Name: "r", Pattern: `{"a":["b"]}`, Description: strings.Repeat("x", 513)}, fault.Invalid, "description"},
		} {
			if _, err := n.PutRule(ctx, c.rule, nil); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: got %v, want %v that says %q", c.rule, err, c.kind, c.says)
			}
		}
		must(t)(n.PutRule(ctx, route.Rule{Name: "r", Pattern: `{"a":["b"]}`}, nil))
		many, short := 186, 59
		w := n.webhook("w", "https://example.com")
		for _, target := range []route.RuleTarget{
			{ID: "", ARN: w}, {ID: "t", ARN: ""}, {ID: "t", ARN: "nonsense"}, {ID: "t", ARN: "arn:aws:lambda:us-east-1:111122223333:function:f"},
			{ID: "t", ARN: n.ReceiverARN("webhook", "nobody")}, {ID: "t", ARN: n.BusARN("nowhere")}, {ID: "t", ARN: "arn:aws:events:us-east-1:111122223333:api-destination/x/1"},
			{ID: "t", ARN: w, Input: "{"}, {ID: "t", ARN: w, Input: "{}", InputPath: "$"}, {ID: "t", ARN: w, InputPath: "detail"},
			{ID: "t", ARN: w, Transformer: &route.Transformer{Template: "<x>"}},
			{ID: "t", ARN: w, Retry: &route.RetryPolicy{Attempts: &many}}, {ID: "t", ARN: w, Retry: &route.RetryPolicy{Age: &short}},
			{ID: "t", ARN: n.BusARN("default"), Input: "{}"},
		} {
			if failed, err := n.PutTargets(ctx, "", "r", target); err != nil || len(failed) != 1 || failed[0].Code == "" {
				t.Errorf("%+v: got %v, %v, want it refused", target, failed, err)
			}
		}
		if targets, _, _ := n.Targets(ctx, "", "r", route.Page{}); len(targets) != 0 {
			t.Errorf("targets %v", targets)
		}
	})
}

// A target with settings that cannot work is refused with what is wrong.
func TestReceiversRefused(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open, func(c *route.Config) { c.Commands = map[string]route.Command{"page": {Argv: []string{"/bin/true"}}} })
		for _, c := range []struct {
			receiver route.Receiver
			says     string
		}{
			{route.Receiver{Kind: "slak", Name: "x"}, `did you mean "slack"`},
			{route.Receiver{Kind: "slack", Name: "x"}, "needs url"},
			{route.Receiver{Kind: "slack", Name: "x", Settings: map[string]string{"url": "https://a"}}, "no setting"},
			{route.Receiver{Kind: "slack", Name: "x", Secrets: map[string]seal.Secret{"url": "ftp://a"}}, "https://"},
			{route.Receiver{Kind: "slack", Name: "x/y", Secrets: map[string]seal.Secret{"url": "https://a"}}, "name"},
			{route.Receiver{Kind: "slack", Name: "x", Secrets: map[string]seal.Secret{"url": "https://a"}, Pacing: route.Pacing{Quiet: route.Quiet{From: "25:00", To: "1"}}}, "quiet hours"},
			{route.Receiver{Kind: "slack", Name: "x", Secrets: map[string]seal.Secret{"url": "https://a"}, Pacing: route.Pacing{Quiet: route.Quiet{From: "22:00", To: "07:00", Zone: "Mars/Base"}}}, "time zone"},
			{route.Receiver{Kind: "webhook", Name: "x", Settings: map[string]string{"url": "https://u:p@a"}, Secrets: map[string]seal.Secret{"secret": webhookSecret}}, "password"},
			{route.Receiver{Kind: "webhook", Name: "x", Settings: map[string]string{"url": "https://a"}, Secrets: map[string]seal.Secret{"secret": "whsec_short"}}, "secret"},
			{route.Receiver{Kind: "command", Name: "x", Settings: map[string]string{"command": "pgae"}}, `did you mean "page"`},
			{route.Receiver{Kind: "email", Name: "x", Settings: map[string]string{"server": "m:25", "from": "a@b", "to": "a@b\r\nBcc: x@y"}}, "mail address"},
			{route.Receiver{Kind: "email", Name: "x", Settings: map[string]string{"server": "m", "from": "a@b", "to": "a@b"}}, "host:port"},
			{route.Receiver{Kind: "email", Name: "x", Settings: map[string]string{"server": "m:25", "from": "a@b", "to": "a@b", "tls": "none", "user": "u"}, Secrets: map[string]seal.Secret{"password": "p"}}, "without TLS"},
		} {
			if _, err := n.PutReceiver(t.Context(), c.receiver); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: got %v, want it to say %q", c.receiver, err, c.says)
			}
		}
	})
}

func TestBuses(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := prepare(t, open)
		ctx := t.Context()
		for _, name := range []string{"shop", "aaa"} {
			must(t)(n.CreateBus(ctx, route.EventBus{Name: name}))
		}
		if _, err := n.CreateBus(ctx, route.EventBus{Name: "shop"}); !errors.Is(err, fault.Exists) {
			t.Errorf("twice: %v", err)
		}
		if _, err := n.CreateBus(ctx, route.EventBus{Name: "default"}); !errors.Is(err, fault.Exists) {
			t.Errorf("default: %v", err)
		}
		names := func(prefix string, p route.Page) string {
			var list []string
			buses, next, err := n.Buses(ctx, prefix, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range buses {
				list = append(list, b.Name)
			}
			return strings.Join(append(list, next), " ")
		}
		for _, c := range []struct {
			prefix string
			page   route.Page
			want   string
		}{{"", route.Page{}, "aaa default shop "}, {"", route.Page{Limit: 2}, "aaa default default"}, {"", route.Page{Limit: 2, After: "default"}, "shop "}, {"s", route.Page{}, "shop "}, {"x", route.Page{}, ""}} {
			if got := names(c.prefix, c.page); got != c.want {
				t.Errorf("%+v: %q, want %q", c, got, c.want)
			}
		}
		must(t)(n.PutRule(ctx, route.Rule{Name: "r", Bus: "shop", Pattern: `{"a":["b"]}`}, nil))
		if err := n.DeleteBus(ctx, "shop"); !errors.Is(err, fault.Conflict) {
			t.Errorf("with a rule: %v", err)
		}
		if err := n.DeleteRule(ctx, "shop", "r"); err != nil {
			t.Fatal(err)
		}
		if err := n.DeleteBus(ctx, "shop"); err != nil {
			t.Error(err)
		}
		if err := n.DeleteBus(ctx, "default"); !errors.Is(err, fault.Invalid) {
			t.Errorf("default: %v", err)
		}
	})
}

// Each entry of PutEvents is judged for itself, in order.
func TestPutEvents(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		n := start(t, open)
		l := listen(t, nil)
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		good := route.Entry{Source: "shop", Type: "Order", Detail: `{"a":1}`, Resources: []string{"arn:x"}, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		change := func(f func(*route.Entry)) route.Entry { e := good; f(&e); return e }
		for want, e := range map[string]route.Entry{
			"":                                good,
			"InvalidArgument":                 change(func(e *route.Entry) { e.Source = "" }),
			"InvalidArgument ":                change(func(e *route.Entry) { e.Type = strings.Repeat("x", 129) }),
			"InvalidArgument  ":               change(func(e *route.Entry) { e.Bus = "nowhere" }),
			"InvalidArgument   ":              change(func(e *route.Entry) { e.Bus = "arn:aws:events:us-east-1:999999999999:event-bus/default" }),
			"NotAuthorizedForSourceException": change(func(e *route.Entry) { e.Source = "aws.s3" }),
			"MalformedDetail":                 change(func(e *route.Entry) { e.Detail = `[1]` }),
			"MalformedDetail ":                change(func(e *route.Entry) { e.Detail = `{"a":1} x` }),
			"MalformedDetail  ":               change(func(e *route.Entry) { e.Detail = `{"a":12345678901234567890}` }),
			"MalformedDetail   ":              change(func(e *route.Entry) { e.Detail = `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}` }),
			"MalformedDetail    ":             change(func(e *route.Entry) { e.Detail = `{"a":1,"a":2}` }),
			"MalformedDetail     ":            change(func(e *route.Entry) { e.Detail = "{\"a\":\"\xff\"}" }),
			"MalformedDetail      ":           change(func(e *route.Entry) { e.Detail = `{"a":1e999}` }),
			"InvalidArgument     ":            change(func(e *route.Entry) { e.Time = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC) }),
		} {
			puts, err := n.PutEvents(t.Context(), account, []route.Entry{good, e}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if puts[0].EventID == "" || puts[1].Code != strings.TrimSpace(want) || (puts[1].EventID == "") != (puts[1].Code != "") {
				t.Errorf("%.60q: got %+v, want %s", e, puts, want)
			}
		}
		for _, entries := range [][]route.Entry{nil, make([]route.Entry, 11), {{}, {Source: "x"}}, {change(func(e *route.Entry) { e.Detail = `"` + strings.Repeat("x", 256<<10) + `"` })}} {
			if _, err := n.PutEvents(t.Context(), account, entries, nil); !errors.Is(err, fault.Invalid) {
				t.Errorf("%d entries: got %v, want the call refused", len(entries), err)
			}
		}
		n.settled()
		got := l.all()[0]
		if want := `"detail-type":"Order","source":"shop","account":"111122223333","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":["arn:x"],"detail":{"a":1}}`; !strings.HasSuffix(string(got.body), want) {
			t.Errorf("event %s, want it to end with %s", got.body, want)
		}
		puts, err := n.PutEvents(t.Context(), account, []route.Entry{good}, func(b route.EventBus) error { return fault.Denied.Errorf("not you") })
		if err != nil || puts[0].Code != "AccessDeniedException" {
			t.Errorf("not allowed: %+v, %v", puts, err)
		}
	})
}

// An entry that is accepted is one that can be published.
func FuzzEntry(f *testing.F) {
	f.Add("shop", "Order", `{"a":[1,2.5,{"b":null}]}`)
	f.Add("aws.x", "", `{"a":1e400}`)
	f.Add("s", "t", `{"a":"\ud800"}`)
	f.Fuzz(func(t *testing.T, source, kind, detail string) { route.CheckEntryForTest(t, source, kind, detail) })
}

func TestTestPattern(t *testing.T) {
	e := `{"id":"1","account":"1","source":"a","time":"2026-01-01T00:00:00Z","region":"r","resources":[],"detail-type":"x","detail":{"n":1}}`
	got, err := route.TestPattern(`{"source":["a"],"detail":{"n":[2]}}`, e)
	if err != nil || got.Matched || !strings.Contains(got.String(), "detail.n") {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := route.TestPattern(`{"source":["a"]}`, e); err != nil || !got.Matched {
		t.Errorf("got %v, %v", got, err)
	}
	var bad *route.BadPattern
	if _, err := route.TestPattern(`{"source":"a"}`, e); !errors.As(err, &bad) || !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
	for _, e := range []string{`{}`, `[]`, `{"id":"1"`, strings.Replace(e, `"region":"r",`, "", 1)} {
		if _, err := route.TestPattern(`{"source":["a"]}`, e); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", e, err)
		}
	}
}
