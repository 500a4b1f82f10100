package logfilter

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// mostSteps bounds a compiled expression: the time that it takes is this times the bytes of an event.
const mostSteps = 2000

// mostRegexes is how many expressions a pattern about fields or JSON may have.
const mostRegexes = 2

// regex reads an expression between percent signs: letters, digits, some symbols and operators, and no parentheses.
func (p *parser) regex() (*regexp.Regexp, *diag.Error) {
	start := p.at
	p.at++
	var b strings.Builder
	for {
		if p.at >= len(p.text) {
			return nil, p.errorf(start, "the percent sign is not closed")
		}
		c := p.text[p.at]
		switch {
		case c == '%':
			p.at++
			return p.compiled(start, b.String())
		case c == '\\':
			n, err := p.escape()
			if err != nil {
				return nil, err
			}
			b.WriteString(p.text[p.at : p.at+n])
			p.at += n
			continue
		case c == '{' && strings.HasPrefix(p.text[p.at:], "{,"):
			b.WriteString("{0,") // Go wants to be told
			p.at += 2
			continue
		case c < 0x80 && isWord(c), strings.IndexByte(" :_#=@/;,-^$?[]{}|*+.", c) >= 0:
			b.WriteByte(c)
		default:
			return nil, p.strange(`within an expression it is written \x and two digits, such as \x28 for (; there are no groups`)
		}
		p.at++
	}
}

// escape is how long a \ and what it is about are.
func (p *parser) escape() (int, *diag.Error) {
	rest := p.text[p.at:]
	switch {
	case len(rest) >= 4 && rest[1] == 'x' && isHex(rest[2]) && isHex(rest[3]):
		return 4, nil
	case len(rest) >= 2 && strings.IndexByte("dDsSwW", rest[1]) >= 0:
		return 2, nil
	case len(rest) >= 2 && rest[1] > ' ' && rest[1] < 0x7f && (!isWord(rest[1]) || rest[1] == '_') && rest[1] != '%':
		return 2, nil
	}
	return 0, p.errorf(p.at, "Invalid character(s) in term '\\'").WithHint(`\ comes before an operator, before d, D, s, S, w or W, or before x and two digits`)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (p *parser) compiled(start int, text string) (*regexp.Regexp, *diag.Error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, p.errorf(start, "%v", err)
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, p.errorf(start, "%v", err)
	}
	if len(prog.Inst) > mostSteps {
		return nil, p.errorf(start, "the expression takes %d steps, %d are allowed", len(prog.Inst), mostSteps).WithHint("repeat less: {m,n}")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, p.errorf(start, "%v", err)
	}
	p.regexes++
	return re, nil
}
