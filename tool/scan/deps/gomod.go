package deps

import (
	"context"
	"errors"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// goMod lists what a go.mod requires, with replacements, and Go's own library.
func goMod(_ context.Context, f manifest, out func(component.Component)) error {
	parsed, err := modfile.Parse(f.path, f.content, nil)
	if err != nil {
		return goModError(f, err)
	}
	if line, version := goVersion(parsed); version != "" {
		c := component.Component{PURL: "pkg:golang/stdlib", Ecosystem: "Go", Name: "stdlib", Version: version, State: component.Resolved, Scope: component.Runtime, Direct: true, Place: diag.Place{File: f.path, Line: line}}
		if strings.Count(version, ".") < 2 { // go 1.26 names the language; which release builds it is not said
			c.State = component.Unresolved
		}
		out(c)
	}
	for _, r := range parsed.Require {
		out(goModule(f.path, parsed, r))
	}
	return nil
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

func goModule(path string, parsed *modfile.File, r *modfile.Require) component.Component {
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
	namespace, name := "", mod.Path
	if i := strings.LastIndexByte(mod.Path, '/'); i >= 0 {
		namespace, name = mod.Path[:i], mod.Path[i+1:]
	}
	return component.Component{PURL: purl("golang", namespace, name), Ecosystem: "Go", Name: mod.Path, Version: strings.TrimPrefix(mod.Version, "v"), State: state,
		Scope: component.Runtime, Direct: !r.Indirect, Place: diag.Place{File: path, Line: r.Syntax.Start.Line}}
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
