package hub

import "strings"

// kind is what values an attribute has, and so what conditions.
type kind int

const (
	isText kind = iota
	isNumber
	isDate
	isMap
	isIP
	isKeyword
	isBool
)

// attribute is one of the things findings are filtered, sorted and grouped by.
type attribute struct {
	name      string
	kind      kind
	path      []string // members on the way to it; lists on the way are walked through
	criterion bool     // automation rules know it
}

// attributes are all that GetFindings knows, by name.
var attributes = func() map[string]*attribute {
	all := map[string]*attribute{}
	add := func(k kind, table string) {
		for line := range strings.Lines(table) {
			f := strings.Fields(line)
			if len(f) == 0 {
				continue
			}
			name, path := f[0], f[0]
			if len(f) > 1 {
				path = f[1]
			}
			a := &attribute{name: name, kind: k, criterion: strings.Contains(criteria, " "+name+" ")}
			if path != "*" {
				a.path = strings.Split(path, ".")
			}
			all[name] = a
		}
	}
	add(isText, textAttributes)
	add(isDate, dateAttributes)
	add(isNumber, numberAttributes)
	add(isIP, addressAttributes)
	add(isMap, mapAttributes)
	add(isKeyword, "Keyword *")
	add(isBool, "Sample")
	return all
}()

// Name and path, where the path is not the name.
const textAttributes = `
ProductArn
AwsAccountId
Id
GeneratorId
Region
Type Types
SeverityLabel Severity.Label
Title
Description
RecommendationText Remediation.Recommendation.Text
SourceUrl
ProductName
CompanyName
MalwareName Malware.Name
MalwareType Malware.Type
MalwarePath Malware.Path
MalwareState Malware.State
NetworkDirection Network.Direction
NetworkProtocol Network.Protocol
NetworkSourceDomain Network.SourceDomain
NetworkSourceMac Network.SourceMac
NetworkDestinationDomain Network.DestinationDomain
ProcessName Process.Name
ProcessPath Process.Path
ThreatIntelIndicatorType ThreatIntelIndicators.Type
ThreatIntelIndicatorValue ThreatIntelIndicators.Value
ThreatIntelIndicatorCategory ThreatIntelIndicators.Category
ThreatIntelIndicatorSource ThreatIntelIndicators.Source
ThreatIntelIndicatorSourceUrl ThreatIntelIndicators.SourceUrl
ResourceType Resources.Type
ResourceId Resources.Id
ResourcePartition Resources.Partition
ResourceRegion Resources.Region
ResourceAwsEc2InstanceType Resources.Details.AwsEc2Instance.Type
ResourceAwsEc2InstanceImageId Resources.Details.AwsEc2Instance.ImageId
ResourceAwsEc2InstanceKeyName Resources.Details.AwsEc2Instance.KeyName
ResourceAwsEc2InstanceIamInstanceProfileArn Resources.Details.AwsEc2Instance.IamInstanceProfileArn
ResourceAwsEc2InstanceVpcId Resources.Details.AwsEc2Instance.VpcId
ResourceAwsEc2InstanceSubnetId Resources.Details.AwsEc2Instance.SubnetId
ResourceAwsS3BucketOwnerId Resources.Details.AwsS3Bucket.OwnerId
ResourceAwsS3BucketOwnerName Resources.Details.AwsS3Bucket.OwnerName
ResourceAwsIamAccessKeyUserName Resources.Details.AwsIamAccessKey.UserName
ResourceAwsIamAccessKeyPrincipalName Resources.Details.AwsIamAccessKey.PrincipalName
ResourceAwsIamAccessKeyStatus Resources.Details.AwsIamAccessKey.Status
ResourceAwsIamUserUserName Resources.Details.AwsIamUser.UserName
ResourceContainerName Resources.Details.Container.Name
ResourceContainerImageId Resources.Details.Container.ImageId
ResourceContainerImageName Resources.Details.Container.ImageName
ComplianceStatus Compliance.Status
VerificationState
WorkflowState
WorkflowStatus Workflow.Status
RecordState
RelatedFindingsProductArn RelatedFindings.ProductArn
RelatedFindingsId RelatedFindings.Id
NoteText Note.Text
NoteUpdatedBy Note.UpdatedBy
FindingProviderFieldsRelatedFindingsId FindingProviderFields.RelatedFindings.Id
FindingProviderFieldsRelatedFindingsProductArn FindingProviderFields.RelatedFindings.ProductArn
FindingProviderFieldsSeverityLabel FindingProviderFields.Severity.Label
FindingProviderFieldsSeverityOriginal FindingProviderFields.Severity.Original
FindingProviderFieldsTypes FindingProviderFields.Types
ComplianceSecurityControlId Compliance.SecurityControlId
ComplianceAssociatedStandardsId Compliance.AssociatedStandards.StandardsId
VulnerabilitiesExploitAvailable Vulnerabilities.ExploitAvailable
VulnerabilitiesFixAvailable Vulnerabilities.FixAvailable
ComplianceSecurityControlParametersName Compliance.SecurityControlParameters.Name
ComplianceSecurityControlParametersValue Compliance.SecurityControlParameters.Value
AwsAccountName
ResourceApplicationName Resources.ApplicationName
ResourceApplicationArn Resources.ApplicationArn
`

const dateAttributes = `
FirstObservedAt
LastObservedAt
CreatedAt
UpdatedAt
ProcessLaunchedAt Process.LaunchedAt
ProcessTerminatedAt Process.TerminatedAt
ThreatIntelIndicatorLastObservedAt ThreatIntelIndicators.LastObservedAt
ResourceAwsEc2InstanceLaunchedAt Resources.Details.AwsEc2Instance.LaunchedAt
ResourceAwsIamAccessKeyCreatedAt Resources.Details.AwsIamAccessKey.CreatedAt
ResourceContainerLaunchedAt Resources.Details.Container.LaunchedAt
NoteUpdatedAt Note.UpdatedAt
`

const numberAttributes = `
SeverityProduct Severity.Product
SeverityNormalized Severity.Normalized
Confidence
Criticality
NetworkSourcePort Network.SourcePort
NetworkDestinationPort Network.DestinationPort
ProcessPid Process.Pid
ProcessParentPid Process.ParentPid
FindingProviderFieldsConfidence FindingProviderFields.Confidence
FindingProviderFieldsCriticality FindingProviderFields.Criticality
`

const addressAttributes = `
NetworkSourceIpV4 Network.SourceIpV4
NetworkSourceIpV6 Network.SourceIpV6
NetworkDestinationIpV4 Network.DestinationIpV4
NetworkDestinationIpV6 Network.DestinationIpV6
ResourceAwsEc2InstanceIpV4Addresses Resources.Details.AwsEc2Instance.IpV4Addresses
ResourceAwsEc2InstanceIpV6Addresses Resources.Details.AwsEc2Instance.IpV6Addresses
`

const mapAttributes = `
ProductFields
UserDefinedFields
ResourceTags Resources.Tags
ResourceDetailsOther Resources.Details.Other
`

// criteria are the attributes that automation rules know.
const criteria = " ProductArn AwsAccountId Id GeneratorId Type FirstObservedAt LastObservedAt CreatedAt UpdatedAt Confidence Criticality Title Description SourceUrl ProductName CompanyName " +
	"SeverityLabel ResourceType ResourceId ResourcePartition ResourceRegion ResourceTags ResourceDetailsOther ComplianceStatus ComplianceSecurityControlId ComplianceAssociatedStandardsId " +
	"VerificationState WorkflowStatus RecordState RelatedFindingsProductArn RelatedFindingsId NoteText NoteUpdatedAt NoteUpdatedBy UserDefinedFields ResourceApplicationArn ResourceApplicationName AwsAccountName "
