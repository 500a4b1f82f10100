package advisory

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// The file is written once and never changed:
//
//	magic, length of the rest (8 bytes)
//	meta: length (4 bytes) and JSON
//	keys: count (4 bytes), then for each the offset (4 bytes) of its entry, in the order of keys
//	advisories: count (4 bytes), then for each the offset (4 bytes) of its fields
//	entries: key, claims; lengths and counts are varints
//
// A key is ecosystem, NUL, name. Numbers are little-endian.
const magic = "HAECHI\x02A"

const headerSize = len(magic) + 8

var errCorrupt = errors.New("the advisory index is damaged: import the data again")

// claim is what one advisory says of one package.
type claim struct {
	advisory int
	ranges   []span
	versions []string
}

// The kinds of events, as the file has them.
const (
	kindIntroduced = iota
	kindFixed
	kindLast
	kindLimit
)

func (e event) kind() (int, string) {
	switch {
	case e.Introduced != "":
		return kindIntroduced, e.Introduced
	case e.Fixed != "":
		return kindFixed, e.Fixed
	case e.LastAffected != "":
		return kindLast, e.LastAffected
	}
	return kindLimit, e.Limit
}

func eventOf(kind int, version string) event {
	switch kind {
	case kindIntroduced:
		return event{Introduced: version}
	case kindFixed:
		return event{Fixed: version}
	case kindLast:
		return event{LastAffected: version}
	}
	return event{Limit: version}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendClaim(b []byte, c claim) []byte {
	b = binary.AppendUvarint(b, uint64(c.advisory))
	b = binary.AppendUvarint(b, uint64(len(c.ranges)))
	for _, r := range c.ranges {
		b = binary.AppendUvarint(b, uint64(len(r.Events)))
		for _, e := range r.Events {
			kind, version := e.kind()
			b = appendText(append(b, byte(kind)), version)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.versions)))
	for _, v := range c.versions {
		b = appendText(b, v)
	}
	return b
}

// appendAdvisory writes an advisory: its fields as one text, in the order in which
// cursor.advisory reads them, and as another what changes every day.
func appendAdvisory(b []byte, a Advisory) []byte {
	f := fields{}
	f.texts(a.ID)
	f.list(a.Aliases)
	f.texts(a.Summary, a.Details, a.Severity.Label, a.Severity.Vector, a.Severity.Source, number(a.Severity.Score), a.Published, a.Modified)
	f.list(a.CWEs)
	f.list(a.References)
	flags := byte(0)
	for i, set := range []bool{a.OpenEnded, a.Exploited != nil, a.Exploited != nil && a.Exploited.Ransomware} {
		if set {
			flags |= 1 << i
		}
	}
	f = append(f, flags)
	if k := a.Exploited; k != nil {
		f.texts(k.Added, k.Due, k.Action)
	}
	f = binary.AppendUvarint(f, uint64(len(a.Symbols)))
	for _, s := range a.Symbols {
		f.texts(s.Path)
		f.list(s.Symbols)
	}
	b = appendText(b, string(f))
	odds := fields{}
	if o := a.Odds; o != nil {
		odds.texts(number(o.Score), number(o.Percentile), o.Date)
	}
	return appendText(b, string(odds))
}

type fields []byte

func (f *fields) texts(all ...string) {
	for _, s := range all {
		*f = appendText(*f, s)
	}
}

func (f *fields) list(all []string) {
	*f = binary.AppendUvarint(*f, uint64(len(all)))
	f.texts(all...)
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func (c *cursor) list() []string {
	n := c.count()
	if n == 0 {
		return nil
	}
	all := make([]string, 0, n)
	for range n {
		all = append(all, c.text())
	}
	return all
}

func (c *cursor) float() float64 {
	f, err := strconv.ParseFloat(c.text(), 64)
	if err != nil {
		c.fail()
	}
	return f
}

// part is a text that is read in turn.
func (c *cursor) part() cursor {
	n := c.count()
	p := cursor{data: c.data[:n], err: c.err}
	c.data = c.data[n:]
	return p
}

func (c *cursor) advisory() Advisory {
	f := c.part()
	a := Advisory{ID: f.text(), Aliases: f.list(), Summary: f.text(), Details: f.text()}
	a.Severity.Label, a.Severity.Vector, a.Severity.Source = f.text(), f.text(), f.text()
	a.Severity.Score, a.Published, a.Modified = f.float(), f.text(), f.text()
	a.CWEs, a.References = f.list(), f.list()
	flags := f.byte()
	a.OpenEnded = flags&1 != 0
	if flags&2 != 0 {
		a.Exploited = &Exploited{Added: f.text(), Due: f.text(), Action: f.text(), Ransomware: flags&4 != 0}
	}
	for range f.count() {
		a.Symbols = append(a.Symbols, Symbols{f.text(), f.list()})
	}
	odds := c.part()
	if len(odds.data) > 0 {
		a.Odds = &Odds{odds.float(), odds.float(), odds.text()}
	}
	c.err = cmp.Or(c.err, f.err, odds.err)
	return a
}

// cursor reads what append wrote; after damage it reads nothing more and says so.
type cursor struct {
	data []byte
	err  error
}

func (c *cursor) fail() {
	c.data, c.err = nil, errCorrupt
}

func (c *cursor) number() int {
	n, size := binary.Uvarint(c.data)
	if size <= 0 || n > 1<<31 {
		c.fail()
		return 0
	}
	c.data = c.data[size:]
	return int(n)
}

// count is a number of things that take at least a byte each.
func (c *cursor) count() int {
	n := c.number()
	if n > len(c.data) {
		c.fail()
		return 0
	}
	return n
}

func (c *cursor) text() string {
	n := c.count()
	s := string(c.data[:n])
	c.data = c.data[n:]
	return s
}

func (c *cursor) byte() byte {
	if len(c.data) == 0 {
		c.fail()
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return b
}

func (c *cursor) claim() claim {
	x := claim{advisory: c.number()}
	for range c.count() {
		var r span
		for range c.count() {
			kind := c.byte()
			r.Events = append(r.Events, eventOf(int(kind), c.text()))
		}
		x.ranges = append(x.ranges, r)
	}
	for range c.count() {
		x.versions = append(x.versions, c.text())
	}
	return x
}

// table is a run of offsets in data.
type table struct{ offsets []byte }

func (t table) len() int { return len(t.offsets) / 4 }

func (t table) at(i int) int { return int(binary.LittleEndian.Uint32(t.offsets[4*i:])) }

// readTable reads a table that begins at offset, and answers where it ends.
func readTable(data []byte, offset int) (table, int, error) {
	if offset < 0 || offset+4 > len(data) {
		return table{}, 0, errCorrupt
	}
	n := int(binary.LittleEndian.Uint32(data[offset:]))
	end := offset + 4 + 4*n
	if n > len(data)/4 || end > len(data) {
		return table{}, 0, fmt.Errorf("a table of %d: %w", n, errCorrupt)
	}
	return table{data[offset+4 : end]}, end, nil
}
