package guard

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/haechi-dev/haechi/word/diag"
)

// query reads [some] head { .step | [step] }.
func (p *parser) query() (query, *diag.Error) {
	var q query
	if p.anyWord("some", "SOME") {
		if p.space(); p.ahead(".") || p.ahead("==") {
			return q, p.wrong("some is a word of the language").WithHint("write 'some' for a member of this name")
		}
		q.some = true
	}
	start := p.pos
	first, err := p.head()
	if err != nil {
		return q, err
	}
	q.parts = []part{first}
	for {
		x, ok, err := p.step(&q)
		if err != nil {
			return q, err
		}
		if !ok {
			break
		}
		q.parts = append(q.parts, x)
	}
	q.place = p.at(start)
	q.text = strings.Join(strings.Fields(p.text[start:p.pos]), " ")
	return q, p.interpolation(&q, start)
}

func (p *parser) head() (part, *diag.Error) {
	switch {
	case p.anyWord("this", "THIS"):
		return part{step: stepThis}, nil
	case p.take("%"):
		name := p.ident()
		if name == "" {
			return part{}, p.wrong("after %% comes the name of a variable")
		}
		return part{step: stepVariable, name: name}, nil
	case p.ahead("'"), p.ahead(`"`):
		name, err := p.quoted()
		return key(name), err
	}
	if name := p.ident(); name != "" {
		return key(name), nil
	}
	if p.pos == len(p.text) {
		return part{}, p.wrong("the file ends where a clause was expected")
	}
	e := p.wrong("a clause begins with a property, a %%variable, this, or a rule")
	if c := p.text[p.pos]; c == ';' || c == ',' {
		e = e.WithHint("clauses stand on lines of their own, nothing separates them")
	}
	return part{}, e
}

// step reads one step, or nothing.
func (p *parser) step(q *query) (part, bool, *diag.Error) {
	back := p.pos
	p.space()
	switch {
	case p.take("."):
		x, err := p.dotted()
		return x, err == nil, err
	case p.take("["):
		leave, err := p.enter()
		if err != nil {
			return part{}, false, err
		}
		defer leave()
		x, err := p.bracket(q)
		return x, err == nil, err
	}
	p.pos = back
	return part{}, false, nil
}

// dotted reads what follows a dot.
func (p *parser) dotted() (part, *diag.Error) {
	if p.take("*") {
		return part{step: stepAllValues}, nil
	}
	if n, ok := p.integer(); ok {
		return part{step: stepIndex, index: n}, nil
	}
	if p.pos < len(p.text) && (p.text[p.pos] == '%' || p.text[p.pos] == '\'' || p.text[p.pos] == '"' || letter(p.text[p.pos], false)) {
		return p.property()
	}
	return part{}, p.wrong("after . comes a property, a %%variable, an index or *").WithHint("quote what is not letters, digits and _: 'aws:SourceIp'")
}

// property is head without this, which is a property like any other after a dot.
func (p *parser) property() (part, *diag.Error) {
	if p.ahead("this") {
		return key(p.ident()), nil
	}
	return p.head()
}

// bracket reads what follows a [.
func (p *parser) bracket(q *query) (part, *diag.Error) {
	start := p.pos
	p.space()
	if p.take("*") {
		return part{step: stepAllIndices}, p.close()
	}
	if n, ok := p.integer(); ok {
		return part{step: stepIndex, index: n}, p.close()
	}
	if x, ok := p.bracketName(q); ok {
		return x, nil
	}
	p.pos = start
	capture := p.capture()
	if capture != "" {
		q.captures = append(q.captures, capture)
	}
	p.space()
	if x, ok, err := p.keyFilter(); ok || err != nil {
		x.capture = capture
		return x, err
	}
	filter, err := p.lines(func() (clause, *diag.Error) { return p.clause(false, false) }, "]")
	if err != nil {
		return part{}, err
	}
	return part{step: stepFilter, capture: capture, filter: filter, want: wantTypes(filter)}, p.close()
}

// bracketName reads "key"], %name] or name].
func (p *parser) bracketName(q *query) (part, bool) {
	back := p.pos
	var x part
	switch {
	case p.ahead("'"), p.ahead(`"`):
		name, err := p.quoted()
		if err != nil {
			return x, false
		}
		x = key(name)
	case p.take("%"):
		x = part{step: stepVariable, name: p.ident()}
		if x.name == "" {
			p.pos = back
			return x, false
		}
	default:
		x = part{step: stepAllValues, capture: p.ident()}
		if x.capture == "" {
			return x, false
		}
	}
	if p.space(); !p.take("]") {
		p.pos = back
		return x, false
	}
	if x.capture != "" {
		q.captures = append(q.captures, x.capture)
	}
	return x, true
}

// capture takes name |.
func (p *parser) capture() string {
	back := p.pos
	p.space()
	name := p.ident()
	p.blanks()
	if name == "" || p.ahead("|OR|") || !p.take("|") {
		p.pos = back
		return ""
	}
	return name
}

// keyFilter reads keys == … ], if it is one.
func (p *parser) keyFilter() (part, bool, *diag.Error) {
	back := p.pos
	if !p.anyWord("keys", "KEYS") {
		return part{}, false, nil
	}
	p.space()
	op, negated, ok := p.operator()
	if !ok {
		p.pos = back // a property of this name
		return part{}, false, nil
	}
	if op != opEqual && op != opIn {
		return part{}, false, p.wrongAt(back, "keys are compared by ==, !=, in or not in")
	}
	with, err := p.operand()
	if err != nil {
		return part{}, false, err
	}
	if with.call != nil {
		return part{}, false, p.wrongAt(back, "keys are compared with a value or a query").WithHint("bind it: let x = %s(…), then keys == %%x", with.call.name)
	}
	x := part{step: stepKeyFilter, op: op, with: with}
	if negated {
		x.index = 1
	}
	return x, true, p.close()
}

func (p *parser) close() *diag.Error {
	if p.space(); !p.take("]") {
		return p.wrong("] is missing here")
	}
	return nil
}

// interpolation settles what %name means behind the head, where an index chooses among its values.
func (p *parser) interpolation(q *query, start int) *diag.Error {
	for i := 1; i < len(q.parts); i++ {
		if q.parts[i].step != stepVariable || i+1 == len(q.parts) {
			continue
		}
		switch next := q.parts[i+1]; next.step {
		case stepIndex:
			q.parts[i].step, q.parts[i].index = stepVariableKey, next.index
			q.parts = append(q.parts[:i+1], q.parts[i+2:]...)
		case stepFilter, stepKeyFilter:
			return p.wrongAt(start, "a filter right behind .%%%s is not supported", q.parts[i].name).WithHint("bind the part before it: let x = …%%%s, then %%x[ … ]", q.parts[i].name)
		}
	}
	return nil
}

// key is the step to a member, with the other spellings that stand in for its name.
func key(name string) part { return part{step: stepKey, name: name, other: spellings(name)} }

// spellings are name in camelCase, PascalCase, kebab-case, snake_case, Title Case
// and Train-Case, as far as they differ: the reference looks those up too when
// there is no member of the name itself.
func spellings(name string) []string {
	words := wordsOf(name)
	if len(words) == 0 {
		return nil
	}
	title := make([]string, len(words))
	for i, w := range words {
		title[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	pascal := strings.Join(title, "")
	camel := words[0] + strings.Join(title[1:], "")
	var all []string
	for _, s := range []string{camel, pascal, strings.Join(words, "-"), strings.Join(words, "_"), strings.Join(title, " "), strings.Join(title, "-")} {
		fresh := s != name
		for _, other := range all {
			fresh = fresh && s != other
		}
		if fresh {
			all = append(all, s)
		}
	}
	return all
}

// wordsOf are the words of a name, in lower case; what is no letter or digit
// divides them, so that '!Ref' finds Ref. A name that is not ASCII has none.
func wordsOf(name string) []string {
	var words []string
	begin := true
	for i, r := range name {
		switch {
		case r >= 0x80:
			return nil
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			begin = true
			continue
		case unicode.IsUpper(r):
			lower := i > 0 && unicode.IsLower(rune(name[i-1]))
			last := i > 0 && i+1 < len(name) && unicode.IsUpper(rune(name[i-1])) && unicode.IsLower(rune(name[i+1]))
			begin = begin || lower || last
		}
		if begin {
			words = append(words, "")
			begin = false
		}
		words[len(words)-1] += string(unicode.ToLower(r))
	}
	return words
}

// wantTypes are the types that a filter lets through at most, where one of its lines
// says so: Type == 'X', Type in ['X', 'Y'], or the one or the other.
func wantTypes(filter [][]clause) *typeSet {
	for _, line := range filter {
		var names []string
		for _, c := range line {
			some := typesIn(c)
			if some == nil {
				names = nil
				break
			}
			names = append(names, some...)
		}
		if len(names) > 0 {
			slices.Sort(names)
			names = slices.Compact(names)
			return &typeSet{names: names, key: strings.Join(names, "\n")}
		}
	}
	return nil
}

// typesIn are the types that a clause lets through at most, or nil.
func typesIn(c clause) (names []string) {
	x, ok := c.(*compareClause)
	if !ok || x.negated || len(x.query.parts) != 1 || x.query.parts[0].step != stepKey || x.query.parts[0].name != "Type" || x.with.literal == nil {
		return nil
	}
	switch l := x.with.literal; {
	case x.op == opEqual && l.kind == kindString:
		return []string{l.text}
	case x.op == opIn && l.kind == kindList:
		for _, item := range l.items {
			if item.kind != kindString {
				return nil
			}
			names = append(names, item.text)
		}
	}
	return names
}

// integer takes digits with or without a minus.
func (p *parser) integer() (int64, bool) {
	end := p.pos
	if end < len(p.text) && p.text[end] == '-' {
		end++
	}
	for end < len(p.text) && '0' <= p.text[end] && p.text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(p.text[p.pos:end], 10, 64)
	if err != nil {
		return 0, false
	}
	p.pos = end
	return n, true
}
