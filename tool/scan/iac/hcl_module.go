package iac

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"
)

func firstPosition() hcl.Pos { return hcl.Pos{Line: 1, Column: 1} }

// root is a root module with all that it calls.
type root struct {
	*library
	dir       string
	files     *files
	functions map[string]function.Function
	steps     int
	resources []*terraformResource
	unread    []diag.Place
	missing   []missingModule
	installed map[string]string               // modules that terraform init has put on disk: key to folder
	overrides map[string]hclsyntax.Expression // of variables, from tfvars
}

// library is the modules of a tree, each parsed once.
type library struct {
	tree fs.FS

	mu     sync.Mutex
	parsed map[string]*moduleText // by folder; nil where there is none
	torn   []diag.Place           // files that cannot be parsed
}

// missingModule is a module that is called and not on disk.
type missingModule struct {
	address, source string
	place           diag.Place
}

// moduleText is a module as its files say it.
type moduleText struct {
	dir       string
	variables map[string]*hclsyntax.Block
	locals    map[string]*hclsyntax.Attribute
	blocks    []*hclsyntax.Block // resource, data, module
	outputs   map[string]*hclsyntax.Block
}

// module is a module as it is called.
type module struct {
	root   *root
	text   *moduleText
	prefix string // of addresses: module.network.
	key    string // in modules.json: network.subnets
	given  map[string]*value
	depth  int

	variables map[string]*memo
	locals    map[string]*memo
	calls     map[string]*memo
	children  map[string]map[string]*module // by name and instance key
	resources map[string]*hclsyntax.Block
	perhaps   string
	parent    *module
}

// memo is a value that is evaluated once.
type memo struct {
	open bool
	v    *value
}

const maxModules = 20 // modules within each other

// loadModule parses the files of a folder. A file that cannot be parsed is named,
// and what it says is not known.
func (r *library) loadModule(dir string) (*moduleText, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.parsed[dir]; ok {
		return t, t != nil
	}
	r.parsed[dir] = nil
	entries, err := fs.ReadDir(r.tree, dir)
	if err != nil {
		return nil, false
	}
	t := &moduleText{dir: dir, variables: map[string]*hclsyntax.Block{}, locals: map[string]*hclsyntax.Attribute{}, outputs: map[string]*hclsyntax.Block{}}
	any := false
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
		case path.Ext(name) == ".tf":
			any = true
			if body := r.parse(name); body != nil {
				t.take(body)
			}
		case strings.HasSuffix(name, ".tf.json"):
			any = true
			r.parseJSON(name, t)
		}
	}
	if !any {
		return nil, false
	}
	r.parsed[dir] = t
	return t, true
}

// parse reads one file of HCL, or names what is wrong with it.
func (r *library) parse(name string) *hclsyntax.Body {
	content, ok := r.read(name)
	if !ok {
		return nil
	}
	if wrong := tooDeepHCL(name, content); wrong != nil {
		r.torn = append(r.torn, unreadOf(wrong))
		return nil
	}
	f, diags := hclsyntax.ParseConfig(content, name, firstPosition())
	if diags.HasErrors() {
		r.refuse(name, diags)
		return nil
	}
	body, _ := f.Body.(*hclsyntax.Body)
	return body
}

func (r *library) read(name string) ([]byte, bool) {
	info, err := fs.Stat(r.tree, name)
	if err == nil && info.Size() > maxTemplate {
		r.torn = append(r.torn, diag.Place{File: name, Why: fmt.Sprintf("larger than %d MB", maxTemplate>>20)})
		return nil, false
	}
	content, err := fs.ReadFile(r.tree, name)
	if err != nil {
		r.torn = append(r.torn, diag.Place{File: name, Why: err.Error()})
		return nil, false
	}
	return content, true
}

func (r *library) refuse(name string, diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			p := diag.Place{File: name, Why: "not HCL: " + oneLine(d.Summary+": "+d.Detail)}
			if d.Subject != nil {
				p.Line, p.Column = d.Subject.Start.Line, d.Subject.Start.Column
			}
			r.torn = append(r.torn, p)
			return
		}
	}
}

// tooDeepHCL refuses brackets that are opened too often, before the parser, which
// is recursive, sees them.
func tooDeepHCL(name string, content []byte) *diag.Error {
	const most = 500
	depth, operators := 0, 0
	for i, c := range content {
		switch c {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth = max(0, depth-1)
		case '!', '-':
			operators++
			if operators > 10_000 {
				return diag.Errorf(diag.At(name, content, i), "more than %d operators in a row", 10_000)
			}
			continue
		}
		if c != ' ' {
			operators = 0
		}
		if depth > most {
			return diag.Errorf(diag.At(name, content, i), "nested deeper than %d levels", most)
		}
	}
	return nil
}

// take takes in what a file says.
func (t *moduleText) take(body *hclsyntax.Body) {
	for _, b := range body.Blocks {
		switch {
		case b.Type == "variable" && len(b.Labels) == 1:
			t.variables[b.Labels[0]] = b
		case b.Type == "output" && len(b.Labels) == 1:
			t.outputs[b.Labels[0]] = b
		case b.Type == "locals":
			for name, a := range b.Body.Attributes {
				t.locals[name] = a
			}
		case (b.Type == "resource" || b.Type == "data") && len(b.Labels) == 2, b.Type == "module" && len(b.Labels) == 1:
			t.blocks = append(t.blocks, b)
		}
	}
}

// variableFiles takes in terraform.tfvars and *.auto.tfvars, as Terraform does.
func (r *root) variableFiles(t *moduleText) {
	entries, _ := fs.ReadDir(r.tree, t.dir)
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || name != "terraform.tfvars" && !strings.HasSuffix(name, ".auto.tfvars") {
			continue
		}
		r.mu.Lock()
		body := r.parse(path.Join(t.dir, name))
		r.mu.Unlock()
		if body != nil {
			for key, a := range body.Attributes {
				r.overrides[key] = a.Expr
			}
		}
	}
}

// installedModules reads what terraform init has written down.
func (r *root) installedModules() {
	content, err := fs.ReadFile(r.tree, path.Join(r.dir, ".terraform/modules/modules.json"))
	if err != nil {
		return
	}
	var list struct{ Modules []struct{ Key, Dir string } }
	if json.Unmarshal(content, &list) != nil {
		return
	}
	for _, m := range list.Modules {
		r.installed[m.Key] = path.Join(r.dir, m.Dir)
	}
}

func (r *root) module(t *moduleText) *module {
	m := &module{root: r, text: t, variables: map[string]*memo{}, locals: map[string]*memo{}, calls: map[string]*memo{}, children: map[string]map[string]*module{}, resources: map[string]*hclsyntax.Block{}}
	for _, b := range t.blocks {
		if b.Type == "resource" {
			m.resources[b.Labels[0]+"."+b.Labels[1]] = b
		}
	}
	return m
}

func (m *module) frame() *frame { return &frame{m: m, names: map[string]*value{}, depth: m.depth * 2} }

// run evaluates the resources of a module and of those that it calls.
func (m *module) run() {
	for _, b := range m.text.blocks {
		switch b.Type {
		case "resource":
			m.expand(b, m.resource)
		case "module":
			for _, child := range m.childrenOf(b) {
				child.run()
			}
		}
		if len(m.root.resources) > maxResources {
			return
		}
	}
}

// instance is one of a block with count or for_each.
type instance struct {
	key     *value // nil where there is one only
	frame   *frame
	perhaps string
}

// instances are those of a block.
func (m *module) instances(b *hclsyntax.Block) []instance {
	f := m.frame()
	if a := b.Body.Attributes["count"]; a != nil {
		return countInstances(f, a)
	}
	if a := b.Body.Attributes["for_each"]; a != nil {
		return eachInstances(f, a)
	}
	return []instance{{frame: f}}
}

const maxInstances = 200 // of one block; those beyond are like those before

func countInstances(f *frame, a *hclsyntax.Attribute) []instance {
	v := f.eval(a.Expr)
	s, known := v.Scalar()
	count := func(i *value) *frame {
		return f.with(map[string]*value{"count": guard.NewMap(pair(text("index"), i))})
	}
	var n int
	if _, err := fmt.Sscan(s, &n); !known || err != nil {
		unknown := f.at(guard.NewUnknown(guard.Unknown{Why: "count.index is unknown", Present: true}), a.SrcRange)
		return []instance{{frame: count(unknown), perhaps: "count is unknown: " + reason(v, "it is no number")}}
	}
	var all []instance
	for i := range min(max(n, 0), maxInstances) {
		index := guard.NewInt(int64(i))
		all = append(all, instance{key: index, frame: count(index.Clone()), perhaps: v.Doubt()})
	}
	return all
}

func eachInstances(f *frame, a *hclsyntax.Attribute) []instance {
	v := f.eval(a.Expr)
	each := func(key, x *value) *frame {
		return f.with(map[string]*value{"each": guard.NewMap(pair(text("key"), key.Clone()), pair(text("value"), x.Clone()))})
	}
	entries, ok := entriesOf(v)
	if !ok {
		why := "for_each is unknown: " + reason(v, "it is no map and no set")
		unknown := f.at(guard.NewUnknown(guard.Unknown{Why: why, Present: true}), a.SrcRange)
		return []instance{{frame: each(unknown, unknown), perhaps: why}}
	}
	var all []instance
	for _, x := range entries[:min(len(entries), maxInstances)] {
		key := x.Name
		if v.IsList() { // a set: its items are its keys
			key = x.Value
		}
		if _, ok := key.Scalar(); !ok {
			all = append(all, instance{frame: each(key, x.Value), perhaps: reason(key, "a key of for_each is unknown")})
			continue
		}
		all = append(all, instance{key: key, frame: each(key, x.Value), perhaps: x.Value.Doubt()})
	}
	return all
}

func (m *module) expand(b *hclsyntax.Block, make func(b *hclsyntax.Block, i instance, id string)) {
	for _, i := range m.instances(b) {
		id := m.prefix + strings.Join(b.Labels, ".")
		if i.key != nil {
			id += instanceKey(i.key)
		}
		if i.perhaps == "" {
			i.perhaps = m.perhaps
		}
		make(b, i, id)
	}
}

// resource evaluates one instance.
func (m *module) resource(b *hclsyntax.Block, i instance, id string) {
	args := i.frame.body(b.Body, true)
	m.root.resources = append(m.root.resources, &terraformResource{id: id, local: b.Labels[0] + "." + b.Labels[1], kind: b.Labels[0],
		args: args, at: i.frame.at(guard.NewNull(), b.DefRange()), perhaps: i.perhaps, prefix: m.prefix})
}

// meta are the arguments of Terraform itself.
var metaArguments = []string{"count", "for_each", "provider", "providers", "depends_on", "source", "version"}

// body is the arguments of a block and the blocks within it, which are lists.
func (f *frame) body(b *hclsyntax.Body, top bool) *value {
	if f.depth > maxDeep {
		return f.unknown(b.SrcRange, "blocks within each other more than %d levels deep", maxDeep)
	}
	var m []member
	for _, a := range inOrder(b.Attributes) {
		if top && slices.Contains(metaArguments, a.Name) {
			continue
		}
		v := f.eval(a.Expr)
		if v.IsNull() {
			continue
		}
		m = append(m, pair(f.at(text(a.Name), a.NameRange), v.Clone()))
	}
	blocks := map[string][]*value{}
	var names []string
	at := map[string]hcl.Range{}
	add := func(name string, r hcl.Range, v *value) {
		if blocks[name] == nil {
			names = append(names, name)
			at[name] = r
		}
		blocks[name] = append(blocks[name], v)
	}
	inner := *f
	inner.depth++
	for _, x := range b.Blocks {
		switch {
		case top && (x.Type == "lifecycle" || x.Type == "provisioner" || x.Type == "connection" || x.Type == "timeouts"):
		case x.Type == "dynamic" && len(x.Labels) == 1:
			for _, v := range inner.dynamic(x) {
				add(x.Labels[0], x.TypeRange, v)
			}
		default:
			add(x.Type, x.TypeRange, f.at(inner.body(x.Body, false), x.TypeRange))
		}
	}
	for _, name := range names {
		m = append(m, pair(f.at(text(name), at[name]), f.at(guard.NewList(blocks[name]...), at[name])))
	}
	return f.at(guard.NewMap(unique(m)...), b.SrcRange)
}

func inOrder(attributes hclsyntax.Attributes) []*hclsyntax.Attribute {
	var all []*hclsyntax.Attribute
	for _, a := range attributes {
		all = append(all, a)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].NameRange.Start.Byte < all[j].NameRange.Start.Byte })
	return all
}

// dynamic is a block for each item of a collection.
func (f *frame) dynamic(b *hclsyntax.Block) (all []*value) {
	a := b.Body.Attributes["for_each"]
	var content *hclsyntax.Block
	for _, x := range b.Body.Blocks {
		if x.Type == "content" {
			content = x
		}
	}
	if a == nil || content == nil {
		return nil
	}
	iterator := b.Labels[0]
	if i := b.Body.Attributes["iterator"]; i != nil {
		if name := hcl.ExprAsKeyword(i.Expr); name != "" {
			iterator = name
		}
	}
	make := func(key, x *value) *value {
		inner := f.with(map[string]*value{iterator: guard.NewMap(pair(text("key"), key.Clone()), pair(text("value"), x.Clone()))})
		return f.at(inner.body(content.Body, false), b.TypeRange)
	}
	v := f.eval(a.Expr)
	entries, ok := entriesOf(v)
	if !ok {
		why := "the blocks are unknown: " + reason(v, "for_each is no collection")
		unknown := f.at(guard.NewUnknown(guard.Unknown{Why: why, Present: true}), a.SrcRange)
		return []*value{make(unknown, unknown).Perhaps(why)}
	}
	for _, x := range entries[:min(len(entries), maxLoop)] {
		made := make(x.Name, x.Value)
		if d := cmpOr(v.Doubt(), x.Value.Doubt()); d != "" {
			made.Perhaps(d)
		}
		all = append(all, made)
	}
	return all
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// childrenOf are the modules that a block calls, evaluated once.
func (m *module) childrenOf(b *hclsyntax.Block) map[string]*module {
	name := b.Labels[0]
	if c, ok := m.children[name]; ok {
		return c
	}
	m.children[name] = map[string]*module{} // while it is open: a module cannot call itself
	dir, ok := m.locate(b)
	if !ok {
		return nil
	}
	for up := m; up != nil; up = up.parent {
		if up.text.dir == dir {
			at := b.DefRange()
			m.root.unread = append(m.root.unread, diag.Place{File: at.Filename, Line: at.Start.Line, Column: at.Start.Column, Why: "module " + name + " is within itself"})
			return nil
		}
	}
	t, ok := m.root.loadModule(dir)
	if !ok || m.depth > maxModules {
		m.root.missing = append(m.root.missing, missingModule{m.prefix + "module." + name, dir, diag.Place{File: b.DefRange().Filename, Line: b.DefRange().Start.Line, Column: 1}})
		return nil
	}
	all := map[string]*module{}
	for _, i := range m.instances(b) {
		child := m.root.module(t)
		key := ""
		if i.key != nil {
			key = instanceKey(i.key)
		}
		child.prefix, child.key, child.depth = m.prefix+"module."+name+key+".", strings.TrimPrefix(m.key+"."+name, "."), m.depth+1
		child.parent = m
		child.perhaps = cmpOr(i.perhaps, m.perhaps)
		child.given = map[string]*value{}
		for _, a := range inOrder(b.Body.Attributes) {
			if !slices.Contains(metaArguments, a.Name) {
				child.given[a.Name] = i.frame.eval(a.Expr)
			}
		}
		all[key] = child
	}
	m.children[name] = all
	return all
}

// locate is the folder of a module that is on disk.
func (m *module) locate(b *hclsyntax.Block) (string, bool) {
	name := b.Labels[0]
	source := ""
	if a := b.Body.Attributes["source"]; a != nil {
		source, _ = m.frame().eval(a.Expr).Text()
	}
	if strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../") {
		dir := path.Join(m.text.dir, source)
		if fs.ValidPath(dir) {
			return dir, true
		}
	}
	if dir, ok := m.root.installed[strings.TrimPrefix(m.key+"."+name, ".")]; ok && fs.ValidPath(dir) {
		return dir, true
	}
	m.root.missing = append(m.root.missing, missingModule{m.prefix + "module." + name, source, diag.Place{File: b.DefRange().Filename, Line: b.DefRange().Start.Line, Column: 1}})
	return "", false
}
