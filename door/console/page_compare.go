package console

import (
	"errors"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

type compareView struct {
	repositoryHead
	From, To      string
	Asked         bool
	Base          commitRow
	Unrelated     bool // they have no common ancestor
	Ahead, Behind int
	Rows          []commitRow
	More          bool
	Diff          diffView
	Alone, All    string
	Swap          string
	Ask           string // path to where a pull request is made of it
}

func (o *Console) compare() page {
	return page{
		name: "compare", path: repositoriesPath + "/{repository}/compare", under: "repositories", view: o.compareView,
		asks: func(r *request) []iam.Request { return o.askRepository("GetDifferences")(r) },
	}
}

func (o *Console) compareView(r *request) (any, error) {
	h, err := r.repository("compare")
	if err != nil {
		return nil, err
	}
	v := compareView{repositoryHead: h, From: r.FormValue("from"), To: r.FormValue("to"), Alone: r.FormValue("file")}
	if v.From == "" {
		v.From = h.repository.DefaultBranch
	}
	if v.To == "" || h.commit == "" {
		return v, nil
	}
	v.Asked = true
	from, err := r.revision(h, v.From)
	if err != nil {
		return nil, err
	}
	to, err := r.revision(h, v.To)
	if err != nil {
		return nil, err
	}
	v.All = repositoryPath(h.Name, "compare", "from", v.From, "to", v.To)
	v.Swap = repositoryPath(h.Name, "compare", "from", v.To, "to", v.From)
	base, err := h.git.MergeBase(r.Context(), from, to)
	switch {
	case errors.Is(err, fault.NotFound):
		v.Unrelated, base = true, from
	case err != nil:
		return nil, err
	default:
		if v.Ahead, v.Behind, err = h.git.AheadBehind(r.Context(), to, from); err != nil {
			return nil, err
		}
		if v.Ahead > 0 {
			v.Ask = newPullPath(h.Name, v.To, v.From)
		}
	}
	c, err := h.git.Commit(r.Context(), base)
	if err != nil {
		return nil, err
	}
	v.Base = commitRowOf(h.Name, c)
	commits, err := h.git.Log(r.Context(), to, "", 0, commitsPage+1, from)
	if err != nil {
		return nil, err
	}
	if v.More = len(commits) > commitsPage; v.More {
		commits = commits[:commitsPage]
	}
	if v.Rows, err = o.commitRows(r, h.Name, commits); err != nil {
		return nil, err
	}
	files, more, err := h.git.Diff(r.Context(), base, to, diffs(v.Alone))
	if err != nil {
		return nil, err
	}
	v.Diff = diffOf(files, more, h.Name, to, func(path string) string {
		return repositoryPath(h.Name, "compare", "from", v.From, "to", v.To, "file", path)
	})
	return v, nil
}
