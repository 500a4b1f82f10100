package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func inspectorFormat() format {
	return format{name: "aws-inspector2", tool: "inspector", read: readInspector, is: func(d *doc) bool {
		return d.one("findings") && d.head.at("findings", "findingArn").is() || d.many("findingArn")
	}}
}

func readInspector(r *reading) error {
	path := "findings/[]"
	if r.list {
		path = "[]"
	}
	if head, err := r.rest("findings"); err == nil && head.first("nextToken", "NextToken") != "" {
		r.partial("there is a nextToken: it is one page of several")
	}
	return r.each(path, func(_ []string, n node) error {
		return r.add(inspectorRecord(n))
	})
}

func inspectorRecord(n node) record {
	d := n.at("packageVulnerabilityDetails")
	resource := anyOf(n.list("resources"), func(node) bool { return true })
	rec := record{
		rule: or(d.text("vulnerabilityId"), n.text("codeVulnerabilityDetails", "detectorId"), n.text("type")), title: n.text("title"),
		text: n.text("description"), severity: n.text("severity"), resource: resource.text("id"),
		kind: assetType(resource.text("type")), region: resource.text("region"), account: n.text("awsAccountId"),
		fingerprint: n.text("findingArn"), tie: []string{}, refs: d.texts("referenceUrls"), url: d.text("sourceUrl"),
		first: n.text("firstObservedAt"), suppressed: strings.EqualFold(n.text("status"), "SUPPRESSED"),
		closed: strings.EqualFold(n.text("status"), "CLOSED"), exploit: n.text("exploitAvailable") == "YES",
		fix: n.text("remediation", "recommendation", "text"),
	}
	if rec.fix == "None Provided" {
		rec.fix = ""
	}
	if s, ok := n.number("inspectorScore"); ok {
		rec.score = s
	}
	if s, ok := n.number("epss", "score"); ok {
		rec.epss = s
	}
	if d.is() {
		rec.vulnerability, rec.aliases = d.text("vulnerabilityId"), d.texts("relatedVulnerabilities")
		for _, c := range d.list("cvss") {
			if s, ok := c.number("baseScore"); ok {
				rec.cvss = append(rec.cvss, cvssScore{c.text("version"), s, c.text("scoringVector"), c.text("source")})
			}
		}
		p := anyOf(d.list("vulnerablePackages"), func(node) bool { return true })
		rec.pkg, rec.installed, rec.ecosystem, rec.file = p.text("name"), p.text("version"), p.text("packageManager"), p.text("filePath")
		if fixed := p.text("fixedInVersion"); fixed != "" && fixed != "NotAvailable" {
			rec.fixed = []string{fixed}
		}
		rec.fix = or(rec.fix, p.text("remediation"))
	}
	if c := n.at("codeVulnerabilityDetails"); c.is() {
		rec.cwe, rec.file, rec.line = c.texts("cwes"), c.text("filePath", "filePath"), c.int("filePath", "startLine")
	}
	return rec
}

// assetType is an Inspector type as ASFF has it.
func assetType(kind string) string {
	return map[string]string{"AWS_ECR_CONTAINER_IMAGE": "AwsEcrContainerImage", "AWS_EC2_INSTANCE": "AwsEc2Instance", "AWS_LAMBDA_FUNCTION": "AwsLambdaFunction"}[kind]
}

func guarddutyFormat() format {
	return format{name: "guardduty", tool: "guardduty", is: func(d *doc) bool {
		first := d.head.at("Findings")
		return d.one("Findings") && first.at("Arn").is() && first.at("Service").is() || d.object("schemaVersion", "arn", "service", "type", "severity")
	}, read: func(r *reading) error {
		path := "[]"
		if r.members["Findings"] {
			path = "Findings/[]"
		}
		return r.each(path, func(_ []string, n node) error {
			get := func(name string) node {
				if v := n.at(name); v.is() {
					return v
				}
				return n.at(strings.ToUpper(name[:1]) + name[1:])
			}
			score, _ := get("severity").number()
			resource := get("resource")
			service := get("service")
			rec := record{
				rule: get("type").text(), title: get("title").text(), text: get("description").text(), severity: get("severity").text(),
				label: guarddutyLabel(score), fingerprint: get("arn").text(), tie: []string{}, region: get("region").text(),
				account: get("accountId").text(), types: "TTPs",
				first:      or(service.first("eventFirstSeen", "EventFirstSeen"), get("createdAt").text()),
				suppressed: service.yes("archived") || service.yes("Archived"), resource: guarddutyResource(resource),
			}
			if rec.suppressed {
				rec.why = "archived in GuardDuty"
			}
			return r.add(rec)
		})
	}}
}

func guarddutyLabel(score float64) finding.Label {
	switch {
	case score >= 9:
		return finding.Critical
	case score >= 7:
		return finding.High
	case score >= 4:
		return finding.Medium
	}
	return finding.Low
}

func guarddutyResource(n node) string {
	for _, path := range [][]string{{"instanceDetails", "instanceId"}, {"InstanceDetails", "InstanceId"}, {"accessKeyDetails", "userName"}, {"AccessKeyDetails", "UserName"},
		{"s3BucketDetails", "arn"}, {"S3BucketDetails", "Arn"}, {"eksClusterDetails", "arn"}, {"EksClusterDetails", "Arn"}, {"lambdaDetails", "functionArn"}, {"LambdaDetails", "FunctionArn"}} {
		if t := n.text(path...); t != "" {
			return t
		}
	}
	return n.first("resourceType", "ResourceType")
}
