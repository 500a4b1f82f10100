package console

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

const pipelinesPath = "/pipelines"

// pipelinePath is the page of a pipeline, or one below it.
func pipelinePath(name, page string) string {
	to := pipelinesPath + "/" + url.PathEscape(name)
	if page != "" {
		to += "/" + page
	}
	return to
}

// healthMark is one of the newest runs, as a mark in a row.
type healthMark struct {
	Path, Says string
	Status     pipeline.Status
}

type pipelineRow struct {
	Name, Path string
	Origin     pipeline.Origin
	Problem    string
	Health     []healthMark // the oldest first
	Newest     *runRow
	Median     string // how long runs take
	DORA       dora
	Lead       string
	Restore    string
}

type pipelinesView struct {
	Tabs []tab
	Rows []pipelineRow
	More string
	Days int
}

const (
	pipelinesPage = 25
	healthShown   = 12
	doraDays      = 28
	doraRuns      = 500
)

func (r *request) pipelineTabs(here string) []tab {
	return []tab{{"Pipelines", pipelinesPath, here == "pipelines"}, {"Runs", "/runs", here == "runs"}}
}

func (o *Console) pipelines() page {
	return page{
		name: "pipelines", path: pipelinesPath, nav: "Pipelines", view: o.pipelinesView,
		asks: func(r *request) []iam.Request { return r.ask("codepipeline:ListPipelines", "") },
	}
}

func (o *Console) pipelinesView(r *request) (any, error) {
	v := pipelinesView{Tabs: r.pipelineTabs("pipelines"), Days: doraDays}
	all, err := o.config.Runs.Definitions(r.Context(), r.FormValue("after"), pipelinesPage+1)
	if err != nil {
		return nil, err
	}
	if len(all) > pipelinesPage {
		all = all[:pipelinesPage]
		v.More = pipelinesPath + "?after=" + url.QueryEscape(all[pipelinesPage-1].Structure.Name)
	}
	for _, d := range all {
		row, err := o.pipelineRow(r, d)
		if err != nil {
			return nil, err
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// pipelineRow is a pipeline with how it does.
func (o *Console) pipelineRow(r *request, d pipeline.Definition) (row pipelineRow, err error) {
	row = pipelineRow{Name: d.Structure.Name, Path: pipelinePath(d.Structure.Name, ""), Origin: d.Origin, Problem: d.Problem}
	newest, err := o.config.Runs.Executions(r.Context(), pipeline.Query{Pipeline: row.Name, Limit: healthShown})
	if err != nil || len(newest) == 0 {
		return row, err
	}
	one := r.runRow(newest[0])
	row.Newest = &one
	var lasted []time.Duration
	for i := len(newest) - 1; i >= 0; i-- {
		e := newest[i]
		row.Health = append(row.Health, healthMark{pipeline.Path(e.ID), "#" + number(e.Number) + " " + e.Branch + ": " + r.t(string(e.Status)), e.Status})
		if e.Status == pipeline.Succeeded {
			lasted = append(lasted, e.Ended.Sub(e.Started))
		}
	}
	if len(lasted) > 0 {
		row.Median = r.lasted(median(lasted))
	}
	if row.DORA, err = o.delivery(r.Context(), d); err != nil {
		return row, err
	}
	if row.DORA.LeadOf > 0 {
		row.Lead = r.lasted(row.DORA.Lead)
	}
	if row.DORA.Restores > 0 {
		row.Restore = r.lasted(row.DORA.Restore)
	}
	return row, nil
}

// delivered are the figures of pipelines, as they were counted last.
type delivered struct {
	mu  sync.Mutex
	all map[string]deliveredOf
}

type deliveredOf struct {
	newest string // run, and how it stood
	at     time.Time
	dora   dora
}

const deliveredFor = time.Minute // what is older is counted anew

// delivery counts a pipeline's figures, if they may have changed since it did last.
func (o *Console) delivery(ctx context.Context, d pipeline.Definition) (dora, error) {
	name, now := d.Structure.Name, o.config.Now()
	branch, repo, err := o.mainBranch(ctx, d.Repository)
	if err != nil {
		return dora{}, err
	}
	newest, err := o.config.Runs.Executions(ctx, pipeline.Query{Pipeline: name, Branch: branch, Limit: 1})
	if err != nil || len(newest) == 0 {
		return dora{Days: doraDays}, err
	}
	mark := newest[0].ID + string(newest[0].Status) + newest[0].Ended.String()
	o.delivered.mu.Lock()
	kept, ok := o.delivered.all[name]
	o.delivered.mu.Unlock()
	if ok && kept.newest == mark && now.Sub(kept.at) < deliveredFor {
		return kept.dora, nil
	}
	runs, err := o.config.Runs.Executions(ctx, pipeline.Query{Pipeline: name, Branch: branch, Limit: doraRuns})
	if err != nil {
		return dora{}, err
	}
	days := doraDays
	if len(runs) == doraRuns { // a busy one: the days that they are from
		days = max(1, min(days, int(now.Sub(runs[len(runs)-1].Created).Hours()/24)))
	}
	kept = deliveredOf{mark, now, doraOf(runs, committed(ctx, repo, runs), now, days)}
	o.delivered.mu.Lock()
	defer o.delivered.mu.Unlock()
	if o.delivered.all == nil || len(o.delivered.all) > 1000 {
		o.delivered.all = map[string]deliveredOf{}
	}
	o.delivered.all[name] = kept
	return kept.dora, nil
}

// lasted is a length of time as people say it.
func (r *request) lasted(d time.Duration) string {
	if d >= 48*time.Hour {
		return r.t("%d days", int(d.Hours()/24))
	}
	at := time.Unix(1, 0)
	return r.took(at, at.Add(d))
}

// mainBranch is a repository's default branch, "" where that is not known.
func (o *Console) mainBranch(ctx context.Context, repository string) (branch string, repo *git.Repo, err error) {
	if o.config.Source == nil || repository == "" {
		return "", nil, nil
	}
	known, err := o.config.Source.Repository(ctx, repository)
	if fault.Of(err) == fault.NotFound {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	repo, err = o.config.Source.Git(repository)
	return known.DefaultBranch, repo, err
}

// committed are when the commits of runs were made, as far as they are there.
func committed(ctx context.Context, repo *git.Repo, runs []pipeline.Execution) map[string]time.Time {
	at := map[string]time.Time{}
	if repo == nil {
		return at
	}
	var ids []string
	for _, e := range runs {
		if e.Status == pipeline.Succeeded && !e.Ended.IsZero() {
			ids = append(ids, e.Commit)
		}
	}
	commits, err := repo.Commits(ctx, ids...)
	if err != nil {
		return at // some are gone: their runs count from the push
	}
	for _, c := range commits {
		at[c.ID] = c.Committer.Time
	}
	return at
}
