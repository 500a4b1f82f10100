package sts_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire/iam"
	"github.com/haechi-dev/haechi/door/wire/sts"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/access"
)

// house is STS and IAM over one access that decides, with an administrator who has the tests' key.
func house(t *testing.T) (*wiretest.Server, *access.Access) {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), access.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	key, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	a := access.New(access.Config{DB: d, Sealer: key, Account: wiretest.Account})
	if err := a.CreateUser(t.Context(), "tester", access.Administrator); err != nil {
		t.Fatal(err)
	}
	if err := a.PutKey(t.Context(), "tester", wiretest.AccessKey, wiretest.Secret); err != nil {
		t.Fatal(err)
	}
	return wiretest.Serve(t, wiretest.Options{Keys: a, Gate: a}, sts.Service(a), iam.Service(a)), a
}

type credentials struct {
	Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }
}

// as is the server with the credentials that an aws command printed.
func as(t *testing.T, s *wiretest.Server, out string) *wiretest.Server {
	t.Helper()
	var c credentials
	if err := json.Unmarshal([]byte(out), &c, json.MatchCaseInsensitiveNames(true)); err != nil || c.Credentials.SessionToken == "" {
		t.Fatalf("%v: %s", err, out)
	}
	return s.As(c.Credentials.AccessKeyID, c.Credentials.SecretAccessKey, c.Credentials.SessionToken)
}

const open = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`

// The aws commands make a role, become it, and are it: they may what the role may, and no more.
func TestAssumedRoleWithRealClients(t *testing.T) {
	s, _ := house(t)
	for i, aws := range wiretest.Clients(t) {
		run := func(s *wiretest.Server, want string, arguments ...string) string {
			t.Helper()
			out, problems, err := aws.Run(t, s, append(arguments, "--output", "json")...)
			if !strings.Contains(out+problems, want) || err == nil && strings.HasPrefix(want, "(") {
				t.Errorf("%s %q: %v %s %s, want %s", aws.Path, arguments, err, out, problems, want)
			}
			return out
		}
		name := "auditor" + string(rune('a'+i))
		arn := "arn:aws:iam::111122223333:role/" + name
		run(s, `"Arn": "`+arn, "iam", "create-role", "--role-name", name, "--assume-role-policy-document", open)
		run(s, "", "iam", "attach-role-policy", "--role-name", name, "--policy-arn", "arn:aws:iam::aws:policy/SecurityAudit")
		out := run(s, "SessionToken", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "kim", "--tags", "Key=team,Value=blue", "--duration-seconds", "900")
		role := as(t, s, out)
		run(role, "assumed-role/"+name+"/kim", "sts", "get-caller-identity")
		run(role, `"UserName": "tester"`, "iam", "list-users")
		run(role, "(AccessDenied)", "iam", "create-user", "--user-name", "mine")
		run(role, "(AccessDenied)", "sts", "get-session-token")
		run(role.As("ASIAXXXXXXXXXXXXXXXX", "x", "y"), "(InvalidClientTokenId)", "sts", "get-caller-identity")
		if i > 0 {
			continue // how the rest is sent did not change between versions
		}
		run(s, "(AccessDenied)", "sts", "assume-role", "--role-arn", arn+"x", "--role-session-name", "kim")
		run(s, "(ValidationError)", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "kim", "--duration-seconds", "7200")
		run(s, "(MalformedPolicyDocument)", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "kim", "--policy", "{}")
		own := as(t, s, run(s, "SessionToken", "sts", "get-session-token"))
		run(own, "user/tester", "sts", "get-caller-identity")
		run(own, "(AccessDenied)", "iam", "list-users") // not without a second factor
		guest := as(t, s, run(s, "federated-user/guest", "sts", "get-federation-token", "--name", "guest"))
		run(guest, "federated-user/guest", "sts", "get-caller-identity")
		run(s, "111122223333", "sts", "get-access-key-info", "--access-key-id", wiretest.AccessKey)
		run(s, "(InvalidIdentityToken)", "sts", "assume-role-with-web-identity", "--role-arn", arn, "--role-session-name", "sess", "--web-identity-token", "dummy.dummy.dummy", "--no-sign-request")
	}
}

// What STS answers is what its model says.
func TestAnswers(t *testing.T) {
	s, a := house(t)
	if err := a.CreateRole(t.Context(), access.Role{Name: "r", Trust: open}); err != nil {
		t.Fatal(err)
	}
	for operation, rest := range map[string]string{
		"AssumeRole":         "&RoleArn=arn:aws:iam::111122223333:role/r&RoleSessionName=kim",
		"GetSessionToken":    "",
		"GetFederationToken": "&Name=guest",
		"GetAccessKeyInfo":   "&AccessKeyId=" + wiretest.AccessKey,
	} {
		response, body := s.Call(t, "sts", "POST", "/", "", "Action="+operation+"&Version=2011-06-15"+rest)
		if response.StatusCode != 200 {
			t.Errorf("%s: %s %s", operation, response.Status, body)
			continue
		}
		wiretest.Valid(t, sts.Service(nil).Model, operation, body)
	}
}
