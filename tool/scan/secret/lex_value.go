package secret

import (
	"bytes"
	"strings"
)

// value reads the value after the operator.
func (c *cursor) value(p *pair, g genre) bool {
	c.skip(" \t", 40)
	if !p.call && (c.peek() == '|' || c.peek() == '>') && c.block() {
		return c.bare(p)
	}
	if p.call || g.code {
		for n := 0; n < 3 && c.skip("\r\n \t", 40)+c.skip("(", 1) > 0; n++ { // a literal may stand on the next line, and after a bracket
		}
	}
	if !g.code {
		c.decoration()
	}
	c.tag()
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
	if p.literal || g.code || p.call && !strings.HasPrefix(p.name, "-") && c.text[max(0, c.at-1)] != ' ' {
		return c.wrapped(p) || c.fallback(p)
	}
	return c.bare(p)
}

// decoration steps over what YAML may say of a value before it: !!str, &anchor.
func (c *cursor) decoration() {
	at := *c
	switch {
	case at.has("!!str "), at.has("!!binary "), at.has("! "):
	case at.peek() == '&' && at.at+1 < len(at.text) && isLetter(at.text[at.at+1]):
	default:
		return
	}
	for n := 0; n < 40 && at.peek() != ' ' && at.peek() > ' '; n++ {
		at.at++
	}
	if at.skip(" ", 4) > 0 {
		*c = at
	}
}

// tag steps over an element that holds the value: <value>v, <![CDATA[v.
func (c *cursor) tag() {
	at := *c
	at.skip("\r\n \t", 60)
	if at.peek() != '<' {
		return
	}
	if at.has("<![CDATA[") {
		at.at += len("<![CDATA[")
		*c = at
		return
	}
	at.at++
	name := at.at
	for at.at-name < 24 && isNameByte(at.peek()) {
		at.at++
	}
	switch strings.ToLower(string(at.text[name:at.at])) {
	case "value", "string", "default", "code", "b", "td", "kbd":
		if at.peek() == '>' {
			at.at++
			*c = at
		}
	}
}

// wrappers are functions whose result is what they are given, in another type or decoded.
func wrappers() map[string]bool {
	return wordSet("from string str byte bytes b64decode decodestring atob tobytes securestring char chars text buffer decode unbase64 base64_decode base64decode frombase64string " +
		"fromhex unhexlify hex2bin secret password literal literalstring new plaintext raw sensitive unwrap secretstr some just ok quote strdup stringvalue static to_string tostring " +
		"decodehex hex unhex from_hex x urlsafe_b64decode unescape trim nonsensitive seal l")
}

// wrapped reads the literal that a call only passes on: String::from("v"), atob('v'), []byte("v").
func (c *cursor) wrapped(p *pair) bool {
	at, from := *c, c.at
	for n := 0; n < 3; n++ { // calls within calls
		at.skip("[]&*! \t", 6)
		if at.has("new ") {
			at.at += 4
		}
		start := at.at
		for at.at-start < 60 && (isNameByte(at.peek()) || at.has("::") || at.at > start && at.text[at.at-1] == ':' && at.peek() == ':' || at.peek() == '<' || at.peek() == '>') {
			at.at++
		}
		name := strings.ToLower(string(at.text[start:at.at]))
		name = name[strings.LastIndexAny(name, ".:")+1:]
		if name, _, _ = strings.Cut(name, "<"); at.peek() != '(' || !p.wrapper(name) {
			return false
		}
		at.at++
		at.skip(" \t\r\n", 20)
		at.prefix()
		if q := at.quote(); q != "" && at.at-from < 200 {
			if !at.quotedValue(p, q) {
				return false
			}
			*c = at
			return true
		}
	}
	return false
}

func (p *pair) wrapper(name string) bool { return wrappers()[name] }

// prefix steps over a letter that belongs to a literal: b"…", @"…".
func (c *cursor) prefix() {
	at := *c
	if isLetter(at.peek()) || at.peek() == '@' {
		at.at++
		if at.peek() == '"' || at.peek() == '\'' {
			*c = at
		}
	}
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
		if !next.joins(q) {
			break
		}
		*c = next
	}
	p.value = unescape(value.String())
	return p.value != "" && len(p.value) <= longestValue
}

// joins steps to a literal that is joined to the one before: + . & .. ++ <> ||,
// the end of a line as in C and Python, or a backslash before it as in Ruby.
func (c *cursor) joins(q string) bool {
	lines := bytes.IndexByte(c.text[c.at:min(len(c.text), c.at+60)], '\n')
	spaces := c.skip(" \t\r\n", 60)
	switch {
	case c.has("++"), c.has(".."), c.has("<>"), c.has("||"):
		c.at += 2
	case c.skip("+.&", 1) > 0:
	case c.has("\\\n"), c.has("\\\r\n"):
		c.at++
	case lines >= 0 && lines < spaces && c.has(q) && len(q) == 1: // nothing but a line's end: C, Python
	default:
		return false
	}
	c.skip(" _\t\r\n", 60)
	return c.has(q)
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
		value = bytes.TrimSuffix(value, []byte("]]>"))
		if n := len(value); n > 0 && (value[n-1] == ')' || value[n-1] == '}' || value[n-1] == ']') && !bytes.ContainsAny(value, "({[") {
			value = bytes.TrimRight(value, ")}];")
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
		i := bytes.IndexAny(value[from:], ";,&")
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
// password = getenv("P") ?: "v", password (x != null ? x : "v"), env('P', 'v').
func (c *cursor) fallback(p *pair) bool {
	line := c.text[c.at:min(len(c.text), c.at+300)]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	if bytes.IndexByte(line, '"') < 0 && bytes.IndexByte(line, '\'') < 0 {
		return false
	}
	for _, op := range []string{"?:", "||", "??", " : ", " or ", ".orElse(", ".getOrElse(", ".unwrap_or("} {
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
	return c.second(p, line)
}

// second reads the second argument of a call that looks a value up by its
// name: what is taken where there is none.
func (c *cursor) second(p *pair, line []byte) bool {
	open := bytes.IndexByte(line, '(')
	if open < 0 || !isName(strings.ReplaceAll(string(bytes.TrimSpace(line[:open])), "::", ".")) {
		return false
	}
	low := bytes.ToLower(line[:open])
	for _, look := range []string{"env", "get", "fetch", "config", "lookup", "property"} {
		if !bytes.Contains(low, []byte(look)) {
			continue
		}
		at := cursor{text: c.text, at: c.at + open + 1}
		at.skip(" \t", 4)
		q := at.quote()
		if q == "" || !at.literal(q) || at.skip(", \t\r\n", 40) == 0 {
			return false
		}
		q = at.quote()
		return q != "" && at.quotedValue(p, q)
	}
	return false
}
