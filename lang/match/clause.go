package match

import "net/netip"

// A clause is what one field must be: one of its tests must hold.
type clause struct {
	path string // names with a dot before each; see join
	tests
	from, to int  // where its list stands in the pattern's text
	takes    bool // a test other than exists: false, which a leaf can meet
	lacks    bool // exists: false is among the tests
}

// op is what a test asks of a leaf.
type op uint8

const (
	opAbsent op = iota // no leaf at all; never true of a leaf
	opExists
	opText
	opAddress // a text that is this IPv6 address, however it is written
	opFoldText
	opPrefix
	opFoldPrefix
	opSuffix
	opFoldSuffix
	opWildcard
	opNumber
	opRange
	opNetwork
	opTrue
	opFalse
	opNull
	opAnythingBut
)

// A test is one entry of a clause's list.
type test struct {
	op   op
	text string    // what the text is compared with; folded where op ignores case
	of   *tests    // what anything-but leaves out
	arg  *argument // of the operators that need more
}

// argument is what few operators need.
type argument struct {
	pieces    [][]byte     // of a wildcard
	network   netip.Prefix // of cidr and opAddress
	low, high number       // of numeric; low is opNumber's
	bounds    bounds
}

// bounds says which ends a range has, and whether they belong to it.
type bounds uint8

const (
	lowEnd bounds = 1 << iota
	lowClosed
	highEnd
	highClosed
)

// kind is the type of a leaf: the byte that its JSON begins with, '0' for any number.
type kind byte

// value is a leaf's: a text unescaped, a number as it is spelt.
type value struct {
	kind kind
	text []byte
}

// tests are a list of which one must hold. Where there are many texts in it
// they are looked up: all opText are in exact then, and come last in the list.
type tests struct {
	list   []test
	others int // how many of the list are not in exact
	exact  map[string]bool
}

const manyTexts = 16

func newTests(list []test) tests {
	if len(list) < manyTexts {
		return tests{list: list, others: len(list)}
	}
	t := tests{list: list, exact: make(map[string]bool, len(list))}
	for i, x := range list {
		if x.op == opText {
			t.exact[x.text] = true
			continue
		}
		list[t.others], list[i] = x, list[t.others]
		t.others++
	}
	return t
}

// met tells whether one of the tests holds for v; buf is room to work in.
func (t *tests) met(v value, buf *[]byte) bool {
	for i := range t.list[:t.others] {
		if t.list[i].holds(v, buf) {
			return true
		}
	}
	return v.kind == '"' && t.exact[string(v.text)]
}

// holds tells whether the test is true of v.
func (t *test) holds(v value, buf *[]byte) bool {
	switch t.op {
	case opExists:
		return true
	case opTrue:
		return v.kind == 't'
	case opFalse:
		return v.kind == 'f'
	case opNull:
		return v.kind == 'n'
	case opNumber, opRange:
		return v.kind == '0' && t.arg.holds(t.op, v.text, buf)
	case opAnythingBut:
		return !t.of.met(v, buf)
	}
	return v.kind == '"' && t.holdsText(v.text)
}

func (t *test) holdsText(text []byte) bool {
	switch t.op {
	case opText:
		return string(text) == t.text
	case opAddress, opNetwork:
		a, ok := address(text)
		return ok && t.arg.network.Contains(a)
	case opFoldText:
		rest, ok := hasFoldPrefix(text, t.text)
		return ok && len(rest) == 0
	case opPrefix:
		return len(text) >= len(t.text) && string(text[:len(t.text)]) == t.text
	case opFoldPrefix:
		_, ok := hasFoldPrefix(text, t.text)
		return ok
	case opSuffix:
		return len(text) >= len(t.text) && string(text[len(text)-len(t.text):]) == t.text
	case opFoldSuffix:
		return hasFoldSuffix(text, t.text)
	case opWildcard:
		return like(text, t.arg.pieces)
	}
	return false
}

func (a *argument) holds(o op, text []byte, buf *[]byte) bool {
	n, b := appendNumber((*buf)[:0], text)
	*buf = b
	if o == opNumber {
		return n.compare(a.low) == 0
	}
	if a.bounds&lowEnd != 0 {
		if c := n.compare(a.low); c < 0 || c == 0 && a.bounds&lowClosed == 0 {
			return false
		}
	}
	if a.bounds&highEnd != 0 {
		if c := n.compare(a.high); c > 0 || c == 0 && a.bounds&highClosed == 0 {
			return false
		}
	}
	return true
}
