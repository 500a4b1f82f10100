package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/iam"
)

// twenty is a policy of twenty statements such as a team's is: services by
// name, ARNs with wildcards and a variable, conditions, and a deny at the end.
func twenty() string {
	var all []string
	for i, service := range []string{"s3", "sqs", "dynamodb", "lambda", "kms", "sns", "ec2", "logs", "ecr", "events"} {
		all = append(all,
			fmt.Sprintf(`{"Sid":"Read%d","Effect":"Allow","Action":["%s:Get*","%s:List*","%s:Describe*"],"Resource":"*"}`, i, service, service, service),
			fmt.Sprintf(`{"Sid":"Write%d","Effect":"Allow","Action":["%s:Put*","%s:Delete*"],"Resource":["arn:aws:%s:*:111122223333:team-*/${aws:username}/*","arn:aws:%s:::team-%d/*"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"},"Bool":{"aws:SecureTransport":"true"}}}`, i, service, service, service, service, i))
	}
	all[19] = `{"Sid":"Net","Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","127.0.0.0/8"]}}}`
	return policy(strings.Join(all, ","))
}

// BenchmarkDecide: one decision on a policy of twenty statements, by who may and
// by who may not, and with all layers of an organisation around it.
func BenchmarkDecide(b *testing.B) {
	p := parse(b, twenty())
	context := []string{"aws:SourceIp", "10.1.2.3", "aws:PrincipalTag/team", "blue", "aws:SecureTransport", "true"}
	read := ask("s3:GetObject", "arn:aws:s3:::team-0/alice/x", context...)
	write := ask("lambda:PutFunction", "arn:aws:lambda:eu-west-1:111122223333:team-x/alice/f", context...)
	wrong := ask("lambda:PutFunction", "arn:aws:lambda:eu-west-1:111122223333:team-x/bob/f", context...)
	all := parse(b, policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`))
	scp, err := iam.ParseAs(iam.ServiceControl, "scp", []byte(policy(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":["organizations:LeaveOrganization","iam:Delete*"],"Resource":"*"},{"Effect":"Deny","NotAction":"iam:*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","us-east-1"]}}}`)))
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := iam.ParseAs(iam.Resource, "bucket", []byte(policy(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:*","Resource":"arn:aws:s3:::team-0/*"}`)))
	if err != nil {
		b.Fatal(err)
	}
	region := ask("s3:GetObject", "arn:aws:s3:::team-0/alice/x", append(context, "aws:RequestedRegion", "eu-west-1")...)
	for _, bench := range []struct {
		name     string
		policies iam.Policies
		request  iam.Request
		want     iam.Outcome
	}{
		{"read", iam.Policies{Identity: []*iam.Policy{p}}, read, iam.Allowed},
		{"write", iam.Policies{Identity: []*iam.Policy{p}}, write, iam.Allowed},
		{"refused", iam.Policies{Identity: []*iam.Policy{p}}, wrong, iam.ImplicitlyDenied},
		{"layers", iam.Policies{Identity: []*iam.Policy{p}, Boundary: []*iam.Policy{all}, Resource: bucket, ServiceControl: [][]*iam.Policy{{scp}, {all}}, ResourceControl: [][]*iam.Policy{{}}}, region, iam.Allowed},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := bench.policies.Decide(bench.request); d.Outcome != bench.want {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkParse: a policy of three statements, as most are.
func BenchmarkParse(b *testing.B) {
	text := []byte(policy(`{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::shop","arn:aws:s3:::shop/*"]},` +
		`{"Sid":"Keys","Effect":"Allow","Action":"kms:Decrypt","Resource":"arn:aws:kms:*:111122223333:key/*","Condition":{"StringEquals":{"kms:ViaService":"s3.eu-west-1.amazonaws.com"}}},` +
		`{"Sid":"Tls","Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`))
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := iam.Parse("p", text); err != nil {
			b.Fatal(err)
		}
	}
}
