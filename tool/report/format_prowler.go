package report

import (
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

func prowler3Format() format {
	return format{name: "prowler-v3-json", tool: "prowler", is: func(d *doc) bool {
		return d.object("FindingUniqueId", "CheckID")
	}, read: func(r *reading) error {
		return r.each("[]", func(_ []string, n node) error {
			return r.addProwler(prowlerRow{
				check: n.text("CheckID"), title: n.text("CheckTitle"), status: n.text("Status"), text: joined("\n", n.text("StatusExtended"), n.text("Risk")), severity: n.text("Severity"),
				resource: n.first("ResourceArn", "ResourceId"), region: n.text("Region"), account: n.text("AccountId"),
				fix: n.text("Remediation", "Recommendation", "Text"), url: or(n.text("Remediation", "Recommendation", "Url"), n.text("RelatedUrl")), compliance: requirements(n.at("Compliance")),
			})
		})
	}}
}

func prowlerCSVFormat() format {
	return format{name: "prowler-csv", tool: "prowler", is: func(d *doc) bool {
		return d.table("CHECK_ID", "FINDING_UID", "STATUS")
	}, read: func(r *reading) error {
		return r.each("", func(_ []string, n node) error {
			r.told.Version = or(r.told.Version, n.text("PROWLER_VERSION"))
			return r.addProwler(prowlerRow{
				check: n.text("CHECK_ID"), title: n.text("CHECK_TITLE"), status: n.text("STATUS"), text: joined("\n", n.text("STATUS_EXTENDED"), n.text("RISK")), severity: n.text("SEVERITY"),
				resource: n.first("RESOURCE_UID", "RESOURCE_NAME"), region: n.text("REGION"), account: n.text("ACCOUNT_UID"),
				fix: n.text("REMEDIATION_RECOMMENDATION_TEXT"), url: n.first("REMEDIATION_RECOMMENDATION_URL", "RELATED_URL"), compliance: n.text("COMPLIANCE"), muted: n.yes("MUTED"),
			})
		})
	}}
}

type prowlerRow struct {
	check, title, status, text, severity, resource, region, account, fix, url, compliance string
	muted                                                                                 bool
}

func (r *reading) addProwler(p prowlerRow) error {
	if strings.HasPrefix(strings.ToUpper(p.status), "PASS") || strings.EqualFold(p.status, "INFO") {
		r.passed()
		return nil
	}
	rec := record{
		rule: p.check, title: p.title, text: p.text, severity: p.severity, resource: p.resource, region: p.region, account: p.account,
		fix: p.fix, url: p.url, status: finding.Failed, key: []string{p.account, p.region, p.resource},
		fields: map[string]string{"compliance": p.compliance, "status": p.status},
	}
	if p.muted {
		rec.suppressed, rec.why = true, "muted"
	}
	return r.add(rec)
}
