package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func nucleiFormat() format {
	return format{name: "nuclei-jsonl", tool: "nuclei", is: func(d *doc) bool {
		return d.object("info") && (d.members["template-id"] || d.members["templateID"])
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			info, c := n.at("info"), n.at("info", "classification")
			at := n.first("matched-at", "matched", "host")
			rec := record{
				rule: n.first("template-id", "templateID"), title: info.text("name"), text: or(info.text("description"), info.text("name")),
				severity: info.text("severity"), resource: withoutQuery(at),
				key: []string{n.first("matcher-name", "matcher_name"), n.first("extractor-name", "extractor_name")},
				fix: info.text("remediation"), refs: info.texts("reference"), cwe: c.texts("cwe-id"), owasp: owaspTags(info.texts("tags")),
				tie:      []string{at, strings.Join(n.texts("extracted-results"), " ")},
				fields:   map[string]string{"kind": n.text("type"), "address": n.text("ip"), "matcher": n.first("matcher-name", "matcher_name")},
				evidence: strings.Join(n.texts("extracted-results"), " "),
			}
			if ids := c.texts("cve-id"); len(ids) > 0 {
				rec.vulnerability, rec.aliases = strings.ToUpper(ids[0]), ids[1:]
			}
			if s, ok := c.number("cvss-score"); ok && s > 0 {
				rec.cvss = append(rec.cvss, cvssScore{"", s, c.text("cvss-metrics"), "nuclei"})
			}
			if s, ok := c.number("epss-score"); ok {
				rec.epss = s
			}
			return r.add(rec)
		})
	}}
}

func niktoFormat() format {
	return format{name: "nikto-json", tool: "nikto", is: func(d *doc) bool {
		return d.object("vulnerabilities", "host", "port") && (d.members["banner"] || d.members["ip"])
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, host node) error {
			name := host.text("host")
			for _, n := range host.list("vulnerabilities") {
				if err := r.add(niktoRecord(n.text("id"), n.text("msg"), name, host.text("port"), n.text("method"), n.text("url"), n.text("references"))); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func niktoRecord(id, text, host, port, method, path, ref string) record {
	return record{
		rule: id, title: text, severity: "unknown", resource: host + ":" + port + withoutQuery(path),
		key: []string{method, strings.Join(strings.Fields(path), " ")}, tie: []string{text}, refs: []string{ref},
		fields: map[string]string{"method": method},
	}
}

func niktoXMLFormat() format {
	return format{name: "nikto-xml", tool: "nikto", is: func(d *doc) bool {
		return d.xmlRoot("niktoscan") || d.xmlRoot("niktoscans")
	}, read: func(r *reading) error {
		for _, path := range []string{"scandetails", "niktoscan/scandetails", "niktoscan/niktoscan/scandetails"} {
			if err := r.each(path, func(_ []string, host node) error {
				for _, n := range host.list("item") {
					if err := r.add(niktoRecord(n.text("@id"), n.text("description"), or(host.text("@targethostname"), host.text("@targetip")), host.text("@targetport"), n.text("@method"), n.text("uri"), n.text("references"))); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

var wapitiLabels = map[string]finding.Label{"4": finding.Critical, "3": finding.High, "2": finding.Medium, "1": finding.Low, "0": finding.Informational}

func wapitiFormat() format {
	return format{name: "wapiti-json", tool: "wapiti", is: func(d *doc) bool {
		return d.one("classifications", "vulnerabilities", "infos")
	}, read: func(r *reading) error {
		head, err := r.rest("vulnerabilities", "anomalies", "additionals")
		if err != nil {
			return err
		}
		r.told.Version = strings.TrimPrefix(head.text("infos", "version"), "Wapiti ")
		for _, list := range []string{"vulnerabilities", "anomalies", "additionals"} {
			if err := r.each(list+"/*/*", func(at []string, n node) error {
				c := head.at("classifications", at[1])
				return r.add(wapitiRecord(at[1], n, strings.TrimSuffix(head.text("infos", "target"), "/"), c))
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

func wapitiRecord(category string, n node, target string, c node) record {
	rec := record{
		rule: category, title: joined(": ", category, n.text("info")), text: joined("\n", n.text("info"), plainText(c.text("desc"))),
		severity: n.text("level"), label: wapitiLabels[n.text("level")], resource: target + withoutQuery(n.text("path")),
		key: []string{n.text("method"), n.text("parameter")}, fix: plainText(c.text("sol")),
		tie:    []string{n.text("info"), n.text("path")},
		fields: map[string]string{"method": n.text("method"), "parameter": n.text("parameter")},
	}
	for _, title := range c.at("ref").names() {
		rec.refs = append(rec.refs, c.text("ref", title))
		rec.cwe = append(rec.cwe, cwesIn(title)...)
	}
	return rec
}

func wapitiXMLFormat() format {
	return format{name: "wapiti-xml", tool: "wapiti", is: func(d *doc) bool {
		return d.xmlRoot("report") && d.attrs.text("@type") == "security"
	}, read: func(r *reading) error {
		target := ""
		if err := r.each("report_infos", func(_ []string, n node) error {
			for _, i := range n.list("info") {
				if i.text("@name") == "target" {
					target = strings.TrimSuffix(i.text(), "/")
				}
			}
			return nil
		}); err != nil {
			return err
		}
		for _, list := range []string{"vulnerabilities/vulnerability", "anomalies/anomaly", "additionals/additional"} {
			if err := r.each(list, func(_ []string, n node) error {
				c := node{map[string]any{"desc": n.text("description"), "sol": n.text("solution")}}
				for _, e := range n.list("entries", "entry") {
					rec := wapitiRecord(n.text("@name"), e, target, c)
					for _, ref := range n.list("references", "reference") {
						rec.refs, rec.cwe = append(rec.refs, ref.text("url")), append(rec.cwe, cwesIn(ref.text("title"))...)
					}
					if err := r.add(rec); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

func wpscanFormat() format {
	return format{name: "wpscan-json", tool: "wpscan", is: func(d *doc) bool {
		return d.one("banner", "target_url") || d.one("target_url", "interesting_findings")
	}, read: func(r *reading) error {
		head, err := r.rest()
		if err != nil {
			return err
		}
		r.told.Version = head.text("banner", "version")
		if why := head.text("scan_aborted"); why != "" {
			r.partial("%s", why)
		}
		site := strings.TrimSuffix(head.first("effective_url", "target_url"), "/")
		for _, n := range head.list("interesting_findings") {
			if err := r.add(record{
				rule: n.text("type"), title: n.text("to_s"),
				text: joined("\n", n.text("to_s"), strings.Join(n.texts("interesting_entries"), "\n")), severity: "info",
				resource: or(n.text("url"), site), confidence: n.text("confidence"), tie: []string{}, refs: n.texts("references", "url"),
			}); err != nil {
				return err
			}
		}
		add := func(what string, n node) error {
			for _, v := range n.list("vulnerabilities") {
				rec := record{
					rule: "wpscan/" + or(v.text("references", "wpvulndb"), v.text("title")), title: v.text("title"), severity: "unknown", pkg: what,
					installed: or(n.text("version", "number"), n.text("number")), fixed: v.texts("fixed_in"), resource: site,
					refs: v.texts("references", "url"), types: "Software and Configuration Checks/Vulnerabilities",
				}
				var ids []string
				for _, id := range v.texts("references", "cve") {
					ids = append(ids, "CVE-"+strings.TrimPrefix(id, "CVE-"))
				}
				rec.vulnerability, rec.aliases = cve(append(ids, rec.rule)...)
				rec.tie = []string{rec.title}
				if len(rec.fixed) > 0 {
					rec.fix = "Update " + what + " to " + rec.fixed[0] + "."
				}
				if s, ok := v.number("cvss", "score"); ok {
					rec.cvss = append(rec.cvss, cvssScore{"", s, v.text("cvss", "vector"), "WPScan"})
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		}
		if err := add("wordpress", head.at("version")); err != nil {
			return err
		}
		if err := add(or(head.text("main_theme", "slug"), "theme"), head.at("main_theme")); err != nil {
			return err
		}
		for _, kind := range []string{"plugins", "themes"} {
			for _, name := range head.at(kind).names() {
				if err := add(name, head.at(kind, name)); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

func testsslFormat() format {
	return format{name: "testssl-csv", tool: "testssl", is: func(d *doc) bool {
		return d.table("id", "fqdn/ip", "severity", "finding")
	}, read: func(r *reading) error {
		return r.each("", func(_ []string, n node) error {
			severity := strings.ToUpper(n.text("severity"))
			if severity == "OK" || severity == "INFO" || severity == "DEBUG" {
				r.passed()
				return nil
			}
			host, address, _ := strings.Cut(n.text("fqdn/ip"), "/")
			rec := record{
				rule: n.text("id"), title: joined(": ", n.text("id"), n.text("finding")), severity: severity,
				label: by(severity, map[string]finding.Label{"FATAL": finding.High}), resource: or(host, address) + ":" + n.text("port"),
				key: []string{address}, tie: []string{n.text("finding")}, cwe: strings.Fields(n.text("cwe")),
				fields: map[string]string{"address": address, "cve": n.text("cve")},
			}
			return r.add(rec)
		})
	}}
}

func wazuhFormat() format {
	return format{name: "wazuh-json", tool: "wazuh", is: func(d *doc) bool {
		return d.one("hits") && d.head.at("hits", "hits").is()
	}, read: func(r *reading) error {
		head, err := r.rest("hits/hits")
		if err != nil {
			return err
		}
		seen := 0
		err = r.each("hits/hits/*", func(_ []string, n node) error {
			seen++
			s := n.at("_source")
			v, p := s.at("vulnerability"), s.at("package")
			rec := record{
				rule: v.text("id"), vulnerability: v.text("id"), pkg: p.text("name"), installed: p.text("version"), ecosystem: p.text("type"),
				severity: strings.Trim(v.text("severity"), "-"), text: v.text("description"), title: v.text("id") + " in " + p.text("name"),
				url: v.text("reference"), resource: s.text("agent", "name"), key: []string{s.text("agent", "id")}, first: v.text("detected_at"),
			}
			if score, ok := v.number("score", "base"); ok && score > 0 {
				rec.cvss = append(rec.cvss, cvssScore{v.text("score", "version"), score, "", v.text("scanner", "source")})
			}
			return r.add(rec)
		})
		if total := max(head.int("hits", "total"), head.int("hits", "total", "value")); total > seen {
			r.partial("%d of %d are in it", seen, total)
		}
		return err
	}}
}
