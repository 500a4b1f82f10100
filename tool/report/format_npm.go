package report

import (
	"slices"
	"strings"
)

func npmAudit6Format() format {
	return format{name: "npm-audit-6-json", tool: "npm-audit", is: func(d *doc) bool {
		return d.one("advisories") && (d.members["actions"] || d.members["metadata"])
	}, read: func(r *reading) error {
		return r.each("advisories/*", func(_ []string, n node) error { return r.addAdvisory(n, nil) })
	}}
}

func yarnAuditFormat() format {
	return format{name: "yarn-audit-json", tool: "yarn-audit", is: func(d *doc) bool {
		return d.object("type", "data") && strings.HasPrefix(d.head.text("type"), "audit")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			if n.text("type") != "auditAdvisory" {
				return nil
			}
			return r.addAdvisory(n.at("data", "advisory"), []string{n.text("data", "resolution", "path")})
		})
	}}
}

// addAdvisory takes an advisory of the old registry, once for each version that is installed.
func (r *reading) addAdvisory(n node, paths []string) error {
	versions := n.list("findings")
	if len(versions) == 0 || paths != nil {
		versions = versions[:min(len(versions), 1)]
	}
	if len(versions) == 0 {
		versions = []node{{}}
	}
	for _, v := range versions {
		rec := record{
			rule: or(n.text("github_advisory_id"), n.text("id")), pkg: n.text("module_name"), installed: v.text("version"),
			severity: n.text("severity"), text: joined("\n", n.text("title"), n.text("overview")),
			title: joined(" in ", n.text("title"), n.text("module_name")), fixed: []string{n.text("patched_versions")},
			cwe: n.texts("cwe"), url: n.text("url"), ecosystem: "npm", places: append(slices.Clone(paths), v.texts("paths")...),
			fix: n.text("recommendation"), key: []string{n.text("id")},
		}
		rec.vulnerability, rec.aliases = cve(append(n.texts("cves"), n.text("github_advisory_id"), "npm-"+n.text("id"))...)
		if len(n.texts("cves")) == 0 {
			rec.vulnerability = or(n.text("github_advisory_id"), "npm-"+n.text("id"))
		}
		if s, ok := n.number("cvss", "score"); ok && s > 0 {
			rec.cvss = append(rec.cvss, cvssScore{"", s, n.text("cvss", "vectorString"), "npm"})
		}
		if v.yes("dev") {
			rec.scope = "development"
		}
		for ref := range strings.FieldsSeq(n.text("references")) {
			rec.refs = append(rec.refs, strings.Trim(ref, "[]()-,"))
		}
		if err := r.add(rec); err != nil {
			return err
		}
	}
	return nil
}

func npmAudit7Format() format {
	return format{name: "npm-audit-7plus-json", tool: "npm-audit", is: func(d *doc) bool {
		return d.one("auditReportVersion", "vulnerabilities")
	}, read: func(r *reading) error {
		return r.each("vulnerabilities/*", func(_ []string, n node) error {
			var advisories []node
			for _, via := range n.list("via") {
				if via.at("source").is() || via.at("url").is() {
					advisories = append(advisories, via)
				}
			}
			if len(advisories) == 0 { // it is only as bad as what it brings in
				brings := strings.Join(n.texts("via"), ", ")
				return r.add(record{
					rule: "npm/brings-in", pkg: n.text("name"), severity: n.text("severity"), title: n.text("name") + " brings in " + brings,
					text:      n.text("name") + " " + n.text("range") + " depends on versions with known vulnerabilities of " + brings + ".",
					ecosystem: "npm", places: n.texts("nodes"), fix: npmFix(n.at("fixAvailable")),
				})
			}
			for _, via := range advisories {
				rec := record{
					rule: or(lastPart(via.text("url")), via.text("source")), pkg: or(via.text("dependency"), n.text("name")),
					severity: or(via.text("severity"), n.text("severity")), title: joined(" in ", via.text("title"), n.text("name")),
					text: joined("\n", via.text("title"), "Affected: "+via.text("range")), cwe: via.texts("cwe"), url: via.text("url"),
					ecosystem: "npm", places: n.texts("nodes"), fix: npmFix(n.at("fixAvailable")), refs: []string{via.text("url")},
				}
				rec.vulnerability = rec.rule
				if s, ok := via.number("cvss", "score"); ok && s > 0 {
					rec.cvss = append(rec.cvss, cvssScore{"", s, via.text("cvss", "vectorString"), "npm"})
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func lastPart(u string) string { return u[strings.LastIndexByte(u, '/')+1:] }

func npmFix(n node) string {
	switch {
	case n.at("name").is():
		major := ""
		if n.yes("isSemVerMajor") {
			major = " (a new major version)"
		}
		return "Update " + n.text("name") + " to " + n.text("version") + major + "."
	case n.yes():
		return "npm audit fix updates it."
	}
	return ""
}
