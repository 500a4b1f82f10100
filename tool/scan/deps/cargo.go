package deps

import (
	"bytes"
	"compress/zlib"
	"context"
	"io"
	"path"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/lang/toml"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// cargoLock lists the packages of a Cargo.lock.
func cargoLock(ctx context.Context, f manifest, out func(component.Component)) error {
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	g := newGraph()
	var own []*toml.Value // the project and the members of its workspace
	for _, p := range doc.Items("package") {
		if !p.IsTable() {
			continue
		}
		name, version := p.String("name"), p.String("version")
		if name == "" {
			return diag.Errorf(diag.Place{File: f.path, Line: p.Line}, "a package without a name").In(f.content)
		}
		if p.String("source") == "" {
			own = append(own, p)
			continue
		}
		c := cargoComponent(name, version)
		c.Place, c.Integrity = diag.Place{File: f.path, Line: lineOfKey(p, "name")}, p.String("checksum")
		if strings.HasPrefix(p.String("source"), "git+") {
			c.Qualifiers = "vcs_url=" + component.Escape(p.String("source"))
		}
		n := g.add(name+" "+version, c)
		g.also(name, n)
		n.needs = cargoNeeds(p)
	}
	development := cargoDevelopment(f)
	var runtime, tests []string
	for _, p := range own {
		for _, key := range cargoNeeds(p) {
			if name, _, _ := strings.Cut(key, " "); development[name] {
				tests = append(tests, key)
			} else {
				runtime = append(runtime, key)
			}
		}
	}
	return g.emit(ctx, runtime, tests, out)
}

func lineOfKey(t *toml.Value, key string) int {
	if v := t.At(key); v != nil {
		return v.Line
	}
	return t.Line
}

func cargoComponent(name, version string) component.Component {
	c := component.Component{PURL: component.PURL("cargo", "", name), Ecosystem: "crates.io", Name: name, Version: version, State: component.Resolved, Scope: component.Runtime}
	if _, ok := advisory.Compare("crates.io", version, version); !ok {
		c.State = component.Unresolved
	}
	return c
}

// cargoNeeds are the keys of "name", "name version" and "name version (source)".
func cargoNeeds(p *toml.Value) []string {
	var keys []string
	for _, d := range p.Items("dependencies") {
		parts := strings.Fields(d.Text)
		keys = append(keys, strings.Join(parts[:min(len(parts), 2)], " "))
	}
	return keys
}

// cargoDevelopment is what the Cargo.toml beside, and those of its workspace, ask for only to build or test.
func cargoDevelopment(f manifest) map[string]bool {
	const most = 500
	development, runtime := map[string]bool{}, map[string]bool{}
	dir := path.Dir(f.path)
	seen := 0
	var read func(file string)
	read = func(file string) {
		text, ok := readBeside(f.tree, file)
		if seen++; !ok || seen > most {
			return
		}
		doc, err := toml.Read(file, text)
		if err != nil {
			return // told where it is met on its own
		}
		for _, t := range cargoTables(doc) {
			for _, name := range t.Keys("dependencies") {
				runtime[cargoName(name, t.At("dependencies", name))] = true
			}
			for _, name := range append(t.Keys("dev-dependencies"), t.Keys("build-dependencies")...) {
				development[name] = true
			}
		}
		for _, m := range doc.Items("workspace", "members") {
			for _, folder := range globFolders(f.tree, path.Join(dir, m.Text)) {
				if at := path.Join(folder, "Cargo.toml"); at != file {
					read(at)
				}
			}
		}
	}
	read(path.Join(dir, "Cargo.toml"))
	for name := range runtime {
		delete(development, name)
	}
	return development
}

// cargoTables are the document and its parts for single targets.
func cargoTables(doc *toml.Value) []*toml.Value {
	all := []*toml.Value{doc}
	for _, name := range doc.Keys("target") {
		if t := doc.At("target", name); t.IsTable() {
			all = append(all, t)
		}
	}
	return all
}

// cargoName is the real name of a dependency that may be renamed.
func cargoName(name string, v *toml.Value) string {
	if real := v.String("package"); real != "" {
		return real
	}
	return name
}

// cargoProject lists what a Cargo.toml asks for where there is no Cargo.lock: requirements, which are UNRESOLVED unless they are exact.
func cargoProject(_ context.Context, f manifest, out func(component.Component)) error {
	if lockAbove(f, "Cargo.lock") {
		return nil
	}
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	for _, t := range cargoTables(doc) {
		for _, list := range []string{"dependencies", "build-dependencies", "dev-dependencies"} {
			for _, name := range t.Keys(list) {
				v := t.At(list, name)
				requirement := v.Text
				if v.IsTable() {
					if v.At("path") != nil && v.At("version") == nil {
						continue // a part of the project itself
					}
					requirement = v.String("version")
				}
				exact, ok := strings.CutPrefix(strings.TrimSpace(requirement), "=")
				c := cargoComponent(cargoName(name, v), strings.TrimSpace(exact))
				if !ok || strings.Count(c.Version, ".") < 2 {
					c.State, c.Version = component.Unresolved, requirement
				}
				c.Place, c.Direct, c.Path = diag.Place{File: f.path, Line: v.Line}, true, []string{c.Name}
				if list != "dependencies" {
					c.Scope = component.Development
				}
				out(c)
			}
		}
	}
	return nil
}

// auditable is what cargo-auditable writes into a binary.
type auditable struct {
	Packages []struct {
		Name         string `json:"name"`
		Version      string `json:"version"`
		Source       string `json:"source"`
		Kind         string `json:"kind"`
		Dependencies []int  `json:"dependencies"`
		Root         bool   `json:"root"`
	} `json:"packages"`
}

// cargoAudited lists what a binary says in its section .dep-v0: JSON, packed with zlib.
func cargoAudited(ctx context.Context, f manifest, section []byte, out func(component.Component)) error {
	const most = 8 << 20
	z, err := zlib.NewReader(bytes.NewReader(section))
	if err != nil {
		return diag.Errorf(diag.Place{File: f.path}, "what cargo-auditable wrote cannot be unpacked: %v", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, most+1))
	if err != nil || len(text) > most {
		return diag.Errorf(diag.Place{File: f.path}, "what cargo-auditable wrote cannot be unpacked, or is more than %d MB", most>>20)
	}
	var a auditable
	if err := json.Unmarshal(text, &a, lenient); err != nil {
		return diag.Errorf(diag.Place{File: f.path}, "what cargo-auditable wrote cannot be read: %v", err)
	}
	g := newGraph()
	key := func(i int) string { return a.Packages[i].Name + " " + a.Packages[i].Version }
	var runtime []string
	for _, p := range a.Packages {
		var needs []string
		for _, i := range p.Dependencies {
			if i >= 0 && i < len(a.Packages) {
				needs = append(needs, key(i))
			}
		}
		if p.Root || p.Source == "local" {
			runtime = append(runtime, needs...)
			continue
		}
		if p.Name == "" {
			continue
		}
		c := cargoComponent(p.Name, p.Version)
		c.Place = diag.Place{File: f.path, Line: 1}
		n := g.add(p.Name+" "+p.Version, c, needs...)
		if p.Kind == "build" {
			n.scoped, n.component.Scope = true, component.Development
		}
	}
	return g.emit(ctx, runtime, nil, out)
}
