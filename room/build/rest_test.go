package build_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// A build is stopped at once, whoever is at work on it; one that nobody takes,
// or that takes too long, times out.
func TestStopAndTimeouts(t *testing.T) {
	now := time.Now()
	h := alone(t, func(c *build.Config) { c.Now = func() time.Time { return now } })
	h.push("main", "long", map[string]string{"buildspec.yml": spec("", "echo begun", "sleep 60")})
	made := h.start(build.Start{})
	h.until("work", func() bool {
		m, err := h.room.Build(t.Context(), made.ID)
		must(t, err)
		return m.Phase == build.Building
	})
	stopped, err := h.room.Stop(t.Context(), made.ID)
	if err != nil || stopped.Status != build.Stopped || stopped.Phases[len(stopped.Phases)-2].Status != build.Stopped {
		t.Errorf("%v %+v", err, stopped)
	}
	if _, err := h.room.Stop(t.Context(), made.ID); !errors.Is(err, fault.Invalid) {
		t.Errorf("stopped twice: %v", err)
	}
	if log := h.log(made); !strings.Contains(log, "begun") {
		t.Errorf("log: %q", log)
	}
}

// Nobody takes what is asked for: it times out in the queue.
func TestQueuedTimeout(t *testing.T) {
	var skew atomic.Int64
	h := alone(t, func(c *build.Config) {
		c.Workers = -1
		c.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	})
	h.push("main", "any", map[string]string{"buildspec.yml": spec("", "true")})
	made := h.start(build.Start{QueuedTimeout: 5})
	skew.Store(int64(6 * time.Minute))
	if made := h.ended(made.ID); made.Status != build.TimedOut || made.Facts.Reason.Code != "BUILD_TIMED_OUT" {
		t.Errorf("%s %+v", made.Status, made.Facts.Reason)
	}
}

// A build that failed is tried again by itself as often as its project says.
func TestAutoRetry(t *testing.T) {
	h := alone(t, nil)
	h.push("main", "bad", map[string]string{"buildspec.yml": spec("", "false")})
	two := 2
	first := h.built(build.Start{AutoRetryLimit: &two})
	h.until("three builds", func() bool {
		all, err := h.room.Builds(t.Context(), build.Query{})
		must(t, err)
		return len(all) == 3 && !slices.ContainsFunc(all, func(b build.Build) bool { return !b.Complete })
	})
	all, err := h.room.Builds(t.Context(), build.Query{Ascending: true})
	must(t, err)
	if first.AutoRetry.Next != all[1].ARN || all[1].AutoRetry.Previous != first.ARN || all[2].AutoRetry.Number != 2 || all[2].AutoRetry.Next != "" {
		t.Errorf("%+v %+v %+v", first.AutoRetry, all[1].AutoRetry, all[2].AutoRetry)
	}
}

// Caches lie in classes: what another branch wrote is never read by builds of a
// protected one, which others may read; entries of a key stay as they are; and
// all of them have a bound.
func TestCaches(t *testing.T) {
	h := alone(t, func(c *build.Config) { c.CacheBytes = 64 << 10 })
	text := func(say string) map[string]string {
		return map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  build:\n    commands:\n      - cat kept/what 2>/dev/null || echo nothing\n      - mkdir -p kept && echo " + say + " > kept/what\ncache:\n  paths: ['kept/**/*']\n"}
	}
	said := func(s build.Start) string {
		t.Helper()
		made := h.built(s)
		if made.Status != build.Succeeded {
			t.Fatalf("%s %+v", made.Status, made.Facts.Reason)
		}
		for _, line := range strings.Split(h.log(made), "\n") {
			if slices.Contains([]string{"nothing", "of-main", "of-feature", "of-evil"}, line) {
				return line
			}
		}
		return ""
	}
	h.push("main", "first", text("of-main"))
	if got := said(build.Start{}); got != "nothing" {
		t.Errorf("the first build found %s", got)
	}
	if got := said(build.Start{}); got != "of-main" {
		t.Errorf("the second build found %s", got)
	}
	h.push("feature", "other", text("of-feature"))
	if got := said(build.Start{Version: "feature"}); got != "of-main" {
		t.Errorf("another branch found %s", got)
	}
	if got := said(build.Start{Version: "feature"}); got != "of-feature" {
		t.Errorf("another branch found %s, then", got)
	}
	if got := said(build.Start{}); got != "of-main" {
		t.Errorf("main found %s, which another branch wrote", got)
	}
	if got := said(build.Start{Buildspec: text("of-evil")["buildspec.yml"]}); got != "of-main" {
		t.Errorf("a build with a buildspec of its own found %s", got)
	}
	if got := said(build.Start{}); got != "of-main" {
		t.Errorf("main found %s, which a buildspec from elsewhere wrote", got)
	}
	must(t, h.room.InvalidateCache(t.Context(), "shop"))
	if got := said(build.Start{}); got != "nothing" {
		t.Errorf("after it was invalidated: %s", got)
	}
	h.push("main", "big", map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  build:\n    commands:\n      - mkdir -p kept && head -c 20000 /dev/urandom > kept/what\ncache:\n  key: big-$CODEBUILD_BUILD_NUMBER\n  paths: ['kept/**/*']\n"})
	for range 5 {
		h.built(build.Start{})
	}
	if _, _, n, size, err := h.room.Size(t.Context()); err != nil || size > 64<<10 || n == 0 {
		t.Errorf("%d caches of %d bytes, %v", n, size, err)
	}
}

type hub struct{ scans []finding.Scan }

func (h *hub) Take(_ context.Context, s finding.Scan, _ bool, _ *os.File) (string, error) {
	h.scans = append(h.scans, s)
	return "taken", nil
}

const sarif = `{"version":"2.1.0","$schema":"https://json.schemastore.org/sarif-2.1.0.json","runs":[{"tool":{"driver":{"name":"lint","version":"1","rules":[]}},"results":[]}]}`

// Reports of security tools go to the hub, for the branch's newest commit and its
// own buildspec only; one that cannot be read fails the build.
func TestSecurityReports(t *testing.T) {
	taken := &hub{}
	h := alone(t, func(c *build.Config) { c.Reports, c.Scanners = taken, []string{"lint"} })
	text := spec("reports:\n  lint:\n    files: [lint.sarif]\n    file-format: sarif\n", "true")
	commit := h.push("main", "first", map[string]string{"buildspec.yml": text, "lint.sarif": sarif})
	if made := h.built(build.Start{}); made.Status != build.Succeeded {
		t.Fatalf("%+v\n%s", made.Facts.Reason, h.log(made))
	}
	if len(taken.scans) != 1 || taken.scans[0].Tool != "build-lint" || taken.scans[0].Branch != "main" || taken.scans[0].Commit != commit || taken.scans[0].Target != "shop" {
		t.Errorf("%+v", taken.scans)
	}
	h.built(build.Start{Buildspec: text})
	h.push("main", "second", map[string]string{"a": "b"})
	h.built(build.Start{Version: commit})
	if len(taken.scans) != 1 {
		t.Errorf("what does not count was taken: %+v", taken.scans[1:])
	}
	h.push("main", "broken", map[string]string{"lint.sarif": "{"})
	if made := h.built(build.Start{}); made.Status != build.Failed || made.Facts.Reason.Code != "REPORT_ERROR" {
		t.Errorf("%s %+v", made.Status, made.Facts.Reason)
	}
}

// A test that passed and failed on one commit is flaky, as is one that changes
// again and again; one that broke and was mended is not.
func TestFlaky(t *testing.T) {
	h := alone(t, nil)
	junit := func(status map[string]bool) string {
		text := "<testsuite name=\"s\">"
		for _, name := range []string{"good", "bad", "mended", "moody"} {
			text += "<testcase name=\"" + name + "\">"
			if !status[name] {
				text += "<failure message=\"no\"/>"
			}
			text += "</testcase>"
		}
		return text + "</testsuite>"
	}
	run := func(status map[string]bool) {
		h.push("main", fmt.Sprint(status), map[string]string{"buildspec.yml": spec("reports:\n  unit:\n    files: [j.xml]\n", "true"), "j.xml": junit(status), "n": fmt.Sprint(time.Now().UnixNano())})
		if made := h.built(build.Start{}); made.Status != build.Succeeded || len(made.Reports) != 1 {
			t.Fatalf("%+v %s", made.Facts.Reason, h.log(made))
		}
	}
	run(map[string]bool{"good": true, "moody": true})
	run(map[string]bool{"good": true, "mended": true})
	run(map[string]bool{"good": true, "mended": true, "moody": true})
	run(map[string]bool{"good": true, "mended": true})
	flaky, err := h.room.Flaky(t.Context(), "shop-unit")
	if err != nil || len(flaky) != 1 || flaky[0].Name != "s.moody" || flaky[0].Flips != 3 {
		t.Errorf("%+v %v", flaky, err)
	}
	// The same commit, built twice, says two things of one test.
	h.push("main", "dice", map[string]string{"buildspec.yml": spec("reports:\n  dice:\n    files: [j.xml]\n",
		`if [ $((CODEBUILD_BUILD_NUMBER % 2)) = 0 ]; then F='<failure message="no"/>'; fi`, `echo "<testsuite name='s'><testcase name='dice'>$F</testcase></testsuite>" > j.xml`)})
	h.built(build.Start{})
	h.built(build.Start{})
	flaky, err = h.room.Flaky(t.Context(), "shop-dice")
	if err != nil || len(flaky) != 1 || flaky[0].Commit == "" || !strings.Contains(flaky[0].Why, "passed and failed on commit") {
		t.Errorf("%+v %v", flaky, err)
	}
	points, err := h.room.Trend(t.Context(), "shop-unit", "PASS_RATE", 10)
	if err != nil || len(points) != 4 || points[0].Value != 50 || points[1].Value != 75 {
		t.Errorf("%+v %v", points, err)
	}
}

// Webhooks start builds of pushes and pull requests that their filters want, one for each event.
func TestWebhooks(t *testing.T) {
	h := alone(t, nil)
	text := spec("", "echo hook $CODEBUILD_WEBHOOK_TRIGGER $CODEBUILD_WEBHOOK_HEAD_REF")
	h.push("main", "first", map[string]string{"buildspec.yml": text})
	_, err := h.room.ChangeProject(t.Context(), "shop", func(p *build.Project) error {
		p.Webhook = &build.Webhook{FilterGroups: [][]build.Filter{
			{{Type: "EVENT", Pattern: "PUSH"}, {Type: "HEAD_REF", Pattern: "^refs/heads/main$"}, {Type: "FILE_PATH", Pattern: `\.go$`}},
			{{Type: "EVENT", Pattern: "PUSH"}, {Type: "COMMIT_MESSAGE", Pattern: "please"}, {Type: "HEAD_REF", Pattern: "^refs/heads/main$", Exclude: true}},
		}}
		return nil
	})
	must(t, err)
	h.push("main", "docs", map[string]string{"README.md": "x"})
	wanted := h.push("main", "code", map[string]string{"a.go": "package a"})
	h.push("feature", "quiet", map[string]string{"b.go": "package b"})
	asked := h.push("feature", "build it, please", map[string]string{"c": "d"})
	var all []build.Build
	h.until("two builds", func() bool {
		all, err = h.room.Builds(t.Context(), build.Query{Ascending: true, Status: build.Succeeded})
		must(t, err)
		return len(all) == 2
	})
	if all[0].Facts.Commit != wanted || all[1].Facts.Commit != asked || all[0].Initiator != "haechi/webhook" {
		t.Errorf("%+v %+v", all[0].Facts, all[1].Facts)
	}
	if log := h.log(all[1]); !strings.Contains(log, "hook branch/feature refs/heads/feature") {
		t.Errorf("%s", log)
	}
}

// The folder of a build that failed stays for a look, without a file that holds a
// secret; only so many do, and a command can be run in it.
func TestReentry(t *testing.T) {
	const value = "correct-horse-battery"
	h := alone(t, func(c *build.Config) {
		c.Secrets, c.KeptFolders = values{"db::AWSCURRENT": value}, 2
	})
	h.push("main", "bad", map[string]string{"buildspec.yml": "version: 0.2\nenv:\n  secrets-manager: {PASSWORD: db}\n  variables: {PLAIN: open}\nphases:\n  build:\n    commands:\n      - echo $PASSWORD > secret.txt\n      - echo $PASSWORD | base64 > coded.txt\n      - echo made > made.txt\n      - exit 1\n"})
	made := h.built(build.Start{})
	h.until("the folder", func() bool { all, err := h.room.Folders(); must(t, err); return len(all) == 1 })
	var out strings.Builder
	exit, err := h.room.Shell(t.Context(), "ada", made.ID, "ls; cat made.txt; echo $PLAIN; echo pw:$PASSWORD; echo later > more.txt", &out)
	if err != nil || exit != 0 || !strings.Contains(out.String(), "made.txt") || !strings.Contains(out.String(), "open\npw:\n") || strings.Contains(out.String(), "secret.txt") || strings.Contains(out.String(), "coded.txt") {
		t.Errorf("%d %v\n%s", exit, err, out.String())
	}
	out.Reset()
	if exit, err := h.room.Shell(t.Context(), "ada", made.ID, "cat more.txt; exit 4", &out); err != nil || exit != 4 || out.String() != "later\n" {
		t.Errorf("%d %v %q", exit, err, out.String())
	}
	for range 2 {
		h.built(build.Start{})
	}
	h.until("two other folders", func() bool {
		all, err := h.room.Folders()
		must(t, err)
		return len(all) == 2 && !slices.ContainsFunc(all, func(f build.Folder) bool { return f.Build == made.ID })
	})
	if _, err := h.room.Shell(t.Context(), "ada", made.ID, "ls", &out); !errors.Is(err, fault.NotFound) {
		t.Errorf("the oldest folder: %v", err)
	}
}

// What a pipeline asks for is begun once, in its own transaction, with its names
// for what goes in and out; it hears of the end by an event.
func TestActions(t *testing.T) {
	h := alone(t, nil)
	commit := h.push("main", "first", map[string]string{"buildspec.yml": spec("artifacts:\n  files: [x]\nenv:\n  exported-variables: [V]\n", "echo made > x", "export V=1")})
	begin := func(a build.Action) (id string, err error) {
		t.Helper()
		err = h.db.Write(t.Context(), func(tx *db.Tx) error { id, err = h.room.Begin(tx, a); return err })
		return id, err
	}
	a := build.Action{ID: "run/Build/1", Pipeline: "shop", Repository: "shop", Branch: "main", Commit: commit, Protected: true, Inputs: []build.Input{{Name: "Source"}}, Outputs: []string{"Out"}, Stream: "pipeline/run/Build"}
	id, err := begin(a)
	must(t, err)
	if again, err := begin(a); err != nil || again != id {
		t.Errorf("again: %s %v", again, err)
	}
	made := h.ended(id)
	if made.Status != build.Succeeded || made.Initiator != "codepipeline/shop" || made.Stream() != "pipeline/run/Build" {
		t.Fatalf("%+v %+v\n%s", made, made.Facts.Reason, h.log(made))
	}
	told := h.told(build.Changed)
	last := told[len(told)-1].Ours
	if last.Action != "run/Build/1" || len(last.Outputs) != 1 || last.Outputs[0].Name != "Out" || len(last.Exported) != 1 || len(last.Phases) < 10 {
		t.Errorf("%+v", last)
	}
	// What one action made is the next one's source.
	id, err = begin(build.Action{ID: "run/Test/1", Pipeline: "shop", Repository: "shop", Branch: "main", Commit: commit, Commands: []string{"cat x", "export W=2"}, OutputVariables: []string{"W"},
		Inputs: []build.Input{{Name: "Out", Digest: last.Outputs[0].Digest}, {Name: "Source"}}})
	must(t, err)
	made = h.ended(id)
	if made.Status != build.Succeeded || !strings.Contains(h.log(made), "made\n") || len(made.Exported) != 1 {
		t.Errorf("%+v %v\n%s", made.Facts.Reason, made.Exported, h.log(made))
	}
	if _, err := begin(build.Action{ID: "x", Configuration: map[string]string{"ProjectName": "none"}, Repository: "shop"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("no project: %v", err)
	}
	id, err = begin(build.Action{ID: "run/Miss/1", Pipeline: "shop", Repository: "shop", Branch: "main", Commit: commit, Commands: []string{"true"}, Outputs: []string{"None"}})
	must(t, err)
	if made := h.ended(id); made.Status != build.Failed || !strings.Contains(made.Facts.Reason.Text, "waits for the artifact None") {
		t.Errorf("%s %+v", made.Status, made.Facts.Reason)
	}
}

// What a build fetches goes through its own proxy: without a rule nothing is
// reached, and what was asked for is written down.
func TestEgress(t *testing.T) {
	h := alone(t, func(c *build.Config) {
		c.Machine.Exits = &build.Exits{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network in tests") }}
		c.Egress = egress.Rules{}
	})
	h.push("main", "asks", map[string]string{"buildspec.yml": spec("", `curl -sS -o /dev/null http://example.com/x || wget -q http://example.com/x || true`, "env | grep -i proxy")})
	made := h.built(build.Start{})
	if made.Status != build.Succeeded || len(made.Facts.Downloads) == 0 || made.Facts.Downloads[0].Denied == "" {
		t.Errorf("%+v %+v\n%s", made.Facts.Reason, made.Facts.Downloads, h.log(made))
	}
}

// What was kept long enough goes: builds with their logs and artifacts, and files that nobody names.
func TestRetention(t *testing.T) {
	h := alone(t, nil)
	h.push("main", "first", map[string]string{"buildspec.yml": spec("artifacts:\n  files: [buildspec.yml]\n", "true")})
	made := h.built(build.Start{})
	if n, size, _, _, err := h.room.Size(t.Context()); err != nil || n != 1 || size == 0 {
		t.Errorf("%d artifacts of %d bytes, %v", n, size, err)
	}
	deleted, kept, err := h.room.Delete(t.Context(), made.ID, "shop:none")
	if err != nil || len(deleted) != 1 || len(kept) != 1 {
		t.Errorf("%v %v %v", deleted, kept, err)
	}
	if size, err := h.work.Size(t.Context(), made.Stream()); err != nil || size != 0 {
		t.Errorf("the log has %d bytes still, %v", size, err)
	}
	if _, err := h.room.Build(t.Context(), made.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}
