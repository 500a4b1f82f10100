// Package sts answers who is calling, and hands out credentials that end by themselves.
package sts

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

type service struct{ access *access.Access }

// Service answers sts from what access keeps. Who one is everybody may ask
// whom we know; who may become a role the role's trust policy says.
func Service(a *access.Access) wire.Service {
	s := &service{a}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"GetCallerIdentity":         wire.OpenOp(getCallerIdentity),
			"AssumeRole":                wire.OpenOp(s.assumeRole), // access asks: the second factor that comes with the call is a part of the question
			"AssumeRoleWithWebIdentity": wire.OpenOp(s.assumeRoleWithWebIdentity),
			"GetSessionToken":           wire.OpenOp(s.getSessionToken), // of one's own, and no more than one may
			"GetFederationToken":        wire.Op(s.askFederation, s.getFederationToken),
			"GetAccessKeyInfo":          wire.Op(wire.AskAll, s.getAccessKeyInfo),
		},
		Faults: wire.Faults{fault.Invalid: {"ValidationError"}, fault.NotFound: {"ValidationError"}, fault.Limit: {"ValidationError"}, fault.Denied: {"AccessDenied"}, fault.Unauthenticated: {"InvalidIdentityToken"}},
	}
}

type callerIdentity struct {
	UserID  string `json:"UserId"`
	Account string
	ARN     string `json:"Arn"`
}

func getCallerIdentity(_ context.Context, c *wire.Call, _ *struct{}) (*callerIdentity, error) {
	return &callerIdentity{UserID: c.Principal.ID, Account: c.Principal.Account, ARN: c.Principal.ARN}, nil
}

type input struct {
	RoleArn, RoleSessionName string
	Name                     string
	WebIdentityToken         string
	ProviderID               string `json:"ProviderId"`
	PolicyArns               []struct {
		ARN string `json:"arn"`
	}
	Policy            string
	DurationSeconds   int
	Tags              []struct{ Key, Value string }
	TransitiveTagKeys []string
	ExternalID        string `json:"ExternalId"`
	SerialNumber      string
	TokenCode         string
	SourceIdentity    string
	ProvidedContexts  []struct{}
}

func (in *input) assume() (as access.Assume, err error) {
	as = access.Assume{
		Role: in.RoleArn, Name: in.RoleSessionName, Seconds: in.DurationSeconds, Limited: in.Policy, Lasting: in.TransitiveTagKeys,
		Source: in.SourceIdentity, Serial: in.SerialNumber, Code: in.TokenCode, External: in.ExternalID,
	}
	for _, p := range in.PolicyArns {
		as.Managed = append(as.Managed, p.ARN)
	}
	if len(in.Tags) > 0 {
		as.Tags = map[string]string{}
	}
	for _, t := range in.Tags {
		as.Tags[t.Key] = t.Value
	}
	switch {
	case len(as.Tags) != len(in.Tags):
		return as, fault.Invalid.Errorf("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	case len(in.ProvidedContexts) > 0 || in.ProviderID != "":
		return as, fault.Unsupported.Errorf("ProvidedContexts and ProviderId are not taken here")
	}
	return as, nil
}

type (
	credentials struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      time.Time
	}
	assumedUser struct {
		ID  string `json:"AssumedRoleId"`
		ARN string `json:"Arn"`
	}
	federatedUser struct {
		ID  string `json:"FederatedUserId"`
		ARN string `json:"Arn"`
	}
	output struct {
		Credentials                 credentials
		AssumedRoleUser             *assumedUser   `json:",omitzero"`
		FederatedUser               *federatedUser `json:",omitzero"`
		PackedPolicySize            int            `json:",omitzero"`
		SourceIdentity              string         `json:",omitzero"`
		SubjectFromWebIdentityToken string         `json:",omitzero"`
		Provider                    string         `json:",omitzero"`
		Audience                    string         `json:",omitzero"`
	}
)

func told(t access.Temporary) credentials {
	return credentials{t.KeyID, t.Secret.Reveal(), t.Token.Reveal(), t.Expires}
}

// said is an error under the code that STS has for it, where its kind alone does not tell.
func said(err error) error {
	var placed *diag.Error
	switch {
	case errors.As(err, &placed):
		return wire.Errorf("MalformedPolicyDocument", "%v", placed)
	case errors.Is(err, access.ErrPacked):
		return wire.Errorf("PackedPolicyTooLarge", "%v", err)
	}
	return err
}

func (s *service) assumeRole(ctx context.Context, c *wire.Call, in *input) (*output, error) {
	as, err := in.assume()
	if err != nil {
		return nil, err
	}
	t, err := s.access.AssumeRole(ctx, c.Principal, as, c.Context())
	if err != nil {
		return nil, said(err)
	}
	return &output{Credentials: told(t), AssumedRoleUser: &assumedUser{t.Principal.ID, t.Principal.ARN}, PackedPolicySize: t.Packed, SourceIdentity: in.SourceIdentity}, nil
}

func (s *service) getSessionToken(ctx context.Context, c *wire.Call, in *input) (*output, error) {
	t, err := s.access.SessionToken(ctx, c.Principal, in.DurationSeconds, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, said(err)
	}
	return &output{Credentials: told(t)}, nil
}

func (s *service) askFederation(c *wire.Call, in *input) []iam.Request {
	resource := "arn:aws:sts::" + c.Principal.Account + ":federated-user/" + in.Name
	asked := c.Ask(resource)
	if len(in.Tags) > 0 {
		asked = append(asked, c.AskFor("sts:TagSession", resource)...)
	}
	return asked
}

func (s *service) getFederationToken(ctx context.Context, c *wire.Call, in *input) (*output, error) {
	as, err := in.assume()
	if err != nil {
		return nil, err
	}
	as.Name = in.Name
	t, err := s.access.FederationToken(ctx, c.Principal, as)
	if err != nil {
		return nil, said(err)
	}
	return &output{Credentials: told(t), FederatedUser: &federatedUser{t.Principal.ID, t.Principal.ARN}, PackedPolicySize: t.Packed}, nil
}

type keyInput struct {
	AccessKeyID string `json:"AccessKeyId"`
}

type keyOutput struct{ Account string }

func (s *service) getAccessKeyInfo(ctx context.Context, c *wire.Call, in *keyInput) (*keyOutput, error) {
	ours, err := s.access.Owns(ctx, in.AccessKeyID)
	if err != nil {
		return nil, err
	}
	if !ours {
		return nil, fault.Invalid.Errorf("The access key %s is of no user of this account.", in.AccessKeyID)
	}
	return &keyOutput{c.Principal.Account}, nil
}

// assumeRoleWithWebIdentity is for callers whom nobody here knows: their token is looked at, and the role's trust policy.
func (s *service) assumeRoleWithWebIdentity(ctx context.Context, c *wire.Call, in *input) (*output, error) {
	as, err := in.assume()
	if err != nil {
		return nil, err
	}
	w, err := s.access.AssumeWithWebIdentity(ctx, in.WebIdentityToken, as, c.Context())
	switch {
	case errors.Is(err, access.ErrExpired):
		return nil, wire.Errorf("ExpiredTokenException", "Token is expired")
	case errors.Is(err, access.ErrProvider):
		return nil, wire.Errorf("IDPCommunicationError", "%v", err)
	case err != nil:
		return nil, said(err)
	}
	return &output{
		Credentials: told(w.Temporary), AssumedRoleUser: &assumedUser{w.Principal.ID, w.Principal.ARN}, PackedPolicySize: w.Packed,
		SubjectFromWebIdentityToken: w.Subject, Provider: w.Issuer, Audience: w.Audience,
	}, nil
}
