package report

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Read reads findings from SARIF 2.1.0 or ASFF, told by what the text holds.
func Read(text []byte) ([]finding.Finding, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var log struct {
		Runs    jsontext.Value `json:"runs"`
		Version string         `json:"version"`
	}
	if jsontext.Value(bytes.TrimSpace(text)).Kind() == '{' && json.Unmarshal(text, &log, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil && log.Runs != nil {
		return ReadSARIF(text)
	}
	return ReadASFF(text)
}

// What is read of SARIF: more forms than we write.
type readLog struct {
	Runs []struct {
		Tool struct {
			Driver     readComponent   `json:"driver"`
			Extensions []readComponent `json:"extensions"`
		} `json:"tool"`
		Artifacts []struct {
			Location readArtifact `json:"location"`
		} `json:"artifacts"`
		Results []readResult `json:"results"`
	} `json:"runs"`
}

type readComponent struct {
	Name  string     `json:"name"`
	Rules []readRule `json:"rules"`
}

type readRule struct {
	ID      string    `json:"id"`
	Short   sarifText `json:"shortDescription"`
	Default struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
	Properties map[string]jsontext.Value `json:"properties"`
	Messages   map[string]sarifText      `json:"messageStrings"`
}

type readResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Rule      struct {
		ID        string `json:"id"`
		Index     *int   `json:"index"`
		Component struct {
			Index *int `json:"index"`
		} `json:"toolComponent"`
	} `json:"rule"`
	Level   string `json:"level"`
	Kind    string `json:"kind"`
	Message struct {
		Text      string   `json:"text"`
		ID        string   `json:"id"`
		Arguments []string `json:"arguments"`
	} `json:"message"`
	Locations []struct {
		Physical struct {
			Artifact readArtifact `json:"artifactLocation"`
			Region   struct {
				StartLine   int `json:"startLine"`
				StartColumn int `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
	Fingerprints map[string]string `json:"fingerprints"`
	Partial      map[string]string `json:"partialFingerprints"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
	Baseline string `json:"baselineState"`
}

type readArtifact struct {
	URI   string `json:"uri"`
	Index *int   `json:"index"`
}

// ReadSARIF reads the results of all runs as findings. What passed, does not
// apply or is absent is none. A finding's fingerprint is the tool's where it has
// one, made its own by rule, place and its number among equals.
func ReadSARIF(text []byte) ([]finding.Finding, error) {
	var log readLog
	if err := json.Unmarshal(text, &log, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fault.Invalid.Errorf("no SARIF: %w", err)
	}
	var findings []finding.Finding
	for _, run := range log.Runs {
		components := append([]readComponent{run.Tool.Driver}, run.Tool.Extensions...)
		equals := map[string]int{}
		for _, r := range run.Results {
			if r.Kind == "pass" || r.Kind == "notApplicable" || r.Kind == "informational" || r.Baseline == "absent" {
				continue
			}
			if len(findings) >= most {
				return nil, fault.Limit.Errorf("more than %d results", most)
			}
			var place diag.Place
			if len(r.Locations) > 0 {
				p := r.Locations[0].Physical
				uri := p.Artifact.URI
				if i := p.Artifact.Index; uri == "" && i != nil && *i >= 0 && *i < len(run.Artifacts) {
					uri = run.Artifacts[*i].Location.URI
				}
				place = diag.Place{File: fileOf(uri), Line: max(0, p.Region.StartLine), Column: max(0, p.Region.StartColumn)}
			}
			findings = append(findings, r.finding(components, place, equals))
		}
	}
	return findings, nil
}

// fileOf is the path that a URI names.
func fileOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	return strings.TrimPrefix(strings.ToValidUTF8(u.Path, "\uFFFD"), "./")
}

func (r readResult) finding(components []readComponent, place diag.Place, equals map[string]int) finding.Finding {
	rule := r.rule(components)
	id := orElse(orElse(r.RuleID, r.Rule.ID), rule.ID)
	message := r.Message.Text
	if message == "" {
		message = rule.Messages[r.Message.ID].Text
		for i, a := range r.Message.Arguments {
			message = strings.ReplaceAll(message, "{"+strconv.Itoa(i)+"}", a)
		}
	}
	message = finding.Shorten(message, 4096)
	title, _, _ := strings.Cut(message, "\n")
	fields := finding.At(place)
	fields[finding.FieldFingerprint] = r.fingerprint(id, place.File, message, equals)
	f := finding.Finding{GeneratorID: orElse(id, orElse(components[0].Name, "unknown")), Title: finding.Shorten(orElse(title, orElse(rule.Short.Text, id)), 256), Description: finding.Shorten(orElse(message, rule.Short.Text), 1024),
		Severity: &finding.Severity{Label: r.label(rule), Original: orElse(r.Level, rule.Default.Level)}, ProductFields: fields}
	if r.suppressed() {
		f.Workflow = &finding.Workflow{Status: finding.Suppressed}
	}
	return f
}

// rule is what the result points at: in the driver or an extension, by index or by id.
func (r readResult) rule(components []readComponent) readRule {
	rules := components[0].Rules
	if i := r.Rule.Component.Index; i != nil && *i >= 0 && *i+1 < len(components) {
		rules = components[*i+1].Rules
	}
	for _, i := range []*int{r.RuleIndex, r.Rule.Index} {
		if i != nil && *i >= 0 && *i < len(rules) {
			return rules[*i]
		}
	}
	for _, c := range components {
		for _, rule := range c.Rules {
			if rule.ID != "" && (rule.ID == r.RuleID || rule.ID == r.Rule.ID) {
				return rule
			}
		}
	}
	return readRule{}
}

// label: the rule's security-severity, else the result's level, else the rule's.
func (r readResult) label(rule readRule) finding.Label {
	var text string
	if json.Unmarshal(rule.Properties["security-severity"], &text) == nil {
		if score, err := strconv.ParseFloat(text, 64); err == nil {
			switch {
			case score >= 9:
				return finding.Critical
			case score >= 7:
				return finding.High
			case score >= 4:
				return finding.Medium
			case score > 0:
				return finding.Low
			}
		}
	}
	switch orElse(r.Level, rule.Default.Level) {
	case "error":
		return finding.High
	case "note":
		return finding.Low
	case "none":
		return finding.Informational
	}
	return finding.Medium
}

// suppressed: there are suppressions, and none of them is under review or rejected.
func (r readResult) suppressed() bool {
	for _, s := range r.Suppressions {
		if s.Status == "underReview" || s.Status == "rejected" {
			return false
		}
	}
	return len(r.Suppressions) > 0
}

// fingerprint is ours where we wrote it; other tools' are not always unique.
func (r readResult) fingerprint(rule, file, message string, equals map[string]int) string {
	if own := r.Partial[FingerprintKey]; own != "" {
		return own
	}
	parts := []string{rule, file}
	for _, name := range []string{"primaryLocationLineHash", "contextRegionHash/v1", "matchBasedId/v1"} {
		if v := orElse(r.Fingerprints[name], r.Partial[name]); v != "" {
			parts = append(parts, v)
			break
		}
	}
	if len(parts) == 2 {
		parts = append(parts, message)
	}
	key := finding.Fingerprint(parts...)
	equals[key]++
	return finding.Fingerprint(append(parts, strconv.Itoa(equals[key]))...)
}

// Baseline is what was known before.
type Baseline map[string]bool

// NewBaseline is the baseline that a report makes.
func NewBaseline(known []finding.Finding) Baseline {
	b := Baseline{}
	for _, f := range known {
		b[baselineKey(f)] = true
	}
	return b
}

// Fresh are the findings that are not in the baseline.
func (b Baseline) Fresh(findings []finding.Finding) []finding.Finding {
	var fresh []finding.Finding
	for _, f := range findings {
		if !b[baselineKey(f)] {
			fresh = append(fresh, f)
		}
	}
	return fresh
}

func baselineKey(f finding.Finding) string {
	return f.GeneratorID + "\x00" + orElse(f.ProductFields[finding.FieldFingerprint], f.ID)
}
