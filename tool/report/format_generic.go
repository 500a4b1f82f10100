package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// genericFormat is DefectDojo's, which many tools of people's own write: findings with titles.
func genericFormat() format {
	return format{name: "generic-json", tool: "generic", is: func(d *doc) bool {
		first := d.head.at("findings")
		return d.one("findings") && first.at("title").is()
	}, read: func(r *reading) error {
		head, err := r.rest("findings")
		if err != nil {
			return err
		}
		r.told.Tool = or(head.first("type", "name"), r.told.Tool)
		return r.each("findings/*", func(_ []string, n node) error {
			rec := record{
				rule: or(n.text("vuln_id_from_tool"), n.text("title")), title: n.text("title"),
				text: joined("\n", n.text("description"), n.text("impact")), severity: n.text("severity"), file: n.text("file_path"),
				line: n.int("line"), cwe: n.texts("cwe"), fix: n.text("mitigation"),
				refs: strings.Fields(strings.Join(n.texts("references"), " ")), fingerprint: n.text("unique_id_from_tool"),
				pkg: n.text("component_name"), installed: n.text("component_version"), first: n.text("date"),
				confidence: n.text("confidence"), suppressed: n.yes("false_p") || n.yes("risk_accepted"),
				closed: n.yes("is_mitigated") || n.has("active") && !n.yes("active") && !n.yes("false_p"),
			}
			if ids := append(n.texts("cve"), n.texts("vulnerability_ids")...); len(ids) > 0 {
				rec.vulnerability, rec.aliases = cve(ids...)
			}
			if s, ok := n.number("cvssv3_score"); ok {
				rec.cvss = append(rec.cvss, cvssScore{"", s, n.text("cvssv3"), ""})
			} else if vector := n.text("cvssv3"); vector != "" {
				rec.fields = map[string]string{"cvss": vector}
			}
			if s, ok := n.number("epss_score"); ok {
				rec.epss = s
			}
			for _, e := range n.list("endpoints") {
				place := or(e.text(), e.text("host")+e.text("path"))
				rec.places = append(rec.places, withoutQuery(place))
			}
			if rec.file == "" && len(rec.places) > 0 {
				rec.resource = rec.places[0]
			}
			return r.add(rec)
		})
	}}
}

// A Mapping says how JSON or CSV of no known tool is read. Each field names where a record says
// it: a member or, with dots between, a member of a member; a column of CSV; "=text" is the text itself.
type Mapping struct {
	Tool        string            `json:"tool" yaml:"tool"`       // whose findings these are
	Records     string            `json:"records" yaml:"records"` // JSON: the path of the list, with slashes between: results, data/*/alerts; "" is the root
	Rule        string            `json:"rule" yaml:"rule"`       // what tells one kind of finding from another
	Title       string            `json:"title" yaml:"title"`
	Description string            `json:"description" yaml:"description"`
	Severity    string            `json:"severity" yaml:"severity"`
	Labels      map[string]string `json:"labels" yaml:"labels"` // the tool's words for severities → CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL
	File        string            `json:"file" yaml:"file"`
	Line        string            `json:"line" yaml:"line"`
	Resource    string            `json:"resource" yaml:"resource"`
	Key         []string          `json:"key" yaml:"key"` // what tells findings of one rule and place apart, and stays
	CVE         string            `json:"cve" yaml:"cve"`
	CWE         string            `json:"cwe" yaml:"cwe"`
	Package     string            `json:"package" yaml:"package"`
	Installed   string            `json:"installed" yaml:"installed"`
	Fixed       string            `json:"fixed" yaml:"fixed"`
	Score       string            `json:"score" yaml:"score"` // CVSS
	Fix         string            `json:"fix" yaml:"fix"`     // what to do
	URL         string            `json:"url" yaml:"url"`
	Skip        map[string]string `json:"skip" yaml:"skip"` // records in which these say just that are no findings
}

// Check tells what is missing of a mapping.
func (m *Mapping) Check() error {
	switch {
	case m.Tool == "":
		return fault.Invalid.Errorf("the mapping has no tool")
	case m.Rule == "" || m.Title == "":
		return fault.Invalid.Errorf("the mapping needs rule and title")
	}
	for word, label := range m.Labels {
		if finding.Label(label).Rank() < 0 {
			return fault.Invalid.Errorf("labels: %q of %q is none of CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL", label, word)
		}
	}
	return nil
}

func (m *Mapping) format() format {
	get := func(n node, path string) string {
		if text, ok := strings.CutPrefix(path, "="); ok {
			return text
		}
		if path == "" {
			return ""
		}
		if n.has(path) {
			return n.text(path)
		}
		return n.text(strings.Split(path, ".")...)
	}
	return format{name: "mapped", tool: m.Tool, is: func(*doc) bool { return true }, read: func(r *reading) error {
		path := "[]"
		if m.Records != "" {
			path = "[]/" + m.Records + "/[]"
		}
		return r.each(path, func(_ []string, n node) error {
			for name, value := range m.Skip {
				if get(n, name) == value {
					r.passed()
					return nil
				}
			}
			rec := record{
				rule: get(n, m.Rule), title: get(n, m.Title), text: get(n, m.Description), severity: get(n, m.Severity), file: get(n, m.File),
				line: node{get(n, m.Line)}.int(), resource: get(n, m.Resource), vulnerability: get(n, m.CVE), cwe: []string{get(n, m.CWE)},
				pkg: get(n, m.Package), installed: get(n, m.Installed), fix: get(n, m.Fix), url: get(n, m.URL),
			}
			for word, label := range m.Labels {
				if strings.EqualFold(word, strings.TrimSpace(rec.severity)) {
					rec.label = finding.Label(label)
				}
			}
			for _, k := range m.Key {
				rec.key = append(rec.key, get(n, k))
			}
			if fixed := get(n, m.Fixed); fixed != "" {
				rec.fixed = []string{fixed}
			}
			if s, ok := (node{get(n, m.Score)}).number(); ok {
				rec.cvss = []cvssScore{{"", s, "", ""}}
			}
			if rec.title == "" && rec.rule == "" {
				return fault.Invalid.Errorf("record %d says nothing where the mapping looks: rule %q, title %q", r.told.Records+1, m.Rule, m.Title)
			}
			return r.add(rec)
		})
	}}
}
