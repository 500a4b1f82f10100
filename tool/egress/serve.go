package egress

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/word/fault"
)

func port(n int) string { return strconv.Itoa(n) }

// session is one listener being served.
type session struct {
	*Proxy
	inner *bench // what was opened of TLS
	mu    sync.Mutex
	open  map[net.Conn]bool // taken over from the server
	ended bool
	work  sync.WaitGroup
}

// Serve answers what comes to l until it is closed, and returns when all that
// it began has ended.
func (p *Proxy) Serve(l net.Listener) {
	s := &session{Proxy: p, open: map[net.Conn]bool{}, inner: newBench(l.Addr())}
	outer := s.server(s.outer)
	opened := s.server(s.opened)
	opened.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if t, ok := c.(*tlsConn); ok {
			return context.WithValue(ctx, targetKey{}, t.target)
		}
		return ctx
	}
	s.work.Go(func() { _ = opened.Serve(s.inner) })
	_ = outer.Serve(&limited{Listener: l, room: make(chan struct{}, p.limits.Connections)})
	outer.Close()
	s.end()
	opened.Close()
	s.work.Wait()
}

func (s *session) server(h http.HandlerFunc) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: s.limits.HeaderTime, IdleTimeout: s.limits.Idle, MaxHeaderBytes: s.limits.Header,
		ErrorLog: log.New(io.Discard, "", 0), // what a build does wrong is told to it
	}
}

// limited has room for so many connections at once, and tells the others so.
type limited struct {
	net.Listener
	room chan struct{}
}

// Accept gives the next connection that there is room for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return &counting{Conn: c, done: sync.OnceFunc(func() { <-l.room })}, nil
		default:
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(c, "HTTP/1.1 503 haechi: too many connections at once\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			c.Close()
		}
	}
}

type counting struct {
	net.Conn
	done func()
}

// Close makes room for another.
func (c *counting) Close() error { defer c.done(); return c.Conn.Close() }

// bench is a listener of connections that come from elsewhere in this program.
type bench struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newBench(addr net.Addr) *bench {
	return &bench{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (b *bench) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *bench) Close() error   { b.once.Do(func() { close(b.closed) }); return nil }
func (b *bench) Addr() net.Addr { return b.addr }

// hold notes a connection that the server has let go, so that it ends with the session.
func (s *session) hold(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.open[c] = true
	s.work.Add(1)
	return true
}

func (s *session) drop(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[c] {
		delete(s.open, c)
		s.work.Done()
	}
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.open {
		c.Close()
	}
}

// outer answers what comes to the listener itself.
func (s *session) outer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		s.connect(w, r)
	case r.URL.Host == "" || strings.EqualFold(r.URL.Hostname(), LocalHost):
		if s.config.Local == nil {
			http.Error(w, "nothing is served here", http.StatusNotFound)
			return
		}
		s.config.Local.ServeHTTP(w, r)
	case r.URL.Scheme != "http":
		http.Error(w, fmt.Sprintf("%.20s is not fetched here: http is, and https through CONNECT", r.URL.Scheme), http.StatusBadRequest)
	default:
		t, err := targetOf(r.URL.Host, 80)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.pass(w, r, "http", t)
	}
}

// opened answers what comes through CONNECT over TLS.
func (s *session) opened(w http.ResponseWriter, r *http.Request) {
	t := r.Context().Value(targetKey{}).(target)
	if r.Method == http.MethodConnect {
		http.Error(w, "there is no way on from here", http.StatusMethodNotAllowed)
		return
	}
	asked, err := targetOf(r.Host, t.port)
	if err != nil || asked != t || r.URL.Host != "" && !strings.EqualFold(r.URL.Host, r.Host) {
		http.Error(w, fmt.Sprintf("this connection leads to %s alone, and not to %.100q", t.host, r.Host), http.StatusMisdirectedRequest)
		return
	}
	s.pass(w, r, "https", t)
}

// targetOf reads the destination of a request.
func targetOf(hostport string, usual int) (target, error) {
	t := target{port: usual}
	host := hostport
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return t, fault.Invalid.Errorf("%.100q has no port that can be dialled", hostport)
		}
		host, t.port = h, int(n)
	}
	host = strings.TrimSuffix(strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return t, fault.Invalid.Errorf("%.100q: an address with a zone leads nowhere from here", hostport)
		}
		t.host = addr.Unmap().String()
		return t, nil
	}
	if !isName(host) {
		return t, fault.Invalid.Errorf("%.100q is not the name of a host", hostport)
	}
	t.host = host
	return t, nil
}

type targetKey struct{}

// dial dials a target that the rules allow, and notes the address.
func (p *Proxy) dial(ctx context.Context, t target) (net.Conn, error) {
	ctx = outbound.Guarded(ctx, func(addr netip.Addr) error {
		if p.rules.judge(t.host, addr, t.port) != allowed {
			return &refused{p.refusal(t, addr), p.how(t)}
		}
		return nil
	})
	return p.config.Dial(ctx, "tcp", net.JoinHostPort(t.host, port(t.port)))
}

// refused is the error of a target that the rules do not allow.
type refused struct{ why, how string }

// Error says which, and how it can be allowed.
func (r *refused) Error() string { return r.why + ": " + r.how }

// Unwrap makes it a fault.Denied.
func (r *refused) Unwrap() error { return fault.Denied }
