package deps

import (
	"bytes"
	"context"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// packageOf is a package without its place, UNRESOLVED where its ecosystem cannot order the version.
func packageOf(kind, ecosystem, name, version string) component.Component {
	namespace, short := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 && kind != "cocoapods" {
		namespace, short = name[:i], name[i+1:]
	}
	c := component.Component{PURL: component.PURL(kind, namespace, short), Ecosystem: ecosystem, Name: name, Version: version, State: component.Resolved, Scope: component.Runtime}
	if _, ok := advisory.Compare(ecosystem, version, version); !ok {
		c.State = component.Unresolved
	}
	return c
}

// pubLock lists the packages of Dart's pubspec.lock.
func pubLock(_ context.Context, f manifest, out func(component.Component)) error {
	root, err := parseIndented(f.path, f.content)
	if err != nil {
		return err
	}
	for _, b := range root.child("packages").all2() {
		if b.key == "" || b.text("source") == "sdk" || b.text("source") == "path" {
			continue
		}
		c := packageOf("pub", "Pub", b.key, b.text("version"))
		c.Place = diag.Place{File: f.path, Line: b.line}
		switch dependency := b.text("dependency"); dependency {
		case "direct main":
			c.Direct, c.Path = true, []string{c.Name}
		case "direct dev":
			c.Direct, c.Path, c.Scope = true, []string{c.Name}, component.Development
		}
		if sum := b.child("description").text("sha256"); sum != "" {
			c.Integrity = "sha256:" + sum
		}
		out(c)
	}
	return nil
}

var mixEntry = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*"([A-Za-z0-9_]+)":\s*\{:(hex|git),\s*:?"?([^",}]+)"?,\s*"([^"]+)"`)
})

// mixLock lists the packages of Elixir's mix.lock.
func mixLock(_ context.Context, f manifest, out func(component.Component)) error {
	number := 0
	for line := range strings.Lines(string(f.content)) {
		number++
		m := mixEntry().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[3]
		if m[2] == "git" {
			name = m[1]
		}
		c := packageOf("hex", "Hex", strings.TrimSpace(name), m[4])
		c.Place = diag.Place{File: f.path, Line: number}
		out(c)
	}
	return nil
}

// swiftResolved lists the packages of Swift's Package.resolved, of version 1 to 3.
func swiftResolved(_ context.Context, f manifest, out func(component.Component)) error {
	lines := newLineIndex(f.content)
	pins := func(r jsonReader) error {
		return r.items(func(offset int) error {
			var p struct {
				Location string `json:"location"`
				Old      string `json:"repositoryURL"`
				State    struct {
					Version  string `json:"version"`
					Revision string `json:"revision"`
				} `json:"state"`
			}
			if err := r.value(&p); err != nil {
				return err
			}
			address := strings.TrimSuffix(firstNonEmpty(p.Location, p.Old), ".git")
			if _, after, ok := strings.Cut(address, "://"); ok {
				address = after
			}
			address = strings.ReplaceAll(strings.TrimPrefix(address, "git@"), ":", "/")
			if address == "" {
				return nil
			}
			c := packageOf("swift", "SwiftURL", address, firstNonEmpty(p.State.Version, p.State.Revision))
			c.Place = diag.Place{File: f.path, Line: lineOf(lines, f.content, offset)}
			if p.State.Version == "" {
				c.State = component.Unresolved
			}
			out(c)
			return nil
		})
	}
	return readJSON(f, func(r jsonReader) error {
		return r.members(func(name string, _ int) error {
			switch name {
			case "pins":
				return pins(r)
			case "object":
				return r.members(func(name string, _ int) error {
					if name == "pins" {
						return pins(r)
					}
					return r.d.SkipValue()
				})
			}
			return r.d.SkipValue()
		})
	})
}

var podEntry = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^"?([A-Za-z0-9_.+/-]+)"? \(([^)]*)\)"?:?$`) })

// podLock lists the pods of a Podfile.lock. Parts of a pod (name/part) have its version.
func podLock(ctx context.Context, f manifest, out func(component.Component)) error {
	g := newGraph()
	section, number := "", 0
	var direct []string
	var last *node
	for line := range strings.Lines(string(f.content)) {
		number++
		line = strings.TrimRight(line, " \r\n")
		if line != "" && line[0] != ' ' {
			section, last = strings.TrimSuffix(line, ":"), nil
			continue
		}
		item, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "- ")
		if !ok {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		name, _, _ := strings.Cut(strings.Trim(item, `"`), " ")
		switch {
		case section == "DEPENDENCIES":
			direct = append(direct, name)
		case section == "PODS" && indent == 2:
			m := podEntry().FindStringSubmatch(item)
			if m == nil {
				continue
			}
			c := packageOf("cocoapods", "CocoaPods", m[1], m[2])
			c.Place = diag.Place{File: f.path, Line: number}
			last = g.add(m[1], c)
		case section == "PODS" && last != nil:
			last.needs = append(last.needs, name)
		}
	}
	return g.emit(ctx, direct, nil, out)
}

// conanLock lists the packages of a conan.lock, of version 1 or 2.
func conanLock(_ context.Context, f manifest, out func(component.Component)) error {
	lines := newLineIndex(f.content)
	emit := func(reference string, line int, scope component.Scope) {
		reference, _, _ = strings.Cut(reference, "#")
		name, version, ok := strings.Cut(reference, "/")
		version, _, _ = strings.Cut(version, "@")
		if !ok || name == "" {
			return
		}
		c := packageOf("conan", "ConanCenter", name, version)
		c.Place, c.Scope = diag.Place{File: f.path, Line: line}, scope
		out(c)
	}
	return readJSON(f, func(r jsonReader) error {
		return r.members(func(section string, _ int) error {
			switch section {
			case "requires", "build_requires", "python_requires":
				return r.items(func(offset int) error {
					var reference string
					if err := r.value(&reference); err != nil {
						return err
					}
					scope := component.Runtime
					if section != "requires" {
						scope = component.Development
					}
					emit(reference, lineOf(lines, f.content, offset), scope)
					return nil
				})
			case "graph_lock":
				return r.members(func(name string, _ int) error {
					if name != "nodes" {
						return r.d.SkipValue()
					}
					return r.members(func(_ string, offset int) error {
						var n struct {
							Ref  string `json:"ref"`
							Pref string `json:"pref"` // of before 0.4
						}
						if err := r.value(&n); err != nil {
							return err
						}
						emit(firstNonEmpty(n.Ref, n.Pref), lines.line(offset), component.Runtime)
						return nil
					})
				})
			}
			return r.d.SkipValue()
		})
	})
}

// renvLock lists the packages of R's renv.lock.
func renvLock(_ context.Context, f manifest, out func(component.Component)) error {
	lines := newLineIndex(f.content)
	return readJSON(f, func(r jsonReader) error {
		return r.members(func(section string, _ int) error {
			if section != "Packages" {
				return r.d.SkipValue()
			}
			return r.members(func(name string, offset int) error {
				var p struct {
					Version string `json:"Version"`
				}
				if err := r.value(&p); err != nil || name == "" {
					return err
				}
				c := packageOf("cran", "CRAN", name, p.Version)
				c.Place = diag.Place{File: f.path, Line: lines.line(offset)}
				out(c)
				return nil
			})
		})
	})
}

var haskellPackage = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:hackage:\s*|any\.)([A-Za-z][A-Za-z0-9-]*?)(?:-| ==)([0-9]+(?:\.[0-9]+)*)`)
})

// haskellLock lists the packages of stack.yaml.lock and cabal.project.freeze.
func haskellLock(_ context.Context, f manifest, out func(component.Component)) error {
	stack := path.Base(f.path) == "stack.yaml.lock"
	number := 0
	seen := map[string]bool{}
	for line := range bytes.Lines(f.content) {
		number++
		for _, m := range haskellPackage().FindAllSubmatch(line, -1) {
			c := packageOf("hackage", "Hackage", string(m[1]), string(m[2]))
			if stack && seen[c.Locator()] { // as it was asked for, and as it was found
				continue
			}
			seen[c.Locator()] = true
			c.Place = diag.Place{File: f.path, Line: number}
			out(c)
		}
	}
	return nil
}
