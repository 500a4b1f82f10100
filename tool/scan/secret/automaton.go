package secret

// automaton finds all words of a set in one pass over a text (Aho and
// Corasick), whatever the case of ASCII letters. States that complete a word
// have the highest numbers, so that the loop asks one question a byte.
type automaton struct {
	class  [256]uint8
	width  uint32   // classes
	next   []uint16 // state*width + class
	accept uint16   // the first state that completes a word
	ends   [][]int  // by state - accept: the words that end here

	longest int // bytes of a word
}

// build makes the automaton of words, which are in lower case and not empty.
// It has room for 65,535 states: some five thousand words.
func build(words []string) *automaton {
	a := &automaton{width: 1} // class 0: in no word
	for _, w := range words {
		a.longest = max(a.longest, len(w))
		for i := range len(w) {
			if a.class[w[i]] == 0 {
				a.class[w[i]] = uint8(a.width)
				a.width++
			}
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		a.class[c-'a'+'A'] = a.class[c]
	}
	t := newTrie(a, words)
	t.link()
	t.number(a)
	return a
}

// trie is the automaton while it is made.
type trie struct {
	width int
	next  []int // -1: none yet
	ends  [][]int
	order []int // states, the nearest to the root first
}

func newTrie(a *automaton, words []string) *trie {
	t := &trie{width: int(a.width)}
	letters := 1
	for _, w := range words {
		letters += len(w)
	}
	t.next, t.ends = make([]int, 0, letters*t.width), make([][]int, 0, letters)
	t.state()
	for i, w := range words {
		s := 0
		for j := range len(w) {
			c := int(a.class[w[j]])
			if t.next[s*t.width+c] < 0 {
				t.next[s*t.width+c] = t.state()
			}
			s = t.next[s*t.width+c]
		}
		t.ends[s] = append(t.ends[s], i)
	}
	return t
}

func (t *trie) state() int {
	for range t.width {
		t.next = append(t.next, -1)
	}
	t.ends = append(t.ends, nil)
	return len(t.ends) - 1
}

// link completes every state with where to go on when its own words end.
func (t *trie) link() {
	fail := make([]int, len(t.ends))
	t.order = []int{0}
	for i := 0; i < len(t.order); i++ {
		s := t.order[i]
		for c := range t.width {
			to, back := t.next[s*t.width+c], 0
			if s != 0 {
				back = t.next[fail[s]*t.width+c]
			}
			if to < 0 {
				t.next[s*t.width+c] = back
				continue
			}
			fail[to] = back
			t.ends[to] = append(t.ends[to], t.ends[back]...)
			t.order = append(t.order, to)
		}
	}
}

// number gives the states that complete a word the highest numbers.
func (t *trie) number(a *automaton) {
	names, n := make([]uint16, len(t.ends)), uint16(0)
	for _, accepting := range []bool{false, true} {
		if accepting {
			a.accept = n
		}
		for _, s := range t.order {
			if (len(t.ends[s]) > 0) == accepting {
				names[s] = n
				n++
			}
		}
	}
	a.next = make([]uint16, len(t.next))
	a.ends = make([][]int, n-a.accept)
	for s, name := range names {
		for c := range t.width {
			a.next[int(name)*t.width+c] = names[t.next[s*t.width+c]]
		}
		if name >= a.accept {
			a.ends[name-a.accept] = t.ends[s]
		}
	}
}

// A byte's state is known once that of the byte before is, so a processor waits for its memory at each of
// them. Four places of a text are walked at once: it waits for all of them together.
const (
	lanes = 4
	lane  = 4 << 10 // bytes
)

// stop is a state that completes a word, and where.
type stop struct {
	state uint16
	end   int32 // in the lane
}

// each calls found for every word and the offset where it ends, in the order of these.
func (a *automaton) each(text []byte, found func(word, end int)) {
	state, at := uint16(0), 0
	var room [lanes][32]stop
	var stops [lanes][]stop
	for i := range stops {
		stops[i] = room[i][:0]
	}
	for shortest := max(a.longest, 64); len(text)-at >= lanes*shortest; {
		n := min((len(text)-at)/lanes, max(lane, shortest))
		state = a.walk(text[at:at+lanes*n], n, state, &stops)
		for i := range stops {
			for _, s := range stops[i] {
				for _, word := range a.ends[s.state-a.accept] {
					found(word, at+i*n+int(s.end))
				}
			}
		}
		at += lanes * n
	}
	for i, c := range text[at:] {
		state = a.next[uint32(state)*a.width+uint32(a.class[c])]
		if state >= a.accept {
			for _, word := range a.ends[state-a.accept] {
				found(word, at+i+1)
			}
		}
	}
}

// walk walks the lanes of n bytes, beginning in a state, and gives the state at their end. Where
// a lane begins within a word, what stands before it, as long as the longest of them, leads to its state.
func (a *automaton) walk(text []byte, n int, state uint16, stops *[lanes][]stop) uint16 {
	states := [lanes]uint16{state}
	for i := 1; i < lanes; i++ {
		for _, c := range text[i*n-a.longest : i*n] {
			states[i] = a.next[uint32(states[i])*a.width+uint32(a.class[c])]
		}
	}
	next, width, accept := a.next, a.width, a.accept
	s0, s1, s2, s3 := states[0], states[1], states[2], states[3]
	t0, t1, t2, t3 := text[:n], text[n:2*n], text[2*n:3*n], text[3*n:4*n]
	for i := range stops {
		stops[i] = stops[i][:0]
	}
	for i := range n {
		s0 = next[uint32(s0)*width+uint32(a.class[t0[i]])]
		s1 = next[uint32(s1)*width+uint32(a.class[t1[i]])]
		s2 = next[uint32(s2)*width+uint32(a.class[t2[i]])]
		s3 = next[uint32(s3)*width+uint32(a.class[t3[i]])]
		if s0 >= accept {
			stops[0] = append(stops[0], stop{s0, int32(i + 1)})
		}
		if s1 >= accept {
			stops[1] = append(stops[1], stop{s1, int32(i + 1)})
		}
		if s2 >= accept {
			stops[2] = append(stops[2], stop{s2, int32(i + 1)})
		}
		if s3 >= accept {
			stops[3] = append(stops[3], stop{s3, int32(i + 1)})
		}
	}
	return s3
}
