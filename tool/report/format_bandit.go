package report

func banditFormat() format {
	return format{name: "bandit-json", tool: "bandit", is: func(d *doc) bool {
		return d.one("results", "metrics", "generated_at")
	}, read: func(r *reading) error {
		head, err := r.rest("results", "metrics")
		if err != nil {
			return err
		}
		r.made(head.text("generated_at"))
		for _, e := range head.list("errors") {
			r.skipped(e.text("filename"), or(e.text("reason"), "an error"))
		}
		return r.each("results/*", func(_ []string, n node) error {
			return r.add(record{
				rule: n.text("test_id"), title: n.text("issue_text"), text: joined(": ", n.text("test_name"), n.text("issue_text")),
				severity: n.text("issue_severity"), confidence: n.text("issue_confidence"), file: n.text("filename"),
				line: n.int("line_number"), column: n.int("col_offset"), excerpt: codeLine(n.text("code"), n.int("line_number")),
				url: n.text("more_info"), cwe: []string{n.text("issue_cwe", "id")},
			})
		})
	}}
}
