package secretsmanager

import (
	"context"
	"errors"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// secretInput is an input that names a secret and nothing else that policies ask for.
type secretInput struct {
	SecretID string `json:"SecretId"`
}

func (in *secretInput) about() (string, map[string][]string) { return in.SecretID, nil }

// given is a value in a call: text or bytes.
type given struct {
	SecretString *seal.Secret
	SecretBinary []byte
}

func (g given) value() (*vault.Value, error) {
	switch {
	case g.SecretString != nil && g.SecretBinary != nil:
		return nil, fault.Invalid.Errorf("You can't specify both a binary secret value and a string secret value in the same secret.")
	case g.SecretString != nil:
		return &vault.Value{Secret: *g.SecretString}, nil
	case g.SecretBinary != nil:
		return &vault.Value{Secret: seal.Secret(g.SecretBinary), Binary: true}, nil
	}
	return nil, nil
}

type createInput struct {
	given
	Name               string
	ClientRequestToken string
	Description        string
	KmsKeyID           string `json:"KmsKeyId"`
	Tags               []tag
	AddReplicaRegions  []struct{ Region string }
	Type               string
}

func (s *service) askCreate(c *wire.Call, in *createInput) []iam.Request {
	asked := c.Ask(s.Vault.ARN(vault.Secret{ID: in.Name})) // its last six characters are not known yet
	keys := tagKeys(in.Tags)
	for name, value := range map[string]string{"Name": in.Name, "Description": in.Description, "KmsKeyId": in.KmsKeyID} {
		if value != "" {
			keys["secretsmanager:"+name] = []string{value}
		}
	}
	asked[0].Context = keys
	if len(in.Tags) > 0 {
		also := c.AskFor("secretsmanager:TagResource", asked[0].Resource)
		also[0].Context = keys
		asked = append(asked, also...)
	}
	return asked
}

func (s *service) create(ctx context.Context, _ *wire.Call, in *createInput) (*named, error) {
	if len(in.AddReplicaRegions) > 0 {
		return nil, fault.Invalid.Errorf("secrets are not replicated here: one server answers for all regions")
	}
	if in.Type != "" {
		return nil, errRotation
	}
	value, err := in.value()
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	secret, version, err := s.Vault.Create(ctx, vault.Secret{Name: in.Name, Description: in.Description, KMSKey: in.KmsKeyID, Tags: tags}, value, in.ClientRequestToken)
	if err != nil {
		return nil, err
	}
	out := s.named(secret)
	out.VersionID = version
	return out, nil
}

var errRotation = fault.Conflict.Errorf("secrets are not rotated here yet: put a new value with put-secret-value")

type putInput struct {
	secretInput
	given
	ClientRequestToken string
	VersionStages      []string
	RotationToken      string
}

func (s *service) put(ctx context.Context, _ *wire.Call, in *putInput) (*named, error) {
	if in.RotationToken != "" {
		return nil, errRotation
	}
	value, err := in.value()
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, fault.Invalid.Errorf("You must provide either SecretString or SecretBinary.")
	}
	secret, version, err := s.Vault.Put(ctx, in.SecretID, *value, in.ClientRequestToken, in.VersionStages)
	if err != nil {
		return nil, err
	}
	out := s.named(secret)
	out.VersionID, out.VersionStages = version, secret.LabelsOf(version)
	return out, nil
}

type updateInput struct {
	secretInput
	given
	ClientRequestToken string
	Description        *string
	KmsKeyID           *string `json:"KmsKeyId"`
	Type               string
}

func (in *updateInput) about() (string, map[string][]string) {
	keys := map[string][]string{}
	if in.Description != nil {
		keys["secretsmanager:Description"] = []string{*in.Description}
	}
	if in.KmsKeyID != nil {
		keys["secretsmanager:KmsKeyId"] = []string{*in.KmsKeyID}
	}
	return in.SecretID, keys
}

func (s *service) update(ctx context.Context, _ *wire.Call, in *updateInput) (*named, error) {
	if in.Type != "" {
		return nil, errRotation
	}
	value, err := in.value()
	if err != nil {
		return nil, err
	}
	secret, version, err := s.Vault.Update(ctx, in.SecretID, vault.Edit{Description: in.Description, KMSKey: in.KmsKeyID, Value: value}, in.ClientRequestToken)
	if err != nil {
		return nil, err
	}
	out := s.named(secret)
	out.VersionID = version
	return out, nil
}

type moveInput struct {
	secretInput
	VersionStage        string
	RemoveFromVersionID string `json:"RemoveFromVersionId"`
	MoveToVersionID     string `json:"MoveToVersionId"`
}

func (in *moveInput) about() (string, map[string][]string) {
	return in.SecretID, key("secretsmanager:VersionStage", in.VersionStage)
}

func (s *service) move(ctx context.Context, _ *wire.Call, in *moveInput) (*named, error) {
	secret, err := s.Vault.Move(ctx, in.SecretID, in.VersionStage, in.RemoveFromVersionID, in.MoveToVersionID)
	if err != nil {
		return nil, err
	}
	return s.named(secret), nil
}

type getInput struct {
	secretInput
	VersionID    string `json:"VersionId"`
	VersionStage string
}

func (in *getInput) about() (string, map[string][]string) {
	stage := in.VersionStage
	if stage == "" && in.VersionID == "" {
		stage = vault.Current
	}
	keys := map[string][]string{}
	if stage != "" {
		keys["secretsmanager:VersionStage"] = []string{stage}
	}
	if in.VersionID != "" {
		keys["secretsmanager:VersionId"] = []string{in.VersionID}
	}
	return in.SecretID, keys
}

// valueEntry is a value told.
type valueEntry struct {
	ARN           string
	Name          string
	VersionID     string  `json:"VersionId"`
	SecretString  *string `json:",omitzero"`
	SecretBinary  []byte  `json:",omitzero"`
	VersionStages []string
	CreatedDate   time.Time
}

func (s *service) get(ctx context.Context, _ *wire.Call, in *getInput) (*valueEntry, error) {
	told, err := s.Vault.Value(ctx, in.SecretID, in.VersionID, in.VersionStage)
	var broken seal.Failure
	if errors.As(err, &broken) {
		return nil, wire.Errorf("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text: %s", broken)
	}
	if err != nil {
		return nil, err
	}
	return s.entry(told), nil
}

func (s *service) entry(told vault.Told) *valueEntry {
	out := &valueEntry{ARN: s.Vault.ARN(told.Secret), Name: told.Secret.Name, VersionID: told.Version.ID, VersionStages: told.Version.Labels, CreatedDate: told.Version.Created}
	if text := told.Value.Secret.Reveal(); told.Value.Binary {
		out.SecretBinary = []byte(text)
	} else {
		out.SecretString = &text
	}
	return out
}

// described is what is known of a secret.
type described struct {
	ARN              string
	Name             string
	Description      string    `json:",omitzero"`
	KmsKeyID         string    `json:"KmsKeyId,omitzero"`
	RotationEnabled  bool      `json:",omitzero"`
	LastChangedDate  time.Time `json:",omitzero"`
	LastAccessedDate time.Time `json:",omitzero"`
	DeletedDate      time.Time `json:",omitzero"`
	CreatedDate      time.Time
	Tags             []tag
	// One of the two, by the operation.
	Versions map[string][]string `json:"VersionIdsToStages,omitzero"`
	Listed   map[string][]string `json:"SecretVersionsToStages,omitzero"`
}

func (s *service) described(secret vault.Secret) *described {
	d := &described{
		ARN: s.Vault.ARN(secret), Name: secret.Name, Description: secret.Description, KmsKeyID: secret.KMSKey,
		LastChangedDate: secret.Changed, LastAccessedDate: secret.Accessed, DeletedDate: secret.Deleted, CreatedDate: secret.Created, Tags: []tag{},
	}
	for _, k := range sorted(secret.Tags) {
		d.Tags = append(d.Tags, tag{k, secret.Tags[k]})
	}
	return d
}

// stages are the labels of each version that has one.
func stages(secret vault.Secret) map[string][]string {
	all := map[string][]string{}
	for _, version := range secret.Labels {
		all[version] = secret.LabelsOf(version)
	}
	return all
}

func (s *service) describe(ctx context.Context, _ *wire.Call, in *secretInput) (*described, error) {
	secret, err := s.Vault.Secret(ctx, in.SecretID)
	if err != nil {
		return nil, err
	}
	d := s.described(secret)
	d.Versions = stages(secret)
	return d, nil
}

type deleteInput struct {
	secretInput
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

func (in *deleteInput) about() (string, map[string][]string) {
	keys := map[string][]string{"secretsmanager:ForceDeleteWithoutRecovery": {text(in.ForceDeleteWithoutRecovery)}}
	if in.RecoveryWindowInDays != nil {
		keys["secretsmanager:RecoveryWindowInDays"] = []string{text(*in.RecoveryWindowInDays)}
	}
	return in.SecretID, keys
}

func (s *service) delete(ctx context.Context, c *wire.Call, in *deleteInput) (*named, error) {
	days := 30
	switch {
	case in.ForceDeleteWithoutRecovery && in.RecoveryWindowInDays != nil:
		return nil, fault.Invalid.Errorf("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case in.ForceDeleteWithoutRecovery:
		days = 0
	case in.RecoveryWindowInDays != nil:
		if days = *in.RecoveryWindowInDays; days == 0 {
			days = -1 // which is refused; 0 would be at once
		}
	}
	secret, err := s.Vault.Delete(ctx, in.SecretID, days)
	if fault.Of(err) == fault.NotFound && days == 0 { // what is not there is as was asked
		return &named{ARN: s.Vault.ARN(vault.Secret{ID: in.SecretID}), Name: in.SecretID, DeletionDate: c.Time}, nil
	}
	if err != nil {
		return nil, err
	}
	out := s.named(secret)
	out.DeletionDate = secret.Gone
	return out, nil
}

func (s *service) restore(ctx context.Context, _ *wire.Call, in *secretInput) (*named, error) {
	secret, err := s.Vault.Restore(ctx, in.SecretID)
	if err != nil {
		return nil, err
	}
	return s.named(secret), nil
}

type tagInput struct {
	secretInput
	Tags []tag
}

func (in *tagInput) about() (string, map[string][]string) { return in.SecretID, tagKeys(in.Tags) }

func (s *service) tag(ctx context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, s.Vault.Tag(ctx, in.SecretID, tags, nil)
}

type untagInput struct {
	secretInput
	TagKeys []string
}

func (in *untagInput) about() (string, map[string][]string) {
	return in.SecretID, map[string][]string{"aws:TagKeys": in.TagKeys}
}

func (s *service) untag(ctx context.Context, _ *wire.Call, in *untagInput) (*struct{}, error) {
	return nil, s.Vault.Tag(ctx, in.SecretID, nil, in.TagKeys)
}
