package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/finding"
)

// filled is what there is to look at in a filled house.
type filled struct {
	passed, failed pipeline.Execution
	public         inventory.Key
	slack, hook    string // ARNs of receivers
	before         string // when the public bucket was not public yet
	pull           source.Pull
	asking         pipeline.Execution // waits for an approval
	build, batch   string             // paths
	report, cover  string
}

// fill gives a house a life: findings, runs, resources, routes and what was delivered.
func fill(h *house) (f filled) {
	h.t.Helper()
	f.slack, f.hook = h.listeners()
	h.work()
	if _, err := snapshot.New(h.db, time.Now).Put(h.t.Context(), "arn:aws:iam::"+account+":user/kim", "shop <b>bold</b>.json", []byte(shop(3))); err != nil {
		h.t.Fatal(err)
	}
	for _, e := range []audit.Entry{
		{Principal: iam.Principal{ARN: "arn:aws:iam::" + account + ":user/kim", Type: "User", Name: "kim"}, Action: "iam:CreateUser", Resources: []string{"arn:aws:iam::" + account + ":user/" + strings.Repeat("long-", 20)}, UserAgent: hostile, SourceIP: "198.51.100.7"},
		{Action: "codecommit:GitPush", UserAgent: hostile, Reason: hostile, Code: "InvalidClientTokenId", Refused: true},
	} {
		if err := h.trail.Keep(h.t.Context(), e); err != nil {
			h.t.Fatal(err)
		}
	}
	for i, severity := range []finding.Label{"CRITICAL", "HIGH", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"} {
		h.bring(fmt.Sprint("secret", i), "shop", wrong([]string{"AWS access key in a configuration file", hostile, "결제 서비스의 비밀번호가 저장소에 들어 있음", "Outdated cipher suite is allowed by the load balancer of the public shop " + strings.Repeat("(see also the other one) ", 6),
			"A cookie without SameSite", "An image tag is not pinned"}[i], severity))
	}
	h.made()
	f.public = h.see("shop-files", time.Now().Add(-2*time.Hour), false)
	f.before = time.Now().Add(-90 * time.Minute).UTC().Format(time.RFC3339)
	h.see("shop-files", time.Now().Add(-time.Hour), true)
	h.see("logs-"+strings.Repeat("long-", 10)+"bucket", time.Now().Add(-3*time.Hour), false)
	h.build.files = map[string]string{
		"junit.xml": `<testsuite name="장바구니"><testcase name="adds"/><testcase name="empties &lt;b&gt;bold&lt;/b&gt;"><failure message="want 1 &lt;b&gt;bold&lt;/b&gt;"/></testcase><testcase name="waits"><skipped/></testcase></testsuite>`,
		"cover.xml": `<coverage><packages><package><classes><class filename="cart.go"><lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class></classes></package></packages></coverage>`,
		"shop.bin":  "the shop",
	}
	f.passed = h.ran(h.push("main", "feat: 장바구니 추가", map[string]string{"buildspec.yml": `version: 0.2
env: {exported-variables: [WHO]}
phases: {build: {commands: [make]}}
reports: {unit: {files: [junit.xml]}, cover: {files: [cover.xml], file-format: COBERTURAXML}}
artifacts: {files: [shop.bin]}
`, "packages.txt": "fine\n"}), ended)
	f.failed = h.ran(h.push("main", "fix: "+hostile, map[string]string{"packages.txt": "lodash CRITICAL\nminimist HIGH\nleft-pad LOW\n", ".haechi/gate.yaml": "version: 1\n"}), ended)
	f.pull = h.pulled()
	f.asking = h.asked()
	h.built(&f)
	h.until("compliance", func() bool {
		results, err := h.comply.Asset(h.t.Context(), f.public)
		for _, r := range results {
			if r.Status == comply.NonCompliant {
				return true
			}
		}
		return err != nil
	})
	h.until("a dead letter", func() bool {
		list, _, err := h.routes.Log(h.t.Context(), route.LogQuery{State: route.Dead}, route.Page{})
		return err != nil || len(list) > 0
	})
	return f
}

// listeners are a Slack that takes everything and a webhook that refuses it, with a rule for each.
func (h *house) listeners() (slack, hook string) {
	h.t.Helper()
	fine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	h.t.Cleanup(fine.Close)
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, hostile, http.StatusGone) }))
	h.t.Cleanup(gone.Close)
	put := func(c route.Receiver, name, pattern string) string {
		arn, err := h.routes.PutReceiver(h.t.Context(), c)
		if err == nil {
			_, err = h.routes.PutRule(h.t.Context(), route.Rule{Name: name, Pattern: pattern, Description: "두 사람이 봅니다 " + hostile}, nil)
		}
		if err == nil {
			_, err = h.routes.PutTargets(h.t.Context(), "", name, route.RuleTarget{ID: "t", ARN: arn})
		}
		if err != nil {
			h.t.Fatal(err)
		}
		return arn
	}
	slack = put(route.Receiver{Kind: "slack", Name: "security", Description: "보안팀 채널", Secrets: map[string]seal.Secret{"url": seal.Secret(fine.URL)}}, "worst-findings",
		`{"source": ["aws.securityhub"], "detail": {"findings": {"Severity": {"Label": ["CRITICAL", "HIGH"]}, "Workflow": {"Status": ["NEW"]}}}}`)
	hook = put(route.Receiver{Kind: "webhook", Name: "ticket-system", Settings: map[string]string{"url": gone.URL}, Secrets: map[string]seal.Secret{"secret": "whsec_" + seal.Secret(strings.Repeat("c2Vj", 10))}}, "failed-runs",
		`{"source": ["aws.codepipeline"], "detail-type": ["CodePipeline Pipeline Execution State Change"], "detail": {"state": ["FAILED"]}}`)
	return slack, hook
}

// pulled is a pull request with all that there is on one: odd files, comments, an approval that counts.
func (h *house) pulled() source.Pull {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	h.push("feature/cart", "feat: 카트 "+hostile, map[string]string{
		"README.md": "# 상점\n\n" + hostile + "\n", "src/<b>bold<b> \u202e.txt": "a\nb \u202e c\n" + hostile + "\n", "blob.bin": "\x00\x01", "packages.txt": "fine\n", "long.txt": strings.Repeat("a-very-long-word", 200) + "\n",
	})
	h.push("develop", "docs", map[string]string{"README.md": "# shop\n"}) // on top of it
	author := source.Person{ARN: "arn:aws:iam::" + account + ":user/kim", Name: "kim"}
	h.push("feature/more", "caf\xe9 \u202e more "+strings.Repeat("and more ", 30), map[string]string{"README.md": "# shop\n" + hostile + "\n", "main.go": "package main\n\nfunc main() {}\n"})
	p, err := h.source.CreatePull(h.t.Context(), source.NewPull{Repository: "shop", Title: "더 " + hostile, Description: "이유 " + hostile, Source: "feature/more", Target: "develop", Author: author})
	must(err)
	c, err := h.source.Say(h.t.Context(), source.Comment{Repository: "shop", Pull: p.Number, Before: p.Revision.Base, After: p.Revision.Head, Place: source.Place{Path: "main.go", Line: 3}, Author: author.ARN, Text: hostile})
	must(err)
	_, err = h.source.Say(h.t.Context(), source.Comment{Repository: "shop", Pull: p.Number, Reply: c.ID, Author: author.ARN, Text: "answer"})
	must(err)
	_, err = h.source.Say(h.t.Context(), source.Comment{Repository: "shop", Pull: p.Number, Before: p.Revision.Base, After: p.Revision.Head, Author: author.ARN, Text: "about all"})
	must(err)
	must(h.source.Approve(h.t.Context(), p.Number, p.Revision.ID, source.Person{ARN: "arn:aws:iam::" + account + ":user/lee", Name: "lee"}, true))
	must(h.source.Approve(h.t.Context(), p.Number, p.Revision.ID, source.Person{ARN: "arn:aws:iam::" + account + ":user/bot", Name: "bot", Robot: true}, true))
	return p
}

// asked is a run of a pipeline with all that there is in one, which waits for people.
func (h *house) asked() pipeline.Execution {
	h.t.Helper()
	made, err := structure.Parse("pipeline.yaml", []byte(`name: release
variables: [{name: COLOUR, defaultValue: blue, description: "<b>bold</b>"}]
triggers: [{providerType: CodeStarSourceConnection, gitConfiguration: {sourceActionName: Fetch, push: [{branches: {includes: [main], excludes: [x]}}], pullRequest: [{events: [OPEN]}]}}]
haechi: {on: [{schedule: rate(1 day)}]}
stages:
- name: Source
  actions: [{name: Fetch, actionTypeId: {category: Source, owner: AWS, provider: CodeCommit, version: "1"}, configuration: {RepositoryName: shop, BranchName: main}, outputArtifacts: [{name: code}]}]
- name: Release
  beforeEntry: {conditions: [{result: FAIL, rules: [{name: right, ruleTypeId: {category: Rule, owner: AWS, provider: VariableCheck, version: "1"}, configuration: {Variable: "#{variables.COLOUR}", Value: blue, Operator: EQ}}]}]}
  actions:
  - {name: Agree, actionTypeId: {category: Approval, owner: AWS, provider: Manual, version: "1"}, configuration: {CustomData: "괜찮습니까? <b>bold</b>", ExternalEntityLink: "https://example.com/"}}
  - {name: Compile, actionTypeId: {category: Compute, owner: AWS, provider: Commands, version: "1"}, commands: [make], inputArtifacts: [{name: code}]}
`), "release")
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.runs.Create(h.t.Context(), made, nil, "arn:aws:iam::"+account+":user/kim"); err != nil {
		h.t.Fatal(err)
	}
	var asking pipeline.Execution
	h.until("a question", func() bool {
		all, err := h.runs.Executions(h.t.Context(), pipeline.Query{Pipeline: "release"})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range all {
			if s := e.Stage("Release"); s != nil && s.Action("Agree").Status == pipeline.InProgress && s.Action("Compile").Status.Ended() {
				asking = e
			}
		}
		return asking.ID != ""
	})
	return asking
}

// built finds what builds there are to look at, and makes a batch.
func (h *house) built(f *filled) {
	h.t.Helper()
	batch, err := h.builds.StartBatch(h.t.Context(), build.Start{Project: "shop", Who: "arn:aws:iam::" + account + ":user/kim", Buildspec: `version: 0.2
batch:
  build-graph:
  - {identifier: first}
  - {identifier: second, depend-on: [first]}
phases: {build: {commands: [make]}}
`}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	f.batch = "/batches/" + url.PathEscape(batch.ID)
	h.until("a batch", func() bool {
		b, err := h.builds.Batch(h.t.Context(), batch.ID)
		return err != nil || b.Status.Ended()
	})
	all, err := h.builds.Builds(h.t.Context(), build.Query{Project: "shop"})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range all {
		for _, arn := range b.Reports {
			_, id, _ := strings.Cut(arn, ":report/")
			group, _, _ := strings.Cut(id, ":")
			path := "/tests/" + group + "/" + url.PathEscape(id)
			f.build = build.Path(url.PathEscape(b.ID))
			if strings.Contains(group, "cover") {
				f.cover = path
			} else {
				f.report = path
			}
		}
	}
	if f.report == "" || f.cover == "" {
		h.t.Fatalf("no reports in %d builds", len(all))
	}
}
