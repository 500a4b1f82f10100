package iac

import (
	_ "embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"go.yaml.in/yaml/v4"
)

//go:embed terraform.yaml
var terraformTable []byte

// terraformEntry is a type of the table, or one of its cases.
type terraformEntry struct {
	Type       string            `yaml:"type"`
	When       map[string]any    `yaml:"when"`
	Properties map[string]any    `yaml:"properties"`
	Into       *terraformInto    `yaml:"into"`
	Also       []terraformEntry  `yaml:"also"`
	Needs      string            `yaml:"needs"`
	Each       string            `yaml:"each"`   // one for every such block
	Spread     map[string]string `yaml:"spread"` // one for every item of these arguments
}

// terraformInto says which resource a part belongs to.
type terraformInto struct {
	Type string `yaml:"type"`
	By   string `yaml:"by"` // the argument that names it
}

// terraformTypes are the table. A type that is said in several ways is a list.
var terraformTypes = sync.OnceValue(func() map[string][]terraformEntry {
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(terraformTable, &nodes); err != nil {
		panic("iac: terraform.yaml: " + err.Error()) // only a mistake in the file
	}
	table := map[string][]terraformEntry{}
	for name, n := range nodes {
		var many []terraformEntry
		var one terraformEntry
		err := n.Decode(&many)
		if n.Kind != yaml.SequenceNode {
			err = n.Decode(&one)
			many = []terraformEntry{one}
		}
		if err != nil {
			panic("iac: terraform.yaml: " + name + ": " + err.Error())
		}
		table[name] = many
	}
	return table
})

// terraformResource is a resource as Terraform says it.
type terraformResource struct {
	id, local string // its address, and that within its module without the keys of instances
	prefix    string // the address of its module
	kind      string // aws_s3_bucket
	args      *value
	at        *value // where it begins
	perhaps   string
}

// terraformDocument is resources in CloudFormation's shape, as far as the table has them.
func terraformDocument(resources []*terraformResource, names []string) *guard.Document {
	var all []*terraformMade
	for _, r := range resources {
		all = append(all, r.made()...)
	}
	all = merge(all)
	members := make([]member, 0, len(all))
	seen := map[string]bool{}
	for _, m := range all {
		id := m.id
		for seen[id] {
			id += "'"
		}
		seen[id] = true
		members = append(members, pair(text(id).As(m.from.at), m.value()))
	}
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(members...))), names...)
}

// terraformMade is a resource of a document.
type terraformMade struct {
	id         string
	kind       string // CloudFormation's type
	properties []member
	from       *terraformResource
	into       *terraformInto
}

// made is what a resource becomes.
func (r *terraformResource) made() (all []*terraformMade) {
	for _, e := range terraformTypes()[r.kind] {
		if !r.meets(e.When) {
			continue
		}
		all = append(all, r.spread(e)...)
		for i, also := range e.Also {
			all = append(all, r.also(also, "+"+string(rune('1'+i)))...)
		}
		return all
	}
	var raw []member
	for name, v := range r.args.Members() {
		raw = append(raw, pair(name.Clone(), v.Clone()))
	}
	return []*terraformMade{{id: r.id, kind: "Haechi::Terraform::" + r.kind, properties: raw, from: r}}
}

// also is what is made besides, where there is something to it.
func (r *terraformResource) also(e terraformEntry, suffix string) (all []*terraformMade) {
	b := builder{r.at, r.id}
	blocks := []*value{r.args}
	if e.Each != "" {
		blocks = find(r.args, e.Each).Items()
	}
	for i, x := range blocks {
		m := &terraformMade{id: r.id + suffix, kind: e.Type, from: r, properties: b.members(x, e.Properties)}
		if i > 0 {
			m.id = fmt.Sprintf("%s.%d", m.id, i)
		}
		if e.Needs == "" || slices.ContainsFunc(m.properties, func(x member) bool { key, _ := x.Name.Text(); return key == e.Needs }) {
			all = append(all, m)
		}
	}
	return all
}

// spread is one resource, or one for each item of arguments that are lists in
// Terraform and single in CloudFormation.
func (r *terraformResource) spread(e terraformEntry) (all []*terraformMade) {
	b := builder{r.at, r.id}
	for i, extra := range b.spread(r.args, e.Spread) {
		m := &terraformMade{id: r.id, kind: e.Type, from: r, into: e.Into, properties: append(b.members(r.args, e.Properties), extra...)}
		if i > 0 {
			m.id = fmt.Sprintf("%s+%d", r.id, i)
		}
		all = append(all, m)
	}
	return all
}

// meets tells whether arguments are as a case wants them.
func (r *terraformResource) meets(when map[string]any) bool {
	for name, want := range when {
		got, _ := r.args.Get(name).Scalar()
		switch want := want.(type) {
		case []any:
			if !slices.ContainsFunc(want, func(w any) bool { return w == got }) {
				return false
			}
		case bool:
			if (r.args.Get(name) != nil) != want {
				return false
			}
		case string:
			if got != want {
				return false
			}
		}
	}
	return true
}

func (m *terraformMade) value() *value {
	at := m.from.at
	address := guard.NewMap(named("Address", text(m.from.id).As(at)), named("Type", text(m.from.kind).As(at)), named("Name", text(m.from.local).As(at))).As(at)
	v := guard.NewMap(named("Type", text(m.kind).As(at)), named("Properties", guard.NewMap(m.properties...).As(at)), named("Terraform", address)).As(at)
	if m.from.perhaps != "" {
		v.Perhaps(m.from.perhaps)
	}
	return v
}

// merge puts parts that Terraform keeps apart into what they belong to. A part
// whose whole is not there stays on its own, as Terraform calls it.
func merge(all []*terraformMade) []*terraformMade {
	byID := map[string]*terraformMade{}
	byName := map[string]*terraformMade{}
	for _, m := range all {
		if m.into != nil {
			continue
		}
		byID[m.id] = m
		for _, p := range m.properties {
			key, _ := p.Name.Text()
			if name, ok := p.Value.Text(); ok && strings.HasSuffix(key, "Name") {
				byName[m.kind+"\n"+name] = m
			}
		}
	}
	var kept []*terraformMade
	for _, m := range all {
		if m.into == nil {
			kept = append(kept, m)
			continue
		}
		whole := wholeOf(m, byID, byName)
		if whole == nil {
			m.kind = "Haechi::Terraform::" + m.from.kind
			m.properties = nil
			for name, v := range m.from.args.Members() {
				m.properties = append(m.properties, pair(name.Clone(), v.Clone()))
			}
			kept = append(kept, m)
			continue
		}
		for _, p := range m.properties {
			if m.from.perhaps != "" {
				p.Value.Perhaps(m.from.perhaps)
			}
			whole.put(p)
		}
	}
	return kept
}

// put adds a property; to a list that is there its items.
func (m *terraformMade) put(p member) {
	key, _ := p.Name.Text()
	for i, x := range m.properties {
		if name, _ := x.Name.Text(); name != key {
			continue
		}
		if x.Value.IsList() && p.Value.IsList() {
			items := append(slices.Clone(x.Value.Items()), p.Value.Items()...)
			m.properties[i].Value = guard.NewList(items...).As(x.Value)
			return
		}
		m.properties[i] = p
		return
	}
	m.properties = append(m.properties, p)
}

func wholeOf(m *terraformMade, byID, byName map[string]*terraformMade) *terraformMade {
	v := m.from.args.Get(m.into.By)
	id := ""
	if u := v.Unknown(); u != nil {
		id, _ = u.As.Get("Ref").Text()
		if list := u.As.Get("Fn::GetAtt").Items(); len(list) == 2 {
			id, _ = list[0].Text()
		}
	} else if name, ok := v.Text(); ok {
		if w := byName[m.into.Type+"\n"+name]; w != nil {
			return w
		}
	}
	if id == "" {
		return nil
	}
	if w := byID[id]; w != nil && w.kind == m.into.Type {
		return w
	}
	if w := byID[id+"[0]"]; w != nil && w.kind == m.into.Type {
		return w
	}
	return nil
}

// builder makes properties of arguments, as the table says; see terraform.yaml.
type builder struct {
	at *value
	id string
}

// spread are the further properties of each one of many; one without any where there is nothing to spread.
func (b builder) spread(args *value, by map[string]string) (all [][]member) {
	for _, name := range slices.Sorted(maps.Keys(by)) {
		v := find(args, by[name])
		switch {
		case v == nil || v.IsNull():
		case v.IsList():
			for _, x := range v.Items() {
				all = append(all, []member{named(name, x.Clone())})
			}
		default:
			all = append(all, []member{named(name, v.Clone())})
		}
	}
	if len(all) == 0 {
		all = [][]member{nil}
	}
	return all
}

func (b builder) members(args *value, want map[string]any) (all []member) {
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if v := b.build(args, want[name]); v != nil {
			all = append(all, named(name, v))
		}
	}
	return all
}

func (b builder) build(args *value, want any) *value {
	switch want := want.(type) {
	case string:
		return cloned(find(args, want))
	case []any:
		for _, w := range want {
			if v := b.build(args, w); v != nil {
				return v
			}
		}
	case map[string]any:
		return b.special(args, want)
	}
	return nil
}

func cloned(v *value) *value {
	if v == nil || v.IsNull() {
		return nil
	}
	return v.Clone()
}

// find follows a path through blocks, of which the first counts.
func find(v *value, path string) *value {
	if path == "." {
		return v
	}
	doubt := ""
	for step := range strings.SplitSeq(path, ".") {
		if v.IsList() {
			if v.Len() == 0 {
				return nil
			}
			v = v.Items()[0]
		}
		if u := v.Unknown(); u != nil {
			return guard.NewUnknown(guard.Unknown{Why: u.Why}).As(v)
		}
		doubt = cmpOr(doubt, v.Doubt())
		v = v.Get(step)
		if v == nil {
			return nil
		}
	}
	if doubt != "" && v.Doubt() == "" {
		v = v.Clone().Perhaps(doubt)
	}
	return v
}

func (b builder) special(args *value, want map[string]any) *value {
	get := func(name string) *value {
		switch path := want[name].(type) {
		case string:
			return find(args, path)
		case []any:
			return b.build(args, path)
		}
		return nil
	}
	switch {
	case want["from"] != nil:
		return b.translated(get("from"), want)
	case want["json"] != nil:
		return cloned(structured(get("json")))
	case want["text"] != nil:
		v := get("text")
		if v.IsMap() && v.Why() == "" {
			return text(string(v.JSON())).As(v)
		}
		return cloned(v)
	case want["tags"] != nil:
		return tagged(get("tags"))
	case want["list"] != nil:
		v := get("list")
		if v == nil || v.IsNull() {
			return nil
		}
		if v.IsList() {
			return v.Clone()
		}
		return guard.NewList(v.Clone()).As(v)
	case want["number"] != nil:
		v := get("number")
		if s, ok := v.Scalar(); ok {
			return numeric(s).As(v)
		}
		return cloned(v)
	case want["not"] != nil:
		v := get("not")
		if t, ok := v.Truth(); ok {
			return guard.NewBool(!t).As(v)
		}
		return cloned(v)
	case want["each"] != nil:
		return b.each(structured(get("each")), want)
	case want["keyed"] != nil:
		return b.keyed(get("keyed"), want)
	case want["attributes"] != nil:
		return b.attributes(args, want["attributes"])
	case want["self"] != nil:
		return reference(b.at, b.id, "")
	case want["const"] != nil:
		if path, ok := want["if"].(string); ok {
			v := find(args, path)
			if v == nil || v.IsNull() || v.IsList() && v.Len() == 0 {
				return nil
			}
			return constant(want["const"]).As(v)
		}
		return placed(constant(want["const"]), b.at)
	}
	all := b.members(args, want)
	if len(all) == 0 {
		return nil
	}
	return guard.NewMap(all...).As(all[0].Value)
}

func constant(c any) *value {
	switch c := c.(type) {
	case bool:
		return guard.NewBool(c)
	case int:
		return guard.NewInt(int64(c))
	case string:
		return text(c)
	}
	return guard.NewNull()
}

// translated is a value in other words: {from: enabled, map: {true: Enabled}}.
func (b builder) translated(v *value, want map[string]any) *value {
	words, _ := want["map"].(map[string]any)
	if v == nil || v.IsNull() {
		return nil
	}
	s, ok := v.Scalar()
	if !ok {
		if u := v.Unknown(); u != nil {
			return guard.NewUnknown(guard.Unknown{Why: u.Why, Present: u.Present}).As(v)
		}
		return v.Clone()
	}
	if to, ok := words[s]; ok {
		if to == nil {
			return nil
		}
		return constant(to).As(v)
	}
	if other, ok := words["*"]; ok {
		if other == nil {
			return nil
		}
		return constant(other).As(v)
	}
	return v.Clone()
}

// each makes something of every block or item, and of every item of what it spreads.
func (b builder) each(v *value, want map[string]any) *value {
	if v == nil || v.IsNull() {
		return nil
	}
	if v.Unknown() != nil {
		return v.Clone()
	}
	items := v.Items()
	if !v.IsList() {
		items = []*value{v}
	}
	spread := map[string]string{}
	if by, ok := want["spread"].(map[string]any); ok {
		for name, path := range by {
			spread[name], _ = path.(string)
		}
	}
	var all []*value
	for _, x := range items {
		if x.Unknown() != nil {
			all = append(all, x.Clone())
			continue
		}
		for _, extra := range b.spread(x, spread) {
			made := b.build(x, want["make"])
			if made == nil {
				continue
			}
			if len(extra) > 0 {
				var m []member
				for name, y := range made.Members() {
					m = append(m, pair(name.Clone(), y.Clone()))
				}
				made = guard.NewMap(append(m, extra...)...).As(x)
			}
			if d := x.Doubt(); d != "" {
				made.Perhaps(d)
			}
			all = append(all, made)
		}
	}
	if len(all) == 0 && len(items) > 0 {
		return nil
	}
	return guard.NewList(all...).As(v)
}

// keyed makes a map of blocks: {keyed: blocks, by: argument, make: …}.
func (b builder) keyed(v *value, want map[string]any) *value {
	by, _ := want["by"].(string)
	var m []member
	for _, x := range v.Items() {
		key := find(x, by)
		name, ok := key.Text()
		if made := b.build(x, want["make"]); ok && made != nil {
			m = append(m, pair(text(name).As(key), made))
		}
	}
	if len(m) == 0 {
		return nil
	}
	return guard.NewMap(unique(m)...).As(v)
}

// attributes makes a list of Key and Value, the value as a text.
func (b builder) attributes(args *value, want any) *value {
	table, _ := want.(map[string]any)
	var all []*value
	for _, name := range slices.Sorted(maps.Keys(table)) {
		v := b.build(args, table[name])
		if v == nil {
			continue
		}
		if s, ok := v.Scalar(); ok {
			v = text(s).As(v)
		}
		all = append(all, guard.NewMap(named("Key", text(name).As(v)), named("Value", v)).As(v))
	}
	if len(all) == 0 {
		return nil
	}
	return guard.NewList(all...).As(all[0])
}

// structured is the value that a text of JSON holds, or the value itself.
func structured(v *value) *value {
	t, ok := v.Text()
	if !ok {
		return v
	}
	trimmed := strings.TrimSpace(t)
	if !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "[") {
		return v
	}
	doc, err := guard.Load("x.json", []byte(trimmed))
	if err != nil {
		return v
	}
	return placed(doc.Root().Clone(), v)
}

// tagged is a map of tags as a list of Key and Value.
func tagged(tags *value) *value {
	if !tags.IsMap() {
		return cloned(tags)
	}
	var all []*value
	for name, v := range tags.Members() {
		all = append(all, guard.NewMap(named("Key", name.Clone()), named("Value", v.Clone())).As(name))
	}
	return guard.NewList(all...).As(tags)
}

// rootModules are the folders of Terraform that no other calls.
func (p *pass) rootModules() []string {
	var dirs []string
	for d := range p.modules {
		dirs = append(dirs, d)
	}
	slices.Sort(dirs)
	called := map[string]bool{}
	for _, d := range dirs {
		r := newRoot(p.library, d)
		if t, ok := r.loadModule(d); ok {
			m := r.module(t)
			for _, b := range t.blocks {
				if b.Type != "module" || b.Body.Attributes["source"] == nil {
					continue
				}
				if source, ok := m.frame().eval(b.Body.Attributes["source"].Expr).Text(); ok && strings.HasPrefix(source, ".") {
					if dir := path.Join(d, source); dir != d && p.modules[dir] {
						called[dir] = true
					}
				}
			}
		}
	}
	var roots []string
	for _, d := range dirs {
		if !called[d] {
			roots = append(roots, d)
		}
	}
	if len(roots) == 0 { // they call each other in a circle
		return dirs
	}
	return roots
}

func newLibrary(tree fs.FS) *library {
	return &library{tree: tree, parsed: map[string]*moduleText{}}
}

func newRoot(l *library, dir string) *root {
	return &root{library: l, dir: dir, files: &files{}, functions: hclFunctions(), installed: map[string]string{}, overrides: map[string]hclsyntax.Expression{}}
}

// terraform is the document of a root module, what could not be read of it, and the
// modules that it calls and that are not there.
func terraform(l *library, dir string) (*guard.Document, *root) {
	r := newRoot(l, dir)
	t, ok := r.loadModule(dir)
	if !ok {
		return nil, r
	}
	r.variableFiles(t)
	r.installedModules()
	r.module(t).run()
	names := r.files.names
	if len(names) == 0 {
		names = []string{path.Join(dir, "main.tf")}
	}
	return terraformDocument(r.resources, names), r
}

// module looks at one root module.
func (p *pass) module(dir string) error {
	doc, r := terraform(p.library, dir)
	for _, u := range unrepeated(r.unread) {
		p.out.Unread(u)
	}
	for _, m := range r.missing {
		p.keep(notOnDisk(m))
	}
	if doc == nil {
		return nil
	}
	return p.check(doc, "", nil)
}

func unrepeated(places []diag.Place) (all []diag.Place) {
	for _, p := range places {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}
