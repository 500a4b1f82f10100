package websocket

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// serve answers with what do does with a connection.
func serve(t *testing.T, start func(*httptest.Server), do func(*Conn)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUpgradeRequired)
			return
		}
		do(c)
	}))
	s.EnableHTTP2 = true
	start(s)
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, s *httptest.Server) *Conn {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := Dial(s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Cut(io.EOF) })
	return c
}

func echo(c *Conn) {
	for {
		kind, text, err := c.Read()
		if err != nil {
			c.Cut(err)
			return
		}
		_ = c.Write(kind, text)
	}
}

// Messages of every size come back as they went, in the clear and over TLS,
// also where both sides would rather speak HTTP/2.
func TestEcho(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"clear": (*httptest.Server).Start, "tls": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, start, echo))
			for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, Most} {
				want := bytes.Repeat([]byte{0xe9}, n)
				if err := c.Write(Binary, want); err != nil {
					t.Fatal(err)
				}
				kind, got, err := c.Read()
				if err != nil || kind != Binary || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: %d of kind %d, %v", n, len(got), kind, err)
				}
			}
			if err := c.Write(Binary, make([]byte, Most+1)); err == nil {
				t.Error("a message that is too long was sent")
			}
			if err := c.Close(Normal, "enough"); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(); err == nil {
				t.Error("something was read after the close")
			}
			if err := c.Write(Text, nil); err == nil {
				t.Error("something was sent after the close")
			}
		})
	}
}

// Whoever reads hears why the other side says goodbye.
func TestGoodbye(t *testing.T) {
	c := dial(t, serve(t, (*httptest.Server).Start, func(c *Conn) { _ = c.Close(Away, strings.Repeat("해치", 100)) }))
	var end *Closed
	if _, _, err := c.Read(); !errors.As(err, &end) || end.Code != Away || !strings.HasPrefix(end.Reason, "해치해치") {
		t.Errorf("%v", err)
	}
}

// What is no websocket is refused before anything is answered, and the client sees the answer.
func TestRefused(t *testing.T) {
	s := serve(t, (*httptest.Server).Start, echo)
	answer, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain request: %s", answer.Status)
	}
	no := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) }))
	defer no.Close()
	r, _ := http.NewRequest(http.MethodGet, no.URL, nil)
	_, answer, err = Dial(no.Client(), r)
	if !errors.Is(err, ErrRefused) || answer.StatusCode != http.StatusForbidden {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	for name, value := range map[string]string{"Sec-Websocket-Key": "short", "Sec-Websocket-Version": "8"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for k, v := range map[string]string{"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
			r.Header.Set(k, v)
		}
		r.Header.Set(name, value)
		if _, err := Accept(httptest.NewRecorder(), r); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %s: %v", name, value, err)
		}
	}
}

// An answer that does not know the key's secret is not taken for a websocket.
func TestWrongAccept(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-WebSocket-Accept", "c3VyZQ==")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	defer s.Close()
	r, _ := http.NewRequest(http.MethodGet, s.URL, nil)
	if _, _, err := Dial(s.Client(), r); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// Whoever gives no sign of life is cut off; whoever does, and says nothing else, is not.
func TestWatch(t *testing.T) {
	const every = 20 * time.Millisecond
	s := serve(t, (*httptest.Server).Start, echo)
	c := dial(t, s)
	defer c.Watch(every)()
	time.AfterFunc(10*every, func() { _ = c.Write(Text, []byte("still here")) })
	if _, text, err := c.Read(); err != nil || string(text) != "still here" {
		t.Errorf("%q %v", text, err)
	}

	over := make(chan struct{})
	mute := dial(t, serve(t, (*httptest.Server).Start, func(*Conn) { <-over })) // nobody reads there, or answers
	defer close(over)
	defer mute.Watch(every)()
	if _, _, err := mute.Read(); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "sign of life") {
		t.Errorf("of a mute: %v", err)
	}
}

// Whoever sends more than a message may have, or a text that is none, is cut off.
func TestBreach(t *testing.T) {
	for name, send := range map[string]func(c *Conn) error{
		"too long": func(c *Conn) error { return c.conn.Write(t.Context(), Binary, make([]byte, Most+1)) },
		"no UTF-8": func(c *Conn) error { return c.Write(Text, []byte{0xff}) },
	} {
		heard := make(chan error, 1)
		c := dial(t, serve(t, (*httptest.Server).Start, func(c *Conn) {
			_, _, err := c.Read()
			heard <- err
		}))
		if err := send(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-heard; err == nil {
			t.Errorf("%s is taken", name)
		}
		if _, _, err := c.Read(); err == nil {
			t.Errorf("%s: the connection stands", name)
		}
	}
}
