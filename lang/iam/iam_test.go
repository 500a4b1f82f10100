package iam_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

func parse(t testing.TB, text string) *iam.Policy {
	t.Helper()
	p, err := iam.Parse("p.json", []byte(text))
	if err != nil {
		t.Fatal(diag.Detail(err))
	}
	return p
}

func policy(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

func ask(action, resource string, context ...string) iam.Request {
	r := iam.Request{Principal: iam.Principal{ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333", Name: "alice", Type: "User"},
		Action: action, Resource: resource, Context: map[string][]string{}}
	for i := 0; i < len(context); i += 2 {
		r.Context[context[i]] = append(r.Context[context[i]], context[i+1])
	}
	return r.Known()
}

// What statements say is what comes out: nothing allows nothing, a deny wins.
func TestDecide(t *testing.T) {
	const hub = "arn:aws:securityhub:us-east-1:111122223333:hub/default"
	allow := func(action, resource string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
	}
	for _, test := range []struct {
		statements string
		request    iam.Request
		want       iam.Outcome
	}{
		{``, ask("securityhub:GetFindings", "*"), iam.ImplicitlyDenied},
		{allow("*", "*"), ask("securityhub:GetFindings", "*"), iam.Allowed},
		{allow("SecurityHub:get*", "*"), ask("securityhub:GetFindings", hub), iam.Allowed},
		{allow("securityhub:Get?indings", "*"), ask("securityhub:GetFindings", hub), iam.Allowed},
		{allow("securityhub:Get", "*"), ask("securityhub:GetFindings", hub), iam.ImplicitlyDenied},
		{allow("events:*", "*"), ask("securityhub:GetFindings", hub), iam.ImplicitlyDenied},
		{allow("securityhub:*", hub), ask("securityhub:DescribeHub", hub), iam.Allowed},
		{allow("securityhub:*", hub), ask("securityhub:DescribeHub", "*"), iam.ImplicitlyDenied},
		{allow("securityhub:*", "arn:aws:securityhub:*"), ask("securityhub:DescribeHub", hub), iam.Allowed},
		{allow("sqs:*", "arn:aws:sqs:*:jobs"), ask("sqs:SendMessage", "arn:aws:sqs:us-east-1:111122223333:jobs"), iam.ImplicitlyDenied},
		{allow("s3:*", "arn:aws:s3:::b/*"), ask("s3:GetObject", "arn:aws:s3:::b/a/b:c"), iam.Allowed},
		{allow("s3:*", "arn:aws:s3:::B/*"), ask("s3:GetObject", "arn:aws:s3:::b/a"), iam.ImplicitlyDenied},
		{allow("s3:*", "arn:aws:s3:::${aws:username}/*"), ask("s3:GetObject", "arn:aws:s3:::alice/x"), iam.Allowed},
		{allow("s3:*", "arn:aws:s3:::${aws:username}/*"), ask("s3:GetObject", "arn:aws:s3:::bob/x"), iam.ImplicitlyDenied},
		{allow("s3:*", "arn:aws:s3:::${aws:nothing, 'public'}/*"), ask("s3:GetObject", "arn:aws:s3:::public/x"), iam.Allowed},
		{allow("s3:*", "arn:aws:s3:::${aws:nothing}*"), ask("s3:GetObject", "arn:aws:s3:::public/x"), iam.ImplicitlyDenied},
		{allow("s3:*", "arn:aws:s3:::a${*}"), ask("s3:GetObject", "arn:aws:s3:::ab"), iam.ImplicitlyDenied},
		{allow("*", "*") + `,{"Sid":"no","Effect":"Deny","Action":"hub:*","Resource":"*"}`, ask("hub:X", "*"), iam.ExplicitlyDenied},
		{`{"Effect":"Deny","NotAction":"hub:*","Resource":"*"},` + allow("*", "*"), ask("hub:X", "*"), iam.Allowed},
		{`{"Effect":"Deny","NotAction":"hub:*","Resource":"*"},` + allow("*", "*"), ask("events:X", "*"), iam.ExplicitlyDenied},
		{`{"Effect":"Allow","Action":"*","NotResource":["arn:aws:s3:::a","arn:aws:s3:::b"]}`, ask("s3:X", "arn:aws:s3:::b"), iam.ImplicitlyDenied},
		{`{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::a"}`, ask("s3:X", "arn:aws:s3:::b"), iam.Allowed},
		{`{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::a"}`, ask("s3:X", "*"), iam.Allowed},
	} {
		d := iam.Decide(test.request, parse(t, policy(test.statements)))
		if d.Outcome != test.want {
			t.Errorf("%s %s of %s: %v, want %v", test.statements, test.request.Action, test.request.Resource, d.Outcome, test.want)
		}
	}
}

// Conditions hold or not as AWS documents them, and all of them must.
func TestConditions(t *testing.T) {
	for _, test := range []struct {
		condition string
		context   []string
		want      bool
	}{
		{`{"StringEquals":{"aws:username":"alice"}}`, nil, true},
		{`{"StringEquals":{"AWS:UserName":["bob","alice"]}}`, nil, true},
		{`{"StringNotEquals":{"aws:username":["bob","alice"]}}`, nil, false},
		{`{"StringEquals":{"a":"x"}}`, nil, false},
		{`{"StringNotEquals":{"a":"x"}}`, nil, true},
		{`{"StringEqualsIfExists":{"a":"x"}}`, nil, true},
		{`{"StringLike":{"a":"x*z"}}`, []string{"a", "xyz"}, true},
		{`{"StringLike":{"a":"x${*}z"}}`, []string{"a", "xyz"}, false},
		{`{"StringNotEquals":{"a":"${aws:nothing}"}}`, []string{"a", "x"}, false},
		{`{"StringEquals":{"a":"x"}}`, []string{"a", "x", "a", "y"}, false},
		{`{"ForAnyValue:StringEquals":{"a":"x"}}`, []string{"a", "x", "a", "y"}, true},
		{`{"ForAllValues:StringEquals":{"a":"x"}}`, []string{"a", "x", "a", "y"}, false},
		{`{"ForAllValues:StringEquals":{"a":"x"}}`, nil, true},
		{`{"Null":{"aws:MultiFactorAuthPresent":"true"}}`, nil, true},
		{`{"Null":{"a":false}}`, []string{"a", "x"}, true},
		{`{"Bool":{"aws:SecureTransport":false}}`, []string{"aws:SecureTransport", "false"}, true},
		{`{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}`, nil, true},
		{`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::1"]}}`, []string{"aws:SourceIp", "10.1.2.3"}, true},
		{`{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, []string{"aws:SourceIp", "::ffff:10.1.2.3"}, false},
		{`{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, []string{"aws:SourceIp", "nowhere"}, false},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"}}`, []string{"aws:CurrentTime", "2026-05-31T23:59:59Z"}, true},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"}}`, []string{"aws:CurrentTime", "1780272000"}, false},
		{`{"NumericLessThanEquals":{"n":10}}`, []string{"n", "10.0"}, true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/al*"}}`, nil, true},
		{`{"StringEquals":{"aws:username":"alice"},"Bool":{"aws:SecureTransport":"true"}}`, []string{"aws:SecureTransport", "false"}, false},
		{`{"StringEquals":{"aws:username":"alice","a":"y"}}`, []string{"a", "x"}, false},
	} {
		p := parse(t, policy(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+test.condition+`}`))
		if got := iam.Decide(ask("a:B", "*", test.context...), p).Outcome == iam.Allowed; got != test.want {
			t.Errorf("%s with %v: %v, want %v", test.condition, test.context, got, test.want)
		}
	}
}

// In the old version a variable is a text like any other.
func TestOldVersion(t *testing.T) {
	text := `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"},"Version":"2008-10-17"}`
	if d := iam.Decide(ask("s3:X", "arn:aws:s3:::alice"), parse(t, text)); d.Outcome != iam.ImplicitlyDenied {
		t.Errorf("got %v", d)
	}
	if d := iam.Decide(ask("s3:X", "arn:aws:s3:::${aws:username}"), parse(t, text)); d.Outcome != iam.Allowed {
		t.Errorf("got %v", d)
	}
}

// The statement that decided is named, in AWS's words for the caller.
func TestDecisionExplains(t *testing.T) {
	p := parse(t, policy(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"Hands","Effect":"Deny","Action":"events:Delete*","Resource":"*"}`))
	r := ask("events:DeleteRule", "*")
	d := iam.Decide(r, p)
	if d != (iam.Decision{Outcome: iam.ExplicitlyDenied, Policy: "p.json", Statement: 1, Sid: "Hands"}) {
		t.Errorf("got %+v", d)
	}
	const want = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: events:DeleteRule on resource: * with an explicit deny in an identity-based policy"
	if err := d.Err(r); !errors.Is(err, fault.Denied) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := iam.Decide(r).Err(r); err == nil || !strings.HasSuffix(err.Error(), "because no identity-based policy allows the events:DeleteRule action") {
		t.Errorf("got %v", err)
	}
	if err := iam.Decide(ask("events:PutRule", "*"), p).Err(r); err != nil {
		t.Errorf("got %v", err)
	}
}

// What cannot be evaluated is refused at its place, so that it is never passed over.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{``, "there is nothing in it"},
		{" \n", "there is nothing in it"},
		{"\ufeff" + policy(``), "byte order mark"},
		{"// mine\n" + policy(``), "JSON has no comments"},
		{"Version: 2012-10-17\nStatement: []", "this looks like YAML"},
		{`{'Version':'2012-10-17'}`, "JSON has double quotes"},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*",}`), "a comma stands between two"},
		{policy(`{"Effect":"Deny","Action":"s3.GetObject","Resource":"*"}`), `did you mean "s3:GetObject"?`},
		{policy(`{"Effect":"Deny","Action":"s3:\u200bGetObject","Resource":"*"}`), "it holds U+200B, which cannot be seen"},
		{policy(`{"Effect":"Deny","Action":"s3:GetObject","Resource":"shop/*"}`), "a bucket is arn:aws:s3:::NAME"},
		{policy(`{"Effect":"Deny","Action":"s3:GetObject","Resource":" arn:aws:s3:::b"}`), "a blank too many"},
		{`{"Statement":[`, "not JSON"},
		{`[]`, "p.json:1:1: a policy must be an object"},
		{`{"Version":"2012-10-17"}`, "p.json:1:1: a policy needs a Statement"},
		{`{"Version":"2013","Statement":[]}`, `p.json:1:12: unknown version "2013"`},
		{`{"Statment":[]}`, `p.json:1:2: unknown element "Statment" (did you mean "Statement"?)`},
		{`{"Statement":[],"Statement":[]}`, "not JSON"},
		{`{"Statement":[]} {}`, "nothing may follow the policy"},
		{policy("\n" + `{"Effect":"allow","Action":"*","Resource":"*"}`), `p.json:2:11: unknown effect "allow" (Allow or Deny)`},
		{policy(`{"Action":"*","Resource":"*"}`), "a statement needs an Effect"},
		{policy(`{"Effect":"Deny","Resource":"*"}`), "a statement needs an Action or a NotAction"},
		{policy(`{"Effect":"Deny","Action":"*"}`), "a statement needs a Resource or a NotResource"},
		{policy(`{"Effect":"Deny","Action":[],"Resource":"*"}`), "Action must not be empty"},
		{policy(`{"Effect":"Deny","Action":"*","NotAction":"*","Resource":"*"}`), "either Action or NotAction"},
		{policy(`{"Effect":"Deny","Action":"GetFindings","Resource":"*"}`), "an action is written service:Name"},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"hub"}`), "a resource is an ARN"},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::${aws:username"}`), "a variable does not end"},
		{policy(`{"Effect":"Deny","Action":"*","Resource":7}`), "Resource must be a string or a list of strings"},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}`), "a policy of an identity has no Principal"},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEqual":{"a":"b"}}}`), `unknown condition operator "StringEqual" (did you mean "StringEquals"?)`},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ForSome:StringEquals":{"a":"b"}}}`), `unknown condition operator`},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}}`), `an address cannot be compared with "10.0.0.0/33"`},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"a":"yes"}}}`), `true or false cannot be compared with "yes"`},
		{policy(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"a":null}}}`), `must be a string or a list`},
		{strings.Repeat(" ", 200_000), "131072 are allowed"},
	} {
		_, err := iam.Parse("p.json", []byte(test.text))
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.120s\n got %v\nwant %s", test.text, err, test.want)
		}
		var placed *diag.Error
		if !errors.As(err, &placed) {
			t.Errorf("%.120s: no place", test.text)
		}
	}
}

// A hostile pattern costs what its length says, and no more.
func TestHostilePattern(t *testing.T) {
	p := parse(t, policy(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::`+strings.Repeat("a*", 2000)+`b"}`))
	start := time.Now()
	if d := iam.Decide(ask("s3:X", "arn:aws:s3:::"+strings.Repeat("a", 5000)), p); d.Outcome != iam.ImplicitlyDenied {
		t.Errorf("got %v", d)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// No text makes parsing or deciding panic, and what is refused allows nothing.
func FuzzParse(f *testing.F) {
	f.Add(policy(`{"Sid":"a","Effect":"Allow","Action":["s3:*"],"NotResource":"arn:aws:s3:::${aws:username, 'x'}","Condition":{"ForAnyValue:StringLikeIfExists":{"a":["*"]},"DateLessThan":{"aws:CurrentTime":1}}}`))
	f.Add(`{"Version":"2008-10-17","Statement":{"Effect":"Deny","NotAction":"*","Resource":"*"}}`)
	f.Add(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := iam.Parse("f", []byte(text))
		if err != nil {
			if p != nil || !errors.Is(err, fault.Invalid) {
				t.Errorf("%v and %v", p, err)
			}
			return
		}
		iam.Decide(ask("s3:GetObject", "arn:aws:s3:::alice/x", "a", "x"), p)
	})
}
