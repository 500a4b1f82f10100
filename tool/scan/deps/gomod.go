package deps

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// goMod lists what a go.mod requires, with replacements, and Go's own library.
func goMod(ctx context.Context, f manifest, out func(component.Component)) error {
	parsed, err := modfile.Parse(f.path, f.content, nil)
	if err != nil {
		return goModError(f, err)
	}
	if line, version := goVersion(parsed); version != "" {
		c := component.Component{PURL: "pkg:golang/stdlib", Ecosystem: "Go", Name: "stdlib", Version: version, State: component.Resolved, Scope: component.Runtime, Direct: true, Path: []string{"stdlib"}, Place: diag.Place{File: f.path, Line: line}}
		if strings.Count(version, ".") < 2 { // go 1.26 names the language; which release builds it is not said
			c.State = component.Unresolved
		}
		out(c)
	}
	g := newGraph()
	var direct []string
	for _, r := range parsed.Require {
		c := goModule(f.path, parsed, r)
		g.add(r.Mod.Path, c)
		if !r.Indirect {
			direct = append(direct, r.Mod.Path)
		}
	}
	if parsed.Go == nil || olderThan117(parsed.Go.Version) {
		goSum(f, g, parsed)
	}
	goWays(f, g)
	return g.emit(ctx, append(direct, "\x00"), nil, out)
}

// olderThan117 tells the versions of Go whose go.mod does not list everything that is built in.
func olderThan117(version string) bool {
	n, ok := advisory.Compare("Go", version, "1.17")
	return ok && n < 0
}

// goSum adds the modules that only go.sum names: the newest of each whose content was used.
func goSum(f manifest, g *graph, parsed *modfile.File) {
	const file = "go.sum"
	text, ok := readBeside(f.tree, path.Join(path.Dir(f.path), file))
	if !ok {
		return
	}
	newest := map[string]component.Component{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		parts := strings.Fields(line)
		if len(parts) != 3 || strings.HasSuffix(parts[1], "/go.mod") || module.CheckPath(parts[0]) != nil || g.nodes[parts[0]] != nil {
			continue
		}
		if parsed.Module != nil && parts[0] == parsed.Module.Mod.Path {
			continue
		}
		c := goComponent(parts[0], parts[1])
		c.Integrity = parts[2]
		c.Place = diag.Place{File: path.Join(path.Dir(f.path), file), Line: number}
		if had, ok := newest[parts[0]]; ok {
			if n, ok := advisory.Compare("Go", c.Version, had.Version); ok && n < 0 {
				continue
			}
		}
		newest[parts[0]] = c
	}
	for _, name := range sortedKeys(newest) {
		g.add(name, newest[name])
	}
}

// goWays adds who asks for whom, from what the module cache of this machine holds of their go.mod files.
func goWays(f manifest, g *graph) {
	if f.local.Go == nil {
		return
	}
	for _, n := range g.order {
		escaped, err := module.EscapePath(n.component.Name)
		version, err2 := module.EscapeVersion("v" + n.component.Version)
		if err != nil || err2 != nil || n.component.State != component.Resolved {
			continue
		}
		text, ok := readBeside(f.local.Go, "cache/download/"+escaped+"/@v/"+version+".mod")
		if !ok {
			continue
		}
		if parsed, err := modfile.ParseLax("go.mod", text, nil); err == nil {
			for _, r := range parsed.Require {
				if !r.Indirect {
					n.needs = append(n.needs, r.Mod.Path)
				}
			}
		}
	}
}

func goVersion(parsed *modfile.File) (line int, version string) {
	if t := parsed.Toolchain; t != nil && strings.HasPrefix(t.Name, "go") {
		version, _, _ = strings.Cut(strings.TrimPrefix(t.Name, "go"), "-")
		return t.Syntax.Start.Line, version
	}
	if parsed.Go != nil {
		return parsed.Go.Syntax.Start.Line, parsed.Go.Version
	}
	return 0, ""
}

func goModule(file string, parsed *modfile.File, r *modfile.Require) component.Component {
	mod, state := r.Mod, component.Resolved
	for _, x := range parsed.Replace {
		if x.Old.Path == mod.Path && (x.Old.Version == "" || x.Old.Version == mod.Version) {
			if x.New.Version == "" { // a folder: what is there has no version
				mod, state = module.Version{Path: mod.Path, Version: "=> " + x.New.Path}, component.Unresolved
			} else {
				mod = x.New
			}
			break
		}
	}
	c := goComponent(mod.Path, mod.Version)
	c.State, c.Place = state, diag.Place{File: file, Line: r.Syntax.Start.Line}
	return c
}

// goModError is the first mistake that the parser names, at its place.
func goModError(f manifest, err error) error {
	var list modfile.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		message := list[0].Error()
		if list[0].Err != nil {
			message = list[0].Err.Error()
		}
		return diag.Errorf(diag.Place{File: f.path, Line: list[0].Pos.Line, Column: list[0].Pos.LineRune}, "%s", message).In(f.content)
	}
	return diag.Errorf(diag.Place{File: f.path}, "%v", err)
}
