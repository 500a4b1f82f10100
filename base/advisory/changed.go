package advisory

import (
	"hash/maphash"
	"slices"
)

// Key is what an index calls a package: two packages with the same key have
// the same advisories. Versions play no part.
func Key(ecosystem, name string) string { return keyOf(ecosystem, name) }

// Changed lists the keys of packages of which two indices say different
// things, in order: other advisories, other versions, another text, known
// exploitation. How likely exploitation is changes every day for nearly all,
// and is no change. A nil old index says nothing of any package.
func Changed(old, new *Index) (keys []string, err error) {
	if old == nil {
		old = &Index{}
	}
	seed := maphash.MakeSeed()
	a, b := &reader{index: old, seed: seed}, &reader{index: new, seed: seed}
	for _, r := range []*reader{a, b} {
		if err := r.digest(); err != nil {
			return nil, err
		}
		r.next()
	}
	for !a.done || !b.done {
		switch {
		case b.done || !a.done && a.key < b.key:
			keys = append(keys, a.key)
			a.next()
		case a.done || b.key < a.key:
			keys = append(keys, b.key)
			b.next()
		default:
			if !slices.Equal(a.said, b.said) {
				keys = append(keys, a.key)
			}
			a.next()
			b.next()
		}
		if a.err != nil || b.err != nil {
			return nil, errCorrupt
		}
	}
	return keys, nil
}

// reader goes through an index key by key.
type reader struct {
	index   *Index
	seed    maphash.Seed
	digests []uint64 // of each advisory
	at      int
	done    bool
	key     string
	said    []uint64 // the hashes of what is said of it, in order
	err     error
}

// digest reads every advisory once.
func (r *reader) digest() error {
	n := r.index.advisories.len()
	r.digests = make([]uint64, n)
	for i := range n {
		if r.index.advisories.at(i) > len(r.index.data) {
			return errCorrupt
		}
		c := cursor{data: r.index.data[r.index.advisories.at(i):]}
		said := c.part() // without what changes every day, which stands behind it
		if c.err != nil {
			return c.err
		}
		r.digests[i] = maphash.Bytes(r.seed, said.data)
	}
	return nil
}

// next goes on to the next key.
func (r *reader) next() {
	if r.done = r.at >= r.index.keys.len() || r.err != nil; r.done {
		return
	}
	offset := r.index.keys.at(r.at)
	r.at++
	if offset > len(r.index.data) {
		r.err, r.done = errCorrupt, true
		return
	}
	c := cursor{data: r.index.data[offset:]}
	r.key, r.said = c.text(), r.said[:0]
	for range c.count() {
		before := c.data
		claim := c.claim()
		if c.err != nil || claim.advisory >= len(r.digests) {
			r.err, r.done = errCorrupt, true
			return
		}
		var h maphash.Hash
		h.SetSeed(r.seed)
		number := cursor{data: before}
		number.number() // the advisory's number is another one in another index
		h.Write(number.data[:len(number.data)-len(c.data)])
		r.said = append(r.said, h.Sum64()^r.digests[claim.advisory]*0x9E3779B97F4A7C15)
	}
	slices.Sort(r.said)
}
