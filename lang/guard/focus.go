package guard

import (
	"slices"
	"sync"
	"time"
)

// Focus holds rules against one resource of a document: of Types they see that one
// alone, of all others every one. So a verdict is about the resource, and what it
// belongs to can still be looked up.
type Focus struct {
	Resource string   // its ID
	Types    []string // that the rules are about
	Rule     string   // the only rule to evaluate, with those that it asks for
}

// Resource is one of a document.
type Resource struct {
	ID   string
	Type string
	Name *Value // where it begins
	Body *Value
}

// index is the resources of a document by their types.
type index struct {
	resources *Value
	byType    map[string][]field
	untyped   bool     // one has no type that is a text
	several   sync.Map // resources of several types, by these
}

func (d *Document) indexed() *index {
	d.once.Do(func() {
		x := &index{byType: map[string][]field{}}
		d.index = x
		if d.root.kind != kindMap {
			return
		}
		x.resources = d.root.get("Resources")
		if x.resources == nil || x.resources.kind != kindMap {
			x.resources = nil
			return
		}
		for _, f := range x.resources.fields {
			if t := typeOf(f.value); t != "" {
				x.byType[t] = append(x.byType[t], f)
			} else {
				x.untyped = true
			}
		}
	})
	return d.index
}

func typeOf(v *Value) string {
	if v.kind != kindMap {
		return ""
	}
	if t := v.get("Type"); t != nil && t.kind == kindString {
		return t.text
	}
	return ""
}

// Resources are those of one of types, in the order of the types; all without one.
func (d *Document) Resources(types ...string) (all []Resource) {
	x := d.indexed()
	if x.resources == nil {
		return nil
	}
	if len(types) == 0 {
		for _, f := range x.resources.fields {
			all = append(all, Resource{f.key.text, typeOf(f.value), f.key, f.value})
		}
		return all
	}
	for _, t := range types {
		for _, f := range x.byType[t] {
			all = append(all, Resource{f.key.text, t, f.key, f.value})
		}
	}
	return all
}

// CheckResource is what the rule of f says about the resource of f.
func (r *Rules) CheckResource(doc *Document, f Focus, now time.Time) Verdict {
	e := r.evaluation(doc, now)
	e.focused(doc, f)
	rules := r.byName[f.Rule]
	if len(rules) == 0 {
		return Verdict{Rule: f.Rule}
	}
	return e.verdict(rules)
}

// focused makes the evaluation see only one resource of the types in focus.
func (e *evaluation) focused(doc *Document, f Focus) {
	x := doc.indexed()
	if x.resources == nil || f.Resource == "" {
		return
	}
	if v := x.resources.get(f.Resource); v != nil {
		e.focus = []field{{v.parent.key(f.Resource), v}}
		e.focusTypes, e.focusType = f.Types, typeOf(v)
	}
}

// key is the name of a member, at its place.
func (v *Value) key(name string) *Value {
	if v.byName != nil {
		return v.fields[v.byName[name]].key
	}
	for i := range v.fields {
		if v.fields[i].key.text == name {
			return v.fields[i].key
		}
	}
	return newString(name)
}

// members are those of a map that a query sees; of the document's resources
// without those of other types than want, where that is not nil.
func (e *evaluation) members(v *Value, want *typeSet) []field {
	x := e.index
	if x == nil || v != x.resources {
		return v.fields
	}
	switch {
	case x.untyped || want == nil && e.focus == nil:
		return e.seen(v.fields)
	case want == nil:
		if e.visible == nil {
			e.visible = e.seen(v.fields)
		}
		return e.visible
	case e.focus == nil:
		return x.of(want)
	}
	inFocus := 0
	for _, name := range want.names {
		inFocus += btoi(slices.Contains(e.focusTypes, name))
	}
	switch {
	case inFocus == 0:
		return x.of(want)
	case inFocus == len(want.names) && want.has(e.focusType):
		return e.focus
	case inFocus == len(want.names):
		return nil
	}
	return e.seen(x.of(want))
}

// of are the resources of types, in the order of the document.
func (x *index) of(types *typeSet) []field {
	if len(types.names) == 1 {
		return x.byType[types.names[0]]
	}
	if all, ok := x.several.Load(types.key); ok {
		return all.([]field)
	}
	var all []field
	for _, f := range x.resources.fields {
		if types.has(typeOf(f.value)) {
			all = append(all, f)
		}
	}
	x.several.Store(types.key, all)
	return all
}

// seen leaves out the resources that stand beside the one in focus.
func (e *evaluation) seen(fields []field) []field {
	if e.focus == nil {
		return fields
	}
	all := make([]field, 0, len(fields))
	for _, f := range fields {
		if f.value == e.focus[0].value || !slices.Contains(e.focusTypes, typeOf(f.value)) {
			all = append(all, f)
		}
	}
	return all
}

// Mentions are the types of resources that the rules select by name.
func (r *Rules) Mentions() (all []string) {
	add := func(t string) {
		if t != "" && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	c := &mentions{add: add}
	c.lets(r.lets)
	for _, x := range r.rules {
		c.rule(x)
	}
	for _, name := range sortedKeys(r.called) {
		c.rule(r.called[name])
	}
	return all
}

// mentions goes through a tree of rules.
type mentions struct{ add func(string) }

func (m *mentions) rule(x *rule) {
	m.lines(x.when)
	m.block(&x.block)
}

func (m *mentions) block(b *block) {
	m.lets(b.lets)
	m.lines(b.clauses)
}

func (m *mentions) lets(lets []let) {
	for i := range lets {
		m.operand(&lets[i].value)
	}
}

func (m *mentions) operand(o *operand) {
	switch {
	case o.query != nil:
		m.query(o.query)
	case o.call != nil:
		for i := range o.call.args {
			m.operand(&o.call.args[i])
		}
	}
}

func (m *mentions) query(q *query) {
	for i := range q.parts {
		if q.parts[i].want != nil {
			for _, name := range q.parts[i].want.names {
				m.add(name)
			}
		}
		m.lines(q.parts[i].filter)
	}
}

func (m *mentions) lines(lines [][]clause) {
	for _, line := range lines {
		for _, c := range line {
			switch c := c.(type) {
			case *compareClause:
				m.query(&c.query)
				m.operand(&c.with)
			case *callClause:
				for i := range c.args {
					m.operand(&c.args[i])
				}
			case *queryClause:
				m.query(&c.query)
				m.block(&c.block)
			case *whenClause:
				m.lines(c.when)
				m.block(&c.block)
			case *typeClause:
				m.add(c.typeName)
				m.lines(c.when)
				m.block(&c.block)
			}
		}
	}
}
