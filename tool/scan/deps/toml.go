package deps

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// toml is a value of a TOML document and its line: a table, a list, or text. (lang/toml
// reads values without lines; here a component must know where it stands.)
// Numbers, booleans and dates are text as they stand.
type toml struct {
	line  int
	text  string
	list  []*toml
	table map[string]*toml
	order []string // of table
}

func newTOML(line int) *toml { return &toml{line: line, table: map[string]*toml{}} }

// at is the value that names lead to, or nil.
func (t *toml) at(names ...string) *toml {
	for _, name := range names {
		if t == nil {
			return nil
		}
		t = t.table[name]
	}
	return t
}

// string is the text that names lead to, or "".
func (t *toml) string(names ...string) string {
	if v := t.at(names...); v != nil {
		return v.text
	}
	return ""
}

// items are the values of the list that names lead to.
func (t *toml) items(names ...string) []*toml {
	if v := t.at(names...); v != nil {
		return v.list
	}
	return nil
}

// keys are the names in the table that names lead to, in their order.
func (t *toml) keys(names ...string) []string {
	if v := t.at(names...); v != nil {
		return v.order
	}
	return nil
}

func (t *toml) set(name string, v *toml) {
	if _, ok := t.table[name]; !ok {
		t.order = append(t.order, name)
	}
	t.table[name] = v
}

// parseTOML reads a document: what package managers and people write, bounded in depth.
func parseTOML(name string, text []byte) (doc *toml, err error) {
	p := &tomlParser{s: string(text), line: 1}
	root := newTOML(1)
	defer func() {
		if r := recover(); r != nil {
			wrong, ok := r.(tomlError)
			if !ok {
				panic(r)
			}
			err = diag.Errorf(diag.At(name, text, min(p.i, len(text))), "no TOML: %s", string(wrong)).In(text)
		}
	}()
	p.document(root)
	return root, nil
}

type tomlError string

type tomlParser struct {
	s    string
	i    int
	line int
}

func (p *tomlParser) fail(format string, a ...any) { panic(tomlError(fmt.Sprintf(format, a...))) }

func (p *tomlParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// space passes over blanks; with lines set, over comments and ends of lines, too.
func (p *tomlParser) space(lines bool) {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == ' ' || c == '\t' || c == '\r':
			p.i++
		case c == '\n' && lines:
			p.line++
			p.i++
		case c == '#' && lines:
			for p.i < len(p.s) && p.s[p.i] != '\n' {
				p.i++
			}
		default:
			return
		}
	}
}

func (p *tomlParser) document(root *toml) {
	if strings.HasPrefix(p.s, "\ufeff") {
		p.i = 3
	}
	at := root
	for {
		p.space(true)
		switch {
		case p.i >= len(p.s):
			return
		case strings.HasPrefix(p.s[p.i:], "[["):
			p.i += 2
			at = p.header(root, true)
		case p.peek() == '[':
			p.i++
			at = p.header(root, false)
		default:
			p.pair(at, 0)
			p.endOfLine()
		}
	}
}

func (p *tomlParser) endOfLine() {
	p.space(false)
	if c := p.peek(); p.i < len(p.s) && c != '\n' && c != '#' {
		p.fail("the end of the line is expected here")
	}
}

// header is the table that [a.b] or [[a.b]] opens.
func (p *tomlParser) header(root *toml, list bool) *toml {
	line, names := p.line, p.key()
	for range map[bool]int{true: 2, false: 1}[list] {
		if p.peek() != ']' {
			p.fail("] is expected here")
		}
		p.i++
	}
	p.endOfLine()
	at := root
	for _, name := range names[:len(names)-1] {
		at = p.enter(at, name, line)
	}
	last := names[len(names)-1]
	if !list {
		return p.enter(at, last, line)
	}
	v := at.table[last]
	if v == nil {
		v = &toml{line: line}
		at.set(last, v)
	}
	if v.table != nil || v.text != "" {
		p.fail("%s is no list", last)
	}
	item := newTOML(line)
	v.list = append(v.list, item)
	return item
}

// enter is the table name in at, or the last of the list there.
func (p *tomlParser) enter(at *toml, name string, line int) *toml {
	v := at.table[name]
	if v == nil {
		v = newTOML(line)
		at.set(name, v)
	}
	if n := len(v.list); v.table == nil && n > 0 {
		v = v.list[n-1]
	}
	if v.table == nil {
		p.fail("%s is no table", name)
	}
	return v
}

const deepestTOML = 60

func (p *tomlParser) key() []string {
	var names []string
	for {
		p.space(false)
		switch c := p.peek(); {
		case c == '"' || c == '\'':
			names = append(names, p.quoted())
		default:
			start := p.i
			for p.i < len(p.s) && isBareKey(p.s[p.i]) {
				p.i++
			}
			if start == p.i {
				p.fail("a name is expected here")
			}
			names = append(names, p.s[start:p.i])
		}
		p.space(false)
		if p.peek() != '.' {
			return names
		}
		if p.i++; len(names) > deepestTOML {
			p.fail("nested more than %d deep", deepestTOML)
		}
	}
}

func isBareKey(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}

func (p *tomlParser) pair(at *toml, depth int) {
	line, names := p.line, p.key()
	if p.peek() != '=' {
		p.fail("= is expected here")
	}
	p.i++
	for _, name := range names[:len(names)-1] {
		at = p.enter(at, name, line)
	}
	v := p.value(depth)
	v.line = line
	at.set(names[len(names)-1], v)
}

func (p *tomlParser) value(depth int) *toml {
	if depth > deepestTOML {
		p.fail("nested more than %d deep", deepestTOML)
	}
	p.space(false)
	v := &toml{line: p.line}
	switch c := p.peek(); c {
	case '"', '\'':
		v.text = p.quoted()
	case '[':
		p.i++
		for p.space(true); p.peek() != ']'; p.space(true) {
			v.list = append(v.list, p.value(depth+1))
			p.space(true)
			p.comma(']')
		}
		p.i++
	case '{':
		p.i++
		v = newTOML(p.line)
		for p.space(true); p.peek() != '}'; p.space(true) {
			p.pair(v, depth+1)
			p.space(true)
			p.comma('}')
		}
		p.i++
	default:
		start := p.i
		for p.i < len(p.s) && !strings.ContainsRune(",]}#\n\r", rune(p.s[p.i])) {
			p.i++
		}
		if v.text = strings.TrimSpace(p.s[start:p.i]); v.text == "" {
			p.fail("a value is expected here")
		}
	}
	return v
}

func (p *tomlParser) comma(end byte) {
	switch p.peek() {
	case ',':
		p.i++
	case end:
	default:
		p.fail("a comma or %c is expected here", end)
	}
}

// quoted reads a string of one of the four kinds.
func (p *tomlParser) quoted() string {
	quote := p.s[p.i]
	long := strings.Repeat(string(quote), 3)
	if strings.HasPrefix(p.s[p.i:], long) {
		rest := p.s[p.i+3:]
		end := strings.Index(rest, long)
		for quote == '"' && end > 0 && rest[end-1] == '\\' {
			next := strings.Index(rest[end+1:], long)
			if next < 0 {
				end = -1
				break
			}
			end += 1 + next
		}
		if end < 0 {
			p.fail("this text does not end")
		}
		for end+3 < len(rest) && rest[end+3] == quote { // quotes may stand before the closing ones
			end++
		}
		p.i += 3 + end + 3
		p.line += strings.Count(rest[:end], "\n")
		return strings.TrimPrefix(rest[:end], "\n")
	}
	start := p.i + 1
	for p.i = start; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '\n':
			p.fail("this text does not end on its line")
		case c == '\\' && quote == '"':
			p.i++
		case c == quote:
			text := p.s[start:p.i]
			p.i++
			if quote == '"' && strings.IndexByte(text, '\\') >= 0 {
				if plain, err := strconv.Unquote(`"` + text + `"`); err == nil {
					return plain
				}
			}
			return text
		}
	}
	p.fail("this text does not end")
	return ""
}
