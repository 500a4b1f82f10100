package codepipeline

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type idOutput struct {
	ID string `json:"pipelineExecutionId"`
}

func (s *service) start(ctx context.Context, c *wire.Call, in *nameInput) (*idOutput, error) {
	if _, err := s.defined(ctx, in.Name); err != nil {
		return nil, err
	}
	start := pipeline.Start{Pipeline: in.Name, Who: c.Principal.ARN, Token: in.Token, Trigger: pipeline.Trigger{Type: "StartPipelineExecution", Detail: c.Principal.ARN}}
	for _, v := range in.Variables {
		if start.Variables == nil {
			start.Variables = map[string]string{}
		}
		start.Variables[v.Name] = v.Value
	}
	for _, r := range in.Revisions {
		if r.Type != "COMMIT_ID" {
			return nil, wire.Errorf("ValidationException", "the sources here are repositories: revisionType is COMMIT_ID, not %s", r.Type)
		}
		if start.Revisions == nil {
			start.Revisions = map[string]string{}
		}
		start.Revisions[r.Action] = r.Value
	}
	e, err := s.Runs.Begin(ctx, start)
	if errors.Is(err, fault.NotFound) { // a branch, or a commit
		return nil, wire.Errorf("ValidationException", "%v", err)
	}
	return &idOutput{e.ID}, err
}

func (s *service) stop(ctx context.Context, c *wire.Call, in *runInput) (*idOutput, error) {
	e, err := s.run(ctx, in.Pipeline, in.ID)
	var other *wire.Error
	if errors.As(err, &other) && other.Code == "PipelineExecutionNotFoundException" {
		err = wire.Errorf("PipelineExecutionNotStoppableException", "Pipeline '%s' has no execution '%s'", in.Pipeline, in.ID)
	}
	switch {
	case err != nil:
		return nil, err
	case e.Status.Ended():
		return nil, wire.Errorf("PipelineExecutionNotStoppableException", "execution '%s' has ended: it is %s", in.ID, e.Status)
	case e.Status == pipeline.Stopping && !in.Abandon:
		return nil, wire.Errorf("DuplicatedStopRequestException", "execution '%s' is stopping already", in.ID)
	}
	return &idOutput{in.ID}, s.Runs.StopFor(ctx, in.ID, in.Abandon, in.Reason, c.Principal.ARN)
}

type trigger struct {
	Type   string `json:"triggerType"`
	Detail string `json:"triggerDetail,omitzero"`
}

func triggerOf(e pipeline.Execution) *trigger {
	if e.Trigger.Type == "" {
		return nil
	}
	return &trigger{e.Trigger.Type, e.Trigger.Detail}
}

type rollback struct {
	Target string `json:"rollbackTargetPipelineExecutionId"`
}

func rollbackOf(e pipeline.Execution) *rollback {
	if e.Target == "" {
		return nil
	}
	return &rollback{e.Target}
}

// statusOf is a run's status in CodePipeline's words: one that waits for its turn is in progress.
func statusOf(e pipeline.Execution) string {
	if e.Status == pipeline.Waiting {
		return string(pipeline.InProgress)
	}
	return string(e.Status)
}

type revision struct {
	Name    string `json:"name,omitzero"`
	ID      string `json:"revisionId"`
	Summary string `json:"revisionSummary,omitzero"`
	URL     string `json:"revisionUrl,omitzero"`
}

type resolved struct {
	Name  string `json:"name"`
	Value string `json:"resolvedValue"`
}

type executionOutput struct {
	Execution struct {
		Pipeline  string     `json:"pipelineName"`
		Version   int        `json:"pipelineVersion"`
		ID        string     `json:"pipelineExecutionId"`
		Status    string     `json:"status"`
		Summary   string     `json:"statusSummary,omitzero"`
		Revisions []revision `json:"artifactRevisions"`
		Variables []resolved `json:"variables,omitzero"`
		Trigger   *trigger   `json:"trigger,omitzero"`
		Mode      string     `json:"executionMode"`
		Kind      string     `json:"executionType"`
		Rollback  *rollback  `json:"rollbackMetadata,omitzero"`
	} `json:"pipelineExecution"`
}

func (s *service) getExecution(ctx context.Context, _ *wire.Call, in *runInput) (*executionOutput, error) {
	e, err := s.run(ctx, in.Pipeline, in.ID)
	if err != nil {
		return nil, err
	}
	out := &executionOutput{}
	x := &out.Execution
	x.Pipeline, x.Version, x.ID, x.Status, x.Mode, x.Kind, x.Trigger, x.Rollback = e.Pipeline, max(e.Version, 1), e.ID, statusOf(e), e.Mode, e.Kind, triggerOf(e), rollbackOf(e)
	x.Summary = statusSummary(e)
	x.Revisions = []revision{}
	for _, a := range e.Artifacts {
		if a.Digest == "" && a.Commit != "" {
			x.Revisions = append(x.Revisions, revision{Name: a.Name, ID: a.Commit, Summary: summaryOf(e, a)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Variables)) {
		x.Variables = append(x.Variables, resolved{name, e.Variables[name]})
	}
	return out, nil
}

// statusSummary is why a run is as it is, in a line.
func statusSummary(e pipeline.Execution) string {
	text := e.StoppedBy
	for _, r := range e.Reasons {
		text = cmp.Or(text, r.Text)
	}
	return text
}

func summaryOf(e pipeline.Execution, a pipeline.Artifact) string {
	if a.Commit == e.Commit {
		return e.Subject
	}
	return ""
}

type sourceRevision struct {
	Action  string `json:"actionName"`
	ID      string `json:"revisionId"`
	Summary string `json:"revisionSummary,omitzero"`
}

type stopped struct {
	Reason string `json:"reason"`
}

type executionSummary struct {
	ID        string           `json:"pipelineExecutionId"`
	Status    string           `json:"status"`
	Summary   string           `json:"statusSummary,omitzero"`
	Started   time.Time        `json:"startTime"`
	Updated   time.Time        `json:"lastUpdateTime"`
	Revisions []sourceRevision `json:"sourceRevisions"`
	Trigger   *trigger         `json:"trigger,omitzero"`
	Stop      *stopped         `json:"stopTrigger,omitzero"`
	Mode      string           `json:"executionMode"`
	Kind      string           `json:"executionType"`
	Rollback  *rollback        `json:"rollbackMetadata,omitzero"`
}

type executionsOutput struct {
	Executions []executionSummary `json:"pipelineExecutionSummaries"`
	NextToken  string             `json:"nextToken,omitzero"`
}

// listExecutions gives runs, the newest first; the token is the id of the run that the page before ended with.
func (s *service) listExecutions(ctx context.Context, _ *wire.Call, in *runInput) (*executionsOutput, error) {
	if _, err := s.defined(ctx, in.Pipeline); err != nil {
		return nil, err
	}
	most := cmp.Or(in.MaxResults, 100)
	out := &executionsOutput{Executions: []executionSummary{}}
	for before := in.NextToken; ; {
		runs, err := s.Runs.Executions(ctx, pipeline.Query{Pipeline: in.Pipeline, Before: before, Limit: most + 1})
		if errors.Is(err, fault.NotFound) {
			return nil, wire.Errorf("InvalidNextTokenException", "the token is none that was given out")
		}
		if err != nil {
			return nil, err
		}
		for _, e := range runs {
			if stage := in.Filter.Succeeded.Stage; stage != "" {
				if s := e.Stage(stage); s == nil || s.Status != pipeline.Succeeded {
					before = e.ID
					continue
				}
			}
			if len(out.Executions) == most {
				out.NextToken = out.Executions[most-1].ID
				return out, nil
			}
			out.Executions = append(out.Executions, summarized(e))
			before = e.ID
		}
		if len(runs) <= most {
			return out, nil
		}
	}
}

func summarized(e pipeline.Execution) executionSummary {
	x := executionSummary{
		ID: e.ID, Status: statusOf(e), Started: e.Created, Updated: changed(e), Mode: e.Mode, Kind: e.Kind, Trigger: triggerOf(e), Rollback: rollbackOf(e), Revisions: []sourceRevision{},
	}
	x.Summary = statusSummary(e)
	if e.StoppedBy != "" {
		x.Stop = &stopped{clipped(e.StoppedBy, 200)}
	}
	for _, a := range e.Artifacts {
		if a.Digest == "" && a.Commit != "" {
			x.Revisions = append(x.Revisions, sourceRevision{a.Action, a.Commit, summaryOf(e, a)})
		}
	}
	return x
}

func changed(e pipeline.Execution) time.Time {
	for _, t := range []time.Time{e.Changed, e.Ended, e.Started} {
		if !t.IsZero() {
			return t
		}
	}
	return e.Created
}

func clipped(text string, most int) string {
	r := []rune(text)
	return string(r[:min(len(r), most)])
}
