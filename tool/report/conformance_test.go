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
}{
	"asff/awssecurityhub__config_many_findings.json":                   {0, "all three are PASSED: no findings"},
	"burp-xml/burp__seven_findings.xml":                                {16, "an issue at another path is another finding; upstream groups by kind"},
	"cargo-audit-json/cargo_audit__many_findings.json":                 {7, "three crates are unmaintained, which has an advisory each; the six that are yanked have none"},
	"checkov-json/checkov__checkov-report-many-vuln.json":              {3, "its failed checks"},
	"gitleaks-json/gitleaks__version_7.5.0.json":                       {4, "a secret is one finding in a file; commits and lines are occurrences"},
	"kics-json/kics__many_findings.json":                               {15, "four records are the same in every member"},
	"nikto-json/nikto__juice-shop.json":                                {151, "another address is another finding; upstream groups by id"},
	"nikto-xml/nikto__nikto-output.xml":                                {13, "its items"},
	"njsscan-json/njsscan__njsscan_many_vuln.json":                     {5, "its files, rule by rule"},
	"nuclei-jsonl/nuclei__many_findings.json":                          {18, "what another matcher found is another finding; upstream groups by template and host"},
	"nuclei-jsonl/nuclei__multiple_v3.json":                            {6, "two versions of TLS are two findings"},
	"pip-audit-json/pip_audit__many_vulns_new.json":                    {7, "its vulns"},
	"prowler-ocsf/aws_prowler_v3plus__many_vuln_after_4_5_0.ocsf.json": {3, "one of them is suppressed, and arrives as such; upstream drops it"},
	"retirejs-json/retirejs__latest.json":                              {23, "26 records, of which three pairs are about one CVE in one file"},
	"sarif/sar__Baseline.sarif":                                        {3, "one result is absent"},
	"sarif/sarif__flawfinder.sarif":                                    {53, "one result is of kind pass"},
	"sarif/sarif__gitleaks_7.5.0.sarif":                                {4, "each is there once for each of two commits, and otherwise the same"},
	"snyk-json/snyk__snykcontainer_issue_epss.json":                    {13, "twelve are in an application within the image; upstream does not look there"},
	"sonarqube-hotspots-api/api_sonarqube__hotspots__many_vulns.json":  {2, "its elements"},
	"sonarqube-issues-api/api_sonarqube__issues.json":                  {3, "its elements"},
	"spotbugs-xml/spotbugs__version_4.4.0.xml":                         {56, "another class, method or field is another finding; upstream groups by kind"},
	"testssl-csv/testssl__defectdojo_many_vuln.csv":                    {17, "524 of 541 rows are OK or INFO"},
	"tfsec-json/tfsec__many_findings_current.json":                     {19, "another resource is another finding; upstream groups by place"},
	"wapiti-json/local__wapiti-3.0.4-go-web-app.json":                  {22, "the list counts vulnerabilities alone; five anomalies are one by place and parameter"},
	"wpscan-json/wpscan__wordpress_many_vuln.json":                     {10, "three vulnerabilities and seven things of interest; upstream drops two of these"},
}

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

// Every format has its line in the book.
func TestBookNamesAll(t *testing.T) {
	book, err := os.ReadFile("../../docs/import.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range report.Formats() {
		if !bytes.Contains(book, []byte("`"+name+"`")) {
			t.Errorf("docs/import.md does not name %s", name)
		}
	}
}
