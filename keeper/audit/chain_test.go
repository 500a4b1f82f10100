package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/audit"
)

// exec is what somebody does who has the database, and not the root key.
func (h *house) exec(statements ...string) {
	h.t.Helper()
	must(h.t, h.db.Write(context.Background(), func(tx *db.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	}))
}

// two nodes, who each write and see each other.
func (h *house) two(ctx context.Context) (one, other *audit.Trail) {
	one, other = h.node("n1", ""), h.node("n2", "")
	for i := range 4 {
		must(h.t, one.Keep(ctx, change(i)))
		must(h.t, other.Keep(ctx, change(10+i)))
	}
	must(h.t, one.Keep(ctx, read()))
	must(h.t, one.Flush(ctx))
	return one, other
}

// A trail that nobody touched has no problem; whatever somebody does to it is told, with its place.
func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name string
		do   []string
		want []string // part of each problem's line; none: the trail is whole
	}{
		{"untouched", nil, nil},
		{"end cut off", []string{"DELETE FROM audit_blocks WHERE node = 'n1' AND seq >= 4"}, []string{"node n1, block 4, 2026-03-01T12:00:05Z: the end was cut off: 2 blocks are missing", "node n1, block 4, 2026-03-01T12:00:05Z: the chain ends here, and block 4 of node n2 saw its block 4"}},
		{"middle cut out", []string{"DELETE FROM audit_blocks WHERE node = 'n1' AND seq IN (2, 3)"}, []string{"node n1, block 2, 2026-03-01T12:00:01Z: 2 blocks are missing before 2026-03-01T12:00:07Z"}},
		{"beginning cut off", []string{"DELETE FROM audit_blocks WHERE node = 'n1' AND seq = 1"}, []string{"node n1, block 1: 1 block is missing before 2026-03-01T12:00:03Z"}},
		{"a byte changed", []string{"UPDATE audit_blocks SET body = (SELECT body FROM audit_blocks WHERE node = 'n1' AND seq = 1) WHERE node = 'n1' AND seq = 2"}, []string{"node n1, block 2, 2026-03-01T12:00:03Z: its records were changed"}},
		{"a time changed", []string{"UPDATE audit_blocks SET ended = ended - 1 WHERE node = 'n2' AND seq = 2"}, []string{"node n2, block 2, 2026-03-01T12:00:03Z: it was changed"}},
		{"records swapped", []string{"UPDATE audit_blocks SET seq = 100 WHERE node = 'n1' AND seq = 2", "UPDATE audit_blocks SET seq = 2 WHERE node = 'n1' AND seq = 3", "UPDATE audit_blocks SET seq = 3 WHERE node = 'n1' AND seq = 100"},
			[]string{"node n1, block 2, 2026-03-01T12:00:05Z: it does not follow", "node n1, block 2, 2026-03-01T12:00:05Z: it was changed, or stood elsewhere", "node n1, block 3", "node n1, block 3", "node n1, block 4"}},
		{"records taken out", []string{"UPDATE audit_blocks SET body = '', size = 0 WHERE node = 'n1' AND seq = 5"}, []string{"node n1, block 5, 2026-03-01T12:00:09Z: its 1 records were taken out"}},
		{"moved to another chain", []string{"DELETE FROM audit_blocks WHERE node = 'n2' AND seq = 2", "UPDATE audit_blocks SET node = 'n2' WHERE node = 'n1' AND seq = 2"}, []string{"node n1, block 2", "node n2, block 2", "node n2, block 2", "node n2, block 3"}},
		{"a node removed", []string{"DELETE FROM audit_blocks WHERE node = 'n2'", "DELETE FROM audit_heads WHERE node = 'n2'"}, []string{"node n2: the whole chain is missing: block 5 of node n1 saw its block 4"}},
		{"head and end removed", []string{"DELETE FROM audit_blocks WHERE node = 'n2' AND seq = 4", "DELETE FROM audit_heads WHERE node = 'n2'"}, []string{"node n2: its head is missing", "node n2, block 4, 2026-03-01T12:00:06Z: the chain ends here, and block 5 of node n1 saw its block 4"}},
		{"head set back", []string{"DELETE FROM audit_blocks WHERE node = 'n1' AND seq = 5", "UPDATE audit_heads SET seq = 4, mac = (SELECT mac FROM audit_blocks WHERE node = 'n1' AND seq = 4) WHERE node = 'n1'"}, []string{"node n1: its head, which says where the chain begins and ends: sealed text was changed"}},
		{"beginning forged", []string{"DELETE FROM audit_blocks WHERE node = 'n1' AND seq < 3", "UPDATE audit_heads SET first = 3, prev = (SELECT prev FROM audit_blocks WHERE node = 'n1' AND seq = 3) WHERE node = 'n1'"}, []string{"node n1: its head"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, h *house) {
				h.two(ctx)
				h.exec(c.do...)
				h.expect(h.verify(), c.want)
			})
		})
	}
}

func (h *house) expect(r audit.Report, want []string) {
	h.t.Helper()
	var got []string
	for _, p := range r.Problems {
		got = append(got, p.String())
	}
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && i < len(got) && strings.Contains(got[i], want[i])
	}
	if !ok {
		h.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What somebody did while the server runs stays to be seen after the node has written on:
// it does not go on from a head that is not its own.
func TestTouchedWhileRunning(t *testing.T) {
	for _, c := range []struct{ name, do string }{
		{"all of it", "DELETE FROM audit_heads;DELETE FROM audit_blocks"},
		{"the end", "DELETE FROM audit_blocks WHERE seq > 2;UPDATE audit_heads SET seq = 2, mac = (SELECT mac FROM audit_blocks WHERE seq = 2)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, ctx context.Context, h *house) {
				trail := h.node("n1", "")
				for i := range 3 {
					must(t, trail.Keep(ctx, change(i)))
				}
				h.exec(strings.Split(c.do, ";")...)
				for i := range 3 {
					must(t, trail.Keep(ctx, change(i)))
				}
				all := fmt.Sprint(h.verify().Problems)
				if !strings.Contains(all, "the node found its chain other than it had left it") {
					t.Errorf("got %s", all)
				}
			})
		})
	}
}

// snapshot is the trail's tables as they are, put back later by whoever restores an older database.
func (h *house) snapshot(ctx context.Context) (restore func()) {
	type row struct {
		columns []any
	}
	tables := map[string]int{"audit_blocks": 12, "audit_heads": 8}
	kept := map[string][]row{}
	must(h.t, h.db.Read(ctx, func(tx *db.Tx) (err error) {
		for name, n := range tables {
			kept[name], err = db.All(tx, func(scan db.Scan) (row, error) {
				r := row{make([]any, n)}
				into := make([]any, n)
				for i := range into {
					into[i] = &r.columns[i]
				}
				return r, scan(into...)
			}, "SELECT * FROM "+name)
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return func() {
		must(h.t, h.db.Write(ctx, func(tx *db.Tx) error {
			for name, n := range tables {
				if _, err := tx.Exec("DELETE FROM " + name); err != nil {
					return err
				}
				for _, r := range kept[name] {
					if _, err := tx.Exec("INSERT INTO "+name+" VALUES ("+strings.TrimSuffix(strings.Repeat("?, ", n), ", ")+")", r.columns...); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
}

// An older database in place of the newer one is whole in itself; what was noted outside of it tells.
func TestOlderRestored(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		folder := t.TempDir()
		run := func(n int) {
			trail := h.node("n1", folder)
			ctx, stop := context.WithCancel(ctx)
			done := make(chan error)
			go func() { done <- trail.Run(ctx) }()
			for i := range n {
				must(t, trail.Keep(ctx, change(i)))
			}
			stop()
			must(t, <-done)
		}
		run(3)
		restore := h.snapshot(ctx)
		run(3)
		noted, err := audit.ReadHeads(folder)
		must(t, err)
		if len(noted) != 1 || noted[0].Seq != 6 {
			t.Fatalf("noted %v", noted)
		}
		h.expect(h.verify(noted...), nil)
		restore()
		h.expect(h.verify(), nil)
		h.expect(h.verify(noted...), []string{"node n1, block 4, 2026-03-01T12:00:03Z: the chain ends here, and a note that was kept outside of the database saw its block 6: the end was cut off, or an older state was put back"})
		run(1) // the node knows what it had written, and says so for good
		h.expect(h.verify(), []string{"node n1, block 4", "block 7, 2026", "the chain ends here"}[:2])
		if p := h.verify().Problems; !strings.Contains(p[1].What, "the node found its chain other") {
			t.Errorf("got %v", p)
		}
	})
}

// Heads read back as they were printed, and nonsense is refused with its place.
func TestHeads(t *testing.T) {
	want := []audit.Head{{Node: "n1", Seq: 3, MAC: "h1.k.m"}, {Node: "n2", Seq: 12, MAC: "h1.k.x"}}
	got, err := audit.ParseHeads("f", []byte("# noted on Monday\n\n"+want[0].String()+"\n"+want[1].String()+"\n"))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"n1 3", "n1 x m", "n1 -1 m", "n1 1 m m"} {
		if _, err := audit.ParseHeads("f", []byte("\n"+text)); err == nil || !strings.Contains(err.Error(), "f:2: ") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// What is old goes, reads go before changes where there is too much, and the trail stays whole.
func TestKeptWithinBounds(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		build := func(kept time.Duration, most int64) *audit.Trail {
			trail, err := audit.New(audit.Config{DB: h.db, Sealer: h.sealer, Node: "n1", Account: "111122223333", Region: "x", Now: h.clock.Now, Log: slog.New(slog.DiscardHandler), Kept: kept, Most: most})
			must(t, err)
			return trail
		}
		tidy := func(trail *audit.Trail) {
			must(t, audit.Tidy(trail, ctx))
			h.expect(h.verify(), nil)
		}
		trail := build(time.Hour, 1<<30)
		for i := range 20 {
			must(t, trail.Keep(ctx, change(i)))
			for range 10 {
				must(t, trail.Keep(ctx, read()))
			}
			must(t, trail.Flush(ctx))
		}
		_, before, err := trail.Size(ctx)
		must(t, err)
		tidy(build(time.Hour, before*8/10))
		_, after, err := trail.Size(ctx)
		must(t, err)
		page, _, err := trail.Find(ctx, audit.Query{Changes: true, Limit: 100})
		must(t, err)
		if after > before*8/10 || len(page) != 20 {
			t.Errorf("%d bytes became %d, want %d; %d changes stayed", before, after, before*8/10, len(page))
		}
		tidy(build(100*time.Second, 1<<30))
		page, _, err = trail.Find(ctx, audit.Query{Changes: true, Limit: 100})
		must(t, err)
		if n := len(page); n == 0 || n > 12 {
			t.Errorf("%d changes stayed that are young enough", n)
		}
		tidy(build(time.Nanosecond, 1<<30))
		must(t, build(time.Hour, 1<<30).Keep(ctx, change(99)))
		h.expect(h.verify(), nil)
	})
}

// Without the root key nobody can say whether a trail is whole, and the report says that.
func TestOtherKey(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		h.two(ctx)
		other := newHouse(t, h.db)
		if p := other.verify().Problems; len(p) == 0 || !strings.Contains(fmt.Sprint(p), "signed under a root key that is not here") {
			t.Errorf("got %v", p)
		}
	})
}

// The file of heads holds one whole state or another, never half of one.
func TestHeadsFileIsWhole(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, audit.HeadsFile), []byte("n1 3"), 0o600))
	if _, err := audit.ReadHeads(folder); err == nil {
		t.Error("half a line was read")
	}
}

// A node that writes nothing itself is a witness all the same, and two of them come to rest.
func TestAnchor(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, h *house) {
		one, other := h.node("n1", ""), h.node("n2", "")
		must(t, other.Keep(ctx, change(0)))
		must(t, one.Keep(ctx, change(1)))
		must(t, one.Keep(ctx, change(2)))
		for range 3 {
			must(t, audit.Anchor(one, ctx))
			must(t, audit.Anchor(other, ctx))
		}
		heads, err := one.Heads(ctx)
		must(t, err)
		if heads[0].Seq != 2 || heads[1].Seq != 2 {
			t.Errorf("got %v", heads)
		}
		h.exec("DELETE FROM audit_blocks WHERE node = 'n1'", "DELETE FROM audit_heads WHERE node = 'n1'")
		h.expect(h.verify(), []string{"node n1: the whole chain is missing: block 2 of node n2 saw its block 2"})
	})
}
