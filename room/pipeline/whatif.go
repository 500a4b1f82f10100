package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// judged is all that a gate has judged by, but for the policy: so that another policy can be
// asked later what it would have said.
type judged struct {
	Want  []string
	Scans []finding.Scan
	Fresh []finding.Finding
	Known []finding.Finding
	Cut   int      `json:",omitzero"` // findings that were left out, the mildest
	Dark  []Reason `json:",omitzero"` // why no policy lets it pass: what nobody has looked at
}

// mostJudged is how many findings are kept of a run.
const mostJudged = 5000

func (j judged) pack() ([]byte, error) {
	for _, list := range []*[]finding.Finding{&j.Fresh, &j.Known} {
		if over := len(*list) - mostJudged; over > 0 {
			*list = slices.Clone(*list)
			slices.SortStableFunc(*list, func(a, b finding.Finding) int { return b.Label().Rank() - a.Label().Rank() })
			*list, j.Cut = (*list)[:mostJudged], j.Cut+over
		}
	}
	for i := range j.Scans {
		j.Scans[i].Skipped = j.Scans[i].Skipped[:min(len(j.Scans[i].Skipped), 20)]
	}
	return pack(j)
}

// Judged is what a policy would have said of one run.
type Judged struct {
	Run      string // id
	Number   int64
	Branch   string
	Commit   string
	Subject  string
	Created  time.Time
	Was      Status   // how its gate ended; "" if it came to none
	Known    bool     // what its gate judged by is kept; otherwise nothing can be said
	Would    bool     // pass
	Reasons  []Reason // against it, the worst first, at most 20
	All      int      // reasons
	Findings int      // that it was about
	Cut      int      // findings that are not kept, the mildest: a yes may be none
}

// WhatIf asks a policy what it would have said of a pipeline's newest runs. Nothing is run for
// it: each run is judged by what its own gate judged by.
func (p *Pipelines) WhatIf(ctx context.Context, pipeline string, policy gate.Policy, last int) (all []Judged, err error) {
	last = min(max(last, 1), 200)
	runs, err := p.Executions(ctx, Query{Pipeline: pipeline, Limit: last})
	if err != nil {
		return nil, err
	}
	for _, e := range runs {
		one := Judged{Run: e.ID, Number: e.Number, Branch: e.Branch, Commit: e.Commit, Subject: e.Subject, Created: e.Created}
		for i := range e.Stages {
			s := &e.Stages[i]
			for j := range s.Actions {
				a := &s.Actions[j]
				if a.Runner != runGate || !a.Status.Ended() || a.Status == Skipped {
					continue
				}
				if one.Was != Failed {
					one.Was = a.Status
				}
				var by judged
				err := p.output(ctx, e.ID, outputName(s, a), &by)
				if errors.Is(err, fault.NotFound) {
					continue
				}
				if err != nil {
					return nil, err
				}
				one.ask(policy, by)
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// ask adds what a policy would have said at one gate of a run: it has to pass all.
func (j *Judged) ask(policy gate.Policy, by judged) {
	v := policy.Judge(by.Want, by.Scans, by.Fresh, by.Known...)
	reasons := append(slices.Clone(by.Dark), reasonsOf(v)...)
	pass := v.Pass && len(by.Dark) == 0
	j.Would = pass && (j.Would || !j.Known)
	j.Known, j.All, j.Cut, j.Findings = true, j.All+len(reasons), max(j.Cut, by.Cut), max(j.Findings, len(by.Fresh)+len(by.Known)+by.Cut)
	j.Reasons = append(j.Reasons, reasons...)
	j.Reasons = j.Reasons[:min(len(j.Reasons), 20)]
}
