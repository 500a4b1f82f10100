package advisory

import (
	"cmp"
	"strings"
)

// compareDebian is dpkg's order: epoch, upstream version, revision.
func compareDebian(a, b string) (int, bool) {
	x, ok := parseDebian(a)
	y, ok2 := parseDebian(b)
	if !ok || !ok2 {
		return 0, false
	}
	return cmp.Or(compareNumbers(x[0], y[0]), compareDpkg(x[1], y[1]), compareDpkg(x[2], y[2])), true
}

func parseDebian(s string) (parts [3]string, ok bool) {
	s = strings.TrimSpace(s)
	epoch, rest, has := strings.Cut(s, ":")
	if !has {
		epoch, rest = "0", s
	}
	parts[0], parts[1], parts[2] = epoch, rest, "0"
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		parts[1], parts[2] = rest[:i], rest[i+1:]
	}
	return parts, isDigits(epoch) && parts[1] != ""
}

// compareDpkg compares by turns what is no digit, by character, and digits, as numbers.
func compareDpkg(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			x, y := dpkgWeight(a), dpkgWeight(b)
			if x != y {
				return x - y
			}
			if a != "" {
				a = a[1:]
			}
			if b != "" {
				b = b[1:]
			}
		}
		i, j := digits(a), digits(b)
		if c := compareNumbers(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// dpkgWeight: ~ before the end, the end and digits before letters, letters before the rest.
func dpkgWeight(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

func digits(s string) int {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// compareRPM is rpm's order: epoch, version, release.
func compareRPM(a, b string) (int, bool) {
	x, ok := parseDebian(a)
	y, ok2 := parseDebian(b)
	if !ok || !ok2 {
		return 0, false
	}
	return cmp.Or(compareNumbers(x[0], y[0]), compareRPMParts(x[1], y[1]), compareRPMParts(x[2], y[2])), true
}

func compareRPMParts(a, b string) int {
	separator := func(c byte) bool {
		return !isDigit(c) && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '~' && c != '^'
	}
	for {
		for a != "" && separator(a[0]) {
			a = a[1:]
		}
		for b != "" && separator(b[0]) {
			b = b[1:]
		}
		if x, y := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); x || y {
			if x != y {
				return sign(y, x)
			}
			a, b = a[1:], b[1:]
			continue
		}
		if x, y := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^"); x || y {
			switch {
			case x && y:
				a, b = a[1:], b[1:]
				continue
			case x:
				return sign(b == "", b != "")
			}
			return sign(a != "", a == "")
		}
		if a == "" || b == "" {
			return len(a) - len(b)
		}
		i, j := segment(a), segment(b)
		p, q := a[:i], b[:j]
		a, b = a[i:], b[j:]
		switch x, y := isDigits(p), isDigits(q); {
		case x != y:
			return sign(x, y)
		case x:
			if c := compareNumbers(p, q); c != 0 {
				return c
			}
		case p != q:
			return strings.Compare(p, q)
		}
	}
}

func sign(more, less bool) int {
	switch {
	case more && !less:
		return 1
	case less && !more:
		return -1
	}
	return 0
}

// segment is the length of the digits, or of the letters, at the beginning.
func segment(s string) int {
	if n := digits(s); n > 0 {
		return n
	}
	i := 0
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z') {
		i++
	}
	return i
}

// compareAlpine is apk's order: numbers, a letter, suffixes, revision.
func compareAlpine(a, b string) (int, bool) {
	x, ok := parseAlpine(a)
	y, ok2 := parseAlpine(b)
	if !ok || !ok2 {
		return 0, false
	}
	return cmp.Or(compareLists(x.numbers, y.numbers), strings.Compare(x.letter, y.letter), compareNumbers(x.after, y.after), compareSuffixes(x.suffixes, y.suffixes), compareNumbers(x.revision, y.revision)), true
}

type alpineVersion struct {
	numbers  []string
	letter   string
	after    string // the number behind the letter
	suffixes []string
	revision string
}

func parseAlpine(s string) (alpineVersion, bool) {
	var v alpineVersion
	s = strings.TrimSpace(s)
	if i := strings.LastIndex(s, "-r"); i >= 0 && isDigits(s[i+2:]) {
		v.revision, s = s[i+2:], s[:i]
	}
	parts := strings.Split(s, "_")
	v.suffixes = parts[1:]
	core := parts[0]
	after := core[len(strings.TrimRight(core, "0123456789")):] // 1.8.1p1, as some packages have it
	if n := len(core) - len(after); n > 0 && core[n-1] >= 'a' && core[n-1] <= 'z' {
		v.letter, v.after, core = core[n-1:n], after, core[:n-1]
	}
	v.numbers = strings.Split(core, ".")
	for _, n := range v.numbers {
		if !isDigits(n) {
			return v, false
		}
	}
	return v, true
}

func compareSuffixes(a, b []string) int {
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		p, q := strings.TrimRight(x, "0123456789"), strings.TrimRight(y, "0123456789")
		if c := cmp.Or(suffixRank(p)-suffixRank(q), compareNumbers(x[len(p):], y[len(q):])); c != 0 {
			return c
		}
	}
	return 0
}

func suffixRank(word string) int {
	for i, w := range []string{"alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"} {
		if w == word {
			return i
		}
	}
	return 4
}
