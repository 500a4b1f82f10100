package securityhub

import (
	"context"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
)

type getInsightsInput struct {
	InsightArns []string
	paging
}

type getInsightsOutput struct {
	Insights  []hub.Insight
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) getInsights(ctx context.Context, _ *wire.Call, in *getInsightsInput) (*getInsightsOutput, error) {
	list, err := s.hub.Insights(ctx)
	if len(in.InsightArns) > 0 {
		list = nil
		for _, arn := range in.InsightArns {
			one, err := s.hub.Insight(ctx, arn)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
	}
	if err != nil {
		return nil, err
	}
	out := &getInsightsOutput{}
	out.Insights, out.NextToken, err = page(list, in.paging)
	return out, err
}

type insightInput struct{ InsightArn string }

type insightResults struct {
	InsightArn       string
	GroupByAttribute string
	ResultValues     []insightValue
}

type insightValue struct {
	GroupByAttributeValue string
	Count                 int
}

type insightResultsOutput struct{ InsightResults insightResults }

func (s *service) getInsightResults(ctx context.Context, _ *wire.Call, in *insightInput) (*insightResultsOutput, error) {
	i, groups, err := s.hub.Results(ctx, in.InsightArn)
	if err != nil {
		return nil, err
	}
	out := &insightResultsOutput{insightResults{i.ARN, i.GroupBy, []insightValue{}}}
	for _, g := range groups {
		out.InsightResults.ResultValues = append(out.InsightResults.ResultValues, insightValue{g.Value, g.Count})
	}
	return out, nil
}

func (s *service) createInsight(ctx context.Context, _ *wire.Call, in *hub.Insight) (*insightInput, error) {
	made, err := s.hub.CreateInsight(ctx, hub.Insight{Name: in.Name, Filters: in.Filters, GroupBy: in.GroupBy})
	return &insightInput{made.ARN}, err
}

func (s *service) updateInsight(ctx context.Context, _ *wire.Call, in *hub.Insight) (*none, error) {
	return nil, s.hub.UpdateInsight(ctx, *in)
}

func (s *service) deleteInsight(ctx context.Context, _ *wire.Call, in *insightInput) (*insightInput, error) {
	return in, s.hub.DeleteInsight(ctx, in.InsightArn)
}

type createActionInput struct {
	Name, Description string
	ID                string `json:"Id"`
}

type actionInput struct{ ActionTargetArn string }

func (s *service) createAction(ctx context.Context, _ *wire.Call, in *createActionInput) (*actionInput, error) {
	made, err := s.hub.CreateAction(ctx, in.ID, hub.Action{Name: in.Name, Description: in.Description})
	return &actionInput{made.ARN}, err
}

type describeActionsInput struct {
	ActionTargetArns []string
	paging
}

type describeActionsOutput struct {
	ActionTargets []hub.Action
	NextToken     string `json:"NextToken,omitzero"`
}

func (s *service) describeActions(ctx context.Context, _ *wire.Call, in *describeActionsInput) (*describeActionsOutput, error) {
	list, err := s.hub.Actions(ctx)
	if len(in.ActionTargetArns) > 0 {
		list = nil
		for _, arn := range in.ActionTargetArns {
			one, err := s.hub.Action(ctx, arn)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
	}
	if err != nil {
		return nil, err
	}
	out := &describeActionsOutput{}
	out.ActionTargets, out.NextToken, err = page(list, in.paging)
	return out, err
}

func (s *service) updateAction(ctx context.Context, _ *wire.Call, in *hub.Action) (*none, error) {
	return nil, s.hub.UpdateAction(ctx, *in)
}

func (s *service) deleteAction(ctx context.Context, _ *wire.Call, in *actionInput) (*actionInput, error) {
	return in, s.hub.DeleteAction(ctx, in.ActionTargetArn)
}
