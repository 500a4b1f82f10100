package iac

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
)

// Short names for what every reader makes.
type (
	value  = guard.Value
	member = guard.Member
)

func text(s string) *value { return guard.NewText(s) }

// pair is a member.
func pair(name, v *value) member { return member{Name: name, Value: v} }

// named is a member whose name stands where its value does.
func named(name string, v *value) member { return member{Name: text(name).As(v), Value: v} }

// What a stack may be at most.
const (
	maxNested    = 10     // stacks within each other
	maxResources = 50_000 // of a template with all that it nests
)

// stack is a CloudFormation template that is being resolved.
type stack struct {
	tree   fs.FS // where nested templates are, or nil
	files  *files
	path   string
	file   int    // the number of path among files
	prefix string // of the IDs of its resources: Stack.
	depth  int

	root       *value
	given      map[string]*value // parameters that the parent sets
	conditions map[string]*condition
	resources  *value
	outputs    map[string]map[string]*value // of nested stacks
	loops      map[string]bool
	nested     *[]string // the files of nested templates
}

// files are the files of a document, each once.
type files struct{ names []string }

func (f *files) number(name string) int {
	if i := slices.Index(f.names, name); i >= 0 {
		return i
	}
	f.names = append(f.names, name)
	return len(f.names) - 1
}

// condition is one of a template's conditions.
type condition struct {
	open  bool // being resolved
	done  bool
	held  bool
	known bool
	why   string
}

// cloudFormation is a template with everything put in that can be known, and the
// files of the templates that it nests.
func cloudFormation(tree fs.FS, doc *guard.Document) (*guard.Document, []string, error) {
	f := &files{names: []string{doc.Name()}}
	var nested []string
	s := &stack{tree: tree, files: f, path: doc.Name(), root: doc.Root(), nested: &nested}
	members, err := s.resolve()
	if err != nil {
		return nil, nil, err
	}
	root := []member{}
	for name, v := range doc.Root().Members() {
		switch key, _ := name.Text(); key {
		case "Resources", "Outputs":
		default:
			root = append(root, pair(name.Clone(), v.Clone()))
		}
	}
	resources := doc.Root().Get("Resources")
	root = append(root, pair(text("Resources").As(resources), guard.NewMap(members...).As(resources)))
	return guard.Made(guard.NewMap(root...).As(doc.Root()), f.names...), nested, nil
}

// resolve makes the resources of a stack, with those of the stacks that it nests.
func (s *stack) resolve() ([]member, error) {
	s.conditions, s.outputs, s.loops = map[string]*condition{}, map[string]map[string]*value{}, map[string]bool{}
	s.resources = s.unrolled(s.root.Get("Resources"))
	if s.serverless() {
		s.resources = s.sam(s.resources)
	}
	var all []member
	for name, v := range s.resources.Members() {
		if !v.IsMap() {
			continue
		}
		held, known, why := s.conditionOf(v)
		if known && !held {
			continue
		}
		id, _ := name.Text()
		r := s.resource(v)
		if !known {
			r.Perhaps(why)
		}
		all = append(all, pair(s.at(text(s.prefix+id), name), r))
		inner, err := s.nest(id, v, r)
		if err != nil {
			return nil, err
		}
		all = append(all, inner...)
		if len(all) > maxResources {
			return nil, tooMany
		}
	}
	return all, nil
}

// at puts a value where another of this template is.
func (s *stack) at(v, other *value) *value {
	v.As(other)
	return v.InFile(s.file)
}

func (s *stack) conditionOf(resource *value) (held, known bool, why string) {
	name, ok := resource.Get("Condition").Text()
	if !ok {
		return true, true, ""
	}
	return s.condition(name)
}

// resource resolves what a resource says about itself.
func (s *stack) resource(v *value) *value {
	var all []member
	for name, x := range v.Members() {
		key, _ := name.Text()
		var r *value
		switch key {
		case "Type", "Metadata", "DependsOn", "Condition":
			r = s.copied(x)
		default:
			r = s.value(x)
		}
		if r != nil {
			all = append(all, pair(s.at(text(key), name), r))
		}
	}
	return s.at(guard.NewMap(all...), v)
}

// copied is v as it stands, in this template's file.
func (s *stack) copied(v *value) *value { return v.Clone().InFileAll(s.file) }

// nest makes the resources of a nested stack whose template is in the tree.
func (s *stack) nest(id string, raw, r *value) ([]member, error) {
	if t, _ := raw.Get("Type").Text(); t != "AWS::CloudFormation::Stack" && t != "AWS::Serverless::Application" {
		return nil, nil
	}
	properties := r.Get("Properties")
	location, ok := properties.Get("TemplateURL").Text()
	if !ok {
		location, ok = properties.Get("Location").Text()
	}
	if !ok || s.tree == nil || strings.Contains(location, "://") || s.depth >= maxNested {
		return nil, nil
	}
	file := path.Join(path.Dir(s.path), location)
	if !fs.ValidPath(file) {
		return nil, nil
	}
	doc, err := loadTemplate(s.tree, file)
	if err != nil || doc == nil {
		return nil, nil // it is reported where it is scanned itself
	}
	*s.nested = append(*s.nested, file)
	child := &stack{tree: s.tree, files: s.files, path: file, file: s.files.number(file), prefix: s.prefix + id + ".", depth: s.depth + 1, root: doc.Root(), nested: s.nested, given: map[string]*value{}}
	for name, v := range properties.Get("Parameters").Members() {
		key, _ := name.Text()
		child.given[key] = v
	}
	members, err := child.resolve()
	if err != nil {
		return nil, err
	}
	s.outputs[id] = map[string]*value{}
	for name, o := range child.root.Get("Outputs").Members() {
		if v := child.value(o.Get("Value")); v != nil {
			key, _ := name.Text()
			s.outputs[id][key] = v
		}
	}
	return members, nil
}

// loadTemplate reads a template of the tree, or nil where it is none.
func loadTemplate(tree fs.FS, file string) (*guard.Document, error) {
	info, err := fs.Stat(tree, file)
	if err != nil || info.Size() > maxTemplate {
		return nil, err
	}
	content, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, err
	}
	doc, err := guard.Load(file, content)
	if err != nil || !doc.Root().Get("Resources").IsMap() {
		return nil, err
	}
	return doc, nil
}

// unrolled are members with the loops among them written out (Fn::ForEach).
func (s *stack) unrolled(v *value) *value {
	if !v.IsMap() {
		return v
	}
	loops := false
	for name := range v.Members() {
		key, _ := name.Text()
		loops = loops || strings.HasPrefix(key, "Fn::ForEach::")
	}
	if !loops {
		return v
	}
	var all []member
	for name, x := range v.Members() {
		if key, _ := name.Text(); !strings.HasPrefix(key, "Fn::ForEach::") {
			all = append(all, pair(name.Clone(), x.Clone()))
			continue
		}
		all = append(all, s.loop(x)...)
	}
	return s.at(guard.NewMap(all...), v)
}

// loop writes out [identifier, items, {name: value}].
func (s *stack) loop(v *value) []member {
	parts := v.Items()
	if len(parts) != 3 || !parts[2].IsMap() {
		return nil
	}
	identifier, _ := parts[0].Text()
	list := s.value(parts[1])
	var all []member
	for _, item := range list.Items() {
		by, ok := item.Scalar()
		if !ok || len(all) > maxResources {
			continue
		}
		for name, x := range parts[2].Members() {
			made := substituted(guard.NewMap(pair(name.Clone(), x.Clone())), identifier, by)
			for n, v := range s.unrolled(made).Members() {
				all = append(all, pair(n.Clone(), v.Clone()))
			}
		}
	}
	return all
}

// substituted is v with ${identifier} and &{identifier} put in, in names too.
func substituted(v *value, identifier, by string) *value {
	put := func(s string) string {
		s = strings.ReplaceAll(s, "${"+identifier+"}", by)
		return strings.ReplaceAll(s, "&{"+identifier+"}", nameOnly(by))
	}
	switch {
	case v.IsMap():
		if ref, ok := v.Get("Ref").Text(); ok && v.Len() == 1 && ref == identifier {
			return text(by).As(v)
		}
		var all []member
		for name, x := range v.Members() {
			key, _ := name.Text()
			all = append(all, pair(text(put(key)).As(name), substituted(x, identifier, by)))
		}
		return guard.NewMap(all...).As(v)
	case v.IsList():
		var all []*value
		for _, x := range v.Items() {
			all = append(all, substituted(x, identifier, by))
		}
		return guard.NewList(all...).As(v)
	}
	if t, ok := v.Text(); ok {
		return text(put(t)).As(v)
	}
	return v.Clone()
}

func nameOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}
