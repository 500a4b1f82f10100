package guard

import (
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// What a rule file may be at most.
const (
	maxRules  = 4 << 20 // bytes of its text
	maxNested = 60      // blocks, filters and lists within each other
)

// Rules is a compiled rule file. It is not changed after Parse and may be used by many at once.
type Rules struct {
	name   string
	lets   []let
	rules  []*rule            // in the order of the file; the bare clauses' "default" first
	byName map[string][]*rule // there may be several of a name
	called map[string]*rule   // parameterised
}

// Parse compiles a rule file. What it does not understand, it refuses: the error
// is a *diag.Error of kind fault.Invalid that names the place and gives a hint.
func Parse(name string, text []byte) (*Rules, error) {
	p := &parser{name: name, text: string(text)}
	if len(text) > maxRules {
		return nil, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name}, "the file is larger than %d MB", maxRules>>20))
	}
	r, err := p.file()
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return nil, fault.Invalid.Wrap(err.In(text))
	}
	return r, nil
}

// Names are the rules of the file in its order, each once.
func (r *Rules) Names() []string {
	var names []string
	seen := map[string]bool{}
	for _, x := range r.rules {
		if !seen[x.name] {
			seen[x.name] = true
			names = append(names, x.name)
		}
	}
	return names
}

// parser reads a file by recursive descent. A method that answers false or nil
// without an error has not moved; an error ends everything.
type parser struct {
	name   string
	text   string
	pos    int
	depth  int
	starts []int // of lines
}

func (p *parser) file() (*Rules, *diag.Error) {
	r := &Rules{name: p.name, byName: map[string][]*rule{}, called: map[string]*rule{}}
	fallback := &rule{name: "default", place: diag.Place{File: p.name, Line: 1, Column: 1}}
	for p.space(); p.pos < len(p.text); p.space() {
		switch {
		case p.word("let"):
			l, err := p.let()
			if err != nil {
				return nil, err
			}
			r.lets = append(r.lets, l)
		case p.word("rule"):
			x, err := p.rule()
			if err != nil {
				return nil, err
			}
			if x.parameters == nil {
				r.rules = append(r.rules, x)
				continue
			}
			if r.called[x.name] != nil {
				return nil, diag.Errorf(x.place, "there is another parameterised rule %s", x.name).WithHint("give one of the two another name")
			}
			r.called[x.name] = x
		default:
			line, err := p.line(true, true)
			if err != nil {
				return nil, err
			}
			fallback.block.clauses = append(fallback.block.clauses, line)
		}
	}
	if fallback.block.clauses != nil {
		r.rules = append([]*rule{fallback}, r.rules...)
	}
	for _, x := range r.rules {
		r.byName[x.name] = append(r.byName[x.name], x)
	}
	return r, nil
}

// rule reads what follows "rule".
func (p *parser) rule() (*rule, *diag.Error) {
	start := p.pos
	p.space()
	x := &rule{place: p.at(p.pos)}
	if x.name = p.ident(); x.name == "" || p.pos == start {
		return nil, p.wrong("a rule needs a name").WithHint("write rule NAME { … }")
	}
	if p.take("(") {
		if err := p.parameters(x); err != nil {
			return nil, err
		}
	}
	p.space()
	if p.word("when") {
		if x.parameters != nil {
			return nil, p.wrong("a parameterised rule has no conditions").WithHint("write rule %s(…) { when … { … } }", x.name)
		}
		var err *diag.Error
		if x.when, err = p.lines(p.condition, "{"); err != nil {
			return nil, err
		}
	}
	var err *diag.Error
	x.block, err = p.block(true)
	return x, err
}

func (p *parser) parameters(x *rule) *diag.Error {
	for {
		p.space()
		name := p.ident()
		if name == "" {
			return p.wrong("a parameter needs a name")
		}
		for _, other := range x.parameters {
			if other == name {
				return p.wrong("parameter %s comes twice", name)
			}
		}
		x.parameters = append(x.parameters, name)
		p.space()
		if p.take(")") {
			return nil
		}
		if !p.take(",") {
			return p.wrong("after a parameter comes , or )")
		}
	}
}

// let reads what follows "let".
func (p *parser) let() (let, *diag.Error) {
	p.space()
	l := let{name: p.ident()}
	if l.name == "" {
		return l, p.wrong("let needs a name").WithHint("write let name = value")
	}
	p.space()
	if !p.take(":=") && (p.ahead("==") || !p.take("=")) {
		return l, p.wrong("after let %s comes =", l.name)
	}
	var err *diag.Error
	if l.value, err = p.operand(); err != nil {
		return l, err
	}
	if l.value.query != nil {
		l.captures = l.value.query.captures
	}
	return l, nil
}

// block reads { … }; in named ones type blocks and the names of rules may stand.
func (p *parser) block(named bool) (block, *diag.Error) {
	var b block
	leave, err := p.enter()
	if err != nil {
		return b, err
	}
	defer leave()
	p.space()
	if !p.take("{") {
		return b, p.wrong("a block begins with {")
	}
	for p.space(); !p.take("}"); p.space() {
		if p.pos == len(p.text) {
			return b, p.wrong("the file ends within a block").WithHint("a } is missing")
		}
		if p.word("let") {
			l, err := p.let()
			if err != nil {
				return b, err
			}
			b.lets = append(b.lets, l)
			continue
		}
		line, err := p.line(named, named)
		if err != nil {
			return b, err
		}
		b.clauses = append(b.clauses, line)
	}
	if b.lets == nil && b.clauses == nil {
		return b, p.wrong("an empty block says nothing").WithHint("write a clause between { and }")
	}
	return b, nil
}

// lines reads clauses up to end, which is left there.
func (p *parser) lines(one func() (clause, *diag.Error), end string) ([][]clause, *diag.Error) {
	var all [][]clause
	for p.space(); !p.ahead(end); p.space() {
		if p.pos == len(p.text) {
			return nil, p.wrong("the file ends where %s was expected", end)
		}
		line, err := p.or(one)
		if err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	if all == nil {
		return nil, p.wrong("there is no clause here")
	}
	return all, nil
}

func (p *parser) line(named, types bool) ([]clause, *diag.Error) {
	return p.or(func() (clause, *diag.Error) { return p.clause(named, types) })
}

// or reads alternatives.
func (p *parser) or(one func() (clause, *diag.Error)) ([]clause, *diag.Error) {
	var line []clause
	for {
		p.space()
		c, err := one()
		if err != nil {
			return nil, err
		}
		line = append(line, c)
		back := p.pos
		p.space()
		if !p.word("or") && !p.word("OR") && !p.take("|OR|") {
			p.pos = back
			return line, nil
		}
	}
}

// enter counts what is nested, so that no text can exhaust the stack.
func (p *parser) enter() (leave func(), err *diag.Error) {
	if p.depth++; p.depth > maxNested {
		return nil, p.wrong("nested deeper than %d levels", maxNested)
	}
	return func() { p.depth-- }, nil
}

// space passes blanks and comments.
func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		case '#':
			end := strings.IndexByte(p.text[p.pos:], '\n')
			if end < 0 {
				end = len(p.text) - p.pos
			}
			p.pos += end
		default:
			return
		}
	}
}

// blanks passes blanks within a line.
func (p *parser) blanks() bool {
	start := p.pos
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) ahead(s string) bool { return strings.HasPrefix(p.text[p.pos:], s) }

func (p *parser) take(s string) bool {
	if !p.ahead(s) {
		return false
	}
	p.pos += len(s)
	return true
}

// word takes w where it is a word of its own.
func (p *parser) word(w string) bool {
	if !p.ahead(w) || p.pos+len(w) < len(p.text) && letter(p.text[p.pos+len(w)], true) {
		return false
	}
	p.pos += len(w)
	return true
}

// anyWord takes one of words.
func (p *parser) anyWord(words ...string) bool {
	for _, w := range words {
		if p.word(w) {
			return true
		}
	}
	return false
}

// ident takes a name: a letter, then letters, digits and _.
func (p *parser) ident() string {
	start := p.pos
	for p.pos < len(p.text) && letter(p.text[p.pos], p.pos > start) {
		p.pos++
	}
	return p.text[start:p.pos]
}

// letter tells whether c may stand in a name, or within one.
func letter(c byte, within bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || within && ('0' <= c && c <= '9' || c == '_' || c >= 0x80)
}

func (p *parser) at(pos int) diag.Place {
	if p.starts == nil {
		p.starts = linesOf(p.text)
	}
	return placeOf(p.name, p.starts, pos)
}

func (p *parser) wrong(format string, a ...any) *diag.Error {
	return diag.Errorf(p.at(p.pos), format, a...)
}

func (p *parser) wrongAt(pos int, format string, a ...any) *diag.Error {
	return diag.Errorf(p.at(pos), format, a...)
}
