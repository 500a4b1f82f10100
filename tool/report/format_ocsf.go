package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func ocsfFormat() format {
	return format{name: "ocsf", tool: "ocsf", read: readOCSF, is: func(d *doc) bool {
		return d.object("class_uid") && (d.object("finding_info") || d.object("finding"))
	}}
}

// Prowler writes OCSF, with PASS among the findings.
func prowlerOCSFFormat() format {
	return format{name: "prowler-ocsf", tool: "prowler", read: readOCSF, is: func(d *doc) bool {
		return d.object("class_uid", "finding_info") && d.head.text("metadata", "product", "name") == "Prowler"
	}}
}

func readOCSF(r *reading) error {
	return r.each("[]", func(_ []string, n node) error {
		product := n.at("metadata", "product")
		r.told.Tool, r.told.Version = or(product.text("name"), r.told.Tool), or(r.told.Version, product.text("version"))
		code := strings.ToUpper(n.text("status_code"))
		if code == "PASS" || code == "PASSED" || n.text("compliance", "status_id") == "1" {
			r.passed()
			return nil
		}
		info := n.at("finding_info")
		if !info.is() {
			info = n.at("finding")
		}
		rec := record{
			rule:     or(n.text("metadata", "event_code"), info.text("analytic", "uid"), n.text("compliance", "control"), info.first("title", "uid")),
			title:    or(info.text("title"), n.text("message")),
			text:     joined("\n", n.text("status_detail"), info.text("desc"), n.text("risk_details"), plainMessage(n, info)),
			severity: n.text("severity"), label: ocsfLabel(n), fix: n.text("remediation", "desc"),
			refs: n.texts("remediation", "references"), url: n.text("unmapped", "related_url"),
			account:    n.text("cloud", "account", "uid"),
			first:      info.first("first_seen_time_dt", "first_seen_time", "created_time_dt", "created_time"),
			confidence: n.text("confidence"), fields: map[string]string{"compliance": requirements(n.at("unmapped", "compliance"))},
		}
		if code != "" || n.at("compliance").is() {
			rec.status = finding.Failed
		}
		if status := n.text("status"); strings.EqualFold(status, "suppressed") || n.text("status_id") == "3" {
			rec.suppressed, rec.why = true, status
		}
		ocsfVulnerability(n, &rec)
		resource := anyOf(n.list("resources"), func(node) bool { return true })
		rec.resource, rec.region = resource.first("uid", "name"), or(resource.text("region"), n.text("cloud", "region"))
		rec.key = []string{rec.account, rec.region, rec.resource}
		if rec.resource == "" {
			rec.key = []string{info.text("uid")}
		}
		return r.add(rec)
	})
}

// plainMessage is the message, unless it was said already.
func plainMessage(n, info node) string {
	m := n.text("message")
	if m == n.text("status_detail") || m == info.text("title") || m == info.text("desc") {
		return ""
	}
	return m
}

func ocsfLabel(n node) finding.Label {
	switch n.text("severity_id") {
	case "1":
		return finding.Informational
	case "2":
		return finding.Low
	case "3":
		return finding.Medium
	case "4":
		return finding.High
	case "5", "6":
		return finding.Critical
	}
	return ""
}

// requirements are what a check is for, by framework.
func requirements(n node) string {
	var all []string
	for _, name := range n.names() {
		all = append(all, name+": "+strings.Join(n.texts(name), " "))
	}
	return strings.Join(all, "; ")
}

func ocsfVulnerability(n node, rec *record) {
	v := anyOf(n.list("vulnerabilities"), func(node) bool { return true })
	if !v.is() {
		return
	}
	rec.vulnerability = or(v.text("cve", "uid"), v.text("advisory", "uid"), v.text("title"))
	rec.cwe = append(v.texts("cve", "cwe", "uid"), v.texts("cwe", "uid")...)
	rec.refs = append(rec.refs, v.texts("references")...)
	rec.kev = v.yes("is_exploit_available") && v.yes("cve", "is_kev")
	rec.exploit = v.yes("is_exploit_available")
	for _, c := range v.list("cve", "cvss") {
		if s, ok := c.number("base_score"); ok {
			rec.cvss = append(rec.cvss, cvssScore{c.text("version"), s, c.text("vector_string"), c.text("vendor_name")})
		}
	}
	if s, ok := v.number("cve", "epss", "score"); ok {
		rec.epss = s
	}
	for _, name := range []string{"affected_packages", "packages"} {
		if p := anyOf(v.list(name), func(node) bool { return true }); p.is() {
			rec.pkg, rec.installed, rec.purl, rec.ecosystem = p.text("name"), p.text("version"), p.text("purl"), p.text("package_manager")
			rec.fixed = p.texts("fixed_in_version")
			rec.file = p.text("path")
			break
		}
	}
}
