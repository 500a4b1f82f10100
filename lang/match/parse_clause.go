package match

import (
	"net/netip"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// operators are the keys of a match expression.
func operators() []string {
	return []string{"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists", "exactly"}
}

// clauseParser reads one clause; it knows its path, for the errors.
type clauseParser struct {
	source
	path string
}

// clause reads the list of values that a field may have.
func (s source) clause(t tree, path string) (*clause, error) {
	p := clauseParser{s, shown(path)}
	if len(t.items) == 0 {
		return nil, p.errorf(t.at, "%s has an empty list", p.path).WithHint(`write [{"exists": true}] to accept any value`)
	}
	c := &clause{path: path, from: t.at, to: t.end}
	list := make([]test, 0, len(t.items))
	for _, v := range t.items {
		x, err := p.value(v)
		if err != nil {
			return nil, err
		}
		if x.op == opAbsent {
			c.lacks = true
		} else {
			c.takes = true
		}
		list = append(list, x)
	}
	c.tests = newTests(list)
	return c, nil
}

// value reads one entry of the list.
func (p clauseParser) value(t tree) (test, error) {
	switch t.kind {
	case '{':
		return p.expression(t)
	case '[':
		return test{}, p.errorf(t.at, "%s has a list within its list", p.path).WithHint("put its values into the outer list")
	}
	return plain(t), nil
}

// plain is the test for a text, number or literal itself.
func plain(t tree) test {
	switch t.kind {
	case '"':
		if a, ok := address([]byte(t.text)); ok && a.Is6() {
			return test{op: opAddress, text: t.text, arg: &argument{network: netip.PrefixFrom(a, 128)}}
		}
		return test{op: opText, text: t.text}
	case '0':
		return test{op: opNumber, text: t.text, arg: &argument{low: exactly(t.text)}}
	case 't':
		return test{op: opTrue}
	case 'f':
		return test{op: opFalse}
	}
	return test{op: opNull}
}

// expression reads {"operator": argument}.
func (p clauseParser) expression(t tree) (test, error) {
	switch {
	case len(t.members) == 0:
		return test{}, p.errorf(t.at, "%s has an empty match expression", p.path).WithHint(`write one operator, such as {"prefix": "x"}`)
	case len(t.members) > 1:
		return test{}, p.errorf(t.members[1].at, "%s has a match expression with %d operators, and may have one", p.path, len(t.members)).
			WithHint("several in one list mean that one of them suffices: [{…}, {…}]")
	}
	m := t.members[0]
	switch m.name {
	case "exactly":
		return p.text(m, opText)
	case "equals-ignore-case":
		return p.text(m, opFoldText)
	case "prefix":
		return p.folded(m, opPrefix, opFoldPrefix)
	case "suffix":
		return p.folded(m, opSuffix, opFoldSuffix)
	case "wildcard":
		return p.text(m, opWildcard)
	case "anything-but":
		return p.anythingBut(m)
	case "numeric":
		return p.numeric(m)
	case "cidr":
		return p.cidr(m)
	case "exists":
		return p.exists(m)
	}
	return test{}, p.unknown(m)
}

func (p clauseParser) unknown(m member) error {
	err := p.errorf(m.at, "%s has the unknown operator %q", p.path, m.name)
	if p.path == "$or" || strings.HasSuffix(p.path, ".$or") {
		return err.WithHint("$or takes a list of two or more objects, and none of their fields may be named like an operator")
	}
	if near := diag.DidYouMean(m.name, operators()); near != "" {
		return err.WithHint("%s", near)
	}
	return err.WithHint("the operators are %s", strings.Join(operators(), ", "))
}

// text reads the argument of an operator that takes a text.
func (p clauseParser) text(m member, o op) (test, error) {
	if m.value.kind != '"' {
		return test{}, p.errorf(m.value.at, "%s: %q takes a text", p.path, m.name)
	}
	return p.textTest(m.name, m.value, o)
}

func (p clauseParser) textTest(name string, t tree, o op) (test, error) {
	x := test{op: o, text: t.text}
	switch o {
	case opFoldText, opFoldPrefix, opFoldSuffix:
		x.text = string(appendFold(nil, []byte(t.text)))
	case opWildcard:
		pieces, wrong, hint := wildcard(t.text)
		if wrong != "" {
			return test{}, p.errorf(t.at, "%s: the %s %s has %s", p.path, name, p.source[t.at:t.end], wrong).WithHint("%s", hint)
		}
		x.arg = &argument{pieces: pieces}
	}
	return x, nil
}

// folded reads the argument of prefix or suffix, which may ask to ignore case.
func (p clauseParser) folded(m member, o, ignoringCase op) (test, error) {
	if m.value.kind != '{' {
		return p.text(m, o)
	}
	if inner := m.value.members; len(inner) == 1 && inner[0].name == "equals-ignore-case" {
		return p.text(inner[0], ignoringCase)
	}
	return test{}, p.errorf(m.value.at, "%s: %q takes a text or {\"equals-ignore-case\": text}", p.path, m.name)
}

func (p clauseParser) exists(m member) (test, error) {
	switch m.value.kind {
	case 't':
		return test{op: opExists}, nil
	case 'f':
		return test{op: opAbsent}, nil
	}
	return test{}, p.errorf(m.value.at, "%s: \"exists\" takes true or false", p.path)
}

func (p clauseParser) cidr(m member) (test, error) {
	if m.value.kind != '"' {
		return test{}, p.errorf(m.value.at, "%s: \"cidr\" takes a text", p.path)
	}
	n, err := netip.ParsePrefix(m.value.text)
	if err != nil {
		e := p.errorf(m.value.at, "%s: %q is not an address block", p.path, m.value.text)
		if a, ok := address([]byte(m.value.text)); ok {
			return test{}, e.WithHint("write %s/%d for this address alone", a, a.BitLen())
		}
		return test{}, e.WithHint("such as 10.0.0.0/24 or 2001:db8::/32")
	}
	return test{op: opNetwork, text: m.value.text, arg: &argument{network: n.Masked()}}, nil
}

// anythingBut reads one value or a list of values that are not wanted.
func (p clauseParser) anythingBut(m member) (test, error) {
	switch m.value.kind {
	case '{':
		return p.anythingButLike(m.value)
	case '[':
		return p.anythingButOf(m.value, func(t tree) (test, error) { return plain(t), nil }, m.value.items)
	}
	return p.anythingButOf(m.value, func(t tree) (test, error) { return plain(t), nil }, []tree{m.value})
}

// anythingButOf wants all texts or all numbers.
func (p clauseParser) anythingButOf(t tree, read func(tree) (test, error), values []tree) (test, error) {
	if len(values) == 0 {
		return test{}, p.errorf(t.at, "%s: \"anything-but\" has an empty list", p.path)
	}
	list := make([]test, 0, len(values))
	for _, v := range values {
		if v.kind != '"' && v.kind != '0' || v.kind != values[0].kind {
			return test{}, p.errorf(v.at, "%s: \"anything-but\" takes texts only or numbers only, and here is %s", p.path, p.source[v.at:v.end]).
				WithHint("use true, false or null in the list of values itself, to name what is wanted")
		}
		but, err := read(v)
		if err != nil {
			return test{}, err
		}
		list = append(list, but)
	}
	of := newTests(list)
	return test{op: opAnythingBut, of: &of}, nil
}

// anythingButLike reads {"prefix": …} and its kin below anything-but.
func (p clauseParser) anythingButLike(t tree) (test, error) {
	if len(t.members) != 1 {
		return test{}, p.errorf(t.at, "%s: \"anything-but\" takes one operator, and here are %d", p.path, len(t.members))
	}
	m := t.members[0]
	o, ok := map[string]op{"prefix": opPrefix, "suffix": opSuffix, "equals-ignore-case": opFoldText, "wildcard": opWildcard}[m.name]
	if !ok {
		return test{}, p.errorf(m.at, "%s: \"anything-but\" does not take %q", p.path, m.name).
			WithHint("it takes values, or one of prefix, suffix, equals-ignore-case, wildcard")
	}
	values := []tree{m.value}
	if m.value.kind == '[' {
		values = m.value.items
	}
	return p.anythingButOf(m.value, func(v tree) (test, error) {
		switch {
		case v.kind != '"':
			return test{}, p.errorf(v.at, "%s: %q takes a text", p.path, m.name)
		case v.text == "" && (o == opPrefix || o == opSuffix):
			return test{}, p.errorf(v.at, "%s: \"anything-but\" of an empty %s matches nothing", p.path, m.name)
		}
		return p.textTest(m.name, v, o)
	}, values)
}

// numeric reads [op, n] or [lower, n, upper, m].
func (p clauseParser) numeric(m member) (test, error) {
	items := m.value.items
	wrong := p.errorf(m.value.at, "%s: \"numeric\" takes [\"<\", 5], or both ends of a range with the lower one first: [\">=\", 0, \"<\", 5]", p.path)
	if m.value.kind != '[' || len(items) != 2 && len(items) != 4 {
		return test{}, wrong
	}
	r := &argument{}
	for i := 0; i < len(items); i += 2 {
		if items[i].kind != '"' || items[i+1].kind != '0' {
			return test{}, wrong
		}
		n := exactly(items[i+1].text)
		switch sign := items[i].text; {
		case sign == "=" && len(items) == 2:
			r.bounds, r.low, r.high = lowEnd|lowClosed|highEnd|highClosed, n, n
		case (sign == ">" || sign == ">=") && i == 0:
			r.low, r.bounds = n, r.bounds|lowEnd
			if sign == ">=" {
				r.bounds |= lowClosed
			}
		case (sign == "<" || sign == "<=") && i == len(items)-2:
			r.high, r.bounds = n, r.bounds|highEnd
			if sign == "<=" {
				r.bounds |= highClosed
			}
		default:
			return test{}, p.errorf(items[i].at, "%s: \"numeric\" does not take %q here", p.path, sign).
				WithHint("one of =, >, >=, <, <=; of a range the lower end comes first, with > or >=, then the upper, with < or <=")
		}
	}
	if len(items) == 4 && r.low.compare(r.high) >= 0 {
		return test{}, p.errorf(items[1].at, "%s: the lower end %s of \"numeric\" is not below the upper end %s", p.path, items[1].text, items[3].text)
	}
	return test{op: opRange, arg: r}, nil
}
