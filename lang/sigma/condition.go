package sigma

import (
	"path"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// A conditionError is a mistake in a condition, offset bytes from its start.
type conditionError struct {
	offset        int
	message, hint string
}

const (
	maxCondition = 10_000 // bytes
	maxNesting   = 100    // parentheses and nots
)

// A conditionParser reads: or over and over not over parentheses, "1 of x*", "all of them" and names.
type conditionParser struct {
	text     string
	pos      int // of the token
	token    string
	end      int // behind the token
	depth    int
	names    []string // of the searches, sorted
	searches map[string]expression
}

func parseCondition(text string, names []string, searches map[string]expression) (expression, *conditionError) {
	if len(text) > maxCondition {
		return nil, &conditionError{0, "the condition is too long", ""}
	}
	p := &conditionParser{text: text, names: names, searches: searches}
	p.next()
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token == "|" {
		return nil, p.errorf("aggregations in the condition are not supported", "write a correlation: event_count or value_count")
	}
	if p.token != "" {
		return nil, p.errorf("\""+p.token+"\" is not expected here", "and, or, or the end")
	}
	return e, nil
}

func (p *conditionParser) errorf(message, hint string) *conditionError {
	return &conditionError{p.pos, message, hint}
}

func (p *conditionParser) next() {
	i := p.end
	for i < len(p.text) && strings.IndexByte(" \t\r\n", p.text[i]) >= 0 {
		i++
	}
	p.pos = i
	if i < len(p.text) && strings.IndexByte("()|", p.text[i]) >= 0 {
		i++
	} else {
		for i < len(p.text) && strings.IndexByte(" \t\r\n()|", p.text[i]) < 0 {
			i++
		}
	}
	p.token, p.end = p.text[p.pos:i], i
}

func (p *conditionParser) word(w string) bool { return strings.EqualFold(p.token, w) }

func (p *conditionParser) or() (expression, *conditionError) {
	var all or
	for {
		e, err := p.and()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if !p.word("or") {
			break
		}
		p.next()
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *conditionParser) and() (expression, *conditionError) {
	var all and
	for {
		e, err := p.not()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if !p.word("and") {
			break
		}
		p.next()
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *conditionParser) not() (expression, *conditionError) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.errorf("the condition is nested too deep", "")
	}
	defer func() { p.depth-- }()
	if !p.word("not") {
		return p.primary()
	}
	p.next()
	e, err := p.not()
	if err != nil {
		return nil, err
	}
	return not{e}, nil
}

func (p *conditionParser) primary() (expression, *conditionError) {
	switch {
	case p.token == "":
		return nil, p.errorf("the condition ends too early", "the name of a search is expected")
	case p.token == "(":
		p.next()
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if p.token != ")" {
			return nil, p.errorf("a parenthesis is not closed", "")
		}
		p.next()
		return e, nil
	case p.token == ")", p.token == "|", p.word("and"), p.word("or"), p.word("of"):
		return nil, p.errorf("\""+p.token+"\" is not expected here", "the name of a search is")
	}
	name, pos := p.token, p.pos
	p.next()
	if p.word("of") {
		return p.of(name, pos)
	}
	e, ok := p.searches[name]
	if !ok {
		return nil, &conditionError{pos, "there is no search \"" + name + "\"", diag.DidYouMean(name, p.names)}
	}
	return e, nil
}

// of reads what follows "1", "any" or "all": of them, or of a pattern.
func (p *conditionParser) of(count string, pos int) (expression, *conditionError) {
	p.next()
	var list []expression
	for _, name := range p.names {
		ok := p.word("them") && !strings.HasPrefix(name, "_")
		if !ok && !p.word("them") {
			ok, _ = path.Match(strings.NewReplacer("[", `\[`, "?", `\?`, `\`, `\\`).Replace(p.token), name)
		}
		if ok {
			list = append(list, p.searches[name])
		}
	}
	if len(list) == 0 {
		return nil, p.errorf("no search is called \""+p.token+"\"", diag.DidYouMean(strings.Trim(p.token, "*"), p.names))
	}
	p.next()
	switch {
	case count == "1", strings.EqualFold(count, "any"):
		return or(list), nil
	case strings.EqualFold(count, "all"):
		return and(list), nil
	}
	return nil, &conditionError{pos, "\"" + count + " of\" is not supported", "1 of, any of and all of are"}
}
