package codepipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type approvalOutput struct {
	At time.Time `json:"approvedAt"`
}

// approve takes a person's word. It is that of whoever has signed the call.
func (s *service) approve(ctx context.Context, c *wire.Call, in *actionInput) (*approvalOutput, error) {
	if err := s.stage(ctx, in.Pipeline, in.Stage); err != nil {
		return nil, err
	}
	answer := pipeline.Answer{Pipeline: in.Pipeline, Stage: in.Stage, Action: in.Action, Token: in.Token, Yes: in.Result.Status == "Approved", Summary: in.Result.Summary, Who: c.Principal.ARN}
	if s.Person != nil {
		who := s.Person(ctx, c.Principal)
		answer.As, answer.Robot = append(who.Emails, who.Name), who.Robot
	}
	_, err := s.Runs.Approve(ctx, answer)
	switch {
	case errors.Is(err, fault.NotFound):
		return nil, wire.Errorf("ActionNotFoundException", "%v", err)
	case errors.Is(err, fault.Conflict):
		return nil, wire.Errorf("ApprovalAlreadyCompletedException", "%v", err)
	case errors.Is(err, fault.Invalid):
		d, _ := s.defined(ctx, in.Pipeline)
		if st := d.Structure.Stage(in.Stage); st != nil && !slices.ContainsFunc(st.Actions, func(a structure.Action) bool { return a.Name == in.Action }) {
			return nil, wire.Errorf("ActionNotFoundException", "stage '%s' of pipeline '%s' has no action '%s'", in.Stage, in.Pipeline, in.Action)
		}
		return nil, wire.Errorf("InvalidApprovalTokenException", "%v", err)
	case err != nil:
		return nil, err
	}
	return &approvalOutput{c.Time}, nil
}

func (s *service) retry(ctx context.Context, _ *wire.Call, in *stageInput) (*idOutput, error) {
	e, err := s.inStage(ctx, in)
	if err != nil {
		return nil, err
	}
	if st := e.Stage(in.Stage); st == nil || st.Status != pipeline.Failed && st.Status != pipeline.Stopped {
		return nil, wire.Errorf("StageNotRetryableException", "stage '%s' of execution '%s' did not fail", in.Stage, in.ID)
	}
	_, err = s.Runs.RetryStage(ctx, in.ID, in.Stage, in.Mode)
	switch {
	case errors.Is(err, pipeline.ErrOutdated):
		err = wire.Errorf("NotLatestPipelineExecutionException", "%v", err)
	case errors.Is(err, fault.Conflict):
		err = wire.Errorf("StageNotRetryableException", "%v", err)
	}
	return &idOutput{in.ID}, err
}

// inStage is the run that is named together with a stage.
func (s *service) inStage(ctx context.Context, in *stageInput) (pipeline.Execution, error) {
	e, err := s.run(ctx, in.Pipeline, in.ID)
	var other *wire.Error
	if errors.As(err, &other) && other.Code == "PipelineExecutionNotFoundException" { // not among these operations' words
		return e, wire.Errorf("ValidationException", "%s", other.Message)
	}
	if err == nil && e.Stage(in.Stage) == nil {
		err = wire.Errorf("StageNotFoundException", "execution '%s' has no stage '%s'", in.ID, in.Stage)
	}
	return e, err
}

func (s *service) rollback(ctx context.Context, c *wire.Call, in *stageInput) (*idOutput, error) {
	if err := s.stage(ctx, in.Pipeline, in.Stage); err != nil {
		return nil, err
	}
	if _, err := s.run(ctx, in.Pipeline, in.Target); err != nil {
		return nil, err
	}
	e, err := s.Runs.RollbackStage(ctx, in.Pipeline, in.Stage, in.Target, c.Principal.ARN)
	switch {
	case errors.Is(err, pipeline.ErrOutdated):
		err = wire.Errorf("PipelineExecutionOutdatedException", "%v", err)
	case errors.Is(err, fault.Invalid):
		err = wire.Errorf("UnableToRollbackStageException", "%v", err)
	}
	return &idOutput{e.ID}, err
}

func (s *service) override(ctx context.Context, c *wire.Call, in *stageInput) (*nothing, error) {
	if _, err := s.inStage(ctx, in); err != nil {
		return nil, err
	}
	err := s.Runs.Override(ctx, in.ID, in.Stage, in.Condition, c.Principal.ARN)
	switch {
	case errors.Is(err, pipeline.ErrOutdated):
		err = wire.Errorf("NotLatestPipelineExecutionException", "%v", err)
	case errors.Is(err, fault.Conflict):
		err = wire.Errorf("ConditionNotOverridableException", "%v", err)
	}
	return nil, err
}

func (s *service) enable(ctx context.Context, c *wire.Call, in *stageInput) (*nothing, error) {
	return nil, s.transition(ctx, c, in, true)
}

func (s *service) disable(ctx context.Context, c *wire.Call, in *stageInput) (*nothing, error) {
	return nil, s.transition(ctx, c, in, false)
}

func (s *service) transition(ctx context.Context, c *wire.Call, in *stageInput, open bool) error {
	if err := s.stage(ctx, in.Pipeline, in.Stage); err != nil {
		return err
	}
	return s.Runs.SetTransition(ctx, in.Pipeline, pipeline.Transition{Stage: in.Stage, Kind: in.Kind, Reason: in.Reason, Who: c.Principal.ARN}, open)
}

type revisionOutput struct {
	New bool   `json:"newRevision"`
	ID  string `json:"pipelineExecutionId"`
}

// putRevision starts a run of a revision that somebody saw at a source.
func (s *service) putRevision(ctx context.Context, c *wire.Call, in *actionInput) (*revisionOutput, error) {
	if err := s.stage(ctx, in.Pipeline, in.Stage); err != nil {
		return nil, err
	}
	d, err := s.defined(ctx, in.Pipeline)
	if err != nil {
		return nil, err
	}
	found := false
	for _, a := range d.Structure.Sources() {
		found = found || a.Name == in.Action
	}
	if !found {
		return nil, wire.Errorf("ActionNotFoundException", "Pipeline '%s' has no source action '%s'", in.Pipeline, in.Action)
	}
	e, err := s.Runs.Begin(ctx, pipeline.Start{
		Pipeline: in.Pipeline, Who: c.Principal.ARN, Trigger: pipeline.Trigger{Type: "PutActionRevision", Detail: c.Principal.ARN}, Revisions: map[string]string{in.Action: in.Revision.ID},
	})
	if errors.Is(err, fault.NotFound) {
		err = wire.Errorf("ValidationException", "%v", err)
	}
	return &revisionOutput{err == nil, e.ID}, err
}
