package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
)

type repositoryRow struct {
	Name, Path, Description, Branch string
	Changed                         time.Time
	Pulls                           int
	PullsPath                       string
	Run                             *runRow // the newest
}

type repositoriesView struct {
	Rows []repositoryRow
	More string
	Make bool
}

const repositoriesPage = 50

func (o *Console) repositories() page {
	return page{
		name: "repositories", path: repositoriesPath, nav: "Repositories",
		asks: func(r *request) []iam.Request { return r.ask("codecommit:ListRepositories", "") },
		view: o.repositoriesView,
		actions: map[string]action{repositoriesPath: {
			asks: func(r *request) []iam.Request {
				return r.ask("codecommit:CreateRepository", o.config.Source.ARN(strings.TrimSpace(r.PostFormValue("name"))))
			},
			do: func(r *request) (string, error) {
				made, err := o.config.Source.Create(r.Context(), source.Repository{
					Name: strings.TrimSpace(r.PostFormValue("name")), Description: strings.TrimSpace(r.PostFormValue("description")), DefaultBranch: strings.TrimSpace(r.PostFormValue("branch")),
				})
				return repositoryPath(made.Name, ""), err
			},
		}},
	}
}

func (o *Console) repositoriesView(r *request) (any, error) {
	v := repositoriesView{Make: r.may("codecommit:CreateRepository")}
	all, err := o.config.Source.Repositories(r.Context(), r.FormValue("after"), repositoriesPage+1)
	if err != nil {
		return nil, err
	}
	if len(all) > repositoriesPage {
		all = all[:repositoriesPage]
		v.More = repositoriesPath + "?after=" + url.QueryEscape(all[repositoriesPage-1].Name)
	}
	for _, repository := range all {
		row := repositoryRow{Name: repository.Name, Path: repositoryPath(repository.Name, ""), Description: repository.Description, Branch: repository.DefaultBranch, PullsPath: "/pulls?repository=" + url.QueryEscape(repository.Name)}
		moves, err := o.config.Source.Moves(r.Context(), repository.Name, "", 0, 1)
		if err != nil {
			return nil, err
		}
		if len(moves) > 0 {
			row.Changed = moves[0].At
		}
		open, err := o.config.Source.Pulls(r.Context(), source.Pulls{Repository: repository.Name, State: source.Open, Limit: 100})
		if err != nil {
			return nil, err
		}
		row.Pulls = len(open)
		if o.config.Runs != nil {
			runs, err := o.config.Runs.Executions(r.Context(), pipeline.Query{Pipeline: repository.Name, Branch: repository.DefaultBranch, Limit: 1})
			if err != nil {
				return nil, err
			}
			if len(runs) > 0 {
				run := r.runRow(runs[0])
				row.Run = &run
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// OpenPulls is how many there are, as far as it is counted.
func (row repositoryRow) OpenPulls() string {
	if row.Pulls >= 100 {
		return "100+"
	}
	return strconv.Itoa(row.Pulls)
}
