package report

import (
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// FingerprintKey is the name of our fingerprint in SARIF's partialFingerprints.
const FingerprintKey = "haechi/v1"

// What is written of SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Automation  *sarifAutomation  `json:"automationDetails,omitzero"`
	Invocations []sarifInvocation `json:"invocations,omitzero"`
	Results     []sarifResult     `json:"results"`
}

type sarifAutomation struct {
	ID string `json:"id"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	InformationURI string      `json:"informationUri"`
	Version        string      `json:"version,omitzero"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string         `json:"id"`
	Short      sarifText      `json:"shortDescription"`
	Full       sarifText      `json:"fullDescription"`
	Help       sarifText      `json:"help"`
	HelpURI    string         `json:"helpUri,omitzero"`
	Default    sarifLevel     `json:"defaultConfiguration"`
	Properties map[string]any `json:"properties"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	Notifications []sarifNotification `json:"toolExecutionNotifications,omitzero"`
}

type sarifNotification struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations,omitzero"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints,omitzero"`
	Suppressions []sarifSuppression `json:"suppressions,omitzero"`
	Properties   map[string]string  `json:"properties,omitzero"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification,omitzero"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitzero"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

// SARIF writes one run for each scan, with the findings that it made, the worst
// first. What a scan did not see becomes a notification, and the run then says
// that it was not successful. version is Haechi's.
func SARIF(w io.Writer, version string, scans []finding.Scan, findings []finding.Finding) error {
	log := sarifLog{Schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{}}
	sorted := Sorted(findings)
	for _, s := range scans {
		log.Runs = append(log.Runs, runOf(s, version, sorted))
	}
	err := json.MarshalWrite(w, log, json.Deterministic(true), jsontext.WithIndent("  "), json.FormatNilSliceAsNull(false))
	if err == nil {
		_, err = io.WriteString(w, "\n")
	}
	return err
}

func runOf(s finding.Scan, version string, findings []finding.Finding) sarifRun {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "Haechi", InformationURI: "https://github.com/haechi-dev/haechi", Version: version, Rules: []sarifRule{}}},
		Automation: &sarifAutomation{ID: "haechi/" + s.Tool + "/"}, Results: []sarifResult{}}
	invocation := sarifInvocation{Successful: s.Complete}
	for _, p := range s.Skipped {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{Level: "error", Message: sarifText{"not looked at: " + orElse(p.Why, "unreadable")}, Locations: locations(p)})
	}
	run.Invocations = []sarifInvocation{invocation}
	index := map[string]int{}
	for _, f := range findings {
		if f.ProductFields[finding.FieldTool] != s.Tool {
			continue
		}
		i, ok := index[f.GeneratorID]
		if !ok {
			i = len(run.Tool.Driver.Rules)
			index[f.GeneratorID] = i
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, ruleOf(f))
		}
		run.Results = append(run.Results, resultOf(f, i))
	}
	return run
}

func ruleOf(f finding.Finding) sarifRule {
	fix, uri := "", ""
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		fix, uri = f.Remediation.Recommendation.Text, f.Remediation.Recommendation.URL
	}
	tags := []string{"security"}
	if cwe := f.ProductFields[finding.FieldCWE]; cwe != "" {
		for id := range strings.SplitSeq(cwe, ", ") {
			tags = append(tags, "external/cwe/"+strings.ToLower(id))
		}
	}
	title, _, _ := strings.Cut(f.Title, " in ") // without the place, which is the result's
	return sarifRule{ID: f.GeneratorID, Short: sarifText{title}, Full: sarifText{orElse(f.Description, f.Title)}, Help: sarifText{orElse(fix, f.Title)}, HelpURI: uri,
		Default: sarifLevel{level(f.Label())}, Properties: map[string]any{"tags": tags, "security-severity": score(f.Label())}}
}

func resultOf(f finding.Finding, rule int) sarifResult {
	r := sarifResult{RuleID: f.GeneratorID, RuleIndex: rule, Level: level(f.Label()), Message: sarifText{message(f)}, Locations: []sarifLocation{}, Properties: map[string]string{"severity": string(f.Label())}}
	if place := f.Place(); place.File != "" {
		r.Locations = append(locations(place), others(f)...)
	}
	if fingerprint := f.ProductFields[finding.FieldFingerprint]; fingerprint != "" {
		r.Fingerprints = map[string]string{FingerprintKey: fingerprint}
	}
	for _, key := range []string{finding.FieldLayer, finding.FieldLayerIndex, finding.FieldLayerBy, finding.FieldBase, finding.FieldNewerBase, finding.FieldStill} {
		if value := f.ProductFields[key]; value != "" {
			r.Properties[key] = value
		}
	}
	if reason, ok := f.ProductFields[finding.FieldAllow]; ok {
		r.Suppressions = []sarifSuppression{{Kind: "inSource", Status: "underReview", Justification: reason}}
	}
	if f.Status() == finding.Suppressed {
		why := ""
		if f.Note != nil {
			why = f.Note.Text
		}
		r.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: why}}
	}
	return r
}

func message(f finding.Finding) string {
	text := f.Title
	if evidence := f.ProductFields[finding.FieldEvidence]; evidence != "" {
		text += " (" + evidence + ")"
	}
	if f.Remediation != nil && f.Remediation.Recommendation != nil && f.Remediation.Recommendation.Text != "" {
		text += "\n" + f.Remediation.Recommendation.Text
	}
	return text
}

func locations(p diag.Place) []sarifLocation {
	physical := sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: p.File}).String()}}
	if p.Line > 0 {
		physical.Region = &sarifRegion{p.Line}
	}
	return []sarifLocation{{physical}}
}

// others are the places of a finding beside its own.
func others(f finding.Finding) (all []sarifLocation) {
	for i, text := range strings.Fields(f.ProductFields[finding.FieldPlaces]) {
		colon := strings.LastIndexByte(text, ':')
		line, err := strconv.Atoi(text[colon+1:])
		if i == 0 || colon < 0 || err != nil { // the first is its own, and what a foreign tool calls places may be addresses
			continue
		}
		file, err := url.PathUnescape(text[:colon])
		if err != nil {
			file = text[:colon]
		}
		all = append(all, locations(diag.Place{File: file, Line: line})...)
	}
	return all
}

func level(l finding.Label) string {
	switch l {
	case finding.Critical, finding.High:
		return "error"
	case finding.Medium:
		return "warning"
	}
	return "note"
}

// score is a number within the band that readers of security-severity give a label.
func score(l finding.Label) string {
	return map[finding.Label]string{finding.Critical: "9.5", finding.High: "8.0", finding.Medium: "5.5", finding.Low: "2.0", finding.Informational: "0.0"}[l]
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
