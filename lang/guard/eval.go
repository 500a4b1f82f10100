package guard

import (
	"fmt"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
)

// Status is what became of a rule.
type Status uint8

const (
	// Skip: the rule has nothing to say about the document.
	Skip Status = iota
	// Pass: it holds.
	Pass
	// Unsure: whether it holds depends on what cannot be known before the resource is made.
	Unsure
	// Fail: it does not hold, or could not be evaluated.
	Fail
)

func (s Status) String() string { return [...]string{"SKIP", "PASS", "UNKNOWN", "FAIL"}[s] }

// MarshalText and UnmarshalText make a Status the word it is in test files and reports.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads SKIP, PASS, UNKNOWN or FAIL.
func (s *Status) UnmarshalText(text []byte) error {
	for _, x := range []Status{Skip, Pass, Unsure, Fail} {
		if string(text) == x.String() {
			*s = x
			return nil
		}
	}
	return fmt.Errorf("%q is not PASS, FAIL, SKIP or UNKNOWN", text)
}

// Report is what the rules of a file say about a document.
type Report struct {
	Status Status    // Fail if one rule fails, else Unsure if one is, else Pass if one passes
	Rules  []Verdict // in the order of the file; rules of the same name are one
}

// Verdict is what one rule says.
type Verdict struct {
	Rule     string
	Place    diag.Place // of the rule
	Status   Status
	Failures []Failure // why it fails, or why that is unknown; at most MaxFailures
	Omitted  int       // failures beyond those
	Err      error     // why it could not be evaluated: the status is Fail
}

// MaxFailures is how many failures a Verdict shows.
const MaxFailures = 100

// Failure is one clause that does not hold for one value.
type Failure struct {
	Clause  diag.Place // in the rule file
	Text    string     // the clause in short: Properties.Encrypted == true
	Message string     // what the rule says about it, or ""
	Path    string     // the offending value, or how far the query came, as a JSON pointer
	Place   diag.Place // of that in the document
	Got     string     // what it was
	Want    string     // what was expected
	Why     string     // where that is not plain: what was missing or could not be compared
}

// What an evaluation may use at most.
const (
	maxSteps = 50_000_000 // values looked at or compared, for one rule file and document
	maxCalls = 100        // rules within rules
)

// evaluation is one rule file held against one document.
type evaluation struct {
	rules  *Rules
	doc    *Document
	now    time.Time
	top    *scope
	status map[string]Status
	open   []*let // being evaluated
	steps  int
	calls  int
	silent int // > 0 within filters and conditions, whose failures nobody asked for

	failures []failed
	omitted  int
	message  string  // of the innermost call of a parameterised rule
	reason   string  // why something was unknown last
	trace    *tracer // where somebody asks why

	index      *index   // of the document's resources
	focus      []field  // the one resource of focusTypes that is seen, or nil
	focusType  string   //
	focusTypes []string //
	visible    []field  // all resources that are seen, once somebody asked
}

// Check holds the rules against a document. now is what the function now() answers.
func (r *Rules) Check(doc *Document, now time.Time) Report {
	e := r.evaluation(doc, now)
	var report Report
	for _, name := range r.Names() {
		v := e.verdict(r.byName[name])
		report.Rules = append(report.Rules, v)
		report.Status = max(report.Status, v.Status)
	}
	return report
}

func (r *Rules) evaluation(doc *Document, now time.Time) *evaluation {
	e := &evaluation{rules: r, doc: doc, now: now, status: map[string]Status{}, index: doc.indexed()}
	e.top = &scope{root: doc.root, lets: r.lets, binds: true}
	return e
}

// verdict evaluates the rules of one name.
func (e *evaluation) verdict(rules []*rule) Verdict {
	v := Verdict{Rule: rules[0].name, Place: rules[0].place}
	for _, x := range rules {
		e.failures, e.omitted, e.silent, e.calls, e.message, e.open = nil, 0, 0, 0, "", nil
		status, err := e.rule(e.top, x)
		if err != nil {
			status, v.Err = Fail, err
		}
		if status > v.Status {
			v.Failures, v.Omitted = nil, 0 // of what is unknown, where another fails
		}
		if status > Pass && status >= v.Status {
			for i := range e.failures {
				if e.failures[i].open == (status == Unsure) {
					v.Failures = append(v.Failures, e.failures[i].words(e.doc))
				}
			}
			v.Omitted += e.omitted
		}
		v.Status = max(v.Status, status)
	}
	if extra := len(v.Failures) - MaxFailures; extra > 0 {
		v.Failures, v.Omitted = v.Failures[:MaxFailures], v.Omitted+extra
	}
	return v
}

func (e *evaluation) step() error { return e.spend(1) }

func (e *evaluation) spend(steps int) error {
	if e.steps += steps; e.steps > maxSteps || e.steps < 0 {
		return fmt.Errorf("the rules look at more than %d values", maxSteps)
	}
	return nil
}

// rule evaluates a rule whose surroundings are s.
func (e *evaluation) rule(s *scope, x *rule) (Status, error) {
	if e.calls++; e.calls > maxCalls {
		return Fail, fmt.Errorf("rules call each other more than %d levels deep", maxCalls)
	}
	defer func() { e.calls-- }()
	return e.guarded(s, x.when, &x.block)
}

// block evaluates a block against the root of s.
func (e *evaluation) block(s *scope, b *block) (Status, error) {
	return e.clauses(&scope{parent: s, root: s.root, lets: b.lets, binds: true}, b.clauses)
}

// clauses evaluates lines: one that fails makes all fail, one that passes makes
// all pass, and of a line's alternatives one that passes is enough.
func (e *evaluation) clauses(s *scope, lines [][]clause) (Status, error) {
	all := Skip
	for _, line := range lines {
		mark, omitted := len(e.failures), e.omitted
		var count [Fail + 1]int
		for _, c := range line {
			one, err := e.clause(s, c)
			if err != nil {
				return Fail, fmt.Errorf("%s: %w", c.at(), err)
			}
			if count[one]++; one == Pass {
				break
			}
		}
		status := combine(count, true)
		if status == Pass || status == Skip {
			e.failures, e.omitted = e.failures[:mark], omitted
		}
		all = max(all, status)
	}
	return all, nil
}

func (e *evaluation) clause(s *scope, c clause) (Status, error) {
	if e.trace == nil {
		return e.evaluate(s, c)
	}
	kind, text := describe(c)
	step := e.step2(kind, text, c.at())
	status, err := e.evaluate(s, c)
	e.done(step, status)
	return status, err
}

func (e *evaluation) evaluate(s *scope, c clause) (Status, error) {
	switch c := c.(type) {
	case *compareClause:
		return e.compareClause(s, c)
	case *nameClause:
		return e.nameClause(c)
	case *callClause:
		return e.callClause(s, c)
	case *queryClause:
		return e.queryClause(s, c)
	case *whenClause:
		return e.guarded(s, c.when, &c.block)
	case *typeClause:
		return e.typeClause(s, c)
	}
	panic("guard: a clause of no kind")
}

// named is the status of the rules of a name, evaluated once.
func (e *evaluation) named(name string) (Status, error) {
	if status, ok := e.status[name]; ok {
		return status, nil
	}
	e.silent++
	defer func() { e.silent-- }()
	for _, x := range e.rules.byName[name] {
		status, err := e.rule(e.top, x)
		if err != nil {
			return Fail, err
		}
		if status != Skip {
			e.status[name] = status
			return status, nil
		}
	}
	e.status[name] = Skip
	return Skip, nil
}
