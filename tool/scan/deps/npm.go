package deps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// npmPackage is one package of a lock file, at its path: node_modules/a/node_modules/b.
type npmPackage struct {
	path         string
	offset       int
	Name         string            `json:"name"` // where it differs from the path's: an alias
	Version      string            `json:"version"`
	Resolved     string            `json:"resolved"`
	Integrity    string            `json:"integrity"`
	License      jsontext.Value    `json:"license"`
	Link         bool              `json:"link"`
	Dev          bool              `json:"dev"`
	DevOptional  bool              `json:"devOptional"`
	Dependencies map[string]string `json:"dependencies"`
	Development  map[string]string `json:"devDependencies"`
	Optional     map[string]string `json:"optionalDependencies"`
	Peers        map[string]string `json:"peerDependencies"`
}

const (
	deepestLock = 400
	modules     = "node_modules/"
)

// npmLock lists the packages of a package-lock.json of version 1, 2 or 3.
func npmLock(ctx context.Context, f manifest, out func(component.Component)) error {
	r := lockReader{d: jsontext.NewDecoder(bytes.NewReader(f.content), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), file: f, old: map[string]*npmPackage{}, packages: map[string]*npmPackage{}}
	if err := r.lock(); err != nil {
		return r.wrong(err)
	}
	packages := r.packages
	if len(packages) == 0 {
		packages = r.old
		r.rootOfOld(packages)
	}
	lines := newLineIndex(f.content)
	g := newNpmGraph(packages)
	for _, p := range g.sorted() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !strings.Contains(p.path, modules) || p.Link {
			continue
		}
		c := p.component()
		c.Place = diag.Place{File: f.path, Line: lines.line(p.offset)}
		if c.Name == "" {
			return diag.Errorf(c.Place, "a package without a name").In(f.content)
		}
		c.Direct, c.Path, c.Needs = g.direct[p.path], g.way(p), g.needs(p)
		out(c)
	}
	return nil
}

type lockReader struct {
	d        *jsontext.Decoder
	file     manifest
	packages map[string]*npmPackage // of versions 2 and 3
	old      map[string]*npmPackage // of version 1, by the path that they are installed at
}

func (r *lockReader) wrong(err error) error {
	var at *diag.Error
	if errors.As(err, &at) {
		return at
	}
	return diag.Errorf(diag.At(r.file.path, r.file.content, int(r.d.InputOffset())), "no lock file of npm: %v", err).In(r.file.content)
}

// members calls each for every member of the object that comes next.
func (r *lockReader) members(each func(name string, offset int) error) error {
	return members(r.d, each)
}

func (r *lockReader) lock() error {
	return r.members(func(name string, _ int) error {
		switch name {
		case "packages":
			return r.members(r.entry)
		case "dependencies":
			return r.oldEntries("", 0)
		}
		return r.d.SkipValue()
	})
}

func (r *lockReader) entry(name string, offset int) error {
	value, err := r.d.ReadValue()
	if err != nil {
		return err
	}
	p := &npmPackage{}
	if err := json.Unmarshal(value, p, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return fmt.Errorf("package %q: %w", name, err)
	}
	if len(r.packages) >= MostComponents {
		return errTooMany
	}
	p.path, p.offset = name, offset
	r.packages[name] = p
	return nil
}

// oldEntries reads `dependencies` of version 1, which nest as they are installed.
func (r *lockReader) oldEntries(at string, depth int) error {
	if depth > deepestLock {
		return fmt.Errorf("nested more than %d deep", deepestLock)
	}
	return r.members(func(name string, offset int) error {
		p := &npmPackage{path: at + modules + name, offset: offset, Dependencies: map[string]string{}}
		if len(r.old) >= MostComponents {
			return errTooMany
		}
		r.old[p.path] = p
		return r.members(func(member string, _ int) error { return r.oldMember(p, member, depth) })
	})
}

func (r *lockReader) oldMember(p *npmPackage, member string, depth int) error {
	switch member {
	case "dependencies":
		return r.oldEntries(p.path+"/", depth+1)
	case "requires":
		if r.d.PeekKind() != '{' {
			return r.d.SkipValue()
		}
		return r.members(func(name string, _ int) error {
			p.Dependencies[name] = ""
			return r.d.SkipValue()
		})
	}
	value, err := r.d.ReadValue()
	if err != nil {
		return err
	}
	into := map[string]any{"version": &p.Version, "resolved": &p.Resolved, "integrity": &p.Integrity, "dev": &p.Dev}[member]
	if into != nil {
		if err := json.Unmarshal(value, into, jsontext.AllowInvalidUTF8(true)); err != nil {
			return fmt.Errorf("%s of %s: %w", member, p.path, err)
		}
	}
	return nil
}

// rootOfOld is what the project itself asks for: its package.json knows, else
// what no package asks for.
func (r *lockReader) rootOfOld(packages map[string]*npmPackage) {
	root := &npmPackage{}
	if text, ok := readBeside(r.file.tree, path.Join(path.Dir(r.file.path), "package.json")); ok {
		_ = json.Unmarshal(text, root, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // then the other way
	}
	if len(root.Dependencies)+len(root.Development)+len(root.Optional) == 0 {
		asked := map[string]bool{}
		for _, p := range packages {
			for name := range p.Dependencies {
				asked[name] = true
			}
		}
		root.Dependencies = map[string]string{}
		for at := range packages {
			if name := at[len(modules):]; !strings.Contains(name, modules) && !asked[name] {
				root.Dependencies[name] = ""
			}
		}
	}
	packages[""] = root
}

// component is p as a component, without its place.
func (p *npmPackage) component() component.Component {
	name := p.path[strings.LastIndex(p.path, modules)+len(modules):]
	if p.Name != "" {
		name = p.Name
	}
	version := p.Version
	if rest, ok := strings.CutPrefix(version, "npm:"); ok { // version 1 writes an alias as npm:name@version
		if i := strings.LastIndexByte(rest, '@'); i > 0 {
			name, version = rest[:i], rest[i+1:]
		}
	}
	if version == "" {
		version = p.Resolved
	}
	c := npmComponent(name, version) // git+ssh://…, file:… are no versions
	c.Integrity, c.Licences = p.Integrity, licenceOf(p.License)
	if p.Dev || p.DevOptional {
		c.Scope = component.Development
	}
	return c
}

// npmGraph tells how packages come into a project.
type npmGraph struct {
	packages map[string]*npmPackage
	from     map[string]string // path: by which path it was reached first
	direct   map[string]bool
}

// newNpmGraph walks from the project and its workspaces, nearest first.
func newNpmGraph(packages map[string]*npmPackage) *npmGraph {
	g := &npmGraph{packages: packages, from: map[string]string{}, direct: map[string]bool{}}
	var queue []*npmPackage
	for _, p := range g.sorted() {
		if !strings.Contains(p.path, modules) { // the project, or a workspace
			g.from[p.path] = ""
			queue = append(queue, p)
		}
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		own := !strings.Contains(p.path, modules)
		for _, name := range p.asks(own) {
			to := g.resolve(p.path, name)
			if to == nil {
				continue
			}
			if own {
				g.direct[to.path] = true
			}
			if _, seen := g.from[to.path]; !seen {
				g.from[to.path] = p.path
				queue = append(queue, to)
			}
		}
	}
	return g
}

func (g *npmGraph) sorted() []*npmPackage {
	all := make([]*npmPackage, 0, len(g.packages))
	for _, p := range g.packages {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *npmPackage) int { return strings.Compare(a.path, b.path) })
	return all
}

func (p *npmPackage) asks(own bool) []string {
	var names []string
	for _, m := range []map[string]string{p.Dependencies, p.Optional, p.Peers} {
		for name := range m {
			names = append(names, name)
		}
	}
	if own {
		for name := range p.Development {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// resolve finds a package as Node.js does: beside, then further up.
func (g *npmGraph) resolve(from, name string) *npmPackage {
	for at := from; ; {
		candidate := modules + name
		if at != "" {
			candidate = at + "/" + modules + name
		}
		if p := g.packages[candidate]; p != nil {
			if p.Link {
				if target := g.packages[p.Resolved]; target != nil {
					return target
				}
			}
			return p
		}
		if at == "" {
			return nil
		}
		if i := strings.LastIndex(at, "/"+modules); i >= 0 {
			at = at[:i]
		} else {
			at = ""
		}
	}
}

// needs are the packages that p asks for, as they are installed.
func (g *npmGraph) needs(p *npmPackage) []string {
	var all []string
	for _, name := range p.asks(false) {
		if to := g.resolve(p.path, name); to != nil && to != p && strings.Contains(to.path, modules) {
			all = append(all, to.component().Locator())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// way is the names from what the project asks for down to p.
func (g *npmGraph) way(p *npmPackage) []string {
	var names []string
	for at := p.path; strings.Contains(at, modules) && len(names) < longestWay; {
		names = append(names, at[strings.LastIndex(at, modules)+len(modules):])
		from, ok := g.from[at]
		if !ok {
			break // nothing leads there: an extraneous package
		}
		at = from
	}
	slices.Reverse(names)
	return names
}
