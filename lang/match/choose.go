package match

import (
	"cmp"
	"slices"
	"sort"
)

// cond is a clause with the number of its path.
type cond struct {
	*clause
	path int32
}

// meets tells whether the event meets all conditions, each by a leaf of its
// own choice (or by none, for exists: false), so that no two of the leaves lie
// in different elements of one array.
func (s *scratch) meets(conds []cond) bool {
	together := !s.branching || len(conds) == 1 // nothing can lie apart
	for i := range conds {
		c := &conds[i]
		first := s.chains[c.path].first
		if first < 0 && c.lacks || c.lacks && !together {
			continue
		}
		if !s.anyMeets(c.clause, first) {
			return false
		}
	}
	return together || s.fit(conds)
}

// anyMeets tells whether a leaf of the chain meets the clause.
func (s *scratch) anyMeets(c *clause, first int32) bool {
	for i := first; i >= 0; i = s.leaves[i].next {
		if c.met(s.valueOf(&s.leaves[i]), &s.key) {
			return true
		}
	}
	return false
}

// choice is the search for leaves that fit together. It goes down the tree of
// spots: within an element of an array (or the event itself) each clause finds
// its leaves either in the element itself or in one array below, and every
// array below must have one element that suits all clauses that found theirs
// in it. So each leaf is looked at once. Only where a name is repeated within
// one object a clause has several arrays to choose from; then there is a
// search, and a bound on it.
type choice struct {
	candidates []candidate // of all clauses, one clause after the other
	windows    []window    // a stack
	picked     []int32     // of each clause: the leaf that meets it, or lacking
	searching  bool
	left       int // steps that the search may still take for this event
}

// lacking is what was picked for a clause that is met by there being no leaf.
const lacking = -1

// maxSearch bounds the steps of all searches for one event.
const maxSearch = 1_000_000

// candidate is a leaf at a clause's path.
type candidate struct {
	leaf int32
	ok   bool // it meets the clause
}

// window is what a clause has to choose from below some spot: the candidates
// from lo to hi.
type window struct {
	clause      int32
	lo, hi      int32
	home        int32 // the array right below that was chosen, or one of the following
	takes, lack bool  // may it take a leaf, may it lack one?
}

const (
	unsettled = -3
	mustLack  = -2 // in every array that it has leaves in
	settled   = -1 // by a leaf of the element itself, or by there being none
)

// fit tells whether leaves that fit together meet all conditions.
func (s *scratch) fit(conds []cond) bool {
	s.gather(conds)
	s.choice.searching = false
	_, ok := s.element(0, 0, len(conds))
	if !s.choice.spend(0) {
		s.fail(0, "too many values under repeated names to choose from")
		return false
	}
	return ok
}

// gather lists every condition's candidates, as windows over the whole event.
func (s *scratch) gather(conds []cond) {
	c := &s.choice
	c.candidates, c.windows, c.picked = c.candidates[:0], c.windows[:0], c.picked[:0]
	for i, cond := range conds {
		lo := int32(len(c.candidates))
		for l := s.chains[cond.path].first; l >= 0; l = s.leaves[l].next {
			ok := cond.met(s.valueOf(&s.leaves[l]), &s.key)
			c.candidates = append(c.candidates, candidate{l, ok})
		}
		c.windows = append(c.windows, window{int32(i), lo, int32(len(c.candidates)), unsettled, cond.takes, cond.lacks})
		c.picked = append(c.picked, lacking)
	}
}

// spend takes steps off the account, and tells whether the search may go on.
// What is no search may always.
func (c *choice) spend(steps int) bool {
	if !c.searching {
		return true
	}
	c.left -= steps
	return c.left >= 0
}

// element tells whether windows[from:to] can all be met below the element at,
// and whether that takes any leaf.
func (s *scratch) element(at int32, from, to int) (took, ok bool) {
	if !s.choice.spend(to - from) {
		return false, false
	}
	return s.settle(at, from, from, to)
}

// settle finds a home for each of windows[w:to], those from from on having
// one, and then asks the arrays that are homes.
func (s *scratch) settle(at int32, from, w, to int) (took, ok bool) {
	c := &s.choice
	for ; w < to; w++ {
		x := &c.windows[w]
		own, home, several := s.homes(at, x)
		switch {
		case several:
			tookMore, ok := s.search(at, from, w, to, own)
			return took || tookMore, ok
		case home >= 0:
			x.home = home
		case own >= 0 && x.takes:
			x.home, c.picked[x.clause], took = settled, own, true
		case x.lo == x.hi && x.lack:
			x.home, c.picked[x.clause] = settled, lacking
		default:
			return false, false
		}
	}
	tookMore, ok := s.arrays(from, to)
	return took || tookMore, ok
}

// homes looks where a window's leaves lie right below at: own is a leaf of the
// element itself that meets the clause, home an array; or they lie in several of these.
func (s *scratch) homes(at int32, x *window) (own, home int32, several bool) {
	own, home = -1, -1
	direct := false
	for i := x.lo; i < x.hi; {
		l := s.choice.candidates[i]
		if spot := s.leaves[l.leaf].spot; spot == at {
			if direct = true; own < 0 && l.ok {
				own = l.leaf
			}
			i++
		} else {
			several = several || home >= 0
			home = s.below(at, spot, l.leaf)
			i = s.past(i, x.hi, s.spots[home].last)
		}
	}
	return own, home, several || direct && home >= 0
}

// below is the spot right below at that holds a leaf whose spot is deep. It
// looks from both ends, for trees that are deep and trees that are broad.
func (s *scratch) below(at, deep, leaf int32) int32 {
	for child := at + 1; ; child = s.spots[child].end {
		if s.spots[deep].parent == at {
			return deep
		}
		if leaf < s.spots[child].last {
			return child
		}
		deep = s.spots[deep].parent
	}
}

// past is the first candidate from lo on, before hi, whose leaf is not before end.
func (s *scratch) past(lo, hi, end int32) int32 {
	rest := s.choice.candidates[lo:hi]
	return lo + int32(sort.Search(len(rest), func(i int) bool { return rest[i].leaf >= end }))
}

// search tries every home that windows[w] may have.
func (s *scratch) search(at int32, from, w, to int, own int32) (took, ok bool) {
	c := &s.choice
	c.searching = true
	x := c.windows[w]
	defer func() { c.windows[w] = x }()
	if x.takes && own >= 0 {
		c.windows[w].home, c.picked[x.clause] = settled, own
		if _, ok := s.settle(at, from, w+1, to); ok {
			return true, true
		}
	}
	direct := false
	for i := x.lo; i < x.hi && c.spend(1); {
		l := c.candidates[i].leaf
		if s.leaves[l].spot == at {
			direct, i = true, i+1
			continue
		}
		home := s.below(at, s.leaves[l].spot, l)
		i = s.past(i, x.hi, s.spots[home].last)
		if x.takes {
			c.windows[w] = window{x.clause, x.lo, x.hi, home, true, false}
			if _, ok := s.settle(at, from, w+1, to); ok {
				return true, true
			}
		}
	}
	if !x.lack || direct {
		return false, false
	}
	c.windows[w] = window{x.clause, x.lo, x.hi, mustLack, false, true}
	return s.settle(at, from, w+1, to)
}

// arrays asks each array that is a home of windows[from:to] for an element
// that suits all of them.
func (s *scratch) arrays(from, to int) (took, ok bool) {
	c := &s.choice
	mark := len(c.windows)
	defer func() { c.windows = c.windows[:mark] }()
	for _, x := range c.windows[from:to] {
		if x.home != settled {
			c.windows = append(c.windows, x)
		}
	}
	end := len(c.windows)
	slices.SortFunc(c.windows[mark:end], func(x, y window) int { return cmp.Compare(x.home, y.home) })
	first := mark
	for first < end && c.windows[first].home == mustLack {
		first++
	}
	for i := mark; i < first; i++ {
		if !s.allHomes(c.windows[i], c.windows[first:end]) {
			return false, false
		}
	}
	for i := first; i < end; {
		j := i + 1
		for j < end && c.windows[j].home == c.windows[i].home {
			j++
		}
		if !s.suits(c.windows[i].home, mark, first, i, j) {
			return false, false
		}
		i = j
	}
	return first < end, true
}

// allHomes tells whether every array in which x has leaves is the home of one
// of the others: only a choice made there can leave out what x must lack.
func (s *scratch) allHomes(x window, others []window) bool {
	for i := x.lo; i < x.hi; {
		leaf := s.choice.candidates[i].leaf
		at, found := slices.BinarySearchFunc(others, leaf, func(y window, leaf int32) int {
			return cmp.Compare(s.spots[y.home].last, leaf+1)
		})
		if !found && at == len(others) || s.spots[others[at].home].first > leaf {
			return false
		}
		i = s.past(i, x.hi, s.spots[others[at].home].last)
	}
	return true
}

// suits tells whether the array has an element that suits windows[i:j], which
// it is the home of, and in which windows[mark:first] lack what they must.
func (s *scratch) suits(array int32, mark, first, i, j int) bool {
	c := &s.choice
	from := len(c.windows)
	defer func() { c.windows = c.windows[:from] }()
	c.windows = append(c.windows, c.windows[mark:first]...)
	c.windows = append(c.windows, c.windows[i:j]...)
	to := len(c.windows)
	for e := array + 1; e < s.spots[array].end && c.spend(0); e = s.spots[e].end {
		c.windows = c.windows[:to]
		some := false
		for w := from; w < to; w++ {
			x := c.windows[w]
			x.lo = s.past(x.lo, x.hi, s.spots[e].first)
			c.windows[w].lo = x.lo
			x.hi = s.past(x.lo, x.hi, s.spots[e].last)
			x.home = unsettled
			some = some || x.lo < x.hi
			c.windows = append(c.windows, x)
		}
		if !some {
			continue
		}
		if took, ok := s.element(e, to, len(c.windows)); ok && took {
			return true
		}
	}
	return false
}
