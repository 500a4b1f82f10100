package console

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/finding"
)

// reason is why a run failed, with the way to the finding that it is about.
type reason struct {
	pipeline.Reason
	Path string
}

type runAction struct {
	pipeline.Action
	Took string
}

type runView struct {
	Run         pipeline.Execution
	Row         runRow
	Actions     []runAction
	Reasons     []reason
	Found       []tile
	Fresh       []tile
	Log         logView
	Retry, Stop bool
	Findings    string // path to what the branch has
}

func (o *Console) run() page {
	ask := func(action string) func(r *request) []iam.Request {
		return func(r *request) []iam.Request {
			e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
			if err != nil { // told once whoever asks may look
				return r.ask("codepipeline:"+action, "")
			}
			return r.ask("codepipeline:"+action, o.pipelineARN(e.Pipeline))
		}
	}
	return page{
		name: "run", path: "/runs/{id}", under: "runs", asks: ask("GetPipelineExecution"), view: o.runView,
		actions: map[string]action{
			"/runs/{id}/retry": {asks: ask("RetryStageExecution"), do: func(r *request) (string, error) {
				e, err := o.config.Runs.Retry(r.Context(), r.PathValue("id"))
				return pipeline.Path(e.ID), err
			}},
			"/runs/{id}/stop": {asks: ask("StopPipelineExecution"), do: func(r *request) (string, error) {
				return pipeline.Path(r.PathValue("id")), o.config.Runs.Stop(r.Context(), r.PathValue("id"))
			}},
		},
		streams: logStreams("/runs/{id}/log", o.runLog),
	}
}

func (o *Console) runView(r *request) (any, error) {
	e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := runView{
		Run: e, Row: r.runRow(e), Found: counted(e.Findings), Fresh: counted(e.Fresh),
		Retry:    (e.Status == pipeline.Failed || e.Status == pipeline.Stopped) && r.may("codepipeline:RetryStageExecution"),
		Stop:     !e.Status.Ended() && e.Status != pipeline.Stopping && r.may("codepipeline:StopPipelineExecution"),
		Findings: filterPath(openFilter + ` target:"` + e.Repository + `" branch:"` + e.Branch + `"`),
	}
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			v.Actions = append(v.Actions, runAction{a, r.took(a.Started, a.Ended)})
		}
	}
	for _, why := range e.Reasons {
		one := reason{Reason: why}
		if why.Finding != "" {
			one.Path = o.ownPath(why.Finding)
		}
		v.Reasons = append(v.Reasons, one)
	}
	log, err := o.runLog(r)
	if err != nil {
		return nil, err
	}
	v.Log, err = r.logView(log, "", v.Row.Path+"/log", v.Row.Path, "", !e.Status.Ended() || e.Status == pipeline.Failed)
	return v, err
}

// ownPath is the page of one of Haechi's own findings, by its Id.
func (o *Console) ownPath(id string) string {
	f := finding.Maker{Account: o.config.Account, Region: o.config.Region}.Own(finding.Scan{}, finding.Finding{ID: id}, time.Time{})
	return "/findings/" + encodeRef(hub.RefOf(f))
}

// runLog is where a run's log is read.
func (o *Console) runLog(r *request) (logSource, error) {
	id := r.PathValue("id")
	if _, err := o.config.Runs.Execution(r.Context(), id); err != nil {
		return logSource{}, err
	}
	return logSource{
		key: "pipeline/" + id,
		read: func(ctx context.Context, from int64) ([]byte, int64, bool, error) {
			return o.config.Runs.Log(ctx, id, from)
		},
		follow: func(ctx context.Context, from int64, take func([]byte, int64) error) error {
			return o.config.Runs.Follow(ctx, id, from, take)
		},
	}, nil
}
