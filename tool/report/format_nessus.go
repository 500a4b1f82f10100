package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

var nessusLabels = map[string]finding.Label{"4": finding.Critical, "3": finding.High, "2": finding.Medium, "1": finding.Low, "0": finding.Informational, "NONE": finding.Informational}

func nessusFormat() format {
	return format{name: "nessus-csv", tool: "nessus", is: func(d *doc) bool {
		return d.table("Plugin", "Plugin Name", "IP Address") || d.table("Plugin ID", "CVE", "Host", "Risk") || d.table("Plugin ID", "Host", "Name")
	}, read: func(r *reading) error {
		return r.each("", func(_ []string, n node) error {
			plugin := n.first("Plugin", "Plugin ID")
			if plugin == "" {
				return nil
			}
			rec := record{
				rule: plugin, title: n.first("Plugin Name", "Name"), text: joined("\n", n.text("Synopsis"), n.text("Description")),
				severity: n.first("Severity", "Risk", "Risk Factor"), resource: n.first("DNS Name", "IP Address", "Host"),
				key: []string{n.text("Protocol"), n.text("Port")}, fix: n.text("Solution"), tie: []string{},
				refs: strings.Fields(n.text("See Also")), evidence: n.first("Plugin Text", "Plugin Output"),
				fields:  map[string]string{"address": n.first("IP Address", "Host"), "port": joined("/", n.text("Port"), n.text("Protocol"))},
				exploit: n.yes("Exploit?"),
			}
			rec.label = by(rec.severity, nessusLabels)
			nessusVulnerability(&rec, strings.FieldsFunc(n.text("CVE"), func(c rune) bool { return c == ',' || c == ' ' || c == '\n' }))
			for _, c := range []struct{ score, vector, version string }{{"CVSS V3 Base Score", "CVSS V3 Vector", "3"}, {"CVSS v3.0 Base Score", "CVSS v3.0 Vector", "3.0"}, {"CVSS V2 Base Score", "CVSS V2 Vector", "2.0"}, {"CVSS v2.0 Base Score", "CVSS v2.0 Vector", "2.0"}, {"CVSS", "", "2.0"}} {
				if s, ok := n.number(c.score); ok && s > 0 {
					rec.cvss = append(rec.cvss, cvssScore{c.version, s, n.text(c.vector), "Nessus"})
				}
			}
			return r.add(rec)
		})
	}}
}

func nessusVulnerability(rec *record, cves []string) {
	if len(cves) > 0 {
		rec.fields["cve"] = strings.Join(cves, " ")
		rec.vulnerability, rec.aliases = cves[0], cves[1:]
		rec.key = append(rec.key, "nessus") // a plugin is one finding, however many CVEs it names
	}
}

func nessusXMLFormat() format {
	return format{name: "nessus-xml", tool: "nessus", is: func(d *doc) bool { return d.xmlRoot("NessusClientData_v2") }, read: func(r *reading) error {
		return r.each("Report/ReportHost", func(_ []string, host node) error {
			name := host.text("@name")
			for _, n := range host.list("ReportItem") {
				rec := record{
					rule: n.text("@pluginID"), title: n.text("@pluginName"), text: joined("\n", n.text("synopsis"), n.text("description")),
					severity: n.text("@severity"), label: nessusLabels[n.text("@severity")], resource: name,
					key: []string{n.text("@protocol"), n.text("@port")}, fix: n.text("solution"), tie: []string{},
					refs: strings.Fields(n.text("see_also")), evidence: n.text("plugin_output"),
					fields: map[string]string{"port": n.text("@port") + "/" + n.text("@protocol")}, cwe: n.texts("cwe"),
					exploit: n.yes("exploit_available"),
				}
				nessusVulnerability(&rec, n.texts("cve"))
				if s, ok := n.number("cvss3_base_score"); ok {
					rec.cvss = append(rec.cvss, cvssScore{"3", s, n.text("cvss3_vector"), "Nessus"})
				}
				if s, ok := n.number("cvss_base_score"); ok {
					rec.cvss = append(rec.cvss, cvssScore{"2.0", s, n.text("cvss_vector"), "Nessus"})
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}
