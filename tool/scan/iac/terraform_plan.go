package iac

import (
	"bytes"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
)

// isPlan tells what `terraform show -json` writes, of a plan or of a state.
func isPlan(root *value) bool {
	_, version := root.Get("format_version").Text()
	return version && (root.Get("planned_values").IsMap() || root.Get("resource_changes").IsList() || root.Get("values").Get("root_module").IsMap())
}

func isPlanText(content []byte) bool {
	return bytes.Contains(content[:min(len(content), 4096)], []byte(`"terraform_version"`))
}

// planned is a plan that is being read.
type planned struct {
	unknown    map[string]*value // after_unknown, by address
	references map[string]*value // the expressions of the configuration, by address without keys
	kinds      map[string]bool   // the addresses that there are, without keys
	resources  []*terraformResource
}

// plan is the document of a plan.
func plan(doc *guard.Document) (*guard.Document, error) {
	root := doc.Root()
	p := &planned{unknown: map[string]*value{}, references: map[string]*value{}, kinds: map[string]bool{}}
	for _, c := range root.Get("resource_changes").Items() {
		if address, ok := c.Get("address").Text(); ok {
			p.unknown[address] = c.Get("change").Get("after_unknown")
		}
	}
	p.configuration(root.Get("configuration").Get("root_module"), "", 0)
	values := root.Get("planned_values")
	if values == nil {
		values = root.Get("values")
	}
	if values == nil {
		p.changes(root.Get("resource_changes"))
	} else {
		p.module(values.Get("root_module"), 0)
	}
	if len(p.resources) > maxResources {
		return nil, tooMany
	}
	return terraformDocument(p.resources, []string{doc.Name()}), nil
}

// changes are the resources where the plan has no values of its own.
func (p *planned) changes(list *value) {
	for _, c := range list.Items() {
		if after := c.Get("change").Get("after"); after.IsMap() {
			p.resource(c, after)
		}
	}
}

func (p *planned) configuration(m *value, prefix string, depth int) {
	if depth > maxModules {
		return
	}
	for _, r := range m.Get("resources").Items() {
		if address, ok := r.Get("address").Text(); ok {
			p.references[prefix+address] = r.Get("expressions")
			p.kinds[prefix+address] = true
		}
	}
	for name, call := range m.Get("module_calls").Members() {
		key, _ := name.Text()
		p.configuration(call.Get("module"), prefix+"module."+key+".", depth+1)
	}
}

func (p *planned) module(m *value, depth int) {
	if depth > maxModules {
		return
	}
	for _, r := range m.Get("resources").Items() {
		if values := r.Get("values"); values.IsMap() {
			p.resource(r, values)
		}
	}
	for _, child := range m.Get("child_modules").Items() {
		p.module(child, depth+1)
	}
}

func (p *planned) resource(r, values *value) {
	address, _ := r.Get("address").Text()
	kind, _ := r.Get("type").Text()
	if mode, _ := r.Get("mode").Text(); mode == "data" || address == "" || kind == "" {
		return
	}
	plain := bare(address)
	local := plain[max(0, strings.LastIndex(plain, kind+".")):] // an address that does not name its type is its own
	prefix := address[:max(0, strings.LastIndex(address, kind+"."))]
	p.resources = append(p.resources, &terraformResource{id: address, local: local, kind: kind, prefix: prefix, at: r,
		args: p.args(values, p.unknown[address], p.references[plain], bare(prefix))})
}

// args are the values that are known, and what is not.
func (p *planned) args(values, unknown, expressions *value, prefix string) *value {
	var m []member
	for name, v := range values.Members() {
		key, _ := name.Text()
		if v.IsNull() && !isUnknown(unknown.Get(key)) {
			continue
		}
		if r := p.value(v, unknown.Get(key), expressions.Get(key), prefix); r != nil {
			m = append(m, pair(name.Clone(), r))
		}
	}
	for name, u := range unknown.Members() {
		key, _ := name.Text()
		if values.Get(key) == nil && isUnknown(u) {
			if r := p.value(nil, u, expressions.Get(key), prefix); r != nil {
				m = append(m, pair(name.Clone(), r.As(values)))
			}
		}
	}
	return guard.NewMap(m...).As(values)
}

// isUnknown tells whether a part of after_unknown says that something is.
func isUnknown(u *value) bool {
	if t, ok := u.Truth(); ok {
		return t
	}
	for _, x := range u.Items() {
		if isUnknown(x) {
			return true
		}
	}
	for _, x := range u.Members() {
		if isUnknown(x) {
			return true
		}
	}
	return false
}

func (p *planned) value(v, unknown, expression *value, prefix string) *value {
	if t, ok := unknown.Truth(); ok && t {
		return p.reference(expression, prefix)
	}
	switch {
	case v == nil || v.IsNull():
		return nil
	case v.IsMap():
		return p.args(v, unknown, expression, prefix)
	case v.IsList():
		var all []*value
		for i, x := range v.Items() {
			var u, e *value
			if items := unknown.Items(); i < len(items) {
				u = items[i]
			}
			if items := expression.Items(); i < len(items) {
				e = items[i]
			}
			if r := p.value(x, u, e, prefix); r != nil {
				all = append(all, r)
			}
		}
		return guard.NewList(all...).As(v)
	}
	return v.Clone()
}

// reference is what is known after apply, with the resource that it refers to.
func (p *planned) reference(expression *value, prefix string) *value {
	u := guard.Unknown{Why: "it is known after apply", Present: true, Plain: true}
	for _, x := range expression.Get("references").Items() {
		t, _ := x.Text()
		if strings.HasPrefix(t, "var.") || strings.HasPrefix(t, "local.") || strings.HasPrefix(t, "data.") || strings.HasPrefix(t, "module.") || strings.HasPrefix(t, "each.") {
			continue
		}
		parts := strings.Split(bare(t), ".")
		if len(parts) < 2 || !p.kinds[prefix+parts[0]+"."+parts[1]] {
			continue
		}
		id := t
		attribute := ""
		if len(parts) > 2 {
			attribute = parts[2]
			id = strings.TrimSuffix(t, "."+strings.Join(parts[2:], "."))
		}
		switch attribute {
		case "id", "name", "bucket", "":
			attribute = ""
		case "arn":
			attribute = "Arn"
		default:
			attribute = camel(attribute)
		}
		return reference(expression, prefix+id, attribute)
	}
	return guard.NewUnknown(u)
}
