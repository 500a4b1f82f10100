package console

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// keys of the filter: word → attribute of GetFindings.
var filterKeys = map[string]string{
	"severity": "SeverityLabel", "status": "WorkflowStatus", "state": "RecordState", "product": "ProductName", "account": "AwsAccountId",
	"region": "Region", "type": "Type", "resource": "ResourceId", "kind": "ResourceType", "rule": "GeneratorId", "title": "Title", "id": "Id",
	"compliance": "ComplianceStatus", "control": "ComplianceSecurityControlId", "verified": "VerificationState", "note": "NoteText",
	"fix": "VulnerabilitiesFixAvailable", "exploit": "VulnerabilitiesExploitAvailable",
}

// fields of our own findings that filters can name.
var filterFields = map[string]string{
	"tool": finding.FieldTool, "target": finding.FieldTarget, "file": finding.FieldFile, "package": finding.FieldPackage, "branch": finding.FieldBranch,
}

// closed are the keys whose values are of a list, in capitals: another would find
// nothing, and that looks like good news.
var closed = map[string][]string{
	"severity": {"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"}, "status": {"NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"}, "state": {"ACTIVE", "ARCHIVED"},
	"compliance": {"PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"}, "verified": {"UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE"},
	"fix": {"YES", "NO", "PARTIAL"}, "exploit": {"YES", "NO"},
}

// parseFilter reads what people type: key:value, -key:value, key:value* for what
// begins so, "quoted values", and other words for what is said anywhere.
func parseFilter(text string) (hub.Filters, error) {
	filters := hub.Filters{}
	for _, w := range splitWords(text) {
		negative := strings.HasPrefix(w, "-")
		key, value, ok := strings.Cut(strings.TrimPrefix(w, "-"), ":")
		value = strings.Trim(value, `"`)
		attribute, field := filterKeys[strings.ToLower(key)], filterFields[strings.ToLower(key)]
		switch {
		case !ok || strings.HasPrefix(value, "//") || strings.HasPrefix(w, "arn:"):
			filters["Keyword"] = append(filters["Keyword"], hub.Condition{Value: strings.Trim(w, `"`)})
			continue
		case attribute == "" && field == "":
			names := slices.Concat(sortedKeys(filterKeys), sortedKeys(filterFields))
			hint := diag.DidYouMean(key, names)
			if hint == "" {
				hint = "there are " + strings.Join(names, ", ")
			}
			return nil, fault.Invalid.Errorf("findings have no %q; %s", key, hint)
		case value == "":
			return nil, fault.Invalid.Errorf("%s: what is wanted stands behind the colon", key)
		}
		values := closed[strings.ToLower(key)]
		if values != nil {
			value = strings.ToUpper(value)
		}
		for v := range strings.SplitSeq(value, ",") {
			if values != nil && !strings.HasSuffix(v, "*") && !slices.Contains(values, v) {
				hint := diag.DidYouMean(v, values)
				if hint == "" {
					hint = "there are " + strings.Join(values, ", ")
				}
				return nil, fault.Invalid.Errorf("%s: there is no %q; %s", key, v, hint)
			}
			c := hub.Condition{Value: strings.TrimSuffix(v, "*"), Comparison: comparison(negative, strings.HasSuffix(v, "*"))}
			if field != "" {
				c.Key, attribute = field, "ProductFields"
				if strings.HasSuffix(v, "*") {
					return nil, fault.Invalid.Errorf("%s: only whole values can be looked for", key)
				}
			}
			filters[attribute] = append(filters[attribute], c)
		}
	}
	return filters, filters.Check()
}

func comparison(negative, prefix bool) string {
	switch {
	case negative && prefix:
		return "PREFIX_NOT_EQUALS"
	case negative:
		return "NOT_EQUALS"
	case prefix:
		return "PREFIX"
	}
	return "EQUALS"
}

// splitWords is text at its blanks, but not within double quotes.
func splitWords(text string) (words []string) {
	var w strings.Builder
	quoted := false
	flush := func() {
		if w.Len() > 0 {
			words = append(words, w.String())
		}
		w.Reset()
	}
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
			w.WriteRune(c)
		case c == ' ' && !quoted:
			flush()
		default:
			w.WriteRune(c)
		}
	}
	flush()
	return words
}

// ParseFilter reads filters as people type them over lists of findings: key:value,
// -key:value, key:value* for what begins so, and other words for what is said anywhere.
func ParseFilter(text string) (hub.Filters, error) { return parseFilter(text) }
