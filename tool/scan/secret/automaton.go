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
}

// build makes the automaton of words, which are in lower case and not empty.
// It has room for 65,535 states: some five thousand words.
func build(words []string) *automaton {
	a := &automaton{width: 1} // class 0: in no word
	for _, w := range words {
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

// each calls found for every word and the offset where it ends.
func (a *automaton) each(text []byte, found func(word, end int)) {
	state, next, width := uint16(0), a.next, a.width
	for i, c := range text {
		state = next[uint32(state)*width+uint32(a.class[c])]
		if state >= a.accept {
			for _, word := range a.ends[state-a.accept] {
				found(word, i+1)
			}
		}
	}
}
