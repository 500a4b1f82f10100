package iac

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
)

// value resolves v: nil where there is no value (AWS::NoValue).
func (s *stack) value(v *value) *value {
	switch {
	case v == nil:
		return nil
	case v.IsList():
		var all []*value
		for _, x := range v.Items() {
			if r := s.value(x); r != nil {
				all = append(all, r)
			}
		}
		return s.at(guard.NewList(all...), v)
	case !v.IsMap():
		return s.copied(v)
	}
	if v.Len() == 1 {
		for name, arg := range v.Members() {
			if key, _ := name.Text(); key == "Ref" || key == "Condition" || strings.HasPrefix(key, "Fn::") {
				r, ok := s.intrinsic(key, arg, v)
				if ok {
					return r
				}
			}
		}
	}
	var all []member
	for name, x := range s.unrolled(v).Members() {
		if r := s.value(x); r != nil {
			all = append(all, pair(s.copied(name), r))
		}
	}
	return s.at(guard.NewMap(all...), v)
}

// unknown is a value that cannot be known, where the intrinsic v stands.
func (s *stack) unknown(v *value, u guard.Unknown) *value {
	u.As = s.copied(v)
	return s.at(guard.NewUnknown(u), v)
}

// intrinsic evaluates one function; ok is false where it is none.
func (s *stack) intrinsic(name string, arg, v *value) (r *value, ok bool) {
	switch name {
	case "Ref":
		return s.ref(arg, v), true
	case "Condition":
		if n, ok := arg.Text(); ok && s.root.Get("Conditions").Get(n) != nil {
			return s.truth(s.condition(n))(s, v), true
		}
		return nil, false // an IAM statement's
	case "Fn::GetAtt":
		return s.attribute(arg, v), true
	case "Fn::Sub":
		return s.sub(arg, v), true
	case "Fn::Join":
		return s.join(arg, v), true
	case "Fn::Select":
		return s.choose(arg, v), true
	case "Fn::Split":
		return s.split(arg, v), true
	case "Fn::FindInMap":
		return s.find(arg, v), true
	case "Fn::If":
		return s.ifElse(arg, v), true
	case "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not":
		held, known, why := s.test(v)
		return s.truth(held, known, why)(s, v), true
	case "Fn::Base64":
		inner := s.value(arg)
		if inner == nil {
			return nil, true
		}
		return s.at(guard.NewMap(pair(s.at(text(name), v), inner)), v), true
	case "Fn::Length":
		list := s.value(arg)
		if list.IsList() && list.Why() == "" {
			return s.at(guard.NewInt(int64(list.Len())), v), true
		}
		return s.unknown(v, guard.Unknown{Why: "the length of a list is unknown", Present: true}), true
	case "Fn::ToJsonString":
		inner := s.value(arg)
		if inner == nil || inner.Why() != "" {
			return s.unknown(v, guard.Unknown{Why: "what is made JSON is unknown", Present: true}), true
		}
		return s.at(text(string(inner.JSON())), v), true
	case "Fn::GetAZs":
		return s.unknown(v, guard.Unknown{Why: "the availability zones are known when the stack is made", Present: true, Filled: true}), true
	case "Fn::Cidr":
		return s.unknown(v, guard.Unknown{Why: "Fn::Cidr is not computed", Present: true, Filled: true}), true
	case "Fn::ImportValue":
		return s.unknown(v, guard.Unknown{Why: "it is exported by another stack", Present: true, Plain: true}), true
	case "Fn::Transform", "Fn::GetStackOutput", "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll":
		return s.unknown(v, guard.Unknown{Why: name + " is known when the stack is made"}), true
	}
	return nil, false
}

// truth is a condition as a value.
func (s *stack) truth(held, known bool, why string) func(*stack, *value) *value {
	return func(s *stack, v *value) *value {
		if !known {
			return s.unknown(v, guard.Unknown{Why: why, Present: true})
		}
		return s.at(guard.NewBool(held), v)
	}
}

// ref is a parameter, a pseudo parameter or a resource.
func (s *stack) ref(arg, v *value) *value {
	name, ok := arg.Text()
	if !ok {
		return s.unknown(v, guard.Unknown{Why: "it is computed what it refers to"})
	}
	switch name {
	case "AWS::NoValue":
		return nil
	case "AWS::Partition":
		return s.at(text("aws"), v)
	case "AWS::URLSuffix":
		return s.at(text("amazonaws.com"), v)
	case "AWS::NotificationARNs":
		return s.unknown(v, guard.Unknown{Why: name + " is known when the stack is made"})
	}
	if strings.HasPrefix(name, "AWS::") {
		return s.unknown(v, guard.Unknown{Why: name + " is known when the stack is made", Present: true, Plain: true})
	}
	if p := s.root.Get("Parameters").Get(name); p != nil {
		return s.parameter(name, p, v)
	}
	if s.resources.Get(name) != nil {
		return s.reference(v, name, "Ref", nil)
	}
	return s.unknown(v, guard.Unknown{Why: "there is no " + name + " in the template", Present: true, Plain: true})
}

// reference is what another resource of the stack gives, when it is made.
func (s *stack) reference(v *value, id, function string, attribute *value) *value {
	why := "it is known when " + s.prefix + id + " is made"
	as := guard.NewMap(named("Ref", s.at(text(s.prefix+id), v)))
	if function == "Fn::GetAtt" {
		as = guard.NewMap(named(function, s.at(guard.NewList(s.at(text(s.prefix+id), v), s.copied(attribute)), v)))
	}
	u := guard.NewUnknown(guard.Unknown{Why: why, Present: true, Plain: true, As: s.at(as, v)})
	return s.at(u, v)
}

// parameter is what the parent gives, or the default.
func (s *stack) parameter(name string, p, v *value) *value {
	if g, ok := s.given[name]; ok {
		return g.Clone()
	}
	kind, _ := p.Get("Type").Text()
	list := kind == "CommaDelimitedList" || strings.HasPrefix(kind, "List<")
	plain := strings.HasPrefix(kind, "AWS::") && !strings.HasPrefix(kind, "AWS::SSM::Parameter::Value<")
	fallback := p.Get("Default")
	content, scalar := fallback.Scalar()
	switch {
	case strings.HasPrefix(kind, "AWS::SSM::Parameter::"):
		return s.unknown(v, guard.Unknown{Why: "parameter " + name + " is read from the parameter store", Present: true})
	case fallback == nil && list:
		return s.unknown(v, guard.Unknown{Why: "parameter " + name + " has no default", Present: true, Filled: strings.HasPrefix(kind, "List<AWS::")})
	case fallback == nil || !scalar && !fallback.IsList():
		return s.unknown(v, guard.Unknown{Why: "parameter " + name + " has no default", Present: true, Plain: plain})
	case list && scalar:
		var items []*value
		for item := range strings.SplitSeq(content, ",") {
			items = append(items, s.at(s.typed(strings.TrimSpace(item), kind), v))
		}
		if content == "" {
			items = nil
		}
		return s.at(guard.NewList(items...), v)
	case !scalar:
		return s.copied(fallback)
	}
	return s.at(s.typed(content, kind), v)
}

// typed is the text of a parameter as what it stands for: templates say true as a
// text, since parameters have no truth values.
func (s *stack) typed(content, kind string) *value {
	switch {
	case strings.EqualFold(content, "true"):
		return guard.NewBool(true)
	case strings.EqualFold(content, "false"):
		return guard.NewBool(false)
	case strings.Contains(kind, "Number"):
		if _, err := strconv.ParseFloat(content, 64); err == nil {
			return guard.NewNumber(content)
		}
	}
	return text(content)
}

// attribute is Fn::GetAtt, of a list or of a text Resource.Attribute.
func (s *stack) attribute(arg, v *value) *value {
	if t, ok := arg.Text(); ok {
		id, name, _ := strings.Cut(t, ".")
		arg = s.at(guard.NewList(s.at(text(id), arg), s.at(text(name), arg)), arg)
	}
	parts := arg.Items()
	if len(parts) < 2 {
		return s.unknown(v, guard.Unknown{Why: "Fn::GetAtt needs a resource and an attribute"})
	}
	id, _ := parts[0].Text()
	name, known := parts[1].Text()
	resource := s.resources.Get(id)
	if resource == nil || !known {
		return s.unknown(v, guard.Unknown{Why: "there is no " + id + " in the template", Present: true, Plain: true})
	}
	if output, ok := strings.CutPrefix(name, "Outputs."); ok {
		if o, ok := s.outputs[id][output]; ok {
			return o.Clone()
		}
	}
	if name == "CidrBlock" && !s.loops[id] {
		s.loops[id] = true
		defer delete(s.loops, id)
		if c := s.value(resource.Get("Properties").Get(name)); c != nil {
			return s.at(c, v)
		}
	}
	return s.reference(v, id, "Fn::GetAtt", parts[1])
}

// piece is a part of a text: known, or not.
type piece struct {
	text    string
	unknown *guard.Unknown
}

// pieces are what a value adds to a text; ok is false where it can be none.
func pieces(v *value) (all []piece, ok bool) {
	if t, ok := v.Scalar(); ok {
		return []piece{{text: t}}, true
	}
	u := v.Unknown()
	if u == nil {
		return nil, false
	}
	if u.Parts == nil {
		return []piece{{unknown: u}}, true
	}
	for i, p := range u.Parts {
		if i > 0 {
			all = append(all, piece{unknown: &guard.Unknown{Why: u.Why, Plain: u.Plain}})
		}
		all = append(all, piece{text: p})
	}
	return all, true
}

// whole is a text made of pieces, at the place of v.
func (s *stack) whole(all []piece, v *value) *value {
	r := wholeText(all, func() *value { return s.copied(v) })
	return s.at(r, v)
}

func wholeText(all []piece, as func() *value) *value {
	parts := []string{""}
	u := guard.Unknown{Present: true, Plain: true}
	for _, p := range all {
		if p.unknown == nil {
			parts[len(parts)-1] += p.text
			continue
		}
		parts = append(parts, "")
		u.Plain = u.Plain && p.unknown.Plain
		if u.Why == "" {
			u.Why = p.unknown.Why
		}
	}
	if len(parts) == 1 {
		return text(parts[0])
	}
	u.Parts, u.As = parts, as()
	return guard.NewUnknown(u)
}

// sub is Fn::Sub.
func (s *stack) sub(arg, v *value) *value {
	template, ok := arg.Text()
	var more *value
	if parts := arg.Items(); len(parts) == 2 {
		template, ok = parts[0].Text()
		more = parts[1]
	}
	if !ok {
		return s.unknown(v, guard.Unknown{Why: "the text of Fn::Sub is unknown", Present: true})
	}
	var all []piece
	for template != "" {
		before, rest, found := strings.Cut(template, "${")
		all = append(all, piece{text: before})
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			all = append(all, piece{text: "${" + rest})
			break
		}
		template = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			all = append(all, piece{text: "${" + literal + "}"})
			continue
		}
		got, ok := pieces(s.substitute(strings.TrimSpace(name), more, v))
		if !ok {
			got = []piece{{unknown: &guard.Unknown{Why: name + " is no text"}}}
		}
		all = append(all, got...)
	}
	return s.whole(all, v)
}

func (s *stack) substitute(name string, more, v *value) *value {
	if x := more.Get(name); x != nil {
		return s.value(x)
	}
	if strings.Contains(name, ".") {
		return s.attribute(s.at(text(name), v), v)
	}
	return s.ref(s.at(text(name), v), v)
}

// join is Fn::Join.
func (s *stack) join(arg, v *value) *value {
	parts := arg.Items()
	if len(parts) != 2 {
		return s.unknown(v, guard.Unknown{Why: "Fn::Join needs a separator and a list", Present: true})
	}
	by, _ := parts[0].Text()
	list := s.value(parts[1])
	if !list.IsList() {
		return s.unknown(v, guard.Unknown{Why: "what Fn::Join joins is unknown", Present: true})
	}
	var all []piece
	for i, x := range list.Items() {
		if i > 0 {
			all = append(all, piece{text: by})
		}
		got, ok := pieces(x)
		if !ok {
			got = []piece{{unknown: &guard.Unknown{Why: "an item of Fn::Join is no text"}}}
		}
		all = append(all, got...)
	}
	return s.whole(all, v)
}

// choose is Fn::Select.
func (s *stack) choose(arg, v *value) *value {
	parts := arg.Items()
	if len(parts) != 2 {
		return s.unknown(v, guard.Unknown{Why: "Fn::Select needs an index and a list", Present: true})
	}
	index, ok := s.value(parts[0]).Scalar()
	n, err := strconv.Atoi(index)
	list := s.value(parts[1])
	if ok && err == nil && list.IsList() && n >= 0 && n < list.Len() {
		return list.Items()[n].Clone()
	}
	why := "the list or the index of Fn::Select is unknown"
	if w := list.Why(); w != "" {
		why = w
	}
	return s.unknown(v, guard.Unknown{Why: why, Present: true})
}

// split is Fn::Split.
func (s *stack) split(arg, v *value) *value {
	parts := arg.Items()
	if len(parts) == 2 {
		by, _ := parts[0].Text()
		t, ok := s.value(parts[1]).Text()
		if ok && by != "" {
			var all []*value
			for x := range strings.SplitSeq(t, by) {
				all = append(all, s.at(text(x), v))
			}
			return s.at(guard.NewList(all...), v)
		}
	}
	return s.unknown(v, guard.Unknown{Why: "what Fn::Split splits is unknown", Present: true, Filled: true})
}

// find is Fn::FindInMap. Where the keys are unknown and all that the map has is
// the same, it is that.
func (s *stack) find(arg, v *value) *value {
	parts := arg.Items()
	if len(parts) < 3 {
		return s.unknown(v, guard.Unknown{Why: "Fn::FindInMap needs a map and two keys", Present: true})
	}
	var candidates []*value
	if name, ok := s.value(parts[0]).Text(); ok {
		candidates = []*value{s.root.Get("Mappings").Get(name)}
	}
	why := "the name of the mapping is unknown"
	for i, p := range parts[1:3] {
		key := s.value(p)
		name, known := key.Scalar()
		if !known && key.Why() != "" {
			why = key.Why()
		}
		var next []*value
		for _, c := range candidates {
			if known {
				if x := c.Get(name); x != nil {
					next = append(next, x)
				}
				continue
			}
			for _, x := range c.Members() {
				next = append(next, x)
			}
		}
		if candidates = next; known && len(next) == 0 {
			why = fmt.Sprintf("the mapping has no key %q (%d)", name, i+1)
		}
	}
	if len(candidates) == 0 && len(parts) == 4 {
		if d := parts[3].Get("DefaultValue"); d != nil {
			return s.value(d)
		}
	}
	if r := alike(candidates); r != nil {
		return s.at(s.copied(r), v)
	}
	return s.unknown(v, guard.Unknown{Why: why, Present: true})
}

// alike is the one value that all are, or nil.
func alike(all []*value) *value {
	for _, x := range all {
		if same, known := guard.Same(x, all[0]); !same || !known {
			return nil
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// ifElse is Fn::If. Where the condition is unknown and both branches are not the
// same, what comes of it is unknown too; where one branch is nothing, the other is there perhaps.
func (s *stack) ifElse(arg, v *value) *value {
	parts := arg.Items()
	if len(parts) != 3 {
		return s.unknown(v, guard.Unknown{Why: "Fn::If needs a condition and two values"})
	}
	name, _ := parts[0].Text()
	held, known, why := s.condition(name)
	switch {
	case known && held:
		return s.value(parts[1])
	case known:
		return s.value(parts[2])
	}
	a, b := s.value(parts[1]), s.value(parts[2])
	switch {
	case a == nil && b == nil:
		return nil
	case a == nil:
		return b.Perhaps(why)
	case b == nil:
		return a.Perhaps(why)
	}
	if r := alike([]*value{a, b}); r != nil {
		return r
	}
	return s.unknown(v, guard.Unknown{Why: why, Present: true})
}

// condition is whether a condition of the template holds, once.
func (s *stack) condition(name string) (held, known bool, why string) {
	c := s.conditions[name]
	if c == nil {
		c = &condition{}
		s.conditions[name] = c
	}
	switch {
	case c.open:
		return false, false, "condition " + name + " asks for itself"
	case !c.done:
		c.open = true
		if v := s.root.Get("Conditions").Get(name); v == nil {
			c.why = "there is no condition " + name
		} else {
			c.held, c.known, c.why = s.test(v)
		}
		c.open, c.done = false, true
		if c.why != "" && !strings.HasPrefix(c.why, "condition ") && !strings.HasPrefix(c.why, "there is no condition") {
			c.why = "condition " + name + " is unknown: " + c.why
		}
	}
	return c.held, c.known, c.why
}

// test evaluates a condition function.
func (s *stack) test(v *value) (held, known bool, why string) {
	if !v.IsMap() || v.Len() != 1 {
		if b, ok := v.Truth(); ok {
			return b, true, ""
		}
		return false, false, "a condition is no condition function"
	}
	for name, arg := range v.Members() {
		switch key, _ := name.Text(); key {
		case "Condition":
			n, _ := arg.Text()
			return s.condition(n)
		case "Fn::Equals":
			return s.equals(arg)
		case "Fn::Not":
			if parts := arg.Items(); len(parts) == 1 {
				held, known, why := s.test(parts[0])
				return !held, known, why
			}
		case "Fn::And":
			return s.all(arg, true)
		case "Fn::Or":
			held, known, why := s.all(arg, false)
			return !held, known, why
		}
	}
	return false, false, "a condition is not understood"
}

// all tells whether all of a list are want.
func (s *stack) all(arg *value, want bool) (held, known bool, why string) {
	known = true
	for _, x := range arg.Items() {
		h, k, w := s.test(x)
		if k && h != want {
			return false, true, ""
		}
		if !k {
			known, why = false, w
		}
	}
	return known, known, why
}

func (s *stack) equals(arg *value) (held, known bool, why string) {
	parts := arg.Items()
	if len(parts) != 2 {
		return false, false, "Fn::Equals needs two values"
	}
	a, b := s.value(parts[0]), s.value(parts[1])
	if a == nil || b == nil {
		return a == b, true, ""
	}
	x, okA := a.Scalar()
	y, okB := b.Scalar()
	if okA && okB { // true and 'true' are the same to CloudFormation
		return x == y || strings.EqualFold(x, y) && (strings.EqualFold(x, "true") || strings.EqualFold(x, "false")), true, ""
	}
	same, known := guard.Same(a, b)
	if !known {
		why = a.Why()
		if why == "" {
			why = b.Why()
		}
	}
	return same, known, why
}
