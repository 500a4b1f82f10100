package console

import (
	"net/url"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
)

// buildPath is the page of a build.
func buildPath(id string) string { return build.Path(url.PathEscape(id)) }

// batchPath is the page of a batch.
func batchPath(id string) string { return "/batches/" + url.PathEscape(id) }

// projectOf is the project of a build's or a batch's id.
func projectOf(id string) string {
	name, _, _ := strings.Cut(id, ":")
	return name
}

// askProject asks whether somebody may do something with builds of a project, which an id may name.
func (o *Console) askProject(action string, project func(r *request) string) func(r *request) []iam.Request {
	return func(r *request) []iam.Request {
		return r.ask("codebuild:"+action, o.projectARN(project(r)))
	}
}

func (o *Console) projectARN(name string) string {
	return "arn:aws:codebuild:" + o.config.Region + ":" + o.config.Account + ":project/" + name
}

func (o *Console) askBuild(action string) func(r *request) []iam.Request {
	return o.askProject(action, func(r *request) string { return projectOf(r.PathValue("id")) })
}

type buildRow struct {
	Path, Project string
	Number        int64
	Status        build.Status
	Version       string
	Commit        string
	Initiator     string
	Batch         string // path of the batch that it is of
	Member        string
	Started       time.Time
	Took          string
	Level, Runner string
}

func (r *request) buildRow(b build.Build) buildRow {
	row := buildRow{
		Path: buildPath(b.ID), Project: b.Project, Number: b.Number, Status: b.Status, Version: b.SourceVersion, Commit: b.ResolvedVersion,
		Initiator: strings.TrimPrefix(who(b.Initiator), "user/"), Started: b.Started, Took: r.took(b.Started, b.Ended),
	}
	if f := b.Facts; f != nil {
		row.Level, row.Runner, row.Member = f.Level, who(f.Runner), f.Member
		if f.Batch != "" {
			row.Batch = batchPath(f.Batch)
		}
		if f.Ref != "" {
			row.Version = branchOf(f.Ref)
		}
	}
	return row
}

type batchRow struct {
	Path, Project string
	Number        int64
	Status        build.Status
	Started       time.Time
	Took          string
	Builds        int
}

func (r *request) batchRow(b build.Batch) batchRow {
	return batchRow{batchPath(b.ID), b.Project, b.Number, b.Status, b.Started, r.took(b.Started, b.Ended), len(b.Groups)}
}

type buildsView struct {
	Tabs           []tab
	States         []chip
	State, Project string
	Projects       []string
	Rows           []buildRow
	Batches        []batchRow
	More           string
	Start          bool
}

const buildsPage = 50

func buildTabs(here string) []tab {
	return []tab{{"Builds", "/builds", here == "builds"}, {"Test reports", "/tests", here == "tests"}}
}

func (o *Console) builds() page {
	return page{
		name: "builds", path: "/builds", nav: "Builds", view: o.buildsView,
		asks: func(r *request) []iam.Request { return r.ask("codebuild:ListBuilds", "") },
		actions: map[string]action{"/builds": {
			asks: o.askProject("StartBuild", func(r *request) string { return strings.TrimSpace(r.PostFormValue("project")) }),
			do: func(r *request) (string, error) {
				made, err := o.config.Builds.Start(r.Context(), build.Start{Project: strings.TrimSpace(r.PostFormValue("project")), Version: strings.TrimSpace(r.PostFormValue("version")), Who: r.principal.ARN})
				return buildPath(made.ID), err
			},
		}},
	}
}

func (o *Console) buildsView(r *request) (any, error) {
	q := r.URL.Query()
	v := buildsView{Tabs: buildTabs("builds"), State: q.Get("state"), Project: strings.TrimSpace(q.Get("project")), Start: r.may("codebuild:StartBuild")}
	for _, s := range []build.Status{"", build.InProgress, build.Succeeded, build.Failed, build.Stopped, build.TimedOut, build.Fault} {
		title, to := string(s), url.Values{}
		if s == "" {
			title = "all"
		} else {
			to.Set("state", string(s))
		}
		if v.Project != "" {
			to.Set("project", v.Project)
		}
		v.States = append(v.States, chip{title, "/builds?" + to.Encode(), v.State == string(s)})
	}
	projects, err := o.config.Builds.Projects(r.Context())
	if err != nil {
		return nil, err
	}
	for _, p := range projects {
		v.Projects = append(v.Projects, p.Name)
	}
	all, err := o.config.Builds.Builds(r.Context(), build.Query{Project: v.Project, Status: build.Status(v.State), After: q.Get("after"), Limit: buildsPage + 1})
	if err != nil {
		return nil, err
	}
	if len(all) > buildsPage {
		all = all[:buildsPage]
		q.Set("after", all[buildsPage-1].ID)
		v.More = "/builds?" + q.Encode()
	}
	for _, b := range all {
		v.Rows = append(v.Rows, r.buildRow(b))
	}
	batches, err := o.config.Builds.Batches(r.Context(), build.Query{Project: v.Project, Limit: 10})
	for _, b := range batches {
		v.Batches = append(v.Batches, r.batchRow(b))
	}
	return v, err
}
