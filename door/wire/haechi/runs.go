package haechi

import (
	"cmp"
	"context"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Runs are asked for under CodePipeline's actions, as on the console.

type (
	listInput struct {
		Pipeline, Branch, Before string
		Status                   pipeline.Status
		Limit                    int
	}
	listOutput struct{ Runs []pipeline.Execution }

	runInput struct {
		ID string `json:"Id"`
	}
	runOutput struct{ Run pipeline.Execution }

	logInput struct {
		ID   string `json:"Id"`
		From int64
	}
	logOutput struct {
		Text string
		Next int64
		Done bool
	}

	changeInput struct {
		ID       string `json:"Id"`
		Pipeline string // that the run is of: what the caller must be allowed to change
	}
	startInput struct{ Repository, Branch, Commit string }
)

// asks asks for an action of CodePipeline on everything.
func asks[In any](action string) func(*wire.Call, *In) []iam.Request {
	return func(c *wire.Call, _ *In) []iam.Request { return c.AskFor("codepipeline:" + action) }
}

func (s *service) askChange(action string) func(*wire.Call, *changeInput) []iam.Request {
	return func(c *wire.Call, in *changeInput) []iam.Request {
		return c.AskFor("codepipeline:"+action, s.settings.PipelineARN(in.Pipeline))
	}
}

func (s *service) askStart(c *wire.Call, in *startInput) []iam.Request {
	return c.AskFor("codepipeline:StartPipelineExecution", s.settings.PipelineARN(in.Repository))
}

func (s *service) listRuns(ctx context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	all, err := s.runs.Executions(ctx, pipeline.Query{Pipeline: in.Pipeline, Branch: in.Branch, Status: in.Status, Before: in.Before, Limit: in.Limit})
	if all == nil {
		all = []pipeline.Execution{}
	}
	return &listOutput{all}, err
}

func (s *service) getRun(ctx context.Context, _ *wire.Call, in *runInput) (*runOutput, error) {
	e, err := s.runs.Execution(ctx, in.ID)
	return &runOutput{e}, err
}

func (s *service) getLog(ctx context.Context, _ *wire.Call, in *logInput) (*logOutput, error) {
	text, next, done, err := s.runs.Log(ctx, in.ID, in.From)
	return &logOutput{strings.ToValidUTF8(string(text), "\ufffd"), next, done}, err
}

func (s *service) startRun(ctx context.Context, c *wire.Call, in *startInput) (*runOutput, error) {
	e, err := s.runs.Start(ctx, in.Repository, in.Branch, in.Commit, c.Principal.ARN)
	return &runOutput{e}, err
}

// of is the run, if it is of the pipeline that the caller may change.
func (s *service) of(ctx context.Context, in *changeInput) error {
	e, err := s.runs.Execution(ctx, in.ID)
	if err == nil && e.Pipeline != in.Pipeline {
		err = fault.NotFound.Errorf("there is no run %s of %s", in.ID, in.Pipeline)
	}
	return err
}

func (s *service) retryRun(ctx context.Context, _ *wire.Call, in *changeInput) (*runOutput, error) {
	if err := s.of(ctx, in); err != nil {
		return nil, err
	}
	e, err := s.runs.Retry(ctx, in.ID)
	return &runOutput{e}, err
}

func (s *service) stopRun(ctx context.Context, _ *wire.Call, in *changeInput) (*runOutput, error) {
	if err := s.of(ctx, in); err != nil {
		return nil, err
	}
	if err := s.runs.Stop(ctx, in.ID); err != nil {
		return nil, err
	}
	return s.getRun(ctx, nil, &runInput{in.ID})
}

type (
	judgeInput struct {
		Pipeline string
		Name     string // of the policy's file, for what is wrong with it
		Policy   string // YAML
		Last     int
	}
	judgeOutput struct{ Runs []pipeline.Judged }
)

func askJudge(s *service) func(*wire.Call, *judgeInput) []iam.Request {
	return func(c *wire.Call, in *judgeInput) []iam.Request {
		return c.AskFor("codepipeline:ListPipelineExecutions", s.settings.PipelineARN(in.Pipeline))
	}
}

// judgeRuns tells what a gate policy would have said of the newest runs.
func (s *service) judgeRuns(ctx context.Context, _ *wire.Call, in *judgeInput) (*judgeOutput, error) {
	policy, err := gate.Parse(cmp.Or(in.Name, "gate.yaml"), []byte(in.Policy))
	if err != nil {
		return nil, fault.Invalid.Errorf("%s", diag.Detail(err))
	}
	if _, err := s.runs.Definition(ctx, in.Pipeline); err != nil {
		return nil, err
	}
	all, err := s.runs.WhatIf(ctx, in.Pipeline, policy, cmp.Or(in.Last, 50))
	if all == nil {
		all = []pipeline.Judged{}
	}
	return &judgeOutput{all}, err
}
