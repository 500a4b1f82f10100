package console

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/finding"
)

// runRow is a run in a list.
type runRow struct {
	ID, Path           string
	Number             int64
	Pipeline           string
	Repository, Branch string
	Commit, Subject    string
	Author             string
	Status             pipeline.Status
	Fresh              int // new findings
	Created            time.Time
	Took               string
}

func (r *request) runRow(e pipeline.Execution) runRow {
	row := runRow{
		ID: e.ID, Path: pipeline.Path(e.ID), Number: e.Number, Pipeline: e.Pipeline, Repository: e.Repository, Branch: e.Branch, Commit: e.Commit,
		Subject: e.Subject, Author: e.Author, Status: e.Status, Created: e.Created, Took: r.took(e.Started, e.Ended),
	}
	for _, n := range e.Fresh {
		row.Fresh += n
	}
	return row
}

// took is how long something lasted, or has lasted until now; "" is not begun.
func (r *request) took(started, ended time.Time) string {
	if started.IsZero() {
		return ""
	}
	if ended.IsZero() {
		ended = r.console.config.Now()
	}
	switch d := max(ended.Sub(started), 0); {
	case d < 10*time.Second:
		return r.t("%s s", fmt.Sprintf("%.1f", d.Seconds()))
	case d < time.Minute:
		return r.t("%s s", fmt.Sprintf("%.0f", d.Seconds()))
	case d < time.Hour:
		return r.t("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return r.t("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

type runsView struct {
	Tabs               []tab
	States             []chip
	State              string
	Repository, Branch string
	Rows               []runRow
	More               string // path of the next page
	Start              bool   // whether whoever looks may start one
}

const runsPage = 50

func (o *Console) runs() page {
	return page{
		name: "runs", path: "/runs", under: "pipelines",
		asks: func(r *request) []iam.Request { return r.ask("codepipeline:ListPipelineExecutions", "") },
		view: o.runsView,
		actions: map[string]action{
			"/runs": {
				asks: func(r *request) []iam.Request {
					return r.ask("codepipeline:StartPipelineExecution", o.pipelineARN(r.PostFormValue("repository")))
				},
				do: func(r *request) (string, error) {
					form := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
					e, err := o.config.Runs.Start(r.Context(), form("repository"), form("branch"), form("commit"), r.principal.ARN)
					return pipeline.Path(e.ID), err
				},
			},
		},
	}
}

// pipelineARN is the address of a repository's pipeline.
func (o *Console) pipelineARN(repository string) string {
	return "arn:aws:codepipeline:" + o.config.Region + ":" + o.config.Account + ":" + repository
}

func (o *Console) runsView(r *request) (any, error) {
	q := r.URL.Query()
	v := runsView{Tabs: r.pipelineTabs("runs"), State: q.Get("state"), Repository: strings.TrimSpace(q.Get("repository")), Branch: strings.TrimSpace(q.Get("branch")), Start: r.may("codepipeline:StartPipelineExecution")}
	for _, s := range []pipeline.Status{"", pipeline.Waiting, pipeline.InProgress, pipeline.Succeeded, pipeline.Failed, pipeline.Stopped, pipeline.Superseded} {
		title, to := string(s), url.Values{}
		if s == "" {
			title = "all"
		} else {
			to.Set("state", string(s))
		}
		if v.Repository != "" {
			to.Set("repository", v.Repository)
		}
		if v.Branch != "" {
			to.Set("branch", v.Branch)
		}
		v.States = append(v.States, chip{title, "/runs?" + to.Encode(), v.State == string(s)})
	}
	all, err := o.config.Runs.Executions(r.Context(), pipeline.Query{
		Pipeline: v.Repository, Branch: v.Branch, Status: pipeline.Status(v.State), Before: q.Get("before"), Limit: runsPage + 1,
	})
	if err != nil {
		return nil, err
	}
	if len(all) > runsPage {
		all = all[:runsPage]
		q.Set("before", all[runsPage-1].ID)
		v.More = "/runs?" + q.Encode()
	}
	for _, e := range all {
		v.Rows = append(v.Rows, r.runRow(e))
	}
	return v, nil
}

// counted are numbers of findings, the worst first.
func counted(counts map[finding.Label]int) (all []tile) {
	for i := len(finding.Labels) - 1; i >= 0; i-- {
		if n := counts[finding.Labels[i]]; n > 0 {
			all = append(all, tile{Label: finding.Labels[i], Count: n})
		}
	}
	return all
}
