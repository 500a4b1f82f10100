package inspect_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// counting is a hub that counts.
type counting struct{ scans, findings atomic.Int64 }

func (c *counting) Import(_ context.Context, _ finding.Scan, findings ...finding.Finding) (hub.Imported, error) {
	c.scans.Add(1)
	c.findings.Add(int64(len(findings)))
	return hub.Imported{New: len(findings)}, nil
}

// Two hundred new advisories against 10,000 stored bills of 500 components
// each, out of 50,000 different ones; HAECHI_BENCH_SBOMS makes it another
// number. "mark" is until it is known and written down who is affected,
// "judge" until all of these are judged again and handed to the hub.
func BenchmarkNewAdvisories(b *testing.B) {
	things := 10_000
	if n, err := strconv.Atoi(os.Getenv("HAECHI_BENCH_SBOMS")); err == nil {
		things = n
	}
	const each, different = 500, 50_000
	d, err := db.Open(b.Context(), "sqlite:"+b.TempDir()+"/state.db", inspect.Schema())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	var docs []string
	for n := range 40_000 {
		docs = append(docs, bug(fmt.Sprintf("GHSA-%d", n), fmt.Sprintf("old-%d", n), "1.0.0"))
	}
	old := indexOf(b, docs...)
	for n := range 200 {
		docs = append(docs, bug(fmt.Sprintf("GHSA-new-%d", n), fmt.Sprintf("package-%d", n*211), "1.1.0"))
	}
	now := indexOf(b, docs...)
	var index atomic.Pointer[advisory.Index]
	index.Store(old)
	told := &counting{}
	room := inspect.New(inspect.Config{DB: d, Hub: told, Maker: finding.Maker{Account: account, Region: "us-east-1"}, Log: slog.New(slog.DiscardHandler),
		Newest: func() (*deps.Scanner, *advisory.Index) { return deps.New(index.Load()), index.Load() }})
	version := deps.New(old).Version()
	for t := range things {
		list := make([]component.Component, each)
		for n := range list {
			k := (t*each + n*n*7919) % different
			list[n] = npm(fmt.Sprintf("package-%d", k), fmt.Sprintf("1.%d.0", k%3))
		}
		s := finding.Scan{ID: fmt.Sprint("s", t), Tool: "deps", Version: version, Target: fmt.Sprint("t", t), Branch: "main", Complete: true}
		if err := room.Keep(b.Context(), inspect.SBOM, s, list); err != nil {
			b.Fatal(err)
		}
	}
	if err := room.Judge(b.Context()); err != nil {
		b.Fatal(err)
	}
	told.scans.Store(0)
	for b.Loop() {
		for _, x := range []*advisory.Index{now, old} {
			index.Store(x)
			began := time.Now()
			if err := room.Mark(b.Context()); err != nil {
				b.Fatal(err)
			}
			marked := time.Since(began)
			if err := room.Judge(b.Context()); err != nil {
				b.Fatal(err)
			}
			if x == now {
				b.ReportMetric(marked.Seconds()*1000, "mark-ms")
				b.ReportMetric((time.Since(began) - marked).Seconds(), "judge-s")
				b.ReportMetric(float64(told.scans.Swap(0)), "things")
				b.ReportMetric(float64(told.findings.Swap(0)), "findings")
			}
		}
	}
}
