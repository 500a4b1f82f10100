package secretsmanager

import (
	"context"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

type policyOutput struct {
	ARN            string
	Name           string
	ResourcePolicy string `json:",omitzero"`
}

func (s *service) getPolicy(ctx context.Context, _ *wire.Call, in *secretInput) (*policyOutput, error) {
	secret, err := s.Vault.Secret(ctx, in.SecretID)
	if err != nil {
		return nil, err
	}
	return &policyOutput{s.Vault.ARN(secret), secret.Name, secret.Policy}, nil
}

type putPolicyInput struct {
	secretInput
	ResourcePolicy    string
	BlockPublicPolicy bool
}

func (in *putPolicyInput) about() (string, map[string][]string) {
	return in.SecretID, map[string][]string{"secretsmanager:BlockPublicPolicy": {text(in.BlockPublicPolicy)}}
}

func (s *service) putPolicy(ctx context.Context, _ *wire.Call, in *putPolicyInput) (*policyOutput, error) {
	policy, err := iam.ParseAs(iam.Resource, "policy", []byte(in.ResourcePolicy))
	if err != nil {
		return nil, wire.Errorf("MalformedPolicyDocumentException", "This resource policy contains a syntax error: %v", err)
	}
	secret, err := s.Vault.Secret(ctx, in.SecretID)
	if err != nil {
		return nil, err
	}
	if in.BlockPublicPolicy && public(policy, s.Vault.ARN(secret)) {
		return nil, wire.Errorf("PublicPolicyException", "You can't attach a resource policy that allows broad access to the secret.")
	}
	if secret, err = s.Vault.SetPolicy(ctx, in.SecretID, in.ResourcePolicy); err != nil {
		return nil, err
	}
	return &policyOutput{ARN: s.Vault.ARN(secret), Name: secret.Name}, nil
}

// public tells whether a policy lets anybody have the value of a secret.
func public(policy *iam.Policy, arn string) bool {
	all := iam.Policies{Resource: policy}
	return all.Decide(iam.Request{Principal: iam.Principal{Type: "Anonymous"}, Action: "secretsmanager:GetSecretValue", Resource: arn, Suppose: true}.Known()).Outcome == iam.Allowed
}

func (s *service) deletePolicy(ctx context.Context, _ *wire.Call, in *secretInput) (*policyOutput, error) {
	secret, err := s.Vault.SetPolicy(ctx, in.SecretID, "")
	if err != nil {
		return nil, err
	}
	return &policyOutput{ARN: s.Vault.ARN(secret), Name: secret.Name}, nil
}

type validateInput struct {
	secretInput
	ResourcePolicy string
}

type validation struct{ CheckName, ErrorMessage string }

type validateOutput struct {
	PolicyValidationPassed bool
	ValidationErrors       []validation
}

func (s *service) validatePolicy(ctx context.Context, _ *wire.Call, in *validateInput) (*validateOutput, error) {
	out := &validateOutput{ValidationErrors: []validation{}}
	for _, r := range iam.Check(iam.Resource, "policy", []byte(in.ResourcePolicy)) {
		if r.Weight == iam.Mistake {
			out.ValidationErrors = append(out.ValidationErrors, validation{r.Rule, r.Message})
		}
	}
	arn := "*"
	if in.SecretID != "" {
		secret, err := s.Vault.Secret(ctx, in.SecretID)
		if err != nil {
			return nil, err
		}
		arn = s.Vault.ARN(secret)
	}
	policy, err := iam.ParseAs(iam.Resource, "policy", []byte(in.ResourcePolicy))
	switch {
	case err != nil && len(out.ValidationErrors) == 0:
		return nil, fault.Invalid.Wrap(err)
	case err == nil && public(policy, arn):
		out.ValidationErrors = append(out.ValidationErrors, validation{"public", "it lets anybody have the value"})
	}
	out.PolicyValidationPassed = len(out.ValidationErrors) == 0
	return out, nil
}
