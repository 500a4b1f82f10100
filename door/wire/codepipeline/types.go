package codepipeline

import (
	"context"
	"errors"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type counts struct {
	Least int `json:"minimumCount"`
	Most  int `json:"maximumCount"`
}

type settings struct {
	Configuration string `json:"thirdPartyConfigurationUrl,omitzero"`
	Entity        string `json:"entityUrlTemplate,omitzero"`
	Execution     string `json:"executionUrlTemplate,omitzero"`
	Revision      string `json:"revisionUrlTemplate,omitzero"`
}

type property struct {
	Name        string `json:"name"`
	Required    bool   `json:"required"`
	Key         bool   `json:"key"`
	Secret      bool   `json:"secret"`
	Queryable   bool   `json:"queryable,omitzero"`
	Description string `json:"description,omitzero"`
	Type        string `json:"type,omitzero"`
}

type actionType struct {
	ID         structure.TypeID `json:"id"`
	Settings   *settings        `json:"settings,omitzero"`
	Properties []property       `json:"actionConfigurationProperties,omitzero"`
	Inputs     counts           `json:"inputArtifactDetails"`
	Outputs    counts           `json:"outputArtifactDetails"`
}

type typesInput struct {
	Owner     string `json:"actionOwnerFilter"`
	NextToken string `json:"nextToken"`
}

type typesOutput struct {
	Types     []actionType `json:"actionTypes"`
	NextToken string       `json:"nextToken,omitzero"`
}

// actionTypes are those that run here, and those that people have made.
func (s *service) actionTypes(ctx context.Context, _ *wire.Call, in *typesInput) (*typesOutput, error) {
	all := []actionType{}
	for _, t := range structure.Types() {
		if t.Refused == "" && (in.Owner == "" || in.Owner == t.ID.Owner) {
			one := actionType{ID: t.ID, Inputs: counts{t.Inputs[0], t.Inputs[1]}, Outputs: counts{t.Outputs[0], t.Outputs[1]}}
			for _, p := range t.Properties[:min(len(t.Properties), 10)] {
				one.Properties = append(one.Properties, property{Name: p.Name, Required: p.Required, Type: "String"})
			}
			all = append(all, one)
		}
	}
	if in.Owner == "" || in.Owner == "Custom" {
		own, err := s.Runs.OwnTypes(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range own {
			all = append(all, shownType(t))
		}
	}
	part, next, err := page(all, in.NextToken, 0, 100)
	return &typesOutput{part, next}, err
}

func shownType(t pipeline.OwnType) actionType {
	one := actionType{ID: t.ID, Inputs: counts{t.Inputs[0], t.Inputs[1]}, Outputs: counts{t.Outputs[0], t.Outputs[1]}}
	for _, p := range t.Properties {
		one.Properties = append(one.Properties, property(p))
	}
	if len(t.Links) > 0 {
		one.Settings = &settings{t.Links["configuration"], t.Links["entity"], t.Links["execution"], t.Links["revision"]}
	}
	return one
}

type ruleType struct {
	ID         structure.TypeID `json:"id"`
	Properties []property       `json:"ruleConfigurationProperties,omitzero"`
	Inputs     counts           `json:"inputArtifactDetails"`
}

type ruleTypesOutput struct {
	Types []ruleType `json:"ruleTypes"`
}

func (s *service) ruleTypes(context.Context, *wire.Call, *nothing) (*ruleTypesOutput, error) {
	out := &ruleTypesOutput{Types: []ruleType{}}
	for _, t := range structure.RuleTypes() {
		if t.Refused != "" {
			continue
		}
		one := ruleType{ID: t.ID, Inputs: counts{t.Inputs[0], t.Inputs[1]}}
		for _, p := range t.Properties {
			one.Properties = append(one.Properties, property{Name: p.Name, Required: p.Required, Type: "String"})
		}
		out.Types = append(out.Types, one)
	}
	return out, nil
}

type typeInput struct {
	Category   string     `json:"category"`
	Provider   string     `json:"provider"`
	Version    string     `json:"version"`
	Settings   settings   `json:"settings"`
	Properties []property `json:"configurationProperties"`
	Inputs     counts     `json:"inputArtifactDetails"`
	Outputs    counts     `json:"outputArtifactDetails"`
	Tags       []tag      `json:"tags"`
}

func (in *typeInput) id() structure.TypeID {
	return structure.TypeID{Category: in.Category, Owner: "Custom", Provider: in.Provider, Version: in.Version}
}

// askType asks on the ARN that IAM has for types of actions.
func (s *service) askType(c *wire.Call, in *typeInput) []iam.Request {
	return c.Ask(s.typeARN(in.id()))
}

func (s *service) typeARN(t structure.TypeID) string {
	return s.arn("actiontype:" + t.Owner + "/" + t.Category + "/" + t.Provider + "/" + t.Version)
}

type typeOutput struct {
	Type actionType `json:"actionType"`
	Tags []tag      `json:"tags,omitzero"`
}

func (s *service) createType(ctx context.Context, _ *wire.Call, in *typeInput) (*typeOutput, error) {
	tags, err := fromTags(in.Tags)
	if err != nil {
		return nil, err
	}
	t := pipeline.OwnType{ID: in.id(), Inputs: [2]int{in.Inputs.Least, in.Inputs.Most}, Outputs: [2]int{in.Outputs.Least, in.Outputs.Most}, Tags: tags, Links: map[string]string{}}
	for name, link := range map[string]string{"configuration": in.Settings.Configuration, "entity": in.Settings.Entity, "execution": in.Settings.Execution, "revision": in.Settings.Revision} {
		if link != "" {
			t.Links[name] = link
		}
	}
	for _, p := range in.Properties {
		t.Properties = append(t.Properties, pipeline.OwnProperty(p))
	}
	made, err := s.Runs.CreateType(ctx, t)
	if errors.Is(err, fault.Exists) {
		err = wire.Errorf("ValidationException", "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return &typeOutput{shownType(made), tagsOf(tags)}, nil
}

func (s *service) deleteType(ctx context.Context, _ *wire.Call, in *typeInput) (*nothing, error) {
	return nil, s.Runs.DeleteType(ctx, in.id())
}
