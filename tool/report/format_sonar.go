package report

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func sonarIssuesFormat() format {
	return format{name: "sonarqube-issues-api", tool: "sonarqube", is: func(d *doc) bool {
		return d.one("issues", "components") || d.one("issues", "paging")
	}, read: func(r *reading) error {
		names, err := r.sonarHead("issues")
		if err != nil {
			return err
		}
		return r.each("issues/*", func(_ []string, n node) error { return r.add(sonarIssue(n, names)) })
	}}
}

// sonarIssueListFormat is the list alone, as people often save it.
func sonarIssueListFormat() format {
	return format{name: "sonarqube-issues-api", tool: "sonarqube", is: func(d *doc) bool {
		return d.many("key", "rule", "component") && (d.members["severity"] || d.members["impacts"])
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error { return r.add(sonarIssue(n, nil)) })
	}}
}

func sonarHotspotsFormat() format {
	return format{name: "sonarqube-hotspots-api", tool: "sonarqube", is: func(d *doc) bool {
		return d.one("hotspots") && (d.members["paging"] || d.members["components"])
	}, read: func(r *reading) error {
		names, err := r.sonarHead("hotspots")
		if err != nil {
			return err
		}
		return r.each("hotspots/*", func(_ []string, n node) error { return r.add(sonarHotspot(n, names)) })
	}}
}

func sonarHotspotListFormat() format {
	return format{name: "sonarqube-hotspots-api", tool: "sonarqube", is: func(d *doc) bool {
		return d.many("key", "component", "vulnerabilityProbability")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error { return r.add(sonarHotspot(n, nil)) })
	}}
}

// sonarHead tells whether this is all there is, and what the components are called.
func (r *reading) sonarHead(list string) (map[string]string, error) {
	head, err := r.rest(list, "rules", "facets", "users")
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, c := range head.list("components") {
		names[c.text("key")] = c.text("path")
	}
	total, size := max(head.int("total"), head.int("paging", "total")), max(head.int("ps"), head.int("paging", "pageSize"))
	switch {
	case total >= 10_000:
		r.partial("the server says that there are %d, and shows no more than 10000", total)
	case size > 0 && total > size, max(head.int("p"), head.int("paging", "pageIndex")) > 1:
		r.partial("it is one page of %d records, of %d at most", total, size)
	}
	return names, nil
}

// sonarPath is the file of a component, which is called project:path.
func sonarPath(n node, names map[string]string) string {
	component, project := n.text("component"), n.text("project")
	if p, ok := names[component]; ok && p != "" {
		return p
	}
	if rest, ok := strings.CutPrefix(component, project+":"); ok && project != "" {
		return rest
	}
	if component == project {
		return ""
	}
	return component[strings.LastIndexByte(component, ':')+1:]
}

func sonarIssue(n node, names map[string]string) record {
	rec := record{
		rule: n.text("rule"), title: n.text("message"), severity: n.text("severity"), file: sonarPath(n, names),
		line: max(n.int("line"), n.int("textRange", "startLine")), fingerprint: n.text("key"), cwe: cweTags(n.texts("tags")),
		owasp: owaspTags(n.texts("tags")), first: stamp(n.text("creationDate")),
		fields: map[string]string{"kind": n.text("type"), "effort": n.first("effort", "debt"), "tags": strings.Join(n.texts("tags"), " ")},
	}
	if n.int("textRange", "startOffset") > 0 {
		rec.column = n.int("textRange", "startOffset") + 1
	}
	rec.label = by(rec.severity, map[string]finding.Label{"BLOCKER": finding.Critical, "CRITICAL": finding.High, "MAJOR": finding.Medium, "MINOR": finding.Low, "INFO": finding.Informational})
	for _, i := range n.list("impacts") { // newer servers say how bad it is for what
		if rec.severity == "" || i.text("softwareQuality") == "SECURITY" {
			rec.severity = i.text("severity")
			rec.label = by(rec.severity, map[string]finding.Label{"BLOCKER": finding.Critical})
		}
	}
	sonarState(n, &rec)
	return rec
}

// sonarState reads what people decided there: it is triage, and arrives as such.
func sonarState(n node, rec *record) {
	resolution := strings.ToUpper(or(n.text("resolution"), n.text("issueStatus")))
	switch resolution {
	case "FALSE-POSITIVE", "FALSE_POSITIVE", "WONTFIX", "ACCEPTED", "SAFE", "ACKNOWLEDGED":
		rec.suppressed, rec.why = true, resolution
	case "FIXED", "REMOVED":
		rec.closed = true
	}
}

func sonarHotspot(n node, names map[string]string) record {
	rec := record{
		rule: or(n.text("ruleKey"), "hotspot/"+n.text("securityCategory")), title: n.text("message"),
		severity: n.text("vulnerabilityProbability"), file: sonarPath(n, names),
		line: max(n.int("line"), n.int("textRange", "startLine")), fingerprint: n.text("key"), first: stamp(n.text("creationDate")),
		fields: map[string]string{"kind": "SECURITY_HOTSPOT", "category": n.text("securityCategory"), "review": n.text("status")},
	}
	sonarState(n, &rec)
	return rec
}

// sonarReportFormat is what the program sonar-report writes.
func sonarReportFormat() format {
	return format{name: "sonar-report-json", tool: "sonarqube", is: func(d *doc) bool {
		return d.one("sonarBaseURL", "issues")
	}, read: func(r *reading) error {
		head, err := r.rest("issues")
		if err != nil {
			return err
		}
		hotspots := head.texts("hotspotKeys")
		return r.each("issues/*", func(_ []string, n node) error {
			rule := head.at("rules", n.text("rule"))
			rec := sonarIssue(n, nil)
			rec.file, rec.text = n.text("component"), joined("\n", n.text("message"), plainText(rule.text("htmlDesc")))
			if slices.Contains(hotspots, n.text("key")) {
				rec.fields["kind"] = "SECURITY_HOTSPOT"
			}
			return r.add(rec)
		})
	}}
}
