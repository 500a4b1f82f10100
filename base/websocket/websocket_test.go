package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
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
			var end *Closed
			if _, _, err := c.Read(); !errors.As(err, &end) || end.Code != Normal {
				t.Errorf("after a close: %v", err)
			}
			if err := c.Write(Text, nil); err == nil {
				t.Error("something was sent after the close")
			}
		})
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

	mute, other := net.Pipe()
	defer other.Close()
	go func() { _, _ = io.Copy(io.Discard, other) }()
	d := &Conn{from: bufio.NewReader(mute), to: mute, client: true}
	defer d.Watch(every)()
	if _, _, err := d.Read(); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "sign of life") {
		t.Errorf("of a mute: %v", err)
	}
}

// what a client sends, byte by byte, and what comes of it.
func TestFrames(t *testing.T) {
	for _, c := range []struct{ name, bytes, want string }{
		{"whole", "\x81\x82\x00\x00\x00\x00hi", "hi"},
		{"in parts, with a ping between", "\x01\x81\x00\x00\x00\x00h\x89\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00i", "hi"},
		{"masked", "\x82\x82\x01\x02\x03\x04ik", "hi"},
		{"not masked", "\x81\x02hi", "clients mask"},
		{"an extension", "\xc1\x82\x00\x00\x00\x00hi", "extension"},
		{"a kind that there is not", "\x83\x80\x00\x00\x00\x00", "no frames of kind 3"},
		{"more of nothing", "\x80\x80\x00\x00\x00\x00", "not begun"},
		{"one within another", "\x01\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00", "within another"},
		{"a ping in parts", "\x09\x80\x00\x00\x00\x00", "whole and short"},
		{"a long ping", "\x89\xfe\x00\x7e\x00\x00\x00\x00", "whole and short"},
		{"a length too long", "\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00hello", "longer than it is"},
		{"a giant", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "there may be"},
		{"no UTF-8", "\x81\x81\x00\x00\x00\x00\xff", "no UTF-8"},
		{"a close", "\x88\x87\x00\x00\x00\x00\x03\xe9later", "later"},
		{"half a code", "\x88\x81\x00\x00\x00\x00\x03", "two bytes"},
		{"cut short", "\x81\x85\x00\x00\x00\x00h", "unexpected EOF"},
	} {
		conn := &Conn{from: bufio.NewReader(strings.NewReader(c.bytes)), to: nowhere{}}
		_, text, err := conn.Read()
		got := string(text)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) Close() error                { return nil }

// Whatever comes, reading ends, and no message is longer than it may be.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x81\x82\x00\x00\x00\x00hi"), false)
	f.Add([]byte("\x01\x01h\x80\x01i\x88\x02\x03\xe8"), true)
	f.Fuzz(func(t *testing.T, b []byte, client bool) {
		c := &Conn{from: bufio.NewReader(bytes.NewReader(b)), to: nowhere{}, client: client}
		for {
			_, text, err := c.Read()
			if len(text) > Most {
				t.Fatalf("%d bytes", len(text))
			}
			if err != nil {
				return
			}
		}
	})
}
