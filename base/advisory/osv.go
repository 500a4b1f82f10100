// Package advisory knows which versions of which packages are vulnerable, from OSV documents compiled into one file.
package advisory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Advisory is what one document says of one bug, without the versions.
type Advisory struct {
	ID         string     `json:"id"`
	Aliases    []string   `json:"aliases,omitzero"` // other names of the same bug
	Summary    string     `json:"summary,omitzero"`
	Details    string     `json:"details,omitzero"` // at most 1,000 bytes
	Severity   Severity   `json:"severity,omitzero"`
	CWEs       []string   `json:"cwes,omitzero"`
	References []string   `json:"references,omitzero"` // at most ten
	Published  string     `json:"published,omitzero"`
	Modified   string     `json:"modified,omitzero"`
	Exploited  *Exploited `json:"exploited,omitzero"` // by CISA's catalogue
	Odds       *Odds      `json:"odds,omitzero"`      // by EPSS
	Symbols    []Symbols  `json:"symbols,omitzero"`   // of Go
	OpenEnded  bool       `json:"openEnded,omitzero"` // the source does not know where it ends: more versions may be named than have it
}

// document is an OSV document: https://ossf.github.io/osv-schema/
// Members that are not needed are not read.
type document struct {
	ID         string           `json:"id"`
	Modified   string           `json:"modified"`
	Published  string           `json:"published"`
	Withdrawn  string           `json:"withdrawn"`
	Aliases    []string         `json:"aliases"`
	Upstream   []string         `json:"upstream"`
	Summary    string           `json:"summary"`
	Details    string           `json:"details"`
	Severity   []rating         `json:"severity"`
	Affected   []affected       `json:"affected"`
	References []reference      `json:"references"`
	Specific   databaseSpecific `json:"database_specific"`
}

type rating struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type reference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type affected struct {
	Package  packageName      `json:"package"`
	Severity []rating         `json:"severity"`
	Ranges   []span           `json:"ranges"`
	Versions []string         `json:"versions"`
	Specific databaseSpecific `json:"database_specific"`
	Inside   inside           `json:"ecosystem_specific"`
}

// Symbols are the functions with a bug in one package of Go: Name or Type.Name; none are all.
type Symbols struct {
	Path    string   `json:"path"`
	Symbols []string `json:"symbols,omitzero"`
}

// inside is what advisories on Go say of the functions with a bug. Read leniently: other ecosystems say other things there.
type inside struct{ Imports []Symbols }

// UnmarshalJSON takes what it knows and passes over the rest.
func (i *inside) UnmarshalJSON(text []byte) error {
	var members struct {
		Imports jsontext.Value `json:"imports"`
	}
	if json.Unmarshal(text, &members) == nil && len(members.Imports) > 0 {
		_ = json.Unmarshal(members.Imports, &i.Imports) // another type than ours: not ours
	}
	return nil
}

type packageName struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

type span struct {
	Type   string  `json:"type"` // SEMVER, ECOSYSTEM or GIT
	Events []event `json:"events"`
}

// event is one of its members.
type event struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
	Limit        string `json:"limit"`
}

// databaseSpecific is read leniently: every database has its own idea of it.
type databaseSpecific struct {
	Severity  string
	CWEs      []string
	OpenEnded bool
}

// UnmarshalJSON takes what it knows and passes over the rest.
func (d *databaseSpecific) UnmarshalJSON(text []byte) error {
	var members map[string]jsontext.Value
	if json.Unmarshal(text, &members) != nil {
		return nil
	}
	for name, into := range map[string]any{"severity": &d.Severity, "cwe_ids": &d.CWEs, "upper_bound_unknown": &d.OpenEnded} {
		if v, ok := members[name]; ok {
			_ = json.Unmarshal(v, into) // another type than ours: not ours
		}
	}
	return nil
}

// parse reads one document.
func parse(text []byte) (document, error) {
	var d document
	if err := json.Unmarshal(text, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return d, fault.Invalid.Errorf("no OSV document: %w", err)
	}
	if d.ID == "" {
		return d, fault.Invalid.Errorf("no OSV document: it has no id")
	}
	return d, nil
}

// advisory is d without its versions.
func (d document) advisory() Advisory {
	const mostReferences = 10
	a := Advisory{ID: d.ID, Aliases: slices.Clone(d.Aliases), Summary: finding.Shorten(oneLine(d.Summary), 200), Details: finding.Shorten(strings.TrimSpace(d.Details), 1000),
		Severity: d.severity(), CWEs: d.Specific.CWEs, Published: d.Published, Modified: d.Modified, OpenEnded: d.Specific.OpenEnded}
	for _, x := range d.Affected {
		a.OpenEnded = a.OpenEnded || x.Specific.OpenEnded
		if x.Package.Ecosystem == "Go" {
			a.Symbols = append(a.Symbols, x.Inside.Imports...)
		}
	}
	if a.Summary == "" {
		a.Summary = finding.Shorten(firstSentence(a.Details), 200)
	}
	slices.SortStableFunc(d.References, func(a, b reference) int { return cmp.Compare(weight(a.Type), weight(b.Type)) })
	for _, r := range d.References[:min(len(d.References), mostReferences)] {
		if strings.HasPrefix(r.URL, "https://") || strings.HasPrefix(r.URL, "http://") {
			a.References = append(a.References, finding.Shorten(r.URL, 500))
		}
	}
	return a
}

// weight puts what explains a bug before what only mentions it.
func weight(kind string) int {
	return slices.Index([]string{"PACKAGE", "WEB", "ARTICLE", "EVIDENCE", "DETECTION", "REPORT", "FIX", "ADVISORY"}, kind) * -1
}

// bugOnly tells AlmaLinux's advisories that are about no vulnerability.
func (d document) bugOnly() bool {
	return strings.HasPrefix(d.ID, "ALBA-") || strings.HasPrefix(d.ID, "ALEA-")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func firstSentence(s string) string {
	s, _, _ = strings.Cut(oneLine(s), ". ")
	return s
}
