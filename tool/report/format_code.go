package report

import (
	"fmt"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func eslintFormat() format {
	return format{name: "eslint-json", tool: "eslint", is: func(d *doc) bool { return d.many("filePath", "messages") }, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			for _, m := range n.list("messages") {
				if m.yes("fatal") {
					r.skipped(n.text("filePath"), m.text("message"))
				}
				if err := r.add(eslintRecord(n, m)); err != nil {
					return err
				}
			}
			for _, m := range n.list("suppressedMessages") {
				rec := eslintRecord(n, m)
				rec.suppressed, rec.why = true, or(m.text("suppressions", "justification"), m.text("suppressions", "kind"))
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func eslintRecord(n, m node) record {
	return record{
		rule: or(m.text("ruleId"), "eslint/parse"), title: m.text("message"), severity: m.text("severity"),
		label: map[string]finding.Label{"2": finding.Medium, "1": finding.Low}[m.text("severity")], file: n.text("filePath"),
		line: m.int("line"), column: m.int("column"), excerpt: lineOf(n.text("source"), m.int("line")),
	}
}

// lineOf is a line of a text.
func lineOf(text string, number int) string {
	n := 0
	for l := range strings.Lines(text) {
		if n++; n == number {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

func njsscanFormat() format {
	return format{name: "njsscan-json", tool: "njsscan", is: func(d *doc) bool { return d.one("njsscan_version") }, read: func(r *reading) error {
		head, err := r.rest("nodejs", "templates")
		if err != nil {
			return err
		}
		r.told.Version = head.text("njsscan_version")
		for _, e := range head.list("errors") {
			r.partial("%s", or(e.text("message"), e.text(), "an error"))
		}
		for _, part := range []string{"nodejs", "templates"} {
			if err := r.each(part+"/*", func(at []string, n node) error {
				m := n.at("metadata")
				files := n.list("files")
				if len(files) == 0 { // a control that is missing everywhere
					files = []node{{}}
				}
				for _, f := range files {
					rec := record{
						rule: at[1], title: m.text("description"), severity: m.text("severity"),
						label: by(m.text("severity"), map[string]finding.Label{"ERROR": finding.High}), cwe: m.texts("cwe"),
						owasp: m.texts("owasp-web"), file: f.text("file_path"), line: f.int("match_lines"), column: f.int("match_position"),
						excerpt: f.text("match_string"),
					}
					if err := r.add(rec); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

func bearerFormat() format {
	return format{name: "bearer-json", tool: "bearer", is: func(d *doc) bool {
		for _, level := range []string{"critical", "high", "medium", "low", "warning"} {
			if d.head.at(level, "fingerprint").is() && d.head.at(level, "full_filename").is() {
				return !d.list
			}
		}
		return false
	}, read: func(r *reading) error {
		return r.each("*/*", func(at []string, n node) error {
			return r.add(record{
				rule: n.text("id"), title: n.text("title"), text: n.text("description"), severity: at[0],
				file: n.first("full_filename", "filename"), line: n.int("line_number"), column: n.int("source", "column", "start"),
				excerpt: or(n.text("code_extract"), n.text("sink", "content"), n.text("snippet")), cwe: n.texts("cwe_ids"),
				url: n.text("documentation_url"), fingerprint: n.first("old_fingerprint", "fingerprint"),
			})
		})
	}}
}

func horusecFormat() format {
	return format{name: "horusec-json", tool: "horusec", is: func(d *doc) bool {
		return d.one("analysisVulnerabilities")
	}, read: func(r *reading) error {
		head, err := r.rest("analysisVulnerabilities")
		if err != nil {
			return err
		}
		r.told.Version = head.text("version")
		if head.text("status") == "error" || head.text("errors") != "" {
			r.partial("%s", or(firstLine(head.text("errors")), "its status is error"))
		}
		return r.each("analysisVulnerabilities/*", func(_ []string, n node) error {
			v := n.at("vulnerabilities")
			kind := v.text("type")
			return r.add(record{
				rule: or(v.text("rule_id"), v.text("securityTool")+"/"+firstLine(v.text("details"))), text: v.text("details"),
				severity: v.text("severity"), confidence: v.text("confidence"), file: v.text("file"), line: v.int("line"),
				column: v.int("column"), excerpt: v.text("code"), fingerprint: v.text("vulnHash"),
				suppressed: kind == "False Positive" || kind == "Risk Accepted", why: kind,
			})
		})
	}}
}

func spotbugsFormat() format {
	return format{name: "spotbugs-xml", tool: "spotbugs", is: func(d *doc) bool { return d.xmlRoot("BugCollection") }, read: func(r *reading) error {
		r.told.Version = r.attrs.text("@version")
		if err := r.each("Errors", func(_ []string, n node) error {
			if n.int("@errors") > 0 {
				r.partial("%s errors in its run", n.text("@errors"))
			}
			return nil
		}); err != nil {
			return err
		}
		return r.each("BugInstance", func(_ []string, n node) error {
			class, method, field := firstOf(n.list("Class")), firstOf(n.list("Method")), firstOf(n.list("Field"))
			line := firstOf(n.list("SourceLine"))
			for _, otherwise := range []node{method.at("SourceLine"), class.at("SourceLine")} {
				if !line.is() {
					line = firstOf(otherwise.list())
				}
			}
			rec := record{
				rule: n.text("@type"), title: or(n.text("ShortMessage"), n.text("@type")),
				text: or(n.text("LongMessage"), n.text("ShortMessage")), severity: n.text("@priority"),
				label: map[string]finding.Label{"1": finding.High, "2": finding.Medium, "3": finding.Low}[n.text("@priority")],
				file:  line.text("@sourcepath"), line: line.int("@start"), cwe: []string{n.text("@cweid")},
				key:    []string{class.text("@classname"), method.text("@name"), method.text("@signature"), field.text("@name"), n.text("LocalVariable", "@name")},
				fields: map[string]string{"category": n.text("@category")},
			}
			rec.tie = []string{n.text("@instanceHash"), line.text("@startBytecode"), line.text("@end"), fmt.Sprint(n.raw())}
			return r.add(rec)
		})
	}}
}

func pmdFormat() format {
	return format{name: "pmd-csv", tool: "pmd", is: func(d *doc) bool {
		return d.table("Problem", "Priority", "Rule set", "Rule")
	}, read: func(r *reading) error {
		labels := map[string]finding.Label{"1": finding.High, "2": finding.High, "3": finding.Medium, "4": finding.Low, "5": finding.Low}
		return r.each("", func(_ []string, n node) error {
			return r.add(record{
				rule: n.text("Rule set") + "/" + n.text("Rule"), title: n.text("Description"), severity: n.text("Priority"),
				label: labels[n.text("Priority")], file: n.text("File"), line: n.int("Line"),
			})
		})
	}}
}

func checkmarxFormat() format {
	return format{name: "checkmarx-one-json", tool: "checkmarx", is: func(d *doc) bool {
		return d.one("results", "scanID")
	}, read: func(r *reading) error {
		return r.each("results/*", func(_ []string, n node) error {
			d := n.at("data")
			source := firstOf(d.list("nodes"))
			rec := record{
				rule: joined("/", n.text("type"), or(d.text("queryName"), n.text("id"))), title: or(d.text("queryName"), n.text("id")),
				text: n.text("description"), severity: n.text("severity"),
				file: or(source.text("fileName"), d.text("filename"), d.text("fileName")), line: max(source.int("line"), d.int("line")),
				column: source.int("column"), fingerprint: n.text("similarityId"), cwe: []string{n.text("vulnerabilityDetails", "cweId")},
				first: n.text("firstFoundAt"), suppressed: n.text("state") == "NOT_EXPLOITABLE", why: n.text("state"),
				closed: n.text("status") == "FIXED", fix: d.text("expectedValue"),
			}
			if n.text("type") == "sca" {
				rec.vulnerability, rec.pkg = n.text("id"), d.text("packageIdentifier")
				rec.fixed = d.texts("recommendedVersion")
			}
			if s, ok := n.number("vulnerabilityDetails", "cvssScore"); ok {
				rec.score = s
			}
			return r.add(rec)
		})
	}}
}

func veracodeFormat() format {
	return format{name: "veracode-xml", tool: "veracode", is: func(d *doc) bool { return d.xmlRoot("detailedreport") }, read: func(r *reading) error {
		labels := map[string]finding.Label{"5": finding.Critical, "4": finding.High, "3": finding.Medium, "2": finding.Low, "1": finding.Low, "0": finding.Informational}
		for _, kind := range []string{"staticflaws", "dynamicflaws", "manualflaws"} {
			if err := r.each("severity/category/cwe/"+kind+"/flaw", func(_ []string, n node) error {
				state := n.text("@mitigation_status")
				return r.add(record{rule: "CWE-" + n.text("@cweid"), title: or(n.text("@categoryname"), n.text("@type")), text: n.text("@description"), severity: n.text("@severity"), label: labels[n.text("@severity")], cwe: []string{n.text("@cweid")}, file: n.text("@sourcefilepath") + n.text("@sourcefile"), line: n.int("@line"),
					resource: n.text("@url"), key: []string{n.text("@functionprototype"), n.text("@vuln_parameter"), n.text("@type")}, fingerprint: n.text("@issueid"), suppressed: state == "accepted", why: n.text("@mitigation_status_desc"), closed: n.text("@remediation_status") == "Fixed"})
			}); err != nil {
				return err
			}
		}
		return r.each("software_composition_analysis/vulnerable_components/component", func(_ []string, c node) error {
			for _, v := range c.list("vulnerabilities", "vulnerability") {
				score, _ := v.number("@cvss_score")
				rec := record{
					rule: v.text("@cve_id"), vulnerability: v.text("@cve_id"), pkg: c.text("@library"), installed: c.text("@version"),
					severity: v.text("@severity"), label: labels[v.text("@severity")], score: score, cwe: []string{v.text("@cwe_id")},
					text: v.text("@cve_summary"), title: v.text("@cve_id") + " in " + c.text("@library"),
					file: c.text("file_paths", "file_path", "@value"),
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}
