package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// head is the first stage of pipelines in these tests, of the branch main of shop.
const head = `
stages:
  - name: Source
    actions:
      - name: Code
        namespace: Code
        actionTypeId: {category: Source, provider: CodeCommit}
        configuration: {RepositoryName: shop, BranchName: main}
        outputArtifacts: [{name: code}]
`

const ask = `      - {name: Ask, actionTypeId: {category: Approval, provider: Manual}, configuration: {SeparationOfDuties: "false"}}
`

func build(name, project string, order int) string {
	return fmt.Sprintf("      - {name: %s, runOrder: %d, actionTypeId: {category: Build, provider: CodeBuild}, inputArtifacts: [{name: code}], configuration: {ProjectName: %s}}\n", name, order, project)
}

func stage(name, actions string) string {
	return "  - name: " + name + "\n    actions:\n" + actions
}

// clocked is a clock that tests can set.
type clocked struct {
	mu   sync.Mutex
	more time.Duration
}

func (c *clocked) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.more)
}

func (c *clocked) set() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = 0
}

func (c *clocked) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more += d
}

// make makes a pipeline called p of a text, when shop has one commit.
func (h *house) make(mode, text string) {
	h.t.Helper()
	if _, err := h.source.Ref(h.t.Context(), "shop", "refs/heads/main"); err != nil {
		h.push("main", "one", map[string]string{"a": "1"})
	}
	s, err := structure.Parse("p.yaml", []byte("name: p\nexecutionMode: "+mode+"\n"+text), "")
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.room.Create(h.t.Context(), s, nil, "arn:ada"); err != nil {
		h.t.Fatal(err)
	}
}

// update gives p another text.
func (h *house) update(mode, text string) {
	h.t.Helper()
	s, err := structure.Parse("p.yaml", []byte("name: p\nexecutionMode: "+mode+"\n"+text), "")
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.room.Update(h.t.Context(), s); err != nil {
		h.t.Fatal(err)
	}
}

// begin starts a run of p.
func (h *house) begin() pipeline.Execution {
	h.t.Helper()
	e, err := h.room.Begin(h.t.Context(), pipeline.Start{Pipeline: "p", Who: "arn:ada"})
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

// newest is the newest run of p.
func (h *house) newest() pipeline.Execution {
	h.t.Helper()
	all, err := h.room.Executions(h.t.Context(), pipeline.Query{Pipeline: "p", Limit: 1})
	if err != nil || len(all) != 1 {
		h.t.Fatal(len(all), err)
	}
	return all[0]
}

// when waits until a run is as asked.
func (h *house) when(id, what string, ok func(e pipeline.Execution) bool) (e pipeline.Execution) {
	h.t.Helper()
	h.until(what, func() bool {
		var err error
		if e, err = h.room.Execution(h.t.Context(), id); err != nil {
			h.t.Fatal(err)
		}
		return ok(e)
	})
	return e
}

// asks waits until a run asks for a word.
func (h *house) asks(id string) pipeline.Execution {
	h.t.Helper()
	return h.when(id, "a question", func(e pipeline.Execution) bool {
		for _, s := range e.Stages {
			for _, a := range s.Actions {
				if a.Approval != nil && a.Status == pipeline.InProgress {
					return true
				}
			}
		}
		return false
	})
}

func (h *house) answer(id, stage string, yes bool, who string) error {
	_, err := h.room.Approve(h.t.Context(), pipeline.Answer{Execution: id, Stage: stage, Action: "Ask", Yes: yes, Who: who})
	return err
}

// A repository's file is its pipeline once the protected default branch has it; on another branch it is a proposal.
// A file that cannot be used fails the run, with its line; without one it is as before.
func TestFile(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		own := strings.ReplaceAll(head, "        configuration: {RepositoryName: shop, BranchName: main}\n", "") + stage("Say", "      - {name: Say, actionTypeId: {category: Invoke, owner: ThirdParty, provider: HaechiNotify}, configuration: {Message: 'at #{Code.CommitId}'}}\n")
		h.push("main", "one", map[string]string{"a": "1"})
		e := h.push("side", "two", map[string]string{pipeline.DefinitionFile: own})
		if e.Origin != pipeline.FromNothing || !slices.Contains(e.Proposals, pipeline.DefinitionFile) {
			t.Errorf("on a branch it counts: %s, proposals %v", e.Origin, e.Proposals)
		}
		if e = h.push("main", "three", map[string]string{"b": "1"}); e.Origin != pipeline.FromFile || e.Status != pipeline.Succeeded || len(e.Stages) != 2 || e.Gated {
			t.Errorf("on the default branch it does not count: %s, %s %+v", e.Origin, e.Status, e.Reasons)
		}
		wants(t, h.log(e.ID), "at "+e.Commit)
		d, err := h.room.Definition(t.Context(), "shop")
		if err != nil || d.Origin != pipeline.FromFile || d.Commit != e.Commit {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := h.room.Update(t.Context(), pipeline.Default("shop")); !errors.Is(err, fault.Conflict) {
			t.Errorf("the API changes what the file says: %v", err)
		}
		e = h.push("main", "four", map[string]string{pipeline.DefinitionFile: strings.Replace(own, "HaechiNotify", "HaechiNotifi", 1)})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || !strings.HasPrefix(e.Reasons[0].Where, pipeline.DefinitionFile+":11:") || !strings.Contains(e.Reasons[0].Do, "HaechiNotify") {
			t.Errorf("a wrong file: %s %+v", e.Status, e.Reasons)
		}
		e = h.push("main", "five", map[string]string{pipeline.DefinitionFile: "name: other\n" + own})
		if e.Status != pipeline.Failed || !strings.Contains(e.Reasons[0].Text, "cannot be called other") {
			t.Errorf("another's name: %s %+v", e.Status, e.Reasons)
		}
		h.push("main", "six", map[string]string{pipeline.DefinitionFile: ""}) // takes it away
		if e = h.push("main", "seven", map[string]string{"c": "1"}); e.Origin != pipeline.FromNothing || e.Status != pipeline.Succeeded || !e.Gated {
			t.Errorf("without a file: %s %s", e.Origin, e.Status)
		}
	})
}

// What failed without a gate is no base: a pipeline that has none lets nothing through for others.
func TestNoGateNoBase(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		own := strings.ReplaceAll(head, "        configuration: {RepositoryName: shop, BranchName: main}\n", "") + stage("Scan", "      - {name: Scan, actionTypeId: {category: Test, owner: ThirdParty, provider: HaechiScan}, inputArtifacts: [{name: code}]}\n")
		first := h.push("main", "one", map[string]string{"packages.txt": "fine LOW\n"})
		if e := h.push("main", "two", map[string]string{pipeline.DefinitionFile: own, "packages.txt": "bad HIGH\n"}); e.Status != pipeline.Succeeded {
			t.Fatalf("%s %+v", e.Status, e.Reasons)
		}
		e := h.push("main", "three", map[string]string{pipeline.DefinitionFile: ""})
		if e.Status != pipeline.Failed || e.Base != first.Commit {
			t.Errorf("a run without a gate has let it through: %s, compared with %s", e.Status, e.Base)
		}
	})
}

// In mode SUPERSEDED a newer run overtakes those that wait, and no stage holds two.
func TestSuperseded(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.make("SUPERSEDED", head+stage("Release", ask)+stage("After", build("Build", "x", 1)))
		first := h.asks(h.newest().ID)
		second := h.begin()
		h.when(second.ID, "the second waits", func(e pipeline.Execution) bool { return e.Stages[1].Held != "" })
		third := h.begin()
		second = h.ended(second.ID)
		if second.Status != pipeline.Superseded || !strings.Contains(second.StoppedBy, "run 3") {
			t.Errorf("the second is %s: %s", second.Status, second.StoppedBy)
		}
		if err := h.answer(first.ID, "Release", true, "arn:bob"); err != nil {
			t.Fatal(err)
		}
		h.asks(third.ID)
		if e := h.ended(first.ID); e.Status != pipeline.Succeeded {
			t.Errorf("the first is %s: %+v", e.Status, e.Reasons)
		}
		if states, _ := h.told(second.ID); !slices.Equal(states, []string{"STARTED", "SUPERSEDED"}) {
			t.Errorf("events %v", states)
		}
	})
}

// In mode QUEUED a stage holds one run, and those that wait for it enter in the order in which they came; one that failed
// may be tried again until a later one has been in that stage. In mode PARALLEL they know nothing of each other.
func TestModes(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.make("QUEUED", head+stage("Release", ask)+stage("Last", ask))
		waits := func(e pipeline.Execution, stage int) {
			t.Helper()
			h.when(e.ID, "it waits", func(e pipeline.Execution) bool { return e.Stages[stage].Held != "" })
		}
		says := func(e pipeline.Execution, stage string, yes bool) {
			t.Helper()
			h.when(e.ID, "a question", func(e pipeline.Execution) bool { return e.Stage(stage).Actions[0].Status == pipeline.InProgress })
			if err := h.answer(e.ID, stage, yes, "arn:bob"); err != nil {
				t.Fatal(err)
			}
		}
		first := h.asks(h.newest().ID)
		second := h.begin()
		waits(second, 1)
		third := h.begin()
		waits(third, 1)
		says(first, "Release", true) // three runs are in three places now
		says(second, "Release", true)
		waits(second, 2)
		h.asks(third.ID)
		says(first, "Last", false)
		says(third, "Release", false)
		h.when(second.ID, "the second is in the last stage", func(e pipeline.Execution) bool { return e.Stages[2].Status == pipeline.InProgress })
		if _, err := h.room.Retry(t.Context(), first.ID); !errors.Is(err, pipeline.ErrOutdated) {
			t.Errorf("one that is out of date is tried again: %v", err)
		}
		if _, err := h.room.Retry(t.Context(), third.ID); err != nil {
			t.Errorf("the newest one of its stage: %v", err)
		}
		fourth := h.begin()
		waits(fourth, 1)
		if err := h.room.Stop(t.Context(), fourth.ID); err != nil {
			t.Fatal(err)
		}
		says(second, "Last", true)
		says(third, "Release", true)
		says(third, "Last", false)
		h.ended(third.ID)
		if _, err := h.room.RetryStage(t.Context(), third.ID, "Last", structure.AllActions); err != nil {
			t.Errorf("a later one was never in that stage: %v", err)
		}
		d, err := h.room.Definition(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		d.Structure.ExecutionMode = structure.Parallel
		if _, err := h.room.Update(t.Context(), d.Structure); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			h.asks(h.begin().ID)
		}
		if _, err := h.room.RollbackStage(t.Context(), "p", "Release", second.ID, "arn:ada"); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "in mode PARALLEL") {
			t.Errorf("a rollback in mode PARALLEL: %v", err)
		}
		d.Structure.ExecutionMode = structure.Queued
		if _, err := h.room.Update(t.Context(), d.Structure); err != nil {
			t.Fatal(err)
		}
		if _, err := h.room.RollbackStage(t.Context(), "p", "Release", second.ID, "arn:ada"); !errors.Is(err, pipeline.ErrOutdated) {
			t.Errorf("a rollback to a run of another structure: %v", err)
		}
	})
}

// Actions of one runOrder run together, of the next after them; when one fails, the others come to their end and no later one begins.
func TestRunOrder(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.make("QUEUED", head+stage("Build", build("A", "x", 1)+build("B", "fail", 1)+build("C", "x", 2)))
		e := h.ended(h.newest().ID)
		s := e.Stage("Build")
		if e.Status != pipeline.Failed || s.Action("A").Status != pipeline.Succeeded || s.Action("B").Status != pipeline.Failed || s.Action("C").Status != pipeline.Waiting {
			t.Errorf("%s: %+v", e.Status, s.Actions)
		}
		begun := s.Action("A").ID
		if _, err := h.room.RetryStage(t.Context(), e.ID, "Build", structure.AllActions); err != nil {
			t.Fatal(err)
		}
		e = h.ended(e.ID)
		if s = e.Stage("Build"); s.Action("A").ID == begun || len(s.Past) != 2 || s.Manual != 1 || e.Attempt != 2 {
			t.Errorf("tried again as a whole: %+v", s)
		}
		begun = s.Action("A").ID
		if _, err := h.room.RetryStage(t.Context(), e.ID, "Build", structure.FailedActions); err != nil {
			t.Fatal(err)
		}
		if e = h.ended(e.ID); e.Stage("Build").Action("A").ID != begun {
			t.Error("what succeeded is done again")
		}
		if n := strings.Count(h.log(e.ID), "=== Build/B ==="); n != 3 {
			t.Errorf("B is in the log %d times:\n%s", n, h.log(e.ID))
		}
	})
}

// A stage that fails is tried again by itself, once, or brought back to what succeeded there last.
func TestOnFailure(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		text := head + "  - name: Release\n    onFailure: {result: ROLLBACK}\n    actions:\n" + ask
		h.make("QUEUED", text)
		first := h.asks(h.newest().ID)
		if err := h.answer(first.ID, "Release", true, "arn:bob"); err != nil {
			t.Fatal(err)
		}
		h.ended(first.ID)
		h.give("main", "two", map[string]string{"a": "2"})
		h.until("the second run", func() bool { return h.newest().ID != first.ID })
		second := h.asks(h.newest().ID)
		if err := h.answer(second.ID, "Release", false, "arn:bob"); err != nil {
			t.Fatal(err)
		}
		h.until("the rollback", func() bool { return h.newest().ID != second.ID })
		back := h.asks(h.newest().ID)
		if back.Kind != pipeline.Rollback || back.Target != first.ID || back.Commit != first.Commit || len(back.Stages) != 1 || back.Trigger.Type != "AutomatedRollback" {
			t.Errorf("%+v", back)
		}
		if err := h.answer(back.ID, "Release", false, "arn:bob"); err != nil {
			t.Fatal(err)
		}
		if h.ended(back.ID); h.newest().ID != back.ID {
			t.Error("a rollback is rolled back")
		}
		if _, err := h.room.RollbackStage(t.Context(), "p", "Release", second.ID, "arn:ada"); !errors.Is(err, fault.Invalid) {
			t.Errorf("back to what failed: %v", err)
		}
		again, err := h.room.RollbackStage(t.Context(), "p", "Release", first.ID, "arn:ada")
		if err != nil || again.Trigger.Type != "ManualRollback" {
			t.Errorf("%+v, %v", again.Trigger, err)
		}
		s, err := structure.Parse("p", []byte("name: p\nexecutionMode: QUEUED\n"+head+"  - name: Release\n    onFailure: {result: RETRY, retryConfiguration: {retryMode: FAILED_ACTIONS}}\n    actions:\n"+build("B", "fail", 1)), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.room.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := h.room.Stop(t.Context(), again.ID); err != nil {
			t.Fatal(err)
		}
		e := h.ended(h.begin().ID)
		if s := e.Stage("Release"); e.Status != pipeline.Failed || s.Auto != 1 || s.Retried != "AutomatedStageRetry" || s.Actions[0].Attempt != 2 || len(e.Reasons) != 1 {
			t.Errorf("%s %+v %+v", e.Status, s, e.Reasons)
		}
	})
}

// A condition that does not hold fails the stage, skips it, or rolls it back; a window waits; people can override.
func TestConditions(t *testing.T) {
	clock := &clocked{}
	each(t, func(c *pipeline.Config) { clock.set(); c.Now = clock.now }, func(t *testing.T, h *house) {
		check := func(where, result, value string) string {
			return "    " + where + ": {conditions: [{result: " + result + ", rules: [{name: is, ruleTypeId: {provider: VariableCheck}, configuration: {Variable: '#{Code.BranchName}', Value: " + value + ", Operator: EQ}}]}]}\n"
		}
		quick := build("B", "x", 1)
		h.make("PARALLEL", head+"  - name: Skipped\n"+check("beforeEntry", "SKIP", "other")+"    actions:\n"+quick+"  - name: Entered\n"+check("beforeEntry", "FAIL", "main")+check("onSuccess", "FAIL", "other")+"    actions:\n"+quick)
		e := h.ended(h.newest().ID)
		if e.Status != pipeline.Failed || e.Stages[1].Status != pipeline.Skipped || e.Stages[2].Actions[0].Status != pipeline.Succeeded || e.Stages[2].Success.Status != pipeline.Broken ||
			len(e.Reasons) != 1 || !strings.Contains(e.Reasons[0].Text, `a condition after stage Entered does not hold: is: "main" is not as asked`) {
			t.Errorf("%s %+v", e.Status, e.Reasons)
		}
		if err := h.room.Override(t.Context(), e.ID, "Entered", pipeline.OnSuccess, "arn:bob"); err != nil {
			t.Fatal(err)
		}
		if e = h.ended(e.ID); e.Status != pipeline.Succeeded || e.Stages[2].Success.Status != pipeline.Overridden || len(e.Reasons) != 0 {
			t.Errorf("overridden it is %s: %+v", e.Status, e.Reasons)
		}
		// A window that is closed now opens in an hour.
		opens := clock.now().UTC().Add(time.Hour)
		window := fmt.Sprintf("    beforeEntry: {conditions: [{result: FAIL, rules: [{name: window, ruleTypeId: {provider: DeploymentWindow}, configuration: {Cron: '* %d %d ? * * *'}}]}]}\n", opens.Minute(), opens.Hour())
		s, err := structure.Parse("p", []byte("name: p\nexecutionMode: PARALLEL\n"+head+"  - name: Windowed\n"+window+"    actions:\n"+quick), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.room.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		e = h.when(h.begin().ID, "the window", func(e pipeline.Execution) bool {
			return e.Stages[1].Entry.Status == pipeline.Asking && e.Stages[1].Entry.Rules[0].Summary != ""
		})
		if e.Stages[1].Actions[0].Status != pipeline.Waiting {
			t.Errorf("it does not wait: %+v", e.Stages[1])
		}
		clock.pass(time.Hour)
		if e = h.ended(e.ID); e.Status != pipeline.Succeeded {
			t.Errorf("with the window open it is %s: %+v", e.Status, e.Reasons)
		}
	})
}

// A question takes as many as it needs, not from those who had a hand in it, each once; one no ends it; so does time.
func TestApproval(t *testing.T) {
	clock := &clocked{}
	each(t, func(c *pipeline.Config) { clock.set(); c.Now = clock.now }, func(t *testing.T, h *house) {
		h.make("PARALLEL", head+stage("Release", "      - {name: Ask, timeoutInMinutes: 60, actionTypeId: {category: Approval, provider: Manual}, configuration: {RequiredApprovals: 2, CustomData: 'release #{Code.CommitId}?'}}\n"))
		e := h.asks(h.newest().ID)
		if a := e.Stage("Release").Action("Ask").Approval; a.Needs != 2 || !a.Separate || a.Text != "release "+e.Commit+"?" || !slices.Contains(e.Authors, "ada@example.com") {
			t.Errorf("%+v, authors %v", a, e.Authors)
		}
		vote := func(who string, yes bool, as ...string) error {
			_, err := h.room.Approve(t.Context(), pipeline.Answer{Execution: e.ID, Stage: "Release", Action: "Ask", Yes: yes, Who: who, As: as, Summary: "so says " + who})
			return err
		}
		if err := vote("arn:ada", true); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "you pushed or started it") {
			t.Errorf("who started it: %v", err)
		}
		if err := vote("arn:user/x", true, "Ada@example.com"); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "you wrote some of it") {
			t.Errorf("who wrote it: %v", err)
		}
		if _, err := h.room.Approve(t.Context(), pipeline.Answer{Execution: e.ID, Stage: "Release", Action: "Ask", Yes: true, Who: "arn:bot", Robot: true}); !errors.Is(err, fault.Denied) {
			t.Errorf("a robot: %v", err)
		}
		if err := vote("arn:bob", true); err != nil {
			t.Fatal(err)
		}
		if err := vote("arn:bob", true); !errors.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		if err := vote("arn:eve", true); err != nil {
			t.Fatal(err)
		}
		e = h.ended(e.ID)
		if a := e.Stage("Release").Action("Ask"); e.Status != pipeline.Succeeded || len(a.Approval.Votes) != 2 || !strings.Contains(a.Summary, "approved by arn:bob, arn:eve: so says arn:eve") {
			t.Errorf("%s %+v", e.Status, a)
		}
		if err := vote("arn:kim", true); !errors.Is(err, fault.Conflict) {
			t.Errorf("after the end: %v", err)
		}
		e = h.asks(h.begin().ID)
		token := e.Stage("Release").Action("Ask").Approval.Token
		if _, err := h.room.Approve(t.Context(), pipeline.Answer{Pipeline: "p", Stage: "Release", Action: "Ask", Token: "another", Yes: true, Who: "arn:bob"}); !errors.Is(err, fault.Invalid) {
			t.Errorf("another's token: %v", err)
		}
		if _, err := h.room.Approve(t.Context(), pipeline.Answer{Pipeline: "p", Stage: "Release", Action: "Ask", Token: token, Who: "arn:ada", Summary: "never"}); err != nil {
			t.Errorf("who started it may well say no: %v", err)
		}
		if e = h.ended(e.ID); e.Status != pipeline.Failed || !strings.Contains(e.Reasons[0].Text, "rejected by arn:ada: never") {
			t.Errorf("%s %+v", e.Status, e.Reasons)
		}
		e = h.asks(h.begin().ID)
		if err := vote("arn:bob", true); err != nil {
			t.Fatal(err)
		}
		clock.pass(61 * time.Minute)
		if e = h.ended(e.ID); e.Status != pipeline.Failed || e.Reasons[0].Text != "1 of 2 approved within 1h0m0s" {
			t.Errorf("%s %+v", e.Status, e.Reasons)
		}
	})
}

// Who pushed has no vote either, whoever the commits say wrote them, and whatever started the run: a schedule, a webhook,
// somebody else; nor who pushed to another branch what was merged into this one.
func TestPushersHaveNoVote(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.make("PARALLEL", head+stage("Release", "      - {name: Ask, actionTypeId: {category: Approval, provider: Manual}}\n"))
		h.who = "arn:aws:iam::1:user/lee"
		h.give("side", "not mine, says the commit", map[string]string{"a": "2"})
		h.who = "arn:aws:iam::1:user/mia"
		h.give("main", "merged", map[string]string{"b": "2"})
		e, err := h.room.Begin(t.Context(), pipeline.Start{Pipeline: "p", Trigger: pipeline.Trigger{Type: "CloudWatchEvent", Detail: "schedule of today"}})
		if err != nil {
			t.Fatal(err)
		}
		h.asks(e.ID)
		for _, who := range []string{"arn:aws:iam::1:user/lee", "arn:aws:iam::1:user/mia"} {
			if err := h.answer(e.ID, "Release", true, who); !errors.Is(err, fault.Denied) {
				t.Errorf("%s: %v", who, err)
			}
		}
		if err := h.answer(e.ID, "Release", true, "arn:aws:iam::1:user/bob"); err != nil {
			t.Errorf("who had no hand in it: %v", err)
		}
	})
}

// A transition that is closed holds runs up before a stage, and lets them on when it is opened.
func TestTransition(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.make("SUPERSEDED", head+stage("Release", build("B", "x", 1)))
		h.ended(h.newest().ID)
		to := pipeline.Transition{Stage: "Release", Kind: "Inbound", Reason: "no releases on Friday", Who: "arn:ada"}
		if err := h.room.SetTransition(t.Context(), "p", to, false); err != nil {
			t.Fatal(err)
		}
		e := h.when(h.begin().ID, "it is held up", func(e pipeline.Execution) bool { return e.Stages[1].Held != "" })
		if !strings.Contains(e.Stages[1].Held, "no releases on Friday") {
			t.Errorf("%q", e.Stages[1].Held)
		}
		if err := h.room.SetTransition(t.Context(), "p", to, true); err != nil {
			t.Fatal(err)
		}
		if e = h.ended(e.ID); e.Status != pipeline.Succeeded {
			t.Errorf("%s", e.Status)
		}
		if err := h.room.SetTransition(t.Context(), "p", pipeline.Transition{Stage: "Nothing", Kind: "Inbound"}, false); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
}

// Pushes, pull requests, other pipelines, images and times start runs, each once; what the filters leave out starts none.
func TestTriggers(t *testing.T) {
	clock := &clocked{}
	each(t, func(c *pipeline.Config) { clock.set(); c.Now = clock.now }, func(t *testing.T, h *house) {
		h.push("main", "one", map[string]string{"a": "1"})
		text := `name: p
executionMode: PARALLEL
triggers:
  - providerType: CodeStarSourceConnection
    gitConfiguration:
      sourceActionName: Code
      push:
        - branches: {includes: ["release/*"]}
          filePaths: {includes: ["src/**"]}
      pullRequest:
        - events: [OPEN]
          branches: {includes: [main]}
haechi:
  on:
    - {schedule: rate(1 hour)}
    - {pipeline: shop, states: [FAILED]}
    - {artifact: images, tags: {includes: ["v*"]}}
` + head + stage("Say", "      - {name: Say, actionTypeId: {category: Invoke, owner: ThirdParty, provider: HaechiNotify}, configuration: {Message: hello}}\n")
		s, err := structure.Parse("p", []byte(text), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.room.Create(t.Context(), s, nil, "arn:ada"); err != nil {
			t.Fatal(err)
		}
		count := 0
		started := func(what string) (e pipeline.Execution) {
			t.Helper()
			count++
			h.until(what, func() bool { return h.newest().Number >= int64(count) })
			if e = h.ended(h.newest().ID); e.Number != int64(count) {
				t.Fatalf("%s: there are %d runs, not %d", what, e.Number, count)
			}
			return e
		}
		started("its making")
		h.push("main", "two", map[string]string{"src/a": "1"})
		h.push("release/1", "three", map[string]string{"docs/a": "1"})
		h.push("release/1", "four", map[string]string{"src/b": "1"})
		if e := started("a push"); e.Branch != "release/1" || e.Subject != "four" {
			t.Errorf("%+v", e)
		}
		tip, _ := h.source.Ref(t.Context(), "shop", "refs/heads/release/1")
		pull := map[string]any{
			"event": "pullRequestCreated", "pullRequestId": "7", "repositoryNames": []string{"shop"}, "sourceReference": "refs/heads/release/1", "sourceCommit": tip,
			"destinationReference": "refs/heads/main", "destinationCommit": tip, "pullRequestStatus": "Open", "isMerged": "False", "callerUserArn": "arn:bob",
		}
		told := func(id, kind, source string, detail any) {
			t.Helper()
			text, err := json.Marshal(detail)
			if err != nil {
				t.Fatal(err)
			}
			e := event.Event{ID: id, Type: kind, Source: source, Account: account, Region: region, Time: clock.now(), Detail: text}
			if err := h.db.Write(t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, e) }); err != nil {
				t.Fatal(err)
			}
		}
		told("00000000-0000-0000-0000-000000000001", "CodeCommit Pull Request State Change", "aws.codecommit", pull)
		if e := started("a pull request"); e.Pull != "7" || e.Who != "arn:bob" || e.Commit != tip || e.Trigger.Type != "WebhookV2" {
			t.Errorf("%+v", e)
		}
		pull["event"] = "pullRequestSourceBranchUpdated"
		told("00000000-0000-0000-0000-000000000002", "CodeCommit Pull Request State Change", "aws.codecommit", pull)
		told("00000000-0000-0000-0000-000000000003", "ECR Image Action", "aws.ecr", map[string]string{"action-type": "PUSH", "result": "SUCCESS", "repository-name": "images", "image-tag": "nightly"})
		told("00000000-0000-0000-0000-000000000004", "ECR Image Action", "aws.ecr", map[string]string{"action-type": "PUSH", "result": "SUCCESS", "repository-name": "images", "image-tag": "v1"})
		if e := started("an image"); !strings.Contains(e.Trigger.Detail, "images:v1") {
			t.Errorf("%+v", e.Trigger)
		}
		h.push("main", "five", map[string]string{"packages.txt": "bad HIGH\n"})
		if e := started("the end of another pipeline"); !strings.HasPrefix(e.Trigger.Detail, "after run ") || e.Subject != "five" {
			t.Errorf("%+v", e)
		}
		clock.pass(61 * time.Minute)
		if e := started("a time"); !strings.HasPrefix(e.Trigger.Detail, "schedule of ") {
			t.Errorf("%+v", e.Trigger)
		}
	})
}

// A pull request of a forge is one run of a pipeline that waits for pull requests, whatever pushes start it; one that only
// waits for pushes takes its branch for one.
func TestForgePulls(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.push("main", "one", map[string]string{"a": "1"})
		if _, err := h.source.Change(t.Context(), "shop", func(r *source.Repository) error { r.Upstream = "https://forge.example/shop.git"; return nil }); err != nil {
			t.Fatal(err)
		}
		h.mirror = true
		for name, filters := range map[string]string{"all": "", "both": "\n      push: [{branches: {includes: ['**']}}]\n      pullRequest: [{events: [OPEN, UPDATED]}]", "pushes": "\n      push: [{branches: {includes: ['**']}}]"} {
			text := "name: " + name + "\nexecutionMode: PARALLEL\ntriggers:\n  - providerType: CodeStarSourceConnection\n    gitConfiguration:\n      sourceActionName: Code" + filters + "\n" +
				strings.Replace(head, ", BranchName: main", "", 1) + stage("Say", "      - {name: Say, actionTypeId: {category: Invoke, owner: ThirdParty, provider: HaechiNotify}, configuration: {Message: hello}}\n")
			s, err := structure.Parse(name, []byte(text), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.room.Create(t.Context(), s, nil, "arn:ada"); err != nil {
				t.Fatal(err)
			}
		}
		triggers := func(name, branch string) (all []string) {
			t.Helper()
			runs, err := h.room.Executions(t.Context(), pipeline.Query{Pipeline: name, Branch: branch})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range runs {
				all = append(all, e.Trigger.Type)
			}
			return all
		}
		for n, what := range []string{"pullRequestCreated", "pullRequestSourceBranchUpdated"} {
			tip := h.give("pr/7", "pull", map[string]string{"b": what})
			detail, err := json.Marshal(map[string]any{
				"event": what, "pullRequestId": "7", "repositoryNames": []string{"shop"}, "sourceReference": "refs/heads/pr/7", "sourceCommit": tip,
				"destinationReference": "refs/heads/main", "destinationCommit": tip, "pullRequestStatus": "Open", "isMerged": "False", "callerUserArn": "arn:forge",
			})
			if err != nil {
				t.Fatal(err)
			}
			e := event.Event{ID: fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", n), Type: "CodeCommit Pull Request State Change", Source: "aws.codecommit", Account: account, Region: region, Time: time.Now(), Detail: detail}
			if err := h.db.Write(t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, e) }); err != nil {
				t.Fatal(err)
			}
		}
		tip := h.give("feature", "push", map[string]string{"c": "1"}) // when this has its runs, all before has
		h.started(tip, "feature")
		for name, want := range map[string]string{"both": "[WebhookV2 WebhookV2] [CloudWatchEvent]", "pushes": "[CloudWatchEvent CloudWatchEvent] [CloudWatchEvent]", "all": "[CloudWatchEvent CloudWatchEvent] [CloudWatchEvent]", "shop": "[CloudWatchEvent CloudWatchEvent] [CloudWatchEvent]"} {
			h.until(name, func() bool { return len(triggers(name, "feature")) > 0 })
			if got := fmt.Sprint(triggers(name, "pr/7"), triggers(name, "feature")); got != want {
				t.Errorf("%s: the pull request and the branch started %s, want %s", name, got, want)
			}
		}
	})
}

// A pipeline starts another with variables, and waits for its end where it is asked to; pipelines do not start each other in a circle.
func TestStartPipeline(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		start := func(name, more string) string {
			return "      - {name: Go, actionTypeId: {category: Invoke, provider: CodePipeline}, namespace: Started, configuration: {PipelineName: " + name + more + "}}\n"
		}
		h.push("main", "one", map[string]string{"a": "1"})
		other, err := structure.Parse("q", []byte("name: q\nvariables: [{name: TO}]\n"+head+stage("Release", ask)), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.room.Create(t.Context(), other, nil, "arn:ada"); err != nil {
			t.Fatal(err)
		}
		h.make("PARALLEL", head+stage("Go", start("q", `, WaitForEnd: true, Variables: '[{"name":"TO","value":"#{Code.BranchName}"}]'`)))
		var child pipeline.Execution
		h.until("the other run", func() bool {
			all, _ := h.room.Executions(t.Context(), pipeline.Query{Pipeline: "q", Limit: 1})
			if len(all) == 1 {
				child = all[0]
			}
			return len(all) == 1
		})
		child = h.asks(child.ID)
		if child.Variables["TO"] != "main" || child.Parent == nil {
			t.Errorf("%+v", child)
		}
		if e := h.newest(); e.Status != pipeline.InProgress {
			t.Errorf("it does not wait: %s", e.Status)
		}
		if err := h.answer(child.ID, "Release", true, "arn:bob"); err != nil {
			t.Fatal(err)
		}
		if e := h.ended(h.newest().ID); e.Status != pipeline.Succeeded || e.Values["Started"] != nil && e.Values["Started"]["PipelineExecutionId"] != child.ID {
			t.Errorf("%s %+v", e.Status, e.Reasons)
		}
	})
}

// The file of a repository starts pipelines of its own repository: whoever may push there has no say in another's.
func TestFileStartsItsOwn(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.push("main", "one", map[string]string{"a": "1"})
		if _, err := h.source.Create(t.Context(), source.Repository{Name: "other"}); err != nil {
			t.Fatal(err)
		}
		for name, repository := range map[string]string{"own": "shop", "foreign": "other"} {
			p, err := structure.Parse(name, []byte("name: "+name+"\n"+strings.ReplaceAll(head, "RepositoryName: shop", "RepositoryName: "+repository)+stage("Release", ask)), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.room.Create(t.Context(), p, nil, "arn:ada"); err != nil {
				t.Fatal(err)
			}
		}
		begun := func(name string) int {
			all, err := h.room.Executions(t.Context(), pipeline.Query{Pipeline: name, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		file := func(name string) pipeline.Execution {
			own := strings.ReplaceAll(head, "        configuration: {RepositoryName: shop, BranchName: main}\n", "")
			return h.push("main", name, map[string]string{pipeline.DefinitionFile: own + stage("Go", "      - {name: Go, actionTypeId: {category: Invoke, provider: CodePipeline}, configuration: {PipelineName: "+name+"}}\n")})
		}
		own, foreign := begun("own"), begun("foreign")
		if e := file("own"); e.Status != pipeline.Succeeded || begun("own") <= own {
			t.Errorf("its own: %s %+v", e.Status, e.Reasons)
		}
		if e := file("foreign"); e.Status != pipeline.Failed || begun("foreign") != foreign || !strings.Contains(fmt.Sprint(e.Reasons), "of its own repository") {
			t.Errorf("another's: %s %+v", e.Status, e.Reasons)
		}
	})
}

// A gate policy is asked what it would have said of the runs that there were, though nothing runs again.
func TestWhatIf(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.push("main", "one", map[string]string{"packages.txt": "old LOW\n"})
		h.push("main", "two", map[string]string{"packages.txt": "old LOW\nmid MEDIUM\n"})
		h.push("main", "three", map[string]string{"packages.txt": "old LOW\nmid MEDIUM\nbad HIGH\n"})
		h.push("main", "four", map[string]string{"packages.txt": "unreadable\n"})
		policy, err := gate.Parse("gate.yaml", []byte("block:\n  - name: medium\n    pattern: { Severity: { Label: [MEDIUM] } }\n"))
		if err != nil {
			t.Fatal(err)
		}
		all, err := h.room.WhatIf(t.Context(), "shop", policy, 50)
		if err != nil || len(all) != 4 {
			t.Fatal(len(all), err)
		}
		for i, want := range []struct {
			was   pipeline.Status
			would bool
			text  string
		}{{pipeline.Failed, false, "did not look at everything"}, {pipeline.Failed, true, ""}, {pipeline.Succeeded, false, "Package mid is vulnerable"}, {pipeline.Succeeded, true, ""}} {
			j := all[i]
			text := ""
			for _, r := range j.Reasons {
				text += r.Text
			}
			if !j.Known || j.Was != want.was || j.Would != want.would || !strings.Contains(text, want.text) {
				t.Errorf("run %d: %+v", j.Number, j)
			}
		}
	})
}

// Token and revisions: the same token starts one run; a commit that is not on the branch starts none.
func TestBegin(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.make("PARALLEL", head+stage("Release", ask))
		first, err := h.room.Begin(t.Context(), pipeline.Start{Pipeline: "p", Token: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := h.room.Begin(t.Context(), pipeline.Start{Pipeline: "p", Token: "t"}); err != nil || again.ID != first.ID {
			t.Errorf("the same token: %s, %v", again.ID, err)
		}
		old, _ := h.source.Ref(t.Context(), "shop", "refs/heads/main")
		h.push("main", "two", map[string]string{"a": "2"})
		e, err := h.room.Begin(t.Context(), pipeline.Start{Pipeline: "p", Revisions: map[string]string{"Code": old}})
		if err != nil || e.Commit != old {
			t.Errorf("%s, %v", e.Commit, err)
		}
		h.push("side", "three", map[string]string{"b": "2"})
		side, _ := h.source.Ref(t.Context(), "shop", "refs/heads/side")
		if _, err := h.room.Begin(t.Context(), pipeline.Start{Pipeline: "p", Revisions: map[string]string{"Code": side}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("another branch's commit: %v", err)
		}
		if _, err := h.room.Begin(t.Context(), pipeline.Start{Pipeline: "nothing"}); !errors.Is(err, fault.NotFound) {
			t.Errorf("no such pipeline: %v", err)
		}
		if err := h.room.Delete(t.Context(), "p", "arn:ada"); err != nil {
			t.Fatal(err)
		}
		if e := h.ended(first.ID); e.Status != pipeline.Stopped {
			t.Errorf("its pipeline is gone, and it is %s", e.Status)
		}
	})
}
