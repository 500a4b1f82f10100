// Package websocket carries messages both ways over one connection that began as an HTTP request, and sees when the other side is gone.
package websocket

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/haechi-dev/haechi/word/fault"
)

// Kind is what a message is.
type Kind = websocket.MessageType

// The kinds of messages.
const (
	Text   = websocket.MessageText
	Binary = websocket.MessageBinary
)

// Most is how many bytes a message may have.
const Most = 128 << 10

// The codes of closes that are said here.
const (
	Normal = int(websocket.StatusNormalClosure)
	Away   = int(websocket.StatusGoingAway) // the server ends
)

// Conn is a connection. One goroutine reads; any may write.
type Conn struct {
	conn *websocket.Conn

	mu    sync.Mutex
	since time.Time // the one who reads waits since then for the other; zero: it does not wait
	dead  error     // why the connection was cut
}

// Closed is the end of a connection, as the other side has said it.
type Closed struct {
	Code   int
	Reason string
}

// Error says why the other side has closed.
func (c *Closed) Error() string {
	if c.Reason == "" {
		return fmt.Sprintf("the connection was closed (%d)", c.Code)
	}
	return c.Reason
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

// Accept makes a websocket of a request. Where the error is of the kind Invalid,
// nothing has been answered.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case r.Method != http.MethodGet || !Asked(r):
		return nil, fault.Invalid.Errorf("this is answered over a websocket, which is not asked for")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return nil, fault.Invalid.Errorf("websockets of version 13 are spoken here")
	case err != nil || len(key) != 16:
		return nil, fault.Invalid.Errorf("the key of a websocket has 16 bytes")
	}
	c := &Conn{}
	c.conn, err = websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: c.pinged, OnPongReceived: c.ponged})
	return c.ready(err)
}

// ErrRefused is a server's answer that is no websocket.
var ErrRefused = errors.New("the server did not make a websocket of it")

// Dial makes a websocket of a GET request that is ready to be sent. Where the
// error is ErrRefused the answer says why, and its body is to be closed.
func Dial(client *http.Client, r *http.Request) (*Conn, *http.Response, error) {
	c := &Conn{}
	conn, answer, err := websocket.Dial(r.Context(), r.URL.String(), &websocket.DialOptions{HTTPClient: client, HTTPHeader: r.Header, Host: r.Host, OnPingReceived: c.pinged, OnPongReceived: c.ponged})
	if err != nil && answer != nil {
		if answer.StatusCode != http.StatusSwitchingProtocols {
			return nil, answer, ErrRefused
		}
		answer.Body.Close()
		return nil, nil, fault.Unavailable.Errorf("what answers does not speak WebSocket: %w", err)
	}
	c.conn = conn
	c, err = c.ready(err)
	return c, answer, err
}

func (c *Conn) ready(err error) (*Conn, error) {
	if err != nil {
		return nil, err
	}
	c.conn.SetReadLimit(Most)
	return c, nil
}

func (c *Conn) pinged(context.Context, []byte) bool { c.alive(); return true }
func (c *Conn) ponged(context.Context, []byte)      { c.alive() }

// Watch gives a sign of life again and again, and cuts the connection when the
// other side gave none for three times as long. What it waits for is that the
// Conn is read from; how long its user takes with what was read counts for
// nothing. stop ends it.
func (c *Conn) Watch(every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	again := func(do func()) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				do()
			}
		}
	}
	go again(func() { _ = c.conn.Ping(ctx) }) // until it is answered, or the connection is cut
	go again(func() {
		c.mu.Lock()
		silent := !c.since.IsZero() && time.Since(c.since) > 3*every
		c.mu.Unlock()
		if silent {
			c.Cut(fault.Unavailable.Errorf("the other side has given no sign of life for %v", 3*every))
		}
	})
	return cancel
}

// Cut ends the connection at once; who reads gets why.
func (c *Conn) Cut(why error) {
	c.mu.Lock()
	if c.dead == nil {
		c.dead = why
	}
	c.mu.Unlock()
	_ = c.conn.CloseNow() // it is over either way
}

// wait says that whoever reads waits from now on, or waits no more.
func (c *Conn) wait(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since = (time.Time{}); yes {
		c.since = time.Now()
	}
}

// alive says that the other side is there.
func (c *Conn) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.since.IsZero() {
		c.since = time.Now()
	}
}

// why is the reason that a connection was cut for, or else err.
func (c *Conn) why(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.dead != nil {
		return c.dead
	}
	return err
}

// Read is the next message. A close of the other side's is the error *Closed;
// any other is a connection that broke, was cut, or said what it may not say.
func (c *Conn) Read() (Kind, []byte, error) {
	c.wait(true)
	defer c.wait(false)
	kind, text, err := c.conn.Read(context.Background()) // Cut ends it
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return 0, nil, &Closed{Code: int(closed.Code), Reason: closed.Reason}
	case err != nil:
		return 0, nil, c.why(err)
	case kind == Text && !utf8.Valid(text):
		err = fault.Invalid.Errorf("a text that is no UTF-8")
		c.Cut(err)
		return 0, nil, err
	}
	return kind, text, nil
}

// Write sends a message.
func (c *Conn) Write(kind Kind, text []byte) error {
	if len(text) > Most {
		return fault.Limit.Errorf("a message of %d bytes; there may be %d", len(text), Most)
	}
	return c.why(c.conn.Write(context.Background(), kind, text)) // Cut ends it
}

// Close says goodbye, with a reason of at most 123 bytes, and waits some seconds for an answer.
func (c *Conn) Close(code int, reason string) error {
	for len(reason) > 123 {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	return c.why(c.conn.Close(websocket.StatusCode(code), reason))
}
