package hub

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/finding"
)

// Limits of the format.
const (
	MaxFindingBytes = 240 << 10 // one finding
	MaxImport       = 100       // findings an import call takes
)

// The codes that say why a finding was not imported.
const (
	CodeInvalidInput  = "InvalidInput"
	CodeInvalidAccess = "InvalidAccess"
	CodeTooLarge      = "FindingSizeExceeded"
)

var (
	accountForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{12}$`) })
	productForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:(aws[a-z-]*):securityhub:([a-z0-9-]{0,25}):([0-9]{12})?:product/([^/\x00-\x1f]+)/([^/\x00-\x1f]+)$`)
	})
)

// productARN is whose findings these are.
type productARN struct{ partition, region, account, company, product string }

func parseProductARN(text string) (p productARN, ok bool) {
	m := productForm().FindStringSubmatch(text)
	if m == nil || len(text) > 2048 {
		return p, false
	}
	return productARN{m[1], m[2], m[3], m[4], m[5]}, true
}

// own tells whether it is the default product of an account: its owner's own findings.
func (p productARN) own() bool { return p.product == "default" && accountForm().MatchString(p.company) }

// problem is the first thing that is wrong with a finding that is to be imported.
type problem struct {
	path, what string
	code       string // "" is CodeInvalidInput
}

func (p *problem) Error() string { return p.path + ": " + p.what }

func wrong(path, format string, a ...any) *problem {
	return &problem{path: path, what: fmt.Sprintf(format, a...)}
}

// validate tells what is wrong with f, or nil.
func validate(f *finding.Finding) *problem {
	for _, check := range []func(*finding.Finding) *problem{
		checkTexts, checkIdentity, checkTimes, checkSeverities, checkTypes, checkResources, checkStates, checkMaps, checkLists, checkRest,
	} {
		if p := check(f); p != nil {
			return p
		}
	}
	return nil
}

func checkTexts(f *finding.Finding) *problem {
	for _, c := range []struct {
		path, value string
		min, max    int
	}{
		{"Id", f.ID, 1, 512}, {"GeneratorId", f.GeneratorID, 1, 512}, {"Title", f.Title, 1, 256}, {"Description", f.Description, 1, 1024},
		{"ProductName", f.ProductName, 0, 128}, {"CompanyName", f.CompanyName, 0, 128}, {"Region", f.Region, 0, 16}, {"AwsAccountName", f.AccountName, 0, 50},
	} {
		if p := checkText(c.path, c.value, c.min, c.max); p != nil {
			return p
		}
	}
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		return checkText("Remediation.Recommendation.Text", f.Remediation.Recommendation.Text, 0, 512)
	}
	return nil
}

// storable tells whether every database takes the texts: PostgreSQL takes no NUL and nothing but UTF-8.
func storable(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(t string) bool { return strings.ContainsRune(t, 0) || !utf8.ValidString(t) })
}

func checkText(path, value string, min, max int) *problem {
	n := utf8.RuneCountInString(value)
	switch {
	case min > 0 && strings.TrimSpace(value) == "":
		return wrong(path, "is required and must not be blank")
	case n > max:
		return wrong(path, "has %d characters, more than %d", n, max)
	case !utf8.ValidString(value):
		return wrong(path, "is not UTF-8")
	}
	return nil
}

func checkIdentity(f *finding.Finding) *problem {
	if strings.ContainsRune(f.ID, 0) {
		return wrong("Id", "holds a NUL character")
	}
	if strings.ContainsRune(f.ProductName, 0) {
		return wrong("ProductName", "holds a NUL character")
	}
	if f.SchemaVersion != finding.SchemaVersion {
		return wrong("SchemaVersion", "is %q, must be %q", f.SchemaVersion, finding.SchemaVersion)
	}
	if !accountForm().MatchString(f.AccountID) {
		return wrong("AwsAccountId", "is %q, must be twelve digits", f.AccountID)
	}
	arn, ok := parseProductARN(f.ProductARN)
	if !ok {
		return wrong("ProductArn", "%q is not the ARN of a product", f.ProductARN)
	}
	if arn.own() && arn.company != f.AccountID {
		return &problem{"ProductArn", "is of account " + arn.company + ", the finding of " + f.AccountID, CodeInvalidAccess}
	}
	return nil
}

var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07"}

// parseTime reads a time in any form that the format allows.
func parseTime(text string) (time.Time, bool) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func checkTimes(f *finding.Finding) *problem {
	for _, c := range []struct {
		path, value string
		required    bool
	}{{"CreatedAt", f.CreatedAt, true}, {"UpdatedAt", f.UpdatedAt, true}, {"FirstObservedAt", f.FirstObservedAt, false}, {"LastObservedAt", f.LastObservedAt, false}} {
		if c.value == "" && !c.required {
			continue
		}
		if _, ok := parseTime(c.value); !ok {
			return wrong(c.path, "%q is not a time such as 2026-01-02T15:04:05.000Z", c.value)
		}
	}
	return nil
}

func checkSeverities(f *finding.Finding) *problem {
	if p := checkSeverity("Severity", f.Severity); p != nil {
		return p
	}
	if f.Provider == nil {
		return nil
	}
	return checkSeverity("FindingProviderFields.Severity", f.Provider.Severity)
}

func checkSeverity(path string, s *finding.Severity) *problem {
	switch {
	case s == nil:
	case s.Label != "" && s.Label.Rank() < 0:
		return wrong(path+".Label", "%q is none of INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL", s.Label)
	case s.Label == "" && s.Normalized == nil:
		return wrong(path, "has neither Label nor Normalized")
	case s.Normalized != nil && (*s.Normalized < 0 || *s.Normalized > 100):
		return wrong(path+".Normalized", "%d is not between 0 and 100", *s.Normalized)
	case s.Original != "":
		return checkText(path+".Original", s.Original, 1, 64)
	}
	return nil
}

// Namespaces are what a type of a finding begins with.
var namespaces = [...]string{"Software and Configuration Checks", "TTPs", "Effects", "Unusual Behaviors", "Sensitive Data Identifications"}

func checkTypes(f *finding.Finding) *problem {
	if p := checkTypeList("Types", f.Types); p != nil || f.Provider == nil {
		return p
	}
	return checkTypeList("FindingProviderFields.Types", f.Provider.Types)
}

func checkTypeList(path string, types []string) *problem {
	if len(types) > 50 {
		return wrong(path, "has %d entries, more than 50", len(types))
	}
	for i, t := range types {
		namespace, rest, _ := strings.Cut(t, "/")
		if !slices.Contains(namespaces[:], strings.TrimSpace(namespace)) || strings.Count(rest, "/") > 1 || !utf8.ValidString(t) {
			return wrong(fmt.Sprintf("%s[%d]", path, i), "%q is not namespace/category/classifier with a namespace among %s", t, strings.Join(namespaces[:], ", "))
		}
	}
	return nil
}

func checkResources(f *finding.Finding) *problem {
	if n := len(f.Resources); n < 1 || n > 32 {
		return wrong("Resources", "has %d entries, must have 1 to 32", n)
	}
	for i, r := range f.Resources {
		path := fmt.Sprintf("Resources[%d]", i)
		if p := checkText(path+".Type", r.Type, 1, 256); p != nil {
			return p
		}
		if p := checkText(path+".Id", r.ID, 1, 2048); p != nil {
			return p
		}
		if p := oneOf(path+".Partition", r.Partition, "aws", "aws-cn", "aws-us-gov"); p != nil {
			return p
		}
		if p := checkMap(path+".Tags", r.Tags, 50, 128, 256); p != nil {
			return p
		}
	}
	return nil
}

func oneOf(path, value string, allowed ...string) *problem {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return wrong(path, "%q is none of %s", value, strings.Join(allowed, ", "))
}

func checkStates(f *finding.Finding) *problem {
	for _, p := range []*problem{
		oneOf("Workflow.Status", string(f.Status()), "NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"),
		oneOf("WorkflowState", f.WorkflowState, "NEW", "ASSIGNED", "IN_PROGRESS", "DEFERRED", "RESOLVED"),
		oneOf("RecordState", string(f.RecordState), "ACTIVE", "ARCHIVED"),
		oneOf("VerificationState", f.Verification, "UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE"),
		oneOf("Compliance.Status", compliance(f), "PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"),
		checkScale("Confidence", f.Confidence), checkScale("Criticality", f.Criticality),
	} {
		if p != nil {
			return p
		}
	}
	if f.Provider == nil {
		return nil
	}
	if p := checkScale("FindingProviderFields.Confidence", f.Provider.Confidence); p != nil {
		return p
	}
	return checkScale("FindingProviderFields.Criticality", f.Provider.Criticality)
}

func checkScale(path string, n *int) *problem {
	if n != nil && (*n < 0 || *n > 100) {
		return wrong(path, "%d is not between 0 and 100", *n)
	}
	return nil
}

func checkMaps(f *finding.Finding) *problem {
	if p := checkMap("ProductFields", f.ProductFields, 50, 128, 2048); p != nil {
		return p
	}
	return checkMap("UserDefinedFields", f.UserFields, 50, 128, 1024)
}

func checkMap(path string, m map[string]string, pairs, key, value int) *problem {
	if len(m) > pairs {
		return wrong(path, "has %d pairs, more than %d", len(m), pairs)
	}
	for k, v := range m {
		if p := checkText(path+" key", k, 1, key); p != nil {
			return p
		}
		if p := checkText(path+"."+k, v, 0, value); p != nil {
			return p
		}
	}
	return nil
}

func checkLists(f *finding.Finding) *problem {
	if p := checkRelated("RelatedFindings", f.RelatedFindings); p != nil {
		return p
	}
	if f.Provider != nil {
		if p := checkRelated("FindingProviderFields.RelatedFindings", f.Provider.RelatedFindings); p != nil {
			return p
		}
	}
	for i, v := range f.Vulnerabilities {
		path := fmt.Sprintf("Vulnerabilities[%d]", i)
		for _, p := range []*problem{
			checkText(path+".Id", v.ID, 1, 512),
			oneOf(path+".FixAvailable", v.FixAvailable, "YES", "NO", "PARTIAL"),
			oneOf(path+".ExploitAvailable", v.ExploitAvailable, "YES", "NO"),
		} {
			if p != nil {
				return p
			}
		}
	}
	if f.Note == nil {
		return nil
	}
	if p := checkText("Note.Text", f.Note.Text, 1, 512); p != nil {
		return p
	}
	return checkText("Note.UpdatedBy", f.Note.UpdatedBy, 1, 512)
}

func checkRelated(path string, related []finding.Related) *problem {
	if len(related) > 10 {
		return wrong(path, "has %d entries, more than 10", len(related))
	}
	for i, r := range related {
		if strings.TrimSpace(r.ID) == "" || strings.TrimSpace(r.ProductARN) == "" {
			return wrong(fmt.Sprintf("%s[%d]", path, i), "needs both ProductArn and Id")
		}
	}
	return nil
}

// checkRest holds the lists that Finding keeps as they came to their limits.
func checkRest(f *finding.Finding) *problem {
	if len(f.Extra) == 0 {
		return nil
	}
	var rest struct {
		Malware []jsontext.Value `json:"Malware"`
		Threats []jsontext.Value `json:"Threats"`
		Intel   []jsontext.Value `json:"ThreatIntelIndicators"`
	}
	if err := json.Unmarshal(f.Extra, &rest); err != nil {
		return wrong("finding", "Malware, Threats and ThreatIntelIndicators must be lists: %v", err)
	}
	for _, c := range []struct {
		path      string
		have, max int
	}{{"Malware", len(rest.Malware), 5}, {"Threats", len(rest.Threats), 32}, {"ThreatIntelIndicators", len(rest.Intel), 5}} {
		if c.have > c.max {
			return wrong(c.path, "has %d entries, more than %d", c.have, c.max)
		}
	}
	return nil
}

// encode is f as it is stored. A control finding that is too large loses the
// details of its resources instead of being refused.
func encode(f *finding.Finding, control bool) ([]byte, *problem) {
	text, err := json.Marshal(f, json.Deterministic(true), jsontext.PreserveRawStrings(true))
	if err != nil {
		return nil, wrong("finding", "cannot be written as JSON: %v", err)
	}
	if len(text) <= MaxFindingBytes {
		return text, nil
	}
	if control && slices.ContainsFunc(f.Resources, func(r finding.Resource) bool { return r.Details != nil }) {
		f.Resources = slices.Clone(f.Resources)
		for i := range f.Resources {
			f.Resources[i].Details = nil
		}
		return encode(f, false)
	}
	return nil, &problem{"finding", fmt.Sprintf("is %d KB, more than 240 KB", len(text)>>10), CodeTooLarge}
}

// shorten cuts the texts of what a scanner of ours found to the format's limits:
// a finding whose title is too long is still a finding.
func shorten(f *finding.Finding) {
	f.Title, f.Description = cut(f.Title, 256), cut(f.Description, 1024)
	f.GeneratorID = cut(f.GeneratorID, 512)
	if r := f.Remediation; r != nil && r.Recommendation != nil && utf8.RuneCountInString(r.Recommendation.Text) > 512 {
		shorter, advice := *r, *r.Recommendation
		advice.Text = cut(advice.Text, 512)
		shorter.Recommendation = &advice
		f.Remediation = &shorter
	}
	for _, v := range f.ProductFields {
		if utf8.RuneCountInString(v) > 2048 {
			fields := make(map[string]string, len(f.ProductFields))
			for k, v := range f.ProductFields {
				fields[k] = cut(v, 2048)
			}
			f.ProductFields = fields
			break
		}
	}
}

func cut(text string, max int) string {
	if utf8.RuneCountInString(text) <= max {
		return text
	}
	return string([]rune(text)[:max-1]) + "…"
}
