// Package bus is the river of events: durable, in order, at least once.
//
// An event is published in the transaction of the change it tells of. Since
// there is one writer at a time (package db), positions are handed out in the
// order of the commits, on both engines: a follower never steps over a late one.
//
// A follower has a name and a cursor. One node at a time follows under a name,
// by a lease with a fencing number: a node that was presumed dead and is not
// can no longer move the cursor.
package bus

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Bus is the river. It is safe for concurrent use.
type Bus struct {
	db      *db.DB
	config  Config
	recent  recent
	mu      sync.Mutex
	rewound atomic.Int64  // how often a follower was set back
	arrived chan struct{} // closed and made anew when something was published here
}

// Config says how a Bus behaves; its zero value is fine.
type Config struct {
	Log  *slog.Logger
	Now  func() time.Time
	Poll time.Duration // how often to look for what other nodes published: 250 ms
	Hold time.Duration // first wait after a failed event, doubled up to a minute: 100 ms
	Kept time.Duration // how long events are kept: 7 days
}

// Schema is the bus's tables.
func Schema() db.Schema {
	return db.Schema{Room: "bus", Steps: []string{`
CREATE TABLE bus_clock (id BIGINT PRIMARY KEY, position BIGINT NOT NULL);
INSERT INTO bus_clock (id, position) VALUES (1, 0);
CREATE TABLE bus_events (position BIGINT PRIMARY KEY, published BIGINT NOT NULL, id TEXT NOT NULL, bus TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX bus_events_by_time ON bus_events (published);
CREATE TABLE bus_followers (name TEXT PRIMARY KEY, position BIGINT NOT NULL, holder TEXT NOT NULL, fence BIGINT NOT NULL, until BIGINT NOT NULL, failures BIGINT NOT NULL, seen BIGINT NOT NULL);
CREATE TABLE bus_parked (follower TEXT NOT NULL, position BIGINT NOT NULL, at BIGINT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL, bus TEXT NOT NULL, PRIMARY KEY (follower, position))`, `
ALTER TABLE bus_events ADD COLUMN type TEXT NOT NULL DEFAULT ''`}}
}

// New is a bus on d, whose tables must include Schema.
func New(d *db.DB, config ...Config) *Bus {
	b := &Bus{db: d, arrived: make(chan struct{})}
	if len(config) > 0 {
		b.config = config[0]
	}
	c := &b.config
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Poll == 0 {
		c.Poll = 250 * time.Millisecond
	}
	if c.Hold == 0 {
		c.Hold = 100 * time.Millisecond
	}
	if c.Kept == 0 {
		c.Kept = 7 * 24 * time.Hour
	}
	return b
}

// Publish makes events part of tx. What an event does not say of itself (id,
// version, time, resources) is filled in, in place.
func (b *Bus) Publish(tx *db.Tx, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	last, err := db.One(tx, db.Value[int64], "UPDATE bus_clock SET position = position + ? WHERE id = 1 RETURNING position", len(events))
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	now := b.config.Now()
	fresh := make([]stored, 0, len(events))
	for i := range events {
		e := &events[i]
		complete(e, now)
		body, err := json.Marshal(*e)
		if err != nil {
			return fault.Invalid.Errorf("publishing %s: %w", e.Type, err)
		}
		s := stored{last - int64(len(events)-1-i), *e}
		if _, err := tx.Exec("INSERT INTO bus_events (position, published, id, bus, body, type) VALUES (?, ?, ?, ?, ?, ?)",
			s.position, now.UnixMicro(), e.ID, e.Bus, body, e.Type); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		if s.same(body) {
			fresh = append(fresh, s)
		}
	}
	tx.AfterCommit(func() {
		b.recent.add(fresh)
		b.wake()
	})
	return nil
}

func complete(e *event.Event, now time.Time) {
	e.Version = "0"
	if e.ID == "" {
		e.ID = ID()
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = e.Time.UTC().Truncate(time.Second) // as EventBridge shows it
	if e.Resources == nil {
		e.Resources = []string{}
	}
	if len(e.Detail) == 0 {
		e.Detail = []byte("{}")
	}
}

// ID is a new random UUID, as events have for theirs.
func ID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func (b *Bus) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.arrived)
	b.arrived = make(chan struct{})
}

func (b *Bus) waiting() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.arrived
}

// stored is an event where it lies.
type stored struct {
	position int64
	event    event.Event
}

func scanStored(scan db.Scan) (s stored, err error) {
	var body []byte
	var bus string
	if err := scan(&s.position, &bus, &body); err != nil {
		return s, err
	}
	err = json.Unmarshal(body, &s.event)
	s.event.Bus = bus
	return s, err
}

// Range reads, oldest first, at most limit events that were published in
// [from, to) and lie after position; next is where to go on, and 0 at the end.
func (b *Bus) Range(ctx context.Context, from, to time.Time, after int64, limit int) (events []event.Event, next int64, err error) {
	var got []stored
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		got, err = db.All(tx, scanStored, "SELECT position, bus, body FROM bus_events WHERE position > ? AND published >= ? AND published < ? ORDER BY position LIMIT ?",
			after, from.UnixMicro(), to.UnixMicro(), limit)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("reading past events: %w", err)
	}
	for _, s := range got {
		events = append(events, s.event)
	}
	if len(got) == limit && limit > 0 {
		next = got[len(got)-1].position
	}
	return events, next, nil
}

// Head is the position of the newest event.
func (b *Bus) Head(tx *db.Tx) (int64, error) {
	return db.One(tx, db.Value[int64], "SELECT position FROM bus_clock WHERE id = 1")
}

// Rewind sets a follower back to the first event published at or after since, so that it sees all that followed once more.
func (b *Bus) Rewind(ctx context.Context, follower string, since time.Time) error {
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		first, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MIN(position), (SELECT position + 1 FROM bus_clock WHERE id = 1)) FROM bus_events WHERE published >= ?", since.UnixMicro())
		if err != nil {
			return err
		}
		// The fence goes up, so that a batch under way cannot move the cursor on again.
		n, err := tx.Exec("UPDATE bus_followers SET position = ?, fence = fence + 1, until = 0, failures = 0 WHERE name = ?", first-1, follower)
		if err == nil && n == 0 {
			return fault.NotFound.Errorf("no follower %q", follower)
		}
		tx.AfterCommit(func() {
			b.rewound.Add(1)
			b.wake()
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("rewinding: %w", err)
	}
	return nil
}
