package codepipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type pollInput struct {
	Type  structure.TypeID  `json:"actionTypeId"`
	Most  int               `json:"maxBatchSize"`
	Query map[string]string `json:"queryParam"`
}

// askPoll asks on the type: a worker may be let at its own type alone.
func (s *service) askPoll(c *wire.Call, in *pollInput) []iam.Request {
	return c.Ask(s.typeARN(in.Type))
}

type named struct {
	Name string `json:"name"`
	ID   string `json:"actionExecutionId,omitzero"`
}

type pipelineContext struct {
	Pipeline  string `json:"pipelineName"`
	Stage     named  `json:"stage"`
	Action    named  `json:"action"`
	ARN       string `json:"pipelineArn"`
	Execution string `json:"pipelineExecutionId"`
}

type artifact struct {
	Name     string `json:"name"`
	Revision string `json:"revision,omitzero"`
	Location *struct {
		Type string `json:"type"`
		S3   struct {
			Bucket string `json:"bucketName"`
			Key    string `json:"objectKey"`
		} `json:"s3Location"`
	} `json:"location,omitzero"`
}

type jobData struct {
	Type   structure.TypeID `json:"actionTypeId"`
	Config struct {
		Values map[string]string `json:"configuration,omitzero"`
	} `json:"actionConfiguration"`
	Context      pipelineContext `json:"pipelineContext"`
	Inputs       []artifact      `json:"inputArtifacts"`
	Outputs      []artifact      `json:"outputArtifacts"`
	Continuation string          `json:"continuationToken,omitzero"`
	Keys         *jobKeys        `json:"artifactCredentials,omitzero"`
}

// jobKeys are keys for a job's artifacts alone.
type jobKeys struct {
	ID     string `json:"accessKeyId"`
	Secret string `json:"secretAccessKey"`
	Token  string `json:"sessionToken"`
}

type job struct {
	ID      string  `json:"id"`
	Data    jobData `json:"data"`
	Nonce   string  `json:"nonce,omitzero"`
	Account string  `json:"accountId"`
}

type jobsOutput struct {
	Jobs []job `json:"jobs"`
}

func (s *service) job(j pipeline.Job) job {
	out := job{ID: j.ID, Nonce: j.Nonce, Account: s.Account}
	d := &out.Data
	d.Type, d.Config.Values, d.Continuation, d.Inputs, d.Outputs = j.Type, j.Configuration, j.Continuation, []artifact{}, []artifact{}
	d.Context = pipelineContext{j.Pipeline, named{Name: j.Stage}, named{j.Action, j.ID}, s.arn(j.Pipeline), j.Execution}
	for _, in := range j.Inputs {
		d.Inputs = append(d.Inputs, located(in))
	}
	for _, name := range j.Outputs {
		made := pipeline.Artifact{Name: name}
		if i := slices.IndexFunc(j.Made, func(m pipeline.Artifact) bool { return m.Name == name }); i >= 0 {
			made = j.Made[i]
		}
		d.Outputs = append(d.Outputs, located(made))
	}
	if k := j.Keys; k != nil {
		d.Keys = &jobKeys{k.KeyID, k.Secret.Reveal(), k.Token.Reveal()}
	}
	return out
}

// located is an artifact and where it lies.
func located(in pipeline.Artifact) artifact {
	a := artifact{Name: in.Name, Revision: in.Commit}
	if at := detailOf(in).Location; at != nil {
		a.Location = &struct {
			Type string `json:"type"`
			S3   struct {
				Bucket string `json:"bucketName"`
				Key    string `json:"objectKey"`
			} `json:"s3Location"`
		}{Type: "S3"}
		a.Location.S3.Bucket, a.Location.S3.Key = at.Bucket, at.Key
	}
	return a
}

func (s *service) poll(ctx context.Context, c *wire.Call, in *pollInput) (*jobsOutput, error) {
	out := &jobsOutput{Jobs: []job{}}
	for _, source := range s.Jobs {
		jobs, err := source.Poll(ctx, in.Type, c.Principal.ARN, max(in.Most, 1), in.Query)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			out.Jobs = append(out.Jobs, s.job(j))
		}
		return out, nil
	}
	return nil, wire.Errorf("ActionTypeNotFoundException", "there is no action type %s whose jobs are polled for", in.Type)
}

// jobInput is of the operations on one job.
type jobInput struct {
	ID           string `json:"jobId"`
	Nonce        string `json:"nonce"`
	Continuation string `json:"continuationToken"`
	Revision     struct {
		ID string `json:"revision"`
	} `json:"currentRevision"`
	Details struct {
		Summary  string `json:"summary"`
		External string `json:"externalExecutionId"`
		Percent  int    `json:"percentComplete"`
	} `json:"executionDetails"`
	Variables map[string]string `json:"outputVariables"`
	Failure   struct {
		Type     string `json:"type"`
		Message  string `json:"message"`
		External string `json:"externalExecutionId"`
	} `json:"failureDetails"`
}

// each asks the sources one after the other for the one whose job it is.
func (s *service) each(ask func(JobSource) error) error {
	for _, source := range s.Jobs {
		err := ask(source)
		switch {
		case errors.Is(err, fault.NotFound):
			continue
		case errors.Is(err, fault.Conflict):
			return wire.Errorf("InvalidJobStateException", "%v", err)
		case errors.Is(err, fault.Limit):
			return wire.Errorf("OutputVariablesSizeExceededException", "%v", err)
		}
		return err
	}
	return wire.Errorf("JobNotFoundException", "there is no such job")
}

type statusOutput struct {
	Status string `json:"status"`
}

func (s *service) acknowledge(ctx context.Context, c *wire.Call, in *jobInput) (*statusOutput, error) {
	out := &statusOutput{}
	err := s.each(func(source JobSource) (err error) {
		out.Status, err = source.Acknowledge(ctx, in.ID, in.Nonce, c.Principal.ARN)
		if errors.Is(err, fault.Invalid) || errors.Is(err, fault.Conflict) {
			return wire.Errorf("InvalidNonceException", "%v", err)
		}
		return err
	})
	return out, err
}

type detailsOutput struct {
	Details struct {
		ID      string  `json:"id"`
		Data    jobData `json:"data"`
		Account string  `json:"accountId"`
	} `json:"jobDetails"`
}

func (s *service) jobDetails(ctx context.Context, _ *wire.Call, in *jobInput) (*detailsOutput, error) {
	out := &detailsOutput{}
	return out, s.each(func(source JobSource) error {
		j, err := source.JobDetails(ctx, in.ID)
		if err == nil {
			shown := s.job(j)
			out.Details.ID, out.Details.Data, out.Details.Account = shown.ID, shown.Data, shown.Account
		}
		return err
	})
}

func (s *service) jobSuccess(ctx context.Context, c *wire.Call, in *jobInput) (*nothing, error) {
	return nil, s.each(func(source JobSource) error {
		return source.Succeed(ctx, in.ID, c.Principal.ARN, pipeline.JobSuccess{
			Continuation: in.Continuation, Summary: in.Details.Summary, External: in.Details.External, Percent: in.Details.Percent, Revision: in.Revision.ID, Variables: in.Variables,
		})
	})
}

func (s *service) jobFailure(ctx context.Context, c *wire.Call, in *jobInput) (*nothing, error) {
	return nil, s.each(func(source JobSource) error {
		return source.Fail(ctx, in.ID, c.Principal.ARN, in.Failure.Type, in.Failure.Message, in.Failure.External)
	})
}
