package toml

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoted reads a text of one of the four kinds.
func (p *parser) quoted() string {
	quote := p.peek()
	if long := strings.Repeat(string(quote), 3); p.has(long) {
		return p.long(quote, long)
	}
	start := p.at
	p.at++
	if n := strings.IndexByte(p.text[p.at:], quote); n >= 0 && plainText(p.text[p.at:p.at+n], quote) {
		text := p.text[p.at : p.at+n]
		p.at += n + 1
		return text
	}
	var b strings.Builder
	for {
		switch c := p.peek(); {
		case p.at >= len(p.text), c == '\n':
			p.failAt(start, "this text does not end on its line")
		case c == quote:
			p.at++
			return b.String()
		case c == '\\' && quote == '"':
			p.escape(&b)
		case c < ' ' && c != '\t':
			p.fail("a control character stands in a text")
		default:
			b.WriteByte(c)
			p.at++
		}
	}
}

// plainText tells whether a text stands there as it is meant.
func plainText(text string, quote byte) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == '\\' && quote == '"' {
			return false
		}
	}
	return true
}

// long reads a text over several lines.
func (p *parser) long(quote byte, end string) string {
	start := p.at
	p.at += len(end)
	if p.has("\r\n") {
		p.at++
	}
	if p.peek() == '\n' {
		p.at++
	}
	var b strings.Builder
	for {
		switch c := p.peek(); {
		case p.at >= len(p.text):
			p.failAt(start, "this text does not end")
		case p.has(end):
			p.at += len(end)
			for n := 0; n < 2 && p.peek() == quote; n++ { // up to two of the marks may stand before the end
				b.WriteByte(quote)
				p.at++
			}
			return b.String()
		case c == '\\' && quote == '"' && p.joinsLines():
		case c == '\\' && quote == '"':
			p.escape(&b)
		default:
			b.WriteByte(c)
			p.at++
		}
	}
}

// joinsLines steps over a backslash at the end of a line, and all space after it.
func (p *parser) joinsLines() bool {
	at := p.at + 1
	for at < len(p.text) && (p.text[at] == ' ' || p.text[at] == '\t' || p.text[at] == '\r') {
		at++
	}
	if at >= len(p.text) || p.text[at] != '\n' {
		return false
	}
	for at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[at]) >= 0 {
		at++
	}
	p.at = at
	return true
}

func (p *parser) escape(b *strings.Builder) {
	p.at++
	c := p.peek()
	p.at++
	if i := strings.IndexByte(`btnfre"\`, c); i >= 0 && c != 0 {
		b.WriteByte("\b\t\n\f\r\x1b\"\\"[i])
		return
	}
	digits := map[byte]int{'u': 4, 'U': 8, 'x': 2}[c]
	if digits == 0 || p.at+digits > len(p.text) {
		p.failAt(p.at-2, "this is no escape; a backslash itself is written \\\\, or stands in '…'")
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) {
		p.failAt(p.at-2, "this is no character")
	}
	p.at += digits
	b.WriteRune(rune(n))
}
