package sigma

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"go.yaml.in/yaml/v4"
)

// An expression holds for a record or does not. Those of a parsed rule name fields; bind gives them slots.
type expression interface {
	bind(*Set) expression
	holds(*Event) bool
}

type (
	and []expression
	or  []expression
	not struct{ expression }

	// match holds when one of a field's values passes the test.
	match struct {
		field string // "" for keywords
		slot  int
		test  test
	}
	null   match // there is no value
	exists struct {
		field string
		slot  int
		want  bool
	}
	reference struct { // a value of one field is, begins, ends with or holds one of the other's
		field, other string
		slot, from   int
		where        string
		cased        bool
	}
)

func (a and) holds(e *Event) bool {
	for _, x := range a {
		if !x.holds(e) {
			return false
		}
	}
	return true
}

func (o or) holds(e *Event) bool {
	for _, x := range o {
		if x.holds(e) {
			return true
		}
	}
	return false
}

func (n not) holds(e *Event) bool { return !n.expression.holds(e) }

func (m *match) holds(e *Event) bool {
	values := e.slots[m.slot]
	for i := range values {
		if values[i].kind > nothing && m.test.passes(&values[i]) {
			return true
		}
	}
	return false
}

func (n *null) holds(e *Event) bool {
	values := e.slots[n.slot]
	for i := range values {
		if values[i].kind == nothing {
			return true
		}
	}
	return len(values) == 0
}

func (x *exists) holds(e *Event) bool { return (len(e.slots[x.slot]) > 0) == x.want }

func (r *reference) holds(e *Event) bool {
	mine, others := e.slots[r.slot], e.slots[r.from]
	for i := range mine {
		for k := range others {
			if mine[i].kind > nothing && others[k].kind > nothing && literal(others[k].folded(r.cased), r.where, mine[i].folded(r.cased)) {
				return true
			}
		}
	}
	return false
}

func (a and) bind(s *Set) expression {
	bound := make(and, len(a))
	for i, x := range a {
		bound[i] = x.bind(s)
	}
	slices.SortStableFunc(bound, func(x, y expression) int { return cost(x) - cost(y) })
	return bound
}

// cost is about how long it takes to see whether x holds.
func cost(x expression) (n int) {
	switch x := x.(type) {
	case and:
		for _, y := range x {
			n += cost(y)
		}
	case or:
		for _, y := range x {
			n += cost(y)
		}
	case not:
		n = cost(x.expression)
	case *match:
		n = 1
		if _, slow := x.test.(expr); slow {
			n = 100
		}
		if x.field == "" {
			n *= 20
		}
	default:
		n = 1
	}
	return n
}

func (o or) bind(s *Set) expression {
	bound := make(or, len(o))
	for i, x := range o {
		bound[i] = x.bind(s)
	}
	return bound
}

func (n not) bind(s *Set) expression { return not{n.expression.bind(s)} }

func (m *match) bind(s *Set) expression {
	return &match{m.field, s.slot(m.field), m.test}
}

func (n *null) bind(s *Set) expression {
	return &null{field: n.field, slot: s.slot(n.field)}
}

func (x *exists) bind(s *Set) expression {
	return &exists{x.field, s.slot(x.field), x.want}
}

func (r *reference) bind(s *Set) expression {
	b := *r
	b.slot, b.from = s.slot(r.field), s.slot(r.other)
	return &b
}

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

const maxDashes = 3

// dashes is text with each dash that begins a word written in every way that Windows' programs take.
func dashes(text string) (all []string, ok bool) {
	all = []string{""}
	for i, count := 0, 0; i < len(text); i++ {
		word := i+1 < len(text) && isWord(text[i+1]) && (i == 0 || !isWord(text[i-1]))
		if (text[i] != '-' && text[i] != '/') || !word {
			for k := range all {
				all[k] += text[i : i+1]
			}
			continue
		}
		if count++; count > maxDashes {
			return nil, false
		}
		var more []string
		for _, s := range all {
			for _, d := range []string{"-", "/", "–", "—", "―"} {
				more = append(more, s+d)
			}
		}
		all = more
	}
	return all, true
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func encodeAll(texts []string, encoding string) (all []string) {
	for _, s := range texts {
		switch encoding {
		case "wide", "utf16le":
			all = append(all, utf16Text(s, binary.LittleEndian))
		case "utf16be":
			all = append(all, utf16Text(s, binary.BigEndian))
		case "base64":
			all = append(all, base64.StdEncoding.EncodeToString([]byte(s)))
		case "base64offset":
			all = append(all, atOffsets(s)...)
		}
	}
	return all
}

func utf16Text(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// atOffsets is what base64 makes of s behind 0, 1 and 2 other bytes, without the characters these have a part in.
func atOffsets(s string) (all []string) {
	begin, end := [...]int{0, 2, 3}, [...]int{0, 3, 2}
	for i := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte("  "[:i] + s))
		if e := len(text) - end[(len(s)+i)%3]; e > begin[i] {
			all = append(all, text[begin[i]:e])
		}
	}
	return all
}
