package guard

import (
	"fmt"
	"slices"

	"github.com/haechi-dev/haechi/word/diag"
)

// compareClause evaluates query operator [operand].
func (e *evaluation) compareClause(s *scope, c *compareClause) (Status, error) {
	left, err := e.query(s, &c.query)
	if err != nil {
		return Fail, err
	}
	var outcomes []outcome
	if c.op.unary() {
		if c.op == opEmpty && aboutSelection(&c.query) {
			return e.emptySelection(c, left), nil
		}
		if outcomes, err = unary(c, left); err != nil {
			return Fail, err
		}
	} else {
		right, err := e.operand(s, &c.with)
		if err != nil {
			return Fail, err
		}
		if err := e.spend(size(left) * size(right)); err != nil {
			return Fail, err
		}
		var skip bool
		if outcomes, skip = compare(c.op, c.negated, left, right); skip {
			return Skip, nil
		}
		doubted(outcomes, left, right)
	}
	if c.op.unary() && len(left) == 0 {
		return Skip, nil // only filters select nothing
	}
	return e.tally(c, outcomes), nil
}

// size is how many values a side may be compared as, with lists taken apart.
func size(side []result) int {
	n := 0
	for _, r := range side {
		if n++; r.value != nil {
			n += len(r.value.items)
		}
	}
	return n
}

// doubted are outcomes with what is known of whether their values are there.
func doubted(outcomes []outcome, left, right []result) {
	doubts := map[*Value]string{}
	for _, r := range left {
		if r.perhaps != "" && r.value != nil {
			doubts[r.value] = r.perhaps
		}
	}
	for _, r := range right {
		if r.perhaps == "" || r.value == nil {
			continue
		}
		for i := range outcomes { // what is compared with it may be compared with something else
			outcomes[i].perhaps = r.perhaps
		}
	}
	if len(doubts) == 0 {
		return
	}
	for i := range outcomes {
		for v := outcomes[i].value; v != nil; v = v.parent {
			if why := doubts[v]; why != "" {
				outcomes[i].perhaps = why
				break
			}
		}
	}
}

// tally turns outcomes into a status: all must hold, or with some one.
func (e *evaluation) tally(c *compareClause, outcomes []outcome) Status {
	var count [yes + 1]int
	for i := range outcomes {
		o := &outcomes[i]
		if o.perhaps != "" && c.op != opExists {
			switch {
			case c.query.some:
				o.held = min(o.held, maybe) // it may not be there to hold
			case o.held == no:
				o.held = maybe // it may not be there to fail
			}
		}
		count[o.held]++
		if o.held < yes {
			e.fail(c, o)
		}
	}
	e.look(c, outcomes)
	switch {
	case c.query.some && count[yes] > 0:
		return Pass
	case !c.query.some && count[no] > 0:
		return Fail
	case count[maybe] > 0:
		return Unsure
	case c.query.some:
		return Fail
	}
	return Pass
}

// aboutSelection tells whether empty asks about the selection as a whole: a
// variable, or what a filter lets through. A selection that holds something is
// not empty, whatever that is.
func aboutSelection(q *query) bool {
	switch q.parts[len(q.parts)-1].step {
	case stepFilter, stepKeyFilter:
		return true
	case stepVariable:
		return len(q.parts) == 1
	}
	return false
}

func (e *evaluation) emptySelection(c *compareClause, left []result) Status {
	if len(left) == 0 {
		if !c.negated {
			return Pass
		}
		e.fail(c, &outcome{why: c.query.text + " selects nothing"})
		return Fail
	}
	var outcomes []outcome
	sure := false // something is selected for certain
	for _, r := range left {
		empty := triOf(r.missing != nil || r.value.kind == kindNull)
		if r.missing == nil && (r.perhaps != "" || r.value.kind == kindUnknown && !r.value.unknown.Present) {
			empty = maybe
		}
		sure = sure || empty == no
		if c.negated {
			empty = empty.not()
		}
		outcomes = append(outcomes, outcome{result: r, held: empty})
	}
	if c.negated && sure { // what is there besides does not matter
		outcomes = slices.DeleteFunc(outcomes, func(o outcome) bool { return o.held == maybe })
	}
	return e.tally(c, outcomes)
}

// unary evaluates an operator that asks about one value.
func unary(c *compareClause, left []result) ([]outcome, error) {
	outcomes := make([]outcome, 0, len(left))
	for _, r := range left {
		held, err := holds(c.op, r)
		if err != nil {
			return nil, err
		}
		if c.negated {
			held = held.not()
		}
		outcomes = append(outcomes, outcome{result: r, held: held})
	}
	return outcomes, nil
}

func holds(op operator, r result) (tri, error) {
	if r.missing != nil {
		return triOf(op == opEmpty), nil
	}
	v := r.value
	if v.kind == kindUnknown {
		return v.unknown.holds(op), nil
	}
	if op == opExists && r.perhaps != "" {
		return maybe, nil
	}
	switch op {
	case opExists:
		return yes, nil
	case opEmpty:
		is, err := empty(v)
		return triOf(is), err
	case opIsString:
		return triOf(v.kind == kindString), nil
	case opIsList:
		return triOf(v.kind == kindList), nil
	case opIsStruct:
		return triOf(v.kind == kindMap), nil
	case opIsBool:
		return triOf(v.kind == kindBool), nil
	case opIsInt:
		return triOf(v.kind == kindInt), nil
	case opIsFloat:
		return triOf(v.kind == kindFloat), nil
	}
	return triOf(v.kind == kindNull), nil
}

// empty asks about texts, lists and maps; null is empty. A number or a truth
// value is neither empty nor not empty, so that the clause cannot be evaluated.
func empty(v *Value) (bool, error) {
	switch v.kind {
	case kindNull:
		return true, nil
	case kindString:
		return v.text == "", nil
	case kindList:
		return len(v.items) == 0, nil
	case kindMap:
		return len(v.fields) == 0, nil
	}
	return false, fmt.Errorf("empty asks about a string, a list or a map, but %s is %v", v.path(), v.kind)
}

// nameClause asks for the status of another rule; what it skips does not hold.
func (e *evaluation) nameClause(c *nameClause) (Status, error) {
	status, err := e.named(c.rule)
	if err != nil {
		return Fail, err
	}
	if status != Unsure && (status == Pass) != c.negated {
		return Pass, nil
	}
	want := c.rule
	if c.negated {
		want = "not " + c.rule
	}
	e.add(Failure{Clause: c.place, Text: want, Message: c.message, Place: diag.Place{File: e.doc.name}, Got: status.String(), Want: want,
		Why: fmt.Sprintf("rule %s is %v", c.rule, status)}, status == Unsure)
	if status == Unsure {
		return Unsure, nil
	}
	return Fail, nil
}

// callClause evaluates a parameterised rule with its arguments.
func (e *evaluation) callClause(s *scope, c *callClause) (Status, error) {
	x := e.rules.called[c.name]
	inner := &scope{parent: s, root: s.root}
	for i, name := range x.parameters {
		values, err := e.operand(s, &c.args[i])
		if err != nil {
			return Fail, err
		}
		if c.args[i].literal != nil {
			values = []result{{value: c.args[i].literal}}
		}
		inner.bind(name, values)
	}
	outer := e.message
	if c.message != "" {
		e.message = c.message
	}
	if c.negated {
		e.silent++
	}
	status, err := e.rule(inner, x)
	if c.negated {
		e.silent--
		status = e.turned(c, status, err)
	}
	e.message = outer
	return status, err
}

// turned is the status of not rule(…).
func (e *evaluation) turned(c *callClause, status Status, err error) Status {
	switch {
	case err != nil:
		return Fail
	case status == Fail:
		return Pass
	case status == Unsure:
		e.add(Failure{Clause: c.place, Text: "not " + c.name, Message: c.message, Place: diag.Place{File: e.doc.name}, Got: "UNKNOWN", Want: "not " + c.name, Why: e.reason}, true)
		return Unsure
	case status == Pass:
		e.add(Failure{Clause: c.place, Text: "not " + c.name, Message: c.message, Place: diag.Place{File: e.doc.name}, Got: "PASS", Want: "not " + c.name}, false)
		return Fail
	}
	return Skip
}

// queryClause holds a block against each value that a query selects.
func (e *evaluation) queryClause(s *scope, c *queryClause) (Status, error) {
	values, err := e.query(s, &c.query)
	if err != nil {
		return Fail, err
	}
	if len(values) == 0 {
		if c.notEmpty {
			e.add(Failure{Clause: c.place, Text: c.query.text + " not empty", Place: diag.Place{File: e.doc.name}, Got: "nothing", Want: "not empty"}, false)
			return Fail, nil
		}
		return Skip, nil
	}
	var count [Fail + 1]int
	for _, r := range values {
		status := Fail
		mark := len(e.failures)
		if r.missing != nil {
			e.missed(c, r.missing)
		} else if status, err = e.block(s.within(r.value), &c.block); err != nil {
			return Fail, err
		}
		if r.perhaps != "" && (status == Fail || c.query.some && status == Pass) {
			status = e.unsure(mark, r.perhaps)
		}
		count[status]++
	}
	return combine(count, c.query.some), nil
}

// unsure makes what failed since mark unknown, for a reason.
func (e *evaluation) unsure(mark int, why string) Status {
	e.reason = why
	for i := range e.failures[min(mark, len(e.failures)):] {
		f := &e.failures[mark+i]
		if f.open = true; f.perhaps == "" {
			f.perhaps = why
		}
	}
	return Unsure
}

func combine(count [Fail + 1]int, some bool) Status {
	switch {
	case some && count[Pass] > 0:
		return Pass
	case count[Fail] > 0 && !(some && count[Unsure] > 0):
		return Fail
	case count[Unsure] > 0:
		return Unsure
	case count[Pass] > 0:
		return Pass
	}
	return Skip
}

// typeClause holds a block against each resource of a type that meets the conditions.
func (e *evaluation) typeClause(s *scope, c *typeClause) (Status, error) {
	if s.root.kind != kindMap {
		return Skip, nil
	}
	resources := s.root.get("Resources")
	if resources == nil || resources.kind != kindMap {
		return Skip, nil
	}
	var count [Fail + 1]int
	for _, f := range e.members(resources, &typeSet{names: []string{c.typeName}, key: c.typeName}) {
		if err := e.step(); err != nil {
			return Fail, err
		}
		if f.value.kind != kindMap {
			continue
		}
		if t := f.value.get("Type"); t == nil || t.kind != kindString || t.text != c.typeName {
			continue
		}
		status, err := e.guarded(s.within(f.value), c.when, &c.block)
		if err != nil {
			return Fail, err
		}
		count[status]++
	}
	return combine(count, false), nil
}

// guarded holds a block against the root of s where conditions hold. Where that
// is unknown, or it is unknown whether the root is there, so is what the block breaks.
func (e *evaluation) guarded(s *scope, when [][]clause, b *block) (Status, error) {
	perhaps := s.root.perhaps()
	if when != nil {
		step := e.step2("when", "when", diag.Place{File: e.rules.name})
		met, err := e.filter(s, when)
		e.done(step, met)
		if err != nil || met != Pass && met != Unsure {
			return Skip, err
		}
		if met == Unsure {
			perhaps = e.reason
		}
	}
	mark := len(e.failures)
	status, err := e.block(s, b)
	if err == nil && status == Fail && perhaps != "" {
		status = e.unsure(mark, perhaps)
	}
	return status, err
}

// shown is how many bytes of a value a failure shows.
const shown = 200

// failed is a failure as it is found; most are thrown away again, because another
// alternative holds, so they are put into words only at the end.
type failed struct {
	clause  *compareClause // or nil
	outcome outcome
	failure Failure // where clause is nil
	message string  // of the rule's call
	perhaps string  // why it is unknown whether it matters
	open    bool    // it is unknown whether the clause holds
}

// fail records that a clause does not hold for a value.
func (e *evaluation) fail(c *compareClause, o *outcome) {
	if o.held == maybe {
		e.reason = o.unknownWhy()
	}
	if e.room() {
		e.failures = append(e.failures, failed{clause: c, outcome: *o, message: e.message, open: o.held == maybe})
	}
}

// add records any other failure; open: it is unknown whether it is one.
func (e *evaluation) add(f Failure, open bool) {
	if e.room() {
		e.failures = append(e.failures, failed{failure: f, message: e.message, open: open})
	}
}

// room tells whether a failure is to be recorded, and counts those that are not.
func (e *evaluation) room() bool {
	if e.silent > 0 {
		return false
	}
	if len(e.failures) >= MaxFailures {
		e.omitted++
		return false
	}
	return true
}

// words puts a failure into words. Where its clause says nothing, the call of its rule does.
func (x *failed) words(doc *Document) Failure {
	f := x.failure
	if c, o := x.clause, &x.outcome; c != nil {
		f = Failure{Clause: c.place, Message: c.message, Place: diag.Place{File: doc.name}, Got: "nothing", Want: c.op.text(c.negated), Why: o.why}
		if o.want != nil {
			f.Want += " " + o.want.show(shown)
		} else if c.with.literal != nil {
			f.Want += " " + c.with.literal.show(shown)
		}
		f.Text = c.query.text + " " + f.Want
		switch {
		case o.value != nil:
			f.Path, f.Place, f.Got = o.value.path(), doc.Place(o.value), o.value.show(shown)
		case o.missing != nil:
			f.Path, f.Place = o.missing.from.path(), doc.Place(o.missing.from)
			f.Why = "there is no " + o.missing.text()
		}
		if o.held == maybe {
			f.Why = o.unknownWhy()
		}
	}
	if x.perhaps != "" {
		f.Why = x.perhaps
	}
	if f.Message == "" {
		f.Message = x.message
	}
	return f
}

func (e *evaluation) missed(c *queryClause, m *missing) {
	if e.silent > 0 {
		return
	}
	e.add(Failure{Clause: c.place, Text: c.query.text + " { … }", Path: m.from.path(), Place: e.doc.Place(m.from), Got: "nothing", Want: c.query.text,
		Why: "there is no " + m.text()}, false)
}
