// Package secretsmanager answers Secrets Manager from the vault.
package secretsmanager

import (
	"context"
	_ "embed"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Config is whom the service asks.
type Config struct {
	Vault *vault.Vault
	Gate  wire.Gate // says of each secret of a batch whether it may be told
}

type service struct{ Config }

// Service answers what is about secrets and their versions. Rotation and
// replication are not here.
func Service(c Config) wire.Service {
	s := &service{c}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"CreateSecret":             wire.Op(s.askCreate, s.create),
			"PutSecretValue":           on(s, s.put),
			"UpdateSecret":             on(s, s.update),
			"UpdateSecretVersionStage": on(s, s.move),
			"GetSecretValue":           on(s, s.get),
			"BatchGetSecretValue":      wire.Op(wire.AskAll, s.batchGet),
			"DescribeSecret":           on(s, s.describe),
			"ListSecrets":              wire.Op(wire.AskAll, s.list),
			"ListSecretVersionIds":     on(s, s.versions),
			"DeleteSecret":             on(s, s.delete),
			"RestoreSecret":            on(s, s.restore),
			"TagResource":              on(s, s.tag),
			"UntagResource":            on(s, s.untag),
			"GetRandomPassword":        wire.Op(wire.AskAll, s.password),
			"GetResourcePolicy":        on(s, s.getPolicy),
			"PutResourcePolicy":        on(s, s.putPolicy),
			"DeleteResourcePolicy":     on(s, s.deletePolicy),
			"ValidateResourcePolicy":   on(s, s.validatePolicy),
		},
		Faults: wire.Faults{
			fault.Internal: {"InternalServiceError"},
			fault.Invalid:  {"InvalidParameterException"},
			fault.Conflict: {"InvalidRequestException"},
			fault.NotFound: {"ResourceNotFoundException"},
			fault.Exists:   {"ResourceExistsException"},
			fault.Limit:    {"LimitExceededException", "InvalidRequestException"},
		},
	}
}

// about is an input that names a secret, and what policies may ask of it besides.
type about interface {
	about() (secret string, keys map[string][]string)
}

// on answers an operation on one secret. Policies speak of its ARN and its tags,
// however it was named; of one that is not there, of the ARN as far as it is known.
func on[In, Out any](s *service, answer func(context.Context, *wire.Call, *In) (*Out, error)) wire.Operation {
	return wire.OpOn(func(ctx context.Context, c *wire.Call, in *In) ([]iam.Request, error) {
		id, keys := any(in).(about).about()
		return s.ask(ctx, c, c.Operation, id, keys)
	}, answer)
}

func (s *service) ask(ctx context.Context, c *wire.Call, operation, id string, keys map[string][]string) ([]iam.Request, error) {
	if keys == nil {
		keys = map[string][]string{}
	}
	keys["secretsmanager:SecretId"] = []string{id}
	secret, err := s.Vault.Secret(ctx, id)
	resource := id
	switch {
	case err == nil:
		resource = s.Vault.ARN(secret)
		for k, v := range secret.Tags {
			keys["aws:ResourceTag/"+k] = []string{v}
			keys["secretsmanager:ResourceTag/"+k] = []string{v}
		}
	case fault.Of(err) != fault.NotFound:
		return nil, err
	case id == "":
		resource = "*"
	case !strings.HasPrefix(id, "arn:"):
		resource = s.Vault.ARN(vault.Secret{ID: id})
	}
	asked := c.AskFor("secretsmanager:"+operation, resource)
	asked[0].Context = keys
	return asked, nil
}

// key is a condition key, unless nothing was said.
func key(name, value string) map[string][]string {
	if value == "" {
		return nil
	}
	return map[string][]string{name: {value}}
}

// tag is one of a secret.
type tag struct{ Key, Value string }

func tagKeys(tags []tag) map[string][]string {
	keys := map[string][]string{}
	for _, t := range tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}

func tagMap(tags []tag) (map[string]string, error) {
	all := map[string]string{}
	for _, t := range tags {
		if _, twice := all[t.Key]; twice {
			return nil, fault.Invalid.Errorf("the tag %q is there twice", t.Key)
		}
		all[t.Key] = t.Value
	}
	return all, nil
}

// named is an answer that says of which secret it is.
type named struct {
	ARN           string
	Name          string
	VersionID     string    `json:"VersionId,omitzero"`
	VersionStages []string  `json:",omitzero"`
	DeletionDate  time.Time `json:",omitzero"`
}

func (s *service) named(secret vault.Secret) *named {
	return &named{ARN: s.Vault.ARN(secret), Name: secret.Name}
}
