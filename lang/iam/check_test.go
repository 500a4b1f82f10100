package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/iam"
)

// A review says what AWS would refuse, what never matters, and what grants
// more than it seems to; and nothing of a policy that is as it should be.
func TestCheck(t *testing.T) {
	const (
		github = `"Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},"Action":"sts:AssumeRoleWithWebIdentity"`
		object = `"Resource":"arn:aws:s3:::shop/*"`
	)
	for _, test := range []struct {
		kind       iam.Kind
		statements string
		want       []string // weight, rule and the beginning of the message
	}{
		{iam.Identity, `{"Sid":"Ok","Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],` + object + `}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"*","Resource":"*"}`, []string{"warning administrator this allows everything"}},
		{iam.Identity, `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, []string{"warning full-access this allows all of iam"}},
		{iam.Identity, `{"Effect":"Allow","Action":"iam:Pass*","Resource":"*"}`, []string{"warning pass-role this passes every role"}},
		{iam.Identity, `{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}}`, nil},
		{iam.Identity, `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, []string{"warning not-action this allows every other action"}},
		{iam.Identity, `{"Effect":"Deny","NotAction":"iam:*","Resource":"*"}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:Get*","NotResource":"arn:aws:s3:::x/*"}`, []string{"warning not-resource this allows it on everything else"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject,PutObject",` + object + `}`, []string{"mistake grammar an action is written"}},
		{iam.Identity, `{"Sid":"a b","Effect":"Allow","Action":"s3:GetObject",` + object + `}`, []string{"mistake sid a Sid has letters"}},
		{iam.Identity, `{"Sid":"A","Effect":"Allow","Action":"s3:GetObject",` + object + `},{"Sid":"A","Effect":"Allow","Action":"s3:PutObject",` + object + `}`, []string{"mistake sid another statement has"}},
		{iam.Identity, `{"Effect":"Allow","Action":["s3:Get*","s3:GetObject"],"Resource":["arn:aws:s3:::shop/a/*","arn:aws:s3:::shop/*"]}`, []string{"suggestion covered s3:GetObject is part of s3:Get*", "suggestion covered arn:aws:s3:::shop/a/* is part of"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `},{"Effect":"Allow","Action":"s3:Get*",` + object + `}`, []string{"suggestion dead-statement this changes nothing: statement 2"}},
		{iam.Identity, `{"Effect":"Deny","Action":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"s3:Get*",` + object + `}`, []string{"warning dead-statement this allows nothing: statement 1"}},
		{iam.Identity, `{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},{"Effect":"Allow","Action":"s3:Get*",` + object + `}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop"}`, []string{"warning unreachable none of the actions here"}},
		{iam.Identity, `{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::shop","arn:aws:s3:::shop/*"]}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"arn:aws:sns:us-east-1:111122223333:jobs"}`, []string{"warning unreachable"}},
		{iam.Identity, `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*:11112222333:jobs"}`, []string{`warning odd-arn "11112222333" is no account`}},
		{iam.Identity, `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"arn:\u0430ws:sqs:*:111122223333:jobs"}`, []string{`warning odd-arn there is no partition`}},
		{iam.Identity, `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*:*:${aws:username}"}`, []string{`warning bare-variable readers of policies disagree`}},
		{iam.Identity, `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*:jobs"}`, []string{"warning short-arn this ARN has 5 parts"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}}`, []string{"warning for-all-values this holds too"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"false"}}}`, nil},
		{iam.Identity, `{"Effect":"Deny","Action":"s3:GetObject",` + object + `,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}`, []string{"warning mfa this does not deny long-term"}},
		{iam.Identity, `{"Effect":"Deny","Action":"s3:GetObject",` + object + `,"Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue-*"}}}`, []string{"warning literal-wildcard StringEquals compares"}},
		{iam.Identity, `{"Effect":"Deny","Action":"s3:GetObject",` + object + `,"Condition":{"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}`, []string{"warning deny-variable this denies nothing where"}},
		{iam.Identity, `{"Effect":"Deny","Action":"s3:GetObject",` + object + `,"Condition":{"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team, 'none'}"}}}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringEquals":{"aws:PrincipleOrgID":"o-1"}}}`, []string{"warning key aws:PrincipleOrgID is none"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringEquals":{"username":"kim"}}}`, []string{`warning key no request has the key "username"`}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringEquals":{"AWS:principaltag/Team":"a","s3:prefix":"b"}}}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringEquals":{"aws:TagKeys":"a"}}}`, []string{"warning list aws:TagKeys is a list"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:CalledVia":"true"}}}`, nil},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringLike":{"aws:SourceIp":"10.*"}}}`, []string{"warning key-type aws:SourceIp is an address"}},
		{iam.Identity, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `,"Condition":{"StringLike":{"aws:CurrentTime":"2026-*"}}}`, []string{"warning key-type aws:CurrentTime is a time"}},
		{iam.Resource, `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",` + object + `}`, []string{"warning public everybody in the world"}},
		{iam.Resource, `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",` + object + `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}`, nil},
		{iam.Resource, `{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:GetObject",` + object + `}`, []string{"warning not-principal this allows everybody but", "warning public"}},
		{iam.Resource, `{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::111122223333:user/a"},"Action":"s3:GetObject",` + object + `}`, []string{"warning not-principal this denies those"}},
		{iam.Resource, `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},"Action":"s3:GetObject",` + object + `}`, []string{"mistake grammar a principal holds no wildcards"}},
		{iam.Resource, `{"Effect":"Allow","Action":"s3:GetObject",` + object + `}`, []string{"mistake grammar a statement needs a Principal"}},
		{iam.Resource, `{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}`, []string{"warning confused-deputy sns.amazonaws.com may be sent"}},
		{iam.Resource, `{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}}`, nil},
		{iam.Trust, `{"Effect":"Allow",` + github + `}`, []string{"warning oidc-subject every token of token.actions"}},
		{iam.Trust, `{"Effect":"Allow",` + github + `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*"}}}`, []string{`warning oidc-subject "repo:*" lets in`}},
		{iam.Trust, `{"Effect":"Allow",` + github + `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:shop/web:*"}}}`, nil},
		{iam.Trust, `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"*"}`, []string{"mistake trust a trust policy is about", "mistake trust a trust policy has no Resource"}},
		{iam.Trust, `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`, []string{"warning public everybody in the world"}},
		{iam.ResourceControl, `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`, []string{"mistake rcp an RCP only denies"}},
		{iam.ServiceControl, `{"Effect":"Allow","Action":"*","Resource":"*"}`, nil},
		{iam.ServiceControl, `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`, []string{"mistake grammar a policy of an identity has no Principal"}},
		{iam.Endpoint, `{"Effect":"Allow","Action":"*","Resource":"*"}`, nil},
	} {
		var got []string
		for _, r := range iam.Check(test.kind, "p.json", []byte(policy(test.statements))) {
			got = append(got, fmt.Sprintf("%v %s %s", r.Weight, r.Rule, r.Message))
			if r.Line != 1 || r.Column == 0 || r.Source == "" {
				t.Errorf("%s: no place in %+v", test.statements, r)
			}
		}
		same := len(got) == len(test.want)
		for i := range test.want {
			found := false
			for _, g := range got {
				found = found || strings.HasPrefix(g, test.want[i])
			}
			same = same && found
		}
		if !same {
			t.Errorf("%v %s\n got %q\nwant %q", test.kind, test.statements, got, test.want)
		}
	}
}

// The whole of a policy has limits too, and old versions take variables as text.
func TestCheckPolicy(t *testing.T) {
	long := `{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::` + strings.Repeat("x", 6200) + `/*"]}`
	for text, want := range map[string]string{
		policy(long): "6", // some thousand characters
		`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}}`: "without the newer version",
		`{"Statement":[`:             "not JSON",
		strings.Repeat("x", 200_000): "131072 are allowed",
	} {
		remarks := iam.Check(iam.Identity, "p.json", []byte(text))
		if len(remarks) == 0 || !strings.Contains(remarks[0].Message, want) {
			t.Errorf("%.80s: %v, want %s", text, remarks, want)
		}
	}
	if remarks := iam.Check(iam.Identity, "p.json", []byte(policy(strings.ReplaceAll(long, strings.Repeat("x", 6200), strings.Repeat("x", 3000)+strings.Repeat(" ", 3000)+"y")))); len(remarks) != 0 {
		t.Errorf("white space counts: %v", remarks)
	}
}

// No policy, however odd, that is in force somewhere, makes anything panic;
// what cannot be read in it allows nothing.
func FuzzAccepted(f *testing.F) {
	f.Add(policy(`{"Effect":"Allow","Principal":{"AWS":["*","arn:aws:iam::111122223333:role/r"]},"Action":["s3:*",":","*:x"],"NotResource":["arn:aws:s3:::${aws:username, 'x'}","x"],"Condition":{"ForAnyValue:StringLikeIfExists":{"a":["*"]},"Odd":{"b":1},"Bool":{"c":"${d}"}}}`), "arn:aws:s3:::alice/*")
	f.Add(policy(`{"Effect":"Deny","NotPrincipal":{"Federated":"x","Odd":[1]},"NotAction":"iam:*","Resource":"arn:*"}`), "*")
	f.Add(`{"Version":"1","Statement":{"Effect":"?","NotAction":"*"}}`, "arn:aws:s3:::a/?*")
	f.Fuzz(func(t *testing.T, text, resource string) {
		for kind := iam.Identity; kind <= iam.Endpoint; kind++ {
			p, mistakes := iam.Accepted(kind, "f", []byte(text))
			if p == nil && len(mistakes) == 0 {
				t.Fatal("refused without a word")
			}
			iam.Check(kind, "f", []byte(text))
			if p == nil || len(resource) > 200 || len(text) > 5000 {
				continue
			}
			for _, some := range []bool{false, true} {
				r := ask("s3:GetObject", resource, "a", "x", "d", "true")
				r.Some = some
				all := iam.Policies{Identity: []*iam.Policy{p}, Resource: p}
				if e := all.Explain(r); e.Decision != all.Decide(r) {
					t.Errorf("explained %+v", e)
				}
			}
		}
	})
}
