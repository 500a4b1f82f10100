package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// key is what stays the same about a finding when lines move and texts are reworded.
type key [16]byte

func keyOf(parts ...string) (k key) {
	h := sha256.New()
	var size [20]byte
	for _, p := range parts {
		h.Write(append(strconv.AppendInt(size[:0], int64(len(p)), 10), ':'))
		h.Write([]byte(p))
	}
	copy(k[:], h.Sum(nil))
	return k
}

// ordinal is the key of the nth among equals.
func (k key) ordinal(n int) key {
	if n == 0 {
		return k
	}
	return keyOf(string(k[:]), strconv.Itoa(n))
}

func (k key) String() string { return hex.EncodeToString(k[:]) }

// variant is what tells findings of one key apart within a report. Equal ones are occurrences of one finding.
type variant struct {
	line, column int32
	tie          key
	count        int32
}

func (v variant) compare(o variant) int {
	return cmp.Or(cmp.Compare(v.line, o.line), cmp.Compare(v.column, o.column), slices.Compare(v.tie[:], o.tie[:]))
}

// index counts a report's findings by key. It holds some dozen bytes a finding.
type index struct{ groups map[key][]variant }

func (x *index) add(rec *record) error {
	base, v := rec.identity()
	v.count = 1
	x.groups[base] = append(x.groups[base], v)
	return nil
}

// close orders what was added, so that the order of records does not matter, and tells how many findings there are.
func (x *index) close() (findings int) {
	for base, list := range x.groups {
		slices.SortFunc(list, variant.compare)
		n := 0
		for _, v := range list[1:] {
			if v.compare(list[n]) == 0 {
				list[n].count += v.count
				continue
			}
			n++
			list[n] = v
		}
		x.groups[base] = slices.Clip(list[:n+1])
		findings += n + 1
	}
	return findings
}

// find tells the how-many-th of its key a variant is, and how often it occurs.
func (x *index) find(base key, v variant) (n, count int) {
	list := x.groups[base]
	n, ok := slices.BinarySearchFunc(list, v, variant.compare)
	if !ok {
		return 0, 1 // only if the report changed between two readings of it
	}
	return n, int(list[n].count)
}
