package report_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// No cell of CSV begins like a formula, whatever a finding says, and every cell comes out as it was behind an apostrophe.
func TestCSVInjection(t *testing.T) {
	for _, hostile := range []string{`=cmd|'/c calc'!A1`, "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1", `"=1`, "'=1", "\ufeff=1", "plain", "a,b\n\"c\""} {
		f := found("rule", hostile, 3, finding.High, hostile)
		f.GeneratorID = hostile
		var b bytes.Buffer
		if err := report.CSV(&b, []finding.Finding{f}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q: %v %v", hostile, rows, err)
		}
		for i, cell := range rows[1] {
			if start := strings.TrimLeft(cell, " \ufeff\""); start != "" && strings.ContainsAny(start[:1], "=+-@\t\r\n") || strings.HasPrefix(start, "＝") {
				t.Errorf("%q: %s is %q", hostile, rows[0][i], cell)
			}
		}
		if title := rows[1][5]; strings.TrimPrefix(title, "'") != strings.ReplaceAll(hostile, "\r\n", "\n") && title != hostile {
			t.Errorf("%q became %q", hostile, title)
		}
	}
}

// Nothing that a finding says becomes markup or a link to a script.
func TestHTML(t *testing.T) {
	f := found("<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, 3, finding.Critical, "<b>bold</b> 한글")
	f.Remediation.Recommendation.URL = "javascript:alert(1)"
	f.ProductFields[finding.FieldExcerpt] = "</pre><script>"
	var b bytes.Buffer
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if err := report.HTML(&b, "Findings of <shop>", at, append(some(), f)); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, bad := range []string{"<script", "<img", "<b>bold", "javascript:", "http-equiv=\"refresh\""} {
		if strings.Contains(text, bad) {
			t.Errorf("%s is in it", bad)
		}
	}
	for _, want := range []string{"<title>Findings of &lt;shop&gt;</title>", "5 findings, 5 of them open", "25 November 2026", "한글", "@media print"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in it", want)
		}
	}
	b.Reset()
	if err := report.HTML(&b, "none", at, nil); err != nil || !strings.Contains(b.String(), "no findings") {
		t.Errorf("none: %v", err)
	}
}

// A line of OCSF is an event of the right class, which is read again as the same finding.
func TestOCSF(t *testing.T) {
	epss := 0.5
	maker, now := finding.Maker{Account: "111122223333", Region: "eu-west-1"}, time.Unix(1_700_000_000, 0)
	own := func(f finding.Finding) finding.Finding {
		return maker.Own(finding.Scan{Tool: "t", Target: "shop"}, f, now)
	}
	vulnerable := own(finding.Finding{GeneratorID: "CVE-2024-1", Title: "v", Description: "d", Severity: &finding.Severity{Label: finding.Critical}, Vulnerabilities: []finding.Vulnerability{{ID: "CVE-2024-1", EpssScore: &epss, Packages: []finding.Package{{Name: "p", Version: "1", FixedInVersion: "2"}}}}})
	control := own(finding.Finding{GeneratorID: "S3.1", Title: "c", Description: "d", Severity: &finding.Severity{Label: finding.Low}, Compliance: &finding.Compliance{Status: finding.Failed}, Workflow: &finding.Workflow{Status: finding.Suppressed}})
	other := own(finding.Finding{GeneratorID: "r", Title: "o", Description: "d", Severity: &finding.Severity{Label: finding.High}, ProductFields: finding.At(diag.Place{File: "a", Line: 1})})
	var b bytes.Buffer
	if err := report.OCSF(&b, []finding.Finding{control, vulnerable, other}); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		class, severity, status int
		title                   string
	}{{2002, 5, 1, "v"}, {2004, 4, 1, "o"}, {2003, 2, 3, "c"}}
	for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		var e struct {
			Class    int   `json:"class_uid"`
			Type     int   `json:"type_uid"`
			Activity int   `json:"activity_id"`
			Severity int   `json:"severity_id"`
			Status   int   `json:"status_id"`
			Time     int64 `json:"time"`
			Info     struct {
				Title string `json:"title"`
			} `json:"finding_info"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if w := want[i]; e.Class != w.class || e.Severity != w.severity || e.Status != w.status || e.Info.Title != w.title || e.Type != e.Class*100+e.Activity || e.Time != now.UnixMilli() {
			t.Errorf("%d: %+v, want %+v", i, e, w)
		}
	}
	_, again, err := read(b.Bytes(), report.Options{})
	if err != nil || len(again) != 3 {
		t.Fatalf("read again: %d, %v", len(again), err)
	}
	for i, f := range again {
		if f.Label().Rank()+1 != want[i].severity || f.Title != want[i].title || (f.Status() == finding.Suppressed) != (want[i].status == 3) {
			t.Errorf("%d: %s %s %s", i, f.Label(), f.Title, f.Status())
		}
	}
}

// Each line is one finding in ASFF.
func TestJSONLines(t *testing.T) {
	var b bytes.Buffer
	if err := report.JSONLines(&b, some()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != len(some()) {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if !jsontext.Value(l).IsValid() {
			t.Errorf("%s is no JSON", l)
		}
	}
}
