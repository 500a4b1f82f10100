package securityhub

import (
	"context"
	"errors"
	"net/http"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

type createRuleInput struct {
	Tags map[string]string
	hub.Rule
}

type ruleOutput struct{ RuleArn string }

func (s *service) createRule(ctx context.Context, c *wire.Call, in *createRuleInput) (*ruleOutput, error) {
	r := in.Rule
	r.CreatedBy = c.Principal.ARN
	made, err := s.hub.CreateRule(ctx, r, in.Tags)
	return &ruleOutput{made.ARN}, err
}

type rulesInput struct{ AutomationRulesArns []string }

func askRules(c *wire.Call, s *service, in *rulesInput) []iam.Request {
	return c.Ask(in.AutomationRulesArns...)
}

type unprocessedRule struct {
	RuleArn      string
	ErrorCode    int
	ErrorMessage string
}

// unprocessed says why one rule of a batch was not dealt with; what is ours to mend fails the call.
func unprocessed(arn string, err error) (unprocessedRule, error) {
	switch {
	case errors.Is(err, fault.NotFound):
		return unprocessedRule{arn, http.StatusNotFound, err.Error()}, nil
	case fault.Permanent(err):
		return unprocessedRule{arn, http.StatusBadRequest, err.Error()}, nil
	}
	return unprocessedRule{}, err
}

type getRulesOutput struct {
	Rules                      []hub.Rule
	UnprocessedAutomationRules []unprocessedRule
}

func (s *service) getRules(ctx context.Context, _ *wire.Call, in *rulesInput) (*getRulesOutput, error) {
	out := &getRulesOutput{Rules: []hub.Rule{}, UnprocessedAutomationRules: []unprocessedRule{}}
	for _, arn := range in.AutomationRulesArns {
		r, err := s.hub.RuleByARN(ctx, arn)
		if err == nil {
			out.Rules = append(out.Rules, r)
			continue
		}
		u, err := unprocessed(arn, err)
		if err != nil {
			return nil, err
		}
		out.UnprocessedAutomationRules = append(out.UnprocessedAutomationRules, u)
	}
	return out, nil
}

type ruleMetadata struct {
	RuleArn, RuleStatus             string
	RuleOrder                       int
	RuleName, Description           string
	IsTerminal                      bool
	CreatedAt, UpdatedAt, CreatedBy string
}

type listRulesOutput struct {
	AutomationRulesMetadata []ruleMetadata
	NextToken               string `json:"NextToken,omitzero"`
}

func (s *service) listRules(ctx context.Context, _ *wire.Call, in *paging) (*listRulesOutput, error) {
	rules, err := s.hub.Rules(ctx)
	if err != nil {
		return nil, err
	}
	var list []ruleMetadata
	for _, r := range rules {
		list = append(list, ruleMetadata{r.ARN, r.Status, r.Order, r.Name, r.Description, r.Terminal, r.CreatedAt, r.UpdatedAt, r.CreatedBy})
	}
	out := &listRulesOutput{}
	out.AutomationRulesMetadata, out.NextToken, err = page(list, *in)
	return out, err
}

type ruleUpdate struct {
	RuleArn     string
	RuleStatus  *string
	RuleOrder   *int
	Description *string
	RuleName    *string
	IsTerminal  *bool
	Criteria    hub.Filters
	Actions     []hub.RuleAction
}

func (u *ruleUpdate) edit(r *hub.Rule) {
	set(&r.Status, u.RuleStatus)
	set(&r.Order, u.RuleOrder)
	set(&r.Description, u.Description)
	set(&r.Name, u.RuleName)
	set(&r.Terminal, u.IsTerminal)
	if u.Criteria != nil {
		r.Criteria = u.Criteria
	}
	if u.Actions != nil {
		r.Actions = u.Actions
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type updateRulesInput struct{ UpdateAutomationRulesRequestItems []ruleUpdate }

func askRuleUpdates(c *wire.Call, s *service, in *updateRulesInput) []iam.Request {
	var arns []string
	for _, u := range in.UpdateAutomationRulesRequestItems {
		arns = append(arns, u.RuleArn)
	}
	return c.Ask(arns...)
}

type changedRulesOutput struct {
	ProcessedAutomationRules   []string
	UnprocessedAutomationRules []unprocessedRule
}

// take notes what came of one rule of a batch.
func (out *changedRulesOutput) take(arn string, err error) error {
	if err == nil {
		out.ProcessedAutomationRules = append(out.ProcessedAutomationRules, arn)
		return nil
	}
	u, err := unprocessed(arn, err)
	if err == nil {
		out.UnprocessedAutomationRules = append(out.UnprocessedAutomationRules, u)
	}
	return err
}

func (s *service) updateRules(ctx context.Context, _ *wire.Call, in *updateRulesInput) (*changedRulesOutput, error) {
	out := &changedRulesOutput{[]string{}, []unprocessedRule{}}
	for _, u := range in.UpdateAutomationRulesRequestItems {
		if err := out.take(u.RuleArn, s.hub.ChangeRule(ctx, u.RuleArn, u.edit)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *service) deleteRules(ctx context.Context, _ *wire.Call, in *rulesInput) (*changedRulesOutput, error) {
	out := &changedRulesOutput{[]string{}, []unprocessedRule{}}
	for _, arn := range in.AutomationRulesArns {
		if err := out.take(arn, s.hub.DeleteRule(ctx, arn)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
