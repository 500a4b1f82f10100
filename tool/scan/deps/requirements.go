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

// isRequirements tells the names that pip's requirement files have by custom.
func isRequirements(name string) bool {
	dir, base := path.Split(strings.ToLower(name))
	if !strings.HasSuffix(base, ".txt") {
		return false
	}
	stem := strings.TrimSuffix(base, ".txt")
	return strings.HasPrefix(stem, "requirements") || strings.HasSuffix(stem, "requirements") || strings.HasSuffix(dir, "requirements/")
}

// requirement is `name[extras] specifiers ; marker`.
var requirement = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)$`)
})

// pinned is exactly one version, without a wildcard.
var pinned = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:===?)\s*([A-Za-z0-9][A-Za-z0-9._!+-]*)$`) })

// requirements lists what a pip requirements file asks for. Files that it includes
// are followed where they would not be looked at on their own.
func requirements(ctx context.Context, f manifest, out func(component.Component)) error {
	r := requirementReader{tree: f, out: out, seen: map[string]bool{f.path: true}, exact: map[string]string{}}
	return r.file(ctx, f.path, f.content, 0)
}

type requirementReader struct {
	tree manifest
	out  func(component.Component)
	seen map[string]bool

	exact map[string]string // versions that constraints pin
}

// constrain takes the versions that a file of constraints pins, and those that it includes.
func (r *requirementReader) constrain(name string) {
	const most = 100
	if r.seen["-c "+name] || len(r.seen) > most {
		return
	}
	r.seen["-c "+name] = true
	text, ok := readBeside(r.tree.tree, name)
	if !ok {
		return
	}
	for _, line := range logicalLines(string(text)) {
		if more, ok := option(line.text, "--constraint", "-c", "--requirement", "-r"); ok {
			r.constrain(path.Join(path.Dir(name), more))
		} else if c, ok := parseRequirement(line.text); ok && c.State == component.Resolved && r.exact[c.Name] == "" {
			r.exact[c.Name] = c.Version
		}
	}
}

func (r *requirementReader) file(ctx context.Context, name string, text []byte, depth int) error {
	const deepest = 10
	lines := logicalLines(string(text))
	for _, line := range lines { // what is constrained is so wherever the line stands
		if constrained, ok := option(line.text, "--constraint", "-c"); ok {
			r.constrain(path.Join(path.Dir(name), constrained))
		}
	}
	for i, line := range lines {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if included, ok := includes(line.text); ok && depth < deepest {
			target := path.Join(path.Dir(name), included)
			if isRequirements(target) || r.seen[target] {
				continue // it is met on its own
			}
			r.seen[target] = true
			if more, ok := readBeside(r.tree.tree, target); ok {
				if err := r.file(ctx, target, more, depth+1); err != nil {
					return err
				}
			}
			continue
		}
		if c, ok := parseRequirement(line.text); ok {
			c.Place = diag.Place{File: name, Line: line.number}
			c.Scope = requirementScope(name)
			if exact := r.exact[c.Name]; c.State == component.Unresolved && exact != "" && !strings.Contains(c.Version, "@") {
				c.Version, c.State = exact, component.Resolved
			}
			r.out(c)
		}
	}
	return nil
}

type numberedLine struct {
	number int
	text   string
}

// logicalLines joins lines that end in a backslash, and drops comments.
func logicalLines(text string) []numberedLine {
	var lines []numberedLine
	number, begun, joined := 0, 0, ""
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if begun == 0 {
			begun = number
		}
		if rest, ok := strings.CutSuffix(line, "\\"); ok && len(joined) < 1<<16 {
			joined += rest + " "
			continue
		}
		lines = append(lines, numberedLine{begun, uncomment(joined + line)})
		begun, joined = 0, ""
	}
	if joined != "" {
		lines = append(lines, numberedLine{begun, uncomment(joined)})
	}
	return lines
}

func uncomment(line string) string {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return ""
	}
	if i := strings.Index(line, " #"); i >= 0 {
		line = line[:i]
	}
	return strings.TrimSpace(line)
}

func includes(line string) (string, bool) { return option(line, "--requirement", "-r") }

// option is the value of one of some options that a line begins with.
func option(line string, names ...string) (string, bool) {
	for _, name := range names {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimLeft(rest, " =\t"), true
		}
	}
	return "", false
}

func parseRequirement(line string) (component.Component, bool) {
	if rest, ok := strings.CutPrefix(line, "-e"); ok {
		line = strings.TrimSpace(strings.TrimPrefix(rest, "ditable"))
	} else if rest, ok := strings.CutPrefix(line, "--editable"); ok {
		line = strings.TrimLeft(rest, " =\t")
	}
	if line == "" || strings.HasPrefix(line, "-") {
		return component.Component{}, false
	}
	if strings.Contains(line, "://") && !strings.Contains(line, " @ ") {
		return fromAddress(line)
	}
	hash := ""
	if _, after, ok := strings.Cut(line, "--hash"); ok {
		hash, _, _ = strings.Cut(strings.TrimLeft(after, "= "), " ")
	}
	if i := strings.Index(line, " -"); i >= 0 { // --hash, -C and other options of one requirement
		line = strings.TrimSpace(line[:i])
	}
	line, _, _ = strings.Cut(line, ";")
	m := requirement().FindStringSubmatch(strings.TrimSpace(line))
	if m == nil || strings.HasPrefix(m[2], "/") || strings.HasSuffix(m[1], ".whl") {
		return component.Component{}, false
	}
	specifiers := strings.Trim(strings.TrimSpace(m[2]), "()")
	if specifiers != "" && strings.IndexByte("=<>!~@", specifiers[0]) < 0 {
		return component.Component{}, false
	}
	c := pythonComponent(m[1])
	c.Version, c.Integrity = specifiers, hash
	if exact := pinned().FindStringSubmatch(specifiers); exact != nil {
		c.Version, c.State = exact[1], component.Resolved
	}
	return c, true
}

// fromAddress is a package taken from an address: git+https://…#egg=name.
func fromAddress(line string) (component.Component, bool) {
	_, name, ok := strings.Cut(line, "#egg=")
	if !ok {
		return component.Component{}, false
	}
	name, _, _ = strings.Cut(name, "&")
	name, _, _ = strings.Cut(name, "[")
	if !requirement().MatchString(name) {
		return component.Component{}, false
	}
	c := pythonComponent(strings.TrimSpace(name))
	c.Version = line
	return c, true
}

func pythonComponent(name string) component.Component {
	normal := advisory.Normal("PyPI", name)
	return component.Component{PURL: component.PURL("pypi", "", normal), Ecosystem: "PyPI", Name: normal, State: component.Unresolved, Direct: true}
}

func requirementScope(name string) component.Scope {
	base := strings.ToLower(path.Base(name))
	for _, part := range []string{"dev", "test", "lint", "doc", "ci"} {
		if strings.Contains(strings.TrimPrefix(base, "requirements"), part) {
			return component.Development
		}
	}
	return component.Runtime
}
