package deps

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// packageFile is a package.json, as far as dependencies go.
type packageFile struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	License      jsontext.Value    `json:"license"`
	Dependencies map[string]string `json:"dependencies"`
	Development  map[string]string `json:"devDependencies"`
	Optional     map[string]string `json:"optionalDependencies"`
	Workspaces   jsontext.Value    `json:"workspaces"`
}

// readPackage reads leniently: what is wrong with the file is told where it is met on its own.
func readPackage(tree fs.FS, name string) (packageFile, bool) {
	text, ok := readBeside(tree, name)
	if !ok {
		return packageFile{}, false
	}
	var p packageFile
	err := json.Unmarshal(text, &p, lenient)
	return p, err == nil
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// members are the folders of the workspaces: packages/*, or named one by one.
func (p packageFile) members(tree fs.FS, dir string) []string {
	var patterns []string
	if json.Unmarshal(p.Workspaces, &patterns) != nil {
		var long struct {
			Packages []string `json:"packages"`
		}
		if json.Unmarshal(p.Workspaces, &long) != nil {
			return nil
		}
		patterns = long.Packages
	}
	const most = 1000
	var folders []string
	for _, pattern := range patterns {
		pattern = path.Join(dir, strings.TrimSuffix(strings.TrimSuffix(pattern, "/"), "/**")) // packages/** is mostly meant as packages/*
		if strings.HasPrefix(pattern, "!") || !fs.ValidPath(pattern) || tree == nil {
			continue
		}
		found, err := fs.Glob(tree, pattern)
		if err == nil && len(folders) < most {
			folders = append(folders, found...)
		}
	}
	return folders
}

// packageJSON lists what a package.json asks for where no lock file says which
// versions that became: ranges are UNRESOLVED. Below node_modules it is the
// package itself, installed.
func packageJSON(ctx context.Context, f manifest, out func(component.Component)) error {
	var p packageFile
	if err := json.Unmarshal(f.content, &p, lenient); err != nil {
		if strings.Contains("/"+f.path, "/node_modules/") || strings.Contains("/"+f.path, "/test") {
			return nil // packages bring broken ones on purpose, to test with
		}
		return wrongJSON(f, err)
	}
	lines := newLineIndex(f.content)
	if i := strings.LastIndex("/"+f.path, "/node_modules/"); i >= 0 {
		inside := strings.Count(("/" + path.Dir(f.path))[i+len("/node_modules/"):], "/")
		if p.Name == "" || p.Version == "" || inside > strings.Count(p.Name, "/") {
			return nil // a part of a package: a folder with settings of its own
		}
		c := npmComponent(p.Name, p.Version)
		c.Place, c.Licences = diag.Place{File: f.path, Line: 1}, licenceOf(p.License)
		out(c)
		return nil
	}
	if lockAbove(f, "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb") {
		return nil
	}
	for _, list := range []struct {
		field  string
		wanted map[string]string
		scope  component.Scope
	}{{"dependencies", p.Dependencies, component.Runtime}, {"optionalDependencies", p.Optional, component.Runtime}, {"devDependencies", p.Development, component.Development}} {
		section := max(0, bytes.Index(f.content, []byte(`"`+list.field+`"`)))
		for _, name := range slices.Sorted(keysOf(list.wanted)) {
			requirement := list.wanted[name]
			if name == "" || strings.HasPrefix(requirement, "workspace:") || strings.HasPrefix(requirement, "file:") || strings.HasPrefix(requirement, "link:") {
				continue // a part of the project itself
			}
			real := name
			if rest, ok := strings.CutPrefix(requirement, "npm:"); ok {
				if other, version := cutAt(rest); other != "" {
					real, requirement = other, version
				}
			}
			c := npmComponent(real, strings.TrimPrefix(requirement, "="))
			c.Direct, c.Path, c.Scope = true, []string{real}, list.scope
			at := bytes.Index(f.content[section:], []byte(`"`+name+`"`))
			c.Place = diag.Place{File: f.path, Line: lines.line(section + max(at, 0))}
			out(c)
		}
	}
	return nil
}

// licenceOf reads "MIT", {"type": "MIT"} or a list of them.
func licenceOf(v jsontext.Value) []string {
	if len(v) == 0 {
		return nil
	}
	var text string
	var object struct {
		Type string `json:"type"`
		Name string `json:"name"`
		ID   string `json:"id"`
	}
	var list []jsontext.Value
	switch {
	case json.Unmarshal(v, &text) == nil:
		if text == "" {
			return nil
		}
		return []string{text}
	case json.Unmarshal(v, &object, lenient) == nil:
		for _, s := range []string{object.Type, object.ID, object.Name} {
			if s != "" {
				return []string{s}
			}
		}
	case json.Unmarshal(v, &list, lenient) == nil:
		var all []string
		for _, one := range list {
			if len(one) > 0 && one[0] != '[' {
				all = append(all, licenceOf(one)...)
			}
		}
		return all
	}
	return nil
}

// lockAbove tells whether one of names lies beside f or in a folder above it.
func lockAbove(f manifest, names ...string) bool {
	for dir := path.Dir(f.path); ; dir = path.Dir(dir) {
		for _, name := range names {
			if exists(f.tree, path.Join(dir, name)) {
				return true
			}
		}
		if dir == "." || dir == "/" {
			return false
		}
	}
}

func exists(tree fs.FS, name string) bool {
	if tree == nil || !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(tree, name)
	return err == nil && info.Mode().IsRegular()
}
