package build

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// spool is what a build has said and nobody has looked at yet. It lies in a file,
// so that a build that says much is not held up by what becomes of it: secrets are
// looked for, and it is packed and kept, behind it, and once it draws breath: till
// then the processors are the build's.
type spool struct {
	to   io.Writer
	file *os.File // without a name

	mu      sync.Mutex
	moved   sync.Cond // something was written or read
	written int64
	read    int64
	closed  bool
	last    time.Time // when something was written
	err     error     // of to
	over    chan struct{}
}

// newSpool hands on to w what is written to it.
func newSpool(dir string, to io.Writer) (*spool, error) {
	file, err := os.CreateTemp(dir, "spool-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	s := &spool{to: to, file: file, over: make(chan struct{})}
	s.moved.L = &s.mu
	go s.run()
	return s, nil
}

// Write takes text. The error is that of a text before, which could not be handed on.
func (s *spool) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed:
		return 0, os.ErrClosed
	}
	n, err := s.file.WriteAt(b, s.written)
	s.written += int64(n)
	s.last = time.Now()
	s.moved.Broadcast()
	return n, err
}

const (
	spooled  = 256 << 10              // bytes that are handed on at once: they are not much
	breath   = 5 * time.Millisecond   // after which a build is taken not to go on
	patience = 250 * time.Millisecond // what much of it waits for that at most
)

// breathe waits until the build draws breath, or it is time. The caller holds mu.
func (s *spool) breathe() {
	for until := time.Now().Add(patience); !s.closed; {
		if now := time.Now(); now.Sub(s.last) > breath || now.After(until) {
			return
		}
		s.mu.Unlock()
		time.Sleep(breath)
		s.mu.Lock()
	}
}

func (s *spool) run() {
	defer close(s.over)
	chunk := make([]byte, spooled)
	waited := false // since all was handed on
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.read == s.written && !s.closed {
			s.moved.Wait()
		}
		if s.read == s.written {
			return
		}
		if !waited && s.written-s.read > spooled {
			s.breathe()
			waited = true
		}
		n := min(int64(len(chunk)), s.written-s.read)
		at := s.read
		s.mu.Unlock()
		_, err := s.file.ReadAt(chunk[:n], at)
		if err == nil {
			_, err = s.to.Write(chunk[:n])
		}
		s.mu.Lock()
		if s.read += n; s.err == nil {
			s.err = err
		}
		if s.read == s.written { // all is looked at: the room it took is free again
			waited = false
			if cut := s.file.Truncate(0); cut == nil {
				s.read, s.written = 0, 0
			}
		}
		s.moved.Broadcast()
	}
}

// close hands on the rest.
func (s *spool) close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.moved.Broadcast()
	s.mu.Unlock()
	<-s.over
	if was {
		return s.err
	}
	return errors.Join(s.err, s.file.Close())
}
