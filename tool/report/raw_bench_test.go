package report_test

import (
	"testing"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/finding"
)

// What it costs to keep the records beside the findings.
func BenchmarkRaw(b *testing.B) {
	f := bigSARIF(b, 20_000)
	info, _ := f.Stat()
	r, err := report.Foreign(f, info.Size(), report.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for name, each := range map[string]func() error{
		"without": func() error { return r.Each(func(finding.Finding) error { return nil }) },
		"with":    func() error { return r.EachRaw(func(_ finding.Finding, raw func() string) error { raw(); return nil }) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(info.Size())
			for b.Loop() {
				if err := each(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
