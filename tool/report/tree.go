package report

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// number is a JSON number as it was written.
type number string

// node is a part of a report: a JSON value, an XML element or a row of CSV. It is
// read leniently, since tools write numbers as texts, texts as numbers, and one
// where others write many. An XML element is an object of its children; its
// attributes are members with an @, its text is #text.
type node struct{ v any }

// at is the member of a member; nothing where there is none.
func (n node) at(names ...string) node {
	for _, name := range names {
		switch v := n.v.(type) {
		case map[string]any:
			n = node{v[name]}
		case []any:
			if len(v) != 1 { // one where others write it without a list
				return node{}
			}
			n = node{v[0]}.at(name)
		default:
			return node{}
		}
	}
	return n
}

// is tells whether there is anything.
func (n node) is() bool { return n.v != nil }

// has tells whether there is such a member, even an empty one.
func (n node) has(name string) bool {
	m, ok := n.v.(map[string]any)
	if !ok {
		return false
	}
	_, ok = m[name]
	return ok
}

// text is a text, number or truth as text; of many the first.
func (n node) text(names ...string) string {
	switch v := n.at(names...).v.(type) {
	case string:
		return v
	case number:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case map[string]any:
		if t, ok := v["#text"].(string); ok {
			return t
		}
	case []any:
		if len(v) > 0 {
			return node{v[0]}.text()
		}
	}
	return ""
}

// first is the first of members that says something.
func (n node) first(names ...string) string {
	for _, name := range names {
		if t := n.text(name); strings.TrimSpace(t) != "" {
			return t
		}
	}
	return ""
}

// list is many: the elements of a list, or the one there is.
func (n node) list(names ...string) []node {
	switch v := n.at(names...).v.(type) {
	case nil:
		return nil
	case []any:
		all := make([]node, len(v))
		for i := range v {
			all[i] = node{v[i]}
		}
		return all
	default:
		return []node{{v}}
	}
}

// texts are the texts of many.
func (n node) texts(names ...string) (all []string) {
	for _, e := range n.list(names...) {
		if t := strings.TrimSpace(e.text()); t != "" {
			all = append(all, t)
		}
	}
	return all
}

// names are the names of an object's members, in order.
func (n node) names() []string {
	m, _ := n.v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// number is a number, also one written as text or as a range.
func (n node) number(names ...string) (float64, bool) {
	text := strings.TrimSpace(n.text(names...))
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		head, _, _ := strings.Cut(text, "-")
		f, err = strconv.ParseFloat(strings.TrimSpace(head), 64)
	}
	return f, err == nil && f == f && f < 1e15 && f > -1e15
}

// int is a number from 0 on; 0 where there is none.
func (n node) int(names ...string) int {
	f, ok := n.number(names...)
	if !ok || f < 0 || f > 1<<30 {
		return 0
	}
	return int(f)
}

// yes is a truth, also one written as text.
func (n node) yes(names ...string) bool {
	t := strings.ToLower(strings.TrimSpace(n.text(names...)))
	return t == "true" || t == "1" || t == "yes"
}

// or is the first text that says something.
func or(texts ...string) string {
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			return t
		}
	}
	return ""
}

// joined is what is said of parts, with sep between those that say something.
func joined(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" }), sep)
}

// anyOf is the first element that is wanted, else nothing.
func anyOf(list []node, want func(node) bool) node {
	if i := slices.IndexFunc(list, want); i >= 0 {
		return list[i]
	}
	return node{}
}
