package logfilter

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// test tells whether something holds, of a field or of an event.
type test func(text []byte) bool

// either reads conditions with || between them, which bind less than those with && between them.
func (p *parser) either(one func() (test, *diag.Error)) (test, *diag.Error) {
	all, err := p.chain("||", func() (test, *diag.Error) { return p.both(one) })
	if err != nil || len(all) == 1 {
		return first(all), err
	}
	return func(text []byte) bool {
		for _, t := range all {
			if t(text) {
				return true
			}
		}
		return false
	}, nil
}

func (p *parser) both(one func() (test, *diag.Error)) (test, *diag.Error) {
	all, err := p.chain("&&", func() (test, *diag.Error) {
		if !p.take("(") {
			return one()
		}
		t, err := p.either(one)
		if err == nil && !p.take(")") {
			err = p.strange("a parenthesis is not closed")
		}
		return t, err
	})
	if err != nil || len(all) == 1 {
		return first(all), err
	}
	return func(text []byte) bool {
		for _, t := range all {
			if !t(text) {
				return false
			}
		}
		return true
	}, nil
}

func (p *parser) chain(by string, one func() (test, *diag.Error)) (all []test, err *diag.Error) {
	for {
		t, err := one()
		if err != nil {
			return nil, err
		}
		if all = append(all, t); !p.take(by) {
			return all, nil
		}
	}
}

func first(all []test) test {
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// The operators, the longer ones first.
var operators = [...]string{"!=", ">=", "<=", "=", ">", "<"}

// operator reads one, or "".
func (p *parser) operator() string {
	for _, op := range operators {
		if p.take(op) {
			return op
		}
	}
	return ""
}

// value is what something is compared with.
type value struct {
	op         string
	text       string // without the * before and after it
	bytes      []byte // the same
	head, tail bool   // any text may come before it, after it
	re         *regexp.Regexp
	number     float64
	isNumber   bool // it is one, and stands without quotation marks
}

// isBare tells whether a byte may stand in a value without quotation marks.
func isBare(c byte) bool {
	return isWord(c) && c < 0x80 || c == '*' || c == '.' || c == '-' || c == '+'
}

// value reads what comes after an operator.
func (p *parser) value(op string) (v value, err *diag.Error) {
	v.op = op
	start := p.at
	switch c := p.peek(); {
	case c == '"':
		if v.text, err = p.quoted(); err != nil {
			return v, err
		}
	case c == '%':
		if v.re, err = p.regex(); err == nil && p.regexes > mostRegexes {
			err = p.errorf(start, "there are more than %d expressions", mostRegexes)
		}
		if err != nil {
			return v, err
		}
	default:
		if v.text = p.run(isBare); v.text == "" {
			return v, p.strange(quoteIt)
		}
		v.number, v.isNumber = number([]byte(v.text))
	}
	if op != "=" && op != "!=" && !v.isNumber {
		return v, p.errorf(start, "Invalid character(s) in term '%s'", p.text[start:p.at]).WithHint("%s compares with a number, without quotation marks", op)
	}
	p.space()
	if v.re == nil && !v.isNumber {
		v.text, v.head = strings.CutPrefix(v.text, "*")
		v.text, v.tail = strings.CutSuffix(v.text, "*")
	}
	v.bytes = []byte(v.text)
	return v, nil
}

// number reads a decimal number, as JSON and people write it.
func number(text []byte) (float64, bool) {
	if len(text) == 0 || len(text) > 64 {
		return 0, false
	}
	for _, c := range text { // neither hexadecimal nor infinite
		if !('0' <= c && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E') {
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(string(text), 64)
	return n, err == nil
}

// holdsText tells whether a text is as it should be.
func (v *value) holdsText(text []byte) bool {
	is := false
	switch {
	case v.re != nil:
		is = v.re.Match(text)
	case v.head && v.tail:
		is = bytes.Contains(text, v.bytes)
	case v.head:
		is = len(text) >= len(v.text) && string(text[len(text)-len(v.text):]) == v.text
	case v.tail:
		is = len(text) >= len(v.text) && string(text[:len(v.text)]) == v.text
	default:
		is = string(text) == v.text
	}
	switch v.op {
	case "=":
		return is
	case "!=":
		return !is
	}
	return false
}

// holdsNumber tells the same of a number, which is written as text.
func (v *value) holdsNumber(n float64, text []byte) bool {
	if !v.isNumber {
		return v.holdsText(text)
	}
	switch v.op {
	case "=":
		return n == v.number
	case "!=":
		return n != v.number
	case ">":
		return n > v.number
	case "<":
		return n < v.number
	case ">=":
		return n >= v.number
	case "<=":
		return n <= v.number
	}
	return false
}
