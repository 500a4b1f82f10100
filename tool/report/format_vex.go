package report

import (
	"slices"
	"strings"
)

func openvexFormat() format {
	return format{name: "openvex", tool: "openvex", is: func(d *doc) bool {
		return d.one("@context", "statements") && strings.Contains(d.head.text("@context"), "openvex")
	}, read: func(r *reading) error {
		head, err := r.rest("statements")
		if err != nil {
			return err
		}
		r.made(or(head.text("last_updated"), head.text("timestamp")))
		return r.each("statements/*", func(_ []string, n node) error {
			v := n.at("vulnerability")
			id := or(v.text("name"), v.text("@id"), v.text())
			products := n.list("products")
			if len(products) == 0 {
				products = []node{{}}
			}
			for _, p := range products {
				product := or(p.text("@id"), p.text("identifiers", "purl"), p.text())
				rec := record{
					rule: id, text: joined("\n", v.text("description"), n.text("impact_statement"), n.text("status_notes")),
					fix: n.text("action_statement"), first: n.text("timestamp"), resource: product, purl: product,
					key: []string{withoutVersion(product)}, fields: map[string]string{"author": head.text("author")},
				}
				rec.vulnerability, rec.aliases = cve(append([]string{id}, v.texts("aliases")...)...)
				rec.pkg, rec.installed = purlParts(product)
				for _, sub := range p.list("subcomponents") {
					rec.places = append(rec.places, or(sub.text("@id"), sub.text()))
				}
				rec.title = joined(" in ", rec.vulnerability, joined(" ", rec.pkg, rec.installed))
				vexState(n.text("status"), joined(": ", n.text("justification"), n.text("impact_statement")), &rec)
				rec.severity = "unknown"
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func csafFormat() format {
	return format{name: "csaf", tool: "csaf", is: func(d *doc) bool {
		return d.one("document") && d.head.text("document", "csaf_version") != ""
	}, read: func(r *reading) error {
		head, err := r.rest("vulnerabilities")
		if err != nil {
			return err
		}
		r.told.Tool = or(head.text("document", "publisher", "name"), r.told.Tool)
		products := map[string]node{}
		addProducts(products, head.at("product_tree"))
		for _, rel := range head.list("product_tree", "relationships") {
			p := rel.at("full_product_name")
			products[p.text("product_id")] = p
		}
		return r.each("vulnerabilities/*", func(_ []string, n node) error { return r.addCSAF(n, products) })
	}}
}

func addProducts(products map[string]node, n node) {
	if p := n.at("product"); p.is() {
		products[p.text("product_id")] = p
	}
	for _, p := range n.list("full_product_names") {
		products[p.text("product_id")] = p
	}
	for _, b := range n.list("branches") {
		addProducts(products, b)
	}
}

// addCSAF takes a vulnerability once for each product and what is said of it.
func (r *reading) addCSAF(n node, products map[string]node) error {
	for _, status := range []struct{ name, vex string }{{"known_affected", "affected"}, {"first_affected", "affected"}, {"last_affected", "affected"}, {"under_investigation", "under_investigation"}, {"known_not_affected", "not_affected"}, {"fixed", "fixed"}, {"first_fixed", "fixed"}, {"recommended", ""}} {
		for _, id := range n.texts("product_status", status.name) {
			if status.vex == "" {
				continue
			}
			p := products[id]
			rec := record{
				title: n.text("title"), resource: or(p.text("name"), id), purl: p.text("product_identification_helper", "purl"), key: []string{id},
				cwe: []string{n.text("cwe", "id")},
			}
			ids := []string{n.text("cve")}
			for _, other := range n.list("ids") {
				ids = append(ids, other.text("text"))
			}
			rec.vulnerability, rec.aliases = cve(ids...)
			rec.rule, rec.pkg, rec.tie = rec.vulnerability, or(p.text("name"), id), []string{status.vex}
			rec.title = joined(": ", rec.vulnerability, or(rec.title, rec.pkg))
			for _, note := range n.list("notes") {
				rec.text = joined("\n", rec.text, note.text("text"))
			}
			for _, s := range n.list("scores") {
				if !slices.Contains(s.texts("products"), id) {
					continue
				}
				for _, version := range []string{"cvss_v4", "cvss_v3", "cvss_v2"} {
					if score, ok := s.number(version, "baseScore"); ok {
						rec.cvss = append(rec.cvss, cvssScore{s.text(version, "version"), score, s.text(version, "vectorString"), "csaf"})
						rec.severity = or(rec.severity, s.text(version, "baseSeverity"))
					}
				}
			}
			for _, fix := range n.list("remediations") {
				if ids := fix.texts("product_ids"); len(ids) == 0 || slices.Contains(ids, id) {
					rec.fix, rec.url = or(rec.fix, fix.text("details")), or(rec.url, fix.text("url"))
				}
			}
			for _, ref := range n.list("references") {
				rec.refs = append(rec.refs, ref.text("url"))
			}
			vexState(status.vex, "", &rec)
			if err := r.add(rec); err != nil {
				return err
			}
		}
	}
	return nil
}
