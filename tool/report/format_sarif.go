package report

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func sarifFormat() format {
	return format{name: "sarif", tool: "sarif", read: readSARIF, is: func(d *doc) bool {
		return d.one("runs") && (d.members["version"] || d.members["$schema"] || d.head.at("runs", "tool").is())
	}}
}

// sarifRunHead is what a run says beside its results.
type sarifRunHead struct {
	components []node
	byID       map[string]node // rules
	artifacts  []node
	bases      node
}

func readSARIF(r *reading) error {
	head, err := r.rest("runs/*/results/*", "runs/*/webRequests", "runs/*/webResponses", "runs/*/graphs", "runs/*/artifacts/*/contents")
	if err != nil {
		return err
	}
	var runs []sarifRunHead
	var tools []string
	for _, run := range head.list("runs") {
		h := sarifRunHead{components: append([]node{run.at("tool", "driver")}, run.list("tool", "extensions")...), byID: map[string]node{}, artifacts: run.list("artifacts"), bases: run.at("originalUriBaseIds")}
		for _, c := range h.components {
			for _, rule := range c.list("rules") {
				if id := rule.text("id"); id != "" && !h.byID[id].is() {
					h.byID[id] = rule
				}
			}
		}
		driver := h.components[0]
		if name := driver.text("name"); name != "" && !slices.Contains(tools, name) {
			tools = append(tools, name)
		}
		r.told.Version = or(r.told.Version, driver.first("semanticVersion", "version"))
		r.sarifInvocations(run)
		if !run.has("results") {
			r.partial("a run of it has no results: the tool did not look")
		}
		runs = append(runs, h)
	}
	if len(tools) == 1 {
		r.told.Tool = tools[0]
	}
	return r.each("runs/*/results/*", func(at []string, n node) error {
		i, _ := strconv.Atoi(at[1])
		switch n.text("kind") {
		case "pass", "notApplicable", "informational":
			r.passed()
			return nil
		}
		if n.text("baselineState") == "absent" {
			r.passed()
			return nil
		}
		return r.add(runs[i].record(n))
	})
}

// sarifInvocations tells whether the run was one to its end.
func (r *reading) sarifInvocations(run node) {
	for _, i := range run.list("invocations") {
		r.made(or(i.text("endTimeUtc"), i.text("startTimeUtc")))
		if i.has("executionSuccessful") && !i.yes("executionSuccessful") {
			r.partial("the tool says that its run was not successful (executionSuccessful is false)")
		}
		for _, n := range append(i.list("toolExecutionNotifications"), i.list("toolConfigurationNotifications")...) {
			if n.text("level") == "error" {
				file := cleanPath(n.text("locations", "physicalLocation", "artifactLocation", "uri"))
				r.skipped(file, or(firstLine(n.text("message", "text")), "an error that it does not name"))
			}
		}
	}
}

func (h *sarifRunHead) record(n node) record {
	rule := h.rule(n)
	id := or(n.text("ruleId"), n.text("rule", "id"), rule.text("id"))
	message := sarifMessage(n.at("message"), rule, h.components[0])
	rec := record{
		rule: id, text: or(message, rule.text("fullDescription", "text"), rule.text("shortDescription", "text")),
		title: or(rule.text("shortDescription", "text"), firstLine(message), rule.text("name")), url: rule.text("helpUri"),
		refs: []string{rule.text("helpUri")},
	}
	if title := firstLine(message); title != "" && len(title) < 200 {
		rec.title = title
	}
	h.severity(n, rule, &rec)
	h.place(n, &rec)
	if own := n.text("partialFingerprints", FingerprintKey); own != "" {
		rec.own(own)
	}
	rec.fingerprint = sarifFingerprint(n)
	if strings.HasPrefix(id, "CVE-") || strings.HasPrefix(id, "GHSA-") {
		rec.vulnerability = id
		if !strings.Contains(rec.title, id) {
			rec.title = joined(": ", id, or(rule.text("shortDescription", "text"), rec.title))
		}
	}
	tags := append(rule.texts("properties", "tags"), n.texts("properties", "tags")...)
	rec.cwe = append(cweTags(tags), append(rule.texts("properties", "cwe"), n.texts("properties", "cwe")...)...)
	for _, taxon := range n.list("taxa") {
		if strings.EqualFold(taxon.text("toolComponent", "name"), "CWE") {
			rec.cwe = append(rec.cwe, taxon.text("id"))
		}
	}
	for _, rel := range rule.list("relationships") {
		if strings.EqualFold(rel.text("target", "toolComponent", "name"), "CWE") {
			rec.cwe = append(rec.cwe, rel.text("target", "id"))
		}
	}
	rec.owasp = owaspTags(tags)
	if help := rule.text("help", "text"); len(help) < 2000 {
		rec.fix = help
	}
	if fix := n.at("fixes", "description").text("text"); fix != "" {
		rec.fix = fix
	}
	rec.confidence = or(n.text("properties", "confidence"), rule.text("properties", "precision"))
	rec.suppressed, rec.why = sarifSuppressed(n)
	return rec
}

// rule is what a result points at: in the driver or an extension, by index or by id.
func (h *sarifRunHead) rule(n node) node {
	component := h.components[0]
	ref := n.at("rule", "toolComponent")
	if ref.has("index") && ref.int("index")+1 < len(h.components) {
		component = h.components[ref.int("index")+1]
	} else if name := ref.text("name"); name != "" {
		component = anyOf(h.components, func(c node) bool { return c.text("name") == name })
	}
	rules := component.list("rules")
	for _, at := range []node{n.at("ruleIndex"), n.at("rule", "index")} {
		if f, ok := at.number(); ok && f >= 0 && int(f) < len(rules) {
			return rules[int(f)]
		}
	}
	for _, id := range []string{n.text("ruleId"), n.text("rule", "id")} {
		for id != "" {
			if rule, ok := h.byID[id]; ok {
				return rule
			}
			id = id[:max(0, strings.LastIndexByte(id, '/'))] // a rule's own parts follow a slash
		}
	}
	return node{}
}

func sarifMessage(m, rule, driver node) string {
	text := m.text("text")
	if text == "" {
		id := m.text("id")
		text = or(rule.text("messageStrings", id, "text"), driver.text("globalMessageStrings", id, "text"))
	}
	for i, a := range m.list("arguments") {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", a.text())
	}
	return text
}

func (h *sarifRunHead) severity(n, rule node, rec *record) {
	score := or(n.text("properties", "security-severity"), rule.text("properties", "security-severity"))
	level := or(n.text("level"), rule.text("defaultConfiguration", "level"), "warning")
	if kind := n.text("kind"); kind != "" && kind != "fail" && !n.at("level").is() {
		level = "none"
	}
	if f, ok := (node{score}).number(); ok && f > 0 {
		rec.severity, rec.score, rec.label = score, f, labelOfScore(f)
		return
	}
	rec.severity = level
	rec.label = by(level, map[string]finding.Label{"ERROR": finding.High, "WARNING": finding.Medium, "NOTE": finding.Low, "NONE": finding.Informational})
}

// place is where the first location is, and what is there.
func (h *sarifRunHead) place(n node, rec *record) {
	for i, l := range n.list("locations") {
		p := l.at("physicalLocation")
		file := h.path(p.at("artifactLocation"))
		if i > 0 {
			if file != "" {
				rec.places = append(rec.places, file+":"+strconv.Itoa(p.int("region", "startLine")))
			}
			continue
		}
		rec.file, rec.line, rec.column = file, p.int("region", "startLine"), p.int("region", "startColumn")
		rec.excerpt = p.text("region", "snippet", "text")
		rec.key = sarifLogical(l)
		if rec.line == 0 { // what is in a file at an offset alone
			rec.tie = []string{rec.title, rec.text, p.text("region", "charOffset"), p.text("region", "byteOffset")}
		}
		if u := webAddress(p.text("artifactLocation", "uri")); u != "" {
			rec.resource, rec.file = withoutQuery(u), ""
		}
	}
	var steps []string
	for _, s := range n.list("codeFlows", "threadFlows", "locations") {
		p := s.at("location", "physicalLocation")
		if file := h.path(p.at("artifactLocation")); file != "" && len(steps) < 20 {
			steps = append(steps, file+":"+strconv.Itoa(p.int("region", "startLine")))
		}
	}
	rec.evidence = strings.Join(steps, " → ")
}

func sarifLogical(l node) (key []string) {
	for _, logical := range l.list("logicalLocations") {
		if name := logical.first("fullyQualifiedName", "decoratedName", "name"); name != "" {
			key = append(key, name)
		}
	}
	return key
}

// path is what an artifact is called below what its run calls the root, however deep the bases are.
func (h *sarifRunHead) path(a node) string {
	uri, base := a.text("uri"), a.text("uriBaseId")
	if index := a.at("index"); uri == "" && index.is() {
		if f, ok := index.number(); ok && f >= 0 && int(f) < len(h.artifacts) {
			location := h.artifacts[int(f)].at("location")
			uri, base = location.text("uri"), location.text("uriBaseId")
		}
	}
	if uri == "" {
		return ""
	}
	for i := 0; base != "" && i < 10; i++ {
		b := h.bases.at(base)
		above := b.text("uri")
		if above == "" || strings.Contains(above, ":") || strings.HasPrefix(above, "/") {
			break // a folder of the machine that the tool ran on
		}
		uri, base = strings.TrimSuffix(above, "/")+"/"+uri, b.text("uriBaseId")
	}
	if strings.Contains(uri, "%") && !strings.HasPrefix(uri, "file:") {
		if plain, err := url.PathUnescape(strings.TrimPrefix(uri, "%SRCROOT%/")); err == nil {
			uri = plain
		}
	}
	return cleanPath(uri)
}

// sarifFingerprint is all that the tool gives, without placeholders.
func sarifFingerprint(n node) string {
	for _, kind := range []string{"fingerprints", "partialFingerprints"} {
		var all []string
		for _, name := range n.at(kind).names() {
			if v := n.text(kind, name); v != "" && v != "requires login" && !strings.Contains(name, "StartColumn") {
				all = append(all, name+"="+v)
			}
		}
		if len(all) > 0 {
			return strings.Join(all, " ")
		}
	}
	return ""
}

// sarifSuppressed: there are suppressions, and none of them is under review or rejected.
func sarifSuppressed(n node) (bool, string) {
	var why []string
	all := n.list("suppressions")
	for _, s := range all {
		if status := s.text("status"); status == "underReview" || status == "rejected" {
			return false, ""
		}
		why = append(why, or(s.text("justification"), s.text("kind")))
	}
	return len(all) > 0, strings.Join(why, "; ")
}

// withoutQuery is an address without its query's values.
func withoutQuery(text string) string {
	address, _, _ := strings.Cut(text, "?")
	address, _, _ = strings.Cut(address, "#")
	return address
}
