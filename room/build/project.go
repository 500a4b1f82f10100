package build

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Project says how something is built. Its JSON is CodeBuild's.
type Project struct {
	Name               string          `json:"name"`
	ARN                string          `json:"arn"`
	Description        string          `json:"description,omitzero"`
	Source             Source          `json:"source"`
	SecondarySources   []Source        `json:"secondarySources,omitzero"`
	SourceVersion      string          `json:"sourceVersion,omitzero"`
	SecondaryVersions  []SourceVersion `json:"secondarySourceVersions,omitzero"`
	Artifacts          Artifacts       `json:"artifacts"`
	SecondaryArtifacts []Artifacts     `json:"secondaryArtifacts,omitzero"`
	Cache              Cache           `json:"cache,omitzero"`
	Environment        Environment     `json:"environment"`
	ServiceRole        string          `json:"serviceRole,omitzero"`
	Timeout            int             `json:"timeoutInMinutes"`
	QueuedTimeout      int             `json:"queuedTimeoutInMinutes"`
	EncryptionKey      string          `json:"encryptionKey,omitzero"`
	Tags               []Tag           `json:"tags,omitzero"`
	Created            time.Time       `json:"created,omitzero"`
	LastModified       time.Time       `json:"lastModified,omitzero"`
	Webhook            *Webhook        `json:"webhook,omitzero"`
	Badge              *Badge          `json:"badge,omitzero"`
	Logs               *LogsConfig     `json:"logsConfig,omitzero"`
	Batch              *BatchConfig    `json:"buildBatchConfig,omitzero"`
	ConcurrentLimit    int             `json:"concurrentBuildLimit,omitzero"`
	AutoRetryLimit     int             `json:"autoRetryLimit,omitzero"`

	// What CodeBuild has and a build here has no use for: refused unless it says nothing.
	VPC         jsontext.Value `json:"vpcConfig,omitzero"`
	FileSystems jsontext.Value `json:"fileSystemLocations,omitzero"`

	Implicit bool `json:"-"` // nobody made it: it is there because its repository is
}

// Source is where the files of a build come from.
type Source struct {
	Type         string         `json:"type"`
	Location     string         `json:"location,omitzero"` // the repository's name, or its clone address
	CloneDepth   int            `json:"gitCloneDepth,omitzero"`
	Submodules   *Submodules    `json:"gitSubmodulesConfig,omitzero"`
	Buildspec    string         `json:"buildspec,omitzero"` // the text, or a path in the source
	Auth         jsontext.Value `json:"auth,omitzero"`
	ReportStatus *bool          `json:"reportBuildStatus,omitzero"`
	StatusConfig *StatusConfig  `json:"buildStatusConfig,omitzero"`
	InsecureSSL  *bool          `json:"insecureSsl,omitzero"`
	Identifier   string         `json:"sourceIdentifier,omitzero"`
}

// Submodules says whether a source's submodules are wanted.
type Submodules struct {
	Fetch bool `json:"fetchSubmodules"`
}

// StatusConfig is how a build's status is called at a forge.
type StatusConfig struct {
	Context   string `json:"context,omitzero"`
	TargetURL string `json:"targetUrl,omitzero"`
}

// SourceVersion is a version of a secondary source.
type SourceVersion struct {
	Identifier string `json:"sourceIdentifier"`
	Version    string `json:"sourceVersion"`
}

// Artifacts says what becomes of what a build makes.
type Artifacts struct {
	Type               string `json:"type"` // CODEPIPELINE, S3 (kept here), NO_ARTIFACTS
	Location           string `json:"location,omitzero"`
	Path               string `json:"path,omitzero"`
	NamespaceType      string `json:"namespaceType,omitzero"`
	Name               string `json:"name,omitzero"`
	Packaging          string `json:"packaging,omitzero"`
	OverrideName       *bool  `json:"overrideArtifactName,omitzero"`
	EncryptionDisabled *bool  `json:"encryptionDisabled,omitzero"`
	Identifier         string `json:"artifactIdentifier,omitzero"`
	BucketOwnerAccess  string `json:"bucketOwnerAccess,omitzero"`
}

// Cache says whether builds of a project keep what their buildspec names.
type Cache struct {
	Type      string   `json:"type"`
	Location  string   `json:"location,omitzero"`
	Modes     []string `json:"modes,omitzero"`
	Namespace string   `json:"cacheNamespace,omitzero"`
}

// Environment is what a build runs in.
type Environment struct {
	Type            string         `json:"type"`
	Image           string         `json:"image"`
	ComputeType     string         `json:"computeType"`
	ComputeConfig   jsontext.Value `json:"computeConfiguration,omitzero"`
	Fleet           *FleetRef      `json:"fleet,omitzero"`
	Variables       []Variable     `json:"environmentVariables,omitzero"`
	Privileged      *bool          `json:"privilegedMode,omitzero"`
	Certificate     string         `json:"certificate,omitzero"`
	Registry        jsontext.Value `json:"registryCredential,omitzero"`
	PullCredentials string         `json:"imagePullCredentialsType,omitzero"`
	DockerServer    jsontext.Value `json:"dockerServer,omitzero"`
}

// FleetRef names a fleet.
type FleetRef struct {
	ARN string `json:"fleetArn,omitzero"`
}

// Variable is an environment variable of a project or a build.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Type  string `json:"type,omitzero"` // PLAINTEXT, PARAMETER_STORE, SECRETS_MANAGER
}

// The types of variables.
const (
	Plain          = "PLAINTEXT"
	ParameterStore = "PARAMETER_STORE"
	SecretsManager = "SECRETS_MANAGER"
)

// Tag is a tag of a project or a report group.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Badge says that there is none.
type Badge struct {
	Enabled bool `json:"badgeEnabled"`
}

// LogsConfig says where logs go: here, in any case.
type LogsConfig struct {
	CloudWatch *CloudWatchLogs `json:"cloudWatchLogs,omitzero"`
	S3         *S3Logs         `json:"s3Logs,omitzero"`
}

// CloudWatchLogs names the group and the stream that a build's log is called by.
type CloudWatchLogs struct {
	Status string `json:"status"`
	Group  string `json:"groupName,omitzero"`
	Stream string `json:"streamName,omitzero"`
}

// S3Logs are logs in S3, which this server does not write.
type S3Logs struct {
	Status             string `json:"status"`
	Location           string `json:"location,omitzero"`
	EncryptionDisabled *bool  `json:"encryptionDisabled,omitzero"`
	BucketOwnerAccess  string `json:"bucketOwnerAccess,omitzero"`
}

// BatchConfig is how builds in batches are made.
type BatchConfig struct {
	ServiceRole      string             `json:"serviceRole,omitzero"`
	CombineArtifacts *bool              `json:"combineArtifacts,omitzero"`
	Restrictions     *BatchRestrictions `json:"restrictions,omitzero"`
	Timeout          int                `json:"timeoutInMins,omitzero"`
	ReportMode       string             `json:"batchReportMode,omitzero"`
}

// BatchRestrictions bound what a batch may ask for.
type BatchRestrictions struct {
	MaximumBuilds int      `json:"maximumBuildsAllowed,omitzero"`
	ComputeTypes  []string `json:"computeTypesAllowed,omitzero"`
	Fleets        []string `json:"fleetsAllowed,omitzero"`
}

// Webhook says which pushes and pull requests start builds of a project.
type Webhook struct {
	URL          string          `json:"url,omitzero"`
	PayloadURL   string          `json:"payloadUrl,omitzero"`
	BranchFilter string          `json:"branchFilter,omitzero"`
	FilterGroups [][]Filter      `json:"filterGroups,omitzero"`
	BuildType    string          `json:"buildType,omitzero"` // BUILD, BUILD_BATCH
	Policy       *ApprovalPolicy `json:"pullRequestBuildPolicy,omitzero"`
	Status       string          `json:"status,omitzero"`
}

// Filter is one condition of a webhook's filter group.
type Filter struct {
	Type    string `json:"type"`
	Pattern string `json:"pattern"`
	Exclude bool   `json:"excludeMatchedPattern,omitzero"`
}

// ApprovalPolicy says whose pull requests are built only after a comment.
type ApprovalPolicy struct {
	Requires string   `json:"requiresCommentApproval"`
	Roles    []string `json:"approverRoles,omitzero"`
}
