package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/report"
)

// The table of docs/import.md is true: each row's format is one that is read,
// every format has its row, and with HAECHI_TESTDATA the command of the page
// takes a published report of each, told by what it holds.
func TestEachToolIsBrought(t *testing.T) {
	text, err := os.ReadFile("../../docs/import.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Each tool")
	table, _, _ = strings.Cut(table, "\n## ")
	var named []string
	format := regexp.MustCompile("`([a-z0-9-]+)`")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 || strings.HasPrefix(line, "| tool |") {
			continue
		}
		rows++
		found := format.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(found) == 0 {
			t.Errorf("this row names no format: %s", line)
		}
		for _, f := range found {
			named = append(named, f[1])
			if !slices.Contains(report.Formats(), f[1]) && f[1] != "spdx" { // a bill of materials is no report of findings
				t.Errorf("the page names a format that there is not: %s", f[1])
			}
		}
	}
	if rows < 50 {
		t.Fatalf("only %d rows were found", rows)
	}
	for _, f := range report.Formats() {
		if !slices.Contains(named, f) {
			t.Errorf("docs/import.md does not say how reports of %s are made", f)
		}
	}
	bringSamples(t, named)
}

// bringSamples imports a published report of each format as the page says.
func bringSamples(t *testing.T, named []string) {
	folder := os.Getenv("HAECHI_TESTDATA")
	list, err := os.ReadFile(filepath.Join(folder, "reports", "index.csv"))
	if folder == "" || err != nil {
		t.Log("HAECHI_TESTDATA has no reports: the commands were not tried")
		return
	}
	samples, err := csv.NewReader(bytes.NewReader(list)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	r.direct("server")
	tried := map[string]bool{}
	for _, row := range samples[1:] {
		if file, format := row[0], row[1]; !tried[format] && slices.Contains(named, format) {
			tried[format] = true
			out, exit := r.run("docs/import.md", "haechi import -target shop "+filepath.Join(folder, "reports", filepath.FromSlash(file)))
			if exit != "0" || !strings.Contains(out, ": "+format+" by ") {
				t.Errorf("%s: exit %s: %s", format, exit, out)
			}
		}
	}
	if len(tried) < 60 {
		t.Errorf("only %d formats were tried", len(tried))
	}
}
