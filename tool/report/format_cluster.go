package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func kubeBenchFormat() format {
	return format{name: "kube-bench-json", tool: "kube-bench", is: func(d *doc) bool {
		return d.one("Controls") || d.object("node_type", "tests")
	}, read: func(r *reading) error {
		path := "Controls/[]"
		if !r.members["Controls"] {
			path = "[]"
		}
		return r.each(path, func(_ []string, n node) error {
			r.told.Version = or(r.told.Version, n.text("version"))
			for _, test := range n.list("tests") {
				for _, result := range test.list("results") {
					status := result.text("status")
					if status == "PASS" || status == "INFO" {
						r.passed()
						continue
					}
					if err := r.add(record{
						rule: result.text("test_number"), title: result.text("test_desc"),
						text: joined("\n", result.text("test_desc"), result.text("reason"), result.text("audit")), severity: status,
						label: by(status, map[string]finding.Label{"FAIL": finding.Medium, "WARN": finding.Low}), fix: result.text("remediation"),
						resource: joined("/", n.text("node_type"), n.text("id")), key: []string{n.text("node_type")}, status: finding.Failed,
						fields: map[string]string{"section": joined(" ", test.text("section"), test.text("desc"))},
					}); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}}
}

func kubescapeFormat() format {
	return format{name: "kubescape-json", tool: "kubescape", is: func(d *doc) bool {
		return d.one("summaryDetails", "results")
	}, read: func(r *reading) error {
		head, err := r.rest("results", "resources")
		if err != nil {
			return err
		}
		names := map[string]string{}
		if err := r.each("resources/*", func(_ []string, n node) error {
			o := n.at("object")
			names[n.text("resourceID")] = joined("/", or(o.text("metadata", "namespace"), o.text("namespace")), o.text("kind"), or(o.text("metadata", "name"), o.text("name")))
			return nil
		}); err != nil {
			return err
		}
		return r.each("results/*", func(_ []string, n node) error {
			for _, c := range n.list("controls") {
				if state := or(c.text("status", "status"), c.text("status")); state != "failed" {
					r.passed()
					continue
				}
				factor, _ := head.number("summaryDetails", "controls", c.text("controlID"), "scoreFactor")
				rec := record{
					rule: c.text("controlID"), title: c.text("name"),
					severity: head.text("summaryDetails", "controls", c.text("controlID"), "scoreFactor"), label: labelOfScore(factor),
					resource: or(names[n.text("resourceID")], n.text("resourceID")), key: []string{n.text("resourceID")}, status: finding.Failed,
					url: "https://hub.armosec.io/docs/" + strings.ToLower(c.text("controlID")),
				}
				for _, rule := range c.list("rules") {
					for _, p := range rule.list("paths") {
						rec.places = append(rec.places, p.first("failedPath", "reviewPath"))
						if f := p.text("fixPath", "path"); f != "" {
							rec.fix = or(rec.fix, "Set "+f+" to "+p.text("fixPath", "value")+".")
						}
					}
				}
				if err := r.add(rec); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func scoutSuiteFormat() format {
	return format{name: "scout-suite-js", tool: "scout-suite", is: func(d *doc) bool {
		return d.one("services", "last_run")
	}, read: func(r *reading) error {
		head, err := r.rest("services", "metadata")
		if err != nil {
			return err
		}
		r.told.Version = head.text("last_run", "version")
		account := head.first("account_id", "project_id")
		return r.each("services/*", func(at []string, service node) error {
			whole := node{map[string]any{"services": map[string]any{at[1]: service.v}}}
			all := service.at("findings")
			for _, rule := range all.names() {
				f := all.at(rule)
				if f.int("flagged_items") == 0 {
					r.passed()
					continue
				}
				for _, item := range f.texts("items") {
					rec := record{
						rule: rule, title: f.text("description"), text: plainText(joined("\n", f.text("description"), f.text("rationale"))),
						severity: f.text("level"),
						label:    by(f.text("level"), map[string]finding.Label{"DANGER": finding.High, "WARNING": finding.Medium}),
						fix:      plainText(f.text("remediation")), refs: f.texts("references"), resource: scoutName(whole, or(item, f.text("path"))),
						key: []string{account, item}, account: account, status: finding.Failed,
						fields: map[string]string{"service": f.text("service"), "path": item},
					}
					if err := r.add(rec); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}}
}

// scoutName is what the thing is called that a path leads to; the path leads on to its member.
func scoutName(whole node, path string) string {
	n, name := whole.at("services"), path
	for _, step := range strings.Split(path, ".") {
		if n = n.at(step); !n.is() {
			break
		}
		if found := or(n.text("arn"), n.text("name"), n.text("id")); found != "" {
			name = found
		}
	}
	return name
}
