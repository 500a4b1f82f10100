package audit_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/audit"
)

func benchTrail(b *testing.B) *audit.Trail {
	b.Helper()
	folder := b.TempDir()
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(folder, "state.db"), audit.Schema())
	must(b, err)
	b.Cleanup(func() { d.Close() })
	s, err := seal.OpenOrCreate(filepath.Join(folder, "root.key"))
	must(b, err)
	t, err := audit.New(audit.Config{DB: d, Sealer: s, Node: "n1", Account: "111122223333", Region: "x"})
	must(b, err)
	return t
}

// What an allowed read waits for: its entry is queued.
func BenchmarkKeepRead(b *testing.B) {
	t, e := benchTrail(b), read()
	n := 0
	for b.Loop() {
		if err := t.Keep(context.Background(), e); err != nil {
			b.Fatal(err)
		}
		if n++; n%10_000 == 0 {
			b.StopTimer()
			must(b, t.Flush(context.Background()))
			b.StartTimer()
		}
	}
}

// What writing a read down costs later, beside the calls.
func BenchmarkFlushRead(b *testing.B) {
	t, e := benchTrail(b), read()
	n := 0
	for b.Loop() {
		must(b, t.Keep(context.Background(), e))
		if n++; n%1000 == 0 {
			must(b, t.Flush(context.Background()))
		}
	}
}

// What a change or a refusal waits for: its record is on the disk.
func BenchmarkKeepChange(b *testing.B) {
	t, e := benchTrail(b), change(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := t.Keep(context.Background(), e); err != nil {
				b.Error(err)
			}
		}
	})
}
