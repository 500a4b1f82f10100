package deps

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/advisory"
)

// Left is an upgrade that a patch does not hold, and why.
type Left struct {
	Upgrade
	Why string
}

// Patch writes upgrades as a unified diff of the manifests that people edit:
// go.mod, package.json, requirements files and pom.xml. What lock files say
// follows when the package manager runs again.
func Patch(tree fs.FS, upgrades []Upgrade) (patch string, left []Left) {
	edits := map[string]*edited{}
	open := func(name string) *edited {
		if e, ok := edits[name]; ok {
			return e
		}
		edits[name] = nil
		if text, ok := readBeside(tree, name); ok && !bytes.Contains(text, []byte("\r")) {
			edits[name] = &edited{lines: strings.SplitAfter(string(text), "\n"), changed: map[int]string{}}
		}
		return edits[name]
	}
	for _, u := range upgrades {
		if why := edit(open, u); why != "" {
			left = append(left, Left{u, why})
		}
	}
	var b strings.Builder
	for _, name := range sortedKeys(edits) {
		if e := edits[name]; e != nil && len(e.changed) > 0 {
			fmt.Fprintf(&b, "--- a/%s\n+++ b/%s\n%s", name, name, e.hunks())
		}
	}
	return b.String(), left
}

// edited is a file with lines that change; a changed line may become several.
type edited struct {
	lines   []string
	changed map[int]string // by index
}

// line is a line as it stands after the edits so far; index from 0.
func (e *edited) line(i int) string {
	if s, ok := e.changed[i]; ok {
		return s
	}
	if i < 0 || i >= len(e.lines) {
		return ""
	}
	return e.lines[i]
}

// hunks are the changes with three lines around them.
func (e *edited) hunks() string {
	const around = 3
	last := len(e.lines)
	if last > 0 && e.lines[last-1] == "" {
		last--
	}
	var b strings.Builder
	shift := 0
	for i := 0; i < last; i++ {
		if _, ok := e.changed[i]; !ok {
			continue
		}
		start, end := max(0, i-around), i
		for j := i; j < min(last, end+2*around+1); j++ { // changes that are near are one hunk
			if _, ok := e.changed[j]; ok {
				end = j
			}
		}
		stop := min(last, end+around+1)
		var body strings.Builder
		added := 0
		for j := start; j < stop; j++ {
			s, ok := e.changed[j]
			if !ok {
				body.WriteString(" " + ended(e.lines[j]))
				continue
			}
			body.WriteString("-" + ended(e.lines[j]))
			for line := range strings.Lines(s) {
				body.WriteString("+" + ended(line))
				added++
			}
			added--
		}
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n%s", start+1, stop-start, start+1+shift, stop-start+added, body.String())
		shift += added
		i = stop - 1
	}
	return b.String()
}

// ended is a line as a diff shows it: the end of a last line that has none is named.
func ended(line string) string {
	if strings.HasSuffix(line, "\n") {
		return line
	}
	return line + "\n\\ No newline at end of file\n"
}

// edit makes an upgrade in the file that asks for the component, or says why it cannot be made.
func edit(open func(string) *edited, u Upgrade) (why string) {
	file := u.Component.Place.File
	switch base := path.Base(file); {
	case base == "go.mod":
		return editGoMod(open(file), u)
	case isRequirements(file) || base == "requirements.in":
		return editRequirement(open(file), u)
	case base == "pom.xml":
		return editPom(open(file), u)
	case u.Component.Ecosystem == "npm":
		return editPackage(open(path.Join(path.Dir(file), "package.json")), u)
	case base == "go.sum":
		return "it is no requirement of go.mod: go get " + u.Component.Name + "@v" + u.To
	}
	return "upgrade it with the package manager to " + u.To + " or later"
}

const cannotOpen = "the manifest cannot be read as text"

func editGoMod(e *edited, u Upgrade) string {
	if e == nil {
		return cannotOpen
	}
	i := u.Component.Place.Line - 1
	line := e.line(i)
	if u.Component.Name == "stdlib" {
		if strings.Contains(line, u.Component.Version) {
			e.changed[i] = strings.Replace(line, u.Component.Version, u.To, 1)
			return ""
		}
		return "build with Go " + u.To + " or later"
	}
	from := u.Component.Name + " v" + u.Component.Version
	if !strings.Contains(line, from) {
		return "it is replaced: change what replaces it to v" + u.To
	}
	e.changed[i] = strings.Replace(line, from, u.Component.Name+" v"+u.To, 1)
	return ""
}

func editRequirement(e *edited, u Upgrade) string {
	if e == nil {
		return cannotOpen
	}
	i := u.Component.Place.Line - 1
	line := e.line(i)
	if strings.HasSuffix(strings.TrimSpace(line), "\\") || strings.Contains(line, "--hash") {
		return "its hashes must change, too: pip-compile --upgrade-package " + u.Component.Name + "==" + u.To
	}
	exact := regexp.MustCompile(`(===?\s*)` + regexp.QuoteMeta(u.Component.Version) + `($|[\s;#,])`)
	at := exact.FindStringSubmatchIndex(line)
	if at == nil {
		return "the version does not stand on its line"
	}
	e.changed[i] = line[:at[3]] + u.To + line[at[4]:]
	return ""
}

// editPom changes a version where it stands: on its own line, or in a property of the same file.
func editPom(e *edited, u Upgrade) string {
	if e == nil {
		return cannotOpen
	}
	if !u.Component.Direct {
		return "another dependency brings it in: manage it in dependencyManagement as " + u.To
	}
	i := u.Component.Place.Line - 1
	line := e.line(i)
	if strings.Contains(line, ">"+u.Component.Version+"<") {
		e.changed[i] = strings.Replace(line, ">"+u.Component.Version+"<", ">"+u.To+"<", 1)
		return ""
	}
	if m := pomProperty().FindStringSubmatch(line); m != nil {
		for j := range e.lines {
			open, end := "<"+m[1]+">", "</"+m[1]+">"
			if now := e.line(j); strings.Contains(now, open+u.Component.Version+end) {
				e.changed[j] = strings.Replace(now, open+u.Component.Version+end, open+u.To+end, 1)
				return ""
			} else if _, rest, ok := strings.Cut(now, open); ok && e.lines[j] != now { // changed before, for another
				had, _, _ := strings.Cut(rest, end)
				if n, ok := advisory.Compare("Maven", had, u.To); ok && n < 0 {
					e.changed[j] = strings.Replace(now, open+had+end, open+u.To+end, 1)
				}
				return ""
			}
		}
	}
	return "its version is managed elsewhere: set it there to " + u.To
}

var pomProperty = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<version>\s*\$\{([A-Za-z0-9_.-]+)\}\s*</version>`) })

// editPackage changes the range of what the project asks for, and overrides what others bring in.
func editPackage(e *edited, u Upgrade) string {
	if e == nil {
		return "there is no package.json beside it"
	}
	name := u.Component.Name
	if u.Component.Direct {
		asked := regexp.MustCompile(`^(\s*"` + regexp.QuoteMeta(name) + `"\s*:\s*")([~^>=v ]*)([0-9][^"]*)(".*\n?)$`)
		for i := range e.lines {
			m := asked.FindStringSubmatch(e.line(i))
			if m == nil {
				continue
			}
			sign := strings.TrimSpace(m[2])
			if !slices.Contains([]string{"", "^", "~", ">="}, sign) {
				sign = "^"
			}
			e.changed[i] = m[1] + sign + u.To + m[4]
			return ""
		}
		return "its range does not stand on a line of its own in package.json"
	}
	return override(e, name, u.To)
}

// override adds a member to "overrides", or to the list there.
func override(e *edited, name, version string) string {
	whole := ""
	for i := range e.lines {
		whole += e.line(i)
	}
	var p struct {
		Overrides map[string]any `json:"overrides"`
	}
	if json.Unmarshal([]byte(whole), &p, lenient) != nil {
		return "package.json cannot be read"
	}
	if _, ok := p.Overrides[name]; ok {
		return "package.json overrides it already: change that to " + version
	}
	member := fmt.Sprintf("%q: %q", name, version)
	if p.Overrides != nil {
		for i := range e.lines {
			if before, after, ok := strings.Cut(e.line(i), `"overrides": {`); ok && strings.TrimSpace(after) == "" || strings.Contains(e.line(i), `"overrides": {`+"\n") {
				indent := before[:len(before)-len(strings.TrimLeft(before, " \t"))]
				comma := ","
				if len(p.Overrides) == 0 {
					comma = ""
				}
				s := e.line(i)
				at := strings.Index(s, `"overrides": {`) + len(`"overrides": {`)
				e.changed[i] = s[:at] + "\n" + indent + "  " + indent + member + comma + s[at:]
				return ""
			}
		}
		return "its overrides stand on one line"
	}
	for i := len(e.lines) - 1; i > 0; i-- { // the brace that ends the file, and what stands before it
		if strings.TrimSpace(e.line(i)) != "}" {
			continue
		}
		for j := i - 1; j > 0; j-- {
			s := strings.TrimRight(e.line(j), " \t\n")
			if s == "" {
				continue
			}
			if strings.HasSuffix(s, "{") || strings.HasSuffix(s, ",") {
				return "package.json ends in a way that is not known"
			}
			e.changed[j] = s + ",\n  \"overrides\": {\n    " + member + "\n  }\n"
			return ""
		}
	}
	return "package.json is written on one line"
}
