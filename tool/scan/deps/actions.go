package deps

import (
	"context"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

func isWorkflow(name string) bool {
	ext := path.Ext(name)
	if ext != ".yml" && ext != ".yaml" {
		return false
	}
	dir, base := path.Split("/" + name)
	return strings.HasSuffix(dir, "/.github/workflows/") || base == "action.yml" || base == "action.yaml"
}

var (
	uses = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\s*(?:-\s+)?["']?uses["']?\s*:\s*["']?([^\s"'#]+)["']?\s*(?:#\s*(.*))?$`)
	})
	commitSHA = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}$`) })
	tagInText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bv?[0-9]+\.[0-9]+\.[0-9]+\b`) })
)

// workflow lists the actions that a workflow of GitHub uses. A tag of three
// numbers is a version, and so is a commit with such a tag in the comment beside
// it; v4 and main move, so what they are is not known here.
func workflow(_ context.Context, f manifest, out func(component.Component)) error {
	number := 0
	for line := range strings.Lines(string(f.content)) {
		number++
		if m := imageLine().FindStringSubmatch(line); m != nil { // what a job, its services or a container action run in
			name := strings.TrimPrefix(m[1], "docker://")
			if c := imageComponent(name, diag.Place{File: f.path, Line: number}); !scan.IsDockerfile(name) && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "$") && strings.Trim(c.Name, "/:@{}[]|>&*~") != "" {
				c.Scope = component.Development
				out(c)
			}
			continue
		}
		m := uses().FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil || strings.HasPrefix(m[1], ".") {
			continue
		}
		place := diag.Place{File: f.path, Line: number}
		if image, ok := strings.CutPrefix(m[1], "docker://"); ok {
			out(imageComponent(image, place))
			continue
		}
		name, ref, ok := strings.Cut(m[1], "@")
		owner, rest, ok2 := strings.Cut(name, "/")
		if !ok || !ok2 || ref == "" || owner == "" || rest == "" {
			continue
		}
		repo, _, _ := strings.Cut(rest, "/")
		c := component.Component{PURL: component.PURL("githubactions", owner, repo), Ecosystem: "GitHub Actions", Name: owner + "/" + repo, Version: ref,
			State: component.Unresolved, Scope: component.Development, Direct: true, Place: place, Path: []string{owner + "/" + repo}}
		version := ref
		if commitSHA().MatchString(ref) {
			version = tagInText().FindString(m[2])
			c.Integrity = ref
		}
		if tagInText().FindString(version) == version && version != "" {
			if _, ok := advisory.Compare("GitHub Actions", version, version); ok {
				c.Version, c.State = strings.TrimPrefix(version, "v"), component.Resolved
			}
		}
		out(c)
	}
	return nil
}
