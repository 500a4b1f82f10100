package iam_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

func parseAs(t testing.TB, kind iam.Kind, statements string) *iam.Policy {
	t.Helper()
	p, err := iam.ParseAs(kind, kind.String(), []byte(policy(statements)))
	if err != nil {
		t.Fatal(diag.Detail(err))
	}
	return p
}

// Who may assume a role, its trust policy says: users of the account, of
// others, services, and people whom an identity provider vouches for.
func TestTrust(t *testing.T) {
	const (
		role   = "arn:aws:iam::111122223333:role/deploy"
		github = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
		saml   = "arn:aws:iam::111122223333:saml-provider/office"
	)
	trustGitHub := `{"Effect":"Allow","Principal":{"Federated":"` + github + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{
		"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"},"StringLike":{"token.actions.githubusercontent.com:sub":"repo:shop/web:ref:refs/heads/main"}}}`
	trustEKS := `{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A1"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{
		"StringEquals":{"oidc.eks.eu-west-1.amazonaws.com/id/A1:sub":"system:serviceaccount:shop:web"}}}`
	trustSAML := `{"Effect":"Allow","Principal":{"Federated":"` + saml + `"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"],"Condition":{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}}`
	web := iam.Principal{Provider: github}
	alice := iam.Principal{ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333", Type: "User", Name: "alice"}
	mallory := iam.Principal{ARN: "arn:aws:iam::444455556666:user/mallory", Account: "444455556666", Type: "User", Name: "mallory"}
	may := `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + role + `"}`
	for _, test := range []struct {
		name      string
		principal iam.Principal
		action    string
		trust     string
		identity  string
		context   []string
		want      iam.Outcome
	}{
		{"main of the repository", web, "AssumeRoleWithWebIdentity", trustGitHub, "", []string{"token.actions.githubusercontent.com:aud", "sts.amazonaws.com", "token.actions.githubusercontent.com:sub", "repo:shop/web:ref:refs/heads/main"}, iam.Allowed},
		{"another branch", web, "AssumeRoleWithWebIdentity", trustGitHub, "", []string{"token.actions.githubusercontent.com:aud", "sts.amazonaws.com", "token.actions.githubusercontent.com:sub", "repo:shop/web:ref:refs/heads/x"}, iam.ImplicitlyDenied},
		{"another audience", web, "AssumeRoleWithWebIdentity", trustGitHub, "", []string{"token.actions.githubusercontent.com:aud", "me", "token.actions.githubusercontent.com:sub", "repo:shop/web:ref:refs/heads/main"}, iam.ImplicitlyDenied},
		{"another provider", iam.Principal{Provider: saml}, "AssumeRoleWithWebIdentity", trustGitHub, "", []string{"token.actions.githubusercontent.com:aud", "sts.amazonaws.com", "token.actions.githubusercontent.com:sub", "repo:shop/web:ref:refs/heads/main"}, iam.ImplicitlyDenied},
		{"no trust at all", web, "AssumeRoleWithWebIdentity", "", "", nil, iam.ImplicitlyDenied},
		{"a pod", iam.Principal{Provider: "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A1"}, "AssumeRoleWithWebIdentity", trustEKS, "", []string{"oidc.eks.eu-west-1.amazonaws.com/id/A1:sub", "system:serviceaccount:shop:web"}, iam.Allowed},
		{"another pod", iam.Principal{Provider: "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A1"}, "AssumeRoleWithWebIdentity", trustEKS, "", []string{"oidc.eks.eu-west-1.amazonaws.com/id/A1:sub", "system:serviceaccount:shop:db"}, iam.ImplicitlyDenied},
		{"SAML", iam.Principal{Provider: saml}, "AssumeRoleWithSAML", trustSAML, "", []string{"saml:aud", "https://signin.aws.amazon.com/saml"}, iam.Allowed},
		{"SAML for elsewhere", iam.Principal{Provider: saml}, "AssumeRoleWithSAML", trustSAML, "", []string{"saml:aud", "https://elsewhere"}, iam.ImplicitlyDenied},
		{"a service", iam.Principal{Service: "lambda.amazonaws.com"}, "AssumeRole", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, "", nil, iam.Allowed},
		{"another service", iam.Principal{Service: "ec2.amazonaws.com"}, "AssumeRole", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, "", nil, iam.ImplicitlyDenied},
		{"* names no service", iam.Principal{Service: "ec2.amazonaws.com"}, "AssumeRole", `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`, "", nil, iam.ImplicitlyDenied},
		{"the user by name", alice, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"sts:AssumeRole"}`, "", nil, iam.Allowed},
		{"the account alone", alice, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`, "", nil, iam.ImplicitlyDenied},
		{"the account, and its policy", alice, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`, may, nil, iam.Allowed},
		{"not trusted, whatever its policy", alice, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole"}`, may, nil, iam.ImplicitlyDenied},
		{"another account without its own policy", mallory, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole"}`, "", nil, iam.ImplicitlyDenied},
		{"another account", mallory, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"7"}}}`, may, []string{"sts:ExternalId", "7"}, iam.Allowed},
		{"another account without the external id", mallory, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"7"}}}`, may, nil, iam.ImplicitlyDenied},
		{"a user in another folder", iam.Principal{ARN: "arn:aws:iam::111122223333:user/x/alice", Account: "111122223333"}, "AssumeRole", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"sts:AssumeRole"}`, "", nil, iam.ImplicitlyDenied},
	} {
		p := iam.Policies{Identity: []*iam.Policy{parse(t, policy(test.identity))}}
		if test.trust != "" {
			p.Resource = parseAs(t, iam.Trust, test.trust)
		}
		r := ask("sts:"+test.action, role, test.context...)
		r.Principal = test.principal
		if d := p.Decide(r); d.Outcome != test.want {
			t.Errorf("%s: %v by %v, want %v", test.name, d.Outcome, d.Layer, test.want)
		}
	}
}

// A session is its role under another name: where the role's ARN is known it
// is compared with, and else its name. What is granted to a role a boundary
// limits, and what is granted to the session itself, it does not.
func TestSessions(t *testing.T) {
	const object = "arn:aws:s3:::shop/x"
	s := iam.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/web/i-1", Account: "111122223333", ID: "AROAEXAMPLEEXAMPLE12:i-1", Type: "AssumedRole"}
	allow := func(principal string) string {
		return `{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"s3:GetObject","Resource":"*"}`
	}
	nothing := []*iam.Policy{parse(t, policy(``))}
	known := s
	known.Issuer = "arn:aws:iam::111122223333:role/prod/web"
	for _, test := range []struct {
		name     string
		who      iam.Principal
		resource string
		limits   iam.Policies
		want     iam.Outcome
	}{
		{"by role", s, allow("arn:aws:iam::111122223333:role/web"), iam.Policies{}, iam.Allowed},
		{"by role with a path", s, allow("arn:aws:iam::111122223333:role/prod/web"), iam.Policies{}, iam.Allowed},
		{"by the role it is known to be of", known, allow("arn:aws:iam::111122223333:role/prod/web"), iam.Policies{}, iam.Allowed},
		{"by another role of that name", known, allow("arn:aws:iam::111122223333:role/web"), iam.Policies{}, iam.ImplicitlyDenied},
		{"by role in a boundary", s, allow("arn:aws:iam::111122223333:role/web"), iam.Policies{Boundary: nothing}, iam.ImplicitlyDenied},
		{"by session in a boundary", s, allow(s.ARN), iam.Policies{Boundary: nothing}, iam.Allowed},
		{"by session under a session policy", s, allow(s.ARN), iam.Policies{Session: nothing}, iam.ImplicitlyDenied},
		{"by unique id", s, allow("AROAEXAMPLEEXAMPLE12"), iam.Policies{}, iam.Allowed},
		{"by another's id", s, allow("AROAEXAMPLEEXAMPLE13"), iam.Policies{}, iam.ImplicitlyDenied},
		{"another session", s, allow("arn:aws:sts::111122223333:assumed-role/web/i-2"), iam.Policies{}, iam.ImplicitlyDenied},
		{"by account", s, allow("111122223333"), iam.Policies{}, iam.ImplicitlyDenied},
	} {
		p := test.limits
		p.Resource = parseAs(t, iam.Resource, test.resource)
		r := iam.Request{Principal: test.who, Action: "s3:GetObject", Resource: object}
		if d := p.Decide(r.Known()); d.Outcome != test.want {
			t.Errorf("%s: %v by %v, want %v", test.name, d.Outcome, d.Layer, test.want)
		}
	}
	arn := known
	if got := (iam.Request{Principal: arn}).Known().Context["aws:principalarn"][0]; got != known.Issuer {
		t.Errorf("aws:PrincipalArn is %s", got)
	}
	if got := (iam.Request{Principal: s}).Known().Context["aws:principalarn"][0]; got != "arn:aws:iam::111122223333:role/web" {
		t.Errorf("aws:PrincipalArn is %s", got)
	}
}

// A Deny with NotPrincipal leaves alone who is listed with the account, a
// session with its role too, and nobody whom a boundary limits.
func TestNotPrincipal(t *testing.T) {
	const (
		alice   = `"arn:aws:iam::111122223333:user/alice"`
		account = `"111122223333"`
		role    = `"arn:aws:iam::111122223333:role/web"`
		run     = `"arn:aws:sts::111122223333:assumed-role/web/run"`
	)
	user := someCallers[0]
	s := iam.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/web/run", Account: "111122223333"}
	for _, test := range []struct {
		listed  string
		who     iam.Principal
		bounded bool
		want    iam.Outcome
	}{
		{alice + "," + account, user, false, iam.Allowed},
		{alice + "," + account, user, true, iam.ExplicitlyDenied},
		{alice, user, false, iam.ExplicitlyDenied},
		{account, user, false, iam.ExplicitlyDenied},
		{run + "," + role + "," + account, s, false, iam.Allowed},
		{role + "," + account, s, false, iam.ExplicitlyDenied},
		{run + "," + account, s, false, iam.ExplicitlyDenied},
		{account, someCallers[4], false, iam.Allowed}, // root
		{account, someCallers[3], false, iam.ExplicitlyDenied},
	} {
		all := []*iam.Policy{parse(t, policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`))}
		p := iam.Policies{Identity: all, Resource: parseAs(t, iam.Resource, `{"Effect":"Deny","NotPrincipal":{"AWS":[`+test.listed+`]},"Action":"*","Resource":"*"}`)}
		if test.bounded {
			p.Boundary = all
		}
		r := iam.Request{Principal: test.who, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/x", Owner: "111122223333"}
		if d := p.Decide(r.Known()); d.Outcome != test.want {
			t.Errorf("%s of %s: %v, want %v", test.listed, test.who.ARN, d.Outcome, test.want)
		}
	}
}

// SCPs limit neither services nor service-linked roles; RCPs limit everybody.
func TestWhomGuardrailsLimit(t *testing.T) {
	deny := `{"Effect":"Deny","Action":"*","Resource":"*"}`
	scp := [][]*iam.Policy{{parseAs(t, iam.ServiceControl, deny)}}
	rcp := [][]*iam.Policy{{parseAs(t, iam.ResourceControl, strings.Replace(deny, `"Action"`, `"Principal":"*","Action"`, 1))}}
	linked := iam.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForX/x", Account: "111122223333", Issuer: "arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"}
	all := []*iam.Policy{parse(t, policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`))}
	bucket := parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":{"Service":"logs.amazonaws.com"},"Action":"*","Resource":"*"}`)
	for _, test := range []struct {
		name      string
		principal iam.Principal
		want      iam.Outcome
	}{
		{"a user", someCallers[0], iam.ExplicitlyDenied},
		{"root", someCallers[4], iam.ExplicitlyDenied},
		{"a service-linked role", linked, iam.Allowed},
		{"a service", iam.Principal{Service: "logs.amazonaws.com"}, iam.Allowed},
	} {
		r := iam.Request{Principal: test.principal, Action: "s3:PutObject", Resource: "arn:aws:s3:::b/x", Owner: "111122223333"}
		p := iam.Policies{Identity: all, Resource: bucket, ServiceControl: scp}
		if d := p.Decide(r); d.Outcome != test.want {
			t.Errorf("%s: %v, want %v", test.name, d.Outcome, test.want)
		}
		p.ServiceControl, p.ResourceControl = nil, rcp
		if d := p.Decide(r); d.Outcome != iam.ExplicitlyDenied || d.Layer != iam.ByResourceControl {
			t.Errorf("%s under RCPs: %v", test.name, d)
		}
	}
}

// What a bucket opens to everybody, a block of public access keeps to the account.
func TestBlockPublic(t *testing.T) {
	open := parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`)
	p := iam.Policies{Resource: open}
	stranger := iam.Request{Principal: iam.Principal{Type: "Anonymous"}, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/x", Owner: "111122223333"}
	own := iam.Request{Principal: someCallers[0], Action: "s3:GetObject", Resource: "arn:aws:s3:::b/x", Owner: "111122223333"}
	if d := p.Decide(stranger); d.Outcome != iam.Allowed {
		t.Errorf("before: %v", d)
	}
	p.BlockPublic = true
	if d := p.Decide(stranger); d.Outcome != iam.ImplicitlyDenied || d.Layer != iam.ByService {
		t.Errorf("after: %v", d)
	}
	if d := p.Decide(own); d.Outcome != iam.Allowed {
		t.Errorf("its own: %v", d)
	}
}

// A policy is public when nothing that a stranger could not have keeps them out.
func TestPublic(t *testing.T) {
	for condition, want := range map[string]bool{
		``: true,
		`,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`:                                      false,
		`,"Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}`:                                   true,
		`,"Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}`:                              true,
		`,"Condition":{"StringLike":{"aws:PrincipalOrgID":"*"}}`:                                          true,
		`,"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`:                                    false,
		`,"Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}`:                                         true,
		`,"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`:                                       false,
		`,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`:                                            true,
		`,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:*"}}`:                       false,
		`,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}`:                                  true,
		`,"Condition":{"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"}}`:                 true,
		`,"Condition":{"StringEquals":{"aws:PrincipalAccount":["111122223333","444455556666"]}}`:          false,
		`,"Condition":{"StringEquals":{"aws:PrincipalAccount":"${aws:ResourceAccount, '111122223333'}"}}`: true,
	} {
		p := parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":"*"`+condition+`}`)
		if p.Public() != want {
			t.Errorf("%s: public %v, want %v", condition, p.Public(), want)
		}
	}
	if parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}`).Public() {
		t.Error("an account is not everybody")
	}
}

// An explanation says which statement decided, what turned the request down,
// which condition did not hold and what it saw; the error says it in AWS's words.
func TestExplain(t *testing.T) {
	p := iam.Policies{
		Identity: []*iam.Policy{parse(t, policy(`{"Sid":"Blue","Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}`))},
		Boundary: []*iam.Policy{parse(t, policy(`{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`))},
	}
	r := ask("s3:GetObject", "arn:aws:s3:::shop/x", "aws:ResourceTag/team", "red", "aws:PrincipalTag/team", "blue")
	e := p.Explain(r)
	if e.Outcome != iam.ImplicitlyDenied || len(e.Blocked) != 0 {
		t.Errorf("got %+v", e)
	}
	const want = `its condition StringEquals aws:resourcetag/team ${aws:PrincipalTag/team} does not hold: saw red; ${aws:PrincipalTag/team} is "blue"`
	if got := e.Layers[1].Statements[0].Why; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := e.Layers[0].Statements[0].Why; got != "its Action ec2:* does not cover s3:GetObject" {
		t.Errorf("got %s", got)
	}
	r = ask("s3:GetObject", "arn:aws:s3:::shop/x", "aws:ResourceTag/team", "blue", "aws:PrincipalTag/team", "blue")
	e = p.Explain(r)
	if e.Outcome != iam.ImplicitlyDenied || len(e.Blocked) != 1 || e.Blocked[0] != iam.ByBoundary {
		t.Errorf("got %+v", e)
	}
	if err := e.Err(r); !errors.Is(err, fault.Denied) || !strings.HasSuffix(err.Error(), "because no permissions boundary allows the s3:GetObject action") {
		t.Errorf("got %v", err)
	}
}

// A decision costs no memory, with variables, conditions and all layers too.
func TestDecideAllocatesNothing(t *testing.T) {
	p := parse(t, twenty())
	all := iam.Policies{Identity: []*iam.Policy{p}, Boundary: []*iam.Policy{p}, Resource: parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}`)}
	r := ask("lambda:PutFunction", "arn:aws:lambda:eu-west-1:111122223333:team-x/alice/f", "aws:SourceIp", "10.1.2.3", "aws:PrincipalTag/team", "blue", "aws:SecureTransport", "true")
	if n := testing.AllocsPerRun(100, func() {
		if all.Decide(r).Outcome != iam.Allowed || iam.Decide(r, p).Outcome != iam.Allowed {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}

// A policy tells which condition keys it asks for, and where its statements stand.
func TestAbout(t *testing.T) {
	text := policy(`{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::${aws:username}/*","arn:aws:s3:::a${*}"],"Condition":{"StringLike":{"aws:PrincipalTag/Team":"${aws:ResourceTag/team, 'x'}"},"Bool":{"AWS:SecureTransport":"true"}}}`)
	p := parse(t, text)
	want := []string{"AWS:SecureTransport", "aws:PrincipalTag/Team", "aws:ResourceTag/team", "aws:username"}
	if got := p.Keys(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if begin, end := p.Span(0); text[begin:end] != text[strings.Index(text, `{"Effect`):len(text)-2] {
		t.Errorf("got %s", text[begin:end])
	}
}
