package hub

import (
	"cmp"

	"github.com/haechi-dev/haechi/word/finding"
)

// fields is a set of what people may decide about a finding.
type fields int64

const (
	fieldConfidence fields = 1 << iota
	fieldCriticality
	fieldRelated
	fieldSeverity
	fieldTypes
	fieldNote
	fieldUserDefined
	fieldVerification
	fieldWorkflow
)

// names are what people call them.
var fieldNames = map[fields]string{
	fieldConfidence: "Confidence", fieldCriticality: "Criticality", fieldRelated: "RelatedFindings", fieldSeverity: "Severity",
	fieldTypes: "Types", fieldNote: "Note", fieldUserDefined: "UserDefinedFields", fieldVerification: "VerificationState", fieldWorkflow: "Workflow",
}

func (f fields) has(one fields) bool { return f&one != 0 }

// settle decides the five attributes that have two homes, the provider's
// (FindingProviderFields) and the customer's (the top level): what f, which
// is being imported, says of each goes to the provider's home, and to the
// customer's unless a customer has decided it. was is nil for a new finding.
// What f says in neither home stays as it was.
//
// Where a known finding comes with both, AWS takes the two apart. Of a scan that
// sees the same again this would make a change of what never changed, so there
// the provider's home counts, as it does for a new finding.
func settle(f *finding.Finding, was *finding.Finding, decided fields, scanned bool) {
	p, old := finding.ProviderFields{}, finding.Finding{}
	if f.Provider != nil {
		p = *f.Provider
	}
	if was != nil {
		old = *was
	}
	oldProvider := finding.ProviderFields{}
	if old.Provider != nil {
		oldProvider = *old.Provider
	}
	isNew := was == nil || scanned
	homes[*int]{&p.Confidence, &f.Confidence, oldProvider.Confidence, old.Confidence}.settle(p.Confidence != nil, f.Confidence != nil, isNew, decided.has(fieldConfidence))
	homes[*int]{&p.Criticality, &f.Criticality, oldProvider.Criticality, old.Criticality}.settle(p.Criticality != nil, f.Criticality != nil, isNew, decided.has(fieldCriticality))
	homes[[]finding.Related]{&p.RelatedFindings, &f.RelatedFindings, oldProvider.RelatedFindings, old.RelatedFindings}.settle(p.RelatedFindings != nil, f.RelatedFindings != nil, isNew, decided.has(fieldRelated))
	homes[[]string]{&p.Types, &f.Types, oldProvider.Types, old.Types}.settle(p.Types != nil, f.Types != nil, isNew, decided.has(fieldTypes))
	homes[*finding.Severity]{&p.Severity, &f.Severity, oldProvider.Severity, old.Severity}.settle(p.Severity != nil, f.Severity != nil, isNew, decided.has(fieldSeverity))
	p.Severity = providerSide(p.Severity)
	f.Severity = normalize(f.Severity)
	f.Provider = nil
	if p.Confidence != nil || p.Criticality != nil || p.RelatedFindings != nil || p.Types != nil || p.Severity != nil || len(p.Extra) > 0 {
		f.Provider = &p
	}
}

// homes are an attribute's two, as they come and as they were.
type homes[T any] struct {
	provider, top       *T
	wasProvider, wasTop T
}

// settle is the table of the format: hasProvider and hasTop tell where the import says something.
func (h homes[T]) settle(hasProvider, hasTop, isNew, decided bool) {
	switch {
	case hasProvider && (isNew || !hasTop):
		*h.top = *h.provider
	case hasTop && !hasProvider:
		*h.provider = *h.top
	case !hasProvider && !hasTop:
		*h.provider, *h.top = h.wasProvider, h.wasTop
	}
	if decided {
		*h.top = h.wasTop
	}
}

// providerSide is a severity as FindingProviderFields holds it: label and original only.
func providerSide(s *finding.Severity) *finding.Severity {
	if s == nil {
		return nil
	}
	label := s.Label
	if label == "" && s.Normalized != nil {
		label = finding.LabelOf(*s.Normalized)
	}
	return &finding.Severity{Label: label, Original: s.Original, Extra: s.Extra}
}

// normalize completes a severity: a label gives its number, a number its
// label. Where the two disagree the label counts.
func normalize(s *finding.Severity) *finding.Severity {
	full := finding.Severity{}
	if s != nil {
		full = *s
	}
	if full.Label == "" {
		n := 0
		if full.Normalized != nil {
			n = *full.Normalized
		}
		full.Label = finding.LabelOf(n)
	}
	if full.Normalized == nil || finding.LabelOf(*full.Normalized) != full.Label {
		n := full.Label.Normalized()
		full.Normalized = &n
	}
	return &full
}

// keepDecided carries over what an import of an existing finding does not touch.
func keepDecided(f, was *finding.Finding) {
	f.Note, f.UserFields, f.Verification, f.Workflow, f.WorkflowState = was.Note, was.UserFields, was.Verification, was.Workflow, was.WorkflowState
}

// fill adds what the hub says of each finding: product, company, region,
// states and the name of the account. Only a product of one's own may name
// itself; what a caller says of the others is taken and passed over.
func (h *Hub) fill(f *finding.Finding, was *finding.Finding, arn productARN) {
	known := h.product(arn)
	f.Region = cmp.Or(arn.region, f.Region, h.config.Region)
	switch {
	case !arn.own():
		f.ProductName, f.CompanyName = known.ProductName, known.CompanyName
	case was != nil:
		f.ProductName, f.CompanyName = cmp.Or(f.ProductName, was.ProductName), cmp.Or(f.CompanyName, was.CompanyName)
	default:
		f.ProductName, f.CompanyName = cmp.Or(f.ProductName, known.ProductName), cmp.Or(f.CompanyName, known.CompanyName)
	}
	f.AccountName = h.config.AccountNames[f.AccountID]
	f.RecordState = cmp.Or(f.RecordState, finding.Active)
	f.WorkflowState = cmp.Or(f.WorkflowState, "NEW")
	if f.Workflow == nil || f.Workflow.Status == "" {
		w := finding.Workflow{Status: finding.New}
		if f.Workflow != nil {
			w.Extra = f.Workflow.Extra
		}
		f.Workflow = &w
	}
}

// reset moves the workflow status of f where the world has moved: a finding
// that comes back, or a control that fails again, is NEW; a control that
// passes is RESOLVED; what is SUPPRESSED stays so. It tells whether it did.
// was is nil for a new finding. decided tells whether the status is a person's:
// one that the hub had set goes as soon as the control fails, even where the
// provider was silent about it in between.
func reset(f, was *finding.Finding, arn productARN, decided bool) bool {
	before := f.Status()
	if before == finding.Suppressed {
		return false
	}
	status := before
	if was != nil && (status == finding.Notified || status == finding.Resolved) {
		back := was.RecordState == finding.Archived && f.RecordState == finding.Active
		passed := compliance(was) == finding.Passed || compliance(was) == "" && status == finding.Resolved && !decided
		if back || passed && compliance(f) != finding.Passed && compliance(f) != "" {
			status = finding.New
		}
	}
	if compliance(f) == finding.Passed && isControl(f, arn) {
		status = finding.Resolved
	}
	setStatus(f, status)
	return status != before
}

func setStatus(f *finding.Finding, status finding.Status) {
	w := finding.Workflow{Status: status}
	if f.Workflow != nil {
		w.Extra = f.Workflow.Extra
	}
	f.Workflow = &w
}

func compliance(f *finding.Finding) string {
	if f.Compliance == nil {
		return ""
	}
	return f.Compliance.Status
}

// isControl tells whether f is the outcome of a control of ours or of
// Security Hub's, rather than of another product that reports compliance.
func isControl(f *finding.Finding, arn productARN) bool {
	if compliance(f) == "" {
		return false
	}
	return f.Compliance.SecurityControlID != "" || arn.company == "aws" && arn.product == "securityhub" ||
		arn.own() && f.ProductFields[finding.FieldTool] != ""
}
