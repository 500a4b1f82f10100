package advisory

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Bug is all that an index says of one bug, in every package that has it.
type Bug struct {
	Match             // Fixed is empty: it is of one version of one package
	Packages []Spoken // by ecosystem and name
}

// Spoken is a package of which advisories on a bug speak.
type Spoken struct {
	Ecosystem string
	Name      string // as keys have it
	Fixed     []string
}

// Named is the bug of a name: a CVE, a GHSA, any identifier or alias. It goes
// through the whole index, and is for people who ask for one. fault.NotFound
// where nobody calls a bug that.
func (x *Index) Named(name string) (Bug, error) {
	name = strings.TrimSpace(name)
	found, err := x.sharing(name)
	if err != nil {
		return Bug{}, err
	}
	if len(found) == 0 {
		return Bug{}, fault.NotFound.Errorf("no advisory is called %.60q", name)
	}
	var bugs []*bug
	for _, i := range slices.Sorted(maps.Keys(found)) {
		bugs = append(bugs, &bug{advisory: found[i]})
	}
	b := Bug{Match: merge("", bugs)}
	b.Packages, err = x.spoken(found)
	return b, err
}

// sharing are the advisories that have a name, or another name of one that has, by their numbers.
func (x *Index) sharing(name string) (map[int]Advisory, error) {
	found := map[int]Advisory{}
	if name == "" {
		return found, nil
	}
	names := []string{name}
	for done := 0; done < len(names) && done < 20; done++ {
		called := []byte(names[done])
		for i := range x.advisories.len() {
			from, to := x.advisories.at(i), len(x.data)
			if i+1 < x.advisories.len() {
				to = x.advisories.at(i + 1)
			}
			if from > to || to > len(x.data) {
				return nil, fault.Invalid.Wrap(errCorrupt)
			}
			if _, known := found[i]; known || !bytes.Contains(x.data[from:to], called) {
				continue
			}
			a, err := x.advisory(i)
			if err != nil {
				return nil, err
			}
			if a.ID != names[done] && !slices.Contains(a.Aliases, names[done]) {
				continue // it speaks of it, in its text
			}
			found[i] = a
			for _, other := range append([]string{a.ID}, a.Aliases...) {
				if !slices.Contains(names, other) {
					names = append(names, other)
				}
			}
		}
	}
	return found, nil
}

// spoken are the packages that some advisories speak of, with the versions that mend them.
func (x *Index) spoken(of map[int]Advisory) (list []Spoken, err error) {
	for i := range x.keys.len() {
		if x.keys.at(i) > len(x.data) {
			return nil, fault.Invalid.Wrap(errCorrupt)
		}
		c := cursor{data: x.data[x.keys.at(i):]}
		ecosystem, name, _ := strings.Cut(c.text(), "\x00")
		spoken := Spoken{Ecosystem: ecosystem, Name: name}
		hit := false
		for range c.count() {
			claim := c.claim()
			if _, ours := of[claim.advisory]; !ours {
				continue
			}
			hit = true
			for _, r := range claim.ranges {
				for _, e := range r.Events {
					if e.Fixed != "" && !slices.Contains(spoken.Fixed, e.Fixed) {
						spoken.Fixed = append(spoken.Fixed, e.Fixed)
					}
				}
			}
		}
		if c.err != nil {
			return nil, fault.Invalid.Wrap(c.err)
		}
		if hit {
			slices.SortFunc(spoken.Fixed, func(a, b string) int {
				n, _ := Compare(ecosystem, a, b)
				return cmp.Or(n, cmp.Compare(a, b))
			})
			list = append(list, spoken)
		}
	}
	return list, nil
}
