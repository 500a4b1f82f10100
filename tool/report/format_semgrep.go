package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func semgrepFormat() format {
	return format{name: "semgrep-json", tool: "semgrep", read: readSemgrep, is: func(d *doc) bool {
		first := d.head.at("results")
		return d.one("results") && (first.at("check_id").is() && first.at("extra").is() || d.members["errors"] && d.members["paths"])
	}}
}

func readSemgrep(r *reading) error {
	head, err := r.rest("results", "paths", "time", "explanations")
	if err != nil {
		return err
	}
	r.told.Version = head.text("version")
	for _, e := range head.list("errors") {
		if level := e.text("level"); level == "" || level == "error" {
			r.skipped(e.text("path"), firstLine(or(e.text("message"), e.text("type"), "an error")))
		}
	}
	return r.each("results/*", func(_ []string, n node) error {
		e := n.at("extra")
		m := e.at("metadata")
		rec := record{
			rule: n.text("check_id"), text: e.text("message"), severity: e.text("severity"),
			label: by(e.text("severity"), map[string]finding.Label{"ERROR": finding.High, "WARNING": finding.Medium}),
			file:  n.text("path"), line: n.int("start", "line"), column: n.int("start", "col"), excerpt: loggedIn(e.text("lines")),
			fingerprint: semgrepFingerprint(e), cwe: m.texts("cwe"), owasp: m.texts("owasp"), refs: m.texts("references"),
			url: or(m.text("shortlink"), m.text("source")), fix: e.text("fix"), confidence: m.text("confidence"),
			suppressed: e.yes("is_ignored"), evidence: semgrepFlow(e.at("dataflow_trace")),
		}
		if rec.suppressed {
			rec.why = "nosemgrep"
		}
		if s := e.at("sca_info", "dependency_match", "found_dependency"); s.is() {
			rec.pkg, rec.installed, rec.ecosystem = s.text("package"), s.text("version"), s.text("ecosystem")
			rec.vulnerability = or(m.text("sca-vuln-database-identifier"), rec.rule)
		}
		// The folder that the rules came from is part of check_id; the tail is the rule's own.
		rec.key = []string{n.text("check_id")[strings.LastIndexByte(n.text("check_id"), '.')+1:], strings.Join(strings.Fields(rec.excerpt), " ")}
		rec.generator, rec.rule = rec.rule, rec.key[0]
		return r.add(rec)
	})
}

// loggedIn is a text, unless it says that one must log in to see it.
func loggedIn(text string) string {
	if text == "requires login" {
		return ""
	}
	return text
}

// semgrepFingerprint is not used where it stands for nothing.
func semgrepFingerprint(e node) string {
	f := loggedIn(e.text("fingerprint"))
	if strings.Trim(f, "0_") == "" {
		return ""
	}
	return f
}

func semgrepFlow(trace node) string {
	var steps []string
	add := func(location node) {
		if p := location.text("path"); p != "" && len(steps) < 20 {
			steps = append(steps, p+":"+location.text("start", "line"))
		}
	}
	for _, name := range []string{"taint_source", "intermediate_vars", "taint_sink"} {
		for _, part := range trace.list(name) {
			switch location := part.at("location"); {
			case location.is():
				add(location)
			default: // ["CliLoc", [{location}, "text"]]
				for _, inner := range part.list() {
					add(firstOf(inner.list()))
				}
			}
		}
	}
	return strings.Join(steps, " → ")
}
