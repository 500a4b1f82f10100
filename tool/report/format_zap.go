package report

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func zapFormat() format {
	return format{name: "zap-json", tool: "zap", read: readZAP, is: func(d *doc) bool {
		return d.one("site") && (d.members["@version"] || d.head.at("site", "alerts").is()) && !d.members["vulnerabilities"]
	}}
}

func zapXMLFormat() format {
	return format{name: "zap-xml", tool: "zap", read: readZAP, is: func(d *doc) bool { return d.xmlRoot("OWASPZAPReport") }}
}

// readZAP makes one finding of each alert of a site, as ZAP itself counts: its instances
// come and go with every crawl, and become places and occurrences.
func readZAP(r *reading) error {
	path := "site"
	if r.kind == isJSON {
		head, err := r.rest("site", "insights", "sequences")
		if err != nil {
			return err
		}
		r.told.Version, path = head.text("@version"), "site/[]"
		r.made(or(head.text("created"), head.text("@generated")))
	} else {
		r.told.Version = r.attrs.text("@version")
		r.made(r.attrs.text("@generated"))
	}
	return r.each(path, func(_ []string, site node) error {
		alerts := site.list("alerts")
		if inner := site.list("alerts", "alertitem"); len(inner) > 0 {
			alerts = inner
		}
		for _, a := range alerts {
			if a.text("pluginid") == "" && a.text("name") == "" && a.text("alert") == "" {
				continue
			}
			r.node = a
			if err := r.add(zapRecord(a, site)); err != nil {
				return err
			}
		}
		return nil
	})
}

func zapRecord(a, site node) record {
	rec := record{
		rule: a.first("alertRef", "pluginid"), title: a.first("name", "alert"),
		text: plainText(joined("\n", a.text("desc"), a.text("otherinfo"))), severity: or(a.text("riskdesc"), a.text("riskcode")),
		label:    map[string]finding.Label{"3": finding.High, "2": finding.Medium, "1": finding.Low, "0": finding.Informational}[a.text("riskcode")],
		resource: site.text("@name"), kind: "Other", fix: plainText(a.text("solution")), confidence: a.text("confidence"),
		tie: []string{}, url: "https://www.zaproxy.org/docs/alerts/" + a.text("pluginid") + "/", cwe: []string{a.text("cweid")},
		fields: map[string]string{"instances": a.text("count"), "wasc": strings.TrimPrefix(a.text("wascid"), "-1")},
	}
	if rec.confidence == "0" {
		rec.suppressed, rec.why = true, "marked as a false positive in ZAP"
	}
	rec.refs = strings.Fields(plainText(a.text("reference")))
	tags := a.list("tags")
	if inner := a.list("tags", "tag"); len(inner) > 0 {
		tags = inner
	}
	for _, t := range tags {
		name := or(t.text("tag"), t.text())
		if strings.HasPrefix(name, "OWASP") {
			rec.owasp = append(rec.owasp, name)
		}
		rec.cwe = append(rec.cwe, cweTags([]string{name})...)
	}
	instances := a.list("instances")
	if inner := a.list("instances", "instance"); len(inner) > 0 {
		instances = inner
	}
	for i, in := range instances {
		place := joined(" ", in.text("method"), withoutQuery(in.text("uri")))
		if p := in.text("param"); p != "" {
			place += "?" + p
		}
		if place != "" && !slices.Contains(rec.places, place) && len(rec.places) < 30 {
			rec.places = append(rec.places, strings.ReplaceAll(place, " ", ":"))
		}
		if i == 0 {
			rec.evidence = joined(" ", in.text("attack"), in.text("evidence"))
		}
	}
	return rec
}
