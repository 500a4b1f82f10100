package console

import (
	"strconv"

	"github.com/haechi-dev/haechi/base/git"
)

type commitsView struct {
	repositoryHead
	At     string
	Crumbs []crumb
	Rows   []commitRow
	More   string
}

const commitsPage = 50

func (o *Console) commits() page {
	return page{name: "commits", path: repositoriesPath + "/{repository}/commits", under: "repositories", asks: o.askRepository("GetCommit"), view: o.commitsView}
}

func (o *Console) commitsView(r *request) (any, error) {
	h, err := r.repository("commits")
	if err != nil {
		return nil, err
	}
	at, err := r.filePath()
	if err != nil {
		return nil, err
	}
	skip, err := r.number("skip", 0, 0, 1_000_000)
	if err != nil {
		return nil, err
	}
	v := commitsView{repositoryHead: h, At: at, Crumbs: h.crumbs(at)}
	if h.commit == "" {
		return v, nil
	}
	all, err := h.git.Log(r.Context(), h.commit, at, skip, commitsPage+1)
	if err != nil {
		return nil, err
	}
	if len(all) > commitsPage {
		all = all[:commitsPage]
		v.More = repositoryPath(h.Name, "commits", "ref", r.FormValue("ref"), "path", at, "skip", strconv.Itoa(skip+commitsPage))
	}
	v.Rows, err = o.commitRows(r, h.Name, all)
	return v, err
}

// commitRows are commits with what is known of their signatures.
func (o *Console) commitRows(r *request, repository string, all []git.Commit) (rows []commitRow, err error) {
	ids := make([]string, len(all))
	for i, c := range all {
		ids[i] = c.ID
		rows = append(rows, commitRowOf(repository, c))
	}
	if len(ids) == 0 {
		return nil, nil
	}
	signed, err := o.config.Source.Verify(r.Context(), repository, ids...)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		for _, s := range signed {
			if s.Commit == rows[i].ID {
				rows[i].Why = s.Why
				if s.Verified {
					rows[i].Verified = who(s.Signer.Owner)
				}
			}
		}
	}
	return rows, nil
}
