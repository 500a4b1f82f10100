package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type buildPhase struct {
	build.Phase
	Took string
}

type artifactFile struct {
	build.Artifact
	Path string
}

type reportRow struct {
	Path, Group, GroupPath string
	Name                   string
	Type                   string
	Status                 string
	Created                time.Time
	Commit, Ref            string
	Tests                  *build.TestSummary
	Failed                 int
	Took                   string
	Coverage               *build.CoverageSummary
	Truncated              bool
}

type buildView struct {
	Build       build.Build
	Row         buildRow
	Phases      []buildPhase
	Path        []pathStep
	Log         logView
	Made        []artifactFile
	Reports     []reportRow
	Denied      int // downloads
	Commit      string
	Run         string // page of the run that asked for it
	Retried     string
	Spec        string
	Retry, Stop bool
	Enter       *entry
}

const downloadsShown = 500

func (o *Console) build() page {
	id := func(r *request) string { return r.PathValue("id") }
	streams := logStreams("/builds/{id}/log", o.buildLog)
	streams["/builds/{id}/artifact"] = o.sendArtifact
	return page{
		name: "build", path: "/builds/{id}", under: "builds", asks: o.askBuild("BatchGetBuilds"), view: o.buildView, streams: streams,
		actions: map[string]action{
			"/builds/{id}/retry": {asks: o.askBuild("RetryBuild"), do: func(r *request) (string, error) {
				made, err := o.config.Builds.Retry(r.Context(), id(r), "", r.principal.ARN)
				return buildPath(made.ID), err
			}},
			"/builds/{id}/stop": {asks: o.askBuild("StopBuild"), do: func(r *request) (string, error) {
				_, err := o.config.Builds.Stop(r.Context(), id(r))
				return buildPath(id(r)), err
			}},
		},
	}
}

func (o *Console) buildView(r *request) (any, error) {
	b, err := o.config.Builds.Build(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if b.Facts == nil {
		b.Facts = &build.Facts{}
	}
	f := b.Facts
	v := buildView{
		Build: b, Row: r.buildRow(b), Retry: b.Status.Ended() && f.Action == "" && r.mayOn("codebuild:RetryBuild", o.projectARN(b.Project)), Stop: !b.Status.Ended() && r.mayOn("codebuild:StopBuild", o.projectARN(b.Project)),
	}
	for _, p := range b.Phases {
		one := buildPhase{Phase: p}
		if p.Type != build.Completed { // which is when, and no time
			one.Took = r.took(p.Started, p.Ended)
		}
		v.Phases = append(v.Phases, one)
	}
	whole := b.Ended.Sub(b.Started).Seconds()
	for _, s := range f.Critical {
		if s.Seconds < 0.05 {
			continue
		}
		share := 0
		if whole > 0 {
			share = int(min(100, 100*s.Seconds/whole+0.5))
		}
		v.Path = append(v.Path, pathStep{s.Name, r.lasted(time.Duration(s.Seconds * float64(time.Second))), share})
	}
	for _, a := range f.Made {
		v.Made = append(v.Made, artifactFile{a, logPath(buildPath(b.ID)+"/artifact", "", 0, "name", a.Name)})
	}
	for _, d := range f.Downloads {
		if d.Denied != "" {
			v.Denied++
		}
	}
	if len(f.Downloads) > downloadsShown {
		f.Downloads = f.Downloads[:downloadsShown]
	}
	if f.Repository != "" && f.Commit != "" && o.config.Source != nil {
		v.Commit = repositoryPath(f.Repository, "commits/"+f.Commit)
	}
	if rest, ok := strings.CutPrefix(b.Stream(), "pipeline/"); ok && o.config.Runs != nil { // it logs to its run
		run, _, _ := strings.Cut(rest, "/")
		v.Run = pipeline.Path(run)
	}
	if f.Retried != "" {
		v.Retried = buildPath(f.Retried)
	}
	for _, arn := range b.Reports {
		report, err := o.config.Builds.Report(r.Context(), arn)
		if err != nil {
			continue // it is kept for a shorter time than its build
		}
		v.Reports = append(v.Reports, r.reportRow(report))
	}
	if v.Enter, err = o.entryOf(r, b, b.ID); err != nil {
		return nil, err
	}
	log, err := o.buildLog(r)
	if err != nil {
		return nil, err
	}
	v.Log, err = r.logView(log, "", buildPath(b.ID)+"/log", buildPath(b.ID), "", !b.Status.Ended() || b.Status != build.Succeeded)
	return v, err
}

// buildLog is where a build's log is read: within its pipeline's run where it has one.
func (o *Console) buildLog(r *request) (logSource, error) {
	b, err := o.config.Builds.Build(r.Context(), r.PathValue("id"))
	if err != nil {
		return logSource{}, err
	}
	stream := b.Stream()
	return logSource{
		key: "build-" + b.Project + "-" + fmt.Sprint(b.Number) + "-" + b.ID,
		read: func(ctx context.Context, from int64) ([]byte, int64, bool, error) {
			return o.config.Logs.Read(ctx, stream, from)
		},
		follow: func(ctx context.Context, from int64, take func([]byte, int64) error) error {
			return o.config.Logs.Follow(ctx, stream, from, take)
		},
		took: func(h logHead) string {
			for _, p := range b.Phases {
				if h.Level == 2 && strings.EqualFold(p.Type, h.Title) && !p.Ended.IsZero() {
					return r.took(p.Started, p.Ended)
				}
			}
			return r.tookCommand(b.Facts, h)
		},
	}, nil
}

// tookCommand is how long a command took, if it is one of those that took the time.
func (r *request) tookCommand(f *build.Facts, h logHead) (took string) {
	if f == nil || h.Level != 3 {
		return ""
	}
	for _, s := range f.Critical {
		if s.Name == h.Title || strings.HasSuffix(s.Name, ": "+h.Title) || strings.HasSuffix(s.Name, " $ "+h.Title) {
			if took != "" {
				return "" // which of them is not known
			}
			took = r.lasted(time.Duration(s.Seconds * float64(time.Second)))
		}
	}
	return took
}

// sendArtifact is a file that a build made, to be stored.
func (o *Console) sendArtifact(r *request) error {
	a, file, err := o.config.Builds.Artifact(r.Context(), r.PathValue("id"), r.FormValue("name"))
	if err != nil {
		return err
	}
	defer file.Close()
	attach(r.w, base(a.File))
	r.w.Header().Set("ETag", `"`+a.Digest+`"`)
	http.ServeContent(r.w, r.Request, "", time.Time{}, file)
	return nil
}

// entry is how one goes into what is left of a build that failed.
type entry struct {
	Command string
	Until   time.Time // it is kept
	None    string    // why there is nothing to go into
}

// entryOf is the way into a build that failed, for those who may go; name is what the command calls it.
func (o *Console) entryOf(r *request, b build.Build, name string) (*entry, error) {
	if b.Status != build.Failed && b.Status != build.TimedOut || !r.mayOn("codebuild:StartCommandExecution", o.projectARN(b.Project)) {
		return nil, nil
	}
	folders, err := o.config.Builds.Folders()
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if f.Build == b.ID {
			return &entry{Command: "haechi run shell " + name, Until: o.config.Builds.KeptUntil(f)}, nil
		}
	}
	if b.Facts != nil && b.Facts.Runner != "" {
		return &entry{None: r.t("Another machine did this build: its folder cannot be entered from here.")}, nil
	}
	return &entry{None: r.t("Its folder is not here any more. Try the build again, and enter it when it fails.")}, nil
}

// entryOfRun is the way into the build for which a run failed.
func (o *Console) entryOfRun(r *request, e pipeline.Execution, stages []runStage) (*entry, error) {
	if e.Status != pipeline.Failed || o.config.Builds == nil {
		return nil, nil
	}
	for _, s := range stages {
		for _, a := range s.Actions {
			if a.Build == "" || a.Status != pipeline.Failed {
				continue
			}
			b, err := o.config.Builds.Build(r.Context(), a.External)
			if errors.Is(err, fault.NotFound) { // a batch, or one that was removed
				continue
			}
			if err != nil {
				return nil, err
			}
			return o.entryOf(r, b, fmt.Sprintf("%s#%d", e.Pipeline, e.Number))
		}
	}
	return nil, nil
}
