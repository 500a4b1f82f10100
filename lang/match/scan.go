package match

import (
	"sync"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// A leaf is a text, number or literal of the event at a path that is wanted.
type leaf struct {
	from, to int   // its text within the event, or within scratch.texts where escaped
	path     int32 // number of its path
	spot     int32 // where it stands among the arrays
	next     int32 // the next leaf with the same path, or -1
	kind     kind
	escaped  bool
}

// A spot is a place that leaves share: the event itself, an array, or an
// element of an array. Spots are a tree, kept in the order of the document:
// what lies below one follows it, and so do its leaves. Only spots with leaves
// are kept.
type spot struct {
	end         int32 // the first spot that is not below this one
	first, last int32 // its leaves are leaves[first:last]
	parent      int32
	index       int32 // within the array, or isArray
	depth       int32 // of an array: how many labels of a path lead to it
}

const isArray = -1

// span is the chain of leaves of one path.
type span struct{ first, last int32 }

// scratch is the room in which one event is matched. It is used again and
// again, so that matching allocates nothing.
type scratch struct {
	event []byte
	err   string // what is wrong with the event, at errAt
	errAt int

	texts     []byte // unescaped texts
	leaves    []leaf
	spots     []spot
	chains    []span // of each path that is wanted
	branching bool   // some array has more than one element with leaves

	key    []byte  // room for the key of a number or address
	folded []byte  // room for a folded text
	marks  marks   // what an index has looked at
	hits   []int32 // nodes of an index that match
	choice choice  // room to choose leaves that fit together
}

// maxEvent keeps every index within an int32.
const maxEvent = 1 << 30

// scan reads the whole event, checks it, and keeps the leaves that are wanted.
func (s *scratch) scan(n *names, event []byte) bool {
	s.reset(len(n.ids))
	s.event = event
	s.spots = append(s.spots, spot{parent: -1})
	if len(event) > maxEvent {
		return s.fail(0, "longer than 1 GiB") >= 0
	}
	i := s.space(0)
	if i < len(event) && event[i] != '{' {
		return s.fail(i, "an event is a JSON object") >= 0
	}
	if i = s.value(i, n.root, 0, 0, 1); i < 0 {
		return false
	}
	if i = s.space(i); i < len(event) {
		return s.fail(i, "something follows the event") >= 0
	}
	s.spots[0].end, s.spots[0].last = int32(len(s.spots)), int32(len(s.leaves))
	return true
}

// reset forgets the last event.
func (s *scratch) reset(paths int) {
	for i := range s.leaves {
		s.chains[s.leaves[i].path] = span{-1, -1}
	}
	for len(s.chains) < paths {
		s.chains = append(s.chains, span{-1, -1})
	}
	s.leaves, s.spots, s.texts = s.leaves[:0], s.spots[:0], s.texts[:0]
	s.branching, s.err = false, ""
	s.choice.left = maxSearch
}

// leave goes back to where scratches wait, without holding on to the event.
func (s *scratch) leave(room *sync.Pool) {
	s.event = nil
	room.Put(s)
}

// fail notes what is wrong with the event and where.
func (s *scratch) fail(at int, wrong string) int {
	s.err, s.errAt = wrong, at
	return -1
}

// fault is what is wrong with the event, as an error.
func (s *scratch) fault() error {
	if s.err == "" {
		return nil
	}
	return fault.Invalid.Wrap(diag.Errorf(diag.At("event", s.event, s.errAt), "%s", s.err).In(s.event))
}

// Every function below reads something that begins at event[i], and answers
// the index of what follows it, or -1 when the event is not valid.

// value reads a value; n is what is wanted of it.
func (s *scratch) value(i int, n *name, at, labels int32, depth int) int {
	if i >= len(s.event) {
		return s.fail(i, "the JSON ends too early")
	}
	from := i
	switch c := s.event[i]; c {
	case '{':
		if n.empty() {
			return s.skip(i, depth)
		}
		return s.object(i, n, at, labels, depth)
	case '[':
		return s.array(i, n, at, labels, depth)
	case '"':
		end, escaped := s.text(i)
		if end >= 0 && n.path >= 0 {
			s.keepText(leaf{from: from + 1, to: end - 1, path: n.path, spot: at, kind: '"', escaped: escaped})
		}
		return end
	default:
		end := s.scalar(i)
		if end >= 0 && n.path >= 0 {
			if c == '-' || '0' <= c && c <= '9' {
				c = '0'
			}
			s.keep(leaf{from: from, to: end, path: n.path, spot: at, kind: kind(c)})
		}
		return end
	}
}

func (s *scratch) object(i int, n *name, at, labels int32, depth int) int {
	if depth > maxDepth {
		return s.fail(i, tooDeep)
	}
	i = s.space(i + 1)
	if i < len(s.event) && s.event[i] == '}' {
		return i + 1
	}
	for {
		from := i
		end, escaped := s.label(i)
		if end < 0 {
			return -1
		}
		label := s.event[from+1 : end-1]
		if escaped {
			start := len(s.texts)
			s.texts = appendUnescaped(s.texts, label)
			label = s.texts[start:]
		}
		if i = s.colon(end); i < 0 {
			return -1
		}
		if c := n.find(label); c != nil {
			i = s.value(i, c, at, labels+1+dots(label), depth+1)
		} else {
			i = s.skip(i, depth+1)
		}
		if i < 0 {
			return -1
		}
		if i = s.space(i); i < len(s.event) && s.event[i] == '}' {
			return i + 1
		}
		if i = s.comma(i, noMember); i < 0 {
			return -1
		}
	}
}

func (s *scratch) array(i int, n *name, at, labels int32, depth int) int {
	if depth > maxDepth {
		return s.fail(i, tooDeep)
	}
	i = s.space(i + 1)
	if i < len(s.event) && s.event[i] == ']' {
		return i + 1
	}
	array := s.open(spot{parent: at, index: isArray, depth: labels})
	kept := 0
	for k := int32(0); ; k++ {
		element := s.open(spot{parent: array, index: k})
		if i = s.value(i, n, element, labels, depth+1); i < 0 {
			return -1
		}
		if s.close(element) {
			kept++
		}
		if i = s.space(i); i < len(s.event) && s.event[i] == ']' {
			break
		}
		if i = s.comma(i, noElement); i < 0 {
			return -1
		}
	}
	s.close(array)
	s.branching = s.branching || kept > 1
	return i + 1
}

// open begins a spot.
func (s *scratch) open(p spot) int32 {
	p.first = int32(len(s.leaves))
	s.spots = append(s.spots, p)
	return int32(len(s.spots) - 1)
}

// close ends a spot, and drops it if it has no leaves.
func (s *scratch) close(at int32) bool {
	p := &s.spots[at]
	if p.last = int32(len(s.leaves)); p.first == p.last {
		s.spots = s.spots[:at]
		return false
	}
	p.end = int32(len(s.spots))
	return true
}

func (s *scratch) keepText(l leaf) {
	if l.escaped {
		raw := s.event[l.from:l.to]
		l.from = len(s.texts)
		s.texts = appendUnescaped(s.texts, raw)
		l.to = len(s.texts)
	}
	s.keep(l)
}

func (s *scratch) keep(l leaf) {
	i := int32(len(s.leaves))
	l.next = -1
	s.leaves = append(s.leaves, l)
	chain := &s.chains[l.path]
	if chain.first < 0 {
		chain.first = i
	} else {
		s.leaves[chain.last].next = i
	}
	chain.last = i
}

// value is what a leaf holds.
func (s *scratch) valueOf(l *leaf) value {
	if l.escaped {
		return value{l.kind, s.texts[l.from:l.to]}
	}
	return value{l.kind, s.event[l.from:l.to]}
}

func dots(label []byte) (n int32) {
	for _, c := range label {
		if c == '.' {
			n++
		}
	}
	return n
}
