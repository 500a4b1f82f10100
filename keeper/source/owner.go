package source

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Definition tells whether a file says what happens to a repository: how it is built, judged, or shipped, who owns
// what, what is overlooked of it, and where its parts lie. What changes it may need the approval of an owner of its own.
func Definition(file string) bool {
	for _, folder := range definitionFolders {
		if strings.HasPrefix(file, folder) {
			return true
		}
	}
	switch name := path.Base(file); {
	case name == "CODEOWNERS":
		return file == name || path.Dir(file) == ".github" || path.Dir(file) == "docs" || path.Dir(file) == ".gitlab"
	case strings.HasPrefix(name, "buildspec") && (strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml")):
		return true
	case file == name:
		return slices.Contains(definitionFiles[:], name)
	}
	return false
}

var definitionFolders = [...]string{".haechi/", ".github/workflows/", ".github/actions/", ".gitlab/", ".gitea/workflows/", ".forgejo/workflows/", ".circleci/", ".buildkite/", ".woodpecker/"}

// definitionFiles lie at the top.
var definitionFiles = [...]string{
	".gitlab-ci.yml", "Jenkinsfile", "appspec.yml", "appspec.yaml", ".drone.yml", ".travis.yml", ".woodpecker.yml", ".woodpecker.yaml", "azure-pipelines.yml", "bitbucket-pipelines.yml",
	".gitmodules", ".lfsconfig", ".gitattributes",
	".haechi-secrets", ".gitleaks.toml", ".gitleaksignore", ".trivyignore", ".trivyignore.yaml", "osv-scanner.toml",
}

// defines is Definition, with the files that a rule names besides.
func (b BranchRule) defines(file string) bool {
	return Definition(file) || slices.ContainsFunc(b.Definitions, func(pattern string) bool { return ownerMatch(pattern, file) })
}

// codeOwnersAt are where CODEOWNERS may lie; the first that is there counts.
var codeOwnersAt = [...]string{".haechi/CODEOWNERS", ".github/CODEOWNERS", "CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS"}

// owners is a CODEOWNERS file: within a section the last line that means a file counts.
type owners struct{ sections [][]ownerLine }

type ownerLine struct {
	pattern string
	names   []string
}

const mostOwners = 1 << 20

// codeOwners reads CODEOWNERS of a commit; none is empty. One that is too large is an error: it must not
// pass for one that asks for nobody.
func codeOwners(ctx context.Context, repo *git.Repo, commit string) (owners, error) {
	for _, at := range codeOwnersAt {
		text, _, err := repo.File(ctx, commit, at, mostOwners)
		if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Invalid) {
			continue
		}
		if err != nil {
			return owners{}, err
		}
		return parseOwners(string(text)), nil
	}
	return owners{}, nil
}

// parseOwners reads GitHub's form, and GitLab's sections: [Name], of which each asks for its own. That a
// section calls itself optional (^) does not make it so here.
func parseOwners(text string) (o owners) {
	o.sections = [][]ownerLine{nil}
	var inherited []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if head := strings.TrimPrefix(line, "^"); strings.HasPrefix(head, "[") && strings.Contains(head, "]") {
			o.sections = append(o.sections, nil)
			_, rest, _ := strings.Cut(head, "]")
			inherited = nil
			for _, name := range strings.Fields(rest) {
				if !strings.HasPrefix(name, "[") { // [2] approvals
					inherited = append(inherited, name)
				}
			}
			continue
		}
		pattern, names := ownerFields(line)
		if len(names) == 0 {
			names = inherited
		}
		last := len(o.sections) - 1
		o.sections[last] = append(o.sections[last], ownerLine{pattern, names})
	}
	return o
}

// ownerFields parts a line into its pattern, in which a backslash keeps a blank, and the owners.
func ownerFields(line string) (pattern string, names []string) {
	var b strings.Builder
	i := 0
	for ; i < len(line) && line[i] != ' ' && line[i] != '\t'; i++ {
		if line[i] == '\\' && i+1 < len(line) {
			i++
		}
		b.WriteByte(line[i])
	}
	for _, name := range strings.Fields(line[i:]) {
		if strings.HasPrefix(name, "#") {
			break
		}
		names = append(names, name)
	}
	return b.String(), names
}

// of are the owners of a file: one of each list must approve.
func (o owners) of(file string) (all [][]string) {
	for _, section := range o.sections {
		for i := len(section) - 1; i >= 0; i-- {
			if ownerMatch(section[i].pattern, file) {
				if len(section[i].names) > 0 {
					all = append(all, section[i].names)
				}
				break
			}
		}
	}
	return all
}

// ownerMatch tells whether a pattern means a file, as .gitignore has it: with a slash within it starts at
// the top, ** is any folders, a folder means all below it.
func ownerMatch(pattern, file string) bool {
	anchored := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
	folder := strings.HasSuffix(pattern, "/")
	pattern = strings.Trim(pattern, "/")
	if pattern == "" {
		return folder || anchored
	}
	parts, names := strings.Split(pattern, "/"), strings.Split(file, "/")
	if len(parts) > 64 || len(names) > 1000 {
		return true // asks for one more than needed, rather than for one less
	}
	starts := 1
	if !anchored {
		starts = len(names)
	}
	last := parts[len(parts)-1]
	for i := range starts {
		if ownerParts(parts, names[i:], folder, anchored && last == "*") {
			return true
		}
	}
	return false
}

// ownerParts matches folder by folder; what is below a match is meant, too, unless exact: docs/* means no file in docs/a/.
func ownerParts(parts, names []string, folder, exact bool) bool {
	// reach[j] tells whether the parts so far can end before names[j].
	reach := make([]bool, len(names)+1)
	reach[0] = true
	for _, p := range parts {
		next := make([]bool, len(names)+1)
		if p == "**" {
			any := false
			for j := range reach {
				any = any || reach[j]
				next[j] = any
			}
		} else {
			for j, name := range names {
				if reach[j] && (matches(p, name) || p == name) {
					next[j+1] = true
				}
			}
		}
		reach = next
	}
	for j, ok := range reach {
		switch {
		case !ok:
		case j == len(names):
			if !folder || parts[len(parts)-1] == "**" {
				return true
			}
		case j > 0 && !exact || parts[len(parts)-1] == "**":
			return true
		}
	}
	return false
}
