package match

import (
	"sync"
	"sync/atomic"
)

// A Pattern is an event pattern, parsed. It is safe for concurrent use.
type Pattern struct {
	text     string
	branches []branch
	alone    atomic.Pointer[program]
}

// String is the pattern's text, as it was given to Parse.
func (p *Pattern) String() string { return p.text }

// Match tells whether the event matches. An event that is not a valid JSON
// object matches nothing; see Check.
func (p *Pattern) Match(event []byte) bool {
	g := p.program()
	s := g.room.Get().(*scratch)
	defer s.leave(&g.room)
	return s.scan(g.names, event) && g.matching(s) >= 0
}

// Check is the error of an event that is not a valid JSON object, with its
// place, or nil. Names may be repeated within an object.
func Check(event []byte) error {
	var s scratch
	s.scan(noNames(), event)
	return s.fault()
}

// program is what it takes to match one pattern alone. Patterns in a Set have none.
type program struct {
	names    *names
	branches [][]cond
	room     sync.Pool // of *scratch
}

func (p *Pattern) program() *program {
	if g := p.alone.Load(); g != nil {
		return g
	}
	g := &program{names: noNames().with([]*Pattern{p}), room: sync.Pool{New: func() any { return new(scratch) }}}
	for _, b := range p.branches {
		g.branches = append(g.branches, g.names.conds(b))
	}
	p.alone.Store(g)
	return g
}

// matching is the first branch that matches what was scanned, or -1.
func (g *program) matching(s *scratch) int {
	for i, conds := range g.branches {
		if s.meets(conds) {
			return i
		}
	}
	return -1
}

func (n *names) conds(b branch) []cond {
	conds := make([]cond, len(b))
	for i, c := range b {
		conds[i] = cond{c, n.ids[c.path]}
	}
	return conds
}
