package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func codeScanningFormat() format {
	return format{name: "github-code-scanning-api", tool: "github-code-scanning", is: func(d *doc) bool {
		return d.object("rule", "tool", "most_recent_instance")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			rule, at := n.at("rule"), n.at("most_recent_instance", "location")
			r.told.Tool = or(n.text("tool", "name"), r.told.Tool)
			r.told.Version = or(r.told.Version, n.text("tool", "version"))
			rec := record{
				rule: rule.first("id", "name"), title: or(n.text("most_recent_instance", "message", "text"), rule.text("description")),
				text:     joined("\n", n.text("most_recent_instance", "message", "text"), rule.text("full_description"), rule.text("description")),
				severity: rule.first("security_severity_level", "severity"), file: at.text("path"), line: at.int("start_line"),
				column: at.int("start_column"), cwe: cweTags(rule.texts("tags")), owasp: owaspTags(rule.texts("tags")),
				url: n.text("html_url"), fix: rule.text("help"), first: n.text("created_at"), key: []string{n.text("number")},
			}
			rec.tie = []string{}
			rec.suppressed, rec.why, rec.closed = n.text("state") == "dismissed", joined(": ", n.text("dismissed_reason"), n.text("dismissed_comment")), n.text("state") == "fixed"
			return r.add(rec)
		})
	}}
}

func secretScanningFormat() format {
	return format{name: "github-secret-scanning-api", tool: "github-secret-scanning", is: func(d *doc) bool {
		return d.object("secret_type", "number", "state")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			rec := record{
				rule: n.text("secret_type"), title: n.first("secret_type_display_name", "secret_type"), secret: n.text("secret"),
				label: finding.High, url: n.text("html_url"), key: []string{n.text("number")}, first: n.text("created_at"),
				file: n.text("first_location_detected", "path"), line: n.int("first_location_detected", "start_line"),
				types: "Sensitive Data Identifications/Passwords",
			}
			if n.text("validity") == "active" {
				rec.label, rec.confidence = finding.Critical, "active"
			}
			resolution := n.text("resolution")
			rec.suppressed, rec.why = resolution == "false_positive" || resolution == "wont_fix" || resolution == "used_in_tests", resolution
			rec.closed = resolution == "revoked"
			return r.add(rec)
		})
	}}
}

func dependabotFormat() format {
	return format{name: "github-dependabot-graphql", tool: "dependabot", is: func(d *doc) bool {
		return d.one("data") && (d.head.at("data", "search").is() || d.head.at("data", "repository").is())
	}, read: func(r *reading) error {
		alerts := func(repository node) error {
			if repository.yes("vulnerabilityAlerts", "pageInfo", "hasNextPage") {
				r.partial("there are more alerts than this page has")
			}
			for _, n := range repository.list("vulnerabilityAlerts", "nodes") {
				v := n.at("securityVulnerability")
				a := v.at("advisory")
				var ids []string
				for _, i := range a.list("identifiers") {
					ids = append(ids, i.text("value"))
				}
				rec := record{
					pkg: v.text("package", "name"), ecosystem: v.text("package", "ecosystem"), severity: v.text("severity"),
					title: a.text("summary"), text: a.text("description"), fixed: v.texts("firstPatchedVersion", "identifier"),
					file: n.text("vulnerableManifestPath"), installed: strings.TrimPrefix(n.text("vulnerableRequirements"), "= "),
					fingerprint: n.text("id"), resource: repository.text("name"), first: n.text("createdAt"),
					suppressed: n.text("state") == "DISMISSED" || n.text("dismissedAt") != "", why: n.text("dismissReason"),
					closed: n.text("state") == "FIXED",
				}
				rec.vulnerability, rec.aliases = cve(ids...)
				rec.rule, rec.tie = rec.vulnerability, []string{}
				for _, ref := range a.list("references") {
					rec.refs = append(rec.refs, ref.text("url"))
				}
				for _, w := range a.list("cwes", "nodes") {
					rec.cwe = append(rec.cwe, w.text("cweId"))
				}
				if s, ok := a.number("cvss", "score"); ok && s > 0 {
					rec.cvss = append(rec.cvss, cvssScore{"", s, a.text("cvss", "vectorString"), "GitHub"})
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		}
		if err := r.each("data/search/nodes/*", func(_ []string, n node) error { return alerts(n) }); err != nil {
			return err
		}
		return r.each("data/repository", func(_ []string, n node) error { return alerts(n) })
	}}
}

// dependabotAPIFormat is what /repos/…/dependabot/alerts answers.
func dependabotAPIFormat() format {
	return format{name: "github-dependabot-api", tool: "dependabot", is: func(d *doc) bool {
		return d.object("security_advisory", "security_vulnerability", "dependency")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			a, v := n.at("security_advisory"), n.at("security_vulnerability")
			rec := record{
				pkg: v.text("package", "name"), ecosystem: v.text("package", "ecosystem"),
				severity: or(v.text("severity"), a.text("severity")), title: a.text("summary"), text: a.text("description"),
				fixed: v.texts("first_patched_version", "identifier"), file: n.text("dependency", "manifest_path"),
				scope: n.text("dependency", "scope"), url: n.text("html_url"), first: n.text("created_at"),
				closed: n.text("state") == "fixed" || n.text("state") == "auto_dismissed", suppressed: n.text("state") == "dismissed",
				why: joined(": ", n.text("dismissed_reason"), n.text("dismissed_comment")),
			}
			rec.vulnerability, rec.aliases = cve(a.text("ghsa_id"), a.text("cve_id"))
			rec.rule = rec.vulnerability
			for _, w := range a.list("cwes") {
				rec.cwe = append(rec.cwe, w.text("cwe_id"))
			}
			for _, ref := range a.list("references") {
				rec.refs = append(rec.refs, ref.text("url"))
			}
			if s, ok := a.number("cvss", "score"); ok && s > 0 {
				rec.cvss = append(rec.cvss, cvssScore{"", s, a.text("cvss", "vector_string"), "GitHub"})
			}
			if s, ok := a.number("epss", "percentage"); ok {
				rec.epss = s
			}
			return r.add(rec)
		})
	}}
}
