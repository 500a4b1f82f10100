package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/word/fault"
)

// Rules are read as CodeBuild has them, in JSON and in YAML, with or without the word around them.
func TestParseRules(t *testing.T) {
	want := egress.Rules{Default: egress.DenyAll, Ordered: []egress.Rule{
		{Type: egress.Domain, Effect: egress.Allow, Entities: []string{"github.com", "*.example.com"}},
		{Type: egress.IP, Effect: egress.Deny, Entities: []string{"192.0.2.0/24"}},
	}}
	for _, text := range []string{
		`{"proxyConfiguration": {"defaultBehavior": "DENY_ALL", "orderedProxyRules": [{"type": "DOMAIN", "effect": "ALLOW", "entities": ["github.com", "*.example.com"]}, {"type": "IP", "effect": "DENY", "entities": ["192.0.2.0/24"]}]}}`,
		"defaultBehavior: DENY_ALL\norderedProxyRules:\n  - {type: DOMAIN, effect: ALLOW, entities: [github.com, '*.example.com']}\n  - type: IP\n    effect: DENY\n    entities: [192.0.2.0/24]\n",
	} {
		got, err := egress.ParseRules("rules", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// What somebody wrote wrongly is named.
func TestWrongRules(t *testing.T) {
	for text, want := range map[string]string{
		"defaultBehavior: DENY":      `"DENY" is not known here: there are ALLOW_ALL and DENY_ALL`,
		"defaultBehaviour: DENY_ALL": `did you mean "defaultBehavior"`,
		"orderedProxyRules: [{type: HOST, effect: ALLOW, entities: [a.b]}]":              `rules:1:28: "HOST"`,
		"orderedProxyRules: [{type: DOMAIN, effect: ALLOW}]":                             "0 entities",
		"orderedProxyRules: [{effect: ALLOW, entities: [a.b]}]":                          "type:",
		"orderedProxyRules: [{type: DOMAIN, effect: ALLOW, entities: ['https://a.b/']}]": "is not the name of a host",
		"orderedProxyRules: [{type: DOMAIN, effect: ALLOW, entities: ['a.*.b']}]":        "is not the name of a host",
		"orderedProxyRules: [{type: DOMAIN, effect: ALLOW, entities: [192.0.2.1]}]":      "its rule has the type IP",
		"orderedProxyRules: [{type: IP, effect: ALLOW, entities: [a.b]}]":                "neither an address nor a prefix",
		"orderedProxyRules: [{type: DOMAIN, effect: ALLOW, entities: ['a.b:0']}]":        "is no port",
		"{proxyConfiguration: {}, defaultBehavior: ALLOW_ALL}":                           "beside it",
	} {
		_, err := egress.ParseRules("rules", []byte(text))
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// The first rule that fits counts, and names, wildcards, addresses and ports are what they seem.
func TestJudge(t *testing.T) {
	rule := func(t egress.Type, e egress.Effect, entities ...string) egress.Rule {
		return egress.Rule{Type: t, Effect: e, Entities: entities}
	}
	ordered := egress.Rules{Ordered: []egress.Rule{
		rule(egress.Domain, egress.Deny, "bad.example.com"), rule(egress.Domain, egress.Allow, "*.example.com", "git.example:22", "any.example:*"),
		rule(egress.IP, egress.Allow, "192.0.2.0/24", "2001:db8::1", "[2001:db8::2]:8080", "198.51.100.7:25"),
	}}
	for _, c := range []struct {
		rules egress.Rules
		host  string
		port  int
		want  bool
	}{
		{ordered, "a.example.com", 443, true}, {ordered, "a.b.example.com", 80, true}, {ordered, "A.Example.COM.", 443, true},
		{ordered, "example.com", 443, false}, {ordered, "bad.example.com", 443, false}, {ordered, "bad.example.com", 9, false},
		{ordered, "aexample.com", 443, false}, {ordered, "a.example.com", 8080, false}, {ordered, "a.example.com.evil", 443, false},
		{ordered, "git.example", 22, true}, {ordered, "git.example", 443, false}, {ordered, "any.example", 5, true},
		{ordered, "192.0.2.77", 443, true}, {ordered, "192.0.3.1", 443, false}, {ordered, "::ffff:192.0.2.1", 80, true}, {ordered, "2001:db8::1", 443, true},
		{ordered, "2001:db8::2", 8080, true}, {ordered, "2001:db8::2", 443, false}, {ordered, "198.51.100.7", 25, true},
		{egress.Rules{}, "example.com", 443, false}, {egress.Rules{Default: egress.AllowAll}, "example.com", 9418, true},
		{allow("*"), "anything.example", 443, true}, {allow("*"), "192.0.2.1", 443, false},
	} {
		if got := egress.Allowed(t, c.rules, c.host, c.port); got != c.want {
			t.Errorf("%s:%d: %t, want %t", c.host, c.port, got, c.want)
		}
	}
}

// What somebody writes as rules never brings the reader down, and what is taken can be asked.
func FuzzRules(f *testing.F) {
	f.Add(`{"proxyConfiguration": {"defaultBehavior": "DENY_ALL", "orderedProxyRules": [{"type": "DOMAIN", "effect": "ALLOW", "entities": ["github.com", "*.example.com:8080"]}]}}`, "a.example.com", 443)
	f.Add("orderedProxyRules: [{type: IP, effect: DENY, entities: ['::1', '10.0.0.0/8', '[::1]:5']}]", "::1", 5)
	f.Fuzz(func(t *testing.T, text, host string, port int) {
		r, err := egress.ParseRules("f", []byte(text))
		if err == nil {
			egress.Allowed(t, r, host, port)
		}
	})
}

// Whatever bytes a client sends, nobody is dialled where everything is denied, and the proxy goes on.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "CONNECT example.com:443 HTTP/1.1\r\n\r\n", "CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01",
		"GET http://127.0.0.1@evil:80/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: haechi.internal\r\n\r\n", "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET ftp://a/ HTTP/1.0\r\n\r\n", "CONNECT a%00b:1 HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		p, err := egress.New(egress.Config{Limits: egress.Limits{HeaderTime: 50 * time.Millisecond, Idle: 50 * time.Millisecond}, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			t.Errorf("dialled %s", address)
			return nil, io.EOF
		}})
		if err != nil {
			t.Fatal(err)
		}
		l := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		ours, theirs := net.Pipe()
		l.conns <- theirs
		done := make(chan struct{})
		go func() { p.Serve(l); close(done) }()
		_ = ours.SetDeadline(time.Now().Add(time.Second))
		go func() { _, _ = ours.Write(request); ours.Close() }()
		_, _ = io.Copy(io.Discard, ours)
		ours.Close()
		close(l.closed)
		<-done
	})
}

type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
