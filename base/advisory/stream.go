package advisory

import (
	"slices"
	"strings"
)

// module marks what was built for one stream of a module: several versions of a
// package that one release has side by side.
const module = ".module"

// ofStream leaves out the claims that are about other streams of a module than
// version is of: that 12.20 mends a bug says nothing about 10.24, which has a mended
// build of its own. A stream is told by how much of its version is the same.
func ofStream(claims []claim, version string) []claim {
	if !slices.ContainsFunc(claims, func(c claim) bool { return c.stream() != "" }) {
		return claims
	}
	best := map[int]int{} // of each advisory: the closest that a stream comes
	for _, c := range claims {
		if s := c.stream(); s != "" {
			best[c.advisory] = max(best[c.advisory], common(s, version))
		}
	}
	return slices.DeleteFunc(slices.Clone(claims), func(c claim) bool {
		s := c.stream()
		return s != "" && (!strings.Contains(version, module) || common(s, version) < best[c.advisory])
	})
}

// stream is the version of a module's build that a claim names as mended, or "".
func (c claim) stream() string {
	for _, r := range c.ranges {
		for _, e := range r.Events {
			if strings.Contains(e.Fixed, module) {
				return e.Fixed
			}
		}
	}
	return ""
}

// common is how many numbers two versions begin with alike, at most the two that tell streams apart.
func common(a, b string) int {
	x, y := numbersOf(a), numbersOf(b)
	n := 0
	for n < len(x) && n < len(y) && n < 2 && x[n] == y[n] {
		n++
	}
	return n
}

func numbersOf(version string) []string {
	if _, after, ok := strings.Cut(version, ":"); ok {
		version = after
	}
	version, _, _ = strings.Cut(version, "-")
	return strings.Split(version, ".")
}
