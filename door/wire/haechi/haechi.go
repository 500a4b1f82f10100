// Package haechi answers what no AWS service has an operation for: configuration as files, runs with their logs, tokens.
package haechi

import (
	"cmp"
	"context"
	_ "embed"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// People are who may be given tokens.
type People interface {
	CreateToken(ctx context.Context, user string, purpose access.Purpose) (access.Token, seal.Secret, error)
	UserARN(name string) string
}

// Service answers haechi, for a router, the runs and the users there are.
func Service(router *route.Router, runs *pipeline.Pipelines, people People) wire.Service {
	s := &service{router, runs, people}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"ApplyConfig": wire.Op(wire.AskAll, s.applyConfig),
			"CreateToken": wire.Op(s.askToken, s.createToken),
			"ListRuns":    wire.Op(asks[listInput]("ListPipelineExecutions"), s.listRuns),
			"GetRun":      wire.Op(asks[runInput]("GetPipelineExecution"), s.getRun),
			"GetRunLog":   wire.Op(asks[logInput]("GetPipelineExecution"), s.getLog),
			"StartRun":    wire.Op(s.askStart, s.startRun),
			"RetryRun":    wire.Op(s.askChange("RetryStageExecution"), s.retryRun),
			"StopRun":     wire.Op(s.askChange("StopPipelineExecution"), s.stopRun),
		},
		Faults: wire.Faults{
			fault.Invalid:     {"ValidationException"},
			fault.NotFound:    {"ResourceNotFoundException", "ValidationException"},
			fault.Unsupported: {"ValidationException"},
			fault.Conflict:    {"ConflictException", "ValidationException"},
			fault.Exists:      {"ConflictException", "ValidationException"},
			fault.Limit:       {"LimitExceededException"},
		},
	}
}

type service struct {
	router *route.Router
	runs   *pipeline.Pipelines
	people People
}

type applyInput struct {
	Files   []file
	Secrets map[string]seal.Secret
	DryRun  bool
}

type file struct{ Name, Text string }

type applyOutput struct{ Changes []change }

type change struct {
	Do, What, Name string
	Fields         []string `json:"Fields,omitzero"`
}

// applyConfig makes files of routes so, or tells what it would do. Secrets come
// with the call: a caller's files never make the server read its own variables and files.
func (s *service) applyConfig(ctx context.Context, _ *wire.Call, in *applyInput) (*applyOutput, error) {
	var files []route.File
	for _, f := range in.Files {
		files = append(files, route.File{Name: f.Name, Text: []byte(f.Text)})
	}
	want, err := route.ParseFiles(files...)
	if err != nil {
		return nil, fault.Invalid.Errorf("%s", diag.Detail(err))
	}
	do := s.router.Apply
	if in.DryRun {
		do = s.router.Plan
	}
	changes, err := do(ctx, want, func(reference string) (seal.Secret, error) {
		secret, ok := in.Secrets[reference]
		if !ok {
			return "", fault.Invalid.Errorf("%s did not come with the files", reference)
		}
		return secret, nil
	})
	if err != nil {
		return nil, err
	}
	out := &applyOutput{Changes: []change{}}
	for _, c := range changes {
		out.Changes = append(out.Changes, change{c.Do, c.What, c.Name, c.Fields})
	}
	return out, nil
}

type tokenInput struct {
	User    string // the caller if it is empty
	Purpose access.Purpose
}

type tokenOutput struct {
	ID      string `json:"Id"`
	User    string
	Purpose access.Purpose
	Value   string // told this once
}

func (in *tokenInput) user(c *wire.Call) string { return cmp.Or(in.User, c.Principal.Name) }

// askToken asks for what IAM calls such a token, as the console does.
func (s *service) askToken(c *wire.Call, in *tokenInput) []iam.Request {
	return c.AskFor("iam:CreateServiceSpecificCredential", s.people.UserARN(in.user(c)))
}

func (s *service) createToken(ctx context.Context, c *wire.Call, in *tokenInput) (*tokenOutput, error) {
	t, value, err := s.people.CreateToken(ctx, in.user(c), in.Purpose)
	if err != nil {
		return nil, err
	}
	return &tokenOutput{t.ID, t.User, t.Purpose, value.Reveal()}, nil
}
