package guard

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// checker looks, after parsing, for names that nothing answers to.
type checker struct {
	rules     *Rules
	variables map[string]bool
	err       *diag.Error
	uses      map[string][]string // rule to the named rules that it asks for
	in        string
}

// check refuses what could only fail when it is evaluated.
func (r *Rules) check() *diag.Error {
	c := &checker{rules: r, variables: map[string]bool{}, uses: map[string][]string{}}
	for _, define := range []bool{true, false} {
		c.lets(r.lets, define)
		for _, x := range r.rules {
			c.rule(x, define)
		}
		for _, name := range sortedKeys(r.called) {
			c.rule(r.called[name], define)
		}
	}
	if c.err == nil {
		c.circles()
	}
	return c.err
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (c *checker) wrong(p diag.Place, hint, format string, a ...any) {
	if c.err == nil {
		c.err = diag.Errorf(p, format, a...).WithHint("%s", hint)
	}
}

func (c *checker) rule(x *rule, define bool) {
	c.in = x.name
	for _, name := range x.parameters {
		c.variables[name] = true
	}
	c.lines(x.when, x.place, define)
	c.block(&x.block, x.place, define)
	c.in = ""
}

func (c *checker) block(b *block, p diag.Place, define bool) {
	c.lets(b.lets, define)
	c.lines(b.clauses, p, define)
}

func (c *checker) lets(lets []let, define bool) {
	for i := range lets {
		if define {
			c.variables[lets[i].name] = true
		}
		c.operand(&lets[i].value, diag.Place{File: c.rules.name}, define)
	}
}

func (c *checker) lines(lines [][]clause, p diag.Place, define bool) {
	for _, line := range lines {
		for _, x := range line {
			c.clause(x, define)
		}
	}
}

func (c *checker) clause(x clause, define bool) {
	switch x := x.(type) {
	case *compareClause:
		c.query(&x.query, x.place, define)
		c.operand(&x.with, x.place, define)
	case *nameClause:
		c.name(x, define)
	case *callClause:
		c.call(x, define)
	case *queryClause:
		c.query(&x.query, x.place, define)
		c.block(&x.block, x.place, define)
	case *whenClause:
		c.lines(x.when, x.place, define)
		c.block(&x.block, x.place, define)
	case *typeClause:
		c.lines(x.when, x.place, define)
		c.block(&x.block, x.place, define)
	}
}

func (c *checker) name(x *nameClause, define bool) {
	if define {
		return
	}
	if c.rules.byName[x.rule] == nil {
		hint := diag.DidYouMean(x.rule, c.rules.Names())
		if c.rules.called[x.rule] != nil {
			hint = "it takes parameters: " + x.rule + "(" + strings.Join(c.rules.called[x.rule].parameters, ", ") + ")"
		}
		c.wrong(x.place, hint, "there is no rule %s", x.rule)
	}
	c.uses[c.in] = append(c.uses[c.in], x.rule)
}

func (c *checker) call(x *callClause, define bool) {
	for i := range x.args {
		c.operand(&x.args[i], x.place, define)
	}
	if define {
		return
	}
	callee := c.rules.called[x.name]
	if callee == nil {
		c.wrong(x.place, diag.DidYouMean(x.name, sortedKeys(c.rules.called)), "there is no parameterised rule %s", x.name)
		return
	}
	if got, want := len(x.args), len(callee.parameters); got != want {
		c.wrong(x.place, x.name+"("+strings.Join(callee.parameters, ", ")+")", "%s takes %d arguments, not %d", x.name, want, got)
	}
}

func (c *checker) operand(o *operand, p diag.Place, define bool) {
	switch {
	case o.query != nil:
		c.query(o.query, p, define)
	case o.call != nil:
		for i := range o.call.args {
			c.operand(&o.call.args[i], o.call.place, define)
		}
	}
}

func (c *checker) query(q *query, p diag.Place, define bool) {
	for _, name := range q.captures {
		c.variables[name] = true
	}
	if q.place.Line > 0 {
		p = q.place
	}
	for i := range q.parts {
		x := &q.parts[i]
		if (x.step == stepVariable || x.step == stepVariableKey) && !define && !c.variables[x.name] {
			c.wrong(p, diag.DidYouMean(x.name, sortedKeys(c.variables)), "nothing defines %%%s", x.name)
		}
		c.lines(x.filter, p, define)
		c.operand(&x.with, p, define)
	}
}

// circles refuses named rules that ask for themselves, as that never ends.
func (c *checker) circles() {
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		trail = append(trail, name)
		switch state[name] {
		case done:
			return
		case open:
			from := slices.Index(trail, name)
			c.wrong(c.rules.byName[name][0].place, "a rule cannot ask for itself", "rules ask for each other in a circle: %s", strings.Join(trail[from:], ", "))
			return
		}
		state[name] = open
		for _, used := range c.uses[name] {
			visit(used, trail)
		}
		state[name] = done
	}
	for _, name := range c.rules.Names() {
		visit(name, nil)
	}
}
