package detect_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/room/detect"
	"github.com/haechi-dev/haechi/word/finding"
	"github.com/haechi-dev/haechi/word/record"
)

// A scan without a server finds what the room finds, with the same ids.
func TestScan(t *testing.T) {
	attack := append(examples(t, "console-brute-force.txtar", "bad/"), examples(t, "s3-bucket-public.txtar", "")...)
	scan, err := detect.NewScan(files(t), finding.Maker{Account: "111122223333", Region: "us-east-1"})
	must(t, err)
	for range 2 {
		for _, r := range attack {
			must(t, scan.Observe(r))
		}
	}
	if err := scan.Observe(record.Record{Text: "{"}); err == nil {
		t.Error("a broken record is fine")
	}
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		h.watch("all", attack...)
		got, want := map[string]string{}, map[string]string{}
		for _, f := range scan.Findings() {
			got[f.ID] = f.UpdatedAt + f.Description
		}
		for _, f := range h.findings() {
			want[f.ID] = f.UpdatedAt + f.Description
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 3 {
			t.Error(diff)
		}
	})
}

// How many CloudTrail events a second the rules that come with Haechi are held against.
func BenchmarkScan(b *testing.B) {
	scan, err := detect.NewScan(files(b), finding.Maker{Account: "111122223333", Region: "us-east-1"})
	must(b, err)
	var records []record.Record
	for _, file := range []string{"s3-bucket-public.txtar", "guardduty-disabled.txtar", "security-group-open-to-world.txtar"} {
		records = append(records, examples(b, file, "good/")...)
	}
	began := time.Now()
	for i := range b.N {
		if err := scan.Observe(records[i%len(records)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "events/s")
}
