package secret

import (
	"bytes"
	"strings"
)

// operator steps over what stands between a name and its value.
func (c *cursor) operator(p *pair, g genre) bool {
	closed := c.skip("\\\"'`]", 6) > 0
	if !closed && c.has("[]") { // char name[] = "v"
		c.at += 2
	}
	spaces := c.skip(" \t", 40)
	switch {
	case c.has("==") || c.has("=~") || c.has("!="):
		p.call = true // compared: only a literal says something
		c.at += 2
		c.skip("=", 1)
	case c.has("=>"), c.has(":="), c.has("?="), c.has("+="), c.has("::"), c.has("<-"):
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
	case c.has("</key>"):
		c.at += len("</key>")
	case c.peek() == '(' && !closed && spaces == 0:
		c.at++
		p.call = true
	case c.peek() == '{' && !closed && spaces == 0 && g.code:
		c.at++
		p.call, p.literal = true, true
	case !closed && c.ignored():
	case !closed && spaces > 0 && (c.has("--value ") || c.has("--secret-string ")):
		c.at += bytes.IndexByte(c.text[c.at:], ' ')
		p.call = true
	case c.peek() == ',' && closed:
		c.at++
		if !c.valueField() {
			p.call = true
			return c.argument(p.name)
		}
	case c.peek() == ',' && c.listed(p.name, g):
		c.at++
		p.call, p.literal = !g.table, !g.table
	case closed && c.valueField():
	case closed && (c.has("to ") || c.has("is ")):
		c.at += 3
		p.call = true
	case c.peek() == '|' && (g.prose || g.table):
		c.at++
		c.skip(" \t", 40)
	case !closed && c.lineValue():
	case g.code && spaces > 0 && !closed && c.typed(p):
	case spaces > 0 && !closed && g.prose && (c.has("is ") || c.has("is: ")):
		c.at += 3
		c.skip(" ", 2)
		p.call, p.literal = true, true
	case spaces > 0 && !closed:
		p.call, p.spaced = true, true
	default:
		return false
	}
	return true
}

// typed steps over a type between name and equals sign: name string = "v",
// Dim name As String = "v", string Name { get; set; } = "v".
func (c *cursor) typed(p *pair) bool {
	const farthest = 60
	for i := c.at; i < len(c.text) && i-c.at < farthest; i++ {
		switch ch := c.text[i]; {
		case ch == '=' && i+1 < len(c.text) && c.text[i+1] != '=' && c.text[i+1] != '>':
			if words := bytes.Count(c.text[c.at:i], []byte(" ")); words > 5 {
				return false
			}
			c.at = i + 1
			p.call, p.literal = true, true
			return true
		case ch == '{' && !bytes.HasPrefix(bytes.TrimLeft(c.text[i+1:min(len(c.text), i+12)], " "), []byte("get")):
			return false
		case isNameByte(ch), strings.IndexByte(" \t<>[]?*&{};:", ch) >= 0:
		default:
			return false
		}
	}
	return false
}

// ignored steps over a second result that is given a name: name, err := decode("v").
func (c *cursor) ignored() bool {
	at := *c
	if at.skip(",", 1) == 0 {
		return false
	}
	at.skip(" ", 2)
	for _, name := range []string{"_", "err", "ok", "e"} {
		if rest := (cursor{text: at.text, at: at.at + len(name)}); at.has(name) && (rest.has(" := ") || rest.has(" = ")) {
			rest.skip(" :=", 4)
			*c = rest
			return true
		}
	}
	return false
}

// listed tells whether the name is the first of two that stand together:
// {name, "v"} in Erlang, or name,value in a table.
func (c *cursor) listed(name string, g genre) bool {
	before := bytes.TrimRight(c.text[max(0, c.at-len(name)-8):c.at], " \t,")
	i := bytes.LastIndex(before, []byte(name))
	if i < 0 {
		return false
	}
	before = bytes.TrimRight(before[:i], " \t:'")
	if g.table {
		return len(before) == 0 || before[len(before)-1] == '\n'
	}
	return len(before) > 0 && before[len(before)-1] == '{'
}

// argument tells whether the name just read is the first argument of a call:
// what follows is then about it, and not another item of a list.
func (c *cursor) argument(name string) bool {
	before := bytes.TrimRight(c.text[max(0, c.at-len(name)-20):c.at], " \t,")
	i := bytes.LastIndex(before, []byte(name))
	return i > 0 && bytes.HasSuffix(bytes.TrimRight(before[:i], "\"'`\\ -@:"), []byte("("))
}

// annotation steps over a type between colon and equals sign: name: string = "v".
func (c *cursor) annotation() {
	at := *c
	at.skip(" \t", 8)
	if at.skip("&?*<>[]", 4); !isLetter(at.peek()) {
		return
	}
	for n := 0; n < 40 && (isAlnum(at.peek()) || strings.IndexByte("_.?<>[]&' ", at.peek()) >= 0); n++ {
		if at.peek() == ' ' && at.at+1 < len(at.text) && at.text[at.at+1] != '=' && at.text[at.at+1] != '&' {
			break
		}
		at.at++
	}
	at.skip(" \t", 8)
	if at.peek() == '=' && !at.has("==") && !at.has("=>") {
		at.at++
		*c = at
	}
}

// valueFields are what a value is called where its name is a value itself.
func valueFields() []string {
	return []string{"value", "default", "parametervalue", "defaultvalue", "secretstring", "string>", "val", "content"}
}

// valueField steps over `value:` or the like where the name is itself a value:
// {"name": "PASSWORD", "value": "v"}, <add key="password" value="v"/>,
// variable "password" { default = "v" }, --name password --value v.
func (c *cursor) valueField() bool {
	const farthest = 160
	at := *c
	at.skip(" \t\r\n", 60)
	rest := at.text[at.at:min(len(at.text), at.at+farthest)]
	for i := 0; i < len(rest); i++ {
		if ch := rest[i]; ch == ';' || ch == '(' && i > 0 || ch == ')' || ch == '}' || ch == '\n' && bytes.HasPrefix(bytes.TrimLeft(rest[i+1:], " \t\r"), []byte("\n")) {
			return false
		}
		if i > 0 && isNameByte(rest[i-1]) && rest[i-1] != '-' || !isLetter(rest[i]) {
			continue
		}
		for _, field := range valueFields() {
			if n := len(field); len(rest)-i > n && strings.EqualFold(string(rest[i:i+n]), field) && at.field(i+n, field) {
				*c = at
				return true
			}
		}
		if i > 0 && strings.IndexByte("\"'<{, \n\t-", rest[i-1]) < 0 {
			return false
		}
	}
	return false
}

// field steps over what joins the field that ends i bytes on to its value.
func (c *cursor) field(i int, name string) bool {
	at := *c
	at.at += i
	if strings.HasSuffix(name, ">") {
		*c = at
		return true
	}
	if at.has(" \"") || at.has(" '") { // --value "v"
		at.at++
		*c = at
		return true
	}
	at.skip("\\\"'", 4)
	at.skip(" \t", 4)
	if at.peek() != ':' && at.peek() != '=' && at.peek() != '>' {
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
	at := *c
	at.skip(" \t\r\n", 60)
	at.skip("\"'", 1)
	if !at.has("value") && !at.has("Value") {
		return false
	}
	return c.valueField()
}
