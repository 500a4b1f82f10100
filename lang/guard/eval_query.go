package guard

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// result is a value that a query selected, or what it looked for and did not find.
type result struct {
	value   *Value
	missing *missing
	literal bool   // written in the rule
	perhaps string // why it is unknown whether it is selected, or ""
}

// missing is where a query could not go on.
type missing struct {
	from *Value // as far as it came
	want string // the step that was not there
	rest int    // steps that would have followed
}

func (m *missing) text() string {
	path := m.from.path()
	if path == "" {
		path = "/"
	}
	return m.want + " at " + path
}

// scope is where variables are looked up, and what queries start from.
type scope struct {
	parent *scope
	root   *Value
	lets   []let
	bound  map[string][]result // resolved variables, parameters and captured keys
	binds  bool                // a block or the file: captured keys belong here
}

// within is s seen from a value that one of its queries selected.
func (s *scope) within(v *Value) *scope { return &scope{parent: s, root: v} }

// query selects values, starting from the root of the scope.
func (e *evaluation) query(s *scope, q *query) ([]result, error) {
	for _, name := range q.captures {
		s.holder().bind(name, nil)
	}
	return e.walk(s, s.root, q.parts, 0, nil)
}

func (s *scope) holder() *scope {
	for !s.binds {
		s = s.parent
	}
	return s
}

func (s *scope) bind(name string, values []result) {
	if s.bound == nil {
		s.bound = map[string][]result{}
	}
	s.bound[name] = values
}

// variable looks name up in s and around it.
func (e *evaluation) variable(s *scope, name string) ([]result, error) {
	for x := s; x != nil; x = x.parent {
		for i := len(x.lets) - 1; i >= 0; i-- { // the last one of a name counts
			l := &x.lets[i]
			if l.name == name {
				return e.bindLet(x, l)
			}
			for _, c := range l.captures {
				if c != name {
					continue
				}
				if _, err := e.bindLet(x, l); err != nil {
					return nil, err
				}
			}
		}
		if values, ok := x.bound[name]; ok {
			return values, nil
		}
	}
	return nil, fmt.Errorf("variable %%%s has no value here", name)
}

// bindLet evaluates a variable the first time it is used.
func (e *evaluation) bindLet(s *scope, l *let) ([]result, error) {
	if values, ok := s.bound[l.name]; ok {
		return values, nil
	}
	if l.value.literal != nil {
		return []result{{value: l.value.literal, literal: true}}, nil
	}
	for _, open := range e.open {
		if open == l {
			return nil, fmt.Errorf("variable %%%s is defined by itself", l.name)
		}
	}
	e.open = append(e.open, l)
	values, err := e.operand(s, &l.value)
	e.open = e.open[:len(e.open)-1]
	if err != nil {
		return nil, err
	}
	if q := l.value.query; q != nil && q.some {
		values = found(values)
	}
	s.bind(l.name, values)
	return values, nil
}

// found leaves out what is missing.
func found(all []result) []result {
	var values []result
	for _, r := range all {
		if r.missing == nil {
			values = append(values, r)
		}
	}
	return values
}

// operand is what a literal, a query or a function stands for.
func (e *evaluation) operand(s *scope, o *operand) ([]result, error) {
	switch {
	case o.literal != nil:
		return []result{{value: o.literal, literal: true}}, nil
	case o.query != nil:
		return e.query(s, o.query)
	}
	return e.function(s, o.call)
}

// walk follows parts[i:] from v and appends what it finds to out.
func (e *evaluation) walk(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	if err := e.step(); err != nil {
		return nil, err
	}
	if v.unknown == nil {
		return e.walkOn(s, v, parts, i, out)
	}
	if v.kind == kindUnknown {
		return e.walkUnknown(s, v, parts, i, out)
	}
	before := len(out)
	out, err := e.walkOn(s, v, parts, i, out)
	doubt(out[min(before, len(out)):], v.unknown.Why)
	return out, err
}

// doubt makes what was selected be selected perhaps.
func doubt(selected []result, why string) {
	for i := range selected {
		if selected[i].perhaps == "" {
			selected[i].perhaps = why
		}
	}
}

// walkOn follows parts[i:] from a value that is known.
func (e *evaluation) walkOn(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	if i == len(parts) {
		return append(out, result{value: v}), nil
	}
	p := &parts[i]
	switch p.step {
	case stepThis:
		return e.walk(s, v, parts, i+1, out)
	case stepKey:
		if next := member(v, p); next != nil {
			return e.walk(s, next, parts, i+1, out)
		}
		return append(out, miss(v, parts, i)), nil
	case stepIndex:
		if next := item(v, p.index); next != nil {
			return e.walk(s, next, parts, i+1, out)
		}
		return append(out, miss(v, parts, i)), nil
	case stepVariable, stepVariableKey:
		if i == 0 {
			return e.walkVariable(s, parts, out)
		}
		return e.walkKeys(s, v, parts, i, out)
	case stepAllIndices, stepAllValues:
		return e.walkAll(s, v, parts, i, out)
	case stepFilter:
		return e.walkFilter(s, v, parts, i, out)
	}
	return e.walkKeyFilter(s, v, parts, i, out)
}

func miss(v *Value, parts []part, i int) result {
	return result{missing: &missing{from: v, want: parts[i].text(), rest: len(parts) - i - 1}}
}

// text is a step as written.
func (p *part) text() string {
	switch p.step {
	case stepKey:
		return p.name
	case stepVariable, stepVariableKey:
		return "%" + p.name
	case stepIndex:
		return "[" + strconv.FormatInt(p.index, 10) + "]"
	case stepAllIndices:
		return "[*]"
	case stepAllValues:
		return "*"
	case stepThis:
		return "this"
	}
	return "[filter]"
}

// member is v's member of the name of p, or of one of its other spellings.
func member(v *Value, p *part) *Value {
	switch v.kind {
	case kindMap:
		if x := v.get(p.name); x != nil {
			return x
		}
		for _, name := range p.other {
			if x := v.get(name); x != nil {
				return x
			}
		}
	case kindList:
		if n, err := strconv.ParseInt(p.name, 10, 32); err == nil {
			return item(v, n)
		}
	}
	return nil
}

// item is v's item at index; a negative one counts from the end.
func item(v *Value, index int64) *Value {
	if v.kind != kindList {
		return nil
	}
	if index < 0 {
		index += int64(len(v.items))
	}
	if index < 0 || index >= int64(len(v.items)) {
		return nil
	}
	return v.items[index]
}

// walkVariable starts from each value of a variable. [*] behind it changes nothing.
func (e *evaluation) walkVariable(s *scope, parts []part, out []result) ([]result, error) {
	values, err := e.variable(s, parts[0].name)
	if err != nil {
		return nil, err
	}
	next := 1
	if len(parts) > 1 && parts[1].step == stepAllIndices {
		next = 2
	}
	for _, r := range values {
		if r.missing != nil || next >= len(parts) {
			out = append(out, r)
			continue
		}
		before := len(out)
		if out, err = e.walk(s.within(r.value), r.value, parts, next, out); err != nil {
			return nil, err
		}
		if r.perhaps != "" {
			doubt(out[before:], r.perhaps)
		}
	}
	return out, nil
}

// walkKeys follows each text of a variable as the name of a member.
func (e *evaluation) walkKeys(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	p := &parts[i]
	if v.kind != kindMap {
		return append(out, miss(v, parts, i)), nil
	}
	names, err := e.variable(s, p.name)
	if err != nil {
		return nil, err
	}
	if p.step == stepVariableKey {
		if p.index < 0 || p.index >= int64(len(names)) {
			return append(out, miss(v, parts, i)), nil
		}
		names = names[p.index : p.index+1]
	}
	for _, name := range names {
		if name.missing != nil {
			out = append(out, miss(v, parts, i))
			continue
		}
		for _, n := range flat([]*Value{name.value}) {
			if n.kind == kindUnknown {
				out = append(out, result{value: unknownWithin(n)})
				continue
			}
			if n.kind != kindString {
				return nil, fmt.Errorf("%%%s is used as a name, but it is %v", p.name, n.kind)
			}
			next := v.get(n.text)
			if next == nil {
				out = append(out, result{missing: &missing{from: v, want: n.text, rest: len(parts) - i - 1}})
				continue
			}
			if out, err = e.walk(s, next, parts, i+1, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// walkAll goes on with each member or item. A scalar stands for a list of itself,
// and [*] leaves a map alone. An empty collection is a miss, unless a filter
// follows: what cannot be selected from was not asked for.
func (e *evaluation) walkAll(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	p := &parts[i]
	empty := v.kind == kindList && len(v.items) == 0 || v.kind == kindMap && len(v.fields) == 0 && p.step == stepAllValues
	if empty {
		if i+1 < len(parts) && parts[i+1].step == stepFilter {
			return out, nil
		}
		return append(out, miss(v, parts, i)), nil
	}
	var err error
	switch {
	case v.kind == kindList:
		for _, x := range v.items {
			if out, err = e.walk(s, x, parts, i+1, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	case v.kind == kindMap && p.step == stepAllValues:
		var want *typeSet
		if i+1 < len(parts) && p.capture == "" {
			want = parts[i+1].want
		}
		for _, f := range e.members(v, want) {
			if p.capture != "" {
				s.holder().capture(p.capture, f.key)
			}
			if i+1 < len(parts) && parts[i+1].want != nil && !typed(f.value, parts[i+1].want) {
				continue
			}
			if out, err = e.walk(s, f.value, parts, i+1, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return e.walk(s, v, parts, i+1, out)
}

// typed tells whether a resource may be of one of types: false only where the filter
// would say so too.
func typed(v *Value, types *typeSet) bool {
	if v.kind != kindMap {
		return true
	}
	t := v.get("Type")
	return t == nil || t.kind != kindString || types.has(t.text)
}

func (s *scope) capture(name string, key *Value) {
	s.bind(name, append(s.bound[name], result{value: key}))
}

// walkFilter goes on with what the filter lets through: the members of a map
// that a name led to, the map itself that * or [*] led to, the items of a list.
func (e *evaluation) walkFilter(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	p := &parts[i]
	var err error
	try := func(key, x *Value) {
		if err != nil {
			return
		}
		if p.want != nil && !typed(x, p.want) {
			return
		}
		var met Status
		step := e.step2("filter", "[ … ] on "+pathFor(e, x), diag.Place{File: e.rules.name})
		met, err = e.filter(s.within(x), p.filter)
		e.done(step, met)
		if met != Pass && met != Unsure || err != nil {
			return
		}
		before, why := len(out), x.perhaps()
		if met == Unsure {
			why = e.reason
		}
		if p.capture != "" && key != nil {
			s.holder().capture(p.capture, key)
		}
		if out, err = e.walk(s, x, parts, i+1, out); why != "" && err == nil {
			doubt(out[before:], why)
		}
	}
	named := parts[i-1].step == stepKey || parts[i-1].step == stepIndex // a single value that is no collection
	switch {
	case v.kind == kindList:
		for _, x := range v.items {
			try(nil, x)
		}
	case v.kind == kindMap && parts[i-1].step == stepKey:
		for _, f := range e.members(v, p.want) {
			try(f.key, f.value)
		}
	case v.kind == kindMap || v.kind == kindUnknown || !named:
		try(nil, v)
	default:
		out = append(out, miss(v, parts, i))
	}
	return out, err
}

// pathFor is the path of a value, where somebody asks.
func pathFor(e *evaluation, v *Value) string {
	if e.trace == nil {
		return ""
	}
	return v.path()
}

// filter is the status of clauses for the root of s.
func (e *evaluation) filter(s *scope, clauses [][]clause) (Status, error) {
	e.silent++
	status, err := e.clauses(s, clauses)
	e.silent--
	return status, err
}

// walkKeyFilter goes on with the members of a map whose keys hold.
func (e *evaluation) walkKeyFilter(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	p := &parts[i]
	if v.kind != kindMap {
		return append(out, miss(v, parts, i)), nil
	}
	right, err := e.operand(s.within(v), &p.with)
	if err != nil {
		return nil, err
	}
	for _, f := range e.members(v, nil) {
		held := keyHolds(f.key, p.op, p.index == 1, right)
		if held == no {
			continue
		}
		if p.capture != "" {
			s.holder().capture(p.capture, f.key)
		}
		before := len(out)
		if out, err = e.walk(s, f.value, parts, i+1, out); err != nil {
			return nil, err
		}
		if held == maybe {
			doubt(out[before:], "the name that is looked for is unknown")
		}
	}
	return out, nil
}

// keyHolds compares a key with any of the right-hand side; in with a text asks for a part of it.
func keyHolds(key *Value, op operator, negated bool, right []result) tri {
	for _, r := range right {
		if r.missing != nil {
			return no
		}
	}
	found := no
	for _, r := range right {
		held := no
		switch {
		case op == opIn && r.value.kind == kindString:
			held = triOf(strings.Contains(r.value.text, key.text))
		case r.value.kind == kindList:
			held = within(key, r.value.items)
		default:
			held, _ = equal(key, r.value)
		}
		found = max(found, held)
	}
	if negated {
		return found.not()
	}
	return found
}
