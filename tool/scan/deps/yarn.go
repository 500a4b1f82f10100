package deps

import (
	"context"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// yarnLock lists the packages of a yarn.lock, of yarn 1 or of its later versions.
func yarnLock(ctx context.Context, f manifest, out func(component.Component)) error {
	root, err := parseIndented(f.path, f.content)
	if err != nil {
		return err
	}
	berry := root.child("__metadata") != nil
	g := newGraph()
	asked := askedBeside(f)
	for _, b := range root.children {
		if b.key == "" || b.key == "__metadata" {
			continue
		}
		keys := yarnKeys(b.key)
		if b.text("linkType") == "soft" || strings.Contains(b.text("resolution"), "@workspace:") {
			asked.workspace(g, keys, b)
			continue
		}
		c := yarnComponent(keys[0], b, berry)
		c.Place = diag.Place{File: f.path, Line: b.line}
		if c.Name == "" {
			return diag.Errorf(c.Place, "a package without a name").In(f.content)
		}
		n := g.add(keys[0], c)
		for _, key := range keys[1:] {
			g.also(key, n)
		}
		for _, list := range []string{"dependencies", "optionalDependencies"} {
			for _, d := range b.child(list).all2() {
				n.needs = append(n.needs, yarnKey(d.key, d.value, berry))
			}
		}
	}
	runtime, development := asked.keys(func(name, requirement string) string { return yarnKey(name, requirement, berry) })
	return g.emit(ctx, runtime, development, out)
}

// all2 are the children, also of nil.
func (b *branch) all2() []*branch {
	if b == nil {
		return nil
	}
	return b.entries()
}

func yarnKeys(key string) []string {
	var keys []string
	for k := range strings.SplitSeq(key, ",") {
		keys = append(keys, strings.Trim(strings.TrimSpace(k), `"`))
	}
	return keys
}

// yarnKey is how a lock file calls what somebody asks for.
func yarnKey(name, requirement string, berry bool) string {
	if berry && !strings.Contains(requirement, ":") {
		requirement = "npm:" + requirement
	}
	return name + "@" + requirement
}

func yarnComponent(key string, b *branch, berry bool) component.Component {
	name, requirement := cutAt(key)
	if berry {
		if resolved, rest := cutAt(b.text("resolution")); resolved != "" {
			name, requirement = resolved, rest
		}
	}
	if rest, ok := strings.CutPrefix(requirement, "npm:"); ok && !berry { // alias@npm:real@version
		if real, _ := cutAt(rest); real != "" {
			name = real
		}
	}
	c := npmComponent(name, b.text("version"))
	c.Integrity = b.text("integrity")
	if sum := b.text("checksum"); sum != "" {
		_, sum, _ = strings.Cut("/"+sum, "/")
		c.Integrity = sum
	}
	return c
}

// cutAt parts name@rest, where the name may begin with @.
func cutAt(s string) (name, rest string) {
	if s == "" {
		return "", ""
	}
	if i := strings.IndexByte(s[1:], '@'); i >= 0 {
		return s[:i+1], s[i+2:]
	}
	return "", s
}

// npmComponent is a package of npm's registry, without its place. A version that
// is none, such as a link or an address, is UNRESOLVED.
func npmComponent(name, version string) component.Component {
	namespace, short := "", name
	if i := strings.IndexByte(name, '/'); i >= 0 {
		namespace, short = name[:i], name[i+1:]
	}
	c := component.Component{PURL: component.PURL("npm", namespace, short), Ecosystem: "npm", Name: name, Version: version, State: component.Resolved, Scope: component.Runtime}
	if !exactNpm(version) {
		c.State = component.Unresolved
	}
	return c
}

func exactNpm(version string) bool {
	_, ok := advisory.Compare("npm", version, version)
	return ok && strings.Count(version, ".") >= 2
}

// asked is what a project, or a workspace of it, asks for in its package.json.
type asked struct {
	runtime, development map[string]string // name: requirement
}

// askedBeside reads the package.json beside a lock file, and those of its workspaces.
func askedBeside(f manifest) asked {
	a := asked{map[string]string{}, map[string]string{}}
	p, ok := readPackage(f.tree, path.Join(path.Dir(f.path), "package.json"))
	if !ok {
		return a
	}
	a.add(p)
	for _, folder := range p.members(f.tree, path.Dir(f.path)) {
		if p, ok := readPackage(f.tree, path.Join(folder, "package.json")); ok {
			a.add(p)
		}
	}
	return a
}

func (a asked) add(p packageFile) {
	for name, requirement := range p.Dependencies {
		a.runtime[name] = requirement
	}
	for name, requirement := range p.Optional {
		a.runtime[name] = requirement
	}
	for name, requirement := range p.Development {
		a.development[name] = requirement
	}
}

// workspace takes what a workspace in a lock file of yarn asks for, where its
// package.json did not say so already.
func (a asked) workspace(_ *graph, _ []string, b *branch) {
	for _, d := range b.child("dependencies").all2() {
		if _, ok := a.development[d.key]; !ok {
			a.runtime[d.key] = d.value
		}
	}
}

func (a asked) keys(key func(name, requirement string) string) (runtime, development []string) {
	for name, requirement := range a.runtime {
		runtime = append(runtime, key(name, requirement))
	}
	for name, requirement := range a.development {
		development = append(development, key(name, requirement))
	}
	return sorted(runtime), sorted(development)
}
