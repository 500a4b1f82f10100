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
		role := as(t, s, run(s, "SessionToken", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "kim", "--tags", "Key=team,Value=blue", "--duration-seconds", "900"))
		run(role, "assumed-role/"+name+"/kim", "sts", "get-caller-identity")
		run(role, "(AccessDenied)", "iam", "create-user", "--user-name", "mine")
	}
}

// boto3 raises what STS refuses under its codes, and gets all kinds of credentials, each good for what it should be.
func TestSessionsWithBoto3(t *testing.T) {
	s, _ := house(t)
	out, problems, err := s.Python(t, `
def session(c, service): return boto3.client(service, endpoint_url=client('sts').meta.endpoint_url, aws_access_key_id=c['AccessKeyId'], aws_secret_access_key=c['SecretAccessKey'], aws_session_token=c['SessionToken'], config=Config(retries={'max_attempts': 0}))
def code(call, **kw):
    try: call(**kw); return 'fine'
    except botocore.exceptions.ClientError as e: return e.response['Error']['Code']
iam, sts = client('iam'), client('sts')
arn = iam.create_role(RoleName='r', AssumeRolePolicyDocument='''`+open+`''')['Role']['Arn']
iam.attach_role_policy(RoleName='r', PolicyArn='arn:aws:iam::aws:policy/SecurityAudit')
c = sts.assume_role(RoleArn=arn, RoleSessionName='kim')['Credentials']
print(code(session(c, 'iam').list_users), code(session(c, 'iam').create_user, UserName='x'), code(session(c, 'sts').get_session_token), code(session(dict(c, SessionToken=c['SessionToken'][:-4]), 'sts').get_caller_identity))
c = sts.assume_role(RoleArn=arn, RoleSessionName='kim', Policy=json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'iam:ListRoles', 'Resource': '*'}]}))['Credentials']
print(code(session(c, 'iam').list_users), code(session(c, 'iam').list_roles))
print(code(sts.assume_role, RoleArn=arn + 'x', RoleSessionName='kim'), code(sts.assume_role, RoleArn=arn, RoleSessionName='kim', DurationSeconds=7200), code(sts.assume_role, RoleArn=arn, RoleSessionName='kim', Policy='{}'))
own = sts.get_session_token()['Credentials']
print(session(own, 'sts').get_caller_identity()['Arn'], code(session(own, 'iam').list_users))
f = sts.get_federation_token(Name='guest')
print(f['FederatedUser']['Arn'], session(f['Credentials'], 'sts').get_caller_identity()['Arn'], code(session(f['Credentials'], 'iam').list_users))
print(code(sts.assume_role_with_web_identity, RoleArn=arn, RoleSessionName='kim', WebIdentityToken='dummy.dummy.dummy'), sts.get_access_key_info(AccessKeyId='`+wiretest.AccessKey+`')['Account'])
`)
	want := `fine AccessDenied AccessDenied InvalidClientTokenId
AccessDenied fine
AccessDenied ValidationError MalformedPolicyDocument
arn:aws:iam::111122223333:user/tester AccessDenied
arn:aws:sts::111122223333:federated-user/guest arn:aws:sts::111122223333:federated-user/guest AccessDenied
InvalidIdentityToken 111122223333
`
	if err != nil || out != want {
		t.Errorf("%v\n%s\n%s\nwant\n%s", err, out, problems, want)
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
