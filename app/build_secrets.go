package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// buildSecrets is the vault as builds ask it. That the build comes from a protected branch, the room has decided; whether
// the secret is one of that repository's is decided here: whoever may push to one repository has nothing of another's.
type buildSecrets struct{ app *App }

// ofRepositories is the tag by which a secret or a parameter says whose builds get it: names, with blanks between them.
const ofRepositories = "haechi:repository"

// builds is the service that a secret's policy names to mean builds.
const builds = "codebuild.amazonaws.com"

// Secret is the value of a secret that the build may have.
func (s buildSecrets) Secret(ctx context.Context, id, reference string) (seal.Secret, error) {
	r, err := vault.ParseReference(reference)
	if err != nil {
		return "", err
	}
	secret, err := s.app.Vault.Secret(ctx, r.Secret)
	if err != nil {
		return "", fault.Of(err).Errorf("secret %s: %w", r.Secret, err)
	}
	made, err := s.app.Builds.Build(ctx, id)
	if err != nil {
		return "", err
	}
	if err := s.lets(ctx, made, secret); err != nil {
		return "", err
	}
	return s.app.Vault.Get(ctx, reference)
}

// Parameter is a parameter, whatever its type; all are masked. One that is a secret must be one of the repository's.
func (s buildSecrets) Parameter(ctx context.Context, id, name string) (value seal.Secret, secret bool, err error) {
	p, value, err := s.app.Vault.Parameter(ctx, name)
	if err != nil || p.Type != vault.Secure {
		return value, false, err
	}
	made, err := s.app.Builds.Build(ctx, id)
	if err != nil {
		return "", true, err
	}
	tags, err := s.app.Vault.ParameterTags(ctx, p.Name)
	if err != nil {
		return "", true, err
	}
	owned, is, err := s.owned(ctx, made.Facts.Repository, p.Name, tags)
	if err == nil && owned && !is {
		err = another("parameter", p.Name, made)
	}
	if err != nil {
		return "", true, err
	}
	return value, true, nil
}

// lets is nil where a build may have a secret. The secret's own policy counts first: what it denies is denied, what it allows to builds is allowed,
// and one that has a policy and is nobody's own goes to no others.
func (s buildSecrets) lets(ctx context.Context, made build.Build, secret vault.Secret) error {
	arn := s.app.Vault.ARN(secret)
	policy, err := s.app.Vault.PolicyOf(ctx, arn)
	if err != nil {
		return err
	}
	if policy != nil {
		says := (&iam.Policies{Resource: policy}).Decide(iam.Request{
			Principal: iam.Principal{Service: builds, Account: s.app.Config.Account}, Action: "secretsmanager:GetSecretValue", Resource: arn,
			Context: map[string][]string{
				"haechi:repository": {made.Facts.Repository}, "haechi:ref": {made.Facts.Ref}, "aws:SourceAccount": {s.app.Config.Account},
				"aws:SourceArn": {s.app.Builds.ARN("project/" + made.Project)},
			},
		}.Known())
		switch says.Outcome {
		case iam.Allowed:
			return nil
		case iam.ExplicitlyDenied:
			return fault.Denied.Errorf("secret %s: its policy denies it to this build of %s", secret.Name, made.Facts.Repository)
		}
	}
	owned, is, err := s.owned(ctx, made.Facts.Repository, secret.Name, secret.Tags)
	if err == nil && !is && (owned || policy != nil) {
		err = another("secret", secret.Name, made)
	}
	return err
}

func another(what, name string, made build.Build) error {
	return fault.Denied.Errorf("%s %s is not one of %s: whose builds get it says its tag %s, else the repository that its name begins with", what, name, made.Facts.Repository, ofRepositories)
}

// owned tells whether a secret is some repositories' own, and whether it is this one's: by its tag, else by the first part of its name.
func (s buildSecrets) owned(ctx context.Context, repository, name string, tags map[string]string) (owned, is bool, err error) {
	if text, ok := tags[ofRepositories]; ok {
		return true, repository != "" && slices.Contains(strings.Fields(text), repository), nil
	}
	first, _, more := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !more {
		return false, false, nil
	}
	if first == repository {
		return true, true, nil
	}
	_, err = s.app.Source.Repository(ctx, first)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Invalid) {
		return false, false, nil
	}
	return true, false, err
}
