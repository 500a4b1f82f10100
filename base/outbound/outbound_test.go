package outbound_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/word/fault"
)

func dialer(t testing.TB, cfg outbound.Config) *outbound.Dialer {
	t.Helper()
	d, err := outbound.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every range that is not public is refused, in whichever way it is written,
// and metadata is refused whatever is allowed.
func TestAddresses(t *testing.T) {
	closed := dialer(t, outbound.Config{})
	open := dialer(t, outbound.Config{Allow: []string{"0.0.0.0/0", "::/0"}})
	for _, test := range []struct {
		host         string
		closed, open bool // dialled
	}{
		{"8.8.8.8", true, true}, {"1.1.1.1", true, true}, {"[2606:4700::1111]", true, true},
		{"127.0.0.1", false, true}, {"127.9.9.9", false, true}, {"0.0.0.0", false, true}, {"10.0.0.1", false, true},
		{"172.16.0.1", false, true}, {"172.32.0.1", true, true}, {"192.168.1.1", false, true}, {"100.64.0.1", false, true},
		{"100.128.0.1", true, true}, {"169.254.1.1", false, true}, {"224.0.0.1", false, true}, {"255.255.255.255", false, true},
		{"192.0.2.1", false, true}, {"198.18.0.1", false, true}, {"192.88.99.1", false, true},
		{"[::1]", false, true}, {"[::]", false, true}, {"[::ffff:127.0.0.1]", false, true}, {"[::ffff:10.0.0.1]", false, true},
		{"[::ffff:8.8.8.8]", true, true}, {"[::127.0.0.1]", false, true}, {"[fe80::1]", false, true}, {"[fe80::1%25eth0]", false, true},
		{"[fc00::1]", false, true}, {"[ff02::1]", false, true}, {"[64:ff9b::808:808]", false, true}, {"[64:ff9b::7f00:1]", false, true},
		{"[2002:7f00:1::1]", false, true}, {"[2002:808:808::1]", false, true}, {"[2001:0:1::1]", false, true}, {"[4000::1]", false, true},
		{"169.254.169.254", false, false}, {"169.254.170.2", false, false}, {"100.100.100.200", false, false}, {"168.63.129.16", false, false},
		{"[::ffff:169.254.169.254]", false, false}, {"[fd00:ec2::254]", false, false}, {"[64:ff9b::a9fe:a9fe]", false, false},
		{"[2002:a9fe:a9fe::]", false, false}, {"[::169.254.169.254]", false, false}, {"[2001:0:0:0:0:0:5601:5601]", false, false},
		{"localhost", false, true}, {"LOCALHOST.", false, true}, {"a.localhost", false, true}, {"example.com", true, true},
	} {
		for _, one := range []struct {
			d    *outbound.Dialer
			want bool
		}{{closed, test.closed}, {open, test.open}} {
			err := one.d.Check("http://" + test.host + "/x")
			if (err == nil) != one.want {
				t.Errorf("%s: %v, want dialled %v", test.host, err, one.want)
			}
			if err != nil && !errors.Is(err, fault.Denied) {
				t.Errorf("%s: %v is not denied", test.host, err)
			}
		}
	}
}

// Whatever else opens the door stays shut too: other schemes, no host.
func TestCheckURL(t *testing.T) {
	d := dialer(t, outbound.Config{})
	for _, address := range []string{"", "file:///etc/passwd", "gopher://example.com/", "ftp://example.com", "http:", "http:///x", "http:example.com", "//example.com", "https://", "http://[::1", "unix:///x"} {
		if err := d.Check(address); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, allow := range []string{"", "10.0.0.0/33", "example.com", "example.com:0", "*:80", "http://a:80", ":80"} {
		if _, err := outbound.New(outbound.Config{Allow: []string{allow}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("allow %q: %v", allow, err)
		}
	}
}

func get(t *testing.T, client *http.Client, address string) (string, error) {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := outbound.ReadAll(response.Body, 100)
	return string(text), err
}

func serve(t *testing.T, handler http.HandlerFunc) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A server on loopback is called only where its port, or its prefix, is allowed.
func TestAllow(t *testing.T) {
	called := 0
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { called++; _, _ = io.WriteString(w, "hello") })
	for _, allow := range [][]string{nil, {"10.0.0.0/8"}, {"127.0.0.1:1"}} {
		_, err := get(t, dialer(t, outbound.Config{Allow: allow}).Client(0), u.String())
		var refused *outbound.Refused
		if !errors.As(err, &refused) || refused.Addr != netip.MustParseAddr("127.0.0.1") || !fault.Permanent(err) {
			t.Errorf("allowing %q: %v", allow, err)
		}
	}
	if called != 0 {
		t.Errorf("the server was called %d times", called)
	}
	for _, allow := range []string{"127.0.0.0/8", "127.0.0.1", u.Host} {
		if text, err := get(t, dialer(t, outbound.Config{Allow: []string{allow}}).Client(0), u.String()); err != nil || text != "hello" {
			t.Errorf("allowing %s: %q, %v", allow, text, err)
		}
	}
}

// The environment's proxy is not asked.
func TestNoProxy(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTP_PROXY", proxy.String())
	t.Setenv("http_proxy", proxy.String())
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "straight") })
	d := dialer(t, outbound.Config{Allow: []string{"127.0.0.0/8"}, Resolver: resolver(func(string) string { return "127.0.0.1" })})
	if text, err := get(t, d.Client(0), "http://site.test:"+u.Port()); err != nil || text != "straight" {
		t.Errorf("%q, %v", text, err)
	}
}

// A redirect is checked like the first address, and there are not many of them.
func TestRedirects(t *testing.T) {
	inside := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the inside was reached") })
	for _, to := range []string{inside.String(), "http://[::ffff:127.0.0.1]:" + inside.Port(), "http://localhost:" + inside.Port(), "http://inside.test:" + inside.Port(), "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "gopher://127.0.0.1/"} {
		outside := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		d := dialer(t, outbound.Config{Allow: []string{outside.Host}, Resolver: resolver(func(string) string { return "127.0.0.1" })})
		if text, err := get(t, d.Client(0), outside.String()); err == nil {
			t.Errorf("%s was followed: %q", to, text)
		} else if !fault.Permanent(err) {
			t.Errorf("%s: %v would be tried again", to, err)
		}
	}
	hops := 0
	var self *url.URL
	self = serve(t, func(w http.ResponseWriter, r *http.Request) {
		hops++
		http.Redirect(w, r, self.String(), http.StatusFound)
	})
	if _, err := get(t, dialer(t, outbound.Config{Allow: []string{self.Host}}).Client(0), self.String()); err == nil || hops != 6 {
		t.Errorf("after %d hops: %v", hops, err)
	}
	if _, err := get(t, dialer(t, outbound.Config{Allow: []string{self.Host}, Redirects: -1}).Client(0), self.String()); err != nil || hops != 7 {
		t.Errorf("without redirects, after %d hops: %v", hops, err)
	}
}

// A redirect from https leads to no http.
func TestNoDowngrade(t *testing.T) {
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the plain server was reached") })
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.String(), http.StatusFound))
	defer secure.Close()
	d := dialer(t, outbound.Config{Allow: []string{"127.0.0.0/8"}})
	client := d.Client(0)
	// The test's certificate is its own, so the first hop goes through the test server's client.
	client.Transport = secure.Client().Transport
	if _, err := get(t, client, secure.URL); !errors.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
}

// A name that turns from a good address to a bad one between two calls is
// refused when it is dialled: what was resolved before does not count.
func TestRebinding(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "hello")
	})
	var mu sync.Mutex
	asked := 0
	d := dialer(t, outbound.Config{Allow: []string{"127.0.0.1"}, Resolver: resolver(func(string) string {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked == 1 {
			return "127.0.0.1"
		}
		return "127.0.0.2"
	})})
	client := d.Client(0)
	if text, err := get(t, client, "http://rebind.test:"+u.Port()); err != nil || text != "hello" {
		t.Fatalf("%q, %v", text, err)
	}
	_, err := get(t, client, "http://rebind.test:"+u.Port())
	var refused *outbound.Refused
	if !errors.As(err, &refused) || refused.Addr != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("got %v", err)
	}
}

// A name that was allowed is dialled wherever it leads, but to metadata.
func TestAllowedName(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	d := dialer(t, outbound.Config{Allow: []string{"Jira.Corp:" + u.Port(), "meta.corp:80"}, Resolver: resolver(func(name string) string {
		if strings.HasPrefix(name, "meta") {
			return "169.254.169.254"
		}
		return "127.0.0.1"
	})})
	if text, err := get(t, d.Client(0), "http://jira.corp:"+u.Port()); err != nil || text != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := get(t, d.Client(0), "http://other.corp:"+u.Port()); !errors.Is(err, fault.Denied) {
		t.Errorf("another name: %v", err)
	}
	if _, err := get(t, d.Client(0), "http://meta.corp/"); !errors.Is(err, fault.Denied) {
		t.Errorf("metadata: %v", err)
	}
}

// Other networks are not dialled, and a body that does not end is cut.
func TestBounds(t *testing.T) {
	d := dialer(t, outbound.Config{Allow: []string{"127.0.0.0/8"}})
	for _, network := range []string{"udp", "unix"} {
		if _, err := d.DialContext(context.Background(), network, "127.0.0.1:53"); !errors.Is(err, fault.Unsupported) {
			t.Errorf("%s: %v", network, err)
		}
	}
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 101)) })
	if _, err := get(t, d.Client(0), u.String()); !errors.Is(err, fault.Limit) {
		t.Errorf("a long answer: %v", err)
	}
	stop := make(chan struct{})
	slow := serve(t, func(http.ResponseWriter, *http.Request) { <-stop })
	_, err := get(t, d.Client(50*time.Millisecond), slow.String())
	close(stop)
	if err == nil || fault.Permanent(err) {
		t.Errorf("a slow answer: %v", err)
	}
}

// resolver answers every question for an IPv4 address as asked of it.
func resolver(answer func(name string) string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerDNS(server, answer)
		return client, nil
	}}
}

// answerDNS speaks DNS as over TCP: each message with its length before it.
func answerDNS(c net.Conn, answer func(string) string) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := 12
		var labels []string
		for q[end] != 0 {
			labels = append(labels, string(q[end+1:end+1+int(q[end])]))
			end += 1 + int(q[end])
		}
		question := q[12 : end+5]
		reply := append([]byte{q[0], q[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
		if kind := binary.BigEndian.Uint16(q[end+1:]); kind == 1 {
			reply[7] = 1
			ip := netip.MustParseAddr(answer(strings.Join(labels, "."))).As4()
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			reply = append(reply, ip[:]...)
		}
		if _, err := c.Write(binary.BigEndian.AppendUint16(nil, uint16(len(reply)))); err != nil {
			return
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// No address that somebody types makes Check panic, or opens a private one.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1", "https://[::ffff:7f00:1]:8/x", "http://user@0x7f.1/", "http://2130706433", "http://localhost."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		d, err := outbound.New(outbound.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Check(address) != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q is accepted", address)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && (addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.Unmap().IsPrivate()) {
			t.Fatalf("%q is accepted", address)
		}
	})
}

// Who guards a dial is asked about the address that is dialled, and not before the dialer's own rules.
func TestGuarded(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	address := server.Listener.Addr().String()
	d, err := outbound.New(outbound.Config{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	var asked []netip.Addr
	no := errors.New("no")
	ctx := outbound.Guarded(t.Context(), func(a netip.Addr) error { asked = append(asked, a); return no })
	if _, err := d.DialContext(ctx, "tcp", address); !errors.Is(err, no) || len(asked) != 1 || asked[0] != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("got %v, asked about %v", err, asked)
	}
	if _, err := d.DialContext(ctx, "tcp", "10.0.0.1:80"); errors.Is(err, no) || !errors.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
}
