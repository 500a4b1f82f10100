package hub

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
)

// ranking keeps the rows in the order of one of their times, so that a query
// that wants the latest need not look at them all. What changes is put aside,
// and from time to time absorbed. Its zero value keeps nothing.
type ranking struct {
	wanted  atomic.Bool // somebody asked for this order
	keys    []int64     // ascending, as they were when they were absorbed
	sorted  []uint32    // the rows of these keys; equal keys by row
	known   int         // rows below this one are in sorted
	changed []uint32    // rows that are not, or not with their present key
	isMoved []uint64    // a bit a row: it is in changed
	natural int         // instead of all that: rows 0 to natural by their numbers
}

// ready is the ranking if it can be used now. If it is not kept yet, it is from now on.
func (r *ranking) ready() *ranking {
	if !r.wanted.Load() {
		r.wanted.Store(true)
	}
	if r.known == 0 {
		return nil
	}
	return r
}

// touch puts a row aside whose key is new or another one.
func (r *ranking) touch(i int) {
	if r.known == 0 || r.moved(i) {
		return
	}
	for i/64 >= len(r.isMoved) {
		r.isMoved = append(r.isMoved, 0)
	}
	r.isMoved[i/64] |= 1 << (i % 64)
	r.changed = append(r.changed, uint32(i))
}

func (r *ranking) moved(i int) bool {
	return i/64 < len(r.isMoved) && r.isMoved[i/64]&(1<<(i%64)) != 0
}

// from walks along the rows that are not put aside, in order, from about after on.
func (r *ranking) from(o order, after *place) iter.Seq[place] {
	if r.natural > 0 {
		return r.byNumber(after)
	}
	said, _ := slices.BinarySearch(r.keys, never+1) // below stand those whose time is not said: they come last either way
	stretches, step := [2][2]int{{said, len(r.keys)}, {0, said}}, 1
	if o.desc {
		step = -1
	}
	return func(yield func(place) bool) {
		for n, s := range stretches {
			from, to := s[0], s[1]
			if after != nil {
				switch {
				case after.Key == never && n == 0:
					continue
				case o.desc:
					to = min(to, r.search(after.Key, after.Row))
				default:
					from = max(from, r.search(after.Key, after.Row))
				}
				if after.Key != never && n == 1 {
					from, to = s[0], s[1]
				}
			}
			at := from
			if o.desc {
				at = to - 1
			}
			for ; at >= from && at < to; at += step {
				if row := int(r.sorted[at]); !r.moved(row) && !yield(place{r.keys[at], row}) {
					return
				}
			}
		}
	}
}

// byNumber is from for the newest first.
func (r *ranking) byNumber(after *place) iter.Seq[place] {
	last := r.natural - 1
	if after != nil {
		last = min(last, after.Row-1)
	}
	return func(yield func(place) bool) {
		for i := last; i >= 0 && yield(place{Row: i}); i-- {
		}
	}
}

// search is where a key and a row stand, or would.
func (r *ranking) search(key int64, row int) int {
	return sort.Search(len(r.keys), func(i int) bool {
		return r.keys[i] > key || r.keys[i] == key && int(r.sorted[i]) >= row
	})
}

// absorbed is the ranking of all rows of column with nothing put aside.
func (r *ranking) absorbed(column []int64) (keys []int64, sorted []uint32) {
	fresh := slices.Clone(r.changed)
	if r.known == 0 {
		fresh = make([]uint32, len(column))
		for i := range fresh {
			fresh[i] = uint32(i)
		}
	}
	slices.SortFunc(fresh, func(a, b uint32) int { return cmp.Or(cmp.Compare(column[a], column[b]), cmp.Compare(a, b)) })
	keys, sorted = make([]int64, 0, len(column)), make([]uint32, 0, len(column))
	add := func(row uint32) { keys, sorted = append(keys, column[row]), append(sorted, row) }
	for at, row := range r.sorted {
		if r.moved(int(row)) {
			continue
		}
		for len(fresh) > 0 && (column[fresh[0]] < r.keys[at] || column[fresh[0]] == r.keys[at] && fresh[0] < row) {
			add(fresh[0])
			fresh = fresh[1:]
		}
		add(row)
	}
	for _, row := range fresh {
		add(row)
	}
	return keys, sorted
}

// resourceIDs keeps the Ids of resources in order, so that it is known which
// lists of resources a prefix is about without reading them all.
type resourceIDs struct {
	sorted []resourceID
	lists  int // lists below this number are in sorted
}

type resourceID struct {
	text string
	list uint32
}

// narrow rules lists of resources out that none of the conditions is about,
// and tells how many are left. Where conditions are about many, it is quicker
// to ask each list that is met, and nothing is ruled out.
func (r *resourceIDs) narrow(x *texts, ok []int8) (left int) {
	if !x.positive || len(x.contains) > 0 {
		return len(ok)
	}
	type stretch struct{ from, to int } // of sorted
	var about []stretch
	add := func(text string, end func(id string) bool) {
		from := sort.Search(len(r.sorted), func(i int) bool { return r.sorted[i].text >= text })
		n := sort.Search(len(r.sorted)-from, func(i int) bool { return end(r.sorted[from+i].text) })
		about, left = append(about, stretch{from, from + n}), left+n
	}
	for _, text := range x.equals {
		add(text, func(id string) bool { return id > text })
	}
	for _, text := range x.prefixes {
		add(text, func(id string) bool { return id > text && !strings.HasPrefix(id, text) })
	}
	if left > len(ok)/8 {
		return len(ok)
	}
	for n := range min(r.lists, len(ok)) {
		ok[n] = -1
	}
	for _, s := range about {
		for _, id := range r.sorted[s.from:s.to] {
			ok[id.list] = 0
		}
	}
	return left + len(ok) - min(r.lists, len(ok))
}

// absorbed is what there is of all these lists.
func (r *resourceIDs) absorbed(lists []string) []resourceID {
	var fresh []resourceID
	for n := r.lists; n < len(lists); n++ {
		each(lists[n], func(i int, text string) {
			if i%2 == 1 {
				fresh = append(fresh, resourceID{text, uint32(n)})
			}
		})
	}
	slices.SortFunc(fresh, func(a, b resourceID) int { return strings.Compare(a.text, b.text) })
	all := make([]resourceID, 0, len(r.sorted)+len(fresh))
	for _, id := range r.sorted {
		for len(fresh) > 0 && fresh[0].text < id.text {
			all = append(all, fresh[0])
			fresh = fresh[1:]
		}
		all = append(all, id)
	}
	return append(all, fresh...)
}

// absorb puts in order what was put aside, where that has become much. Only a
// loader calls it, so that nothing changes under it; who asks is not held up
// but for a moment.
func (ix *index) absorb() {
	much := func(n, of int) bool { return n > 5000+of/32 }
	for c := range ix.rankings {
		if r, n := &ix.rankings[c], len(ix.class); r.wanted.Load() && n > 0 && (r.known == 0 || much(len(r.changed), n)) {
			ix.absorbTimes(c)
		}
	}
	if n := len(ix.resLists.texts); much(n-ix.ids.lists, n) {
		ix.absorbIDs()
	}
}

func (ix *index) absorbTimes(c int) {
	r, column := &ix.rankings[c], ix.times[c]
	keys, sorted := r.absorbed(column)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	r.keys, r.sorted, r.known, r.changed, r.isMoved = keys, sorted, len(column), nil, nil
}

func (ix *index) absorbIDs() {
	lists := ix.resLists.texts
	sorted := ix.ids.absorbed(lists)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.ids.sorted, ix.ids.lists = sorted, len(lists)
}
