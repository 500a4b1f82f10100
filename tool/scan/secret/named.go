package secret

import (
	"slices"
	"strings"
)

// named are the rules over names and values, by the names that they are about.
type named struct {
	words *automaton
	list  []string
	rules [][]*Rule
}

func (n *named) add(r *Rule) {
	for _, name := range r.names {
		i := slices.Index(n.list, name)
		if i < 0 {
			i = len(n.list)
			n.list, n.rules = append(n.list, name), append(n.rules, nil)
		}
		n.rules[i] = append(n.rules[i], r)
	}
}

func (n *named) build() {
	if len(n.list) > 0 {
		n.words = build(n.list)
	}
}

// shortName is up to where a name must stand as a word of its own: lob is no part of global.
const shortName = 4

// of are the rules about name, each once, in the order of their files: what
// counts are its letters and digits, whatever joins them.
func (n *named) of(name string) []*Rule {
	if n.words == nil {
		return nil
	}
	var plain strings.Builder
	starts := make([]bool, 0, longestName+1) // by offset in plain: a word begins here
	for i := range len(name) {
		if c := name[i]; isAlnum(c) {
			upper := c >= 'A' && c <= 'Z'
			starts = append(starts, i == 0 || !isAlnum(name[i-1]) || upper && !(name[i-1] >= 'A' && name[i-1] <= 'Z'))
			plain.WriteByte(c | 0x20) // digits have that bit already
		}
	}
	text := plain.String()
	var found []*Rule
	n.words.each([]byte(text), func(word, end int) {
		w := n.list[word]
		if len(w) <= shortName && !(starts[end-len(w)] && ends(text, starts, end)) {
			return
		}
		for _, r := range n.rules[word] {
			if !slices.Contains(found, r) {
				found = append(found, r)
			}
		}
	})
	return found
}

// ends tells whether a word ends at end, or goes on as APIKEY does.
func ends(text string, starts []bool, end int) bool {
	if end == len(text) || starts[end] {
		return true
	}
	for _, next := range []string{"api", "key", "token", "secret", "access", "auth", "pass"} {
		if strings.HasPrefix(text[end:], next) {
			return true
		}
	}
	return false
}
