package match

import (
	"iter"
	"slices"
	"sync"
)

// A Rule is a pattern with the name that its owner knows it by.
type Rule[ID comparable] struct {
	ID      ID
	Pattern *Pattern
}

// A Set is many rules in one automaton, so that matching an event takes one
// pass over it however many rules there are. A Set never changes, and is safe
// for concurrent use: With and Without make another one, which shares most of
// the old, so keep the newest in an atomic.Pointer.
type Set[ID comparable] struct {
	names  *names
	levels []*level[ID] // the largest and oldest first
	room   *sync.Pool   // of *scratch
}

// NewSet makes a set of rules. Of rules with the same ID the last one counts.
func NewSet[ID comparable](rules ...Rule[ID]) *Set[ID] {
	return (&Set[ID]{names: noNames(), room: &sync.Pool{New: func() any { return new(scratch) }}}).With(rules...)
}

// Match appends to dst the IDs of all rules that match the event, each once
// and in no particular order. An event that is not a valid JSON object matches
// nothing, and the error says why; so it does, beside what was found, when an
// event repeats names so often that there are too many choices to try. Match
// allocates nothing as long as dst has room.
func (s *Set[ID]) Match(event []byte, dst []ID) ([]ID, error) {
	c := s.room.Get().(*scratch)
	defer c.leave(s.room)
	if !c.scan(s.names, event) {
		return dst, c.fault()
	}
	for _, l := range s.levels {
		dst = l.appendIDs(dst, l.index.find(c))
	}
	return dst, c.fault()
}

// Len is how many rules there are.
func (s *Set[ID]) Len() (n int) {
	for _, l := range s.levels {
		n += l.live
	}
	return n
}

// Get is the pattern of a rule, or nil.
func (s *Set[ID]) Get(id ID) *Pattern {
	for _, l := range s.levels {
		if i, ok := l.find(id); ok {
			return l.patterns[i]
		}
	}
	return nil
}

// All are the rules, in no particular order.
func (s *Set[ID]) All() iter.Seq[Rule[ID]] {
	return func(yield func(Rule[ID]) bool) {
		for _, l := range s.levels {
			for r := range l.all() {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// With is the set with rules added; a rule replaces the one with its ID. Adding
// one rule to a hundred thousand indexes a few dozen anew on average: see class.
func (s *Set[ID]) With(rules ...Rule[ID]) *Set[ID] {
	if len(rules) == 0 {
		return s
	}
	fresh := lastOfEach(rules)
	ids := make([]ID, len(fresh))
	for i, r := range fresh {
		ids[i] = r.ID
	}
	kept := s.Without(ids...)
	names, levels := kept.names, kept.levels
	for len(levels) > 0 && (names.stale() || class(levels[len(levels)-1].live) <= class(len(fresh))) {
		fresh = slices.AppendSeq(fresh, levels[len(levels)-1].all())
		levels = levels[:len(levels)-1]
	}
	alone := len(levels) == 0
	if alone {
		names = noNames() // forget those of rules that are gone
	}
	if names = names.with(patternsOf(fresh)); alone {
		names.base = len(names.ids)
	}
	return &Set[ID]{names, append(slices.Clip(levels), newLevel(names, fresh)), s.room}
}

// Without is the set without the rules of these IDs; those that it does not
// have are ignored.
func (s *Set[ID]) Without(ids ...ID) *Set[ID] {
	dead := make([][]int32, len(s.levels))
	some := false
	for _, id := range ids {
		for i, l := range s.levels {
			if r, ok := l.find(id); ok {
				dead[i], some = append(dead[i], r), true
			}
		}
	}
	if !some {
		return s
	}
	t := &Set[ID]{names: s.names, room: s.room}
	for i, l := range s.levels {
		l = l.without(dead[i])
		if l.live == 0 {
			continue
		}
		if l.live < len(l.ids)/2 {
			l = newLevel(s.names, slices.Collect(l.all()))
		}
		t.levels = append(t.levels, l)
	}
	return t
}

// class is the order of magnitude of a level of n rules. No two levels of a
// set are of the same class: when a small one outgrows its own it is joined
// with the next, so that a rule is indexed again about growth/2 times for each
// order of magnitude, and an event asks few levels.
func class(n int) (c int) {
	const smallest, growth = 64, 16
	for size := smallest; n > size; size *= growth {
		c++
	}
	return c
}

func lastOfEach[ID comparable](rules []Rule[ID]) []Rule[ID] {
	at := make(map[ID]int, len(rules))
	kept := make([]Rule[ID], 0, len(rules))
	for _, r := range rules {
		if i, ok := at[r.ID]; ok {
			kept[i] = r
			continue
		}
		at[r.ID] = len(kept)
		kept = append(kept, r)
	}
	return kept
}

func patternsOf[ID comparable](rules []Rule[ID]) []*Pattern {
	patterns := make([]*Pattern, len(rules))
	for i, r := range rules {
		patterns[i] = r.Pattern
	}
	return patterns
}
