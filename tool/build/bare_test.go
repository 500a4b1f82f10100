package build_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// bare runs a step as the level Bare does: in the folder itself.
type bare struct{}

func (bare) Level(context.Context) (sandbox.Level, error) { return sandbox.Bare, nil }

func (bare) Run(ctx context.Context, s sandbox.Step, out io.Writer) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return -1, err
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, s.Argv[0], s.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Work, append(s.Env, "PATH="+os.Getenv("PATH")), s.Stdin, out, out
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		return -1, errors.Join(err, w.Close())
	}
	w.Close()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(s.Report, r)
	}()
	err = cmd.Wait()
	<-copied
	if cmd.ProcessState == nil {
		return -1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// Without walls a build works where its folder is.
func TestBare(t *testing.T) {
	s, err := build.Parse("buildspec.yml", []byte("version: 0.2\nenv: {exported-variables: [A]}\nphases: {install: {commands: ['export A=b; exit 0']}, build: {commands: [pwd, 'echo $A >out; echo $HOME']}}\nartifacts: {files: [out]}"))
	if err != nil {
		t.Fatal(err)
	}
	p := build.Plan{Spec: s, Dir: filepath.Join(t.TempDir(), "a folder's"), Out: t.TempDir()}
	if _, err := build.Sources(p.Dir); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r, err := build.New(build.Config{Runner: bare{}}).Run(t.Context(), p, &log)
	if err != nil || r.Status != build.Succeeded || r.Level != sandbox.Bare || len(r.Artifacts) != 1 || len(r.Exported) != 1 || r.Exported[0].Value != "b" {
		t.Errorf("%v %+v\n%s", err, r, log.String())
	}
	for _, want := range []string{"isolation: bare\n", "\n" + p.Dir + "/src\n", "\n" + p.Dir + "/home\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in\n%s", want, log.String())
		}
	}
}

// Where no step can be run, the fault is ours, and says why.
func TestNoWalls(t *testing.T) {
	s, err := build.Parse("buildspec.yml", []byte("version: 0.2\nphases: {build: {commands: [echo on]}}"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	why := errors.New("no walls today")
	r, err := build.New(build.Config{Runner: broken{why}}).Run(t.Context(), build.Plan{Spec: s, Dir: t.TempDir()}, &log)
	if !errors.Is(err, why) || r.Status != build.Fault || r.Where != "provisioning" {
		t.Errorf("%v %+v", err, r)
	}
}

type broken struct{ why error }

func (b broken) Level(context.Context) (sandbox.Level, error) { return 0, b.why }
func (b broken) Run(context.Context, sandbox.Step, io.Writer) (int, error) {
	return -1, b.why
}
