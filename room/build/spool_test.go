package build

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// heard is what was handed on.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p)
	return len(p), h.err
}

func (h *heard) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Len()
}

// What a build says is handed on whole and in order, a little at once, and much by the end.
func TestSpool(t *testing.T) {
	to := &heard{}
	s, err := newSpool(t.TempDir(), to)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	fmt.Fprintln(&want, "a line")
	if _, err := s.Write(want.Bytes()); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); to.len() < want.Len(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("a line is not handed on")
		}
	}
	for i := range 300 {
		piece := bytes.Repeat(fmt.Appendf(nil, "%d\n", i), 2000)
		want.Write(piece)
		if _, err := s.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if got := to.text.Bytes(); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes, want %d", len(got), want.Len())
	}
	if _, err := s.Write([]byte("late")); err == nil {
		t.Error("it takes text after its end")
	}
}

// A build that never stops to talk is heard all the same, and soon; what cannot be handed on is told of.
func TestSpoolNeverSilent(t *testing.T) {
	to := &heard{err: errors.New("nobody listens")}
	s, err := newSpool(t.TempDir(), to)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("on and on and on\n"), 1000)
	for began := time.Now(); ; time.Sleep(breath / 5) {
		if _, err := s.Write(line); err != nil {
			break
		}
		if time.Since(began) > 20*patience {
			t.Fatal("it is not heard")
		}
	}
	if err := s.close(); err == nil {
		t.Error("nobody is told that nobody listens")
	}
}
