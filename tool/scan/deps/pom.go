package deps

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// element is an XML element with its place.
type element struct {
	name     string
	text     string
	line     int
	attrs    []xml.Attr
	children []*element
}

// attr is an attribute, or "".
func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// each calls visit for every element below e, the outer one first.
func (e *element) each(visit func(*element)) {
	for _, c := range e.children {
		visit(c)
		c.each(visit)
	}
}

func (e *element) child(name string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// value is the text of a child, or "".
func (e *element) value(name string) string {
	if c := e.child(name); c != nil {
		return c.text
	}
	return ""
}

// parseXML reads a document into elements, bounded in depth and number. Entities
// are not expanded beyond XML's five.
func parseXML(name string, text []byte) (*element, error) {
	const deepest, most = 100, 500_000
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "iso-8859-1", "latin1", "us-ascii", "windows-1252":
			return latin1{in}, nil
		}
		return nil, fmt.Errorf("encoding %s is not known", charset)
	}
	root := &element{}
	stack := []*element{root}
	count := 0
	wrong := func(message string) error {
		line, column := d.InputPos()
		return diag.Errorf(diag.Place{File: name, Line: line, Column: column}, "%s", message).In(text)
	}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) {
				return nil, diag.Errorf(diag.Place{File: name, Line: syntax.Line}, "%s", syntax.Msg).In(text)
			}
			return nil, wrong(err.Error())
		}
		top := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if count++; len(stack) > deepest || count > most {
				return nil, wrong("too deep or too many elements")
			}
			line, _ := d.InputPos()
			e := &element{name: t.Name.Local, line: line, attrs: t.Attr}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			top.text = strings.TrimSpace(top.text)
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(top.text) < 1<<12 {
				top.text += string(t)
			}
		}
	}
	if len(root.children) == 0 {
		return nil, wrong("no element")
	}
	return root.children[0], nil
}

// latin1 turns bytes into the characters that they number.
type latin1 struct{ in io.Reader }

func (l latin1) Read(p []byte) (int, error) {
	half := make([]byte, max(1, len(p)/2))
	n, err := l.in.Read(half)
	var b []byte
	for _, c := range half[:n] {
		b = append(b, string(rune(c))...)
	}
	return copy(p, b), err
}

// project is a pom.xml and, where they lie in the tree, its parents.
type project struct {
	path    string
	root    *element
	parent  *project
	managed map[string]*element // group:artifact[:type[:classifier]] of dependencyManagement
	boms    []*project

	installed bool // it lies in the repository of this machine, where no path leads to a neighbour
}

// pom lists the dependencies of a pom.xml: properties, parents and managed
// versions are resolved as far as the tree holds them.
func pom(ctx context.Context, f manifest, out func(component.Component)) error {
	r := pomReader{ctx: ctx, tree: f, installed: map[string]*project{}}
	p, err := r.read(f.path, f.content, 0)
	if err != nil {
		return err
	}
	if p.root.name != "project" {
		return diag.Errorf(diag.Place{File: f.path, Line: p.root.line}, "no project of Maven, but <%s>", p.root.name)
	}
	lists := []*element{p.root.child("dependencies")}
	if profiles := p.root.child("profiles"); profiles != nil {
		for _, profile := range profiles.children {
			lists = append(lists, profile.child("dependencies"))
		}
	}
	g := newGraph()
	var runtime, tests []string
	for _, list := range lists {
		if list == nil {
			continue
		}
		for _, d := range list.children {
			c, ok := p.dependency(d)
			if !ok || d.name != "dependency" {
				continue
			}
			key := c.Name
			if g.nodes[key] != nil { // again, with another classifier or in a profile
				key = fmt.Sprintf("%s %d", c.Name, len(g.order))
			}
			n := g.add(key, c)
			if c.Scope == component.Development {
				tests = append(tests, key)
			} else {
				runtime = append(runtime, key)
			}
			n.exclude = exclusions(p, d)
		}
	}
	if f.local.Maven != nil {
		r.follow(g, p)
	}
	return g.emit(ctx, runtime, tests, out)
}

// follow adds what the dependencies need in turn, from the repository of this
// machine: the nearest version wins, and what the project manages wins over all,
// as Maven does it.
func (r *pomReader) follow(g *graph, top *project) {
	const mostFollowed = 5000
	for i := 0; i < len(g.order) && i < mostFollowed && r.ctx.Err() == nil; i++ {
		n := g.order[i]
		group, artifact, _ := strings.Cut(n.component.Name, ":")
		if n.component.State != component.Resolved {
			continue
		}
		found := r.install(group, artifact, n.component.Version, 1)
		if found == nil {
			continue
		}
		if len(n.component.Licences) == 0 {
			n.component.Licences = found.licences()
		}
		for _, d := range found.root.child("dependencies").kids() {
			c, ok := found.dependency(d)
			if scope := c.Scope; !ok || scope == component.Development || found.resolve(d.value("optional")) == "true" || excluded(n.exclude, c.Name) {
				continue
			}
			if scope := found.resolve(d.value("scope")); scope == "provided" || scope == "system" {
				continue
			}
			if owner, m := top.manages(managedKey(found, d), 0); m != nil {
				if version := owner.resolve(m.value("version")); version != "" {
					c = mavenComponent(strings.Split(c.Name, ":")[0], strings.Split(c.Name, ":")[1], version)
				}
			}
			n.needs = append(n.needs, c.Name)
			if g.nodes[c.Name] != nil {
				continue
			}
			c.Direct, c.Place = false, n.component.Place
			more := g.add(c.Name, c)
			more.exclude = append(exclusions(found, d), n.exclude...)
		}
	}
}

// kids are the children, also of nil.
func (e *element) kids() []*element {
	if e == nil {
		return nil
	}
	return e.children
}

// exclusions are the names that a dependency is taken without: group:artifact, either may be *.
func exclusions(p *project, d *element) []string {
	var all []string
	for _, x := range d.child("exclusions").kids() {
		all = append(all, p.resolve(x.value("groupId"))+":"+p.resolve(x.value("artifactId")))
	}
	return all
}

func excluded(list []string, name string) bool {
	group, artifact, _ := strings.Cut(name, ":")
	return slices.ContainsFunc(list, func(x string) bool {
		g, a, _ := strings.Cut(x, ":")
		return (g == "*" || g == group) && (a == "*" || a == artifact)
	})
}

// licences are those that a project declares, or else its parents.
func (p *project) licences() []string {
	for at := p; at != nil; at = at.parent {
		var all []string
		for _, l := range at.root.child("licenses").kids() {
			if name := firstNonEmpty(l.value("name"), l.value("url")); name != "" {
				all = append(all, name)
			}
		}
		if len(all) > 0 {
			return all
		}
	}
	return nil
}

type pomReader struct {
	ctx       context.Context
	tree      manifest
	count     int
	installed map[string]*project
}

const (
	mostPoms     = 5000
	deepestChain = 20
)

func (r *pomReader) read(name string, text []byte, depth int) (*project, error) {
	return r.readAs(name, text, depth, false)
}

func (r *pomReader) readAs(name string, text []byte, depth int, installed bool) (*project, error) {
	if r.ctx.Err() != nil {
		return nil, r.ctx.Err()
	}
	r.count++
	root, err := parseXML(name, text)
	if err != nil {
		return nil, err
	}
	p := &project{path: name, root: root, managed: map[string]*element{}, installed: installed}
	if depth < deepestChain && r.count < mostPoms {
		p.parent = r.parentOf(p, depth)
	}
	if list := root.child("dependencyManagement").child("dependencies"); list != nil {
		for _, d := range list.children {
			p.managed[managedKey(p, d)] = d
			if p.resolve(d.value("scope")) == "import" && depth < deepestChain && r.count < mostPoms {
				if bom := r.bomOf(p, d, depth); bom != nil {
					p.boms = append(p.boms, bom)
				}
			}
		}
	}
	return p, nil
}

// parentOf is the parent where the tree holds it, at the place that Maven looks at first.
func (r *pomReader) parentOf(p *project, depth int) *project {
	parent := p.root.child("parent")
	if parent == nil {
		return nil
	}
	relative := "../pom.xml"
	if e := parent.child("relativePath"); e != nil {
		relative = e.text
	}
	if relative != "" && !p.installed {
		at := path.Join(path.Dir(p.path), relative)
		if !strings.HasSuffix(at, ".xml") {
			at = path.Join(at, "pom.xml")
		}
		if found := r.open(at, depth); found != nil && found.root.value("artifactId") == parent.value("artifactId") {
			return found
		}
	}
	return r.install(parent.value("groupId"), parent.value("artifactId"), parent.value("version"), depth)
}

// install is a project as the repository of this machine has it, or nil.
func (r *pomReader) install(group, artifact, version string, depth int) *project {
	if r.tree.local.Maven == nil || group == "" || artifact == "" || !exactMaven(version) || strings.ContainsAny(group+artifact+version, "/\\") {
		return nil
	}
	at := path.Join(strings.ReplaceAll(group, ".", "/"), artifact, version, artifact+"-"+version+".pom")
	if p, ok := r.installed[at]; ok {
		return p
	}
	r.installed[at] = nil // while it is read: a circle ends here
	if text, ok := readBeside(r.tree.local.Maven, at); ok {
		if found, err := r.readAs(at, text, depth+1, true); err == nil {
			r.installed[at] = found
		}
	}
	return r.installed[at]
}

// bomOf is an imported list of versions where the tree holds it: beside the
// project, or in a folder named as the artifact.
func (r *pomReader) bomOf(p *project, d *element, depth int) *project {
	artifact := p.resolve(d.value("artifactId"))
	for _, at := range []string{path.Join(path.Dir(p.path), artifact, "pom.xml"), path.Join(path.Dir(path.Dir(p.path)), artifact, "pom.xml")} {
		if found := r.open(at, depth); found != nil && found.root.value("artifactId") == artifact {
			return found
		}
	}
	return r.install(p.resolve(d.value("groupId")), artifact, p.resolve(d.value("version")), depth)
}

func (r *pomReader) open(at string, depth int) *project {
	text, ok := readBeside(r.tree.tree, at)
	if !ok {
		return nil
	}
	found, err := r.read(at, text, depth+1)
	if err != nil {
		return nil // reported where it is met on its own
	}
	return found
}

func managedKey(p *project, d *element) string {
	key := p.resolve(d.value("groupId")) + ":" + p.resolve(d.value("artifactId"))
	if kind := d.value("type"); kind != "" && kind != "jar" {
		key += ":" + kind
	}
	if classifier := p.resolve(d.value("classifier")); classifier != "" {
		key += ":" + classifier
	}
	return key
}

// property is what ${name} stands for, "" where nobody in the tree says.
func (p *project) property(name string) (string, bool) {
	field := strings.TrimPrefix(strings.TrimPrefix(name, "project."), "pom.")
	if field != name || name == "version" || name == "groupId" {
		if rest, ok := strings.CutPrefix(field, "parent."); ok {
			v := p.root.child("parent").value(rest)
			return v, v != ""
		}
		for at := p; at != nil; at = at.parent {
			if v := at.root.value(field); v != "" {
				return v, true
			}
			if v := at.root.child("parent").value(field); v != "" && field != "artifactId" {
				return v, true
			}
		}
	}
	for at := p; at != nil; at = at.parent {
		if e := at.root.child("properties").child(name); e != nil {
			return e.text, true
		}
	}
	return "", false
}

// resolve replaces properties; what cannot be replaced stays.
func (p *project) resolve(s string) string {
	const rounds, longest = 20, 4096
	for range rounds {
		i := strings.Index(s, "${")
		if i < 0 {
			return s
		}
		replaced, changed := replaceProperties(s, "${", '}', p.property)
		if !changed || len(replaced) > longest {
			return s
		}
		s = replaced
	}
	return s
}

// replaceProperties replaces what stands between open and end, as far as property knows it.
func replaceProperties(s, open string, end byte, property func(string) (string, bool)) (string, bool) {
	const longest = 1 << 14
	var b strings.Builder
	changed := false
	for b.Len() < longest {
		i := strings.Index(s, open)
		if i < 0 {
			break
		}
		n := strings.IndexByte(s[i:], end)
		if n < 0 {
			break
		}
		b.WriteString(s[:i])
		if v, ok := property(s[i+len(open) : i+n]); ok {
			b.WriteString(v)
			changed = true
		} else {
			b.WriteString(s[i : i+n+1])
		}
		s = s[i+n+1:]
	}
	b.WriteString(s)
	return b.String(), changed
}

// manages is what dependencyManagement says of a dependency: the project's own, then its parents', then that of imported lists.
func (p *project) manages(key string, depth int) (*project, *element) {
	for at := p; at != nil && depth < deepestChain; at = at.parent {
		if d := at.managed[key]; d != nil && at.resolve(d.value("scope")) != "import" {
			return p, d // properties are the lowest child's
		}
		for _, bom := range at.boms {
			if owner, d := bom.manages(key, depth+1); d != nil {
				return owner, d
			}
		}
	}
	return nil, nil
}

func (p *project) dependency(d *element) (component.Component, bool) {
	group, artifact := p.resolve(d.value("groupId")), p.resolve(d.value("artifactId"))
	if group == "" || artifact == "" {
		return component.Component{}, false
	}
	line := d.line
	if e := d.child("artifactId"); e != nil {
		line = e.line
	}
	version, scope := p.resolve(d.value("version")), p.resolve(d.value("scope"))
	if e := d.child("version"); e != nil {
		line = e.line
	}
	if version == "" || scope == "" {
		if owner, m := p.manages(managedKey(p, d), 0); m != nil {
			if version == "" {
				version = owner.resolve(m.value("version"))
			}
			if scope == "" {
				scope = owner.resolve(m.value("scope"))
			}
		}
	}
	c := mavenComponent(group, artifact, version)
	c.Direct, c.Place = true, diag.Place{File: p.path, Line: line}
	if scope == "test" {
		c.Scope = component.Development
	}
	if inner, ok := strings.CutPrefix(version, "["); ok && strings.HasSuffix(inner, "]") && !strings.Contains(inner, ",") { // [1.0] is exactly 1.0
		inner = strings.TrimSuffix(inner, "]")
		c.Version, c.State = inner, component.Resolved
	}
	if version == "" {
		c.Version = "managed elsewhere"
	}
	return c, true
}
