package mirror

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// A gate is the proxy by which one git reaches one forge, for as long as it runs: it dials with the
// server's own dialer, which refuses what lies within our network, reaches no other host, and lets no more
// through than may be fetched. Only who knows its password is let in.
type gate struct {
	address string // http://…
	only    string // host:port
	server  *http.Server
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	pass    string
	left    atomic.Int64
	over    chan struct{}

	mu  sync.Mutex
	why error
}

func (m *Mirror) newGate(clone string) (*gate, error) {
	u, err := url.Parse(clone)
	if err != nil {
		return nil, fault.Invalid.Errorf("%.200q is no URL", clone)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{dial: m.config.Dial, pass: rand.Text(), over: make(chan struct{})}
	g.left.Store(maxFetched)
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	g.only = net.JoinHostPort(u.Hostname(), port)
	g.address = "http://git:" + g.pass + "@" + l.Addr().String()
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(g.over)
		_ = g.server.Serve(l) // until close
	}()
	return g, nil
}

func (g *gate) close() {
	_ = g.server.Close()
	<-g.over
}

// said is why git was not let through, if it was not.
func (g *gate) said() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

func (g *gate) refuse(w http.ResponseWriter, status int, why error) {
	g.mu.Lock()
	if g.why == nil { // else it follows from that
		g.why = why
	}
	g.mu.Unlock()
	http.Error(w, why.Error(), status)
}

// connect is dial, for the one host.
func (g *gate) connect(ctx context.Context, address string) (net.Conn, error) {
	if address != g.only {
		return nil, fault.Denied.Errorf("the forge sends elsewhere, to %.100q", address)
	}
	conn, err := g.dial(ctx, "tcp", address)
	if err != nil {
		if fault.Of(err) == fault.Internal {
			err = fault.Unavailable.Wrap(err)
		}
		return nil, err
	}
	return &counted{conn, g}, nil
}

// counted is a connection that brings no more than is left.
type counted struct {
	net.Conn
	gate *gate
}

// Read reads, and ends when too much has come.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.gate.left.Add(-int64(n)) < 0 {
		c.gate.mu.Lock()
		c.gate.why = fault.Limit.Errorf("the forge sends more than %d GiB at once", maxFetched>>30)
		c.gate.mu.Unlock()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// ServeHTTP lets git through.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("git:"+g.pass))
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(want)) == 0 {
		w.Header().Set("Proxy-Authenticate", `Basic realm="git"`)
		http.Error(w, "whose proxy this is knows its password", http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		g.tunnel(w, r)
		return
	}
	if r.URL.Scheme != "http" {
		g.refuse(w, http.StatusBadRequest, fault.Invalid.Errorf("only http is passed on, and https through a tunnel"))
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.Header.Del("Proxy-Authorization") },
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return g.connect(ctx, address)
		}},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, err error) { g.refuse(w, http.StatusBadGateway, err) },
	}
	proxy.ServeHTTP(w, r)
}

func (g *gate) tunnel(w http.ResponseWriter, r *http.Request) {
	up, err := g.connect(r.Context(), strings.ToLower(r.Host))
	if err != nil {
		g.refuse(w, http.StatusBadGateway, err)
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		g.refuse(w, http.StatusInternalServerError, err)
		return
	}
	defer down.Close()
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(up, buffered) // whichever side ends first ends the other
		_ = up.SetDeadline(time.Now())
	}()
	_, _ = io.Copy(down, up)
	_ = down.SetDeadline(time.Now())
	<-ended
}
