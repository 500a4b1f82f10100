// Package detect watches log records for signs of attack.
//
// It follows the journal, evaluates rules over each record, and hands what it finds to the hub.
// Its cursor, what correlations remember and the findings are committed together, so that after a
// crash nothing is lost and nothing counted twice; the hub gets a finding afterwards, as
// often as need be: the same records always make the same finding.
package detect

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/river/journal"
	"github.com/haechi-dev/haechi/word/finding"
)

// Hub keeps findings. A finding that it has already, with the same UpdatedAt, changes nothing.
type Hub interface {
	Import(ctx context.Context, s finding.Scan, findings ...finding.Finding) (hub.Imported, error)
}

// Config is what a Detect works with.
type Config struct {
	DB      *db.DB // its tables must include Schema
	Journal *journal.Journal
	Name    string // of the journal, where several nodes share the database; each has its own
	Hub     Hub
	Rules   []sigma.File
	Maker   finding.Maker // whose findings are those of records that do not say
	Log     *slog.Logger
	Now     func() time.Time
}

// Detect is the room. Make it with New.
type Detect struct {
	Config
	engine *engine                // only Run touches it, once it runs
	next   atomic.Pointer[engine] // of the rules that Use brought, for the next batch

	cursor cursor // as far as is committed or could be; only Run touches it
	saved  time.Time

	mu    sync.Mutex
	stats Stats
}

// Stats is how the room does, since it was started.
type Stats struct {
	Records    int64
	Unread     int64            // records that no rule can look at, since they are broken
	WhyUnread  string           // of the last one
	Gaps       int64            // stretches of the journal that cannot be read
	Hits       map[string]int64 // records that fulfilled a rule, by its name
	Findings   int64            // handed to the hub, new or seen again
	Refused    int64            // findings that the hub did not take
	WhyRefused string
	Position   journal.Position
}

// New compiles the rules; an error names the file and the place.
func New(c Config) (*Detect, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Name == "" {
		c.Name = "journal"
	}
	e, err := newEngine(sigma.Rules(c.Rules), c.Maker)
	if err != nil {
		return nil, err
	}
	return &Detect{Config: c, engine: e, stats: Stats{Hits: map[string]int64{}}}, nil
}

// Use replaces the rules, from the next batch of records on. What was counted
// for rules that stay goes on; an error names the file and the place, and changes nothing.
func (d *Detect) Use(rules []sigma.File) error {
	e, err := newEngine(sigma.Rules(rules), d.Maker)
	if err == nil {
		d.next.Store(e)
	}
	return err
}

const (
	pause, longestPause = 200 * time.Millisecond, 30 * time.Second
	pruneEvery          = time.Hour
	saveEvery           = time.Second // the cursor, while nothing is found: to read a second again does no harm
)

// Run watches until ctx ends. What goes wrong holds it up, longer each time, and is tried again.
func (d *Detect) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { d.pruneNowAndThen(ctx) })
	defer wait.Wait()
	defer stop()
	for delay := pause; ; delay = min(2*delay, longestPause) {
		began := d.Now()
		err := d.follow(ctx)
		if ctx.Err() != nil {
			return d.keepCursor(context.WithoutCancel(ctx))
		}
		d.Log.Warn("detection is held up", "error", err, "again", delay)
		if d.Now().Sub(began) > longestPause {
			delay = pause
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}

func (d *Detect) follow(ctx context.Context) error {
	if err := d.deliver(ctx); err != nil {
		return err
	}
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		d.cursor, err = loadCursor(tx, d.Name)
		return err
	})
	if err != nil {
		return err
	}
	d.saved = d.Now()
	d.mu.Lock()
	d.stats.Position = d.cursor.at
	d.mu.Unlock()
	return d.Journal.Follow(ctx, Tool, d.cursor.at, d.take)
}

// take looks at a batch of records. Hits are committed some at a time, so that a flood
// of them holds up no other writer; the cursor goes with the last, and if it comes
// to that, those before are known when they come again.
func (d *Detect) take(ctx context.Context, b journal.Batch) error {
	if e := d.next.Swap(nil); e != nil {
		d.engine = e
	}
	var hits []hit
	var did progress
	for i, r := range b.Records {
		found, err := d.engine.look(r)
		if err != nil {
			did.unread = append(did.unread, broken{i, r.Source, err})
		}
		hits = append(hits, found...)
		if len(hits) >= maxHits {
			if err := d.commit(ctx, hits, nil); err != nil {
				return err
			}
			did.add(hits)
			hits = nil
		}
	}
	did.add(hits)
	next := cursor{at: b.Next, records: d.cursor.records + int64(len(b.Records)), unread: d.cursor.unread + int64(len(did.unread))}
	if len(did.hits) == 0 {
		d.cursor = next
		d.note(b, did)
		if now := d.Now(); now.Sub(d.saved) < saveEvery {
			return nil
		}
		return d.keepCursor(ctx)
	}
	if err := d.commit(ctx, hits, &next); err != nil {
		return err
	}
	d.cursor, d.saved = next, d.Now()
	d.note(b, did)
	return d.deliver(ctx)
}

const maxHits = 500 // of one transaction

// commit counts hits, and moves the cursor if there is one.
func (d *Detect) commit(ctx context.Context, hits []hit, next *cursor) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		s, err := loadState(tx, d.engine, hits)
		if err != nil {
			return err
		}
		for _, h := range hits {
			s.apply(d.engine, h)
		}
		if err := s.save(tx, d.engine, d.Now()); err != nil || next == nil {
			return err
		}
		return saveCursor(tx, d.Name, *next)
	})
}

// progress is what came of a batch.
type progress struct {
	hits   map[int]int64 // by rule
	unread []broken
}

func (p *progress) add(hits []hit) {
	for _, h := range hits {
		if p.hits == nil {
			p.hits = map[int]int64{}
		}
		p.hits[h.rule]++
	}
}

// broken is a record of a batch that cannot be read.
type broken struct {
	index  int
	source string
	err    error
}

// note counts a batch once it is committed, or could be.
func (d *Detect) note(b journal.Batch, did progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Records += int64(len(b.Records))
	d.stats.Gaps += int64(len(b.Gaps))
	d.stats.Position = b.Next
	for rule, n := range did.hits {
		d.stats.Hits[d.engine.name(rule)] += n
	}
	for _, x := range did.unread {
		d.stats.Unread++
		d.stats.WhyUnread = x.source + ": " + x.err.Error()
		if n := d.stats.Unread; n&(n-1) == 0 { // the first, second, fourth, eighth …: a broken sender shall not fill the log
			d.Log.Warn("a record cannot be read", "position", b.From, "record", x.index, "source", x.source, "error", x.err, "so far", n)
		}
	}
}

func (d *Detect) keepCursor(ctx context.Context) error {
	if d.saved.IsZero() {
		return nil // it was never read
	}
	d.saved = d.Now()
	return d.DB.Write(ctx, func(tx *db.Tx) error { return saveCursor(tx, d.Name, d.cursor) })
}

// deliver hands the hub what it does not have yet.
func (d *Detect) deliver(ctx context.Context) error {
	for {
		all, err := d.waiting(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		findings := make([]finding.Finding, len(all))
		for i, w := range all {
			findings[i] = w.finding
		}
		did, err := d.Hub.Import(ctx, finding.Scan{Tool: Tool}, findings...)
		if err != nil {
			return err
		}
		d.imported(len(all), did)
		if err := d.delivered(ctx, all); err != nil {
			return err
		}
	}
}

func (d *Detect) imported(n int, did hub.Imported) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Findings += int64(n - len(did.Failed))
	for _, f := range did.Failed { // it would be refused again: it is told, not tried for ever
		d.stats.Refused++
		d.stats.WhyRefused = f.Message
		d.Log.Error("the hub refused a finding", "id", f.ID, "code", f.Code, "why", f.Message)
	}
}

func (d *Detect) pruneNowAndThen(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := d.prune(ctx); err != nil && !errors.Is(err, context.Canceled) {
			d.Log.Warn("forgetting what is old", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Stats tells how the room does.
func (d *Detect) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Hits = map[string]int64{}
	for k, v := range d.stats.Hits {
		s.Hits[k] = v
	}
	return s
}
