package deps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// Generators of what is no vulnerability, but a hole in what can be known of them: a gate can stop on these.
const (
	UnresolvedRule = "deps/unresolved" // versions that cannot be known
	NoDataRule     = "deps/no-data"    // an ecosystem on which there are no advisories
)

// unresolved says which versions of a manifest cannot be known. Go's language
// version is no requirement of anybody's, and left out.
func unresolved(file string, listed []component.Component) (finding.Finding, bool) {
	var names []string
	var lead component.Component
	for _, c := range listed {
		if c.State != component.Unresolved || c.PURL == "pkg:golang/stdlib" {
			continue
		}
		if len(names) == 0 {
			lead = c
		}
		names = append(names, strings.TrimSpace(c.Name+" "+c.Version))
	}
	if len(names) == 0 {
		return finding.Finding{}, false
	}
	slices.Sort(names)
	names = slices.Compact(names)
	what := "1 version that cannot be known"
	if len(names) > 1 {
		what = fmt.Sprintf("%d versions that cannot be known", len(names))
	}
	fields := finding.At(lead.Place)
	fields[finding.FieldFingerprint] = finding.Fingerprint(UnresolvedRule, file)
	fields[finding.FieldState] = string(component.Unresolved)
	fields[finding.FieldEvidence] = finding.Shorten(strings.Join(names, ", "), 1000)
	return finding.Finding{
		GeneratorID:   UnresolvedRule,
		Title:         finding.Shorten(fmt.Sprintf("%s: %s", what, strings.Join(names, ", ")), 256),
		Description:   "What these are is decided elsewhere or later: by a range, a variable, an address or a list that is not here. They were held against no advisory.",
		Types:         []string{"Software and Configuration Checks/Vulnerabilities"},
		Severity:      &finding.Severity{Label: finding.Informational},
		Remediation:   &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(unresolvedAdvice(lead), 512)}},
		ProductFields: fields,
	}, true
}

func unresolvedAdvice(c component.Component) string {
	switch c.Ecosystem {
	case "npm":
		return "Commit the lock file: npm install, yarn install, pnpm install or bun install writes it."
	case "PyPI":
		return "Pin exact versions (==), or commit the lock file of pip-tools, uv, poetry, pdm or pipenv."
	case "Maven":
		return "Resolve the project once on this machine (mvn dependency:go-offline fills ~/.m2), scan with its lists of versions in the tree, or lock versions."
	case "GitHub Actions":
		return "Pin actions to a commit, with the version in a comment: owner/name@<commit> # v1.2.3."
	case Images:
		return "Name a version, or better the digest: image:1.2.3@sha256:…"
	}
	return "Commit a lock file, or ask for exact versions."
}
