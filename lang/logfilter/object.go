package logfilter

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/diag"
)

// object is a pattern about events that are JSON.
type object struct {
	test    test
	members []*member
	lenient []jsontext.Options // how events are read; made once
}

// path points into JSON.
type path struct {
	text  string // as it is written
	steps []step
}

// step goes into an object or an array.
type step struct {
	name  string
	index int  // of an array, where name is ""
	array bool // index counts
	any   bool // every member, or every element
}

const (
	mostWildcards     = 3 // in a pattern
	mostPathWildcards = 1
)

// object reads { $.a.b = "x" && ($.c[0] > 3 || $.d IS NULL) }.
func (p *parser) object() (*object, *diag.Error) {
	p.take("{")
	o := &object{lenient: []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}}
	var err *diag.Error
	o.test, err = p.either(func() (test, *diag.Error) {
		c, err := p.member()
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, c)
		return c.holds, nil
	})
	if err != nil {
		return nil, err
	}
	return o, p.end("}")
}

// member is a condition on what a path points at.
type member struct {
	path
	is    string // NULL, TRUE, FALSE, EXISTS, NOT EXISTS, or "": value counts
	value value
	take  func(raw []byte) bool // fits, made once
}

func (p *parser) member() (*member, *diag.Error) {
	m := &member{}
	m.take = m.fits
	var err *diag.Error
	if m.path, err = p.path(); err != nil {
		return nil, err
	}
	if op := p.operator(); op != "" {
		m.value, err = p.value(op)
		return m, err
	}
	start := p.at
	switch word := p.word(); word {
	case "IS":
		at := p.at
		switch m.is = p.word(); m.is {
		case "NULL", "TRUE", "FALSE":
			return m, nil
		}
		return nil, p.errorf(at, "IS %s is not known", m.is).WithHint("IS NULL, IS TRUE or IS FALSE")
	case "NOT":
		at := p.at
		if p.word() == "EXISTS" {
			m.is = "NOT EXISTS"
			return m, nil
		}
		return nil, p.errorf(at, "only NOT EXISTS is known")
	case "EXISTS":
		m.is = word
		return m, nil
	case "":
		return nil, p.strange("after a selector comes =, !=, <, >, <=, >=, IS NULL, IS TRUE, IS FALSE, EXISTS or NOT EXISTS")
	default:
		return nil, p.errorf(start, "Invalid character(s) in term '%s'", word).WithHint("after a selector comes =, !=, <, >, <=, >=, IS NULL, IS TRUE, IS FALSE, EXISTS or NOT EXISTS")
	}
}

func (p *parser) word() string {
	w := p.run(isWord)
	p.space()
	return w
}

// path reads $.name, $.name[0], $.['na.me'], $.* and $.name[*].
func (p *parser) path() (one path, err *diag.Error) {
	start := p.at
	if !strings.HasPrefix(p.text[p.at:], "$") {
		return one, p.strange(`a selector begins with $. : { $.name = "value" }`)
	}
	p.at++
	wildcards := 0
	for p.peek() == '.' || p.peek() == '[' {
		var s step
		if s, err = p.step(); err != nil {
			return one, err
		}
		if s.any {
			wildcards++
		}
		one.steps = append(one.steps, s)
	}
	p.wildcards += wildcards
	switch {
	case len(one.steps) == 0:
		return one, p.strange("after $ comes . and a name")
	case wildcards > mostPathWildcards:
		return one, p.errorf(start, "a selector has at most %d wildcard", mostPathWildcards)
	case p.wildcards > mostWildcards:
		return one, p.errorf(start, "the selectors of a pattern have at most %d wildcards together", mostWildcards)
	}
	one.text = p.text[start:p.at]
	p.space()
	return one, nil
}

func isMember(c byte) bool { return isWord(c) || c == '-' }

func (p *parser) step() (s step, err *diag.Error) {
	if p.peek() == '.' {
		if p.at++; p.peek() != '[' {
			if p.peek() == '*' {
				p.at++
				return step{any: true}, nil
			}
			if s.name = p.run(isMember); s.name == "" {
				return s, p.strange("a name in a selector has letters, digits, - and _: others are written $.['na.me']")
			}
			return s, nil
		}
	}
	p.at++ // [
	start := p.at
	switch c := p.peek(); {
	case c == '*':
		p.at++
		s.any = true
	case c == '\'' || c == '"':
		end := strings.IndexByte(p.text[p.at+1:], c)
		if end < 0 {
			return s, p.errorf(start, "the quotation mark is not closed")
		}
		s.name = p.text[p.at+1 : p.at+1+end]
		p.at += end + 2
	default:
		digits := p.run(func(c byte) bool { return '0' <= c && c <= '9' })
		s.array = true
		n, wrong := strconv.Atoi(digits)
		if wrong != nil || len(digits) > 9 {
			return s, p.strange("between [ and ] stands a number, * or 'a name'")
		}
		s.index = n
	}
	if p.peek() != ']' {
		return s, p.strange("a bracket is not closed")
	}
	p.at++
	return s, nil
}

// read is an event if it is JSON.
func (o *object) read(event []byte) ([]byte, bool) {
	event = bytes.TrimSpace(event)
	if len(event) == 0 || event[0] != '{' && event[0] != '[' {
		return nil, false
	}
	return event, jsontext.Value(event).IsValid(o.lenient...)
}

func (o *object) match(event []byte) bool {
	event, ok := o.read(event)
	return ok && o.test(event)
}

func (o *object) values(event []byte) map[string]string {
	all := map[string]string{}
	event, ok := o.read(event)
	if !ok {
		return all
	}
	for _, m := range o.members {
		keep := func(raw []byte) bool {
			switch raw[0] {
			case '{', '[':
			case '"':
				all[m.text] = string(unquote(raw))
			default:
				all[m.text] = string(raw)
			}
			return true
		}
		if !find(event, m.steps, func(raw []byte) bool { return m.fits(raw) && keep(raw) }) {
			find(event, m.steps, keep)
		}
	}
	return all
}

func (m *member) holds(event []byte) bool {
	return find(event, m.steps, m.take) != (m.is == "NOT EXISTS")
}

// fits tells whether one value is as it should be.
func (m *member) fits(raw []byte) bool {
	switch m.is {
	case "NULL":
		return raw[0] == 'n'
	case "TRUE":
		return raw[0] == 't'
	case "FALSE":
		return raw[0] == 'f'
	case "EXISTS", "NOT EXISTS":
		return true
	}
	switch c := raw[0]; {
	case c == '"':
		return m.value.holdsText(unquote(raw))
	case c == '-' || '0' <= c && c <= '9':
		if m.value.isNumber {
			if n, ok := number(raw); ok {
				return m.value.holdsNumber(n, raw)
			}
		}
		return m.value.holdsText(raw)
	}
	return false // an object, an array, true, false and null are equal to nothing, and unequal to nothing
}
