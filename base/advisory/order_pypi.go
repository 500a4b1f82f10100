package advisory

import (
	"cmp"
	"regexp"
	"strings"
)

// pep440 is a version as PEP 440 takes it, with every spelling it allows.
var pep440 = regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` + // epoch, release
	`(?:[-_.]?(alpha|beta|preview|pre|rc|a|b|c)[-_.]?([0-9]*))?` + // pre-release
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` + // post-release
	`(?:[-_.]?(dev)[-_.]?([0-9]*))?` + // development release
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`) // local

type pypiVersion struct {
	epoch   string
	release []string
	pre     int // 0 alpha, 1 beta, 2 candidate; see below where there is none
	preN    string
	post    int // 1 where there is one
	postN   string
	dev     int // 0 where there is one, 1 else
	devN    string
	local   []string
}

func parsePEP440(s string) (pypiVersion, bool) {
	m := pep440.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return pypiVersion{}, false
	}
	v := pypiVersion{epoch: m[1], release: strings.Split(m[2], "."), preN: m[4], dev: 1}
	switch m[3] {
	case "":
		v.pre = 3 // a release comes after its candidates
	case "a", "alpha":
		v.pre = 0
	case "b", "beta":
		v.pre = 1
	default:
		v.pre = 2
	}
	if m[5] != "" || m[6] != "" {
		v.post, v.postN = 1, m[5]+m[7]
	}
	if m[8] != "" {
		v.dev, v.devN = 0, m[9]
		if m[3] == "" && v.post == 0 {
			v.pre = -1 // 1.0.dev1 comes before 1.0a1
		}
	}
	if m[10] != "" {
		v.local = strings.FieldsFunc(m[10], func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	}
	return v, true
}

// comparePEP440 is the order of PEP 440.
func comparePEP440(a, b string) (int, bool) {
	x, ok := parsePEP440(a)
	y, ok2 := parsePEP440(b)
	if !ok || !ok2 {
		return 0, false
	}
	return cmp.Or(compareNumbers(x.epoch, y.epoch), compareLists(x.release, y.release),
		cmp.Compare(x.pre, y.pre), compareNumbers(x.preN, y.preN),
		cmp.Compare(x.post, y.post), compareNumbers(x.postN, y.postN),
		cmp.Compare(x.dev, y.dev), compareNumbers(x.devN, y.devN),
		compareLocals(x.local, y.local)), true
}

// compareLocals: numbers are newer than words, and more is newer than less.
func compareLocals(a, b []string) int {
	for i := range min(len(a), len(b)) {
		x, y := isDigits(a[i]), isDigits(b[i])
		switch {
		case x && y:
			if c := compareNumbers(a[i], b[i]); c != 0 {
				return c
			}
		case x != y:
			if x {
				return 1
			}
			return -1
		default:
			if c := strings.Compare(a[i], b[i]); c != 0 {
				return c
			}
		}
	}
	return len(a) - len(b)
}
