package route_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// mailbox is a small mail server. It answers a recipient named full with 452 once, and nobody with 550.
type mailbox struct {
	net.Listener
	tls  *tls.Config // nil offers no STARTTLS
	mu   sync.Mutex
	got  []string
	full int
}

func listenSMTP(t *testing.T, config *tls.Config) *mailbox {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailbox{Listener: l, tls: config}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(c)
		}
	}()
	return m
}

func (m *mailbox) serve(c net.Conn) {
	defer func() { c.Close() }()
	r := bufio.NewReader(c)
	say := func(format string, a ...any) { fmt.Fprintf(c, format+"\r\n", a...) }
	say("220 mail")
	secured := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		switch {
		case verb == "EHLO" && m.tls != nil && !secured:
			say("250-mail\r\n250 STARTTLS")
		case verb == "EHLO":
			say("250-mail\r\n250 AUTH PLAIN")
		case verb == "STARTTLS":
			say("220 go")
			c = tls.Server(c, m.tls)
			r = bufio.NewReader(c)
			secured = true
		case verb == "RCPT" && strings.Contains(line, "nobody"):
			say("550 no such user")
		case verb == "RCPT" && strings.Contains(line, "full"):
			m.mu.Lock()
			m.full++
			again := m.full > 1
			m.mu.Unlock()
			if again {
				say("250 ok")
			} else {
				say("452 full, come again")
			}
		case verb == "DATA":
			say("354 go")
			var b strings.Builder
			for line, err = r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				b.WriteString(line)
			}
			m.mu.Lock()
			m.got = append(m.got, b.String())
			m.mu.Unlock()
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		case verb == "AUTH":
			say("235 welcome")
		default:
			say("250 ok")
		}
	}
}

func (m *mailbox) mails() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.got...)
}

func (n *node) email(name, server, to, security string) (arn string) {
	n.t.Helper()
	return must(n.t)(n.PutReceiver(n.t.Context(), route.Receiver{Kind: "email", Name: name, Settings: map[string]string{"server": server, "from": "Haechi <haechi@example.com>", "to": to, "tls": security},
		Pacing: route.Pacing{Wait: route.Span(50 * time.Millisecond)}}))
}

// A mail tells of findings as text and HTML; what they say cannot make headers or markup.
func TestEmail(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		m := listenSMTP(t, nil)
		n.rule("r", allFindings, n.email("m", m.Addr().String(), "a@example.com, Bo <full@example.com>", "none"))
		f := open("x", finding.High)
		f.Title = "bad\r\nBcc: evil@example.com <script>alert(1)</script> ünïcode"
		n.publish(imported(f))
		eventually(t, "a mail", func() bool { return len(m.mails()) == 1 })
		n.settled()
		text := m.mails()[0]
		mes, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		subject, _ := new(mime.WordDecoder).DecodeHeader(mes.Header.Get("Subject"))
		if mes.Header.Get("Bcc") != "" || !strings.Contains(subject, "1 new finding: HIGH bad Bcc: evil@example.com") || mes.Header.Get("To") != `<a@example.com>, "Bo" <full@example.com>` {
			t.Errorf("headers %v", mes.Header)
		}
		_, params, _ := mime.ParseMediaType(mes.Header.Get("Content-Type"))
		parts := multipart.NewReader(mes.Body, params["boundary"])
		for _, want := range []string{"text/plain", "text/html"} {
			p, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(p)
			if !strings.HasPrefix(p.Header.Get("Content-Type"), want) || !strings.Contains(string(body), "ünïcode") || want == "text/html" && strings.Contains(string(body), "<script>") {
				t.Errorf("part %v: %s", p.Header, body)
			}
		}
		log, _, err := n.Log(t.Context(), route.LogQuery{}, route.Page{})
		if err != nil || log[0].Attempts != 2 || mes.Header.Get("Message-ID") != "<"+log[0].Message+"@haechi>" {
			t.Errorf("log %+v, %v; %s", log, err, mes.Header.Get("Message-ID"))
		}
	})
}

// Over TLS, begun in clear or not, a mail goes out with the user signed in.
func TestEmailTLS(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		server := httptest.NewTLSServer(http.NotFoundHandler())
		defer server.Close()
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		m := listenSMTP(t, &tls.Config{Certificates: server.TLS.Certificates})
		arn := must(t)(n.PutReceiver(t.Context(), route.Receiver{Kind: "email", Name: "m", Settings: map[string]string{"server": m.Addr().String(), "from": "h@example.com", "to": "a@example.com", "user": "u", "ca": string(ca)},
			Secrets: map[string]seal.Secret{"password": "p"}, Pacing: route.Pacing{Wait: route.Span(50 * time.Millisecond)}}))
		n.rule("r", allFindings, arn)
		n.publish(imported(open("x", finding.High)))
		eventually(t, "a mail", func() bool { return len(m.mails()) == 1 })
	})
}

// Without STARTTLS nothing is sent in clear, a certificate that is not trusted is refused, and so is an unknown receiver for good.
func TestEmailRefusals(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		plain := listenSMTP(t, nil)
		server := httptest.NewTLSServer(http.NotFoundHandler())
		defer server.Close()
		untrusted := listenSMTP(t, &tls.Config{Certificates: server.TLS.Certificates})
		n.rule("plain", allFindings, n.email("plain", plain.Addr().String(), "a@example.com", "starttls"))
		n.rule("nobody", allFindings, n.email("nobody", plain.Addr().String(), "nobody@example.com", "none"))
		n.rule("untrusted", allFindings, n.email("untrusted", untrusted.Addr().String(), "a@example.com", "starttls"))
		n.publish(imported(open("x", finding.High)))
		eventually(t, "two dead letters", func() bool { return n.count(route.Dead) == 2 })
		eventually(t, "a refused certificate", func() bool { return strings.Contains(n.log.String(), "certificate") })
		if len(plain.mails())+len(untrusted.mails()) != 0 {
			t.Error("a mail was sent")
		}
		dead, _, _ := n.Log(t.Context(), route.LogQuery{State: route.Dead, Rule: "plain"}, route.Page{})
		if len(dead) != 1 || !strings.Contains(dead[0].Answer, "no STARTTLS") {
			t.Errorf("dead %+v", dead)
		}
	})
}

// A command gets the event on standard input and nothing of our environment; its exit status is its answer.
func TestCommand(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		dir := t.TempDir()
		script := func(text string) []string { return []string{"/bin/sh", "-c", text, "sh", dir} }
		commands := map[string]route.Command{
			"keep":  {Argv: script(`cat >"$1/$HAECHI_DELIVERY"; env >"$1/env"`)},
			"later": {Argv: script(`test -e "$1/once" || { touch "$1/once"; exit 75; }`)},
			"no":    {Argv: script(`echo "cannot do that"; exit 3`)},
			"hang":  {Argv: script(`sleep 60 & sleep 60`), Timeout: 100 * time.Millisecond},
		}
		n := start(t, openDB, func(c *route.Config) { c.Commands = commands })
		for name := range commands {
			arn := must(t)(n.PutReceiver(t.Context(), route.Receiver{Kind: "command", Name: name, Settings: map[string]string{"command": name}}))
			zero := 0
			n.rule(name, `{"source":["shop"]}`, arn, func(rt *route.RuleTarget) {
				if name == "hang" {
					rt.Retry = &route.RetryPolicy{Attempts: &zero}
				}
			})
		}
		n.publish(custom("Order", `{"n":1}`))
		n.settled()
		log, _, err := n.Log(t.Context(), route.LogQuery{}, route.Page{})
		if err != nil || len(log) != 4 {
			t.Fatal(log, err)
		}
		for _, e := range log {
			switch e.Rule {
			case "keep":
				got, err := os.ReadFile(filepath.Join(dir, e.ID))
				if err != nil || !strings.Contains(string(got), `"detail":{"n":1}`) {
					t.Errorf("the command got %s, %v", got, err)
				}
			case "later":
				if e.State != route.Delivered || e.Attempts != 2 {
					t.Errorf("%+v", e)
				}
			case "no":
				if e.State != route.Dead || e.Status != 3 || !strings.Contains(e.Answer, "cannot do that") {
					t.Errorf("%+v", e)
				}
			case "hang":
				if e.State != route.Dead || !strings.Contains(e.Answer, "in time") {
					t.Errorf("%+v", e)
				}
			}
		}
		env, err := os.ReadFile(filepath.Join(dir, "env"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(env)) {
			switch name, _, _ := strings.Cut(line, "="); name {
			case "HAECHI_DELIVERY", "PWD", "OLDPWD", "SHLVL", "_":
			default:
				t.Errorf("the command's environment has %s", line)
			}
		}
	})
}

// An API destination is called with its connection's credentials and the rule's parameters.
func TestAPIDestination(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		var mu sync.Mutex
		var got []received
		tokens := 0
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			if r.URL.Path == "/token" {
				if !strings.Contains(string(body), "client_secret=hush-hush") {
					w.WriteHeader(http.StatusForbidden)
				}
				tokens++
				fmt.Fprintf(w, `{"access_token":"t%d","expires_in":3600}`, tokens)
				return
			}
			if r.Header.Get("Authorization") == "Bearer t1" { // revoked
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			got = append(got, received{r.Header, body, r.URL.RequestURI(), time.Now()})
		}))
		defer server.Close()
		n := start(t, openDB, func(c *route.Config) { c.HTTP = server.Client() })
		ctx := t.Context()
		c, err := n.CreateConnection(ctx, route.Connection{Name: "c", Type: "OAUTH_CLIENT_CREDENTIALS", Auth: route.AuthParameters{
			OAuth: &route.OAuth{Client: route.OAuthClient{ID: "me", Secret: "hush-hush"}, Endpoint: server.URL + "/token", Method: "POST"},
			HTTP:  &route.ConnectionExtra{Header: []route.Parameter{{Key: "X-Team", Value: "red", Secret: true}}, Query: []route.Parameter{{Key: "q", Value: "connection"}}, Body: []route.Parameter{{Key: "extra", Value: "e"}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprintf("%+v %+v %+v", c, *c.Auth.OAuth, *c.Auth.HTTP); strings.Contains(s, "hush-hush") || strings.Contains(s, "red") {
			t.Errorf("a secret is shown: %s", s)
		}
		d, err := n.CreateDestination(ctx, route.Destination{Name: "d", Connection: c.ARN, Endpoint: server.URL + "/orders/*/x", Method: "PUT", Rate: 300})
		if err != nil {
			t.Fatal(err)
		}
		n.rule("r", `{"source":["shop"]}`, d.ARN, func(rt *route.RuleTarget) {
			rt.InputPath = "$.detail"
			rt.HTTP = &route.HTTPParameters{Path: []string{"$.detail.n"}, Header: map[string]string{"X-Team": "blue", "X-N": "$.detail.n", "Bad Name": "x"}, Query: map[string]string{"q": "rule", "p": "1"}}
		})
		n.publish(custom("Order", `{"n":"a/b"}`))
		n.settled()
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 1 {
			t.Fatalf("%d calls; %s", len(got), n.log)
		}
		r := got[0]
		if r.path != "/orders/a%2Fb/x?p=1&q=connection" || r.header.Get("X-Team") != "red" || r.header.Get("X-N") != "a/b" || r.header.Get("Authorization") != "Bearer t2" || string(r.body) != `{"extra":"e","n":"a/b"}` {
			t.Errorf("call %s %v %s", r.path, r.header, r.body)
		}
		if _, err := n.DeauthorizeConnection(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		if d, err := n.Destination(ctx, "d"); err != nil || d.State != "INACTIVE" {
			t.Errorf("destination %+v, %v", d, err)
		}
		n.publish(custom("Order", `{"n":"c"}`))
		eventually(t, "a dead letter", func() bool { return n.count(route.Dead) == 1 })
	})
}

// A room is a target like any other; if it fails for good the event is a dead letter.
func TestRoom(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		calls := make(chan route.Delivery, 10)
		n := start(t, openDB, func(c *route.Config) {
			c.Rooms = []route.Room{{Prefix: "arn:aws:codepipeline:", Target: target(func(ctx context.Context, d route.Delivery) error {
				calls <- d
				if d.Items[0].To.ARN == "arn:aws:codepipeline:us-east-1:111122223333:bad" {
					panic("our mistake")
				}
				return nil
			})}}
		})
		n.rule("good", `{"source":["shop"]}`, "arn:aws:codepipeline:us-east-1:111122223333:shop")
		n.rule("bad", `{"source":["shop"]}`, "arn:aws:codepipeline:us-east-1:111122223333:bad")
		n.publish(custom("Order", `{}`))
		n.settled()
		if len(calls) != 2 || n.count(route.Delivered) != 1 || n.count(route.Dead) != 1 {
			t.Errorf("%d calls, %d delivered, %d dead", len(calls), n.count(route.Delivered), n.count(route.Dead))
		}
	})
}

type target func(context.Context, route.Delivery) error

func (f target) Deliver(ctx context.Context, d route.Delivery) error { return f(ctx, d) }

// A schedule fires once for each time that it is due, on whichever node, and once for what was missed while none was up.
func TestScheduleFiresOnce(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		c := newClock()
		a := start(t, openDB, c.use)
		l := listen(t, nil)
		must(t)(a.PutRule(t.Context(), route.Rule{Name: "r", Schedule: "cron(0/5 * * * ? *)"}, nil))
		if failed, err := a.PutTargets(t.Context(), "", "r", route.RuleTarget{ID: "t", ARN: a.webhook("w", l.URL)}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		c.pass(5 * time.Minute)
		if got := string(l.until(t, 1)[0].body); !strings.Contains(got, `"detail-type":"Scheduled Event","source":"aws.events"`) || !strings.Contains(got, `"time":"2026-01-01T00:05:00Z"`) || !strings.Contains(got, `"resources":["arn:aws:events:us-east-1:111122223333:rule/r"]`) {
			t.Errorf("event %s", got)
		}
		a.settled()
		a.stop()
		a.db.Close()
		c.pass(time.Hour)
		b := start(t, openDB, c.use)
		nodes := []*node{b}
		if b.db.Postgres() {
			nodes = append(nodes, start(t, openDB, c.use))
		}
		l.until(t, 2)
		for _, n := range nodes {
			n.settled()
		}
		time.Sleep(1200 * time.Millisecond) // each node has looked again
		if k := len(l.all()); k != 2 {
			t.Errorf("%d events, want 2", k)
		}
	})
}

// An archive keeps what its pattern asks for; a replay sends it once more to the
// rules named, under its name, and is not archived; a dry run tells what it would do.
func TestArchiveAndReplay(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := start(t, openDB)
		ctx := t.Context()
		l, other := listen(t, nil), listen(t, nil)
		if _, err := n.CreateArchive(ctx, route.Archive{Name: "a", Pattern: `{"detail":{"keep":[true]}}`}); err != nil {
			t.Fatal(err)
		}
		n.rule("r", `{"source":["shop"]}`, n.webhook("w", l.URL))
		n.rule("other", `{"source":["shop"]}`, n.webhook("other", other.URL))
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var events []event.Event
		for i := range 250 {
			e := custom("Order", fmt.Sprintf(`{"n":%d,"keep":%t}`, i, i%2 == 0))
			e.Time = base.Add(time.Duration(i) * time.Minute)
			events = append(events, e)
		}
		n.publish(events...)
		n.settled()
		a, err := n.Archive(ctx, "a")
		if err != nil || a.Events != 125 || a.Size == 0 {
			t.Fatalf("archive %+v, %v", a, err)
		}
		before, beforeOther := len(l.all()), len(other.all())
		replay := route.Replay{Name: "again", Archive: "a", From: base.Add(10 * time.Minute), To: base.Add(230 * time.Minute), Rules: []string{n.RuleARN("", "r")}}
		dry, err := n.DryReplay(ctx, replay)
		if err != nil || dry.Events != 110 || dry.Deliveries[n.RuleARN("", "r")+" t"] != 110 || len(dry.Deliveries) != 1 {
			t.Errorf("dry run %+v, %v", dry, err)
		}
		if _, err := n.StartReplay(ctx, replay); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the replay", func() bool {
			p, err := n.Replay(ctx, "again")
			return err == nil && p.State == "COMPLETED" && p.Last.Equal(base.Add(228*time.Minute))
		})
		n.settled()
		got := l.all()
		if len(got)-before != 110 || len(other.all()) != beforeOther {
			t.Errorf("%d replayed, %d to a rule that was not asked for", len(got)-before, len(other.all())-beforeOther)
		}
		if !strings.Contains(string(got[len(got)-1].body), `"replay-name":"again"`) {
			t.Errorf("event %s", got[len(got)-1].body)
		}
		if a, err := n.Archive(ctx, "a"); err != nil || a.Events != 125 {
			t.Errorf("after the replay the archive has %d events, %v", a.Events, err)
		}
		if _, err := n.CancelReplay(ctx, "again"); err == nil {
			t.Error("a replay that has ended was cancelled")
		}
		if _, err := n.StartReplay(ctx, replay); err == nil {
			t.Error("a second replay has the same name")
		}
		if _, err := n.StartReplay(ctx, route.Replay{Name: "b", Archive: "a", From: base, To: base}); err == nil {
			t.Error("a replay of no time was taken")
		}
	})
}

// What was put on a receiver earlier stays when a change does not name it.
func TestSecretsStayOnUpdate(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		n := prepare(t, openDB)
		first := route.Receiver{Kind: "webhook", Name: "w", Settings: map[string]string{"url": "https://a.example"}, Secrets: map[string]seal.Secret{"secret": webhookSecret}}
		must(t)(n.PutReceiver(t.Context(), first))
		first.Secrets, first.Settings = nil, map[string]string{"url": "https://b.example"}
		must(t)(n.PutReceiver(t.Context(), first))
	})
}

// A room calls an API destination by its name, with the credentials of its connection; one that there is not it is told of.
func TestCall(t *testing.T) {
	each(t, func(t *testing.T, openDB opener) {
		var mu sync.Mutex
		var got []string
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r.Header.Get("X-Key")+" "+string(body))
		}))
		t.Cleanup(server.Close)
		n := start(t, openDB, func(c *route.Config) { c.HTTP = server.Client() })
		ctx := t.Context()
		c, err := n.CreateConnection(ctx, route.Connection{Name: "c", Type: "API_KEY", Auth: route.AuthParameters{APIKey: &route.APIKeyAuth{Name: "X-Key", Value: "hush"}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.CreateDestination(ctx, route.Destination{Name: "d", Connection: c.ARN, Endpoint: server.URL, Method: "POST", Rate: 300}); err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{`{"a":1}`, "no JSON"} {
			if err := n.Call(ctx, "d", "id", []byte(body)); err != nil {
				t.Error(err)
			}
		}
		if want := []string{`hush {"a":1}`, `hush "no JSON"`}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if err := n.Call(ctx, "nobody", "id", nil); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
}
