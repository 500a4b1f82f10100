package deps

import (
	"context"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

func nugetComponent(name, version string) component.Component {
	c := component.Component{PURL: component.PURL("nuget", "", name), Ecosystem: "NuGet", Name: name, Version: version, State: component.Resolved, Scope: component.Runtime}
	if _, ok := advisory.Compare("NuGet", version, version); !ok || strings.ContainsAny(version, "*[](),$") {
		c.State = component.Unresolved
	}
	return c
}

// nugetLock lists the packages of a packages.lock.json, over all target frameworks.
func nugetLock(ctx context.Context, f manifest, out func(component.Component)) error {
	lines := newLineIndex(f.content)
	g := newGraph()
	var direct []string
	err := readJSON(f, func(r jsonReader) error {
		return r.members(func(section string, _ int) error {
			if section != "dependencies" {
				return r.d.SkipValue()
			}
			return r.members(func(string, int) error {
				return r.members(func(name string, offset int) error {
					var p struct {
						Type         string            `json:"type"`
						Requested    string            `json:"requested"`
						Resolved     string            `json:"resolved"`
						Hash         string            `json:"contentHash"`
						Dependencies map[string]string `json:"dependencies"`
					}
					if err := r.value(&p); err != nil {
						return err
					}
					key := strings.ToLower(name)
					if p.Type == "Project" { // of the same solution: what it needs, the project needs
						for d := range p.Dependencies {
							direct = append(direct, strings.ToLower(d))
						}
						return nil
					}
					if name == "" {
						return diag.Errorf(diag.Place{File: f.path, Line: lines.line(offset)}, "a package without a name").In(f.content)
					}
					c := nugetComponent(name, p.Resolved)
					if p.Resolved == "" {
						c.Version = p.Requested
					}
					c.Place, c.Integrity = diag.Place{File: f.path, Line: lines.line(offset)}, p.Hash
					n := g.add(key, c)
					for _, d := range sortedKeys(p.Dependencies) {
						n.needs = append(n.needs, strings.ToLower(d))
					}
					if p.Type == "Direct" {
						direct = append(direct, key)
					}
					return nil
				})
			})
		})
	})
	if err != nil {
		return err
	}
	return g.emit(ctx, direct, nil, once(out))
}

// nugetDeps lists the packages of a .deps.json, which lies beside what was built.
func nugetDeps(ctx context.Context, f manifest, out func(component.Component)) error {
	lines := newLineIndex(f.content)
	g := newGraph()
	needs := map[string][]string{}
	var own []string
	err := readJSON(f, func(r jsonReader) error {
		return r.members(func(section string, _ int) error {
			switch section {
			case "targets":
				return r.members(func(string, int) error {
					return r.members(func(id string, _ int) error {
						var p struct {
							Dependencies map[string]string `json:"dependencies"`
						}
						if err := r.value(&p); err != nil {
							return err
						}
						for _, d := range sortedKeys(p.Dependencies) {
							needs[id] = append(needs[id], strings.ToLower(d))
						}
						return nil
					})
				})
			case "libraries":
				return r.members(func(id string, offset int) error {
					var p struct {
						Type string `json:"type"`
						Hash string `json:"sha512"`
					}
					if err := r.value(&p); err != nil {
						return err
					}
					name, version, _ := strings.Cut(id, "/")
					if p.Type == "project" {
						own = append(own, id)
						return nil
					}
					if name == "" || p.Type != "package" && p.Type != "runtimepack" {
						return nil
					}
					c := nugetComponent(strings.TrimPrefix(name, "runtimepack."), version)
					c.Place, c.Integrity = diag.Place{File: f.path, Line: lines.line(offset)}, p.Hash
					g.add(strings.ToLower(name), c).needs = []string{id}
					return nil
				})
			}
			return r.d.SkipValue()
		})
	})
	if err != nil {
		return err
	}
	for _, n := range g.order {
		n.needs = needs[n.needs[0]]
	}
	var direct []string
	for _, id := range own {
		direct = append(direct, needs[id]...)
	}
	return g.emit(ctx, direct, nil, out)
}

// nugetConfig lists the packages of a packages.config.
func nugetConfig(_ context.Context, f manifest, out func(component.Component)) error {
	root, err := parseXML(f.path, f.content)
	if err != nil {
		return err
	}
	for _, p := range root.children {
		name := p.attr("id")
		if p.name != "package" || name == "" {
			continue
		}
		c := nugetComponent(name, p.attr("version"))
		c.Place, c.Direct, c.Path = diag.Place{File: f.path, Line: p.line}, true, []string{name}
		if p.attr("developmentDependency") == "true" {
			c.Scope = component.Development
		}
		out(c)
	}
	return nil
}

func isMSBuild(name string) bool {
	switch path.Ext(name) {
	case ".csproj", ".vbproj", ".fsproj":
		return true
	}
	base := path.Base(name)
	return base == "Directory.Build.props" || base == "Directory.Packages.props"
}

// msbuild lists the packages that a project file of .NET refers to, with versions
// from its properties and from Directory.Packages.props above it, where no lock
// file says more. A version there is the least that is taken: `1.2.3` alone is
// what NuGet takes if nothing asks for more, so it counts as known.
func msbuild(_ context.Context, f manifest, out func(component.Component)) error {
	root, err := parseXML(f.path, f.content)
	if err != nil {
		return err
	}
	if path.Base(f.path) == "Directory.Packages.props" || exists(f.tree, path.Join(path.Dir(f.path), "packages.lock.json")) {
		return nil // versions only, for those who ask; or the lock file knows better
	}
	properties := map[string]string{}
	central := map[string]string{}
	for dir := path.Dir(f.path); ; dir = path.Dir(dir) {
		for _, name := range []string{"Directory.Packages.props", "Directory.Build.props"} {
			if text, ok := readBeside(f.tree, path.Join(dir, name)); ok {
				if props, err := parseXML(name, text); err == nil {
					props.msbuildFacts(properties, central)
				}
			}
		}
		if dir == "." || dir == "/" {
			break
		}
	}
	own := map[string]string{}
	root.msbuildFacts(own, map[string]string{})
	for name, value := range own {
		properties[name] = value
	}
	root.each(func(e *element) {
		name := e.attr("Include")
		if e.name != "PackageReference" || name == "" {
			return
		}
		version := e.attr("Version") + e.value("Version")
		if over := e.attr("VersionOverride"); over != "" {
			version = over
		}
		if version == "" {
			version = central[strings.ToLower(name)]
		}
		for range 10 {
			before := version
			version, _ = replaceProperties(version, "$(", ')', func(name string) (string, bool) {
				v, ok := properties[name]
				return v, ok
			})
			if version == before {
				break
			}
		}
		exact := version
		if inner, ok := strings.CutPrefix(version, "["); ok && strings.HasSuffix(inner, "]") && !strings.Contains(inner, ",") {
			exact = strings.TrimSuffix(inner, "]")
		}
		c := nugetComponent(name, exact)
		if version == "" {
			c.Version = "managed elsewhere"
		}
		c.Place, c.Direct, c.Path = diag.Place{File: f.path, Line: e.line}, true, []string{name}
		if strings.EqualFold(e.attr("PrivateAssets")+e.value("PrivateAssets"), "all") {
			c.Scope = component.Development
		}
		out(c)
	})
	return nil
}

// msbuildFacts collects properties and the versions that are managed for others; what is there already stays.
func (e *element) msbuildFacts(properties, central map[string]string) {
	e.each(func(x *element) {
		switch x.name {
		case "PropertyGroup":
			for _, p := range x.children {
				if _, ok := properties[p.name]; !ok && p.text != "" {
					properties[p.name] = p.text
				}
			}
		case "PackageVersion", "PackageReference":
			name := strings.ToLower(x.attr("Include") + x.attr("Update"))
			if version := x.attr("Version") + x.value("Version"); name != "" && version != "" && central[name] == "" {
				central[name] = version
			}
		}
	})
}
