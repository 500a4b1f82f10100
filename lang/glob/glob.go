// Package glob matches the paths of files by patterns in which ** stands for any number of folders.
//
// Within one name * is any text, ? any letter and [a-z] one of some; {a,b} is a
// choice, also across names. ** as a whole name is any folders, also none. A
// backslash takes the next letter as it is. Names that start with a dot are
// names like any other.
package glob

import (
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

const (
	longest = 1024 // bytes of a pattern
	choices = 64   // patterns that one with {} stands for
	deepest = 64   // names of a pattern
)

// Pattern is a pattern that has been read. The zero Pattern matches nothing.
type Pattern struct {
	text    string
	choices [][]string // each the names between slashes
}

// Parse reads a pattern. A leading ./ and doubled slashes mean nothing.
func Parse(text string) (Pattern, error) {
	if len(text) > longest {
		return Pattern{}, fault.Invalid.Errorf("the pattern is longer than %d bytes", longest)
	}
	all, err := spread(text)
	if err != nil {
		return Pattern{}, err
	}
	p := Pattern{text: text}
	for _, one := range all {
		names := strings.Split(strings.TrimPrefix(path.Clean("/"+one), "/"), "/")
		if len(names) > deepest {
			return Pattern{}, fault.Invalid.Errorf("the pattern %q has more than %d names", text, deepest)
		}
		for _, name := range names {
			if _, err := path.Match(name, ""); err != nil {
				return Pattern{}, fault.Invalid.Errorf("the pattern %q has a [ that is not closed, or a lone backslash", text)
			}
		}
		p.choices = append(p.choices, slices.CompactFunc(names, func(a, b string) bool { return a == "**" && b == "**" }))
	}
	return p, nil
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match tells whether a path, with slashes, is meant.
func (p Pattern) Match(name string) bool {
	names := strings.Split(name, "/")
	for _, c := range p.choices {
		if match(c, names) {
			return true
		}
	}
	return false
}

// match goes through both once, and back to the last ** where it was wrong: time
// grows with the product of both, never faster.
func match(pattern, names []string) bool {
	i, j := 0, 0
	star, from := -1, 0
	for j < len(names) {
		switch {
		case i < len(pattern) && pattern[i] == "**":
			star, from = i, j
			i++
		case i < len(pattern) && one(pattern[i], names[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == "**" {
		i++
	}
	return i == len(pattern)
}

func one(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// spread is what the pattern stands for when each {a,b} is one of its choices.
func spread(text string) ([]string, error) {
	open := index(text, 0, '{')
	if open < 0 {
		return []string{text}, nil
	}
	end, parts, depth, start := -1, []string(nil), 0, open+1
	for i := open; i < len(text) && end < 0; i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				end, parts = i, append(parts, text[start:i])
			}
		case c == ',' && depth == 1:
			parts, start = append(parts, text[start:i]), i+1
		}
	}
	if end < 0 {
		return nil, fault.Invalid.Errorf("the pattern %q has a { that is not closed", text)
	}
	var all []string
	for _, part := range parts {
		more, err := spread(text[:open] + part + text[end+1:])
		if err != nil {
			return nil, err
		}
		if all = append(all, more...); len(all) > choices {
			return nil, fault.Invalid.Errorf("the pattern %q stands for more than %d", text, choices)
		}
	}
	return all, nil
}

// index is where a letter first stands that no backslash precedes.
func index(text string, from int, c byte) int {
	for i := from; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case c:
			return i
		}
	}
	return -1
}
