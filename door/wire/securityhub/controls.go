package securityhub

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
)

type definition struct {
	SecurityControlID         string `json:"SecurityControlId"`
	Title, Description        string
	RemediationURL            string `json:"RemediationUrl"`
	SeverityRating            string
	CurrentRegionAvailability string
	CustomizableProperties    []string       `json:"CustomizableProperties,omitzero"`
	ParameterDefinitions      jsontext.Value `json:"ParameterDefinitions,omitzero"`
}

func definitionOf(c hub.ControlStatus) definition {
	d := definition{c.ID, c.Title, c.Description, c.RemediationURL, string(c.Severity), "AVAILABLE", nil, c.Parameters}
	if c.Parameters != nil {
		d.CustomizableProperties = []string{"Parameters"}
	}
	return d
}

type definitionsInput struct {
	StandardsArn string
	paging
}

type definitionsOutput struct {
	SecurityControlDefinitions []definition
	NextToken                  string `json:"NextToken,omitzero"`
}

func (s *service) controlDefinitions(ctx context.Context, _ *wire.Call, in *definitionsInput) (*definitionsOutput, error) {
	controls, err := s.hub.Controls(ctx, in.StandardsArn)
	if err != nil {
		return nil, err
	}
	var list []definition
	seen := map[string]bool{}
	for _, c := range controls {
		if !seen[c.ID] {
			seen[c.ID] = true
			list = append(list, definitionOf(c))
		}
	}
	out := &definitionsOutput{}
	out.SecurityControlDefinitions, out.NextToken, err = page(list, in.paging)
	return out, err
}

type controlInput struct {
	SecurityControlID string `json:"SecurityControlId"`
}

type definitionOutput struct{ SecurityControlDefinition definition }

func (s *service) controlDefinition(ctx context.Context, _ *wire.Call, in *controlInput) (*definitionOutput, error) {
	c, err := s.hub.Control(ctx, in.SecurityControlID)
	return &definitionOutput{definitionOf(c)}, err
}

type control struct {
	SecurityControlID     string `json:"SecurityControlId"`
	SecurityControlArn    string
	Title, Description    string
	RemediationURL        string `json:"RemediationUrl"`
	SeverityRating        string
	SecurityControlStatus string
	UpdateStatus          string
	Parameters            jsontext.Value `json:"Parameters,omitzero"`
	LastUpdateReason      string         `json:"LastUpdateReason,omitzero"`
}

type unprocessedControl struct {
	SecurityControlID string `json:"SecurityControlId"`
	ErrorCode         string
	ErrorReason       string
}

type getControlsInput struct {
	SecurityControlIDs []string `json:"SecurityControlIds"`
}

type getControlsOutput struct {
	SecurityControls []control
	UnprocessedIDs   []unprocessedControl `json:"UnprocessedIds"`
}

func (s *service) getControls(ctx context.Context, _ *wire.Call, in *getControlsInput) (*getControlsOutput, error) {
	parameters, err := s.hub.Parameters(ctx)
	if err != nil {
		return nil, err
	}
	out := &getControlsOutput{[]control{}, []unprocessedControl{}}
	for _, id := range in.SecurityControlIDs {
		c, err := s.hub.Control(ctx, id)
		switch {
		case errors.Is(err, fault.NotFound):
			out.UnprocessedIDs = append(out.UnprocessedIDs, unprocessedControl{id, notFound, err.Error()})
			continue
		case err != nil:
			return nil, err
		}
		set := parameters[c.ID]
		out.SecurityControls = append(out.SecurityControls, control{c.ID, s.hub.ControlARN(c.ID), c.Title, c.Description, c.RemediationURL, string(c.Severity), status(c.Enabled), "READY", set.Values, set.Reason})
	}
	return out, nil
}

type updateControlInput struct {
	SecurityControlID string `json:"SecurityControlId"`
	Parameters        jsontext.Value
	LastUpdateReason  string
}

func (s *service) updateControl(ctx context.Context, _ *wire.Call, in *updateControlInput) (*none, error) {
	return nil, s.hub.SetParameters(ctx, in.SecurityControlID, in.Parameters, in.LastUpdateReason)
}
