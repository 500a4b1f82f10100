// Package logfilter finds log events by the filter patterns of CloudWatch Logs: terms, fields between spaces, and JSON.
//
// Where AWS's documentation is silent, what its service was seen to answer counts.
package logfilter

import (
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// MaxPattern is how many bytes a pattern may have.
const MaxPattern = 1024

// Filter is a pattern that was understood. The zero value matches everything. It is safe for concurrent use.
type Filter struct {
	terms  []term
	fields *fields
	object *object
}

// Parse reads a pattern. One that begins with { is about JSON, one that begins with [ about fields between spaces,
// and any other is terms. An error is fault.Invalid, and a *diag.Error that shows the place.
func Parse(pattern string) (*Filter, error) {
	p := &parser{text: pattern}
	var f Filter
	var err *diag.Error
	p.space()
	switch {
	case len(pattern) > MaxPattern:
		err = p.errorf(MaxPattern, "the pattern is longer than %d bytes", MaxPattern)
	case p.peek() == '{':
		f.object, err = p.object()
	case p.peek() == '[':
		f.fields, err = p.fields()
	default:
		f.terms, err = p.terms()
	}
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	return &f, nil
}

// Match tells whether a log event is one of those that the pattern asks for. The end of its line does not count.
func (f *Filter) Match(event []byte) bool {
	event = line(event)
	switch {
	case f.object != nil:
		return f.object.match(event)
	case f.fields != nil:
		return f.fields.match(event)
	}
	return matchTerms(f.terms, event)
}

// All tells whether the filter matches everything.
func (f *Filter) All() bool { return f.object == nil && f.fields == nil && len(f.terms) == 0 }

// Values are what the pattern takes out of an event that it matches: its fields, as $name or $number, or what the
// selectors of JSON point at.
func (f *Filter) Values(event []byte) map[string]string {
	event = line(event)
	switch {
	case f.object != nil:
		return f.object.values(event)
	case f.fields != nil:
		return f.fields.values(event)
	}
	return map[string]string{}
}

func line(event []byte) []byte {
	for len(event) > 0 && (event[len(event)-1] == '\n' || event[len(event)-1] == '\r') {
		event = event[:len(event)-1]
	}
	return event
}

// parser goes through a pattern.
type parser struct {
	text      string
	at        int
	regexes   int
	wildcards int
}

func (p *parser) errorf(at int, format string, a ...any) *diag.Error {
	at = min(at, len(p.text))
	return diag.Errorf(diag.At("filterPattern", []byte(p.text), at), format, a...).In([]byte(p.text))
}

// strange is the error of what cannot stand where it does, in the words of CloudWatch Logs.
func (p *parser) strange(hint string) *diag.Error {
	if p.at >= len(p.text) {
		return p.errorf(p.at, "the pattern ends too early").WithHint("%s", hint)
	}
	end := p.at + 1
	for end < len(p.text) && p.text[end]&0xc0 == 0x80 { // one character, not one byte
		end++
	}
	return p.errorf(p.at, "Invalid character(s) in term '%s'", p.text[p.at:end]).WithHint("%s", hint)
}

// peek is the next byte, or 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) space() {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
}

// take goes over a text, and the space after it, if it comes next.
func (p *parser) take(text string) bool {
	if !strings.HasPrefix(p.text[p.at:], text) {
		return false
	}
	p.at += len(text)
	p.space()
	return true
}

// end goes over the last character, after which there is nothing more.
func (p *parser) end(closing string) *diag.Error {
	if !p.take(closing) {
		return p.strange("it ends with " + closing)
	}
	if p.at < len(p.text) {
		return p.strange("nothing comes after the last " + closing)
	}
	return nil
}

// run goes over the bytes that are all of a kind.
func (p *parser) run(is func(byte) bool) string {
	start := p.at
	for p.at < len(p.text) && is(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

// isWord tells whether a byte may stand in a word without quotes: letters of every script, digits, and _.
func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// quoted reads a text between quotation marks, within which \ takes the meaning of the next character.
func (p *parser) quoted() (string, *diag.Error) {
	start := p.at
	p.at++
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\' && p.at < len(p.text):
			c = p.text[p.at]
			p.at++
		}
		b.WriteByte(c)
	}
	return "", p.errorf(start, "the quotation mark is not closed").WithHint(`a quotation mark within quotation marks is \"`)
}
