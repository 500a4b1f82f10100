// Package toml reads TOML 1.0 into plain values, bounded in depth, and points at what is wrong.
package toml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Table is what a document holds: string, int64, float64, bool, time.Time
// (dates and times without an offset are those of UTC), Table, or []any of these.
type Table = map[string]any

// deepest is how far values and tables may be nested.
const deepest = 100

// Parse reads a document; file is what errors call it.
func Parse(file string, text []byte) (doc Table, err error) {
	p := &parser{file: file, text: text, closed: map[*node]bool{}}
	defer func() {
		if r := recover(); r != nil {
			wrong, ok := r.(mistake)
			if !ok {
				panic(r)
			}
			err = fault.Invalid.Wrap(diag.Errorf(diag.At(file, text, min(wrong.at, len(text))), "%s", wrong.what).In(text))
		}
	}()
	if !utf8.Valid(text) {
		p.failAt(0, "the text is not UTF-8")
	}
	return p.document().table(), nil
}

// mistake ends the reading: where and what.
type mistake struct {
	at   int
	what string
}

// node is a table, or a list of tables, while the document is read.
type node struct {
	values map[string]any // *node among them
	list   []*node
	inline bool // complete: nothing is added later
	dotted bool // made by a dotted key
}

func newNode() *node { return &node{values: map[string]any{}} }

func (n *node) table() Table {
	t := Table{}
	for name, v := range n.values {
		t[name] = plain(v)
	}
	return t
}

func plain(v any) any {
	switch v := v.(type) {
	case *node:
		if v.list == nil {
			return v.table()
		}
		var all []any
		for _, item := range v.list {
			all = append(all, item.table())
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = plain(v[i])
		}
		return all
	}
	return v
}

type parser struct {
	file   string
	text   []byte
	at     int
	closed map[*node]bool // tables with a header of their own
}

func (p *parser) failAt(at int, format string, a ...any) {
	panic(mistake{at, fmt.Sprintf(format, a...)})
}
func (p *parser) fail(format string, a ...any) { p.failAt(p.at, format, a...) }

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) has(s string) bool {
	return len(p.text)-p.at >= len(s) && string(p.text[p.at:p.at+len(s)]) == s
}

func (p *parser) blanks() {
	for p.peek() == ' ' || p.peek() == '\t' {
		p.at++
	}
}

// space steps over blanks, comments and ends of lines.
func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		case '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		default:
			return
		}
	}
}

func (p *parser) lineEnd() {
	p.blanks()
	if p.has("\r\n") {
		p.at++
	}
	if c := p.peek(); p.at < len(p.text) && c != '\n' && c != '#' {
		p.fail("the line should end here")
	}
}

func (p *parser) document() *node {
	if p.has("\ufeff") {
		p.at = 3
	}
	root := newNode()
	here := root
	for {
		p.space()
		switch {
		case p.at >= len(p.text):
			return root
		case p.has("[["):
			p.at += 2
			here = p.header(root, true)
		case p.peek() == '[':
			p.at++
			here = p.header(root, false)
		default:
			p.pair(here, 0)
			p.lineEnd()
		}
	}
}

// header is the table that [a.b] or [[a.b]] opens.
func (p *parser) header(root *node, list bool) *node {
	from := p.at
	names := p.key()
	end := "]"
	if list {
		end = "]]"
	}
	if !p.has(end) {
		p.fail("%s is missing", end)
	}
	p.at += len(end)
	p.lineEnd()
	n := root
	for _, name := range names[:len(names)-1] {
		n = p.enter(n, name, from, false)
	}
	last := names[len(names)-1]
	was, ok := n.values[last].(*node)
	switch {
	case n.values[last] != nil && !ok, ok && was.inline, ok && list && was.list == nil:
		p.failAt(from, "%q has a value already", last)
	case list:
		if !ok {
			was = &node{}
			n.values[last] = was
		}
		item := newNode()
		was.list = append(was.list, item)
		return item
	case ok && (was.list != nil || was.dotted || p.closed[was]):
		p.failAt(from, "the table %q stands here a second time", strings.Join(names, "."))
	}
	n = p.enter(n, last, from, false)
	p.closed[n] = true
	return n
}

// enter is the table name of n, or the last one of the list there.
func (p *parser) enter(n *node, name string, from int, dotted bool) *node {
	switch v := n.values[name].(type) {
	case nil:
		made := newNode()
		made.dotted = dotted
		n.values[name] = made
		return made
	case *node:
		if v.inline || dotted && (v.list != nil || p.closed[v]) {
			p.failAt(from, "nothing can be added to %q", name)
		}
		if v.list != nil {
			return v.list[len(v.list)-1]
		}
		return v
	}
	p.failAt(from, "%q is no table", name)
	return nil
}

// key reads a.b."c".
func (p *parser) key() (names []string) {
	for {
		p.blanks()
		switch c := p.peek(); {
		case c == '"' || c == '\'':
			if p.has(`"""`) || p.has("'''") {
				p.fail("a name stands on one line")
			}
			names = append(names, p.quoted())
		default:
			start := p.at
			for isBare(p.peek()) {
				p.at++
			}
			if start == p.at {
				p.fail("a name is missing")
			}
			names = append(names, string(p.text[start:p.at]))
		}
		if len(names) > deepest {
			p.fail("nested more than %d deep", deepest)
		}
		p.blanks()
		if p.peek() != '.' {
			return names
		}
		p.at++
	}
}

func isBare(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}

func (p *parser) pair(n *node, depth int) {
	from := p.at
	names := p.key()
	if p.peek() != '=' {
		p.fail("= is missing after %q", names[len(names)-1])
	}
	p.at++
	for _, name := range names[:len(names)-1] {
		n = p.enter(n, name, from, true)
	}
	last := names[len(names)-1]
	if _, ok := n.values[last]; ok {
		p.failAt(from, "%q has a value already", last)
	}
	p.blanks()
	n.values[last] = p.value(depth)
}

func (p *parser) value(depth int) any {
	if depth > deepest {
		p.fail("nested more than %d deep", deepest)
	}
	switch p.peek() {
	case '"', '\'':
		return p.quoted()
	case '[':
		return p.array(depth)
	case '{':
		return p.inline(depth)
	}
	return p.scalar()
}

func (p *parser) array(depth int) []any {
	p.at++
	all := []any{}
	for {
		p.space()
		if p.peek() == ']' {
			p.at++
			return all
		}
		all = append(all, p.value(depth+1))
		p.space()
		if p.peek() == ',' {
			p.at++
		} else if p.peek() != ']' {
			p.fail("a comma or ] is missing")
		}
	}
}

func (p *parser) inline(depth int) *node {
	p.at++
	n := newNode()
	for p.blanks(); p.peek() != '}'; p.blanks() {
		p.pair(n, depth+1)
		p.blanks()
		if p.peek() == ',' {
			p.at++
		} else if p.peek() != '}' {
			p.fail("a comma or } is missing")
		}
	}
	p.at++
	n.inline = true
	return n
}

// scalar reads a number, a boolean or a time.
func (p *parser) scalar() any {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(",]}#\n\r\t", p.text[p.at]) < 0 {
		if p.text[p.at] == ' ' && !(p.at-start == 10 && p.text[start+4] == '-') { // a blank may stand between date and time
			break
		}
		p.at++
	}
	text := strings.TrimRight(string(p.text[start:p.at]), " ")
	p.at = start + len(text)
	switch text {
	case "":
		p.failAt(start, "a value is missing")
	case "true", "false":
		return text == "true"
	}
	if v, ok := number(text); ok {
		return v
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly, "15:04:05.999999999"} {
		if at, err := time.Parse(layout, strings.ToUpper(text)); err == nil {
			return at
		}
	}
	p.failAt(start, "%.40q is no value: texts stand in quotation marks", text)
	return nil
}

func number(text string) (any, bool) {
	unsigned := strings.TrimLeft(text, "+-")
	if len(text)-len(unsigned) > 1 || strings.HasPrefix(unsigned, "_") || strings.HasSuffix(unsigned, "_") || strings.Contains(unsigned, "__") {
		return nil, false
	}
	switch unsigned {
	case "inf":
		return math.Inf(1 - 2*strings.Count(text, "-")), true
	case "nan":
		return math.NaN(), true
	}
	digits := strings.ReplaceAll(text, "_", "")
	based := len(unsigned) > 2 && unsigned[0] == '0' && strings.IndexByte("xob", unsigned[1]) >= 0
	if based && unsigned != text || !based && len(unsigned) > 1 && unsigned[0] == '0' && unsigned[1] >= '0' && unsigned[1] <= '9' {
		return nil, false
	}
	if based {
		if n, err := strconv.ParseInt(digits, 0, 64); err == nil {
			return n, true
		}
		return nil, false
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n, true
	}
	if strings.Trim(digits, "+-0123456789.eE") != "" || strings.HasPrefix(unsigned, ".") || strings.Contains(digits, ".e") || strings.HasSuffix(digits, ".") {
		return nil, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	return f, err == nil
}
