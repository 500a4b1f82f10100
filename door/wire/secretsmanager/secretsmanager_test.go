package secretsmanager_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/secretsmanager"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/iam"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) {
	wiretest.Ops(t, secretsmanager.Service(secretsmanager.Config{}), "ops.txt", *update)
}

// house is the service on a real vault, called as AWS's clients call it.
type house struct {
	*testing.T
	*wiretest.Server
	vault *vault.Vault
	model *wire.Model
	heard []wire.Heard
}

type gate func(iam.Request) error

func (g gate) Allow(_ context.Context, requests ...iam.Request) error {
	for _, r := range requests {
		if err := g(r); err != nil {
			return err
		}
	}
	return nil
}

func build(t *testing.T, allow gate) *house {
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
	h := &house{T: t}
	h.vault = vault.New(vault.Config{DB: d, Sealer: sealer, Account: wiretest.Account, Region: wiretest.Region, Log: slog.New(slog.DiscardHandler)})
	if allow == nil {
		allow = func(iam.Request) error { return nil }
	}
	s := secretsmanager.Service(secretsmanager.Config{Vault: h.vault, Gate: allow})
	h.model = s.Model
	h.Server = wiretest.Serve(t, wiretest.Options{Gate: allow, Heard: func(_ context.Context, heard wire.Heard) error { h.heard = append(h.heard, heard); return nil }}, s)
	return h
}

// call is an answer, which is held against the model.
func (h *house) call(operation, body string) (answer map[string]any, status int, text string) {
	h.Helper()
	response, raw := h.Call(h, "secretsmanager", "POST", "/", "secretsmanager."+operation, body)
	if response.StatusCode == 200 {
		wiretest.Valid(h, h.model, operation, raw)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		h.Fatalf("%s: %v\n%s", operation, err, raw)
	}
	return answer, response.StatusCode, string(raw)
}

// Every operation answers as Secrets Manager does, in good and in bad cases.
func TestOperations(t *testing.T) {
	h := build(t, nil)
	const token, other = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
	for i, c := range []struct {
		operation, body string
		status          int
		want            string
	}{
		{"CreateSecret", `{"Name":"shop/db","SecretString":"one","Description":"The shop's","ClientRequestToken":"` + token + `","Tags":[{"Key":"team","Value":"blue"}],"KmsKeyId":"alias/shop"}`, 200, `"VersionId":"` + token + `"`},
		{"CreateSecret", `{"Name":"shop/db","SecretString":"one","ClientRequestToken":"` + token + `"}`, 200, `"VersionId":"` + token + `"`},
		{"CreateSecret", `{"Name":"shop/db","SecretString":"two"}`, 400, `ResourceExistsException`},
		{"CreateSecret", `{"Name":"shop db","SecretString":"two"}`, 400, `InvalidParameterException`},
		{"CreateSecret", `{"Name":"x","SecretString":"two","SecretBinary":"dHdv"}`, 400, `InvalidParameterException`},
		{"CreateSecret", `{"Name":"x","AddReplicaRegions":[{"Region":"eu-west-1"}]}`, 400, `not replicated`},
		{"CreateSecret", `{"Name":"x","Type":"rotating"}`, 400, `InvalidRequestException`},
		{"CreateSecret", `{"Name":"x","Tags":[{"Key":"a","Value":"1"},{"Key":"a","Value":"2"}]}`, 400, `InvalidParameterException`},
		{"CreateSecret", `{"Name":"shop/key","SecretBinary":"AAECAw=="}`, 200, `shop/key`},
		{"GetSecretValue", `{"SecretId":"shop/key"}`, 200, `"SecretBinary":"AAECAw=="`},
		{"GetSecretValue", `{"SecretId":"shop/db"}`, 200, `"SecretString":"one"`},
		{"GetSecretValue", `{"SecretId":"shop/db","VersionStage":"AWSPENDING"}`, 400, `can't find the specified secret value for staging label: AWSPENDING`},
		{"GetSecretValue", `{"SecretId":"nothing"}`, 400, `ResourceNotFoundException`},
		{"PutSecretValue", `{"SecretId":"shop/db","SecretString":"two","ClientRequestToken":"` + other + `"}`, 200, `"VersionStages":["AWSCURRENT"]`},
		{"PutSecretValue", `{"SecretId":"shop/db","SecretString":"three","ClientRequestToken":"` + other + `"}`, 400, `ResourceExistsException`},
		{"PutSecretValue", `{"SecretId":"shop/db"}`, 400, `InvalidParameterException`},
		{"GetSecretValue", `{"SecretId":"shop/db","VersionStage":"AWSPREVIOUS"}`, 200, `"SecretString":"one"`},
		{"GetSecretValue", `{"SecretId":"shop/db","VersionStage":"AWSPREVIOUS","VersionId":"` + other + `"}`, 400, `InvalidRequestException`},
		{"ListSecretVersionIds", `{"SecretId":"shop/db","MaxResults":1}`, 200, `"NextToken":`},
		{"UpdateSecretVersionStage", `{"SecretId":"shop/db","VersionStage":"AWSCURRENT","MoveToVersionId":"` + token + `"}`, 400, `InvalidParameterException`},
		{"UpdateSecretVersionStage", `{"SecretId":"shop/db","VersionStage":"AWSCURRENT","MoveToVersionId":"` + token + `","RemoveFromVersionId":"` + other + `"}`, 200, `shop/db`},
		{"GetSecretValue", `{"SecretId":"shop/db"}`, 200, `"SecretString":"one"`},
		{"UpdateSecret", `{"SecretId":"shop/db","Description":"Ours","SecretString":"four"}`, 200, `VersionId`},
		{"UpdateSecret", `{"SecretId":"shop/db","KmsKeyId":""}`, 200, `shop/db`},
		{"DescribeSecret", `{"SecretId":"shop/db"}`, 200, `"Description":"Ours"`},
		{"TagResource", `{"SecretId":"shop/db","Tags":[{"Key":"cost","Value":"42"}]}`, 200, `{}`},
		{"UntagResource", `{"SecretId":"shop/db","TagKeys":["team"]}`, 200, `{}`},
		{"DescribeSecret", `{"SecretId":"shop/db"}`, 200, `"Tags":[{"Key":"cost","Value":"42"}]`},
		{"ListSecrets", `{"Filters":[{"Key":"tag-key","Values":["cost"]}]}`, 200, `"Name":"shop/db"`},
		{"PutResourcePolicy", `{"SecretId":"shop/db","ResourcePolicy":"{}x"}`, 400, `MalformedPolicyDocumentException`},
		{"PutResourcePolicy", `{"SecretId":"shop/db","BlockPublicPolicy":true,"ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"secretsmanager:*\",\"Resource\":\"*\"}]}"}`, 400, `PublicPolicyException`},
		{"ValidateResourcePolicy", `{"ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"secretsmanager:*\",\"Resource\":\"*\"}]}"}`, 200, `"PolicyValidationPassed":false`},
		{"ValidateResourcePolicy", `{"SecretId":"shop/db","ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"secretsmanager:*\",\"Resource\":\"*\"}]}"}`, 200, `"PolicyValidationPassed":true`},
		{"ValidateResourcePolicy", `{"ResourcePolicy":"{"}`, 200, `"PolicyValidationPassed":false`},
		{"PutResourcePolicy", `{"SecretId":"shop/db","ResourcePolicy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"secretsmanager:*\",\"Resource\":\"*\"}]}"}`, 200, `shop/db`},
		{"GetResourcePolicy", `{"SecretId":"shop/db"}`, 200, `2012-10-17`},
		{"DeleteResourcePolicy", `{"SecretId":"shop/db"}`, 200, `shop/db`},
		{"GetRandomPassword", `{"PasswordLength":8,"ExcludePunctuation":true,"ExcludeUppercase":true,"ExcludeLowercase":true}`, 200, `RandomPassword`},
		{"GetRandomPassword", `{"PasswordLength":3}`, 400, `InvalidParameterException`},
		{"GetRandomPassword", `{"ExcludeCharacters":"0123456789","ExcludePunctuation":true,"ExcludeUppercase":true,"ExcludeLowercase":true}`, 400, `InvalidParameterException`},
		{"BatchGetSecretValue", `{"SecretIdList":["shop/db","shop/key","nothing"]}`, 200, `ResourceNotFoundException`},
		{"BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["shop/"]}],"MaxResults":1}`, 200, `NextToken`},
		{"BatchGetSecretValue", `{}`, 400, `InvalidParameterException`},
		{"DeleteSecret", `{"SecretId":"shop/db","RecoveryWindowInDays":0}`, 400, `InvalidParameterException`},
		{"DeleteSecret", `{"SecretId":"shop/db","RecoveryWindowInDays":7,"ForceDeleteWithoutRecovery":true}`, 400, `InvalidParameterException`},
		{"DeleteSecret", `{"SecretId":"shop/db"}`, 200, `DeletionDate`},
		{"GetSecretValue", `{"SecretId":"shop/db"}`, 400, `marked for deletion`},
		{"DescribeSecret", `{"SecretId":"shop/db"}`, 200, `DeletedDate`},
		{"ListSecrets", `{"SortBy":"name"}`, 200, `[{"ARN":`},
		{"RestoreSecret", `{"SecretId":"shop/db"}`, 200, `shop/db`},
		{"DeleteSecret", `{"SecretId":"shop/db","ForceDeleteWithoutRecovery":true}`, 200, `DeletionDate`},
		{"DeleteSecret", `{"SecretId":"shop/db","ForceDeleteWithoutRecovery":true}`, 200, `shop/db`},
		{"RotateSecret", `{"SecretId":"shop/key"}`, 501, `NotImplemented`},
	} {
		if _, status, text := h.call(c.operation, c.body); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%d: %s %s: %d %s, want %d %s", i, c.operation, c.body, status, text, c.status, c.want)
		}
	}
}

// Lists are filtered and sorted as Secrets Manager does, and pages hold each secret once, also while one goes.
func TestLists(t *testing.T) {
	h := build(t, nil)
	for i, name := range []string{"prod/db", "prod/api-key", "test/db", "Prod/other"} {
		if _, status, text := h.call("CreateSecret", fmt.Sprintf(`{"Name":%q,"Description":"Number %d of team Blue","SecretString":"x","Tags":[{"Key":"stage","Value":%q}]}`, name, i, name[:4])); status != 200 {
			t.Fatal(text)
		}
	}
	names := func(body string) string {
		answer, status, text := h.call("ListSecrets", body)
		if status != 200 {
			return text
		}
		var all []string
		for _, one := range answer["SecretList"].([]any) {
			all = append(all, one.(map[string]any)["Name"].(string))
		}
		return strings.Join(all, " ")
	}
	for filters, want := range map[string]string{
		`[]`:                                   "prod/db prod/api-key test/db Prod/other",
		`[{"Key":"name","Values":["prod/"]}]`:  "prod/db prod/api-key",
		`[{"Key":"name","Values":["!prod/"]}]`: "test/db Prod/other",
		`[{"Key":"name","Values":["prod/","test"]},{"Key":"all","Values":["db"]}]`:          "prod/db test/db",
		`[{"Key":"description","Values":["number 2"]}]`:                                     "test/db",
		`[{"Key":"tag-value","Values":["Prod"]}]`:                                           "Prod/other",
		`[{"Key":"tag-key","Values":["sta"]},{"Key":"tag-value","Values":["test","prod"]}]`: "prod/db prod/api-key test/db",
		`[{"Key":"all","Values":["blue KEY"]}]`:                                             "prod/api-key",
		`[{"Key":"owning-service","Values":["rds"]}]`:                                       "",
	} {
		if got := names(`{"SortOrder":"asc","Filters":` + filters + `}`); got != want {
			t.Errorf("%s: %q, want %q", filters, got, want)
		}
	}
	if got := names(`{"SortBy":"name","SortOrder":"desc"}`); got != "test/db prod/db prod/api-key Prod/other" {
		t.Error(got)
	}
	answer, _, _ := h.call("ListSecrets", `{"SortBy":"name","MaxResults":2}`)
	if _, status, text := h.call("DeleteSecret", `{"SecretId":"prod/api-key","ForceDeleteWithoutRecovery":true}`); status != 200 {
		t.Fatal(text)
	}
	if got := names(fmt.Sprintf(`{"SortBy":"name","MaxResults":2,"NextToken":%q}`, answer["NextToken"])); got != "prod/db test/db" {
		t.Error(got)
	}
	if got := names(`{"NextToken":"bm90IG9uZQ"}`); !strings.Contains(got, "InvalidNextTokenException") {
		t.Error(got)
	}
}

// Policies decide on the ARN of a secret and its tags, however it was named, and on each of a batch.
func TestPolicies(t *testing.T) {
	var asked []iam.Request
	h := build(t, func(r iam.Request) error {
		asked = append(asked, r)
		if values := r.Context["aws:ResourceTag/team"]; r.Action == "secretsmanager:GetSecretValue" && len(values) == 1 && values[0] == "red" || r.Context["aws:resourcetag/team"] != nil && r.Context["aws:resourcetag/team"][0] == "red" && r.Action == "secretsmanager:GetSecretValue" {
			return denied
		}
		return nil
	})
	h.call("CreateSecret", `{"Name":"blue","SecretString":"x","Tags":[{"Key":"team","Value":"blue"}]}`)
	if len(asked) != 2 || asked[0].Action != "secretsmanager:CreateSecret" || asked[1].Action != "secretsmanager:TagResource" || !strings.HasSuffix(asked[0].Resource, ":secret:blue") {
		t.Errorf("%+v", asked)
	}
	h.call("CreateSecret", `{"Name":"red","SecretString":"secret of red","Tags":[{"Key":"team","Value":"red"}]}`)
	asked = nil
	if _, status, text := h.call("GetSecretValue", `{"SecretId":"red"}`); status != 400 || !strings.Contains(text, "AccessDeniedException") {
		t.Error(status, text)
	}
	if !strings.Contains(asked[0].Resource, ":secret:red-") {
		t.Error(asked[0].Resource)
	}
	if _, _, text := h.call("BatchGetSecretValue", `{"SecretIdList":["blue","red"]}`); strings.Contains(text, "secret of red") || !strings.Contains(text, "AccessDeniedException") || !strings.Contains(text, `"SecretString":"x"`) {
		t.Error(text)
	}
	asked = nil
	if _, status, _ := h.call("GetSecretValue", `{"SecretId":"nothing"}`); status != 400 || !strings.HasSuffix(asked[0].Resource, ":secret:nothing") {
		t.Errorf("%+v", asked)
	}
}

var denied = func() error {
	a := access.New(access.Config{})
	return a.Allow(context.Background()) // nothing asked is denied
}()

// What is told of a call has no value in it.
func TestNoValueIsHeard(t *testing.T) {
	h := build(t, nil)
	for _, body := range []string{`{"Name":"a","SecretString":"correct horse"}`, `{"Name":"b","SecretBinary":"Y29ycmVjdCBob3JzZQ=="}`} {
		if _, status, text := h.call("CreateSecret", body); status != 200 {
			t.Fatal(text)
		}
	}
	h.call("UpdateSecret", `{"SecretId":"a","SecretString":"correct horse 2"}`)
	for _, heard := range h.heard {
		if out := heard.Output(); bytes.Contains(out, []byte("horse")) || bytes.Contains(out, []byte("Y29y")) {
			t.Errorf("%s tells %s", heard.Action, out)
		}
	}
}

// The real aws commands keep, tell, list and delete secrets.
func TestCommands(t *testing.T) {
	for _, client := range wiretest.Clients(t) {
		t.Run(filepath.Base(filepath.Dir(client.Path)), func(t *testing.T) {
			t.Parallel()
			h := build(t, nil)
			aws := func(arguments ...string) string {
				t.Helper()
				out, problems, err := client.Run(t, h.Server, append([]string{"secretsmanager"}, arguments...)...)
				if err != nil {
					return problems
				}
				return strings.TrimSpace(out)
			}
			for _, c := range [][2]string{
				{aws("create-secret", "--name", "shop/db", "--secret-string", `{"user":"shop","password":"hunter22"}`, "--query", "Name", "--output", "text"), "shop/db"},
				{aws("get-secret-value", "--secret-id", "shop/db", "--query", "SecretString", "--output", "text"), `{"user":"shop","password":"hunter22"}`},
				{aws("put-secret-value", "--secret-id", "shop/db", "--secret-string", "two", "--query", "VersionStages[0]", "--output", "text"), "AWSCURRENT"},
				{aws("get-secret-value", "--secret-id", "shop/db", "--version-stage", "AWSPREVIOUS", "--query", "SecretString", "--output", "text"), `{"user":"shop","password":"hunter22"}`},
				{aws("list-secrets", "--query", "SecretList[].Name", "--output", "text"), "shop/db"},
				{aws("get-secret-value", "--secret-id", "other"), "ResourceNotFoundException"},
				{aws("delete-secret", "--secret-id", "shop/db", "--query", "Name", "--output", "text"), "shop/db"},
				{aws("restore-secret", "--secret-id", "shop/db", "--query", "Name", "--output", "text"), "shop/db"},
			} {
				if c[0] != c[1] && !(len(c[1]) > 5 && strings.Contains(c[0], c[1])) {
					t.Errorf("got %q, want %q", c[0], c[1])
				}
			}
		})
	}
}

// boto3 reads answers as typed values, and raises each error as its own class.
func TestBoto3(t *testing.T) {
	h := build(t, nil)
	out, problems, err := h.Python(t, `
c = client('secretsmanager')
c.create_secret(Name='key', SecretBinary=bytes(range(256)))
print(c.get_secret_value(SecretId='key')['SecretBinary'] == bytes(range(256)))
print(type(c.describe_secret(SecretId='key')['CreatedDate']).__name__)
for i in range(5): c.create_secret(Name='many/%d' % i, SecretString='value %d' % i)
print([s['Name'] for p in c.get_paginator('list_secrets').paginate(PaginationConfig={'PageSize': 2}, SortOrder='asc', SortBy='name') for s in p['SecretList']])
print([v['SecretString'] for v in c.batch_get_secret_value(Filters=[{'Key': 'name', 'Values': ['many/']}])['SecretValues']])
for call, kw in ((c.get_secret_value, dict(SecretId='x')), (c.create_secret, dict(Name='key', SecretString='x')), (c.delete_secret, dict(SecretId='key', RecoveryWindowInDays=3))):
    try: call(**kw)
    except Exception as e: print(type(e).__name__)
`)
	if err != nil {
		t.Fatalf("%v %s", err, problems)
	}
	want := `True
datetime
['key', 'many/0', 'many/1', 'many/2', 'many/3', 'many/4']
['value 0', 'value 1', 'value 2', 'value 3', 'value 4']
ResourceNotFoundException
ResourceExistsException
InvalidParameterException
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// Passwords hold what was asked for, and are never the same.
func TestPasswords(t *testing.T) {
	h := build(t, nil)
	seen := map[string]bool{}
	for range 50 {
		answer, status, text := h.call("GetRandomPassword", `{"PasswordLength":5,"IncludeSpace":true,"ExcludeCharacters":"abc"}`)
		if status != 200 {
			t.Fatal(text)
		}
		p := answer["RandomPassword"].(string)
		if len(p) != 5 || seen[p] || !strings.Contains(p, " ") || strings.ContainsAny(p, "abc") || !strings.ContainsAny(p, "0123456789") {
			t.Errorf("%q", p)
		}
		seen[p] = true
	}
}

// A value that was sealed under a lost root key is said to be that, and nothing of it.
func TestLostKey(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), vault.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i, c := range []struct{ operation, body, want string }{
		{"CreateSecret", `{"Name":"a","SecretString":"one"}`, `"Name":"a"`},
		{"GetSecretValue", `{"SecretId":"a"}`, "DecryptionFailure"},
		{"BatchGetSecretValue", `{"SecretIdList":["a"]}`, "DecryptionFailure"},
	} {
		sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), fmt.Sprint(i, ".key")))
		if err != nil {
			t.Fatal(err)
		}
		v := vault.New(vault.Config{DB: d, Sealer: sealer, Account: wiretest.Account, Region: wiretest.Region, Log: slog.New(slog.DiscardHandler)})
		s := wiretest.Serve(t, wiretest.Options{}, secretsmanager.Service(secretsmanager.Config{Vault: v, Gate: gate(func(iam.Request) error { return nil })}))
		if _, text := s.Call(t, "secretsmanager", "POST", "/", "secretsmanager."+c.operation, c.body); !strings.Contains(string(text), c.want) {
			t.Errorf("%s: %s", c.operation, text)
		}
	}
}
