package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// doBuild runs the commit's buildspec.yml in the sandbox.
func (p *Pipelines) doBuild(ctx context.Context, e Execution, log *work.Log) (outcome, error) {
	repo, err := p.config.Source.Git(e.Repository)
	if err != nil {
		return outcome{}, err
	}
	files, err := repo.Tree(ctx, e.Commit)
	if err != nil {
		return outcome{}, err
	}
	defer files.Close()
	text, err := fs.ReadFile(files, BuildspecFile)
	if err != nil {
		return outcome{}, err
	}
	spec, err := ParseBuildspec(text)
	if err != nil {
		log.Printf("%s\n", diag.Detail(err))
		return failed("Build", mistake(err)), nil
	}
	level, err := p.config.Runner.Level(ctx)
	if err != nil {
		return outcome{}, err
	}
	dir, err := os.MkdirTemp(p.config.Work, "build-")
	if err != nil {
		return outcome{}, err
	}
	defer os.RemoveAll(dir)
	if err := extract(ctx, files, dir); err != nil {
		return outcome{}, fmt.Errorf("laying out the files: %w", err)
	}
	for _, w := range spec.Warnings {
		log.Printf("%s\n", w)
	}
	log.Printf("isolation: %s\n", level)
	report := &buildReport{now: p.config.Now}
	step := sandbox.Step{
		Argv: []string{spec.Shell, "-c", spec.Script()}, Env: p.environment(e, spec), Work: dir,
		Tools: p.config.Tools, Report: report, Limits: p.config.Limits,
	}
	done, err := p.identify(ctx, e, &step)
	if err != nil {
		return outcome{}, err
	}
	defer done()
	exit, err := p.config.Runner.Run(ctx, step, log)
	o, err := built(exit, err, report)
	if err == nil && len(spec.Reports) > 0 {
		o, err = p.reported(ctx, e, spec, dir, log, o)
	}
	o.change = func(e *Execution) {
		e.Level = level.String()
		e.action("Build").Phases = report.timings()
	}
	return o, err
}

// reported imports what a build has left, also one that failed: a tool that found something often says so
// with its status. A build that came to its end and did not leave what it should has failed.
func (p *Pipelines) reported(ctx context.Context, e Execution, spec Buildspec, dir string, log *work.Log, o outcome) (outcome, error) {
	if p.config.Reports == nil {
		return failed("Build", Reason{Text: "reports cannot be read here", Where: BuildspecFile, Do: "leave reports out"}), nil
	}
	reason, err := p.takeReports(ctx, e, spec.Reports, dir, log)
	if err != nil {
		return outcome{}, err
	}
	if reason != nil && o.status == Succeeded {
		return failed("Build", *reason), nil
	}
	return o, nil
}

// built is what became of a build. More than a limit is the build's fault, not ours.
func built(exit int, err error, report *buildReport) (outcome, error) {
	where, do := BuildspecFile, "see the log for what the command said"
	if name := report.broken(); name != "" {
		where = "phase " + name
	}
	switch {
	case errors.Is(err, fault.Limit):
		return failed("Build", Reason{Text: "the build was ended: " + err.Error(), Where: where, Do: "make it smaller, or raise the limit of builds"}), nil
	case err != nil:
		return outcome{}, err
	case exit != 0:
		return failed("Build", Reason{Text: fmt.Sprintf("the build failed with status %d", exit), Where: where, Do: do}), nil
	}
	return outcome{status: Succeeded, summary: "built"}, nil
}

// mistake is a reason for a file that somebody has to mend.
func mistake(err error) Reason {
	r := Reason{Text: err.Error(), Do: "mend the file"}
	var at *diag.Error
	if errors.As(err, &at) {
		r.Text, r.Where = at.Message, at.Place.String()
		if at.Hint != "" {
			r.Do = at.Hint
		}
	}
	return r
}

// environment is what a build finds: CodeBuild's variables, the server's, and the file's own.
func (p *Pipelines) environment(e Execution, spec Buildspec) []string {
	id := e.Pipeline + ":" + e.ID
	env := []string{
		"CI=true",
		"AWS_REGION=" + p.config.Region, "AWS_DEFAULT_REGION=" + p.config.Region,
		"CODEBUILD_BUILD_ID=" + id,
		"CODEBUILD_BUILD_ARN=arn:aws:codebuild:" + p.config.Region + ":" + p.config.Account + ":build/" + id,
		"CODEBUILD_BUILD_NUMBER=" + strconv.FormatInt(e.Number, 10),
		"CODEBUILD_INITIATOR=codepipeline/" + e.Pipeline,
		"CODEBUILD_RESOLVED_SOURCE_VERSION=" + e.Commit,
		"CODEBUILD_SOURCE_VERSION=refs/heads/" + e.Branch,
		"CODEBUILD_START_TIME=" + strconv.FormatInt(p.config.Now().UnixMilli(), 10),
		"CODEBUILD_WEBHOOK_HEAD_REF=refs/heads/" + e.Branch,
		"CODEBUILD_WEBHOOK_TRIGGER=branch/" + e.Branch,
	}
	env = append(env, p.config.Env...)
	for _, name := range slices.Sorted(maps.Keys(spec.Variables)) {
		env = append(env, name+"="+spec.Variables[name])
	}
	return env
}

// buildReport reads what Script says of its phases: "begin build", "end build 1".
type buildReport struct {
	now func() time.Time

	mu   sync.Mutex
	line []byte
	list []Timing
	bad  string // the first phase that failed
}

func (r *buildReport) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range b {
		if c != '\n' {
			if len(r.line) < 200 {
				r.line = append(r.line, c)
			}
			continue
		}
		r.take(strings.Fields(string(r.line)))
		r.line = r.line[:0]
	}
	return len(b), nil
}

func (r *buildReport) take(f []string) {
	switch {
	case len(f) == 2 && f[0] == "begin" && slices.Contains(phases[:], f[1]) && len(r.list) < len(phases):
		r.list = append(r.list, Timing{Name: f[1], Status: InProgress, Started: r.now().UTC()})
	case len(f) == 3 && f[0] == "end" && len(r.list) > 0 && r.list[len(r.list)-1].Name == f[1]:
		last := &r.list[len(r.list)-1]
		last.Ended, last.Status = r.now().UTC(), Succeeded
		if f[2] != "0" {
			last.Status = Failed
			if r.bad == "" {
				r.bad = f[1]
			}
		}
	}
}

// broken is the phase in which the build failed, or was when it was ended.
func (r *buildReport) broken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad == "" && len(r.list) > 0 && r.list[len(r.list)-1].Status == InProgress {
		return r.list[len(r.list)-1].Name
	}
	return r.bad
}

func (r *buildReport) timings() []Timing {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.list)
	for i := range list {
		if list[i].Status == InProgress {
			list[i].Status, list[i].Ended = Failed, r.now().UTC()
		}
	}
	return list
}

// tidyWork empties the folder of builds: whatever lies there a kill has left.
func (p *Pipelines) tidyWork() error {
	if err := os.MkdirAll(p.config.Work, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(p.config.Work, "build-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}
