package match

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/diag"
)

// A Reason says why an event matches a pattern or does not.
type Reason struct {
	Matched bool
	Err     error // the event is not a valid JSON object, or repeats names too often to try all choices

	// Of a pattern with $or, Alternative counts from 1 and says which of the
	// Alternatives, in the order of the document, the Clauses are of: the one
	// that matched, or else the one that comes nearest.
	Alternative, Alternatives int

	// Clauses are what all must hold, by path.
	Clauses []Clause

	// Apart tells that each clause is met by itself, but only by values from
	// different elements of one array.
	Apart bool
}

// A Clause says whether one field is what the pattern wants, and by what.
type Clause struct {
	Path  string     // names joined by dots
	Want  string     // the list in the pattern, as it is written there
	Place diag.Place // where that list is
	Met   bool
	Saw   []Value // of a clause that is met: the value that meets it, if any; else what is there instead
	More  int     // how many values more there are than Saw holds
}

// A Value is something that the event has.
type Value struct {
	At   string // such as detail.findings[0].Severity.Label
	JSON string // long ones are cut
}

// What a Reason shows at most.
const (
	mostValues   = 10
	longestValue = 200
)

// Why says why the event matches or not: which clause fails, where, what it
// wants and what the event has there.
func (p *Pattern) Why(event []byte) Reason {
	g := p.program()
	s := g.room.Get().(*scratch)
	defer s.leave(&g.room)
	r := Reason{Alternatives: len(g.branches)}
	if !s.scan(g.names, event) {
		r.Err = s.fault()
		return r
	}
	best := g.matching(s)
	if r.Matched = best >= 0; r.Matched {
		s.choice.left = maxSearch
		s.fit(g.branches[best]) // for what was picked
	} else {
		r.Err = s.fault()
		best, r.Apart = g.nearest(s)
	}
	r.Alternative = best + 1
	for i, c := range g.branches[best] {
		r.Clauses = append(r.Clauses, p.explain(s, c, r.Matched, r.Apart, i))
	}
	return r
}

// nearest is the branch with the fewest clauses that are not met, and whether
// that is none, so that only the values lie apart.
func (g *program) nearest(s *scratch) (best int, apart bool) {
	least := -1
	for i, conds := range g.branches {
		unmet := 0
		for _, c := range conds {
			if !s.metAlone(c) {
				unmet++
			}
		}
		if least < 0 || unmet < least {
			best, least = i, unmet
		}
	}
	return best, least == 0
}

// metAlone tells whether the clause is met when the others are left aside.
func (s *scratch) metAlone(c cond) bool {
	first := s.chains[c.path].first
	return c.lacks && (first < 0 || s.branching) || s.anyMeets(c.clause, first)
}

func (p *Pattern) explain(s *scratch, c cond, matched, apart bool, i int) Clause {
	e := Clause{
		Path:  shown(c.clause.path),
		Want:  cut(p.text[c.from:c.to]),
		Place: diag.At("pattern", []byte(p.text), c.from),
		Met:   matched || s.metAlone(c),
	}
	if matched {
		if l := s.choice.picked[i]; l != lacking {
			e.Saw = []Value{s.show(c, l)}
		}
		return e
	}
	for l := s.chains[c.path].first; l >= 0; l = s.leaves[l].next {
		if e.Met && !c.lacks && !c.met(s.valueOf(&s.leaves[l]), &s.key) {
			continue
		}
		if len(e.Saw) < mostValues {
			e.Saw = append(e.Saw, s.show(c, l))
		} else {
			e.More++
		}
	}
	if e.Met && !apart && len(e.Saw) > 1 {
		e.Saw, e.More = e.Saw[:1], 0
	}
	return e
}

func (s *scratch) show(c cond, i int32) Value {
	l := &s.leaves[i]
	v := s.valueOf(l)
	json := v.text
	if l.kind == '"' {
		json, _ = jsontext.AppendQuote(nil, v.text)
	}
	return Value{s.location(c.clause.path, l.spot), cut(string(json))}
}

// location is the path with the indices of the arrays on the way.
func (s *scratch) location(path string, at int32) string {
	type index struct{ depth, index int32 }
	var indices []index
	for at > 0 {
		array := s.spots[at].parent
		indices = append(indices, index{s.spots[array].depth, s.spots[at].index})
		at = s.spots[array].parent
	}
	slices.Reverse(indices)
	var b strings.Builder
	for i, label := range strings.Split(shown(path), ".") {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(label)
		for len(indices) > 0 && int(indices[0].depth) == i+1 {
			b.WriteString("[" + strconv.Itoa(int(indices[0].index)) + "]")
			indices = indices[1:]
		}
	}
	return b.String()
}

// cut shortens a long text, between characters.
func cut(text string) string {
	if len(text) <= longestValue {
		return text
	}
	end := longestValue
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// String is the reason in words, a line for each clause that counts.
func (r Reason) String() string {
	var b strings.Builder
	switch {
	case r.Err != nil:
		return "no match: " + r.Err.Error()
	case r.Matched:
		b.WriteString("match")
	case r.Apart:
		b.WriteString("no match: each clause is met, but not within one element of an array")
	default:
		b.WriteString("no match")
	}
	if r.Alternatives > 1 {
		verb := " comes nearest"
		if r.Matched {
			verb = " matches"
		}
		b.WriteString("; of the " + strconv.Itoa(r.Alternatives) + " combinations of $or number " + strconv.Itoa(r.Alternative) + verb)
	}
	for _, c := range r.Clauses {
		if c.Met == (r.Matched || r.Apart) {
			b.WriteString("\n  " + c.String())
		}
	}
	return b.String()
}

// String is the clause in words, on one line.
func (c Clause) String() string {
	s := c.Path + " wants " + c.Want + " (" + c.Place.String() + ")"
	switch {
	case len(c.Saw) == 0 && c.Met:
		return s + " and is not there"
	case len(c.Saw) == 0:
		return s + " but is not there"
	case c.Met:
		s += " and has "
	default:
		s += " but has "
	}
	for i, v := range c.Saw {
		if i > 0 {
			s += ", "
		}
		if s += v.JSON; v.At != c.Path {
			s += " at " + v.At
		}
	}
	if c.More > 0 {
		s += " and " + strconv.Itoa(c.More) + " more"
	}
	return s
}
