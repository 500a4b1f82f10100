package report

import (
	"strings"
)

func grypeFormat() format {
	return format{name: "grype-json", tool: "grype", is: func(d *doc) bool { return d.one("matches", "descriptor") }, read: func(r *reading) error {
		head, err := r.rest("matches", "ignoredMatches", "descriptor/db", "descriptor/configuration", "source/target/layers", "source/target/manifest", "source/target/config")
		if err != nil {
			return err
		}
		r.told.Version = head.text("descriptor", "version")
		r.made(head.text("descriptor", "timestamp"))
		target := or(head.text("source", "target", "userInput"), head.text("source", "target"))
		for _, list := range []string{"matches", "ignoredMatches"} {
			err := r.each(list+"/*", func(_ []string, n node) error {
				rec := grypeRecord(n)
				rec.resource = target
				if rec.resource != "" && n.text("artifact", "type") != "" {
					rec.kind = "Container"
				}
				if list == "ignoredMatches" {
					rec.suppressed, rec.why = true, joined(" ", "ignored:", or(n.text("appliedIgnoreRules", "reason"), n.text("appliedIgnoreRules", "vulnerability"), "by a rule"))
				}
				return r.add(rec)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

func grypeRecord(n node) record {
	v, a := n.at("vulnerability"), n.at("artifact")
	ids := []string{v.text("id")}
	for _, related := range n.list("relatedVulnerabilities") {
		ids = append(ids, related.text("id"))
	}
	rec := record{pkg: a.text("name"), installed: a.text("version"), purl: a.text("purl"), ecosystem: a.text("type"), severity: v.text("severity"), fixed: v.texts("fix", "versions"), refs: v.texts("urls"), url: v.text("dataSource"),
		text: or(v.text("description"), anyOf(n.list("relatedVulnerabilities"), func(r node) bool { return r.text("description") != "" }).text("description"))}
	rec.vulnerability, rec.aliases = cve(ids...)
	rec.rule, rec.key = rec.vulnerability, []string{a.text("type")}
	rec.title = joined(" ", rec.vulnerability, "in", rec.pkg, rec.installed)
	if location := anyOf(a.list("locations"), func(node) bool { return true }); location.is() {
		rec.places = []string{location.text("path")}
	}
	for _, c := range append(v.list("cvss"), n.at("relatedVulnerabilities").list("cvss")...) {
		if s, ok := c.number("metrics", "baseScore"); ok {
			rec.cvss = append(rec.cvss, cvssScore{c.text("version"), s, c.text("vector"), c.text("source")})
		}
	}
	for _, e := range v.list("epss") {
		if s, ok := e.number("epss"); ok {
			rec.epss = max(rec.epss, s)
		}
	}
	rec.kev = len(v.list("knownExploited")) > 0
	for _, w := range v.list("cwes") {
		rec.cwe = append(rec.cwe, or(w.text("cwe"), w.text()))
	}
	if len(rec.fixed) > 0 {
		rec.fix = "Update " + rec.pkg + " to " + strings.Join(rec.fixed, " or ") + "."
	}
	return rec
}
