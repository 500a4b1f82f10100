package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	batch = 200                   // events looked at, and moved over, at a time
	fold  = 50 * time.Millisecond // how long Fold holds up other writers before it commits
	lease = 6 * time.Second       // how long a node may say nothing before another takes over
	renew = lease / 3
	often = time.Second // how often a cursor is written that could be found again
	tries = 3           // permanent errors and panics before an event is parked
)

// Follow hands every event to handle, in the order of the commits, until ctx
// ends; then it returns nil. A new name begins with the oldest event kept.
//
// Each event is handed over at least once: after a crash those of the last
// second are again, with the same id. An event that makes handle panic, or
// return an error that is fault.Permanent, three times is parked (see Parked)
// and stepped over; any other error holds the follower, longer each time,
// until it passes.
//
// Only events of these types (detail-type) are handed over, if any are named:
// the others cost such a follower next to nothing.
func (b *Bus) Follow(ctx context.Context, name string, handle func(context.Context, event.Event) error, types ...string) error {
	return b.follow(ctx, name, types, func(ctx context.Context, f *follower, events []stored) (done int, err error) {
		defer b.keep(ctx, f)()
		for i, s := range events {
			if ctx.Err() != nil {
				return i, nil
			}
			if err := guard(func() error { return handle(ctx, s.event) }); err != nil {
				return i, err
			}
		}
		return len(events), nil
	}, nil)
}

// Fold is Follow for what happens in the database alone: what handle changes
// and the follower's cursor are committed together, so that every event counts
// exactly once. Some events share a transaction; the failure of one undoes that one.
func (b *Bus) Fold(ctx context.Context, name string, handle func(*db.Tx, event.Event) error, types ...string) error {
	return b.follow(ctx, name, types, nil, func(tx *db.Tx, events []stored) (done int, failed error, err error) {
		begun := time.Now()
		for i, s := range events {
			if i > 0 && time.Since(begun) > fold {
				return i, nil, nil
			}
			var inner error
			err := tx.Savepoint(func() error {
				inner = guard(func() error { return handle(tx, s.event) })
				return inner
			})
			if inner != nil {
				return i, inner, nil
			}
			if err != nil {
				return i, nil, err
			}
		}
		return len(events), nil, nil
	})
}

type (
	outside func(context.Context, *follower, []stored) (done int, err error)
	inside  func(tx *db.Tx, events []stored) (done int, failed error, err error)
)

// panicked is what a handler's panic becomes: its own fault, so permanent.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Invalid.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// follower is one name's place in the river, as this node holds it.
type follower struct {
	name, holder string
	types        []string // that it is about; all if there are none
	position     int64
	written      int64 // the position that the database knows
	wrote        time.Time
	turn         int64 // rewinds that it knows of
	fence        int64
	failures     int
	renew        time.Time // until then the lease need not be renewed
}

var errLost = errors.New("another node took over")

func (b *Bus) follow(ctx context.Context, name string, types []string, out outside, in inside) error {
	f := &follower{name: name, types: types, holder: ID()}
	defer b.release(f)
	hold := b.config.Hold
	for ctx.Err() == nil {
		news := b.waiting() // before looking, so that nothing slips by
		moved, err := b.step(ctx, f, out, in)
		switch {
		case ctx.Err() != nil:
		case err != nil && !errors.Is(err, errLost):
			b.config.Log.Warn("an event was not handled, trying again", "follower", name, "after", f.position, "wait", hold, "error", err)
			pause(ctx, hold, nil)
			hold = min(hold*2, time.Minute)
		case moved > 0:
			hold = b.config.Hold
		default:
			pause(ctx, b.config.Poll, news)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration, news <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-news:
	case <-ctx.Done():
	}
}

// step handles one batch and moves the cursor over what was handled.
func (b *Bus) step(ctx context.Context, f *follower, out outside, in inside) (moved int, err error) {
	if err := b.hold(ctx, f); err != nil {
		return 0, err
	}
	events, err := b.next(ctx, f)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	done, failed := 0, error(nil)
	if out != nil {
		done, failed = out(ctx, f, events)
	}
	if in == nil && failed == nil && done == batch && b.config.Now().Sub(f.wrote) < often {
		f.position = events[done-1].position // there is more to come: the cursor is written with that
		return done, nil
	}
	err = b.db.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if in != nil {
			if err := b.fence(tx, f); err != nil {
				return err
			}
			if done, failed, err = in(tx, events); err != nil {
				return err
			}
		}
		return b.advance(tx, f, events, done, failed)
	})
	if err != nil {
		return 0, err
	}
	if done > 0 {
		f.position = events[done-1].position
		f.failures = 0
	}
	f.written, f.wrote = f.position, b.config.Now()
	return done, b.afterFailure(f, events, done, failed)
}

// next is the next batch. A follower that is about some types only steps over
// the others; it says so now and then, since after a crash they are stepped over again.
func (b *Bus) next(ctx context.Context, f *follower) (events []stored, err error) {
	if events, last := b.recent.after(f.position, batch, f.types); len(events) > 0 {
		return events, nil
	} else if last > f.position {
		f.position = last
	}
	where, args := "", []any{f.position}
	if len(f.types) > 0 {
		where = " AND type IN (''" + strings.Repeat(", ?", len(f.types)) + ")" // those that were published before types were kept may be any
		for _, t := range f.types {
			args = append(args, t)
		}
	}
	head := f.position
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		if len(f.types) > 0 {
			if head, err = b.Head(tx); err != nil || head == f.position {
				return err
			}
		}
		events, err = db.All(tx, scanStored, "SELECT position, bus, body FROM bus_events WHERE position > ?"+where+" ORDER BY position LIMIT ?", append(args, batch)...)
		return err
	})
	if err != nil || len(events) > 0 {
		return events, err
	}
	f.position = max(f.position, head)
	if now := b.config.Now(); f.position > f.written && now.Sub(f.wrote) >= often {
		if err := b.db.Write(ctx, func(tx *db.Tx) error { return b.advance(tx, f, nil, 0, nil) }); err != nil {
			return nil, err
		}
		f.written, f.wrote, f.failures = f.position, now, 0
	}
	return nil, nil
}

// fence fails if another node has taken over.
func (b *Bus) fence(tx *db.Tx, f *follower) error {
	n, err := tx.Exec("UPDATE bus_followers SET seen = ? WHERE name = ? AND holder = ? AND fence = ?", b.config.Now().UnixMicro(), f.name, f.holder, f.fence)
	if err == nil && n == 0 {
		f.renew = time.Time{}
		return errLost
	}
	return err
}

// advance moves the cursor over what was handled, counts the failure of the
// event behind it, and parks that at the third permanent one.
func (b *Bus) advance(tx *db.Tx, f *follower, events []stored, done int, failed error) error {
	position, failures := f.position, f.failures
	if done > 0 {
		position, failures = events[done-1].position, 0
	}
	now := b.config.Now().UnixMicro()
	if failed != nil && fault.Permanent(failed) {
		failures++
		if failures >= tries {
			bad := events[done]
			if err := park(tx, f.name, bad, failed, now); err != nil {
				return err
			}
			position, failures = bad.position, 0
		}
	}
	n, err := tx.Exec("UPDATE bus_followers SET position = ?, failures = ?, seen = ? WHERE name = ? AND holder = ? AND fence = ?", position, failures, now, f.name, f.holder, f.fence)
	if err == nil && n == 0 {
		f.renew = time.Time{}
		return errLost
	}
	return err
}

// afterFailure brings f up to what advance has written.
func (b *Bus) afterFailure(f *follower, events []stored, done int, failed error) error {
	if failed == nil || !fault.Permanent(failed) {
		return failed
	}
	if f.failures++; f.failures < tries {
		return failed
	}
	f.position, f.failures = events[done].position, 0
	b.config.Log.Error("an event was parked", "follower", f.name, "event", events[done].event.ID, "type", events[done].event.Type, "error", failed)
	return nil
}

// hold takes or keeps the lease on f's name; errLost if another node has it.
func (b *Bus) hold(ctx context.Context, f *follower) error {
	now, turn := b.config.Now(), b.rewound.Load()
	if now.Before(f.renew) && turn == f.turn {
		return nil
	}
	f.turn = turn
	alone := 0 // an embedded database has one node: whoever held the lease before this one is dead
	if f.fence == 0 && !b.db.Postgres() {
		alone = 1
	}
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO bus_followers (name, position, holder, fence, until, failures, seen) VALUES (?, (SELECT COALESCE(MIN(position) - 1, (SELECT position FROM bus_clock WHERE id = 1)) FROM bus_events), '', 0, 0, 0, ?) ON CONFLICT (name) DO NOTHING", f.name, now.UnixMicro())
		if err != nil {
			return err
		}
		type row struct {
			position, fence int64
			failures        int
		}
		got, err := db.One(tx, func(scan db.Scan) (r row, err error) { return r, scan(&r.position, &r.fence, &r.failures) },
			"UPDATE bus_followers SET fence = CASE WHEN holder = ? THEN fence ELSE fence + 1 END, holder = ?, until = ?, seen = ? WHERE name = ? AND (holder = ? OR until < ? OR ? = 1) RETURNING position, fence, failures",
			f.holder, f.holder, now.Add(lease).UnixMicro(), now.UnixMicro(), f.name, f.holder, now.UnixMicro(), alone)
		if errors.Is(err, fault.NotFound) {
			return errLost
		}
		f.position, f.written, f.fence, f.failures = got.position, got.position, got.fence, got.failures
		return err
	})
	if err != nil {
		return err
	}
	f.renew = now.Add(renew)
	if !b.db.Postgres() {
		f.renew = now.Add(time.Minute)
	}
	return nil
}

// keep renews the lease while events are handled, however long one takes, until stop is called.
func (b *Bus) keep(ctx context.Context, f *follower) (stop func()) {
	if !b.db.Postgres() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, renew, nil); ctx.Err() == nil; pause(ctx, renew, nil) {
			err := b.db.Write(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec("UPDATE bus_followers SET until = ? WHERE name = ? AND holder = ? AND fence = ?", b.config.Now().Add(lease).UnixMicro(), f.name, f.holder, f.fence)
				return err
			})
			if err != nil && ctx.Err() == nil {
				b.config.Log.Warn("a lease was not renewed", "follower", f.name, "error", err)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// release lets another node take over at once.
func (b *Bus) release(f *follower) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE bus_followers SET until = 0, holder = '', position = ? WHERE name = ? AND holder = ? AND fence = ?", f.position, f.name, f.holder, f.fence)
		return err
	})
	if err != nil {
		b.config.Log.Debug("a follower's lease was left to run out", "follower", f.name, "error", fmt.Sprint(err))
	}
}
