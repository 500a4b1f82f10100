// Package egress lets a build reach what its rules allow, through a proxy that writes down what it fetched.
//
// The proxy speaks HTTP as forward proxies do: requests with a whole URL, and
// CONNECT. What comes through CONNECT over TLS is opened with a certificate of
// the build's own authority, so that its path and digest are known; hosts that
// are listed for it go through unread. Names are dialled by an outbound dialer,
// which refuses addresses within our own network.
package egress

import (
	"cmp"
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what a build may reach, and how.
type Config struct {
	Rules Rules
	// Dial dials the world: an outbound.Dialer's DialContext. What Guarded of that
	// package puts into ctx has to be asked.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Tunnel are names, as in rules, whose TLS is passed on unread: of programs
	// that trust only the authorities they bring.
	Tunnel []string
	// Roots are the authorities that hosts are held against; nil for the system's.
	Roots *x509.CertPool
	// Local answers at http://haechi.internal/, and at the proxy's own address; nil for nobody.
	Local http.Handler
	// Record is told of each request when it has ended, from several goroutines; or nil.
	Record func(Request)
	// Allow says to whom a refusal is shown how the host can be allowed; "" for the rules' own words.
	Allow  string
	Limits Limits
	Now    func() time.Time // nil for the clock
}

// Limits bound what a build may fetch; 0 stands for the default.
type Limits struct {
	Bytes       int64         // in both directions, of all requests together; 20 GiB
	Connections int           // at once; 256
	Header      int           // bytes of a request's; 64 KiB
	HeaderTime  time.Duration // for a request's header to come; 10 s
	Idle        time.Duration // without a byte; 2 min
}

func (l Limits) orDefault() Limits {
	l.Bytes = cmp.Or(l.Bytes, 20<<30)
	l.Connections = cmp.Or(l.Connections, 256)
	l.Header = cmp.Or(l.Header, 64<<10)
	l.HeaderTime = cmp.Or(l.HeaderTime, 10*time.Second)
	l.Idle = cmp.Or(l.Idle, 2*time.Minute)
	return l
}

// LocalHost is the name at which Config.Local answers.
const LocalHost = "haechi.internal"

// CertificateFile is where a step finds the authorities that it is to trust.
const CertificateFile = "/run/haechi/ca.pem"

// Proxy is the way out of one build. It is served once for each of its steps.
type Proxy struct {
	config  Config
	limits  Limits
	rules   *rules
	tunnel  *rules
	ca      *authority
	forward http.Handler
	close   func()
	left    atomic.Int64 // bytes

	mu      sync.Mutex
	records []Request
	more    int
}

// New makes the way out of one build.
func New(c Config) (*Proxy, error) {
	compiled, err := c.Rules.compile()
	if err != nil {
		return nil, err
	}
	if c.Dial == nil {
		return nil, fault.Invalid.Errorf("a proxy needs to know how to dial")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Proxy{config: c, limits: c.Limits.orDefault(), rules: compiled}
	p.left.Store(p.limits.Bytes)
	unread := Rules{}
	for _, name := range c.Tunnel {
		unread.Ordered = append(unread.Ordered, Rule{Type: Domain, Effect: Deny, Entities: []string{name}})
	}
	if p.tunnel, err = unread.compile(); err != nil {
		return nil, fault.Invalid.Errorf("tunnel: %w", err)
	}
	p.tunnel.all = true // to be opened, that is
	if p.ca, err = newAuthority(c.Now()); err != nil {
		return nil, err
	}
	p.forward, p.close = p.newForward()
	return p, nil
}

// Close lets go of connections that are kept for the next request.
func (p *Proxy) Close() { p.close() }

// Env are the variables that lead programs to the proxy at addr, and to the
// authority that its certificates are of.
func (p *Proxy) Env(addr string) []string {
	env := []string{}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"=http://"+addr, strings.ToLower(name)+"=http://"+addr)
	}
	const direct = "localhost,127.0.0.1,::1"
	env = append(env, "NO_PROXY="+direct, "no_proxy="+direct, "HAECHI_INTERNAL=http://"+addr)
	for _, name := range []string{
		"SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS",
		"CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE", "BUNDLE_SSL_CA_CERT", "NIX_SSL_CERT_FILE", "DENO_CERT",
	} {
		env = append(env, name+"="+CertificateFile)
	}
	return env
}

// Files are the certificates that a step is to trust: the build's own
// authority, alone and among the machine's, where programs that ask no variable look.
func (p *Proxy) Files() map[string][]byte {
	files := map[string][]byte{CertificateFile: p.ca.pem}
	for _, name := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		bundle, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		all := append(append(bundle, '\n'), p.ca.pem...)
		files[systemFile] = all
		if len(p.config.Tunnel) > 0 {
			files[CertificateFile] = all
		}
		break
	}
	return files
}

// systemFile is where most programs look for authorities, in the step's world.
const systemFile = "/etc/ssl/certs/ca-certificates.crt"

// take counts bytes against what the build may fetch in all.
func (p *Proxy) take(n int) error {
	if p.left.Add(-int64(n)) < 0 {
		return fault.Limit.Errorf("the build has fetched more than %d bytes", p.limits.Bytes)
	}
	return nil
}

// target is a destination, as the rules are asked about it.
type target struct {
	host string
	port int
}

// refusal is why a target may not be reached, in words for whoever reads the build's log.
func (p *Proxy) refusal(t target, addr netip.Addr) string {
	what := t.host
	if addr.IsValid() {
		what += " (" + addr.String() + ")"
	}
	return what + " may not be reached from this build at port " + port(t.port)
}

// how says what to do about a refusal.
func (p *Proxy) how(t target) string {
	if p.config.Allow != "" {
		return p.config.Allow
	}
	kind, entity := Domain, t.host
	if _, err := netip.ParseAddr(t.host); err == nil {
		kind = IP
	}
	if t.port != 80 && t.port != 443 {
		entity = net.JoinHostPort(t.host, port(t.port))
	}
	return `to allow it, add {"type": "` + string(kind) + `", "effect": "ALLOW", "entities": ["` + entity + `"]} to orderedProxyRules of the project's proxyConfiguration`
}
