package match

import (
	"encoding/binary"
	"slices"
)

// newIndex indexes patterns. The order says which of them are the rules of the
// nodes: the rules of node n are order[nodes[n].first:nodes[n].last].
func newIndex(n *names, patterns []*Pattern) (x *index, order []int32) {
	x = &index{}
	distinct, order := x.makeNodes(patterns)
	for node, p := range distinct {
		for _, b := range p.branches {
			x.branches = append(x.branches, filedBranch{int32(node), len(p.branches) > 1, n.conds(b)})
		}
	}
	x.branches = slices.Clip(x.branches)
	f := filing{counts: map[atom]int32{}, places: map[atom]int32{}}
	for i := range x.branches {
		f.count(x.branches[i].conds)
	}
	for i := range x.branches {
		f.file(int32(i), x.branches[i].conds)
	}
	f.shelve(x)
	return x, order
}

// makeNodes gives every distinct pattern a node, and lays the rules of each together.
func (x *index) makeNodes(patterns []*Pattern) (distinct []*Pattern, order []int32) {
	nodeOf := make([]int32, len(patterns))
	known := map[string]int32{}
	var key []byte
	for i, p := range patterns {
		key = p.appendKey(key[:0])
		node, ok := known[string(key)]
		if !ok {
			node = int32(len(distinct))
			known[string(key)] = node
			distinct = append(distinct, p)
		}
		nodeOf[i] = node
	}
	lists := group(len(distinct), nodeOf)
	x.nodes, order = lists.postings, lists.members
	return distinct, order
}

// grouped are the members of groups, those of one group together.
type grouped struct {
	postings []posting
	members  []int32
}

// group sorts members 0, 1, 2… into the groups that groupOf says.
func group(groups int, groupOf []int32) grouped {
	g := grouped{make([]posting, groups), make([]int32, len(groupOf))}
	for _, k := range groupOf {
		g.postings[k].last++
	}
	at := int32(0)
	for k := range g.postings {
		n := g.postings[k].last
		g.postings[k] = posting{at, at}
		at += n
	}
	for i, k := range groupOf {
		g.members[g.postings[k].last] = int32(i)
		g.postings[k].last++
	}
	return g
}

// filing decides where each branch is filed.
type filing struct {
	counts map[atom]int32 // how many branches have the atom in a clause
	places map[atom]int32 // the posting of an atom
	atoms  []atom         // by posting
	filed  []int32        // pairs of posting and branch
	always []int32
}

// clauseAtoms appends the atoms of a clause, one of which is there whenever
// the clause is met; there are none if it may be met without a leaf.
func clauseAtoms(atoms []atom, c cond) []atom {
	if c.lacks {
		return atoms
	}
	start := len(atoms)
	for i := range c.list {
		a, ok := c.list[i].atom(c.path)
		if !ok {
			return append(atoms[:start], atom{path: c.path, kind: anyLeaf})
		}
		atoms = append(atoms, a)
	}
	return atoms
}

func (f *filing) count(conds []cond) {
	var room [16]atom
	for _, c := range conds {
		for _, a := range clauseAtoms(room[:0], c) {
			f.counts[a]++
		}
	}
}

// file files a branch under the clause with the rarest atoms; of equal ones
// under that with the longest keys.
func (f *filing) file(b int32, conds []cond) {
	var room [16]atom
	var best []atom
	var bestCost int64
	for _, c := range conds {
		atoms := clauseAtoms(room[:0], c)
		if len(atoms) == 0 {
			continue
		}
		if cost := f.cost(atoms); best == nil || cost < bestCost {
			best, bestCost = slices.Clone(atoms), cost
		}
	}
	if best == nil {
		f.always = append(f.always, b)
	}
	for _, a := range best {
		p, ok := f.places[a]
		if !ok {
			p = int32(len(f.atoms))
			f.places[a] = p
			f.atoms = append(f.atoms, a)
		}
		f.filed = append(f.filed, p, b)
	}
}

func (f *filing) cost(atoms []atom) (cost int64) {
	for _, a := range atoms {
		cost += int64(f.counts[a])<<8 - int64(len(a.key))
		if a.kind == anyLeaf {
			cost += 1 << 40
		}
	}
	return cost
}

// shelve lays out the index.
func (f *filing) shelve(x *index) {
	placeOf := make([]int32, len(f.filed)/2)
	for i := range placeOf {
		placeOf[i] = f.filed[2*i]
	}
	lists := group(len(f.atoms), placeOf)
	x.postings = lists.postings
	x.filed = make([]int32, 0, len(lists.members)+len(f.always))
	for _, i := range lists.members {
		x.filed = append(x.filed, f.filed[2*i+1])
	}
	x.always = posting{int32(len(x.filed)), int32(len(x.filed) + len(f.always))}
	x.filed = append(x.filed, f.always...)
	for p, a := range f.atoms {
		x.shelf(a.path).put(a, int32(p))
	}
	for _, h := range x.shelves {
		if h != nil {
			h.finish()
		}
	}
}

func (x *index) shelf(path int32) *shelf {
	for int(path) >= len(x.shelves) {
		x.shelves = append(x.shelves, nil)
	}
	if x.shelves[path] == nil {
		x.shelves[path] = &shelf{any: -1}
	}
	return x.shelves[path]
}

func (h *shelf) put(a atom, p int32) {
	switch a.kind {
	case anyLeaf:
		h.any = p
		return
	case pieces:
		if h.pieces == nil {
			h.pieces = newAutomaton()
		}
		h.pieces.add(a.key, p)
		return
	case foldedTexts, foldedPrefixes, foldedSuffixes:
		h.folds = true
	}
	t := h.tables[a.kind]
	if t == nil {
		t = &table{postings: map[string]int32{}}
		h.tables[a.kind] = t
	}
	t.postings[a.key] = p
}

// finish makes what can only be made when everything is there.
func (h *shelf) finish() {
	for _, t := range h.tables {
		if t == nil {
			continue
		}
		var have [longestKey + 1]bool
		for key := range t.postings {
			if n := len(key); n <= longestKey && !have[n] {
				have[n] = true
				t.lengths = append(t.lengths, n)
			}
		}
		slices.Sort(t.lengths)
	}
	if h.pieces != nil {
		h.pieces.link()
	}
}

// appendKey appends bytes that are the same only for patterns that say the same.
func (p *Pattern) appendKey(b []byte) []byte {
	for _, br := range p.branches {
		b = append(b, 'b')
		for _, c := range br {
			b = appendText(append(b, 'c'), c.path)
			b = appendTests(b, c.list)
		}
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTests(b []byte, tests []test) []byte {
	b = binary.AppendUvarint(b, uint64(len(tests)))
	for _, t := range tests {
		switch b = append(b, byte(t.op)); t.op {
		case opNumber:
			b = appendText(b, string(t.arg.low.appendKey(nil)))
		case opRange:
			b = append(b, byte(t.arg.bounds))
			b = appendText(b, string(t.arg.low.appendKey(nil)))
			b = appendText(b, string(t.arg.high.appendKey(nil)))
		case opAnythingBut:
			b = appendTests(b, t.of.list)
		default:
			b = appendText(b, t.text)
		}
	}
	return b
}
