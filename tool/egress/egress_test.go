package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/tool/egress"
)

// world answers for every name: the names of the tests lead to its servers, whatever their ports.
type world struct {
	plain, secure *httptest.Server
	dialled       []string
	mu            sync.Mutex
	dialer        *outbound.Dialer
}

func newWorld(t testing.TB, h http.Handler) *world {
	w := &world{plain: httptest.NewServer(h), secure: httptest.NewUnstartedServer(h)}
	w.secure.EnableHTTP2 = true
	w.secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.secure.StartTLS()
	t.Cleanup(w.plain.Close)
	t.Cleanup(w.secure.Close)
	var err error
	if w.dialer, err = outbound.New(outbound.Config{Allow: []string{"127.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	return w
}

// Dial leads 443 to the server with TLS and all else to the one without.
func (w *world) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, address)
	w.mu.Unlock()
	to := w.plain.Listener.Addr().String()
	if strings.HasSuffix(address, ":443") || strings.HasSuffix(address, ":8443") {
		to = w.secure.Listener.Addr().String()
	}
	return w.dialer.DialContext(ctx, network, to)
}

// certificates are those of the server with TLS, which is called example.com.
func (w *world) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(w.secure.Certificate())
	return pool
}

func allow(entities ...string) egress.Rules {
	return egress.Rules{Default: egress.DenyAll, Ordered: []egress.Rule{{Type: egress.Domain, Effect: egress.Allow, Entities: entities}}}
}

// served is a proxy that is served, and its address.
func served(t testing.TB, c egress.Config) (*egress.Proxy, string) {
	t.Helper()
	p, err := egress.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { p.Serve(l); close(done) }()
	t.Cleanup(func() {
		l.Close()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the proxy does not end")
		}
		p.Close()
	})
	return p, l.Addr().String()
}

// client is a program in a build: it goes through the proxy and trusts what it is told to.
func client(t testing.TB, p *egress.Proxy, addr string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.Files()[egress.CertificateFile]) {
		t.Fatal("no certificates")
	}
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: addr}), TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func get(t testing.TB, c *http.Client, address string) (int, string, error) {
	t.Helper()
	r, err := c.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// settled are the records, once there are so many: a record is written after the answer's last byte.
func settled(t testing.TB, p *egress.Proxy, n int) []egress.Request {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		all, _ := p.Records()
		if len(all) >= n || time.Now().After(deadline) {
			return all
		}
	}
}

func hello() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "hello %s %s%s", r.Host, r.URL, body)
	})
}

// What is allowed is fetched, with or without TLS, and written down with path and digest; queries are not.
func TestFetch(t *testing.T) {
	w := newWorld(t, hello())
	p, addr := served(t, egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots()})
	c := client(t, p, addr)
	for _, scheme := range []string{"http", "https"} {
		status, text, err := get(t, c, scheme+"://example.com/mod/@v/v1.0.0.zip?token=secret")
		want := "hello example.com /mod/@v/v1.0.0.zip?token=secret"
		if err != nil || status != 200 || text != want {
			t.Fatalf("%s: %d %q %v", scheme, status, text, err)
		}
	}
	records := settled(t, p, 2)
	if len(records) != 2 {
		t.Fatalf("records: %+v", records)
	}
	for i, scheme := range []string{"http", "https"} {
		r := records[i]
		want := "hello example.com /mod/@v/v1.0.0.zip?token=secret"
		if r.URL() != scheme+"://example.com/mod/@v/v1.0.0.zip" || r.Method != "GET" || r.Status != 200 || r.Digest != digest(want) || r.Received != int64(len(want)) || r.Address == "" || r.Refused != "" {
			t.Errorf("record %+v", r)
		}
	}
}

// What is not allowed is refused before anybody is dialled, in words that name the host and say what to do.
func TestRefused(t *testing.T) {
	w := newWorld(t, hello())
	var told []egress.Request
	p, addr := served(t, egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots(), Record: func(r egress.Request) { told = append(told, r) }})
	c := client(t, p, addr)
	status, text, err := get(t, c, "http://evil.example/x")
	if err != nil || status != http.StatusForbidden || !strings.Contains(text, `evil.example may not be reached from this build at port 80`) || !strings.Contains(text, `"entities": ["evil.example"]`) {
		t.Errorf("%d %q %v", status, text, err)
	}
	if _, _, err := get(t, c, "https://evil.example/x"); err == nil || !strings.Contains(err.Error(), "evil.example may not be reached from this build at port 443") {
		t.Errorf("through CONNECT: %v", err)
	}
	if status, text, err := get(t, c, "http://example.com:8080/"); err != nil || status != http.StatusForbidden || !strings.Contains(text, `"example.com:8080"`) {
		t.Errorf("another port: %d %q %v", status, text, err)
	}
	if _, _, err := get(t, c, "https://example.com.evil.example/"); err == nil {
		t.Error("a name that begins alike is fetched")
	}
	if len(w.dialled) != 0 {
		t.Errorf("dialled %v", w.dialled)
	}
	if records := settled(t, p, 4); len(records) != 4 || records[0].Refused == "" || records[1].Method != "CONNECT" || len(told) != 4 {
		t.Errorf("records %+v", records)
	}
}

// A redirect is the client's to follow, and what it leads to is asked for like anything else.
func TestRedirect(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://evil.example/loot", http.StatusFound)
	}))
	p, addr := served(t, egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots()})
	status, text, err := get(t, client(t, p, addr), "https://example.com/")
	if err != nil || status != http.StatusForbidden || !strings.Contains(text, "evil.example") {
		t.Errorf("%d %q %v", status, text, err)
	}
}

// Addresses are held against rules of addresses at the moment of dialling,
// whatever name they were found by; a name that is allowed does not open our own network.
func TestAddresses(t *testing.T) {
	w := newWorld(t, hello())
	denyLoopback := egress.Rules{Default: egress.AllowAll, Ordered: []egress.Rule{{Type: egress.IP, Effect: egress.Deny, Entities: []string{"127.0.0.0/8"}}}}
	p, addr := served(t, egress.Config{Rules: denyLoopback, Dial: w.Dial})
	if status, text, err := get(t, client(t, p, addr), "http://rebound.example/"); err != nil || status != http.StatusForbidden || !strings.Contains(text, "rebound.example (127.0.0.1)") {
		t.Errorf("a name that leads to a denied address: %d %q %v", status, text, err)
	}
	if status, _, err := get(t, client(t, p, addr), "http://127.0.0.9/"); err != nil || status != http.StatusForbidden {
		t.Errorf("a denied address: %d %v", status, err)
	}
	strict, err := outbound.New(outbound.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, addr = served(t, egress.Config{Rules: egress.Rules{Default: egress.AllowAll}, Dial: strict.DialContext})
	c := client(t, p, addr)
	for _, host := range []string{"localhost", "127.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "[::1]"} {
		if status, text, err := get(t, c, "http://"+host+":80/"); err != nil || status != http.StatusForbidden {
			t.Errorf("%s: %d %q %v", host, status, text, err)
		}
	}
	p, addr = served(t, egress.Config{Rules: egress.Rules{Ordered: []egress.Rule{{Type: egress.IP, Effect: egress.Allow, Entities: []string{"127.0.0.1"}}}}, Dial: w.Dial})
	if status, text, err := get(t, client(t, p, addr), "http://127.0.0.1/"); err != nil || status != 200 {
		t.Errorf("an allowed address: %d %q %v", status, text, err)
	}
}

// Hosts that are listed for it go through unread; their bytes are counted.
func TestTunnel(t *testing.T) {
	w := newWorld(t, hello())
	p, addr := served(t, egress.Config{Rules: allow("example.com", "example.com:7"), Dial: w.Dial, Tunnel: []string{"example.com"}})
	c := client(t, p, addr)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = w.roots() // the host's own, not ours
	if status, text, err := get(t, c, "https://example.com/x"); err != nil || status != 200 || text != "hello example.com /x" {
		t.Fatalf("%d %q %v", status, text, err)
	}
	c.CloseIdleConnections()
	records := settled(t, p, 1)
	if r := records[0]; len(records) != 1 || r.Method != "CONNECT" || r.Path != "" || r.Digest != "" || r.Sent == 0 || r.Received < 500 || r.URL() != "example.com:443" {
		t.Errorf("records %+v", records)
	}
}

// What is not TLS goes through too, where its port is allowed, also when the server speaks first.
func TestOtherProtocols(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "220 welcome\r\n")
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Fprintf(c, "you said %s", line)
			c.Close()
		}
	}()
	dialer, err := outbound.New(outbound.Config{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	p, addr := served(t, egress.Config{Rules: allow("example.com:2222"), Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, l.Addr().String())
	}})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONNECT example.com:2222 HTTP/1.1\r\nHost: example.com:2222\r\n\r\n")
	r := bufio.NewReader(c)
	for _, want := range []string{"HTTP/1.1 200 Connection established\r\n", "\r\n", "220 welcome\r\n"} {
		if line, err := r.ReadString('\n'); err != nil || line != want {
			t.Fatalf("%q %v", line, err)
		}
	}
	fmt.Fprintf(c, "hello\n")
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "you said hello\n" {
		t.Errorf("%q %v", rest, err)
	}
	c.Close()
	if records := settled(t, p, 1); len(records) != 1 || records[0].Sent != 6 || records[0].Received != int64(len("220 welcome\r\nyou said hello\n")) {
		t.Errorf("%+v", records)
	}
}

// A connection that was opened for one host leads to no other, neither by its name in TLS nor by its header.
func TestFronting(t *testing.T) {
	w := newWorld(t, hello())
	p, addr := served(t, egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots()})
	c := client(t, p, addr)
	r, err := http.NewRequest("GET", "https://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another Host: %d", answer.StatusCode)
	}
	c.CloseIdleConnections()
	c.Transport.(*http.Transport).TLSClientConfig.ServerName = "evil.example"
	if _, _, err := get(t, c, "https://example.com/"); err == nil {
		t.Error("another name in TLS is taken")
	}
}

// Hosts whose certificate is nobody's are not fetched from: opening TLS does not lower it.
func TestUpstreamIsChecked(t *testing.T) {
	w := newWorld(t, hello())
	p, addr := served(t, egress.Config{Rules: allow("*"), Dial: w.Dial, Roots: x509.NewCertPool()})
	if status, text, err := get(t, client(t, p, addr), "https://example.com/"); err != nil || status != http.StatusBadGateway || !strings.Contains(text, "certificate") {
		t.Errorf("%d %q %v", status, text, err)
	}
}

// The server itself answers at a name of its own and at the proxy's address; nothing of that is dialled.
func TestLocal(t *testing.T) {
	w := newWorld(t, hello())
	p, addr := served(t, egress.Config{Dial: w.Dial, Local: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "local "+r.URL.Path) })})
	if status, text, err := get(t, client(t, p, addr), "http://haechi.internal/sts"); err != nil || status != 200 || text != "local /sts" {
		t.Errorf("%d %q %v", status, text, err)
	}
	if status, text, err := get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+addr+"/sts"); err != nil || status != 200 || text != "local /sts" {
		t.Errorf("%d %q %v", status, text, err)
	}
	if len(w.dialled) != 0 {
		t.Errorf("dialled %v", w.dialled)
	}
}

// A build fetches no more than it may, and what is cut off has no digest.
func TestBytes(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 3<<20)) }))
	p, addr := served(t, egress.Config{Rules: allow("*"), Dial: w.Dial, Limits: egress.Limits{Bytes: 1 << 20}})
	c := client(t, p, addr)
	if _, text, err := get(t, c, "http://example.com/"); err == nil || len(text) > 2<<20 {
		t.Errorf("%d bytes came, %v", len(text), err)
	}
	if status, text, err := get(t, c, "http://example.com/"); err != nil || status != http.StatusInsufficientStorage || !strings.Contains(text, "1048576 bytes") {
		t.Errorf("the next: %d %q %v", status, text, err)
	}
	if records := settled(t, p, 2); records[0].Digest != "" || records[1].Refused == "" {
		t.Errorf("%+v", records)
	}
}

// A client that is slow with its header is let go; too many at once are told so; a header that is too long is refused.
func TestHostileClients(t *testing.T) {
	w := newWorld(t, hello())
	_, addr := served(t, egress.Config{Rules: allow("*"), Dial: w.Dial, Limits: egress.Limits{HeaderTime: 100 * time.Millisecond, Connections: 2, Header: 4096}})
	slow := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	one, two := slow(), slow()
	fmt.Fprint(one, "GET http://example.com/ HTTP/1.1\r\nA")
	fmt.Fprint(two, "CONNECT example.com:443 HTTP/1.1\r\nA")
	if text, err := io.ReadAll(slow()); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 503 haechi: too many") {
		t.Errorf("a third: %q %v", text, err)
	}
	for _, c := range []net.Conn{one, two} {
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("a slow one: %v", err)
		}
	}
	long := slow()
	fmt.Fprintf(long, "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nA: %s\r\n\r\n", strings.Repeat("x", 20_000))
	if text, _ := io.ReadAll(long); !bytes.HasPrefix(text, []byte("HTTP/1.1 431 ")) {
		t.Errorf("a long header: %.100q", text)
	}
}

// What a build uploads is counted, and streams.
func TestUpload(t *testing.T) {
	w := newWorld(t, hello())
	p, addr := served(t, egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots()})
	r, err := client(t, p, addr).Post("https://example.com/up", "text/plain", strings.NewReader(" body"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if string(text) != "hello example.com /up body" {
		t.Errorf("%q", text)
	}
	if records := settled(t, p, 1); records[0].Sent != 5 || records[0].Method != "POST" {
		t.Errorf("%+v", records)
	}
}

// How fast 64 MiB come through: alone, through a tunnel, and opened and hashed.
func BenchmarkThroughput(b *testing.B) {
	const size = 64 << 20
	block := make([]byte, 1<<20)
	w := newWorld(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range size / len(block) {
			_, _ = w.Write(block)
		}
	}))
	for _, way := range []string{"direct", "http", "tunnel", "opened"} {
		b.Run(way, func(b *testing.B) {
			c := egress.Config{Rules: allow("*"), Dial: w.Dial, Roots: w.roots()}
			address := "https://example.com/"
			switch way {
			case "tunnel":
				c.Tunnel = []string{"*"}
			case "http":
				address = "http://example.com/"
			}
			p, addr := served(b, c)
			from := client(b, p, addr)
			switch way {
			case "direct":
				from, address = w.secure.Client(), w.secure.URL
			case "tunnel":
				from.Transport.(*http.Transport).TLSClientConfig.RootCAs = w.roots()
			}
			b.SetBytes(size)
			for b.Loop() {
				r, err := from.Get(address)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
					b.Fatal(n, err)
				}
				r.Body.Close()
			}
		})
	}
}
