package sigma

import "slices"

// An expression holds for a record or does not. Those of a parsed rule name fields; bind gives them slots.
type expression interface {
	bind(*Set) expression
	holds(*Event) bool
}

type (
	and []expression
	or  []expression
	not struct{ expression }

	// match holds when one of a field's values passes the test.
	match struct {
		field string // "" for keywords
		slot  int
		test  test
	}
	null   match // there is no value
	exists struct {
		field string
		slot  int
		want  bool
	}
	reference struct { // a value of one field is, begins, ends with or holds one of the other's
		field, other string
		slot, from   int
		where        string
		cased        bool
	}
)

func (a and) holds(e *Event) bool {
	for _, x := range a {
		if !x.holds(e) {
			return false
		}
	}
	return true
}

func (o or) holds(e *Event) bool {
	for _, x := range o {
		if x.holds(e) {
			return true
		}
	}
	return false
}

func (n not) holds(e *Event) bool { return !n.expression.holds(e) }

func (m *match) holds(e *Event) bool {
	values := e.slots[m.slot]
	for i := range values {
		if values[i].kind > nothing && m.test.passes(&values[i]) {
			return true
		}
	}
	return false
}

func (n *null) holds(e *Event) bool {
	values := e.slots[n.slot]
	for i := range values {
		if values[i].kind == nothing {
			return true
		}
	}
	return len(values) == 0
}

func (x *exists) holds(e *Event) bool { return (len(e.slots[x.slot]) > 0) == x.want }

func (r *reference) holds(e *Event) bool {
	mine, others := e.slots[r.slot], e.slots[r.from]
	for i := range mine {
		for k := range others {
			if mine[i].kind > nothing && others[k].kind > nothing && literal(others[k].folded(r.cased), r.where, mine[i].folded(r.cased)) {
				return true
			}
		}
	}
	return false
}

func (a and) bind(s *Set) expression {
	bound := make(and, len(a))
	for i, x := range a {
		bound[i] = x.bind(s)
	}
	slices.SortStableFunc(bound, func(x, y expression) int { return cost(x) - cost(y) })
	return bound
}

// cost is about how long it takes to see whether x holds.
func cost(x expression) (n int) {
	switch x := x.(type) {
	case and:
		for _, y := range x {
			n += cost(y)
		}
	case or:
		for _, y := range x {
			n += cost(y)
		}
	case not:
		n = cost(x.expression)
	case *match:
		n = 1
		if _, slow := x.test.(expr); slow {
			n = 100
		}
		if x.field == "" {
			n *= 20
		}
	default:
		n = 1
	}
	return n
}

func (o or) bind(s *Set) expression {
	bound := make(or, len(o))
	for i, x := range o {
		bound[i] = x.bind(s)
	}
	return bound
}

func (n not) bind(s *Set) expression { return not{n.expression.bind(s)} }

func (m *match) bind(s *Set) expression {
	return &match{m.field, s.slot(m.field), m.test}
}

func (n *null) bind(s *Set) expression {
	return &null{field: n.field, slot: s.slot(n.field)}
}

func (x *exists) bind(s *Set) expression {
	return &exists{x.field, s.slot(x.field), x.want}
}

func (r *reference) bind(s *Set) expression {
	b := *r
	b.slot, b.from = s.slot(r.field), s.slot(r.other)
	return &b
}
