package events

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
)

type putEventsInput struct {
	Entries    []route.Entry
	EndpointID string `json:"EndpointId"`
}

type putEventsOutput struct {
	FailedEntryCount int
	Entries          []route.Put
}

func (s *service) askEntries(c *wire.Call, in *putEventsInput) []iam.Request {
	seen := map[string]bool{}
	var buses []string
	for _, e := range in.Entries {
		arn := e.Bus
		if name, err := s.bus(e.Bus); err == nil {
			arn = s.router.BusARN(name)
		}
		if !seen[arn] {
			seen[arn] = true
			buses = append(buses, arn)
		}
	}
	return c.Ask(buses...)
}

func (s *service) putEvents(ctx context.Context, c *wire.Call, in *putEventsInput) (*putEventsOutput, error) {
	if err := unsupported("EndpointId", in.EndpointID); err != nil {
		return nil, err
	}
	puts, err := s.router.PutEvents(ctx, c.Principal.Account, in.Entries, nil)
	if err != nil {
		return nil, err
	}
	out := &putEventsOutput{Entries: puts}
	for _, p := range puts {
		if p.Code != "" {
			out.FailedEntryCount++
		}
	}
	return out, nil
}

type testInput struct{ EventPattern, Event string }

type testOutput struct{ Result bool }

func (s *service) testEventPattern(_ context.Context, _ *wire.Call, in *testInput) (*testOutput, error) {
	why, err := route.TestPattern(in.EventPattern, in.Event)
	return &testOutput{why.Matched}, said(err)
}

type tagItem struct{ Key, Value string }

func tagsOf(items []tagItem) map[string]string {
	tags := map[string]string{}
	for _, t := range items {
		tags[t.Key] = t.Value
	}
	return tags
}

type putRuleInput struct {
	Name, ScheduleExpression, EventPattern, Description, RoleArn, EventBusName string
	State                                                                      route.State
	Tags                                                                       []tagItem
}

type putRuleOutput struct{ RuleArn string }

func (s *service) askRule(c *wire.Call, in *putRuleInput) []iam.Request {
	return s.askOnRule(c, in.EventBusName, in.Name)
}

func (s *service) putRule(ctx context.Context, c *wire.Call, in *putRuleInput) (*putRuleOutput, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	arn, err := s.router.PutRule(ctx, route.Rule{Name: in.Name, Bus: bus, Pattern: in.EventPattern, Schedule: in.ScheduleExpression, State: in.State,
		Description: in.Description, RoleARN: in.RoleArn, CreatedBy: c.Principal.Account}, tagsOf(in.Tags))
	return &putRuleOutput{arn}, said(err)
}

type ruleInput struct{ Name, EventBusName string }

func (s *service) askNamed(c *wire.Call, in *ruleInput) []iam.Request {
	return s.askOnRule(c, in.EventBusName, in.Name)
}

func (s *service) describeRule(ctx context.Context, _ *wire.Call, in *ruleInput) (*route.Rule, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	rule, err := s.router.Rule(ctx, bus, in.Name)
	return &rule, err
}

type listRulesInput struct {
	NamePrefix, EventBusName string
	paging
}

type listRulesOutput struct {
	Rules     []route.Rule
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) listRules(ctx context.Context, _ *wire.Call, in *listRulesInput) (*listRulesOutput, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	rules, next, err := s.router.Rules(ctx, bus, in.NamePrefix, in.page())
	for i := range rules {
		rules[i].CreatedBy = "" // the model has it for one rule alone
	}
	return &listRulesOutput{notNil(rules), next}, err
}

// notNil makes an empty list of none, as clients expect.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *service) enableRule(ctx context.Context, _ *wire.Call, in *ruleInput) (*none, error) {
	return nil, s.setState(ctx, in, route.Enabled)
}

func (s *service) disableRule(ctx context.Context, _ *wire.Call, in *ruleInput) (*none, error) {
	return nil, s.setState(ctx, in, route.Disabled)
}

func (s *service) setState(ctx context.Context, in *ruleInput, state route.State) error {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return err
	}
	return s.router.SetState(ctx, bus, in.Name, state)
}

func (s *service) deleteRule(ctx context.Context, _ *wire.Call, in *ruleInput) (*none, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	return nil, s.router.DeleteRule(ctx, bus, in.Name)
}

type listNamesInput struct {
	TargetArn, EventBusName string
	paging
}

type listNamesOutput struct {
	RuleNames []string
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) listRuleNames(ctx context.Context, _ *wire.Call, in *listNamesInput) (*listNamesOutput, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	names, next, err := s.router.RulesTo(ctx, bus, in.TargetArn, in.page())
	return &listNamesOutput{notNil(names), next}, err
}

type putTargetsInput struct {
	Rule, EventBusName string
	Targets            []route.RuleTarget
}

type failedOutput struct {
	FailedEntryCount int
	FailedEntries    []route.Failed
}

func (s *service) askPutTargets(c *wire.Call, in *putTargetsInput) []iam.Request {
	return s.askOnRule(c, in.EventBusName, in.Rule)
}

func (s *service) putTargets(ctx context.Context, _ *wire.Call, in *putTargetsInput) (*failedOutput, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	failed, err := s.router.PutTargets(ctx, bus, in.Rule, in.Targets...)
	return &failedOutput{len(failed), notNil(failed)}, err
}

type removeTargetsInput struct {
	Rule, EventBusName string
	IDs                []string `json:"Ids"`
}

func (s *service) askRemoveTargets(c *wire.Call, in *removeTargetsInput) []iam.Request {
	return s.askOnRule(c, in.EventBusName, in.Rule)
}

func (s *service) removeTargets(ctx context.Context, _ *wire.Call, in *removeTargetsInput) (*failedOutput, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	failed, err := s.router.RemoveTargets(ctx, bus, in.Rule, in.IDs...)
	return &failedOutput{len(failed), notNil(failed)}, err
}

type listTargetsInput struct {
	Rule, EventBusName string
	paging
}

type listTargetsOutput struct {
	Targets   []route.RuleTarget
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) askListTargets(c *wire.Call, in *listTargetsInput) []iam.Request {
	return s.askOnRule(c, in.EventBusName, in.Rule)
}

func (s *service) listTargets(ctx context.Context, _ *wire.Call, in *listTargetsInput) (*listTargetsOutput, error) {
	bus, err := s.bus(in.EventBusName)
	if err != nil {
		return nil, err
	}
	targets, next, err := s.router.Targets(ctx, bus, in.Rule, in.page())
	return &listTargetsOutput{notNil(targets), next}, err
}

type resourceInput struct{ ResourceARN string }

type tagInput struct {
	ResourceARN string
	Tags        []tagItem
}

type untagInput struct {
	ResourceARN string
	TagKeys     []string
}

type tagsOutput struct{ Tags []tagItem }

func (s *service) askTags(c *wire.Call, in *resourceInput) []iam.Request {
	return c.Ask(in.ResourceARN)
}
func (s *service) askTag(c *wire.Call, in *tagInput) []iam.Request     { return c.Ask(in.ResourceARN) }
func (s *service) askUntag(c *wire.Call, in *untagInput) []iam.Request { return c.Ask(in.ResourceARN) }

func (s *service) listTags(ctx context.Context, _ *wire.Call, in *resourceInput) (*tagsOutput, error) {
	tags, err := s.router.Tags(ctx, in.ResourceARN)
	out := &tagsOutput{[]tagItem{}}
	for _, k := range sorted(tags) {
		out.Tags = append(out.Tags, tagItem{k, tags[k]})
	}
	return out, err
}

func (s *service) tag(ctx context.Context, _ *wire.Call, in *tagInput) (*none, error) {
	return &none{}, s.router.Tag(ctx, in.ResourceARN, tagsOf(in.Tags))
}

func (s *service) untag(ctx context.Context, _ *wire.Call, in *untagInput) (*none, error) {
	return &none{}, s.router.Untag(ctx, in.ResourceARN, in.TagKeys)
}

// stamp is a time that may not be there.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
