package advisory

import (
	"strings"
)

// order compares two versions of an ecosystem: negative, zero or positive. ok is
// false when one of them is no version there.
type order func(a, b string) (result int, ok bool)

// orderOf is the order of versions of an ecosystem, as OSV names it; nil where we
// do not know one: then only listed versions match.
func orderOf(ecosystem string) order {
	base, _, _ := strings.Cut(ecosystem, ":")
	switch base {
	case "npm", "Go", "crates.io", "Hex", "SwiftURL", "Bitnami", "GitHub Actions", "Julia":
		return compareSemver
	case "Pub":
		return comparePub
	case "NuGet":
		return compareNuGet
	case "Packagist":
		return comparePackagist
	case "RubyGems":
		return compareRubyGems
	case "ConanCenter", "CocoaPods", "Conda":
		return compareLoose
	case "CRAN", "Hackage":
		return compareNumbered
	case "PyPI":
		return comparePEP440
	case "Maven":
		return compareMaven
	case "Debian", "Ubuntu":
		return compareDebian
	case "AlmaLinux", "Red Hat", "Rocky Linux", "openSUSE", "SUSE", "Mageia", "openEuler":
		return compareRPM
	case "Alpine", "Chainguard", "Wolfi":
		return compareAlpine
	}
	return nil
}

// Compare tells which of two versions of an ecosystem is the newer one; ok is false where that cannot be told.
func Compare(ecosystem, a, b string) (result int, ok bool) {
	o := orderOf(ecosystem)
	if o == nil || len(a) > longestVersion || len(b) > longestVersion {
		return 0, false
	}
	return o(a, b)
}

const longestVersion = 256

// Normal is a package's name as its ecosystem compares it.
func Normal(ecosystem, name string) string {
	switch base, _, _ := strings.Cut(ecosystem, ":"); base {
	case "PyPI":
		var b strings.Builder
		dash := false
		for _, c := range strings.ToLower(name) {
			if c == '-' || c == '_' || c == '.' {
				dash = true
				continue
			}
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(c)
		}
		return b.String()
	case "NuGet", "Packagist":
		return strings.ToLower(name)
	}
	return name
}

// compareNumbers compares runs of digits of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
