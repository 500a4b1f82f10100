package report

import (
	"github.com/haechi-dev/haechi/word/finding"
)

func checkovFormat() format {
	return format{name: "checkov-json", tool: "checkov", read: readCheckov, is: func(d *doc) bool {
		return d.object("check_type", "results") || d.one("passed", "failed", "checkov_version")
	}}
}

func readCheckov(r *reading) error {
	for _, list := range []string{"failed_checks", "skipped_checks", "passed_checks"} {
		if err := r.each("[]/results/"+list+"/*", func(_ []string, n node) error {
			if list == "passed_checks" {
				r.passed()
				return nil
			}
			rec := record{
				rule: n.text("check_id"), title: n.text("check_name"), text: joined("\n", n.text("check_name"), n.text("description")),
				severity: n.text("severity"), file: n.first("repo_file_path", "file_path"), line: n.int("file_line_range"),
				key: []string{n.text("resource")}, url: n.text("guideline"), status: finding.Failed,
				fields: map[string]string{"resource": n.text("resource")},
			}
			if v := n.at("vulnerability_details"); v.is() {
				rec.vulnerability, rec.pkg, rec.installed, rec.severity = v.text("id"), v.text("package_name"), v.text("package_version"), or(v.text("severity"), rec.severity)
				if f := v.text("lowest_fixed_version"); f != "" {
					rec.fixed = []string{f}
				}
			}
			if list == "skipped_checks" {
				rec.suppressed, rec.why = true, or(n.text("check_result", "suppress_comment"), "skipped")
			}
			return r.add(rec)
		}); err != nil {
			return err
		}
	}
	return r.each("[]/results/parsing_errors/*", func(_ []string, n node) error {
		r.skipped(n.text(), "it cannot be parsed")
		return nil
	})
}
