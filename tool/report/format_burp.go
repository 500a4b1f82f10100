package report

import (
	"regexp"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/finding"
)

func burpFormat() format {
	return format{name: "burp-xml", tool: "burp", is: func(d *doc) bool {
		return d.xmlRoot("issues") && d.attrs.has("@burpVersion")
	}, read: func(r *reading) error {
		r.told.Version = r.attrs.text("@burpVersion")
		return r.each("issue", func(_ []string, n node) error {
			rec := record{
				rule: n.text("type"), title: n.text("name"), text: plainText(joined("\n", n.text("issueDetail"), n.text("issueBackground"))),
				severity: n.text("severity"), confidence: n.text("confidence"), resource: n.text("host") + withoutQuery(n.text("path")),
				key: []string{burpParameter(n.text("location"))}, tie: []string{n.text("location"), n.text("path"), n.text("issueDetail")},
				fix: plainText(joined("\n", n.text("remediationDetail"), n.text("remediationBackground"))), refs: links(n.text("references")),
				cwe: cwesIn(n.text("vulnerabilityClassifications")),
			}
			if strings.EqualFold(rec.severity, "false positive") {
				rec.label, rec.suppressed, rec.why = finding.Informational, true, "marked as a false positive in Burp"
			}
			return r.add(rec)
		})
	}}
}

var bracketed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\[([^\]]*)\]`) })

// burpParameter is what stands in brackets behind the path: the parameter.
func burpParameter(location string) string {
	if m := bracketed().FindStringSubmatch(location); m != nil {
		return m[1]
	}
	return ""
}

var (
	hrefs   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`href=["']?([^"' >]+)`) })
	cweText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`CWE-[0-9]+`) })
)

func links(html string) (all []string) {
	for _, m := range hrefs().FindAllStringSubmatch(html, 30) {
		all = append(all, m[1])
	}
	return all
}

func cwesIn(text string) []string { return cweText().FindAllString(text, 20) }

func burpAPIFormat() format {
	return format{name: "burp-api-json", tool: "burp", is: func(d *doc) bool {
		return d.one("issue_events", "scan_metrics")
	}, read: func(r *reading) error {
		head, err := r.rest("issue_events")
		if err != nil {
			return err
		}
		if s := head.text("scan_status"); s != "succeeded" {
			r.partial("the status of the scan is %q", s)
		}
		return r.each("issue_events/*", func(_ []string, n node) error {
			if n.text("type") != "issue_found" {
				return nil
			}
			i := n.at("issue")
			return r.add(record{
				rule: i.text("type_index"), title: i.text("name"),
				text: plainText(joined("\n", i.text("description"), i.text("issue_background"))), severity: i.text("severity"),
				confidence: i.text("confidence"), resource: i.text("origin") + withoutQuery(i.text("path")),
				key: []string{burpParameter(i.text("caption"))}, tie: []string{i.text("caption"), i.text("description")},
				fix: plainText(joined("\n", i.text("remediation"), i.text("remediation_background"))),
			})
		})
	}}
}
