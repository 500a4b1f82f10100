// Package iam answers IAM: users, groups, roles, policies and their credentials, and what policies would decide.
package iam

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

type service struct{ access *access.Access }

// Service answers IAM from what access keeps.
func Service(a *access.Access) wire.Service {
	s := &service{a}
	operations := map[string]wire.Operation{
		"SimulateCustomPolicy":             wire.Op(wire.AskAll, simulateCustomPolicy),
		"SimulatePrincipalPolicy":          wire.Op(askSource, s.simulatePrincipalPolicy),
		"GetContextKeysForCustomPolicy":    wire.Op(wire.AskAll, contextKeysForCustomPolicy),
		"GetContextKeysForPrincipalPolicy": wire.Op(askKeysSource, s.contextKeysForPrincipalPolicy),
	}
	for _, some := range []map[string]wire.Operation{s.users(), s.credentials(), s.groups(), s.roles(), s.policies(), s.profiles(), s.providers(), s.devices(), s.account()} {
		for name, o := range some {
			operations[name] = o
		}
	}
	return wire.Service{
		Model: wire.MustModel(table), Operations: operations,
		Faults: wire.Faults{
			fault.Invalid: {"InvalidInput"}, fault.NotFound: {"NoSuchEntity"}, fault.Exists: {"EntityAlreadyExists"},
			fault.Conflict: {"DeleteConflict"}, fault.Limit: {"LimitExceeded"}, fault.Denied: {"AccessDenied"},
		},
	}
}

// input is what operations of IAM can be given; the model has checked that
// each was given what it takes, and no other gets through.
type input struct {
	UserName, GroupName, RoleName, PolicyName, InstanceProfileName, VirtualMFADeviceName string
	NewUserName, NewGroupName, NewPath                                                   string

	Path, PathPrefix                       string
	PolicyArn, PolicyDocument              string
	VersionID                              string `json:"VersionId"`
	AssumeRolePolicyDocument               string
	PermissionsBoundary                    string
	Description                            *string
	MaxSessionDuration                     *int
	SetAsDefault                           bool
	Tags                                   []tag
	TagKeys                                []string
	AccessKeyID                            string `json:"AccessKeyId"`
	Status                                 string
	Password, OldPassword, NewPassword     string
	PasswordResetRequired                  *bool
	SerialNumber                           string
	AuthenticationCode1                    string
	AuthenticationCode2                    string
	AssignmentStatus                       string
	URL                                    string `json:"Url"`
	ClientID, OpenIDConnectProviderArn     string
	ClientIDList, ThumbprintList           []string
	AccountAlias                           string
	ServiceName                            string
	ServiceSpecificCredential              string `json:"ServiceSpecificCredentialId"`
	Scope, EntityFilter, PolicyUsageFilter string
	OnlyAttached, AllUsers                 bool
	CredentialAgeDays                      int
	Filter                                 []string
	Marker                                 string
	MaxItems                               int
}

type tag struct{ Key, Value string }

// none is the answer of operations that answer nothing.
type none struct{}

// on answers an operation that asks for itself on the resources that target names.
func on[Out any](target func(*wire.Call, *input) []string, answer func(context.Context, *wire.Call, *input) (*Out, error), more ...func(*input, map[string][]string)) wire.Operation {
	asks := func(c *wire.Call, in *input) []iam.Request {
		asked := c.Ask(target(c, in)...)
		for i := range asked {
			asked[i].Context = in.keys()
			for _, add := range more {
				add(in, asked[i].Context)
			}
		}
		return asked
	}
	return wire.Op(asks, func(ctx context.Context, c *wire.Call, in *input) (*Out, error) {
		out, err := answer(ctx, c, in)
		return out, said(err)
	})
}

// does is on for an operation that answers nothing.
func does(target func(*wire.Call, *input) []string, do func(context.Context, *wire.Call, *input) error, more ...func(*input, map[string][]string)) wire.Operation {
	return on(target, func(ctx context.Context, c *wire.Call, in *input) (*none, error) { return &none{}, do(ctx, c, in) }, more...)
}

// said is an error under the code that IAM has for it, where its kind alone does not tell.
func said(err error) error {
	var placed *diag.Error
	switch {
	case errors.As(err, &placed):
		return wire.Errorf("MalformedPolicyDocument", "%v", placed)
	case errors.Is(err, access.ErrCode):
		return wire.Errorf("InvalidAuthenticationCode", "Authentication code for device is not valid.")
	}
	return err
}

// keys are the condition keys that an operation's input makes.
func (in *input) keys() map[string][]string {
	keys := map[string][]string{}
	for _, t := range in.Tags {
		keys["aws:requesttag/"+strings.ToLower(t.Key)] = []string{t.Value}
		keys["aws:tagkeys"] = append(keys["aws:tagkeys"], t.Key)
	}
	keys["aws:tagkeys"] = append(keys["aws:tagkeys"], in.TagKeys...)
	if len(keys["aws:tagkeys"]) == 0 {
		delete(keys, "aws:tagkeys")
	}
	if in.PolicyArn != "" {
		keys["iam:policyarn"] = []string{in.PolicyArn}
	}
	if in.PermissionsBoundary != "" {
		keys["iam:permissionsboundary"] = []string{in.PermissionsBoundary}
	}
	return keys
}

func (in *input) tags() map[string]string {
	if len(in.Tags) == 0 {
		return nil
	}
	all := make(map[string]string, len(in.Tags))
	for _, t := range in.Tags {
		all[t.Key] = t.Value
	}
	return all
}

// twice refuses tags of which one is there twice: a map would forget one.
func (in *input) twice() error {
	if len(in.tags()) != len(in.Tags) {
		return fault.Invalid.Errorf("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	}
	return nil
}

// bounded adds the boundary that somebody has already: whoever hands out rights
// may be held to those who are bounded.
func (s *service) bounded(owner func(*wire.Call, *input) access.Owner) func(*input, map[string][]string) {
	return func(in *input, keys map[string][]string) {
		if _, asked := keys["iam:permissionsboundary"]; asked {
			return
		}
		d, err := s.access.Directory(context.Background())
		if err != nil {
			return // nothing is known of a boundary, so no condition on one holds
		}
		if h, err := d.Holder(owner(nil, in)); err == nil && h.Boundary != "" {
			keys["iam:permissionsboundary"] = []string{h.Boundary}
		}
	}
}

// user is the user that an operation names, or who asks.
func user(c *wire.Call, in *input) string {
	if in.UserName == "" && c != nil {
		return c.Principal.Name
	}
	return in.UserName
}

func userOwner(c *wire.Call, in *input) access.Owner  { return access.UserNamed(user(c, in)) }
func groupOwner(_ *wire.Call, in *input) access.Owner { return access.GroupNamed(in.GroupName) }
func roleOwner(_ *wire.Call, in *input) access.Owner  { return access.RoleNamed(in.RoleName) }

// everything is the resource of operations that are about no single one.
func everything(*wire.Call, *input) []string { return nil }

// of is the ARN of an owner; of one that is to be made, with the path that it is to have.
func (s *service) of(owner func(*wire.Call, *input) access.Owner) func(*wire.Call, *input) []string {
	return func(c *wire.Call, in *input) []string {
		o := owner(c, in)
		d, err := s.access.Directory(context.Background())
		if err != nil {
			return []string{"*"}
		}
		if _, err := d.Holder(o); err != nil && in.Path != "" {
			return []string{"arn:aws:iam::" + d.Account + ":" + string(o.Kind) + in.Path + o.Name}
		}
		return []string{d.OwnerARN(o)}
	}
}

// own is the ARN of a thing that is named with a path, or kept with one.
func (s *service) own(what string, name func(*input) string, find func(*access.Directory, *input) string) func(*wire.Call, *input) []string {
	return func(_ *wire.Call, in *input) []string {
		d, err := s.access.Directory(context.Background())
		if err != nil {
			return []string{"*"}
		}
		if arn := find(d, in); arn != "" {
			return []string{arn}
		}
		return []string{"arn:aws:iam::" + d.Account + ":" + what + cmp.Or(in.Path, "/") + name(in)}
	}
}
