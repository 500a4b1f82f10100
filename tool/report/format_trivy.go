package report

import (
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func trivyFormat() format {
	return format{name: "trivy-json", tool: "trivy", is: func(d *doc) bool {
		return d.one("SchemaVersion", "ArtifactName") || d.one("SchemaVersion", "Results")
	}, read: func(r *reading) error {
		head, err := r.rest("Results/*/*/*", "Metadata")
		if err != nil {
			return err
		}
		r.told.Version = head.text("Trivy", "Version")
		r.made(head.text("CreatedAt"))
		if !r.members["Results"] && head.text("ArtifactType") == "" {
			r.partial("there are no results in it")
		}
		results := head.list("Results")
		return r.each("Results/*/*/*", func(at []string, n node) error {
			return r.addTrivy(at[2], n, numbered(results, at[1]), head.text("ArtifactName"), nil)
		})
	}}
}

// numbered is an element by its number as text.
func numbered(list []node, number string) node {
	if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(list) {
		return list[i]
	}
	return node{}
}

// Old versions wrote the results alone.
func trivyOldFormat() format {
	return format{name: "trivy-json", tool: "trivy", is: func(d *doc) bool {
		return d.many("Target") && (d.members["Vulnerabilities"] || d.members["Type"])
	}, read: func(r *reading) error {
		head, err := r.rest("*/*/*")
		if err != nil {
			return err
		}
		results := head.list()
		return r.each("*/*/*", func(at []string, n node) error {
			return r.addTrivy(at[1], n, numbered(results, at[0]), "", nil)
		})
	}}
}

func trivyKubernetesFormat() format {
	return format{name: "trivy-json", tool: "trivy", is: func(d *doc) bool {
		return d.one("ClusterName") && (d.members["Vulnerabilities"] || d.members["Misconfigurations"] || d.members["Resources"])
	}, read: func(r *reading) error {
		head, err := r.rest("*/*/Results/*/*/*")
		if err != nil {
			return err
		}
		for _, part := range []string{"Vulnerabilities", "Misconfigurations", "Resources"} {
			workloads := head.list(part)
			for _, w := range workloads {
				if why := w.text("Error"); why != "" {
					r.skipped(w.text("Name"), why)
				}
			}
			if err := r.each(part+"/*/Results/*/*/*", func(at []string, n node) error {
				w := numbered(workloads, at[1])
				name := []string{w.text("Namespace"), w.text("Kind"), w.text("Name")}
				return r.addTrivy(at[4], n, numbered(w.list("Results"), at[3]), joined("/", name...), name)
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

// addTrivy takes a record of one of the four kinds that a result has lists of, and of those that were ignored.
func (r *reading) addTrivy(list string, n, result node, artifact string, workload []string) error {
	var rec record
	bad := true
	switch list {
	case "Vulnerabilities":
		rec = trivyVulnerability(n)
	case "Misconfigurations":
		rec, bad = trivyMisconfiguration(n), n.text("Status") != "PASS"
	case "Secrets":
		rec = trivySecret(n)
	case "Licenses":
		rec = trivyLicence(n)
	case "ExperimentalModifiedFindings":
		rec, bad = trivyIgnored(n), n.text("Type") == "vulnerability"
	default:
		return nil
	}
	if !bad {
		r.passed()
		return nil
	}
	target := result.text("Target")
	if result.text("Class") != "os-pkgs" && workload == nil {
		rec.file = or(rec.file, target)
		return r.add(rec)
	}
	rec.resource, rec.kind = or(joined("/", workload...), artifact, target), "Container"
	rec.key = append(rec.key, rec.resource, rec.file)
	if workload != nil {
		rec.key = append(rec.key, target)
	}
	if rec.fields == nil {
		rec.fields = map[string]string{}
	}
	rec.fields["image"] = target
	return r.add(rec)
}

func trivyVulnerability(v node) record {
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
	return rec
}

func trivyMisconfiguration(v node) record {
	cause := v.at("CauseMetadata")
	rec := record{
		rule: v.first("ID", "AVDID"), title: v.text("Title"), text: joined("\n", v.text("Message"), v.text("Description")),
		severity: v.text("Severity"), fix: v.text("Resolution"), refs: v.texts("References"), url: v.text("PrimaryURL"),
		line: cause.int("StartLine"), key: []string{cause.text("Resource")}, status: finding.Failed,
	}
	return rec
}

func trivySecret(v node) record {
	return record{
		rule: v.text("RuleID"), title: v.text("Title"), text: joined(": ", v.text("Category"), v.text("Title")),
		severity: v.text("Severity"), line: v.int("StartLine"), excerpt: v.text("Match"),
		types: "Sensitive Data Identifications/Passwords",
	}
}

func trivyLicence(v node) record {
	name := v.text("Name")
	return record{
		rule: "licence/" + name, title: joined(" ", "licence", name, "of", or(v.text("PkgName"), v.text("FilePath"))),
		text: "The licence " + name + " is " + or(v.text("Category"), "of an unknown kind") + ".", severity: v.text("Severity"),
		file: v.text("FilePath"), key: []string{"licence", v.text("PkgName")}, url: v.text("Link"),
		types: "Software and Configuration Checks/Licences", fields: map[string]string{"category": v.text("Category")},
	}
}

// trivyIgnored is what a VEX document or an ignore file took away.
func trivyIgnored(v node) record {
	rec := trivyVulnerability(v.at("Finding"))
	rec.suppressed, rec.why = true, joined(": ", v.text("Status"), v.text("Statement"))
	return rec
}
