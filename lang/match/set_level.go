package match

import "iter"

// level is some of a set's rules, indexed together. Rules that were removed
// stay in the index, as dead.
type level[ID comparable] struct {
	ids      []ID // of the rules; those with the same pattern lie together
	patterns []*Pattern
	at       map[ID]int32
	index    *index
	dead     []uint64 // a bit for each rule, or nil
	live     int
}

func newLevel[ID comparable](n *names, rules []Rule[ID]) *level[ID] {
	x, order := newIndex(n, patternsOf(rules))
	l := &level[ID]{
		ids:      make([]ID, len(rules)),
		patterns: make([]*Pattern, len(rules)),
		at:       make(map[ID]int32, len(rules)),
		index:    x,
		live:     len(rules),
	}
	for i, from := range order {
		l.ids[i], l.patterns[i] = rules[from].ID, rules[from].Pattern
		l.at[l.ids[i]] = int32(i)
	}
	return l
}

// find is where the rule is, if it is there and alive.
func (l *level[ID]) find(id ID) (int32, bool) {
	i, ok := l.at[id]
	return i, ok && !l.isDead(i)
}

func (l *level[ID]) isDead(i int32) bool {
	return l.dead != nil && l.dead[i/64]>>(i%64)&1 != 0
}

// all are the rules that are alive.
func (l *level[ID]) all() iter.Seq[Rule[ID]] {
	return func(yield func(Rule[ID]) bool) {
		for i, id := range l.ids {
			if !l.isDead(int32(i)) && !yield(Rule[ID]{id, l.patterns[i]}) {
				return
			}
		}
	}
}

// without is the level with more rules dead.
func (l *level[ID]) without(dead []int32) *level[ID] {
	if len(dead) == 0 {
		return l
	}
	n := *l
	n.dead = make([]uint64, (len(l.ids)+63)/64)
	copy(n.dead, l.dead)
	for _, i := range dead {
		if !n.isDead(i) {
			n.dead[i/64] |= 1 << (i % 64)
			n.live--
		}
	}
	return &n
}

// appendIDs appends the IDs of the rules of nodes.
func (l *level[ID]) appendIDs(dst []ID, nodes []int32) []ID {
	for _, node := range nodes {
		rules := l.index.nodes[node]
		if l.dead == nil {
			dst = append(dst, l.ids[rules.first:rules.last]...)
			continue
		}
		for i := rules.first; i < rules.last; i++ {
			if !l.isDead(i) {
				dst = append(dst, l.ids[i])
			}
		}
	}
	return dst
}
