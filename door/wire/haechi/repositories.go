package haechi

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Repositories is what CodeCommit's API has no room for: rules for branches, keys that commits are signed
// with, and why a pull request may or may not be merged.
type Repositories struct {
	Source *source.Source
	Person func(ctx context.Context, who iam.Principal) source.Person
}

func (r Repositories) operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"GetRepositoryRules": wire.Op(r.ask("haechi:GetRepositoryRules"), r.getRules),
		"PutRepositoryRules": wire.Op(func(c *wire.Call, in *rulesInput) []iam.Request {
			return c.AskFor("haechi:PutRepositoryRules", r.Source.ARN(in.Repository))
		}, r.putRules),
		"ListSigners":         wire.Op(func(c *wire.Call, _ *struct{}) []iam.Request { return c.AskFor("haechi:ListSigners") }, r.listSigners),
		"AddSigner":           wire.Op(func(c *wire.Call, _ *signerInput) []iam.Request { return c.AskFor("haechi:AddSigner") }, r.addSigner),
		"DeleteSigner":        wire.Op(func(c *wire.Call, _ *signerInput) []iam.Request { return c.AskFor("haechi:DeleteSigner") }, r.dropSigner),
		"JudgePullRequest":    wire.Op(r.askPull("codecommit:EvaluatePullRequestApprovalRules"), r.judge),
		"OverridePullRequest": wire.Op(r.askPull("codecommit:OverridePullRequestApprovalRules"), r.override),
	}
}

type repositoryInput struct{ Repository string }

func (r Repositories) ask(action string) func(*wire.Call, *repositoryInput) []iam.Request {
	return func(c *wire.Call, in *repositoryInput) []iam.Request {
		return c.AskFor(action, r.Source.ARN(in.Repository))
	}
}

type pullInput struct {
	PullRequest int64
	Reason      string
	Hours       int
}

func (r Repositories) askPull(action string) func(*wire.Call, *pullInput) []iam.Request {
	return func(c *wire.Call, in *pullInput) []iam.Request {
		name, err := r.Source.PullRepository(context.Background(), in.PullRequest) // asks come without a context; it is one row
		if err != nil {
			return c.AskFor(action)
		}
		return c.AskFor(action, r.Source.ARN(name))
	}
}

type rulesOutput struct {
	Rules source.Rules
	Level int    // of the default branch, in SLSA's source levels
	Why   string // it is no higher
}

func (r Repositories) getRules(ctx context.Context, _ *wire.Call, in *repositoryInput) (*rulesOutput, error) {
	known, err := r.Source.Repository(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	out := &rulesOutput{Rules: known.Rules}
	out.Level, out.Why, err = r.Source.Level(ctx, in.Repository, known.DefaultBranch)
	return out, err
}

type rulesInput struct {
	Repository string
	Rules      source.Rules
}

// putRules keeps rules. What a rule asks for holds from when it was first asked for, whoever sends it again.
func (r Repositories) putRules(ctx context.Context, c *wire.Call, in *rulesInput) (*rulesOutput, error) {
	_, err := r.Source.Change(ctx, in.Repository, func(known *source.Repository) error {
		known.Rules = in.Rules.From(known.Rules, source.Start{Time: c.Time.UTC(), Who: c.Principal.ARN})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.getRules(ctx, c, &repositoryInput{in.Repository})
}

type signersOutput struct{ Signers []source.Signer }

func (r Repositories) listSigners(ctx context.Context, _ *wire.Call, _ *struct{}) (*signersOutput, error) {
	all, err := r.Source.Signers(ctx)
	if all == nil {
		all = []source.Signer{}
	}
	return &signersOutput{all}, err
}

type signerInput struct {
	Owner       string // the caller's ARN where it is empty
	Key         string
	Emails      []string
	Fingerprint string
}

type signerOutput struct{ Signer source.Signer }

func (r Repositories) addSigner(ctx context.Context, c *wire.Call, in *signerInput) (*signerOutput, error) {
	sg := source.Signer{Owner: in.Owner, Key: in.Key, Emails: in.Emails, By: c.Principal.ARN}
	if sg.Owner == "" {
		sg.Owner = c.Principal.ARN
	}
	sg, err := r.Source.AddSigner(ctx, sg)
	return &signerOutput{sg}, err
}

func (r Repositories) dropSigner(ctx context.Context, _ *wire.Call, in *signerInput) (*struct{}, error) {
	return nil, r.Source.DropSigner(ctx, in.Fingerprint)
}

type (
	// Demand is one thing that is asked for before a pull request may be merged.
	Demand struct {
		Name, Why   string
		Met, Lifted bool
	}
	judgedOutput struct {
		Repository, Title, State, Source, Target string
		Revision                                 string
		Mergeable, Overridden                    bool
		Demands                                  []Demand
		Ignored                                  []string
	}
)

func (r Repositories) judge(ctx context.Context, _ *wire.Call, in *pullInput) (*judgedOutput, error) {
	v, err := r.Source.Judge(ctx, in.PullRequest)
	if err != nil {
		return nil, err
	}
	p := v.Pull
	out := &judgedOutput{Repository: p.Repository, Title: p.Title, State: string(p.State), Source: p.Source, Target: p.Target, Revision: p.Revision.ID, Mergeable: v.Mergeable && p.State == source.Open, Overridden: v.Overridden, Demands: []Demand{}, Ignored: v.Ignored}
	if out.Ignored == nil {
		out.Ignored = []string{}
	}
	for _, d := range v.Demands {
		out.Demands = append(out.Demands, Demand{d.Name, d.Why, d.Met, d.Lifted})
	}
	return out, nil
}

func (r Repositories) override(ctx context.Context, c *wire.Call, in *pullInput) (*judgedOutput, error) {
	if in.Hours < 1 {
		return nil, fault.Invalid.Errorf("an override lasts an hour or more")
	}
	if err := r.Source.LiftRules(ctx, in.PullRequest, "", r.Person(ctx, c.Principal), in.Reason, c.Time.Add(time.Duration(in.Hours)*time.Hour)); err != nil {
		return nil, err
	}
	return r.judge(ctx, c, in)
}
