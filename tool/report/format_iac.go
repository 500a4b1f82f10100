package report

import (
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/finding"
)

func kicsFormat() format {
	return format{name: "kics-json", tool: "kics", is: func(d *doc) bool { return d.one("queries", "severity_counters") }, read: func(r *reading) error {
		head, err := r.rest("queries")
		if err != nil {
			return err
		}
		r.told.Version = head.text("kics_version")
		r.made(or(head.text("end"), head.text("start")))
		if n := head.int("files_failed_to_scan") + head.int("queries_failed_to_execute"); n > 0 {
			r.partial("%d files or queries failed", n)
		}
		return r.each("queries/*", func(_ []string, q node) error {
			for _, f := range q.list("files") {
				rec := record{
					rule: q.text("query_id"), title: q.text("query_name"), text: joined("\n", q.text("description"), f.text("actual_value")),
					severity: q.text("severity"), file: f.text("file_name"), line: f.int("line"), fix: f.text("expected_value"),
					url: q.text("query_url"), cwe: []string{q.text("cwe")}, fingerprint: f.text("similarity_id"),
					tie: []string{f.text("search_key"), f.text("search_value"), f.text("line")}, status: finding.Failed,
					fields: map[string]string{"platform": q.text("platform"), "category": q.text("category")},
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func cfnNagFormat() format {
	return format{name: "cfn-nag-json", tool: "cfn-nag", is: func(d *doc) bool {
		return d.many("filename", "file_results")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			for _, v := range n.list("file_results", "violations") {
				ids, lines := v.texts("logical_resource_ids"), v.list("line_numbers")
				if len(ids) == 0 {
					ids = []string{""}
				}
				for i, id := range ids {
					rec := record{
						rule: v.text("id"), title: v.text("message"), severity: v.text("type"),
						label: by(v.text("type"), map[string]finding.Label{"FAIL": finding.High}), file: n.text("filename"), key: []string{id},
						status: finding.Failed, fields: map[string]string{"resource": id},
					}
					if i < len(lines) {
						rec.line = lines[i].int()
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

var tfsecResource = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`'([^']+)'|"([^"]+)"`) })

func tfsecFormat() format {
	return format{name: "tfsec-json", tool: "tfsec", is: func(d *doc) bool {
		first := d.head.at("results")
		return d.one("results") && (first.at("rule_description").is() || first.at("legacy_rule_id").is() || len(d.members) == 1 && !first.at("packages").is() && !first.at("check_id").is())
	}, read: func(r *reading) error {
		return r.each("results/*", func(_ []string, n node) error {
			if status := n.text("status"); status == "1" || status == "passed" {
				r.passed()
				return nil
			}
			resource := or(n.text("resource"), tfsecResource().FindString(n.text("description")))
			at := n.at("location")
			return r.add(record{
				rule: or(n.text("long_id"), n.text("rule_id")), title: or(n.text("rule_description"), n.text("description")),
				text: joined("\n", n.text("description"), n.text("impact")), severity: n.text("severity"), file: at.text("filename"),
				line: at.int("start_line"), key: []string{resource}, fix: n.text("resolution"), refs: n.texts("links"),
				url: or(n.text("link"), n.text("links")), suppressed: n.text("status") == "2" || n.text("status") == "ignored",
				status: finding.Failed, fields: map[string]string{"resource": strings.Trim(resource, `'"`)},
			})
		})
	}}
}

func terrascanFormat() format {
	return format{name: "terrascan-json", tool: "terrascan", is: func(d *doc) bool {
		return d.one("results") && d.head.at("results", "scan_summary").is()
	}, read: func(r *reading) error {
		for _, list := range []string{"violations", "skipped_violations"} {
			if err := r.each("results/"+list+"/*", func(_ []string, n node) error {
				return r.add(record{
					rule: n.text("rule_id"), title: n.text("description"), text: joined(": ", n.text("rule_name"), n.text("description")),
					severity: n.text("severity"), file: n.text("file"), line: n.int("line"),
					key: []string{n.text("resource_type"), n.text("resource_name")}, status: finding.Failed,
					suppressed: list == "skipped_violations", why: n.text("skip_comment"),
					fields: map[string]string{"category": n.text("category"), "resource": joined(".", n.text("resource_type"), n.text("resource_name"))},
				})
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

func conftestFormat() format {
	return format{name: "conftest-json", tool: "conftest", is: func(d *doc) bool {
		return d.many("filename", "namespace")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			for _, list := range []struct {
				name  string
				label finding.Label
			}{{"failures", finding.High}, {"warnings", finding.Medium}, {"exceptions", finding.Medium}} {
				for _, m := range n.list(list.name) {
					if err := r.add(record{
						rule: or(m.text("metadata", "query"), n.text("namespace")), title: m.text("msg"), severity: list.name, label: list.label,
						file: n.text("filename"), key: []string{m.text("msg")}, status: finding.Failed, suppressed: list.name == "exceptions",
					}); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}}
}

func hadolintFormat() format {
	return format{name: "hadolint-json", tool: "hadolint", is: func(d *doc) bool {
		return d.many("code", "level", "file", "line")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			rec := record{
				rule: n.text("code"), title: n.text("message"), severity: n.text("level"), file: n.text("file"), line: n.int("line"),
				column: n.int("column"),
			}
			if strings.HasPrefix(rec.rule, "DL") {
				rec.url = "https://github.com/hadolint/hadolint/wiki/" + rec.rule
			} else if strings.HasPrefix(rec.rule, "SC") {
				rec.url = "https://www.shellcheck.net/wiki/" + rec.rule
			}
			return r.add(rec)
		})
	}}
}

func dockleFormat() format {
	return format{name: "dockle-json", tool: "dockle", is: func(d *doc) bool {
		return d.one("summary", "details") && d.head.at("summary").has("fatal")
	}, read: func(r *reading) error {
		head, err := r.rest("details")
		if err != nil {
			return err
		}
		labels := map[string]finding.Label{"FATAL": finding.High, "WARN": finding.Medium, "INFO": finding.Low}
		return r.each("details/*", func(_ []string, n node) error {
			level := strings.ToUpper(n.text("level"))
			if level == "PASS" || level == "SKIP" || level == "IGNORE" {
				r.passed()
				return nil
			}
			alerts := n.texts("alerts")
			if len(alerts) == 0 {
				alerts = []string{n.text("title")}
			}
			return r.add(record{
				rule: n.text("code"), title: n.text("title"), text: strings.Join(alerts, "\n"), severity: n.text("level"), label: labels[level],
				resource: or(head.text("image"), head.text("target")), kind: "Container", status: finding.Failed, tie: []string{},
				url: "https://github.com/goodwithtech/dockle/blob/master/CHECKPOINT.md#" + strings.ToLower(n.text("code")),
			})
		})
	}}
}
