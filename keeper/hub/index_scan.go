package hub

import (
	"math"
	"slices"
)

// look is a query over the index: which rows may be meant. It holds for one
// hold of the index's lock.
type look struct {
	ix       *index
	classOK  []int8 // 0 not asked yet, 1 yes, -1 no
	genOK    []int8
	typesOK  []int8
	resOK    []int8
	byClass  []numbered
	byGen    []test
	byTypes  []test
	byRes    []numbered // number: 0 type, 1 id of a resource
	byTime   []timed
	ids      map[uint64]bool // hashes of the Ids that are wanted, if any are
	complete bool            // the index knows all that is asked for
}

type numbered struct {
	test
	number int
}

type timed struct {
	test
	column []int64
}

func (ix *index) look(p *predicate) *look {
	l := &look{ix: ix, complete: true}
	columns := map[string][]int64{"CreatedAt": ix.created, "UpdatedAt": ix.updated, "FirstObservedAt": ix.first, "LastObservedAt": ix.last}
	for _, t := range p.tests {
		name := t.attribute.name
		if n := slices.Index(classAttributes[:], name); n >= 0 {
			l.byClass = append(l.byClass, numbered{t, n})
			continue
		}
		if column, ok := columns[name]; ok {
			l.byTime = append(l.byTime, timed{t, column})
			continue
		}
		switch name {
		case "GeneratorId":
			l.byGen = append(l.byGen, t)
		case "Type":
			l.byTypes = append(l.byTypes, t)
		case "ResourceType":
			l.byRes = append(l.byRes, numbered{t, 0})
		case "ResourceId":
			l.byRes = append(l.byRes, numbered{t, 1})
		case "Id":
			if x := t.texts; len(x.equals) > 0 && len(x.prefixes) == 0 {
				l.ids = map[uint64]bool{}
				for _, id := range x.equals {
					l.ids[hashID(id)] = true
				}
			}
			l.complete = false
		default:
			l.complete = false
		}
	}
	l.classOK, l.genOK, l.typesOK = make([]int8, len(ix.classes.texts)), make([]int8, len(ix.generators.texts)), make([]int8, len(ix.typeLists.texts))
	l.classOK[0] = -1
	if l.byRes != nil {
		l.resOK = make([]int8, len(ix.resLists.texts))
	}
	return l
}

// may tells whether row i may be meant, and is sure where complete.
func (l *look) may(i int) bool {
	ix := l.ix
	if ok := l.classOK[ix.class[i]]; ok < 0 || ok == 0 && !l.askClass(ix.class[i]) {
		return false
	}
	if l.ids != nil && !l.ids[ix.id[i]] {
		return false
	}
	for _, t := range l.byTime {
		if at := t.column[i]; at == never || !t.holds([]value{{at: at, isTime: true}}) {
			return false
		}
	}
	if l.byGen != nil {
		if ok := l.genOK[ix.generator[i]]; ok < 0 || ok == 0 && !l.askGenerator(ix.generator[i]) {
			return false
		}
	}
	if l.byTypes != nil {
		if ok := l.typesOK[ix.types[i]]; ok < 0 || ok == 0 && !l.askTypes(ix.types[i]) {
			return false
		}
	}
	if l.byRes != nil {
		if ok := l.resOK[ix.resources[i]]; ok < 0 || ok == 0 && !l.askResources(ix.resources[i]) {
			return false
		}
	}
	return true
}

func remember(in []int8, n uint32, holds bool) bool {
	in[n] = -1
	if holds {
		in[n] = 1
	}
	return holds
}

func (l *look) askClass(n uint32) bool {
	class := l.ix.classes.texts[n]
	return remember(l.classOK, n, !slices.ContainsFunc(l.byClass, func(t numbered) bool { return !t.holds(valuesOf(class, t.number)) }))
}

func (l *look) askGenerator(n uint32) bool {
	v := []value{{text: l.ix.generators.texts[n]}}
	return remember(l.genOK, n, !slices.ContainsFunc(l.byGen, func(t test) bool { return !t.holds(v) }))
}

func (l *look) askTypes(n uint32) bool {
	var values []value
	each(l.ix.typeLists.texts[n], func(_ int, text string) { values = append(values, value{text: text}) })
	return remember(l.typesOK, n, !slices.ContainsFunc(l.byTypes, func(t test) bool { return !t.holds(values) }))
}

func (l *look) askResources(n uint32) bool {
	list := l.ix.resLists.texts[n]
	return remember(l.resOK, n, !slices.ContainsFunc(l.byRes, func(t numbered) bool { return !t.texts.holdsEvery(list, t.number) }))
}

// holdsEvery is holds for every second text of a packed list, from the n-th on.
func (x *texts) holdsEvery(packed string, n int) bool {
	meant := !x.positive
	for i := 0; packed != ""; i++ {
		text, rest, ok := unpack(packed)
		if !ok {
			break
		}
		packed = rest
		if i%2 != n {
			continue
		}
		if x.excluded(text) {
			return false
		}
		meant = meant || x.meant(text)
	}
	return meant
}

// order is one the index can sort by by itself: a number a row, ties by seq.
type order struct {
	key  func(i int) int64
	desc bool
}

// place is where a row stands in an order.
type place struct {
	Key int64
	Row int
}

// before tells whether a comes before b.
func (o order) before(a, b place) bool {
	if a.Key != b.Key {
		if a.Key == never || b.Key == never {
			return b.Key == never // what is not said comes last either way
		}
		return a.Key < b.Key != o.desc
	}
	return a.Row != b.Row && a.Row < b.Row != o.desc
}

// top are the first n rows in order that may be meant, after the place after
// (nil: from the beginning). It looks at every row once and keeps the best in
// a heap whose root is the worst: a row that cannot be among them is passed
// over before its resources are looked at.
func (l *look) top(o order, n int, after *place) []place {
	var heap []place
	worse := func(a, b int) bool { return o.before(heap[b], heap[a]) }
	for i := len(l.ix.class) - 1; i >= 0; i-- { // the newest first, as most ask
		if ok := l.classOK[l.ix.class[i]]; ok < 0 {
			continue
		}
		p := place{o.key(i), i}
		if len(heap) == n && !o.before(p, heap[0]) || after != nil && !o.before(*after, p) || !l.may(i) {
			continue
		}
		if len(heap) < n {
			heap = append(heap, p)
			for c := len(heap) - 1; c > 0 && worse(c, (c-1)/2); c = (c - 1) / 2 {
				heap[c], heap[(c-1)/2] = heap[(c-1)/2], heap[c]
			}
			continue
		}
		heap[0] = p
		for c := 0; ; {
			worst := c
			for _, child := range [...]int{2*c + 1, 2*c + 2} {
				if child < n && worse(child, worst) {
					worst = child
				}
			}
			if worst == c {
				break
			}
			heap[c], heap[worst] = heap[worst], heap[c]
			c = worst
		}
	}
	slices.SortFunc(heap, func(a, b place) int {
		switch {
		case o.before(a, b):
			return -1
		case o.before(b, a):
			return 1
		}
		return 0
	})
	return heap
}

// orderBy is the order by an attribute, or not ok where the index does not know it.
func (ix *index) orderBy(attribute string, desc bool) (o order, ok bool) {
	column := func(c []int64) func(int) int64 { return func(i int) int64 { return c[i] } }
	ofClass := func(number func(class string) int64) func(int) int64 {
		known := make([]int64, len(ix.classes.texts))
		for n, text := range ix.classes.texts {
			if n > 0 {
				known[n] = number(text)
			}
		}
		return func(i int) int64 { return known[ix.class[i]] }
	}
	switch attribute {
	case "":
		return order{func(int) int64 { return 0 }, true}, true
	case "CreatedAt":
		return order{column(ix.created), desc}, true
	case "UpdatedAt":
		return order{column(ix.updated), desc}, true
	case "FirstObservedAt":
		return order{column(ix.first), desc}, true
	case "LastObservedAt":
		return order{column(ix.last), desc}, true
	case "SeverityNormalized":
		return order{ofClass(func(c string) int64 { return int64(math.Round(classValue(c, 1).number)) }), desc}, true
	case "SeverityLabel":
		return order{ofClass(func(c string) int64 { return int64(severityRank(classValue(c, 0).text)) }), desc}, true
	}
	return o, false
}
