// Package codepipeline answers CodePipeline: pipelines, their runs, what people decide about these, and jobs for workers elsewhere.
package codepipeline

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// JobSource is a room whose jobs workers elsewhere poll for. What it does not know is fault.NotFound, and another one is asked.
type JobSource interface {
	// Poll hands out at most so many jobs of a type to a worker.
	Poll(ctx context.Context, t structure.TypeID, by string, most int, query map[string]string) ([]pipeline.Job, error)
	// Acknowledge makes a job that was handed out the worker's, and says how it stands.
	Acknowledge(ctx context.Context, id, nonce, by string) (status string, err error)
	JobDetails(ctx context.Context, id string) (pipeline.Job, error)
	// Succeed and Fail end a job that the worker has acknowledged.
	Succeed(ctx context.Context, id, by string, r pipeline.JobSuccess) error
	Fail(ctx context.Context, id, by, kind, message, external string) error
}

// Config is whom the service asks.
type Config struct {
	Runs    *pipeline.Pipelines
	Jobs    []JobSource // besides Runs
	Account string
	Region  string
	// Person is who asks, with the addresses that their commits bear; nil knows nobody.
	Person func(ctx context.Context, who iam.Principal) source.Person
	// Page is where the console, and what else this server answers at, has a path, or "".
	Page func(path string) string
}

type service struct{ Config }

// Service answers all that has a meaning here. Third-party jobs are handed to partners of AWS, deployments come later, and
// what runs an action of one's own is not described: these are not here.
func Service(c Config) wire.Service {
	s := &service{c}
	if c.Page == nil {
		s.Page = func(string) string { return "" }
	}
	if c.Runs != nil {
		s.Jobs = append([]JobSource{c.Runs}, c.Jobs...)
	}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"CreatePipeline":                  wire.Op(s.askPipeline, s.create),
			"UpdatePipeline":                  wire.Op(s.askPipeline, s.update),
			"GetPipeline":                     wire.Op(onName(s), s.get),
			"DeletePipeline":                  wire.Op(onName(s), s.delete),
			"ListPipelines":                   wire.Op(wire.AskAll, s.list),
			"ListTagsForResource":             wire.Op(func(c *wire.Call, in *tagInput) []iam.Request { return c.Ask(in.ARN) }, s.tags),
			"TagResource":                     wire.Op(func(c *wire.Call, in *tagInput) []iam.Request { return c.Ask(in.ARN) }, s.tag),
			"UntagResource":                   wire.Op(func(c *wire.Call, in *tagInput) []iam.Request { return c.Ask(in.ARN) }, s.untag),
			"StartPipelineExecution":          wire.Op(onName(s), s.start),
			"StopPipelineExecution":           wire.Op(on(s), s.stop),
			"GetPipelineExecution":            wire.Op(on(s), s.getExecution),
			"ListPipelineExecutions":          wire.Op(on(s), s.listExecutions),
			"GetPipelineState":                wire.Op(onName(s), s.state),
			"ListActionExecutions":            wire.Op(on(s), s.actionExecutions),
			"ListRuleExecutions":              wire.Op(on(s), s.ruleExecutions),
			"PutApprovalResult":               wire.Op(onAction(s), s.approve),
			"RetryStageExecution":             wire.Op(onStage(s), s.retry),
			"RollbackStage":                   wire.Op(onStage(s), s.rollback),
			"OverrideStageCondition":          wire.Op(onStage(s), s.override),
			"EnableStageTransition":           wire.Op(onStage(s), s.enable),
			"DisableStageTransition":          wire.Op(onStage(s), s.disable),
			"PutWebhook":                      wire.Op(s.askHook, s.putHook),
			"ListWebhooks":                    wire.Op(wire.AskAll, s.listHooks),
			"DeleteWebhook":                   wire.Op(func(c *wire.Call, in *hookName) []iam.Request { return c.Ask(s.hookARN(in.Name)) }, s.deleteHook),
			"RegisterWebhookWithThirdParty":   wire.Op(func(c *wire.Call, in *hookRegistration) []iam.Request { return c.Ask(s.hookARN(in.Name)) }, s.registerHook),
			"DeregisterWebhookWithThirdParty": wire.Op(func(c *wire.Call, in *hookRegistration) []iam.Request { return c.Ask(s.hookARN(in.Name)) }, s.registerHook),
			"PutActionRevision":               wire.Op(onAction(s), s.putRevision),
			"ListActionTypes":                 wire.Op(wire.AskAll, s.actionTypes),
			"ListRuleTypes":                   wire.Op(wire.AskAll, s.ruleTypes),
			"CreateCustomActionType":          wire.Op(s.askType, s.createType),
			"DeleteCustomActionType":          wire.Op(s.askType, s.deleteType),
			"PollForJobs":                     wire.Op(s.askPoll, s.poll),
			"AcknowledgeJob":                  wire.Op(wire.AskAll, s.acknowledge),
			"GetJobDetails":                   wire.Op(wire.AskAll, s.jobDetails),
			"PutJobSuccessResult":             wire.Op(wire.AskAll, s.jobSuccess),
			"PutJobFailureResult":             wire.Op(wire.AskAll, s.jobFailure),
		},
		Faults: wire.Faults{
			fault.Invalid:     {"ValidationException"},
			fault.Denied:      {"ValidationException"},
			fault.Unsupported: {"ValidationException"},
			fault.NotFound:    {"PipelineNotFoundException", "ResourceNotFoundException", "JobNotFoundException", "ActionTypeNotFoundException", "ValidationException"},
			fault.Exists:      {"PipelineNameInUseException", "ValidationException"},
			fault.Conflict:    {"ConflictException", "InvalidJobStateException", "ConcurrentModificationException", "ValidationException"},
			fault.Limit:       {"LimitExceededException", "ConcurrentPipelineExecutionsLimitExceededException", "OutputVariablesSizeExceededException", "ValidationException"},
		},
	}
}

// arn is a pipeline's, or one of its stages' or actions'.
func (s *service) arn(pipeline string, parts ...string) string {
	arn := "arn:aws:codepipeline:" + s.Region + ":" + s.Account + ":" + pipeline
	for _, part := range parts {
		arn += "/" + part
	}
	return arn
}

// asked is how an operation asks.
type asked[In any] = func(*wire.Call, *In) []iam.Request

func onName(s *service) asked[nameInput] {
	return func(c *wire.Call, in *nameInput) []iam.Request { return c.Ask(s.arn(in.Name)) }
}

func on(s *service) asked[runInput] {
	return func(c *wire.Call, in *runInput) []iam.Request { return c.Ask(s.arn(in.Pipeline)) }
}

func onStage(s *service) asked[stageInput] {
	return func(c *wire.Call, in *stageInput) []iam.Request { return c.Ask(s.arn(in.Pipeline, in.Stage)) }
}

func onAction(s *service) asked[actionInput] {
	return func(c *wire.Call, in *actionInput) []iam.Request {
		return c.Ask(s.arn(in.Pipeline, in.Stage, in.Action))
	}
}

// nameInput is of the operations that call a pipeline name.
type nameInput struct {
	Name      string          `json:"name"`
	Version   int             `json:"version"`
	Variables []variable      `json:"variables"`
	Token     string          `json:"clientRequestToken"`
	Revisions []revisionInput `json:"sourceRevisions"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type revisionInput struct {
	Action string `json:"actionName"`
	Type   string `json:"revisionType"`
	Value  string `json:"revisionValue"`
}

// runInput is of the operations that call a pipeline pipelineName.
type runInput struct {
	Pipeline   string `json:"pipelineName"`
	ID         string `json:"pipelineExecutionId"`
	Abandon    bool   `json:"abandon"`
	Reason     string `json:"reason"`
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
	Filter     struct {
		ID        string `json:"pipelineExecutionId"`
		Succeeded struct {
			Stage string `json:"stageName"`
		} `json:"succeededInStage"`
		Latest struct {
			ID    string `json:"pipelineExecutionId"`
			Range string `json:"startTimeRange"`
		} `json:"latestInPipelineExecution"`
	} `json:"filter"`
}

type stageInput struct {
	Pipeline  string `json:"pipelineName"`
	Stage     string `json:"stageName"`
	ID        string `json:"pipelineExecutionId"`
	Mode      string `json:"retryMode"`
	Target    string `json:"targetPipelineExecutionId"`
	Condition string `json:"conditionType"`
	Kind      string `json:"transitionType"`
	Reason    string `json:"reason"`
}

type actionInput struct {
	Pipeline string `json:"pipelineName"`
	Stage    string `json:"stageName"`
	Action   string `json:"actionName"`
	Token    string `json:"token"`
	Result   struct {
		Summary string `json:"summary"`
		Status  string `json:"status"`
	} `json:"result"`
	Revision struct {
		ID string `json:"revisionId"`
	} `json:"actionRevision"`
}

// nothing is the answer of the operations that answer with nothing.
type nothing struct{}

// defined is the pipeline of that name.
func (s *service) defined(ctx context.Context, name string) (pipeline.Definition, error) {
	d, err := s.Runs.Definition(ctx, name)
	if errors.Is(err, fault.NotFound) {
		err = wire.Errorf("PipelineNotFoundException", "Account '%s' does not have a pipeline with name '%s'", s.Account, name)
	}
	return d, err
}

// run is the run of that id, if it is of the pipeline.
func (s *service) run(ctx context.Context, name, id string) (pipeline.Execution, error) {
	if _, err := s.defined(ctx, name); err != nil {
		return pipeline.Execution{}, err
	}
	e, err := s.Runs.Execution(ctx, id)
	if errors.Is(err, fault.NotFound) || err == nil && e.Pipeline != name {
		return e, wire.Errorf("PipelineExecutionNotFoundException", "Pipeline '%s' has no execution '%s'", name, id)
	}
	return e, err
}

// stage refuses one that the pipeline does not have.
func (s *service) stage(ctx context.Context, name, stage string) error {
	d, err := s.defined(ctx, name)
	if err == nil && d.Structure.Stage(stage) == nil {
		err = wire.Errorf("StageNotFoundException", "Pipeline '%s' has no stage '%s'", name, stage)
	}
	return err
}

// page parts a list by number: a token is how many came before.
func page[T any](all []T, token string, most, usual int) (part []T, next string, err error) {
	from := 0
	if token != "" {
		if from, err = strconv.Atoi(token); err != nil || from < 0 || from > len(all) {
			return nil, "", wire.Errorf("InvalidNextTokenException", "the token %q is none that was given out", token[:min(len(token), 50)])
		}
	}
	if most == 0 {
		most = usual
	}
	to := min(from+most, len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next, nil
}

// own is a name within an ARN of one of this installation's pipelines.
func (s *service) own(arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", wire.Errorf("InvalidArnException", "%q is not the ARN of a pipeline", arn[:min(len(arn), 200)])
	}
	return name, nil
}
