// Package haechi answers what no AWS service has an operation for: configuration as files, runs with their logs, tokens, problems that several tools name, ties to other forges, rules for branches.
package haechi

import (
	"cmp"
	"context"
	_ "embed"
	"maps"

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

// File is a file of configuration: routes, a gate policy, or rules.
type File struct{ Name, Text string }

// Settings make files so: what came from files before and is in none of them any
// more goes. With dry they only tell what would change. Secrets are asked for by
// what the files call them.
type Settings interface {
	ApplyFiles(ctx context.Context, files []File, secrets route.Secrets, dry bool) ([]route.Change, error)
	// PipelineARN is the ARN of a pipeline of this installation.
	PipelineARN(name string) string
	// ForgeARN is the ARN of what ties a repository to a forge.
	ForgeARN(repository string) string
}

// Service answers haechi, for the settings, the runs, the users, the problems, the records, the secrets and the forges there are.
func Service(settings Settings, runs *pipeline.Pipelines, people People, problems Problems, records Records, secrets Secrets, forges Forges, repositories Repositories) wire.Service {
	s := &service{settings, runs, people, problems, records, secrets, forges}
	answered := map[string]wire.Operation{
		"ApplyConfig":    wire.Op(wire.AskAll, s.applyConfig),
		"CreateToken":    wire.Op(s.askToken, s.createToken),
		"ListRuns":       wire.Op(asks[listInput]("ListPipelineExecutions"), s.listRuns),
		"GetRun":         wire.Op(asks[runInput]("GetPipelineExecution"), s.getRun),
		"GetRunLog":      wire.Op(asks[logInput]("GetPipelineExecution"), s.getLog),
		"StartRun":       wire.Op(s.askStart, s.startRun),
		"RetryRun":       wire.Op(s.askChange("RetryStageExecution"), s.retryRun),
		"JudgeRuns":      wire.Op(askJudge(s), s.judgeRuns),
		"StopRun":        wire.Op(s.askChange("StopPipelineExecution"), s.stopRun),
		"LookupEvents":   wire.Op(askLookup, s.lookup),
		"ListProblems":   wire.Op(asksFindings[problemsInput]("GetFindings"), s.listProblems),
		"TieFindings":    wire.Op(asksFindings[tieInput]("BatchUpdateFindings"), s.tie),
		"ExportSecrets":  wire.Op(asksFindings[exportInput]("GetFindings"), s.exportSecrets),
		"ImportSecrets":  wire.Op(asksFindings[takeInput]("BatchUpdateFindings"), s.takeSecrets),
		"ValidateSecret": wire.Op(askValidate, s.validateSecret),
		"PutForge":       wire.Op(func(c *wire.Call, in *putForgeInput) []iam.Request { return s.askForge(c, in.Repository) }, s.putForge),
		"ListForges":     wire.Op(wire.AskAll, s.listForges),
		"GetForge":       wire.Op(func(c *wire.Call, in *forgeInput) []iam.Request { return s.askForge(c, in.Repository) }, s.getForge),
		"DeleteForge":    wire.Op(func(c *wire.Call, in *forgeInput) []iam.Request { return s.askForge(c, in.Repository) }, s.deleteForge),
		"FollowForge":    wire.Op(func(c *wire.Call, in *forgeInput) []iam.Request { return s.askForge(c, in.Repository) }, s.followForge),
		"UntieFinding":   wire.Op(asksFindings[untieInput]("BatchUpdateFindings"), s.untie),
	}
	maps.Copy(answered, repositories.operations())
	return wire.Service{
		Model:      wire.MustModel(table),
		Operations: answered,
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
	settings Settings
	runs     *pipeline.Pipelines
	people   People
	problems Problems
	records  Records
	secrets  Secrets
	forges   Forges
}

type applyInput struct {
	Files   []File
	Secrets map[string]seal.Secret
	DryRun  bool
}

type applyOutput struct{ Changes []change }

type change struct {
	Do, What, Name string
	Fields         []string `json:"Fields,omitzero"`
}

// applyConfig makes files so, or tells what it would do. Secrets come with the
// call: a caller's files never make the server read its own variables and files.
func (s *service) applyConfig(ctx context.Context, _ *wire.Call, in *applyInput) (*applyOutput, error) {
	changes, err := s.settings.ApplyFiles(ctx, in.Files, func(reference string) (seal.Secret, error) {
		secret, ok := in.Secrets[reference]
		if !ok {
			return "", fault.Invalid.Errorf("%s did not come with the files", reference)
		}
		return secret, nil
	}, in.DryRun)
	if err != nil {
		if fault.Of(err) == fault.Invalid {
			err = fault.Invalid.Errorf("%s", diag.Detail(err))
		}
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
