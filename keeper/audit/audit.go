// Package audit keeps what was done here, and what was refused, in a chain that shows whether somebody touched it.
//
// Every door tells a Trail of every call. Changes and refusals are in the
// database before the caller hears of them; reads that were allowed, and log
// lines that were taken in, follow within a second. What is kept are records as
// CloudTrail writes them, without secrets.
//
// Each node has a chain of its own: a block holds the records that were kept
// together, what the block before it was, and how far the other nodes' chains
// had come (their anchors). It is signed under the root key, so that nobody who
// only has the database can write another history; see Verify. What is gone
// from the end of everything is told by what was noted elsewhere: in the data
// folder once a second, and by people.
package audit

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// Config is what a Trail is made of.
type Config struct {
	DB      *db.DB // its tables must include Schema
	Sealer  *seal.Sealer
	Node    string // whose chain is written
	Account string // twelve digits
	Region  string
	Folder  string           // where HeadsFile is written; "": nowhere
	Journal Journal          // where records go for detections; may be nil
	Kept    time.Duration    // how long records stay; 400 days
	Most    int64            // bytes of all records before the oldest go, reads first; 2 GiB
	Now     func() time.Time // time.Now
	Log     *slog.Logger     // slog.Default
}

// Journal takes log records: what river/journal does.
type Journal interface {
	Append(ctx context.Context, requestID string, records ...record.Record) error
}

const (
	batch    = time.Second // how long an allowed read may wait
	most     = 20_000      // reads that wait before more are refused
	together = 2_000       // reads of one block
)

// Trail keeps records. It is safe for concurrent use.
type Trail struct {
	config Config
	turn   chan struct{} // held by whoever writes for all who wait
	full   chan struct{} // there are enough reads to write them
	flush  sync.Mutex    // held by whoever writes reads

	mu      sync.Mutex
	waiting []*entry // changes and refusals
	reads   []Entry
	head    place // the newest block of this node, as far as it knows

	anchored string // what it said of the other nodes last
}

// place is a block of a chain.
type place struct {
	seq int64
	mac string
}

type entry struct {
	Entry
	done chan struct{}
	err  error
}

// New is the trail of one node. What was noted in its folder is taken for what it was last.
func New(c Config) (*Trail, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	c.Kept = cmp.Or(c.Kept, 400*24*time.Hour)
	c.Most = cmp.Or(c.Most, 2<<30)
	t := &Trail{config: c, turn: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	noted, err := ReadHeads(c.Folder)
	if err != nil {
		return nil, err
	}
	for _, h := range noted {
		if h.Node == c.Node {
			t.head = place{h.Seq, h.MAC}
		}
	}
	return t, nil
}

// Schema is audit's tables.
func Schema() db.Schema {
	return db.Schema{Room: "audit", Steps: []string{`
CREATE TABLE audit_blocks (node TEXT NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL, began BIGINT NOT NULL, ended BIGINT NOT NULL, records BIGINT NOT NULL, anchors TEXT NOT NULL, digest TEXT NOT NULL, prev TEXT NOT NULL, mac TEXT NOT NULL, size BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (node, seq));
CREATE INDEX audit_blocks_by_end ON audit_blocks (ended);
CREATE TABLE audit_heads (node TEXT PRIMARY KEY, first BIGINT NOT NULL, prev TEXT NOT NULL, seq BIGINT NOT NULL, mac TEXT NOT NULL, thinned BIGINT NOT NULL, seal TEXT NOT NULL, flowed BIGINT NOT NULL)`}}
}

// Keep keeps what e says. For a change or a refusal it returns once that is in
// the database, and whoever asked must not hear of the change before; an
// allowed read, or Data, is kept within a second.
func (t *Trail) Keep(ctx context.Context, e Entry) error {
	if e.Time.IsZero() {
		e.Time = t.config.Now()
	}
	if e.batched() {
		return t.later(e)
	}
	return t.now(context.WithoutCancel(ctx), e)
}

// later queues a read.
func (t *Trail) later(e Entry) error {
	if len(e.Parameters) > maxRaw {
		e.Parameters = nil
	}
	e.Answer = nil
	t.mu.Lock()
	n := len(t.reads)
	if n < most {
		t.reads = append(t.reads, e)
	}
	t.mu.Unlock()
	switch {
	case n >= most:
		return fault.Unavailable.Errorf("more is asked than can be written down: try again")
	case n+1 >= together:
		select {
		case t.full <- struct{}{}:
		default:
		}
	}
	return nil
}

// now writes a change, together with all others that wait: whoever gets the
// turn writes for everybody, so that many at once cost one transaction.
func (t *Trail) now(ctx context.Context, e Entry) error {
	mine := &entry{Entry: e, done: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, mine)
	t.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case t.turn <- struct{}{}:
	}
	defer func() { <-t.turn }()
	t.mu.Lock()
	all := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	if len(all) > 0 {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		err := t.config.DB.Write(ctx, func(tx *db.Tx) error { return t.changes(tx, all) })
		for _, one := range all {
			one.err = fault.Unavailable.Wrap(err)
			close(one.done)
		}
	}
	<-mine.done // mine was among them, or among those of whoever had the turn before
	return mine.err
}

func (t *Trail) changes(tx *db.Tx, all []*entry) error {
	entries := make([]Entry, len(all))
	for i, one := range all {
		entries[i] = one.Entry
	}
	return t.Within(tx, entries...)
}

// Within keeps changes or refusals in the very transaction that makes them.
func (t *Trail) Within(tx *db.Tx, entries ...Entry) error {
	kind := kindChange
	for i := range entries {
		if entries[i].Time.IsZero() {
			entries[i].Time = t.config.Now()
		}
		if k := entries[i].kind(); i == 0 || k == kindChange {
			kind = k
		}
	}
	return t.add(tx, kind, entries)
}

// Flush writes the reads that wait.
func (t *Trail) Flush(ctx context.Context) error {
	t.flush.Lock()
	defer t.flush.Unlock()
	for {
		t.mu.Lock()
		n := min(len(t.reads), together)
		some := t.reads[:n:n]
		t.mu.Unlock()
		if n == 0 {
			return nil
		}
		if err := t.config.DB.Write(ctx, func(tx *db.Tx) error { return t.add(tx, kindRead, some) }); err != nil {
			return err
		}
		t.mu.Lock()
		t.reads = t.reads[n:]
		if len(t.reads) == 0 {
			t.reads = nil // its memory was for a burst
		}
		t.mu.Unlock()
	}
}
