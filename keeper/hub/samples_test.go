package hub_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/finding"
)

// Reports in ASFF of other tools are taken, but for findings whose account is not a number; a second import changes nothing.
func TestSamples(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set: no reports to look at")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "reports", "asff", "*.json"))
	if len(files) == 0 {
		t.Skip("no ASFF reports in HAECHI_TESTDATA")
	}
	h, _ := alone(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		h.check(err)
		var list []jsontext.Value
		if jsontext.Value(text).Kind() == '{' {
			var report struct{ Findings []jsontext.Value }
			h.check(json.Unmarshal(text, &report, jsontext.AllowDuplicateNames(true)))
			list = report.Findings
		} else {
			h.check(json.Unmarshal(text, &list))
		}
		var findings []finding.Finding
		seen := map[string]int{}
		for _, text := range list {
			f, err := finding.Parse(text)
			h.check(err)
			if seen[f.ID]++; seen[f.ID] > 1 { // as importers do where a tool's Ids are not unique
				f.ID += fmt.Sprintf("#%d", seen[f.ID])
			}
			findings = append(findings, f)
		}
		scan := finding.Scan{Tool: "asff", Target: filepath.Base(file), Complete: true}
		first, err := h.Import(t.Context(), scan, findings...)
		h.check(err)
		second, err := h.Import(t.Context(), scan, findings...)
		h.check(err)
		for _, f := range first.Failed {
			if !strings.Contains(f.Message, "must be twelve digits") {
				t.Errorf("%s: %+v", file, f)
			}
		}
		if first.New+first.Changed+first.Unchanged+len(first.Failed) != len(list) || second.New+second.Changed != 0 {
			t.Errorf("%s: %d findings, first %+v, second %+v", file, len(list), first, second)
		}
		for _, f := range findings {
			details := slices.Clone(f.Resources[0].Details)
			h.check(details.Compact()) // blanks between values are nobody's
			if stored, err := h.Get(t.Context(), hub.RefOf(f)); err == nil && !strings.Contains(string(stored.JSON()), string(details)) {
				t.Errorf("%s: the details of %s changed", file, f.ID)
			}
		}
	}
}
