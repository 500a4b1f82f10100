package codepipeline_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/codepipeline"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/pipeline"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) {
	wiretest.Ops(t, codepipeline.Service(codepipeline.Config{}), "ops.txt", *update)
}

// house is the service on a room that works, with a repository that has one commit.
type house struct {
	*testing.T
	*wiretest.Server
	model  *wire.Model
	commit string
	asked  *[]iam.Request
}

type gate struct{ asked *[]iam.Request }

func (g gate) Allow(_ context.Context, requests ...iam.Request) error {
	*g.asked = append(*g.asked, requests...)
	return nil
}

func build(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), bus.Schema(), hub.Schema(), source.Schema(), work.Schema(), pipeline.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	river := bus.New(d, bus.Config{Poll: 20 * time.Millisecond})
	kept, err := hub.New(t.Context(), hub.Config{DB: d, Bus: river, Account: wiretest.Account, Region: wiretest.Region})
	if err != nil {
		t.Fatal(err)
	}
	repositories := source.New(source.Config{DB: d, Bus: river, Dir: filepath.Join(dir, "repos"), Account: wiretest.Account, Region: wiretest.Region})
	runs := pipeline.New(pipeline.Config{
		DB: d, Bus: river, Queue: work.New(work.Config{DB: d, Poll: 20 * time.Millisecond, Log: log}), Source: repositories, Hub: kept, Account: wiretest.Account, Region: wiretest.Region, Log: log,
		Sealer: sealer,
	})
	h := &house{T: t, asked: &[]iam.Request{}}
	if _, err := repositories.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	repo, err := repositories.Git("shop")
	if err != nil {
		t.Fatal(err)
	}
	clone := gittest.New(t)
	h.commit = clone.Commit("one", map[string]string{"a.txt": "1"})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	if err := repositories.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = runs.Run(ctx) })
	t.Cleanup(func() { cancel(); wait.Wait() })
	s := codepipeline.Service(codepipeline.Config{Runs: runs, Account: wiretest.Account, Region: wiretest.Region})
	h.model = s.Model
	h.Server = wiretest.Serve(t, wiretest.Options{Gate: gate{h.asked}}, s)
	return h
}

// call is an answer, which is held against the model.
func (h *house) call(operation, body string) (answer map[string]any, status int, text string) {
	h.Helper()
	response, raw := h.Call(h, "codepipeline", "POST", "/", "CodePipeline_20150709."+operation, body)
	if response.StatusCode == 200 {
		wiretest.Valid(h, h.model, operation, raw)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &answer); err != nil {
			h.Fatalf("%s: %v\n%s", operation, err, raw)
		}
	}
	return answer, response.StatusCode, string(raw)
}

// until calls until the answer holds a text.
func (h *house) until(operation, body, want string) string {
	h.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, _, text := h.call(operation, body)
		if strings.Contains(text, want) {
			return text
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s never answers %s, but %s", operation, want, text)
		}
	}
}

const declared = `{"name":"release","roleArn":"arn:aws:iam::111122223333:role/r","artifactStore":{"type":"S3","location":"bucket"},"pipelineType":"V2","executionMode":"QUEUED","variables":[{"name":"TO","defaultValue":"test"}],"stages":[
{"name":"Source","actions":[{"name":"Code","actionTypeId":{"category":"Source","owner":"AWS","provider":"CodeCommit","version":"1"},"runOrder":1,"configuration":{"RepositoryName":"shop","BranchName":"main"},"outputArtifacts":[{"name":"code"}],"namespace":"Code"}]},
{"name":"Release","beforeEntry":{"conditions":[{"result":"FAIL","rules":[{"name":"main","ruleTypeId":{"category":"Rule","owner":"AWS","provider":"VariableCheck","version":"1"},"configuration":{"Variable":"#{Code.BranchName}","Value":"main","Operator":"EQ"}}]}]},
"actions":[{"name":"Ask","actionTypeId":{"category":"Approval","owner":"AWS","provider":"Manual","version":"1"},"runOrder":1,"configuration":{"CustomData":"to #{variables.TO}?","SeparationOfDuties":"false"}}]}]}`

// Every operation answers as CodePipeline does, in good and in bad cases.
func TestOperations(t *testing.T) {
	h := build(t)
	steps := func(all ...[4]string) {
		t.Helper()
		for _, c := range all {
			_, status, text := h.call(c[0], c[1])
			if fmt.Sprint(status) != c[2] || !strings.Contains(text, c[3]) {
				t.Errorf("%s %.200s: %d %s, want %s %s", c[0], c[1], status, text, c[2], c[3])
			}
		}
	}
	steps([][4]string{
		{"ListPipelines", `{}`, "200", `"name":"shop"`},
		{"GetPipeline", `{"name":"shop"}`, "200", `HaechiGate`},
		{"GetPipeline", `{"name":"nothing"}`, "400", `PipelineNotFoundException`},
		{"CreatePipeline", `{"pipeline":` + declared + `,"tags":[{"key":"team","value":"blue"}]}`, "200", `"version":1`},
		{"CreatePipeline", `{"pipeline":` + declared + `}`, "400", `PipelineNameInUseException`},
		{"CreatePipeline", `{"pipeline":` + strings.Replace(strings.Replace(declared, `"name":"release"`, `"name":"other"`, 1), `"CodeCommit"`, `"S3"`, 1) + `}`, "400", `InvalidActionDeclarationException`},
		{"CreatePipeline", `{"pipeline":` + strings.Replace(strings.Replace(declared, `"name":"release"`, `"name":"other"`, 1), `"shop"`, `"nothing"`, 1) + `}`, "400", `there is no repository`},
		{"DeletePipeline", `{"name":"shop"}`, "400", `it goes with the repository`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:codepipeline:us-east-1:111122223333:release"}`, "200", `blue`},
		{"TagResource", `{"resourceArn":"arn:aws:codepipeline:us-east-1:111122223333:release","tags":[{"key":"cost","value":"42"}]}`, "200", `{}`},
		{"UntagResource", `{"resourceArn":"arn:aws:codepipeline:us-east-1:111122223333:release","tagKeys":["team"]}`, "200", `{}`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:codepipeline:us-east-1:111122223333:release"}`, "200", `[{"key":"cost","value":"42"}]`},
		{"ListTagsForResource", `{"resourceArn":"arn:aws:codepipeline:us-east-1:111122223333:nothing"}`, "400", `ResourceNotFoundException`},
		{"StartPipelineExecution", `{"name":"release","variables":[{"name":"NO","value":"x"}]}`, "400", `has no variable`},
		{"ListActionTypes", `{"actionOwnerFilter":"AWS"}`, "200", `"CodeBuild"`},
		{"ListRuleTypes", `{}`, "200", `VariableCheck`},
		{"GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"00000000-0000-0000-0000-000000000000"}`, "400", `PipelineExecutionNotFoundException`},
		{"PollForThirdPartyJobs", `{"actionTypeId":{"category":"Test","owner":"ThirdParty","provider":"HaechiScan","version":"1"}}`, "501", ``},
	}...)

	// The run that comes with a pipeline waits for a word.
	h.until("GetPipelineState", `{"name":"release"}`, `"token":`)
	first := h.only()
	if text := h.until("GetPipelineState", `{"name":"release"}`, `"token":`); !strings.Contains(text, `"beforeEntryConditionState":{"latestExecution":{"status":"Succeeded"`) {
		t.Errorf("the state says nothing of the condition: %s", text)
	}
	token := h.token()
	steps([][4]string{
		{"ListActionExecutions", `{"pipelineName":"release","filter":{"pipelineExecutionId":"` + first + `"}}`, "200", `"CustomData":"to test?"`},
		{"ListActionExecutions", `{"pipelineName":"release","filter":{"pipelineExecutionId":"` + first + `"}}`, "200", `:log-group:/aws/codepipeline/release:log-stream:`},
		{"GetPipelineState", `{"name":"release"}`, "200", `"logStreamARN":"arn:aws:logs:`},
		{"ListRuleExecutions", `{"pipelineName":"release"}`, "200", `"ruleName":"main"`},
		{"PutApprovalResult", `{"pipelineName":"release","stageName":"Release","actionName":"Ask","token":"00000000-0000-0000-0000-000000000000","result":{"summary":"","status":"Approved"}}`, "400", `InvalidApprovalTokenException`},
		{"PutApprovalResult", `{"pipelineName":"release","stageName":"Release","actionName":"Nope","token":"00000000-0000-0000-0000-000000000000","result":{"summary":"","status":"Approved"}}`, "400", `ActionNotFoundException`},
		{"PutApprovalResult", `{"pipelineName":"release","stageName":"Nothing","actionName":"Ask","token":"` + token + `","result":{"summary":"","status":"Approved"}}`, "400", `StageNotFoundException`},
		{"PutApprovalResult", `{"pipelineName":"release","stageName":"Release","actionName":"Ask","token":"` + token + `","result":{"summary":"not today","status":"Rejected"}}`, "200", `approvedAt`},
		{"GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"` + first + `"}`, "200", `not today`},
		{"RetryStageExecution", `{"pipelineName":"release","stageName":"Source","pipelineExecutionId":"` + first + `","retryMode":"FAILED_ACTIONS"}`, "400", `StageNotRetryableException`},
		{"RetryStageExecution", `{"pipelineName":"release","stageName":"Release","pipelineExecutionId":"` + first + `","retryMode":"FAILED_ACTIONS"}`, "200", first},
		{"GetPipelineState", `{"name":"release"}`, "200", `"manualStageRetryAttempt":1`},
		{"PutApprovalResult", `{"pipelineName":"release","stageName":"Release","actionName":"Ask","token":"` + token + `","result":{"summary":"","status":"Approved"}}`, "400", `InvalidApprovalTokenException`},
	}...)
	steps([4]string{"PutApprovalResult", `{"pipelineName":"release","stageName":"Release","actionName":"Ask","token":"` + h.token() + `","result":{"summary":"now","status":"Approved"}}`, "200", `approvedAt`})
	h.until("GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"`+first+`"}`, `"status":"Succeeded"`)
	h.changes(steps, first)
	h.jobs(steps)
	h.webhooks(steps)
	h.paged("ListActionExecutions", "actionExecutionDetails", "actionExecutionId")
	h.paged("ListRuleExecutions", "ruleExecutionDetails", "ruleExecutionId")
	steps([][4]string{
		{"DeletePipeline", `{"name":"release"}`, "200", ``},
		{"GetPipeline", `{"name":"release"}`, "400", `PipelineNotFoundException`},
		{"DeletePipeline", `{"name":"release"}`, "200", ``},
	}...)
	// Each operation asks on what it is about.
	want := map[string]string{
		"codepipeline:PutApprovalResult": ":release/Release/Ask", "codepipeline:RetryStageExecution": ":release/Release", "codepipeline:StartPipelineExecution": ":release", "codepipeline:PollForJobs": ":actiontype:Custom/Test/Bench/1",
	}
	for _, r := range *h.asked {
		if strings.HasSuffix(r.Resource, want[r.Action]) {
			delete(want, r.Action)
		}
	}
	if len(want) > 0 {
		t.Errorf("never asked: %v", want)
	}
}

// Whoever makes a pipeline must have leave for what it does for them: read repositories, build projects, start pipelines.
func TestAsksForWhatPipelinesDo(t *testing.T) {
	h := build(t)
	for _, operation := range []string{"CreatePipeline", "UpdatePipeline"} {
		*h.asked = nil
		_, status, text := h.call(operation, `{"pipeline":{"name":"mine","roleArn":"arn:aws:iam::111122223333:role/x","stages":[{"name":"S","actions":[
			{"name":"a","actionTypeId":{"category":"Source","owner":"AWS","provider":"CodeCommit","version":"1"},"configuration":{"RepositoryName":"hidden","BranchName":"main"},"outputArtifacts":[{"name":"o"}]}]},
			{"name":"B","actions":[{"name":"b","actionTypeId":{"category":"Build","owner":"AWS","provider":"CodeBuild","version":"1"},"configuration":{"ProjectName":"release"},"inputArtifacts":[{"name":"o"}]},
			{"name":"c","actionTypeId":{"category":"Invoke","owner":"AWS","provider":"CodePipeline","version":"1"},"configuration":{"PipelineName":"other"}}]}]}}`)
		var asked []string
		for _, r := range *h.asked {
			asked = append(asked, r.Action+" "+r.Resource[strings.LastIndexByte(r.Resource, ':')+1:])
		}
		want := []string{"codepipeline:" + operation + " mine", "codecommit:GitPull hidden", "codebuild:StartBuild project/release", "codepipeline:StartPipelineExecution other"}
		if !slices.Equal(asked, want) {
			t.Errorf("%s asks %v: %d %s", operation, asked, status, text)
		}
	}
}

// webhooks tries addresses that start a pipeline.
func (h *house) webhooks(steps func(...[4]string)) {
	hook := func(name, action, filters, proof, configuration string) string {
		return `{"webhook":{"name":"` + name + `","targetPipeline":"release","targetAction":"` + action + `","filters":[` + filters + `],"authentication":"` + proof + `","authenticationConfiguration":{` + configuration + `}},"tags":[{"key":"team","value":"blue"}]}`
	}
	const filter, secret = `{"jsonPath":"$.ref","matchEquals":"refs/heads/{BranchName}"}`, `"SecretToken":"told once"`
	const arn = `"resourceArn":"arn:aws:codepipeline:us-east-1:111122223333:webhook:push"`
	steps([][4]string{
		{"PutWebhook", strings.Replace(hook("push", "Code", filter, "GITHUB_HMAC", secret), `"release"`, `"nothing"`, 1), "400", `PipelineNotFoundException`},
		{"PutWebhook", hook("push", "Ask", filter, "GITHUB_HMAC", secret), "400", `has no source action`},
		{"PutWebhook", hook("push", "Code", `{"jsonPath":"ref"}`, "GITHUB_HMAC", secret), "400", `InvalidWebhookFilterPatternException`},
		{"PutWebhook", hook("push", "Code", `{"jsonPath":"$.ref","matchEquals":"{Branch}"}`, "GITHUB_HMAC", secret), "400", `InvalidWebhookFilterPatternException`},
		{"PutWebhook", hook("push", "Code", filter, "GITHUB_HMAC", ``), "400", `InvalidWebhookAuthenticationParametersException`},
		{"PutWebhook", hook("push", "Code", filter, "IP", `"AllowedIPRange":"192.0.2"`), "400", `InvalidWebhookAuthenticationParametersException`},
		{"PutWebhook", hook("push", "Code", filter, "UNAUTHENTICATED", secret), "400", `InvalidWebhookAuthenticationParametersException`},
		{"ListWebhooks", `{}`, "200", `{"webhooks":[]}`},
		{"PutWebhook", hook("push", "Code", filter, "GITHUB_HMAC", secret), "200", `"SecretToken":"****"`},
		{"PutWebhook", hook("open", "Code", ``, "UNAUTHENTICATED", ``), "200", `"arn":"arn:aws:codepipeline:us-east-1:111122223333:webhook:open"`},
		{"ListWebhooks", `{"MaxResults":1}`, "200", `"NextToken":"open"`},
		{"ListWebhooks", `{"NextToken":"open"}`, "200", `"name":"push"`},
		{"ListTagsForResource", `{` + arn + `}`, "200", `blue`},
		{"UntagResource", `{` + arn + `,"tagKeys":["team"]}`, "200", ``},
		{"TagResource", `{` + arn + `,"tags":[{"key":"cost","value":"1"}]}`, "200", ``},
		{"ListWebhooks", `{}`, "200", `"tags":[{"key":"cost","value":"1"}]`},
		{"RegisterWebhookWithThirdParty", `{"webhookName":"push"}`, "400", `make the webhook there`},
		{"DeregisterWebhookWithThirdParty", `{"webhookName":"push"}`, "400", `was never registered`},
		{"RegisterWebhookWithThirdParty", `{"webhookName":"nothing"}`, "400", `WebhookNotFoundException`},
	}...)
	address := func() string {
		text := h.until("ListWebhooks", `{"NextToken":"open"}`, `"url":"`)
		_, after, _ := strings.Cut(text, `"url":"`)
		url, _, _ := strings.Cut(after, `"`)
		return url
	}
	was := address()
	steps([4]string{"PutWebhook", hook("push", "Code", filter, "IP", `"AllowedIPRange":"192.0.2.0/24"`), "200", `"AllowedIPRange":"192.0.2.0/24"`})
	if !strings.HasPrefix(was, "/hooks/pipeline/") || len(was) < 60 || address() != was {
		h.Errorf("the address was %s and is %s", was, address())
	}
	steps([][4]string{
		{"DeleteWebhook", `{"name":"open"}`, "200", ``},
		{"DeleteWebhook", `{"name":"open"}`, "200", ``},
	}...)
}

// paged holds that pages of any size give a history whole, each entry once.
func (h *house) paged(operation, list, id string) {
	h.Helper()
	var all []string
	for _, most := range []string{"100", "1", "3"} {
		var got []string
		for token := ""; ; {
			answer, status, text := h.call(operation, `{"pipelineName":"release","maxResults":`+most+token+`}`)
			if status != 200 {
				h.Fatal(text)
			}
			for _, one := range answer[list].([]any) {
				got = append(got, one.(map[string]any)[id].(string))
			}
			next, more := answer["nextToken"].(string)
			if !more {
				break
			}
			token = `,"nextToken":"` + next + `"`
		}
		if all == nil {
			all = got
		}
		if len(got) < 4 || !slices.Equal(got, all) {
			h.Errorf("%s by %s: %d entries, %d at once", operation, most, len(got), len(all))
		}
	}
	for _, token := range []string{"x", "x/1", all[0] + "/1", h.only() + "/-1", h.only()} {
		if _, _, text := h.call(operation, `{"pipelineName":"release","nextToken":"`+token+`"}`); !strings.Contains(text, "InvalidNextTokenException") {
			h.Errorf("%s with the token %s: %s", operation, token, text)
		}
	}
}

// only is the id of the newest run of release.
func (h *house) only() string {
	answer, _, text := h.call("ListPipelineExecutions", `{"pipelineName":"release","maxResults":1}`)
	list, _ := answer["pipelineExecutionSummaries"].([]any)
	if len(list) != 1 {
		h.Fatalf("no run: %s", text)
	}
	return list[0].(map[string]any)["pipelineExecutionId"].(string)
}

// token is that of the approval that is open.
func (h *house) token() string {
	text := h.until("GetPipelineState", `{"name":"release"}`, `"token":"`)
	_, after, _ := strings.Cut(text, `"token":"`)
	token, _, _ := strings.Cut(after, `"`)
	return token
}

// changes tries what changes runs, and the pipeline.
func (h *house) changes(steps func(...[4]string), first string) {
	steps([][4]string{
		{"UpdatePipeline", `{"pipeline":` + strings.Replace(declared, "to #{", "really to #{", 1) + `}`, "200", `"version":2`},
		{"GetPipeline", `{"name":"release","version":1}`, "200", `"to #{`},
		{"GetPipeline", `{"name":"release","version":7}`, "400", `PipelineVersionNotFoundException`},
		{"DisableStageTransition", `{"pipelineName":"release","stageName":"Release","transitionType":"Inbound","reason":"no releases on Friday"}`, "200", ``},
		{"DisableStageTransition", `{"pipelineName":"release","stageName":"Nothing","transitionType":"Inbound","reason":"x"}`, "400", `StageNotFoundException`},
		{"StartPipelineExecution", `{"name":"release","clientRequestToken":"t1","variables":[{"name":"TO","value":"production"}],"sourceRevisions":[{"actionName":"Code","revisionType":"COMMIT_ID","revisionValue":"` + h.commit + `"}]}`, "200", `pipelineExecutionId`},
	}...)
	second := h.only()
	steps([4]string{"StartPipelineExecution", `{"name":"release","clientRequestToken":"t1"}`, "200", second})
	h.until("GetPipelineState", `{"name":"release"}`, `"disabledReason":"no releases on Friday"`)
	h.until("GetPipelineState", `{"name":"release"}`, `"inboundExecution":{"pipelineExecutionId":"`+second+`"`)
	steps([4]string{"EnableStageTransition", `{"pipelineName":"release","stageName":"Release","transitionType":"Inbound"}`, "200", ``})
	h.token()
	steps([][4]string{
		{"ListPipelineExecutions", `{"pipelineName":"release","maxResults":1}`, "200", `"nextToken":"` + second},
		{"ListPipelineExecutions", `{"pipelineName":"release","nextToken":"` + second + `"}`, "200", first},
		{"ListPipelineExecutions", `{"pipelineName":"release","nextToken":"x"}`, "400", `InvalidNextTokenException`},
		{"ListPipelineExecutions", `{"pipelineName":"release","filter":{"succeededInStage":{"stageName":"Release"}}}`, "200", first},
		{"GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"` + second + `"}`, "200", `"resolvedValue":"production"`},
		{"OverrideStageCondition", `{"pipelineName":"release","stageName":"Release","pipelineExecutionId":"` + second + `","conditionType":"ON_SUCCESS"}`, "400", `ConditionNotOverridableException`},
		{"StopPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"` + second + `","abandon":true,"reason":"a mistake"}`, "200", second},
		{"StopPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"` + second + `"}`, "400", `PipelineExecutionNotStoppableException`},
		{"ListPipelineExecutions", `{"pipelineName":"release"}`, "200", `"reason":"a mistake`},
		{"RollbackStage", `{"pipelineName":"release","stageName":"Source","targetPipelineExecutionId":"` + first + `"}`, "400", `UnableToRollbackStageException`},
		{"RollbackStage", `{"pipelineName":"release","stageName":"Release","targetPipelineExecutionId":"` + first + `"}`, "400", `PipelineExecutionOutdatedException`},
		{"PutActionRevision", `{"pipelineName":"release","stageName":"Source","actionName":"Code","actionRevision":{"revisionId":"` + h.commit + `","revisionChangeId":"1","created":1767225600}}`, "200", `"newRevision":true`},
		{"PutActionRevision", `{"pipelineName":"release","stageName":"Source","actionName":"No","actionRevision":{"revisionId":"` + h.commit + `","revisionChangeId":"1","created":1767225600}}`, "400", `ActionNotFoundException`},
	}...)
	third := h.only()
	steps([4]string{"PutApprovalResult", `{"pipelineName":"release","stageName":"Release","actionName":"Ask","token":"` + h.token() + `","result":{"summary":"now","status":"Approved"}}`, "200", `approvedAt`})
	h.until("GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"`+third+`"}`, `"status":"Succeeded"`)
	steps([][4]string{
		{"RollbackStage", `{"pipelineName":"release","stageName":"Release","targetPipelineExecutionId":"` + third + `"}`, "200", `pipelineExecutionId`},
		{"ListPipelineExecutions", `{"pipelineName":"release"}`, "200", `"rollbackMetadata":{"rollbackTargetPipelineExecutionId":"` + third},
	}...)
	back := h.only()
	steps([][4]string{
		{"RollbackStage", `{"pipelineName":"release","stageName":"Release","targetPipelineExecutionId":"` + back + `"}`, "400", `is a rollback itself`},
		{"StopPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"` + back + `","abandon":true}`, "200", back},
	}...)
}

// jobs tries a worker of a type of one's own.
func (h *house) jobs(steps func(...[4]string)) {
	const kind = `{"category":"Test","owner":"Custom","provider":"Bench","version":"1"}`
	own := strings.Replace(declared, `{"category":"Approval","owner":"AWS","provider":"Manual","version":"1"}`, kind, 1)
	own = strings.Replace(own, `"configuration":{"CustomData":"to #{variables.TO}?","SeparationOfDuties":"false"}`, `"configuration":{"Target":"#{variables.TO}"},"inputArtifacts":[{"name":"code"}],"namespace":"Bench"`, 1)
	steps([][4]string{
		{"PollForJobs", `{"actionTypeId":` + kind + `}`, "400", `ActionTypeNotFoundException`},
		{"UpdatePipeline", `{"pipeline":` + own + `}`, "400", `InvalidActionDeclarationException`},
		{"CreateCustomActionType", `{"category":"Test","provider":"Bench","version":"1","configurationProperties":[{"name":"Target","required":true,"key":true,"secret":false,"queryable":true}],"inputArtifactDetails":{"minimumCount":1,"maximumCount":1},"outputArtifactDetails":{"minimumCount":0,"maximumCount":1}}`, "200", `"owner":"Custom"`},
		{"ListActionTypes", `{"actionOwnerFilter":"Custom"}`, "200", `"Bench"`},
		{"UpdatePipeline", `{"pipeline":` + own + `}`, "200", `"version":3`},
		{"PollForJobs", `{"actionTypeId":` + kind + `}`, "200", `"jobs":[]`},
		{"StartPipelineExecution", `{"name":"release"}`, "200", `pipelineExecutionId`},
		{"PollForJobs", `{"actionTypeId":` + kind + `,"queryParam":{"Target":"elsewhere"}}`, "200", `"jobs":[]`},
	}...)
	text := h.until("PollForJobs", `{"actionTypeId":`+kind+`,"queryParam":{"Target":"test"}}`, `"nonce":`)
	var polled struct {
		Jobs []struct {
			ID    string `json:"id"`
			Nonce string `json:"nonce"`
		} `json:"jobs"`
	}
	if err := json.Unmarshal([]byte(text), &polled); err != nil {
		h.Fatal(err)
	}
	id, nonce := polled.Jobs[0].ID, polled.Jobs[0].Nonce
	if !strings.Contains(text, h.commit) || !strings.Contains(text, `"Target":"test"`) {
		h.Errorf("the job says too little: %s", text)
	}
	steps([][4]string{
		{"PutJobSuccessResult", `{"jobId":"` + id + `"}`, "400", `InvalidJobStateException`},
		{"AcknowledgeJob", `{"jobId":"` + id + `","nonce":"another"}`, "400", `InvalidNonceException`},
		{"AcknowledgeJob", `{"jobId":"00000000-0000-0000-0000-000000000000","nonce":"another"}`, "400", `JobNotFoundException`},
		{"AcknowledgeJob", `{"jobId":"` + id + `","nonce":"` + nonce + `"}`, "200", `InProgress`},
		{"GetJobDetails", `{"jobId":"` + id + `"}`, "200", `"pipelineName":"release"`},
		{"PutJobSuccessResult", `{"jobId":"` + id + `","continuationToken":"half","executionDetails":{"summary":"half of it","percentComplete":50}}`, "200", ``},
	}...)
	text = h.until("PollForJobs", `{"actionTypeId":`+kind+`}`, `"continuationToken":"half"`)
	if err := json.Unmarshal([]byte(text), &polled); err != nil {
		h.Fatal(err)
	}
	steps([][4]string{
		{"AcknowledgeJob", `{"jobId":"` + id + `","nonce":"` + nonce + `"}`, "400", `InvalidNonceException`},
		{"AcknowledgeJob", `{"jobId":"` + id + `","nonce":"` + polled.Jobs[0].Nonce + `"}`, "200", `InProgress`},
		{"PutJobSuccessResult", `{"jobId":"` + id + `","outputVariables":{"X":"` + strings.Repeat("x", 122_881) + `"}}`, "400", `OutputVariablesSizeExceededException`},
		{"PutJobSuccessResult", `{"jobId":"` + id + `","outputVariables":{"Seconds":"3"},"executionDetails":{"summary":"fast","externalExecutionId":"b-1"}}`, "200", ``},
		{"PutJobFailureResult", `{"jobId":"` + id + `","failureDetails":{"type":"JobFailed","message":"late"}}`, "400", `InvalidJobStateException`},
		{"ListActionExecutions", `{"pipelineName":"release"}`, "200", `"outputVariables":{"Seconds":"3"}`},
		{"DeleteCustomActionType", `{"category":"Test","provider":"Bench","version":"1"}`, "200", ``},
	}...)
	h.until("GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"`+h.only()+`"}`, `"status":"Succeeded"`)
	steps([4]string{"StartPipelineExecution", `{"name":"release"}`, "200", `pipelineExecutionId`})
	h.until("ListActionExecutions", `{"pipelineName":"release","filter":{"pipelineExecutionId":"`+h.only()+`"}}`, `there is no type Test/Custom/Bench/1 any more`)
	// A job that waits, or that was handed out and not acknowledged, fails with its type.
	const again = `{"category":"Test","provider":"Bench","version":"1","configurationProperties":[{"name":"Target","required":true,"key":true,"secret":false,"queryable":true}],"inputArtifactDetails":{"minimumCount":1,"maximumCount":1},"outputArtifactDetails":{"minimumCount":0,"maximumCount":1}}`
	for _, handed := range []bool{false, true} {
		steps([4]string{"CreateCustomActionType", again, "200", `"owner":"Custom"`})
		steps([4]string{"StartPipelineExecution", `{"name":"release"}`, "200", `pipelineExecutionId`})
		run := `{"pipelineName":"release","filter":{"pipelineExecutionId":"` + h.only() + `"}}`
		h.until("ListActionExecutions", run, `"Target":"test"`)
		if handed {
			text = h.until("PollForJobs", `{"actionTypeId":`+kind+`}`, `"nonce"`)
			if err := json.Unmarshal([]byte(text), &polled); err != nil {
				h.Fatal(err)
			}
		}
		steps([4]string{"DeleteCustomActionType", `{"category":"Test","provider":"Bench","version":"1"}`, "200", ``})
		h.until("ListActionExecutions", run, `type Test/Custom/Bench/1 was deleted before a worker took the job`)
		h.until("GetPipelineExecution", `{"pipelineName":"release","pipelineExecutionId":"`+h.only()+`"}`, `"status":"Failed"`)
		if handed {
			steps([4]string{"AcknowledgeJob", `{"jobId":"` + polled.Jobs[0].ID + `","nonce":"` + polled.Jobs[0].Nonce + `"}`, "400", `InvalidNonceException`})
		}
	}
}

// The aws commands and boto3 start, look at and approve runs, unmodified.
func TestRealClients(t *testing.T) {
	t.Run("aws", func(t *testing.T) {
		for _, c := range wiretest.Clients(t) {
			h := build(t)
			if c.Old { // it knows no V2 yet
				h.call("CreatePipeline", `{"pipeline":`+declared+`}`)
			} else if _, stderr, err := c.Run(t, h.Server, "codepipeline", "create-pipeline", "--pipeline", declared); err != nil {
				t.Fatalf("%s: %v\n%s", c.Path, err, stderr)
			}
			token := h.token()
			for _, step := range []struct {
				args string
				want string
			}{
				{"get-pipeline-state --name release", token},
				{"list-pipeline-executions --pipeline-name release", h.only()},
				{"put-approval-result --pipeline-name release --stage-name Release --action-name Ask --result summary=fine,status=Approved --token " + token, "approvedAt"},
				{"start-pipeline-execution --name release", "pipelineExecutionId"},
			} {
				out, stderr, err := c.Run(t, h.Server, append([]string{"codepipeline"}, strings.Fields(step.args)...)...)
				if err != nil || !strings.Contains(out, step.want) {
					t.Errorf("%s %s: %v\n%s%s", c.Path, step.args, err, out, stderr)
				}
			}
		}
	})
	t.Run("boto3", func(t *testing.T) {
		h := build(t)
		h.call("CreatePipeline", `{"pipeline":`+declared+`}`)
		h.token()
		out, stderr, err := h.Python(t, `
c = client('codepipeline')
state = c.get_pipeline_state(name='release')
ask = state['stageStates'][1]['actionStates'][0]['latestExecution']
c.put_approval_result(pipelineName='release', stageName='Release', actionName='Ask', token=ask['token'], result={'summary': 'fine', 'status': 'Approved'})
p = c.get_pipeline(name='release')['pipeline']
p['stages'][1]['name'] = 'Ship'
print(c.update_pipeline(pipeline=p)['pipeline']['version'])
print([s['status'] for page in c.get_paginator('list_pipeline_executions').paginate(pipelineName='release') for s in page['pipelineExecutionSummaries']])
try: c.get_pipeline(name='nothing')
except c.exceptions.PipelineNotFoundException as e: print('gone')
`)
		if err != nil || out != "2\n['Succeeded']\ngone\n" {
			t.Errorf("%v\n%s%s", err, out, stderr)
		}
	})
}
