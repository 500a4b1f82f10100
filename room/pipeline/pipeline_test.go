package pipeline_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

const account, region = "111122223333", "eu-west-1"

// packages is a scanner of files called packages.txt: a line "NAME SEVERITY"
// is a package with that weakness, "unreadable" is one that nobody can read.
type packages struct{}

func (packages) Name() string           { return "packages" }
func (packages) Version() string        { return "1" }
func (packages) Wants(path string) bool { return filepath.Base(path) == "packages.txt" }

func (packages) Begin(_ context.Context, _ fs.FS, out scan.Out) scan.Pass { return packagesPass{out} }

type packagesPass struct{ out scan.Out }

func (packagesPass) End() error { return nil }

func (p packagesPass) File(f scan.File) error {
	for i, line := range strings.Split(strings.TrimSpace(string(f.Content)), "\n") {
		name, severity, _ := strings.Cut(line, " ")
		if name == "panic" {
			panic("the scanner breaks")
		}
		if name == "unreadable" {
			p.out.Unread(diag.Place{File: f.Path, Line: i + 1, Why: "nobody can read it"})
			continue
		}
		if severity == "" {
			continue
		}
		fields := finding.At(diag.Place{File: f.Path, Line: i + 1})
		fields[finding.FieldFingerprint] = finding.Fingerprint("packages", name)
		p.out.Finding(finding.Finding{
			GeneratorID: "packages/" + name, Title: "Package " + name + " is vulnerable", Description: "It is.", Types: []string{"Software and Configuration Checks/Vulnerabilities/CVE"},
			Severity: &finding.Severity{Label: finding.Label(severity)}, ProductFields: fields,
			Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "Update " + name + " to 2.0"}},
		})
	}
	return nil
}

// house is the room with its real neighbours, and a person who pushes.
type house struct {
	t      testing.TB
	db     *db.DB
	bus    *bus.Bus
	hub    *hub.Hub
	source *source.Source
	room   *pipeline.Pipelines
	shop   *workshop
	blobs  pipeline.Blobs
	stop   func()
	clone  *gittest.Clone
	repo   *git.Repo
	n      int
	who    string // pushes; "" is ada
	mirror bool   // shop follows a forge, and pushes are what that has taken
}

func schemas() []db.Schema {
	return []db.Schema{bus.Schema(), hub.Schema(), source.Schema(), work.Schema(), pipeline.Schema()}
}

func furnish(ctx context.Context, d *db.DB, dir string, lease time.Duration, change func(*pipeline.Config)) (*house, error) {
	h := &house{db: d, bus: bus.New(d, bus.Config{Poll: 50 * time.Millisecond})}
	var err error
	if h.hub, err = hub.New(ctx, hub.Config{DB: d, Bus: h.bus, Account: account, Region: region}); err != nil {
		return nil, err
	}
	h.source = source.New(source.Config{DB: d, Bus: h.bus, Dir: filepath.Join(dir, "repos"), Account: account, Region: region})
	queue := work.New(work.Config{DB: d, Lease: lease, Poll: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err := queue.Recover(ctx); err != nil {
		return nil, err
	}
	h.shop = &workshop{db: d, bus: h.bus, queue: queue, took: 10 * time.Millisecond}
	c := pipeline.Config{
		DB: d, Bus: h.bus, Queue: queue, Source: h.source, Hub: h.hub, Scanners: []scan.Scanner{packages{}},
		Account: account, Region: region, Log: slog.New(slog.DiscardHandler), Starter: h.shop,
	}
	if change != nil {
		change(&c)
	}
	h.room, h.blobs = pipeline.New(c), c.Blobs
	return h, nil
}

func open(t *testing.T, d *db.DB, change func(*pipeline.Config)) *house {
	t.Helper()
	h, err := furnish(t.Context(), d, t.TempDir(), 0, change)
	if err != nil {
		t.Fatal(err)
	}
	h.t, h.clone = t, gittest.New(t)
	if _, err := h.source.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	if h.repo, err = h.source.Git("shop"); err != nil {
		t.Fatal(err)
	}
	return h
}

// run lets the room work until the test ends or stop is called.
func (h *house) run() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := h.room.Run(ctx); err != nil && ctx.Err() == nil {
			h.t.Errorf("the room ended: %v", err)
		}
	})
	wait.Go(func() { _ = h.shop.run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wait.Wait() })
	h.t.Cleanup(stop)
	return stop
}

func each(t *testing.T, change func(*pipeline.Config), test func(t *testing.T, h *house)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, opener func(...db.Schema) *db.DB) {
		h := open(t, opener(schemas()...), change)
		h.stop = h.run()
		test(t, h)
	})
}

// restart lets the room end and begin again.
func (h *house) restart() {
	h.stop()
	h.stop = h.run()
}

// push pushes, and gives the run that comes of it when it has ended.
func (h *house) push(branch, message string, files map[string]string) pipeline.Execution {
	h.t.Helper()
	return h.ended(h.started(h.give(branch, message, files), branch).ID)
}

// give does what the git door does, and gives the commit.
func (h *house) give(branch, message string, files map[string]string) (commit string) {
	h.t.Helper()
	commit = h.clone.Commit(message, files)
	ref := "refs/heads/" + branch
	old, err := h.source.Ref(h.t.Context(), "shop", ref)
	if errors.Is(err, fault.NotFound) {
		old, err = git.Zero, nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.n++
	id := fmt.Sprint("push", h.n)
	h.clone.Git("push", "-q", h.repo.Dir(), "+HEAD:refs/keep/x") // the objects come first
	err = h.source.Intend(h.t.Context(), h.repo, source.Push{ID: id, Repository: "shop", Who: cmp.Or(h.who, "ada"), Mirror: h.mirror, Updates: []source.Update{{Ref: ref, Old: old, New: commit}}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.clone.Git("push", "-q", h.repo.Dir(), "HEAD:"+ref)
	if err := h.source.Confirm(h.t.Context(), "shop", id, []string{ref}); err != nil {
		h.t.Fatal(err)
	}
	return commit
}

// until waits for something to be true, but not for ever.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func (h *house) started(commit, branch string) (e pipeline.Execution) {
	h.t.Helper()
	h.until("a run of "+commit, func() bool {
		all, err := h.room.Executions(h.t.Context(), pipeline.Query{Pipeline: "shop", Branch: branch})
		if err != nil {
			h.t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(e pipeline.Execution) bool { return e.Commit == commit })
		if i >= 0 {
			e = all[i]
		}
		return i >= 0
	})
	return e
}

func (h *house) ended(id string) (e pipeline.Execution) {
	h.t.Helper()
	h.until("the end of run "+id, func() bool {
		var err error
		if e, err = h.room.Execution(h.t.Context(), id); err != nil {
			h.t.Fatal(err)
		}
		return e.Status.Ended()
	})
	return e
}

func (h *house) log(id string) string {
	h.t.Helper()
	var b strings.Builder
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	if err := h.room.Follow(ctx, id, 0, func(text []byte, _ int64) error { b.Write(text); return nil }); err != nil {
		h.t.Fatal(err)
	}
	return b.String()
}

// told are the events of a run so far.
func (h *house) told(id string) (states []string, last pipeline.Detail) {
	h.t.Helper()
	end := event.Event{ID: bus.ID(), Type: "end", Source: "test", Account: account, Region: region}
	if err := h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, end) }); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	err := h.bus.Follow(ctx, bus.ID(), func(_ context.Context, e event.Event) error {
		if e.ID == end.ID {
			cancel()
		}
		if e.Type != pipeline.Changed {
			return nil
		}
		var d pipeline.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		if d.ID == id {
			states, last = append(states, d.State), d
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return states, last
}

// parts are what the events of a run's stages and actions have told so far.
func (h *house) parts(id string) (all []string) {
	h.t.Helper()
	end := event.Event{ID: bus.ID(), Type: "end", Source: "test", Account: account, Region: region}
	if err := h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, end) }); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	err := h.bus.Follow(ctx, bus.ID(), func(_ context.Context, e event.Event) error {
		if e.ID == end.ID {
			cancel()
		}
		if e.Type != pipeline.StageChanged && e.Type != pipeline.ActionChanged {
			return nil
		}
		var d pipeline.PartDetail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		if d.ID == id {
			all = append(all, strings.TrimSuffix(d.Stage+"/"+d.Action, "/")+" "+d.State)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// buildspec is a file that there is something to build for; what a build does, workshop says.
const buildspec = "version: 0.2\nphases: {build: {commands: [make]}}\n"

// A clean push is scanned, built, let through, and told of: by its actions, its stages and itself.
func TestCleanPush(t *testing.T) {
	mask := func(line string) string { return strings.ReplaceAll(line, "tok"+"_12345678", "********") }
	each(t, func(c *pipeline.Config) { c.Mask = mask }, func(t *testing.T, h *house) {
		e := h.push("main", "one tok"+"_12345678", map[string]string{"buildspec.yml": buildspec, "src/app.txt": "app", "packages.txt": "left-pad\n"})
		text := h.log(e.ID)
		if e.Status != pipeline.Succeeded || e.Number != 1 || e.Author != "Ada <ada@example.com>" || e.Who != "ada" || e.Level != "walls" || !e.Gated || !e.Protected {
			t.Errorf("%+v\n%s", e, text)
		}
		for _, s := range e.Stages {
			if s.Status != pipeline.Succeeded {
				t.Errorf("stage %s is %s", s.Name, s.Status)
			}
		}
		if v := e.Values["SourceVariables"]; v["CommitId"] != e.Commit || v["BranchName"] != "main" || e.Values["BuildVariables"]["VERSION"] != e.Commit[:7] {
			t.Errorf("variables %v", e.Values)
		}
		wants(t, text, "=== Source ===\nshop at "+e.Commit, "one ********", "=== Scan ===", "=== Build ===\nbegun: Build/AWS/CodeBuild/1", "action Build of stage Build\n", "=== Gate ===", "passed: 0 new findings")
		if strings.Contains(text, "tok"+"_12345678") {
			t.Errorf("a secret is in the log:\n%s", text)
		}
		for i := range e.Stages { // aws logs finds what each action said, but for a build's, which is found by its project
			for _, a := range e.Stages[i].Actions {
				group, name := pipeline.LogNames(e.Pipeline, a.ID)
				said, err := h.shop.queue.Stream(t.Context(), group, name)
				if a.Logs() != (err == nil) || a.Logs() && (!said.Ended || group != "/aws/codepipeline/shop" || !strings.HasSuffix(said.ID, "/"+a.ID)) {
					t.Errorf("%s: %+v, %v", a.Name, said, err)
				}
			}
		}
		if states, _ := h.told(e.ID); !slices.Equal(states, []string{"STARTED", "SUCCEEDED"}) {
			t.Errorf("events %v", states)
		}
		want := []string{"Source STARTED", "Source/Source STARTED", "Source/Source SUCCEEDED", "Source SUCCEEDED", "Scan STARTED", "Scan/Scan STARTED", "Scan/Scan SUCCEEDED", "Scan SUCCEEDED",
			"Build STARTED", "Build/Build STARTED", "Build/Build SUCCEEDED", "Build SUCCEEDED", "Gate STARTED", "Gate/Gate STARTED", "Gate/Gate SUCCEEDED", "Gate SUCCEEDED"}
		if got := h.parts(e.ID); !slices.Equal(got, want) {
			t.Errorf("events of its parts %v", got)
		}
		// From an offset on there is the rest, and nothing more when the run has ended.
		rest, next, done, err := h.room.Log(t.Context(), e.ID, int64(len(text)-10))
		if string(rest) != text[len(text)-10:] || next != int64(len(text)) || !done || err != nil {
			t.Errorf("%q, %d, %v, %v", rest, next, done, err)
		}
		for from := range len(text) { // in the middle of anything
			rest, _, _, err := h.room.Log(t.Context(), e.ID, int64(from))
			if !strings.HasPrefix(text[from:], string(rest)) || err != nil {
				t.Fatalf("from %d: %q, %v", from, rest, err)
			}
			if from > 60 {
				break
			}
		}
	})
}

// A push with a vulnerable package fails with reasons, once, and so does every
// one after it, until it is mended. The hub knows.
func TestVulnerablePush(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		e := h.push("main", "one", map[string]string{"packages.txt": "log4shell CRITICAL\nminor LOW\n"})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 {
			t.Fatalf("%s, reasons %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
		r := e.Reasons[0]
		if r.Text != "Package log4shell is vulnerable" || r.Where != "packages.txt:1" || r.Do != "Update log4shell to 2.0" || r.Severity != finding.Critical || r.Finding == "" {
			t.Errorf("reason %+v", r)
		}
		wants(t, h.log(e.ID), "NO  CRITICAL Package log4shell is vulnerable", "where  packages.txt:1", "do     Update log4shell to 2.0")
		states, d := h.told(e.ID)
		if !slices.Equal(states, []string{"STARTED", "FAILED"}) || d.FailedStage != "Gate" || len(d.Reasons) != 1 || d.Findings[finding.Critical] != 1 ||
			d.Fresh[finding.Low] != 1 || d.Author != "Ada <ada@example.com>" || d.Path != "/runs/"+e.ID || d.Commit != e.Commit {
			t.Errorf("events %v, the last %+v", states, d)
		}
		if present, err := h.hub.Present(t.Context(), "shop", "main"); err != nil || len(present) != 2 {
			t.Errorf("the hub has %d findings, %v", len(present), err)
		}
		if e = h.push("main", "two", map[string]string{"other.txt": "x"}); e.Status != pipeline.Failed {
			t.Errorf("pushing on washes it clean: %s", e.Status)
		}
		if e = h.push("main", "three", map[string]string{"packages.txt": "minor LOW\n"}); e.Status != pipeline.Succeeded {
			t.Errorf("mended it is %s: %+v", e.Status, e.Reasons)
		}
		if present, err := h.hub.Present(t.Context(), "shop", "main"); err != nil || len(present) != 1 {
			t.Errorf("mended the hub has %d findings, %v", len(present), err)
		}
	})
}

// On a branch counts what it brings: what the default branch had when it passed stops nobody.
func TestNewSinceBase(t *testing.T) {
	var strict atomic.Bool
	relaxed, err := gate.Parse("gate.yaml", []byte(relaxedPolicy))
	if err != nil {
		t.Fatal(err)
	}
	policy := func() gate.Policy {
		if strict.Load() {
			return gate.Policy{}
		}
		return relaxed
	}
	each(t, func(c *pipeline.Config) { c.Policy = policy; strict.Store(false) }, func(t *testing.T, h *house) {
		if e := h.push("main", "one", map[string]string{"packages.txt": "old HIGH\n"}); e.Status != pipeline.Succeeded {
			t.Fatalf("it is %s: %+v", e.Status, e.Reasons)
		}
		strict.Store(true)
		if e := h.push("side", "two", map[string]string{"x": "1"}); e.Status != pipeline.Succeeded || e.Base == "" {
			t.Errorf("it is %s, base %q: %+v", e.Status, e.Base, e.Reasons)
		}
		e := h.push("side", "three", map[string]string{"packages.txt": "moved\nold HIGH\nnew HIGH\n"})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Where != "packages.txt:3" {
			t.Errorf("it is %s: %+v", e.Status, e.Reasons)
		}
	})
}

// What did not pass on the default branch does not pass on a branch that leaves from there.
func TestFailedBaseIsNoBase(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		passed := h.push("main", "one", map[string]string{"packages.txt": "fine LOW\n"})
		if e := h.push("main", "two", map[string]string{"packages.txt": "fine LOW\nbad HIGH\n"}); e.Status != pipeline.Failed {
			t.Fatalf("it is %s", e.Status)
		}
		e := h.push("side", "three", map[string]string{"x": "1"})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Where != "packages.txt:2" || e.Base != passed.Commit {
			t.Errorf("it is %s, compared with %s: %+v", e.Status, e.Base, e.Reasons)
		}
		if e = h.push("side", "four", map[string]string{"packages.txt": "fine LOW\n"}); e.Status != pipeline.Succeeded {
			t.Errorf("mended it is %s: %+v", e.Status, e.Reasons)
		}
	})
}

// relaxedPolicy stops at CRITICAL only.
const relaxedPolicy = "block:\n  - name: only the worst\n    pattern: { Severity: { Label: [CRITICAL] } }\n"

// A policy that a branch brings lifts no gate, on whatever branch it is pushed;
// it counts once the default branch has passed with it.
func TestPolicyIsNotTheBranchs(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		const policy = ".haechi/gate.yaml"
		relaxed := map[string]string{policy: relaxedPolicy, "packages.txt": "bad HIGH\n"}
		if e := h.push("main", "zero", map[string]string{"a": "1"}); e.Status != pipeline.Succeeded {
			t.Fatalf("%+v", e)
		}
		e := h.push("side", "relax", relaxed)
		if e.Status != pipeline.Failed || !slices.Equal(e.Proposals, []string{policy}) {
			t.Errorf("on a branch it is %s, proposals %v", e.Status, e.Proposals)
		}
		wants(t, h.log(e.ID), "proposal: .haechi/gate.yaml is changed", "policy: the server's")
		if e := h.push("main", "the same on main", map[string]string{"b": "1"}); e.Status != pipeline.Failed {
			t.Errorf("on the default branch it is %s", e.Status)
		}
		if e := h.push("main", "only the policy", map[string]string{"packages.txt": ""}); e.Status != pipeline.Succeeded {
			t.Errorf("the policy alone is %s: %+v", e.Status, e.Reasons)
		}
		e = h.push("main", "now it counts", map[string]string{"packages.txt": "bad HIGH\n"})
		if e.Status != pipeline.Succeeded {
			t.Errorf("with the policy in force it is %s: %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
	})
}

// A scanner that could not look at everything is a no.
func TestIncompleteScan(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		e := h.push("main", "one", map[string]string{"packages.txt": "unreadable\n"})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || !strings.Contains(e.Reasons[0].Text, "packages") {
			t.Errorf("it is %s: %+v", e.Status, e.Reasons)
		}
		wants(t, h.log(e.ID), "INCOMPLETE", "packages.txt:1: nobody can read it")
	})
}

// What people accepted in the hub stops no run; the run is tried again and passes.
func TestRetryAfterSuppression(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		e := h.push("main", "one", map[string]string{"packages.txt": "bad HIGH\n", "buildspec.yml": buildspec})
		if e.Status != pipeline.Failed {
			t.Fatalf("it is %s", e.Status)
		}
		_, n, err := h.hub.AddSuppressor(t.Context(), hub.Suppressor{Name: "bad", Pattern: `{"GeneratorId": ["packages/bad"]}`,
			Acceptance: hub.Acceptance{Reason: "not reachable", Owner: "ada"}}, true)
		if err != nil || n != 1 {
			t.Fatalf("%d suppressed, %v", n, err)
		}
		if _, err := h.room.Retry(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
		e = h.ended(e.ID)
		if e.Status != pipeline.Succeeded || e.Attempt != 2 || len(e.Reasons) != 0 {
			t.Errorf("it is %s at attempt %d: %+v", e.Status, e.Attempt, e.Reasons)
		}
		wants(t, h.log(e.ID), "suppressed by people: packages.txt:1")
		if n := strings.Count(h.log(e.ID), "begun: "); n != 1 {
			t.Errorf("it was built %d times", n)
		}
		if _, err := h.room.Retry(t.Context(), e.ID); !errors.Is(err, fault.Conflict) {
			t.Errorf("a run that passed is tried again: %v", err)
		}
		if states, _ := h.told(e.ID); !slices.Equal(states, []string{"STARTED", "FAILED", "STARTED", "SUCCEEDED"}) {
			t.Errorf("events %v", states)
		}
	})
}

// A build that fails says why, and what cannot be begun fails, too.
func TestFailedBuild(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.define("fail")
		e := h.push("main", "one", map[string]string{"a": "1"})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Where != "phase build" || e.Reasons[0].Action != "Build" {
			t.Errorf("it is %s: %+v", e.Status, e.Reasons)
		}
		h.define("refuse")
		e = h.push("main", "two", map[string]string{"a": "2"})
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Text != "there is no project refuse" {
			t.Errorf("it is %s: %+v", e.Status, e.Reasons)
		}
	})
}

// define gives shop the pipeline Source, Build, of one of the workshop's projects.
func (h *house) define(project string) {
	h.t.Helper()
	s := pipeline.Default("shop")
	s.Stages = append(s.Stages[:1], s.Stages[2])
	s.Stages[1].Actions[0].Configuration = map[string]string{"ProjectName": project}
	if _, err := h.room.Update(h.t.Context(), s); err != nil {
		h.t.Fatal(err)
	}
}

// A run that is stopped ends at once, with what it had started, and the next one begins.
func TestStop(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		var first pipeline.Execution
		done, begin := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			<-begin
			h.until("the build's start", func() bool {
				all, _ := h.room.Executions(t.Context(), pipeline.Query{})
				if len(all) == 0 {
					return false
				}
				first = all[0]
				text, _, _, _ := h.room.Log(t.Context(), first.ID, 0)
				return strings.Contains(string(text), "begun")
			})
			if err := h.room.Stop(t.Context(), first.ID); err != nil {
				t.Error(err)
			}
		}()
		h.define("sleep")
		close(begin)
		e := h.push("main", "one", map[string]string{"a": "1"})
		<-done
		if e.Status != pipeline.Stopped || e.Ended.Sub(e.Started) > 200*time.Second {
			t.Errorf("it is %s after %v", e.Status, e.Ended.Sub(e.Started))
		}
		if states, _ := h.told(e.ID); !slices.Equal(states, []string{"STARTED", "STOPPING", "STOPPED"}) {
			t.Errorf("events %v", states)
		}
		if err := h.room.Stop(t.Context(), e.ID); !errors.Is(err, fault.Conflict) {
			t.Errorf("stopping it again: %v", err)
		}
	})
}

// Runs are listed by page, the newest first, and by what one asks for.
func TestExecutions(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		for i := range 3 {
			h.push("main", fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)})
		}
		h.push("side", "x", map[string]string{"packages.txt": "bad HIGH\n"})
		var seen []int64
		for q := (pipeline.Query{Limit: 3}); ; {
			page, err := h.room.Executions(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				seen = append(seen, e.Number)
			}
			q.Before = page[len(page)-1].ID
		}
		if !slices.Equal(seen, []int64{4, 3, 2, 1}) {
			t.Errorf("pages hold %v", seen)
		}
		if bad, err := h.room.Executions(t.Context(), pipeline.Query{Status: pipeline.Failed}); err != nil || len(bad) != 1 || bad[0].Branch != "side" {
			t.Errorf("failed ones: %v, %v", bad, err)
		}
		if _, err := h.room.Execution(t.Context(), "nothing"); !errors.Is(err, fault.NotFound) {
			t.Errorf("a run that is not there: %v", err)
		}
		e, err := h.room.Start(t.Context(), "shop", "main", "", "bob")
		if err != nil {
			t.Fatal(err)
		}
		if e = h.ended(e.ID); e.Status != pipeline.Succeeded || e.Who != "bob" {
			t.Errorf("started by hand: %+v", e)
		}
		side, _ := h.source.Ref(t.Context(), "shop", "refs/heads/side")
		if _, err := h.room.Start(t.Context(), "shop", "main", side, "bob"); !errors.Is(err, fault.Invalid) {
			t.Errorf("another branch's commit as main's: %v", err)
		}
	})
}

// What was seen only on a branch that is deleted is seen no more.
func TestDeletedBranch(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		h.push("main", "one", map[string]string{"a": "1"})
		h.push("side", "two", map[string]string{"packages.txt": "bad HIGH\n"})
		side, err := h.source.Ref(t.Context(), "shop", "refs/heads/side")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.source.Intend(t.Context(), h.repo, source.Push{ID: "delete", Repository: "shop", Updates: []source.Update{{Ref: "refs/heads/side", Old: side, New: git.Zero}}}); err != nil {
			t.Fatal(err)
		}
		h.clone.Git("push", "-q", h.repo.Dir(), ":side")
		if err := h.source.Confirm(t.Context(), "shop", "delete", []string{"refs/heads/side"}); err != nil {
			t.Fatal(err)
		}
		h.until("the hub forgets the branch", func() bool {
			present, err := h.hub.Present(t.Context(), "shop", "side")
			return err == nil && len(present) == 0
		})
		if all, err := h.room.Executions(t.Context(), pipeline.Query{}); err != nil || len(all) != 2 {
			t.Errorf("%d runs, %v", len(all), err)
		}
	})
}

// A scanner that breaks stops the run, and nothing else.
func TestBrokenScanner(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		if e := h.push("main", "one", map[string]string{"packages.txt": "panic\n"}); e.Status != pipeline.Failed {
			t.Errorf("it is %s", e.Status)
		}
		if e := h.push("main", "two", map[string]string{"packages.txt": "fine\n"}); e.Status != pipeline.Succeeded {
			t.Errorf("the next one is %s: %+v", e.Status, e.Reasons)
		}
	})
}
