package report

import (
	"strings"
)

func dependencyCheckFormat() format {
	return format{name: "dependency-check-json", tool: "dependency-check", is: func(d *doc) bool {
		return d.one("reportSchema", "dependencies") || d.one("scanInfo", "dependencies")
	}, read: func(r *reading) error {
		head, err := r.rest("dependencies")
		if err != nil {
			return err
		}
		r.told.Version = head.text("scanInfo", "engineVersion")
		r.made(head.text("projectInfo", "reportDate"))
		for _, e := range head.list("scanInfo", "analysisExceptions") {
			r.partial("%s", or(e.text("exception", "message"), e.text("message"), "an analysis failed"))
		}
		return r.each("dependencies/*", func(_ []string, n node) error {
			pkg, purl := firstOf(n.list("packages")).text("id"), ""
			if strings.HasPrefix(pkg, "pkg:") {
				purl = pkg
			}
			for i, name := range []string{"vulnerabilities", "suppressedVulnerabilities"} {
				for _, v := range n.list(name) {
					rec := dependencyCheckRecord(v, n.text("fileName"), n.text("filePath"), purl)
					rec.suppressed, rec.why = i == 1, v.text("notes")
					rec.cwe = v.texts("cwes")
					rec.refs = nil
					for _, ref := range v.list("references") {
						rec.refs = append(rec.refs, ref.text("url"))
					}
					if err := r.add(rec); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}}
}

func dependencyCheckXMLFormat() format {
	return format{name: "dependency-check-xml", tool: "dependency-check", is: func(d *doc) bool {
		return d.xmlRoot("analysis")
	}, read: func(r *reading) error {
		if err := r.each("scanInfo", func(_ []string, n node) error {
			r.told.Version = n.text("engineVersion")
			for _, e := range n.list("analysisExceptions", "analysisException") {
				r.partial("%s", or(e.text("exception", "message"), "an analysis failed"))
			}
			return nil
		}); err != nil {
			return err
		}
		return r.each("dependencies/dependency", func(_ []string, n node) error {
			ids := n.at("identifiers")
			purl := firstOf(ids.list("package")).text("id")
			for i, name := range []string{"vulnerability", "suppressedVulnerability"} {
				for _, v := range n.list("vulnerabilities", name) {
					rec := dependencyCheckRecord(v, n.text("fileName"), n.text("filePath"), purl)
					rec.suppressed, rec.why = i == 1, v.text("notes")
					rec.cwe = append(v.texts("cwes", "cwe"), v.texts("cwe")...)
					rec.refs = nil
					for _, ref := range v.list("references", "reference") {
						rec.refs = append(rec.refs, ref.text("url"))
					}
					if err := r.add(rec); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}}
}

// dependencyCheckRecord is what JSON and XML say alike.
func dependencyCheckRecord(v node, name, file, purl string) record {
	rec := record{
		rule: v.text("name"), vulnerability: v.text("name"), pkg: name, purl: purl, severity: v.text("severity"),
		text: v.text("description"), title: v.text("name") + " in " + name,
		fields: map[string]string{"source": or(v.text("source"), v.text("@source"))},
	}
	if rec.pkg == "" {
		rec.pkg = lastPart(strings.ReplaceAll(file, `\`, "/"))
	}
	if _, version, ok := strings.Cut(purl, "@"); ok {
		rec.installed = version
	}
	if file != "" {
		rec.places = []string{cleanPath(file)}
	}
	for _, c := range []struct{ name, score, version string }{{"cvssv4", "baseScore", "4.0"}, {"cvssV4", "baseScore", "4.0"}, {"cvssv3", "baseScore", "3"}, {"cvssV3", "baseScore", "3"}, {"cvssv2", "score", "2.0"}, {"cvssV2", "score", "2.0"}} {
		if s, ok := v.number(c.name, c.score); ok {
			rec.cvss = append(rec.cvss, cvssScore{or(v.text(c.name, "version"), c.version), s, v.text(c.name, "vectorString"), ""})
		}
	}
	if s, ok := v.number("cvssScore"); ok {
		rec.cvss = append(rec.cvss, cvssScore{"2.0", s, "", ""})
	}
	if v.at("knownExploitedVulnerability").is() {
		rec.kev = true
	}
	return rec
}
