package report

import (
	"strings"
)

// DefectDojo hands its findings over as its API lists them, and as CSV of the same names.

func defectDojoFormat() format {
	return format{name: "defectdojo-json", tool: "defectdojo", is: func(d *doc) bool {
		first := d.head.at("results")
		return d.one("count", "results") && (first.at("false_p").is() && first.at("title").is() || !first.is() && (d.members["next"] || d.members["merged"]))
	}, read: func(r *reading) error {
		head, err := r.rest("results")
		if err != nil {
			return err
		}
		n := 0
		if err := r.each("results/*", func(_ []string, f node) error {
			n++
			return r.addDojo(f)
		}); err != nil {
			return err
		}
		if count := head.int("count"); count > n {
			r.partial("it is one page of %d findings, of %d", n, count)
		}
		return nil
	}}
}

func defectDojoCSVFormat() format {
	return format{name: "defectdojo-csv", tool: "defectdojo", is: func(d *doc) bool {
		return d.table("title", "severity", "false_p", "numerical_severity", "is_mitigated")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, f node) error { return r.addDojo(f) })
	}}
}

// addDojo takes a finding. What DefectDojo holds for a duplicate is another finding's, and comes with that.
func (r *reading) addDojo(f node) error {
	if f.yes("duplicate") {
		r.warn("duplicates are left out: the findings that they are duplicates of are there")
		return nil
	}
	text := func(name string) string {
		if t := f.text(name); t != "None" {
			return t
		}
		return ""
	}
	rec := record{
		rule: or(text("vuln_id_from_tool"), text("title")), title: text("title"), text: joined("\n", text("description"), text("impact")), severity: text("severity"), fix: text("mitigation"),
		file: text("file_path"), line: f.int("line"), pkg: text("component_name"), installed: text("component_version"), refs: strings.Fields(text("references")),
		first: or(text("date"), text("created")), fingerprint: text("id"), key: []string{text("id")},
		fields: map[string]string{"number": text("id"), "found_by": strings.Join(f.texts("found_by"), " "), "tags": strings.Join(f.texts("tags"), " "), "engagement": text("engagement"), "service": text("service")},
	}
	if cwe := f.int("cwe"); cwe > 0 {
		rec.cwe = []string{f.text("cwe")}
	}
	var ids []string
	for _, v := range f.list("vulnerability_ids") {
		ids = append(ids, strings.FieldsFunc(or(v.text("vulnerability_id"), v.text()), func(c rune) bool { return strings.ContainsRune(" ,;[]'\"", c) })...)
	}
	rec.vulnerability, rec.aliases = cve(append(ids, text("cve"))...)
	for _, v := range []string{"cvssv4", "cvssv3"} {
		if score, ok := f.number(v + "_score"); ok && score > 0 {
			rec.cvss = append(rec.cvss, cvssScore{versionOf(text(v)), score, text(v), "defectdojo"})
		}
	}
	if epss, ok := f.number("epss_score"); ok {
		rec.epss = epss
	}
	rec.kev = f.yes("known_exploited")
	for _, e := range f.list("endpoints") {
		for place := range strings.FieldsSeq(or(e.text("url"), e.text())) {
			if webAddress(place) != "" && len(rec.places) < 30 {
				rec.places = append(rec.places, withoutQuery(place))
			}
		}
	}
	dojoState(f, &rec)
	return r.add(rec)
}

// dojoState reads what people decided there.
func dojoState(f node, rec *record) {
	for _, s := range []struct{ name, why string }{{"false_p", "a false positive"}, {"out_of_scope", "out of scope"}, {"risk_accepted", "an accepted risk"}} {
		if f.yes(s.name) {
			rec.suppressed, rec.why = true, s.why+" in DefectDojo"
			return
		}
	}
	rec.closed = f.yes("is_mitigated")
}
