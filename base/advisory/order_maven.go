package advisory

import "strings"

// mavenPiece is a part of a Maven version and what stands before it.
type mavenPiece struct {
	separator byte // '.' or '-'; a change between digits and letters counts as '-'
	text      string
}

// compareMaven is the order that Maven's documentation gives:
// https://maven.apache.org/pom.html#version-order-specification
func compareMaven(a, b string) (int, bool) {
	if strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" {
		return 0, false
	}
	x, y := parseMaven(a), parseMaven(b)
	for i := range max(len(x), len(y)) {
		var p, q mavenPiece
		switch {
		case i >= len(x):
			q = y[i]
			p = mavenPiece{q.separator, mavenNull(q.text)}
		case i >= len(y):
			p = x[i]
			q = mavenPiece{p.separator, mavenNull(p.text)}
		default:
			p, q = x[i], y[i]
		}
		if c := compareMavenPieces(p, q); c != 0 {
			return c, true
		}
	}
	return 0, true
}

// mavenNull is what a missing piece counts as, beside the one that is there.
func mavenNull(beside string) string {
	if isDigits(beside) {
		return "0"
	}
	return ""
}

func parseMaven(s string) []mavenPiece {
	s = strings.ToLower(strings.TrimSpace(s))
	var pieces []mavenPiece
	separator, start := byte('-'), 0
	add := func(end int, next byte) {
		text := s[start:end]
		if text == "" {
			text = "0"
		}
		pieces = append(pieces, mavenPiece{separator, text})
		separator = next
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.' || c == '-' || c == '_':
			if c == '_' {
				c = '-'
			}
			add(i, c)
			start = i + 1
		case i > start && isDigit(s[i-1]) != isDigit(c):
			add(i, '-')
			start = i
		}
	}
	add(len(s), 0)
	for i := range pieces {
		pieces[i].text = mavenAlias(pieces, i)
	}
	return trimMaven(pieces)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// mavenAlias is the full word of a1, b2, m3 and of the names of releases.
func mavenAlias(pieces []mavenPiece, i int) string {
	text := pieces[i].text
	switch text {
	case "ga", "final", "release":
		return ""
	case "cr":
		return "rc"
	case "a", "b", "m":
		if i+1 < len(pieces) && isDigits(pieces[i+1].text) && pieces[i+1].separator == '-' {
			return map[string]string{"a": "alpha", "b": "beta", "m": "milestone"}[text]
		}
	}
	return text
}

// trimMaven drops pieces that say nothing at the end, and before each hyphen.
func trimMaven(pieces []mavenPiece) []mavenPiece {
	var kept []mavenPiece
	for i := len(pieces) - 1; i >= 0; i-- {
		atEnd := len(kept) == 0 || kept[len(kept)-1].separator == '-'
		if i > 0 && atEnd && isMavenNull(pieces[i].text) {
			continue
		}
		kept = append(kept, pieces[i])
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	return kept
}

func isMavenNull(text string) bool { return strings.Trim(text, "0") == "" }

func compareMavenPieces(p, q mavenPiece) int {
	if x, y := mavenClass(p), mavenClass(q); x != y {
		return x - y
	}
	if isDigits(p.text) {
		return compareNumbers(p.text, q.text)
	}
	x, y := mavenRank(p.text), mavenRank(q.text)
	if x != y {
		return x - y
	}
	if x == mavenUnknown {
		return strings.Compare(p.text, q.text)
	}
	return 0
}

// mavenClass: ".word" = "-word" < "-number" < ".number".
func mavenClass(p mavenPiece) int {
	switch {
	case !isDigits(p.text):
		return 0
	case p.separator == '-':
		return 1
	}
	return 2
}

const mavenUnknown = 7

func mavenRank(word string) int {
	switch word {
	case "alpha":
		return 0
	case "beta":
		return 1
	case "milestone":
		return 2
	case "rc":
		return 3
	case "snapshot":
		return 4
	case "":
		return 5
	case "sp":
		return 6
	}
	return mavenUnknown
}
