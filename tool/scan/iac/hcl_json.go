package iac

import (
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// parseJSON takes in a file of Terraform's JSON syntax (*.tf.json): its objects are
// blocks, its texts are templates.
func (r *library) parseJSON(name string, t *moduleText) {
	content, ok := r.read(name)
	if !ok {
		return
	}
	doc, err := guard.Load(name, content)
	if err != nil {
		r.torn = append(r.torn, unreadOf(err))
		return
	}
	j := &jsonSyntax{name: name}
	t.take(j.body(doc.Root(), 0))
}

// jsonSyntax makes blocks of JSON.
type jsonSyntax struct{ name string }

func (j *jsonSyntax) at(v *value) hcl.Range {
	p := hcl.Pos{Line: max(1, v.Line()), Column: 1}
	return hcl.Range{Filename: j.name, Start: p, End: p}
}

// jsonLabels are how many names stand between a block's type and its body.
var jsonLabels = map[string]int{"resource": 2, "data": 2, "variable": 1, "output": 1, "module": 1, "locals": 0}

func (j *jsonSyntax) body(v *value, _ int) *hclsyntax.Body {
	b := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: j.at(v), EndRange: j.at(v)}
	for name, x := range v.Members() {
		kind, _ := name.Text()
		n, ok := jsonLabels[kind]
		if !ok {
			continue
		}
		j.blocks(b, kind, nil, n, x)
	}
	return b
}

func (j *jsonSyntax) blocks(into *hclsyntax.Body, kind string, names []string, n int, v *value) {
	if v.IsList() {
		for _, x := range v.Items() {
			j.blocks(into, kind, names, n, x)
		}
		return
	}
	if n == 0 {
		into.Blocks = append(into.Blocks, j.block(kind, names, v))
		return
	}
	for name, x := range v.Members() {
		key, _ := name.Text()
		j.blocks(into, kind, append(names[:len(names):len(names)], key), n-1, x)
	}
}

// block is a block whose members are all arguments: a nested block is an object or
// a list of such, which the table takes for the same.
func (j *jsonSyntax) block(kind string, names []string, v *value) *hclsyntax.Block {
	r := j.at(v)
	b := &hclsyntax.Block{Type: kind, Labels: names, TypeRange: r, OpenBraceRange: r, CloseBraceRange: r,
		Body: &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: r, EndRange: r}}
	for range names {
		b.LabelRanges = append(b.LabelRanges, r)
	}
	for name, x := range v.Members() {
		key, _ := name.Text()
		if key == "//" || key == "lifecycle" || key == "provisioner" || key == "connection" {
			continue
		}
		b.Body.Attributes[key] = &hclsyntax.Attribute{Name: key, Expr: j.expression(x), SrcRange: j.at(name), NameRange: j.at(name), EqualsRange: j.at(name)}
	}
	return b
}

func (j *jsonSyntax) expression(v *value) hclsyntax.Expression {
	r := j.at(v)
	switch {
	case v.IsMap():
		e := &hclsyntax.ObjectConsExpr{SrcRange: r, OpenRange: r}
		for name, x := range v.Members() {
			e.Items = append(e.Items, hclsyntax.ObjectConsItem{KeyExpr: j.template(name), ValueExpr: j.expression(x)})
		}
		return e
	case v.IsList():
		e := &hclsyntax.TupleConsExpr{SrcRange: r, OpenRange: r}
		for _, x := range v.Items() {
			e.Exprs = append(e.Exprs, j.expression(x))
		}
		return e
	}
	if _, ok := v.Text(); ok {
		return j.template(v)
	}
	return &hclsyntax.LiteralValueExpr{Val: toCty(v), SrcRange: r}
}

func (j *jsonSyntax) template(v *value) hclsyntax.Expression {
	t, _ := v.Text()
	r := j.at(v)
	if strings.Contains(t, "${") || strings.Contains(t, "%{") {
		if e, diags := hclsyntax.ParseTemplate([]byte(t), j.name, r.Start); !diags.HasErrors() {
			return e
		}
	}
	return &hclsyntax.LiteralValueExpr{Val: toCty(guard.NewText(t)), SrcRange: r}
}
