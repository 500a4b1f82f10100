package report

import (
	"github.com/haechi-dev/haechi/word/finding"
)

func brakemanFormat() format {
	return format{name: "brakeman-json", tool: "brakeman", is: func(d *doc) bool {
		return d.one("scan_info", "warnings")
	}, read: func(r *reading) error {
		head, err := r.rest("warnings", "ignored_warnings")
		if err != nil {
			return err
		}
		r.told.Version = head.text("scan_info", "brakeman_version")
		for _, e := range head.list("errors") {
			r.skipped(e.text("location"), or(e.text("error"), "an error"))
		}
		for _, list := range []string{"warnings", "ignored_warnings"} {
			if err := r.each(list+"/*", func(_ []string, n node) error {
				rec := record{
					rule: or(n.text("check_name"), n.text("warning_type")), title: joined(": ", n.text("warning_type"), n.text("message")),
					text: n.text("message"), severity: n.text("confidence"), confidence: n.text("confidence"),
					label: by(n.text("confidence"), map[string]finding.Label{"WEAK": finding.Low}), file: n.text("file"), line: n.int("line"),
					excerpt: n.text("code"), evidence: n.text("user_input"), url: n.text("link"), fingerprint: n.text("fingerprint"),
					cwe: n.texts("cwe_id"),
				}
				if list == "ignored_warnings" {
					rec.suppressed, rec.why = true, or(n.text("note"), "ignored")
				}
				return r.add(rec)
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}
