package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Parked is an event that a follower could not handle and stepped over.
type Parked struct {
	Follower string
	Position int64
	At       time.Time
	Reason   string
	Event    event.Event
}

func park(tx *db.Tx, follower string, s stored, reason error, now int64) error {
	body, err := json.Marshal(s.event)
	if err != nil {
		return err
	}
	text := reason.Error()
	if len(text) > 4000 {
		text = text[:4000]
	}
	_, err = tx.Exec("INSERT INTO bus_parked (follower, position, at, reason, body, bus) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (follower, position) DO UPDATE SET at = excluded.at, reason = excluded.reason",
		follower, s.position, now, text, body, s.event.Bus)
	return err
}

// Parked lists what was parked, the newest first, at most 1,000.
func (b *Bus) Parked(ctx context.Context) (parked []Parked, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		parked, err = db.All(tx, func(scan db.Scan) (p Parked, err error) {
			var at int64
			var body []byte
			var bus string
			if err := scan(&p.Follower, &p.Position, &at, &p.Reason, &body, &bus); err != nil {
				return p, err
			}
			p.At = time.UnixMicro(at)
			err = json.Unmarshal(body, &p.Event)
			p.Event.Bus = bus
			return p, err
		}, "SELECT follower, position, at, reason, body, bus FROM bus_parked ORDER BY at DESC, position DESC LIMIT 1000")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing parked events: %w", err)
	}
	return parked, nil
}

// Unpark publishes a parked event again, with its own id, at the end of the
// river; followers that have handled it know it by that id.
func (b *Bus) Unpark(ctx context.Context, follower string, position int64) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		type row struct {
			body []byte
			bus  string
		}
		got, err := db.One(tx, func(scan db.Scan) (r row, err error) { return r, scan(&r.body, &r.bus) },
			"SELECT body, bus FROM bus_parked WHERE follower = ? AND position = ?", follower, position)
		if err != nil {
			return fmt.Errorf("parked event %d of %s: %w", position, follower, err)
		}
		var e event.Event
		if err := json.Unmarshal(got.body, &e); err != nil {
			return err
		}
		e.Bus = got.bus
		if _, err := tx.Exec("DELETE FROM bus_parked WHERE follower = ? AND position = ?", follower, position); err != nil {
			return err
		}
		return b.Publish(tx, e)
	})
}

// Follower is where a follower stands.
type Follower struct {
	Name   string
	Behind int64 // events it has not handled yet
	Parked int64
	Seen   time.Time
}

// Stats is what the bus holds.
type Stats struct {
	Events    int64
	Oldest    time.Time
	Followers []Follower
}

// Stats tells what the bus holds and how far its followers are.
func (b *Bus) Stats(ctx context.Context) (s Stats, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		oldest := int64(0)
		if err := tx.Each(func(scan db.Scan) error { return scan(&s.Events, &oldest) }, "SELECT COUNT(*), COALESCE(MIN(published), 0) FROM bus_events"); err != nil {
			return err
		}
		if oldest > 0 {
			s.Oldest = time.UnixMicro(oldest)
		}
		s.Followers, err = db.All(tx, func(scan db.Scan) (f Follower, err error) {
			var seen int64
			err = scan(&f.Name, &f.Behind, &f.Parked, &seen)
			f.Seen = time.UnixMicro(seen)
			return f, err
		}, "SELECT f.name, (SELECT c.position FROM bus_clock c WHERE c.id = 1) - f.position, (SELECT COUNT(*) FROM bus_parked p WHERE p.follower = f.name), f.seen FROM bus_followers f ORDER BY f.name")
		return err
	})
	return s, err
}

// Run lets go of events that are older than they are kept, once an hour. An
// event waits for every follower that was seen in that time.
func (b *Bus) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := b.Prune(ctx); err != nil && ctx.Err() == nil {
			b.config.Log.Warn("old events were not let go", "error", err)
		}
		pause(ctx, time.Hour, nil)
	}
	return nil
}

// Prune does once what Run does every hour.
func (b *Bus) Prune(ctx context.Context) error {
	const most = 5000 // in one transaction, so that nobody waits long
	for {
		var n int64
		err := b.db.Write(ctx, func(tx *db.Tx) (err error) {
			before := b.config.Now().Add(-b.config.Kept).UnixMicro()
			n, err = tx.Exec(`DELETE FROM bus_events WHERE position IN (
				SELECT position FROM bus_events WHERE published < ? AND position <= (
					SELECT COALESCE(MIN(position), (SELECT position FROM bus_clock WHERE id = 1)) FROM bus_followers WHERE seen >= ?)
				ORDER BY position LIMIT ?)`, before, before, most)
			return err
		})
		if err != nil || n < most {
			return err
		}
	}
}

// Retention says how long events are kept.
func (b *Bus) Retention() time.Duration { return b.config.Kept }

// Forget drops a follower that will not come back, so that nothing waits for it.
func (b *Bus) Forget(ctx context.Context, follower string) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM bus_followers WHERE name = ?", follower)
		if err == nil && n == 0 {
			return fault.NotFound.Errorf("no follower %q", follower)
		}
		return err
	})
}
