package audit

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Nothing that is secret is kept, whatever it is called, and what is not stays readable.
func TestHidden(t *testing.T) {
	const plant = "s3cr3t-" + "plAnted-0123456789"
	for _, c := range []struct{ action, in, want string }{
		{"iam:CreateUser", `{"UserName":"kim","Tags":[{"Key":"team","Value":"web"}]}`, `{"UserName":"kim","Tags":[{"Key":"team","Value":"web"}]}`},
		{"iam:CreateLoginProfile", `{"UserName":"kim","Password":"` + plant + `"}`, `{"UserName":"kim","Password":"` + Hidden + `"}`},
		{"iam:CreateAccessKey", `{"AccessKey":{"AccessKeyId":"AKIAX","SecretAccessKey":"` + plant + `"}}`, `{"AccessKey":{"AccessKeyId":"AKIAX","SecretAccessKey":"` + Hidden + `"}}`},
		{"sts:AssumeRole", `{"Credentials":{"AccessKeyId":"ASIAX","SessionToken":"` + plant + `"}}`, `{"Credentials":{"AccessKeyId":"ASIAX","SessionToken":"` + Hidden + `"}}`},
		{"haechi:CreateToken", `{"Id":"ACCAX","Value":"` + plant + `"}`, `{"Id":"ACCAX","Value":"` + Hidden + `"}`},
		{"haechi:ApplyConfig", `{"Files":[{"Name":"a.yaml","Text":"x: ` + plant + `\ny: 1"}],"Secrets":{"env:A":"` + plant + `"},"DryRun":true}`, ``},
		{"events:CreateConnection", `{"AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"X","ApiKeyValue":"` + plant + `"},"InvocationHttpParameters":{"HeaderParameters":[{"Key":"X","Value":"` + plant + `"}]}}}`, ``},
		{"securityhub:BatchUpdateFindings", `{"Note":{"Text":"password=` + plant + `"}}`, `{"Note":{"Text":"password=****"}}`},
		{"secretsmanager:PutSecretValue", `{"SecretId":"shop/db","SecretString":"` + plant + `","VersionStages":["AWSCURRENT"]}`, `{"SecretId":"shop/db","SecretString":"` + Hidden + `","VersionStages":["AWSCURRENT"]}`},
		{"secretsmanager:CreateSecret", `{"Name":"shop/key","SecretBinary":"` + plant + `"}`, `{"Name":"shop/key","SecretBinary":"` + Hidden + `"}`},
		{"secretsmanager:GetRandomPassword", `{"RandomPassword":"` + plant + `"}`, `{"RandomPassword":"` + Hidden + `"}`},
		{"ssm:PutParameter", `{"Name":"/shop/db","Type":"SecureString","Value":"` + plant + `"}`, `{"Name":"/shop/db","Type":"SecureString","Value":"` + Hidden + `"}`},
		{"x:Y", `{"n":1.5e3,"b":true,"z":null,"a":[1,[2]]}`, `{"n":1.5e3,"b":true,"z":null,"a":[1,[2]]}`},
		{"x:Y", `{"deep`, `{"omitted":"6 bytes"}`},
		{"x:Y", `[` + strings.TrimSuffix(strings.Repeat(`1,`, 25), ",") + `]`, `[` + strings.Repeat(`1,`, 20) + `"… and 5 more"]`},
	} {
		got := string(hidden(c.action, jsontext.Value(c.in)))
		if c.want != "" && got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.action, c.in, got, c.want)
		}
		if strings.Contains(got, plant) {
			t.Errorf("%s: a secret was kept: %s", c.action, got)
		}
	}
}

// What is kept of anything is JSON, and small.
func FuzzHidden(f *testing.F) {
	for _, seed := range []string{`{"a":[{"Password":{"x":1}}],"b":"` + strings.Repeat("x", 600) + `"}`, `[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]`, `{"a":1,"a":2}`, `"\ud800"`, strings.Repeat(`[`, 5000)} {
		f.Add("iam:CreateUser", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, action string, text []byte) {
		got := hidden(action, text)
		if len(text) > 0 && (!got.IsValid(jsontext.AllowInvalidUTF8(true)) || len(got) > maxKept) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
