package match

import (
	"cmp"
	"slices"
)

// automaton finds which of many pieces occur in a text, in one pass over it
// (Aho and Corasick). Its states are a trie of the pieces; where the trie does
// not go on, fallback leads to the longest end of what was read that is a
// beginning of a piece.
type automaton struct {
	first  [256]int32       // where the first byte leads; 0 is the root
	goOn   map[uint64]int32 // state<<8 | byte: where it leads
	states []state
}

type state struct {
	posting  int32 // of the piece that ends here, or -1
	fallback int32
	shorter  int32 // the next state along the fallbacks at which a piece ends, or 0
	parent   int32
	by       byte // the byte that leads here from parent
}

func newAutomaton() *automaton {
	return &automaton{goOn: map[uint64]int32{}, states: []state{{posting: -1}}}
}

// step is where the trie goes on from at, or 0.
func (a *automaton) step(at int32, by byte) int32 {
	if at == 0 {
		return a.first[by]
	}
	return a.goOn[uint64(at)<<8|uint64(by)]
}

func (a *automaton) add(piece string, posting int32) {
	at := int32(0)
	for i := range len(piece) {
		next := a.step(at, piece[i])
		if next == 0 {
			next = int32(len(a.states))
			a.states = append(a.states, state{posting: -1, parent: at, by: piece[i]})
			if at == 0 {
				a.first[piece[i]] = next
			} else {
				a.goOn[uint64(at)<<8|uint64(piece[i])] = next
			}
		}
		at = next
	}
	a.states[at].posting = posting
}

// next is where a byte leads, falling back as far as it must.
func (a *automaton) next(at int32, by byte) int32 {
	for at != 0 {
		if to := a.goOn[uint64(at)<<8|uint64(by)]; to != 0 {
			return to
		}
		at = a.states[at].fallback
	}
	return a.first[by]
}

// link finds every state's fallback, once all pieces are there.
func (a *automaton) link() {
	depth := make([]int32, len(a.states))
	order := make([]int32, len(a.states))
	for i := range a.states {
		order[i] = int32(i)
		if i > 0 {
			depth[i] = depth[a.states[i].parent] + 1 // a parent stands before its children
		}
	}
	slices.SortStableFunc(order, func(x, y int32) int { return cmp.Compare(depth[x], depth[y]) })
	for _, i := range order[1:] {
		s := &a.states[i]
		if s.parent != 0 {
			s.fallback = a.next(a.states[s.parent].fallback, s.by)
		}
		if s.shorter = s.fallback; a.states[s.shorter].posting < 0 {
			s.shorter = a.states[s.shorter].shorter
		}
	}
}

// run opens the postings of all pieces that occur in text. Where one of them
// was opened before for this event, so were the shorter ones.
func (a *automaton) run(x *index, s *scratch, text []byte) {
	at := int32(0)
	for _, c := range text {
		at = a.next(at, c)
		for end := a.ending(at); end != 0; end = a.states[end].shorter {
			p := a.states[end].posting
			if s.marks.marked(int(p)) {
				break
			}
			x.open(s, p)
		}
	}
}

// ending is the state of the longest piece that ends where the automaton is, or 0.
func (a *automaton) ending(at int32) int32 {
	if at != 0 && a.states[at].posting < 0 {
		return a.states[at].shorter
	}
	return at
}
