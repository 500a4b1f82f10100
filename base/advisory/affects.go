package advisory

import (
	"cmp"
	"slices"
)

// affects tells whether the claim holds for version, and where it says so the
// first version from there on that is free of it.
// The rules: https://ossf.github.io/osv-schema/#evaluation
func (c claim) affects(o order, version string) (hit bool, fixed string) {
	listed := slices.Contains(c.versions, version)
	if !listed && o != nil {
		listed = slices.ContainsFunc(c.versions, func(v string) bool {
			n, ok := o(v, version)
			return ok && n == 0
		})
	}
	hit = listed
	if o == nil || len(version) > longestVersion {
		return hit, ""
	}
	for _, r := range c.ranges {
		inside, end := r.affects(o, version)
		hit = hit || inside
		if (inside || listed) && end != "" {
			if n, ok := o(end, fixed); fixed == "" || ok && n < 0 {
				fixed = end
			}
		}
	}
	return hit, fixed
}

// affects evaluates one range: its events in the order of versions.
func (r span) affects(o order, version string) (inside bool, fixed string) {
	type step struct {
		kind    int
		version string
	}
	var steps []step
	limited, below := false, false
	for _, e := range r.Events {
		kind, v := e.kind()
		if kind == kindLimit {
			n, ok := o(version, v)
			limited, below = true, below || v == "*" || ok && n < 0
			continue
		}
		if v != "0" {
			if _, ok := o(v, version); !ok {
				return false, "" // a version that cannot be ordered: nothing can be said of the range
			}
		}
		steps = append(steps, step{kind, v})
	}
	compare := func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == "0":
			return -1
		case b == "0":
			return 1
		}
		n, _ := o(a, b)
		return n
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(compare(a.version, b.version), a.kind-b.kind) })
	for _, s := range steps {
		at := compare(version, s.version)
		switch {
		case s.kind == kindIntroduced && at >= 0:
			inside = true
		case s.kind == kindFixed && at >= 0, s.kind == kindLast && at > 0:
			inside = false
		case s.kind == kindFixed && fixed == "":
			fixed = s.version
		}
	}
	return inside && (!limited || below), fixed
}
