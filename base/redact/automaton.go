package redact

// automaton finds every pattern of a set in one pass (Aho and Corasick), stepping
// over line breaks. Text that holds no secret keeps to the states near the
// root: these have a row with the next state for every byte; the others, nearly all of which have one
// child, have a list of their children. Thus a long secret takes 20 bytes a state, and not a kilobyte.
type automaton struct {
	class [256]uint8
	shift uint     // a row has 1<<shift entries
	rows  []uint32 // next states of the first states
	dense uint32   // how many states have a row
	nodes []node
}

type node struct {
	child, sibling uint32 // 0 is none: the root is nobody's child
	fail           uint32 // the state of the longest suffix that is a state
	depth          uint32 // letters since the root
	match          uint32 // length of the longest pattern that ends here
	letter         byte
}

const mostDense = 16 << 10 // states that may have a row

func newAutomaton(patterns [][]byte) *automaton {
	a := &automaton{}
	a.classes(patterns)
	a.trie(patterns)
	a.sort()
	a.link()
	return a
}

// classes numbers the bytes that occur in patterns. 0 is all the others.
func (a *automaton) classes(patterns [][]byte) {
	n := 0
	for _, p := range patterns {
		for _, c := range p {
			if a.class[c] == 0 { // at most 254: line breaks are not among them
				n++
				a.class[c] = uint8(n)
			}
		}
	}
	for 1<<a.shift < n+2 { // and one for line breaks
		a.shift++
	}
	a.class['\n'], a.class['\r'] = uint8(n+1), uint8(n+1)
}

func (a *automaton) trie(patterns [][]byte) {
	a.nodes = make([]node, 1, 1+len(patterns)*8)
	for _, p := range patterns {
		at := uint32(0)
		for _, c := range p {
			next := a.childOf(at, c)
			if next == 0 {
				next = uint32(len(a.nodes))
				a.nodes = append(a.nodes, node{letter: c, sibling: a.nodes[at].child, depth: a.nodes[at].depth + 1})
				a.nodes[at].child = next
			}
			at = next
		}
		a.nodes[at].match = uint32(len(p))
	}
}

func (a *automaton) childOf(at uint32, c byte) uint32 {
	for i := a.nodes[at].child; i != 0; i = a.nodes[i].sibling {
		if a.nodes[i].letter == c {
			return i
		}
	}
	return 0
}

// sort numbers the states by depth, and decides which have a row: all of a
// depth or none. No state with a row is the end of a pattern.
func (a *automaton) sort() {
	order := make([]uint32, 1, len(a.nodes))
	number := make([]uint32, len(a.nodes))
	for i := 0; i < len(order); i++ {
		number[order[i]] = uint32(i)
		for c := a.nodes[order[i]].child; c != 0; c = a.nodes[c].sibling {
			order = append(order, c)
		}
	}
	sorted := make([]node, len(a.nodes))
	for i, old := range order {
		n := a.nodes[old]
		n.child, n.sibling = number[n.child], number[n.sibling]
		sorted[i] = n
	}
	a.nodes = sorted
	for depth := range uint32(Shortest) {
		n := a.dense
		for n < uint32(len(a.nodes)) && a.nodes[n].depth <= depth {
			n++
		}
		if n > mostDense && depth > 0 {
			break
		}
		a.dense = n
	}
	a.rows = make([]uint32, int(a.dense)<<a.shift)
}

// link finds the state that each falls back to, and fills the rows. What a
// state needs of others is of less depth, and done.
func (a *automaton) link() {
	for at := range uint32(len(a.nodes)) {
		n := &a.nodes[at]
		n.match = max(n.match, a.nodes[n.fail].match)
		if at < a.dense {
			row := a.rows[int(at)<<a.shift : int(at+1)<<a.shift]
			copy(row, a.rows[int(n.fail)<<a.shift:int(n.fail+1)<<a.shift])
			row[a.class['\n']] = at
		}
		for c := n.child; c != 0; c = a.nodes[c].sibling {
			letter := a.nodes[c].letter
			if at > 0 {
				a.nodes[c].fail = a.step(n.fail, letter)
			}
			if at < a.dense {
				a.rows[int(at)<<a.shift|int(a.class[letter])] = c
			}
		}
	}
}

// step is the state after c.
func (a *automaton) step(at uint32, c byte) uint32 {
	if c == '\n' || c == '\r' {
		return at
	}
	for at >= a.dense {
		if next := a.childOf(at, c); next != 0 {
			return next
		}
		at = a.nodes[at].fail
	}
	return a.rows[int(at)<<a.shift|int(a.class[c])]
}
