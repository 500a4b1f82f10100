package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func trivyFormat() format {
	return format{name: "trivy-json", tool: "trivy", is: func(d *doc) bool {
		return d.one("SchemaVersion", "ArtifactName") || d.one("SchemaVersion", "Results")
	}, read: func(r *reading) error {
		head, err := r.rest("Results", "Metadata")
		if err != nil {
			return err
		}
		r.told.Version = head.text("Trivy", "Version")
		if head.is() && !r.members["Results"] && head.text("ArtifactType") == "" {
			r.partial("there are no results in it")
		}
		return r.each("Results/*", func(_ []string, n node) error { return r.addTrivy(n, head.text("ArtifactName"), nil) })
	}}
}

// Old versions wrote the results alone.
func trivyOldFormat() format {
	return format{name: "trivy-json", tool: "trivy", is: func(d *doc) bool {
		return d.many("Target") && (d.members["Vulnerabilities"] || d.members["Type"])
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error { return r.addTrivy(n, "", nil) })
	}}
}

func trivyKubernetesFormat() format {
	return format{name: "trivy-json", tool: "trivy", is: func(d *doc) bool {
		return d.one("ClusterName") && (d.members["Vulnerabilities"] || d.members["Misconfigurations"] || d.members["Resources"])
	}, read: func(r *reading) error {
		return r.each("*/*", func(at []string, n node) error {
			if at[0] != "Vulnerabilities" && at[0] != "Misconfigurations" && at[0] != "Resources" {
				return nil
			}
			if why := n.text("Error"); why != "" {
				r.skipped(n.text("Name"), why)
			}
			workload := []string{n.text("Namespace"), n.text("Kind"), n.text("Name")}
			for _, result := range n.list("Results") {
				if err := r.addTrivy(result, joined("/", workload...), workload); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

// addTrivy takes the four kinds of records of one result.
func (r *reading) addTrivy(n node, artifact string, workload []string) error {
	target, class := n.text("Target"), n.text("Class")
	for _, list := range []struct {
		name   string
		record func(v node) (record, bool)
	}{{"Vulnerabilities", trivyVulnerability}, {"Misconfigurations", trivyMisconfiguration}, {"Secrets", trivySecret}, {"Licenses", trivyLicence}, {"ExperimentalModifiedFindings", trivyIgnored}} {
		for _, v := range n.list(list.name) {
			rec, bad := list.record(v)
			if !bad {
				r.passed()
				continue
			}
			switch {
			case class == "os-pkgs" || workload != nil:
				rec.resource, rec.kind = or(joined("/", workload...), artifact, target), "Container"
				rec.key = append(rec.key, rec.resource, rec.file)
				if workload != nil {
					rec.key = append(rec.key, target)
				}
				rec.fields = map[string]string{"image": target}
			default:
				rec.file = or(rec.file, target)
			}
			if err := r.add(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func trivyVulnerability(v node) (record, bool) {
	rec := record{
		vulnerability: v.text("VulnerabilityID"), aliases: v.texts("VendorIDs"), pkg: v.text("PkgName"),
		installed: v.text("InstalledVersion"), purl: v.text("PkgIdentifier", "PURL"),
		title: joined(": ", joined(" ", v.text("VulnerabilityID"), v.text("PkgName")), v.text("Title")),
		text:  or(v.text("Description"), v.text("Title")), severity: v.text("Severity"), cwe: v.texts("CweIDs"),
		refs: v.texts("References"), url: v.text("PrimaryURL"), file: v.text("PkgPath"),
	}
	if fixed := v.text("FixedVersion"); fixed != "" {
		rec.fixed, rec.fix = strings.Split(fixed, ", "), "Update "+rec.pkg+" to "+fixed+"."
	}
	for _, source := range v.at("CVSS").names() {
		c := v.at("CVSS", source)
		for _, version := range []string{"V40", "V3", "V2"} {
			if s, ok := c.number(version + "Score"); ok {
				rec.cvss = append(rec.cvss, cvssScore{"", s, c.text(version + "Vector"), source})
			}
		}
	}
	return rec, true
}

func trivyMisconfiguration(v node) (record, bool) {
	cause := v.at("CauseMetadata")
	rec := record{
		rule: v.first("ID", "AVDID"), title: v.text("Title"), text: joined("\n", v.text("Message"), v.text("Description")),
		severity: v.text("Severity"), fix: v.text("Resolution"), refs: v.texts("References"), url: v.text("PrimaryURL"),
		line: cause.int("StartLine"), key: []string{cause.text("Resource")}, status: finding.Failed,
	}
	return rec, v.text("Status") != "PASS"
}

func trivySecret(v node) (record, bool) {
	return record{
		rule: v.text("RuleID"), title: v.text("Title"), text: joined(": ", v.text("Category"), v.text("Title")),
		severity: v.text("Severity"), line: v.int("StartLine"), excerpt: v.text("Match"),
		types: "Sensitive Data Identifications/Passwords",
	}, true
}

func trivyLicence(v node) (record, bool) {
	name := v.text("Name")
	return record{
		rule: "licence/" + name, title: joined(" ", "licence", name, "of", or(v.text("PkgName"), v.text("FilePath"))),
		text: "The licence " + name + " is " + or(v.text("Category"), "of an unknown kind") + ".", severity: v.text("Severity"),
		file: v.text("FilePath"), key: []string{"licence", v.text("PkgName")}, url: v.text("Link"),
		types: "Software and Configuration Checks/Licences", fields: map[string]string{"category": v.text("Category")},
	}, true
}

// trivyIgnored is what a VEX document or an ignore file took away.
func trivyIgnored(v node) (record, bool) {
	rec, _ := trivyVulnerability(v.at("Finding"))
	if v.text("Type") != "vulnerability" || rec.vulnerability == "" {
		return rec, false
	}
	rec.suppressed, rec.why = true, joined(": ", v.text("Status"), v.text("Statement"))
	return rec, true
}
