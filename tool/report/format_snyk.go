package report

import (
	"strings"
)

func snykFormat() format {
	return format{name: "snyk-json", tool: "snyk", is: func(d *doc) bool {
		return d.object("vulnerabilities", "packageManager") || d.object("vulnerabilities", "projectName") || d.object("infrastructureAsCodeIssues")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			if why := n.text("error"); why != "" {
				r.partial("%s", why)
			}
			if err := r.addSnyk(n, n); err != nil {
				return err
			}
			for _, app := range n.list("applications") {
				if err := r.addSnyk(app, n); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func (r *reading) addSnyk(project, root node) error {
	file := project.first("displayTargetFile", "targetFile")
	for _, v := range project.list("vulnerabilities") {
		if err := r.add(snykRecord(v, file, root.first("projectName", "path"))); err != nil {
			return err
		}
	}
	for _, v := range project.list("filtered", "ignore") {
		rec := snykRecord(v, file, root.first("projectName", "path"))
		rec.suppressed, rec.why = true, or(v.text("filtered", "ignored", "reason"), "ignored")
		if err := r.add(rec); err != nil {
			return err
		}
	}
	for _, v := range project.list("infrastructureAsCodeIssues") {
		rec := record{
			rule: v.first("publicId", "id"), title: v.text("title"),
			text: joined("\n", v.text("iacDescription", "issue"), v.text("iacDescription", "impact")), severity: v.text("severity"),
			fix: v.text("iacDescription", "resolve"), file: file, line: v.int("lineNumber"),
			key: []string{strings.Join(v.texts("path"), "/")}, url: v.text("documentation"), suppressed: v.yes("isIgnored"),
			status: "FAILED",
		}
		if err := r.add(rec); err != nil {
			return err
		}
	}
	return nil
}

func snykRecord(v node, file, project string) record {
	ids := v.at("identifiers")
	rec := record{
		rule: v.text("id"), pkg: or(v.text("packageName"), v.text("moduleName"), v.text("name")), installed: v.text("version"),
		severity: v.text("severity"), text: v.text("description"), file: file, cwe: ids.texts("CWE"), fixed: v.texts("fixedIn"),
		ecosystem: v.text("packageManager"), places: []string{strings.Join(v.texts("from"), " > ")},
		url: "https://security.snyk.io/vuln/" + v.text("id"), first: v.text("disclosureTime"),
	}
	rec.vulnerability, rec.aliases = cve(append(append([]string{v.text("id")}, ids.texts("CVE")...), ids.texts("GHSA")...)...)
	rec.first = ""
	rec.title = joined(" in ", v.text("title"), joined(" ", rec.pkg, rec.installed))
	if file == "" {
		rec.resource = project
	}
	rec.key = []string{v.text("id")}
	for _, ref := range v.list("references") {
		rec.refs = append(rec.refs, ref.text("url"))
	}
	if s, ok := v.number("cvssScore"); ok {
		rec.cvss = append(rec.cvss, cvssScore{"", s, or(v.text("CVSSv3"), v.text("CVSSv4")), "Snyk"})
	}
	for _, c := range v.list("cvssDetails") {
		if s, ok := c.number("cvssV3BaseScore"); ok {
			rec.cvss = append(rec.cvss, cvssScore{"", s, c.text("cvssV3Vector"), c.text("assigner")})
		}
	}
	if s, ok := v.number("epssDetails", "probability"); ok {
		rec.epss = s
	}
	if up := v.texts("upgradePath"); len(up) > 0 && up[len(up)-1] != "false" {
		rec.fix = "Update to " + up[len(up)-1] + "."
	}
	rec.exploit = strings.EqualFold(v.text("exploit"), "mature") || strings.EqualFold(v.text("exploit"), "high")
	return rec
}
