package sbom

import (
	"cmp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/word/component"
)

// Change is what became of one package between two bills of materials.
type Change struct {
	Kind      string `json:"kind"` // added, removed, upgraded, downgraded, changed, relicensed
	PURL      string `json:"purl"`
	Name      string `json:"name"`
	Ecosystem string `json:"ecosystem"`
	Before    string `json:"before,omitzero"` // its versions, or its licences
	After     string `json:"after,omitzero"`
	Scope     string `json:"scope"`
}

// Diff says what changed from one to the other, by packages.
func Diff(before, after []component.Component) []Change {
	a, b := byPURL(before), byPURL(after)
	var all []Change
	for _, purl := range sortedKeys(b) {
		x := b[purl]
		c := Change{PURL: purl, Name: x.name, Ecosystem: x.ecosystem, After: x.versions(), Scope: x.scope}
		old, ok := a[purl]
		if !ok {
			c.Kind = "added"
			all = append(all, c)
			continue
		}
		if c.Before = old.versions(); c.Before != c.After {
			c.Kind = "changed"
			if n, ok := advisory.Compare(x.ecosystem, c.Before, c.After); ok && n != 0 {
				c.Kind = map[bool]string{true: "upgraded", false: "downgraded"}[n < 0]
			}
			all = append(all, c)
		}
		if old.licence != x.licence && old.licence != "" && x.licence != "" {
			c.Kind, c.Before, c.After = "relicensed", old.licence, x.licence
			all = append(all, c)
		}
	}
	for _, purl := range sortedKeys(a) {
		if _, ok := b[purl]; !ok {
			x := a[purl]
			all = append(all, Change{Kind: "removed", PURL: purl, Name: x.name, Ecosystem: x.ecosystem, Before: x.versions(), Scope: x.scope})
		}
	}
	slices.SortStableFunc(all, func(x, y Change) int { return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.PURL, y.PURL)) })
	return all
}

type held struct {
	name, ecosystem, scope, licence string
	all                             []string
}

func (h *held) versions() string {
	slices.Sort(h.all)
	h.all = slices.Compact(h.all)
	return strings.Join(h.all, ", ")
}

func byPURL(components []component.Component) map[string]*held {
	m := map[string]*held{}
	for _, c := range components {
		h := m[c.PURL]
		if h == nil {
			h = &held{name: c.Name, ecosystem: c.Ecosystem, scope: string(c.Scope)}
			m[c.PURL] = h
		}
		if c.Scope == component.Runtime {
			h.scope = string(c.Scope)
		}
		h.all = append(h.all, cmp.Or(c.Version, string(c.State)))
		h.licence = cmp.Or(h.licence, licence.Join(c.Licences))
	}
	return m
}
