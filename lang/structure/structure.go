// Package structure reads pipelines that are written down as CodePipeline has them, checks them, and answers what they say of triggers, variables and conditions.
//
// A Pipeline's JSON is CodePipeline's own: what GetPipeline gives, CreatePipeline takes.
// The one member besides is "haechi": what CodePipeline has no word for.
package structure

import (
	"cmp"
	"time"
)

// Pipeline is a pipeline's structure.
type Pipeline struct {
	Name           string                   `json:"name" yaml:"name"`
	RoleARN        string                   `json:"roleArn,omitzero" yaml:"roleArn"`
	ArtifactStore  *ArtifactStore           `json:"artifactStore,omitzero" yaml:"artifactStore"`
	ArtifactStores map[string]ArtifactStore `json:"artifactStores,omitzero" yaml:"artifactStores"` // by region
	Stages         []Stage                  `json:"stages" yaml:"stages"`
	Version        int                      `json:"version,omitzero" yaml:"version"`
	ExecutionMode  string                   `json:"executionMode,omitzero" yaml:"executionMode"` // Superseded, Queued or Parallel
	PipelineType   string                   `json:"pipelineType,omitzero" yaml:"pipelineType"`   // V1 or V2
	Variables      []Variable               `json:"variables,omitzero" yaml:"variables"`
	Triggers       []Trigger                `json:"triggers,omitzero" yaml:"triggers"`
	Haechi         *Haechi                  `json:"haechi,omitzero" yaml:"haechi"`
}

// What happens to a run that comes while another is under way.
const (
	Superseded = "SUPERSEDED" // it overtakes what waits before a stage
	Queued     = "QUEUED"     // it waits until the other has ended
	Parallel   = "PARALLEL"   // they know nothing of each other
)

// ArtifactStore is where artifacts would lie at AWS. It is kept, and nothing is done with it.
type ArtifactStore struct {
	Type          string         `json:"type" yaml:"type"`
	Location      string         `json:"location" yaml:"location"`
	EncryptionKey *EncryptionKey `json:"encryptionKey,omitzero" yaml:"encryptionKey"`
}

// EncryptionKey is what a store would be encrypted with.
type EncryptionKey struct {
	ID   string `json:"id" yaml:"id"`
	Type string `json:"type" yaml:"type"`
}

// Variable is what whoever starts a run may set.
type Variable struct {
	Name        string `json:"name" yaml:"name"`
	Default     string `json:"defaultValue,omitzero" yaml:"defaultValue"`
	Description string `json:"description,omitzero" yaml:"description"`
}

// Stage is a step of a pipeline.
type Stage struct {
	Name     string      `json:"name" yaml:"name"`
	Blockers []Blocker   `json:"blockers,omitzero" yaml:"blockers"`
	Actions  []Action    `json:"actions" yaml:"actions"`
	Entry    *Conditions `json:"beforeEntry,omitzero" yaml:"beforeEntry"`
	Success  *Conditions `json:"onSuccess,omitzero" yaml:"onSuccess"`
	Failure  *Failure    `json:"onFailure,omitzero" yaml:"onFailure"`
}

// Blocker is reserved by CodePipeline; it is kept, and blocks nothing.
type Blocker struct {
	Name string `json:"name" yaml:"name"`
	Type string `json:"type" yaml:"type"`
}

// Conditions must hold before a stage begins, or after it succeeded.
type Conditions struct {
	Conditions []Condition `json:"conditions" yaml:"conditions"`
}

// Failure says what happens when a stage fails.
type Failure struct {
	Result     string      `json:"result,omitzero" yaml:"result"`
	Retry      *Retry      `json:"retryConfiguration,omitzero" yaml:"retryConfiguration"`
	Conditions []Condition `json:"conditions,omitzero" yaml:"conditions"`
}

// Retry says what of a stage is tried again.
type Retry struct {
	Mode string `json:"retryMode,omitzero" yaml:"retryMode"` // FailedActions or AllActions
}

// What is tried again of a stage that failed.
const (
	FailedActions = "FAILED_ACTIONS"
	AllActions    = "ALL_ACTIONS"
)

// Condition is rules that all must be met. If one is not, Result takes effect.
type Condition struct {
	Result string `json:"result,omitzero" yaml:"result"`
	Rules  []Rule `json:"rules,omitzero" yaml:"rules"`
}

// What a condition that is not met does.
const (
	Fail     = "FAIL"
	Skip     = "SKIP"
	Rollback = "ROLLBACK"
	TryAgain = "RETRY"
)

// Rule is one rule of a condition.
type Rule struct {
	Name          string            `json:"name" yaml:"name"`
	Type          TypeID            `json:"ruleTypeId" yaml:"ruleTypeId"`
	Configuration map[string]string `json:"configuration,omitzero" yaml:"configuration"`
	Commands      []string          `json:"commands,omitzero" yaml:"commands"`
	Inputs        []Input           `json:"inputArtifacts,omitzero" yaml:"inputArtifacts"`
	RoleARN       string            `json:"roleArn,omitzero" yaml:"roleArn"`
	Region        string            `json:"region,omitzero" yaml:"region"`
	Minutes       int               `json:"timeoutInMinutes,omitzero" yaml:"timeoutInMinutes"`
}

// Action is what is done in a stage.
type Action struct {
	Name            string            `json:"name" yaml:"name"`
	Type            TypeID            `json:"actionTypeId" yaml:"actionTypeId"`
	RunOrder        int               `json:"runOrder,omitzero" yaml:"runOrder"`
	Configuration   map[string]string `json:"configuration,omitzero" yaml:"configuration"`
	Commands        []string          `json:"commands,omitzero" yaml:"commands"`
	Environment     []Environment     `json:"environmentVariables,omitzero" yaml:"environmentVariables"`
	Outputs         []Output          `json:"outputArtifacts,omitzero" yaml:"outputArtifacts"`
	Inputs          []Input           `json:"inputArtifacts,omitzero" yaml:"inputArtifacts"`
	OutputVariables []string          `json:"outputVariables,omitzero" yaml:"outputVariables"`
	RoleARN         string            `json:"roleArn,omitzero" yaml:"roleArn"`
	Region          string            `json:"region,omitzero" yaml:"region"`
	Namespace       string            `json:"namespace,omitzero" yaml:"namespace"`
	Minutes         int               `json:"timeoutInMinutes,omitzero" yaml:"timeoutInMinutes"`
}

// TypeID names a type of actions, or of rules.
type TypeID struct {
	Category string `json:"category" yaml:"category"`
	Owner    string `json:"owner,omitzero" yaml:"owner"`
	Provider string `json:"provider" yaml:"provider"`
	Version  string `json:"version,omitzero" yaml:"version"`
}

// String is category/owner/provider/version.
func (t TypeID) String() string {
	return t.Category + "/" + t.Owner + "/" + t.Provider + "/" + t.Version
}

// Environment is a variable that an action's commands find in their environment.
type Environment struct {
	Name  string `json:"name" yaml:"name"`
	Value string `json:"value" yaml:"value"`
	Type  string `json:"type,omitzero" yaml:"type"` // PLAINTEXT or SECRETS_MANAGER
}

// Input is an artifact that an action takes.
type Input struct {
	Name string `json:"name" yaml:"name"`
}

// Output is an artifact that an action makes.
type Output struct {
	Name  string   `json:"name" yaml:"name"`
	Files []string `json:"files,omitzero" yaml:"files"` // of an action with commands
}

// Haechi is what CodePipeline has no word for.
type Haechi struct {
	// On are triggers besides pushes and pull requests.
	On []On `json:"on,omitzero" yaml:"on"`
	// Walls is the lowest level of isolation that steps may run at, as the sandbox calls it; "" is the server's.
	Walls string `json:"walls,omitzero" yaml:"walls"`
}

// On is one thing that starts a run: a time, a pipeline that ended, or an image that
// came. Any other event can start one as a route's target.
type On struct {
	Schedule string   `json:"schedule,omitzero" yaml:"schedule"` // rate(…) or cron(…), as EventBridge has them
	Pipeline string   `json:"pipeline,omitzero" yaml:"pipeline"` // one that ended
	States   []string `json:"states,omitzero" yaml:"states"`     // how it did; SUCCEEDED unless it is said
	Artifact string   `json:"artifact,omitzero" yaml:"artifact"` // a registry's repository to which something was pushed
	Tags     *Filter  `json:"tags,omitzero" yaml:"tags"`         // of the artifact
}

// Trigger says which pushes and pull requests start a run.
type Trigger struct {
	Provider string `json:"providerType" yaml:"providerType"` // CodeStarSourceConnection
	Git      Git    `json:"gitConfiguration" yaml:"gitConfiguration"`
}

// Git is the filters of one source. It is enough that one of them lets an event through.
type Git struct {
	Source string        `json:"sourceActionName" yaml:"sourceActionName"`
	Push   []Push        `json:"push,omitzero" yaml:"push"`
	Pull   []PullRequest `json:"pullRequest,omitzero" yaml:"pullRequest"`
}

// Push lets pushes through: all that it says must hold.
type Push struct {
	Branches *Filter `json:"branches,omitzero" yaml:"branches"`
	Tags     *Filter `json:"tags,omitzero" yaml:"tags"`
	Files    *Filter `json:"filePaths,omitzero" yaml:"filePaths"`
}

// PullRequest lets pull requests through: all that it says must hold.
type PullRequest struct {
	Events   []string `json:"events,omitzero" yaml:"events"`     // Opened, Updated, Closed, Merged; none is all
	Branches *Filter  `json:"branches,omitzero" yaml:"branches"` // that are merged into
	Files    *Filter  `json:"filePaths,omitzero" yaml:"filePaths"`
}

// What happens to pull requests. Merged is ours: CodePipeline's Closed is any end.
const (
	Opened  = "OPEN"
	Updated = "UPDATED"
	Closed  = "CLOSED"
	Merged  = "MERGED"
)

// Order is the action's place within its stage, from 1.
func (a Action) Order() int { return cmp.Or(a.RunOrder, 1) }

// Timeout is how long the action may take, or 0 where it does not say.
func (a Action) Timeout() time.Duration { return time.Duration(a.Minutes) * time.Minute }

// Timeout is how long the rule may take, or 0 where it does not say.
func (r Rule) Timeout() time.Duration { return time.Duration(r.Minutes) * time.Minute }

// Stage is the stage of that name, or nil.
func (p *Pipeline) Stage(name string) *Stage {
	for i := range p.Stages {
		if p.Stages[i].Name == name {
			return &p.Stages[i]
		}
	}
	return nil
}

// Sources are the actions that a pipeline begins with.
func (p *Pipeline) Sources() (all []Action) {
	for _, s := range p.Stages[:min(len(p.Stages), 1)] {
		for _, a := range s.Actions {
			if a.Type.Category == Source {
				all = append(all, a)
			}
		}
	}
	return all
}

// complete says what was left to the defaults.
func (p *Pipeline) complete() {
	p.ExecutionMode, p.PipelineType, p.Version = cmp.Or(p.ExecutionMode, Superseded), cmp.Or(p.PipelineType, "V2"), cmp.Or(p.Version, 1)
	for i := range p.Stages {
		s := &p.Stages[i]
		for j := range s.Actions {
			a := &s.Actions[j]
			a.RunOrder = a.Order()
			a.Type.Owner, a.Type.Version = cmp.Or(a.Type.Owner, "AWS"), cmp.Or(a.Type.Version, "1")
		}
		for _, conditions := range [][]Condition{s.Entry.all(), s.Success.all(), s.Failure.all()} {
			for k := range conditions {
				for l := range conditions[k].Rules {
					t := &conditions[k].Rules[l].Type
					t.Category, t.Owner, t.Version = cmp.Or(t.Category, "Rule"), cmp.Or(t.Owner, "AWS"), cmp.Or(t.Version, "1")
				}
			}
		}
	}
}

func (c *Conditions) all() []Condition {
	if c == nil {
		return nil
	}
	return c.Conditions
}

func (f *Failure) all() []Condition {
	if f == nil {
		return nil
	}
	return f.Conditions
}
