package iac

import (
	"fmt"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// traversal is what a name with what follows it stands for.
func (f *frame) traversal(t hcl.Traversal, r hcl.Range) *value {
	first := t.RootName()
	if v := f.lookup(first); v != nil {
		return f.steps(v, t[1:], r)
	}
	name := ""
	if len(t) > 1 {
		if a, ok := t[1].(hcl.TraverseAttr); ok {
			name = a.Name
		}
	}
	if len(t) < 2 {
		return f.unknown(r, "%s as a whole is not evaluated here", first)
	}
	switch first {
	case "var":
		return f.steps(f.m.variable(name, r), t[2:], r)
	case "local":
		return f.steps(f.m.local(name, r), t[2:], r)
	case "path":
		return f.m.path(name)
	case "terraform":
		if name == "workspace" {
			return text("default")
		}
		return f.unknown(r, "terraform.%s is unknown", name)
	case "each", "count", "self":
		return f.unknown(r, "there is no %s here", first)
	case "data":
		return f.data(t, r)
	case "module":
		return f.moduleOutput(t, r)
	}
	if name == "" {
		return f.unknown(r, "%s is not known", first)
	}
	return f.resourceAttribute(first, name, t[2:], r)
}

// variable is what the caller gives, a file of variables, or the default.
func (m *module) variable(name string, r hcl.Range) *value {
	f := m.frame()
	if g, ok := m.given[name]; ok && !g.IsNull() {
		return g
	}
	return m.once(m.variables, name, r, "var."+name, func() *value {
		if e, ok := m.root.overrides[name]; ok && m.prefix == "" {
			return f.eval(e)
		}
		b := m.text.variables[name]
		if b == nil {
			return f.unknown(r, "there is no variable %s", name)
		}
		if a := b.Body.Attributes["default"]; a != nil {
			return f.eval(a.Expr)
		}
		if _, ok := m.given[name]; ok {
			return guard.NewNull()
		}
		return f.at(guard.NewUnknown(guard.Unknown{Why: "variable " + name + " has no default", Present: true, Plain: isString(b) && strings.HasSuffix(name, "_id")}), r)
	})
}

// isString tells whether a variable is said to be a text.
func isString(b *hclsyntax.Block) bool {
	a := b.Body.Attributes["type"]
	return a != nil && hcl.ExprAsKeyword(a.Expr) == "string"
}

func (m *module) local(name string, r hcl.Range) *value {
	f := m.frame()
	a := m.text.locals[name]
	if a == nil {
		return f.unknown(r, "there is no local %s", name)
	}
	return m.once(m.locals, name, a.SrcRange, "local."+name, func() *value { return f.eval(a.Expr) })
}

// once evaluates a name, and tells of those that are defined by themselves.
func (m *module) once(memos map[string]*memo, name string, r hcl.Range, what string, make func() *value) *value {
	x := memos[name]
	if x == nil {
		x = &memo{open: true}
		memos[name] = x
		x.v = make()
		x.open = false
	}
	if x.open {
		m.root.unread = append(m.root.unread, diag.Place{File: r.Filename, Line: r.Start.Line, Column: r.Start.Column, Why: what + " is defined by itself"})
		return m.frame().unknown(r, "%s is defined by itself", what)
	}
	return x.v
}

func (m *module) path(name string) *value {
	switch name {
	case "module":
		return text(m.text.dir)
	case "root":
		return text(m.root.dir)
	}
	return text(".")
}

// moduleOutput is module.name.output, of one instance or of each.
func (f *frame) moduleOutput(t hcl.Traversal, r hcl.Range) *value {
	if len(t) < 3 {
		return f.unknown(r, "a module as a whole is not evaluated here")
	}
	of, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		return f.unknown(r, "a module as a whole is not evaluated here")
	}
	name := of.Name
	var block *hclsyntax.Block
	for _, b := range f.m.text.blocks {
		if b.Type == "module" && b.Labels[0] == name {
			block = b
		}
	}
	if block == nil {
		return f.unknown(r, "there is no module %s", name)
	}
	rest := t[2:]
	key := ""
	if i, ok := rest[0].(hcl.TraverseIndex); ok {
		key, rest = instanceKey(fromCty(i.Key)), rest[1:]
	}
	child := f.m.childrenOf(block)[key]
	if child == nil || len(rest) == 0 {
		return f.at(guard.NewUnknown(guard.Unknown{Why: "module " + name + " is not known here", Present: true}), r)
	}
	output, ok := rest[0].(hcl.TraverseAttr)
	if !ok {
		return f.unknown(r, "an output of module %s is unknown", name)
	}
	b := child.text.outputs[output.Name]
	if b == nil || b.Body.Attributes["value"] == nil {
		return f.unknown(r, "module %s has no output %s", name, output.Name)
	}
	v := child.once(child.calls, output.Name, r, "output "+output.Name, func() *value {
		return child.frame().eval(b.Body.Attributes["value"].Expr)
	})
	return f.steps(v, rest[1:], r)
}

// isResource tells whether an address is that of a resource of the module.
func (m *module) isResource(id string) bool {
	return m.resources[strings.TrimPrefix(bare(id), bare(m.prefix))] != nil
}

// resourceAttribute is an attribute of another resource: an argument that is
// written, or a reference.
func (f *frame) resourceAttribute(kind, name string, rest hcl.Traversal, r hcl.Range) *value {
	id := f.m.prefix + kind + "." + name
	b := f.m.resources[kind+"."+name]
	at := f.at(guard.NewNull(), r)
	if b == nil {
		return f.unknown(r, "there is no %s.%s", kind, name)
	}
	var own *frame
	if len(rest) > 0 {
		switch s := rest[0].(type) {
		case hcl.TraverseIndex:
			id, rest = id+instanceKey(fromCty(s.Key)), rest[1:]
		case hcl.TraverseSplat:
			return f.unknown(r, "a splat is not evaluated here")
		}
	}
	if b.Body.Attributes["count"] == nil && b.Body.Attributes["for_each"] == nil {
		own = f.m.frame()
	}
	if len(rest) == 0 {
		return reference(at, id, "")
	}
	attribute, ok := rest[0].(hcl.TraverseAttr)
	if !ok {
		return reference(at, id, "")
	}
	if own != nil {
		own.depth = f.depth
	}
	v := f.m.attributeOf(id, attribute.Name, own)
	return f.steps(v.As(at), rest[1:], r)
}

// identities are the attributes by which a resource is named elsewhere.
var identities = map[string]bool{"id": true, "name": true, "bucket": true, "arn": true}

// attributeOf is an attribute of a resource of the module. own is where its
// arguments are evaluated, or nil.
func (m *module) attributeOf(id, attribute string, own *frame) *value {
	b := m.resources[strings.TrimPrefix(bare(id), bare(m.prefix))]
	at := guard.NewNull()
	if b == nil {
		return guard.NewUnknown(guard.Unknown{Why: "there is no " + id})
	}
	m.frame().at(at, b.DefRange())
	if a := b.Body.Attributes[attribute]; a != nil && own != nil && !identities[attribute] {
		key := "\x00" + id + "." + attribute
		return m.once(m.locals, key, a.SrcRange, id+"."+attribute, func() *value { return own.eval(a.Expr) }).Clone()
	}
	switch attribute {
	case "id", "name", "bucket":
		return reference(at, id, "")
	case "arn":
		return reference(at, id, "Arn")
	}
	return reference(at, id, camel(attribute))
}

// camel is bucket_regional_domain_name as CloudFormation would say it.
func camel(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(s, "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// data is a data source: a policy document is written out, all else is asked for
// when it is applied.
func (f *frame) data(t hcl.Traversal, r hcl.Range) *value {
	if len(t) < 3 {
		return f.unknown(r, "a data source is asked for when it is applied")
	}
	of, isName := t[1].(hcl.TraverseAttr)
	a, ok := t[2].(hcl.TraverseAttr)
	kind := of.Name
	if !ok || !isName {
		return f.unknown(r, "a data source is asked for when it is applied")
	}
	rest := t[3:]
	last := ""
	if len(rest) > 0 {
		if x, ok := rest[len(rest)-1].(hcl.TraverseAttr); ok {
			last = x.Name
		}
	}
	if kind == "aws_iam_policy_document" && (last == "json" || last == "minified_json") {
		for _, b := range f.m.text.blocks {
			if b.Type == "data" && b.Labels[0] == kind && b.Labels[1] == a.Name {
				return f.m.policyDocument(b, r)
			}
		}
	}
	switch kind + "." + last {
	case "aws_partition.partition":
		return text("aws")
	case "aws_partition.dns_suffix":
		return text("amazonaws.com")
	}
	plain := last == "id" || last == "arn" || last == "name" || last == "account_id" || last == "region" || strings.HasSuffix(last, "_id") || strings.HasSuffix(last, "_arn")
	return f.at(guard.NewUnknown(guard.Unknown{Why: fmt.Sprintf("data.%s.%s is asked for when it is applied", kind, a.Name), Present: true, Plain: plain}), r)
}

// policyDocument is what aws_iam_policy_document makes of its blocks.
func (m *module) policyDocument(b *hclsyntax.Block, r hcl.Range) *value {
	return m.once(m.locals, "\x00data."+strings.Join(b.Labels, "."), b.DefRange(), strings.Join(b.Labels, "."), func() *value {
		all := m.instances(b)
		if len(all) == 0 {
			return m.frame().unknown(r, "the policy document is not there")
		}
		body := all[0].frame.body(b.Body, true)
		var statements []*value
		for _, key := range []string{"source_json", "source_policy_documents", "override_json", "override_policy_documents"} {
			if body.Get(key) != nil { // what it adds cannot be told apart
				statements = append(statements, sourceStatements(body.Get(key))...)
			}
		}
		for _, s := range body.Get("statement").Items() {
			statements = append(statements, statement(s))
		}
		version := text("2012-10-17").As(body)
		return guard.NewMap(named("Version", version), named("Statement", guard.NewList(statements...).As(body))).As(body)
	})
}

func sourceStatements(v *value) (all []*value) {
	items := v.Items()
	if !v.IsList() {
		items = []*value{v}
	}
	for _, x := range items {
		x = structured(x)
		switch s := x.Get("Statement"); {
		case s.IsList():
			for _, y := range s.Items() {
				all = append(all, y.Clone())
			}
		case s != nil:
			all = append(all, s.Clone())
		case x.Unknown() != nil:
			all = append(all, guard.NewUnknown(guard.Unknown{Why: x.Unknown().Why}).As(x))
		}
	}
	return all
}

// statement is a statement block in IAM's own spelling.
func statement(s *value) *value {
	var m []member
	put := func(from, to string) {
		if v := s.Get(from); v != nil {
			m = append(m, pair(text(to).As(v), v.Clone()))
		}
	}
	put("sid", "Sid")
	if e := s.Get("effect"); e != nil {
		m = append(m, named("Effect", e.Clone()))
	} else {
		m = append(m, named("Effect", text("Allow").As(s)))
	}
	put("actions", "Action")
	put("not_actions", "NotAction")
	put("resources", "Resource")
	put("not_resources", "NotResource")
	for _, x := range [][2]string{{"principals", "Principal"}, {"not_principals", "NotPrincipal"}} {
		if p := s.Get(x[0]); p.Len() > 0 {
			m = append(m, pair(text(x[1]).As(p), principals(p)))
		}
	}
	if c := s.Get("condition"); c.Len() > 0 {
		m = append(m, pair(text("Condition").As(c), conditions(c)))
	}
	out := guard.NewMap(m...).As(s)
	if d := s.Doubt(); d != "" {
		out.Perhaps(d)
	}
	return out
}

func principals(blocks *value) *value {
	var m []member
	for _, b := range blocks.Items() {
		kind, _ := b.Get("type").Text()
		ids := b.Get("identifiers")
		if kind == "*" {
			return text("*").As(b)
		}
		if ids != nil {
			m = append(m, pair(text(kind).As(b), ids.Clone()))
		}
	}
	return guard.NewMap(unique(m)...).As(blocks)
}

func conditions(blocks *value) *value {
	tests := map[string][]member{}
	var names []*value
	for _, b := range blocks.Items() {
		test, _ := b.Get("test").Text()
		variable, _ := b.Get("variable").Text()
		values := b.Get("values")
		if values == nil || test == "" {
			continue
		}
		if tests[test] == nil {
			names = append(names, text(test).As(b))
		}
		tests[test] = append(tests[test], pair(text(variable).As(b), values.Clone()))
	}
	var m []member
	for _, n := range names {
		key, _ := n.Text()
		m = append(m, pair(n, guard.NewMap(unique(tests[key])...).As(n)))
	}
	return guard.NewMap(m...).As(blocks)
}
