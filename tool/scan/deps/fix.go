package deps

import (
	"cmp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
)

// Upgrade is the smallest step to a version that clears as many bugs as any known version does.
type Upgrade struct {
	Component component.Component
	To        string
	Clears    []string // names of bugs
	Leaves    []string // those that no known version clears
}

// Upgrades are the upgrades for what is vulnerable among components, those that
// clear the most first. A version is only proposed if advisories, held against it,
// say that it is better: what mends one bug may bring another.
func (s *Scanner) Upgrades(components []component.Component) ([]Upgrade, error) {
	var all []Upgrade
	seen := map[string]bool{}
	for _, c := range components {
		key := c.Place.File + "\x00" + c.Locator()
		if c.State != component.Resolved || seen[key] || s.advisories == nil {
			continue
		}
		seen[key] = true
		u, ok, err := s.upgrade(c)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, u)
		}
	}
	slices.SortStableFunc(all, func(a, b Upgrade) int {
		return cmp.Or(len(b.Clears)-len(a.Clears), strings.Compare(a.Component.Place.File, b.Component.Place.File), a.Component.Place.Line-b.Component.Place.Line)
	})
	return all, nil
}

func (s *Scanner) upgrade(c component.Component) (Upgrade, bool, error) {
	const mostTried = 50
	name, version := advised(c)
	now, err := s.advisories.Match(c.Ecosystem, name, version)
	if err != nil || len(now) == 0 {
		return Upgrade{}, false, err
	}
	candidates := fixesOf(now)
	best, bestLeft := "", len(now)
	var left []string
	for i := 0; i < len(candidates) && i < mostTried; i++ {
		v := candidates[i]
		then, err := s.advisories.Match(c.Ecosystem, name, v)
		if err != nil {
			return Upgrade{}, false, err
		}
		for _, more := range fixesOf(then) {
			if !slices.Contains(candidates, more) {
				candidates = append(candidates, more)
			}
		}
		smaller := false
		if n, ok := advisory.Compare(c.Ecosystem, v, best); best != "" && ok {
			smaller = n < 0
		}
		if len(then) < bestLeft || len(then) == bestLeft && smaller {
			best, bestLeft, left = v, len(then), idsOf(then)
		}
	}
	if best == "" {
		return Upgrade{}, false, nil
	}
	u := Upgrade{Component: c, To: best, Leaves: left}
	for _, id := range idsOf(now) {
		if !slices.Contains(left, id) {
			u.Clears = append(u.Clears, id)
		}
	}
	return u, len(u.Clears) > 0, nil
}

func fixesOf(matches []advisory.Match) []string {
	var all []string
	for _, m := range matches {
		if m.Fixed != "" && !slices.Contains(all, m.Fixed) {
			all = append(all, m.Fixed)
		}
	}
	return all
}

func idsOf(matches []advisory.Match) []string {
	var all []string
	for _, m := range matches {
		all = append(all, m.ID)
	}
	return all
}
