// Package securityhub answers Security Hub's API from the hub.
package securityhub

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

type service struct {
	hub   *hub.Hub
	model *wire.Model
}

// Service answers what the hub knows: findings, products, insights, custom
// actions, automation rules, standards and controls, tags.
func Service(h *hub.Hub) wire.Service {
	s := &service{h, wire.MustModel(table)}
	return wire.Service{
		Model: s.model,
		Operations: map[string]wire.Operation{
			"BatchImportFindings":                     wire.Op(s.askImport, s.batchImport).Loose("Findings"),
			"GetFindings":                             on(s, func(_ *wire.Call, s *service, in *getFindingsInput) []iam.Request { return in.query().Asks(s.hub) }, s.getFindings),
			"BatchUpdateFindings":                     on(s, s.askUpdate, s.batchUpdate),
			"UpdateFindings":                          on(s, func(_ *wire.Call, s *service, in *hub.FilterUpdate) []iam.Request { return in.Asks(s.hub) }, s.updateFindings),
			"GetFindingHistory":                       on(s, askHub, s.getHistory),
			"DescribeHub":                             on(s, askHub, s.describeHub),
			"EnableSecurityHub":                       wire.Op(ask[enableHubInput](s), s.enableHub),
			"DisableSecurityHub":                      on(s, askHub, s.disableHub),
			"DescribeProducts":                        on(s, askHub, s.describeProducts),
			"GetInsights":                             on(s, askHub, s.getInsights),
			"GetInsightResults":                       on(s, askHub, s.getInsightResults),
			"CreateInsight":                           on(s, askHub, s.createInsight),
			"UpdateInsight":                           on(s, askHub, s.updateInsight),
			"DeleteInsight":                           on(s, askHub, s.deleteInsight),
			"CreateActionTarget":                      on(s, askHub, s.createAction),
			"UpdateActionTarget":                      on(s, askHub, s.updateAction),
			"DeleteActionTarget":                      on(s, askHub, s.deleteAction),
			"CreateAutomationRule":                    on(s, func(_ *wire.Call, s *service, in *createRuleInput) []iam.Request { return in.Rule.Asks(s.hub) }, s.createRule),
			"ListAutomationRules":                     on(s, askHub, s.listRules),
			"DescribeStandards":                       on(s, askHub, s.describeStandards),
			"GetEnabledStandards":                     on(s, askHub, s.enabledStandards),
			"BatchEnableStandards":                    on(s, askHub, s.enableStandards),
			"UpdateStandardsControl":                  on(s, askHub, s.updateStandardsControl),
			"UpdateSecurityControl":                   on(s, askHub, s.updateControl),
			"GetSecurityControlDefinition":            on(s, askHub, s.controlDefinition),
			"BatchGetSecurityControls":                on(s, askHub, s.getControls),
			"BatchDisableStandards":                   on(s, askHub, s.disableStandards),
			"DescribeStandardsControls":               on(s, askHub, s.standardsControls),
			"ListSecurityControlDefinitions":          on(s, askHub, s.controlDefinitions),
			"ListStandardsControlAssociations":        on(s, askHub, s.associations),
			"BatchGetStandardsControlAssociations":    on(s, askHub, s.getAssociations),
			"BatchUpdateStandardsControlAssociations": on(s, askHub, s.updateAssociations),
			"UpdateSecurityHubConfiguration":          on(s, askHub, s.configureHub),
			"ListEnabledProductsForImport":            on(s, askHub, s.enabledProducts),
			"EnableImportFindingsForProduct":          on(s, func(c *wire.Call, _ *service, in *productInput) []iam.Request { return c.Ask(in.ProductArn) }, s.enableProduct),
			"DisableImportFindingsForProduct": on(s, func(c *wire.Call, _ *service, in *subscriptionInput) []iam.Request {
				return c.Ask(in.ProductSubscriptionArn)
			}, s.disableProduct),
			"DescribeActionTargets":      on(s, askHub, s.describeActions),
			"BatchGetAutomationRules":    on(s, askRules, s.getRules),
			"BatchDeleteAutomationRules": on(s, askRules, s.deleteRules),
			"BatchUpdateAutomationRules": on(s, askRuleUpdates, s.updateRules),
			"ListTagsForResource":        on(s, func(c *wire.Call, _ *service, in *resourceInput) []iam.Request { return c.Ask(in.ResourceArn) }, s.listTags),
			"TagResource":                on(s, func(c *wire.Call, _ *service, in *tagInput) []iam.Request { return c.Ask(in.ResourceArn) }, s.tag),
			"UntagResource":              on(s, func(c *wire.Call, _ *service, in *untagInput) []iam.Request { return c.Ask(in.ResourceArn) }, s.untag),
		},
		Faults: wire.Faults{
			fault.Internal: {"InternalException"},
			fault.Invalid:  {"InvalidInputException"},
			fault.NotFound: {"ResourceNotFoundException", "InvalidInputException"},
			fault.Exists:   {"ResourceConflictException", "InvalidInputException"},
			fault.Conflict: {"ResourceConflictException", "InvalidInputException"},
			fault.Limit:    {"LimitExceededException", "InvalidInputException"},
		},
	}
}

// on answers an operation while the hub is on; while it is off everything is refused as AWS does.
func on[In, Out any](s *service, asks func(*wire.Call, *service, *In) []iam.Request, answer func(context.Context, *wire.Call, *In) (*Out, error)) wire.Operation {
	return wire.Op(func(c *wire.Call, in *In) []iam.Request { return asks(c, s, in) }, func(ctx context.Context, c *wire.Call, in *In) (*Out, error) {
		if _, err := s.hub.Settings(ctx); err != nil {
			return nil, off(err)
		}
		return answer(ctx, c, in)
	})
}

// off is how Security Hub says that it is not enabled.
func off(err error) error {
	if errors.Is(err, fault.Denied) {
		return wire.Errorf("InvalidAccessException", "%v", err)
	}
	return err
}

// askHub asks for the operation on the hub.
func askHub[In any](c *wire.Call, s *service, _ *In) []iam.Request { return c.Ask(s.hub.ARN()) }

func ask[In any](s *service) func(*wire.Call, *In) []iam.Request {
	return func(c *wire.Call, in *In) []iam.Request { return askHub(c, s, in) }
}

// One hub answers for all regions. Where clients look for an ARN of their own
// region, they get it: here is an ARN of the hub's as this caller knows it, and
// home is one of the caller's as the hub does.

func (s *service) here(c *wire.Call, arn string) string { return inRegion(arn, c.Region) }

func (s *service) home(c *wire.Call, arn string) string {
	own := s.hub.ARN()
	if moved := inRegion(own, c.Region); arn == moved {
		return own
	}
	return arn
}

func inRegion(arn, region string) string {
	parts := strings.SplitN(arn, ":", 5)
	if len(parts) < 5 {
		return arn
	}
	parts[3] = region
	return strings.Join(parts, ":")
}

// paging is what every list of the API takes.
type paging struct {
	NextToken  string
	MaxResults int
}

// page is the part of a list that is asked for, and the token of the next one.
// Tokens of lists that are short and rarely change are just where they begin.
func page[T any](list []T, p paging) ([]T, string, error) {
	size, start := p.MaxResults, 0
	if size <= 0 {
		size = 100
	}
	if p.NextToken != "" {
		text, err := base64.RawURLEncoding.Strict().DecodeString(p.NextToken)
		n, e := strconv.Atoi(string(text))
		if err != nil || e != nil || n < 1 || n > len(list) || strconv.Itoa(n) != string(text) {
			return nil, "", fault.Invalid.Errorf("NextToken is not of this list")
		}
		start = n
	}
	end := min(start+size, len(list))
	part := append([]T{}, list[start:end]...) // never null
	if end == len(list) {
		return part, "", nil
	}
	return part, base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end))), nil
}

// none is the input or output of operations that have none.
type none struct{}
