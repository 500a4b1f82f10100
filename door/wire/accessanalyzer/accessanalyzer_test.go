package accessanalyzer_test

import (
	"bytes"
	"flag"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/door/wire/accessanalyzer"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/lang/iam"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) { wiretest.Ops(t, accessanalyzer.Service(), "ops.txt", *update) }

const (
	get   = `{"Version":"2012-10-17","Statement":[{"Sid":"Get","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}]}`
	all   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	world = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}]}`
	own   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}]}`
	trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`
)

// call sends one operation, and answers the body; the model must agree with it.
func call(t *testing.T, s *wiretest.Server, operation, path string, in any) (int, []byte) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	response, text := s.Call(t, "access-analyzer", "POST", path, "", string(body))
	if response.StatusCode == http.StatusOK {
		wiretest.Valid(t, accessanalyzer.Service().Model, operation, text)
	}
	return response.StatusCode, text
}

type object = map[string]any

// The three checks pass what is proven to be right, and name the statement of what is not.
func TestChecks(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, accessanalyzer.Service())
	for _, test := range []struct {
		operation, path string
		in              object
		status          int
		want            string
	}{
		{"CheckAccessNotGranted", "/policy/check-access-not-granted", object{"policyDocument": get, "policyType": "IDENTITY_POLICY", "access": []object{{"actions": []string{"s3:DeleteObject"}}}}, 200, `"result":"PASS"`},
		{"CheckAccessNotGranted", "/policy/check-access-not-granted", object{"policyDocument": get, "policyType": "IDENTITY_POLICY", "access": []object{{"actions": []string{"s3:Get*"}}}}, 200, `"statementId":"Get"`},
		{"CheckAccessNotGranted", "/policy/check-access-not-granted", object{"policyDocument": get, "policyType": "IDENTITY_POLICY", "access": []object{{"resources": []string{"arn:aws:s3:::else/*"}}}}, 200, `"result":"PASS"`},
		{"CheckAccessNotGranted", "/policy/check-access-not-granted", object{"policyDocument": "{", "policyType": "IDENTITY_POLICY", "access": []object{{"actions": []string{"s3:Get*"}}}}, 400, `not JSON`},
		{"CheckAccessNotGranted", "/policy/check-access-not-granted", object{"policyDocument": get, "policyType": "IDENTITY_POLICY", "access": []object{{}}}, 400, `needs actions or resources`},
		{"CheckNoNewAccess", "/policy/check-no-new-access", object{"existingPolicyDocument": all, "newPolicyDocument": get, "policyType": "IDENTITY_POLICY"}, 200, `"result":"PASS"`},
		{"CheckNoNewAccess", "/policy/check-no-new-access", object{"existingPolicyDocument": get, "newPolicyDocument": all, "policyType": "IDENTITY_POLICY"}, 200, `"result":"FAIL"`},
		{"CheckNoNewAccess", "/policy/check-no-new-access", object{"existingPolicyDocument": own, "newPolicyDocument": world, "policyType": "RESOURCE_POLICY"}, 200, `"result":"FAIL"`},
		{"CheckNoPublicAccess", "/policy/check-no-public-access", object{"policyDocument": own, "resourceType": "AWS::S3::Bucket"}, 200, `"result":"PASS"`},
		{"CheckNoPublicAccess", "/policy/check-no-public-access", object{"policyDocument": world, "resourceType": "AWS::S3::Bucket"}, 200, `"result":"FAIL"`},
		{"CheckNoPublicAccess", "/policy/check-no-public-access", object{"policyDocument": trust, "resourceType": "AWS::IAM::AssumeRolePolicyDocument"}, 200, `"result":"FAIL"`},
		{"CheckNoPublicAccess", "/policy/check-no-public-access", object{"policyDocument": world, "resourceType": "AWS::Moon::Base"}, 400, `enum value set`},
		{"CheckNoPublicAccess", "/policy/check-no-public-access", object{"policyDocument": strings.Repeat(" ", 40_000), "resourceType": "AWS::S3::Bucket"}, 400, `32768 are allowed`},
	} {
		status, body := call(t, s, test.operation, test.path, test.in)
		if status != test.status || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %v: %d %s, want %d %s", test.operation, test.in, status, body, test.status, test.want)
		}
	}
}

// A policy's remarks come with their path and span, page by page.
func TestValidatePolicy(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, accessanalyzer.Service())
	document := "{\"Version\":\"2012-10-17\",\"Statement\":[\n{\"Effect\":\"Allow\",\"Action\":[\"s3:Get*\",\"s3:GetObject\",\"iam:PassRole\"],\"Resource\":\"*\"}]}"
	type answer struct {
		Findings []struct {
			FindingType, IssueCode string
			Locations              []struct {
				Path []struct {
					Index *int
					Value string
				}
				Span struct {
					Start, End struct{ Line, Column, Offset int }
				}
			}
		}
		NextToken string
	}
	page := func(path string) (out answer) {
		status, body := call(t, s, "ValidatePolicy", path, object{"policyDocument": document, "policyType": "IDENTITY_POLICY"})
		if err := json.Unmarshal(body, &out, json.MatchCaseInsensitiveNames(true)); err != nil || status != 200 {
			t.Fatalf("%d %v %s", status, err, body)
		}
		return out
	}
	one := page("/policy/validation?maxResults=1")
	if len(one.Findings) != 1 || one.NextToken == "" || one.Findings[0].FindingType != "SUGGESTION" || one.Findings[0].IssueCode != "COVERED" {
		t.Fatalf("got %+v", one)
	}
	two := page("/policy/validation?maxResults=1&nextToken=" + one.NextToken)
	if len(two.Findings) != 1 || two.NextToken != "" || two.Findings[0].FindingType != "SECURITY_WARNING" || two.Findings[0].IssueCode != "PASS_ROLE" {
		t.Fatalf("got %+v", two)
	}
	l := two.Findings[0].Locations[0]
	if got := document[l.Span.Start.Offset:l.Span.End.Offset]; got != `"iam:PassRole"` || l.Span.Start.Line != 2 {
		t.Errorf("got %s at %+v", got, l.Span)
	}
	if len(l.Path) != 4 || l.Path[0].Value != "Statement" || *l.Path[1].Index != 0 || l.Path[2].Value != "Action" || *l.Path[3].Index != 2 {
		t.Errorf("got %+v", l.Path)
	}
	for _, path := range []string{"/policy/validation?nextToken=x", "/policy/validation?maxResults=-1"} {
		if status, body := call(t, s, "ValidatePolicy", path, object{"policyDocument": get, "policyType": "IDENTITY_POLICY"}); status != 400 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := call(t, s, "ValidatePolicy", "/policy/validation", object{"policyDocument": "{\n", "policyType": "RESOURCE_POLICY"}); status != 200 || !bytes.Contains(body, []byte(`"ERROR"`)) {
		t.Errorf("%d %s", status, body)
	}
}

// Every operation is asked for at the gate, by the name that IAM has for it.
func TestDenied(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return r.Action == "access-analyzer:ValidatePolicy" }}, accessanalyzer.Service())
	if status, body := call(t, s, "ValidatePolicy", "/policy/validation", object{"policyDocument": get, "policyType": "IDENTITY_POLICY"}); status != 403 {
		t.Errorf("%d %s", status, body)
	}
}

// AWS's own clients understand the answers.
func TestRealClients(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, accessanalyzer.Service())
	for _, aws := range wiretest.Clients(t) {
		out, problems, err := aws.Run(t, s, "accessanalyzer", "validate-policy", "--policy-type", "IDENTITY_POLICY", "--policy-document", all, "--output", "json")
		if err != nil || !strings.Contains(out, `"issueCode": "ADMINISTRATOR"`) {
			t.Errorf("%s: %v %s %s", aws.Path, err, out, problems)
		}
		if aws.Old {
			continue // it does not know the checks
		}
		out, problems, err = aws.Run(t, s, "accessanalyzer", "check-no-new-access", "--policy-type", "IDENTITY_POLICY", "--existing-policy-document", get, "--new-policy-document", all, "--output", "json")
		if err != nil || !strings.Contains(out, `"result": "FAIL"`) {
			t.Errorf("%s: %v %s %s", aws.Path, err, out, problems)
		}
	}
	out, problems, err := s.Python(t, `
c = client('accessanalyzer')
print(c.check_no_public_access(policyDocument='`+world+`', resourceType='AWS::S3::Bucket')['result'])
print(c.check_access_not_granted(policyDocument='`+get+`', access=[{'actions': ['s3:PutObject']}], policyType='IDENTITY_POLICY')['result'])
try: c.check_no_public_access(policyDocument='{', resourceType='AWS::S3::Bucket')
except c.exceptions.InvalidParameterException as e: print('invalid')
`)
	if err != nil || out != "FAIL\nPASS\ninvalid\n" {
		t.Errorf("boto3: %v %s %s", err, out, problems)
	}
}
