package report

import (
	"net/url"
	"strings"
)

func cyclonedxFormat() format {
	return format{name: "cyclonedx-json", tool: "cyclonedx", is: func(d *doc) bool {
		return d.one("bomFormat") && d.head.text("bomFormat") == "CycloneDX"
	}, read: func(r *reading) error {
		parts := map[string]node{}
		if err := r.each("components/*", func(_ []string, n node) error { addParts(parts, n); return nil }); err != nil {
			return err
		}
		head, err := r.rest("components", "dependencies", "vulnerabilities", "services", "formulation")
		if err != nil {
			return err
		}
		r.made(head.text("metadata", "timestamp"))
		tools := append(head.list("metadata", "tools", "components"), head.list("metadata", "tools")...)
		if name := firstOf(tools).text("name"); name != "" {
			r.told.Tool, r.told.Version = name, firstOf(tools).text("version")
		}
		return r.each("vulnerabilities/*", func(_ []string, n node) error { return r.addCycloneDX(n, parts, head) })
	}}
}

// addParts keeps what is said of components by their references, nested ones too.
func addParts(parts map[string]node, n node) {
	small := map[string]any{}
	for _, name := range []string{"group", "name", "version", "purl", "type"} {
		small[name] = n.text(name)
	}
	parts[or(n.text("bom-ref"), n.text("@bom-ref"), n.text("purl"))] = node{small}
	children := n.list("components")
	if inner := n.list("components", "component"); len(inner) > 0 {
		children = inner
	}
	for _, c := range children {
		addParts(parts, c)
	}
}

// addCycloneDX takes a vulnerability, once for each thing that it affects.
func (r *reading) addCycloneDX(n node, parts map[string]node, head node) error {
	affects := n.list("affects")
	if inner := n.list("affects", "target"); len(inner) > 0 {
		affects = inner
	}
	if len(affects) == 0 {
		affects = []node{{}}
	}
	for _, a := range affects {
		rec := cyclonedxRecord(n)
		ref := a.text("ref")
		c, ok := parts[ref]
		if !ok && strings.HasPrefix(ref, "urn:cdx:") { // a VEX document apart names its BOM first
			c = parts[ref[strings.LastIndexByte(ref, '#')+1:]]
		}
		rec.pkg, rec.installed, rec.purl = joined("/", c.text("group"), c.text("name")), c.text("version"), c.text("purl")
		if rec.pkg == "" {
			rec.pkg, rec.installed = purlParts(ref)
		}
		rec.title = joined(" in ", rec.title, joined(" ", rec.pkg, rec.installed))
		rec.resource = joined(" ", head.text("metadata", "component", "name"), head.text("metadata", "component", "version"))
		rec.key = []string{withoutVersion(or(rec.purl, ref))}
		if err := r.add(rec); err != nil {
			return err
		}
	}
	return nil
}

func withoutVersion(purl string) string {
	name, _, _ := strings.Cut(purl, "@")
	return name
}

// purlParts are a package URL's name and version.
func purlParts(purl string) (name, version string) {
	rest, ok := strings.CutPrefix(purl, "pkg:")
	if !ok {
		return lastPart(purl), ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	_, rest, _ = strings.Cut(rest, "/")
	name, version, _ = strings.Cut(rest, "@")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return name, version
}

func cyclonedxRecord(n node) record {
	ids := []string{n.text("id")}
	references := n.list("references")
	if inner := n.list("references", "reference"); len(inner) > 0 {
		references = inner
	}
	for _, ref := range references {
		ids = append(ids, ref.text("id"))
	}
	rec := record{
		rule: n.text("id"), text: or(n.text("description"), n.text("detail")), fix: n.text("recommendation"), url: n.text("source", "url"),
		cwe: append(n.texts("cwes"), n.texts("cwes", "cwe")...),
	}
	rec.vulnerability, rec.aliases = cve(ids...)
	rec.title = rec.vulnerability
	ratings := n.list("ratings")
	if inner := n.list("ratings", "rating"); len(inner) > 0 {
		ratings = inner
	}
	for _, rating := range ratings {
		if strings.HasPrefix(rating.text("method"), "CVSS") {
			if s, ok := rating.number("score"); ok {
				rec.cvss = append(rec.cvss, cvssScore{cvssVersion(rating.text("method")), s, rating.text("vector"), rating.text("source", "name")})
			}
		}
		if l := labelOf(rating.text("severity")); l.Rank() > rec.label.Rank() || rec.severity == "" {
			rec.label, rec.severity = l, rating.text("severity")
		}
		if strings.EqualFold(rating.text("source", "name"), "EPSS") || strings.EqualFold(rating.text("method"), "EPSS") {
			rec.epss, _ = rating.number("score")
		}
	}
	for _, a := range n.list("advisories") {
		rec.refs = append(rec.refs, a.text("url"))
	}
	for _, p := range n.list("properties") {
		if name := p.text("name"); strings.Contains(name, "fixed_version") || strings.HasSuffix(name, "fixedVersion") || strings.HasSuffix(name, "FixedVersion") {
			rec.fixed = append(rec.fixed, p.text("value"))
		}
	}
	vexState(n.text("analysis", "state"), joined(": ", n.text("analysis", "justification"), n.text("analysis", "detail")), &rec)
	return rec
}

func cvssVersion(method string) string {
	return map[string]string{"CVSSv2": "2.0", "CVSSv3": "3.0", "CVSSv31": "3.1", "CVSSv4": "4.0"}[method]
}

// vexState is what a VEX statement means for a finding: what is not affected is suppressed, with its reason.
func vexState(state, why string, rec *record) {
	switch state {
	case "not_affected", "false_positive":
		rec.suppressed, rec.why = true, joined(": ", state, why)
	case "fixed", "resolved", "resolved_with_pedigree":
		rec.closed = true
	}
	rec.vex, rec.vexWhy = vexWords[state], why
	if state != "" {
		if rec.fields == nil {
			rec.fields = map[string]string{}
		}
		rec.fields["analysis"] = joined(": ", state, why)
	}
}

func cyclonedxXMLFormat() format {
	return format{name: "cyclonedx-xml", tool: "cyclonedx", is: func(d *doc) bool { return d.xmlRoot("bom") }, read: func(r *reading) error {
		parts := map[string]node{}
		if err := r.each("components/component", func(_ []string, n node) error { addParts(parts, n); return nil }); err != nil {
			return err
		}
		var meta node
		if err := r.each("metadata", func(_ []string, n node) error { meta = n; return nil }); err != nil {
			return err
		}
		return r.each("vulnerabilities/vulnerability", func(_ []string, n node) error {
			return r.addCycloneDX(n, parts, node{map[string]any{"metadata": meta.v}})
		})
	}}
}
