package logquery

import (
	"cmp"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// parser goes through a query.
type parser struct {
	text  string
	at    int
	depth int
	last  int      // where what was read last ends, without the blanks after it
	names []string // of fields that are spoken of
}

// Parse reads a query. An error is fault.Invalid, and a *diag.Error that shows the place.
func Parse(text string) (*Query, error) {
	p := &parser{text: text}
	q, err := p.query()
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	return q, nil
}

func (p *parser) query() (*Query, *diag.Error) {
	if len(p.text) > MaxQuery {
		return nil, p.errorf(MaxQuery, "the query is longer than %d bytes", MaxQuery)
	}
	q := &Query{}
	defer func() { q.names = p.names }()
	for p.space(); ; {
		s, err := p.command()
		if err != nil {
			return nil, err
		}
		if q.stages = append(q.stages, s); len(q.stages) > mostStages {
			return nil, p.errorf(p.at, "the query has more than %d commands", mostStages)
		}
		switch {
		case p.at == len(p.text):
			return q, nil
		case !p.symbol("|"):
			return nil, p.errorf(p.at, "unexpected %q", p.text[p.at:min(p.at+10, len(p.text))]).WithHint("commands have | between them")
		}
	}
}

func (p *parser) command() (s stage, err *diag.Error) {
	start := p.at
	word := strings.ToLower(p.run(isName))
	p.space()
	switch word {
	case "fields":
		return p.fields()
	case "display":
		s, err = p.fields()
		s.only = true
		return s, err
	case "filter":
		e, err := p.either()
		s.keep = e.holds
		return s, err
	case "parse":
		return p.parse()
	case "stats":
		s.stats, err = p.stats()
		return s, err
	case "sort":
		s.sort, err = p.sort()
		return s, err
	case "dedup":
		s.dedup, err = p.fieldNames()
		return s, err
	case "limit", "head":
		at := p.at
		n, wrong := strconv.Atoi(p.run(isName))
		p.space()
		if s.limit = n; wrong != nil || n <= 0 || n > mostRows {
			err = p.errorf(at, "limit has a number from 1 to %d", mostRows)
		}
		return s, err
	}
	known := []string{"fields", "display", "filter", "parse", "stats", "sort", "dedup", "limit"}
	return s, p.errorf(start, "%q is no command that is known here", word).WithHint("%s", cmp.Or(diag.DidYouMean(word, known), "there are "+strings.Join(known, ", ")))
}

// fields reads a, b as c, toupper(d) as e.
func (p *parser) fields() (s stage, err *diag.Error) {
	var all []named
	for {
		one, err := p.named()
		if err != nil {
			return s, err
		}
		all, s.columns = append(all, one), append(s.columns, one.name)
		if !p.symbol(",") {
			break
		}
	}
	s.keep = func(r *row) bool {
		for _, one := range all {
			if v, ok := one.of(r); ok {
				r.set(one.name, v)
			}
		}
		return true
	}
	return s, nil
}

// named reads an expression and its name; without one it is called as it is written.
func (p *parser) named() (one named, err *diag.Error) {
	start := p.at
	if one.of, err = p.primary(); err != nil {
		return one, err
	}
	one.name = strings.Trim(p.text[start:p.last], "`")
	if p.keyword("as") {
		one.name, err = p.name()
	}
	return one, err
}

func (p *parser) fieldNames() (all []string, err *diag.Error) {
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if all = append(all, name); !p.symbol(",") {
			return all, nil
		}
	}
}

func (p *parser) sort() (all []key, err *diag.Error) {
	for {
		start := p.at
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if p.peek() == '(' { // a sum that has no other name: count(*)
			end := strings.IndexByte(p.text[p.at:], ')')
			if end < 0 {
				return nil, p.errorf(start, "the parenthesis is not closed")
			}
			p.at += end + 1
			name = p.text[start:p.at]
			p.space()
		}
		k := key{name: name}
		if k.down = p.keyword("desc"); !k.down {
			p.keyword("asc")
		}
		if all = append(all, k); !p.symbol(",") {
			return all, nil
		}
	}
}

func (p *parser) stats() (*stats, *diag.Error) {
	s := &stats{}
	for {
		one, err := p.sum()
		if err != nil {
			return nil, err
		}
		if s.sums = append(s.sums, one); !p.symbol(",") {
			break
		}
	}
	if !p.keyword("by") {
		return s, nil
	}
	for {
		one, err := p.named()
		if err != nil {
			return nil, err
		}
		if s.by = append(s.by, one); !p.symbol(",") {
			return s, nil
		}
	}
}

func (p *parser) sum() (one sum, err *diag.Error) {
	start := p.at
	one.function = strings.ToLower(p.run(isName))
	known := []string{"count", "count_distinct", "sum", "avg", "min", "max", "earliest", "latest"}
	p.space()
	if !slices.Contains(known, one.function) || !p.symbol("(") {
		return one, p.errorf(start, "%q is no sum that is known here", one.function).WithHint("there are %s", strings.Join(known, ", "))
	}
	if one.function != "count" || !p.symbol("*") && p.peek() != ')' {
		if one.of, err = p.either(); err != nil {
			return one, err
		}
	}
	if !p.symbol(")") {
		return one, p.errorf(p.at, "the parenthesis is not closed")
	}
	one.name = p.text[start:p.last]
	if p.keyword("as") {
		one.name, err = p.name()
	}
	return one, err
}

// parse reads [field] "text * with *" as a, b, or [field] /with (?<name>groups)/.
func (p *parser) parse() (s stage, err *diag.Error) {
	field := "@message"
	if c := p.peek(); c != '"' && c != '\'' && c != '/' {
		if field, err = p.name(); err != nil {
			return s, err
		}
	}
	start := p.at
	var re *regexp.Regexp
	var names []string
	if p.peek() == '/' {
		if re, err = p.regex(); err != nil {
			return s, err
		}
		names = re.SubexpNames()[1:]
	} else {
		text, err := p.quoted()
		if err != nil {
			return s, err
		}
		expression := "(?s)" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, "(.*?)")
		if strings.HasSuffix(text, "*") {
			expression += "$"
		}
		if re, err = p.compiled(start, expression); err != nil {
			return s, err
		}
		if !p.keyword("as") {
			return s, p.errorf(p.at, "after the text comes as and a name for each *")
		}
		if names, err = p.fieldNames(); err != nil {
			return s, err
		}
	}
	if re.NumSubexp() != len(names) || len(names) == 0 {
		return s, p.errorf(start, "there are %d places and %d names", re.NumSubexp(), len(names))
	}
	s.keep = func(r *row) bool {
		v, _ := r.field(field)
		for i, m := range re.FindStringSubmatch(v) {
			if i > 0 && names[i-1] != "" {
				r.set(names[i-1], m)
			}
		}
		return true
	}
	return s, nil
}

// regex reads an expression between slashes.
func (p *parser) regex() (*regexp.Regexp, *diag.Error) {
	start := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '/':
			p.at++
			p.space()
			return p.compiled(start, b.String())
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			if p.text[p.at] != '/' {
				b.WriteByte(c)
			}
			c = p.text[p.at]
		}
		b.WriteByte(c)
	}
	return nil, p.errorf(start, "the expression is not closed with /")
}

// mostSteps bounds the time that an expression takes for a byte.
const mostSteps = 2000

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
		return nil, p.errorf(start, "the expression takes %d steps, %d are allowed", len(prog.Inst), mostSteps)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, p.errorf(start, "%v", err)
	}
	return re, nil
}

func (p *parser) errorf(at int, format string, a ...any) *diag.Error {
	return diag.Errorf(diag.At("query", []byte(p.text), min(at, len(p.text))), format, a...).In([]byte(p.text))
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// space goes over blanks, and over comments.
func (p *parser) space() {
	p.last = p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.at++
		case c == '#':
			end := strings.IndexByte(p.text[p.at:], '\n')
			if end < 0 {
				end = len(p.text) - p.at
			}
			p.at += end
		default:
			return
		}
	}
}

func (p *parser) run(is func(byte) bool) string {
	start := p.at
	for p.at < len(p.text) && is(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

// isName tells whether a byte may stand in a name.
func isName(c byte) bool {
	return c == '_' || c == '@' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

func (p *parser) symbol(text string) bool {
	if !strings.HasPrefix(p.text[p.at:], text) {
		return false
	}
	p.at += len(text)
	p.space()
	return true
}

// keyword goes over a word, whatever the case of its letters.
func (p *parser) keyword(word string) bool {
	end := p.at + len(word)
	if end > len(p.text) || !strings.EqualFold(p.text[p.at:end], word) || end < len(p.text) && isName(p.text[end]) {
		return false
	}
	p.at = end
	p.space()
	return true
}

// name reads the name of a field; between backquotes it may have any character.
func (p *parser) name() (string, *diag.Error) {
	start := p.at
	var name string
	if p.peek() == '`' {
		end := strings.IndexByte(p.text[p.at+1:], '`')
		if end < 0 {
			return "", p.errorf(start, "the backquote is not closed")
		}
		name = p.text[p.at+1 : p.at+1+end]
		p.at += end + 2
	} else {
		name = p.run(isName)
	}
	if name == "" {
		return "", p.errorf(start, "the name of a field is missing").WithHint("names with other characters than letters, digits, _, @ and . stand between backquotes")
	}
	p.space()
	p.names = append(p.names, name)
	return name, nil
}

// quoted reads what stands between quotation marks, within which \ takes the meaning of the next character.
func (p *parser) quoted() (string, *diag.Error) {
	start := p.at
	quote := p.peek()
	if quote != '"' && quote != '\'' {
		return "", p.errorf(start, "a text stands between quotation marks, and an expression between slashes")
	}
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == quote:
			p.at++
			p.space()
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			c = p.text[p.at]
		}
		b.WriteByte(c)
	}
	return "", p.errorf(start, "the quotation mark is not closed")
}
