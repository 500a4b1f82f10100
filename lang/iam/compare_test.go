package iam_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/iam"
)

// A policy is wider where it allows more or denies less, also by a wildcard or
// a lost condition; said in other words it is not.
func TestWidens(t *testing.T) {
	const get = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}`
	const tls = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`
	const deny = `{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::shop/secret/*"}`
	for _, test := range []struct {
		before, after string
		want          bool
	}{
		{get, get, false},
		{get, tls, false},
		{tls, get, true},
		{get, `{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::shop/*"}`, true},
		{`{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::*"}`, get, false},
		{`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, get, false},
		{`{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, get, true},
		{`{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, `{"Effect":"Allow","NotAction":["s3:*","iam:*"],"Resource":"*"}`, false},
		{`{"Effect":"Allow","NotAction":["s3:*","iam:*"],"Resource":"*"}`, `{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, true},
		{get + "," + deny, get, true},
		{get, get + "," + deny, false},
		{get + `,{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::shop/*"}`, `{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::shop/a/*","arn:aws:s3:::shop/b"]}`, false},
		{`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"}`, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"}`, false},
		{`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"}`, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:userid}/*"}`, true},
	} {
		if _, _, got := parse(t, policy(test.after)).Widens(parse(t, policy(test.before))); got != test.want {
			t.Errorf("%s\nthen %s: wider %v, want %v", test.before, test.after, got, test.want)
		}
	}
	world := parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`)
	one := parseAs(t, iam.Resource, `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"*"}`)
	if _, _, wider := world.Widens(one); !wider {
		t.Error("everybody is no more than one account")
	}
	if _, _, wider := one.Widens(world); wider {
		t.Error("one account is more than everybody")
	}
}

// What a policy does not grant, it grants to nobody in no circumstances.
func TestGrants(t *testing.T) {
	const text = `{"Sid":"Shop","Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::shop/*"},{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"},{"Effect":"Deny","Action":"s3:Put*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`
	for _, test := range []struct {
		actions, resources []string
		want               bool
	}{
		{[]string{"s3:GetObject"}, nil, true},
		{[]string{"s3:PutObject"}, nil, true},
		{[]string{"s3:DeleteObject"}, nil, false},
		{[]string{"s3:DeleteObject", "s3:GetObject"}, nil, true},
		{[]string{"iam:CreateUser"}, nil, false},
		{[]string{"s3:GetObject"}, []string{"arn:aws:s3:::else/*"}, false},
		{[]string{"s3:GetObject"}, []string{"arn:aws:s3:::*/x"}, true},
		{nil, []string{"arn:aws:s3:::shop/x"}, true},
		{nil, []string{"arn:aws:sqs:*:*:*"}, false},
	} {
		statement, sid, got := parse(t, policy(text)).Grants(test.actions, test.resources)
		if got != test.want || got && (statement != 0 || sid != "Shop") {
			t.Errorf("%v on %v: %v by %d %s, want %v", test.actions, test.resources, got, statement, sid, test.want)
		}
	}
}
