// Package finding is something that is wrong somewhere, in AWS Security Finding Format.
package finding

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SchemaVersion is the only version of the format there is.
const SchemaVersion = "2018-10-08"

// What the events that tell of findings are called (EventBridge's detail-type and source).
const (
	Source       = "aws.securityhub"
	Imported     = "Security Hub Findings - Imported"      // one finding was imported or updated
	CustomAction = "Security Hub Findings - Custom Action" // somebody sent findings to an action
)

// Finding is one finding. Its JSON is ASFF:
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format.html
// Members that are rarely looked at, and those that nobody knows yet, stay in
// Extra as they came. Times are RFC 3339 text, kept as written; see Time.
type Finding struct {
	SchemaVersion   string            `json:"SchemaVersion,omitzero"`
	ID              string            `json:"Id"`
	ProductARN      string            `json:"ProductArn"`
	ProductName     string            `json:"ProductName,omitzero"`
	CompanyName     string            `json:"CompanyName,omitzero"`
	Region          string            `json:"Region,omitzero"`
	GeneratorID     string            `json:"GeneratorId"`
	AccountID       string            `json:"AwsAccountId"`
	Types           []string          `json:"Types,omitzero"`
	FirstObservedAt string            `json:"FirstObservedAt,omitzero"`
	LastObservedAt  string            `json:"LastObservedAt,omitzero"`
	CreatedAt       string            `json:"CreatedAt"`
	UpdatedAt       string            `json:"UpdatedAt"`
	Severity        *Severity         `json:"Severity,omitzero"`
	Confidence      *int              `json:"Confidence,omitzero"`
	Criticality     *int              `json:"Criticality,omitzero"`
	Title           string            `json:"Title"`
	Description     string            `json:"Description"`
	Remediation     *Remediation      `json:"Remediation,omitzero"`
	SourceURL       string            `json:"SourceUrl,omitzero"`
	ProductFields   map[string]string `json:"ProductFields,omitzero"`
	UserFields      map[string]string `json:"UserDefinedFields,omitzero"`
	Resources       []Resource        `json:"Resources"`
	Compliance      *Compliance       `json:"Compliance,omitzero"`
	Verification    string            `json:"VerificationState,omitzero"`
	WorkflowState   string            `json:"WorkflowState,omitzero"` // deprecated; Workflow counts
	Workflow        *Workflow         `json:"Workflow,omitzero"`
	RecordState     RecordState       `json:"RecordState,omitzero"`
	RelatedFindings []Related         `json:"RelatedFindings,omitzero"`
	Note            *Note             `json:"Note,omitzero"`
	Vulnerabilities []Vulnerability   `json:"Vulnerabilities,omitzero"`
	Provider        *ProviderFields   `json:"FindingProviderFields,omitzero"`
	Sample          bool              `json:"Sample,omitzero"`
	ProcessedAt     string            `json:"ProcessedAt,omitzero"`
	AccountName     string            `json:"AwsAccountName,omitzero"`
	Extra           jsontext.Value    `json:",embed"`
}

// Label is how bad a finding is, in five steps.
type Label string

const (
	Informational Label = "INFORMATIONAL"
	Low           Label = "LOW"
	Medium        Label = "MEDIUM"
	High          Label = "HIGH"
	Critical      Label = "CRITICAL"
)

// Labels are all labels, the least bad first.
var Labels = [...]Label{Informational, Low, Medium, High, Critical}

// Rank is 0 for INFORMATIONAL to 4 for CRITICAL, and -1 for what is no label.
func (l Label) Rank() int {
	for i, x := range Labels {
		if x == l {
			return i
		}
	}
	return -1
}

// Normalized is the number that the format gives a label: 0, 1, 40, 70 or 90.
func (l Label) Normalized() int {
	return [...]int{0, 0, 1, 40, 70, 90}[l.Rank()+1]
}

// LabelOf is the label of a normalized severity, 0 to 100.
func LabelOf(normalized int) Label {
	switch {
	case normalized <= 0:
		return Informational
	case normalized < 40:
		return Low
	case normalized < 70:
		return Medium
	case normalized < 90:
		return High
	}
	return Critical
}

// Severity is how bad it is. Normalized and Product are deprecated by the format and kept as given.
type Severity struct {
	Label      Label          `json:"Label,omitzero"`
	Normalized *int           `json:"Normalized,omitzero"` // 0 to 100
	Product    *float64       `json:"Product,omitzero"`
	Original   string         `json:"Original,omitzero"`
	Extra      jsontext.Value `json:",embed"`
}

// Remediation says what to do.
type Remediation struct {
	Recommendation *Recommendation `json:"Recommendation,omitzero"`
	Extra          jsontext.Value  `json:",embed"`
}

// Recommendation is a text of at most 512 characters and a link to more.
type Recommendation struct {
	Text  string         `json:"Text,omitzero"`
	URL   string         `json:"Url,omitzero"`
	Extra jsontext.Value `json:",embed"`
}

// Resource is what the finding is about. Details keeps the format's hundred types as they came.
type Resource struct {
	Type      string            `json:"Type"`
	ID        string            `json:"Id"`
	Partition string            `json:"Partition,omitzero"`
	Region    string            `json:"Region,omitzero"`
	Role      string            `json:"ResourceRole,omitzero"`
	Tags      map[string]string `json:"Tags,omitzero"`
	Details   jsontext.Value    `json:"Details,omitzero"`
	Extra     jsontext.Value    `json:",embed"`
}

// The values of Compliance.Status.
const (
	Passed       = "PASSED"
	Warning      = "WARNING"
	Failed       = "FAILED"
	NotAvailable = "NOT_AVAILABLE"
)

// Compliance is the outcome of a control.
type Compliance struct {
	Status              string         `json:"Status,omitzero"`
	RelatedRequirements []string       `json:"RelatedRequirements,omitzero"`
	SecurityControlID   string         `json:"SecurityControlId,omitzero"`
	Extra               jsontext.Value `json:",embed"`
}

// Status is what people have decided about a finding so far.
type Status string

const (
	New        Status = "NEW"
	Notified   Status = "NOTIFIED"
	Resolved   Status = "RESOLVED"
	Suppressed Status = "SUPPRESSED"
)

// Workflow holds the Status.
type Workflow struct {
	Status Status         `json:"Status,omitzero"`
	Extra  jsontext.Value `json:",embed"`
}

// RecordState is whether the provider still sees it.
type RecordState string

const (
	Active   RecordState = "ACTIVE"
	Archived RecordState = "ARCHIVED"
)

// Related names another finding.
type Related struct {
	ProductARN string         `json:"ProductArn"`
	ID         string         `json:"Id"`
	Extra      jsontext.Value `json:",embed"`
}

// Note is what somebody wrote about a finding.
type Note struct {
	Text      string         `json:"Text"`
	UpdatedBy string         `json:"UpdatedBy"`
	UpdatedAt string         `json:"UpdatedAt,omitzero"`
	Extra     jsontext.Value `json:",embed"`
}

// Vulnerability is a CVE, a GHSA or the like, and the packages that have it.
type Vulnerability struct {
	ID               string         `json:"Id"`
	Packages         []Package      `json:"VulnerablePackages,omitzero"`
	Related          []string       `json:"RelatedVulnerabilities,omitzero"`
	ReferenceURLs    []string       `json:"ReferenceUrls,omitzero"`
	FixAvailable     string         `json:"FixAvailable,omitzero"` // YES, NO or PARTIAL
	EpssScore        *float64       `json:"EpssScore,omitzero"`    // 0 to 1
	ExploitAvailable string         `json:"ExploitAvailable,omitzero"`
	Extra            jsontext.Value `json:",embed"`
}

// Package is a package that has a vulnerability.
type Package struct {
	Name           string         `json:"Name,omitzero"`
	Version        string         `json:"Version,omitzero"`
	Architecture   string         `json:"Architecture,omitzero"`
	PackageManager string         `json:"PackageManager,omitzero"`
	FilePath       string         `json:"FilePath,omitzero"`
	FixedInVersion string         `json:"FixedInVersion,omitzero"`
	Remediation    string         `json:"Remediation,omitzero"`
	Extra          jsontext.Value `json:",embed"`
}

// ProviderFields are the provider's side of what customers may change.
type ProviderFields struct {
	Confidence      *int           `json:"Confidence,omitzero"`
	Criticality     *int           `json:"Criticality,omitzero"`
	RelatedFindings []Related      `json:"RelatedFindings,omitzero"`
	Severity        *Severity      `json:"Severity,omitzero"` // Label and Original only
	Types           []string       `json:"Types,omitzero"`
	Extra           jsontext.Value `json:",embed"`
}

// Parse reads one finding. It refuses what is not ASFF's JSON (an unknown
// member is), but does not ask whether the finding is complete: the hub does.
func Parse(text []byte) (Finding, error) {
	var f Finding
	err := json.Unmarshal(text, &f)
	return f, err
}

// JSON is the finding in ASFF.
func (f Finding) JSON() jsontext.Value {
	text, err := json.Marshal(f, json.Deterministic(true), jsontext.PreserveRawStrings(true))
	if err != nil {
		panic("finding: " + err.Error()) // only Extra or Details that is not JSON
	}
	return text
}

// Label is the severity that counts: the customer's if there is one, else the provider's.
func (f *Finding) Label() Label {
	for _, s := range []*Severity{f.Severity, f.providerSeverity()} {
		switch {
		case s == nil:
		case s.Label != "":
			return s.Label
		case s.Normalized != nil:
			return LabelOf(*s.Normalized)
		}
	}
	return Informational
}

func (f *Finding) providerSeverity() *Severity {
	if f.Provider == nil {
		return nil
	}
	return f.Provider.Severity
}

// Status is the workflow status, NEW if none was set.
func (f *Finding) Status() Status {
	if f.Workflow == nil || f.Workflow.Status == "" {
		return New
	}
	return f.Workflow.Status
}

// Open tells whether somebody still has to do something about it: it is seen, and neither resolved nor suppressed.
func (f *Finding) Open() bool {
	s := f.Status()
	return f.RecordState != Archived && s != Resolved && s != Suppressed
}

// Shorten is text cut to at most so many bytes, between characters, with an
// ellipsis where something is missing: the format bounds every text.
func Shorten(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most -= len("…"); most > 0 && !utf8.RuneStart(text[most]); most-- {
	}
	return text[:max(most, 0)] + "…"
}

// Time reads one of a finding's times; ok is false for what is not RFC 3339.
func Time(text string) (t time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	return t, err == nil
}

// Stamp writes a time as findings have it: UTC, milliseconds.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
