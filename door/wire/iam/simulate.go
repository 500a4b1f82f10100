package iam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// What one page holds if the call does not say, and at most.
const (
	usualItems = 100
	mostItems  = 1000
)

type simulateInput struct {
	PolicySourceArn                    string // of SimulatePrincipalPolicy
	PolicyInputList                    []string
	PermissionsBoundaryPolicyInputList []string
	ActionNames                        []string
	ResourceArns                       []string
	ResourcePolicy                     string
	ResourceOwner                      string
	CallerArn                          string
	ContextEntries                     []contextEntry
	MaxItems                           int
	Marker                             string
}

type contextEntry struct {
	ContextKeyName   string
	ContextKeyValues []string
}

type simulateOutput struct {
	EvaluationResults []result
	IsTruncated       bool
	Marker            string `json:"Marker,omitzero"`
}

type result struct {
	EvalActionName                    string
	EvalResourceName                  string
	EvalDecision                      string
	MatchedStatements                 []matched
	MissingContextValues              []string
	PermissionsBoundaryDecisionDetail *boundaryDetail `json:"PermissionsBoundaryDecisionDetail,omitzero"`
}

type boundaryDetail struct{ AllowedByPermissionsBoundary bool }

type matched struct {
	SourcePolicyID   string `json:"SourcePolicyId"`
	SourcePolicyType string
	StartPosition    position
	EndPosition      position
}

type position struct{ Line, Column int }

// A simulation is the policies of a call, and their texts by name.
type simulation struct {
	policies iam.Policies
	texts    map[string]string
	compiled map[string]*iam.Policy
	kinds    map[string]string // of the sources, by name
	keys     []string
	caller   iam.Principal
	context  map[string][]string
	owner    string
}

func simulateCustomPolicy(_ context.Context, _ *wire.Call, in *simulateInput) (*simulateOutput, error) {
	s, err := newSimulation(in)
	if err != nil {
		return nil, err
	}
	return s.answer(in)
}

func (s *simulation) answer(in *simulateInput) (out *simulateOutput, err error) {
	resources := in.ResourceArns
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	from := 0
	if in.Marker != "" {
		if from, err = strconv.Atoi(in.Marker); err != nil || from < 0 {
			return nil, fault.Invalid.Errorf("Invalid Marker.")
		}
	}
	most := in.MaxItems
	if most == 0 {
		most = usualItems
	}
	total := len(in.ActionNames) * len(resources)
	from = min(from, total)
	end := min(from+min(most, mostItems), total)
	out = &simulateOutput{EvaluationResults: []result{}}
	for i := from; i < end; i++ {
		r, err := s.ask(in.ActionNames[i/len(resources)], resources[i%len(resources)])
		if err != nil {
			return nil, err
		}
		out.EvaluationResults = append(out.EvaluationResults, r)
	}
	if end < total {
		out.IsTruncated, out.Marker = true, strconv.Itoa(end)
	}
	return out, nil
}

func newSimulation(in *simulateInput) (*simulation, error) {
	s := &simulation{texts: map[string]string{}, compiled: map[string]*iam.Policy{}, context: map[string][]string{}}
	list := func(name string, texts []string) (all []*iam.Policy, err error) {
		for i, text := range texts {
			p, err := s.compile(iam.Identity, fmt.Sprintf("%s.%d", name, i+1), text)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
		return all, nil
	}
	var err error
	if s.policies.Identity, err = list("PolicyInputList", in.PolicyInputList); err != nil {
		return nil, err
	}
	if s.policies.Boundary, err = list("PermissionsBoundaryPolicyInputList", in.PermissionsBoundaryPolicyInputList); err != nil {
		return nil, err
	}
	if in.ResourcePolicy != "" {
		if in.CallerArn == "" {
			return nil, fault.Invalid.Errorf("CallerArn is required when a ResourcePolicy is given.")
		}
		if s.policies.Resource, err = s.compile(iam.Resource, "ResourcePolicy", in.ResourcePolicy); err != nil {
			return nil, err
		}
	}
	if s.caller, err = callerOf(in.CallerArn); err != nil {
		return nil, err
	}
	if s.owner, err = ownerOf(in.ResourceOwner); err != nil {
		return nil, err
	}
	for _, e := range in.ContextEntries {
		key := strings.ToLower(e.ContextKeyName)
		s.context[key] = append(s.context[key], e.ContextKeyValues...)
	}
	slices.Sort(s.keys)
	s.keys = slices.Compact(s.keys)
	return s, nil
}

func (s *simulation) compile(kind iam.Kind, name, text string) (*iam.Policy, error) {
	p, err := iam.ParseAs(kind, name, []byte(text))
	if err != nil {
		return nil, malformed(err)
	}
	s.texts[name], s.compiled[name] = text, p
	s.keys = append(s.keys, p.Keys()...)
	return p, nil
}

// malformed says where a policy is wrong, in the service's words.
func malformed(err error) error {
	var placed *diag.Error
	if errors.As(err, &placed) {
		return fault.Invalid.Errorf("Invalid policy: %v", placed)
	}
	return err
}

// callerOf is the user on whose behalf is asked; AWS takes no one else.
func callerOf(arn string) (iam.Principal, error) {
	if arn == "" {
		return iam.Principal{Type: "User"}, nil
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[2] != "iam" || len(parts[4]) != 12 || !strings.HasPrefix(parts[5], "user/") {
		return iam.Principal{}, fault.Invalid.Errorf("CallerArn must be the ARN of an IAM user, not %s.", arn)
	}
	return iam.Principal{ARN: arn, Account: parts[4], Type: "User", Name: arn[strings.LastIndexByte(arn, '/')+1:]}, nil
}

// ownerOf is the account of an ARN, or of a plain number.
func ownerOf(text string) (string, error) {
	if parts := strings.SplitN(text, ":", 6); len(parts) == 6 {
		text = parts[4]
	}
	if text != "" && (len(text) != 12 || strings.Trim(text, "0123456789") != "") {
		return "", fault.Invalid.Errorf("ResourceOwner is an account, not %s.", text)
	}
	return text, nil
}

// ask is one action on one resource. Without a caller everything is one account's.
func (s *simulation) ask(action, resource string) (result, error) {
	if service, name, ok := strings.Cut(action, ":"); !ok || service == "" || name == "" || strings.ContainsAny(action, "*? ") {
		return result{}, fault.Invalid.Errorf("Invalid ActionName: %s.", action)
	}
	r := iam.Request{Principal: s.caller, Action: action, Resource: resource, Owner: s.owner, Context: s.context}
	if s.caller.ARN == "" {
		if parts := strings.SplitN(resource, ":", 6); r.Owner == "" && len(parts) == 6 {
			r.Owner = parts[4]
		}
		r.Principal.Account = r.Owner
	}
	r = r.Known()
	e := s.policies.Explain(r)
	out := result{EvalActionName: action, EvalResourceName: resource, MatchedStatements: []matched{}, MissingContextValues: []string{},
		EvalDecision: [...]string{iam.ImplicitlyDenied: "implicitDeny", iam.Allowed: "allowed", iam.ExplicitlyDenied: "explicitDeny"}[e.Outcome]}
	for _, l := range e.Layers {
		if l.Layer == iam.ByBoundary {
			out.PermissionsBoundaryDecisionDetail = &boundaryDetail{l.Outcome == iam.Allowed}
		}
		for _, one := range l.Statements {
			if one.Matches && e.Outcome != iam.ImplicitlyDenied && one.Deny == (e.Outcome == iam.ExplicitlyDenied) {
				out.MatchedStatements = append(out.MatchedStatements, s.matched(l.Layer, one))
			}
		}
	}
	for _, key := range s.keys {
		if _, ok := r.Context[strings.ToLower(key)]; !ok {
			out.MissingContextValues = append(out.MissingContextValues, key)
		}
	}
	return out, nil
}

func (s *simulation) matched(layer iam.Layer, one iam.StatementSays) matched {
	m := matched{SourcePolicyID: one.Policy, SourcePolicyType: cmp.Or(s.kinds[one.Policy], "none")}
	if layer == iam.ByResource {
		m.SourcePolicyType = "resource"
	}
	begin, end := s.compiled[one.Policy].Span(one.Statement)
	at := func(offset int) position {
		p := diag.At("", []byte(s.texts[one.Policy]), offset)
		return position{p.Line, p.Column}
	}
	m.StartPosition, m.EndPosition = at(begin), at(end)
	return m
}

type keysInput struct {
	PolicySourceArn string
	PolicyInputList []string
}

type keysOutput struct{ ContextKeyNames []string }

// contextKeysForCustomPolicy are the keys that a simulation of the policies would want to know.
func contextKeysForCustomPolicy(_ context.Context, _ *wire.Call, in *keysInput) (*keysOutput, error) {
	out := &keysOutput{ContextKeyNames: []string{}}
	for i, text := range in.PolicyInputList {
		p, err := iam.ParseAs(iam.Identity, fmt.Sprintf("PolicyInputList.%d", i+1), []byte(text))
		if err != nil {
			return nil, malformed(err)
		}
		out.ContextKeyNames = append(out.ContextKeyNames, p.Keys()...)
	}
	slices.Sort(out.ContextKeyNames)
	out.ContextKeyNames = slices.Compact(out.ContextKeyNames)
	return out, nil
}
