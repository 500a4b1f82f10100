package codepipeline

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
)

type s3Location struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

type artifactDetail struct {
	Name     string      `json:"name"`
	Location *s3Location `json:"s3location,omitzero"`
}

type executionResult struct {
	External string        `json:"externalExecutionId,omitzero"`
	Summary  string        `json:"externalExecutionSummary,omitzero"`
	Link     string        `json:"externalExecutionUrl,omitzero"`
	Error    *errorDetails `json:"errorDetails,omitzero"`
	Log      string        `json:"logStreamARN,omitzero"`
}

type actionDetail struct {
	Execution string    `json:"pipelineExecutionId"`
	ID        string    `json:"actionExecutionId"`
	Version   int       `json:"pipelineVersion"`
	Stage     string    `json:"stageName"`
	Action    string    `json:"actionName"`
	Started   time.Time `json:"startTime"`
	Updated   time.Time `json:"lastUpdateTime"`
	By        string    `json:"updatedBy,omitzero"`
	Status    string    `json:"status"`
	Input     struct {
		Type      structure.TypeID  `json:"actionTypeId"`
		Asked     map[string]string `json:"configuration,omitzero"`
		Config    map[string]string `json:"resolvedConfiguration,omitzero"`
		Role      string            `json:"roleArn,omitzero"`
		Region    string            `json:"region"`
		Artifacts []artifactDetail  `json:"inputArtifacts"`
		Namespace string            `json:"namespace,omitzero"`
	} `json:"input"`
	Output struct {
		Artifacts []artifactDetail  `json:"outputArtifacts"`
		Result    *executionResult  `json:"executionResult,omitzero"`
		Variables map[string]string `json:"outputVariables,omitzero"`
	} `json:"output"`
}

type actionsOutput struct {
	Details   []actionDetail `json:"actionExecutionDetails"`
	NextToken string         `json:"nextToken,omitzero"`
}

// history calls each with the runs that are asked for, the newest first, until it has had enough: one, or all of the
// pipeline from the run that a token names on. A token is a run, and how many of its entries came before: so a page goes
// on where the one before ended, whatever has begun meanwhile.
func (s *service) history(ctx context.Context, in *runInput, each func(pipeline.Execution) (enough bool)) error {
	id := in.Filter.ID
	if in.Filter.Latest.ID != "" {
		id = in.Filter.Latest.ID
	}
	if id != "" {
		e, err := s.run(ctx, in.Pipeline, id)
		if err == nil {
			each(e)
		}
		return err
	}
	if _, err := s.defined(ctx, in.Pipeline); err != nil {
		return err
	}
	before, _, _ := strings.Cut(in.NextToken, "/")
	if before != "" {
		e, err := s.Runs.Execution(ctx, before)
		if err != nil || e.Pipeline != in.Pipeline {
			return errToken(in.NextToken)
		}
		if each(e) {
			return nil
		}
	}
	for {
		runs, err := s.Runs.Executions(ctx, pipeline.Query{Pipeline: in.Pipeline, Before: before, Limit: 50})
		if err != nil || len(runs) == 0 {
			return err
		}
		for _, e := range runs {
			if each(e) {
				return nil
			}
			before = e.ID
		}
	}
}

func errToken(token string) error {
	return wire.Errorf("InvalidNextTokenException", "the token %q is none that was given out", clipped(token, 50))
}

// pages gathers the entries of a history by pages.
func pages[T any](ctx context.Context, s *service, in *runInput, of func(pipeline.Execution) []T) (part []T, next string, err error) {
	most, from := cmp.Or(in.MaxResults, 100), 0
	if in.NextToken != "" {
		_, n, _ := strings.Cut(in.NextToken, "/")
		if from, err = strconv.Atoi(n); err != nil || from < 0 {
			return nil, "", errToken(in.NextToken)
		}
	}
	part = []T{}
	err = s.history(ctx, in, func(e pipeline.Execution) bool {
		all := of(e)
		from = min(from, len(all))
		take := min(most-len(part), len(all)-from)
		part = append(part, all[from:from+take]...)
		if len(part) == most {
			next = e.ID + "/" + strconv.Itoa(from+take)
			return true
		}
		from = 0
		return false
	})
	return part, next, err
}

// actionExecutions gives what was done, the newest run and in it the newest action first, each attempt by itself.
func (s *service) actionExecutions(ctx context.Context, _ *wire.Call, in *runInput) (*actionsOutput, error) {
	part, next, err := pages(ctx, s, in, func(e pipeline.Execution) (all []actionDetail) {
		for _, st := range e.Stages {
			now := st.Actions
			if in.Filter.Latest.Range != "Latest" {
				now = slices.Concat(st.Past, st.Actions)
			}
			for _, a := range now {
				if a.ID != "" {
					all = append(all, s.actionDetail(e, st, a))
				}
			}
		}
		slices.Reverse(all)
		slices.SortStableFunc(all, func(a, b actionDetail) int { return b.Started.Compare(a.Started) })
		return all
	})
	if err != nil {
		return nil, err
	}
	return &actionsOutput{part, next}, nil
}

func (s *service) actionDetail(e pipeline.Execution, st pipeline.Stage, a pipeline.Action) actionDetail {
	d := actionDetail{Execution: e.ID, ID: a.ID, Version: max(e.Version, 1), Stage: st.Name, Action: a.Name, Started: a.Started, Updated: lastChange(a), By: a.By, Status: actionStatus(a)}
	d.Input.Type, d.Input.Asked, d.Input.Config, d.Input.Role, d.Input.Namespace = a.Type, a.Asked, a.Config, a.Role, a.Namespace
	if d.Input.Region = a.Region; a.Region == "" {
		d.Input.Region = s.Region
	}
	d.Input.Artifacts, d.Output.Artifacts = []artifactDetail{}, []artifactDetail{}
	for _, name := range a.Inputs {
		if m, ok := e.Artifact(name); ok {
			d.Input.Artifacts = append(d.Input.Artifacts, detailOf(m))
		}
	}
	for _, m := range e.Artifacts {
		if m.Stage == st.Name && m.Action == a.Name && a.Status == pipeline.Succeeded {
			d.Output.Artifacts = append(d.Output.Artifacts, detailOf(m))
		}
	}
	d.Output.Variables = a.Variables
	if a.Status.Ended() {
		d.Output.Result = &executionResult{External: a.External, Summary: a.Summary, Log: s.logOf(e.Pipeline, &a)}
		if a.Link != "" {
			d.Output.Result.Link = s.Page(a.Link)
		}
		if a.Status == pipeline.Failed {
			d.Output.Result.Error = &errorDetails{codeOf(a), a.Summary}
		}
	}
	return d
}

// logOf is the ARN of the stream that aws logs finds an action's log by, or "".
func (s *service) logOf(of string, a *pipeline.Action) string {
	if !a.Logs() {
		return ""
	}
	group, stream := pipeline.LogNames(of, a.ID)
	return "arn:aws:logs:" + s.Region + ":" + s.Account + ":log-group:" + group + ":log-stream:" + stream
}

// detailOf is an artifact as CodePipeline shows it: where it lies. Here that is under its digest, or in its repository.
func detailOf(m pipeline.Artifact) artifactDetail {
	d := artifactDetail{Name: m.Name}
	switch {
	case m.Key != "":
		d.Location = &s3Location{m.Bucket, m.Key}
	case m.Digest != "":
		d.Location = &s3Location{"haechi", m.Digest}
	case m.Commit != "":
		d.Location = &s3Location{"haechi", clipped(m.Repository+"@"+m.Commit, 100)}
	}
	return d
}

type ruleDetail struct {
	Execution string    `json:"pipelineExecutionId"`
	ID        string    `json:"ruleExecutionId"`
	Version   int       `json:"pipelineVersion"`
	Stage     string    `json:"stageName"`
	Rule      string    `json:"ruleName"`
	Started   time.Time `json:"startTime"`
	Updated   time.Time `json:"lastUpdateTime"`
	Status    string    `json:"status"`
	Input     struct {
		Type   structure.TypeID  `json:"ruleTypeId"`
		Asked  map[string]string `json:"configuration,omitzero"`
		Config map[string]string `json:"resolvedConfiguration,omitzero"`
		Region string            `json:"region"`

		Artifacts []artifactDetail `json:"inputArtifacts"`
	} `json:"input"`
	Output struct {
		Result *executionResult `json:"executionResult,omitzero"`
	} `json:"output"`
}

type rulesOutput struct {
	Details   []ruleDetail `json:"ruleExecutionDetails"`
	NextToken string       `json:"nextToken,omitzero"`
}

// ruleExecutions gives which rules were asked, and what they said, the newest first.
func (s *service) ruleExecutions(ctx context.Context, _ *wire.Call, in *runInput) (*rulesOutput, error) {
	part, next, err := pages(ctx, s, in, func(e pipeline.Execution) (all []ruleDetail) {
		for _, st := range e.Stages {
			var rules []pipeline.Rule
			if in.Filter.Latest.Range != "Latest" {
				rules = st.PastRules
			}
			for _, c := range []*pipeline.Condition{st.Entry, st.Success, st.Failure} {
				if c != nil {
					rules = slices.Concat(rules, c.Rules)
				}
			}
			for _, r := range rules {
				if r.ID != "" {
					all = append(all, s.ruleDetail(e, st, r))
				}
			}
		}
		slices.Reverse(all)
		slices.SortStableFunc(all, func(a, b ruleDetail) int { return b.Started.Compare(a.Started) })
		return all
	})
	if err != nil {
		return nil, err
	}
	return &rulesOutput{part, next}, nil
}

func (s *service) ruleDetail(e pipeline.Execution, st pipeline.Stage, r pipeline.Rule) ruleDetail {
	d := ruleDetail{Execution: e.ID, ID: r.ID, Version: max(e.Version, 1), Stage: st.Name, Rule: r.Name, Started: r.Started, Updated: r.Ended, Status: string(r.Status)}
	if d.Updated.IsZero() {
		d.Updated = r.Started
	}
	d.Input.Type, d.Input.Asked, d.Input.Config, d.Input.Region = r.Type, r.Asked, r.Config, s.Region
	d.Input.Artifacts = []artifactDetail{}
	for _, name := range r.Inputs {
		if m, ok := e.Artifact(name); ok {
			d.Input.Artifacts = append(d.Input.Artifacts, detailOf(m))
		}
	}
	if r.Status.Ended() {
		d.Output.Result = &executionResult{External: r.External, Summary: r.Summary}
		if r.Broke {
			d.Output.Result.Error = &errorDetails{"ConfigurationError", r.Summary}
		}
	}
	return d
}
