package pipeline

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

// What the events that tell of runs are called (EventBridge's detail-type and source).
const (
	EventSource   = "aws.codepipeline"
	Changed       = "CodePipeline Pipeline Execution State Change"
	StageChanged  = "CodePipeline Stage Execution State Change"
	ActionChanged = "CodePipeline Action Execution State Change"
)

// Detail is what a Changed event says: CodePipeline's members, then ours.
type Detail struct {
	Pipeline string `json:"pipeline"`
	ID       string `json:"execution-id"`
	State    string `json:"state"` // STARTED, RESUMED, SUCCEEDED, FAILED, STOPPING, STOPPED, SUPERSEDED
	Version  int    `json:"version"`
	Attempt  int    `json:"pipeline-execution-attempt"`
	Started  string `json:"start-time,omitzero"`

	Number      int64                 `json:"number"`
	Repository  string                `json:"repository"`
	Branch      string                `json:"branch"`
	Commit      string                `json:"commit"`
	Subject     string                `json:"subject,omitzero"`
	Author      string                `json:"author,omitzero"`
	Who         string                `json:"who,omitzero"`
	Kind        string                `json:"execution-type,omitzero"`
	Pull        string                `json:"pull-request,omitzero"`
	Path        string                `json:"path"` // of the run in the console
	FailedStage string                `json:"failed-stage,omitzero"`
	Reasons     []Reason              `json:"reasons,omitzero"` // the worst first, at most 20
	ReasonCount int                   `json:"reason-count,omitzero"`
	Findings    map[finding.Label]int `json:"findings,omitzero"`
	Fresh       map[finding.Label]int `json:"new-findings,omitzero"`
	Seconds     float64               `json:"seconds,omitzero"`
}

// PartDetail is what StageChanged and ActionChanged events say: CodePipeline's members, then ours.
type PartDetail struct {
	Pipeline string     `json:"pipeline"`
	ID       string     `json:"execution-id"`
	Started  string     `json:"start-time,omitzero"`
	Stage    string     `json:"stage"`
	Action   string     `json:"action,omitzero"`
	ActionID string     `json:"action-execution-id,omitzero"`
	Result   *Executed  `json:"execution-result,omitzero"`
	Outputs  []Output   `json:"output-artifacts,omitzero"`
	State    string     `json:"state"`
	Region   string     `json:"region,omitzero"`
	Type     *EventType `json:"type,omitzero"`
	Version  int        `json:"version"`
	Attempt  int        `json:"pipeline-execution-attempt"`
	Number   int64      `json:"number"`
	Commit   string     `json:"commit,omitzero"`
	Branch   string     `json:"branch,omitzero"`
	Path     string     `json:"path"`
	Approval *Asked     `json:"approval,omitzero"`
	Message  string     `json:"message,omitzero"` // of an action that notifies
	Subject  string     `json:"subject,omitzero"`
}

// Executed is what came of an action.
type Executed struct {
	Summary  string `json:"external-execution-summary,omitzero"`
	External string `json:"external-execution-id,omitzero"`
	Link     string `json:"external-execution-url,omitzero"`
	Code     string `json:"error-code,omitzero"`
}

// Output is an artifact that an action has made.
type Output struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitzero"`
	Commit string `json:"commit,omitzero"`
}

// EventType is an action's type.
type EventType struct {
	Owner    string `json:"owner"`
	Provider string `json:"provider"`
	Category string `json:"category"`
	Version  string `json:"version"`
}

// Asked is what people are asked to decide.
type Asked struct {
	Text    string `json:"custom-data,omitzero"`
	Link    string `json:"external-entity-link,omitzero"`
	Tell    string `json:"notification-arn,omitzero"`
	Needs   int    `json:"required-approvals"`
	Given   int    `json:"approvals"`
	Expires string `json:"expires"`
	Votes   []Vote `json:"votes,omitzero"`
}

// Path is where the console shows a run.
func Path(id string) string { return "/runs/" + id }

var states = map[Status]string{
	InProgress: "STARTED", Succeeded: "SUCCEEDED", Failed: "FAILED", Stopping: "STOPPING", Stopped: "STOPPED", Superseded: "SUPERSEDED", Skipped: "SKIPPED", Abandoned: "ABANDONED",
}

// ARN is the pipeline's, or that of one of its stages or actions, named by the parts.
func (p *Pipelines) ARN(pipeline string, parts ...string) string {
	arn := "arn:aws:codepipeline:" + p.config.Region + ":" + p.config.Account + ":" + pipeline
	for _, part := range parts {
		arn += "/" + part
	}
	return arn
}

func (p *Pipelines) publish(tx *db.Tx, kind, arn string, detail any) error {
	text, err := json.Marshal(detail, json.Deterministic(true))
	if err != nil {
		return err
	}
	return p.config.Bus.Publish(tx, event.Event{
		Type: kind, Source: EventSource, Account: p.config.Account, Region: p.config.Region, Time: p.config.Now(), Resources: []string{arn}, Detail: text,
	})
}

// tell publishes that the run's status changed.
func (p *Pipelines) tell(tx *db.Tx, e Execution) error {
	d := Detail{
		Pipeline: e.Pipeline, ID: e.ID, State: states[e.Status], Version: max(e.Version, 1), Attempt: e.Attempt, Started: stamp(e.Started), Number: e.Number,
		Repository: e.Repository, Branch: e.Branch, Commit: e.Commit, Subject: e.Subject, Author: e.Author, Who: e.Who, Kind: e.Kind, Pull: e.Pull, Path: Path(e.ID),
		Reasons: e.Reasons[:min(len(e.Reasons), 20)], ReasonCount: len(e.Reasons), Findings: e.Findings, Fresh: e.Fresh,
	}
	if e.Status.Ended() {
		d.Seconds = max(0, e.Ended.Sub(e.Started).Seconds())
		if e.Started.IsZero() {
			d.Seconds = 0
		}
	}
	if i := slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status == Failed }); i >= 0 {
		d.FailedStage = e.Stages[i].Name
	}
	return p.publish(tx, Changed, p.ARN(e.Pipeline), d)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// tellParts publishes what became of a run's stages and actions.
func (p *Pipelines) tellParts(tx *db.Tx, e Execution) error {
	for _, n := range e.news {
		d := PartDetail{
			Pipeline: e.Pipeline, ID: e.ID, Started: stamp(e.Started), Stage: n.stage, State: states[n.status], Version: max(e.Version, 1), Attempt: e.Attempt,
			Number: e.Number, Commit: e.Commit, Branch: e.Branch, Path: Path(e.ID),
		}
		if n.retry {
			d.State = "RESUMED"
		}
		kind := StageChanged
		if n.action != nil {
			kind = ActionChanged
			p.describe(&d, e, n)
		}
		if err := p.publish(tx, kind, p.ARN(e.Pipeline), d); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipelines) describe(d *PartDetail, e Execution, n news) {
	a := n.action
	d.Action, d.ActionID, d.Region = a.Name, a.ID, p.config.Region
	d.Type = &EventType{a.Type.Owner, a.Type.Provider, a.Type.Category, a.Type.Version}
	if n.status.Ended() {
		d.Result = &Executed{a.Summary, a.External, a.Link, a.Code}
		for _, m := range e.Artifacts {
			if m.Stage == n.stage && m.Action == a.Name {
				d.Outputs = append(d.Outputs, Output{m.Name, m.Digest, m.Commit})
			}
		}
	}
	if ask := a.Approval; ask != nil {
		d.Approval = &Asked{ask.Text, ask.Link, ask.Tell, ask.Needs, ask.given(), stamp(ask.Expires), ask.Votes}
	}
	if a.Runner == runNotify && n.status == Succeeded {
		d.Message, d.Subject = a.Config["Message"], a.Config["Subject"]
	}
}
