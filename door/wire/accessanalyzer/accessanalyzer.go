// Package accessanalyzer answers what is wrong with a policy, and whether it grants what it must not.
package accessanalyzer

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Service answers the policy checks of Access Analyzer. They need no state:
// the policies come with the call.
func Service() wire.Service {
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"ValidatePolicy":        wire.Op(wire.AskAll, validatePolicy),
			"CheckAccessNotGranted": wire.Op(wire.AskAll, checkAccessNotGranted),
			"CheckNoNewAccess":      wire.Op(wire.AskAll, checkNoNewAccess),
			"CheckNoPublicAccess":   wire.Op(wire.AskAll, checkNoPublicAccess),
		},
		Faults: wire.Faults{fault.Invalid: {"InvalidParameterException", "ValidationException"}},
	}
}

// trustType is the resource type of a role's trust policy.
const trustType = "AWS::IAM::AssumeRolePolicyDocument"

// kindOf is the kind of policy that a call is about.
func kindOf(policyType, resourceType string) iam.Kind {
	switch {
	case resourceType == trustType:
		return iam.Trust
	case policyType == "RESOURCE_POLICY":
		return iam.Resource
	case policyType == "SERVICE_CONTROL_POLICY":
		return iam.ServiceControl
	case policyType == "RESOURCE_CONTROL_POLICY":
		return iam.ResourceControl
	}
	return iam.Identity
}

// checked is what the three checks answer.
type checked struct {
	Result  string   `json:"result"`
	Message string   `json:"message"`
	Reasons []reason `json:"reasons,omitzero"`
}

type reason struct {
	Description    string `json:"description"`
	StatementIndex int    `json:"statementIndex"`
	StatementID    string `json:"statementId,omitzero"`
}

// failed is FAIL by a statement of a policy, which AWS counts from 0.
func failed(message, what string, statement int, sid string) *checked {
	text := fmt.Sprintf("%s in the statement with index: %d.", what, statement)
	if sid != "" {
		text = fmt.Sprintf("%s in the statement with sid: %s.", what, sid)
	}
	return &checked{"FAIL", message, []reason{{text, statement, sid}}}
}

// mostCompared is the longest policy that AWS takes anywhere (a key's); to
// compare two costs the product of their lengths.
const mostCompared = 32 << 10

// compiled reads a policy of a check, which has to be a good one.
func compiled(kind iam.Kind, name, text string) (*iam.Policy, error) {
	if len(text) > mostCompared {
		return nil, fault.Invalid.Errorf("%s has %d bytes, %d are allowed", name, len(text), mostCompared)
	}
	p, err := iam.ParseAs(kind, name, []byte(text))
	var placed *diag.Error
	if errors.As(err, &placed) {
		return nil, fault.Invalid.Errorf("%v", placed)
	}
	return p, err
}

type notGrantedInput struct {
	PolicyDocument string   `json:"policyDocument"`
	PolicyType     string   `json:"policyType"`
	Access         []access `json:"access"`
}

type access struct {
	Actions   []string `json:"actions"`
	Resources []string `json:"resources"`
}

func checkAccessNotGranted(_ context.Context, _ *wire.Call, in *notGrantedInput) (*checked, error) {
	p, err := compiled(kindOf(in.PolicyType, ""), "policyDocument", in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	for _, a := range in.Access {
		if len(a.Actions)+len(a.Resources) == 0 {
			return nil, fault.Invalid.Errorf("an access needs actions or resources")
		}
		if i, sid, granted := p.Grants(a.Actions, a.Resources); granted {
			return failed("The policy document grants access to perform one or more of the listed actions or resources.", "One or more of the listed actions or resources", i, sid), nil
		}
	}
	return &checked{Result: "PASS", Message: "The policy document does not grant access to perform the listed actions or resources."}, nil
}

type newAccessInput struct {
	NewPolicyDocument      string `json:"newPolicyDocument"`
	ExistingPolicyDocument string `json:"existingPolicyDocument"`
	PolicyType             string `json:"policyType"`
}

func checkNoNewAccess(_ context.Context, _ *wire.Call, in *newAccessInput) (*checked, error) {
	kind := kindOf(in.PolicyType, "")
	old, err := compiled(kind, "existingPolicyDocument", in.ExistingPolicyDocument)
	if err != nil {
		return nil, err
	}
	p, err := compiled(kind, "newPolicyDocument", in.NewPolicyDocument)
	if err != nil {
		return nil, err
	}
	const message = "The modified permissions grant new access compared to your existing policy."
	switch i, sid, wider := p.Widens(old); {
	case !wider:
		return &checked{Result: "PASS", Message: "The modified permissions do not grant new access compared to your existing policy."}, nil
	case i < 0:
		return &checked{"FAIL", message, []reason{{Description: "New access because a statement of the existing policy that denies is missing or narrower.", StatementID: sid}}}, nil
	default:
		return failed(message, "New access", i, sid), nil
	}
}

type publicInput struct {
	PolicyDocument string `json:"policyDocument"`
	ResourceType   string `json:"resourceType"`
}

func checkNoPublicAccess(_ context.Context, _ *wire.Call, in *publicInput) (*checked, error) {
	p, err := compiled(kindOf("RESOURCE_POLICY", in.ResourceType), "policyDocument", in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	if i, sid, public := p.Opens(); public {
		return failed("The resource policy grants public access for the given resource type.", "Public access granted", i, sid), nil
	}
	return &checked{Result: "PASS", Message: "The resource policy does not grant public access for the given resource type."}, nil
}

type validateInput struct {
	PolicyDocument string `json:"policyDocument"`
	PolicyType     string `json:"policyType"`
	ResourceType   string `json:"validatePolicyResourceType"`
	MaxResults     int    `json:"maxResults"`
	NextToken      string `json:"nextToken"`
}

type validateOutput struct {
	Findings  []policyFinding `json:"findings"`
	NextToken string          `json:"nextToken,omitzero"`
}

type policyFinding struct {
	FindingDetails string     `json:"findingDetails"`
	FindingType    string     `json:"findingType"`
	IssueCode      string     `json:"issueCode"`
	LearnMoreLink  string     `json:"learnMoreLink"`
	Locations      []location `json:"locations"`
}

// mostFindings is how many findings a page holds at most.
const mostFindings = 1000

func validatePolicy(_ context.Context, _ *wire.Call, in *validateInput) (*validateOutput, error) {
	from := 0
	if in.NextToken != "" {
		var err error
		if from, err = strconv.Atoi(in.NextToken); err != nil || from < 0 {
			return nil, fault.Invalid.Errorf("nextToken is none that was given")
		}
	}
	if in.MaxResults < 0 || in.MaxResults > mostFindings {
		return nil, fault.Invalid.Errorf("maxResults is 1 to %d", mostFindings)
	}
	most := in.MaxResults
	if most == 0 {
		most = mostFindings
	}
	text := []byte(in.PolicyDocument)
	remarks := iam.Check(kindOf(in.PolicyType, in.ResourceType), "policyDocument", text)
	out := &validateOutput{Findings: []policyFinding{}}
	end := min(from+most, len(remarks))
	for _, r := range remarks[min(from, end):end] {
		out.Findings = append(out.Findings, policyFinding{
			FindingDetails: detail(r), FindingType: typeOf(r), IssueCode: issueCode(r.Rule),
			LearnMoreLink: "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html",
			Locations:     locate(text, r.Place),
		})
	}
	if end < len(remarks) {
		out.NextToken = strconv.Itoa(end)
	}
	return out, nil
}

func detail(r iam.Remark) string {
	if r.Hint == "" {
		return r.Message
	}
	return r.Message + ": " + r.Hint
}

// harmless are warnings that say what does nothing, not what does too much.
var harmless = map[string]bool{"dead-statement": true, "unreachable": true, "short-arn": true, "literal-wildcard": true, "version": true}

func typeOf(r iam.Remark) string {
	switch {
	case r.Weight == iam.Mistake:
		return "ERROR"
	case r.Weight == iam.Suggestion:
		return "SUGGESTION"
	case harmless[r.Rule]:
		return "WARNING"
	}
	return "SECURITY_WARNING"
}

// issueCode is a rule's name as AWS writes codes: DEAD_STATEMENT.
func issueCode(rule string) string {
	code := []byte(rule)
	for i, c := range code {
		switch {
		case c == '-':
			code[i] = '_'
		case 'a' <= c && c <= 'z':
			code[i] = c - ('a' - 'A')
		}
	}
	return string(code)
}
