// Package websocket carries messages both ways over one connection that began as an HTTP request (RFC 6455).
//
// There is what two programs of ours need, and what proxies let through: text and
// binary messages, pings and closes. There are no extensions.
package websocket

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Kind is what a message is.
type Kind byte

// The kinds of messages.
const (
	Text   Kind = opText
	Binary Kind = opBinary
)

// Most is how long a message may be.
const Most = 128 << 10

// The codes of closes.
const (
	Normal   = 1000
	Away     = 1001 // the server ends
	Protocol = 1002
	TooLong  = 1009
)

// Conn is a connection. One goroutine reads; any may write.
type Conn struct {
	from   *bufio.Reader
	to     io.WriteCloser
	client bool // whose frames are masked

	writing sync.Mutex
	closed  bool // our close is out

	mu    sync.Mutex
	since time.Time // the one who reads waits since then for the other; zero: it does not wait
	dead  error     // why the connection was cut
}

// Asked tells whether a request asks for a websocket, which proxies may have taken out.
func Asked(r *http.Request) bool {
	return holds(r.Header, "Connection", "upgrade") && holds(r.Header, "Upgrade", "websocket")
}

// holds tells whether a header lists a word.
func holds(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), word) {
				return true
			}
		}
	}
	return false
}

// Accept makes a websocket of a request. Nothing has been answered where it fails.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	key := r.Header.Get("Sec-Websocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	switch {
	case r.Method != http.MethodGet || !Asked(r):
		return nil, fault.Invalid.Errorf("this is answered over a websocket, which is not asked for")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return nil, fault.Invalid.Errorf("websockets of version 13 are spoken here")
	case err != nil || len(raw) != 16:
		return nil, fault.Invalid.Errorf("the key of a websocket has 16 bytes")
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("taking over the connection: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(key))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Conn{from: buffered.Reader, to: conn}, nil
}

// accept is the answer to a key.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ErrRefused is a server's answer that is no websocket.
var ErrRefused = errors.New("the server did not make a websocket of it")

// Dial makes a websocket of a GET request that is ready to be sent. Where the
// error is ErrRefused the answer says why, and its body is to be closed.
func Dial(client *http.Client, r *http.Request) (*Conn, *http.Response, error) {
	patient := *client
	patient.Timeout, patient.Transport = 0, overHTTP1(client.Transport)
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return nil, nil, err
	}
	said := base64.StdEncoding.EncodeToString(key)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-Websocket-Version", "13")
	r.Header.Set("Sec-Websocket-Key", said)
	answer, err := patient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, answer, ErrRefused
	}
	both, ok := answer.Body.(io.ReadWriteCloser)
	if !ok || !holds(answer.Header, "Upgrade", "websocket") || answer.Header.Get("Sec-Websocket-Accept") != accept(said) {
		answer.Body.Close()
		return nil, nil, fault.Unavailable.Errorf("what answers does not speak WebSocket")
	}
	return &Conn{from: bufio.NewReader(both), to: both, client: true}, answer, nil
}

// overHTTP1 is a transport that speaks nothing newer, of which no websocket can be made.
func overHTTP1(t http.RoundTripper) http.RoundTripper {
	if t == nil {
		t = http.DefaultTransport
	}
	known, ok := t.(*http.Transport)
	if !ok {
		return t
	}
	known = known.Clone()
	known.Protocols = new(http.Protocols)
	known.Protocols.SetHTTP1(true)
	known.ForceAttemptHTTP2 = false
	known.TLSNextProto = nil
	if known.TLSClientConfig != nil {
		known.TLSClientConfig.NextProtos = nil
	}
	return known
}

// Watch gives a sign of life again and again, and cuts the connection when the
// other side gave none for three times as long. What it waits for is that the
// Conn is read from; how long its user takes with what was read counts for
// nothing. stop ends it.
func (c *Conn) Watch(every time.Duration) (stop func()) {
	over := make(chan struct{})
	again := func(do func()) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				do()
			}
		}
	}
	go again(func() { _ = c.write(opPing, nil) }) // it may be held up, until the connection is cut
	go again(func() {
		c.mu.Lock()
		silent := !c.since.IsZero() && time.Since(c.since) > 3*every
		c.mu.Unlock()
		if silent {
			c.Cut(fault.Unavailable.Errorf("the other side has given no sign of life for %v", 3*every))
		}
	})
	return sync.OnceFunc(func() { close(over) })
}

// Cut ends the connection at once; who reads gets why.
func (c *Conn) Cut(why error) {
	c.mu.Lock()
	if c.dead == nil {
		c.dead = why
	}
	c.mu.Unlock()
	c.to.Close()
}

// wait says that whoever reads waits from now on, or waits no more.
func (c *Conn) wait(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since = (time.Time{}); yes {
		c.since = time.Now()
	}
}

// why is the reason that a connection was cut for, or else err.
func (c *Conn) why(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return c.dead
	}
	return err
}
