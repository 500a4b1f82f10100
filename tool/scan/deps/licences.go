package deps

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/lang/toml"
	"github.com/haechi-dev/haechi/word/component"
	"golang.org/x/mod/module"
)

// Licences fills in what lock files do not say and installed packages do: the
// metadata beside the manifest (node_modules, vendor, site-packages) or in the
// caches of this machine, else the text of the licence there. It answers the
// texts by the locators of their components.
func (s *Scanner) Licences(tree fs.FS, components []component.Component) map[string]string {
	texts := map[string]string{}
	known := map[string][]string{}
	for i := range components {
		c := &components[i]
		key := c.Locator()
		if _, ok := known[key]; !ok {
			known[key] = s.licencesOf(tree, *c, texts)
		}
		if len(c.Licences) == 0 {
			c.Licences = known[key]
		}
	}
	return texts
}

// licencesOf looks where a component may lie: the first place that has it counts.
func (s *Scanner) licencesOf(tree fs.FS, c component.Component, texts map[string]string) []string {
	if c.State != component.Resolved {
		return nil
	}
	for _, at := range s.installedAt(tree, c) {
		entries, err := fs.ReadDir(at.tree, at.dir)
		if err != nil {
			continue
		}
		var found []string
		if declared := declaredIn(at.tree, at.dir); len(declared) > 0 {
			found = declared
		}
		for _, e := range entries {
			if e.IsDir() || !licence.IsText(e.Name()) {
				continue
			}
			text, ok := readBeside(at.tree, path.Join(at.dir, e.Name()))
			if !ok {
				continue
			}
			texts[c.Locator()] = strings.TrimSpace(texts[c.Locator()] + "\n\n" + strings.ToValidUTF8(string(text), "\uFFFD"))
			for _, f := range licence.Identify(text) {
				if len(found) == 0 || !slices.Contains(found, f.ID) && declaredIn(at.tree, at.dir) == nil {
					found = append(found, f.ID)
				}
			}
		}
		if len(found) > 1 && declaredIn(at.tree, at.dir) == nil { // texts of one package hold together
			found = []string{strings.Join(found, " AND ")}
		}
		return found
	}
	return nil
}

type installed struct {
	tree fs.FS
	dir  string
}

// installedAt are the folders in which a package manager keeps a component.
func (s *Scanner) installedAt(tree fs.FS, c component.Component) []installed {
	beside := path.Dir(c.Place.File)
	var all []installed
	add := func(t fs.FS, parts ...string) {
		if dir := path.Join(parts...); t != nil && fs.ValidPath(dir) {
			all = append(all, installed{t, dir})
		}
	}
	switch c.Ecosystem {
	case "npm":
		add(tree, beside, "node_modules", c.Name)
	case "Packagist":
		add(tree, beside, "vendor", c.Name)
	case "Go":
		add(tree, beside, "vendor", c.Name)
		name, err := module.EscapePath(c.Name)
		version, err2 := module.EscapeVersion("v" + c.Version)
		if err == nil && err2 == nil {
			add(s.local.Go, name+"@"+version)
		}
	case "crates.io":
		add(tree, beside, "vendor", c.Name)
		for _, registry := range globFolders(s.local.Cargo, "registry/src/*") {
			add(s.local.Cargo, registry, c.Name+"-"+c.Version)
		}
	case "PyPI":
		name := strings.ReplaceAll(c.Name, "-", "_")
		for _, pattern := range []string{".venv/lib/*/site-packages", "venv/lib/*/site-packages"} {
			for _, folder := range globFolders(tree, path.Join(beside, pattern)) {
				add(tree, folder, name+"-"+c.Version+".dist-info")
				add(tree, folder, name+"-"+c.Version+".dist-info", "licenses")
			}
		}
	case "RubyGems":
		for _, folder := range globFolders(tree, path.Join(beside, "vendor/bundle/ruby/*/gems")) {
			add(tree, folder, c.Name+"-"+c.Version)
		}
	}
	return all
}

// declaredIn is what the metadata of an installed package says.
func declaredIn(tree fs.FS, dir string) []string {
	for _, name := range []string{"package.json", "composer.json"} {
		if text, ok := readBeside(tree, path.Join(dir, name)); ok {
			var p packageFile
			if json.Unmarshal(text, &p, lenient) == nil {
				return licenceOf(p.License)
			}
		}
	}
	if text, ok := readBeside(tree, path.Join(dir, "Cargo.toml")); ok {
		if doc, err := toml.Read("Cargo.toml", text); err == nil && doc.String("package", "license") != "" {
			return []string{doc.String("package", "license")}
		}
	}
	if text, ok := readBeside(tree, path.Join(dir, "METADATA")); ok {
		fields := mailFields(text)
		for _, field := range []string{"License-Expression", "License"} {
			if l := fields[field]; l != "" && l != "UNKNOWN" && len(l) < 100 {
				return []string{l}
			}
		}
	}
	return nil
}
