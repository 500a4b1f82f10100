package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func openvasFormat() format {
	return format{name: "openvas-xml", tool: "openvas", is: func(d *doc) bool {
		return d.xmlRoot("report") && d.attrs.text("@type") != "security" || d.xmlRoot("get_reports_response")
	}, read: func(r *reading) error {
		for _, path := range []string{"report/results/result", "results/result", "report/report/results/result"} {
			if err := r.each(path, func(_ []string, n node) error {
				nvt := n.at("nvt")
				host := n.text("host")
				score, _ := n.number("severity")
				if score < 0 { // -1 is a false positive, -3 an error of the scanner
					score = 0
				}
				rec := record{
					rule: nvt.text("@oid"), title: or(n.text("name"), nvt.text("name")),
					text:     joined("\n", openvasTag(nvt.text("tags"), "summary"), n.text("description")),
					severity: or(n.text("threat"), n.text("severity")), score: score,
					resource: or(n.text("host", "hostname"), strings.TrimSpace(host)), key: []string{n.text("port")},
					fix: or(nvt.text("solution"), openvasTag(nvt.text("tags"), "solution")), evidence: n.text("description"),
					confidence: n.text("qod", "value"),
					fields:     map[string]string{"port": n.text("port"), "address": host, "family": nvt.text("family")},
					tie:        []string{n.text("description")},
				}
				if strings.EqualFold(rec.severity, "False Positive") {
					rec.suppressed, rec.why, rec.label = true, "overridden as a false positive", finding.Informational
				}
				for _, ref := range nvt.list("refs", "ref") {
					switch strings.ToLower(ref.text("@type")) {
					case "cve":
						rec.aliases = append(rec.aliases, ref.text("@id"))
					case "url":
						rec.refs = append(rec.refs, ref.text("@id"))
					}
				}
				if c := nvt.text("cve"); strings.HasPrefix(c, "CVE-") {
					rec.aliases = append(rec.aliases, strings.Split(c, ", ")...)
				}
				if len(rec.aliases) > 0 {
					rec.vulnerability, rec.aliases = rec.aliases[0], rec.aliases[1:]
				}
				if vector := openvasTag(nvt.text("tags"), "cvss_base_vector"); vector != "" && score > 0 {
					rec.cvss = append(rec.cvss, cvssScore{"", score, vector, "OpenVAS"})
				}
				return r.add(rec)
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

// openvasTag is a value of key=value pairs with bars between.
func openvasTag(tags, name string) string {
	for pair := range strings.SplitSeq(tags, "|") {
		if k, v, ok := strings.Cut(pair, "="); ok && k == name {
			return v
		}
	}
	return ""
}
