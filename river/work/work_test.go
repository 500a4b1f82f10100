package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// desk is a queue on a clock of its own.
type desk struct {
	*work.Work
	t  *testing.T
	db *db.DB

	mu  sync.Mutex
	now time.Time
}

func each(t *testing.T, config work.Config, test func(k *desk)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		k := &desk{t: t, db: open(work.Schema()), now: time.Unix(1_700_000_000, 0)}
		config.DB, config.Log, config.Now = k.db, slog.New(slog.DiscardHandler), func() time.Time {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.now
		}
		k.Work = work.New(config)
		test(k)
	})
}

func (k *desk) pass(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(d)
}

func (k *desk) write(do func(*db.Tx) error) error { return k.db.Write(k.t.Context(), do) }

func (k *desk) add(id, kind string) {
	k.t.Helper()
	if err := k.write(func(tx *db.Tx) error { return k.Add(tx, work.Job{ID: id, Kind: kind, Body: []byte(id)}) }); err != nil {
		k.t.Fatal(err)
	}
	k.pass(time.Millisecond)
}

func (k *desk) take(kinds ...string) work.Lease {
	k.t.Helper()
	l, ok, err := k.Claim(k.t.Context(), "me", kinds...)
	if err != nil || !ok {
		k.t.Fatalf("there is no job: %v", err)
	}
	return l
}

func (k *desk) done(l work.Lease) error {
	return k.write(func(tx *db.Tx) error { return k.Done(tx, l) })
}

// Jobs are handed out in their order, each to one worker, to those who can do their kind.
func TestClaim(t *testing.T) {
	each(t, work.Config{}, func(k *desk) {
		k.add("a", "build")
		k.add("b", "scan")
		k.add("c", "build")
		k.add("a", "build") // is there already
		if l := k.take("scan"); l.ID != "b" || string(l.Body) != "b" || l.Attempt != 1 {
			k.t.Errorf("%+v", l)
		}
		if a, c := k.take("build", "scan"), k.take("build"); a.ID != "a" || c.ID != "c" || a.Nonce == c.Nonce {
			k.t.Errorf("%+v, %+v", a, c)
		}
		if l, ok, err := k.Claim(k.t.Context(), "me", "build", "scan"); ok || err != nil {
			k.t.Errorf("handed out twice: %+v, %v", l, err)
		}
		if l, ok, _ := k.Claim(k.t.Context(), "me"); ok {
			k.t.Errorf("a job for nobody's kind: %+v", l)
		}
	})
}

// A worker that lost its lease can change nothing any more, neither the job nor the log.
func TestLate(t *testing.T) {
	each(t, work.Config{Lease: time.Minute}, func(k *desk) {
		k.add("a", "build")
		slow := k.take("build")
		k.pass(40 * time.Second)
		if _, err := k.Renew(k.t.Context(), slow); err != nil {
			k.t.Errorf("a sign of life in time: %v", err)
		}
		k.pass(61 * time.Second)
		quick := k.take("build")
		if quick.Attempt != 2 || quick.Nonce == slow.Nonce {
			k.t.Errorf("%+v after %+v", quick, slow)
		}
		if err := k.Append(k.t.Context(), slow, "s", []byte("late\n")); !errors.Is(err, work.ErrLost) {
			k.t.Errorf("a late line: %v", err)
		}
		if _, err := k.Renew(k.t.Context(), slow); !errors.Is(err, work.ErrLost) {
			k.t.Errorf("a late sign of life: %v", err)
		}
		if err := k.done(slow); !errors.Is(err, work.ErrLost) {
			k.t.Errorf("a late result: %v", err)
		}
		if _, err := k.Find(k.t.Context(), "a", ""); !errors.Is(err, work.ErrLost) {
			k.t.Errorf("without a nonce: %v", err)
		}
		if err := k.Release(k.t.Context(), slow, time.Time{}, true); err != nil {
			k.t.Error(err)
		}
		if l, err := k.Find(k.t.Context(), "a", quick.Nonce); err != nil || l.Attempt != 2 {
			k.t.Errorf("what a late one gave back was not his: %+v, %v", l, err)
		}
		if err := k.done(quick); err != nil {
			k.t.Error(err)
		}
		if err := k.done(quick); !errors.Is(err, work.ErrLost) {
			k.t.Errorf("ended twice: %v", err)
		}
	})
}

// serve works with do until every job is gone.
func (k *desk) serve(do func(context.Context, work.Lease) error, giveUp func(work.Lease, error)) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	over := make(chan error, 1)
	go func() {
		over <- k.Serve(ctx, work.Worker{By: "me", Kinds: []string{"build"}, Do: do, GiveUp: func(ctx context.Context, l work.Lease, why error) error {
			giveUp(l, why)
			return k.db.Write(ctx, func(tx *db.Tx) error { return k.Done(tx, l) })
		}})
	}()
	for left := int64(1); left > 0 && ctx.Err() == nil; {
		news := k.Changed()
		err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
			left, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM work_jobs")
			return err
		})
		if err != nil {
			k.t.Fatal(err)
		}
		if left > 0 {
			select {
			case <-news:
				k.pass(10 * time.Second) // what waits to be tried again is due
			case <-time.After(50 * time.Millisecond):
				k.pass(10 * time.Second)
			}
		}
	}
	cancel()
	if err := <-over; err != nil {
		k.t.Error(err)
	}
}

// What fails for a while is tried again, what is wrong for good is not, and a panic is an error of the one job.
func TestServe(t *testing.T) {
	each(t, work.Config{Lease: time.Hour, Poll: 20 * time.Millisecond}, func(k *desk) {
		for _, id := range []string{"good", "shaky", "wrong", "broken"} {
			k.add(id, "build")
		}
		var mu sync.Mutex
		tried, given := map[string]int{}, map[string]string{}
		k.serve(func(ctx context.Context, l work.Lease) error {
			mu.Lock()
			tried[l.ID]++
			n := tried[l.ID]
			mu.Unlock()
			switch {
			case l.ID == "wrong":
				return fault.Invalid.Errorf("it is wrong")
			case l.ID == "broken":
				panic("oh")
			case l.ID == "shaky" && n < 3:
				return errors.New("not now")
			}
			return k.db.Write(ctx, func(tx *db.Tx) error { return k.Done(tx, l) })
		}, func(l work.Lease, why error) {
			mu.Lock()
			defer mu.Unlock()
			given[l.ID], _, _ = strings.Cut(why.Error(), "\n")
		})
		if got, want := fmt.Sprint(tried), "map[broken:3 good:1 shaky:3 wrong:1]"; got != want {
			k.t.Errorf("tried %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(given), "map[broken:it broke: oh wrong:it is wrong]"; got != want {
			k.t.Errorf("given up: %s, want %s", got, want)
		}
	})
}

// A job that is stopped ends, whether somebody is at it or not; its worker says what became of it.
func TestStop(t *testing.T) {
	each(t, work.Config{Lease: time.Hour, Poll: 20 * time.Millisecond}, func(k *desk) {
		k.add("waiting", "build")
		stop := func(id string) (held bool) {
			if err := k.write(func(tx *db.Tx) (err error) { held, err = k.Stop(tx, id); return err }); err != nil {
				k.t.Error(err)
			}
			return held
		}
		if stop("waiting") || stop("unknown") {
			k.t.Error("nobody has it")
		}
		k.add("busy", "build")
		var mu sync.Mutex
		var done []string
		k.serve(func(ctx context.Context, l work.Lease) error {
			if l.ID == "waiting" {
				k.t.Error("a job that was stopped is begun")
			}
			if !stop(l.ID) {
				k.t.Error("it is held")
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}, func(l work.Lease, why error) {
			mu.Lock()
			defer mu.Unlock()
			if !errors.Is(why, work.ErrStopped) {
				k.t.Errorf("%s: %v", l.ID, why)
			}
			done = append(done, l.ID)
		})
		if len(done) != 2 {
			k.t.Errorf("stopped: %v", done)
		}
	})
}

// A job that is taken away ends its worker.
func TestCancel(t *testing.T) {
	each(t, work.Config{Lease: time.Hour, Poll: 20 * time.Millisecond}, func(k *desk) {
		k.add("a", "build")
		k.serve(func(ctx context.Context, l work.Lease) error {
			if err := k.write(func(tx *db.Tx) error { return k.Cancel(tx, l.ID) }); err != nil {
				k.t.Error(err)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}, func(l work.Lease, why error) { k.t.Errorf("given up: %v", why) })
	})
}

// A restart takes up what this process was at, and leaves to machines elsewhere what they are at.
func TestRecover(t *testing.T) {
	each(t, work.Config{}, func(k *desk) {
		if k.db.Postgres() {
			k.t.Skip("there may be other nodes")
		}
		k.add("here", "k")
		k.take("k")
		k.add("there", "k")
		l, ok, err := k.Claim(k.t.Context(), "arn:aws:iam::111122223333:user/runner", "k")
		if err != nil || !ok || l.ID != "there" {
			k.t.Fatal(l, ok, err)
		}
		if err := k.Recover(k.t.Context()); err != nil {
			k.t.Fatal(err)
		}
		if again := k.take("k"); again.ID != "here" {
			k.t.Errorf("taken up: %q", again.ID)
		}
		if err := k.write(func(tx *db.Tx) error { _, err := k.Hold(tx, l); return err }); err != nil {
			k.t.Errorf("the one elsewhere: %v", err)
		}
	})
}
