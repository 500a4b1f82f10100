package build_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// What a build says of its environment counts as CodeBuild has it: who started
// it, then the project, then the buildspec, then the server; nothing is expanded.
func TestEnvironment(t *testing.T) {
	r, log, _ := run(t, `
env: {variables: {FROM_SPEC: $HOME/x, A: spec, B: spec, S: spec, CI: "no"}}
phases:
  build:
    commands:
      - echo "$FROM_SPEC|$A|$B|$C|$S|$CI|$EMPTY|"
      - echo "$AWS_REGION $CODEBUILD_BUILD_ID $CODEBUILD_BUILD_NUMBER $CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_INITIATOR $CODEBUILD_START_TIME"
      - echo "$CODEBUILD_SRC_DIR $CODEBUILD_SRC_DIR_two $CODEBUILD_SOURCE_VERSION_two $CODEBUILD_WEBHOOK_TRIGGER $CODEBUILD_BATCH_BUILD_IDENTIFIER ${CODEBUILD_KMS_KEY_ID-unset}"
      - cat "$CODEBUILD_SRC_DIR_two/f"; echo $HOME; ls -A "$HOME"
`, nil, func(p *build.Plan) {
		p.Env = []build.Variable{{Name: "A", Value: "server"}, {Name: "C", Value: "server"}, {Name: "EMPTY", Value: ""}}
		p.Variables = []build.Variable{{Name: "B", Value: "project"}, {Name: "B", Value: "start"}}
		p.Secrets = []build.Variable{{Name: "S", Value: "two\nlines"}}
		p.Facts = build.Facts{
			Region: "eu-west-1", ID: "shop:1", Number: 7, Resolved: "c0ffee", Initiator: "codepipeline/shop", Started: time.UnixMilli(12345), Trigger: "branch/main", Batch: "b",
			Secondary: map[string]build.Source{"two": {URL: "u", Version: "v2"}},
		}
		two := build.Secondary(p.Dir, "two")
		if err := errors.Join(os.MkdirAll(two, 0o755), os.WriteFile(filepath.Join(two, "f"), []byte("second\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	})
	if r.Status != build.Succeeded {
		t.Fatalf("%s\n%s", r.Reason, log)
	}
	for _, want := range []string{
		"\n$HOME/x|spec|start|server|two\nlines|no||\n", "\neu-west-1 shop:1 7 c0ffee codepipeline/shop 12345\n",
		"\n/work/src /work/src_two v2 branch/main b unset\n", "\nsecond\n/work/home\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in\n%s", want, log)
		}
	}
}

// git knows itself to the one server that it may, with what the build was given or as its role.
func TestGitCredential(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git here")
	}
	const spec = `
env: {git-credential-helper: yes}
phases:
  build:
    commands:
      - mkdir fake; printf '#!/bin/sh\necho username=role\necho password=signed-$1-$4\n' >fake/aws; chmod 755 fake/aws; export PATH="$PWD/fake:$PATH" GIT_TERMINAL_PROMPT=0
      - printf 'protocol=http\nhost=house.example:8080\npath=git/shop\n\n' | git credential fill
      - printf 'protocol=http\nhost=elsewhere.example\n\n' | git credential fill 2>/dev/null || echo nothing there
      - grep -rl p4ssw0rd /work || echo in no file
`
	r, log, _ := run(t, spec, nil, func(p *build.Plan) {
		p.Git = &build.GitCredential{URL: "http://house.example:8080", User: "build", Password: "p4ssw0rd'$x"}
	})
	if r.Status != build.Succeeded || !strings.Contains(log, "username=build\npassword=p4ssw0rd'$x\n") || !strings.Contains(log, "nothing there") || !strings.Contains(log, "in no file") {
		t.Errorf("%s\n%s", r.Reason, log)
	}
	r, log, _ = run(t, spec, nil, func(p *build.Plan) { p.Facts.SourceURL = "http://house.example:8080/git/shop" })
	if r.Status != build.Succeeded || !strings.Contains(log, "username=role\npassword=signed-codecommit-get\n") || !strings.Contains(log, "nothing there") {
		t.Errorf("%s\n%s", r.Reason, log)
	}
	if _, log, _ = run(t, spec, nil, nil); !strings.Contains(log, "git-credential-helper is passed over") {
		t.Errorf("%s", log)
	}
}

// Variables that nobody may set, and names that are none, are refused wherever they come from.
func TestBadVariables(t *testing.T) {
	for _, v := range []build.Variable{
		{Name: "CODEBUILD_BUILD_ID", Value: "x"}, {Name: "A\nB", Value: "x"}, {Name: "A=B", Value: "x"}, {Name: "", Value: "x"}, {Name: "A", Value: "x\x00y"},
		{Name: "haechi_end", Value: "x"}, {Name: "BASH_FUNC_x%%", Value: "() { :; }"},
	} {
		for name, set := range map[string]func(*build.Plan){
			"project": func(p *build.Plan) { p.Variables = []build.Variable{v} },
			"secrets": func(p *build.Plan) { p.Secrets = []build.Variable{v} },
		} {
			r, log, _ := run(t, "phases: {build: {commands: [echo on]}}", nil, set)
			if r.Status != build.Failed || !strings.Contains(r.Reason, "variable") || strings.Contains(log, "on\n") {
				t.Errorf("%q of %s: %s %s", v, name, r.Status, r.Reason)
			}
		}
	}
}

// Variables that turn programs into others harm the build that sets them, and nobody else: each phase is still told right.
func TestShadowing(t *testing.T) {
	for _, v := range []string{
		"PATH: $PATH:/x", "PATH: ''", "LD_PRELOAD: /work/src/evil.so", "BASH_ENV: /work/src/env.sh", "ENV: /work/src/env.sh", "IFS: abc", "PS4: '$(exit 9)'",
		"SHELLOPTS: xtrace", "TMPDIR: /nonexistent", "HOME: /nonexistent", "CDPATH: /usr", "POSIXLY_CORRECT: '1'", "LC_ALL: xx_YY", "OLDPWD: /", "PWD: /nonexistent",
	} {
		for _, shell := range []string{"/bin/sh", "bash"} {
			t.Run(v+" in "+filepath.Base(shell), func(t *testing.T) {
				t.Parallel()
				r, log, _ := run(t, "env: {shell: "+shell+", variables: {"+v+"}}\nphases: {install: {commands: [echo one]}, build: {commands: ['exit 3'], finally: [echo fin]}, post_build: {commands: ['echo \"$CODEBUILD_BUILD_SUCCEEDING\"']}}",
					map[string]string{"env.sh": "echo sourced; exit() { echo no; }\n"}, nil)
				if r.Status == build.Succeeded && !strings.HasPrefix(v, "BASH_ENV") || len(r.Commands) != 4 {
					t.Errorf("%s: %s: %+v\n%s", r.Status, r.Reason, r.Commands, log)
				}
			})
		}
	}
	// A shell that is told to run nothing ends the build, and does not hang.
	r, log, _ := run(t, "env: {shell: bash, variables: {SHELLOPTS: noexec}}\nphases: {build: {commands: [echo one]}}", nil, nil)
	if r.Status != build.Failed || !strings.Contains(r.Reason, "bash, did not start") {
		t.Errorf("%s: %s\n%s", r.Status, r.Reason, log)
	}
}

// Exported variables are as post_build leaves them; secrets stay.
func TestExported(t *testing.T) {
	r, log, _ := run(t, `
env: {variables: {KEPT: spec}, exported-variables: [TAG, KEPT, NONE, LINES, COPY, LOCAL]}
phases:
  build: {commands: ['export TAG=v1 KEPT="$KEPT!"', 'LOCAL=not-exported-to-programs', 'COPY="Bearer $TOKEN"']}
  post_build: {commands: ['TAG=$TAG.2', 'LINES="a
    b"']}
`, nil, func(p *build.Plan) { p.Secrets = []build.Variable{{Name: "TOKEN", Value: "abcdefgh-secret"}} })
	want := "[{COPY?} {KEPT spec!} {LINES a b} {LOCAL not-exported-to-programs} {TAG v1.2}]"
	if got := fmt.Sprint(r.Exported); r.Status != build.Succeeded || got != strings.Replace(want, "{COPY?} ", "", 1) || !strings.Contains(log, "COPY is not exported: it holds a secret") {
		t.Errorf("%s %s\n%s", r.Reason, got, log)
	}
}

// Each hostile build ends, fails for a reason that people understand, and leaves the machine as it was.
func TestHostile(t *testing.T) {
	small := sandbox.Limits{Processes: 60, Memory: 256 << 20, Scratch: 16 << 20, FileSize: 32 << 20, Output: 1 << 20, Time: time.Minute}
	for name, c := range map[string]struct {
		command string
		status  build.Status
		reason  string // or what the log says
	}{
		"a fork bomb":      {`'f() { f | f & }; f; sleep 1; exit 5'`, build.Failed, "fork"}, // which the command tells, or the shell itself
		"a full disk":      {`'dd if=/dev/zero of=/tmp/fill bs=1M count=100; exit $?'`, build.Failed, "No space left on device"},
		"a huge file":      {`'dd if=/dev/zero of=huge bs=1M count=100 2>/dev/null'`, build.Failed, "ended with status"},
		"much memory":      {`'x=$(head -c 600M /dev/zero | tr "\0" x); echo ${#x}'`, build.Failed, "ended with status"},
		"much output":      {`'while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done'`, build.Failed, "wrote more than 1048576 bytes to its output"},
		"a long line":      {`'head -c 3M /dev/zero | tr "\0" x'`, build.Failed, "wrote more than"},
		"a forged report":  {`'while :; do printf "end 0\0garbage" >/proc/$PPID/fd/3 || exit 4; done'`, build.Failed, ""},
		"a broken report":  {`'head -c 3M /dev/zero >/proc/$PPID/fd/3; exit 4'`, build.Failed, ""},
		"stolen orders":    {`'head -c 10 </proc/$PPID/fd/9 & sleep 0.2; exit 4'`, build.Failed, ""},
		"killed shells":    {`'kill -9 $PPID; sleep 3'`, build.Failed, "the shell of the build was ended from within"},
		"a stopped shell":  {`'kill -STOP $$'`, build.TimedOut, "took longer than"},
		"no end":           {`'sleep 1000'`, build.TimedOut, "took longer than"},
		"no end, no ears":  {`'trap "" TERM INT HUP; while :; do sleep 1; done'`, build.TimedOut, "took longer than"},
		"a daemon":         {`'(sleep 1000 >/dev/null 2>&1 &) ; exit 6'`, build.Failed, "ended with status 6"},
		"no folder":        {`'rm -rf /work/src /work/home; exit 7'`, build.Failed, "ended with status 7"},
		"a closed folder":  {`'mkdir d; touch d/f; chmod 0 d; chmod 0 .; exit 7'`, build.Failed, "ended with status 7"},
		"a full scratch":   {`'dd if=/dev/zero of=/tmp/fill bs=64k 2>/dev/null; export A=1; exit 8'`, build.Failed, "ended with status 8"},
		"a great variable": {`'export A=$(head -c 100000 /dev/zero | tr "\0" x); export B=$A$A$A$A; exit 9'`, build.Failed, "ended with status 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			r, log, p := run(t, "phases: {build: {commands: ["+c.command+"]}, post_build: {commands: ['true']}}\nartifacts: {files: ['**/*']}\ncache: {paths: ['**/*']}", map[string]string{"x": "y"}, func(p *build.Plan) {
				p.Limits = small
				if c.status == build.TimedOut {
					p.Limits.Time = 2 * time.Second
				}
			})
			if r.Status != c.status || !strings.Contains(r.Reason+log, c.reason) {
				t.Errorf("%s: %s, want %s for %q\n%.2000s", r.Status, r.Reason, c.status, c.reason, log)
			}
			if d := time.Since(start); d > 100*time.Second {
				t.Errorf("it took %v", d)
			}
			if err := build.Remove(p.Dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// A build that is stopped says so, and all that it started is gone.
func TestStopped(t *testing.T) {
	s, err := build.Parse("buildspec.yml", []byte("version: 0.2\nphases: {build: {commands: ['echo here; sleep 1000']}}\nartifacts: {files: ['**/*']}"))
	if err != nil {
		t.Fatal(err)
	}
	p := build.Plan{Spec: s, Dir: t.TempDir(), Out: t.TempDir()}
	if _, err := build.Sources(p.Dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("somebody said so")
	log := writer(func(b []byte) {
		if bytes.Contains(b, []byte("\nhere\n")) || string(b) == "here\n" {
			cancel(why)
		}
	})
	r, err := build.New(build.Config{Runner: walls()}).Run(ctx, p, log)
	if !errors.Is(err, why) || r.Status != build.Stopped {
		t.Errorf("%v %+v", err, r)
	}
	if n := len(r.Phases); n < 2 || r.Phases[n-2].Name != "BUILD" || r.Phases[n-2].Status != build.Stopped {
		t.Errorf("%+v", r.Phases)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// Nothing of a build's variables is left in its folder, and a folder deeper than files can be open is removed.
func TestLeft(t *testing.T) {
	r, log, p := run(t, `phases: {build: {commands: ['exit 3']}}`, nil, func(p *build.Plan) {
		p.Secrets = []build.Variable{{Name: "TOKEN", Value: "abcdefgh-secret"}}
	})
	if r.Status != build.Failed {
		t.Fatal(r.Status, log)
	}
	left, err := os.ReadDir(p.Dir)
	if names := fmt.Sprint(left); err != nil || len(left) != 3 {
		t.Errorf("%s %v", names, err)
	}
	deep, err := os.OpenRoot(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 { // 40 times 100 folders, one in the other
		if err := deep.MkdirAll(strings.Repeat("d/", 100), 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := deep.OpenRoot(strings.Repeat("d/", 99) + "d")
		if err != nil {
			t.Fatal(err)
		}
		deep.Close()
		deep = next
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 500
	if err := errors.Join(deep.Mkdir("closed", 0), deep.Close(), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few), build.Remove(p.Dir), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}

// What is folded in a page is marked in the log; what a command says there stays text.
func TestMarkers(t *testing.T) {
	_, log, _ := run(t, "phases: {install: {commands: [echo a]}, build: {commands: ['printf \"\\033[2J\\033]0;title\\007red\"', \"echo b\\necho c\"]}}", nil, nil)
	want := "\n== phase install ==\n$ echo a\na\n\n== phase build ==\n$ printf"
	if !strings.Contains(log, want) || !strings.Contains(log, "$ echo b\necho c\nb\nc\n") {
		t.Errorf("%q", log)
	}
}

// A million lines cost no more than they cost a file (see BenchmarkLog).
func BenchmarkLog(b *testing.B) {
	const text = "seq -f 'line %%.0f of a build that says a great many things' 1000000"
	for _, c := range []struct{ name, command string }{{"log", text}, {"file", text + " >out.txt"}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				s, err := build.Parse("buildspec.yml", []byte("version: 0.2\nphases: {build: {commands: [\""+strings.ReplaceAll(c.command, "%%", "%")+"\"]}}"))
				if err != nil {
					b.Fatal(err)
				}
				p := build.Plan{Spec: s, Dir: b.TempDir()}
				if _, err := build.Sources(p.Dir); err != nil {
					b.Fatal(err)
				}
				out, err := os.Create(filepath.Join(b.TempDir(), "log"))
				if err != nil {
					b.Fatal(err)
				}
				r, err := build.New(build.Config{Runner: walls()}).Run(b.Context(), p, io.Writer(out))
				if err != nil || r.Status != build.Succeeded {
					b.Fatal(err, r.Reason)
				}
				out.Close()
			}
		})
	}
}

// How long the smallest build takes, and each command of a larger one.
func BenchmarkCommands(b *testing.B) {
	for _, n := range []int{1, 101} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := build.Parse("buildspec.yml", []byte("version: 0.2\nphases: {build: {commands: ["+strings.TrimSuffix(strings.Repeat("':', ", n), ", ")+"]}}"))
			if err != nil {
				b.Fatal(err)
			}
			builder := build.New(build.Config{Runner: walls()})
			for b.Loop() {
				p := build.Plan{Spec: s, Dir: b.TempDir()}
				if _, err := build.Sources(p.Dir); err != nil {
					b.Fatal(err)
				}
				if r, err := builder.Run(b.Context(), p, io.Discard); err != nil || r.Status != build.Succeeded {
					b.Fatal(err, r.Reason)
				}
			}
		})
	}
}
