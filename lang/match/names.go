package match

import (
	"bytes"
	"maps"
	"strings"
)

// name is a node of the trie of wanted names: what is wanted of a value that
// the scan has reached.
type name struct {
	path int32  // the number of the path that ends here, or -1
	mask uint64 // a bit for each child by its label, to turn most names away at once
	dots uint64 // the same by first byte, of the children that have children
	few  []child
	many map[string]*name // instead of few, when there are more than that
}

type child struct {
	label string
	node  *name
}

const fewChildren = 8

// begins is the bit of a label in name.dots.
func begins[T string | []byte](label T) uint64 { return 1 << (label[0] & 63) }

// bit is the bit of a label in name.mask.
func bit(label []byte) uint64 {
	n := len(label)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n) + 3*uint(label[0]) + 5*uint(label[n-1])) & 63)
}

// empty tells that nothing is wanted below the node.
func (n *name) empty() bool { return n.mask == 0 }

// find is the node that a member of an object leads to, or nil. A name with
// dots leads as deep as it has parts.
func (n *name) find(label []byte) *name {
	if n.mask&bit(label) != 0 {
		if c := n.child(label); c != nil {
			return c
		}
	}
	if len(label) == 0 || n.dots&begins(label) == 0 {
		return nil
	}
	return n.dotted(label)
}

func (n *name) dotted(label []byte) *name {
	dot := bytes.IndexByte(label, '.')
	if dot < 0 {
		return nil
	}
	for n != nil && dot >= 0 {
		n, label = n.child(label[:dot]), label[dot+1:]
		dot = bytes.IndexByte(label, '.')
	}
	if n == nil {
		return nil
	}
	return n.child(label)
}

func (n *name) child(label []byte) *name {
	if n.many != nil {
		return n.many[string(label)]
	}
	for i := range n.few {
		if n.few[i].label == string(label) {
			return n.few[i].node
		}
	}
	return nil
}

// grow is child, made where it is missing.
func (n *name) grow(label string) *name {
	if c := n.child([]byte(label)); c != nil {
		return c
	}
	c := &name{path: -1}
	n.mask |= bit([]byte(label))
	switch {
	case n.many != nil:
		n.many[label] = c
	case len(n.few) < fewChildren:
		n.few = append(n.few, child{label, c})
	default:
		n.many = map[string]*name{label: c}
		for _, old := range n.few {
			n.many[old.label] = old.node
		}
		n.few = nil
	}
	return c
}

// clone copies the node and all below it.
func (n *name) clone() *name {
	c := *n
	c.few = make([]child, len(n.few))
	for i, old := range n.few {
		c.few[i] = child{old.label, old.node.clone()}
	}
	if n.many != nil {
		c.many = make(map[string]*name, len(n.many))
		for label, node := range n.many {
			c.many[label] = node.clone()
		}
	}
	return &c
}

// names are the paths that some patterns want, numbered, and their trie.
// Once made they do not change.
type names struct {
	root *name
	ids  map[string]int32
	base int // how many paths there were when all rules were indexed together
}

// with adds the paths of branches; where none is new it is n itself.
func (n *names) with(patterns []*Pattern) *names {
	fresh := n
	for _, p := range patterns {
		for _, b := range p.branches {
			for _, c := range b {
				if _, ok := fresh.ids[c.path]; ok {
					continue
				}
				if fresh == n {
					fresh = &names{n.root.clone(), maps.Clone(n.ids), n.base}
				}
				fresh.add(c.path)
			}
		}
	}
	return fresh
}

func (n *names) add(path string) {
	at := n.root
	labels := strings.Split(path[1:], ".")
	for i, label := range labels {
		if i+1 < len(labels) {
			at.dots |= begins(label + ".")
		}
		at = at.grow(label)
	}
	at.path = int32(len(n.ids))
	n.ids[path] = at.path
}

// stale tells that so many paths were added since that those of rules that are
// gone may be most of them.
func (n *names) stale() bool { return len(n.ids) > 2*n.base+1000 }

func noNames() *names {
	return &names{root: &name{path: -1}, ids: map[string]int32{}}
}
