// Package gate decides whether findings are bad enough to stop what is going on.
package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Policy is what stops. The zero Policy stops on what is CRITICAL or HIGH and
// new; a Policy with an empty Block stops on no finding.
type Policy struct{ Block []Rule }

// Rule stops on the findings that its pattern matches: an EventBridge event
// pattern over the finding's own JSON, which is ASFF.
type Rule struct {
	Name    string
	Pattern *match.Pattern
	Known   bool // findings that the base has already count as well
}

// Verdict is a yes or a no, with every reason for the no.
type Verdict struct {
	Pass     bool
	Missing  []Missing         // scanners that did not run, or did not see everything
	Blocking []finding.Finding // the worst first
	By       []string          // the name of the rule that each of Blocking is stopped by
}

// Missing is a scanner whose silence says nothing.
type Missing struct {
	Scanner string
	Ran     bool         // it ran, but did not see everything
	Skipped []diag.Place // what it did not see, and why
}

// String is the reason, for people.
func (m Missing) String() string {
	if !m.Ran {
		return fmt.Sprintf("the scanner %s did not run", m.Scanner)
	}
	const most = 3
	var places []string
	for _, p := range m.Skipped[:min(len(m.Skipped), most)] {
		text := p.String()
		if p.Why != "" {
			text += " (" + p.Why + ")"
		}
		places = append(places, text)
	}
	if more := len(m.Skipped) - most; more > 0 {
		places = append(places, fmt.Sprintf("and %d more", more))
	}
	if len(places) == 0 {
		return fmt.Sprintf("the scanner %s did not look at everything", m.Scanner)
	}
	return fmt.Sprintf("the scanner %s did not look at everything: %s", m.Scanner, strings.Join(places, ", "))
}

// Reason is why the finding Blocking[i] stops: what, where, and what to do.
func (v Verdict) Reason(i int) string {
	f := &v.Blocking[i]
	text := fmt.Sprintf("%s %s: %s", f.Label(), f.Where(), f.Title)
	if f.Remediation != nil && f.Remediation.Recommendation != nil && f.Remediation.Recommendation.Text != "" {
		text += "\n    " + f.Remediation.Recommendation.Text
	}
	return fmt.Sprintf("%s\n    stopped by the rule %q", text, v.By[i])
}

// Judge says yes if every scanner in want ran and saw everything, and no finding
// of fresh stops, nor one of known where a rule is about those too. fresh are the
// findings that the base does not have, known the others. Of several scans by
// one scanner one complete is enough.
func (p Policy) Judge(want []string, ran []finding.Scan, fresh []finding.Finding, known ...finding.Finding) Verdict {
	var v Verdict
	for _, name := range want {
		if m, ok := missing(name, ran); ok {
			v.Missing = append(v.Missing, m)
		}
	}
	type stopped struct {
		finding finding.Finding
		by      string
	}
	var all []stopped
	for i, list := range [][]finding.Finding{fresh, known} {
		for _, f := range list {
			if by, ok := p.stops(f, i == 1); ok {
				all = append(all, stopped{f, by})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b stopped) int { return b.finding.Label().Rank() - a.finding.Label().Rank() })
	for _, s := range all {
		v.Blocking, v.By = append(v.Blocking, s.finding), append(v.By, s.by)
	}
	v.Pass = len(v.Missing) == 0 && len(v.Blocking) == 0
	return v
}

func missing(name string, ran []finding.Scan) (Missing, bool) {
	m := Missing{Scanner: name}
	for _, s := range ran {
		if s.Tool != name {
			continue
		}
		if s.Complete {
			return Missing{}, false
		}
		m.Ran, m.Skipped = true, s.Skipped
	}
	return m, true
}

// stops is the rule that a finding is stopped by.
func (p Policy) stops(f finding.Finding, known bool) (string, bool) {
	if p.Block == nil {
		return "severe and new", !known && f.Label().Rank() >= finding.High.Rank()
	}
	event := f.JSON()
	for _, r := range p.Block {
		if (r.Known || !known) && r.Pattern.Match(event) {
			return r.Name, true
		}
	}
	return "", false
}
