package shape

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// place is where a path of the table starts from: an item of a list and the
// item of the list around it, with the configuration item outermost.
type place struct {
	value any
	outer *place
	key   string // the name of the member, where the list is a map's members
}

// fill makes properties of a configuration item as the table says.
func fill(p *place, want any) map[string]any {
	m, _ := build(p, want).(map[string]any)
	if m == nil {
		return map[string]any{}
	}
	return m
}

// build is what one right-hand side of the table stands for, or nil.
func build(p *place, want any) any {
	switch want := want.(type) {
	case string:
		return p.find(want)
	case []any:
		return buildList(p, want)
	case map[string]any:
		return buildMap(p, want)
	}
	return nil
}

// buildList is the first of paths that is there, or lists one after the other.
func buildList(p *place, want []any) any {
	var all []any
	for _, x := range want {
		got := build(p, x)
		if got == nil {
			continue
		}
		if _, path := x.(string); path {
			return got
		}
		if list, ok := got.([]any); ok {
			all = append(all, list...)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

func buildMap(p *place, want map[string]any) any {
	if path, ok := want["each"].(string); ok {
		where, _ := want["where"].(map[string]any)
		return buildEach(p, path, where, want["make"])
	}
	if cases, ok := want["case"].([]any); ok {
		return buildCase(p, cases)
	}
	if path, ok := want["json"].(string); ok {
		return parseText(p.find(path))
	}
	if path, ok := want["first"].(string); ok {
		where, _ := want["where"].(map[string]any)
		list, _ := buildEach(p, path, where, want["make"]).([]any)
		if len(list) == 0 {
			return nil
		}
		return list[0]
	}
	if _, ok := want["tags"]; ok {
		return tagList(p.find("tags"))
	}
	m := map[string]any{}
	for name, x := range want {
		if got := build(p, x); got != nil {
			m[name] = got
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

func buildEach(p *place, path string, where map[string]any, want any) any {
	var all []any
	for _, item := range p.all(strings.Split(path, ".")) {
		if where != nil && !meets(item.value, where) {
			continue
		}
		if got := build(item, want); got != nil {
			all = append(all, got)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// buildCase is the value of the first case that an item of its list meets.
func buildCase(p *place, cases []any) any {
	for _, c := range cases {
		c, _ := c.(map[string]any)
		path, _ := c["any"].(string)
		where, _ := c["where"].(map[string]any)
		for _, item := range p.all(strings.Split(path, ".")) {
			if meets(item.value, where) {
				return c["is"]
			}
		}
	}
	return nil
}

func meets(v any, where map[string]any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return false
	}
	for name, want := range where {
		values, _ := want.([]any)
		if !slices.ContainsFunc(values, func(w any) bool { return w == m[name] }) {
			return false
		}
	}
	return true
}

// find is the value at a path: "." is the item itself, "^x" is x of the item around.
func (p *place) find(path string) any {
	if path == "@" {
		return p.key
	}
	if path == "." {
		if _, isMap := p.value.(map[string]any); isMap {
			return nil
		}
		return p.value
	}
	for strings.HasPrefix(path, "^") && p.outer != nil {
		p, path = p.outer, path[1:]
	}
	v := p.value
	for _, name := range strings.Split(path, ".") {
		if v = member(v, name); v == nil {
			return nil
		}
	}
	return v
}

// all goes down a path through every list on its way, and is the items of the
// last one, or what stands there if that is no list.
func (p *place) all(path []string) []*place {
	if len(path) > 0 && path[0] == "*" {
		return p.members(path[1:])
	}
	if list, ok := p.value.([]any); ok {
		var all []*place
		for _, x := range list {
			all = append(all, (&place{value: x, outer: p.outer}).all(path)...)
		}
		return all
	}
	if len(path) == 0 {
		return []*place{p}
	}
	next := member(p.value, path[0])
	if next == nil {
		return nil
	}
	if _, ok := next.([]any); ok {
		return (&place{value: next, outer: p}).all(path[1:])
	}
	return (&place{value: next, outer: p.outer}).all(path[1:])
}

// members goes on through the members of a map, in the order of their names.
func (p *place) members(path []string) []*place {
	m, _ := p.value.(map[string]any)
	var all []*place
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, (&place{value: m[name], outer: p, key: name}).all(path)...)
	}
	return all
}

// member is a member of a map, or of a text that holds one; of a|b the first that is there and not empty.
func member(v any, name string) any {
	if text, ok := v.(string); ok && strings.HasPrefix(text, "{") {
		v = parseText(text)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for n := range strings.SplitSeq(name, "|") {
		if list, ok := m[n].([]any); ok && len(list) == 0 {
			continue
		}
		if m[n] != nil {
			return m[n]
		}
	}
	return nil
}

// parseText reads a text that holds JSON, percent-encoded as IAM's policies are, or not.
func parseText(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	if strings.HasPrefix(text, "%") {
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
	}
	if parsed, ok := parse([]byte(text)); ok && parsed != nil {
		return parsed
	}
	return nil
}

func tagList(v any) any {
	tags, _ := v.(map[string]any)
	var names []string
	for name := range tags {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []any
	for _, name := range names {
		all = append(all, map[string]any{"Key": name, "Value": tags[name]})
	}
	if all == nil {
		return nil
	}
	return all
}

// parse reads JSON into maps, lists, texts and truth values; numbers stay as written.
func parse(text []byte) (v any, ok bool) {
	numbers := json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
		if d.PeekKind() != '0' {
			return errors.ErrUnsupported
		}
		n, err := d.ReadValue()
		*v = n.Clone()
		return err
	}))
	return v, json.Unmarshal(text, &v, numbers) == nil
}

// decode reads a configuration item, and the JSON texts within it.
func decode(original jsontext.Value) (map[string]any, bool) {
	v, ok := parse(original)
	m, isMap := v.(map[string]any)
	if !ok || !isMap {
		return nil, false
	}
	m["configuration"] = unwrap(m["configuration"])
	more, _ := m["supplementaryConfiguration"].(map[string]any)
	for name, x := range more {
		more[name] = unwrap(x)
	}
	return m, true
}

// unwrap reads a text that is JSON, up to twice: Config writes some values as a
// text within a text.
func unwrap(v any) any {
	for range 2 {
		text, ok := v.(string)
		if !ok {
			return v
		}
		inner, ok := parse([]byte(text))
		if !ok {
			return v
		}
		v = inner
	}
	return v
}
