package console

import (
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

type commitView struct {
	repositoryHead
	Commit    git.Commit
	Row       commitRow
	Parents   []commitRow
	Statuses  []source.Status
	Diff      diffView
	Against   string // the parent that it is compared with
	Browse    string
	Alone     string // the one file that is shown, "" for all
	All       string
	Committed bool // by another than the author
}

func (o *Console) commit() page {
	return page{
		name: "commit", path: repositoriesPath + "/{repository}/commits/{commit}", under: "repositories", view: o.commitView,
		asks: func(r *request) []iam.Request {
			return append(o.askRepository("GetCommit")(r), o.askRepository("GetDifferences")(r)...)
		},
	}
}

func (o *Console) commitView(r *request) (any, error) {
	h, err := r.repository("commit")
	if err != nil {
		return nil, err
	}
	id := r.PathValue("commit")
	if !abbreviated.MatchString(id) {
		return nil, fault.NotFound.Errorf("%q is no commit", id)
	}
	if id, err = h.git.Resolve(r.Context(), id); err != nil {
		return nil, err
	}
	c, err := h.git.Commit(r.Context(), id)
	if err != nil {
		return nil, err
	}
	v := commitView{repositoryHead: h, Commit: c, Browse: repositoryPath(h.Name, "files", "ref", c.ID), Alone: r.FormValue("file"), All: repositoryPath(h.Name, "commits/"+c.ID), Committed: c.Committer.Email != c.Author.Email || c.Committer.Name != c.Author.Name}
	rows, err := o.commitRows(r, h.Name, []git.Commit{c})
	if err != nil {
		return nil, err
	}
	v.Row = rows[0]
	parents, err := h.git.Commits(r.Context(), c.Parents...)
	if err != nil {
		return nil, err
	}
	for _, p := range parents {
		v.Parents = append(v.Parents, commitRowOf(h.Name, p))
	}
	if len(c.Parents) > 0 {
		v.Against = c.Parents[0]
	}
	if v.Statuses, err = o.config.Source.Statuses(r.Context(), h.Name, c.ID); err != nil {
		return nil, err
	}
	files, more, err := h.git.Diff(r.Context(), v.Against, c.ID, diffs(v.Alone))
	if err != nil {
		return nil, err
	}
	v.Diff = diffOf(files, more, h.Name, c.ID, func(path string) string {
		return repositoryPath(h.Name, "commits/"+c.ID, "file", path)
	})
	return v, nil
}
