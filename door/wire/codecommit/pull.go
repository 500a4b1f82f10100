package codecommit

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) pulls() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreatePullRequest":             wire.Op(s.askTargets, s.createPull),
		"GetPullRequest":                pullOp(s, s.getPull),
		"ListPullRequests":              op(s, s.listPulls),
		"DescribePullRequestEvents":     pullOp(s, s.pullEvents),
		"UpdatePullRequestTitle":        pullOp(s, s.pullTitle),
		"UpdatePullRequestDescription":  pullOp(s, s.pullDescription),
		"UpdatePullRequestStatus":       pullOp(s, s.pullStatus),
		"MergePullRequestByFastForward": wire.Op(s.askMergePull, s.mergePull(source.FastForward)),
		"MergePullRequestBySquash":      wire.Op(s.askMergePull, s.mergePull(source.Squash)),
		"MergePullRequestByThreeWay":    wire.Op(s.askMergePull, s.mergePull(source.ThreeWay)),
	}
}

// meant is an input that names a pull request.
type meant struct {
	ID string `json:"pullRequestId"`
}

func (m meant) number() int64 {
	n, err := strconv.ParseInt(m.ID, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != m.ID {
		return 0
	}
	return n
}

// pullOp answers an operation about one pull request, asked for on its repository.
func pullOp[In interface{ number() int64 }, Out any](s *service, answer func(context.Context, *wire.Call, *In) (*Out, error)) wire.Operation {
	return wire.Op(func(c *wire.Call, in *In) []iam.Request { return c.Ask(s.arnOf((*in).number())) }, func(ctx context.Context, c *wire.Call, in *In) (*Out, error) {
		if (*in).number() == 0 {
			return nil, s.code(c, fault.Invalid.Errorf("the id of a pull request is a number"), "InvalidPullRequestIdException")
		}
		out, err := answer(ctx, c, in)
		return out, s.when(c, err, fault.NotFound, "PullRequestDoesNotExistException")
	})
}

// arnOf is the ARN of the repository of a pull request, or * where there is none.
func (s *service) arnOf(number int64) string {
	name, err := s.Source.PullRepository(context.Background(), number) // asks come without a context; it is one row
	if err != nil {
		return "*"
	}
	return s.Source.ARN(name)
}

type mergeMetadata struct {
	Merged bool   `json:"isMerged"`
	By     string `json:"mergedBy,omitzero"`
	Commit string `json:"mergeCommitId,omitzero"`
	Option string `json:"mergeOption,omitzero"`
}

type target struct {
	Repository        string        `json:"repositoryName"`
	Source            string        `json:"sourceReference"`
	Destination       string        `json:"destinationReference"`
	DestinationCommit string        `json:"destinationCommit"`
	SourceCommit      string        `json:"sourceCommit"`
	Base              string        `json:"mergeBase,omitzero"`
	Merge             mergeMetadata `json:"mergeMetadata"`
}

type pullRequest struct {
	ID          string         `json:"pullRequestId"`
	Title       string         `json:"title"`
	Description string         `json:"description,omitzero"`
	Activity    time.Time      `json:"lastActivityDate"`
	Created     time.Time      `json:"creationDate"`
	Status      string         `json:"pullRequestStatus"`
	Author      string         `json:"authorArn"`
	Targets     []target       `json:"pullRequestTargets"`
	Token       string         `json:"clientRequestToken,omitzero"`
	Revision    string         `json:"revisionId"`
	Rules       []approvalRule `json:"approvalRules"`
}

type pullOutput struct {
	Pull pullRequest `json:"pullRequest"`
}

func status(state source.State) string {
	if state == source.Open {
		return "OPEN"
	}
	return "CLOSED"
}

func mergeOf(m *source.Merge) mergeMetadata {
	if m == nil {
		return mergeMetadata{}
	}
	return mergeMetadata{Merged: true, By: m.By, Commit: m.Commit, Option: string(m.Option)}
}

func pullOf(p source.Pull) *pullOutput {
	out := pullRequest{
		ID: strconv.FormatInt(p.Number, 10), Title: p.Title, Description: p.Description, Activity: p.Updated, Created: p.Created, Status: status(p.State), Author: p.Author.ARN,
		Token: p.Token, Revision: p.Revision.ID, Rules: []approvalRule{},
		Targets: []target{{Repository: p.Repository, Source: p.Source, Destination: p.Target, DestinationCommit: p.Revision.Target, SourceCommit: p.Revision.Head, Base: p.Revision.Base, Merge: mergeOf(p.Merge)}},
	}
	for _, r := range p.Rules {
		out.Rules = append(out.Rules, ruleOf(r))
	}
	return &pullOutput{out}
}

type createPullInput struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Targets     []struct {
		named
		Source      string `json:"sourceReference"`
		Destination string `json:"destinationReference"`
	} `json:"targets"`
	Token string `json:"clientRequestToken"`
}

func (s *service) askTargets(c *wire.Call, in *createPullInput) []iam.Request {
	var arns []string
	for _, t := range in.Targets {
		arns = append(arns, s.Source.ARN(t.Repository))
	}
	return c.Ask(arns...)
}

func (s *service) createPull(ctx context.Context, c *wire.Call, in *createPullInput) (*pullOutput, error) {
	if len(in.Targets) != 1 {
		name := "InvalidTargetsException"
		for _, t := range in.Targets {
			if t.Repository != in.Targets[0].Repository {
				name = "MultipleRepositoriesInPullRequestException"
			}
		}
		return nil, s.code(c, fault.Invalid.Errorf("a pull request has one target, not %d", len(in.Targets)), name)
	}
	t := in.Targets[0]
	if in.Title == "" {
		return nil, s.code(c, fault.Invalid.Errorf("a pull request needs a title"), "TitleRequiredException")
	}
	p, err := s.Source.CreatePull(ctx, source.NewPull{Repository: t.Repository, Title: in.Title, Description: in.Description, Source: t.Source, Target: t.Destination, Token: in.Token, Author: s.Person(ctx, c.Principal)})
	if err != nil {
		return nil, s.when(c, err, fault.Limit, "InvalidTitleException")
	}
	return pullOf(p), nil
}

func (s *service) getPull(ctx context.Context, _ *wire.Call, in *meant) (*pullOutput, error) {
	p, err := s.Source.Pull(ctx, in.number())
	if err != nil {
		return nil, err
	}
	return pullOf(p), nil
}

type listPullsInput struct {
	named
	Author string `json:"authorArn"`
	Status string `json:"pullRequestStatus"`
	Token  string `json:"nextToken"`
	Max    int    `json:"maxResults"`
}

type listPullsOutput struct {
	IDs   []string `json:"pullRequestIds"`
	Token string   `json:"nextToken,omitzero"`
}

func (s *service) listPulls(ctx context.Context, _ *wire.Call, in *listPullsInput) (*listPullsOutput, error) {
	if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
		return nil, err
	}
	before, err := offset(in.Token)
	if err != nil {
		return nil, err
	}
	size := in.Max
	if size <= 0 || size > 100 {
		size = 100
	}
	out := &listPullsOutput{IDs: []string{}}
	at := int64(before)
	for len(out.IDs) < size {
		q := source.Pulls{Repository: in.Repository, Author: in.Author, Before: at, Limit: size - len(out.IDs) + 1}
		if in.Status == "OPEN" {
			q.State = source.Open
		}
		some, err := s.Source.Pulls(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, p := range some {
			if len(out.IDs) == size {
				out.Token = tokenOf(int(at))
				break
			}
			if at = p.Number; in.Status == "" || status(p.State) == in.Status {
				out.IDs = append(out.IDs, strconv.FormatInt(p.Number, 10))
			}
		}
		if len(some) < q.Limit {
			break
		}
		if len(out.IDs) == size {
			out.Token = tokenOf(int(at))
		}
	}
	return out, nil
}

type titleInput struct {
	meant
	Title string `json:"title"`
}

func (s *service) pullTitle(ctx context.Context, c *wire.Call, in *titleInput) (*pullOutput, error) {
	p, err := s.Source.EditPull(ctx, in.number(), c.Principal.ARN, &in.Title, nil)
	if err != nil {
		return nil, s.when(c, s.when(c, err, fault.Limit, "InvalidTitleException"), fault.Invalid, "TitleRequiredException", "InvalidTitleException")
	}
	return pullOf(p), nil
}

type descriptionInput struct {
	meant
	Description string `json:"description"`
}

func (s *service) pullDescription(ctx context.Context, c *wire.Call, in *descriptionInput) (*pullOutput, error) {
	p, err := s.Source.EditPull(ctx, in.number(), c.Principal.ARN, nil, &in.Description)
	if err != nil {
		return nil, s.when(c, err, fault.Limit, "InvalidDescriptionException")
	}
	return pullOf(p), nil
}

type statusInput struct {
	meant
	Status string `json:"pullRequestStatus"`
}

func (s *service) pullStatus(ctx context.Context, c *wire.Call, in *statusInput) (*pullOutput, error) {
	was, err := s.Source.Pull(ctx, in.number())
	if err != nil {
		return nil, err
	}
	// CodeCommit closes for good; opening again is ours, in the console.
	if in.Status == "OPEN" && was.State != source.Open {
		return nil, s.code(c, fault.Invalid.Errorf("pull request %d is closed: it can be opened again in the console, not by this call", was.Number), "InvalidPullRequestStatusUpdateException")
	}
	p, err := s.Source.SetState(ctx, in.number(), c.Principal.ARN, source.State(in.Status))
	if err != nil {
		return nil, s.when(c, err, source.ErrClosed, "InvalidPullRequestStatusUpdateException")
	}
	return pullOf(p), nil
}

type mergePullInput struct {
	meant
	named
	settling
	Commit  string `json:"sourceCommitId"`
	Message string `json:"commitMessage"`
	Name    string `json:"authorName"`
	Email   string `json:"email"`
}

// askMergePull asks with the branch that it is merged into.
func (s *service) askMergePull(c *wire.Call, in *mergePullInput) []iam.Request {
	ref := ""
	if all, err := s.Source.Pulls(context.Background(), source.Pulls{Before: in.number() + 1, Limit: 1}); err == nil && len(all) == 1 && all[0].Number == in.number() {
		ref = all[0].Target
	}
	return s.askRef(c, in.Repository, ref)
}

func (s *service) mergePull(option source.Option) func(context.Context, *wire.Call, *mergePullInput) (*pullOutput, error) {
	return func(ctx context.Context, c *wire.Call, in *mergePullInput) (*pullOutput, error) {
		if err := s.author(c, in.Name, in.Email); err != nil {
			return nil, err
		}
		how, err := s.settle(c, in.settling)
		if err != nil {
			return nil, err
		}
		if in.number() == 0 {
			return nil, s.code(c, fault.Invalid.Errorf("the id of a pull request is a number"), "InvalidPullRequestIdException")
		}
		if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
			return nil, err
		}
		p, err := s.Source.Pull(ctx, in.number())
		if err != nil {
			return nil, s.when(c, err, fault.NotFound, "PullRequestDoesNotExistException")
		}
		if p.Repository != in.Repository {
			return nil, s.code(c, fault.Invalid.Errorf("pull request %d is of %s", p.Number, p.Repository), "RepositoryNotAssociatedWithPullRequestException")
		}
		p, err = s.Source.MergePull(ctx, p.Number, source.Merging{Option: option, Head: in.Commit, By: s.Person(ctx, c.Principal), Name: in.Name, Email: in.Email, Message: in.Message, Settle: how})
		if err != nil {
			return nil, s.when(c, err, source.ErrNoRef, "ReferenceDoesNotExistException", "PullRequestAlreadyClosedException")
		}
		return pullOf(p), nil
	}
}

type eventsInput struct {
	meant
	Type  string `json:"pullRequestEventType"`
	Actor string `json:"actorArn"`
	Token string `json:"nextToken"`
	Max   int    `json:"maxResults"`
}

type createdEvent struct {
	Repository string `json:"repositoryName"`
	Source     string `json:"sourceCommitId"`
	Target     string `json:"destinationCommitId"`
	Base       string `json:"mergeBase,omitzero"`
}

type statusEvent struct {
	Status string `json:"pullRequestStatus"`
}

type updatedEvent struct {
	Repository string `json:"repositoryName"`
	Before     string `json:"beforeCommitId"`
	After      string `json:"afterCommitId"`
	Base       string `json:"mergeBase,omitzero"`
}

type mergedEvent struct {
	Repository  string        `json:"repositoryName"`
	Destination string        `json:"destinationReference"`
	Merge       mergeMetadata `json:"mergeMetadata"`
}

type ruleEvent struct {
	Name    string `json:"approvalRuleName"`
	ID      string `json:"approvalRuleId"`
	Content string `json:"approvalRuleContent"`
}

type approvalEvent struct {
	Revision string `json:"revisionId"`
	Status   string `json:"approvalStatus"`
}

type overrideEvent struct {
	Revision string `json:"revisionId"`
	Status   string `json:"overrideStatus"`
}

type pullEvent struct {
	ID       string         `json:"pullRequestId"`
	Date     time.Time      `json:"eventDate"`
	Type     string         `json:"pullRequestEventType"`
	Actor    string         `json:"actorArn,omitzero"`
	Created  *createdEvent  `json:"pullRequestCreatedEventMetadata,omitzero"`
	Status   *statusEvent   `json:"pullRequestStatusChangedEventMetadata,omitzero"`
	Updated  *updatedEvent  `json:"pullRequestSourceReferenceUpdatedEventMetadata,omitzero"`
	Merged   *mergedEvent   `json:"pullRequestMergedStateChangedEventMetadata,omitzero"`
	Rule     *ruleEvent     `json:"approvalRuleEventMetadata,omitzero"`
	Approval *approvalEvent `json:"approvalStateChangedEventMetadata,omitzero"`
	Override *overrideEvent `json:"approvalRuleOverriddenEventMetadata,omitzero"`
}

type eventsOutput struct {
	Events []pullEvent `json:"pullRequestEvents"`
	Token  string      `json:"nextToken,omitzero"`
}

func (s *service) pullEvents(ctx context.Context, _ *wire.Call, in *eventsInput) (*eventsOutput, error) {
	p, err := s.Source.Pull(ctx, in.number())
	if err != nil {
		return nil, err
	}
	story, err := s.Source.Story(ctx, in.number())
	if err != nil {
		return nil, err
	}
	slices.Reverse(story) // the newest first
	var all []pullEvent
	for _, h := range story {
		if h.Type == source.HappenedTarget || in.Type != "" && h.Type != in.Type || in.Actor != "" && h.Who != in.Actor {
			continue // a move of the target is no event of CodeCommit's
		}
		all = append(all, eventOf(p, h))
	}
	part, next, err := page(all, in.Token, in.Max, 100)
	out := &eventsOutput{Events: []pullEvent{}, Token: next}
	out.Events = append(out.Events, part...)
	return out, err
}

func eventOf(p source.Pull, h source.Happened) pullEvent {
	e := pullEvent{ID: strconv.FormatInt(p.Number, 10), Date: h.At, Type: h.Type, Actor: h.Who}
	switch h.Type {
	case source.HappenedCreated:
		e.Created = &createdEvent{p.Repository, h.Head, h.Target, h.Base}
	case source.HappenedStatus:
		e.Status = &statusEvent{status(h.State)}
	case source.HappenedSource:
		e.Updated = &updatedEvent{p.Repository, h.OldHead, h.Head, h.Base}
	case source.HappenedMerged:
		e.Merged = &mergedEvent{p.Repository, p.Target, mergeOf(h.Merge)}
	case source.HappenedRuleMade, source.HappenedRule, source.HappenedRuleGone:
		e.Rule = &ruleEvent{h.Rule, h.RuleID, h.Content}
	case source.HappenedApproval:
		e.Approval = &approvalEvent{h.Revision, h.Verdict}
	case source.HappenedOverride:
		e.Override = &overrideEvent{h.Revision, h.Verdict}
	}
	return e
}
