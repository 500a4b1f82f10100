package deps

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// composerPackage is a package of a composer.lock.
type composerPackage struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Require map[string]string `json:"require"`
	License []string          `json:"license"`
	Dist    struct {
		Shasum string `json:"shasum"`
	} `json:"dist"`
}

// composerLock lists the packages of a composer.lock, or of Composer's installed.json.
func composerLock(ctx context.Context, f manifest, out func(component.Component)) error {
	if path.Base(f.path) == "installed.json" && path.Base(path.Dir(f.path)) != "composer" {
		return nil // somebody else's
	}
	lines := newLineIndex(f.content)
	g := newGraph()
	list := func(r jsonReader, scope component.Scope, scoped bool) error {
		if k := r.d.PeekKind(); k != '[' {
			return r.d.SkipValue()
		}
		return r.items(func(offset int) error {
			var p composerPackage
			if err := r.value(&p); err != nil {
				return err
			}
			place := diag.Place{File: f.path, Line: lineBelow(lines, f.content, offset, `"name"`)}
			if p.Name == "" {
				return diag.Errorf(place, "a package without a name").In(f.content)
			}
			c := composerComponent(p.Name, p.Version)
			c.Place, c.Scope, c.Licences, c.Integrity = place, scope, p.License, p.Dist.Shasum
			n := g.add(strings.ToLower(p.Name), c)
			n.scoped = scoped
			for name := range p.Require {
				n.needs = append(n.needs, strings.ToLower(name))
			}
			slices.Sort(n.needs)
			return nil
		})
	}
	err := readJSON(f, func(r jsonReader) error {
		if r.d.PeekKind() == '[' { // installed.json of Composer 1
			return list(r, component.Runtime, false)
		}
		return r.members(func(section string, _ int) error {
			switch section {
			case "packages":
				return list(r, component.Runtime, path.Base(f.path) == "composer.lock")
			case "packages-dev":
				return list(r, component.Development, true)
			}
			return r.d.SkipValue()
		})
	})
	if err != nil {
		return err
	}
	var project composerFile
	if text, ok := readBeside(f.tree, path.Join(path.Dir(f.path), "composer.json")); ok {
		_ = json.Unmarshal(text, &project, lenient) // what is wrong with it is told where it is met on its own
	}
	return g.emit(ctx, lowered(project.Require), lowered(project.Development), out)
}

// composerFile is a composer.json, as far as dependencies go.
type composerFile struct {
	Require     map[string]string `json:"require"`
	Development map[string]string `json:"require-dev"`
}

func lowered(wanted map[string]string) []string {
	var all []string
	for name := range wanted {
		all = append(all, strings.ToLower(name))
	}
	return sorted(all)
}

func composerComponent(name, version string) component.Component {
	namespace, short := "", name
	if i := strings.IndexByte(name, '/'); i >= 0 {
		namespace, short = name[:i], name[i+1:]
	}
	c := component.Component{PURL: component.PURL("composer", strings.ToLower(namespace), strings.ToLower(short)), Ecosystem: "Packagist", Name: name, Version: version, State: component.Resolved, Scope: component.Runtime}
	if _, ok := advisory.Compare("Packagist", version, version); !ok || strings.HasPrefix(version, "dev-") || strings.HasSuffix(version, "-dev") {
		c.State = component.Unresolved
	}
	return c
}

// exactVersion is one version and no range.
var exactVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^v?[0-9]+(\.[0-9]+){1,3}(-[A-Za-z0-9.]+)?$`) })

// composerProject lists what a composer.json asks for where there is no lock file.
func composerProject(_ context.Context, f manifest, out func(component.Component)) error {
	if lockAbove(f, "composer.lock") || strings.Contains("/"+f.path, "/vendor/") {
		return nil
	}
	var p composerFile
	if err := json.Unmarshal(f.content, &p, lenient); err != nil {
		return wrongJSON(f, err)
	}
	lines := newLineIndex(f.content)
	for _, list := range []struct {
		wanted map[string]string
		scope  component.Scope
	}{{p.Require, component.Runtime}, {p.Development, component.Development}} {
		for _, name := range sortedKeys(list.wanted) {
			if !strings.Contains(name, "/") {
				continue // php itself and its extensions
			}
			c := composerComponent(name, list.wanted[name])
			if !exactVersion().MatchString(c.Version) {
				c.State = component.Unresolved
			}
			c.Scope, c.Direct, c.Path = list.scope, true, []string{name}
			c.Place = diag.Place{File: f.path, Line: lineBelow(lines, f.content, max(0, strings.Index(string(f.content), `"`+name+`"`)), name)}
			out(c)
		}
	}
	return nil
}
