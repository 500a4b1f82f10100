package deps

import (
	"context"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/toml"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

func hasSuffix(suffix string) func(string) bool {
	return func(name string) bool { return strings.HasSuffix(name, suffix) }
}

func mavenComponent(group, artifact, version string) component.Component {
	c := component.Component{PURL: component.PURL("maven", group, artifact), Ecosystem: "Maven", Name: group + ":" + artifact, Version: version, State: component.Resolved, Scope: component.Runtime}
	if !exactMaven(version) || strings.Contains(c.Name, "${") {
		c.State = component.Unresolved
	}
	return c
}

// exactMaven is one version: no range, no property, nothing that moves.
func exactMaven(version string) bool {
	return version != "" && !strings.Contains(version, "${") && !strings.ContainsAny(version, "[](), +") && version != "LATEST" && version != "RELEASE" && !strings.HasPrefix(version, "latest.")
}

// gradleLock lists what a lock file of Gradle holds: group:artifact:version=configurations.
// What the build script beside names is direct.
func gradleLock(ctx context.Context, f manifest, out func(component.Component)) error {
	script := ""
	for _, name := range []string{"build.gradle", "build.gradle.kts"} {
		if text, ok := readBeside(f.tree, path.Join(path.Dir(f.path), name)); ok {
			script += string(text)
		}
	}
	number := 0
	for line := range strings.Lines(string(f.content)) {
		if number++; number%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "empty=") {
			continue
		}
		id, configurations, ok := strings.Cut(line, "=")
		parts := strings.Split(id, ":")
		if !ok || len(parts) != 3 || parts[0] == "" || parts[1] == "" {
			return diag.Errorf(diag.Place{File: f.path, Line: number}, "group:artifact:version=configurations is expected here").In(f.content)
		}
		c := mavenComponent(parts[0], parts[1], parts[2])
		c.Place = diag.Place{File: f.path, Line: number}
		if path.Base(f.path) != "gradle.lockfile" || onlyTests(configurations) {
			c.Scope = component.Development
		}
		if strings.Contains(script, parts[0]+":"+parts[1]) {
			c.Direct, c.Path = true, []string{c.Name}
		}
		out(c)
	}
	return nil
}

// onlyTests tells whether no configuration of a list is one that a program runs with.
func onlyTests(configurations string) bool {
	for name := range strings.SplitSeq(configurations, ",") {
		low := strings.ToLower(name)
		if !strings.Contains(low, "test") && !strings.Contains(low, "annotationprocessor") && !strings.Contains(low, "kapt") && !strings.Contains(low, "checkstyle") && !strings.Contains(low, "jacoco") {
			return false
		}
	}
	return true
}

// gradleCatalog lists the libraries and plugins of a version catalogue.
func gradleCatalog(_ context.Context, f manifest, out func(component.Component)) error {
	doc, err := toml.Read(f.path, f.content)
	if err != nil {
		return err
	}
	version := func(v *toml.Value) string {
		if v == nil {
			return ""
		}
		if ref := v.String("ref"); ref != "" {
			v = doc.At("versions", ref)
		}
		if v == nil || !v.IsTable() {
			return textOf(v)
		}
		for _, how := range []string{"strictly", "require", "prefer"} {
			if s := v.String(how); s != "" {
				return s
			}
		}
		return ""
	}
	emit := func(group, artifact, version string, line int, scope component.Scope) {
		if group == "" || artifact == "" {
			return
		}
		c := mavenComponent(group, artifact, strings.TrimSuffix(version, "!!"))
		if version == "" {
			c.Version = "managed elsewhere"
		}
		c.Place, c.Direct, c.Path, c.Scope = diag.Place{File: f.path, Line: line}, true, []string{c.Name}, scope
		out(c)
	}
	for _, alias := range doc.Keys("libraries") {
		v := doc.At("libraries", alias)
		if !v.IsTable() { // "group:artifact:version"
			parts := append(strings.Split(v.Text, ":"), "", "")
			emit(parts[0], parts[1], parts[2], v.Line, component.Runtime)
			continue
		}
		group, artifact := v.String("group"), v.String("name")
		if module := v.String("module"); module != "" {
			group, artifact, _ = strings.Cut(module, ":")
		}
		emit(group, artifact, version(v.At("version")), v.Line, component.Runtime)
	}
	for _, alias := range doc.Keys("plugins") {
		v := doc.At("plugins", alias)
		id, said := v.String("id"), version(v.At("version"))
		if !v.IsTable() {
			id, said, _ = strings.Cut(v.Text, ":")
		}
		emit(id, id+".gradle.plugin", said, v.Line, component.Development)
	}
	return nil
}

func textOf(v *toml.Value) string {
	if v == nil {
		return ""
	}
	return v.Text
}

func isGradleScript(name string) bool {
	base := path.Base(name)
	return base == "build.gradle" || base == "build.gradle.kts"
}

// gradleScript lists the coordinates that stand as such in a build script where there is no
// lock file: 'group:artifact:version' after the name of a configuration.
func gradleScript(_ context.Context, f manifest, out func(component.Component)) error {
	if exists(f.tree, path.Join(path.Dir(f.path), "gradle.lockfile")) {
		return nil
	}
	number := 0
	for line := range strings.Lines(string(f.content)) {
		number++
		m := gradleCall().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		version := m[4]
		if i := strings.IndexByte(version, '@'); i >= 0 { // 1.0@aar
			version = version[:i]
		}
		c := mavenComponent(m[2], m[3], version)
		if strings.Contains(version, "$") {
			c.State = component.Unresolved
		}
		if version == "" {
			c.Version = "managed elsewhere"
		}
		c.Place, c.Direct, c.Path = diag.Place{File: f.path, Line: number}, true, []string{c.Name}
		if onlyTests(m[1]) || m[1] == "classpath" {
			c.Scope = component.Development
		}
		out(c)
	}
	return nil
}

// gradleCall is `implementation 'group:artifact:version'` in Groovy or Kotlin.
var gradleCall = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*([A-Za-z]*(?:[iI]mplementation|[aA]pi|[cC]ompile|[cC]ompileOnly|[rR]untimeOnly|[rR]untime|classpath|[aA]nnotationProcessor|kapt|ksp|developmentOnly|providedCompile))\s*\(?\s*(?:(?:enforcedPlatform|platform)\s*\(\s*)?['"]([A-Za-z0-9_.-]+):([A-Za-z0-9_.-]+)(?::([^'":]*))?(?::[^'"]*)?['"]`)
})

// gradleVerified lists what a verification-metadata.xml names: everything that a
// build may download, with its digests, and not who asks for it.
func gradleVerified(_ context.Context, f manifest, out func(component.Component)) error {
	root, err := parseXML(f.path, f.content)
	if err != nil {
		return err
	}
	root.each(func(e *element) {
		if e.name != "component" || e.attr("group") == "" || e.attr("name") == "" {
			return
		}
		c := mavenComponent(e.attr("group"), e.attr("name"), e.attr("version"))
		c.Place = diag.Place{File: f.path, Line: e.line}
		e.each(func(x *element) {
			if x.name == "sha256" && c.Integrity == "" {
				c.Integrity = "sha256:" + x.attr("value")
			}
		})
		out(c)
	})
	return nil
}
