package route_test

import (
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/route"
)

// BenchmarkFold measures how fast events about findings become deliveries to a
// channel that is told of each once.
func BenchmarkFold(b *testing.B) {
	for name, address := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(b.TempDir(), "state.db") },
		"postgres": func() string { return dbtest.Postgres(b) },
	} {
		b.Run(name, func(b *testing.B) {
			d, err := db.Open(b.Context(), address(), bus.Schema(), route.Schema())
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			n := route.NewForBench(b, route.Config{DB: d, Bus: bus.New(d), Account: account, Region: region})
			events := storm(0, b.N)
			b.ResetTimer()
			for i := 0; i < len(events); i += 200 {
				err := d.Write(b.Context(), func(tx *db.Tx) error {
					for _, e := range events[i:min(i+200, len(events))] {
						if err := n(tx, e); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
