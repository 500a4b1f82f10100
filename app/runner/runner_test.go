package runner_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/app/runner"
	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/base/websocket"
	door "github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/codebuild"
	"github.com/haechi-dev/haechi/door/wire/codepipeline"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// The test binary is also the runner that is killed.
func TestMain(m *testing.M) {
	sandbox.Child()
	if endpoint := os.Getenv("RUNNER_TEST_ENDPOINT"); endpoint != "" {
		c := &remote.Client{Endpoint: endpoint, Region: region, Key: os.Getenv("RUNNER_TEST_KEY"), Secret: seal.Secret(os.Getenv("RUNNER_TEST_SECRET")), HTTP: http.DefaultClient, Now: time.Now}
		r, err := made(c, os.Getenv("RUNNER_TEST_FOLDER"))
		if err != nil {
			panic(err)
		}
		panic(r.Run(context.Background()))
	}
	os.Exit(m.Run())
}

// made is a runner on this machine.
func made(c *remote.Client, folder string) (*runner.Runner, error) {
	dialer, err := outbound.New(outbound.Config{})
	if err != nil {
		return nil, err
	}
	machine, err := (&app.Builds{}).Machine(sandbox.New(sandbox.Config{}), dialer, filepath.Join(folder, "images"), runner.Exchange(c), time.Now)
	if err != nil {
		return nil, err
	}
	return runner.New(runner.Config{Client: c, Machine: machine, Folder: folder, Poll: 30 * time.Millisecond, Beat: 300 * time.Millisecond}), nil
}

const account, region = "111122223333", "us-east-1"

// house is a server that builds nothing itself, with a repository shop.
type house struct {
	t      *testing.T
	url    string
	builds *build.Builds
	work   *work.Work
	blobs  *blob.Folder
	access *access.Access
	clone  *gittest.Clone
	repo   *git.Repo
}

const value = "correct-horse-battery"

type secrets struct{}

func (secrets) Secret(context.Context, string, string) (seal.Secret, error) { return value, nil }
func (secrets) Parameter(context.Context, string, string) (seal.Secret, bool, error) {
	return value, true, nil
}

type hub struct{ taken []finding.Scan }

func (h *hub) Take(_ context.Context, s finding.Scan, _ bool, _ *os.File) (string, error) {
	h.taken = append(h.taken, s)
	return "taken", nil
}

func open(t *testing.T, taken build.Reports) *house {
	t.Helper()
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), bus.Schema(), work.Schema(), source.Schema(), access.Schema(), build.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "root.key"))
	must(t, err)
	h := &house{t: t, clone: gittest.New(t), work: work.New(work.Config{DB: d, Log: quiet, Lease: 2 * time.Second, Poll: 50 * time.Millisecond})}
	h.access = access.New(access.Config{DB: d, Sealer: sealer, Account: account, Folder: dir, Log: quiet})
	repos := source.New(source.Config{DB: d, Bus: bus.New(d), Dir: filepath.Join(dir, "repos"), Account: account, Region: region, Log: quiet})
	_, err = repos.Create(t.Context(), source.Repository{Name: "shop"})
	must(t, err)
	h.repo, err = repos.Git("shop")
	must(t, err)
	h.blobs, err = blob.Open(filepath.Join(dir, "blobs"))
	must(t, err)
	h.builds = build.New(build.Config{
		DB: d, Bus: bus.New(d), Work: h.work, Source: repos, Blobs: h.blobs, Folder: filepath.Join(dir, "builds"), Account: account, Region: region, Log: quiet,
		Secrets: secrets{}, Reports: taken, Workers: -1, Poll: 50 * time.Millisecond,
	})
	spoken, err := wire.New(wire.Config{Keys: h.access, Gate: h.access, Log: quiet, Services: []wire.Service{
		codepipeline.Service(codepipeline.Config{Jobs: []codepipeline.JobSource{app.Jobs(h.builds)}, Account: account, Region: region}), codebuild.Service(h.builds)}})
	must(t, err)
	files := door.Handler(door.Config{Builds: h.builds, Access: h.access, Log: quiet})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if door.Mine(r.URL.Path) {
			files.ServeHTTP(w, r)
			return
		}
		spoken.ServeHTTP(w, r)
	}))
	h.url = server.URL
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { _ = h.builds.Run(ctx) })
	t.Cleanup(func() { stop(); wait.Wait(); server.CloseClientConnections(); server.Close() })
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// push puts a commit on main, which is protected.
func (h *house) push(files map[string]string) {
	h.t.Helper()
	h.clone.Commit("change", files)
	h.clone.Git("push", "-q", "-f", h.repo.Dir(), "HEAD:refs/heads/main")
}

// policy is the least that a runner needs, as docs/builds.md has it.
const policy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "codepipeline:PollForJobs", "Resource": "arn:aws:codepipeline:*:*:actiontype:AWS/Build/CodeBuild/1"},
  {"Effect": "Allow", "Action": ["codepipeline:AcknowledgeJob", "codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"], "Resource": "*"}]}`

// principal is a user with that policy, and a client of theirs.
func (h *house) principal(name string) *remote.Client {
	h.t.Helper()
	ctx := h.t.Context()
	must(h.t, h.access.CreateUser(ctx, name))
	must(h.t, h.access.PutInline(ctx, access.UserNamed(name), "runner", policy))
	key, secret, err := h.access.CreateKey(ctx, name)
	must(h.t, err)
	return &remote.Client{Endpoint: h.url, Region: region, Key: key, Secret: secret, HTTP: &http.Client{Timeout: time.Minute}, Now: time.Now}
}

func (h *house) start() build.Build {
	h.t.Helper()
	made, err := h.builds.Start(h.t.Context(), build.Start{Project: "shop", Version: "main", Who: "arn:aws:iam::" + account + ":user/ada"})
	must(h.t, err)
	return made
}

func (h *house) ended(id string) (made build.Build) {
	h.t.Helper()
	h.until("the end of the build", func() bool {
		var err error
		made, err = h.builds.Build(h.t.Context(), id)
		must(h.t, err)
		return made.Complete
	})
	return made
}

func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 40 s", what)
		}
	}
}

func (h *house) log(made build.Build) string {
	h.t.Helper()
	var b strings.Builder
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	must(h.t, h.work.Follow(ctx, made.Stream(), 0, func(text []byte, _ int64) error { b.Write(text); return nil }))
	return b.String()
}

const sarif = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint","version":"1","rules":[]}},"results":[]}]}`

const spec = `version: 0.2
env:
  secrets-manager: {PASSWORD: db}
  exported-variables: [WHAT]
phases:
  build:
    commands:
      - cat kept/what 2>/dev/null || echo no cache
      - mkdir -p kept && echo a cache > kept/what
      - echo the password is $PASSWORD
      - test "$PASSWORD" = correct-horse-battery
      - export WHAT=shop
      - test -x run.sh && test -L link
      - mkdir out && cp run.sh out/
artifacts:
  files: ['out/*']
cache:
  paths: ['kept/**/*']
reports:
  unit: {files: [junit.xml]}
  lint: {files: [lint.sarif], file-format: sarif}
`

// work lets a runner work until the test ends.
func (h *house) runner(name string) {
	h.t.Helper()
	r, err := made(h.principal(name), h.t.TempDir())
	must(h.t, err)
	ctx, stop := context.WithCancel(h.t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := r.Run(ctx); err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(func() { stop(); wait.Wait() })
}

// A runner with the least policy does what the server's own workers do: sources,
// secrets, log, phases, caches, artifacts, reports and exported variables.
func TestRunner(t *testing.T) {
	taken := &hub{}
	h := open(t, taken)
	dir := h.clone.Dir
	must(t, os.Symlink("run.sh", filepath.Join(dir, "link")))
	must(t, os.WriteFile(filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\n"), 0o755))
	h.push(map[string]string{"buildspec.yml": spec, "lint.sarif": sarif, "junit.xml": `<testsuite name="s"><testcase name="a"/></testsuite>`})
	h.runner("runner")
	first := h.ended(h.start().ID)
	log := h.log(first)
	if first.Status != build.Succeeded || !strings.Contains(log, "no cache\n") || !strings.Contains(log, "the password is ***") || strings.Contains(log, value) {
		t.Fatalf("%s %+v\n%s", first.Status, first.Facts.Reason, log)
	}
	f := first.Facts
	if f.Runner != "arn:aws:iam::"+account+":user/runner" || f.Level == "" || len(f.Made) != 1 || len(first.Exported) != 1 || len(first.Reports) != 1 || len(taken.taken) != 1 {
		t.Errorf("%+v %v %v %v", f, first.Exported, first.Reports, taken.taken)
	}
	must(t, h.blobs.Check(t.Context(), f.Made[0].Digest))
	if p := first.Phases; len(p) != 11 || p[6].Type != build.Building || p[6].Status != build.Succeeded {
		t.Errorf("phases: %+v", p)
	}
	second := h.ended(h.start().ID)
	if second.Status != build.Succeeded || !strings.Contains(h.log(second), "a cache\n") || second.Facts.Made[0].Digest != f.Made[0].Digest {
		t.Errorf("%s\n%s", second.Status, h.log(second))
	}
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['git diff-index --quiet HEAD', 'echo commits $(git rev-list --count HEAD)', 'test -L link && test -x run.sh']}}\n"})
	if cloned := h.ended(h.start().ID); cloned.Status != build.Succeeded || !strings.Contains(h.log(cloned), "commits 2\n") {
		t.Errorf("a clone: %s %+v\n%s", cloned.Status, cloned.Facts.Reason, h.log(cloned))
	}
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [exit 7]}}\n"})
	if third := h.ended(h.start().ID); third.Status != build.Failed || !strings.Contains(third.Facts.Reason.Text, "status 7") {
		t.Errorf("%s %+v", third.Status, third.Facts.Reason)
	}
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {biuld: {}}\n"})
	if fourth := h.ended(h.start().ID); fourth.Status != build.Failed || fourth.Facts.Reason.Code != "YAML_FILE_ERROR" {
		t.Errorf("%s %+v", fourth.Status, fourth.Facts.Reason)
	}
	// Who stops a build stops the runner's work on it.
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [sleep 60]}}\n"})
	long := h.start()
	h.until("work", func() bool {
		m, err := h.builds.Build(t.Context(), long.ID)
		must(t, err)
		return m.Phase == build.Building
	})
	_, err := h.builds.Stop(t.Context(), long.ID)
	must(t, err)
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['true']}}\n"})
	if after := h.ended(h.start().ID); after.Status != build.Succeeded {
		t.Errorf("after a stopped one: %s %+v", after.Status, after.Facts.Reason)
	}
}

// A runner that is killed loses its build to another, which does it once more from the start.
func TestKilledRunner(t *testing.T) {
	h := open(t, nil)
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [echo begun, sleep 2, echo ended]}}\n"})
	begun := h.start()
	client := h.principal("mortal")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "RUNNER_TEST_ENDPOINT="+h.url, "RUNNER_TEST_KEY="+client.Key, "RUNNER_TEST_SECRET="+client.Secret.Reveal(), "RUNNER_TEST_FOLDER="+t.TempDir())
	must(t, c.Start())
	h.until("work", func() bool {
		m, err := h.builds.Build(t.Context(), begun.ID)
		must(t, err)
		return m.Phase == build.Building
	})
	must(t, c.Process.Kill())
	_ = c.Wait()
	h.runner("next")
	ended := h.ended(begun.ID)
	if ended.Status != build.Succeeded || ended.Facts.Attempt != 2 || !strings.HasSuffix(ended.Facts.Runner, "/next") || !strings.Contains(h.log(ended), "(attempt 2: the one before was cut off)") {
		t.Errorf("%s %+v\n%s", ended.Status, ended.Facts, h.log(ended))
	}
}

// liar is a runner that does as it likes.
type liar struct {
	*house
	c *remote.Client
}

type given struct{ ID, Nonce string }

func (l *liar) poll() (j given) {
	l.t.Helper()
	l.until("a job", func() bool {
		var got struct {
			Jobs []struct {
				ID    string `json:"id"`
				Nonce string `json:"nonce"`
			} `json:"jobs"`
		}
		must(l.t, l.c.JSON(l.t.Context(), "codepipeline", "CodePipeline_20150709.PollForJobs", map[string]any{"actionTypeId": map[string]string{"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"}}, &got))
		if len(got.Jobs) == 1 {
			j = given{got.Jobs[0].ID, got.Jobs[0].Nonce}
		}
		return len(got.Jobs) == 1
	})
	return j
}

// call calls the door, and answers its status and words.
func (l *liar) call(j given, method, what, body string) (int, string) {
	l.t.Helper()
	r, err := http.NewRequest(method, l.url+door.Prefix+j.ID+"/"+what, strings.NewReader(body))
	must(l.t, err)
	r.Header.Set(door.NonceHeader, j.Nonce)
	r.Header.Set("X-Amz-Content-Sha256", sigv4.Hash([]byte(body)))
	sigv4.Signer{AccessKey: l.c.Key, Secret: l.c.Secret.Reveal(), Region: region, Service: "haechi"}.Sign(r, sigv4.Hash([]byte(body)), time.Now())
	response, err := http.DefaultClient.Do(r)
	must(l.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(l.t, err)
	return response.StatusCode, string(text)
}

func (l *liar) succeed(j given) error {
	return l.c.JSON(l.t.Context(), "codepipeline", "CodePipeline_20150709.PutJobSuccessResult", map[string]string{"jobId": j.ID}, &struct{}{})
}

func artifact(id, digest string) tool.Artifact { return tool.Artifact{ID: id, Digest: digest} }

func result(t *testing.T, r tool.Result) string {
	t.Helper()
	said, err := json.Marshal(build.Done{Result: r})
	must(t, err)
	return string(said)
}

const two = "version: 0.2\nenv: {exported-variables: [GOOD]}\nphases: {build: {commands: ['true']}}\nartifacts: {files: [x], secondary-artifacts: {two: {files: [y]}}}\n"

// A runner that lies harms its own build alone, and the build says what was wrong.
func TestLyingRunner(t *testing.T) {
	h := open(t, nil)
	l := &liar{h, h.principal("liar")}
	h.push(map[string]string{"buildspec.yml": two})
	sum := sigv4.Hash([]byte("bytes"))
	for name, test := range map[string]struct {
		bring []string
		said  tool.Result
		want  string
	}{
		"another digest":            {[]string{"", "two"}, tool.Result{Status: tool.Succeeded, Artifacts: []tool.Artifact{artifact("", sum), artifact("two", strings.Repeat("0", 64))}}, "and what came is sha256:" + sum},
		"an artifact not brought":   {[]string{""}, tool.Result{Status: tool.Succeeded, Artifacts: []tool.Artifact{artifact("", sum), artifact("two", sum)}}, "says that it made the artifact two, and brought none"},
		"an artifact not said":      {[]string{"", "two"}, tool.Result{Status: tool.Succeeded, Artifacts: []tool.Artifact{artifact("", sum)}}, "and does not say so"},
		"success without artifacts": {nil, tool.Result{Status: tool.Succeeded}, "the buildspec names the artifact, and the runner brought none"},
		"no status at all":          {nil, tool.Result{Status: "GREAT"}, "which is no end of one"},
	} {
		begun := h.start()
		j := l.poll()
		for _, id := range test.bring {
			if status, text := l.call(j, "POST", "artifact?id="+id, "bytes"); status != 200 || !strings.Contains(text, "sha256:"+sum) {
				t.Fatalf("%s: %d %s", name, status, text)
			}
		}
		if status, text := l.call(j, "POST", "result", result(t, test.said)); status != 200 {
			t.Fatalf("%s: %d %s", name, status, text)
		}
		must(t, l.succeed(j))
		if ended := h.ended(begun.ID); ended.Status != build.Failed || !strings.Contains(ended.Facts.Reason.Text, test.want) {
			t.Errorf("%s: %s %+v", name, ended.Status, ended.Facts.Reason)
		}
	}
}

// What is another's a runner can neither read nor end, and what its build does not name it cannot bring.
func TestMeddlingRunner(t *testing.T) {
	h := open(t, nil)
	l, other := &liar{h, h.principal("runner")}, &liar{h, h.principal("other")}
	h.push(map[string]string{"buildspec.yml": two})
	sum := sigv4.Hash([]byte("bytes"))
	begun := h.start()
	j := l.poll()
	for _, what := range []string{"artifact?id=three", "report?group=g&name=n"} {
		if status, text := l.call(j, "POST", what, "bytes"); status != 403 {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	for _, id := range []string{"", "two"} {
		l.call(j, "POST", "artifact?id="+id, "bytes")
	}
	said := result(t, tool.Result{Status: tool.Succeeded, Exported: []tool.Variable{{Name: "GOOD", Value: "1"}, {Name: "EVIL", Value: "2"}}, Artifacts: []tool.Artifact{artifact("", sum), artifact("two", sum)}})
	for what, method := range map[string]string{"task": "GET", "source": "GET", "result": "POST", "log": "POST"} {
		if status, text := other.call(j, method, what, map[bool]string{true: said}[what == "result"]); status != 403 {
			t.Errorf("another's %s: %d %s", what, status, text)
		}
	}
	if status, text := l.call(given{j.ID, "guess"}, "POST", "result", said); status != 400 {
		t.Errorf("another nonce: %d %s", status, text)
	}
	if status, text := l.call(given{"11111111-2222-4333-8444-555555555555", j.Nonce}, "GET", "task", ""); status != 404 {
		t.Errorf("no job: %d %s", status, text)
	}
	if err := other.succeed(j); err == nil {
		t.Error("another ended the job")
	}
	if err := l.succeed(j); err == nil {
		t.Error("a job without a result has succeeded")
	}
	if status, text := l.call(j, "POST", "result", said); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	must(t, l.succeed(j))
	if ended := h.ended(begun.ID); ended.Status != build.Succeeded || len(ended.Exported) != 1 || ended.Exported[0].Name != "GOOD" || len(ended.Facts.Made) != 2 {
		t.Errorf("%s %+v %v", ended.Status, ended.Facts.Reason, ended.Exported)
	}
	if status, _ := l.call(j, "POST", "log", "more\n"); status != 404 && status != 409 {
		t.Errorf("a log after the end: %d", status)
	}
}

// A runner that gives no sign of life loses its build; what it says later counts for nothing.
func TestStalledRunner(t *testing.T) {
	h := open(t, nil)
	l := &liar{h, h.principal("sleeper")}
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['true']}}\n"})
	begun := h.start()
	j := l.poll()
	if status, _ := l.call(j, "POST", "log", "I begin\n"); status != 200 {
		t.Fatal(status)
	}
	again := l.poll() // the same build, when the lease is over
	if again.ID == j.ID || again.Nonce == j.Nonce {
		t.Fatalf("%+v and %+v", j, again)
	}
	good := result(t, tool.Result{Status: tool.Succeeded})
	if status, text := l.call(j, "POST", "result", good); status != 409 {
		t.Errorf("late: %d %s", status, text)
	}
	if err := l.succeed(j); err == nil {
		t.Error("a late success counts")
	}
	if status, text := l.call(again, "POST", "result", good); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	must(t, l.succeed(again))
	if ended := h.ended(begun.ID); ended.Status != build.Succeeded || ended.Facts.Attempt != 2 {
		t.Errorf("%s %+v", ended.Status, ended.Facts)
	}
	// One that gives up says why.
	begun = h.start()
	j = l.poll()
	must(t, l.c.JSON(t.Context(), "codepipeline", "CodePipeline_20150709.PutJobFailureResult", map[string]any{"jobId": j.ID, "failureDetails": map[string]string{"type": "SystemUnavailable", "message": "no room"}}, &struct{}{}))
	if ended := h.ended(begun.ID); ended.Status != build.Fault || !strings.Contains(ended.Facts.Reason.Text, "no room") {
		t.Errorf("%s %+v", ended.Status, ended.Facts.Reason)
	}
}

// A runner's principal may do nothing but its work; who has no such policy gets no job.
func TestRunnersPolicy(t *testing.T) {
	h := open(t, nil)
	c := h.principal("runner")
	if err := c.JSON(t.Context(), "codebuild", "CodeBuild_20161006.ListProjects", struct{}{}, &struct{}{}); !errors.Is(err, fault.Denied) {
		t.Errorf("projects: %v", err)
	}
	must(t, h.access.CreateUser(t.Context(), "nobody"))
	key, secret, err := h.access.CreateKey(t.Context(), "nobody")
	must(t, err)
	c.Key, c.Secret = key, secret
	r, err := made(c, t.TempDir())
	must(t, err)
	if err := r.Run(t.Context()); !errors.Is(err, fault.Denied) {
		t.Errorf("a runner without a policy: %v", err)
	}
}

// An artifact is given out to whoever may see its build, as a file and never as a page.
func TestArtifacts(t *testing.T) {
	h := open(t, nil)
	l := &liar{h, h.principal("maker")}
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {files: [x]}\n"})
	begun := h.start()
	j := l.poll()
	l.call(j, "POST", "artifact?id=", "bytes")
	l.call(j, "POST", "result", result(t, tool.Result{Status: tool.Succeeded, Artifacts: []tool.Artifact{artifact("", sigv4.Hash([]byte("bytes")))}}))
	must(t, l.succeed(j))
	ended := h.ended(begun.ID)
	fetch := func(c *remote.Client) (*http.Response, string) {
		r, err := http.NewRequest("GET", h.url+ended.Artifacts.Location, nil)
		must(t, err)
		sigv4.Signer{AccessKey: c.Key, Secret: c.Secret.Reveal(), Region: region, Service: "haechi"}.Sign(r, sigv4.Hash(nil), time.Now())
		response, err := http.DefaultClient.Do(r)
		must(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		must(t, err)
		return response, string(text)
	}
	if response, _ := fetch(l.c); response.StatusCode != 403 {
		t.Errorf("the runner may fetch it: %d", response.StatusCode)
	}
	must(t, h.access.CreateUser(t.Context(), "reader"))
	must(t, h.access.PutInline(t.Context(), access.UserNamed("reader"), "read", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codebuild:BatchGetBuilds","Resource":"arn:aws:codebuild:*:*:project/shop"}]}`))
	key, secret, err := h.access.CreateKey(t.Context(), "reader")
	must(t, err)
	response, text := fetch(&remote.Client{Key: key, Secret: secret})
	if response.StatusCode != 200 || text != "bytes" || !strings.HasPrefix(response.Header.Get("Content-Disposition"), "attachment") || response.Header.Get("X-Amz-Meta-Codebuild-Buildarn") != ended.ARN {
		t.Errorf("%d %v %q", response.StatusCode, response.Header, text)
	}
}

// A terminal in a failed build is for those who may run commands there, and only
// where its folder is: who may not, whose build another machine did, and whose
// request a proxy has made a plain one of, are told so before anything is opened.
func TestTerminalRefused(t *testing.T) {
	h := open(t, nil)
	h.push(map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  build:\n    commands: [exit 1]\n"})
	h.runner("one")
	made := h.ended(h.start().ID)
	ada := h.principal("ada")
	try := func(want string) {
		t.Helper()
		_, id, _ := strings.Cut(made.ID, ":")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+door.Shells+id+"/terminal?term=xterm", nil)
		must(t, err)
		r.Header.Set("X-Amz-Content-Sha256", sigv4.Hash(nil))
		sigv4.Signer{AccessKey: ada.Key, Secret: ada.Secret.Reveal(), Region: region, Service: "haechi"}.Sign(r, sigv4.Hash(nil), time.Now())
		plain := r.Clone(t.Context())
		_, answer, err := websocket.Dial(ada.HTTP, r)
		if !errors.Is(err, websocket.ErrRefused) {
			t.Fatalf("%v", err)
		}
		defer answer.Body.Close()
		if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s %v, want %s", answer.Status, text, err, want)
		}
		through, err := ada.HTTP.Do(plain)
		must(t, err)
		defer through.Body.Close()
		if text, _ := io.ReadAll(through.Body); want != "AccessDenied" && !strings.Contains(string(text), "takes Upgrade out") {
			t.Errorf("a plain request: %s %s", through.Status, text)
		}
	}
	try("AccessDenied")
	must(t, h.access.PutInline(t.Context(), access.UserNamed("ada"), "other", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "codebuild:StartCommandExecution", "Resource": "arn:aws:codebuild:*:*:project/other"}}`))
	try("AccessDenied")
	must(t, h.access.PutInline(t.Context(), access.UserNamed("ada"), "shop", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "codebuild:StartCommandExecution", "Resource": "arn:aws:codebuild:*:*:project/shop"}}`))
	try("was done on another machine, by the runner")
}

// A machine that cannot wall builds in asks for none: it would fail those that another could do.
func TestRunnerWithoutWalls(t *testing.T) {
	h := open(t, nil)
	r, err := made(h.principal("bare"), t.TempDir())
	must(t, err)
	r.Machine.Level = func(context.Context) (sandbox.Level, error) {
		return sandbox.Bare, fault.Unsupported.Errorf("this machine isolates steps at level bare only")
	}
	if err := r.Run(t.Context()); !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "no build can be done here") {
		t.Errorf("%v", err)
	}
}

// That the server does not answer is said once, and so is that it does again.
func TestRunnerWaitsForTheServer(t *testing.T) {
	h := open(t, nil)
	c := h.principal("patient")
	var down atomic.Bool
	down.Store(true)
	asked := make(chan struct{}, 1000)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"jobs":[]}`)
	}))
	defer front.Close()
	c.Endpoint = front.URL
	var said strings.Builder
	r, err := made(c, t.TempDir())
	must(t, err)
	r.Log = slog.New(slog.NewTextHandler(&said, nil))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for range 5 {
		<-asked
	}
	down.Store(false)
	for range 3 {
		<-asked
	}
	stop()
	must(t, <-ended)
	if strings.Count(said.String(), "does not answer") != 1 || strings.Count(said.String(), "answers again") != 1 {
		t.Error(said.String())
	}
}
