package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var notes = db.Schema{Room: "notes", Steps: []string{"CREATE TABLE notes_seen (what TEXT NOT NULL)"}}

func quick() bus.Config {
	return bus.Config{Log: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond, Hold: time.Millisecond}
}

func publish(t *testing.T, d *db.DB, b *bus.Bus, types ...string) {
	t.Helper()
	err := d.Write(context.Background(), func(tx *db.Tx) error {
		for _, n := range types {
			if err := b.Publish(tx, event.Event{Type: n, Source: "test"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// collect follows until n events came, and returns their types in order.
func collect(t *testing.T, b *bus.Bus, name string, n int) (types []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.Follow(ctx, name, func(_ context.Context, e event.Event) error {
		types = append(types, e.Type)
		if len(types) == n {
			cancel()
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if len(types) != n {
		t.Fatalf("%d events came, want %d", len(types), n)
	}
	return types
}

// An event is told if, and only if, its change was committed.
func TestPublishIsPartOfTheChange(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		b := bus.New(d, quick())
		_ = d.Write(t.Context(), func(tx *db.Tx) error {
			return errors.Join(b.Publish(tx, event.Event{Type: "never"}), io.EOF)
		})
		publish(t, d, b, "one", "two")
		if got := collect(t, b, "f", 2); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("got %v", got)
		}
		publish(t, d, b, "three")
		if got := collect(t, b, "f", 1); !slices.Equal(got, []string{"three"}) {
			t.Errorf("goes on where it stopped: got %v", got)
		}
	})
}

// Many writers on two nodes: a follower sees every event, each writer's in its order.
func TestNothingIsSteppedOver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := []*db.DB{open(bus.Schema())}
		if d[0].Postgres() {
			d = append(d, open(bus.Schema()))
		} else {
			d = append(d, d[0])
		}
		const writers, each = 6, 30
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				b := bus.New(d[w%2], quick())
				for i := range each {
					publish(t, d[w%2], b, fmt.Sprintf("%d %03d", w, i))
				}
			})
		}
		got := collect(t, bus.New(d[0], quick()), "f", writers*each)
		all.Wait()
		for w := range writers {
			var own []string
			for _, g := range got {
				if strings.HasPrefix(g, fmt.Sprint(w)+" ") {
					own = append(own, g)
				}
			}
			if len(own) != each || !slices.IsSorted(own) {
				t.Errorf("writer %d: %v", w, own)
			}
		}
	})
}

// A handler that panics, or says it will never work, is tried three times; then the event is parked and shown, and can be published again.
func TestParking(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		b := bus.New(d, quick())
		publish(t, d, b, "panics", "invalid", "good")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		tried := map[string]int{}
		var ids []string
		_ = b.Follow(ctx, "f", func(_ context.Context, e event.Event) error {
			tried[e.Type]++
			switch e.Type {
			case "panics":
				ids = append(ids, e.ID)
				panic("ours")
			case "invalid":
				return fault.Invalid.Errorf("no")
			}
			cancel()
			return nil
		})
		if tried["panics"] != 3 || tried["invalid"] != 3 || tried["good"] != 1 {
			t.Errorf("tried %v", tried)
		}
		parked, err := b.Parked(t.Context())
		if err != nil || len(parked) != 2 {
			t.Fatalf("%v, %d parked, want 2", err, len(parked))
		}
		i := slices.IndexFunc(parked, func(p bus.Parked) bool { return p.Event.Type == "panics" })
		if i < 0 || !strings.Contains(parked[i].Reason, "ours") || parked[i].Follower != "f" || parked[i].Event.ID != ids[0] {
			t.Errorf("parked: %+v", parked)
		}
		if err := b.Unpark(t.Context(), "f", parked[i].Position); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, b, "f", 1); got[0] != "panics" {
			t.Errorf("after unparking: %v", got)
		}
		if err := b.Unpark(t.Context(), "f", parked[i].Position); !errors.Is(err, fault.NotFound) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// What may pass by itself holds the follower until it passes, however often.
func TestHolding(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		b := bus.New(d, quick())
		publish(t, d, b, "one", "two")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var got []string
		_ = b.Follow(ctx, "f", func(_ context.Context, e event.Event) error {
			got = append(got, e.Type)
			if len(got) < 6 {
				return fault.Unavailable.Errorf("later")
			}
			if e.Type == "two" {
				cancel()
			}
			return nil
		})
		if want := []string{"one", "one", "one", "one", "one", "one", "two"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if parked, _ := b.Parked(t.Context()); len(parked) != 0 {
			t.Errorf("parked: %v", parked)
		}
	})
}

// What a fold changes counts once for every event, though one in between fails and is parked.
func TestFoldCountsOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema(), notes)
		b := bus.New(d, quick())
		for round := range 3 { // stopped and started again
			for i := range 20 {
				publish(t, d, b, fmt.Sprint(round*20+i))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			_ = b.Fold(ctx, "f", func(tx *db.Tx, e event.Event) error {
				if _, err := tx.Exec("INSERT INTO notes_seen (what) VALUES (?)", e.Type); err != nil {
					return err
				}
				if e.Type == fmt.Sprint(round*20+19) {
					tx.AfterCommit(cancel)
				}
				if e.Type == "20" {
					return fault.Invalid.Errorf("never")
				}
				return nil
			})
			cancel()
		}
		var seen []string
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
			seen, err = db.All(tx, db.Value[string], "SELECT what FROM notes_seen")
			return err
		})
		slices.Sort(seen)
		if err != nil || len(seen) != 59 || len(slices.Compact(seen)) != 59 || slices.Contains(seen, "20") {
			t.Errorf("%v: %d seen: %v", err, len(seen), seen)
		}
	})
}

// One node follows under a name at a time; when it stops, another goes on.
func TestOneNodeAtATime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		if !d.Postgres() {
			t.Skip("an embedded database has one node")
		}
		first, second := bus.New(d, quick()), bus.New(open(bus.Schema()), quick())
		ctx1, stop1 := context.WithCancel(t.Context())
		ctx2, stop2 := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop2()
		var got [2]atomic.Int64
		begun := make(chan struct{})
		var nodes sync.WaitGroup
		nodes.Go(func() {
			_ = first.Follow(ctx1, "f", func(context.Context, event.Event) error {
				if got[0].Add(1) == 1 {
					close(begun)
				}
				return nil
			})
		})
		publish(t, d, first, "0")
		<-begun
		nodes.Go(func() {
			_ = second.Follow(ctx2, "f", func(_ context.Context, e event.Event) error {
				if got[1].Add(1); e.Type == "last" {
					stop2()
				}
				return nil
			})
		})
		for i := range 20 {
			publish(t, d, second, fmt.Sprint(i))
			time.Sleep(2 * time.Millisecond)
		}
		stop1()
		publish(t, d, second, "last")
		nodes.Wait()
		if got[0].Load()+got[1].Load() != 22 {
			t.Errorf("the nodes saw %d and %d of 22", got[0].Load(), got[1].Load())
		}
	})
}

// A follower can be set back to a time, and sees what followed once more.
func TestRewindAndRange(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		var now atomic.Int64
		config := quick()
		config.Now = func() time.Time { return time.Unix(1_700_000_000, 0).Add(time.Duration(now.Add(1)) * time.Second) }
		b := bus.New(d, config)
		publish(t, d, b, "one")
		since := config.Now()
		publish(t, d, b, "two", "three")
		collect(t, b, "f", 3)
		if err := b.Rewind(t.Context(), "f", since); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, b, "f", 2); !slices.Equal(got, []string{"two", "three"}) {
			t.Errorf("after rewinding: %v", got)
		}
		var ranged []string
		for after := int64(0); ; {
			events, next, err := b.Range(t.Context(), since, config.Now(), after, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				ranged = append(ranged, e.Type)
			}
			if after = next; after == 0 {
				break
			}
		}
		if !slices.Equal(ranged, []string{"two", "three"}) {
			t.Errorf("range: %v", ranged)
		}
		if err := b.Rewind(t.Context(), "nobody", since); !errors.Is(err, fault.NotFound) {
			t.Errorf("rewinding nobody: %v", err)
		}
	})
}

// Old events go, but not before every living follower has seen them.
func TestPrune(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		now := time.Now()
		config := quick()
		config.Now = func() time.Time { return now }
		b := bus.New(d, config)
		publish(t, d, b, "one", "two")
		collect(t, b, "quick", 2)
		ctx, cancel := context.WithCancel(t.Context())
		_ = b.Follow(ctx, "slow", func(_ context.Context, e event.Event) error {
			if e.Type == "two" {
				cancel()
				return fault.Unavailable.Errorf("later")
			}
			return nil
		})
		events := func() int64 {
			t.Helper()
			if err := b.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			s, err := b.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s.Events
		}
		if n := events(); n != 2 {
			t.Errorf("%d events while they are new", n)
		}
		now = now.Add(8 * 24 * time.Hour)
		if n := events(); n != 0 {
			t.Errorf("%d events are left when nobody living wants them", n)
		}
		publish(t, d, b, "three")
		now = now.Add(6 * 24 * time.Hour)
		collect(t, b, "quick", 1)
		_ = d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE bus_followers SET seen = ? WHERE name = 'slow'", now.UnixMicro())
			return err
		})
		now = now.Add(2 * 24 * time.Hour)
		if n := events(); n != 1 {
			t.Errorf("%d events are left while a living follower is behind", n)
		}
	})
}

// A tired process: an event is told to a waiting follower at once, without polling.
func TestNoWaiting(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		config := quick()
		config.Poll = time.Hour
		b := bus.New(d, config)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		came := make(chan string, 1)
		var follower sync.WaitGroup
		follower.Go(func() {
			_ = b.Follow(ctx, "f", func(_ context.Context, e event.Event) error {
				came <- e.Type
				return nil
			})
		})
		for _, want := range []string{"a", "b", "c"} {
			publish(t, d, b, want)
			select {
			case got := <-came:
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			case <-ctx.Done():
				t.Fatalf("%s never came", want)
			}
		}
		cancel()
		follower.Wait()
	})
}

// Who is about some types sees those in order, is not behind for the others,
// and sees what lies behind it again when it is set back while it waits.
func TestTypes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema())
		config := quick()
		config.Poll = time.Hour
		b := bus.New(d, config)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		came := make(chan string, 10)
		var follower sync.WaitGroup
		defer follower.Wait()
		defer cancel()
		follower.Go(func() {
			_ = b.Fold(ctx, "f", func(_ *db.Tx, e event.Event) error {
				came <- e.Type
				return nil
			}, "a", "c")
		})
		expect := func(want ...string) {
			t.Helper()
			for _, w := range want {
				select {
				case got := <-came:
					if got != w {
						t.Errorf("got %s, want %s", got, w)
					}
				case <-ctx.Done():
					t.Fatalf("%s never came", w)
				}
			}
		}
		publish(t, d, b, "a", "b", "c", "d", "a")
		expect("a", "c", "a")
		for range 300 {
			publish(t, d, b, "d")
		}
		publish(t, d, b, "c")
		expect("c")
		if err := b.Rewind(ctx, "f", time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		expect("a", "c", "a", "c")
	})
}

func BenchmarkFollow(b *testing.B) {
	d, err := db.Open(b.Context(), "sqlite:"+b.TempDir()+"/state.db", bus.Schema())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	river := bus.New(d, quick())
	events := make([]event.Event, 100)
	n := 0
	for b.Loop() {
		for i := range events {
			events[i] = event.Event{Type: "t", Source: "bench", Detail: []byte(`{"a":"` + strings.Repeat("x", 2000) + `"}`)}
		}
		if err := d.Write(b.Context(), func(tx *db.Tx) error { return river.Publish(tx, events...) }); err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		seen := 0
		_ = river.Follow(ctx, "f", func(context.Context, event.Event) error {
			if seen++; seen == len(events) {
				cancel()
			}
			return nil
		})
		n += seen
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}
