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
		names, rules, err := r.sonarHead("issues")
		if err != nil {
			return err
		}
		return r.each("issues/*", func(_ []string, n node) error {
			rec := sonarIssue(n, names)
			rec.cwe = append(rec.cwe, rules[rec.rule]...)
			return r.add(rec)
		})
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

// sonarHotspotsFormat is a scan of its own: issues and hotspots come in two reports, and neither closes what is in the other.
func sonarHotspotsFormat() format {
	return format{name: "sonarqube-hotspots-api", tool: "sonarqube-hotspots", is: func(d *doc) bool {
		return d.one("hotspots") && (d.members["paging"] || d.members["components"])
	}, read: func(r *reading) error {
		names, rules, err := r.sonarHead("hotspots")
		if err != nil {
			return err
		}
		return r.each("hotspots/*", func(_ []string, n node) error {
			rec := sonarHotspot(n, names)
			rec.cwe = append(rec.cwe, rules[rec.rule]...)
			return r.add(rec)
		})
	}}
}

func sonarHotspotListFormat() format {
	return format{name: "sonarqube-hotspots-api", tool: "sonarqube-hotspots", is: func(d *doc) bool {
		return d.many("key", "component", "vulnerabilityProbability")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error { return r.add(sonarHotspot(n, nil)) })
	}}
}

// sonarHead tells whether this is all there is, what the components are called, and which weaknesses the
// rules are about, where they came along.
func (r *reading) sonarHead(list string) (names map[string]string, rules map[string][]string, err error) {
	head, err := r.rest(list, "facets", "users")
	if err != nil {
		return nil, nil, err
	}
	rules = map[string][]string{}
	for _, rule := range head.list("rules") {
		key := rule.text("key")
		for _, standard := range rule.texts("securityStandards") {
			if number, ok := strings.CutPrefix(standard, "cwe:"); ok {
				rules[key] = append(rules[key], "CWE-"+number)
			}
		}
		rules[key] = append(rules[key], cweTags(rule.texts("sysTags"))...)
	}
	names = map[string]string{}
	for _, c := range head.list("components") {
		names[c.text("key")] = c.text("path")
	}
	total, size := max(head.int("total"), head.int("paging", "total")), max(head.int("ps"), head.int("paging", "pageSize"))
	switch {
	case head.yes("merged") && total <= size: // of many pages by us, who counted
	case total >= 10_000:
		r.partial("the server says that there are %d, and shows no more than 10000", total)
	case size > 0 && total > size, max(head.int("p"), head.int("paging", "pageIndex")) > 1:
		r.partial("it is one page of %d records, of %d at most", total, size)
	}
	return names, rules, nil
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
