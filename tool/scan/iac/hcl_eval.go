package iac

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// frame is what names mean where an expression stands: a module's own, and those of
// count, each and for around it.
type frame struct {
	m      *module
	names  map[string]*value // each, count, the variables of for
	parent *frame
	depth  int
}

func (f *frame) lookup(name string) *value {
	for x := f; x != nil; x = x.parent {
		if v, ok := x.names[name]; ok {
			return v
		}
	}
	return nil
}

func (f *frame) with(names map[string]*value) *frame {
	return &frame{m: f.m, names: names, parent: f, depth: f.depth}
}

// What the expressions of a root module may take at most.
const (
	maxExpressions = 5_000_000
	maxDeep        = 150   // expressions within each other, through locals and modules
	maxLoop        = 5_000 // items of a for or for_each
)

// at puts v where an expression begins.
func (f *frame) at(v *value, r hcl.Range) *value {
	return v.At(f.m.root.files.number(r.Filename), r.Start.Line, r.Start.Column)
}

func (f *frame) unknown(r hcl.Range, format string, a ...any) *value {
	return f.at(guard.NewUnknown(guard.Unknown{Why: fmt.Sprintf(format, a...)}), r)
}

// eval is the value of an expression, never nil. Null is a value.
func (f *frame) eval(e hclsyntax.Expression) *value {
	if f.m.root.steps++; f.m.root.steps > maxExpressions {
		return f.unknown(e.Range(), "the module takes more than %d steps", maxExpressions)
	}
	if f.depth > maxDeep {
		return f.unknown(e.Range(), "expressions refer to each other more than %d levels deep", maxDeep)
	}
	inner := *f
	inner.depth++
	v := inner.expression(e)
	if v.Line() == 0 {
		f.at(v, e.Range())
	}
	return v
}

func (f *frame) expression(e hclsyntax.Expression) *value {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return f.at(fromCty(e.Val), e.SrcRange)
	case *hclsyntax.ParenthesesExpr:
		return f.eval(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return f.eval(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return f.template(e)
	case *hclsyntax.TemplateJoinExpr:
		return f.joined(f.eval(e.Tuple), e.Range())
	case *hclsyntax.ObjectConsExpr:
		return f.object(e)
	case *hclsyntax.ObjectConsKeyExpr:
		if name := hcl.ExprAsKeyword(e.Wrapped); name != "" && !e.ForceNonLiteral {
			return f.at(text(name), e.Range())
		}
		return f.eval(e.Wrapped)
	case *hclsyntax.TupleConsExpr:
		items := make([]*value, 0, len(e.Exprs))
		for _, x := range e.Exprs {
			items = append(items, f.eval(x).Clone())
		}
		return f.at(guard.NewList(items...), e.SrcRange)
	case *hclsyntax.ScopeTraversalExpr:
		return f.at(f.traversal(e.Traversal, e.SrcRange), e.SrcRange)
	case *hclsyntax.RelativeTraversalExpr:
		return f.at(f.steps(f.eval(e.Source), e.Traversal, e.SrcRange), e.SrcRange)
	case *hclsyntax.IndexExpr:
		return f.at(f.index(f.eval(e.Collection), f.eval(e.Key), e.SrcRange), e.SrcRange)
	case *hclsyntax.ConditionalExpr:
		return f.conditional(e)
	case *hclsyntax.BinaryOpExpr:
		return f.at(f.binary(e), e.SrcRange)
	case *hclsyntax.UnaryOpExpr:
		return f.at(f.apply(e.Op.Impl.Call, e.SrcRange, f.eval(e.Val)), e.SrcRange)
	case *hclsyntax.FunctionCallExpr:
		return f.at(f.call(e), e.Range())
	case *hclsyntax.ForExpr:
		return f.loop(e)
	case *hclsyntax.SplatExpr:
		return f.splat(e)
	case *hclsyntax.AnonSymbolExpr:
		if v := f.lookup("\x00splat"); v != nil {
			return v.Clone()
		}
	}
	return f.unknown(e.Range(), "an expression that is not evaluated here")
}

// template is a text with expressions in it.
func (f *frame) template(e *hclsyntax.TemplateExpr) *value {
	if len(e.Parts) == 1 {
		if lit, ok := e.Parts[0].(*hclsyntax.LiteralValueExpr); ok {
			return f.at(fromCty(lit.Val), e.SrcRange)
		}
	}
	var all []piece
	for _, p := range e.Parts {
		v := f.eval(p)
		got, ok := pieces(v)
		switch {
		case v.IsNull():
			got = nil
		case !ok:
			got = []piece{{unknown: &guard.Unknown{Why: "a part of the text is no text"}}}
		}
		all = append(all, got...)
	}
	return f.at(wholeText(all, func() *value { return nil }), e.SrcRange)
}

// joined are the texts of a list, one after the other.
func (f *frame) joined(list *value, r hcl.Range) *value {
	if !list.IsList() {
		return f.unknown(r, "%s", reason(list, "a list is unknown"))
	}
	var all []piece
	for _, x := range list.Items() {
		got, ok := pieces(x)
		if !ok {
			got = []piece{{unknown: &guard.Unknown{Why: "a part of the text is no text"}}}
		}
		all = append(all, got...)
	}
	return wholeText(all, func() *value { return nil })
}

func reason(v *value, otherwise string) string {
	if w := v.Why(); w != "" {
		return w
	}
	return otherwise
}

func (f *frame) object(e *hclsyntax.ObjectConsExpr) *value {
	var m []member
	for _, item := range e.Items {
		key, ok := f.eval(item.KeyExpr).Scalar()
		if !ok {
			return f.unknown(e.SrcRange, "a name in the object is unknown")
		}
		m = append(m, pair(f.at(text(key), item.KeyExpr.Range()), f.eval(item.ValueExpr).Clone()))
	}
	return f.at(guard.NewMap(unique(m)...), e.SrcRange)
}

// unique leaves out members whose name comes again.
func unique(m []member) []member {
	last := map[string]int{}
	for i, x := range m {
		key, _ := x.Name.Text()
		last[key] = i
	}
	if len(last) == len(m) {
		return m
	}
	var all []member
	for i, x := range m {
		if key, _ := x.Name.Text(); last[key] == i {
			all = append(all, x)
		}
	}
	return all
}

func (f *frame) conditional(e *hclsyntax.ConditionalExpr) *value {
	c := f.eval(e.Condition)
	if b, ok := c.Truth(); ok {
		if b {
			return f.eval(e.TrueResult).Clone()
		}
		return f.eval(e.FalseResult).Clone()
	}
	a, b := f.eval(e.TrueResult), f.eval(e.FalseResult)
	why := reason(c, "a condition is unknown")
	switch {
	case a.IsNull() && b.IsNull():
		return a.Clone()
	case a.IsNull():
		return b.Clone().Perhaps(why)
	case b.IsNull():
		return a.Clone().Perhaps(why)
	}
	if r := alike([]*value{a, b}); r != nil {
		return r.Clone()
	}
	return f.at(guard.NewUnknown(guard.Unknown{Why: why, Present: true}), e.SrcRange)
}

func (f *frame) binary(e *hclsyntax.BinaryOpExpr) *value {
	a, b := f.eval(e.LHS), f.eval(e.RHS)
	x, okX := a.Truth()
	y, okY := b.Truth()
	switch e.Op {
	case hclsyntax.OpLogicalAnd:
		if okX && !x || okY && !y {
			return guard.NewBool(false)
		}
	case hclsyntax.OpLogicalOr:
		if okX && x || okY && y {
			return guard.NewBool(true)
		}
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		same, known := guard.Same(a, b)
		if s, ok := a.Scalar(); ok {
			if t, ok := b.Scalar(); ok {
				same, known = s == t, true
			}
		}
		if known {
			return guard.NewBool(same == (e.Op == hclsyntax.OpEqual))
		}
		return f.unknown(e.SrcRange, "%s", reason(a, reason(b, "a comparison is unknown")))
	}
	return f.apply(e.Op.Impl.Call, e.SrcRange, a, b)
}

// apply calls a function on values, which must be known.
func (f *frame) apply(call func([]cty.Value) (cty.Value, error), r hcl.Range, args ...*value) (result *value) {
	in := make([]cty.Value, len(args))
	for i, a := range args {
		if why := a.Why(); why != "" {
			return f.unknown(r, "%s", why)
		}
		in[i] = toCty(a)
	}
	defer func() {
		if p := recover(); p != nil { // cty panics where kinds do not fit
			result = f.unknown(r, "the expression cannot be evaluated")
		}
	}()
	out, err := call(in)
	if err != nil {
		return f.unknown(r, "the expression cannot be evaluated: %s", oneLine(err.Error()))
	}
	return f.at(fromCty(out), r)
}

// loop is for … in …: …
func (f *frame) loop(e *hclsyntax.ForExpr) *value {
	collection := f.eval(e.CollExpr)
	entries, ok := entriesOf(collection)
	if !ok || len(entries) > maxLoop {
		return f.unknown(e.SrcRange, "%s", reason(collection, "what the loop goes through is unknown"))
	}
	var items []*value
	var members []member
	for _, x := range entries {
		names := map[string]*value{e.ValVar: x.Value}
		if e.KeyVar != "" {
			names[e.KeyVar] = x.Name
		}
		inner := f.with(names)
		if e.CondExpr != nil {
			keep, known := inner.eval(e.CondExpr).Truth()
			if !known {
				return f.unknown(e.SrcRange, "a condition of the loop is unknown")
			}
			if !keep {
				continue
			}
		}
		v := inner.eval(e.ValExpr).Clone()
		if e.KeyExpr == nil {
			items = append(items, v)
			continue
		}
		key := inner.eval(e.KeyExpr)
		name, ok := key.Scalar()
		if !ok {
			return f.unknown(e.SrcRange, "a name in the loop is unknown")
		}
		members = append(members, pair(text(name).As(key), v))
	}
	if e.KeyExpr == nil {
		return f.at(guard.NewList(items...), e.SrcRange)
	}
	if e.Group {
		return f.at(grouped(members), e.SrcRange)
	}
	return f.at(guard.NewMap(unique(members)...), e.SrcRange)
}

func grouped(members []member) *value {
	var names []*value
	lists := map[string][]*value{}
	for _, m := range members {
		key, _ := m.Name.Text()
		if lists[key] == nil {
			names = append(names, m.Name)
		}
		lists[key] = append(lists[key], m.Value)
	}
	var all []member
	for _, n := range names {
		key, _ := n.Text()
		all = append(all, pair(n, guard.NewList(lists[key]...)))
	}
	return guard.NewMap(all...)
}

// entriesOf are the items of a list with their numbers, or the members of a map.
func entriesOf(v *value) (all []member, ok bool) {
	switch {
	case v.IsList():
		for i, x := range v.Items() {
			all = append(all, pair(guard.NewInt(int64(i)).As(x), x))
		}
		return all, true
	case v.IsMap():
		for name, x := range v.Members() {
			all = append(all, pair(name, x))
		}
		return all, true
	}
	return nil, v.IsNull()
}

// splat is list[*].name.
func (f *frame) splat(e *hclsyntax.SplatExpr) *value {
	source := f.eval(e.Source)
	var items []*value
	switch {
	case source.IsNull():
	case source.IsList():
		items = source.Items()
	case source.Unknown() != nil:
		v := f.with(map[string]*value{"\x00splat": source}).eval(e.Each)
		if v.Unknown() != nil && v.Unknown().Plain { // of each instance of a resource
			return f.at(guard.NewList(v.Clone()), e.SrcRange)
		}
		return f.unknown(e.SrcRange, "%s", reason(source, "a list is unknown"))
	default:
		items = []*value{source}
	}
	var all []*value
	for _, x := range items {
		all = append(all, f.with(map[string]*value{"\x00splat": x}).eval(e.Each).Clone())
	}
	return f.at(guard.NewList(all...), e.SrcRange)
}

// steps follows names and indexes from a value.
func (f *frame) steps(v *value, t hcl.Traversal, r hcl.Range) *value {
	for _, s := range t {
		switch s := s.(type) {
		case hcl.TraverseAttr:
			v = f.attribute(v, s.Name, r)
		case hcl.TraverseIndex:
			v = f.index(v, fromCty(s.Key), r)
		default:
			return f.unknown(r, "a splat is not evaluated here")
		}
	}
	return v.Clone()
}

func (f *frame) attribute(v *value, name string, r hcl.Range) *value {
	if u := v.Unknown(); u != nil {
		if id, ok := u.As.Get("Ref").Text(); ok && u.As.Len() == 1 {
			return f.m.attributeOf(id, name, nil)
		}
		return f.unknown(r, "%s", u.Why)
	}
	if x := v.Get(name); x != nil {
		return x
	}
	if v.IsList() && v.Len() == 1 { // a block is a list of one
		return f.attribute(v.Items()[0], name, r)
	}
	if v.IsMap() {
		return f.at(guard.NewNull(), r)
	}
	return f.unknown(r, "there is no %s", name)
}

func (f *frame) index(v, key *value, r hcl.Range) *value {
	k, ok := key.Scalar()
	switch {
	case v.Unknown() != nil:
		if id, ok2 := v.Unknown().As.Get("Ref").Text(); ok && ok2 && v.Unknown().As.Len() == 1 && f.m.isResource(id) {
			return reference(v, id+instanceKey(key), "")
		}
		return f.unknown(r, "%s", v.Unknown().Why)
	case !ok:
		return f.unknown(r, "%s", reason(key, "an index is unknown"))
	case v.IsList():
		n, err := strconv.Atoi(k)
		if err == nil && n >= 0 && n < v.Len() {
			return v.Items()[n].Clone()
		}
		return f.unknown(r, "there is no item %s", k)
	case v.IsMap():
		if x := v.Get(k); x != nil {
			return x.Clone()
		}
		return f.unknown(r, "there is no member %q", k)
	}
	return f.unknown(r, "it has no items")
}

// instanceKey is the index of an instance as an address has it: [0] or ["a"].
func instanceKey(key *value) string {
	if n, ok := key.Whole(); ok {
		return "[" + strconv.FormatInt(n, 10) + "]"
	}
	t, _ := key.Scalar()
	return "[" + strconv.Quote(t) + "]"
}

// reference is what a resource gives when it is made: its name or id, or an attribute.
func reference(at *value, id, attribute string) *value {
	var as *value
	if attribute == "" {
		as = guard.NewMap(named("Ref", text(id).As(at)))
	} else {
		as = guard.NewMap(named("Fn::GetAtt", guard.NewList(text(id).As(at), text(attribute).As(at)).As(at)))
	}
	return guard.NewUnknown(guard.Unknown{Why: "it is known when " + id + " is made", Present: true, Plain: true, As: as.As(at)}).As(at)
}

// toCty is a known value.
func toCty(v *value) cty.Value {
	switch {
	case v.IsNull():
		return cty.NullVal(cty.DynamicPseudoType)
	case v.IsList():
		var all []cty.Value
		for _, x := range v.Items() {
			all = append(all, toCty(x))
		}
		if len(all) == 0 {
			return cty.EmptyTupleVal
		}
		return cty.TupleVal(all)
	case v.IsMap():
		m := map[string]cty.Value{}
		for name, x := range v.Members() {
			key, _ := name.Text()
			m[key] = toCty(x)
		}
		if len(m) == 0 {
			return cty.EmptyObjectVal
		}
		return cty.ObjectVal(m)
	}
	if t, ok := v.Text(); ok {
		return cty.StringVal(t)
	}
	s, _ := v.Scalar()
	if b, ok := v.Truth(); ok {
		return cty.BoolVal(b)
	}
	n, err := cty.ParseNumberVal(s)
	if err != nil {
		return cty.StringVal(s)
	}
	return n
}

// fromCty is a value that the evaluation made.
func fromCty(v cty.Value) *value {
	v, _ = v.UnmarkDeep()
	switch {
	case !v.IsKnown():
		return guard.NewUnknown(guard.Unknown{Why: "it is known when it is made"})
	case v.IsNull():
		return guard.NewNull()
	case v.Type() == cty.String:
		return text(v.AsString())
	case v.Type() == cty.Bool:
		return guard.NewBool(v.True())
	case v.Type() == cty.Number:
		n := v.AsBigFloat()
		if n.IsInt() {
			return guard.NewNumber(n.Text('f', 0))
		}
		return guard.NewNumber(n.Text('g', 17))
	case v.Type().IsListType(), v.Type().IsTupleType(), v.Type().IsSetType():
		var all []*value
		for it := v.ElementIterator(); it.Next(); {
			_, x := it.Element()
			all = append(all, fromCty(x))
		}
		return guard.NewList(all...)
	case v.Type().IsMapType(), v.Type().IsObjectType():
		var all []member
		for it := v.ElementIterator(); it.Next(); {
			k, x := it.Element()
			all = append(all, pair(text(k.AsString()), fromCty(x)))
		}
		return guard.NewMap(all...)
	}
	if s, err := convert.Convert(v, cty.String); err == nil && s.IsKnown() && !s.IsNull() {
		return text(s.AsString())
	}
	return guard.NewUnknown(guard.Unknown{Why: "a value of an unknown kind"})
}

// placed puts a value that was made, and all within, where at is.
func placed(v, at *value) *value {
	v.As(at)
	for name, x := range v.Members() {
		name.As(at)
		placed(x, at)
	}
	for _, x := range v.Items() {
		placed(x, at)
	}
	return v
}

// bare is the address of a resource without the keys of its instances.
func bare(id string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case quoted && c == '\\':
			i++
			continue
		case c == '"':
			quoted = !quoted
			continue
		case quoted:
			continue
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}
