// Package toml reads TOML into values that know their lines, bounded in depth, and points at what is wrong.
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

// Parse reads a document into plain values; file is what errors call it.
func Parse(file string, text []byte) (Table, error) {
	v, err := Read(file, text)
	if err != nil {
		return nil, err
	}
	return v.plain().(Table), nil
}

// Read reads a document, which is a table; file is what errors call it. It is
// TOML 1.0, and inline tables may go over several lines, as 1.1 has it.
func Read(file string, text []byte) (doc *Value, err error) {
	p := &parser{text: string(text), line: 1}
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
	return p.document(), nil
}

// mistake ends the reading: where and what.
type mistake struct {
	at   int
	what string
}

type parser struct {
	text string
	at   int

	seen, line int // the line of an offset that was reached
}

// lineOf is the line of an offset; they are asked for in their order.
func (p *parser) lineOf(at int) int {
	if at > p.seen {
		p.line += strings.Count(p.text[p.seen:at], "\n")
		p.seen = at
	}
	return p.line
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
	return strings.HasPrefix(p.text[p.at:], s)
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

func (p *parser) document() *Value {
	if p.has("\ufeff") {
		p.at = 3
	}
	root := newTable(1)
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
func (p *parser) header(root *Value, list bool) *Value {
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
	v := root
	for _, name := range names[:len(names)-1] {
		v = p.enter(v, name, from, false)
	}
	last := names[len(names)-1]
	was := v.table[last]
	switch {
	case was != nil && (was.table == nil && !was.tables || was.inline || list && !was.tables):
		p.failAt(from, "%q has a value already", last)
	case list:
		if was == nil {
			was = &Value{Line: p.lineOf(from), tables: true}
			v.set(last, was)
		}
		item := newTable(p.lineOf(from))
		was.list = append(was.list, item)
		return item
	case was != nil && (was.tables || was.dotted || was.closed):
		p.failAt(from, "the table %q stands here a second time", strings.Join(names, "."))
	}
	v = p.enter(v, last, from, false)
	v.closed = true
	return v
}

// enter is the table name of v, or the last one of the list there.
func (p *parser) enter(v *Value, name string, from int, dotted bool) *Value {
	was := v.table[name]
	switch {
	case was == nil:
		made := newTable(p.lineOf(from))
		made.dotted = dotted
		v.set(name, made)
		return made
	case was.table == nil && !was.tables:
		p.failAt(from, "%q is no table", name)
	case was.inline || dotted && (was.tables || was.closed):
		p.failAt(from, "nothing can be added to %q", name)
	case was.tables:
		return was.list[len(was.list)-1]
	}
	return was
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
			names = append(names, p.text[start:p.at])
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

func (p *parser) pair(v *Value, depth int) {
	from := p.at
	line := p.lineOf(from)
	names := p.key()
	if p.peek() != '=' {
		p.fail("= is missing after %q", names[len(names)-1])
	}
	p.at++
	for _, name := range names[:len(names)-1] {
		v = p.enter(v, name, from, true)
	}
	last := names[len(names)-1]
	if v.table[last] != nil {
		p.failAt(from, "%q has a value already", last)
	}
	p.blanks()
	value := p.value(depth)
	value.Line = line
	v.set(last, value)
}

func (p *parser) value(depth int) *Value {
	if depth > deepest {
		p.fail("nested more than %d deep", deepest)
	}
	v := &Value{Line: p.lineOf(p.at)}
	switch p.peek() {
	case '"', '\'':
		v.Text = p.quoted()
		v.quoted = true
	case '[':
		p.at++
		v.list = []*Value{}
		p.members(']', func() { v.list = append(v.list, p.value(depth+1)) })
	case '{':
		p.at++
		v.table, v.inline = map[string]*Value{}, true
		p.members('}', func() { p.pair(v, depth+1) })
	default:
		v.Text, v.scalar = p.scalar()
	}
	return v
}

// members reads what stands between brackets, parted by commas.
func (p *parser) members(end byte, one func()) {
	for p.space(); p.peek() != end; p.space() {
		one()
		p.space()
		if p.peek() == ',' {
			p.at++
		} else if p.peek() != end {
			p.fail("a comma or %c is missing", end)
		}
	}
	p.at++
}

// scalar reads a number, a boolean or a time: as it stands, and what it is.
func (p *parser) scalar() (string, any) {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(",]}#\n\r\t", p.text[p.at]) < 0 {
		if p.text[p.at] == ' ' && !(p.at-start == 10 && p.text[start+4] == '-') { // a blank may stand between date and time
			break
		}
		p.at++
	}
	text := strings.TrimRight(p.text[start:p.at], " ")
	p.at = start + len(text)
	switch text {
	case "":
		p.failAt(start, "a value is missing")
	case "true", "false":
		return text, text == "true"
	}
	if v, ok := number(text); ok {
		return text, v
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly, "15:04:05.999999999"} {
		if at, err := time.Parse(layout, strings.ToUpper(text)); err == nil {
			return text, at
		}
	}
	p.failAt(start, "%.40q is no value: texts stand in quotation marks", text)
	return "", nil
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
