// Package journal keeps log records in order, durably, and hands them to those who follow.
package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// Config says where a journal lies and how long it keeps.
type Config struct {
	Dir          string        // its own folder; one process at a time (the data folder's lock sees to that)
	SegmentBytes int64         // how large a file grows; 64 MiB
	MaxBytes     int64         // what all files together may take before the oldest goes; 8 GiB
	MaxAge       time.Duration // when a file goes in any case; 30 days
	MaxRequests  int           // how many request ids are remembered, the newest; 262,144
	Log          *slog.Logger
	Now          func() time.Time
}

// Position is a place in a journal: how many bytes were ever written before it. It
// stays what it is when older files go. Only those a Batch bears are positions.
type Position int64

// Oldest is where those begin who have read nothing yet.
const Oldest Position = 0

// A Gap is a stretch that cannot be read any more.
type Gap struct {
	From, To Position
	Why      string
}

// A Journal is records in order. It is safe for use by many goroutines.
type Journal struct {
	config  Config
	create  func(path string) (file, error)
	queue   chan *request
	room    *semaphore.Weighted // bytes that wait to be written
	stop    chan struct{}
	stopped chan struct{}

	// Only the writer touches these after Open.
	active   file
	requests []stamped // of the active segment
	started  time.Time // when the active segment got its first frame
	torn     bool      // there may be bytes behind the active segment's end
	failed   bool      // syncing the active segment went wrong: it is not written to any more

	mu        sync.Mutex
	segments  []*segment // oldest first; the last is the active one
	seen      window
	pending   map[requestHash]*request
	news      chan struct{} // closed and replaced when there is more to read
	closed    bool
	senders   sync.WaitGroup // who is about to put something into the queue
	stats     Stats
	damage    map[Position]struct{} // gaps that were counted
	followers map[string]Position
}

// file is what the journal needs of the file it writes to.
type file interface {
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

type request struct {
	header header
	frame  []byte
	done   chan struct{} // closed when err is known
	err    error
}

const waiting = 2 * MaxRequest // bytes that may wait to be written before appenders are held up

// Open opens the journal of a folder, which it makes if need be. What a crash left half-written at the end is cut off.
func Open(c Config) (*Journal, error) { return open(c, createFile) }

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
}

func open(c Config, create func(string) (file, error)) (*Journal, error) {
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 64<<20)
	c.MaxBytes = cmp.Or(c.MaxBytes, 8<<30)
	c.MaxAge = cmp.Or(c.MaxAge, 30*24*time.Hour)
	c.MaxRequests = cmp.Or(c.MaxRequests, 1<<18)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	j := &Journal{
		config: c, create: create,
		queue: make(chan *request, 4096), room: semaphore.NewWeighted(waiting),
		stop: make(chan struct{}), stopped: make(chan struct{}),
		seen: window{most: c.MaxRequests}, pending: map[requestHash]*request{}, news: make(chan struct{}),
		damage: map[Position]struct{}{}, followers: map[string]Position{},
	}
	if err := j.recover(); err != nil {
		return nil, fmt.Errorf("opening the journal in %s: %w", c.Dir, err)
	}
	go j.write()
	return j, nil
}

// Close waits for what is being written and closes the files. Appends and followers that wait are sent away.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	close(j.news)
	j.mu.Unlock()
	j.senders.Wait()
	close(j.stop)
	<-j.stopped
	return j.active.Close()
}

var errClosed = fault.Unavailable.Errorf("the journal is closed")

// Append keeps the records of one request, all or none. When it answers nil they
// are on the disk. A request id that is kept already is answered nil, and nothing
// is kept again; "" is no id, and remembered nowhere. After any other answer the same
// may be tried again with the same id: fault.Unavailable says that there is no room or
// that the disk failed, a context's error that nobody waited for the answer.
func (j *Journal) Append(ctx context.Context, requestID string, records ...record.Record) error {
	if len(records) == 0 {
		return nil
	}
	id := hashOf(requestID)
	if j.duplicate(id) {
		return nil
	}
	h, frame, err := encode(records)
	if err != nil {
		return err
	}
	h.request = id
	if err := j.room.Acquire(ctx, int64(len(frame))); err != nil {
		return err
	}
	mine := &request{header: h, frame: frame, done: make(chan struct{})}
	r, err := j.enqueue(mine)
	if r != mine {
		j.room.Release(int64(len(frame)))
	}
	if r == nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func hashOf(requestID string) (id requestHash) {
	if requestID == "" {
		return nobody
	}
	sum := sha256.Sum256([]byte(requestID))
	return requestHash(sum[:16])
}

func (j *Journal) duplicate(id requestHash) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.seen.has(id) {
		return false
	}
	j.stats.Duplicates++
	return true
}

// enqueue hands r to the writer. If the same request is being written, it answers
// with that one; if it is kept already, with none.
func (j *Journal) enqueue(r *request) (*request, error) {
	j.mu.Lock()
	id := r.header.request
	other, writing := j.pending[id]
	switch {
	case j.closed:
		j.mu.Unlock()
		return nil, errClosed
	case j.seen.has(id):
		j.stats.Duplicates++
		j.mu.Unlock()
		return nil, nil
	case writing:
		j.stats.Duplicates++
		j.mu.Unlock()
		return other, nil
	}
	if id != nobody {
		j.pending[id] = r
	}
	j.senders.Add(1)
	j.mu.Unlock()
	j.queue <- r
	j.senders.Done()
	return r, nil
}
