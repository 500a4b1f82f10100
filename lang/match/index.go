package match

// index finds, among many patterns, those that an event matches. Each branch
// of each pattern is filed under atoms of one of its clauses, the one that
// fewest branches share, so that few candidates come up for an event; these
// are then verified.
type index struct {
	shelves  []*shelf // by path
	always   posting  // branches that an event without any wanted leaf may match
	postings []posting
	filed    []int32 // branches, those of one posting together
	branches []filedBranch
	nodes    []posting // of each distinct pattern: its rules
}

// posting is a part of a slice: [first:last].
type posting struct{ first, last int32 }

type filedBranch struct {
	node  int32
	mates bool // the pattern has other branches
	conds []cond
}

// shelf is what is filed under one path.
type shelf struct {
	tables [tableKinds]*table
	pieces *automaton // texts that must occur somewhere
	any    int32      // the posting of what any leaf may meet, or -1
	folds  bool       // a table wants the text folded
}

// table is what is filed under texts, or other keys, of one kind.
type table struct {
	lengths  []int // of the keys, ascending; for prefixes and suffixes
	postings map[string]int32
}

// find appends to s.hits, which it answers, the nodes that match what was scanned.
func (x *index) find(s *scratch) []int32 {
	s.hits = s.hits[:0]
	s.marks.next(len(x.postings), len(x.branches), len(x.nodes))
	for _, b := range x.filed[x.always.first:x.always.last] {
		x.verify(s, b)
	}
	for i := range s.leaves {
		l := &s.leaves[i]
		if int(l.path) >= len(x.shelves) {
			continue
		}
		if h := x.shelves[l.path]; h != nil {
			x.ask(s, h, s.valueOf(l))
		}
	}
	return s.hits
}

// ask verifies what is filed under the atoms of one leaf.
func (x *index) ask(s *scratch, h *shelf, v value) {
	if h.any >= 0 {
		x.open(s, h.any)
	}
	switch v.kind {
	case '"':
		x.askText(s, h, v.text)
	case '0':
		if t := h.tables[numbers]; t != nil {
			n, b := appendNumber(s.key[:0], v.text)
			mark := len(b)
			s.key = n.appendKey(b)
			x.lookUp(s, t, s.key[mark:])
		}
	default:
		if t := h.tables[literals]; t != nil {
			x.lookUp(s, t, v.text[:1])
		}
	}
}

func (x *index) askText(s *scratch, h *shelf, text []byte) {
	x.askTables(s, h.tables[texts:], text)
	if h.folds {
		s.folded = appendFold(s.folded[:0], text)
		x.askTables(s, h.tables[foldedTexts:], s.folded)
	}
	if t := h.tables[addresses]; t != nil {
		if a, ok := address(text); ok {
			b := a.As16()
			s.key = append(s.key[:0], b[:]...)
			x.lookUp(s, t, s.key)
		}
	}
	if h.pieces != nil {
		h.pieces.run(x, s, text)
	}
}

// askTables asks the first three tables: for the whole text, its prefixes and its suffixes.
func (x *index) askTables(s *scratch, tables []*table, text []byte) {
	if t := tables[0]; t != nil {
		x.lookUp(s, t, text)
	}
	if t := tables[1]; t != nil {
		for _, n := range t.lengths {
			if n > len(text) {
				break
			}
			x.lookUp(s, t, text[:n])
		}
	}
	if t := tables[2]; t != nil {
		for _, n := range t.lengths {
			if n > len(text) {
				break
			}
			x.lookUp(s, t, text[len(text)-n:])
		}
	}
}

func (x *index) lookUp(s *scratch, t *table, key []byte) {
	if p, ok := t.postings[string(key)]; ok {
		x.open(s, p)
	}
}

// open verifies the branches of a posting, unless that was done for this event.
func (x *index) open(s *scratch, p int32) {
	if s.marks.mark(int(p)) {
		return
	}
	list := x.postings[p]
	for _, b := range x.filed[list.first:list.last] {
		x.verify(s, b)
	}
}

func (x *index) verify(s *scratch, b int32) {
	f := &x.branches[b]
	if s.marks.mark(len(x.postings) + int(b)) {
		return
	}
	node := len(x.postings) + len(x.branches) + int(f.node)
	if f.mates && s.marks.marked(node) || !s.meets(f.conds) {
		return
	}
	if f.mates {
		s.marks.mark(node)
	}
	s.hits = append(s.hits, f.node)
}

// marks tells what was marked since the last call of next.
type marks struct {
	epoch uint32
	in    []uint32 // the epoch in which each was marked
}

// next forgets all marks and makes room for as many as the numbers say together.
func (m *marks) next(counts ...int) {
	n := 0
	for _, c := range counts {
		n += c
	}
	if m.epoch++; m.epoch == 0 {
		clear(m.in[:cap(m.in)])
		m.epoch = 1
	}
	if n > cap(m.in) {
		m.in = make([]uint32, n)
	}
	m.in = m.in[:n]
}

func (m *marks) marked(i int) bool { return m.in[i] == m.epoch }

// mark marks i and tells whether it was marked before.
func (m *marks) mark(i int) bool {
	if m.in[i] == m.epoch {
		return true
	}
	m.in[i] = m.epoch
	return false
}
