package guard

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
)

// matcher is a compiled regular expression.
type matcher = *regexp.Regexp

// operand reads a literal, a function call or a query.
func (p *parser) operand() (operand, *diag.Error) {
	p.space()
	v, err := p.literal()
	if v != nil || err != nil {
		return operand{literal: v}, err
	}
	c, err := p.call()
	if err != nil {
		return operand{}, err
	}
	if c != nil {
		return operand{call: c}, checkCall(c)
	}
	if p.pos == len(p.text) || strings.IndexByte("}])>=|", p.text[p.pos]) >= 0 {
		return operand{}, p.wrong("a value, a query or a function is missing here")
	}
	q, err := p.query()
	if err != nil {
		return operand{}, err
	}
	return operand{query: &q}, nil
}

// literal reads a literal, or nothing.
func (p *parser) literal() (*Value, *diag.Error) {
	if p.pos == len(p.text) {
		return nil, nil
	}
	start := p.pos
	var v *Value
	var err *diag.Error
	switch c := p.text[p.pos]; {
	case c == '\'' || c == '"':
		var text string
		text, err = p.quoted()
		v = newString(text)
	case c == '/':
		v, err = p.regex()
	case c == '[':
		v, err = p.list()
	case c == '{':
		v, err = p.mapping()
	case c == '-' || '0' <= c && c <= '9':
		v, err = p.number()
	case p.ahead("r[") || p.ahead("r("):
		v, err = p.span()
	case p.anyWord("null", "NULL"):
		v = &Value{kind: kindNull}
	case p.anyWord("true", "True"):
		v = &Value{kind: kindBool, truth: true}
	case p.anyWord("false", "False"):
		v = &Value{kind: kindBool}
	}
	if v == nil || err != nil {
		p.pos = max(p.pos, start)
		return nil, err
	}
	return v, nil
}

// quoted reads "…" or '…'; a backslash before the quote makes it part of the text.
func (p *parser) quoted() (string, *diag.Error) {
	start, quote := p.pos, p.text[p.pos]
	var b strings.Builder
	for i := p.pos + 1; i < len(p.text); i++ {
		switch {
		case p.text[i] == '\\' && i+1 < len(p.text) && p.text[i+1] == quote:
			i++
			b.WriteByte(quote)
		case p.text[i] == quote:
			p.pos = i + 1
			return b.String(), nil
		default:
			b.WriteByte(p.text[i])
		}
	}
	return "", p.wrongAt(start, "the text does not end").WithHint("close it with %c", quote)
}

// regex reads /…/; \/ is a slash.
func (p *parser) regex() (*Value, *diag.Error) {
	start := p.pos
	var b strings.Builder
	i := p.pos + 1
	for ; i < len(p.text) && p.text[i] != '/'; i++ {
		if p.text[i] == '\\' && i+1 < len(p.text) {
			if p.text[i+1] != '/' {
				b.WriteByte('\\')
			}
			i++
		}
		b.WriteByte(p.text[i])
	}
	if i >= len(p.text) {
		return nil, p.wrongAt(start, "the regular expression does not end").WithHint("close it with /")
	}
	v, err := compileRegex(b.String())
	if err != nil {
		return nil, p.wrongAt(start, "%s", err.message).WithHint("%s", err.hint)
	}
	p.pos = i + 1
	return v, nil
}

// regexError is why an expression is refused.
type regexError struct{ message, hint string }

var backReference = regexp.MustCompile(`\\[1-9]`)

// compileRegex makes the value of an expression. Look-around and back references
// need backtracking without bound, so they are refused.
func compileRegex(text string) (*Value, *regexError) {
	const most = 10_000
	if len(text) > most {
		return nil, &regexError{"the regular expression is longer than " + strconv.Itoa(most) + " bytes", "split it"}
	}
	m, err := regexp.Compile(text)
	if err != nil {
		hint := "the syntax is RE2's"
		switch {
		case strings.Contains(text, "(?=") || strings.Contains(text, "(?!") || strings.Contains(text, "(?<=") || strings.Contains(text, "(?<!"):
			hint = "look-ahead and look-behind are not supported: say it as two clauses, one with !="
		case backReference.MatchString(text):
			hint = "back references are not supported"
		}
		return nil, &regexError{strings.TrimPrefix(err.Error(), "error parsing regexp: "), hint}
	}
	return &Value{kind: kindRegex, text: text, literal: &literal{match: m}}, nil
}

func (p *parser) list() (*Value, *diag.Error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	p.take("[")
	var items []*Value
	for p.space(); !p.take("]"); p.space() {
		if items != nil {
			if !p.take(",") {
				return nil, p.wrong("in a list comes , or ]")
			}
			p.space()
		}
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, p.wrong("in a list stand literals only").WithHint("a variable or a query cannot stand in a list")
		}
		items = append(items, v)
	}
	return newList(items), nil
}

func (p *parser) mapping() (*Value, *diag.Error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	p.take("{")
	var fields []field
	for p.space(); !p.take("}"); p.space() {
		if fields != nil {
			if !p.take(",") {
				return nil, p.wrong("in a map comes , or }")
			}
			p.space()
		}
		name, err := p.memberName()
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if f.key.text == name {
				return nil, p.wrong("%q comes twice in the same map", name)
			}
		}
		if p.space(); !p.take(":") {
			return nil, p.wrong("after the name of a member comes :")
		}
		p.space()
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, p.wrong("in a map stand literals only").WithHint("a variable or a query cannot stand in a map")
		}
		fields = append(fields, field{newString(name), v})
	}
	return newMap(fields), nil
}

// memberName reads a name of letters, digits, - and _, or a quoted one.
func (p *parser) memberName() (string, *diag.Error) {
	if p.ahead("'") || p.ahead(`"`) {
		return p.quoted()
	}
	start := p.pos
	for p.pos < len(p.text) && (letter(p.text[p.pos], true) || p.text[p.pos] == '-') {
		p.pos++
	}
	if p.pos == start {
		return "", p.wrong("a member of a map begins with its name")
	}
	return p.text[start:p.pos], nil
}

// number reads an integer or a float.
func (p *parser) number() (*Value, *diag.Error) {
	start, end := p.pos, p.pos
	digits := func() {
		for end < len(p.text) && '0' <= p.text[end] && p.text[end] <= '9' {
			end++
		}
	}
	if p.text[end] == '-' {
		end++
	}
	digits()
	if end+1 < len(p.text) && p.text[end] == '.' && '0' <= p.text[end+1] && p.text[end+1] <= '9' {
		end++
		digits()
	}
	if end < len(p.text) && (p.text[end] == 'e' || p.text[end] == 'E') {
		back := end
		end++
		if end < len(p.text) && (p.text[end] == '+' || p.text[end] == '-') {
			end++
		}
		first := end
		if digits(); end == first {
			end = back
		}
	}
	text := p.text[start:end]
	if _, err := strconv.ParseFloat(text, 64); err != nil || end < len(p.text) && letter(p.text[end], true) {
		return nil, p.wrongAt(start, "not a number").WithHint("quote a text")
	}
	p.pos = end
	return number(text), nil
}

// span reads r[low,high] and its like.
func (p *parser) span() (*Value, *diag.Error) {
	start := p.pos
	s := &span{lowOpen: p.text[p.pos+1] == '('}
	p.pos += 2
	var err *diag.Error
	if s.low, err = p.bound(); err != nil {
		return nil, err
	}
	if !p.take(",") {
		return nil, p.wrong("between the ends of a range comes ,")
	}
	if s.high, err = p.bound(); err != nil {
		return nil, err
	}
	if s.highOpen = p.ahead(")"); !p.take(")") && !p.take("]") {
		return nil, p.wrong("a range ends with ] or )")
	}
	if (s.low.kind == kindChar) != (s.high.kind == kindChar) {
		return nil, p.wrongAt(start, "the ends of a range are both numbers or both characters")
	}
	if c, ok := order(s.low, s.high); !ok || c > 0 {
		return nil, p.wrongAt(start, "the range ends before it begins")
	}
	return &Value{kind: kindRange, literal: &literal{span: s}}, nil
}

// bound is one end of a range: a number or a single character.
func (p *parser) bound() (*Value, *diag.Error) {
	p.blanks()
	defer p.blanks()
	if p.pos == len(p.text) {
		return nil, p.wrong("the file ends within a range")
	}
	if c := p.text[p.pos]; c == '-' && p.pos+1 < len(p.text) && '0' <= p.text[p.pos+1] && p.text[p.pos+1] <= '9' || '0' <= c && c <= '9' {
		return p.number()
	}
	quote := p.take("'")
	r, size := utf8.DecodeRuneInString(p.text[p.pos:])
	p.pos += size
	if quote && !p.take("'") {
		return nil, p.wrong("an end of a range is a number or one character")
	}
	return &Value{kind: kindChar, number: int64(r)}, nil
}
