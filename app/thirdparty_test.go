package app_test

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/keeper/access"
	builds "github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// The web application that a stranger brings: an ACME server with its own tests,
// test certificates and dependencies, as the module proxy has it.
const (
	strangersModule = "github.com/letsencrypt/pebble/v2@v2.10.1"
	strangersBuild  = `version: 0.2
env:
  variables:
    CGO_ENABLED: "0"
    GOFLAGS: -mod=readonly -trimpath -buildvcs=false
phases:
  build:
    commands:
      - if [ -z "$ONLY_BUILD" ]; then go test -json ./ca/... ./va/... ./wfe/... > tests.json; fi
  post_build:
    commands:
      - go build -ldflags -buildid= -o out/pebble ./cmd/pebble
      - out/pebble -version
reports:
  tests:
    files: [tests.json]
    file-format: GOTESTJSON
artifacts:
  base-directory: out
  files: [pebble]
cache:
  paths: [/root/.cache/go-build/**/*]
`
)

// stranger is a copy of the application, and the module cache that has what it needs.
func stranger(t *testing.T) (dir, cache string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command (it builds the application)")
	}
	if _, err := sandbox.New(sandbox.Config{}).Level(t.Context()); err != nil {
		t.Skip("builds cannot be walled in here: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := func(dir string, args ...string) []byte {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-modcacherw", "GOTOOLCHAIN=local")
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				out = append(out, exit.Stderr...)
			}
			t.Skipf("the module cache cannot be filled with %s (a module proxy, or GOPROXY=file:///…, has to have it): go %s: %v\n%s", strangersModule, args[0], err, out)
		}
		return out
	}
	var found struct{ Dir string }
	must(t, json.Unmarshal(run(t.TempDir(), "mod", "download", "-json", strangersModule), &found))
	dir = filepath.Join(t.TempDir(), "pebble")
	must(t, os.CopyFS(dir, os.DirFS(found.Dir)))
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(name, 0o755)
		}
		return err
	}))
	run(dir, "mod", "download")
	return dir, strings.TrimSpace(string(run(dir, "env", "GOMODCACHE")))
}

// A third-party application is pushed, looked at, built, tested and judged; it
// is the same to the byte when it is built again from nothing; and a test that breaks says which.
func TestThirdPartyApplication(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	dir, cache := stranger(t)
	h := build(t, func(c *app.Config) {
		c.Builds.Read, c.Builds.Env = []string{cache}, map[string]string{"GOMODCACHE": cache, "GOPROXY": "off", "GONOSUMDB": "*", "GOTOOLCHAIN": "local"}
	})
	_, token, err := h.Access.CreateToken(t.Context(), access.AdminUser, access.Git)
	must(t, err)
	remote, err := url.Parse(h.url + "/git/pebble")
	must(t, err)
	remote.User = url.UserPassword(access.AdminUser, token.Reveal())
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
			"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	commit := func(subject string) {
		t.Helper()
		for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", subject}} {
			if out, err := git(args...); err != nil {
				t.Fatal(out)
			}
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "buildspec.yml"), []byte(strangersBuild), 0o600))
	if out, err := git("init", "-q", "-b", "main"); err != nil {
		t.Fatal(out)
	}
	commit("as it came, and how it is built")

	// Its test certificates come with their keys: somebody has to say that they are no secrets.
	out, err := git("push", remote.String(), "main")
	allow := regexp.MustCompile(`haechi\.allow=([0-9a-f,]+)`).FindStringSubmatch(out)
	if err == nil || allow == nil || !strings.Contains(out, "pebble.minica.key.pem") {
		t.Fatalf("private keys were not held up: %v\n%s", err, out)
	}
	if out, err := git("push", "-o", allow[0], "-o", "reason=certificates for tests", remote.String(), "main"); err != nil {
		t.Fatal(out)
	}
	first := h.ended(t, "pebble", "main")
	if first.Status != pipeline.Succeeded || len(first.Findings) == 0 {
		t.Fatalf("%s: %+v\n%s", first.Status, first.Reasons, h.logOf(t, first))
	}
	built := h.lastBuild(t, "pebble")
	if len(built.Facts.Made) != 1 || built.Facts.Made[0].Size < 1<<20 || built.Artifacts == nil || len(built.Artifacts.SHA256) != 64 {
		t.Fatalf("what was made: %+v, %+v", built.Facts.Made, built.Artifacts)
	}
	if report := h.report(t, built); report.Status != "SUCCEEDED" || report.Tests == nil || report.Tests.Total < 10 {
		t.Errorf("the report of its tests: %+v", report)
	}

	again, err := h.Builds.Start(t.Context(), builds.Start{Project: "pebble", Version: first.Commit, Who: "arn:aws:iam::000000000000:user/admin",
		Variables: []builds.Variable{{Name: "ONLY_BUILD", Value: "1", Type: builds.Plain}}, Cache: &builds.Cache{Type: "NO_CACHE"}})
	must(t, err)
	again = h.builtTo(t, again.ID)
	if again.Artifacts == nil || again.Artifacts.SHA256 != built.Artifacts.SHA256 {
		t.Errorf("built again it is another: %+v, before %+v (%+v)", again.Artifacts, built.Artifacts, again.Facts.Reason)
	}

	test := filepath.Join(dir, "va", "broken_test.go")
	must(t, os.WriteFile(test, []byte("package va\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Error(\"it does not hold\") }\n"), 0o600))
	commit("a change that breaks something")
	if out, err := git("push", remote.String(), "HEAD:broken"); err != nil {
		t.Fatal(out)
	}
	broken := h.ended(t, "pebble", "broken")
	if broken.Status != pipeline.Failed || len(broken.Reasons) == 0 {
		t.Fatalf("%s: %+v\n%s", broken.Status, broken.Reasons, h.logOf(t, broken))
	}
	report := h.report(t, h.lastBuild(t, "pebble"))
	cases, err := h.Builds.Cases(t.Context(), report.ARN, "FAILED", "", 0, 10)
	must(t, err)
	if report.Status != "FAILED" || !slices.ContainsFunc(cases, func(c builds.Case) bool { return strings.HasSuffix(c.Name, "TestBroken") }) {
		t.Errorf("the report does not say what broke: %+v, %+v", report, cases)
	}
}

// ended waits for the newest run of a branch to end.
func (h *house) ended(t *testing.T, name, branch string) pipeline.Execution {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 5*time.Minute; time.Sleep(50 * time.Millisecond) {
		runs, err := h.Pipeline.Executions(t.Context(), pipeline.Query{Pipeline: name, Branch: branch, Limit: 1})
		must(t, err)
		if len(runs) == 1 && runs[0].Status.Ended() {
			return runs[0]
		}
	}
	t.Fatalf("the run of %s does not end", branch)
	return pipeline.Execution{}
}

// logOf is what a build of a run said.
func (h *house) logOf(t *testing.T, e pipeline.Execution) string {
	t.Helper()
	text, _, _, err := h.Work.Read(t.Context(), "build/"+h.lastBuild(t, e.Pipeline).ID, 0)
	must(t, err)
	return string(text)
}

func (h *house) lastBuild(t *testing.T, project string) builds.Build {
	t.Helper()
	all, err := h.Builds.Builds(t.Context(), builds.Query{Project: project, Limit: 1})
	must(t, err)
	if len(all) == 0 {
		t.Fatal("nothing was built")
	}
	return all[0]
}

func (h *house) builtTo(t *testing.T, id string) builds.Build {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 5*time.Minute; time.Sleep(50 * time.Millisecond) {
		made, err := h.Builds.Build(t.Context(), id)
		must(t, err)
		if made.Complete {
			return made
		}
	}
	t.Fatal("the build does not end")
	return builds.Build{}
}

func (h *house) report(t *testing.T, made builds.Build) builds.Report {
	t.Helper()
	if len(made.Reports) != 1 {
		t.Fatalf("build %s has %d reports", made.ID, len(made.Reports))
	}
	r, err := h.Builds.Report(t.Context(), made.Reports[0])
	must(t, err)
	return r
}
