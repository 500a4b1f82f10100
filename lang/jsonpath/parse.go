package jsonpath

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/fault"
)

// Parse understands an expression; what it does not is fault.Invalid, with the place.
func Parse(text string) (*Path, error) {
	if len(text) > mostBytes {
		return nil, fault.Limit.Errorf("a path has at most %d bytes", mostBytes)
	}
	if !utf8.ValidString(text) {
		return nil, fault.Invalid.Errorf("a path is UTF-8")
	}
	p := parser{text: text}
	if !p.take("$") {
		return nil, p.wrong("a path begins with $")
	}
	path, err := p.steps()
	if err == nil && p.at < len(text) {
		err = p.wrong("a path goes on with .name or [")
	}
	return path, err
}

type parser struct {
	text   string
	at     int
	nested int
}

func (p *parser) wrong(what string) error {
	return fault.Invalid.Errorf("%s (at character %d of %q)", what, utf8.RuneCountInString(p.text[:min(p.at, len(p.text))])+1, p.text)
}

func (p *parser) blanks() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take goes over a token that stands here.
func (p *parser) take(token string) bool {
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

// sees is take after blanks, within brackets.
func (p *parser) sees(token string) bool {
	p.blanks()
	return p.take(token)
}

// steps are those that stand here, up to what is none.
func (p *parser) steps() (*Path, error) {
	path := &Path{}
	for {
		s := step{}
		switch {
		case p.take(".."):
			s.deep = true
			if p.take("[") {
				if err := p.brackets(&s); err != nil {
					return nil, err
				}
				break
			}
			if err := p.dotted(&s); err != nil {
				return nil, err
			}
		case p.take("."):
			if err := p.dotted(&s); err != nil {
				return nil, err
			}
		case p.take("["):
			if err := p.brackets(&s); err != nil {
				return nil, err
			}
		default:
			return path, nil
		}
		path.steps = append(path.steps, s)
	}
}

// dotted is a name, or *.
func (p *parser) dotted(s *step) error {
	if p.take("*") {
		s.selectors = []selector{{all: true}}
		return nil
	}
	end := p.at
	for end < len(p.text) && strings.IndexByte(" \t\n\r.[]()'\"=!<>&|,?@$:~*/", p.text[end]) < 0 {
		end++
	}
	if end == p.at {
		return p.wrong("a name, or *, is missing")
	}
	name := p.text[p.at:end]
	p.at, s.selectors = end, []selector{{name: &name}}
	return nil
}

// brackets is what stands between [ and ].
func (p *parser) brackets(s *step) error {
	for {
		one, err := p.selector()
		if err != nil {
			return err
		}
		s.selectors = append(s.selectors, one)
		switch {
		case p.sees("]"):
			return nil
		case !p.sees(","):
			return p.wrong("] is missing")
		}
	}
}

func (p *parser) selector() (s selector, err error) {
	p.blanks()
	switch {
	case p.take("*"):
		return selector{all: true}, nil
	case p.take("?"):
		s.filter, err = p.either()
		return s, err
	case p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"'):
		name, err := p.quoted()
		return selector{name: &name}, err
	}
	var part [3]*int
	n := 0
	for ; n < 3; n++ {
		if part[n], err = p.number(); err != nil {
			return s, err
		}
		if !p.sees(":") {
			break
		}
	}
	switch {
	case n == 3:
		return s, p.wrong("a slice has at most two colons")
	case n == 0 && part[0] == nil:
		return s, p.wrong("a name in quotes, a number, *, or ?( is missing")
	case n == 0:
		return selector{index: part[0]}, nil
	case part[2] != nil && *part[2] < 1:
		return s, p.wrong("the step of a slice is at least 1")
	}
	return selector{slice: &part}, nil
}

// number is a whole number, or nil where there is none.
func (p *parser) number() (*int, error) {
	p.blanks()
	end := p.at
	for end < len(p.text) && (p.text[end] == '-' || p.text[end] >= '0' && p.text[end] <= '9') {
		end++
	}
	if end == p.at {
		return nil, nil
	}
	n, err := strconv.ParseInt(p.text[p.at:end], 10, 32)
	if err != nil {
		return nil, p.wrong("this is no whole number")
	}
	p.at = end
	i := int(n)
	return &i, nil
}

// quoted is a text in single or double quotes; a backslash takes the next character as it is.
func (p *parser) quoted() (string, error) {
	quote := p.text[p.at]
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == quote:
			p.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(p.text):
			i++
			b.WriteByte(p.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.wrong("the quotes are not closed")
}

func (p *parser) either() (condition, error) {
	left, err := p.both()
	for err == nil && p.sees("||") {
		var right condition
		if right, err = p.both(); err == nil {
			left = either{left, right}
		}
	}
	return left, err
}

func (p *parser) both() (condition, error) {
	left, err := p.term()
	for err == nil && p.sees("&&") {
		var right condition
		if right, err = p.term(); err == nil {
			left = both{left, right}
		}
	}
	return left, err
}

func (p *parser) term() (condition, error) {
	if p.nested++; p.nested > mostNested {
		return nil, p.wrong("the filter is nested too deep")
	}
	defer func() { p.nested-- }()
	switch {
	case p.sees("!"):
		of, err := p.term()
		return not{of}, err
	case p.sees("("):
		inner, err := p.either()
		if err == nil && !p.sees(")") {
			err = p.wrong(") is missing")
		}
		return inner, err
	}
	return p.comparison()
}

func (p *parser) comparison() (c compare, err error) {
	if c.left, err = p.operand(); err != nil {
		return c, err
	}
	for _, operator := range []string{"==", "!=", "<=", ">=", "=~", "<", ">"} {
		if !p.sees(operator) {
			continue
		}
		c.operator = operator
		if operator == "=~" {
			c.expression, err = p.expression()
			return c, err
		}
		c.right, err = p.operand()
		return c, err
	}
	if c.left.path == nil {
		return c, p.wrong("an operator is missing")
	}
	return c, nil
}

func (p *parser) operand() (o operand, err error) {
	switch p.blanks(); {
	case p.take("@"):
		o.path, err = p.steps()
		return o, err
	case p.take("$"):
		o.root = true
		o.path, err = p.steps()
		return o, err
	case p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"'):
		o.literal, err = p.quoted()
		return o, err
	case p.take("true"):
		return operand{literal: true}, nil
	case p.take("false"):
		return operand{literal: false}, nil
	case p.take("null"):
		return operand{}, nil
	}
	end := p.at
	for end < len(p.text) && strings.IndexByte("+-.eE0123456789", p.text[end]) >= 0 {
		end++
	}
	number, err := strconv.ParseFloat(p.text[p.at:end], 64)
	if err != nil {
		return o, p.wrong("@, $, a text in quotes, a number, true, false or null is missing")
	}
	p.at = end
	return operand{literal: number}, nil
}

// expression is /…/ or /…/i, a regular expression that has to match all of a text.
func (p *parser) expression() (*regexp.Regexp, error) {
	if !p.sees("/") {
		return nil, p.wrong("a regular expression stands between two /")
	}
	end := p.at
	for end < len(p.text) && p.text[end] != '/' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.text) {
		return nil, p.wrong("the regular expression is not closed")
	}
	source := strings.ReplaceAll(p.text[p.at:end], `\/`, "/")
	p.at = end + 1
	flags := ""
	if p.take("i") {
		flags = "(?i)"
	}
	re, err := regexp.Compile(flags + `\A(?:` + source + `)\z`)
	if err != nil {
		return nil, p.wrong("this regular expression is not understood here")
	}
	return re, nil
}
