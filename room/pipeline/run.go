package pipeline

import (
	"time"

	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/finding"
)

// Status is how a run, a stage or an action stands, in CodePipeline's words.
type Status string

const (
	Waiting    Status = "Waiting" // for what comes before it
	InProgress Status = "InProgress"
	Stopping   Status = "Stopping"
	Stopped    Status = "Stopped"
	Succeeded  Status = "Succeeded"
	Failed     Status = "Failed"
	Skipped    Status = "Skipped"
	Superseded Status = "Superseded" // a run that a later one has overtaken
	Abandoned  Status = "Abandoned"  // an action that nobody waited for
)

// Ended tells whether nothing will change any more.
func (s Status) Ended() bool {
	switch s {
	case Stopped, Succeeded, Failed, Skipped, Superseded, Abandoned:
		return true
	}
	return false
}

// What kind of run one is: ExecutionType.
const (
	Standard = "STANDARD"
	Rollback = "ROLLBACK" // of one stage, back to what an earlier run brought there
)

// Execution is one run of a pipeline.
type Execution struct {
	ID         string                `json:"id"`
	Pipeline   string                `json:"pipeline"`
	Version    int                   `json:"version,omitzero"` // of the structure that it goes by
	Number     int64                 `json:"number"`           // from 1, within the pipeline
	Mode       string                `json:"mode,omitzero"`    // structure.Queued …
	Kind       string                `json:"kind,omitzero"`    // Standard or Rollback
	Origin     Origin                `json:"origin,omitzero"`  // where its structure is from
	Repository string                `json:"repository"`       // of its first source
	Branch     string                `json:"branch"`           // refs/tags/NAME for a tag
	Commit     string                `json:"commit"`
	Before     string                `json:"before,omitzero"`    // where the branch was
	Protected  bool                  `json:"protected,omitzero"` // the branch is
	Pull       string                `json:"pullRequest,omitzero"`
	Who        string                `json:"who,omitzero"` // ARN of the one who pushed or started it
	Author     string                `json:"author,omitzero"`
	Authors    []string              `json:"authors,omitzero"` // names and addresses of all who wrote what it brings, ARNs of who pushed it
	Subject    string                `json:"subject,omitzero"` // of the commit
	Base       string                `json:"base,omitzero"`    // commit that findings are compared with
	Trigger    Trigger               `json:"trigger,omitzero"`
	Variables  map[string]string     `json:"variables,omitzero"` // the pipeline's own
	Revisions  map[string]string     `json:"revisions,omitzero"` // commits that sources were told to take, by action
	Target     string                `json:"target,omitzero"`    // run that a rollback goes back to
	Parent     *Parent               `json:"parent,omitzero"`    // the action that waits for its end
	Walls      string                `json:"walls,omitzero"`     // lowest level of isolation that its pipeline allows
	Attempt    int                   `json:"attempt"`            // from 1; counted up by Retry
	Status     Status                `json:"status"`
	Created    time.Time             `json:"created"`
	Started    time.Time             `json:"started,omitzero"`
	Changed    time.Time             `json:"changed,omitzero"` // when anything did last
	Ended      time.Time             `json:"ended,omitzero"`
	StoppedBy  string                `json:"stoppedBy,omitzero"` // why, and by whom
	Abandon    bool                  `json:"abandon,omitzero"`   // it was stopped without waiting for what was at work
	Level      string                `json:"level,omitzero"`     // of the sandbox that it was built in
	Stages     []Stage               `json:"stages"`
	Artifacts  []Artifact            `json:"artifacts,omitzero"` // made so far
	Values     structure.Values      `json:"values,omitzero"`    // variables given so far, by namespace
	Reasons    []Reason              `json:"reasons,omitzero"`   // why it failed
	Findings   map[finding.Label]int `json:"findings,omitzero"`
	Fresh      map[finding.Label]int `json:"fresh,omitzero"` // of them, those that the base has not
	Gated      bool                  `json:"gated,omitzero"` // a gate has judged its commit, and let it pass
	Proposals  []string              `json:"proposals,omitzero"`

	kept []byte // as it was read
	news []news // what became of its parts since it was read
}

// Origin says where the structure of a pipeline is from.
type Origin string

const (
	FromNothing Origin = "default" // every repository has a pipeline
	FromFile    Origin = "file"    // its default branch has one in DefinitionFile
	FromAPI     Origin = "api"     // somebody made it
)

// Trigger is what started a run: CodePipeline's trigger types, and what they say.
type Trigger struct {
	Type   string `json:"type"`
	Detail string `json:"detail,omitzero"`
}

// Parent is the action that started a run and waits for its end.
type Parent struct {
	Execution string `json:"execution"`
	Action    string `json:"action"` // its ID
}

// Stage is a step of a run; the next one begins when it succeeded.
type Stage struct {
	Name    string             `json:"name"`
	Status  Status             `json:"status"`
	Entered time.Time          `json:"entered,omitzero"`
	Ended   time.Time          `json:"ended,omitzero"`
	Held    string             `json:"held,omitzero"` // why it has not begun
	Entry   *Condition         `json:"entry,omitzero"`
	Success *Condition         `json:"success,omitzero"`
	Failure *Condition         `json:"failure,omitzero"`
	OnFail  *structure.Failure `json:"onFailure,omitzero"`
	Auto    int                `json:"autoRetries,omitzero"`
	Manual  int                `json:"manualRetries,omitzero"`
	Retried string             `json:"retried,omitzero"` // AutomatedStageRetry or ManualStageRetry, whichever was last
	Actions []Action           `json:"actions"`
	Past    []Action           `json:"past,omitzero"` // of attempts before, the oldest first

	PastRules []Rule `json:"pastRules,omitzero"` // of conditions that were asked before, the oldest first
}

// Action is what is done in a stage.
type Action struct {
	ID        string                  `json:"id,omitzero"` // of this attempt, once it has begun
	Name      string                  `json:"name"`        // unique within its stage
	Runner    string                  `json:"runner"`      // what does it, in a word
	Type      structure.TypeID        `json:"type,omitzero"`
	Order     int                     `json:"runOrder,omitzero"`
	Asked     map[string]string       `json:"configuration,omitzero"`         // as it is written
	Config    map[string]string       `json:"resolvedConfiguration,omitzero"` // with its variables put in
	Commands  []string                `json:"commands,omitzero"`
	Env       []structure.Environment `json:"environment,omitzero"`
	Inputs    []string                `json:"inputs,omitzero"`
	Outputs   []structure.Output      `json:"outputs,omitzero"`
	Exports   []string                `json:"outputVariables,omitzero"`
	Namespace string                  `json:"namespace,omitzero"`
	Role      string                  `json:"role,omitzero"`
	Region    string                  `json:"region,omitzero"`
	Minutes   int                     `json:"timeoutInMinutes,omitzero"`

	Status    Status            `json:"status"`
	Attempt   int               `json:"attempt,omitzero"` // from 1
	Started   time.Time         `json:"started,omitzero"`
	Deadline  time.Time         `json:"deadline,omitzero"`
	Ended     time.Time         `json:"ended,omitzero"`
	Summary   string            `json:"summary,omitzero"`
	Code      string            `json:"code,omitzero"` // of what went wrong: JobFailed …
	By        string            `json:"by,omitzero"`   // who has last decided
	External  string            `json:"external,omitzero"`
	Link      string            `json:"link,omitzero"`
	Percent   int               `json:"percent,omitzero"`
	Token     string            `json:"continuationToken,omitzero"`
	Lease     string            `json:"lease,omitzero"` // nonce that a worker elsewhere has it by
	Approval  *Approval         `json:"approval,omitzero"`
	Variables map[string]string `json:"variables,omitzero"` // that it gave
	Phases    []Timing          `json:"phases,omitzero"`    // of a build
}

// Condition is what must hold before a stage begins, after it succeeded, or when it failed.
type Condition struct {
	Result  string    `json:"result"` // what happens when it does not hold
	Status  string    `json:"status,omitzero"`
	Summary string    `json:"summary,omitzero"`
	Changed time.Time `json:"changed,omitzero"`
	Rules   []Rule    `json:"rules"`
}

// How a condition stands, in CodePipeline's words; "" has not begun.
const (
	Holds      = "Succeeded"
	Broken     = "Failed"  // a rule is not met
	Errored    = "Errored" // a rule could not be answered
	Asking     = "InProgress"
	Overridden = "Overridden"
	Cancelled  = "Cancelled" // the run was stopped
	Dropped    = "Abandoned" // the same, and what was at work was not waited for
)

// Rule is one rule of a condition, and what came of it.
type Rule struct {
	ID       string            `json:"id,omitzero"`
	Name     string            `json:"name"`
	Type     structure.TypeID  `json:"type"`
	Asked    map[string]string `json:"configuration,omitzero"`
	Config   map[string]string `json:"resolvedConfiguration,omitzero"`
	Commands []string          `json:"commands,omitzero"`
	Inputs   []string          `json:"inputs,omitzero"`
	Minutes  int               `json:"timeoutInMinutes,omitzero"`
	Status   Status            `json:"status"`
	Broke    bool              `json:"broke,omitzero"` // it could not be answered
	Started  time.Time         `json:"started,omitzero"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Again    time.Time         `json:"again,omitzero"` // when it is asked again
	Ended    time.Time         `json:"ended,omitzero"`
	Summary  string            `json:"summary,omitzero"`
	External string            `json:"external,omitzero"`
}

// Approval is a question to people.
type Approval struct {
	Token    string    `json:"token"`
	Needs    int       `json:"needs"`
	Separate bool      `json:"separate"` // whoever pushed, started or wrote it has no vote
	Text     string    `json:"text,omitzero"`
	Link     string    `json:"link,omitzero"`
	Tell     string    `json:"tell,omitzero"` // NotificationArn
	Expires  time.Time `json:"expires"`
	Votes    []Vote    `json:"votes,omitzero"`
}

// Vote is what one person has answered.
type Vote struct {
	Who     string    `json:"who"` // ARN
	At      time.Time `json:"at"`
	Yes     bool      `json:"yes"`
	Summary string    `json:"summary,omitzero"`
}

// Timing is one phase of a build.
type Timing struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Reason is one reason why a run failed: what, where, and what to do.
type Reason struct {
	Action   string        `json:"action"`
	Text     string        `json:"text"`
	Where    string        `json:"where,omitzero"`
	Do       string        `json:"do,omitzero"`
	Severity finding.Label `json:"severity,omitzero"`
	Finding  string        `json:"finding,omitzero"` // Id
	Rule     string        `json:"rule,omitzero"`    // of the policy
}

// Ref is the full name of what was pushed.
func (e *Execution) Ref() string {
	if len(e.Branch) > 5 && e.Branch[:5] == "refs/" {
		return e.Branch
	}
	return "refs/heads/" + e.Branch
}

// find is the action of that id, of this attempt or one before, and its stage.
func (e *Execution) find(id string) (*Stage, *Action) {
	for i := range e.Stages {
		for j := range e.Stages[i].Actions {
			if a := &e.Stages[i].Actions[j]; a.ID == id && id != "" {
				return &e.Stages[i], a
			}
		}
	}
	return nil, nil
}

// rule is the rule of that id, with its condition and stage.
func (e *Execution) rule(id string) (*Stage, *Rule) {
	for i := range e.Stages {
		s := &e.Stages[i]
		for _, c := range []*Condition{s.Entry, s.Success, s.Failure} {
			if c == nil {
				continue
			}
			for j := range c.Rules {
				if c.Rules[j].ID == id && id != "" {
					return s, &c.Rules[j]
				}
			}
		}
	}
	return nil, nil
}

// Stage is the stage of that name, or nil.
func (e *Execution) Stage(name string) *Stage {
	for i := range e.Stages {
		if e.Stages[i].Name == name {
			return &e.Stages[i]
		}
	}
	return nil
}

// Action is the action of that name in the stage, or nil.
func (s *Stage) Action(name string) *Action {
	for i := range s.Actions {
		if s.Actions[i].Name == name {
			return &s.Actions[i]
		}
	}
	return nil
}

// Artifact is the artifact of that name as it was made last.
func (e *Execution) Artifact(name string) (Artifact, bool) {
	for i := len(e.Artifacts) - 1; i >= 0; i-- {
		if e.Artifacts[i].Name == name {
			return e.Artifacts[i], true
		}
	}
	return Artifact{}, false
}
