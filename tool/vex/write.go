package vex

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/finding"
)

// Made is what a document says of its making.
type Made struct {
	Product string // what the findings are of
	Author  string
	Tool    string // the version of Haechi
	At      time.Time
}

// claim is what is said of one bug in one package version.
type claim struct {
	bug     string
	aliases []string
	purl    string // with version
	name    string
	status  Status
	why     string // a justification of OpenVEX's list, for what is not affected
	detail  string
	action  string
}

// claims are those of findings, in order. A match alone is not a decision: it is
// under investigation until somebody says otherwise, or a call of the bug's function was seen.
func claims(findings []finding.Finding) []claim {
	var all []claim
	for i := range findings {
		f := &findings[i]
		if len(f.Vulnerabilities) == 0 {
			continue
		}
		v := f.Vulnerabilities[0]
		c := claim{bug: v.ID, aliases: v.Related, status: Looking}
		switch {
		case f.ProductFields[FieldStatus] != "":
			c.status = Status(f.ProductFields[FieldStatus])
		case f.Status() == finding.Suppressed:
			c.status = NotAffected
		case f.ProductFields[finding.FieldReach] == "called":
			c.status = Affected
		}
		if f.Note != nil {
			c.detail = f.Note.Text
		}
		if f.Remediation != nil && f.Remediation.Recommendation != nil {
			c.action = f.Remediation.Recommendation.Text
		}
		if c.status == NotAffected {
			c.why = justification(c.detail)
		}
		for _, p := range v.Packages {
			x := c
			x.name = strings.TrimSpace(p.Name + " " + p.Version)
			x.purl = f.ProductFields[finding.FieldPackage] + "@" + escape(p.Version)
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b claim) int { return strings.Compare(a.bug+"\x00"+a.purl, b.bug+"\x00"+b.purl) })
	return slices.CompactFunc(all, func(a, b claim) bool { return a.bug == b.bug && a.purl == b.purl })
}

// justification is the one of OpenVEX's five that a reason names, or the most general.
func justification(text string) string {
	for _, j := range []string{"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path", "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"} {
		if strings.Contains(text, j) {
			return j
		}
	}
	switch { // CycloneDX's words
	case strings.Contains(text, "code_not_present"):
		return "vulnerable_code_not_present"
	case strings.Contains(text, "code_not_reachable"):
		return "vulnerable_code_not_in_execute_path"
	case strings.Contains(text, "protected_"):
		return "inline_mitigations_already_exist"
	}
	return ""
}

func escape(version string) string {
	return strings.NewReplacer("%", "%25", "+", "%2B", " ", "%20", "?", "%3F", "#", "%23", "/", "%2F", "@", "%40").Replace(version)
}

func identity(made Made, all []claim) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q%q%d", made.Product, made.Author, made.At.UnixNano())
	for _, c := range all {
		fmt.Fprintf(h, "%q%q%q", c.bug, c.purl, c.status)
	}
	b := h.Sum(nil)
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// OpenVEX writes what is known of findings as a document of OpenVEX 0.2.
func OpenVEX(w io.Writer, made Made, findings []finding.Finding) error {
	type named struct {
		Name    string   `json:"name"`
		Aliases []string `json:"aliases,omitzero"`
	}
	type product struct {
		ID    string    `json:"@id"`
		Parts []product `json:"subcomponents,omitzero"`
	}
	type statement struct {
		Vulnerability named     `json:"vulnerability"`
		Products      []product `json:"products"`
		Status        Status    `json:"status"`
		Justification string    `json:"justification,omitzero"`
		Impact        string    `json:"impact_statement,omitzero"`
		Action        string    `json:"action_statement,omitzero"`
	}
	all := claims(findings)
	d := struct {
		Context    string      `json:"@context"`
		ID         string      `json:"@id"`
		Author     string      `json:"author"`
		Timestamp  string      `json:"timestamp"`
		Version    int         `json:"version"`
		Tooling    string      `json:"tooling"`
		Statements []statement `json:"statements"`
	}{"https://openvex.dev/ns/v0.2.0", "https://haechi.invalid/vex/" + identity(made, all), orElse(made.Author, "haechi"), made.At.UTC().Format(time.RFC3339), 1, "haechi " + made.Tool, []statement{}}
	for _, c := range all {
		s := statement{Vulnerability: named{c.bug, c.aliases}, Products: []product{{ID: orElse(made.Product, "unknown"), Parts: []product{{ID: c.purl}}}}, Status: c.status, Justification: c.why}
		switch c.status {
		case NotAffected:
			s.Impact = orElse(c.detail, "decided without a reason")
		case Affected:
			s.Action = orElse(c.action, "no action is known")
		}
		d.Statements = append(d.Statements, s)
	}
	return json.MarshalWrite(w, d, jsontext.WithIndent("  "))
}

// CycloneDX writes what is known of findings as a VEX of CycloneDX 1.6.
func CycloneDX(w io.Writer, made Made, findings []finding.Finding) error {
	type part struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref,omitzero"`
		Name    string `json:"name"`
		Version string `json:"version,omitzero"`
		PURL    string `json:"purl,omitzero"`
	}
	type analysis struct {
		State         string `json:"state"`
		Justification string `json:"justification,omitzero"`
		Detail        string `json:"detail,omitzero"`
	}
	type ref struct {
		Ref string `json:"ref"`
	}
	type vulnerability struct {
		Ref            string   `json:"bom-ref"`
		ID             string   `json:"id"`
		Recommendation string   `json:"recommendation,omitzero"`
		Analysis       analysis `json:"analysis"`
		Affects        []ref    `json:"affects"`
	}
	type tools struct {
		Components []part `json:"components"`
	}
	type metadata struct {
		Timestamp string `json:"timestamp"`
		Tools     tools  `json:"tools"`
		Component part   `json:"component"`
	}
	all := claims(findings)
	d := struct {
		Schema          string          `json:"$schema"`
		Format          string          `json:"bomFormat"`
		Spec            string          `json:"specVersion"`
		Serial          string          `json:"serialNumber"`
		Version         int             `json:"version"`
		Metadata        metadata        `json:"metadata"`
		Components      []part          `json:"components"`
		Vulnerabilities []vulnerability `json:"vulnerabilities"`
	}{"http://cyclonedx.org/schema/bom-1.6.schema.json", "CycloneDX", "1.6", "urn:uuid:" + identity(made, all), 1,
		metadata{made.At.UTC().Format("2006-01-02T15:04:05Z"), tools{[]part{{Type: "application", Name: "haechi", Version: made.Tool}}}, part{Type: "application", Ref: "product", Name: orElse(made.Product, "unknown")}}, []part{}, []vulnerability{}}
	seen := map[string]bool{}
	for _, c := range all {
		name, version, _ := strings.Cut(c.name, " ")
		if !seen[c.purl] {
			seen[c.purl] = true
			d.Components = append(d.Components, part{"library", c.purl, name, version, c.purl})
		}
		state := map[Status]string{NotAffected: "not_affected", Affected: "exploitable", Fixed: "resolved", Looking: "in_triage"}[c.status]
		why := map[string]string{"component_not_present": "code_not_present", "vulnerable_code_not_present": "code_not_present", "vulnerable_code_not_in_execute_path": "code_not_reachable", "vulnerable_code_cannot_be_controlled_by_adversary": "requires_environment", "inline_mitigations_already_exist": "protected_by_mitigating_control"}[c.why]
		d.Vulnerabilities = append(d.Vulnerabilities, vulnerability{c.bug + "/" + c.purl, c.bug, c.action, analysis{state, why, c.detail}, []ref{{c.purl}}})
	}
	return json.MarshalWrite(w, d, jsontext.WithIndent("  "))
}

// CSAF writes what is known of findings as a VEX of CSAF 2.0.
func CSAF(w io.Writer, made Made, findings []finding.Finding) error {
	type helper struct {
		PURL string `json:"purl"`
	}
	type product struct {
		Name   string `json:"name"`
		ID     string `json:"product_id"`
		Helper helper `json:"product_identification_helper"`
	}
	type note struct {
		Category string `json:"category"`
		Text     string `json:"text"`
	}
	type about struct {
		Category string   `json:"category,omitzero"`
		Label    string   `json:"label,omitzero"`
		Details  string   `json:"details,omitzero"`
		Products []string `json:"product_ids"`
	}
	type id struct {
		System string `json:"system_name"`
		Text   string `json:"text"`
	}
	type vulnerability struct {
		CVE          string              `json:"cve,omitzero"`
		IDs          []id                `json:"ids,omitzero"`
		Notes        []note              `json:"notes"`
		Status       map[string][]string `json:"product_status"`
		Flags        []about             `json:"flags,omitzero"`
		Threats      []about             `json:"threats,omitzero"`
		Remediations []about             `json:"remediations,omitzero"`
	}
	all := claims(findings)
	now := made.At.UTC().Format(time.RFC3339)
	number := "haechi-" + identity(made, all)
	d := map[string]any{"document": map[string]any{
		"category": "csaf_vex", "csaf_version": "2.0", "title": "Vulnerabilities of " + orElse(made.Product, "unknown"),
		"publisher": map[string]string{"category": "vendor", "name": orElse(made.Author, "haechi"), "namespace": "https://haechi.invalid"},
		"tracking": map[string]any{"id": number, "status": "final", "version": "1", "initial_release_date": now, "current_release_date": now,
			"generator":        map[string]any{"engine": map[string]string{"name": "haechi", "version": orElse(made.Tool, "unknown")}},
			"revision_history": []map[string]string{{"date": now, "number": "1", "summary": "as scanned"}}},
	}}
	products, byBug := []product{}, map[string]*vulnerability{}
	seen, order := map[string]bool{}, []string{}
	for _, c := range all {
		if !seen[c.purl] {
			seen[c.purl] = true
			products = append(products, product{c.name, c.purl, helper{c.purl}})
		}
		v := byBug[c.bug]
		if v == nil {
			v = &vulnerability{Notes: []note{{"description", c.bug}}, Status: map[string][]string{}}
			if strings.HasPrefix(c.bug, "CVE-") {
				v.CVE = c.bug
			} else {
				v.IDs = append(v.IDs, id{"OSV", c.bug})
			}
			byBug[c.bug], order = v, append(order, c.bug)
		}
		list := map[Status]string{NotAffected: "known_not_affected", Affected: "known_affected", Fixed: "fixed", Looking: "under_investigation"}[c.status]
		v.Status[list] = append(v.Status[list], c.purl)
		switch c.status {
		case NotAffected:
			if c.why != "" {
				v.Flags = append(v.Flags, about{Label: c.why, Products: []string{c.purl}})
			}
			v.Threats = append(v.Threats, about{Category: "impact", Details: orElse(c.detail, "decided without a reason"), Products: []string{c.purl}})
		case Affected:
			v.Remediations = append(v.Remediations, about{Category: "vendor_fix", Details: orElse(c.action, "no action is known"), Products: []string{c.purl}})
		}
	}
	list := []*vulnerability{}
	for _, bug := range order {
		list = append(list, byBug[bug])
	}
	d["product_tree"], d["vulnerabilities"] = map[string]any{"full_product_names": products}, list
	return json.MarshalWrite(w, d, jsontext.WithIndent("  "), json.Deterministic(true))
}
