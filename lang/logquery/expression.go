package logquery

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/diag"
)

// expression is something of a row; ok is false where the row has it not. What is true is "1", what is not is "0".
type expression func(*row) (value string, ok bool)

func truth(is bool) (string, bool) {
	if is {
		return "1", true
	}
	return "0", true
}

func (e expression) holds(r *row) bool {
	v, ok := e(r)
	return ok && v != "0" && v != ""
}

// either reads expressions with or between them, which binds less than and does.
func (p *parser) either() (expression, *diag.Error) {
	left, err := p.both()
	for err == nil && p.keyword("or") {
		a := left
		var b expression
		b, err = p.both()
		left = func(r *row) (string, bool) { return truth(a.holds(r) || b.holds(r)) }
	}
	return left, err
}

func (p *parser) both() (expression, *diag.Error) {
	left, err := p.not()
	for err == nil && p.keyword("and") {
		a := left
		var b expression
		b, err = p.not()
		left = func(r *row) (string, bool) { return truth(a.holds(r) && b.holds(r)) }
	}
	return left, err
}

func (p *parser) not() (expression, *diag.Error) {
	if p.depth++; p.depth > 100 {
		return nil, p.errorf(p.at, "the query is nested too deeply")
	}
	defer func() { p.depth-- }()
	if p.keyword("not") {
		e, err := p.not()
		return func(r *row) (string, bool) { return truth(!e.holds(r)) }, err
	}
	return p.comparison()
}

func (p *parser) comparison() (expression, *diag.Error) {
	left, err := p.primary()
	if err != nil {
		return nil, err
	}
	start := p.at
	not := p.keyword("not")
	switch {
	case p.keyword("like"), p.symbol("=~"):
		has, err := p.pattern()
		return func(r *row) (string, bool) { v, ok := left(r); return truth(ok && has(v) != not) }, err
	case p.keyword("in"):
		all, err := p.list()
		return func(r *row) (string, bool) {
			v, ok := left(r)
			return truth(ok && slices.ContainsFunc(all, func(one string) bool { return compare(v, one) == 0 }) != not)
		}, err
	case not:
		return nil, p.errorf(start, "after not comes like or in")
	}
	for _, op := range []string{"!=", ">=", "<=", "=", ">", "<"} {
		if !p.symbol(op) {
			continue
		}
		right, err := p.primary()
		return func(r *row) (string, bool) {
			a, aok := left(r)
			b, bok := right(r)
			return truth(aok && bok && holds(op, compare(a, b)))
		}, err
	}
	return left, nil
}

func holds(op string, c int) bool {
	switch op {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case ">":
		return c > 0
	case "<":
		return c < 0
	case ">=":
		return c >= 0
	}
	return c <= 0
}

// pattern reads /an expression/, or a text that is looked for as it stands.
func (p *parser) pattern() (func(string) bool, *diag.Error) {
	if p.peek() == '/' {
		re, err := p.regex()
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	text, err := p.quoted()
	return func(v string) bool { return strings.Contains(v, text) }, err
}

func (p *parser) list() (all []string, err *diag.Error) {
	if !p.symbol("[") {
		return nil, p.errorf(p.at, "after in comes a list: [1, 2]")
	}
	for !p.symbol("]") {
		one, err := p.literal()
		if err != nil {
			return nil, err
		}
		if all = append(all, one); !p.symbol(",") && p.peek() != ']' {
			return nil, p.errorf(p.at, "a list has , between its values, and ends with ]")
		}
	}
	return all, nil
}

// literal reads a text or a number.
func (p *parser) literal() (string, *diag.Error) {
	if c := p.peek(); c == '"' || c == '\'' {
		return p.quoted()
	}
	start := p.at
	word := p.run(func(c byte) bool { return isName(c) || c == '-' || c == '+' })
	if _, ok := number(word); !ok {
		return "", p.errorf(start, "a text stands between quotation marks")
	}
	p.space()
	return word, nil
}

// primary reads a field, a text, a number, a function's call, or what stands between parentheses.
func (p *parser) primary() (expression, *diag.Error) {
	start := p.at
	switch c := p.peek(); {
	case c == '(':
		p.symbol("(")
		e, err := p.either()
		if err == nil && !p.symbol(")") {
			err = p.errorf(start, "the parenthesis is not closed")
		}
		return e, err
	case c == '"' || c == '\'' || c == '-' || '0' <= c && c <= '9':
		text, err := p.literal()
		return func(*row) (string, bool) { return text, true }, err
	case c == '`' || !isName(c):
		name, err := p.name()
		return func(r *row) (string, bool) { return r.field(name) }, err
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if p.symbol("(") {
		return p.call(start, strings.ToLower(name))
	}
	return func(r *row) (string, bool) { return r.field(name) }, nil
}

// call reads what stands between the parentheses of a function.
func (p *parser) call(start int, name string) (expression, *diag.Error) {
	if name == "bin" {
		return p.bin()
	}
	var args []expression
	for !p.symbol(")") {
		e, err := p.either()
		if err != nil {
			return nil, err
		}
		if args = append(args, e); !p.symbol(",") && p.peek() != ')' {
			return nil, p.errorf(p.at, "a function has , between its arguments, and ends with )")
		}
	}
	f, most := functionOf(name)
	switch {
	case f == nil:
		return nil, p.errorf(start, "the function %s is not known here", name).WithHint("%s", diag.DidYouMean(name, functionNames()))
	case len(args) == 0 || most > 0 && len(args) > most:
		return nil, p.errorf(start, "%s has another number of arguments", name)
	}
	return func(r *row) (string, bool) { return f(r, args) }, nil
}

func functionNames() []string {
	return []string{"bin", "ispresent", "isempty", "isblank", "strlen", "tolower", "toupper", "trim", "concat", "coalesce", "strcontains"}
}

// functionOf is a function, and how many arguments it may have; 0 is any number.
func functionOf(name string) (f func(*row, []expression) (string, bool), most int) {
	one := func(of func(string) string) (func(*row, []expression) (string, bool), int) {
		return func(r *row, args []expression) (string, bool) { v, ok := args[0](r); return of(v), ok }, 1
	}
	switch name {
	case "ispresent":
		return func(r *row, args []expression) (string, bool) { _, ok := args[0](r); return truth(ok) }, 1
	case "isempty":
		return func(r *row, args []expression) (string, bool) { v, _ := args[0](r); return truth(v == "") }, 1
	case "isblank":
		return func(r *row, args []expression) (string, bool) {
			v, _ := args[0](r)
			return truth(strings.TrimSpace(v) == "")
		}, 1
	case "strlen":
		return one(func(v string) string { return strconv.Itoa(utf8.RuneCountInString(v)) })
	case "tolower":
		return one(strings.ToLower)
	case "toupper":
		return one(strings.ToUpper)
	case "trim":
		return one(strings.TrimSpace)
	case "concat":
		return func(r *row, args []expression) (text string, ok bool) {
			for _, a := range args {
				v, _ := a(r)
				text += v
			}
			return text, true
		}, 0
	case "coalesce":
		return func(r *row, args []expression) (string, bool) {
			for _, a := range args {
				if v, ok := a(r); ok {
					return v, true
				}
			}
			return "", false
		}, 0
	case "strcontains":
		return func(r *row, args []expression) (string, bool) {
			v, ok := args[0](r)
			if len(args) < 2 {
				return "0", true
			}
			part, also := args[1](r)
			return truth(ok && also && strings.Contains(v, part))
		}, 2
	}
	return nil, 0
}

const timeForm = "2006-01-02 15:04:05.000"

// Time writes a time as answers have it, to be compared as a text, and be rounded by bin.
func Time(t time.Time) string { return t.UTC().Format(timeForm) }

// bin reads bin(5m) and bin(@timestamp, 5m): the time, rounded down.
func (p *parser) bin() (expression, *diag.Error) {
	name := "@timestamp"
	if p.peek() == '@' {
		var err *diag.Error
		if name, err = p.name(); err != nil {
			return nil, err
		}
		p.symbol(",")
	}
	start := p.at
	text := p.run(isName)
	p.space()
	unit := strings.TrimLeft(text, "0123456789")
	n, wrong := strconv.Atoi(strings.TrimSuffix(text, unit))
	length := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[unit]
	if wrong != nil || n <= 0 || length == 0 || n > 1_000_000 {
		return nil, p.errorf(start, "%q is no length of time", text).WithHint("bin(30s), bin(5m), bin(1h), bin(1d)")
	}
	if !p.symbol(")") {
		return nil, p.errorf(p.at, "the parenthesis is not closed")
	}
	step := time.Duration(n) * length
	return func(r *row) (string, bool) {
		v, ok := r.field(name)
		at, err := time.Parse(timeForm, v)
		return Time(time.UnixMilli(at.UnixMilli() - mod(at.UnixMilli(), step.Milliseconds()))), ok && err == nil
	}, nil
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }
