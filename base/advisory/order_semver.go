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

// compareLoose is for ecosystems that take almost anything: numbers and words
// in a row, where a word is older than its absence (1.0.beta2 < 1.0).
func compareLoose(a, b string) (int, bool) {
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
		if c := compareLoosePieces(p, q); c != 0 {
			return c, true
		}
	}
	return 0, true
}

func compareLoosePieces(p, q string) int {
	x, y := isDigits(p), isDigits(q)
	switch {
	case x && y:
		return compareNumbers(p, q)
	case x:
		return -wordRank(q)
	case y:
		return wordRank(p)
	}
	if c := wordRank(p) - wordRank(q); c != 0 {
		return c
	}
	return strings.Compare(p, q)
}

// wordRank: a patch comes after what it patches, every other word before.
func wordRank(word string) int {
	switch word {
	case "p", "pl", "patch":
		return 1
	}
	return -1
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
