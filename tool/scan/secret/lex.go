package secret

import (
	"bytes"
	"strings"
)

// pair is a name and the value that a text gives it.
type pair struct {
	name       string
	value      string
	start, end int  // of the value in the text, with all its pieces
	quoted     bool // a literal of a language, not an expression
	query      bool // part of a URL's query
	inside     bool // a line of a text that a literal holds
	spaced     bool // nothing but blanks stands between name and value
	call       bool // the name is that of a function or an option
	literal    bool // only a literal can be the value here
}

const (
	longestName  = 80
	longestValue = 4096
	longestBare  = 1024 // without quotation marks
)

// lexPair reads the name around text[start:end] and the value after it, in
// whatever language: name = "v", "name": "v", <name>v</name>, name="x" value="v",
// define('name', 'v'), --name v, name: | and the next line, `name` to `v` …
func lexPair(text []byte, start, end int, g genre) (pair, bool) {
	from, to := start, end
	for from > 0 && start-from < longestName && isNameByte(text[from-1]) {
		from--
	}
	for to < len(text) && to-end < longestName && isNameByte(text[to]) {
		to++
	}
	p := pair{name: strings.Trim(string(text[from:to]), "-.$")}
	if p.name == "key" && from > 0 && (text[from-1] == '/' || text[from-1] == '<' && bytes.Contains(text[to:min(len(text), to+longestName)], []byte("</key>"))) {
		return p, false // the element that holds a name, of a property list
	}
	if from > 0 && text[from-1] == '\\' && from < start && strings.IndexByte("nrt", text[from]) >= 0 { // "a: b\nname: v"
		p.inside = true
		p.name = p.name[1:]
	}
	p.query = from > 0 && (text[from-1] == '?' || text[from-1] == '&')
	if g.code && !p.inside && from > 0 && within(text, from, to) {
		p.inside = true
	}
	p.lengthen(text, from)
	c := cursor{text: text, at: to}
	if !c.operator(&p, g) || !c.value(&p, g) {
		return p, false
	}
	return p, !p.spaced || c.believable(p, from)
}

// within tells whether text[from:to] is a part of a literal, as a connection
// string in code has it, and not the whole of one.
func within(text []byte, from, to int) bool {
	const farthest = 300
	start := max(0, from-farthest)
	if i := bytes.LastIndexByte(text[start:from], '\n'); i >= 0 {
		start += i + 1
	}
	var open byte
	opened := 0
	for i := start; i < from; i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case open == 0 && (c == '"' || c == '\'' || c == '`'):
			open, opened = c, i
		case c == open:
			open = 0
		}
	}
	return open != 0 && to < len(text) && text[to] != open && (opened < from-1 || text[to] == '=' || text[to] == ':')
}

// lengthen takes the word before a key into its name: "api key" says more than "key".
func (p *pair) lengthen(text []byte, from int) {
	if low := strings.ToLower(p.name); low != "key" && low != "keys" || from < 3 || text[from-1] != ' ' {
		return
	}
	start := from - 1
	for start > 0 && from-start < 20 && isAlnum(text[start-1]) {
		start--
	}
	if start < from-1 {
		p.name = string(text[start:from-1]) + "_" + p.name
	}
}

// believable: words in a row are prose, unless the name is an option, or begins
// a line of which the value is the rest, as configuration files have it.
func (c *cursor) believable(p pair, from int) bool {
	if c.text[from] == '-' {
		return true
	}
	lineStart := lineStart(c.text, from, 100)
	before := strings.TrimSpace(string(c.text[lineStart:from]))
	low := strings.ToLower(before)
	last := low[strings.LastIndexAny(low, " \t")+1:]
	switch {
	case before == "", before == "ENV", before == "ARG", before == "|":
	case strings.HasPrefix(before, "machine ") || strings.HasPrefix(before, "login "): // netrc
	case p.quoted && definers()[last]: // #define NAME "v", (def name "v"), {:name "v"}
		return true
	case p.quoted && strings.EqualFold(p.name, "password") && (strings.Contains(low, "user") || strings.Contains(low, "role") || strings.Contains(low, "login")): // CREATE ROLE app LOGIN PASSWORD 'v'
		return true
	default:
		return false
	}
	end := p.end
	for end < len(c.text) && strings.IndexByte(" \t\r\"';,)}", c.text[end]) >= 0 {
		end++
	}
	return end == len(c.text) || c.text[end] == '\n' || c.text[end] == '/' || c.text[end] == '#'
}

// lineStart is where the line of at begins, or farthest bytes before at: a line may have no end.
func lineStart(text []byte, at, farthest int) int {
	from := max(0, at-farthest)
	return from + bytes.LastIndexByte(text[from:at], '\n') + 1
}

// definers are what stands before a name that is given a value without an operator.
func definers() map[string]bool {
	return wordSet("#define (def (defvar (defparameter (defconst (defconstant (define (setq {: { : -x -gx -ux -xu setenv set const setx export =")
}

func isNameByte(c byte) bool {
	return isAlnum(c) || c == '_' || c == '-' || c == '.' || c == '$'
}

// cursor reads on from an offset.
type cursor struct {
	text []byte
	at   int
}

func (c *cursor) peek() byte {
	if c.at < len(c.text) {
		return c.text[c.at]
	}
	return 0
}

func (c *cursor) has(s string) bool {
	return len(c.text)-c.at >= len(s) && string(c.text[c.at:c.at+len(s)]) == s
}

// skip steps over at most n bytes of set.
func (c *cursor) skip(set string, n int) int {
	from := c.at
	for c.at < len(c.text) && c.at-from < n && strings.IndexByte(set, c.text[c.at]) >= 0 {
		c.at++
	}
	return c.at - from
}

// unescape undoes what JSON and URLs do to a value.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') >= 0 {
		s = strings.NewReplacer(`\\`, `\`, `\/`, "/", `\"`, `"`, `\'`, "'", `\u0026`, "&", `\u003d`, "=", `\$`, "$", `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(s)
	}
	if strings.IndexByte(s, '%') >= 0 {
		s = unpercent(s)
	}
	return s
}

func unpercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1:i+3]) {
			c := unhex(s[i+1])<<4 | unhex(s[i+2])
			if c > ' ' && c < 0x7f {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
