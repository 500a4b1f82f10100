package deps

import (
	"context"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// pnpmLock lists the packages of a pnpm-lock.yaml, of version 5 to 9.
func pnpmLock(ctx context.Context, f manifest, out func(component.Component)) error {
	root, err := parseIndented(f.path, f.content)
	if err != nil {
		return err
	}
	g := newGraph()
	packages := root.child("packages").all2()
	snapshots := root.child("snapshots").all2()
	byName := map[string]*branch{} // version 9 says the facts once, and what is installed in snapshots
	for _, b := range packages {
		byName[b.key] = b
	}
	listed := packages
	if len(snapshots) > 0 {
		listed = snapshots
	}
	for _, b := range listed {
		key := pnpmKey(b.key)
		name, version := pnpmName(b.key)
		facts := b
		if len(snapshots) > 0 {
			facts = byName[withoutPeers(b.key)]
		}
		if facts == nil {
			facts = b
		}
		if said := facts.text("name"); said != "" { // of what comes from an address
			name, version = said, facts.text("version")
		}
		if said := facts.text("version"); said != "" {
			version = said
		}
		if name == "" {
			return diag.Errorf(diag.Place{File: f.path, Line: b.line}, "a package without a name").In(f.content)
		}
		c := npmComponent(name, version)
		c.Place = diag.Place{File: f.path, Line: facts.line}
		for _, r := range facts.all("resolution") {
			if r.key == "integrity" {
				c.Integrity = r.value
			}
		}
		n := g.add(key, c)
		if dev := facts.text("dev"); dev != "" {
			n.scoped = true
			if dev == "true" {
				n.component.Scope = component.Development
			}
		}
		for _, list := range []string{"dependencies", "optionalDependencies"} {
			for _, d := range b.child(list).all2() {
				n.needs = append(n.needs, pnpmTarget(d.key, d.value))
			}
		}
	}
	runtime, development := pnpmRoots(root)
	return g.emit(ctx, runtime, development, once(out))
}

// once passes each package version of a lock file on once: with other peers it is listed again.
func once(out func(component.Component)) func(component.Component) {
	seen := map[string]bool{}
	return func(c component.Component) {
		key := c.Name + "\x00" + c.Version
		if !seen[key] {
			seen[key] = true
			out(c)
		}
	}
}

func pnpmRoots(root *branch) (runtime, development []string) {
	projects := root.child("importers").all2()
	if len(projects) == 0 {
		projects = []*branch{root}
	}
	for _, p := range projects {
		for _, list := range []string{"dependencies", "optionalDependencies", "devDependencies"} {
			for _, d := range p.child(list).all2() {
				version := d.value
				if v := d.text("version"); v != "" {
					version = v
				}
				key := pnpmTarget(d.key, version)
				if list == "devDependencies" {
					development = append(development, key)
				} else {
					runtime = append(runtime, key)
				}
			}
		}
	}
	return runtime, development
}

// pnpmKey is a key of packages without what versions of pnpm put around it.
func pnpmKey(key string) string {
	key = strings.TrimPrefix(withoutRegistry(key), "/")
	name, version := pnpmName(key)
	if name == "" {
		return key
	}
	i := strings.Index(key[len(name):], version)
	if i < 0 {
		return name + "@" + version
	}
	return name + "@" + version + key[len(name)+i+len(version):]
}

// pnpmTarget is the key of what is asked for as name in a version.
func pnpmTarget(name, version string) string {
	if strings.HasPrefix(version, "/") || strings.HasPrefix(version, "@") { // an alias
		return pnpmKey(version)
	}
	if real, _ := cutAt(withoutPeers(version)); real != "" && !strings.ContainsAny(real, ":/_") && !exactNpm(real) { // an alias, of version 9
		return pnpmKey(version)
	}
	return pnpmKey(name + "@" + version)
}

func withoutPeers(key string) string {
	key, _, _ = strings.Cut(key, "(")
	return key
}

// pnpmName parts /name/1.0.0, /name/1.0.0_peer@2, /name@1.0.0(peer@2) and name@1.0.0.
func pnpmName(key string) (name, version string) {
	s := strings.TrimPrefix(withoutRegistry(withoutPeers(key)), "/")
	name, version = cutAt(s)
	slashes := strings.Count(name, "/")
	if name == "" || slashes > 1 || slashes == 1 && name[0] != '@' {
		i := strings.LastIndexByte(s, '/')
		if peers := strings.IndexByte(s, '_'); peers > 0 { // _@scope/peer@1
			i = strings.LastIndexByte(s[:peers], '/')
		}
		if i <= 0 {
			return "", ""
		}
		name, version = s[:i], s[i+1:]
	}
	if j := strings.IndexByte(version, '_'); j > 0 {
		version = version[:j]
	}
	return name, version
}

// withoutRegistry drops the host that stands before what comes from another registry: registry.example/name/1.0.0.
func withoutRegistry(key string) string {
	host, rest, ok := strings.Cut(key, "/")
	if ok && host != "" && host[0] != '@' && strings.Contains(host, ".") && !strings.Contains(host, "@") && strings.ContainsAny(rest, "/@") {
		return "/" + rest
	}
	return key
}
