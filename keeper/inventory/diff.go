package inventory

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
)

// Change is how one property changed, as AWS Config's diffs have it.
type Change struct {
	Before any    `json:"previousValue"`
	After  any    `json:"updatedValue"`
	Kind   string `json:"changeType"` // CREATE, UPDATE or DELETE
}

// Diff compares two trees of maps, lists and scalars. The keys are paths with
// dots between the steps. Items of a list that are on both sides are left out
// wherever they stand; the others are compared in their order.
func Diff(before, after map[string]any) map[string]Change {
	d := differ{}
	d.maps("", before, after)
	return d
}

type differ map[string]Change

func join(path, step string) string {
	if path == "" {
		return step
	}
	return path + "." + step
}

func (d differ) put(path string, before, after any) {
	kind := "UPDATE"
	switch {
	case before == nil:
		kind = "CREATE"
	case after == nil:
		kind = "DELETE"
	}
	if known, ok := d[path]; ok && known.Kind != kind { // an item went and another came at the same index
		if before == nil {
			before = known.Before
		} else {
			after = known.After
		}
		kind = "UPDATE"
	}
	d[path] = Change{before, after, kind}
}

func (d differ) values(path string, before, after any) {
	b, mapB := before.(map[string]any)
	a, mapA := after.(map[string]any)
	lb, listB := before.([]any)
	la, listA := after.([]any)
	switch {
	case mapB && mapA:
		d.maps(path, b, a)
	case listB && listA:
		d.lists(path, lb, la)
	case text(before) != text(after):
		d.put(path, before, after)
	}
}

func (d differ) maps(path string, before, after map[string]any) {
	for name, b := range before {
		if a, ok := after[name]; ok {
			d.values(join(path, name), b, a)
		} else if b != nil {
			d.put(join(path, name), b, nil)
		}
	}
	for name, a := range after {
		if _, ok := before[name]; !ok && a != nil {
			d.put(join(path, name), nil, a)
		}
	}
}

func (d differ) lists(path string, before, after []any) {
	gone, came := unmatched(before, after)
	for i := range max(len(gone), len(came)) {
		switch {
		case i >= len(gone):
			d.put(join(path, strconv.Itoa(came[i])), nil, after[came[i]])
		case i >= len(came):
			d.put(join(path, strconv.Itoa(gone[i])), before[gone[i]], nil)
		default:
			d.values(join(path, strconv.Itoa(came[i])), before[gone[i]], after[came[i]])
		}
	}
}

// unmatched are the indexes of items that the other list does not have.
func unmatched(before, after []any) (gone, came []int) {
	where := map[string][]int{}
	for i, x := range after {
		where[text(x)] = append(where[text(x)], i)
	}
	for i, x := range before {
		if at := where[text(x)]; len(at) > 0 {
			where[text(x)] = at[1:]
			continue
		}
		gone = append(gone, i)
	}
	for _, at := range where {
		came = append(came, at...)
	}
	slices.Sort(came)
	return gone, came
}

func text(v any) string {
	t, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return "\x00" // numbers that are no JSON do not come out of JSON
	}
	return string(t)
}
