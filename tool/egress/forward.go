package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// exchange is one request on its way: what is known of it before its answer.
type exchange struct {
	mu sync.Mutex
	Request
}

type exchangeKey struct{}

// pass passes a request on, if the rules allow its target.
func (s *session) pass(w http.ResponseWriter, r *http.Request, scheme string, t target) {
	x := &exchange{Request: Request{Time: s.config.Now(), Method: r.Method, Scheme: scheme, Host: t.host, Port: t.port, Path: r.URL.EscapedPath()}}
	if s.rules.judge(t.host, netip.Addr{}, t.port) == denied {
		s.refuse(w, x, &refused{s.refusal(t, netip.Addr{}), s.how(t)})
		return
	}
	if err := s.take(0); err != nil {
		s.refuse(w, x, err)
		return
	}
	ctx := httptrace.WithClientTrace(context.WithValue(r.Context(), exchangeKey{}, x), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			x.mu.Lock()
			x.Address = i.Conn.RemoteAddr().String()
			x.mu.Unlock()
		},
	})
	s.forward.ServeHTTP(w, r.WithContext(ctx))
}

// refuse answers a request that goes nowhere.
func (s *session) refuse(w http.ResponseWriter, x *exchange, err error) {
	x.mu.Lock()
	x.Status, x.Refused = statusOf(err), err.Error()
	done := x.Request
	x.mu.Unlock()
	s.record(done)
	w.Header().Set("X-Haechi-Egress", "refused")
	http.Error(w, "haechi: "+err.Error(), done.Status)
}

// statusOf is how a proxy says what went wrong.
func statusOf(err error) int {
	switch fault.Of(err) {
	case fault.Denied:
		return http.StatusForbidden
	case fault.Limit:
		return http.StatusInsufficientStorage
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// newForward is what passes requests on and writes down their answers.
func (p *Proxy) newForward() (http.Handler, func()) {
	transport := &http.Transport{
		Proxy: nil, DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, MaxIdleConns: 128, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: p.limits.Idle, MaxResponseHeaderBytes: 1 << 20, ExpectContinueTimeout: time.Second,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.config.Roots},
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			t, err := targetOf(address, 0)
			if err != nil {
				return nil, err
			}
			c, err := p.dial(ctx, t)
			if err != nil {
				return nil, err
			}
			return &idling{Conn: c, idle: p.limits.Idle}, nil
		},
	}
	return &httputil.ReverseProxy{
		Transport:      transport,
		FlushInterval:  -1, // what comes is passed on
		ErrorLog:       log.New(io.Discard, "", 0),
		Rewrite:        p.rewrite,
		ModifyResponse: p.answered,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			(&session{Proxy: p}).refuse(w, r.Context().Value(exchangeKey{}).(*exchange), err)
		},
	}, transport.CloseIdleConnections
}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	x := r.In.Context().Value(exchangeKey{}).(*exchange)
	r.Out.URL = &url.URL{Scheme: x.Scheme, Host: hostOf(x.Request), Path: r.In.URL.Path, RawPath: r.In.URL.RawPath, RawQuery: r.In.URL.RawQuery}
	r.Out.Host = r.In.Host
	if _, ok := r.In.Header["User-Agent"]; !ok {
		r.Out.Header["User-Agent"] = nil // nor is one made up
	}
	if r.Out.Body != nil && r.Out.Body != http.NoBody {
		r.Out.Body = &counted{ReadCloser: r.Out.Body, take: p.take, done: func(n int64, _ string) {
			x.mu.Lock()
			x.Sent = n
			x.mu.Unlock()
		}}
	}
}

func hostOf(r Request) string {
	if r.Scheme == "http" && r.Port == 80 || r.Scheme == "https" && r.Port == 443 {
		if strings.Contains(r.Host, ":") {
			return "[" + r.Host + "]"
		}
		return r.Host
	}
	return net.JoinHostPort(r.Host, port(r.Port))
}

// answered wraps an answer's body, so that its end writes the request down.
func (p *Proxy) answered(r *http.Response) error {
	x := r.Request.Context().Value(exchangeKey{}).(*exchange)
	note := func(n int64, digest string) {
		x.mu.Lock()
		x.Status, x.Received, x.Digest = r.StatusCode, n, digest
		done := x.Request
		x.mu.Unlock()
		p.record(done)
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		return fault.Unsupported.Errorf("%s asks for another protocol, which is not passed on: list the host under tunnel", x.Host)
	}
	body := &counted{ReadCloser: r.Body, take: p.take, done: note}
	if x.Method != http.MethodHead && r.StatusCode != http.StatusNoContent && r.StatusCode != http.StatusNotModified {
		body.hash = hashed()
	}
	r.Body = body
	return nil
}

// idling is a connection that ends when nothing moves for so long.
type idling struct {
	net.Conn
	idle time.Duration
}

func (i *idling) Read(b []byte) (int, error) {
	_ = i.SetReadDeadline(time.Now().Add(i.idle))
	return i.Conn.Read(b)
}

func (i *idling) Write(b []byte) (int, error) {
	_ = i.SetWriteDeadline(time.Now().Add(i.idle))
	return i.Conn.Write(b)
}
