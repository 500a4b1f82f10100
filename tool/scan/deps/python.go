package deps

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/lang/toml"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

func pypiComponent(name, version string) component.Component {
	c := pythonComponent(name)
	c.Direct, c.Scope, c.Version = false, component.Runtime, version
	if _, ok := advisory.Compare("PyPI", version, version); ok {
		c.State = component.Resolved
	}
	return c
}

func pypiName(name string) string { return advisory.Normal("PyPI", name) }

// nameOf is the name that a requirement begins with, normal: "requests[socks]>=2 ; …".
func nameOf(requirement string) string {
	requirement = strings.TrimSpace(requirement)
	for i := range len(requirement) {
		if c := requirement[i]; !(isBareKey(c) || c == '.') {
			requirement = requirement[:i]
			break
		}
	}
	return pypiName(requirement)
}

// pipfileLock lists the packages of a Pipfile.lock. The file holds no ways; what
// the Pipfile beside asks for is direct.
func pipfileLock(_ context.Context, f manifest, out func(component.Component)) error {
	lines := newLineIndex(f.content)
	direct := pipfileBeside(f)
	return readJSON(f, func(r jsonReader) error {
		return r.members(func(section string, _ int) error {
			if section == "_meta" || r.d.PeekKind() != '{' {
				return r.d.SkipValue()
			}
			return r.members(func(name string, offset int) error {
				var p struct {
					Version string   `json:"version"`
					Git     string   `json:"git"`
					Ref     string   `json:"ref"`
					Path    string   `json:"path"`
					File    string   `json:"file"`
					Hashes  []string `json:"hashes"`
				}
				if err := r.value(&p); err != nil {
					return err
				}
				if name == "" || p.Path == "." {
					return nil
				}
				c := pypiComponent(name, strings.TrimLeft(p.Version, "= "))
				if c.State == component.Unresolved {
					for _, from := range []string{p.Ref, p.Git, p.File, p.Path} {
						if from != "" && c.Version == "" {
							c.Version = from
						}
					}
				}
				c.Place = diag.Place{File: f.path, Line: lines.line(offset)}
				if section != "default" {
					c.Scope = component.Development
				}
				if direct == nil || direct[c.Name] {
					c.Direct, c.Path = direct != nil, []string{c.Name}
				}
				if len(p.Hashes) > 0 {
					c.Integrity = p.Hashes[0]
				}
				if direct == nil {
					c.Path = nil
				}
				out(c)
				return nil
			})
		})
	})
}

// pipfileBeside is what the Pipfile beside asks for; nil where there is none.
func pipfileBeside(f manifest) map[string]bool {
	text, ok := readBeside(f.tree, path.Join(path.Dir(f.path), "Pipfile"))
	if !ok {
		return nil
	}
	doc, err := toml.Read("Pipfile", text)
	if err != nil {
		return nil
	}
	direct := map[string]bool{}
	for _, section := range doc.Keys() {
		for _, name := range doc.Keys(section) {
			direct[pypiName(name)] = true
		}
	}
	return direct
}

// pythonWants is what a pyproject.toml asks for, by normal names.
type pythonWants struct {
	name                 string
	runtime, development []string
	known                bool
}

func wantsBeside(f manifest) pythonWants {
	text, ok := readBeside(f.tree, path.Join(path.Dir(f.path), "pyproject.toml"))
	if !ok {
		return pythonWants{}
	}
	doc, err := toml.Read("pyproject.toml", text)
	if err != nil {
		return pythonWants{}
	}
	w := pythonWants{name: pypiName(doc.String("project", "name")), known: true}
	for _, r := range pythonRequirements(doc) {
		if r.scope == component.Runtime {
			w.runtime = append(w.runtime, r.name)
		} else {
			w.development = append(w.development, r.name)
		}
	}
	return w
}

// pythonRequirement is one thing that a pyproject.toml or a Pipfile asks for.
type pythonRequirement struct {
	name, version string
	line          int
	scope         component.Scope
}

// pythonRequirements reads the sections of all tools that write one.
func pythonRequirements(doc *toml.Value) []pythonRequirement {
	var all []pythonRequirement
	list := func(scope component.Scope, at ...string) {
		for _, item := range doc.Items(at...) {
			if name := nameOf(item.Text); name != "" {
				all = append(all, pythonRequirement{name, requirementOf(item.Text), item.Line, scope})
			}
		}
	}
	table := func(scope component.Scope, at ...string) {
		for _, name := range doc.Keys(at...) {
			v := doc.At(append(slices.Clone(at), name)...)
			if name = pypiName(name); name == "python" || name == "" || v.IsTable() && v.At("path") != nil {
				continue
			}
			version := v.Text
			if v.IsTable() {
				version = v.String("version")
				for _, from := range []string{"git", "url", "file"} {
					if version == "" {
						version = v.String(from)
					}
				}
			}
			all = append(all, pythonRequirement{name, version, v.Line, scope})
		}
	}
	list(component.Runtime, "project", "dependencies")
	for _, group := range doc.Keys("project", "optional-dependencies") {
		list(component.Runtime, "project", "optional-dependencies", group)
	}
	for _, group := range doc.Keys("dependency-groups") {
		list(component.Development, "dependency-groups", group)
	}
	list(component.Development, "tool", "uv", "dev-dependencies")
	for _, group := range doc.Keys("tool", "pdm", "dev-dependencies") {
		list(component.Development, "tool", "pdm", "dev-dependencies", group)
	}
	table(component.Runtime, "tool", "poetry", "dependencies")
	table(component.Development, "tool", "poetry", "dev-dependencies")
	for _, group := range doc.Keys("tool", "poetry", "group") {
		scope := component.Development
		if group == "main" {
			scope = component.Runtime
		}
		table(scope, "tool", "poetry", "group", group, "dependencies")
	}
	return all
}

// requirementOf is what follows the name in "requests[socks] >=2 ; marker".
func requirementOf(s string) string {
	s, _, _ = strings.Cut(s, ";")
	if m := requirement().FindStringSubmatch(strings.TrimSpace(s)); m != nil {
		return strings.Trim(strings.TrimSpace(m[2]), "()")
	}
	return s
}

// pythonProject lists what a pyproject.toml or a Pipfile asks for where no lock file says what that became.
func pythonProject(_ context.Context, f manifest, out func(component.Component)) error {
	if lockAbove(f, "poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pylock.toml") {
		return nil
	}
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	wanted := pythonRequirements(doc)
	if path.Base(f.path) == "Pipfile" {
		lines := map[string]component.Scope{"packages": component.Runtime, "dev-packages": component.Development}
		for _, section := range []string{"packages", "dev-packages"} {
			for _, name := range doc.Keys(section) {
				v := doc.At(section, name)
				version := v.Text
				if v.IsTable() {
					version = v.String("version")
				}
				if v.At("path") == nil && pypiName(name) != "" {
					wanted = append(wanted, pythonRequirement{pypiName(name), version, v.Line, lines[section]})
				}
			}
		}
	}
	for _, r := range wanted {
		c := pythonComponent(r.name)
		c.Version, c.Scope = r.version, r.scope
		if exact := pinned().FindStringSubmatch(strings.TrimSpace(r.version)); exact != nil {
			c.Version, c.State = exact[1], component.Resolved
		}
		c.Place, c.Path = diag.Place{File: f.path, Line: r.line}, []string{c.Name}
		out(c)
	}
	return nil
}

// poetryLock lists the packages of a poetry.lock.
func poetryLock(ctx context.Context, f manifest, out func(component.Component)) error {
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	g := newGraph()
	for _, p := range doc.Items("package") {
		n, err := pythonLocked(f, g, p)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		for _, name := range p.Keys("dependencies") {
			n.needs = append(n.needs, pypiName(name))
		}
		switch category := p.String("category"); {
		case category != "":
			n.scoped = true
			if category != "main" {
				n.component.Scope = component.Development
			}
		case p.At("groups") != nil:
			n.scoped = true
			if !slices.ContainsFunc(p.Items("groups"), func(g *toml.Value) bool { return g.Text == "main" }) {
				n.component.Scope = component.Development
			}
		}
	}
	wants := wantsBeside(f)
	return g.emit(ctx, wants.runtime, wants.development, out)
}

// pythonLocked adds a [[package]] with name and version.
func pythonLocked(f manifest, g *graph, p *toml.Value) (*node, error) {
	if !p.IsTable() {
		return nil, nil
	}
	name := p.String("name")
	if pypiName(name) == "" {
		return nil, diag.Errorf(diag.Place{File: f.path, Line: p.Line}, "a package without a name").In(f.content)
	}
	c := pypiComponent(name, p.String("version"))
	c.Place = diag.Place{File: f.path, Line: lineOfKey(p, "name")}
	for _, files := range []string{"files", "wheels"} {
		if list := p.Items(files); len(list) > 0 && list[0].IsTable() {
			c.Integrity = list[0].String("hash")
		}
	}
	n := g.add(c.Name+"@"+c.Version, c)
	g.also(c.Name, n)
	return n, nil
}

// uvLock lists the packages of a uv.lock.
func uvLock(ctx context.Context, f manifest, out func(component.Component)) error {
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	g := newGraph()
	var runtime, development []string
	for _, p := range doc.Items("package") {
		if !p.IsTable() {
			continue
		}
		source := p.At("source")
		if source.String("editable") != "" || source.String("virtual") != "" { // the project, or a member of its workspace
			runtime = append(runtime, uvNeeds(p.Items("dependencies"))...)
			for _, extra := range p.Keys("optional-dependencies") {
				runtime = append(runtime, uvNeeds(p.Items("optional-dependencies", extra))...)
			}
			for _, group := range p.Keys("dev-dependencies") {
				development = append(development, uvNeeds(p.Items("dev-dependencies", group))...)
			}
			continue
		}
		n, err := pythonLocked(f, g, p)
		if err != nil {
			return err
		}
		n.needs = uvNeeds(p.Items("dependencies"))
		for _, extra := range p.Keys("optional-dependencies") {
			n.needs = append(n.needs, uvNeeds(p.Items("optional-dependencies", extra))...)
		}
		if n.component.Version == "" {
			n.component.Version = source.String("git")
		}
	}
	return g.emit(ctx, runtime, development, out)
}

func uvNeeds(list []*toml.Value) []string {
	var keys []string
	for _, d := range list {
		if !d.IsTable() {
			continue
		}
		key := pypiName(d.String("name"))
		if version := d.String("version"); version != "" {
			key += "@" + version
		}
		keys = append(keys, key)
	}
	return keys
}

// pdmLock lists the packages of a pdm.lock.
func pdmLock(ctx context.Context, f manifest, out func(component.Component)) error {
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	g := newGraph()
	for _, p := range doc.Items("package") {
		n, err := pythonLocked(f, g, p)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		for _, d := range p.Items("dependencies") {
			n.needs = append(n.needs, nameOf(d.Text))
		}
		if p.At("groups") != nil {
			n.scoped = true
			if !slices.ContainsFunc(p.Items("groups"), func(g *toml.Value) bool { return g.Text == "default" }) {
				n.component.Scope = component.Development
			}
		}
	}
	wants := wantsBeside(f)
	return g.emit(ctx, wants.runtime, wants.development, out)
}

func isPylock(name string) bool {
	base := path.Base(name)
	return base == "pylock.toml" || strings.HasPrefix(base, "pylock.") && strings.HasSuffix(base, ".toml")
}

// pylock lists the packages of a pylock.toml (PEP 751).
func pylock(ctx context.Context, f manifest, out func(component.Component)) error {
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	g := newGraph()
	for _, p := range doc.Items("packages") {
		n, err := pythonLocked(f, g, p)
		if err != nil {
			return err
		}
		if n != nil {
			n.needs = uvNeeds(p.Items("dependencies"))
		}
	}
	wants := wantsBeside(f)
	return g.emit(ctx, wants.runtime, wants.development, out)
}

func isPythonMetadata(name string) bool {
	dir, base := path.Split(name)
	return base == "METADATA" && strings.HasSuffix(dir, ".dist-info/") || base == "PKG-INFO" && strings.HasSuffix(dir, ".egg-info/") || strings.HasSuffix(base, ".egg-info")
}

// pythonMetadata is an installed package: the head of its METADATA.
func pythonMetadata(_ context.Context, f manifest, out func(component.Component)) error {
	head, _, _ := bytes.Cut(f.content, []byte("\n\n"))
	fields := mailFields(head)
	if pypiName(fields["Name"]) == "" {
		return diag.Errorf(diag.Place{File: f.path, Line: 1}, "a package without a name").In(f.content)
	}
	c := pypiComponent(fields["Name"], fields["Version"])
	c.Place, c.Supplier = diag.Place{File: f.path, Line: 1}, fields["Author"]
	for _, field := range []string{"License-Expression", "License"} {
		if l := fields[field]; l != "" && l != "UNKNOWN" && len(l) < 100 && len(c.Licences) == 0 {
			c.Licences = []string{l}
		}
	}
	out(c)
	return nil
}

// mailFields reads `Name: value` lines, as mail and Debian have them; what is indented goes on with the line before.
func mailFields(text []byte) map[string]string {
	fields := map[string]string{}
	last := ""
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if last != "" && len(fields[last]) < 1<<16 {
				fields[last] += "\n" + string(bytes.TrimSpace(line))
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if last = ""; ok {
			if last = string(name); fields[last] != "" {
				last = ""
				continue
			}
			fields[last] = string(bytes.TrimSpace(value))
		}
	}
	return fields
}

// globFolders are the folders that a pattern names in tree.
func globFolders(tree fs.FS, pattern string) []string {
	pattern = strings.ReplaceAll(pattern, "**", "*")
	if tree == nil || !fs.ValidPath(pattern) {
		return nil
	}
	found, err := fs.Glob(tree, pattern)
	if err != nil {
		return nil
	}
	return found
}

// isBareKey tells whether a name may have it without quotation marks.
func isBareKey(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}
