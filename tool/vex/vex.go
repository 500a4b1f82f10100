// Package vex knows what was decided about vulnerabilities elsewhere: VEX documents and other scanners' lists of what to ignore, read and written.
package vex

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Status is what a statement says about a bug in a product, in OpenVEX's words.
type Status string

const (
	NotAffected Status = "not_affected"
	Affected    Status = "affected"
	Fixed       Status = "fixed"
	Looking     Status = "under_investigation"
)

// Statement is one decision. What is empty is about all.
type Statement struct {
	Status   Status
	Bugs     []pattern      // names of vulnerabilities: any of them, as all aliases are one bug
	Packages []pattern      // package URLs; one without version is about all versions
	Named    []named        // packages by ecosystem and name
	GAV      *regexp.Regexp // packages of Maven by group:artifact:version
	Files    []pattern      // the manifests that bring it in
	CWEs     []string       // any of them
	Below    float64        // bugs with a score below it
	Why      string         // the reason that is given
	Until    time.Time      // when it ends; zero for never
	Place    diag.Place
}

// named is a package as a file that knows no package URLs names it; "" is any.
type named struct{ ecosystem, name, version string }

// pattern is text that must be the same, or a regular expression that must match all of it.
type pattern struct {
	text string
	fold bool
	re   *regexp.Regexp
}

func exact(text string) pattern { return pattern{text: text} }

func exacts(texts ...string) []pattern {
	var all []pattern
	for _, t := range texts {
		if t != "" {
			all = append(all, exact(t))
		}
	}
	return all
}

func (p pattern) matches(s string) bool {
	switch {
	case p.re != nil:
		return p.re.MatchString(s)
	case p.fold:
		return strings.EqualFold(p.text, s)
	}
	return p.text == s
}

// Fields of findings that a statement was applied to.
const (
	FieldStatus = "haechi/vex"      // what the statement says
	FieldFrom   = "haechi/vex-from" // where it stands
)

// Applied says what statements did.
type Applied struct {
	Suppressed int          // findings that are set aside
	Unused     []diag.Place // statements that are about no finding
	Expired    []diag.Place // statements that ended, and would be about one
}

// Apply changes findings as statements say: what is not affected or fixed is
// suppressed, with the reason as its note; what is affected or looked into says
// so. The first statement that is about all of a finding decides.
func Apply(statements []Statement, findings []finding.Finding, now time.Time) Applied {
	used, expired := make([]bool, len(statements)), make([]bool, len(statements))
	var a Applied
	for i := range findings {
		f := &findings[i]
		if len(f.Vulnerabilities) == 0 {
			continue
		}
		for j, s := range statements {
			if !s.about(f) {
				continue
			}
			if !s.Until.IsZero() && now.After(s.Until) {
				expired[j] = true
				continue
			}
			used[j] = true
			if s.apply(f, now) {
				a.Suppressed++
			}
			break
		}
	}
	for j, s := range statements {
		switch {
		case used[j]:
		case expired[j]:
			a.Expired = append(a.Expired, diag.Place{File: s.Place.File, Line: s.Place.Line, Why: "it ended on " + s.Until.Format(time.DateOnly)})
		default:
			a.Unused = append(a.Unused, s.Place)
		}
	}
	return a
}

func (s Statement) apply(f *finding.Finding, now time.Time) (suppressed bool) {
	fields := map[string]string{}
	for k, v := range f.ProductFields {
		fields[k] = v
	}
	fields[FieldStatus], fields[FieldFrom] = string(s.Status), s.Place.String()
	f.ProductFields = fields
	why := string(s.Status)
	if s.Why != "" {
		why += ": " + s.Why
	}
	f.Note = &finding.Note{Text: finding.Shorten(why+" ("+s.Place.String()+")", 512), UpdatedBy: "haechi/vex", UpdatedAt: finding.Stamp(now)}
	if s.Status == NotAffected || s.Status == Fixed {
		f.Workflow = &finding.Workflow{Status: finding.Suppressed}
		return true
	}
	return false
}

// about tells whether the statement holds for every package version of a finding.
func (s Statement) about(f *finding.Finding) bool {
	v := f.Vulnerabilities[0]
	names := append([]string{v.ID}, v.Related...)
	byBug := anyOf(s.Bugs, names) || len(s.CWEs) > 0 && shares(s.CWEs, strings.Split(f.ProductFields[finding.FieldCWE], ", ")) || s.Below > 0 && scoreOf(f) < s.Below
	if len(s.Bugs)+len(s.CWEs) > 0 || s.Below > 0 {
		if !byBug {
			return false
		}
	}
	if len(s.Files) > 0 && !slices.ContainsFunc(s.Files, func(p pattern) bool {
		return p.matches(f.ProductFields[finding.FieldFile]) || glob(p.text, f.ProductFields[finding.FieldFile])
	}) {
		return false
	}
	if len(s.Packages)+len(s.Named) == 0 && s.GAV == nil {
		return true
	}
	for _, p := range v.Packages {
		if !s.aboutPackage(f.ProductFields[finding.FieldPackage], f.ProductFields[finding.FieldEcosystem], p) {
			return false
		}
	}
	return len(v.Packages) > 0
}

func (s Statement) aboutPackage(purl, ecosystem string, p finding.Package) bool {
	for _, x := range s.Packages {
		if x.re != nil || x.fold {
			if x.matches(purl+"@"+p.Version) || x.matches(purl) {
				return true
			}
			continue
		}
		want, version := cutVersion(x.text)
		if want == purl && (version == "" || version == p.Version || version == "v"+p.Version) {
			return true
		}
	}
	if s.GAV != nil && ecosystem == "Maven" && s.GAV.MatchString(p.Name+":"+p.Version) {
		return true
	}
	for _, n := range s.Named {
		if (n.ecosystem == "" || n.ecosystem == ecosystem) && (n.name == "" || n.name == p.Name) && (n.version == "" || n.version == p.Version) {
			return true
		}
	}
	return false
}

// cutVersion parts a package URL from its version; qualifiers do not count.
func cutVersion(purl string) (name, version string) {
	purl, _, _ = strings.Cut(purl, "#")
	purl, _, _ = strings.Cut(purl, "?")
	if i := strings.LastIndexByte(purl, '@'); i > strings.LastIndexByte(purl, '/') {
		version = purl[i+1:]
		if plain, err := unescape(version); err == nil {
			version = plain
		}
		return purl[:i], version
	}
	return purl, ""
}

func anyOf(patterns []pattern, values []string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return slices.ContainsFunc(values, p.matches) })
}

func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

// glob matches a path, or the end of it; ** stands for any folders.
func glob(pattern, name string) bool {
	if pattern == "" {
		return false
	}
	if rest, ok := strings.CutPrefix(pattern, "**/"); ok {
		for {
			if ok, err := path.Match(rest, name); err == nil && ok {
				return true
			}
			_, after, more := strings.Cut(name, "/")
			if !more {
				return false
			}
			name = after
		}
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// scoreOf is the base score that the finding's severity came from, else one that its label stands for.
func scoreOf(f *finding.Finding) float64 {
	if f.Severity != nil {
		text, _, _ := strings.Cut(f.Severity.Original, " ")
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	}
	return map[finding.Label]float64{finding.Low: 3.9, finding.Medium: 6.9, finding.High: 8.9, finding.Critical: 10}[f.Label()]
}

// Read reads a file of decisions, whichever of the known kinds it is of: VEX of
// OpenVEX, CycloneDX or CSAF in JSON, Dependency-Check's suppressions in XML,
// .trivyignore and .trivyignore.yaml, osv-scanner.toml.
func Read(name string, text []byte) ([]Statement, error) {
	const largest = 16 << 20
	if len(text) > largest {
		return nil, diag.Errorf(diag.Place{File: name}, "%d MB is more than a file of decisions may have", len(text)>>20)
	}
	base := strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	start := strings.TrimLeft(strings.TrimPrefix(string(text[:min(len(text), 1024)]), "\ufeff"), " \t\r\n")
	switch {
	case strings.HasPrefix(start, "{"):
		return readJSON(name, text)
	case strings.HasPrefix(start, "<"):
		return readSuppressions(name, text)
	case strings.HasSuffix(base, ".toml"):
		return readOSVScanner(name, text)
	case strings.Contains(base, "trivyignore") && (strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml")):
		return readTrivyYAML(name, text)
	case strings.Contains(base, "ignore"):
		return readTrivyIgnore(name, text)
	}
	return nil, diag.Errorf(diag.Place{File: name}, "this is no file of decisions that is known").WithHint("VEX (OpenVEX, CycloneDX, CSAF in JSON), suppressions of Dependency-Check (XML), .trivyignore, osv-scanner.toml")
}

// day reads the forms in which files write a day or a time.
func day(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02Z", time.DateOnly, "2006-01-02-07:00", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func orElse(all ...string) string { return cmp.Or(all...) }
