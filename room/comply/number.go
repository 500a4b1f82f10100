package comply

import (
	"cmp"
	"strconv"
	"strings"
)

// compareNumbers orders ISMS-P 2.6.1 before ISMS-P 2.10.2.
func compareNumbers(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == ' ' })
	}
	x, y := split(a), split(b)
	for i := range min(len(x), len(y)) {
		n, errN := strconv.Atoi(x[i])
		m, errM := strconv.Atoi(y[i])
		c := strings.Compare(x[i], y[i])
		if errN == nil && errM == nil {
			c = cmp.Compare(n, m)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}
