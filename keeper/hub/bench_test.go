package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/finding"
)

// generated is finding n of many: ten products' worth of rules over a hundred thousand resources.
func generated(n int) finding.Finding {
	labels := [...]finding.Label{finding.Low, finding.Medium, finding.Low, finding.Informational, finding.High, finding.Medium, finding.Low, finding.Critical}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n*7919%1_000_003) * 20 * time.Second)
	account := strconv.Itoa(100000000000 + n%20)
	f := finding.Finding{
		SchemaVersion: finding.SchemaVersion, ID: fmt.Sprintf("haechi/deps/repository-%d/%032x", n%500, n), GeneratorID: fmt.Sprintf("rule/%d", n%3000), AccountID: account,
		ProductARN: "arn:aws:securityhub:us-east-1:" + account + ":product/" + account + "/default", ProductName: fmt.Sprintf("Scanner %d", n%10),
		CreatedAt: finding.Stamp(at), UpdatedAt: finding.Stamp(at), Title: fmt.Sprintf("Package number %d has a known vulnerability", n%5000),
		Description: "A crafted request makes the parser read past the end of its buffer, so that an attacker can crash the service or read what others sent to it. Update the package to a version that is not affected.",
		Provider:    &finding.ProviderFields{Severity: &finding.Severity{Label: labels[n%len(labels)]}, Types: []string{"Software and Configuration Checks/Vulnerabilities/CVE"}},
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Update it.", URL: "https://example.com/advisories/" + strconv.Itoa(n%5000)}},
		Resources:   []finding.Resource{{Type: "AwsEcrContainerImage", ID: fmt.Sprintf("arn:aws:ecr:us-east-1:%s:repository/team-%d/service-%d", account, n%97, n%100_000), Partition: "aws", Region: "us-east-1"}},
		ProductFields: map[string]string{"haechi/tool": "deps", "haechi/target": fmt.Sprintf("repository-%d", n%500), "haechi/file": "package-lock.json",
			"haechi/package": fmt.Sprintf("package-%d", n%5000), "haechi/installed": "1.2.3", "haechi/fixed": "1.2.4"},
	}
	settle(&f, nil, 0, false)
	f.Workflow, f.RecordState = &finding.Workflow{Status: finding.New}, finding.Active
	if n%4 == 0 {
		f.Workflow.Status = finding.Resolved
	}
	return f
}

func benchHub(b *testing.B) *Hub {
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "state.db"), bus.Schema(), Schema())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	h, err := New(b.Context(), Config{DB: d, Bus: bus.New(d), Account: "100000000000"})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// Import in calls of 100, as Security Hub's clients do it, one durable transaction each.
func BenchmarkImport(b *testing.B) {
	h := benchHub(b)
	n := 0
	for b.Loop() {
		list := make([]finding.Finding, 0, 100)
		for range 100 {
			f := generated(n)
			f.Workflow, f.Severity, f.Types = nil, nil, nil
			list = append(list, f)
			n++
		}
		did, err := h.Import(context.Background(), finding.Scan{}, list...)
		if err != nil || did.New != 100 {
			b.Fatal(did, err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "findings/s")
}

// The same findings again, nothing newer.
func BenchmarkImportUnchanged(b *testing.B) {
	h := benchHub(b)
	var list []finding.Finding
	for n := range 10_000 {
		list = append(list, generated(n))
	}
	if _, err := h.Import(context.Background(), finding.Scan{}, list...); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		did, err := h.Import(context.Background(), finding.Scan{}, list...)
		if err != nil || did.Ignored != len(list) {
			b.Fatal(did, err)
		}
	}
	b.ReportMetric(float64(len(list))*float64(b.N)/b.Elapsed().Seconds(), "findings/s")
}

// GetFindings at a million: severity, workflow, resource prefix and product,
// the newest first, a page of a hundred. HAECHI_BENCH_FINDINGS makes it another number.
func BenchmarkFind(b *testing.B) {
	many := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("HAECHI_BENCH_FINDINGS")); err == nil {
		many = n
	}
	h := benchHub(b)
	for at := 0; at < many; at += 5000 {
		if err := h.change(b.Context(), func(c *batch) error {
			for n := at; n < min(at+5000, many); n++ {
				f := generated(n)
				doc, p := encode(&f, false)
				if p != nil {
					return p
				}
				r := &row{identity: identityOf(&f), finding: f, doc: doc}
				c.touch(r)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	if err := h.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	warm := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Logf("%d findings: read in %s, %d MB", many, warm.Round(time.Millisecond), (after.HeapAlloc-before.HeapAlloc)>>20)
	for name, q := range map[string]func(n int) Query{
		"common": func(n int) Query {
			return Query{Filters: Filters{"SeverityLabel": Is("HIGH", "CRITICAL"), "WorkflowStatus": Is("NEW"), "ProductName": Is(fmt.Sprintf("Scanner %d", n%10)),
				"ResourceId": {{Value: "arn:aws:ecr:us-east-1:" + strconv.Itoa(100000000000+n%20) + ":repository/team-", Comparison: Prefix}}},
				Sort: []Sort{{Field: "UpdatedAt", SortOrder: "desc"}}}
		},
		"rare": func(n int) Query {
			return Query{Filters: Filters{"SeverityLabel": Is("LOW"), "WorkflowStatus": Is("NEW"),
				"ResourceId": {{Value: "arn:aws:ecr:us-east-1:" + strconv.Itoa(100000000000+n%20) + ":repository/team-96/service-99", Comparison: Prefix}}},
				Sort: []Sort{{Field: "UpdatedAt", SortOrder: "desc"}}}
		},
		"everything": func(int) Query { return Query{} },
		"one": func(n int) Query {
			return Query{Filters: Filters{"Id": Is(generated(n * 31 % many).ID)}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				began := time.Now()
				if _, err := h.Find(context.Background(), q(n)); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
	b.Run("group", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.GroupBy(context.Background(), Filters{"RecordState": Is("ACTIVE")}, "ResourceId", 100); err != nil {
				b.Fatal(err)
			}
		}
	})
}
