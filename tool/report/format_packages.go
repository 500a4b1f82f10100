package report

import (
	"github.com/haechi-dev/haechi/word/finding"
)

func pipAuditFormat() format {
	return format{name: "pip-audit-json", tool: "pip-audit", is: func(d *doc) bool {
		return d.one("dependencies", "fixes") || d.one("dependencies") && d.head.at("dependencies", "vulns").is() || d.many("name", "version", "vulns")
	}, read: func(r *reading) error {
		path := "dependencies/*"
		if r.list {
			path = "[]"
		}
		return r.each(path, func(_ []string, n node) error {
			if why := n.text("skip_reason"); why != "" {
				r.skipped(n.text("name"), why)
			}
			for _, v := range n.list("vulns") {
				rec := record{
					rule: v.text("id"), pkg: n.text("name"), installed: n.text("version"), ecosystem: "PyPI", fixed: v.texts("fix_versions"),
					title: v.text("id") + " in " + n.text("name") + " " + n.text("version"), text: v.text("description"),
				}
				rec.vulnerability, rec.aliases = cve(append([]string{v.text("id")}, v.texts("aliases")...)...)
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func cargoAuditFormat() format {
	return format{name: "cargo-audit-json", tool: "cargo-audit", is: func(d *doc) bool {
		return d.one("lockfile", "vulnerabilities")
	}, read: func(r *reading) error {
		add := func(n node, kind string) error {
			a := n.at("advisory")
			if !a.is() {
				return nil // yanked: nothing is known against it
			}
			rec := record{
				rule: a.text("id"), pkg: n.text("package", "name"), installed: n.text("package", "version"), ecosystem: "crates.io",
				fixed: n.texts("versions", "patched"), title: joined(" in ", a.text("title"), n.text("package", "name")),
				text: a.text("description"), url: a.text("url"), refs: a.texts("references"), severity: kind, file: "Cargo.lock",
			}
			if kind == "unmaintained" || kind == "notice" || kind == "unsound" {
				rec.label = finding.Low
			}
			if vector := a.text("cvss"); vector != "" {
				rec.fields = map[string]string{"cvss": vector}
			}
			rec.vulnerability, rec.aliases = cve(append([]string{a.text("id")}, a.texts("aliases")...)...)
			return r.add(rec)
		}
		if err := r.each("vulnerabilities/list/*", func(_ []string, n node) error { return add(n, "") }); err != nil {
			return err
		}
		return r.each("warnings/*/*", func(at []string, n node) error { return add(n, at[1]) })
	}}
}

func retireFormat() format {
	return format{name: "retirejs-json", tool: "retire.js", is: func(d *doc) bool {
		return d.one("data") && d.head.at("data", "results").is() || d.many("results") && d.head.at("results", "component").is()
	}, read: func(r *reading) error {
		path := "data/*"
		if r.list {
			path = "[]"
		}
		return r.each(path, func(_ []string, n node) error {
			for _, result := range n.list("results") {
				for _, v := range result.list("vulnerabilities") {
					ids := v.at("identifiers")
					id := or(ids.text("CVE"), ids.text("githubID"), ids.text("GHSA"), ids.text("issue"), ids.text("bug"), ids.text("summary"))
					rec := record{
						rule: "retire/" + result.text("component"), vulnerability: id, pkg: result.text("component"),
						installed: result.text("version"), ecosystem: "npm", severity: v.text("severity"), file: n.text("file"), cwe: v.texts("cwe"),
						refs:  v.texts("info"),
						title: joined(" in ", or(ids.text("summary"), id), result.text("component")+" "+result.text("version")),
						text:  ids.text("summary"), aliases: ids.texts("CVE"),
					}
					if below := v.text("below"); below != "" {
						rec.fixed, rec.fix = []string{below}, "Update "+rec.pkg+" to "+below+" or later."
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

func clairFormat() format {
	return format{name: "clair-json", tool: "clair", is: func(d *doc) bool {
		return d.one("vulnerabilities", "unapproved", "image")
	}, read: func(r *reading) error {
		head, err := r.rest("vulnerabilities")
		if err != nil {
			return err
		}
		unapproved := map[string]bool{}
		for _, id := range head.texts("unapproved") {
			unapproved[id] = true
		}
		return r.each("vulnerabilities/*", func(_ []string, n node) error {
			rec := record{
				vulnerability: n.text("vulnerability"), pkg: n.text("featurename"), installed: n.text("featureversion"),
				ecosystem: n.text("namespace"), severity: n.text("severity"), text: n.text("description"), url: n.text("link"),
				resource: head.text("image"), kind: "Container",
				title: n.text("vulnerability") + " in " + n.text("featurename") + " " + n.text("featureversion"),
				key:   []string{n.text("namespace")},
			}
			if fixed := n.text("fixedby"); fixed != "" {
				rec.fixed = []string{fixed}
			}
			if len(unapproved) > 0 && !unapproved[rec.vulnerability] {
				rec.suppressed, rec.why = true, "approved"
			}
			return r.add(rec)
		})
	}}
}

func dependencyTrackFormat() format {
	return format{name: "dependency-track-fpf", tool: "dependency-track", is: func(d *doc) bool {
		return d.one("findings", "meta") && d.head.text("meta", "application") == "Dependency-Track"
	}, read: func(r *reading) error {
		head, err := r.rest("findings")
		if err != nil {
			return err
		}
		r.told.Version = head.text("meta", "version")
		return r.each("findings/*", func(_ []string, n node) error {
			v, c, a := n.at("vulnerability"), n.at("component"), n.at("analysis")
			rec := record{
				rule: v.text("vulnId"), vulnerability: v.text("vulnId"), pkg: joined("/", c.text("group"), c.text("name")),
				installed: c.text("version"), purl: c.text("purl"), severity: v.text("severity"),
				text: or(v.text("description"), v.text("title")), fix: v.text("recommendation"),
				title: v.text("vulnId") + " in " + c.text("name") + " " + c.text("version"), resource: head.text("project", "name"),
				fingerprint: n.text("matrix"), suppressed: a.yes("isSuppressed"), why: a.text("state"),
				fields: map[string]string{"analysis": a.text("state")},
			}
			for _, w := range v.list("cwes") {
				rec.cwe = append(rec.cwe, or(w.text("cweId"), w.text()))
			}
			rec.cwe = append(rec.cwe, v.text("cweId"))
			if s, ok := v.number("cvssV3BaseScore"); ok {
				rec.cvss = append(rec.cvss, cvssScore{"3", s, "", v.text("source")})
			}
			if s, ok := v.number("epssScore"); ok {
				rec.epss = s
			}
			return r.add(rec)
		})
	}}
}
