package report

import (
	"slices"
	"strings"
)

func osvScannerFormat() format {
	return format{name: "osv-scanner-json", tool: "osv-scanner", is: func(d *doc) bool {
		return d.one("results") && (d.head.at("results", "packages").is() && d.head.at("results", "source").is() || d.members["experimental_config"])
	}, read: func(r *reading) error {
		return r.each("results/*", func(_ []string, n node) error {
			for _, p := range n.list("packages") {
				for _, group := range osvGroups(p) {
					if err := r.add(osvRecord(n.text("source", "path"), p, group)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}}
}

// osvGroups are the vulnerabilities of a package, those together that are one by their aliases.
func osvGroups(p node) (groups [][]node) {
	all := p.list("vulnerabilities")
	used := map[string]bool{}
	for _, g := range p.list("groups") {
		ids := g.texts("ids")
		var group []node
		for _, v := range all {
			if id := v.text("id"); slices.Contains(ids, id) && !used[id] {
				used[id] = true
				group = append(group, v)
			}
		}
		if len(group) > 0 {
			groups = append(groups, group)
		}
	}
	for _, v := range all {
		if id := v.text("id"); !used[id] {
			used[id] = true
			groups = append(groups, []node{v})
		}
	}
	return groups
}

func osvRecord(source string, p node, group []node) record {
	v := group[0]
	var ids []string
	for _, g := range group {
		ids = append(append(ids, g.text("id")), g.texts("aliases")...)
	}
	rec := record{
		file: source, pkg: p.text("package", "name"), installed: p.text("package", "version"), ecosystem: p.text("package", "ecosystem"),
		text: joined("\n", v.text("summary"), v.text("details")), severity: v.text("database_specific", "severity"),
	}
	rec.vulnerability, rec.aliases = cve(ids...)
	rec.rule = v.text("id")
	rec.title = joined(": ", joined(" ", rec.vulnerability, "in", rec.pkg, rec.installed), v.text("summary"))
	for _, ref := range v.list("references") {
		rec.refs = append(rec.refs, ref.text("url"))
	}
	if strings.HasPrefix(rec.rule, "MAL-") {
		rec.severity, rec.label, rec.types = "malware", "CRITICAL", "Software and Configuration Checks/Vulnerabilities/Malware"
	}
	for _, g := range p.list("groups") {
		if s, ok := g.number("max_severity"); ok && slices.Contains(g.texts("ids"), rec.rule) {
			rec.score = s
		}
	}
	for _, s := range v.list("severity") {
		if vector := s.text("score"); strings.HasPrefix(vector, "CVSS:") {
			rec.cvss = append(rec.cvss, cvssScore{"", rec.score, vector, "osv"})
		}
	}
	for _, a := range v.list("affected") {
		if a.text("package", "name") != rec.pkg {
			continue
		}
		rec.purl = a.text("package", "purl")
		for _, w := range a.list("database_specific", "cwes") {
			rec.cwe = append(rec.cwe, w.first("cweId"))
		}
		for _, ranges := range a.list("ranges") {
			for _, e := range ranges.list("events") {
				if f := e.text("fixed"); f != "" && ranges.text("type") != "GIT" {
					rec.fixed = append(rec.fixed, f)
				}
			}
		}
	}
	rec.cwe = append(rec.cwe, v.texts("database_specific", "cwe_ids")...)
	return rec
}
