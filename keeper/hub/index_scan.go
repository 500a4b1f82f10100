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
	few      int             // one of how many rows is meant, or fewer; 0 if none is
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
	for _, t := range p.tests {
		name := t.attribute.name
		if n := slices.Index(classAttributes[:], name); n >= 0 {
			l.byClass = append(l.byClass, numbered{t, n})
			continue
		}
		if n := slices.Index(timeAttributes[:], name); n >= 0 {
			l.byTime = append(l.byTime, timed{t, ix.times[n]})
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
		l.resOK = ix.notes(len(ix.resLists.texts))
	}
	l.few = l.narrow()
	return l
}

// notes is a list of n zeros, if possible one that is no longer needed: there is a byte for each of a million resources.
func (ix *index) notes(n int) []int8 {
	if old, ok := ix.spare.Get().(*[]int8); ok && cap(*old) >= n {
		clear((*old)[:n])
		return (*old)[:n]
	}
	return make([]int8, n, n+n/8)
}

// done gives back what the look needed. It must not be asked afterwards.
func (l *look) done() {
	if l.resOK != nil {
		l.ix.spare.Put(&l.resOK)
	}
}

// narrow rules out what can be ruled out without looking at rows, and guesses
// of how many rows one is then still meant: 0 if none can be.
func (l *look) narrow() int {
	const most = 2000 // classes, beyond which it is quicker to ask those that are met
	ix, one := l.ix, 1
	if l.byClass != nil && len(ix.classes.texts) <= most {
		rows := 0
		for n := 1; n < len(ix.classes.texts); n++ {
			if ix.classRows[n] > 0 && l.askClass(uint32(n)) {
				rows += ix.classRows[n]
			}
		}
		if rows == 0 {
			return 0
		}
		one = len(ix.class) / rows
	}
	for _, t := range l.byRes {
		if t.number == 1 {
			left := ix.ids.narrow(t.texts, l.resOK)
			if left == 0 {
				return 0
			}
			one *= max(1, len(l.resOK)/left)
		}
	}
	return max(1, one)
}

// may tells whether row i may be meant, and is sure where complete.
func (l *look) may(i int) bool {
	ix := l.ix
	if ok := l.classOK[ix.class[i]]; ok < 0 || ok == 0 && !l.askClass(ix.class[i]) {
		return false
	}
	if l.ids != nil && !l.ids[ix.id[i]] || l.byRes != nil && l.resOK[ix.resources[i]] < 0 {
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
	return l.byRes == nil || l.resOK[ix.resources[i]] > 0 || l.resOK[ix.resources[i]] == 0 && l.askResources(ix.resources[i])
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
	key    func(i int) int64
	desc   bool
	ranked *ranking // the rows in this order, where that is kept
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

func (o order) compare(a, b place) int {
	switch {
	case o.before(a, b):
		return -1
	case o.before(b, a):
		return 1
	}
	return 0
}

// top are the first n rows in order that may be meant, after the place after
// (nil: from the beginning). Where the rows are kept in order it walks along
// them until it has enough; where few are meant that would be a long walk, and
// it looks at every row once instead.
func (l *look) top(o order, n int, after *place) []place {
	if l.few == 0 {
		return nil
	}
	if o.ranked != nil && l.few*n < 8*walkable { // conditions that go together leave more than is guessed
		if list, ok := l.walk(o, n, after); ok {
			return list
		}
	}
	return l.all(o, n, after)
}

// all is top by a look at every row.
func (l *look) all(o order, n int, after *place) []place {
	best := best{look: l, order: o, n: n, after: after}
	classes, resources := l.ix.class, l.ix.resources
	for i := len(classes) - 1; i >= 0; i-- { // the newest first, as most ask
		if l.classOK[classes[i]] >= 0 && (l.byRes == nil || l.resOK[resources[i]] >= 0) {
			best.offer(i)
		}
	}
	return best.sorted()
}

// topOf is top of only these rows.
func (l *look) topOf(rows []int, o order, n int, after *place) []place {
	best := best{look: l, order: o, n: n, after: after}
	for _, i := range rows {
		if i < len(l.ix.class) {
			best.offer(i)
		}
	}
	return best.sorted()
}

// walkable is how many steps along the order are quicker than a look at each of a million rows.
const walkable = 50_000

// walk is top along the rows that are kept in order, beside those that have
// changed since; not ok where it got long.
func (l *look) walk(o order, n int, after *place) (list []place, ok bool) {
	steps := 0
	for p := range o.ranked.from(o, after) {
		if steps++; steps > walkable {
			return nil, false
		}
		if (after == nil || o.before(*after, p)) && l.may(p.Row) {
			if list = append(list, p); len(list) == n {
				break
			}
		}
	}
	changed := best{look: l, order: o, n: n, after: after}
	for _, i := range o.ranked.changed {
		changed.offer(int(i))
	}
	if len(changed.heap) == 0 {
		return list, true
	}
	list = append(list, changed.heap...)
	slices.SortFunc(list, o.compare)
	return list[:min(n, len(list))], true
}

// best keeps the first n of the rows it is offered, in a heap whose root is
// the last of them: a row that cannot be among them is passed over before its
// resources are looked at.
type best struct {
	look  *look
	order order
	n     int
	after *place
	heap  []place
}

func (b *best) offer(i int) {
	p := place{b.order.key(i), i}
	if len(b.heap) == b.n && !b.order.before(p, b.heap[0]) || b.after != nil && !b.order.before(*b.after, p) || !b.look.may(i) {
		return
	}
	if len(b.heap) < b.n {
		b.heap = append(b.heap, p)
		for c := len(b.heap) - 1; c > 0 && b.worse(c, (c-1)/2); c = (c - 1) / 2 {
			b.heap[c], b.heap[(c-1)/2] = b.heap[(c-1)/2], b.heap[c]
		}
		return
	}
	b.heap[0] = p
	for c := 0; ; {
		worst := c
		for _, child := range [...]int{2*c + 1, 2*c + 2} {
			if child < b.n && b.worse(child, worst) {
				worst = child
			}
		}
		if worst == c {
			return
		}
		b.heap[c], b.heap[worst] = b.heap[worst], b.heap[c]
		c = worst
	}
}

func (b *best) worse(x, y int) bool { return b.order.before(b.heap[y], b.heap[x]) }

func (b *best) sorted() []place {
	slices.SortFunc(b.heap, b.order.compare)
	return b.heap
}

// orderBy is the order by an attribute, or not ok where the index does not know it.
func (ix *index) orderBy(attribute string, desc bool) (o order, ok bool) {
	for c, name := range timeAttributes {
		if name == attribute {
			column := ix.times[c]
			return order{key: func(i int) int64 { return column[i] }, desc: desc, ranked: ix.rankings[c].ready()}, true
		}
	}
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
		return order{key: func(int) int64 { return 0 }, desc: true, ranked: &ranking{natural: len(ix.class)}}, true
	case "SeverityNormalized":
		return order{key: ofClass(func(c string) int64 { return int64(math.Round(classValue(c, 1).number)) }), desc: desc}, true
	case "SeverityLabel":
		return order{key: ofClass(func(c string) int64 { return int64(severityRank(classValue(c, 0).text)) }), desc: desc}, true
	}
	return o, false
}
