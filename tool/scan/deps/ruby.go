package deps

import (
	"context"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// gemLine is `name (version)` of a Gemfile.lock.
var gemLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^( {2,6})([A-Za-z0-9_.-]+)!?(?: \(([^)]*)\))?!?$`) })

// gemLock lists the gems of a Gemfile.lock. The groups are those of the Gemfile beside.
func gemLock(ctx context.Context, f manifest, out func(component.Component)) error {
	g := newGraph()
	section := ""
	var direct []string
	var last *node
	own := map[string]*node{}
	number := 0
	for line := range strings.Lines(string(f.content)) {
		number++
		line = strings.TrimRight(line, " \r\n")
		if line == "" {
			continue
		}
		if line[0] != ' ' {
			section, last = line, nil
			if strings.HasPrefix(line, "<<<<<<<") {
				return diag.Errorf(diag.Place{File: f.path, Line: number}, "a merge that was not finished").In(f.content)
			}
			continue
		}
		m := gemLine().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch name, version := m[2], m[3]; {
		case section == "DEPENDENCIES" && len(m[1]) == 2:
			direct = append(direct, name)
		case section != "GEM" && section != "GIT" && section != "PATH" && section != "PLUGIN SOURCE":
		case len(m[1]) == 4:
			c := gemComponent(name, version)
			c.Place = diag.Place{File: f.path, Line: number}
			switch {
			case section == "PATH": // the project's own
				last = &node{component: c}
				own[name] = last
			case g.nodes[name] == nil:
				last = g.add(name, c)
			default: // again, for another platform
				last = &node{component: c}
			}
		case len(m[1]) == 6 && last != nil:
			last.needs = append(last.needs, name)
		}
	}
	groups := gemGroups(f)
	var runtime, development []string
	for i := 0; i < len(direct); i++ {
		name := direct[i]
		if n := own[name]; n != nil { // what it needs, the project needs
			delete(own, name)
			direct = append(direct, n.needs...)
			continue
		}
		if groups[name] {
			development = append(development, name)
		} else {
			runtime = append(runtime, name)
		}
	}
	return g.emit(ctx, runtime, development, out)
}

// gemComponent is a gem; the platform after the version is no part of it: 1.2.3-x86_64-linux.
func gemComponent(name, version string) component.Component {
	c := component.Component{PURL: component.PURL("gem", "", name), Ecosystem: "RubyGems", Name: name, Version: version, State: component.Resolved, Scope: component.Runtime}
	if i := strings.IndexByte(version, '-'); i > 0 {
		c.Version, c.Qualifiers = version[:i], "platform="+component.Escape(version[i+1:])
	}
	if _, ok := advisory.Compare("RubyGems", c.Version, c.Version); !ok {
		c.State = component.Unresolved
	}
	return c
}

var (
	gemCall  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*gem[ (]\s*['"]([A-Za-z0-9_.-]+)['"](.*)$`) })
	gemGroup = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*group[ (]\s*(.*?)\)?\s+do\b`) })
	gemBlock = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:\bdo\b(?:\s*\|[^|]*\|)?|^\s*(?:if|unless|case|begin)\b.*)\s*$`)
	})
	gemEnd = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*end\b`) })
)

// gemGroups tells which gems the Gemfile beside asks for only in groups for development or test.
func gemGroups(f manifest) map[string]bool {
	name := "Gemfile"
	if path.Base(f.path) == "gems.locked" {
		name = "gems.rb"
	}
	text, ok := readBeside(f.tree, path.Join(path.Dir(f.path), name))
	if !ok {
		return nil
	}
	development, runtime := map[string]bool{}, map[string]bool{}
	var blocks []bool // of each open block: is it a group for development
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if m := gemCall().FindStringSubmatch(line); m != nil {
			inside := false
			for _, b := range blocks {
				inside = inside || b
			}
			if inside || strings.Contains(m[2], "group") && onlyDevelopment(m[2]) {
				development[m[1]] = true
			} else {
				runtime[m[1]] = true
			}
			continue
		}
		switch m := gemGroup().FindStringSubmatch(line); {
		case m != nil:
			blocks = append(blocks, onlyDevelopment(m[1]))
		case gemEnd().MatchString(line):
			blocks = blocks[:max(0, len(blocks)-1)]
		case gemBlock().MatchString(line) && len(blocks) < 100:
			blocks = append(blocks, false)
		}
	}
	for name := range runtime {
		delete(development, name)
	}
	return development
}

func onlyDevelopment(groups string) bool {
	return (strings.Contains(groups, "development") || strings.Contains(groups, "test") || strings.Contains(groups, "lint") || strings.Contains(groups, "doc")) && !strings.Contains(groups, "production") && !strings.Contains(groups, "default")
}

func isGemspec(name string) bool {
	return strings.HasSuffix(name, ".gemspec") && strings.Contains("/"+name, "/specifications/")
}

var (
	gemspecName    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^\s*s\.name\s*=\s*"([A-Za-z0-9_.-]+)"`) })
	gemspecVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^\s*s\.version\s*=\s*"([^"]+)"`) })
	gemspecLicence = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^\s*s\.licenses\s*=\s*\["([^"]+)"`) })
)

// gemspec is an installed gem: what RubyGems writes into its specifications.
func gemspec(_ context.Context, f manifest, out func(component.Component)) error {
	name, version := gemspecName().FindSubmatch(f.content), gemspecVersion().FindSubmatch(f.content)
	if name == nil || version == nil {
		return diag.Errorf(diag.Place{File: f.path, Line: 1}, "a gem without a name or a version").In(f.content)
	}
	c := gemComponent(string(name[1]), string(version[1]))
	c.Place = diag.Place{File: f.path, Line: 1}
	if l := gemspecLicence().FindSubmatch(f.content); l != nil {
		c.Licences = []string{string(l[1])}
	}
	out(c)
	return nil
}
