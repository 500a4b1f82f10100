package egress

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// connect answers CONNECT: with a tunnel, or with TLS that ends here.
func (s *session) connect(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Request: Request{Time: s.config.Now(), Method: r.Method}}
	t, err := targetOf(r.Host, 0)
	if err == nil && t.port == 0 {
		err = fault.Invalid.Errorf("%.100q has no port", r.Host)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	x.Host, x.Port = t.host, t.port
	if s.rules.judge(t.host, netip.Addr{}, t.port) == denied {
		s.refuseTunnel(w, x, &refused{s.refusal(t, netip.Addr{}), s.how(t)})
		return
	}
	if err := s.take(0); err != nil {
		s.refuseTunnel(w, x, err)
		return
	}
	unread := s.tunnel.judge(t.host, netip.Addr{}, t.port) != allowed
	var out net.Conn
	if unread || t.port != httpsPort { // what this leads to may not be TLS, and may speak first
		if out, err = s.dial(r.Context(), t); err != nil {
			s.refuseTunnel(w, x, err)
			return
		}
		defer out.Close()
	}
	conn, err := s.establish(w)
	if err != nil {
		return
	}
	wait := s.limits.HeaderTime
	if out != nil {
		wait = speaksFirst
	}
	if !unread && conn.startsTLS(wait) {
		s.terminate(conn, t)
		return
	}
	defer s.drop(conn.Conn)
	if out == nil {
		if out, err = s.dial(r.Context(), t); err != nil { // it was told that there is a way: nothing more can be said
			x.Status, x.Refused = statusOf(err), err.Error()
			s.record(x.Request)
			return
		}
		defer out.Close()
	}
	s.through(conn, out, x)
}

const (
	httpsPort = 443
	// speaksFirst is how long it is waited for a client that may wait for the server.
	speaksFirst = 500 * time.Millisecond
)

// establish takes a connection over and says that the way is free.
func (s *session) establish(w http.ResponseWriter) (*replayed, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if !s.hold(conn) {
		conn.Close()
		return nil, net.ErrClosed
	}
	_ = conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		s.drop(conn)
		return nil, err
	}
	return &replayed{Conn: conn, first: rest(buffered.Reader)}, nil
}

// refuseTunnel refuses in the line that clients show, too: few show the body of an answer to CONNECT.
func (s *session) refuseTunnel(w http.ResponseWriter, x *exchange, err error) {
	conn, _, hijackErr := http.NewResponseController(w).Hijack()
	x.Status, x.Refused = statusOf(err), err.Error()
	s.record(x.Request)
	if hijackErr != nil {
		return
	}
	defer conn.Close()
	reason := err.Error()
	if r, ok := errors.AsType[*refused](err); ok {
		reason = r.why
	}
	body := "haechi: " + err.Error() + "\n"
	_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "HTTP/1.1 %d haechi: %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Haechi-Egress: refused\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		x.Status, oneLine(reason), len(body), body)
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 300)])
}

// through passes on what it does not read.
func (s *session) through(conn *replayed, out net.Conn, x *exchange) {
	x.Address, x.Status = out.RemoteAddr().String(), http.StatusOK
	from, to := &idling{Conn: conn, idle: s.limits.Idle}, &idling{Conn: out, idle: s.limits.Idle}
	var both sync.WaitGroup
	both.Go(func() { x.Sent = s.pipe(to, from, out) })
	x.Received = s.pipe(from, to, conn.Conn)
	both.Wait()
	s.record(x.Request)
}

// rest is what was read of a connection before it was taken over.
func rest(b *bufio.Reader) io.Reader { return io.LimitReader(b, int64(b.Buffered())) }

// pipe copies until there is no more, and says so to the other side.
func (s *session) pipe(to io.Writer, from io.Reader, end net.Conn) int64 {
	n, err := io.Copy(to, &counted{ReadCloser: io.NopCloser(from), take: s.take, done: func(int64, string) {}})
	if half, ok := unwrap(end).(*net.TCPConn); ok && err == nil {
		_ = half.CloseWrite()
	} else {
		end.Close()
	}
	return n
}

func unwrap(c net.Conn) net.Conn {
	if w, ok := c.(*counting); ok {
		return w.Conn
	}
	return c
}

// tlsConn is TLS that ends here; the server within knows where it was to lead.
type tlsConn struct {
	*tls.Conn
	target target
	drop   func()
}

// Close ends the connection below, too.
func (c *tlsConn) Close() error { defer c.drop(); return c.Conn.Close() }

// terminate opens the TLS of a connection, and has what comes out answered.
func (s *session) terminate(conn *replayed, t target) {
	within := tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName != "" && !strings.EqualFold(strings.TrimSuffix(h.ServerName, "."), t.host) {
				return nil, fault.Denied.Errorf("this connection leads to %s alone", t.host)
			}
			return s.ca.certificate(t.host)
		},
	})
	c := &tlsConn{Conn: within, target: t, drop: func() { s.drop(conn.Conn) }}
	select {
	case s.inner.conns <- c: // the server shakes hands, within the time it has for a header
	case <-s.inner.closed:
		c.Close()
	}
}

// replayed is a connection of which the first bytes were read already.
type replayed struct {
	net.Conn
	first io.Reader
}

func (r *replayed) Read(b []byte) (int, error) {
	if r.first != nil {
		n, err := r.first.Read(b)
		if n > 0 {
			return n, nil
		}
		if err != io.EOF {
			return n, err
		}
		r.first = nil
	}
	return r.Conn.Read(b)
}

// startsTLS tells whether the client begins as TLS does, if it does so in time.
func (r *replayed) startsTLS(wait time.Duration) bool {
	_ = r.SetReadDeadline(time.Now().Add(wait))
	var b [1]byte
	n, _ := io.ReadFull(r, b[:])
	_ = r.SetReadDeadline(time.Time{})
	if n == 0 {
		return false
	}
	first := io.Reader(bytes.NewReader(b[:]))
	if r.first != nil {
		first = io.MultiReader(first, r.first)
	}
	r.first = first
	const handshake = 0x16
	return b[0] == handshake
}
