package report

import (
	"strconv"
	"strings"
)

func gosecFormat() format {
	return format{name: "gosec-json", tool: "gosec", is: func(d *doc) bool { return d.one("Issues", "Stats") }, read: func(r *reading) error {
		head, err := r.rest("Issues")
		if err != nil {
			return err
		}
		r.told.Version = head.text("GosecVersion")
		for _, file := range head.at("Golang errors").names() {
			r.skipped(file, or(head.text("Golang errors", file, "error"), "it does not compile"))
		}
		return r.each("Issues/*", func(_ []string, n node) error {
			rec := record{
				rule: n.text("rule_id"), title: n.text("details"), severity: n.text("severity"), confidence: n.text("confidence"),
				file: n.text("file"), line: n.int("line"), column: n.int("column"), cwe: []string{n.text("cwe", "id"), n.text("cwe", "ID")},
				url: or(n.text("cwe", "url"), n.text("cwe", "URL")), excerpt: codeLine(n.text("code"), n.int("line")), fix: n.text("autofix"),
				suppressed: n.yes("nosec") || len(n.list("suppressions")) > 0,
				why:        or(n.text("suppressions", "justification"), n.text("suppressions", "kind")),
			}
			return r.add(rec)
		})
	}}
}

// codeLine is the line with a number of an excerpt with numbers, else the excerpt.
func codeLine(code string, number int) string {
	for l := range strings.Lines(code) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(l), strconv.Itoa(number)+":"); ok {
			return strings.TrimSpace(rest)
		}
		if rest, ok := strings.CutPrefix(strings.TrimSpace(l), strconv.Itoa(number)+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return code
}
