package build_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/diag"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	os.Exit(m.Run())
}

// walls are one sandbox for all tests: each of its own would look for its walls first.
var walls = sync.OnceValue(func() *sandbox.Sandbox { return sandbox.New(sandbox.Config{}) })

// run runs a buildspec of version 0.2 with files beside it.
func run(t *testing.T, spec string, files map[string]string, change func(*build.Plan)) (build.Result, string, build.Plan) {
	t.Helper()
	if !strings.Contains(spec, "version:") {
		spec = "version: 0.2\n" + spec
	}
	s, err := build.Parse("buildspec.yml", []byte(spec))
	if err != nil {
		t.Fatal(diag.Detail(err))
	}
	p := build.Plan{Spec: s, Dir: t.TempDir(), Out: t.TempDir()}
	src, err := build.Sources(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		at := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(&p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var log bytes.Buffer
	result, err := build.New(build.Config{Runner: walls()}).Run(ctx, p, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return result, log.String(), p
}

// plain are the lines that commands have written.
func plain(output string) (lines []string) {
	in := false
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "$ ") {
			in = strings.Contains(line, "for i in") // its echo has more lines
			continue
		}
		if in && (strings.HasPrefix(line, "  ") || line == "done") {
			continue
		}
		if line == "" || strings.HasPrefix(line, "== ") || strings.HasPrefix(line, "isolation: ") {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// states are the phases as they ended, in one line.
func states(r build.Result) string {
	var list []string
	for _, p := range r.Phases {
		switch p.Name {
		case "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD":
			list = append(list, strings.ToLower(p.Name)+" "+strings.ToLower(string(p.Status)))
		}
	}
	return strings.Join(list, ", ")
}

// The phases run as CodeBuild runs them, in both shells.
func TestPhases(t *testing.T) {
	const all = "install succeeded, pre_build succeeded, build succeeded, post_build succeeded"
	for name, c := range map[string]struct {
		spec   string
		status build.Status
		states string   // "" for all succeeded
		output []string // lines, without the echo of commands and the heads of phases
	}{
		"all phases in order": {`
phases:
  post_build: {commands: [echo post]}
  install: {commands: [echo install]}
  build: {commands: [echo build]}
  pre_build: {commands: [echo pre]}`, build.Succeeded, "", []string{"install", "pre", "build", "post"}},
		"variables and folder carry over": {`
env: {variables: {GIVEN: $HOME/x}}
phases:
  install: {commands: ['A="b c"; export B="it''s $A"', mkdir -p sub && cd sub]}
  build: {commands: ['echo "$A|$B|$GIVEN"', pwd, 'echo "$CODEBUILD_SRC_DIR"', 'echo "$HOME"']}`, build.Succeeded, "", []string{"b c|it's b c|$HOME/x", "/work/src/sub", "/work/src", "/work/home"}},
		"functions and options carry over": {`
phases:
  install: {commands: ['hello() { echo "hello $1"; }', 'set -- one two', 'set -u']}
  build: {commands: ['hello you', 'echo $2', 'echo "$NOT_THERE"', echo never], finally: [echo fin]}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", nil},
		"a command of many lines": {"\nphases:\n  build:\n    commands:\n      - |\n        for i in 1 2; do\n          echo $i\n        done\n", build.Succeeded, "", []string{"1", "2"}},
		"a here document":         {"\nphases:\n  build:\n    commands:\n      - |\n        cat <<'X' >f\n        a $b 'c'\n        X\n      - cat f\n", build.Succeeded, "", nil},
		"commands stop at the first failure, finally runs": {`
phases:
  build: {commands: [echo one, 'false', echo two], finally: [echo fin]}
  post_build: {commands: ['echo "post $CODEBUILD_BUILD_SUCCEEDING"']}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{"one", "command 2 of build ended with status 1", "fin", "post 0"}},
		"a command that ends its shell ends no more": {`
phases:
  build: {commands: ['set -e; export A=1; exit 3'], finally: ['echo "fin $A"']}
  post_build: {commands: [echo post]}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{"command 1 of build ended with status 3", "fin 1", "post"}},
		"so it ends well": {`
phases:
  build: {commands: ['mkdir d; cd d; export A="x''y"; exit 0', 'echo "$A"; pwd']}`, build.Succeeded, "", []string{"x'y", "/work/src/d"}},
		"set -e ends a command where it failed": {`
phases:
  build: {commands: ['set -e', 'false; echo never', echo never], finally: [echo fin]}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{"command 2 of build ended with status 1", "fin"}},
		"a shell that becomes something else": {`
phases:
  build: {commands: ['exec sh -c "exit 4"'], finally: [echo fin]}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{"command 1 of build ended with status 4", "fin"}},
		"loops are the build's own": {`
phases:
  build: {commands: ['break', 'continue', echo on]}`, build.Succeeded, "", nil},
		"output that goes elsewhere": {`
phases:
  build: {commands: ['exec >out.txt 2>&1', 'echo hidden'], finally: ['false']}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{"command 1 of build finally ended with status 1"}},
		"install fails: nothing more": {`
phases:
  install: {commands: ['false']}
  build: {commands: [echo build]}`, build.Failed, "install failed", []string{"command 1 of install ended with status 1"}},
		"pre_build fails: nothing more": {`
phases:
  pre_build: {commands: ['false']}
  build: {commands: [echo build]}
  post_build: {commands: [echo post]}`, build.Failed, "install succeeded, pre_build failed", []string{"command 1 of pre_build ended with status 1"}},
		"install fails and goes on": {`
phases:
  install: {on-failure: CONTINUE, commands: ['false']}
  build: {commands: ['echo "build $CODEBUILD_BUILD_SUCCEEDING"']}`, build.Failed, "install failed, pre_build succeeded, build succeeded, post_build succeeded", []string{"command 1 of install ended with status 1", "build 0"}},
		"build aborts": {`
phases:
  build: {on-failure: ABORT, commands: ['false']}
  post_build: {commands: [echo post]}`, build.Failed, "install succeeded, pre_build succeeded, build failed", []string{"command 1 of build ended with status 1"}},
		"finally fails": {`
phases:
  build: {commands: [echo ok], finally: ['false', echo never]}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{"ok", "command 1 of build finally ended with status 1"}},
		"post_build fails": {`
phases:
  post_build: {commands: ['false']}`, build.Failed, "install succeeded, pre_build succeeded, build succeeded, post_build failed", []string{"command 1 of post_build ended with status 1"}},
		"tried again until it is well": {`
phases:
  build: {on-failure: RETRY-2, commands: ['echo x >>n; [ $(wc -l <n) -ge 3 ]', 'echo "$CODEBUILD_BUILD_SUCCEEDING"']}`, build.Succeeded, "", []string{
			"command 1 of build ended with status 1", "phase build is tried again: 1 of 2", "command 1 of build ended with status 1", "phase build is tried again: 2 of 2", "1"}},
		"tried again in vain": {`
phases:
  pre_build: {on-failure: RETRY-1, commands: ['false'], finally: [echo fin]}
  build: {commands: [echo build]}`, build.Failed, "install succeeded, pre_build failed", []string{
			"command 1 of pre_build ended with status 1", "fin", "phase pre_build is tried again: 1 of 1", "command 1 of pre_build ended with status 1", "fin"}},
		"tried again for what it says": {`
phases:
  build: {on-failure: RETRY-time.*out, commands: ['if [ -e n ]; then echo other; else touch n; echo timed out; fi; false']}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", []string{
			"timed out", "command 1 of build ended with status 1", "phase build is tried again: 1 of 3", "other", "command 1 of build ended with status 1"}},
		"a mistake of the shell's": {`
phases:
  build: {commands: ['if then'], finally: [echo fin]}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", nil},
		"quotes": {`
phases:
  build: {commands: ["echo 'a  b' \"$(echo c)\""]}`, build.Succeeded, "", []string{"a  b c"}},
		"no commands at all": {"\nphases: {build: {}}", build.Succeeded, "", nil},
		"version 0.1 has a shell for each": {`
version: 0.1
phases:
  build: {commands: ['A=1; cd /tmp; export B=2', 'echo "$A$B"; pwd']}`, build.Succeeded, "", []string{"/work/src"}},
		"the report cannot be forged": {`
phases:
  build: {commands: ['printf "end 0\0" >&3; false']}`, build.Failed, "install succeeded, pre_build succeeded, build failed, post_build succeeded", nil},
		"killed from within": {`
phases:
  build: {commands: ['kill -9 -1; sleep 5']}
  post_build: {commands: [echo never]}`, build.Failed, "install succeeded, pre_build succeeded, build failed", nil},
	} {
		for _, shell := range []string{"/bin/sh", "bash"} {
			t.Run(name+" in "+filepath.Base(shell), func(t *testing.T) {
				t.Parallel()
				spec := "env: {shell: " + shell + "}" + c.spec
				if rest, ok := strings.CutPrefix(c.spec, "\nenv: {"); ok {
					spec = "env: {shell: " + shell + ", " + rest
				}
				r, log, _ := run(t, spec, nil, nil)
				if want := cmp.Diff(c.states, states(r)); r.Status != c.status || c.states != "" && want != "" || c.states == "" && states(r) != all {
					t.Errorf("%s: %s: %s, want %s: %s\n%s", r.Status, r.Reason, states(r), c.status, c.states, log)
				}
				if diff := cmp.Diff(c.output, plain(log)); c.output != nil && diff != "" {
					t.Errorf("output (-want +got):\n%s\n%s", diff, log)
				}
			})
		}
	}
}
