package report

import (
	"slices"
)

// format is one tool's form of report.
type format struct {
	name string
	tool string                 // whose findings these are, unless the report says
	is   func(d *doc) bool      // told by what is in it
	read func(r *reading) error // adds every record; it is called more than once
}

// formats are all that are read. The first that knows a report has it, so that the more
// particular come before the more general.
func formats() []format {
	return []format{
		sarifFormat(), asffFormat(), prowlerOCSFFormat(), ocsfFormat(),
		trivyFormat(), trivyOldFormat(), trivyKubernetesFormat(), grypeFormat(), osvScannerFormat(), snykFormat(), npmAudit6Format(), npmAudit7Format(), yarnAuditFormat(),
		govulncheckFormat(), pipAuditFormat(), cargoAuditFormat(), retireFormat(), clairFormat(), dependencyTrackFormat(),
		dependencyCheckFormat(), dependencyCheckXMLFormat(), cyclonedxFormat(), cyclonedxXMLFormat(), openvexFormat(), csafFormat(), inspectorFormat(), guarddutyFormat(),
		semgrepFormat(), gosecFormat(), banditFormat(), brakemanFormat(), eslintFormat(), njsscanFormat(), bearerFormat(), horusecFormat(), spotbugsFormat(), pmdFormat(), checkmarxFormat(), veracodeFormat(),
		codeScanningFormat(), dependabotFormat(), dependabotAPIFormat(), secretScanningFormat(), gitlabFormat(),
		sonarIssuesFormat(), sonarIssueListFormat(), sonarHotspotsFormat(), sonarHotspotListFormat(), sonarReportFormat(),
		gitleaksFormat(), gitleaks7Format(), gitleaksCSVFormat(), trufflehogFormat(), trufflehog3Format(), detectSecretsFormat(),
		checkovFormat(), kicsFormat(), cfnNagFormat(), terrascanFormat(), tfsecFormat(), conftestFormat(), kubeBenchFormat(), kubescapeFormat(), hadolintFormat(), dockleFormat(),
		prowler3Format(), prowlerCSVFormat(), scoutSuiteFormat(),
		zapFormat(), zapXMLFormat(), burpFormat(), burpAPIFormat(), nessusFormat(), nessusXMLFormat(), openvasFormat(), nmapFormat(), nucleiFormat(), niktoFormat(), niktoXMLFormat(), wapitiFormat(), wapitiXMLFormat(), wpscanFormat(), testsslFormat(),
		wazuhFormat(), defectDojoFormat(), defectDojoCSVFormat(), genericFormat(),
	}
}

// recognise is the format that knows the report; a mapping reads what no other does, and CSV in any case.
func recognise(d *doc, o Options) *format {
	if o.Mapping != nil {
		f := o.Mapping.format()
		return &f
	}
	if d.emptyList() {
		return &format{name: "empty-list", tool: o.Tool, read: func(*reading) error { return nil }}
	}
	for _, f := range formats() {
		if f.is(d) {
			return &f
		}
	}
	return nil
}

// object tells whether the report is a JSON object, or a list of such, with all of the members.
func (d *doc) object(members ...string) bool {
	if d.kind != isJSON {
		return false
	}
	for _, m := range members {
		if !d.members[m] {
			return false
		}
	}
	return true
}

// one tells the same of an object that stands alone.
func (d *doc) one(members ...string) bool { return !d.list && d.object(members...) }

// many tells the same of a list.
func (d *doc) many(members ...string) bool { return d.list && d.object(members...) }

func (d *doc) table(columns ...string) bool {
	if d.kind != isCSV {
		return false
	}
	for _, c := range columns {
		if !slices.Contains(d.columns, c) {
			return false
		}
	}
	return true
}

func (d *doc) xmlRoot(name string) bool { return d.kind == isXML && d.root == name }

// emptyList tells whether the report is [], which several tools write when they found nothing: it says not whose it is.
func (d *doc) emptyList() bool { return d.kind == isJSON && d.list && d.roots == 1 && !d.head.is() }
