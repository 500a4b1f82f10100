package report_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// sample is a report of the published ones.
type sample struct {
	name, format string
	want         int // how many findings it has; -1 where nobody says
	text         []byte
}

// samples are the reports of $HAECHI_TESTDATA/reports.
func samples(t *testing.T) (all []sample) {
	t.Helper()
	folder := os.Getenv("HAECHI_TESTDATA")
	if folder == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	folder = filepath.Join(folder, "reports")
	list, err := os.Open(filepath.Join(folder, "index.csv"))
	if err != nil {
		t.Skip("no reports in HAECHI_TESTDATA")
	}
	defer list.Close()
	rows, err := csv.NewReader(list).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	for _, row := range rows[1:] {
		s := sample{name: row[column("file")], format: row[column("format")], want: -1}
		if n, err := strconv.Atoi(cmp.Or(row[column("upstream_expected_findings")], row[column("native_records")])); err == nil {
			s.want = n
		}
		if s.text, err = os.ReadFile(filepath.Join(folder, filepath.FromSlash(s.name))); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func read(text []byte, o report.Options) (*report.Report, []finding.Finding, error) {
	r, err := report.Foreign(bytes.NewReader(text), int64(len(text)), o)
	if err != nil {
		return nil, nil, err
	}
	var all []finding.Finding
	err = r.Each(func(f finding.Finding) error { all = append(all, f); return nil })
	return r, all, err
}

// right are the counts that differ from the list's by design, each with its reason.
var right = map[string]struct {
	want int
	why  string
}{}

// Every published report of a format that is read gives the right number of findings.
func TestConformance(t *testing.T) {
	met, total := 0, 0
	var unmet, refused []string
	for _, s := range samples(t) {
		r, all, err := read(s.text, report.Options{Salt: []byte("salt")})
		if fault.Of(err) == fault.Unsupported {
			refused = append(refused, s.name)
			continue
		}
		want := s.want
		if d, ok := right[s.name]; ok {
			want = d.want
		}
		total++
		switch {
		case err != nil:
			unmet = append(unmet, fmt.Sprintf("%s: %v", s.name, err))
		case len(all) != r.Findings:
			unmet = append(unmet, fmt.Sprintf("%s: says %d findings and hands over %d", s.name, r.Findings, len(all)))
		case want >= 0 && len(all) != want:
			unmet = append(unmet, fmt.Sprintf("%s: %d findings of %d records (%s), want %d", s.name, len(all), r.Records, r.Format, want))
		case want < 0:
			unmet = append(unmet, fmt.Sprintf("%s: %d findings of %d records (%s), and nobody says how many", s.name, len(all), r.Records, r.Format))
		default:
			met++
		}
	}
	fmt.Printf("CONFORMANCE reports counts %d/%d refused=%d\n", met, total, len(refused))
	for _, u := range unmet[:min(len(unmet), 20)] {
		fmt.Println("unmet:", u)
	}
	for _, u := range refused {
		fmt.Println("refused:", u)
	}
	if met < total {
		t.Fail()
	}
}
