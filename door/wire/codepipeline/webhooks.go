package codepipeline

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// hookPath is where webhooks are called: door/forge answers there.
const hookPath = "/hooks/pipeline/"

type hookFilter struct {
	Path   string `json:"jsonPath"`
	Equals string `json:"matchEquals,omitzero"`
}

type hookDefinition struct {
	Name          string       `json:"name"`
	Pipeline      string       `json:"targetPipeline"`
	Action        string       `json:"targetAction"`
	Filters       []hookFilter `json:"filters"`
	Proof         string       `json:"authentication"`
	Configuration struct {
		Range  string      `json:"AllowedIPRange,omitzero"`
		Secret seal.Secret `json:"SecretToken,omitzero"`
	} `json:"authenticationConfiguration"`
}

type hookInput struct {
	Hook hookDefinition `json:"webhook"`
	Tags []tag          `json:"tags"`
}

type shownConfiguration struct {
	Range  string `json:"AllowedIPRange,omitzero"`
	Secret string `json:"SecretToken,omitzero"`
}

type shownDefinition struct {
	Name          string             `json:"name"`
	Pipeline      string             `json:"targetPipeline"`
	Action        string             `json:"targetAction"`
	Filters       []hookFilter       `json:"filters"`
	Proof         string             `json:"authentication"`
	Configuration shownConfiguration `json:"authenticationConfiguration"`
}

type hookItem struct {
	Definition shownDefinition `json:"definition"`
	URL        string          `json:"url"`
	Message    string          `json:"errorMessage,omitzero"`
	Code       string          `json:"errorCode,omitzero"`
	Triggered  time.Time       `json:"lastTriggered,omitzero"`
	ARN        string          `json:"arn"`
	Tags       []tag           `json:"tags,omitzero"`
}

type hookOutput struct {
	Hook hookItem `json:"webhook"`
}

func (s *service) hookARN(name string) string { return s.arn("webhook:" + name) }

// askHook asks on the webhook, and on the pipeline that whoever calls it will start.
func (s *service) askHook(c *wire.Call, in *hookInput) []iam.Request {
	return c.Ask(s.hookARN(in.Hook.Name), s.arn(in.Hook.Pipeline))
}

// shownHook is a webhook with its address; its secret is told to nobody.
func (s *service) shownHook(h pipeline.Hook) hookItem {
	path := hookPath + h.Token.Reveal()
	item := hookItem{URL: cmp.Or(s.Page(path), path), Message: h.Message, Code: h.Code, Triggered: h.Triggered, ARN: s.hookARN(h.Name)}
	if len(h.Tags) > 0 {
		item.Tags = tagsOf(h.Tags)
	}
	d := &item.Definition
	d.Name, d.Pipeline, d.Action, d.Proof, d.Filters, d.Configuration.Range = h.Name, h.Pipeline, h.Action, h.Proof, []hookFilter{}, h.Range
	for _, f := range h.Filters {
		d.Filters = append(d.Filters, hookFilter(f))
	}
	if h.Proof == pipeline.ByHMAC {
		d.Configuration.Secret = "****"
	}
	return item
}

func (s *service) putHook(ctx context.Context, _ *wire.Call, in *hookInput) (*hookOutput, error) {
	d := in.Hook
	if _, err := s.defined(ctx, d.Pipeline); err != nil {
		return nil, err
	}
	h := pipeline.Hook{Name: d.Name, Pipeline: d.Pipeline, Action: d.Action, Proof: d.Proof, Range: d.Configuration.Range}
	for _, f := range d.Filters {
		h.Filters = append(h.Filters, pipeline.HookFilter(f))
	}
	if in.Tags != nil {
		var err error
		if h.Tags, err = fromTags(in.Tags); err != nil {
			return nil, err
		}
	}
	h, err := s.Runs.PutHook(ctx, h, d.Configuration.Secret)
	switch {
	case errors.Is(err, pipeline.ErrFilter):
		return nil, wire.Errorf("InvalidWebhookFilterPatternException", "%v", err)
	case errors.Is(err, pipeline.ErrProof):
		return nil, wire.Errorf("InvalidWebhookAuthenticationParametersException", "%v", err)
	case err != nil:
		return nil, err
	}
	return &hookOutput{s.shownHook(h)}, nil
}

type hooksInput struct {
	Token string `json:"NextToken"`
	Most  int    `json:"MaxResults"`
}

type hooksOutput struct {
	Hooks []hookItem `json:"webhooks"`
	Token string     `json:"NextToken,omitzero"`
}

// listHooks gives webhooks by name; the token is the name that the page before ended with.
func (s *service) listHooks(ctx context.Context, _ *wire.Call, in *hooksInput) (*hooksOutput, error) {
	most := cmp.Or(in.Most, 100)
	all, err := s.Runs.Hooks(ctx, in.Token, most+1)
	if err != nil {
		return nil, err
	}
	out := &hooksOutput{Hooks: []hookItem{}}
	for i, h := range all {
		if i == most {
			out.Token = all[i-1].Name
			break
		}
		out.Hooks = append(out.Hooks, s.shownHook(h))
	}
	return out, nil
}

type hookName struct {
	Name string `json:"name"`
}

func (s *service) deleteHook(ctx context.Context, _ *wire.Call, in *hookName) (*nothing, error) {
	return nil, s.Runs.DeleteHook(ctx, in.Name)
}

type hookRegistration struct {
	Name string `json:"webhookName"`
}

// registerHook refuses what AWS does for the action type Source/ThirdParty/GitHub alone, which there is not here.
func (s *service) registerHook(ctx context.Context, c *wire.Call, in *hookRegistration) (*nothing, error) {
	h, err := s.Runs.Hook(ctx, in.Name)
	if errors.Is(err, fault.NotFound) {
		return nil, wire.Errorf("WebhookNotFoundException", "there is no webhook '%s'", in.Name)
	}
	if err != nil {
		return nil, err
	}
	if c.Operation == "DeregisterWebhookWithThirdParty" {
		return nil, wire.Errorf("ValidationException", "webhook '%s' was never registered by this server: remove it where it is sent from", in.Name)
	}
	return nil, wire.Errorf("ValidationException", "only webhooks of actions of type ThirdParty GitHub are registered by themselves, and action '%s' is none: make the webhook there, with the address that list-webhooks tells", h.Action)
}
