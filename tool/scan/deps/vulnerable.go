package deps

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// vulnerable is one bug of one package in one manifest, in all versions there.
type vulnerable struct {
	file       string
	bug        advisory.Match
	components []component.Component
	fixes      []string // of each
	reach      Reach
	importedAt string
	calledBy   string
}

func (v *vulnerable) add(c component.Component, m advisory.Match) {
	v.components, v.fixes = append(v.components, c), append(v.fixes, m.Fixed)
}

// lead is the component that matters most: asked for directly, and at run time.
func (v *vulnerable) lead() component.Component {
	c := v.components[0]
	for _, other := range v.components {
		if other.Direct && !c.Direct || other.Scope == component.Runtime && c.Scope != component.Runtime {
			c = other
		}
	}
	return c
}

func (v *vulnerable) finding() finding.Finding {
	c := v.lead()
	fields := finding.At(c.Place)
	fields[finding.FieldFingerprint] = finding.Fingerprint(v.bug.ID, c.Ecosystem, c.Name, v.file)
	fields[finding.FieldPackage] = c.PURL
	fields[finding.FieldInstalled] = strings.Join(v.versions(), ", ")
	fields[finding.FieldScope] = string(c.Scope)
	fields[finding.FieldEvidence] = v.evidence(c)
	if fixed := v.fixed(); fixed != "" {
		fields[finding.FieldFixed] = fixed
	}
	fields[finding.FieldEcosystem] = c.Ecosystem
	score, steps := Score(v.bug, Context{Scope: c.Scope, Reach: v.reach, Fixed: v.fixed()})
	fields[finding.FieldScore], fields[finding.FieldScoreWhy] = fmt.Sprintf("%.1f", score), finding.Shorten(told(steps), 1000)
	if v.reach != NotLooked {
		fields[finding.FieldReach] = string(v.reach)
	}
	if v.bug.Exploited != nil {
		fields[finding.FieldExploited] = v.bug.Exploited.Added
	}
	lead := v.bug.Advisories[0]
	if len(lead.CWEs) > 0 {
		fields[finding.FieldCWE] = strings.Join(lead.CWEs, ", ")
	}
	details := lead.Details
	if details == "" {
		details = lead.Summary
	}
	return finding.Finding{
		GeneratorID:     "deps/" + v.bug.ID,
		Title:           finding.Shorten(fmt.Sprintf("%s in %s %s: %s", v.bug.ID, c.Name, strings.Join(v.versions(), ", "), lead.Summary), 256),
		Description:     finding.Shorten(orElse(details, v.bug.ID+" is a known vulnerability of "+c.Name+"."), 1000),
		Types:           []string{"Software and Configuration Checks/Vulnerabilities/CVE"},
		Severity:        severity(v.bug.Severity),
		SourceURL:       first(lead.References),
		Remediation:     &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(v.advice(c), 512), URL: first(lead.References)}},
		Vulnerabilities: []finding.Vulnerability{v.vulnerability(lead)},
		ProductFields:   fields,
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// severity is the advisories'; a bug that nobody rated is taken for a medium one.
func severity(s advisory.Severity) *finding.Severity {
	if s.Label == "" {
		return &finding.Severity{Label: finding.Medium, Original: "not rated"}
	}
	original := s.Label + " by " + s.Source
	if s.Score > 0 {
		original = fmt.Sprintf("%.1f by %s", s.Score, s.Source)
	}
	return &finding.Severity{Label: finding.Label(s.Label), Original: original}
}

func (v *vulnerable) versions() []string {
	var all []string
	for _, c := range v.components {
		all = append(all, c.Version)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fixed is the version that mends all of them, or "".
func (v *vulnerable) fixed() string {
	newest := ""
	for _, f := range v.fixes {
		if f == "" {
			return ""
		}
		if n, ok := advisory.Compare(v.components[0].Ecosystem, f, newest); newest == "" || ok && n > 0 {
			newest = f
		}
	}
	return newest
}

// evidence is how the package gets into the project.
func (v *vulnerable) evidence(c component.Component) string {
	parts := []string{"asked for by the project"}
	if !c.Direct {
		parts[0] = "brought in by another package"
		if len(c.Path) > 1 {
			parts[0] = "brought in by " + strings.Join(c.Path, " > ")
		}
	}
	if v.importedAt != "" {
		parts = append(parts, "imported at "+v.importedAt)
	}
	if v.calledBy != "" {
		parts = append(parts, "called by "+v.calledBy)
	}
	if k := v.bug.Exploited; k != nil {
		parts = append(parts, "known to be exploited since "+k.Added)
	}
	if len(v.bug.Names) > 1 {
		parts = append(parts, "also known as "+strings.Join(v.bug.Names[1:], ", "))
	}
	if v.bug.OpenEnded {
		parts = append(parts, "upper bound unknown: the source does not say where it ends")
	}
	return finding.Shorten(strings.Join(parts, "; "), 1000)
}

func (v *vulnerable) advice(c component.Component) string {
	fixed := v.fixed()
	switch {
	case fixed == "":
		return fmt.Sprintf("No version of %s without it is known. Replace the package, or see to it that the part with the bug is not reached, and record why.", c.Name)
	case isJar(c.Place.File), c.Place.Line <= 1 && c.Ecosystem == "Go":
		return fmt.Sprintf("Build %s anew with %s %s or later.", v.file, c.Name, fixed)
	case c.Direct:
		return fmt.Sprintf("Upgrade %s to %s or later in %s.", c.Name, fixed, v.file)
	case len(c.Path) > 1:
		return fmt.Sprintf("Upgrade %s to %s or later: take a version of %s that asks for it, or override the version in %s.", c.Name, fixed, c.Path[0], v.file)
	}
	return fmt.Sprintf("Upgrade %s to %s or later: take a version of what brings it in that asks for it, or override the version in %s.", c.Name, fixed, v.file)
}

func (v *vulnerable) vulnerability(lead advisory.Advisory) finding.Vulnerability {
	x := finding.Vulnerability{ID: v.bug.ID, Related: v.bug.Names[1:], ReferenceURLs: lead.References, FixAvailable: "YES"}
	for i, c := range v.components {
		p := finding.Package{Name: c.Name, Version: c.Version, PackageManager: manager(c), FilePath: v.file, FixedInVersion: v.fixes[i]}
		if v.fixes[i] == "" {
			x.FixAvailable = "NO"
		}
		x.Packages = append(x.Packages, p)
	}
	if o := v.bug.Odds; o != nil {
		x.EpssScore = &o.Score
	}
	if v.bug.Exploited != nil {
		x.ExploitAvailable = "YES"
	}
	if s := v.bug.Severity; s.Score > 0 {
		type cvss struct {
			Version    string  `json:"Version"`
			BaseScore  float64 `json:"BaseScore"`
			BaseVector string  `json:"BaseVector"`
		}
		extra, err := json.Marshal(map[string][]cvss{"Cvss": {{strings.TrimPrefix(s.Source, "CVSS "), s.Score, s.Vector}}})
		if err == nil { // plain numbers and text
			x.Extra = jsontext.Value(extra)
		}
	}
	return x
}

// manager is what Inspector calls the package manager of an ecosystem, or of a file.
func manager(c component.Component) string {
	switch path.Base(c.Place.File) {
	case "yarn.lock":
		return "YARN"
	case "poetry.lock":
		return "POETRY"
	case "Pipfile.lock":
		return "PIPENV"
	case "go.mod", "go.sum":
		return "GOMOD"
	case "METADATA", "PKG-INFO":
		return "PYTHONPKG"
	}
	switch {
	case c.Ecosystem == "Maven" && isJar(c.Place.File):
		return "JAR"
	case strings.HasSuffix(c.Place.File, ".deps.json"):
		return "DOTNET_CORE"
	case strings.HasSuffix(c.Place.File, ".gemspec"):
		return "GEMSPEC"
	}
	base, _, _ := strings.Cut(c.Ecosystem, ":")
	switch base {
	case "npm":
		return "NPM"
	case "Go":
		return "GOBINARY"
	case "PyPI":
		return "PIP"
	case "Maven":
		return "POM"
	case "RubyGems":
		return "BUNDLER"
	case "crates.io":
		return "CARGO"
	case "Packagist":
		return "COMPOSER"
	case "NuGet":
		return "NUGET"
	case "Debian", "Ubuntu", "Alpine", "AlmaLinux", "Red Hat", "Rocky Linux", "SUSE", "Wolfi", "Chainguard", "Mageia":
		return "OS"
	}
	return ""
}
