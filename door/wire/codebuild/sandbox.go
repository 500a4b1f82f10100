package codebuild

import (
	"context"
	"errors"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// Sandboxes are asked for as their projects are, as builds are.

type startSandboxInput struct {
	Project string `json:"projectName"`
	Token   string `json:"idempotencyToken"`
}

func (s *service) askStartSandbox(c *wire.Call, in *startSandboxInput) []iam.Request {
	return c.Ask(s.project(in.Project))
}

type sandboxOutput struct {
	Sandbox build.Sandbox `json:"sandbox"`
}

// saidSandbox is a sandbox as CodeBuild has it.
func saidSandbox(s build.Sandbox) build.Sandbox {
	s.Facts = nil
	return s
}

func (s *service) startSandbox(ctx context.Context, c *wire.Call, in *startSandboxInput) (*sandboxOutput, error) {
	if in.Project == "" {
		return nil, fault.Invalid.Errorf("projectName is missing: a sandbox is one of a project")
	}
	token := ""
	if in.Token != "" {
		token = c.Principal.ARN + "/" + c.Operation + "/" + in.Token
	}
	made, err := s.builds.StartSandbox(ctx, in.Project, c.Principal.ARN, token)
	return &sandboxOutput{saidSandbox(made)}, err
}

func (s *service) stopSandbox(ctx context.Context, _ *wire.Call, in *idInput) (*sandboxOutput, error) {
	made, err := s.builds.StopSandbox(ctx, in.ID)
	return &sandboxOutput{saidSandbox(made)}, err
}

type sandboxesOutput struct {
	Sandboxes []build.Sandbox `json:"sandboxes"`
	NotFound  []string        `json:"sandboxesNotFound"`
}

func (s *service) batchGetSandboxes(ctx context.Context, _ *wire.Call, in *idsInput) (*sandboxesOutput, error) {
	all, none, err := gather(ctx, in.IDs, s.builds.Sandbox)
	for i := range all {
		all[i] = saidSandbox(all[i])
	}
	return &sandboxesOutput{all, none}, err
}

func (s *service) listSandboxes(ctx context.Context, _ *wire.Call, in *listInput) (*idsOutput, error) {
	if in.Project != "" {
		if _, err := s.builds.Project(ctx, in.Project); err != nil {
			return nil, err
		}
	}
	all, err := s.builds.Sandboxes(ctx, in.query())
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(all))
	for i, one := range all {
		ids[i] = one.ID
	}
	return in.cut(ids), nil
}

type commandInput struct {
	Sandbox string   `json:"sandboxId"`
	Command string   `json:"command"`
	Type    string   `json:"type"`
	IDs     []string `json:"commandExecutionIds"`

	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxResults"`
}

func (s *service) askCommand(c *wire.Call, in *commandInput) []iam.Request {
	return c.Ask(s.projectOf(in.Sandbox))
}

type commandOutput struct {
	Command build.Command `json:"commandExecution"`
}

func (s *service) startCommand(ctx context.Context, _ *wire.Call, in *commandInput) (*commandOutput, error) {
	made, err := s.builds.StartCommand(ctx, in.Sandbox, in.Command)
	return &commandOutput{made}, err
}

type commandsOutput struct {
	Commands  []build.Command `json:"commandExecutions"`
	NotFound  []string        `json:"commandExecutionsNotFound,omitzero"`
	NextToken string          `json:"nextToken,omitzero"`
}

func (s *service) batchGetCommands(ctx context.Context, _ *wire.Call, in *commandInput) (*commandsOutput, error) {
	found, err := s.builds.Commands(ctx, in.Sandbox, true, in.IDs...)
	if err != nil {
		if errors.Is(err, fault.NotFound) { // this operation has no such error
			err = fault.Invalid.Errorf("%w", err)
		}
		return nil, err
	}
	out := &commandsOutput{Commands: []build.Command{}, NotFound: []string{}}
	for _, id := range in.IDs {
		there := false
		for _, c := range found {
			if c.ID == id {
				out.Commands, there = append(out.Commands, c), true
			}
		}
		if !there {
			out.NotFound = append(out.NotFound, id)
		}
	}
	return out, nil
}

func (s *service) listCommands(ctx context.Context, _ *wire.Call, in *commandInput) (*commandsOutput, error) {
	all, err := s.builds.Commands(ctx, in.Sandbox, in.SortOrder == "ASCENDING")
	if err != nil {
		return nil, err
	}
	most := in.Most
	if most == 0 {
		most = 100
	}
	out := &commandsOutput{}
	out.Commands, out.NextToken, err = page(all, in.NextToken, most, 100)
	return out, err
}
