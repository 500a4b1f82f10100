package hub

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Decision is what people, and the rules they write, say of a finding. What is not set stays as it is.
type Decision struct {
	Note            *Note             `json:"Note,omitzero"`
	Severity        *finding.Severity `json:"Severity,omitzero"` // Label, Normalized, Product
	Verification    string            `json:"VerificationState,omitzero"`
	Confidence      *int              `json:"Confidence,omitzero"`
	Criticality     *int              `json:"Criticality,omitzero"`
	Types           []string          `json:"Types,omitzero"`
	UserFields      map[string]string `json:"UserDefinedFields,omitzero"` // all of them: they replace what was there
	Workflow        *finding.Workflow `json:"Workflow,omitzero"`
	RelatedFindings []finding.Related `json:"RelatedFindings,omitzero"`
}

// Note is what somebody has to say.
type Note struct {
	Text      string `json:"Text"`
	UpdatedBy string `json:"UpdatedBy"`
}

// To is the decision to move a finding to a workflow status.
func To(status finding.Status) Decision {
	return Decision{Workflow: &finding.Workflow{Status: status}}
}

// sets are the fields that d decides.
func (d *Decision) sets() (set fields) {
	for _, c := range []struct {
		field fields
		is    bool
	}{
		{fieldNote, d.Note != nil}, {fieldSeverity, d.Severity != nil}, {fieldVerification, d.Verification != ""}, {fieldConfidence, d.Confidence != nil},
		{fieldCriticality, d.Criticality != nil}, {fieldTypes, d.Types != nil}, {fieldUserDefined, d.UserFields != nil},
		{fieldWorkflow, d.Workflow != nil && d.Workflow.Status != ""}, {fieldRelated, d.RelatedFindings != nil},
	} {
		if c.is {
			set |= c.field
		}
	}
	return set
}

// check tells what is wrong with d.
func (d *Decision) check() error {
	probe := finding.Finding{Types: d.Types, UserFields: d.UserFields, Verification: d.Verification, Confidence: d.Confidence, Criticality: d.Criticality,
		Workflow: d.Workflow, RelatedFindings: d.RelatedFindings, Severity: d.Severity}
	if d.Note != nil {
		probe.Note = &finding.Note{Text: d.Note.Text, UpdatedBy: d.Note.UpdatedBy}
	}
	for _, check := range []func(*finding.Finding) *problem{checkSeverities, checkTypes, checkStates, checkMaps, checkLists} {
		if p := check(&probe); p != nil {
			return refuse(p)
		}
	}
	if d.sets() == 0 {
		return fault.Invalid.Errorf("nothing is to be changed")
	}
	return nil
}

// apply makes d true of f, but for the fields in not.
func (d *Decision) apply(f *finding.Finding, not fields, at time.Time) {
	set := d.sets() &^ not
	if set.has(fieldNote) && (f.Note == nil || f.Note.Text != d.Note.Text || f.Note.UpdatedBy != d.Note.UpdatedBy) {
		f.Note = &finding.Note{Text: d.Note.Text, UpdatedBy: d.Note.UpdatedBy, UpdatedAt: finding.Stamp(at)}
	}
	if set.has(fieldSeverity) {
		s := finding.Severity{Label: d.Severity.Label, Normalized: d.Severity.Normalized, Product: d.Severity.Product}
		if f.Severity != nil {
			s.Original, s.Extra = f.Severity.Original, f.Severity.Extra
			if s.Product == nil {
				s.Product = f.Severity.Product
			}
		}
		f.Severity = normalize(&s)
	}
	if set.has(fieldVerification) {
		f.Verification = d.Verification
	}
	if set.has(fieldConfidence) {
		f.Confidence = d.Confidence
	}
	if set.has(fieldCriticality) {
		f.Criticality = d.Criticality
	}
	if set.has(fieldTypes) {
		f.Types = d.Types
	}
	if set.has(fieldUserDefined) {
		f.UserFields = d.UserFields
	}
	if set.has(fieldRelated) {
		f.RelatedFindings = d.RelatedFindings
	}
	if set.has(fieldWorkflow) {
		setStatus(f, d.Workflow.Status)
	}
}

// over lays d over what e says, and tells which fields were already decided otherwise.
func (d *Decision) over(e *Decision) (lost fields) {
	set := d.sets()
	lost = set & e.sets()
	for field, copy := range map[fields]func(){
		fieldNote: func() { e.Note = d.Note }, fieldSeverity: func() { e.Severity = d.Severity }, fieldVerification: func() { e.Verification = d.Verification },
		fieldConfidence: func() { e.Confidence = d.Confidence }, fieldCriticality: func() { e.Criticality = d.Criticality }, fieldTypes: func() { e.Types = d.Types },
		fieldUserDefined: func() { e.UserFields = d.UserFields }, fieldWorkflow: func() { e.Workflow = d.Workflow }, fieldRelated: func() { e.RelatedFindings = d.RelatedFindings },
	} {
		if set.has(field) {
			copy()
		}
	}
	return lost
}

// names are the fields' names, sorted.
func (f fields) names() (names []string) {
	for field, name := range fieldNames {
		if f.has(field) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Values are the leaves of what d sets: Workflow.Status → SUPPRESSED and so
// on, as the condition key securityhub:ASFFSyntaxPath/… has them.
func (d Decision) Values() map[string][]string {
	out := map[string][]string{}
	put := func(path, value string) {
		if value != "" {
			out[path] = append(out[path], value)
		}
	}
	if d.Note != nil {
		put("Note.Text", d.Note.Text)
		put("Note.UpdatedBy", d.Note.UpdatedBy)
	}
	if s := d.Severity; s != nil {
		put("Severity.Label", string(s.Label))
		if s.Normalized != nil {
			put("Severity.Normalized", fmt.Sprint(*s.Normalized))
		}
		if s.Product != nil {
			put("Severity.Product", fmt.Sprint(*s.Product))
		}
	}
	put("VerificationState", d.Verification)
	for path, n := range map[string]*int{"Confidence": d.Confidence, "Criticality": d.Criticality} {
		if n != nil {
			put(path, fmt.Sprint(*n))
		}
	}
	for _, t := range d.Types {
		put("Types", t)
	}
	for _, k := range slices.Sorted(maps.Keys(d.UserFields)) {
		put("UserDefinedFields", k+"="+d.UserFields[k])
	}
	if d.Workflow != nil {
		put("Workflow.Status", string(d.Workflow.Status))
	}
	for _, r := range d.RelatedFindings {
		put("RelatedFindings.Id", r.ID)
		put("RelatedFindings.ProductArn", r.ProductARN)
	}
	return out
}

func equalJSON(a, b jsontext.Value) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	return a.Canonicalize() == nil && b.Canonicalize() == nil && bytes.Equal(a, b)
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }
