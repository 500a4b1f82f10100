package secret

import (
	"bytes"
	"slices"
	"strings"
)

// affordable is how many steps a pattern of a file may take over one text:
// its size times that of the text.
const affordable = 50_000_000_000

// match is what a foreign rule found in a text.
type match struct {
	rule       *foreign
	start, end int // of all that matched
	secret     span
}

// hits are what the rules of the file find; whole is false where a pattern is
// too large for the text.
func (c *Config) hits(path string, text []byte) (found []hit, whole bool) {
	whole = true
	lines := newLineIndex(text)
	matched := map[*foreign][]match{}
	for _, f := range c.wanted(text) {
		if f.path != nil && !f.path.MatchString(path) || slices.ContainsFunc(f.allow, func(a *allowlist) bool { return a.allowsPath(path) }) {
			continue
		}
		if f.pattern == nil {
			matched[f] = []match{{rule: f}}
			continue
		}
		if f.size*len(text) > affordable {
			whole = false
			continue
		}
		matched[f] = c.matches(f, path, text, lines)
	}
	for _, f := range c.rules {
		for _, m := range matched[f] {
			if !f.silent && c.complete(m, matched, lines) {
				h := hit{rule: f.rule, start: m.secret.start, end: m.secret.end, secret: string(text[m.secret.start:m.secret.end]), verdict: likely}
				if f.pattern == nil {
					h.evidence = "the file's name"
				}
				found = append(found, h)
			}
			if len(found) >= mostHits {
				return found, false
			}
		}
	}
	return found, whole
}

// wanted are the rules one of whose keywords the text holds, and those without.
func (c *Config) wanted(text []byte) []*foreign {
	all := slices.Clone(c.always)
	if c.words == nil {
		return all
	}
	seen := map[*foreign]bool{}
	last := -1
	c.words.each(text, func(word, _ int) {
		if word == last { // the same again, most of the time
			return
		}
		last = word
		for _, f := range c.byWord[word] {
			if !seen[f] {
				seen[f] = true
				all = append(all, f)
			}
		}
	})
	return all
}

func (c *Config) matches(f *foreign, path string, text []byte, lines lineIndex) (all []match) {
	for _, at := range f.pattern.FindAllSubmatchIndex(text, mostHits) {
		m := match{rule: f, start: at[0], end: at[1]}
		m.start += len(text[m.start:m.end]) - len(bytes.TrimLeft(text[m.start:m.end], "\n"))
		m.end -= len(text[m.start:m.end]) - len(bytes.TrimRight(text[m.start:m.end], "\n"))
		m.secret = span{m.start, max(m.start, m.end)}
		for g := 1; 2*g+1 < len(at); g++ {
			if g == f.group && at[2*g] >= 0 || f.group == 0 && at[2*g+1] > at[2*g] && at[2*g] >= 0 {
				m.secret = span{at[2*g], at[2*g+1]}
				break
			}
		}
		secret := string(text[m.secret.start:m.secret.end])
		if secret == "" || f.entropy != 0 && entropy(secret) <= f.entropy {
			continue
		}
		if c.allows(f.allow, path, text, lines, span{m.start, m.end}, secret) {
			continue
		}
		all = append(all, m)
	}
	return all
}

// complete tells whether all rules that m's requires have found something near it.
func (c *Config) complete(m match, matched map[*foreign][]match, lines lineIndex) bool {
	for _, q := range m.rule.required {
		near := func(o match) bool {
			p, r := lines.place("", m.start), lines.place("", o.start)
			return (q.lines < 0 || distance(p.Line, r.Line) <= q.lines) && (q.columns < 0 || distance(p.Column, r.Column) <= q.columns)
		}
		if i := c.index(q.id); i < 0 || !slices.ContainsFunc(matched[c.rules[i]], near) {
			return false
		}
	}
	return true
}

func distance(a, b int) int { return max(a-b, b-a) }

// skips tells whether the file leaves a path out for every rule.
func (c *Config) skips(path string) bool {
	return slices.ContainsFunc(c.allow, func(a *allowlist) bool { return a.allowsPath(path) })
}

// AllowsCommit tells whether the file lets everything of a commit be.
func (c *Config) AllowsCommit(id string) bool {
	return c != nil && slices.ContainsFunc(c.allow, func(a *allowlist) bool {
		return slices.Contains(a.commits, strings.ToLower(id)) && (!a.all || len(a.paths)+len(a.regexes)+len(a.stopwords) == 0)
	})
}

// keep leaves out those of our own hits that the file lets be.
func (c *Config) keep(path string, text []byte, hits []hit) []hit {
	lines := newLineIndex(text)
	return slices.DeleteFunc(hits, func(h hit) bool {
		lists := c.of[h.rule.ID]
		return c.without[h.rule.ID] || slices.ContainsFunc(lists, func(a *allowlist) bool { return a.allowsPath(path) }) ||
			c.allows(lists, path, text, lines, span{h.start, h.end}, h.secret)
	})
}

// allows tells whether a list, or one of all rules, lets a secret be.
func (c *Config) allows(lists []*allowlist, path string, text []byte, lines lineIndex, at span, secret string) bool {
	first, last := lines.around(at.start, at.end)
	line := string(text[first:max(first, last)])
	one := func(a *allowlist) bool { return a.allows(path, secret, string(text[at.start:at.end]), line) }
	return slices.ContainsFunc(c.allow, one) || slices.ContainsFunc(lists, one)
}

func (a *allowlist) pathMatches(path string) bool {
	for _, re := range a.paths {
		if re.MatchString(path) {
			return true
		}
	}
	return false
}

// allowsPath tells whether the path alone decides.
func (a *allowlist) allowsPath(path string) bool {
	if len(a.paths) == 0 || a.all && len(a.regexes)+len(a.stopwords)+len(a.commits) > 0 {
		return false
	}
	return a.pathMatches(path)
}

func (a *allowlist) allows(path, secret, match, line string) bool {
	target := map[string]string{"": secret, "secret": secret, "match": match, "line": line}[a.target]
	regex, stop := false, false
	for _, re := range a.regexes {
		regex = regex || re.MatchString(target)
	}
	low := strings.ToLower(secret)
	for _, w := range a.stopwords {
		stop = stop || strings.Contains(low, w)
	}
	if !a.all {
		return regex || stop
	}
	return len(a.commits) == 0 && (len(a.paths) == 0 || a.pathMatches(path)) && (len(a.regexes) == 0 || regex) && (len(a.stopwords) == 0 || stop)
}

// names tells whether a rule of the file looks at nothing but names, and at this one.
func (c *Config) names(path string) bool {
	return c != nil && slices.ContainsFunc(c.always, func(f *foreign) bool { return f.pattern == nil && f.path.MatchString(path) })
}

// Beside is the configuration of a file that is found where one scans: its
// rules and allowlists count beside our own rules, which only somebody who
// names the file can switch off.
func (c *Config) Beside() *Config {
	own := *c
	own.own, own.without = true, map[string]bool{}
	return &own
}
