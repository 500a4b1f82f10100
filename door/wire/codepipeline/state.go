package codepipeline

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/room/pipeline"
)

type stateOutput struct {
	Pipeline string       `json:"pipelineName"`
	Version  int          `json:"pipelineVersion"`
	Stages   []stageState `json:"stageStates"`
	Created  time.Time    `json:"created"`
	Updated  time.Time    `json:"updated"`
}

type stageState struct {
	Name       string           `json:"stageName"`
	Inbound    *stageExecution  `json:"inboundExecution,omitzero"`
	Waiting    []stageExecution `json:"inboundExecutions,omitzero"`
	Transition *transition      `json:"inboundTransitionState,omitzero"`
	Actions    []actionState    `json:"actionStates"`
	Latest     *stageExecution  `json:"latestExecution,omitzero"`
	Entry      *conditionsState `json:"beforeEntryConditionState,omitzero"`
	Success    *conditionsState `json:"onSuccessConditionState,omitzero"`
	Failure    *conditionsState `json:"onFailureConditionState,omitzero"`
	Retry      *retryState      `json:"retryStageMetadata,omitzero"`
}

type stageExecution struct {
	ID     string `json:"pipelineExecutionId"`
	Status string `json:"status"`
	Type   string `json:"type,omitzero"`
}

type transition struct {
	Enabled bool      `json:"enabled"`
	By      string    `json:"lastChangedBy,omitzero"`
	At      time.Time `json:"lastChangedAt,omitzero"`
	Reason  string    `json:"disabledReason,omitzero"`
}

type actionState struct {
	Name     string           `json:"actionName"`
	Revision *actionRevision  `json:"currentRevision,omitzero"`
	Latest   *actionExecution `json:"latestExecution,omitzero"`
	Entity   string           `json:"entityUrl,omitzero"`
}

type actionRevision struct {
	ID      string    `json:"revisionId"`
	Change  string    `json:"revisionChangeId"`
	Created time.Time `json:"created"`
}

type actionExecution struct {
	ID       string        `json:"actionExecutionId"`
	Status   string        `json:"status"`
	Summary  string        `json:"summary,omitzero"`
	Changed  time.Time     `json:"lastStatusChange"`
	Token    string        `json:"token,omitzero"`
	By       string        `json:"lastUpdatedBy,omitzero"`
	External string        `json:"externalExecutionId,omitzero"`
	Link     string        `json:"externalExecutionUrl,omitzero"`
	Percent  int           `json:"percentComplete,omitzero"`
	Error    *errorDetails `json:"errorDetails,omitzero"`
	Log      string        `json:"logStreamARN,omitzero"`
}

type errorDetails struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type conditionsState struct {
	Latest     *conditionExecution `json:"latestExecution,omitzero"`
	Conditions []conditionState    `json:"conditionStates"`
}

type conditionState struct {
	Latest *conditionExecution `json:"latestExecution,omitzero"`
	Rules  []ruleState         `json:"ruleStates"`
}

type conditionExecution struct {
	Status  string    `json:"status"`
	Summary string    `json:"summary,omitzero"`
	Changed time.Time `json:"lastStatusChange,omitzero"`
}

type ruleState struct {
	Name   string         `json:"ruleName"`
	Latest *ruleExecution `json:"latestExecution,omitzero"`
}

type ruleExecution struct {
	ID       string        `json:"ruleExecutionId"`
	Status   string        `json:"status"`
	Summary  string        `json:"summary,omitzero"`
	Changed  time.Time     `json:"lastStatusChange"`
	External string        `json:"externalExecutionId,omitzero"`
	Error    *errorDetails `json:"errorDetails,omitzero"`
}

type retryState struct {
	Auto    int    `json:"autoStageRetryAttempt,omitzero"`
	Manual  int    `json:"manualStageRetryAttempt,omitzero"`
	Trigger string `json:"latestRetryTrigger,omitzero"`
}

// state says of each stage which run was in it last, and which wait before it.
func (s *service) state(ctx context.Context, _ *wire.Call, in *nameInput) (*stateOutput, error) {
	d, err := s.defined(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	runs, err := s.Runs.Executions(ctx, pipeline.Query{Pipeline: in.Name, Limit: 100})
	if err != nil {
		return nil, err
	}
	closed, err := s.Runs.Transitions(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := &stateOutput{in.Name, d.Structure.Version, []stageState{}, d.Created, d.Updated}
	for i, of := range d.Structure.Stages {
		st := stageState{Name: of.Name, Actions: []actionState{}}
		if i > 0 {
			st.Transition = &transition{Enabled: true}
		}
		for _, t := range closed {
			if t.Kind == "Inbound" && t.Stage == of.Name || t.Kind == "Outbound" && i > 0 && t.Stage == d.Structure.Stages[i-1].Name {
				st.Transition = &transition{false, t.Who, t.At, t.Reason}
			}
		}
		var latest *pipeline.Stage
		for j := range runs {
			e := &runs[j]
			was := e.Stage(of.Name)
			switch {
			case was == nil:
			case !was.Entered.IsZero() && latest == nil:
				latest = was
				st.Latest = &stageExecution{e.ID, stageStatus(*e, *was), e.Kind}
			case was.Entered.IsZero() && waits(*e, of.Name):
				st.Waiting = append(st.Waiting, stageExecution{e.ID, string(pipeline.InProgress), e.Kind})
			}
		}
		if len(st.Waiting) > 0 {
			st.Inbound = &st.Waiting[0]
		}
		for _, a := range of.Actions {
			st.Actions = append(st.Actions, s.actionState(in.Name, latest, a.Name))
		}
		if latest != nil {
			st.Entry, st.Success, st.Failure = conditionsOf(latest.Entry), conditionsOf(latest.Success), conditionsOf(latest.Failure)
			if latest.Auto+latest.Manual > 0 {
				st.Retry = &retryState{latest.Auto, latest.Manual, latest.Retried}
			}
		}
		out.Stages = append(out.Stages, st)
	}
	return out, nil
}

// waits tells whether a run waits before a stage.
func waits(e pipeline.Execution, stage string) bool {
	if e.Status != pipeline.InProgress && e.Status != pipeline.Waiting {
		return false
	}
	for _, s := range e.Stages {
		if s.Status != pipeline.Succeeded && s.Status != pipeline.Skipped {
			return s.Name == stage && s.Status == pipeline.Waiting
		}
	}
	return false
}

func stageStatus(e pipeline.Execution, s pipeline.Stage) string {
	switch {
	case s.Status == pipeline.InProgress && e.Status == pipeline.Stopping:
		return string(pipeline.Stopping)
	case s.Status == pipeline.Waiting || s.Status == pipeline.InProgress:
		return string(pipeline.InProgress)
	}
	return string(s.Status)
}

// actionStatus is an action's status in CodePipeline's words.
func actionStatus(a pipeline.Action) string {
	switch a.Status {
	case pipeline.Stopped, pipeline.Abandoned:
		return string(pipeline.Abandoned)
	case pipeline.Skipped:
		return string(pipeline.Succeeded)
	}
	return string(a.Status)
}

func (s *service) actionState(of string, latest *pipeline.Stage, name string) actionState {
	st := actionState{Name: name}
	if latest == nil {
		return st
	}
	a := latest.Action(name)
	if a == nil || a.ID == "" {
		return st
	}
	x := &actionExecution{
		ID: a.ID, Status: actionStatus(*a), Summary: a.Summary, Changed: lastChange(*a), By: a.By, External: a.External, Link: a.Link, Percent: a.Percent, Log: s.logOf(of, a),
	}
	if x.Link != "" && x.Link[0] == '/' {
		x.Link = s.Page(x.Link)
	}
	if a.Approval != nil && a.Status == pipeline.InProgress {
		x.Token = a.Approval.Token
	}
	if a.Status == pipeline.Failed {
		x.Error = &errorDetails{codeOf(*a), a.Summary}
	}
	if a.Type.Category == "Source" && a.Status == pipeline.Succeeded && a.External != "" {
		st.Revision = &actionRevision{a.External, a.External, a.Ended}
	}
	st.Latest = x
	return st
}

func codeOf(a pipeline.Action) string {
	if a.Code == "" {
		return "JobFailed"
	}
	return a.Code
}

func lastChange(a pipeline.Action) time.Time {
	if !a.Ended.IsZero() {
		return a.Ended
	}
	return a.Started
}

func conditionsOf(c *pipeline.Condition) *conditionsState {
	if c == nil || c.Status == "" {
		return nil
	}
	x := &conditionExecution{Status: c.Status, Summary: c.Summary}
	one := conditionState{Latest: &conditionExecution{c.Status, c.Summary, c.Changed}, Rules: []ruleState{}}
	for _, r := range c.Rules {
		st := ruleState{Name: r.Name}
		if r.ID != "" {
			at := r.Ended
			if at.IsZero() {
				at = r.Started
			}
			st.Latest = &ruleExecution{ID: r.ID, Status: string(r.Status), Summary: r.Summary, Changed: at, External: r.External}
			if r.Broke {
				st.Latest.Error = &errorDetails{"ConfigurationError", r.Summary}
			}
		}
		one.Rules = append(one.Rules, st)
	}
	return &conditionsState{x, []conditionState{one}}
}
