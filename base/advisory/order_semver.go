package advisory

import "strings"

// compareSemver is Semantic Versioning 2.0, with any number of numbers, and a v
// in front as Go writes it. Build metadata, +incompatible among it, does not count.
func compareSemver(a, b string) (int, bool) {
	x, ok := parseSemver(a)
	y, ok2 := parseSemver(b)
	if !ok || !ok2 {
		return 0, false
	}
	if c := compareLists(x.numbers, y.numbers); c != 0 {
		return c, true
	}
	return comparePrereleases(x.pre, y.pre), true
}

type semver struct {
	numbers []string
	pre     []string // nil: a release
}

func parseSemver(s string) (semver, bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	s, _, _ = strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(s, "-")
	v := semver{numbers: strings.Split(core, ".")}
	for _, n := range v.numbers {
		if !isDigits(n) {
			return v, false
		}
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	return v, true
}

// compareLists pads the shorter list with zeros.
func compareLists(a, b []string) int {
	for i := range max(len(a), len(b)) {
		x, y := "0", "0"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func comparePrereleases(a, b []string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	for i := range min(len(a), len(b)) {
		if c := compareIdentifiers(a[i], b[i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func compareIdentifiers(a, b string) int {
	x, y := isDigits(a), isDigits(b)
	switch {
	case x && y:
		return compareNumbers(a, b)
	case x:
		return -1
	case y:
		return 1
	}
	return strings.Compare(a, b)
}

// comparePub is Semantic Versioning in which build metadata count: 1.0.0 < 1.0.0+1.
func comparePub(a, b string) (int, bool) {
	c, ok := compareSemver(a, b)
	if !ok || c != 0 {
		return c, ok
	}
	build := func(s string) []string {
		if _, after, has := strings.Cut(s, "+"); has {
			return strings.Split(after, ".")
		}
		return nil
	}
	x, y := build(a), build(b)
	for i := range min(len(x), len(y)) {
		if c := compareIdentifiers(x[i], y[i]); c != 0 {
			return c, true
		}
	}
	return len(x) - len(y), true
}

// compareNuGet is Semantic Versioning of up to four numbers, without regard to case.
func compareNuGet(a, b string) (int, bool) {
	if c, ok := compareSemver(strings.ToLower(a), strings.ToLower(b)); ok {
		return c, true
	}
	return compareLoose(a, b)
}

// compareNumbered is for ecosystems whose versions are numbers in a row, of which more is newer.
func compareNumbered(a, b string) (int, bool) {
	split := func(s string) ([]string, bool) {
		parts := strings.FieldsFunc(strings.TrimSpace(s), func(r rune) bool { return r == '.' || r == '-' })
		for _, p := range parts {
			if !isDigits(p) {
				return nil, false
			}
		}
		return parts, len(parts) > 0
	}
	x, ok := split(a)
	y, ok2 := split(b)
	if !ok || !ok2 {
		return 0, false
	}
	for i := range min(len(x), len(y)) {
		if c := compareNumbers(x[i], y[i]); c != 0 {
			return c, true
		}
	}
	return len(x) - len(y), true
}

// compareRubyGems: every word makes a version older than it is without.
func compareRubyGems(a, b string) (int, bool) {
	return comparePieces(a, b, func(string) int { return -1 })
}

// comparePackagist is PHP's order of words, with zeros as Composer fills them up.
func comparePackagist(a, b string) (int, bool) {
	return comparePieces(a, b, func(word string) int {
		switch word {
		case "dev":
			return -4
		case "alpha", "a":
			return -3
		case "beta", "b":
			return -2
		case "rc", "c":
			return -1
		case "stable":
			return 0
		case "pl", "p", "patch":
			return 1
		}
		return -5
	})
}

// compareLoose is for ecosystems that take almost anything: numbers and words
// in a row, where a word is older than its absence (1.0.beta2 < 1.0).
func compareLoose(a, b string) (int, bool) {
	return comparePieces(a, b, func(word string) int {
		switch word {
		case "p", "pl", "patch": // a patch comes after what it patches
			return 1
		}
		return -1
	})
}

// comparePieces compares numbers and words in a row. rank orders words, with what is no word at 0.
func comparePieces(a, b string, rank func(word string) int) (int, bool) {
	x, ok := parseLoose(a)
	y, ok2 := parseLoose(b)
	if !ok || !ok2 {
		return 0, false
	}
	for i := range max(len(x), len(y)) {
		p, q := "0", "0"
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		c := 0
		switch numeric, other := isDigits(p), isDigits(q); {
		case numeric && other:
			c = compareNumbers(p, q)
		case numeric:
			c = -rank(q)
		case other:
			c = rank(p)
		default:
			if c = rank(p) - rank(q); c == 0 && rank(p) == rank("") { // words that are only themselves
				c = strings.Compare(p, q)
			}
		}
		if c != 0 {
			return c, true
		}
	}
	return 0, true
}

func parseLoose(s string) ([]string, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > 1 && s[0] == 'v' && s[1] >= '0' && s[1] <= '9' {
		s = s[1:]
	}
	s, _, _ = strings.Cut(s, "+")
	var pieces []string
	for i := 0; i < len(s); {
		j := i
		digit := s[i] >= '0' && s[i] <= '9'
		for j < len(s) && isLooseByte(s[j]) && (s[j] >= '0' && s[j] <= '9') == digit {
			j++
		}
		if j == i {
			i++
			continue
		}
		pieces = append(pieces, s[i:j])
		i = j
	}
	return pieces, len(pieces) > 0 && isDigits(pieces[0])
}

func isLooseByte(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
