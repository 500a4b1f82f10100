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
	if from > 0 && text[from-1] == '\\' && from < start && strings.IndexByte("nrt", text[from]) >= 0 { // "a: b\nname: v"
		p.inside = true
		p.name = p.name[1:]
	}
	p.query = from > 0 && (text[from-1] == '?' || text[from-1] == '&')
	c := cursor{text: text, at: to}
	if !c.operator(&p, g) || !c.value(&p, g) {
		return p, false
	}
	return p, !p.spaced || c.believable(p, from)
}

// believable: words in a row are prose, unless the name is an option, or begins
// a line of which the value is the rest, as configuration files have it.
func (c *cursor) believable(p pair, from int) bool {
	if c.text[from] == '-' {
		return true
	}
	lineStart := bytes.LastIndexByte(c.text[:from], '\n') + 1
	before := strings.TrimSpace(string(c.text[max(lineStart, from-100):from]))
	switch {
	case before == "", before == "ENV", before == "ARG":
	case strings.HasPrefix(before, "machine ") || strings.HasPrefix(before, "login "): // netrc
	default:
		return false
	}
	end := p.end
	for end < len(c.text) && strings.IndexByte(" \t\r\"';,)}", c.text[end]) >= 0 {
		end++
	}
	return end == len(c.text) || c.text[end] == '\n' || c.text[end] == '/' || c.text[end] == '#'
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

// operator steps over what stands between a name and its value.
func (c *cursor) operator(p *pair, g genre) bool {
	closed := c.skip("\\\"'`]", 6) > 0
	spaces := c.skip(" \t", 40)
	switch {
	case c.has("==") || c.has("=~") || c.has("!="):
		p.call = true // compared: only a literal says something
		c.at += 2
		c.skip("=", 1)
	case c.has("=>"), c.has(":="), c.has("?="), c.has("+="), c.has("::"):
		c.at += 2
	case c.has("||="):
		c.at += 3
	case c.peek() == '=':
		c.at++
	case c.peek() == ':':
		c.at++
		c.annotation()
	case c.peek() == '>':
		c.at++
	case c.peek() == '(' && !closed && spaces == 0:
		c.at++
		p.call = true
	case c.peek() == ',' && closed:
		c.at++
		if !c.valueField() {
			p.call = true
			return c.argument(p.name)
		}
	case closed && c.valueField():
	case closed && (c.has("to ") || c.has("is ")):
		c.at += 3
		p.call = true
	case !closed && c.lineValue():
	case spaces > 0 && !closed:
		p.call, p.spaced = true, true
	default:
		return false
	}
	return true
}

// argument tells whether the name just read is the first argument of a call:
// what follows is then about it, and not another item of a list.
func (c *cursor) argument(name string) bool {
	before := bytes.TrimRight(c.text[max(0, c.at-len(name)-20):c.at], " \t,")
	i := bytes.LastIndex(before, []byte(name))
	return i > 0 && bytes.HasSuffix(bytes.TrimRight(before[:i], "\"'`\\ "), []byte("("))
}

// annotation steps over a type between colon and equals sign: name: string = "v".
func (c *cursor) annotation() {
	at := *c
	at.skip(" \t", 8)
	if at.skip("&?*<>[]", 4); !isLetter(at.peek()) {
		return
	}
	for n := 0; n < 40 && (isAlnum(at.peek()) || strings.IndexByte("_.?<>[]&", at.peek()) >= 0); n++ {
		at.at++
	}
	at.skip(" \t", 8)
	if at.peek() == '=' && !at.has("==") && !at.has("=>") {
		at.at++
		*c = at
	}
}

// valueField steps over `value:` or `value=` where the name is itself a value:
// {"name": "PASSWORD", "value": "v"}, <add key="password" value="v"/>.
func (c *cursor) valueField() bool {
	at := *c
	at.skip(" \t\r\n", 60)
	at.skip("\"'", 1)
	if !at.has("value") && !at.has("Value") {
		return false
	}
	at.at += len("value")
	at.skip("\"'", 1)
	at.skip(" \t", 4)
	if at.peek() != ':' && at.peek() != '=' {
		return false
	}
	at.at++
	*c = at
	return true
}

// lineValue is valueField on the next line, as Kubernetes writes env: name, then value.
func (c *cursor) lineValue() bool {
	if c.peek() != '\n' && c.peek() != '\r' {
		return false
	}
	return c.valueField()
}

// value reads the value after the operator.
func (c *cursor) value(p *pair, g genre) bool {
	c.skip(" \t", 40)
	if !p.call && (c.peek() == '|' || c.peek() == '>') && c.block() {
		return c.bare(p)
	}
	if p.call || g.code {
		c.skip("\r\n \t", 40) // a literal may stand on the next line, and after a bracket
		c.skip("(", 1)
	}
	if at := *c; isLetter(at.peek()) || at.peek() == '@' || at.peek() == '$' { // b"…", @"…", r#"…"
		at.at++
		at.skip("#", 2)
		if at.peek() == '"' || at.peek() == '\'' {
			*c = at
		}
	}
	if q := c.quote(); q != "" {
		return c.quotedValue(p, q)
	}
	if p.query || p.inside {
		return c.bare(p)
	}
	if g.code || p.call && !strings.HasPrefix(p.name, "-") && c.text[max(0, c.at-1)] != ' ' {
		return c.fallback(p)
	}
	return c.bare(p)
}

// block steps over a YAML block scalar's header and indentation.
func (c *cursor) block() bool {
	at := *c
	at.at++
	at.skip("+-0123456789", 3)
	if at.skip(" \t\r", 4); at.peek() != '\n' {
		return false
	}
	at.at++
	if at.skip(" ", 40) == 0 {
		return false
	}
	*c = at
	return true
}

// quote is the quotation mark here, with the backslashes before it, or "".
func (c *cursor) quote() string {
	at := *c
	for at.peek() == '\\' && at.at-c.at < 3 {
		at.at++
	}
	switch q := at.peek(); q {
	case '"', '\'', '`':
		if at.has(`"""`) || at.has("'''") {
			return string(c.text[c.at : at.at+3])
		}
		return string(c.text[c.at : at.at+1])
	}
	return ""
}

// quotedValue reads a literal, and those joined to it.
func (c *cursor) quotedValue(p *pair, q string) bool {
	p.quoted = true
	var value strings.Builder
	for pieces := 0; pieces < 8; pieces++ {
		start := c.at + len(q)
		if !c.literal(q) {
			break
		}
		if pieces == 0 {
			p.start = start
		}
		p.end = c.at - len(q)
		value.Write(c.text[start:p.end])
		next := *c
		next.skip(" \t\r\n", 40)
		if next.skip("+.&", 2) == 0 && !next.has("\\\n") {
			break
		}
		next.skip("\\", 1)
		next.skip(" \t\r\n", 40)
		if !next.has(q) {
			break
		}
		*c = next
	}
	p.value = unescape(value.String())
	return p.value != "" && len(p.value) <= longestValue
}

// literal steps over one literal in q, which it must stand on.
func (c *cursor) literal(q string) bool {
	i := c.at + len(q)
	for n := 0; i < len(c.text) && n < longestValue; n++ {
		switch {
		case len(c.text)-i >= len(q) && string(c.text[i:i+len(q)]) == q:
			c.at = i + len(q)
			return true
		case c.text[i] == '\\' && len(q) == 1:
			i += 2
			continue
		case c.text[i] == '\n' && len(q) != 3 && q != "`":
			return false
		}
		i++
	}
	return false
}

// bare reads up to the next white space, quotation mark or markup.
func (c *cursor) bare(p *pair) bool {
	i := c.at
	for i < len(c.text) && i-c.at <= longestBare && !p.stops(c.text[i]) {
		i++
	}
	p.start, p.end = c.at, i
	if i-c.at > longestBare {
		return false
	}
	value := c.text[c.at:i]
	if !p.query {
		value = bytes.TrimRight(nextField(value), ",;")
		if n := len(value); n > 0 && (value[n-1] == ')' || value[n-1] == '}') && !bytes.ContainsAny(value, "({") {
			value = bytes.TrimRight(value, ")};")
		}
	}
	p.start, p.end, p.value = c.at, c.at+len(value), unescape(string(value))
	return len(value) > 0
}

// stops tells where a value without quotation marks ends.
func (p *pair) stops(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', '"', '\'', '`', '<':
		return true
	case '&', '#':
		return p.query
	case '\\':
		return p.inside
	}
	return false
}

// nextField cuts off what follows in a connection string: key=value;other=value.
func nextField(value []byte) []byte {
	for from := 0; ; {
		i := bytes.IndexByte(value[from:], ';')
		if i < 0 {
			return value
		}
		from += i + 1
		if name, _, ok := bytes.Cut(value[from:], []byte("=")); ok && isName(string(name)) {
			return value[:from-1]
		}
	}
}

// fallback reads the literal that an expression falls back on:
// password = getenv("P") ?: "v", password (x != null ? x : "v").
func (c *cursor) fallback(p *pair) bool {
	line := c.text[c.at:min(len(c.text), c.at+300)]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	if bytes.IndexByte(line, '"') < 0 && bytes.IndexByte(line, '\'') < 0 {
		return false
	}
	for _, op := range []string{"?:", "||", "??", " : ", " or ", ".orElse(", ".getOrElse("} {
		i := bytes.LastIndex(line, []byte(op))
		if i < 0 {
			continue
		}
		at := cursor{text: c.text, at: c.at + i + len(op)}
		at.skip(" \t(", 8)
		if q := at.quote(); q != "" && at.quotedValue(p, q) {
			return true
		}
	}
	return false
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
