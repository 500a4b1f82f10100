package sts_test

import (
	"flag"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/door/wire/sts"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/lang/iam"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) { wiretest.Ops(t, sts.Service(nil), "ops.txt", *update) }

// Every caller whom we know learns who that is, denied or not, signed in the header or in the URL.
func TestGetCallerIdentity(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{Deny: func(iam.Request) bool { return true }}, sts.Service(nil))
	response, body := s.Call(t, "sts", "POST", "/", "", "Action=GetCallerIdentity&Version=2011-06-15")
	if response.StatusCode != http.StatusOK || response.Header.Get("X-Amzn-Requestid") == "" {
		t.Fatalf("%v %s", response.Status, body)
	}
	wiretest.Valid(t, sts.Service(nil).Model, "GetCallerIdentity", body)
	if !strings.Contains(string(body), "<Arn>"+wiretest.Caller().ARN+"</Arn>") {
		t.Errorf("got %s", body)
	}
	r, err := http.NewRequest("GET", s.URL+"/?Action=GetCallerIdentity&Version=2011-06-15", nil)
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: wiretest.Secret, Region: "eu-west-1", Service: "sts"}.Presign(r, time.Minute, time.Now())
	if response, body := s.Do(t, r); response.StatusCode != http.StatusOK {
		t.Errorf("presigned: %v %s", response.Status, body)
	}
}

// AWS's own clients understand the answer, and raise what is wrong.
func TestRealClients(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, sts.Service(nil))
	for i, aws := range wiretest.Clients(t) {
		out, problems, err := aws.Run(t, s, "sts", "get-caller-identity", "--output", "json")
		if err != nil || !strings.Contains(out, `"Arn": "`+wiretest.Caller().ARN+`"`) {
			t.Errorf("%s: %v %s %s", aws.Path, err, out, problems)
		}
		if i > 0 {
			continue // how errors are read did not change between versions
		}
		for _, test := range []struct{ arguments, want string }{
			{"sts assume-root --target-principal 111122223333 --task-policy-arn arn=arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials", "(NotImplemented)"},
			{"sts get-caller-identity --no-sign-request", "(MissingAuthenticationToken)"},
			{"s3api list-buckets", "(501)"},
			{"kms list-keys", "(NotImplemented)"},
		} {
			if _, problems, err := aws.Run(t, s, strings.Fields(test.arguments)...); err == nil || !strings.Contains(problems, test.want) {
				t.Errorf("%s %s: %v, %s, want %s", aws.Path, test.arguments, err, problems, test.want)
			}
		}
	}
	out, problems, err := s.Python(t, "print(client('sts').get_caller_identity()['UserId'])")
	if err != nil || strings.TrimSpace(out) != wiretest.Caller().ID {
		t.Errorf("boto3: %v %s %s", err, out, problems)
	}
}
