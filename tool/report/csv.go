package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// CSV writes a row for each finding, the worst first, below one with the columns' names. A cell
// that a spreadsheet would take for a formula begins with an apostrophe instead.
func CSV(w io.Writer, findings []finding.Finding) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"severity", "status", "state", "tool", "rule", "title", "file", "line", "resource", "vulnerability", "package", "installed", "fixed", "cwe", "fix", "url", "first_seen", "last_seen", "id"}}
	for _, f := range Sorted(findings) {
		p := f.Place()
		line, resource, vulnerability := "", "", ""
		if p.Line > 0 {
			line = strconv.Itoa(p.Line)
		}
		if len(f.Resources) > 0 {
			resource = f.Resources[0].ID
		}
		if len(f.Vulnerabilities) > 0 {
			vulnerability = f.Vulnerabilities[0].ID
		}
		fix, link := advice(&f)
		rows = append(rows, []string{string(f.Label()), string(f.Status()), string(f.RecordState), f.ProductFields[finding.FieldTool], f.GeneratorID, f.Title, p.File, line, resource, vulnerability,
			f.ProductFields[finding.FieldPackage], f.ProductFields[finding.FieldInstalled], f.ProductFields[finding.FieldFixed], f.ProductFields[finding.FieldCWE], fix, link, f.FirstObservedAt, f.LastObservedAt, f.ID})
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = harmless(cell)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// harmless is a cell that no spreadsheet computes: https://owasp.org/www-community/attacks/CSV_Injection
func harmless(cell string) string {
	cell = strings.ReplaceAll(cell, "\x00", "\uFFFD")
	start := strings.TrimLeft(cell, " \u00a0\u3000\ufeff\"'")
	if cell != "" && strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	for _, sign := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} { // the last are the wide ones, which some take for the same
		if strings.HasPrefix(start, sign) {
			return "'" + cell
		}
	}
	return cell
}

// advice is what to do about f, and where more is said.
func advice(f *finding.Finding) (text, link string) {
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		text, link = f.Remediation.Recommendation.Text, f.Remediation.Recommendation.URL
	}
	return text, or(link, f.SourceURL)
}
