package deps

import (
	"bytes"
	"context"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// Images is what stands for an ecosystem in components that are container
// images: no advisories speak of them, what is inside them has its own.
const Images = "OCI"

// imageComponent is the image that a reference names: registry/name:tag@digest. A
// digest or a tag is a version; latest, or nothing, moves.
func imageComponent(reference string, place diag.Place) component.Component {
	name, digest, _ := strings.Cut(reference, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	namespace, short := "", name
	qualifiers := ""
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		namespace, short = name[:i], name[i+1:]
		if registry, rest, _ := strings.Cut(namespace+"/", "/"); strings.ContainsAny(registry, ".:") || registry == "localhost" {
			qualifiers = "repository_url=" + component.Escape(registry)
			namespace = strings.TrimSuffix(rest, "/")
		}
	}
	c := component.Component{PURL: component.PURL("docker", namespace, short), Qualifiers: qualifiers, Ecosystem: Images, Name: name, Version: tag, State: component.Resolved,
		Scope: component.Runtime, Direct: true, Place: place, Path: []string{name}, Integrity: digest}
	switch {
	case strings.ContainsAny(reference, "${}"), digest == "" && (tag == "" || tag == "latest"):
		c.State = component.Unresolved
		if tag == "" {
			c.Version = "latest"
		}
	case tag == "":
		c.Version = digest
	}
	return c
}

var (
	dockerFrom = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)
	})
	dockerArg = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^\s*ARG\s+([A-Za-z_][A-Za-z0-9_]*)(?:=("[^"]*"|'[^']*'|\S*))?`)
	})
	dockerCopy = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^\s*(?:COPY|ADD)\s.*--from=(\S+)`) })
	dockerVar  = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))`)
	})
)

// stagedImage is an image in the stage of a Dockerfile that asks for it.
type stagedImage struct {
	component component.Component
	stage     int
}

// dockerfile lists the images that a Dockerfile is built from, and those that it
// copies from. What the last stage is made of runs, what only others need is development.
func dockerfile(_ context.Context, f manifest, out func(component.Component)) error {
	arguments := map[string]string{}
	stages := map[string]int{}
	var listed []stagedImage
	var from []int // of each stage: the stage that it goes on from, or itself
	number := 0
	for line := range strings.Lines(string(f.content)) {
		number++
		place := diag.Place{File: f.path, Line: number}
		if m := dockerArg().FindStringSubmatch(line); m != nil && len(from) == 0 && m[2] != "" {
			arguments[m[1]] = dockerExpand(strings.Trim(m[2], `"'`), arguments)
		}
		if m := dockerFrom().FindStringSubmatch(line); m != nil {
			name, stage := dockerExpand(m[1], arguments), len(from)
			earlier, ok := stages[strings.ToLower(name)]
			switch {
			case ok:
				from = append(from, earlier)
			default:
				from = append(from, stage)
				if name != "scratch" {
					listed = append(listed, stagedImage{imageComponent(name, place), stage})
				}
			}
			if m[2] != "" {
				stages[strings.ToLower(m[2])] = stage
			}
		}
		if m := dockerCopy().FindStringSubmatch(line); m != nil && len(from) > 0 {
			name := dockerExpand(m[1], arguments)
			if _, ok := stages[strings.ToLower(name)]; !ok && strings.Trim(name, "0123456789") != "" {
				listed = append(listed, stagedImage{imageComponent(name, place), len(from) - 1})
			}
		}
	}
	runs := map[int]bool{}
	for stage := len(from) - 1; stage >= 0 && !runs[stage]; stage = from[stage] {
		runs[stage] = true
	}
	for _, image := range listed {
		if !runs[image.stage] {
			image.component.Scope = component.Development
		}
		if strings.Trim(image.component.Name, "/:@") != "" {
			out(image.component)
		}
	}
	return nil
}

// dockerExpand replaces ${NAME}, ${NAME:-default} and $NAME as far as they are known.
func dockerExpand(s string, values map[string]string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	const longest = 4096
	expanded := dockerVar().ReplaceAllStringFunc(s, func(v string) string {
		m := dockerVar().FindStringSubmatch(v)
		if value, ok := values[m[1]+m[3]]; ok && value != "" {
			return value
		}
		if m[2] != "" {
			return m[2]
		}
		return v
	})
	if len(expanded) > longest {
		return s
	}
	return expanded
}

func isYAML(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

var imageLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*(?:-\s+)?["']?image["']?\s*:\s*["']?([^\s"'#]+)`)
})

// images lists the images that a compose file or a manifest of Kubernetes names.
// Other YAML is passed over.
func images(_ context.Context, f manifest, out func(component.Component)) error {
	if !bytes.Contains(f.content, []byte("image")) {
		return nil
	}
	base := path.Base(f.path)
	compose := strings.Contains(base, "compose") && bytes.Contains(f.content, []byte("services:"))
	if !compose && !(bytes.Contains(f.content, []byte("apiVersion:")) && bytes.Contains(f.content, []byte("kind:"))) {
		return nil
	}
	number := 0
	for line := range strings.Lines(string(f.content)) {
		number++
		m := imageLine().FindStringSubmatch(line)
		if m == nil || strings.Trim(m[1], "/:@{}[]|>&*~") == "" || strings.HasPrefix(m[1], "{{") || strings.HasPrefix(m[1], "{") {
			continue
		}
		name, _, template := strings.Cut(m[1], "{{") // Helm's: what stands there is decided later
		c := imageComponent(dockerExpand(strings.TrimRight(name, ":/@-"), nil), diag.Place{File: f.path, Line: number})
		if template {
			c.State, c.Version = component.Unresolved, "{{…}}"
		}
		if c.Name != "" {
			out(c)
		}
	}
	return nil
}
