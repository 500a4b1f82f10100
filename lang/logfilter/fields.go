package logfilter

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/haechi-dev/haechi/word/diag"
)

// fields is a pattern about events whose fields stand between spaces.
type fields struct {
	all  []field
	rest int // where ... stands among them, or -1: then the last field has all that is left
}

type field struct {
	name string
	test test // nil: whatever it is
}

const mostFields = 200

// fields reads [name, name = value && name != value, ..., name].
func (p *parser) fields() (*fields, *diag.Error) {
	p.take("[")
	f := &fields{rest: -1}
	for {
		start := p.at
		if p.take("...") {
			if f.rest >= 0 {
				return nil, p.errorf(start, "there is more than one ...")
			}
			f.rest = len(f.all)
		} else {
			one, err := p.field()
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(f.all, func(o field) bool { return o.name == one.name }) {
				return nil, p.errorf(start, "there are two fields %q", one.name)
			}
			f.all = append(f.all, one)
		}
		if len(f.all) > mostFields {
			return nil, p.errorf(start, "there are more than %d fields", mostFields)
		}
		if !p.take(",") {
			break
		}
	}
	return f, p.end("]")
}

func (p *parser) field() (f field, err *diag.Error) {
	bare := false
	f.test, err = p.either(func() (test, *diag.Error) {
		start := p.at
		name := p.run(isWord)
		if name == "" {
			return nil, p.strange("a field has a name of letters, digits and _, and ... stands for any number of fields")
		}
		if f.name != "" && f.name != name {
			return nil, p.errorf(start, "this field is called %q: conditions on %q stand in its own place, after a comma", f.name, name)
		}
		f.name = name
		p.space()
		op := p.operator()
		if op == "" {
			bare = true
			return func([]byte) bool { return true }, nil
		}
		v, err := p.value(op)
		if err != nil {
			return nil, err
		}
		return v.holdsField, nil
	})
	if bare && err == nil && f.name != "" {
		f.test = nil
	}
	return f, err
}

// holdsField tells whether a field is as it should be: compared as a number where both are numbers.
func (v *value) holdsField(text []byte) bool {
	if v.isNumber {
		if n, ok := number(text); ok {
			return v.holdsNumber(n, text)
		}
	}
	return v.holdsText(text)
}

// token is a field of an event: what stands between [ and ] or quotation marks is one.
type token struct{ start, from, to, end int } // from and to are without the marks

// cut finds the fields of an event.
func cut(event []byte, all []token) []token {
	for at := 0; ; {
		for at < len(event) && isSpace(event[at]) {
			at++
		}
		if at == len(event) {
			return all
		}
		t := token{start: at, from: at}
		closing := byte(0)
		switch event[at] {
		case '[':
			closing = ']'
		case '"':
			closing = '"'
		}
		if n := bytes.IndexByte(event[at+1:], closing); closing != 0 && n >= 0 {
			t.from, t.to, t.end = at+1, at+1+n, at+2+n
		} else {
			for at < len(event) && !isSpace(event[at]) {
				at++
			}
			t.to, t.end = at, at
		}
		at = t.end
		all = append(all, t)
	}
}

// place is which of n tokens the i-th field is.
func (f *fields) place(i, n int) int {
	if f.rest >= 0 && i >= f.rest {
		return n - len(f.all) + i
	}
	return i
}

// text is what the i-th field has.
func (f *fields) text(event []byte, tokens []token, i int) []byte {
	t := tokens[f.place(i, len(tokens))]
	if f.rest < 0 && i == len(f.all)-1 && len(tokens) > len(f.all) {
		return event[t.start:tokens[len(tokens)-1].end]
	}
	return event[t.from:t.to]
}

func (f *fields) match(event []byte) bool {
	var room [64]token
	tokens := cut(event, room[:0])
	if len(tokens) < len(f.all) {
		return false
	}
	for i := range f.all {
		if t := f.all[i].test; t != nil && !t(f.text(event, tokens, i)) {
			return false
		}
	}
	return true
}

func (f *fields) values(event []byte) map[string]string {
	tokens := cut(event, nil)
	all := map[string]string{}
	if len(tokens) < len(f.all) {
		return all
	}
	named := map[int]bool{}
	for i, one := range f.all {
		named[f.place(i, len(tokens))] = true
		all["$"+one.name] = string(f.text(event, tokens, i))
	}
	if f.rest < 0 {
		return all
	}
	for i, t := range tokens {
		if !named[i] {
			all["$"+strconv.Itoa(i+1)] = string(event[t.from:t.to])
		}
	}
	return all
}
