package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// gitlabFormat is all of GitLab's security reports: they differ in where a record is.
func gitlabFormat() format {
	return format{name: "gitlab-json", tool: "gitlab", is: func(d *doc) bool {
		return d.one("vulnerabilities", "scan", "version") && d.head.at("scan", "type").is()
	}, read: func(r *reading) error {
		head, err := r.rest("vulnerabilities", "site", "spider", "remediations", "dependency_files", "scan/scanned_resources")
		if err != nil {
			return err
		}
		scan := head.at("scan")
		r.made(or(scan.text("end_time"), scan.text("start_time")))
		r.told.Tool, r.told.Version = or(scan.text("scanner", "id"), r.told.Tool), scan.text("scanner", "version")
		if status := scan.text("status"); status != "" && status != "success" {
			r.partial("the status of the scan is %s", status)
		}
		for _, m := range scan.list("messages") {
			if level := m.text("level"); level == "error" || level == "fatal" {
				r.partial("%s", firstLine(m.text("value")))
			}
		}
		return r.each("vulnerabilities/*", func(_ []string, n node) error { return r.add(gitlabRecord(n, scan.text("type"))) })
	}}
}

func gitlabRecord(n node, kind string) record {
	at := n.at("location")
	rec := record{
		title: n.first("name", "message"), text: joined("\n", n.first("description", "message")), severity: n.text("severity"),
		confidence: n.text("confidence"), fix: n.text("solution"), file: at.text("file"), line: at.int("start_line"),
	}
	var ids, names []string
	for _, i := range n.list("identifiers") {
		switch strings.ToLower(i.text("type")) {
		case "cwe":
			rec.cwe = append(rec.cwe, i.text("value"))
		case "cve", "ghsa":
			ids = append(ids, i.text("value"))
		case "owasp":
			rec.owasp = append(rec.owasp, i.text("name"))
		}
		names = append(names, i.text("type")+"/"+i.text("value"))
		rec.refs = append(rec.refs, i.text("url"))
	}
	for _, l := range n.list("links") {
		rec.refs = append(rec.refs, l.text("url"))
	}
	if len(names) > 0 {
		rec.rule = finding.Shorten(names[0], 200)
	}
	if rec.fix == "No solution provided" {
		rec.fix = ""
	}
	rec.rule = or(rec.rule, rec.title, kind)
	for _, flag := range n.list("flags") {
		if strings.Contains(flag.text("type"), "false-positive") {
			rec.suppressed, rec.why = true, or(flag.text("description"), "flagged as a likely false positive")
		}
	}
	switch kind {
	case "dependency_scanning", "container_scanning", "cluster_image_scanning":
		rec.pkg, rec.installed = at.text("dependency", "package", "name"), at.text("dependency", "version")
		rec.vulnerability, rec.aliases = cve(append(ids, rec.rule)...)
		if len(ids) == 0 {
			rec.vulnerability, rec.aliases = rec.rule, nil
		}
		if image := at.text("image"); image != "" {
			rec.resource, rec.kind = image, "Container"
			rec.key = []string{at.text("operating_system")}
		}
		rec.title = or(rec.title, joined(" in ", rec.vulnerability, rec.pkg))
	case "secret_detection":
		rec.secret, rec.tie = n.text("raw_source_code_extract"), []string{at.text("commit", "sha")}
		rec.types = "Sensitive Data Identifications/Passwords"
	case "dast", "api_fuzzing":
		rec.resource, rec.key = at.text("hostname")+at.text("path"), []string{at.text("method"), at.text("param")}
		rec.evidence = n.text("evidence", "summary")
	default:
		rec.key = []string{at.text("class"), at.text("method")}
	}
	return rec
}
