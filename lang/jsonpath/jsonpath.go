// Package jsonpath selects parts of JSON documents by JSONPath, as CodePipeline's webhooks have it in their filters.
//
// There are $.name, ['name'], [0], [-1], [1:3], [*], .*, ..name, several in one pair of brackets, and filters:
// [?(@.name == 'x' && !(@.size > 3))], with ==, !=, <, <=, >, >= and =~ /regular expression/i. Functions there are none.
package jsonpath

import (
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/haechi-dev/haechi/word/fault"
)

// Limits of an expression, and of what one document is asked.
const (
	mostBytes   = 1000
	mostNested  = 20
	mostVisited = 1_000_000 // values
	mostFound   = 10_000
)

// Path is an expression that was understood.
type Path struct{ steps []step }

// step goes on from values to some of their members or elements.
type step struct {
	deep      bool // at any depth
	selectors []selector
}

// selector is one of what stands in a pair of brackets.
type selector struct {
	all    bool
	name   *string
	index  *int
	slice  *[3]*int // from, to and by
	filter condition
}

// Find gives what the path selects of a document as encoding/json reads it (maps, lists, strings, float64, bool, nil), in
// the document's order; of an object's members, in that of their names.
func (p *Path) Find(document any) ([]any, error) {
	w := walk{root: document}
	found := []any{document}
	for _, s := range p.steps {
		var next []any
		for _, value := range found {
			w.step(s, value, func(v any) { next = kept(next, v) })
			if len(next) > mostFound || w.visited > mostVisited {
				return nil, fault.Limit.Errorf("the path selects more than %d values, or looks at more than %d", mostFound, mostVisited)
			}
		}
		found = next
	}
	return found, nil
}

// kept is found with one more, as long as there are not too many.
func kept(found []any, one any) []any {
	if len(found) > mostFound {
		return found
	}
	return append(found, one)
}

// walk is one evaluation.
type walk struct {
	root    any
	visited int
}

// visits counts a value that is looked at, and tells whether that may go on.
func (w *walk) visits() bool {
	w.visited++
	return w.visited <= mostVisited
}

func (w *walk) step(s step, value any, give func(any)) {
	if !w.visits() {
		return
	}
	for _, one := range s.selectors {
		w.selects(one, value, give)
	}
	if s.deep {
		w.children(value, func(child any) { w.step(s, child, give) })
	}
}

// children calls each with the members or elements of a value.
func (w *walk) children(value any, each func(any)) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if !w.visits() {
				return
			}
			each(v[name])
		}
	case []any:
		for _, one := range v {
			if !w.visits() {
				return
			}
			each(one)
		}
	}
}

func (w *walk) selects(s selector, value any, give func(any)) {
	list, _ := value.([]any)
	switch {
	case s.all:
		w.children(value, give)
	case s.name != nil:
		if object, ok := value.(map[string]any); ok {
			if member, ok := object[*s.name]; ok {
				give(member)
			}
		}
	case s.index != nil:
		if i := fromEnd(*s.index, len(list)); i >= 0 && i < len(list) {
			give(list[i])
		}
	case s.slice != nil:
		w.cut(list, *s.slice, give)
	case s.filter != nil:
		w.children(value, func(child any) {
			if s.filter.holds(w, child) {
				give(child)
			}
		})
	}
}

func fromEnd(i, n int) int {
	if i < 0 {
		return i + n
	}
	return i
}

// cut gives the elements of a slice, whose step is positive.
func (w *walk) cut(list []any, s [3]*int, give func(any)) {
	from, to, by := 0, len(list), 1
	if s[0] != nil {
		from = min(max(fromEnd(*s[0], len(list)), 0), len(list))
	}
	if s[1] != nil {
		to = min(max(fromEnd(*s[1], len(list)), 0), len(list))
	}
	if s[2] != nil {
		by = *s[2]
	}
	for i := from; i < to && w.visits(); i += by {
		give(list[i])
	}
}

// condition is a filter.
type condition interface{ holds(w *walk, value any) bool }

type (
	not    struct{ of condition }
	both   struct{ a, b condition }
	either struct{ a, b condition }
	// compare holds an operand against another; without an operator, it asks whether there is one.
	compare struct {
		left, right operand
		operator    string
		expression  *regexp.Regexp
	}
	// operand is a path from the value (@) or the document ($), or a literal.
	operand struct {
		path    *Path
		root    bool
		literal any
	}
)

func (c not) holds(w *walk, v any) bool    { return !c.of.holds(w, v) }
func (c both) holds(w *walk, v any) bool   { return c.a.holds(w, v) && c.b.holds(w, v) }
func (c either) holds(w *walk, v any) bool { return c.a.holds(w, v) || c.b.holds(w, v) }

// value is the operand's, if there is just one.
func (o operand) value(w *walk, v any) (any, bool) {
	if o.path == nil {
		return o.literal, true
	}
	if o.root {
		v = w.root
	}
	found := []any{v}
	for _, s := range o.path.steps {
		var next []any
		for _, one := range found {
			w.step(s, one, func(v any) { next = kept(next, v) })
			if len(next) > mostFound {
				return nil, false
			}
		}
		found = next
	}
	if len(found) != 1 {
		return nil, false
	}
	return found[0], true
}

func (c compare) holds(w *walk, v any) bool {
	left, ok := c.left.value(w, v)
	if c.operator == "" {
		return ok
	}
	if c.operator == "=~" {
		text, isText := left.(string)
		return ok && isText && c.expression.MatchString(text)
	}
	right, there := c.right.value(w, v)
	if !ok || !there {
		return c.operator == "!=" && ok != there
	}
	order, comparable := ordered(left, right)
	switch c.operator {
	case "==":
		return comparable && order == 0
	case "!=":
		return !comparable || order != 0
	case "<":
		return comparable && order < 0
	case "<=":
		return comparable && order <= 0
	case ">":
		return comparable && order > 0
	}
	return comparable && order >= 0
}

// ordered compares two values of one kind; objects and lists equal nothing.
func ordered(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return cmp.Compare(a, b), ok
	case float64:
		b, ok := b.(float64)
		return cmp.Compare(a, b), ok
	case bool:
		b, ok := b.(bool)
		if a == b {
			return 0, ok
		}
		return 2, ok
	case nil:
		return 0, b == nil
	}
	return 0, false
}

// Text is what a value that was found is as text; ok is false for objects and lists.
func Text(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatInt(int64(v), 10), true
		}
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "null", true
	}
	return "", false
}
