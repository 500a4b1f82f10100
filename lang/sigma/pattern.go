package sigma

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A test is passed by a value or not.
type test interface{ passes(*value) bool }

type (
	pattern struct {
		text   string   // where there are no wildcards
		where  string   // contains, startswith, endswith, or "" for the whole
		pieces []string // else: what lies between the stars; one stands for any one character
		cased  bool
		number float64 // what text is as a number
		isNum  bool
	}
	expr    struct{ *regexp.Regexp }
	network struct{ netip.Prefix }
	compare struct {
		how    string
		number float64
	}
)

func (p *pattern) passes(v *value) bool {
	text := v.folded(p.cased)
	if p.pieces != nil {
		return glob(p.pieces, text)
	}
	if literal(p.text, p.where, text) {
		return true
	}
	if !p.isNum || v.kind != number {
		return false
	}
	n, err := strconv.ParseFloat(v.text, 64)
	return err == nil && n == p.number
}

func literal(want, where, text string) bool {
	switch where {
	case "contains":
		return strings.Contains(text, want)
	case "startswith":
		return strings.HasPrefix(text, want)
	case "endswith":
		return strings.HasSuffix(text, want)
	}
	return text == want
}

func (x expr) passes(v *value) bool { return x.MatchString(v.text) }

func (n network) passes(v *value) bool {
	a, err := netip.ParseAddr(v.text)
	return err == nil && n.Contains(a.Unmap().WithZone(""))
}

func (c compare) passes(v *value) bool {
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		return false
	}
	switch c.how {
	case "lt":
		return n < c.number
	case "lte":
		return n <= c.number
	case "gt":
		return n > c.number
	}
	return n >= c.number
}

const maxPattern = 8 << 10 // bytes

// match reads one value of a search.
func (p parser) match(field string, mods *modifiers, n *yaml.Node) (expression, error) {
	if mods == nil {
		mods = &modifiers{}
	}
	if n.Kind != yaml.ScalarNode {
		return nil, p.errorf(n, "a value is expected here")
	}
	if len(n.Value) > maxPattern {
		return nil, p.errorf(n, "the value is longer than %d bytes", maxPattern)
	}
	if field == "" && mods.how != "" && mods.how != "re" {
		return nil, p.errorf(n, "modifier %s needs a field", mods.how)
	}
	if n.Tag == "!!null" {
		if !mods.plain() || field == "" {
			return nil, p.errorf(n, "null goes together with no modifier, and needs a field")
		}
		return &null{field: field}, nil
	}
	switch mods.how {
	case "exists":
		want, err := p.boolean(n, "exists")
		return &exists{field: field, want: want}, err
	case "fieldref":
		return &reference{field: field, other: n.Value, where: mods.where, cased: mods.cased}, nil
	case "":
		return p.patterns(field, mods, n)
	}
	t, err := p.test(mods, n)
	return &match{field: field, test: t}, err
}

func (p parser) test(mods *modifiers, n *yaml.Node) (test, error) {
	switch mods.how {
	case "re":
		flags := ""
		if mods.flags != "" {
			flags = "(?" + mods.flags + ")"
		}
		re, err := regexp.Compile(flags + n.Value)
		if err != nil {
			return nil, p.errorf(n, "%v", err).WithHint("looking around and back references are not supported: use filters")
		}
		return expr{re}, nil
	case "cidr":
		prefix, err := netip.ParsePrefix(n.Value)
		if err != nil {
			return nil, p.errorf(n, "%q is no network", n.Value).WithHint("such as 10.0.0.0/8 or fd00::/8")
		}
		return network{prefix.Masked()}, nil
	}
	number, err := strconv.ParseFloat(n.Value, 64)
	if err != nil {
		return nil, p.errorf(n, "%q is no number", n.Value)
	}
	return compare{mods.how, number}, nil
}

// patterns are the ways in which a value may be written: one, but for what is encoded or has dashes.
func (p parser) patterns(field string, mods *modifiers, n *yaml.Node) (expression, error) {
	where := mods.where
	if field == "" && where == "" {
		where = "contains"
	}
	texts := []string{n.Value}
	if mods.windash {
		var ok bool
		if texts, ok = dashes(n.Value); !ok {
			return nil, p.errorf(n, "more than %d dashes with windash", maxDashes)
		}
	}
	var list or
	for _, text := range texts {
		forms, escaped := []string{text}, true
		for _, encoding := range mods.encoding {
			forms, escaped = encodeAll(forms, encoding), false
		}
		for _, form := range forms {
			// What is base64 differs by case.
			list = append(list, &match{field: field, test: newPattern(form, where, mods.cased || !escaped, escaped)})
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

// newPattern reads a value with its wildcards and escapes: \*, \? and \\ stand for themselves.
func newPattern(text, where string, cased, escaped bool) *pattern {
	fold := strings.ToLower
	if cased {
		fold = func(s string) string { return s }
	}
	if !escaped {
		return &pattern{text: text, where: where, cased: cased}
	}
	var pieces []string
	var b strings.Builder
	piece, wild := "", false // what of the piece is folded already: the mark of one must not be
	flush := func() {
		piece += fold(b.String())
		b.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && strings.IndexByte(`*?\`, text[i+1]) >= 0:
			i++
			b.WriteByte(text[i])
		case c == '*':
			flush()
			pieces, piece, wild = append(pieces, piece), "", true
		case c == '?':
			flush()
			piece, wild = piece+one, true
		default:
			b.WriteByte(c)
		}
	}
	flush()
	pieces = append(pieces, piece)
	if !wild {
		p := &pattern{text: pieces[0], where: where, cased: cased}
		if n, err := strconv.ParseFloat(text, 64); err == nil && where == "" {
			p.number, p.isNum = n, true
		}
		return p
	}
	if where == "contains" || where == "endswith" {
		pieces = append([]string{""}, pieces...)
	}
	if where == "contains" || where == "startswith" {
		pieces = append(pieces, "")
	}
	return simplest(pieces, cased)
}

// simplest makes of "x*", "*x" and "*x*" what needs no search for pieces.
func simplest(pieces []string, cased bool) *pattern {
	var inner []string // without the empty ones in the middle, that "**" leaves
	for i, s := range pieces {
		if s != "" || i == 0 || i == len(pieces)-1 {
			inner = append(inner, s)
		}
	}
	p := &pattern{cased: cased}
	n := len(inner)
	switch {
	case strings.Contains(strings.Join(inner, ""), one):
		p.pieces = inner
	case n == 2 && inner[1] == "":
		p.text, p.where = inner[0], "startswith"
	case n == 2 && inner[0] == "":
		p.text, p.where = inner[1], "endswith"
	case n == 3 && inner[0] == "" && inner[2] == "":
		p.text, p.where = inner[1], "contains"
	default:
		p.pieces = inner
	}
	return p
}
