package haechi

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/finding"
)

// Problems ties what several tools say of one thing.
type Problems interface {
	Problems(ctx context.Context, filters hub.Filters, limit int, before int64) (list []hub.Problem, next int64, err error)
	Tie(ctx context.Context, ref, other hub.Ref, by, why string) error
	Untie(ctx context.Context, ref hub.Ref, problem int64, by, why string) error
}

// Problem is a problem as the service tells of it.
type Problem struct {
	ID        int64 `json:"Id"`
	Severity  finding.Label
	Title     string
	Reasons   []string
	Witnesses []Witness
}

// Witness is a finding that is tied to a problem, in few words.
type Witness struct {
	ID         string `json:"Id"`
	ProductARN string `json:"ProductArn"`
	Tool       string
	Severity   finding.Label
	Title      string
	Where      string
	Status     finding.Status
	Record     finding.RecordState `json:"RecordState"`
	Claim      string              `json:"Claim,omitzero"`
	Kind       string
	Reason     string
	By         string `json:"By,omitzero"`
	At         time.Time
}

type (
	problemsInput struct {
		Filters hub.Filters
		Limit   int
		Before  int64
	}
	problemsOutput struct {
		Problems []Problem
		Next     int64 `json:"Next,omitzero"`
	}

	tieInput struct {
		Finding, Other hub.Ref
		Reason         string
	}
	untieInput struct {
		Finding hub.Ref
		Problem int64
		Reason  string
	}
	nothing struct{}
)

func (s *service) listProblems(ctx context.Context, _ *wire.Call, in *problemsInput) (*problemsOutput, error) {
	list, next, err := s.problems.Problems(ctx, in.Filters, in.Limit, in.Before)
	out := &problemsOutput{Problems: []Problem{}, Next: next}
	for i := range list {
		out.Problems = append(out.Problems, problemOf(&list[i]))
	}
	return out, err
}

func problemOf(p *hub.Problem) Problem {
	worst := p.Worst()
	said := Problem{ID: p.ID, Severity: worst.Label(), Title: worst.Title, Reasons: p.Reasons()}
	for i := range p.Witnesses {
		w := &p.Witnesses[i]
		f := &w.Finding
		tool := f.ProductFields[finding.FieldTool]
		if tool == "" {
			tool = f.ProductName
		}
		said.Witnesses = append(said.Witnesses, Witness{ID: f.ID, ProductARN: f.ProductARN, Tool: tool, Severity: f.Label(), Title: f.Title, Where: f.Where(), Status: f.Status(), Record: f.RecordState,
			Claim: w.Claim, Kind: w.Kind, Reason: w.Reason, By: w.By, At: w.At})
	}
	return said
}

// Reading problems is reading findings, and tying them is deciding about them.
func asksFindings[In any](action string) func(*wire.Call, *In) []iam.Request {
	return func(c *wire.Call, _ *In) []iam.Request { return c.AskFor("securityhub:" + action) }
}

func (s *service) tie(ctx context.Context, c *wire.Call, in *tieInput) (*nothing, error) {
	return &nothing{}, s.problems.Tie(ctx, in.Finding, in.Other, c.Principal.ARN, in.Reason)
}

func (s *service) untie(ctx context.Context, c *wire.Call, in *untieInput) (*nothing, error) {
	return &nothing{}, s.problems.Untie(ctx, in.Finding, in.Problem, c.Principal.ARN, in.Reason)
}
