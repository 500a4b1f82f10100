package advisory

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/fault"
)

// Index answers which advisories a package version has. It never changes and is
// safe for use by any number of goroutines until it is closed.
type Index struct {
	data       []byte
	close      func() error
	about      About
	keys       table
	advisories table
}

// Open maps the index in a file. It reads its tables only, however large it is.
func Open(path string) (*Index, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	x, err := read(data)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("%s: %w", path, err), unmap())
	}
	x.close = unmap
	return x, nil
}

// read takes data as an index.
func read(data []byte) (*Index, error) {
	if len(data) < headerSize+4 || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, fault.Invalid.Errorf("this is no advisory index, or one of another version of Haechi: import the data again")
	}
	if binary.LittleEndian.Uint64(data[len(magic):]) != uint64(len(data)-headerSize) {
		return nil, fault.Invalid.Wrap(errCorrupt)
	}
	x := &Index{data: data, close: func() error { return nil }}
	at := headerSize + 4
	metaLen := int(binary.LittleEndian.Uint32(data[headerSize:]))
	if metaLen > len(data)-at {
		return nil, fault.Invalid.Wrap(errCorrupt)
	}
	if err := json.Unmarshal(data[at:at+metaLen], &x.about); err != nil {
		return nil, fault.Invalid.Wrap(errCorrupt)
	}
	var err error
	if x.keys, at, err = readTable(data, at+metaLen); err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	if x.advisories, _, err = readTable(data, at); err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	return x, nil
}

// Close gives the file back.
func (x *Index) Close() error { return x.close() }

// About says what the index holds.
func (x *Index) About() About { return x.about }

// Knows tells whether there is data on an ecosystem at all, and where it has
// releases, on that one: without, no match says nothing.
func (x *Index) Knows(ecosystem string) bool { return x.about.Releases[ecosystem] > 0 }

// Match is one bug that a package version has, as one or several advisories tell it.
type Match struct {
	ID         string     // the name to use: its CVE, else its GHSA, else its first
	Names      []string   // all names of the bug, ID first
	Advisories []Advisory // the most telling first
	Severity   Severity   // the worst that an advisory gives
	Fixed      string     // the first version without it, "" where there is none or nobody says
	OpenEnded  bool       // no source knows where it ends
	Exploited  *Exploited // by CISA's catalogue; nil where it has it not
	Odds       *Odds      // by EPSS; nil where it has it not
}

// Match finds the bugs of a version of a package, in the order of their IDs.
// A version that its ecosystem cannot order matches only where it is listed.
func (x *Index) Match(ecosystem, name, version string) ([]Match, error) {
	entry, err := x.find(keyOf(ecosystem, name))
	if err != nil || entry == nil {
		return nil, err
	}
	var claims []claim
	for range entry.count() {
		claims = append(claims, entry.claim())
		if entry.err != nil {
			return nil, fault.Invalid.Wrap(entry.err)
		}
	}
	found := map[int]fix{}
	for _, c := range ofStream(claims, version) {
		hit, fixed := c.affects(orderOf(ecosystem), version)
		if !hit {
			continue
		}
		known, again := found[c.advisory]
		if !again || fixed != "" && (known.version == "" || later(ecosystem, fixed, known.version)) {
			known = fix{fixed}
		}
		found[c.advisory] = known
	}
	return x.group(ecosystem, found)
}

type fix struct{ version string }

func later(ecosystem, a, b string) bool {
	c, ok := Compare(ecosystem, a, b)
	return ok && c > 0
}

// find is the claims on a key, or nil.
func (x *Index) find(key string) (*cursor, error) {
	var broken error
	at := func(i int) (string, *cursor) {
		offset := x.keys.at(i)
		if offset > len(x.data) {
			broken = errCorrupt
			return "", nil
		}
		c := &cursor{data: x.data[offset:]}
		return c.text(), c
	}
	n := sort.Search(x.keys.len(), func(i int) bool {
		k, _ := at(i)
		return k >= key
	})
	if broken != nil {
		return nil, fault.Invalid.Wrap(broken)
	}
	if n == x.keys.len() {
		return nil, nil
	}
	if k, c := at(n); k == key {
		return c, nil
	}
	return nil, nil
}

// advisory reads advisory i.
func (x *Index) advisory(i int) (Advisory, error) {
	var a Advisory
	if i >= x.advisories.len() || x.advisories.at(i) > len(x.data) {
		return a, fault.Invalid.Wrap(errCorrupt)
	}
	c := cursor{data: x.data[x.advisories.at(i):]}
	a = c.advisory()
	return a, c.err
}

// group makes one match of all advisories on one bug.
func (x *Index) group(ecosystem string, found map[int]fix) ([]Match, error) {
	indices := make([]int, 0, len(found))
	for i := range found {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	var groups []*bug
	byName := map[string]*bug{}
	for _, i := range indices {
		a, err := x.advisory(i)
		if err != nil {
			return nil, err
		}
		g := &bug{names: map[string]bool{}}
		for _, n := range append([]string{a.ID}, a.Aliases...) {
			if other := byName[n]; other != nil && other.root() != g.root() {
				g.root().into = other.root()
			}
			byName[n] = g
		}
		g.advisory, g.fixed = a, found[i].version
		groups = append(groups, g)
	}
	members := map[*bug][]*bug{}
	for _, g := range groups {
		members[g.root()] = append(members[g.root()], g)
	}
	matches := make([]Match, 0, len(members))
	for _, m := range members {
		matches = append(matches, merge(ecosystem, m))
	}
	slices.SortFunc(matches, func(a, b Match) int { return cmp.Compare(a.ID, b.ID) })
	return matches, nil
}

// bug is one advisory, joined to those on the same bug.
type bug struct {
	into     *bug
	names    map[string]bool
	advisory Advisory
	fixed    string
}

func (b *bug) root() *bug {
	for b.into != nil {
		b = b.into
	}
	return b
}

func merge(ecosystem string, bugs []*bug) Match {
	m := Match{OpenEnded: true}
	for _, b := range bugs {
		a := b.advisory
		m.Advisories = append(m.Advisories, a)
		m.Names = append(append(m.Names, a.ID), a.Aliases...)
		m.OpenEnded = m.OpenEnded && a.OpenEnded
		if a.Exploited != nil {
			m.Exploited = a.Exploited
		}
		if a.Odds != nil && (m.Odds == nil || a.Odds.Score > m.Odds.Score) {
			m.Odds = a.Odds
		}
		if severityRank(a.Severity) > severityRank(m.Severity) {
			m.Severity = a.Severity
		}
		if b.fixed != "" && (m.Fixed == "" || later(ecosystem, b.fixed, m.Fixed)) {
			m.Fixed = b.fixed
		}
	}
	slices.SortFunc(m.Names, func(a, b string) int { return cmp.Or(nameRank(a)-nameRank(b), cmp.Compare(a, b)) })
	m.Names = slices.Compact(m.Names)
	m.ID = m.Names[0]
	slices.SortStableFunc(m.Advisories, func(a, b Advisory) int {
		return cmp.Or(cmp.Compare(len(b.Summary), len(a.Summary)), cmp.Compare(a.ID, b.ID))
	})
	return m
}

func nameRank(name string) int {
	for i, prefix := range []string{"CVE-", "GHSA-"} {
		if strings.HasPrefix(name, prefix) {
			return i
		}
	}
	return 2
}

// severityRank orders by score, and where there is none by label.
func severityRank(s Severity) float64 {
	if s.Score > 0 {
		return s.Score
	}
	return map[string]float64{"LOW": 1, "MEDIUM": 4, "HIGH": 7, "CRITICAL": 9}[s.Label]
}
