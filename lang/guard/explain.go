package guard

import (
	"fmt"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
)

// Step is one clause as it was evaluated: what it is, what came of it, and why.
type Step struct {
	Kind    string     // rule, when, filter, clause or block
	Text    string     // the clause in short
	Place   diag.Place // in the rule file
	Status  Status
	Values  []Looked // what a comparison looked at
	Steps   []*Step  // the clauses within
	Omitted int      // values and steps that are left out
}

// Looked is a value that a clause looked at.
type Looked struct {
	Path   string // a JSON pointer; how far it came, where something is missing
	Place  diag.Place
	Got    string
	Want   string
	Why    string
	Status Status // Pass, Fail or Unsure
}

// What an explanation shows at most.
const (
	maxStepsShown  = 2_000
	maxValuesShown = 20 // of one clause
)

// tracer keeps what is evaluated.
type tracer struct {
	open  []*Step
	count int
}

// Explain holds the rules against a document, as CheckResource does where f names a
// resource, and tells of every clause what came of it. Without a rule in f it is all.
func (r *Rules) Explain(doc *Document, f Focus, now time.Time) []*Step {
	names := r.Names()
	if f.Rule != "" {
		names = []string{f.Rule}
	}
	var all []*Step
	for _, name := range names {
		for _, x := range r.byName[name] {
			e := r.evaluation(doc, now)
			e.focused(doc, f)
			e.trace = &tracer{}
			top := e.step2("rule", name, x.place)
			status, err := e.rule(e.top, x)
			e.done(top, status)
			if err != nil {
				top.Status = Fail
				top.Values = append(top.Values, Looked{Why: err.Error(), Status: Fail})
			}
			all = append(all, top)
		}
	}
	return all
}

// step2 begins a step, if anybody asks.
func (e *evaluation) step2(kind, text string, place diag.Place) *Step {
	t := e.trace
	if t == nil {
		return nil
	}
	s := &Step{Kind: kind, Text: text, Place: place}
	if t.count++; t.count > maxStepsShown {
		if len(t.open) > 0 {
			t.open[len(t.open)-1].Omitted++
		}
	} else if len(t.open) > 0 {
		parent := t.open[len(t.open)-1]
		parent.Steps = append(parent.Steps, s)
	}
	t.open = append(t.open, s)
	return s
}

// done ends a step.
func (e *evaluation) done(s *Step, status Status) {
	if s == nil {
		return
	}
	s.Status = status
	e.trace.open = e.trace.open[:len(e.trace.open)-1]
}

// look keeps what a comparison looked at.
func (e *evaluation) look(c *compareClause, outcomes []outcome) {
	if e.trace == nil || len(e.trace.open) == 0 {
		return
	}
	s := e.trace.open[len(e.trace.open)-1]
	for i := range outcomes {
		if len(s.Values) >= maxValuesShown {
			s.Omitted += len(outcomes) - i
			break
		}
		f := failed{clause: c, outcome: outcomes[i]}
		w := f.words(e.doc)
		s.Values = append(s.Values, Looked{Path: w.Path, Place: w.Place, Got: w.Got, Want: w.Want, Why: w.Why, Status: [...]Status{Fail, Unsure, Pass}[outcomes[i].held]})
	}
}

// describe is a clause in short.
func describe(c clause) (kind, text string) {
	switch c := c.(type) {
	case *compareClause:
		text := c.query.text + " " + c.op.text(c.negated)
		switch {
		case c.with.literal != nil:
			text += " " + c.with.literal.show(shown)
		case c.with.query != nil:
			text += " " + c.with.query.text
		case c.with.call != nil:
			text += " " + c.with.call.name + "(…)"
		}
		return "clause", text
	case *nameClause:
		return "clause", negation(c.negated) + c.rule
	case *callClause:
		return "block", negation(c.negated) + c.name + "(…)"
	case *queryClause:
		return "block", c.query.text
	case *whenClause:
		return "block", "when"
	case *typeClause:
		return "block", c.typeName
	}
	return "clause", fmt.Sprintf("%T", c)
}

func negation(negated bool) string {
	if negated {
		return "not "
	}
	return ""
}
