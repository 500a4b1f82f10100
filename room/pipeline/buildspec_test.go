package pipeline_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// A mistake in buildspec.yml, or what is not supported, is shown with its place and what to do.
func TestBuildspecMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no version":   {"phases:\n  build:\n    commands: [make]\n", "buildspec.yml: there is no version (write version: 0.2)"},
		"old version":  {"version: 0.1\nphases:\n  build:\n    commands: [make]\n", "buildspec.yml:1:1: version 0.1 is not supported (write version: 0.2)"},
		"no phases":    {"version: 0.2\n", "there are no phases"},
		"unknown key":  {"version: 0.2\nphasess:\n", `buildspec.yml:2:1: unknown key "phasess" (did you mean "phases"?)`},
		"phase":        {"version: 0.2\nphases:\n  biuld:\n    commands: [make]\n", `buildspec.yml:3:3: there is no phase "biuld" (did you mean "build"?)`},
		"command":      {"version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n", "buildspec.yml:5:9: "},
		"on-failure":   {"version: 0.2\nphases:\n  build:\n    on-failure: RETRY-3\n    commands: [make]\n", "buildspec.yml:4:17: on-failure: RETRY-3 is not supported"},
		"artifacts":    {"version: 0.2\nphases:\n  build:\n    commands: [make]\nartifacts:\n  files: ['**/*']\n", "buildspec.yml:6:3: artifacts is not supported here"},
		"secrets":      {"version: 0.2\nenv:\n  secrets-manager:\n    A: b\nphases:\n  build:\n    commands: [make]\n", "buildspec.yml:4:5: env/secrets-manager is not supported here (secrets cannot be handed to builds yet)"},
		"run-as":       {"version: 0.2\nphases:\n  build:\n    run-as: root\n    commands: [make]\n", "buildspec.yml:4:13: run-as is not supported here"},
		"shell":        {"version: 0.2\nenv:\n  shell: powershell.exe\nphases:\n  build:\n    commands: [make]\n", `buildspec.yml:3:3: shell "powershell.exe" is not supported (there are sh and bash)`},
		"reserved":     {"version: 0.2\nenv:\n  variables:\n    CODEBUILD_X: y\nphases:\n  build:\n    commands: [make]\n", "buildspec.yml:4:5: variables that start with CODEBUILD_ are set by the build"},
		"bad variable": {"version: 0.2\nenv:\n  variables:\n    'A B': y\nphases:\n  build:\n    commands: [make]\n", "cannot be a variable"},
		"too long":     {"version: 0.2\nphases:\n  build:\n    commands: ['" + strings.Repeat("x", 200_000) + "']\n", "put them into a script"},
		"not YAML":     {"version: 0.2\n\tphases:\n", "buildspec.yml:2"},
	} {
		_, err := pipeline.ParseBuildspec([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		var place *diag.Error
		if !errors.Is(err, fault.Invalid) || !errors.As(err, &place) {
			t.Errorf("%s: %#v is no mistake with a place", name, err)
		}
	}
}

// The phases run as CodeBuild runs them.
func TestPhases(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		exit   int
		output []string // lines, without the echo of commands and the heads of phases
	}{
		"all phases in order": {`
phases:
  post_build: {commands: [echo post]}
  install: {commands: [echo install]}
  build: {commands: [echo build]}
  pre_build: {commands: [echo pre]}`, 0, []string{"install", "pre", "build", "post"}},
		"variables and folder carry over": {`
env: {variables: {GIVEN: $HOME/x}}
phases:
  install: {commands: ['A="b c"; export B="it''s $A"', mkdir -p sub && cd sub]}
  build: {commands: ['echo "$A|$B|$GIVEN"', pwd, 'echo "$CODEBUILD_SRC_DIR"']}`, 0, []string{"b c|it's b c|$HOME/x", "/work/sub", "/work"}},
		"a command of many lines": {"\nphases:\n  build:\n    commands:\n      - |\n        for i in 1 2; do\n          echo $i\n        done\n", 0, []string{"1", "2"}},
		"commands stop at the first failure, finally runs": {`
phases:
  build: {commands: [echo one, 'false', echo two], finally: [echo fin]}
  post_build: {commands: ['echo "post $CODEBUILD_BUILD_SUCCEEDING"']}`, 1, []string{"one", "command 2 of build ended with status 1", "fin", "post 0"}},
		"a command that ends its shell ends no more": {`
phases:
  build: {commands: ['set -e; A=1; exit 3'], finally: ['echo "fin $A"']}
  post_build: {commands: [echo post]}`, 1, []string{"command 1 of build ended with status 3", "fin 1", "post"}},
		"install fails: nothing more": {`
phases:
  install: {commands: ['false']}
  build: {commands: [echo build]}`, 1, []string{"command 1 of install ended with status 1"}},
		"install fails and goes on": {`
phases:
  install: {on-failure: CONTINUE, commands: ['false']}
  build: {commands: ['echo "build $CODEBUILD_BUILD_SUCCEEDING"']}`, 1, []string{"command 1 of install ended with status 1", "build 0"}},
		"build aborts": {`
phases:
  build: {on-failure: ABORT, commands: ['false']}
  post_build: {commands: [echo post]}`, 1, []string{"command 1 of build ended with status 1"}},
		"finally fails": {`
phases:
  build: {commands: [echo ok], finally: ['false', echo never]}`, 1, []string{"ok", "command 1 of build finally ended with status 1"}},
		"a mistake of the shell's": {`
phases:
  build: {commands: ['if then'], finally: [echo fin]}`, 1, []string{"fin"}},
		"quotes": {`
phases:
  build: {commands: ["echo 'a  b' \"$(echo c)\""]}`, 0, []string{"a  b c"}},
		"the report cannot be forged": {`
phases:
  build: {commands: ['echo "end build 0" >&3; false']}`, 1, nil},
	} {
		for _, shell := range []string{"sh", "bash"} {
			t.Run(name+" in "+shell, func(t *testing.T) {
				t.Parallel()
				spec, err := pipeline.ParseBuildspec([]byte("version: 0.2" + strings.Replace(c.spec, "\nenv: {", "\nenv: {shell: "+shell+", ", 1)))
				if err != nil {
					t.Fatal(diag.Detail(err))
				}
				if spec.Shell = shell; len(spec.Phases) == 0 {
					t.Fatal("no phases")
				}
				exit, output := runSpec(t, spec)
				if exit != c.exit {
					t.Errorf("status %d, want %d:\n%s", exit, c.exit, output)
				}
				if diff := cmp.Diff(c.output, plain(output)); c.output != nil && diff != "" && !strings.Contains(name, "mistake") {
					t.Errorf("output (-want +got):\n%s", diff)
				}
				for _, line := range c.output {
					if !strings.Contains(output, line) {
						t.Errorf("%q is not in:\n%s", line, output)
					}
				}
			})
		}
	}
}

func runSpec(t *testing.T, spec pipeline.Buildspec) (int, string) {
	t.Helper()
	var env []string
	for k, v := range spec.Variables {
		env = append(env, k+"="+v)
	}
	var out, report bytes.Buffer
	exit, err := sandbox.New(sandbox.Config{}).Run(t.Context(), sandbox.Step{
		Argv: []string{spec.Shell, "-c", spec.Script()}, Env: env, Work: t.TempDir(), Report: &report,
	}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if exit != 0 && !strings.Contains(report.String(), " 1\n") && !strings.Contains(report.String(), " 3\n") && !strings.Contains(report.String(), " 2\n") {
		t.Errorf("no phase says that it failed: %q", report.String())
	}
	return exit, out.String()
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
		if line == "" || strings.HasPrefix(line, "== ") {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// No file makes the reader panic, and what it takes has a script within bounds.
func FuzzBuildspec(f *testing.F) {
	f.Add([]byte("version: 0.2\nenv:\n  shell: bash\n  variables: {A: b}\nphases:\n  install:\n    runtime-versions: {golang: 1.x}\n    commands: [a, b]\n    finally: [c]\n"))
	f.Add([]byte("version: 0.2\nphases: &p\n  build: &b\n    commands: [*p]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := pipeline.ParseBuildspec(text)
		if err != nil {
			_ = diag.Detail(err)
			return
		}
		if n := len(spec.Script()); n > 2_000_000 {
			t.Errorf("a script of %d bytes", n)
		}
	})
}
