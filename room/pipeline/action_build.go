package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/diag"
)

// doBuild runs the commit's buildspec.yml in the sandbox.
func (p *Pipelines) doBuild(ctx context.Context, t *task) (outcome, error) {
	e, log := t.run, t.log
	repo, err := p.config.Source.Git(e.Repository)
	if err != nil {
		return outcome{}, err
	}
	files, err := repo.Tree(ctx, e.Commit)
	if err != nil {
		return outcome{}, err
	}
	defer files.Close()
	text, err := fs.ReadFile(files, buildspec.File)
	if err != nil {
		return outcome{}, err
	}
	spec, err := build.Parse(buildspec.File, text)
	if err != nil {
		log.Printf("%s\n", diag.Detail(err))
		return failed(mistake(err)), nil
	}
	if reason := p.beyond(spec); reason != nil {
		log.Printf("%s\n", reason.Text)
		return failed(*reason), nil
	}
	dir, err := os.MkdirTemp(p.config.Work, "build-")
	if err != nil {
		return outcome{}, err
	}
	defer build.Remove(dir)
	src, err := build.Sources(dir)
	if err != nil {
		return outcome{}, err
	}
	if err := extract(ctx, files, src); err != nil {
		return outcome{}, fmt.Errorf("laying out the files: %w", err)
	}
	plan := build.Plan{Spec: spec, Dir: dir, Facts: p.facts(e), Env: variables(p.config.Env), Tools: p.config.Tools, Limits: p.config.Limits}
	done, err := p.identify(ctx, e, &plan)
	if err != nil {
		return outcome{}, err
	}
	defer done()
	result, err := build.New(build.Config{Runner: p.config.Runner, Now: p.config.Now}).Run(ctx, plan, log)
	if err != nil {
		return outcome{}, err
	}
	return p.result(ctx, e, spec, result, src, log)
}

// beyond is what this action cannot do for a build, or nil. Artifacts are passed over.
func (p *Pipelines) beyond(spec *buildspec.Spec) *Reason {
	reason := func(what, do string) *Reason {
		return &Reason{Text: what + " is not supported here", Where: buildspec.File, Do: do}
	}
	switch {
	case spec.Batch != nil:
		return reason("batch", "build it by a project of its own")
	case len(spec.Secrets) > 0:
		return reason("env/secrets-manager", "build it by a project of its own")
	case len(spec.Parameters) > 0:
		return reason("env/parameter-store", "build it by a project of its own")
	case p.config.Reports == nil && slices.ContainsFunc(spec.Reports, buildspec.ReportGroup.Security):
		return &Reason{Text: "reports cannot be read here", Where: buildspec.File, Do: "leave reports out"}
	}
	if len(spec.Artifacts) > 0 {
		spec.Artifacts = nil
		spec.Warnings = append(spec.Warnings, "artifacts is passed over: nothing takes them from this action")
	}
	return nil
}

// result is what became of a build.
func (p *Pipelines) result(ctx context.Context, e Execution, spec *buildspec.Spec, r build.Result, src string, log *work.Log) (outcome, error) {
	o := outcome{status: Succeeded, summary: "built"}
	if r.Status != build.Succeeded {
		where := buildspec.File
		if slices.Contains(buildspec.Phases(), r.Where) {
			where = "phase " + r.Where
		}
		o = failed(Reason{Text: r.Reason, Where: where, Do: r.Do})
	}
	// Also those of one that failed: a tool that found something often says so with its status.
	reason, err := p.takeReports(ctx, e, r.Reports, src, log)
	if err != nil {
		return outcome{}, err
	}
	if reason != nil && o.status == Succeeded {
		o = failed(*reason)
	}
	o.change = func(e *Execution, a *Action) {
		e.Level = r.Level.String()
		a.Phases = timings(spec, r.Phases)
	}
	return o, nil
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

// facts are what a build is told of itself.
func (p *Pipelines) facts(e Execution) build.Facts {
	id, ref := e.Pipeline+":"+e.ID, "refs/heads/"+e.Branch
	return build.Facts{
		Region: p.config.Region, ID: id, ARN: "arn:aws:codebuild:" + p.config.Region + ":" + p.config.Account + ":build/" + id,
		Number: e.Number, Initiator: "codepipeline/" + e.Pipeline, Resolved: e.Commit, SourceVersion: ref, Started: p.config.Now(),
		HeadRef: ref, Trigger: "branch/" + e.Branch,
	}
}

// tidyWork empties the folder of builds: whatever lies there a kill has left.
func (p *Pipelines) tidyWork() error {
	if err := os.MkdirAll(p.config.Work, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(p.config.Work, "build-*"))
	for _, dir := range left {
		err = errors.Join(err, build.Remove(dir))
	}
	return err
}
