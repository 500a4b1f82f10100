package app

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// gitAccess is access as the git door asks for it.
type gitAccess struct {
	access  watchedAccess
	regions []string // that signatures may be made for
	person  func(context.Context, iam.Principal) source.Person
}

// regions are AWS's, and our own: a CodeCommit signature does not say for which
// of them it was made, and any will do.
func regions(own string) []string {
	all := []string{own}
	for _, r := range strings.Fields(`us-east-1 us-east-2 us-west-1 us-west-2 af-south-1 ap-east-1 ap-east-2 ap-south-1 ap-south-2 ap-northeast-1 ap-northeast-2 ap-northeast-3
		ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-west-1 eu-west-2 eu-west-3
		eu-north-1 eu-south-1 eu-south-2 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-gov-east-1 us-gov-west-1 cn-north-1 cn-northwest-1`) {
		if r != own {
			all = append(all, r)
		}
	}
	return all
}

// Signed is the caller whose access key made a CodeCommit signature.
func (g gitAccess) Signed(ctx context.Context, s gitdoor.Signature) (gitdoor.Caller, error) {
	key, who, err := g.access.Secret(ctx, s.AccessKey, s.Token)
	if err != nil || !s.Verify(key.Reveal(), g.regions) {
		return gitdoor.Caller{}, fault.Unauthenticated.Errorf("the access key or its signature is wrong")
	}
	return gitdoor.Caller{ARN: who.ARN, Person: g.person(ctx, who), Session: who}, nil
}

// Password is the user who has that git password.
func (g gitAccess) Password(ctx context.Context, user, password string) (gitdoor.Caller, error) {
	who, err := g.access.Token(ctx, access.Git, user, seal.Secret(password))
	if err != nil {
		return gitdoor.Caller{}, err
	}
	return gitdoor.Caller{ARN: who.ARN, Person: g.person(ctx, who), Session: who}, nil
}

// Allow asks whether a caller may do something to a repository.
func (g gitAccess) Allow(ctx context.Context, c gitdoor.Caller, action, resource, ref string) error {
	who, ok := c.Session.(iam.Principal)
	if !ok {
		return fault.Denied.Errorf("nobody is asking")
	}
	asked := iam.Request{Principal: who, Action: action, Resource: resource}
	if ref != "" {
		asked.Context = map[string][]string{"codecommit:references": {ref}}
	}
	return g.access.Allow(ctx, asked)
}

// secrets is the secret scanner as the git door asks it, file by file.
type secrets struct{ *secret.Scanner }

// Check finds the secrets of one file of a repository. What is no text has no assignments: there only what
// is a secret by its own form counts, since among enough noise something looks like any name and any value.
func (s secrets) Check(_ context.Context, repository, path string, content []byte) []finding.Finding {
	if len(s.Scanner.Check(path, content)) == 0 {
		return nil // as nearly always: then whose salt it would be makes no difference
	}
	all := s.Of(repository).Check(path, content)
	if bytes.IndexByte(content[:min(len(content), 8000)], 0) < 0 {
		return all
	}
	return slices.DeleteFunc(all, func(f finding.Finding) bool {
		switch f.GeneratorID {
		case "secret/password", "secret/generic-secret", "secret/url-password", "secret/authorization-header", "secret/command-password", "secret/kubernetes-secret":
			return true
		}
		return false
	})
}

// keep keeps what a door found in the hub, and fails where the hub did not take it.
func (a *App) keep(ctx context.Context, s finding.Scan, findings ...finding.Finding) error {
	done, err := a.Hub.Import(ctx, s, findings...)
	if err == nil && len(done.Failed) > 0 {
		return fault.Invalid.Errorf("the hub refused a finding: %s: %s", done.Failed[0].Code, done.Failed[0].Message)
	}
	return err
}

// notified marks what people were told of; what somebody decided meanwhile stays.
func (a *App) notified(ctx context.Context, told []route.Identity) error {
	u := hub.Update{Decision: hub.To(finding.Notified), If: finding.New, By: "arn:aws:haechi:" + a.Config.Region + ":" + a.Config.Account + ":route", Why: "somebody was told"}
	for _, t := range told {
		u.Refs = append(u.Refs, hub.Ref{Account: t.Account, ProductARN: t.ProductARN, ID: t.ID})
	}
	_, err := a.Hub.Update(ctx, u)
	return err
}

// startRun is a pipeline as a target of routes: what matches starts a run of
// its repository's default branch.
type startRun struct{ *App }

// Deliver starts one run, however many events come together. A delivery that is repeated starts no other.
func (s startRun) Deliver(ctx context.Context, d route.Delivery) error {
	if len(d.Items) == 0 {
		return nil
	}
	item := d.Items[0]
	parts := strings.SplitN(item.To.ARN, ":", 6)
	if len(parts) != 6 || parts[5] == "" {
		return fault.Invalid.Errorf("%q is not the ARN of a pipeline", item.To.ARN)
	}
	_, err := s.Pipeline.Begin(ctx, pipeline.Start{Pipeline: parts[5], Who: item.Rule, Token: d.ID, Trigger: pipeline.Trigger{Type: "CloudWatchEvent", Detail: item.Rule}})
	return err
}

// sources keeps what pipelines' trees are made of.
type sources struct{ inspector *inspect.Inspector }

func (s sources) Keep(ctx context.Context, scan finding.Scan, components []component.Component) error {
	return s.inspector.Keep(ctx, inspect.Source, scan, components)
}

func (s sources) Forget(ctx context.Context, target, branch string) error {
	return s.inspector.Forget(ctx, target, branch)
}

// bills keeps what bills of materials list that somebody brings.
type bills struct{ inspector *inspect.Inspector }

func (b bills) Keep(ctx context.Context, scan finding.Scan, components []component.Component) error {
	return b.inspector.Keep(ctx, inspect.SBOM, scan, components)
}
