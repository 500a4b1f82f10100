package ssm_test

import (
	"flag"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/ssm"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/iam"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) { wiretest.Ops(t, ssm.Service(nil), "ops.txt", *update) }

// house is the service on a real vault.
type house struct {
	*testing.T
	*wiretest.Server
	model *wire.Model
	asked []iam.Request
}

func build(t *testing.T) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	s := ssm.Service(vault.New(vault.Config{DB: d, Sealer: sealer, Account: wiretest.Account, Region: wiretest.Region, Log: slog.New(slog.DiscardHandler)}))
	h := &house{T: t, model: s.Model}
	h.Server = wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { h.asked = append(h.asked, r); return false }}, s)
	return h
}

func (h *house) call(operation, body string) (int, string) {
	h.Helper()
	response, raw := h.Call(h, "ssm", "POST", "/", "AmazonSSM."+operation, body)
	if response.StatusCode == 200 {
		wiretest.Valid(h, h.model, operation, raw)
	}
	return response.StatusCode, string(raw)
}

// Every operation answers as Parameter Store does, in good and in bad cases.
func TestOperations(t *testing.T) {
	h := build(t)
	for i, c := range []struct {
		operation, body string
		status          int
		want, not       string
	}{
		{"PutParameter", `{"Name":"/shop/prod/url","Type":"String","Value":"https://shop.example","Tags":[{"Key":"team","Value":"blue"}]}`, 200, `"Version":1`, ""},
		{"PutParameter", `{"Name":"/shop/prod/url","Type":"String","Value":"x"}`, 400, `ParameterAlreadyExists`, ""},
		{"PutParameter", `{"Name":"/shop/prod/url","Value":"https://new.example","Overwrite":true}`, 200, `"Version":2`, ""},
		{"PutParameter", `{"Name":"/shop/prod/url","Type":"SecureString","Value":"x","Overwrite":true}`, 400, `stays one`, ""},
		{"PutParameter", `{"Name":"/shop/prod/key","Type":"SecureString","Value":"hunter22","KeyId":"alias/shop"}`, 200, `"Tier":"Standard"`, ""},
		{"PutParameter", `{"Name":"/shop/prod/db/host","Type":"String","Value":"db.example","AllowedPattern":"[a-z.]+"}`, 200, `"Version":1`, ""},
		{"PutParameter", `{"Name":"/shop/prod/db/host","Value":"DB","Overwrite":true}`, 400, `allowedPattern`, ""},
		{"PutParameter", `{"Name":"region","Type":"StringList","Value":"a,b"}`, 200, `"Version":1`, ""},
		{"PutParameter", `{"Name":"big","Type":"String","Value":"` + strings.Repeat("x", 5000) + `"}`, 200, `"Tier":"Advanced"`, ""},
		{"PutParameter", `{"Name":"bigger","Type":"String","Value":"` + strings.Repeat("x", 9000) + `"}`, 400, `ValidationException`, ""},
		{"PutParameter", `{"Name":"shop/x","Type":"String","Value":"x"}`, 400, `fully qualified`, ""},
		{"PutParameter", `{"Name":"/aws/x","Type":"String","Value":"x"}`, 400, `reserved`, ""},
		{"PutParameter", `{"Name":"/new","Value":"x"}`, 400, `type is required`, ""},
		{"PutParameter", `{"Name":"/new","Type":"String","Value":"x","Policies":"[{}]"}`, 400, `ValidationException`, ""},
		{"GetParameter", `{"Name":"/shop/prod/url"}`, 200, `"Value":"https://new.example"`, ""},
		{"GetParameter", `{"Name":"/shop/prod/url:1"}`, 200, `"Selector":":1"`, ""},
		{"GetParameter", `{"Name":"/shop/prod/url:7"}`, 400, `ParameterNotFound`, ""},
		{"GetParameter", `{"Name":"/shop/prod/url:live"}`, 400, `ParameterNotFound`, ""},
		{"GetParameter", `{"Name":"arn:aws:ssm:us-east-1:111122223333:parameter/shop/prod/url"}`, 200, `"Value":"https://new.example"`, ""},
		{"GetParameter", `{"Name":"arn:aws:ssm:us-east-1:111122223333:parameter/region"}`, 200, `"Value":"a,b"`, ""},
		{"GetParameter", `{"Name":"/shop/prod/key"}`, 200, `"Type":"SecureString"`, "hunter22"},
		{"GetParameter", `{"Name":"/shop/prod/key","WithDecryption":true}`, 200, `"Value":"hunter22"`, ""},
		{"GetParameter", `{"Name":"nothing"}`, 400, `ParameterNotFound`, ""},
		{"GetParameters", `{"Names":["region","nothing"],"WithDecryption":true}`, 200, `"InvalidParameters":["nothing"]`, ""},
		{"GetParametersByPath", `{"Path":"/shop/prod"}`, 200, `/shop/prod/url`, "/shop/prod/db/host"},
		{"GetParametersByPath", `{"Path":"/shop/","Recursive":true,"MaxResults":1}`, 200, `"NextToken":`, "hunter22"},
		{"GetParametersByPath", `{"Path":"/shop","Recursive":true,"ParameterFilters":[{"Key":"Type","Values":["SecureString"]}]}`, 200, `/shop/prod/key`, "/shop/prod/url"},
		{"GetParametersByPath", `{"Path":"shop"}`, 400, `ValidationException`, ""},
		{"GetParametersByPath", `{"Path":"/","NextToken":"="}`, 400, `InvalidNextToken`, ""},
		{"GetParameterHistory", `{"Name":"/shop/prod/url"}`, 200, `"Version":2`, ""},
		{"GetParameterHistory", `{"Name":"/shop/prod/url","MaxResults":1}`, 200, `"NextToken":"1"`, `"Version":2`},
		{"GetParameterHistory", `{"Name":"/shop/prod/url","NextToken":"1"}`, 200, `"Version":2`, `"Version":1,`},
		{"DescribeParameters", `{"ParameterFilters":[{"Key":"Name","Option":"Contains","Values":["db"]}]}`, 200, `/shop/prod/db/host`, "/shop/prod/url"},
		{"DescribeParameters", `{"ParameterFilters":[{"Key":"tag:team","Values":["blue"]}]}`, 200, `/shop/prod/url`, "region"},
		{"DescribeParameters", `{"Filters":[{"Key":"Name","Values":["/shop/prod/k"]}]}`, 200, `"KeyId":"alias/shop"`, "hunter22"},
		{"DescribeParameters", `{"ParameterFilters":[{"Key":"Name","Option":"Like","Values":["db"]}]}`, 400, `InvalidFilterOption`, ""},
		{"AddTagsToResource", `{"ResourceType":"Parameter","ResourceId":"region","Tags":[{"Key":"team","Value":"red"}]}`, 200, `{}`, ""},
		{"ListTagsForResource", `{"ResourceType":"Parameter","ResourceId":"region"}`, 200, `{"TagList":[{"Key":"team","Value":"red"}]}`, ""},
		{"RemoveTagsFromResource", `{"ResourceType":"Parameter","ResourceId":"region","TagKeys":["team"]}`, 200, `{}`, ""},
		{"ListTagsForResource", `{"ResourceType":"Document","ResourceId":"region"}`, 400, `InvalidResourceType`, ""},
		{"ListTagsForResource", `{"ResourceType":"Parameter","ResourceId":"nothing"}`, 400, `InvalidResourceId`, ""},
		{"DeleteParameter", `{"Name":"region"}`, 200, `{}`, ""},
		{"DeleteParameter", `{"Name":"region"}`, 400, `ParameterNotFound`, ""},
		{"DeleteParameters", `{"Names":["big","region"]}`, 200, `{"DeletedParameters":["big"],"InvalidParameters":["region"]}`, ""},
		{"SendCommand", `{"DocumentName":"AWS-RunShellScript"}`, 501, `NotImplemented`, ""},
	} {
		if status, text := h.call(c.operation, c.body); status != c.status || !strings.Contains(text, c.want) || c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%d: %s %s: %d %s, want %d %s and no %q", i, c.operation, c.body, status, text, c.status, c.want, c.not)
		}
	}
}

// Policies decide on the ARN of a parameter and its tags, and on each of several.
func TestAsked(t *testing.T) {
	h := build(t)
	h.call("PutParameter", `{"Name":"/shop/key","Type":"SecureString","Value":"x","Tags":[{"Key":"team","Value":"blue"}]}`)
	h.asked = nil
	h.call("GetParameters", `{"Names":["/shop/key:1","other"]}`)
	h.call("GetParametersByPath", `{"Path":"/shop/"}`)
	var got []string
	for _, r := range h.asked {
		got = append(got, r.Action+" "+r.Resource+" "+strings.Join(append(r.Context["aws:resourcetag/team"], r.Context["aws:ResourceTag/team"]...), ""))
	}
	want := "ssm:GetParameters arn:aws:ssm:us-east-1:111122223333:parameter/shop/key blue|ssm:GetParameters arn:aws:ssm:us-east-1:111122223333:parameter/other |ssm:GetParametersByPath arn:aws:ssm:us-east-1:111122223333:parameter/shop "
	if strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
}

// The real aws command and boto3 keep parameters and read them.
func TestClients(t *testing.T) {
	h := build(t)
	for _, client := range wiretest.Clients(t) {
		name := "/clients/new"
		if client.Old {
			name = "/clients/old"
		}
		if out, problems, err := client.Run(t, h.Server, "ssm", "put-parameter", "--name", name, "--type", "SecureString", "--value", "hunter22"); err != nil || !strings.Contains(out, `"Version": 1`) {
			t.Errorf("%v %s %s", err, out, problems)
		}
		if out, problems, err := client.Run(t, h.Server, "ssm", "get-parameter", "--name", name, "--with-decryption", "--query", "Parameter.Value", "--output", "text"); err != nil || strings.TrimSpace(out) != "hunter22" {
			t.Errorf("%v %s %s", err, out, problems)
		}
	}
	out, problems, err := h.Python(t, `
c = client('ssm')
for i in range(12): c.put_parameter(Name='/many/%02d' % i, Type='String', Value=str(i))
print(sum(len(p['Parameters']) for p in c.get_paginator('get_parameters_by_path').paginate(Path='/many')))
print(type(c.get_parameter(Name='/many/03')['Parameter']['LastModifiedDate']).__name__)
try: c.get_parameter(Name='nothing')
except c.exceptions.ParameterNotFound as e: print('not found')
`)
	if err != nil || out != "12\ndatetime\nnot found\n" {
		t.Errorf("%v %s %s", err, out, problems)
	}
}
