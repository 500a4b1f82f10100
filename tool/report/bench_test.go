package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/finding"
)

// bigSARIF writes a report of n results.
func bigSARIF(t testing.TB, n int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "big.sarif"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fmt.Fprint(f, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Big","rules":[{"id":"r"}]}},"results":[`)
	for i := range n {
		if i > 0 {
			fmt.Fprint(f, ",")
		}
		fmt.Fprintf(f, `{"ruleId":"r","message":{"text":"thing %d %s"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/%d.go"},"region":{"startLine":%d,"snippet":{"text":"call(%d)"}}}}]}`, i, strings.Repeat("x", 700), i%3001, i%900+1, i)
	}
	fmt.Fprint(f, `]}]}`)
	return f
}

func BenchmarkForeign(b *testing.B) {
	f := bigSARIF(b, 20_000)
	info, _ := f.Stat()
	b.SetBytes(info.Size())
	for b.Loop() {
		r, err := report.Foreign(f, info.Size(), report.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Each(func(finding.Finding) error { return nil }); err != nil || r.Findings != 20_000 {
			b.Fatal(err, r.Findings)
		}
	}
}
