package route

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
)

// path leads to a part of an event: $.detail.findings[0].Title, $['a b'], $.list[*].id.
type path []step

// step goes to a member, to an element, or to all of them.
type step struct {
	name  string
	index int
	kind  stepKind
}

type stepKind int

const (
	member stepKind = iota
	element
	every
)

func parsePath(text string) (path, error) {
	if len(text) > 256 {
		return nil, fault.Invalid.Errorf("path is longer than 256 characters")
	}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, fault.Invalid.Errorf("path %q does not begin with $", text)
	}
	var p path
	for rest != "" {
		s, after, err := parseStep(rest)
		if err != nil {
			return nil, fault.Invalid.Errorf("path %q at %q: %w", text, rest, err)
		}
		p, rest = append(p, s), after
	}
	return p, nil
}

func parseStep(text string) (s step, rest string, err error) {
	if name, ok := strings.CutPrefix(text, "."); ok {
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			end = len(name)
		}
		return parseName(name[:end], name[end:])
	}
	inner, ok := strings.CutPrefix(text, "[")
	if !ok {
		return s, "", fault.Invalid.Errorf("a step begins with . or [")
	}
	if quote := inner[:min(1, len(inner))]; quote == "'" || quote == `"` {
		name, after, ok := strings.Cut(inner[1:], quote+"]")
		if !ok {
			return s, "", fault.Invalid.Errorf("the name is not closed by %s]", quote)
		}
		return step{name: name}, after, nil
	}
	number, rest, ok := strings.Cut(inner, "]")
	if !ok {
		return s, "", fault.Invalid.Errorf("no closing ]")
	}
	if number == "*" {
		return step{kind: every}, rest, nil
	}
	i, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return s, "", fault.Invalid.Errorf("[%s] is neither a number, * nor a quoted name", number)
	}
	return step{kind: element, index: int(i)}, rest, nil
}

// parseName reads the name after a dot.
func parseName(name, rest string) (step, string, error) {
	switch {
	case name == "":
		return step{}, "", fault.Invalid.Errorf("a name is missing")
	case name == "*":
		return step{kind: every}, rest, nil
	}
	for _, r := range name {
		plain := r == '-' || r == '_' || r == '/' || r == ':' || r == '$' || r == '@' || r >= 0x80 ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !plain {
			return step{}, "", fault.Invalid.Errorf("%q cannot stand in a name; write ['…']", r)
		}
	}
	return step{name: name}, rest, nil
}

// find is what p leads to in value. A path with a * leads to the list of all
// it finds. Nothing found is nil.
func (p path) find(value jsontext.Value) jsontext.Value {
	found, many := []jsontext.Value{value}, false
	for _, s := range p {
		many = many || s.kind == every
		var next []jsontext.Value
		for _, v := range found {
			next = s.from(next, v)
		}
		found = next
	}
	switch {
	case len(found) == 0:
		return nil
	case !many:
		return found[0]
	}
	return jsontext.Value("[" + string(bytes.Join(asBytes(found), []byte(","))) + "]")
}

// from appends to found what the step leads to in value.
func (s step) from(found []jsontext.Value, value jsontext.Value) []jsontext.Value {
	d := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true))
	open, err := d.ReadToken()
	if err != nil {
		return found
	}
	for i := 0; ; i++ {
		if k := d.PeekKind(); k == '}' || k == ']' || k == jsontext.KindInvalid {
			return found
		}
		wanted := s.kind == every || s.kind == element && s.index == i && open.Kind() == '['
		if open.Kind() == '{' {
			name, err := d.ReadToken()
			if err != nil {
				return found
			}
			wanted = wanted || s.kind == member && name.String() == s.name
		}
		v, err := d.ReadValue()
		if err != nil {
			return found
		}
		if wanted {
			found = append(found, bytes.Clone(v))
			if s.kind != every {
				return found
			}
		}
	}
}

func asBytes(values []jsontext.Value) [][]byte {
	list := make([][]byte, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}
