package report

import (
	"github.com/haechi-dev/haechi/word/finding"
)

// govulncheck writes JSON objects one after the other: configuration, vulnerabilities, findings, one finding a level of certainty.
func govulncheckFormat() format {
	return format{name: "govulncheck-json", tool: "govulncheck", read: readGovulncheck, is: func(d *doc) bool {
		return d.list && (d.members["config"] && d.head.at("config", "scanner_name").is() || d.members["osv"] && d.head.at("osv", "id").is() || d.members["finding"] && d.head.at("finding", "osv").is() || d.members["SBOM"])
	}}
}

func readGovulncheck(r *reading) error {
	known := map[string]node{}
	called := map[string]bool{} // by vulnerability and module: the code calls it
	err := r.each("[]", func(_ []string, n node) error {
		if v := n.text("config", "scanner_version"); v != "" {
			r.told.Version = v
		}
		if osv := n.at("osv"); osv.is() && len(known) < 50_000 {
			less, _ := osv.v.(map[string]any)
			small := map[string]any{}
			for _, name := range []string{"id", "aliases", "summary", "details", "references"} {
				small[name] = less[name]
			}
			known[osv.text("id")] = node{small}
		}
		if f := n.at("finding"); f.at("trace", "function").is() || anyOf(f.list("trace"), func(t node) bool { return t.at("function").is() }).is() {
			called[f.text("osv")+" "+f.text("trace", "module")+firstOf(f.list("trace")).text("module")] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	done := map[string]bool{}
	return r.each("[]", func(_ []string, n node) error {
		f := n.at("finding")
		if !f.is() {
			return nil
		}
		frame := firstOf(f.list("trace"))
		id := f.text("osv") + " " + frame.text("module")
		if done[id] {
			return nil
		}
		done[id] = true
		osv := known[f.text("osv")]
		rec := record{
			rule: f.text("osv"), pkg: frame.text("module"), installed: frame.text("version"), ecosystem: "Go",
			fixed: f.texts("fixed_version"), title: joined(": ", f.text("osv")+" in "+frame.text("module"), osv.text("summary")),
			text: or(osv.text("details"), osv.text("summary")), url: "https://pkg.go.dev/vuln/" + f.text("osv"), confidence: "imported",
			severity: "imported", label: finding.Low,
		}
		if called[f.text("osv")+" "+f.text("trace", "module")+frame.text("module")] {
			rec.confidence, rec.severity, rec.label = "called", "called", finding.High
		}
		rec.vulnerability, rec.aliases = cve(append([]string{f.text("osv")}, osv.texts("aliases")...)...)
		for _, ref := range osv.list("references") {
			rec.refs = append(rec.refs, ref.text("url"))
		}
		if len(rec.fixed) > 0 {
			rec.fix = "Update " + rec.pkg + " to " + rec.fixed[0] + "."
		}
		return r.add(rec)
	})
}

func firstOf(list []node) node {
	if len(list) == 0 {
		return node{}
	}
	return list[0]
}
