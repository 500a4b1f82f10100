// Package licence reads SPDX licence expressions, knows a licence by its name or its text, and says what it asks for.
package licence

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/fault"
)

// ids are the identifiers of SPDX's lists of licences and exceptions (CC0-1.0), one a line.
//
//go:embed ids.txt
var ids string

// listed is every identifier by its lower case.
var listed = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for id := range strings.FieldsSeq(ids) {
		m[strings.ToLower(id)] = id
	}
	return m
})

// Expression is an SPDX licence expression: one licence, or several joined by
// AND or OR.
type Expression struct {
	Operator string // AND or OR; "" for one licence
	Parts    []Expression

	ID        string // of one licence, as SPDX's list spells it where it is there
	OrLater   bool   // ID+
	Exception string // WITH
}

// Parse reads an expression. Identifiers that are on no list are taken as they are: see Known.
func Parse(text string) (Expression, error) {
	const longest = 4096
	if len(text) > longest {
		return Expression{}, fault.Limit.Errorf("a licence expression of %d bytes", len(text))
	}
	p := &parser{tokens: tokens(text)}
	e, err := p.or(0)
	if err == nil && len(p.tokens) > 0 {
		err = fault.Invalid.Errorf("%q is not expected there in the licence expression %q", p.tokens[0], text)
	}
	return e, err
}

func tokens(text string) []string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "(", " ( "), ")", " ) ")
	return strings.Fields(text)
}

type parser struct{ tokens []string }

func (p *parser) next(word string) bool {
	if len(p.tokens) > 0 && strings.EqualFold(p.tokens[0], word) {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *parser) or(depth int) (Expression, error) {
	return p.list("OR", depth, func() (Expression, error) {
		return p.list("AND", depth, func() (Expression, error) { return p.one(depth) })
	})
}

func (p *parser) list(operator string, depth int, part func() (Expression, error)) (Expression, error) {
	first, err := part()
	if err != nil {
		return first, err
	}
	all := []Expression{first}
	for p.next(operator) {
		more, err := part()
		if err != nil {
			return more, err
		}
		all = append(all, more)
	}
	if len(all) == 1 {
		return first, nil
	}
	return Expression{Operator: operator, Parts: all}, nil
}

func (p *parser) one(depth int) (Expression, error) {
	const deepest = 50
	if depth > deepest {
		return Expression{}, fault.Limit.Errorf("a licence expression nested more than %d deep", deepest)
	}
	if p.next("(") {
		e, err := p.or(depth + 1)
		if err == nil && !p.next(")") {
			err = fault.Invalid.Errorf("a bracket of the licence expression is not closed")
		}
		return e, err
	}
	if len(p.tokens) == 0 || !isID(p.tokens[0]) {
		return Expression{}, fault.Invalid.Errorf("a licence is expected in the expression")
	}
	e := Expression{ID: p.tokens[0]}
	p.tokens = p.tokens[1:]
	if rest, ok := strings.CutSuffix(e.ID, "+"); ok && listed()[strings.ToLower(e.ID)] == "" {
		e.ID, e.OrLater = rest, true
	}
	if id := listed()[strings.ToLower(e.ID)]; id != "" {
		e.ID = id
	}
	if p.next("WITH") {
		if len(p.tokens) == 0 || !isID(p.tokens[0]) {
			return e, fault.Invalid.Errorf("an exception is expected after WITH")
		}
		e.Exception, p.tokens = p.tokens[0], p.tokens[1:]
		if id := listed()[strings.ToLower(e.Exception)]; id != "" {
			e.Exception = id
		}
	}
	return e, nil
}

func isID(s string) bool {
	if slices.ContainsFunc([]string{"AND", "OR", "WITH"}, func(w string) bool { return strings.EqualFold(w, s) }) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '-' || c == '+' || c == ':') {
			return false
		}
	}
	return s != ""
}

// String is the expression as SPDX writes it, with the brackets that it needs.
func (e Expression) String() string {
	if e.Operator == "" {
		s := e.ID
		if e.OrLater {
			s += "+"
		}
		if e.Exception != "" {
			s += " WITH " + e.Exception
		}
		return s
	}
	var parts []string
	for _, p := range e.Parts {
		s := p.String()
		if p.Operator != "" && (e.Operator == "AND" || p.Operator == e.Operator) {
			s = "(" + s + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " "+e.Operator+" ")
}

// Known tells whether SPDX's lists have every licence and exception in it, or it is a LicenseRef.
func (e Expression) Known() bool {
	if e.Operator != "" {
		return !slices.ContainsFunc(e.Parts, func(p Expression) bool { return !p.Known() })
	}
	known := func(id string) bool { return listed()[strings.ToLower(id)] != "" }
	return known(e.ID) && (e.Exception == "" || known(e.Exception))
}

// IDs are the licences in it, each once, without exceptions.
func (e Expression) IDs() []string {
	if e.Operator == "" {
		if e.OrLater {
			return []string{e.ID + "+"}
		}
		return []string{e.ID}
	}
	var all []string
	for _, p := range e.Parts {
		all = append(all, p.IDs()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Join is the expression of what a package declares: a list is a choice, as
// package managers mean it. What is on no list stays as it is written.
func Join(declared []string) string {
	var parts []string
	for _, d := range declared {
		d = Normal(d)
		if d == "" || slices.Contains(parts, d) {
			continue
		}
		parts = append(parts, d)
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	for i, p := range parts {
		if e, err := Parse(p); err == nil && e.Operator == "AND" {
			parts[i] = "(" + p + ")"
		}
	}
	return strings.Join(parts, " OR ")
}
