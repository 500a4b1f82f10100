// Package haechi answers what no AWS service has an operation for: configuration as files.
package haechi

import (
	"context"
	_ "embed"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Service answers haechi, for a router.
func Service(router *route.Router) wire.Service {
	s := &service{router}
	return wire.Service{
		Model:      wire.MustModel(table),
		Operations: map[string]wire.Operation{"ApplyConfig": wire.Op(wire.AskAll, s.applyConfig)},
		Faults: wire.Faults{
			fault.Invalid:     {"ValidationException"},
			fault.NotFound:    {"ValidationException"},
			fault.Unsupported: {"ValidationException"},
			fault.Conflict:    {"ConflictException"},
			fault.Exists:      {"ConflictException"},
			fault.Limit:       {"LimitExceededException"},
		},
	}
}

type service struct{ router *route.Router }

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
