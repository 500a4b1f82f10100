package codebuild_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/door/wire/codebuild"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestMain(m *testing.M) {
	sandbox.Child()
	os.Exit(m.Run())
}

func TestOps(t *testing.T) {
	wiretest.Ops(t, codebuild.Service(nil), "ops.txt", *update)
}

const spec = `version: 0.2
batch:
  build-list:
    - identifier: one
    - identifier: two
      ignore-failure: true
phases:
  build:
    commands:
      - echo building ${WHAT:-nothing}
      - mkdir -p reports && cp junit.xml cover.out reports/
      - test "$WHAT" != bad
reports:
  tests:
    files: [junit.xml]
    base-directory: reports
  coverage:
    files: [cover.out]
    base-directory: reports
    file-format: gocover
artifacts:
  files: [junit.xml]
`

const junit = `<testsuite name="shop"><testcase name="pays" time="0.5"/><testcase name="ships" time="0.1"><failure message="too late">why</failure></testcase></testsuite>`

// open is a room at work on a repository shop.
func open(t *testing.T) *build.Builds {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), bus.Schema(), source.Schema(), work.Schema(), build.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	b := bus.New(d)
	repos := source.New(source.Config{DB: d, Bus: b, Dir: filepath.Join(dir, "repos"), Account: wiretest.Account, Region: wiretest.Region, Log: quiet})
	blobs, err := blob.Open(filepath.Join(dir, "blobs"))
	must(t, err)
	_, err = repos.Create(t.Context(), source.Repository{Name: "shop"})
	must(t, err)
	repo, err := repos.Git("shop")
	must(t, err)
	clone := gittest.New(t)
	clone.Commit("first", map[string]string{"buildspec.yml": spec, "junit.xml": junit, "cover.out": "mode: set\nshop/a.go:1.1,3.2 2 1\nshop/a.go:4.1,5.2 2 0\n"})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	must(t, repos.Repair(t.Context()))
	walls := sandbox.New(sandbox.Config{})
	room := build.New(build.Config{
		DB: d, Bus: b, Work: work.New(work.Config{DB: d, Log: quiet}), Source: repos, Blobs: blobs, Folder: filepath.Join(dir, "work"), Account: wiretest.Account, Region: wiretest.Region, Log: quiet, Steps: walls, Poll: 50 * time.Millisecond,
		Machine: build.Machine{Builder: tool.New(tool.Config{Runner: walls}), Level: walls.Level}, Page: func(path string) string { return "http://haechi.test" + path },
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := room.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wait.Wait() })
	return room
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type object = map[string]any

// call sends one operation; the model must agree with what is answered.
func call(t *testing.T, s *wiretest.Server, operation string, in any) (int, object) {
	t.Helper()
	body, err := json.Marshal(in)
	must(t, err)
	response, text := s.Call(t, "codebuild", "POST", "/", "CodeBuild_20161006."+operation, string(body))
	if response.StatusCode == http.StatusOK {
		wiretest.Valid(t, codebuild.Service(nil).Model, operation, text)
	}
	out := object{}
	if len(text) > 0 {
		must(t, json.Unmarshal(text, &out))
	}
	return response.StatusCode, out
}

// good is call for what must succeed.
func good(t *testing.T, s *wiretest.Server, operation string, in any) object {
	t.Helper()
	status, out := call(t, s, operation, in)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %v", operation, status, out)
	}
	return out
}

func ended(t *testing.T, s *wiretest.Server, id any) object {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		b := good(t, s, "BatchGetBuilds", object{"ids": []any{id}})["builds"].([]any)[0].(object)
		if b["buildComplete"] == true {
			return b
		}
	}
	t.Fatalf("build %v does not end", id)
	return nil
}

// project is what aws codebuild create-project is given.
func project(name string) object {
	return object{
		"name": name, "source": object{"type": "CODECOMMIT", "location": "https://haechi.test/git/shop"}, "artifacts": object{"type": "NO_ARTIFACTS"},
		"environment": object{"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL", "environmentVariables": []object{{"name": "WHAT", "value": "shoes"}}},
		"serviceRole": "arn:aws:iam::" + wiretest.Account + ":role/builder",
	}
}

// A repository is built as its own project; builds, reports, cases, coverage and
// trends are CodeBuild's to the letter of its model.
func TestBuildsAndReports(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, codebuild.Service(open(t)))
	if got := good(t, s, "ListProjects", object{})["projects"]; fmt.Sprint(got) != "[shop]" {
		t.Errorf("projects: %v", got)
	}
	for _, op := range [][2]string{{"ListReports", "reports"}, {"ListReportGroups", "reportGroups"}, {"ListFleets", "fleets"}} { // scripts count on lists that are empty
		if got, ok := good(t, s, op[0], object{})[op[1]].([]any); !ok || len(got) != 0 {
			t.Errorf("%s of nothing: %v", op[0], got)
		}
	}
	started := good(t, s, "StartBuild", object{"projectName": "shop", "environmentVariablesOverride": []object{{"name": "WHAT", "value": "hats"}}, "idempotencyToken": "once"})["build"].(object)
	again := good(t, s, "StartBuild", object{"projectName": "shop", "environmentVariablesOverride": []object{{"name": "WHAT", "value": "hats"}}, "idempotencyToken": "once"})["build"].(object)
	if again["id"] != started["id"] {
		t.Errorf("the same token: %v and %v", started["id"], again["id"])
	}
	b := ended(t, s, started["id"])
	if b["buildStatus"] != "SUCCEEDED" || b["initiator"] != "user/tester" || b["logs"].(object)["deepLink"] == "" || b["artifacts"].(object)["sha256sum"] == "" {
		t.Fatalf("%v", b)
	}
	reports := b["reportArns"].([]any)
	if len(reports) != 2 {
		t.Fatalf("reports: %v", reports)
	}
	tests := good(t, s, "BatchGetReports", object{"reportArns": reports})["reports"].([]any)
	if len(tests) != 2 {
		t.Fatalf("%v", tests)
	}
	for _, r := range tests {
		r := r.(object)
		switch r["type"] {
		case "TEST":
			if counts := r["testSummary"].(object)["statusCounts"].(object); counts["FAILED"] != 1.0 || counts["SUCCEEDED"] != 1.0 || r["status"] != "FAILED" {
				t.Errorf("%v", r)
			}
			cases := good(t, s, "DescribeTestCases", object{"reportArn": r["arn"], "filter": object{"status": "FAILED"}})["testCases"].([]any)
			if len(cases) != 1 || cases[0].(object)["name"] != "ships" || !strings.Contains(cases[0].(object)["message"].(string), "too late") {
				t.Errorf("cases: %v", cases)
			}
			trend := good(t, s, "GetReportGroupTrend", object{"reportGroupArn": r["reportGroupArn"], "trendField": "PASS_RATE"})
			if trend["stats"].(object)["average"] != "50" {
				t.Errorf("trend: %v", trend)
			}
		case "CODE_COVERAGE":
			files := good(t, s, "DescribeCodeCoverages", object{"reportArn": r["arn"]})["codeCoverages"].([]any)
			if len(files) != 1 || files[0].(object)["lineCoveragePercentage"] != 50.0 {
				t.Errorf("coverage: %v", files)
			}
		}
	}
	groups := good(t, s, "ListReportGroups", object{})["reportGroups"].([]any)
	if len(groups) != 2 || !strings.HasSuffix(groups[0].(string), ":report-group/shop-coverage") {
		t.Errorf("groups: %v", groups)
	}
	if listed := good(t, s, "ListReportsForReportGroup", object{"reportGroupArn": groups[1]})["reports"].([]any); len(listed) != 1 {
		t.Errorf("reports of %v: %v", groups[1], listed)
	}
	if status, out := call(t, s, "DeleteReportGroup", object{"arn": groups[1]}); status != 400 {
		t.Errorf("a group that holds reports: %d %v", status, out)
	}
	good(t, s, "DeleteReportGroup", object{"arn": groups[1], "deleteReports": true})
	if ids := good(t, s, "ListBuildsForProject", object{"projectName": "shop"})["ids"].([]any); len(ids) != 1 || ids[0] != started["id"] {
		t.Errorf("builds: %v", ids)
	}
	retried := good(t, s, "RetryBuild", object{"id": started["id"]})["build"].(object)
	if retried["buildNumber"] != 2.0 {
		t.Errorf("%v", retried)
	}
	for _, operation := range []string{"StopBuild", "RetryBuild", "StopBuildBatch", "RetryBuildBatch"} {
		for id, want := range map[string]string{"x": "InvalidInputException", "shop:": "InvalidInputException", "shop:0": "ResourceNotFoundException"} {
			if status, out := call(t, s, operation, object{"id": id}); status != 400 || !strings.HasSuffix(out["__type"].(string), want) {
				t.Errorf("%s %q: %d %v", operation, id, status, out)
			}
		}
	}
	good(t, s, "StopBuild", object{"id": retried["id"]})
	if b := ended(t, s, retried["id"]); b["buildStatus"] != "STOPPED" && b["buildStatus"] != "SUCCEEDED" {
		t.Errorf("%v", b)
	}
	if out := good(t, s, "BatchDeleteBuilds", object{"ids": []any{started["id"], "shop:none"}}); len(out["buildsDeleted"].([]any)) != 1 || len(out["buildsNotDeleted"].([]any)) != 1 {
		t.Errorf("%v", out)
	}
	without := object{"projectName": "shop", "sourceTypeOverride": "NO_SOURCE", "buildspecOverride": "version: 0.2\nphases: {build: {commands: [ls]}}\n"}
	if made := good(t, s, "StartBuild", without)["build"].(object); made["source"].(object)["type"] != "NO_SOURCE" || made["resolvedSourceVersion"] != nil { // its project's location is that of another source
		t.Errorf("a build without a source: %v", made)
	}
}

// Projects are made, changed and deleted; what a build here cannot have is refused with the words for it.
func TestProjects(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, codebuild.Service(open(t)))
	made := good(t, s, "CreateProject", project("hats"))["project"].(object)
	if made["timeoutInMinutes"] != 60.0 || made["arn"] != "arn:aws:codebuild:us-east-1:"+wiretest.Account+":project/hats" {
		t.Errorf("%v", made)
	}
	if status, out := call(t, s, "CreateProject", project("hats")); status != 400 || !strings.HasSuffix(out["__type"].(string), "ResourceAlreadyExistsException") {
		t.Errorf("twice: %d %v", status, out)
	}
	changed := good(t, s, "UpdateProject", object{"name": "hats", "description": "all hats", "source": object{"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [echo $WHAT]}}\n"}})["project"].(object)
	if changed["description"] != "all hats" || changed["source"].(object)["location"] != nil || len(changed["environment"].(object)["environmentVariables"].([]any)) != 1 {
		t.Errorf("%v", changed)
	}
	b := ended(t, s, good(t, s, "StartBuild", object{"projectName": "hats"})["build"].(object)["id"])
	if b["buildStatus"] != "SUCCEEDED" {
		t.Errorf("%v", b)
	}
	got := good(t, s, "BatchGetProjects", object{"names": []string{"hats", "shop", "none"}})
	if len(got["projects"].([]any)) != 2 || fmt.Sprint(got["projectsNotFound"]) != "[none]" {
		t.Errorf("%v", got)
	}
	with := func(path string, value any) object {
		p := project("no")
		at := p
		names := strings.Split(path, ".")
		for _, n := range names[:len(names)-1] {
			at = at[n].(object)
		}
		at[names[len(names)-1]] = value
		return p
	}
	for path, value := range map[string]any{
		"vpcConfig": object{"vpcId": "vpc-1"}, "fileSystemLocations": []object{{"type": "EFS"}}, "badgeEnabled": true, "encryptionKey": "arn:aws:kms:us-east-1:1:key/2",
		"environment.privilegedMode": true, "environment.type": "WINDOWS_CONTAINER", "environment.computeType": "BUILD_LAMBDA_1GB", "environment.certificate": "bucket/cert",
		"artifacts": object{"type": "S3", "location": "No Bucket"}, "cache": object{"type": "S3", "location": "bucket"}, "source": object{"type": "GITHUB", "location": "https://github.com/a/b.git"},
		"logsConfig": object{"s3Logs": object{"status": "ENABLED", "location": "bucket"}}, "environment.environmentVariables": []object{{"name": "CODEBUILD_X", "value": "1"}},
		"environment.fleet": object{"fleetArn": "arn:aws:codebuild:us-east-1:1:fleet/none"}, "source.auth": object{"type": "CODECONNECTIONS"},
	} {
		status, out := call(t, s, "CreateProject", with(path, value))
		if message, _ := out["message"].(string); status != 400 || message == "" {
			t.Errorf("%s: %d %v", path, status, out)
		}
	}
	good(t, s, "InvalidateProjectCache", object{"projectName": "hats"})
	good(t, s, "DeleteProject", object{"name": "hats"})
	if status, out := call(t, s, "StartBuild", object{"projectName": "hats"}); status != 400 || !strings.HasSuffix(out["__type"].(string), "ResourceNotFoundException") {
		t.Errorf("deleted: %d %v", status, out)
	}
	if status, _ := call(t, s, "ImportSourceCredentials", object{"token": "x", "serverType": "GITHUB", "authType": "OAUTH"}); status != 400 {
		t.Errorf("credentials: %d", status)
	}
	good(t, s, "ListSourceCredentials", object{})
	good(t, s, "ListCuratedEnvironmentImages", object{})
}

// Batches, fleets and webhooks answer as their models say.
func TestBatchesFleetsWebhooks(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, codebuild.Service(open(t)))
	id := good(t, s, "StartBuildBatch", object{"projectName": "shop", "environmentVariablesOverride": []object{{"name": "WHAT", "value": "hats"}}})["buildBatch"].(object)["id"]
	var batch object
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline) && batch["complete"] != true; time.Sleep(20 * time.Millisecond) {
		batch = good(t, s, "BatchGetBuildBatches", object{"ids": []any{id}})["buildBatches"].([]any)[0].(object)
	}
	if groups, _ := batch["buildGroups"].([]any); batch["buildBatchStatus"] != "SUCCEEDED" || len(groups) != 2 {
		t.Fatalf("%v", batch)
	}
	if ids := good(t, s, "ListBuildBatchesForProject", object{"projectName": "shop"})["ids"].([]any); !slices.Equal(ids, []any{id}) {
		t.Errorf("%v", ids)
	}
	good(t, s, "RetryBuildBatch", object{"id": id, "retryType": "RETRY_ALL_BUILDS"})
	good(t, s, "StopBuildBatch", object{"id": id})
	if out := good(t, s, "DeleteBuildBatch", object{"id": id}); len(out["buildsDeleted"].([]any)) < 2 {
		t.Errorf("%v", out)
	}

	rules := object{"defaultBehavior": "DENY_ALL", "orderedProxyRules": []object{{"type": "DOMAIN", "effect": "ALLOW", "entities": []string{"proxy.golang.org"}}}}
	fleet := good(t, s, "CreateFleet", object{"name": "go-only", "baseCapacity": 1, "environmentType": "LINUX_CONTAINER", "computeType": "BUILD_GENERAL1_SMALL", "proxyConfiguration": rules})["fleet"].(object)
	p := project("hats")
	p["environment"].(object)["fleet"] = object{"fleetArn": fleet["arn"]}
	good(t, s, "CreateProject", p)
	if status, _ := call(t, s, "DeleteFleet", object{"arn": fleet["arn"]}); status != 400 {
		t.Errorf("a fleet that a project names was deleted: %d", status)
	}
	good(t, s, "UpdateFleet", object{"arn": fleet["arn"], "proxyConfiguration": object{"defaultBehavior": "DENY_ALL"}})
	good(t, s, "BatchGetFleets", object{"names": []any{fleet["arn"], "none"}})
	good(t, s, "ListFleets", object{})

	filters := [][]object{{{"type": "EVENT", "pattern": "PUSH"}, {"type": "HEAD_REF", "pattern": "^refs/heads/main$"}}}
	if hook := good(t, s, "CreateWebhook", object{"projectName": "hats", "filterGroups": filters})["webhook"].(object); hook["status"] != "ACTIVE" {
		t.Errorf("%v", hook)
	}
	if status, _ := call(t, s, "CreateWebhook", object{"projectName": "hats"}); status != 400 {
		t.Errorf("twice: %d", status)
	}
	if status, _ := call(t, s, "UpdateWebhook", object{"projectName": "hats", "filterGroups": [][]object{{{"type": "HEAD_REF", "pattern": "("}}}}); status != 400 {
		t.Errorf("no expression: %d", status)
	}
	good(t, s, "UpdateWebhook", object{"projectName": "hats", "branchFilter": "^release/"})
	good(t, s, "DeleteWebhook", object{"projectName": "hats"})
}

// Whoever names a repository as the source of a build must be let read it: a build shows what it reads.
func TestAsksForSources(t *testing.T) {
	var denied []string
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool {
		if no := strings.HasPrefix(r.Action, "codecommit:") || strings.HasPrefix(r.Action, "s3:Get"); no {
			denied = append(denied, r.Action+" "+r.Resource)
			return true
		}
		return false
	}}, codebuild.Service(open(t)))
	repository := "codecommit:GitPull arn:aws:codecommit:us-east-1:" + wiretest.Account + ":hidden"
	env, none := object{"type": "LINUX_CONTAINER", "image": "haechi/host", "computeType": "BUILD_GENERAL1_SMALL"}, object{"type": "NO_ARTIFACTS"}
	hidden := object{"type": "CODECOMMIT", "location": "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/hidden"}
	for operation, in := range map[string]object{
		"StartBuild":      {"projectName": "shop", "sourceLocationOverride": "hidden"},
		"StartBuildBatch": {"projectName": "shop", "sourceTypeOverride": "CODECOMMIT", "sourceLocationOverride": "hidden"},
		"CreateProject":   {"name": "mine", "source": hidden, "artifacts": none, "environment": env, "serviceRole": "arn:aws:iam::" + wiretest.Account + ":role/x"},
		"UpdateProject":   {"name": "shop", "source": hidden},
	} {
		denied = nil
		if status, _ := call(t, s, operation, in); status < 400 || len(denied) != 1 || denied[0] != repository {
			t.Errorf("%s: %d, asked %v", operation, status, denied)
		}
	}
	if status, _ := call(t, s, "StartBuild", object{"projectName": "shop"}); status != 200 {
		t.Errorf("the project's own source: %d", status)
	}
}

// IAM is asked for the operation on the project, the report group or the fleet.
func TestAsks(t *testing.T) {
	var asked []string
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool {
		asked = append(asked, r.Action+" "+strings.TrimPrefix(r.Resource, "arn:aws:codebuild:us-east-1:"+wiretest.Account+":"))
		return true
	}}, codebuild.Service(open(t)))
	for want, in := range map[string]object{
		"codebuild:StartBuild project/shop":                     {"projectName": "shop"},
		"codebuild:StopBuild project/shop":                      {"id": "shop:0"},
		"codebuild:BatchGetReports report-group/shop-tests":     {"reportArns": []string{"arn:aws:codebuild:us-east-1:" + wiretest.Account + ":report/shop-tests:0"}},
		"codebuild:DescribeTestCases report-group/shop-tests":   {"reportArn": "arn:aws:codebuild:us-east-1:" + wiretest.Account + ":report/shop-tests:0"},
		"codebuild:DeleteBuildBatch project/shop":               {"id": "arn:aws:codebuild:us-east-1:" + wiretest.Account + ":build-batch/shop:0"},
		"codebuild:CreateWebhook project/hats":                  {"projectName": "hats"},
		"codebuild:InvalidateProjectCache project/hats":         {"projectName": "hats"},
		"codebuild:ListBuilds *":                                {},
		"codebuild:GetReportGroupTrend report-group/shop-tests": {"reportGroupArn": "shop-tests", "trendField": "TOTAL"},
	} {
		asked = nil
		operation := strings.TrimPrefix(strings.Fields(want)[0], "codebuild:")
		if status, _ := call(t, s, operation, in); status != 400 && status != 403 || len(asked) == 0 || asked[0] != want {
			t.Errorf("%s: %d, asked %v", want, status, asked)
		}
	}
}

// The aws commands of both versions and boto3 work unmodified.
func TestRealClients(t *testing.T) {
	s := wiretest.Serve(t, wiretest.Options{}, codebuild.Service(open(t)))
	for i, aws := range wiretest.Clients(t) {
		name := fmt.Sprint("cli-", i)
		run := func(arguments ...string) string {
			t.Helper()
			out, problems, err := aws.Run(t, s, append([]string{"codebuild"}, arguments...)...)
			if err != nil {
				t.Errorf("%s %v: %v %s", aws.Path, arguments, err, problems)
			}
			return strings.TrimSpace(out)
		}
		text, err := json.Marshal(project(name))
		must(t, err)
		run("create-project", "--cli-input-json", string(text))
		id := run("start-build", "--project-name", name, "--source-version", "main", "--query", "build.id", "--output", "text")
		ended(t, s, id)
		if got := run("batch-get-builds", "--ids", id, "--query", "builds[0].[buildStatus,projectName,sourceVersion]", "--output", "text"); got != "SUCCEEDED\t"+name+"\tmain" {
			t.Errorf("%s: %q", aws.Path, got)
		}
		if got := run("list-builds-for-project", "--project-name", name, "--query", "ids", "--output", "text"); got != id {
			t.Errorf("%s: %q", aws.Path, got)
		}
		run("list-projects")
		run("delete-project", "--name", name)
	}
	out, problems, err := s.Python(t, `
import time
cb = client('codebuild')
b = cb.start_build(projectName='shop', environmentVariablesOverride=[{'name': 'WHAT', 'value': 'bad'}])['build']
while not b['buildComplete']:
    time.sleep(0.05)
    b = cb.batch_get_builds(ids=[b['id']])['builds'][0]
phase = [p for p in b['phases'] if p['phaseType'] == 'BUILD'][0]
print(b['buildStatus'], phase['phaseStatus'], phase['contexts'][0]['statusCode'])
cases = cb.describe_test_cases(reportArn=[r for r in b['reportArns'] if 'shop-tests' in r][0])['testCases']
print(sorted(c['name'] + ' ' + c['status'] for c in cases))
try:
    cb.start_build(projectName='none')
except cb.exceptions.ResourceNotFoundException as e:
    print('not found')
print(len(list(cb.get_paginator('list_builds').paginate())))
`)
	want := "FAILED FAILED COMMAND_EXECUTION_ERROR\n['pays SUCCEEDED', 'ships FAILED']\nnot found\n1\n"
	if err != nil || out != want {
		t.Errorf("boto3: %v\n got %s%s\nwant %s", err, out, problems, want)
	}
}

// Whoever has a build read from or write to a bucket may do so themselves.
func TestBucketsAreAskedFor(t *testing.T) {
	var asked []string
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool {
		asked = append(asked, r.Action+" "+r.Resource)
		return strings.HasPrefix(r.Action, "s3:")
	}}, codebuild.Service(open(t)))
	source, made := object{"type": "S3", "location": "files/in/app.zip"}, object{"type": "S3", "location": "made"}
	env := object{"type": "LINUX_CONTAINER", "image": "haechi/host", "computeType": "BUILD_GENERAL1_SMALL"}
	for _, test := range []struct {
		operation string
		in        object
		want      string
	}{
		{"CreateProject", object{"name": "pack", "source": source, "artifacts": object{"type": "NO_ARTIFACTS"}, "environment": env, "serviceRole": "arn:aws:iam::1:role/x"}, "s3:GetObject arn:aws:s3:::files/in/app.zip"},
		{"CreateProject", object{"name": "pack", "source": object{"type": "CODECOMMIT", "location": "shop"}, "artifacts": made, "environment": env, "serviceRole": "arn:aws:iam::1:role/x"}, "s3:PutObject arn:aws:s3:::made/*"},
		{"UpdateProject", object{"name": "pack", "secondaryArtifacts": []object{made}}, "s3:PutObject arn:aws:s3:::made/*"},
		{"StartBuild", object{"projectName": "pack", "sourceLocationOverride": "files/in/app.zip"}, "s3:GetObject arn:aws:s3:::files/in/app.zip"},
		{"StartBuild", object{"projectName": "pack", "artifactsOverride": made}, "s3:PutObject arn:aws:s3:::made/*"},
	} {
		asked = nil
		if status, out := call(t, s, test.operation, test.in); status != 400 || !slices.Contains(asked, test.want) {
			t.Errorf("%s: %d %v, asked %v, want %s", test.operation, status, out, asked, test.want)
		}
	}
}
