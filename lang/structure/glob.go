package structure

import (
	"errors"
	"regexp"
	"strings"
)

// Glob is a pattern of names as CodePipeline's filters have them: * is anything
// within a part of a path, ** also across parts, ? is one character, [a-c] and
// [!a-c] are one of these and none of these, {a,b} is a or b, and \ takes away
// what a character means. It looks at a name in linear time.
type Glob struct{ re *regexp.Regexp }

var errGlob = errors.New("a bracket is not closed, or one stands in another")

// ParseGlob reads a pattern.
func ParseGlob(pattern string) (Glob, error) {
	if pattern == "" || len(pattern) > 255 {
		return Glob{}, errors.New("a pattern has 1 to 255 characters")
	}
	var b strings.Builder
	b.WriteString(`(?s)\A(?:`)
	in := false // {…}
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		switch c := runes[i]; {
		case c == '\\':
			if i++; i == len(runes) {
				return Glob{}, errors.New(`nothing stands after \`)
			}
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		case c == '*' && i+1 < len(runes) && runes[i+1] == '*':
			b.WriteString(`.*`)
			i++
		case c == '*':
			b.WriteString(`[^/]*`)
		case c == '?':
			b.WriteString(`[^/]`)
		case c == '[':
			set, after, err := class(runes, i+1)
			if err != nil {
				return Glob{}, err
			}
			b.WriteString(set)
			i = after
		case c == '{' && in, c == '}' && !in:
			return Glob{}, errGlob
		case c == '{':
			in = true
			b.WriteString(`(?:`)
		case c == '}':
			in = false
			b.WriteString(`)`)
		case c == ',' && in:
			b.WriteString(`|`)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	if in {
		return Glob{}, errGlob
	}
	re, err := regexp.Compile(b.String() + `)\z`)
	if err != nil {
		return Glob{}, errors.New("a range ends before it begins")
	}
	return Glob{re}, nil
}

// class is a set of characters from after its bracket on, and where it ends.
func class(runes []rune, i int) (set string, end int, err error) {
	var b strings.Builder
	b.WriteString(`[`)
	if i < len(runes) && (runes[i] == '!' || runes[i] == '^') {
		b.WriteString(`^/`)
		i++
	}
	begin := i
	for ; i < len(runes); i++ {
		switch c := runes[i]; {
		case c == ']' && i > begin:
			return b.String() + `]`, i, nil
		case c == '/':
			return "", 0, errors.New("a part of a path ends within brackets")
		case c == '-' && i > begin && i+1 < len(runes) && runes[i+1] != ']':
			b.WriteRune('-')
		default:
			b.WriteString(`\x{` + hex(c) + `}`)
		}
	}
	return "", 0, errGlob
}

func hex(c rune) string {
	const digits = "0123456789abcdef"
	out := []byte{}
	for n := uint32(c); n > 0 || len(out) == 0; n >>= 4 {
		out = append([]byte{digits[n&15]}, out...)
	}
	return string(out)
}

// Match tells whether a name is meant.
func (g Glob) Match(name string) bool { return g.re != nil && g.re.MatchString(name) }

// Filter lets names through: those that one of Includes means, or all where
// there are none, but never those that one of Excludes means.
type Filter struct {
	Includes []string `json:"includes,omitzero" yaml:"includes"`
	Excludes []string `json:"excludes,omitzero" yaml:"excludes"`
}

// Match tells whether the filter lets a name through. No filter lets all through.
func (f *Filter) Match(name string) bool {
	if f == nil {
		return true
	}
	return !anyOf(f.Excludes, name) && (len(f.Includes) == 0 || anyOf(f.Includes, name))
}

// any tells whether the filter lets one of the names through.
func (f *Filter) any(names []string) bool {
	if f == nil {
		return true
	}
	includes, excludes := globs(f.Includes), globs(f.Excludes)
	for _, name := range names {
		if !matchAny(excludes, name) && (len(f.Includes) == 0 || matchAny(includes, name)) {
			return true
		}
	}
	return false
}

func anyOf(patterns []string, name string) bool { return matchAny(globs(patterns), name) }

// globs are patterns that were checked; one that was not means nothing.
func globs(patterns []string) (all []Glob) {
	for _, p := range patterns {
		if g, err := ParseGlob(p); err == nil {
			all = append(all, g)
		}
	}
	return all
}

func matchAny(globs []Glob, name string) bool {
	for _, g := range globs {
		if g.Match(name) {
			return true
		}
	}
	return false
}
