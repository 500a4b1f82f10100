package report

import (
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// most is how many records a report may hold.
const most = 1_000_000

// ASFF writes the findings as a JSON list in AWS Security Finding Format, the worst first.
func ASFF(w io.Writer, findings []finding.Finding) error {
	sorted := Sorted(findings)
	if sorted == nil {
		sorted = []finding.Finding{}
	}
	err := json.MarshalWrite(w, sorted, json.Deterministic(true), jsontext.WithIndent("  "))
	if err == nil {
		_, err = io.WriteString(w, "\n")
	}
	return err
}

// JSONLines writes each finding in ASFF on a line of its own, the worst first.
func JSONLines(w io.Writer, findings []finding.Finding) error {
	for _, f := range Sorted(findings) {
		if _, err := w.Write(append(f.JSON(), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// ReadASFF reads a list of findings: bare, or as the member Findings or findings of an object.
func ReadASFF(text []byte) ([]finding.Finding, error) {
	list := jsontext.Value(text)
	if list.Kind() == '{' {
		var wrapped struct {
			Findings jsontext.Value `json:"Findings"`
			Lower    jsontext.Value `json:"findings"`
		}
		if err := json.Unmarshal(text, &wrapped); err != nil {
			return nil, fault.Invalid.Errorf("no ASFF: %w", err)
		}
		if list = wrapped.Findings; list == nil {
			list = wrapped.Lower
		}
	}
	var findings []finding.Finding
	if err := json.Unmarshal(list, &findings); err != nil {
		return nil, fault.Invalid.Errorf("no ASFF: %w", err)
	}
	if len(findings) > most {
		return nil, fault.Limit.Errorf("more than %d findings", most)
	}
	return findings, nil
}
