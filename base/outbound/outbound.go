// Package outbound dials the addresses that users chose, and none that would reach into our own network.
package outbound

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Config is how a dialer dials. The zero value allows public addresses only.
type Config struct {
	// Allow opens what is refused otherwise: prefixes (10.1.0.0/16), addresses,
	// and names or addresses with a port (jira.corp:443). Metadata addresses
	// stay refused.
	Allow     []string
	Resolver  *net.Resolver // or net.DefaultResolver
	Connect   time.Duration // for a connection and for its TLS, each; 10 s
	Header    time.Duration // for the first line of an answer; 30 s
	Redirects int           // at most; 5; below 0: none
}

// A Dialer dials what its Config lets it. Addresses are checked after
// resolution, at the moment of connecting: what is checked is what is dialled.
type Dialer struct {
	cfg   Config
	rules *rules
	http  *http.Transport
}

// New reads the configuration and makes a dialer.
func New(cfg Config) (*Dialer, error) {
	rules, err := newRules(cfg.Allow)
	if err != nil {
		return nil, err
	}
	if cfg.Connect == 0 {
		cfg.Connect = 10 * time.Second
	}
	if cfg.Header == 0 {
		cfg.Header = 30 * time.Second
	}
	if cfg.Redirects == 0 {
		cfg.Redirects = 5
	}
	d := &Dialer{cfg: cfg, rules: rules}
	d.http = &http.Transport{
		Proxy:                  nil, // an environment's proxy would dial for us, unchecked
		DialContext:            d.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    cfg.Connect,
		ResponseHeaderTimeout:  cfg.Header,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	return d, nil
}

// guard is the key of what Guarded puts into a context.
type guard struct{}

// Guarded is ctx for dials in which somebody else has a say, too: judge is
// asked about each address at the moment of connecting, after the dialer's own rules.
func Guarded(ctx context.Context, judge func(netip.Addr) error) context.Context {
	return context.WithValue(ctx, guard{}, judge)
}

// DialContext dials host:port over TCP, if the address that it resolves to may
// be dialled.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fault.Unsupported.Errorf("dialling %s: only tcp is dialled, not %s", address, network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.Invalid.Errorf("dialling %q: not host:port", address)
	}
	named := d.rules.hosts[hostPort(host, port)]
	dialer := net.Dialer{Timeout: d.cfg.Connect, Resolver: d.cfg.Resolver, KeepAlive: 30 * time.Second,
		ControlContext: func(ctx context.Context, _, actual string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(actual)
			if err != nil {
				return fault.Denied.Errorf("dialling %s: %q is no address", address, actual)
			}
			if what := d.rules.judge(at.Addr(), named); what != "" {
				return &Refused{Host: address, Addr: at.Addr(), What: what}
			}
			if judge, ok := ctx.Value(guard{}).(func(netip.Addr) error); ok {
				return judge(at.Addr().Unmap())
			}
			return nil
		}}
	return dialer.DialContext(ctx, network, address)
}

// Check looks at an address that somebody typed, before it is kept: its scheme
// and host, and the host itself where that is an address. A name is looked up
// when it is dialled, and not before: what it resolves to now says nothing of then.
func (d *Dialer) Check(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fault.Invalid.Errorf("%.200q is no URL", address)
	}
	return d.check(u)
}

func (d *Dialer) check(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fault.Invalid.Errorf("only http and https are called, not %.40q", u.Scheme)
	}
	host := u.Hostname()
	if host == "" || u.Opaque != "" {
		return fault.Invalid.Errorf("a URL without a host cannot be called")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	named := d.rules.hosts[hostPort(host, port)]
	if addr, err := netip.ParseAddr(host); err == nil {
		if what := d.rules.judge(addr, named); what != "" {
			return &Refused{Host: u.Host, Addr: addr, What: what}
		}
	}
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); !named && (name == "localhost" || strings.HasSuffix(name, ".localhost")) && !d.rules.allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
		return &Refused{Host: u.Host, Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1}), What: "a loopback address"}
	}
	return nil
}

// Client calls over the dialer. timeout bounds a whole call with the reading
// of its body; 0 stands for a minute. Every redirect is checked as the first
// address was, and none leads from https to http.
func (d *Dialer) Client(timeout time.Duration) *http.Client {
	if timeout == 0 {
		timeout = time.Minute
	}
	return &http.Client{Timeout: timeout, Transport: checking{d}, CheckRedirect: d.redirect}
}

type checking struct{ *Dialer }

// RoundTrip checks the URL of every request, the redirected ones too.
func (c checking) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := c.check(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper always closes it
		}
		return nil, err
	}
	return c.http.RoundTrip(r)
}

// CloseIdleConnections lets http.Client close what is kept open.
func (c checking) CloseIdleConnections() { c.http.CloseIdleConnections() }

func (d *Dialer) redirect(r *http.Request, via []*http.Request) error {
	switch {
	case d.cfg.Redirects < 0:
		return http.ErrUseLastResponse
	case len(via) > d.cfg.Redirects:
		return fault.Invalid.Errorf("more than %d redirects", d.cfg.Redirects)
	case via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https":
		return fault.Denied.Errorf("a redirect from https to %.40q", r.URL.Scheme)
	}
	return nil
}

// ReadAll reads a body to its end, and refuses one that is longer than limit.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, fault.Limit.Errorf("an answer of more than %d bytes", limit)
	}
	return text, err
}
