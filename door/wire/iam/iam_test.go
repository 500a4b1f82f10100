package iam_test

import (
	"flag"
	"net/http"
	"net/url"
	"strings"
	"testing"

	service "github.com/haechi-dev/haechi/door/wire/iam"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/lang/iam"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) { wiretest.Ops(t, service.Service(nil), "ops.txt", *update) }

const (
	get      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::shop/secret/*"}]}`
	ec2      = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}`
	resource = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:user/lee"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}}`
)

// call sends one operation of the query protocol; the model must agree with the answer.
func call(t *testing.T, s *wiretest.Server, operation string, parameters ...string) (int, string) {
	t.Helper()
	form := url.Values{"Action": {operation}, "Version": {"2010-05-08"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	response, body := s.Call(t, "iam", "POST", "/", "", form.Encode())
	if response.StatusCode == http.StatusOK {
		wiretest.Valid(t, service.Service(nil).Model, operation, body)
	}
	return response.StatusCode, string(body)
}

// The simulator decides as the engine does, and says which statements matched, where, and what it was not told.
func TestSimulateCustomPolicy(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, service.Service(nil))
	secure := []string{"ContextEntries.member.1.ContextKeyName", "aws:SecureTransport", "ContextEntries.member.1.ContextKeyValues.member.1", "true", "ContextEntries.member.1.ContextKeyType", "boolean"}
	base := []string{"PolicyInputList.member.1", get, "ActionNames.member.1", "s3:GetObject", "ResourceArns.member.1", "arn:aws:s3:::shop/x"}
	with := func(more ...string) []string { return append(append([]string{}, base...), more...) }
	for _, test := range []struct {
		parameters []string
		status     int
		want       []string
	}{
		{with(secure...), 200, []string{"<EvalDecision>allowed</EvalDecision>", "<SourcePolicyId>PolicyInputList.1</SourcePolicyId>", "<Line>1</Line><Column>38</Column>"}},
		{base, 200, []string{"<EvalDecision>implicitDeny</EvalDecision>", "<MissingContextValues><member>aws:SecureTransport</member>"}},
		{with("ResourceArns.member.1", "arn:aws:s3:::shop/secret/x"), 200, []string{"<EvalDecision>explicitDeny</EvalDecision>"}},
		{with(append(secure, "PermissionsBoundaryPolicyInputList.member.1", ec2)...), 200, []string{"<EvalDecision>implicitDeny</EvalDecision>", "<AllowedByPermissionsBoundary>false<"}},
		{with(append(secure, "CallerArn", "arn:aws:iam::444455556666:user/lee", "ResourceOwner", "arn:aws:iam::111122223333:root")...), 200, []string{"<EvalDecision>implicitDeny<"}},
		{with(append(secure, "CallerArn", "arn:aws:iam::444455556666:user/lee", "ResourceOwner", "arn:aws:iam::111122223333:root", "ResourcePolicy", resource)...), 200, []string{"<EvalDecision>allowed<", "<SourcePolicyType>resource<"}},
		{with("ActionNames.member.2", "s3:PutObject", "MaxItems", "1"), 200, []string{"<IsTruncated>true<", "<Marker>1</Marker>"}},
		{with("ActionNames.member.2", "s3:PutObject", "Marker", "1"), 200, []string{"<IsTruncated>false<", "<EvalActionName>s3:PutObject<"}},
		{with("ResourcePolicy", resource), 400, []string{"CallerArn is required"}},
		{with("CallerArn", "arn:aws:iam::444455556666:role/lee"), 400, []string{"must be the ARN of an IAM user"}},
		{with("PolicyInputList.member.2", "{"), 400, []string{"InvalidInput", "PolicyInputList.2:1:2: not JSON"}},
		{with("ActionNames.member.1", "s3:*"), 400, []string{"Invalid ActionName"}},
		{with("Marker", "x"), 400, []string{"Invalid Marker"}},
	} {
		status, body := call(t, s, "SimulateCustomPolicy", test.parameters...)
		for _, want := range test.want {
			if status != test.status || !strings.Contains(strings.ReplaceAll(body, "\n", ""), want) {
				t.Errorf("%q: %d %s, want %d %s", test.parameters, status, body, test.status, want)
			}
		}
	}
}

// The keys that a simulation wants to know are those of conditions and variables.
func TestGetContextKeysForCustomPolicy(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, service.Service(nil))
	status, body := call(t, s, "GetContextKeysForCustomPolicy", "PolicyInputList.member.1", get)
	if status != 200 || !strings.Contains(body, "<member>aws:SecureTransport</member>") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := call(t, s, "GetContextKeysForCustomPolicy", "PolicyInputList.member.1", "no"); status != 400 {
		t.Errorf("%d %s", status, body)
	}
}

// The gate is asked, by the name that IAM has for it.
func TestDenied(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return r.Action == "iam:SimulateCustomPolicy" }}, service.Service(nil))
	if status, body := call(t, s, "SimulateCustomPolicy", "PolicyInputList.member.1", get, "ActionNames.member.1", "s3:GetObject"); status != 403 {
		t.Errorf("%d %s", status, body)
	}
}

// AWS's own clients understand the answers.
func TestRealClients(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, service.Service(nil))
	for _, aws := range wiretest.Clients(t) {
		out, problems, err := aws.Run(t, s, "iam", "simulate-custom-policy", "--policy-input-list", get, "--action-names", "s3:GetObject", "s3:PutObject", "--resource-arns", "arn:aws:s3:::shop/x",
			"--context-entries", "ContextKeyName=aws:SecureTransport,ContextKeyValues=true,ContextKeyType=boolean", "--output", "json")
		if err != nil || !strings.Contains(out, `"EvalDecision": "allowed"`) || !strings.Contains(out, `"EvalDecision": "implicitDeny"`) {
			t.Errorf("%s: %v %s %s", aws.Path, err, out, problems)
		}
	}
}
