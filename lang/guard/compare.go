package guard

import (
	"cmp"
	"strings"
)

// tri is yes, no, or maybe: what depends on a value that is unknown.
type tri int8

const (
	no tri = iota
	maybe
	yes
)

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}

func (t tri) not() tri { return yes - t }

// equal tells whether a and b are the same, where a regular expression is the
// same as what it matches and a range as what is within; ok is false where the
// two are of kinds that cannot be compared.
func equal(a, b *Value) (same tri, ok bool) {
	switch {
	case a.kind == kindUnknown:
		return a.unknown.equal(b), true
	case b.kind == kindUnknown:
		return b.unknown.equal(a), true
	case a.kind == kindRegex && b.kind == kindString:
		return triOf(a.literal.match.MatchString(b.text)), true
	case a.kind == kindString && b.kind == kindRegex:
		return triOf(b.literal.match.MatchString(a.text)), true
	case b.kind == kindRange && a.kind != kindRange:
		return b.literal.span.holds(a)
	case a.kind == kindRange && b.kind != kindRange:
		return a.literal.span.holds(b)
	case a.kind == kindMap && b.kind == kindMap:
		return equalMaps(a, b)
	case a.kind == kindList && b.kind == kindList:
		return equalLists(a, b)
	case a.kind == kindBool && b.kind == kindBool:
		return triOf(a.truth == b.truth), true
	case a.kind == kindNull && b.kind == kindNull:
		return yes, true
	case a.kind == kindRegex && b.kind == kindRegex:
		return triOf(a.text == b.text), true
	}
	c, ok := order(a, b)
	return triOf(ok && c == 0), ok
}

func equalMaps(a, b *Value) (same tri, ok bool) {
	if len(a.fields) != len(b.fields) {
		return no, true
	}
	same = yes
	for _, f := range a.fields {
		other := b.get(f.key.text)
		if other == nil {
			return no, true
		}
		one, ok := equal(f.value, other)
		if one == no {
			return no, ok
		}
		same = min(same, one)
	}
	return same, true
}

func equalLists(a, b *Value) (same tri, ok bool) {
	if len(a.items) != len(b.items) {
		return no, true
	}
	same = yes
	for i, x := range a.items {
		one, ok := equal(x, b.items[i])
		if one == no {
			return no, ok
		}
		same = min(same, one)
	}
	return same, true
}

// order compares numbers, texts or characters; ok is false for all else.
func order(a, b *Value) (c int, ok bool) {
	switch {
	case a.kind == kindInt && b.kind == kindInt, a.kind == kindChar && b.kind == kindChar:
		return cmp.Compare(a.number, b.number), true
	case a.numeric() && b.numeric():
		return cmp.Compare(a.asFloat(), b.asFloat()), true
	case a.textual() && b.textual():
		return strings.Compare(a.asText(), b.asText()), true
	}
	return 0, false
}

func (v *Value) numeric() bool { return v.kind == kindInt || v.kind == kindFloat }
func (v *Value) textual() bool { return v.kind == kindString || v.kind == kindChar }

func (v *Value) asFloat() float64 {
	if v.kind == kindInt {
		return float64(v.number)
	}
	return v.float()
}

func (v *Value) asText() string {
	if v.kind == kindChar {
		return string(rune(v.number))
	}
	return v.text
}

// holds tells whether v lies within s.
func (s *span) holds(v *Value) (within tri, ok bool) {
	low, ok := order(s.low, v)
	if !ok {
		return no, false
	}
	high, _ := order(v, s.high)
	return triOf((low < 0 || low == 0 && !s.lowOpen) && (high < 0 || high == 0 && !s.highOpen)), true
}

// within tells whether list has a member that is the same as v.
func within(v *Value, list []*Value) tri {
	found := no
	for _, x := range list {
		same, _ := equal(v, x)
		if found = max(found, same); found == yes {
			return yes
		}
	}
	return found
}

// outcome is what became of one value of the left-hand side.
type outcome struct {
	result        // the value, or what is missing
	held   tri    //
	fixed  bool   // a negation does not turn it: nothing could be compared
	want   *Value // what it was compared with, where that is one value
	why    string
}

// verdict is the outcome of one comparison.
func verdict(v, want *Value, same tri, ok bool) outcome {
	o := outcome{result: result{value: v}, held: same, fixed: !ok, want: want}
	if !ok {
		o.held = no
		o.why = v.kind.String() + " and " + want.kind.String() + " cannot be compared"
	}
	return o
}

// comparison is one evaluation of a binary operator.
type comparison struct {
	op       operator
	negated  bool
	outcomes []outcome
}

// compare holds the values of the left-hand side against those of the right.
// skip is true where one of the sides selects nothing.
func compare(op operator, negated bool, left, right []result) (outcomes []outcome, skip bool) {
	if len(left) == 0 || len(right) == 0 {
		return nil, true
	}
	c := comparison{op: op, negated: negated}
	switch op {
	case opEqual:
		c.equal(left, right)
	case opIn:
		c.in(left, right)
	default:
		c.ordered(left, right)
	}
	return c.outcomes, false
}

// add keeps an outcome, turned where the operator is negated.
func (c *comparison) add(o outcome) {
	if c.negated && !o.fixed {
		o.held = o.held.not()
	}
	c.outcomes = append(c.outcomes, o)
}

// sides are the values of both sides; for what is missing an outcome is added.
func (c *comparison) sides(left, right []result) (l, r []*Value) {
	for _, x := range left {
		if x.missing != nil {
			c.add(outcome{result: x, fixed: true})
			continue
		}
		l = append(l, x.value)
	}
	for _, x := range right {
		if x.missing == nil {
			r = append(r, x.value)
			continue
		}
		for _, v := range l {
			c.add(outcome{result: result{value: v}, fixed: true, why: "what it is compared with is not there: " + x.missing.text()})
		}
	}
	return l, r
}

func one(side []result) *Value {
	if len(side) == 1 && side[0].literal {
		return side[0].value
	}
	return nil
}

func (c *comparison) equal(left, right []result) {
	literalLeft, literalRight := one(left), one(right)
	l, r := c.sides(left, right)
	if literalLeft == nil && literalRight == nil {
		c.equalSets(l, r)
		return
	}
	for _, a := range l {
		for _, b := range r {
			c.equalPair(a, b, literalLeft == nil, literalRight == nil)
		}
	}
}

// equalPair compares with a literal. A list that was selected is compared item by
// item with a scalar; a list that was written is one value, and where it holds a
// single item, that item.
func (c *comparison) equalPair(a, b *Value, selectedLeft, selectedRight bool) {
	switch {
	case a.kind == kindList && b.kind != kindList && selectedLeft:
		for _, x := range a.items {
			same, ok := equal(x, b)
			c.add(verdict(x, b, same, ok))
		}
		return
	case b.kind == kindList && a.kind != kindList && selectedRight:
		for _, x := range b.items {
			same, ok := equal(a, x)
			c.add(verdict(a, x, same, ok))
		}
		return
	case b.kind == kindList && a.scalar() && len(b.items) == 1:
		b = b.items[0]
	case a.kind == kindList && b.scalar() && len(a.items) == 1:
		a = a.items[0]
	}
	same, ok := equal(a, b)
	c.add(verdict(a, b, same, ok))
}

// equalSets compares what two queries select as sets: each value must be on the
// other side too; negated, none may be.
func (c *comparison) equalSets(l, r []*Value) {
	for _, v := range l {
		held := loosely(v, r)
		if c.negated {
			held = held.not()
		}
		c.outcomes = append(c.outcomes, outcome{result: result{value: v}, held: held, want: listOf(r)})
	}
	for _, v := range r {
		if c.negated {
			break
		}
		if held := loosely(v, l); held < yes {
			c.add(outcome{result: result{value: v}, held: held, want: listOf(l), why: "it is on the right-hand side only"})
		}
	}
}

// loosely is within, where a scalar and a list of it alone are the same.
func loosely(v *Value, list []*Value) tri {
	found := within(v, list)
	for _, x := range list {
		if found == yes {
			break
		}
		if v.scalar() && x.kind == kindList && len(x.items) == 1 {
			found = max(found, within(v, x.items))
		}
		if x.scalar() && v.kind == kindList && len(v.items) == 1 {
			found = max(found, within(x, v.items))
		}
	}
	return found
}

// listOf shows many values as one.
func listOf(values []*Value) *Value {
	if len(values) == 1 {
		return values[0]
	}
	return &Value{kind: kindList, items: values}
}

func (c *comparison) in(left, right []result) {
	literalLeft, literalRight := one(left), one(right)
	l, r := c.sides(left, right)
	switch {
	case literalRight != nil && literalRight.kind == kindString:
		for _, v := range l {
			c.inText(v, literalRight, literalLeft != nil)
		}
	case literalRight != nil:
		for _, v := range l {
			c.inValue(v, literalRight)
		}
	case literalLeft != nil && anyList(r):
		for _, x := range r {
			c.inValue(literalLeft, x)
		}
	case literalLeft != nil && literalLeft.kind == kindList:
		for _, v := range literalLeft.items {
			c.add(outcome{result: result{value: v}, held: within(v, r), want: listOf(r)})
		}
	case literalLeft != nil:
		c.add(outcome{result: result{value: literalLeft}, held: within(literalLeft, r), want: listOf(r)})
	default:
		for _, v := range l {
			c.inAny(v, r)
		}
	}
}

func anyList(values []*Value) bool {
	for _, v := range values {
		if v.kind == kindList {
			return true
		}
	}
	return false
}

// inText asks for a part of a text.
func (c *comparison) inText(v, text *Value, literal bool) {
	switch {
	case v.kind == kindString:
		c.add(outcome{result: result{value: v}, held: triOf(strings.Contains(text.text, v.text)), want: text})
	case v.kind == kindUnknown:
		c.add(outcome{result: result{value: v}, held: maybe, want: text})
	case v.kind == kindList && !literal:
		for _, x := range v.items {
			c.inText(x, text, true)
		}
	default:
		c.add(verdict(v, text, no, false))
	}
}

// inValue asks whether v, or each of its members, is in list.
func (c *comparison) inValue(v, list *Value) {
	held, touched, ok := contained(v, list)
	if c.negated && ok {
		c.outcomes = append(c.outcomes, outcome{result: result{value: v}, held: touched.not(), want: list})
		return
	}
	c.add(verdict(v, list, held, ok))
}

// inAny asks whether v is in one of lists.
func (c *comparison) inAny(v *Value, lists []*Value) {
	held, touched := no, no
	for _, x := range lists {
		h, t, _ := contained(v, x)
		held, touched = max(held, h), max(touched, t)
	}
	if c.negated {
		held = touched.not()
	}
	c.outcomes = append(c.outcomes, outcome{result: result{value: v}, held: held, want: listOf(lists)})
}

// contained tells whether all of v is in list (held), and whether any of it is (touched).
func contained(v, list *Value) (held, touched tri, ok bool) {
	if list.kind != kindList {
		if v.kind == kindList {
			return no, no, false
		}
		same, ok := equal(v, list)
		return same, same, ok
	}
	if v.kind != kindList || len(list.items) > 0 && list.items[0].kind == kindList {
		held = within(v, list.items)
		return held, held, true
	}
	held, touched = yes, no
	for _, x := range v.items {
		in := within(x, list.items)
		held, touched = min(held, in), max(touched, in)
	}
	return held, touched, true
}

// ordered compares by <, <=, >, >=, each with each.
func (c *comparison) ordered(left, right []result) {
	l, r := c.sides(left, right)
	for _, a := range flat(l) {
		for _, b := range flat(r) {
			if a.kind == kindUnknown || b.kind == kindUnknown {
				c.add(verdict(a, b, maybe, true))
				continue
			}
			n, ok := order(a, b)
			c.add(verdict(a, b, triOf(ok && ordered(c.op, n)), ok))
		}
	}
}

func ordered(op operator, n int) bool {
	switch op {
	case opLess:
		return n < 0
	case opLessEqual:
		return n <= 0
	case opGreater:
		return n > 0
	}
	return n >= 0
}

// flat puts the members of lists in their place.
func flat(values []*Value) []*Value {
	var all []*Value
	for _, v := range values {
		if v.kind == kindList {
			all = append(all, v.items...)
		} else {
			all = append(all, v)
		}
	}
	return all
}
