// Package testreport reads what test runners and coverage tools write, in every form that CodeBuild takes and some more.
package testreport

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Status is what became of a case, in CodeBuild's words.
type Status string

// What can become of a case.
const (
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	Error     Status = "ERROR" // it did not get so far as to fail
	Skipped   Status = "SKIPPED"
	Unknown   Status = "UNKNOWN"
)

// Report is what one or more files say.
type Report struct {
	Cases    []Case    `json:"cases,omitzero"`
	Dropped  int       `json:"dropped,omitzero"`  // cases beyond MostCases
	Coverage *Coverage `json:"coverage,omitzero"` // nil where nothing is said of it
}

// Case is one test.
type Case struct {
	Suite    string        `json:"suite,omitzero"`
	Name     string        `json:"name"`
	Status   Status        `json:"status"`
	Duration time.Duration `json:"-"`                // in JSON: nanoseconds
	Message  string        `json:"message,omitzero"` // why it failed or was skipped
}

// caseJSON is a Case with its duration as a number: JSON has no other way to say it.
type caseJSON struct {
	kept
	Nanoseconds int64 `json:"duration,omitzero"`
}

type kept Case

// MarshalJSON writes a case, its duration in nanoseconds.
func (c Case) MarshalJSON() ([]byte, error) {
	return json.Marshal(caseJSON{kept(c), int64(c.Duration)})
}

// UnmarshalJSON reads a case.
func (c *Case) UnmarshalJSON(text []byte) error {
	var p caseJSON
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	*c = Case(p.kept)
	c.Duration = time.Duration(p.Nanoseconds)
	return nil
}

// Coverage is how much of the code has run.
type Coverage struct {
	Count
	Files   []File `json:"files,omitzero"` // in the order of their paths
	Dropped int    `json:"dropped,omitzero"`
}

// Count counts lines and branches. Go's profiles count statements as lines.
type Count struct {
	LinesCovered    int64 `json:"linesCovered"`
	LinesMissed     int64 `json:"linesMissed"`
	BranchesCovered int64 `json:"branchesCovered"`
	BranchesMissed  int64 `json:"branchesMissed"`
}

// File is the coverage of one file.
type File struct {
	Path string `json:"path"`
	Count
}

// Limits of a report.
const (
	MostCases   = 20_000
	MostFiles   = 20_000
	mostName    = 1000 // characters
	mostMessage = 5000 // characters
)

// Counts are how many cases have which status.
func (r *Report) Counts() map[Status]int {
	m := map[Status]int{}
	for _, c := range r.Cases {
		m[c.Status]++
	}
	return m
}

// Summary says in one line what a report comes to.
func (r *Report) Summary() string {
	text := ""
	if len(r.Cases) > 0 || r.Coverage == nil {
		n := r.Counts()
		text = fmt.Sprintf("%d tests, %d failed, %d skipped", len(r.Cases)+r.Dropped, n[Failed]+n[Error], n[Skipped])
	}
	if c := r.Coverage; c != nil {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%.1f %% of lines", c.Lines())
		if c.BranchesCovered+c.BranchesMissed > 0 {
			text += fmt.Sprintf(" and %.1f %% of branches", c.Branches())
		}
		text += " covered"
	}
	return text
}

// Lines is the part of lines that are covered, in per cent.
func (c Count) Lines() float64 { return percent(c.LinesCovered, c.LinesMissed) }

// Branches is the part of branches that are covered, in per cent.
func (c Count) Branches() float64 { return percent(c.BranchesCovered, c.BranchesMissed) }

func percent(covered, missed int64) float64 {
	if covered+missed == 0 {
		return 0
	}
	return 100 * float64(covered) / float64(covered+missed)
}
