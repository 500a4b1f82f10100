package console

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

type pair struct{ Name, Value string }

// place is where a finding is, with the run that saw it there, if a run did.
type place struct {
	hub.Presence
	Run  string // its page
	File string // the line, in the repository
}

// thing is what a finding is about; Path is its page, if it is in the inventory.
type thing struct {
	finding.Resource
	Path string
}

type findingView struct {
	Finding     finding.Finding
	Row         findingRow
	Excerpt     string
	Evidence    string
	Place       string
	Fields      []pair // what the provider says besides
	Presence    []place
	Resources   []thing
	History     []hub.Change
	Acceptance  *hub.Acceptance
	Problems    []problemRow
	Untied      []hub.Untied
	Beside      []findingRow
	At          string // the past time shown, or ""
	JSON        string
	Raw         string // the record that it was made of
	Choose      bool
	Remediation string
	URL         string
	Bugs        bool   // there are pages on packages and advisories
	Graph       string // of who can become whom, where it is about a principal
}

func (o *Console) finding() page {
	return page{
		name: "finding", path: "/findings/{ref}", under: "findings",
		asks: func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") },
		view: o.findingView,
	}
}

func (o *Console) findingView(r *request) (any, error) {
	ref, err := decodeRef(r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	v := findingView{Choose: r.may("securityhub:BatchUpdateFindings")}
	if v.Finding, err = o.config.Hub.Get(r.Context(), ref); err != nil {
		return nil, err
	}
	if at := r.URL.Query().Get("at"); at != "" {
		when, err := moment(at)
		if err != nil {
			return nil, err
		}
		if v.Finding, err = o.config.Hub.At(r.Context(), ref, when); err != nil {
			return nil, err
		}
		v.At, v.Choose = at, false
	}
	f := &v.Finding
	v.Row, v.Excerpt, v.Place = rowOf(r.lang, f, false), f.ProductFields[finding.FieldExcerpt], f.Place().String()
	v.Evidence = f.ProductFields[finding.FieldEvidence]
	v.Bugs = o.config.Inspect != nil
	v.Graph = o.graphOf(&v.Finding)
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		v.Remediation, v.URL = f.Remediation.Recommendation.Text, safeURL(f.Remediation.Recommendation.URL)
	}
	if r.lang == "ko" {
		v.Remediation = cmp.Or(f.ProductFields[comply.FieldFixKo], v.Remediation)
	}
	v.Fields = fieldsOf(f)
	if v.Presence, err = o.places(r, ref, f.Place()); err != nil {
		return nil, err
	}
	for _, about := range f.Resources {
		v.Resources = append(v.Resources, thing{about, o.resourceNamed(r, about.ID)})
	}
	if v.History, _, err = o.config.Hub.History(r.Context(), hub.HistoryQuery{Ref: ref, Limit: 50}); err != nil {
		return nil, err
	}
	switch a, err := o.config.Hub.AcceptanceOf(r.Context(), ref); {
	case err == nil:
		v.Acceptance = &a
	case !errors.Is(err, fault.NotFound):
		return nil, err
	}
	if v.Problems, v.Untied, err = o.problemsOf(r, ref); err != nil {
		return nil, err
	}
	if v.Beside, err = o.beside(r, f); err != nil {
		return nil, err
	}
	if o.config.Reports != nil {
		if v.Raw, err = o.config.Reports.Raw(f); err != nil {
			return nil, err
		}
		if raw := jsontext.Value(v.Raw); raw.IsValid() && raw.Indent(jsontext.WithIndent("  ")) == nil {
			v.Raw = string(raw)
		}
	}
	text := jsontext.Value(f.JSON())
	if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, err
	}
	v.JSON = string(text)
	return v, nil
}

func (o *Console) places(r *request, ref hub.Ref, at diag.Place) (all []place, err error) {
	presence, err := o.config.Hub.PresenceOf(r.Context(), ref)
	for _, p := range presence {
		one := place{Presence: p}
		if run, ok := strings.CutSuffix(p.Scan, "/"+p.Tool); ok && o.config.Runs != nil { // a run's scans are RUN/TOOL
			if _, err := o.config.Runs.Execution(r.Context(), run); err == nil {
				one.Run = pipeline.Path(run)
			}
		}
		if o.config.Source != nil && at.File != "" && p.Commit != "" && source.CheckName(p.Target) == nil {
			if _, err := o.config.Source.Repository(r.Context(), p.Target); err == nil {
				one.File = linePath(p.Target, p.Commit, at)
			}
		}
		all = append(all, one)
	}
	return all, err
}

// resourceNamed is the page of an asset by its ARN, or "".
func (o *Console) resourceNamed(r *request, arn string) string {
	if o.config.Assets == nil || o.config.Comply == nil {
		return ""
	}
	item, err := o.config.Assets.Named(r.Context(), arn)
	if err != nil {
		return ""
	}
	return resourcePath(inventory.KeyOf(item))
}

// moment is a time as an address or a form has it; a form's is UTC.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fault.Invalid.Errorf("%q is not a time (2026-11-25T12:00:00Z)", text)
}

// safeURL is a link that a page may show: http and https alone.
func safeURL(text string) string {
	if strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
		return text
	}
	return ""
}

// fieldsOf is what the provider says besides, less what the page shows anyhow.
func fieldsOf(f *finding.Finding) (pairs []pair) {
	for _, name := range slices.Sorted(maps.Keys(f.ProductFields)) {
		switch name {
		case finding.FieldExcerpt, finding.FieldFile, finding.FieldLine, finding.FieldColumn, finding.FieldEvidence, comply.FieldTitleKo, comply.FieldFixKo:
		default:
			pairs = append(pairs, pair{strings.TrimPrefix(name, "haechi/"), f.ProductFields[name]})
		}
	}
	return pairs
}

// beside are the other open findings about the same resource.
func (o *Console) beside(r *request, f *finding.Finding) (rows []findingRow, err error) {
	if len(f.Resources) == 0 {
		return nil, nil
	}
	got, err := o.config.Hub.Find(r.Context(), hub.Query{Filters: hub.Filters{"ResourceId": hub.Is(f.Resources[0].ID), "RecordState": hub.Is("ACTIVE")}, Limit: 8})
	if err != nil {
		return nil, err
	}
	for i := range got.Findings {
		if other := &got.Findings[i]; other.ID != f.ID || other.ProductARN != f.ProductARN {
			rows = append(rows, rowOf(r.lang, other, false))
		}
	}
	return rows, nil
}

// Whose is who answers for the finding.
func (v findingView) Owner() string {
	if v.Acceptance != nil {
		return cmp.Or(v.Finding.UserFields["owner"], v.Acceptance.Owner)
	}
	return v.Finding.UserFields["owner"]
}

// AdvisoryAt is the page of a bug, and PackageAt where a package of it is searched for.
func (v findingView) AdvisoryAt(id string) string { return advisoryPath(id) }

// PackageAt is the search for a package.
func (v findingView) PackageAt(name, version string) string { return searchPath(name, version) }
