package console

import (
	"strings"

	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

type newPullView struct {
	Repository, Source, Target string
	Title, Text                string
	Repositories, Branches     []string
	Commits                    []commitRow
	Diff                       diffView
	Ready                      bool // the two branches were named, and differ
	Problem                    string
}

func (o *Console) newPull() page {
	asks := func(r *request) []iam.Request {
		return r.ask("codecommit:CreatePullRequest", o.config.Source.ARN(strings.TrimSpace(r.FormValue("repository"))))
	}
	return page{
		name: "newpull", path: pullsPath + "/new", under: "pulls", asks: asks, view: o.newPullView,
		actions: map[string]action{pullsPath + "/new": {
			asks: asks,
			do: func(r *request) (string, error) {
				form := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
				p, err := o.config.Source.CreatePull(r.Context(), source.NewPull{
					Repository: form("repository"), Title: form("title"), Description: form("description"), Source: form("source"), Target: form("target"), Author: r.person(),
				})
				return pullPath(p.Number), err
			},
			again: func(r *request, problem error) (any, error) {
				view, err := o.newPullView(r)
				if v, ok := view.(newPullView); ok {
					v.Problem, v.Title, v.Text = problem.Error(), r.PostFormValue("title"), r.PostFormValue("description")
					view = v
				}
				return view, err
			},
		}},
	}
}

func (o *Console) newPullView(r *request) (any, error) {
	form := func(name string) string { return strings.TrimSpace(r.FormValue(name)) }
	v := newPullView{Repository: form("repository"), Source: form("source"), Target: form("target")}
	if v.Repository == "" {
		all, err := o.config.Source.Repositories(r.Context(), "", refsOffered)
		for _, repository := range all {
			v.Repositories = append(v.Repositories, repository.Name)
		}
		return v, err
	}
	repository, err := o.config.Source.Repository(r.Context(), v.Repository)
	if err != nil {
		return nil, err
	}
	if v.Target == "" {
		v.Target = repository.DefaultBranch
	}
	h := repositoryHead{Name: v.Repository, repository: repository}
	if h.git, err = o.config.Source.Git(v.Repository); err != nil {
		return nil, err
	}
	branches, err := o.config.Source.Refs(r.Context(), v.Repository, "refs/heads/", "", refsOffered)
	if err != nil {
		return nil, err
	}
	for _, b := range branches {
		v.Branches = append(v.Branches, branchOf(b.Name))
	}
	if v.Source == "" {
		return v, nil
	}
	return v, o.proposed(r, h, &v)
}

// proposed is what a pull request between the two branches would hold.
func (o *Console) proposed(r *request, h repositoryHead, v *newPullView) error {
	from, err := r.revision(h, "refs/heads/"+branchOf(v.Source))
	if err != nil {
		return err
	}
	to, err := r.revision(h, "refs/heads/"+branchOf(v.Target))
	if err != nil {
		return err
	}
	base, err := h.git.MergeBase(r.Context(), to, from)
	if fault.Of(err) == fault.NotFound {
		v.Problem = r.t("The two have no history in common.")
		return nil
	}
	if err != nil {
		return err
	}
	commits, err := h.git.Log(r.Context(), from, "", 0, commitsPage, to)
	if err != nil {
		return err
	}
	if len(commits) == 0 {
		v.Problem = r.t("There is nothing in it that the target does not have.")
		return nil
	}
	if v.Commits, err = o.commitRows(r, h.Name, commits); err != nil {
		return err
	}
	oldest := commits[len(commits)-1]
	v.Title = oldest.Subject()
	if _, text, ok := strings.Cut(oldest.Message, "\n"); ok && len(commits) == 1 {
		v.Text = strings.TrimSpace(text)
	}
	files, more, err := h.git.Diff(r.Context(), base, from, diffs(""))
	v.Diff, v.Ready = diffOf(files, more, h.Name, from, nil), true
	return err
}
