package hub

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/haechi-dev/haechi/word/finding"
)

// Import of scans whose every finding could be tied, by two tools that say the same.
func BenchmarkTies(b *testing.B) {
	h := benchHub(b)
	const many = 10_000
	n := 0
	for b.Loop() {
		for _, tool := range []string{"semgrep", "bandit"} {
			s := finding.Scan{Tool: tool, Target: fmt.Sprint("shop", n), Commit: "c1"}
			list := make([]finding.Finding, 0, many)
			for i := range many {
				f := finding.Finding{GeneratorID: "rule", Title: "An injection", Description: "An injection", Severity: &finding.Severity{Label: finding.High}, ProductFields: map[string]string{
					finding.FieldFile: fmt.Sprintf("src/file%d.py", i/20), finding.FieldLine: strconv.Itoa(i), finding.FieldCWE: "CWE-89", finding.FieldExcerpt: `cursor.execute("SELECT * FROM users WHERE name = " + name)`,
					finding.FieldFingerprint: finding.Fingerprint(tool, strconv.Itoa(i))}}
				list = append(list, finding.Maker{Account: "100000000000", Region: "us-east-1"}.Own(s, f, h.now()))
			}
			did, err := h.Import(context.Background(), s, list...)
			if err != nil || did.New != many {
				b.Fatal(did, err)
			}
		}
		n += 2
	}
	b.ReportMetric(float64(n*many)/b.Elapsed().Seconds(), "findings/s")
}
