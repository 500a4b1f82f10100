package structure

import "strings"

// The categories of actions.
const (
	Source   = "Source"
	Build    = "Build"
	Test     = "Test"
	Deploy   = "Deploy"
	Approval = "Approval"
	Invoke   = "Invoke"
	Compute  = "Compute"
)

// Property is a key of an action's or a rule's configuration.
type Property struct {
	Name     string
	Required bool
	Values   []string // the only ones there are, or nil for any
	About    string
}

// Type is what is known of a type of actions or rules.
type Type struct {
	ID         TypeID
	Inputs     [2]int // least and most artifacts
	Outputs    [2]int
	Properties []Property
	Open       bool     // other keys are kept, and mean nothing here
	Variables  []string // that it gives; nil is any
	Commands   bool     // it has commands, and must
	Refused    string   // why nothing of this type runs here, or ""
}

func id(text string) TypeID {
	p := strings.Split(text, "/")
	return TypeID{Category: p[0], Owner: p[1], Provider: p[2], Version: "1"}
}

func keys(text string) (all []Property) {
	for name := range strings.FieldsSeq(text) {
		name, required := strings.CutSuffix(name, "!")
		name, values, some := strings.Cut(name, "=")
		p := Property{Name: name, Required: required}
		if some {
			p.Values = strings.Split(values, "|")
		}
		all = append(all, p)
	}
	return all
}

const noDeployment = "deployments come to Haechi later: an action that invokes a webhook can start one elsewhere until then"

// Types are the types of actions that come with Haechi, and those of AWS that
// are known and refused. A trailing ! says that a key must be given.
func Types() []Type {
	return []Type{
		{ID: id("Source/AWS/CodeCommit"), Outputs: [2]int{1, 1}, Properties: keys("RepositoryName BranchName PollForSourceChanges=true|false OutputArtifactFormat=CODE_ZIP|CODEBUILD_CLONE_REF"), Variables: sourceVariables()},
		{ID: id("Source/AWS/CodeStarSourceConnection"), Outputs: [2]int{1, 1}, Properties: keys("ConnectionArn FullRepositoryId BranchName OutputArtifactFormat=CODE_ZIP|CODEBUILD_CLONE_REF DetectChanges=true|false"), Variables: append(sourceVariables(), "ConnectionArn", "FullRepositoryName")},
		{ID: id("Build/AWS/CodeBuild"), Inputs: [2]int{1, 5}, Outputs: [2]int{0, 5}, Properties: keys("ProjectName PrimarySource BatchEnabled=true|false CombineArtifacts=true|false EnvironmentVariables BuildspecOverride")},
		{ID: id("Test/AWS/CodeBuild"), Inputs: [2]int{1, 5}, Outputs: [2]int{0, 5}, Properties: keys("ProjectName PrimarySource BatchEnabled=true|false CombineArtifacts=true|false EnvironmentVariables BuildspecOverride")},
		{ID: id("Compute/AWS/Commands"), Inputs: [2]int{1, 10}, Outputs: [2]int{0, 1}, Commands: true},
		{ID: id("Approval/AWS/Manual"), Properties: keys("NotificationArn CustomData ExternalEntityLink RequiredApprovals SeparationOfDuties=true|false"), Variables: []string{}},
		{ID: id("Invoke/AWS/InspectorScan"), Inputs: [2]int{1, 1}, Outputs: [2]int{0, 1}, Properties: keys("InspectorRunMode=SourceCodeScan|ECRImageScan! ECRRepositoryName ImageTag CriticalThreshold HighThreshold MediumThreshold LowThreshold"), Variables: []string{"HighestScannedSeverity"}},
		{ID: id("Invoke/AWS/Lambda"), Inputs: [2]int{0, 5}, Outputs: [2]int{0, 5}, Properties: keys("FunctionName! UserParameters")},
		{ID: id("Invoke/AWS/CodePipeline"), Properties: keys("PipelineName! SourceRevisions Variables WaitForEnd=true|false"), Variables: []string{"PipelineExecutionId"}},
		{ID: id("Test/ThirdParty/HaechiScan"), Inputs: [2]int{1, 1}, Variables: scanVariables()},
		{ID: id("Test/ThirdParty/HaechiGuard"), Inputs: [2]int{1, 1}, Properties: keys("Rules"), Variables: scanVariables()},
		{ID: id("Test/ThirdParty/HaechiGate"), Inputs: [2]int{0, 5}, Properties: keys("Policy"), Variables: scanVariables()},
		{ID: id("Build/ThirdParty/HaechiSBOM"), Inputs: [2]int{1, 1}, Outputs: [2]int{0, 1}, Properties: keys("Format=cyclonedx|spdx"), Variables: []string{"Components"}},
		{ID: id("Invoke/ThirdParty/HaechiNotify"), Properties: keys("Message! Subject"), Variables: []string{}},
		{ID: id("Invoke/ThirdParty/HaechiWebhook"), Properties: keys("Name! Body"), Variables: []string{"StatusCode"}},
		{ID: id("Source/AWS/S3"), Outputs: [2]int{1, 1}, Properties: keys("S3Bucket! S3ObjectKey! PollForSourceChanges=true|false AllowOverrideForS3ObjectKey=false"), Variables: []string{"BucketName", "ETag", "ObjectKey", "VersionId"}},
		{ID: id("Source/AWS/ECR"), Outputs: [2]int{1, 1}, Open: true, Refused: "the registry comes to Haechi later"},
		{ID: id("Source/ThirdParty/GitHub"), Outputs: [2]int{1, 1}, Open: true, Refused: "mirror the repository here, and name it in Source/AWS/CodeStarSourceConnection"},
		{ID: id("Build/AWS/ECRBuildAndPublish"), Inputs: [2]int{1, 1}, Outputs: [2]int{0, 1}, Open: true, Refused: "building images comes to Haechi later"},
		{ID: id("Deploy/AWS/CodeDeploy"), Inputs: [2]int{1, 1}, Open: true, Refused: noDeployment},
		{ID: id("Deploy/AWS/S3"), Inputs: [2]int{1, 1}, Open: true, Refused: noDeployment},
		{ID: id("Deploy/AWS/EKS"), Inputs: [2]int{1, 1}, Open: true, Refused: noDeployment},
		{ID: id("Deploy/AWS/ECS"), Inputs: [2]int{1, 1}, Open: true, Refused: noDeployment},
		{ID: id("Deploy/AWS/CloudFormation"), Inputs: [2]int{0, 10}, Outputs: [2]int{0, 1}, Open: true, Refused: noDeployment},
		{ID: id("Deploy/AWS/ElasticBeanstalk"), Inputs: [2]int{1, 1}, Open: true, Refused: noDeployment},
	}
}

func sourceVariables() []string {
	return []string{"RepositoryName", "BranchName", "CommitId", "AuthorDate", "AuthorDisplayName", "AuthorEmail", "AuthorId", "CommitterDate", "CommitMessage", "TagName", "PullRequestId"}
}

func scanVariables() []string {
	return []string{"HighestSeverity", "Findings", "NewFindings"}
}

// RuleTypes are the types of rules.
func RuleTypes() []Type {
	return []Type{
		{ID: id("Rule/AWS/VariableCheck"), Properties: keys("Variable! Value! Operator=EQ|NE|CONTAINS|MATCHES!")},
		{ID: id("Rule/AWS/DeploymentWindow"), Properties: keys("Cron! TimeZone")},
		{ID: id("Rule/AWS/LambdaInvoke"), Inputs: [2]int{0, 5}, Properties: keys("FunctionName! UserParameters")},
		{ID: id("Rule/AWS/CodeBuild"), Inputs: [2]int{1, 5}, Properties: keys("ProjectName PrimarySource BatchEnabled=true|false CombineArtifacts=true|false EnvironmentVariables BuildspecOverride")},
		{ID: id("Rule/AWS/Commands"), Inputs: [2]int{1, 10}, Commands: true},
		{ID: id("Rule/AWS/CloudWatchAlarm"), Properties: keys("AlarmName! AlarmStates WaitTime"), Refused: "there are no alarms here: use LambdaInvoke with a webhook that knows"},
	}
}

func find(types []Type, want TypeID) (Type, bool) {
	for _, t := range types {
		if t.ID == want {
			return t, true
		}
	}
	return Type{}, false
}
