package guard

import (
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// clause reads one clause. named: it may be the name of a rule; types: it may be a type block.
func (p *parser) clause(named, types bool) (clause, *diag.Error) {
	start := p.pos
	if p.anyWord("when", "WHEN") {
		when, err := p.lines(p.condition, "{")
		if err != nil {
			return nil, err
		}
		b, err := p.block(named)
		return &whenClause{p.at(start), when, b}, err
	}
	if name := p.typeName(); name != "" {
		if !types {
			return nil, p.wrongAt(start, "a type block stands only in a rule or outside all").WithHint("select the resources: Resources.*[ Type == '%s' ] { … }", name)
		}
		return p.typeBlock(start, name)
	}
	return p.simple(start, named, true)
}

// condition reads one clause of a when.
func (p *parser) condition() (clause, *diag.Error) { return p.simple(p.pos, true, false) }

// simple reads a comparison, a call, where allowed the name of a rule, and where allowed a query block.
func (p *parser) simple(start int, named, blocks bool) (clause, *diag.Error) {
	negated := p.not()
	if c, err := p.calling(start, negated); c != nil || err != nil {
		return c, err
	}
	first := p.pos
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	end := p.pos
	p.space()
	if blocks && !negated {
		notEmpty := p.notEmptyBlock()
		if notEmpty || p.ahead("{") {
			b, err := p.block(false)
			return &queryClause{p.at(start), q, notEmpty, b}, err
		}
	}
	op, opNegated, ok := p.operator()
	if !ok {
		if named && simpleName(q) {
			p.pos = first
			return p.ruleName(start, negated)
		}
		p.pos = end
		return nil, p.noOperator(q, named, blocks)
	}
	c := &compareClause{place: p.at(start), query: q, op: op, negated: negated != opNegated}
	if !op.unary() {
		if c.with, err = p.operand(); err != nil {
			return nil, err
		}
	}
	c.message, err = p.message(true)
	return c, err
}

// noOperator says what is wrong where a query is followed by no operator.
func (p *parser) noOperator(q query, named, blocks bool) *diag.Error {
	p.space()
	if simpleName(q) && !named {
		return p.wrong("after %s comes an operator", q.text).WithHint("if %s is a rule, name it outside query blocks and filters", q.text)
	}
	hint := p.operatorHint()
	if blocks && !strings.HasPrefix(hint, "did") {
		hint += "; or { a block }"
	}
	return p.wrong("after %s comes an operator", q.text).WithHint("%s", hint)
}

// operatorHint is the operator that the next word may be meant to be, or some of all.
func (p *parser) operatorHint() string {
	back := p.pos
	got := p.ident()
	p.pos = back
	if hint := diag.DidYouMean(got, []string{"exists", "empty", "not", "is_string", "is_list", "is_struct", "is_bool", "is_int", "is_float", "is_null"}); got != "" && hint != "" {
		return hint
	}
	return "==, !=, <, <=, >, >=, in, exists, empty, is_string …"
}

// simpleName tells whether a query may be the name of a rule as well.
func simpleName(q query) bool {
	return !q.some && len(q.parts) == 1 && q.parts[0].step == stepKey && q.text == q.parts[0].name
}

// notEmptyBlock takes "not empty" where a block follows.
func (p *parser) notEmptyBlock() bool {
	back := p.pos
	if p.not() && p.anyWord("empty", "EMPTY") {
		p.space()
		if p.ahead("{") {
			return true
		}
	}
	p.pos = back
	return false
}

// ruleName reads the name of a rule, which ends its line, or a message follows it.
func (p *parser) ruleName(start int, negated bool) (clause, *diag.Error) {
	c := &nameClause{place: p.at(start), rule: p.ident(), negated: negated}
	end := p.pos
	p.blanks()
	if p.ahead("<<") {
		var err *diag.Error
		c.message, err = p.message(true)
		return c, err
	}
	if p.pos == len(p.text) || strings.IndexByte("\r\n#{}]", p.text[p.pos]) >= 0 || p.ahead("or") || p.ahead("OR") || p.ahead("|OR|") {
		p.pos = end
		return c, nil
	}
	return nil, p.wrong("after %s comes an operator or the end of the line", c.rule).WithHint("%s", p.operatorHint())
}

// calling reads name(…), a parameterised rule.
func (p *parser) calling(start int, negated bool) (clause, *diag.Error) {
	x, err := p.call()
	if x == nil || err != nil {
		return nil, err
	}
	if _, is := functions[x.name]; is {
		return nil, diag.Errorf(x.place, "a function does not stand on the left-hand side").WithHint("bind it: let x = %s(…), then %%x", x.name)
	}
	c := &callClause{call: *x, negated: negated}
	c.place = p.at(start)
	c.message, err = p.message(true)
	return c, err
}

// call reads name(…), or nothing.
func (p *parser) call() (*call, *diag.Error) {
	back := p.pos
	x := &call{place: p.at(p.pos), name: p.ident()}
	if x.name == "" || !p.take("(") {
		p.pos = back
		return nil, nil
	}
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if p.space(); p.take(")") {
		return x, nil
	}
	for {
		a, err := p.operand()
		if err != nil {
			return nil, err
		}
		x.args = append(x.args, a)
		p.space()
		if p.take(")") {
			return x, nil
		}
		if !p.take(",") {
			return nil, p.wrong("after an argument comes , or )")
		}
	}
}

// typeBlock reads what follows the name of a type.
func (p *parser) typeBlock(start int, name string) (clause, *diag.Error) {
	c := &typeClause{place: p.at(start), typeName: name}
	p.space()
	var err *diag.Error
	if p.anyWord("when", "WHEN") {
		if c.when, err = p.lines(p.condition, "{"); err != nil {
			return nil, err
		}
	} else if !p.ahead("{") {
		one, err := p.clause(false, false)
		c.block.clauses = [][]clause{{one}}
		return c, err
	}
	c.block, err = p.block(false)
	return c, err
}

// typeName takes A::B or A::B::C, with or without ::MODULE.
func (p *parser) typeName() string {
	back := p.pos
	parts := []string{p.ident()}
	for parts[0] != "" && p.take("::") {
		parts = append(parts, p.ident())
	}
	if len(parts) > 3 && parts[len(parts)-1] == "MODULE" {
		parts = parts[:len(parts)-1]
	}
	if len(parts) < 2 || len(parts) > 3 || parts[len(parts)-1] == "" {
		p.pos = back
		return ""
	}
	return strings.Join(parts, "::")
}

// not takes "not " or "!".
func (p *parser) not() bool {
	back := p.pos
	if p.anyWord("not", "NOT") {
		if p.blanks() {
			return true
		}
		p.pos = back
		return false
	}
	return !p.ahead("!=") && p.take("!")
}

// operator takes an operator and whether it is negated.
func (p *parser) operator() (op operator, negated, ok bool) {
	if p.ahead("<<") { // a message
		return 0, false, false
	}
	for _, s := range []struct {
		text    string
		op      operator
		negated bool
	}{{"==", opEqual, false}, {"!=", opEqual, true}, {">=", opGreaterEqual, false}, {"<=", opLessEqual, false}, {">", opGreater, false}, {"<", opLess, false}} {
		if p.take(s.text) {
			return s.op, s.negated, true
		}
	}
	back := p.pos
	negated = p.not()
	for op := opIn; op <= opIsNull; op++ {
		if op == opIn || op.unary() {
			if text := op.text(false); p.anyWord(text, strings.ToUpper(text)) {
				return op, negated, true
			}
		}
	}
	p.pos = back
	return 0, false, false
}

// message reads << … >>, if there is one.
func (p *parser) message(far bool) (string, *diag.Error) {
	back := p.pos
	if far {
		p.space()
	}
	if !p.take("<<") {
		p.pos = back
		return "", nil
	}
	end := strings.Index(p.text[p.pos:], ">>")
	if end < 0 {
		return "", p.wrongAt(p.pos-2, "the message does not end").WithHint("close it with >>")
	}
	text := p.text[p.pos : p.pos+end]
	p.pos += end + 2
	return tidy(text), nil
}

// tidy takes the indentation off a message.
func tidy(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
