package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
)

const pullsPath = "/pulls"

// pullPath is the page of a pull request.
func pullPath(number int64) string { return pullsPath + "/" + strconv.FormatInt(number, 10) }

// newPullPath is the page where one is opened.
func newPullPath(repository, from, to string) string {
	return pullsPath + "/new?" + url.Values{"repository": {repository}, "source": {from}, "target": {to}}.Encode()
}

// branchOf is a full ref as people say it.
func branchOf(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

type pullRow struct {
	Number            int64
	Path, Title       string
	Repository        string
	RepositoryPath    string
	Source, Target    string
	Author            string
	State             source.State
	Updated           time.Time
	Conflicts         bool
	Revision, Commits int
}

func pullRowOf(p source.Pull) pullRow {
	row := pullRow{
		Number: p.Number, Path: pullPath(p.Number), Title: p.Title, Repository: p.Repository, RepositoryPath: repositoryPath(p.Repository, ""),
		Source: branchOf(p.Source), Target: branchOf(p.Target), Author: p.Author.Name, State: p.State, Updated: p.Updated,
		Conflicts: p.State == source.Open && !p.Revision.Clean(), Revision: p.Revision.Number, Commits: p.Revision.Commits,
	}
	if row.Author == "" {
		row.Author = who(p.Author.ARN)
	}
	return row
}

type pullsView struct {
	States            []chip
	State, Repository string
	Mine              bool
	Rows              []pullRow
	More              string
	New               string // path to where one is opened
	Branch            string
}

const pullsPage = 50

func (o *Console) pulls() page {
	return page{
		name: "pulls", path: pullsPath, nav: "Pull requests",
		asks: func(r *request) []iam.Request { return r.ask("codecommit:ListPullRequests", "") },
		view: o.pullsView,
	}
}

func (o *Console) pullsView(r *request) (any, error) {
	q := r.URL.Query()
	v := pullsView{State: q.Get("state"), Repository: strings.TrimSpace(q.Get("repository")), Branch: strings.TrimSpace(q.Get("branch")), Mine: q.Get("mine") != "", New: newPullPath(strings.TrimSpace(q.Get("repository")), "", "")}
	if v.State == "" {
		v.State = string(source.Open)
	}
	for _, s := range []string{string(source.Open), string(source.Merged), string(source.Closed), "all"} {
		to := url.Values{"state": {s}}
		for _, name := range []string{"repository", "branch", "mine"} {
			if q.Get(name) != "" {
				to.Set(name, q.Get(name))
			}
		}
		v.States = append(v.States, chip{s, pullsPath + "?" + to.Encode(), v.State == s})
	}
	before, err := r.number("before", 0, 1, 1<<62)
	if err != nil {
		return nil, err
	}
	asked := source.Pulls{Repository: v.Repository, Before: int64(before), Limit: pullsPage + 1}
	if v.State != "all" {
		asked.State = source.State(v.State)
	}
	if v.Mine {
		asked.Author = r.principal.ARN
	}
	if v.Branch != "" {
		asked.Target = "refs/heads/" + branchOf(v.Branch)
	}
	all, err := o.config.Source.Pulls(r.Context(), asked)
	if err != nil {
		return nil, err
	}
	if len(all) > pullsPage {
		all = all[:pullsPage]
		q.Set("before", strconv.FormatInt(all[pullsPage-1].Number, 10))
		v.More = pullsPath + "?" + q.Encode()
	}
	for _, p := range all {
		v.Rows = append(v.Rows, pullRowOf(p))
	}
	return v, nil
}
