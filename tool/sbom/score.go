package sbom

import (
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/component"
)

// Element is one of the seven minimum elements that NTIA asks of a bill of materials.
type Element struct {
	Name string  `json:"name"`
	Have int     `json:"have"`
	Of   int     `json:"of"`
	Part float64 `json:"score"` // from 0 to 1
}

// Score is how far a document has the minimum elements.
type Score struct {
	Total    float64   `json:"score"` // the mean of the elements, from 0 to 100
	Complete bool      `json:"complete"`
	Elements []Element `json:"elements"`
}

// NTIA scores a document by "The Minimum Elements For a Software Bill of
// Materials" of 2021: supplier, name, version, another unique identifier and
// relationships of every component, and author and time of the document. A
// version that is UNRESOLVED counts as missing.
func NTIA(d Document) Score {
	n := len(d.Components)
	count := func(has func(component.Component) bool) int {
		have := 0
		for _, c := range d.Components {
			if has(c) {
				have++
			}
		}
		return have
	}
	connected := map[string]bool{}
	for _, c := range d.Components {
		for _, ref := range c.Needs {
			connected[ref] = true
		}
	}
	_, err := time.Parse(time.RFC3339, d.Created)
	one := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	s := Score{Complete: true}
	for _, e := range []Element{
		{Name: "supplier name", Of: n, Have: count(func(c component.Component) bool { return c.Supplier != "" })},
		{Name: "component name", Of: n, Have: count(func(c component.Component) bool { return c.Name != "" })},
		{Name: "version", Of: n, Have: count(func(c component.Component) bool { return c.State == component.Resolved && c.Version != "" })},
		{Name: "other unique identifiers", Of: n, Have: count(func(c component.Component) bool { return c.Ecosystem != "" || c.Integrity != "" })},
		{Name: "dependency relationship", Of: n, Have: count(func(c component.Component) bool {
			return d.Related && (c.Direct || len(c.Path) > 0 || len(c.Needs) > 0 || connected[c.Locator()])
		})},
		{Name: "author of the data", Of: 1, Have: one(len(d.Authors) > 0)},
		{Name: "timestamp", Of: 1, Have: one(err == nil)},
	} {
		if e.Of > 0 {
			e.Part = float64(e.Have) / float64(e.Of)
		}
		s.Complete = s.Complete && e.Have == e.Of && e.Of > 0
		s.Total += e.Part * 100 / 7
		s.Elements = append(s.Elements, e)
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func unmarshal(text jsontext.Value, v any) error { return json.Unmarshal(text, v, lenient) }
