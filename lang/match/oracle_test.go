package match_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The oracle is the meaning of patterns said as plainly as possible: it
// decodes everything, tries every choice, and is slow.

// node is decoded JSON, repeated names and all.
type node struct {
	kind  jsontext.Kind
	text  string // of a text; of a number as it is spelt
	names []string
	items []node // of an array, or the members' values
}

// decode answers an error for what is not valid JSON or nested too deep.
func decode(text []byte) (node, error) {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	n, err := decodeValue(d)
	if err != nil {
		return n, err
	}
	if _, err := d.ReadToken(); err == nil || err.Error() != "EOF" {
		return n, fmt.Errorf("something follows")
	}
	return n, nil
}

func decodeValue(d *jsontext.Decoder) (n node, err error) {
	t, err := d.ReadToken()
	if err != nil {
		return n, err
	}
	if d.StackDepth() > 1000 {
		return n, fmt.Errorf("too deep")
	}
	n.kind = t.Kind()
	switch n.kind {
	case '"', '0':
		n.text = t.String()
	case '{', '[':
		for d.PeekKind() != '}' && d.PeekKind() != ']' {
			if n.kind == '{' {
				name, err := d.ReadToken()
				if err != nil {
					return n, err
				}
				n.names = append(n.names, name.String())
			}
			item, err := decodeValue(d)
			if err != nil {
				return n, err
			}
			n.items = append(n.items, item)
		}
		_, err = d.ReadToken()
	}
	return n, err
}

// fact is a leaf of an event: its path, and the element chosen of every array on the way.
type fact struct {
	path    string
	value   node
	choices map[int]int
}

func facts(n node, path string, choices map[int]int, arrays *int, all []fact) []fact {
	switch n.kind {
	case '{':
		for i, name := range n.names {
			all = facts(n.items[i], path+"."+name, choices, arrays, all)
		}
	case '[':
		*arrays++
		id := *arrays
		for i, item := range n.items {
			within := maps.Clone(choices)
			within[id] = i
			all = facts(item, path, within, arrays, all)
		}
	default:
		all = append(all, fact{path, n, choices})
	}
	return all
}

// wish is a clause: a path and what its list holds.
type wish struct {
	path string
	list []node
}

// alternatives are the lists of wishes, in the document's order, that a pattern's $or's leave.
func alternatives(n node, path string) [][]wish {
	all := [][]wish{nil}
	for i, name := range n.names {
		if slices.Contains(n.names[i+1:], name) {
			continue // a later one counts
		}
		var here [][]wish
		switch v := n.items[i]; {
		case name == "$or" && oracleOr(v):
			for _, alternative := range v.items {
				here = append(here, alternatives(alternative, path)...)
			}
		case v.kind == '{':
			here = alternatives(v, path+"."+name)
		default:
			here = [][]wish{{{path + "." + name, v.items}}}
		}
		var product [][]wish
		for _, before := range all {
			for _, after := range here {
				product = append(product, slices.Concat(before, after))
			}
		}
		all = product
	}
	return all
}

func oracleOr(n node) bool {
	words := strings.Fields("exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr = < <= > >= regex " +
		"not-wildcard not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range " +
		"ip-address-in-range ip-address-not-in-range")
	for _, item := range n.items {
		if item.kind != '{' || slices.ContainsFunc(item.names, func(s string) bool { return slices.Contains(words, s) }) {
			return false
		}
	}
	return n.kind == '[' && len(n.items) >= 2
}

// oracle tells whether a valid pattern matches an event that is an object.
// It gives up when there are too many choices to try.
func oracle(pattern, event node) (matches, gaveUp bool) {
	all := facts(event, "", map[int]int{}, new(int), nil)
	steps := 0
	for _, wishes := range alternatives(pattern, "") {
		last := map[string]wish{}
		for _, w := range wishes {
			last[w.path] = w
		}
		kept := slices.Collect(maps.Values(last))
		slices.SortFunc(kept, func(x, y wish) int { return strings.Compare(x.path, y.path) })
		if grant(kept, all, map[int]int{}, nil, &steps) {
			return true, false
		}
	}
	return false, steps > 200_000
}

// grant tries every fact for the first wish, and having none where it may.
func grant(wishes []wish, all []fact, choices map[int]int, absent []string, steps *int) bool {
	if *steps++; *steps > 200_000 {
		return false
	}
	if len(wishes) == 0 {
		return !slices.ContainsFunc(all, func(f fact) bool {
			return slices.Contains(absent, f.path) && consistent(choices, f.choices)
		})
	}
	w := wishes[0]
	for _, f := range all {
		if f.path == w.path && consistent(choices, f.choices) && slices.ContainsFunc(w.list, func(v node) bool { return accepts(v, f.value) }) {
			both := maps.Clone(choices)
			maps.Copy(both, f.choices)
			if grant(wishes[1:], all, both, absent, steps) {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.list, mayLack) && grant(wishes[1:], all, choices, append(slices.Clip(absent), w.path), steps)
}

func mayLack(v node) bool { return v.kind == '{' && v.names[0] == "exists" && v.items[0].kind == 'f' }

func consistent(x, y map[int]int) bool {
	for array, i := range x {
		if j, ok := y[array]; ok && i != j {
			return false
		}
	}
	return true
}

// accepts tells whether one entry of a list accepts a leaf.
func accepts(want, got node) bool {
	if want.kind != '{' {
		return same(want, got)
	}
	argument := want.items[0]
	texts := got.kind == '"' && argument.kind == '"'
	switch operator := want.names[0]; operator {
	case "exists":
		return argument.kind == 't'
	case "exactly":
		return texts && got.text == argument.text
	case "anything-but":
		return !excepts(argument, got)
	case "numeric":
		return got.kind == '0' && inRange(argument.items, rational(got.text))
	case "cidr":
		network, err := netip.ParsePrefix(argument.text)
		address, ok := oracleAddress(got)
		return err == nil && ok && network.Masked().Contains(address)
	case "prefix", "suffix":
		if argument.kind == '{' {
			return got.kind == '"' && endsFolded(operator, argument.items[0].text, got.text)
		}
		return texts && ends(operator, argument.text, got.text)
	case "equals-ignore-case":
		return texts && strings.EqualFold(argument.text, got.text)
	case "wildcard":
		return texts && oracleWildcard(argument.text).MatchString(got.text)
	}
	panic("unknown operator " + want.names[0])
}

// excepts tells whether anything-but leaves got out.
func excepts(argument, got node) bool {
	values, operator := []node{argument}, ""
	if argument.kind == '{' {
		operator, values = argument.names[0], argument.items
	}
	if values[0].kind == '[' {
		values = values[0].items
	}
	return slices.ContainsFunc(values, func(v node) bool {
		if operator != "" {
			v = node{kind: '{', names: []string{operator}, items: []node{v}}
		}
		return accepts(v, got)
	})
}

// same tells whether two scalars are equal.
func same(want, got node) bool {
	if want.kind != got.kind {
		return false
	}
	switch want.kind {
	case '"':
		x, xok := oracleAddress(want)
		y, yok := oracleAddress(got)
		return want.text == got.text || xok && yok && x == y
	case '0':
		return rational(want.text).Cmp(rational(got.text)) == 0
	}
	return true
}

func oracleAddress(n node) (netip.Addr, bool) {
	a, err := netip.ParseAddr(n.text)
	return a, n.kind == '"' && err == nil && a.Zone() == ""
}

func rational(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text + " is not a number")
	}
	return r
}

func inRange(limits []node, n *big.Rat) bool {
	for i := 0; i < len(limits); i += 2 {
		c := n.Cmp(rational(limits[i+1].text))
		if !map[string]bool{"=": c == 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[limits[i].text] {
			return false
		}
	}
	return true
}

func ends(operator, want, got string) bool {
	if operator == "prefix" {
		return strings.HasPrefix(got, want)
	}
	return strings.HasSuffix(got, want)
}

// endsFolded compares as many characters of got as want has.
func endsFolded(operator, want, got string) bool {
	n, runes := utf8.RuneCountInString(want), []rune(got)
	if len(runes) < n {
		return false
	}
	if operator == "prefix" {
		return strings.EqualFold(string(runes[:n]), want)
	}
	return strings.EqualFold(string(runes[len(runes)-n:]), want)
}

func oracleWildcard(text string) *regexp.Regexp {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*':
			b.WriteString(`(?s:.*)`)
			continue
		case '\\':
			i++
		}
		j := i + 1
		for j < len(text) && text[j] != '*' && text[j] != '\\' {
			j++
		}
		b.WriteString(regexp.QuoteMeta(text[i:j]))
		i = j - 1
	}
	return regexp.MustCompile(`\A` + b.String() + `\z`)
}
