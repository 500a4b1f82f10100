package console

import (
	"html/template"
	"strconv"
	"time"

	"github.com/haechi-dev/haechi/base/git"
)

type blameRow struct {
	Line   int
	Text   template.HTML
	First  bool // of those that one commit brought
	Commit commitRow
}

type blameView struct {
	repositoryHead
	At     string
	Crumbs []crumb
	File   string // path of the file's page
	Rows   []blameRow
	Next   string
}

func (o *Console) blame() page {
	return page{name: "blame", path: repositoriesPath + "/{repository}/blame", under: "repositories", asks: o.askRepository("GetFile"), view: o.blameView}
}

const blameShown = 3000

func (o *Console) blameView(r *request) (any, error) {
	h, err := r.repository("files")
	if err != nil {
		return nil, err
	}
	at, err := r.filePath()
	if err != nil {
		return nil, err
	}
	first, err := r.number("from", 1, 1, 1<<31)
	if err != nil {
		return nil, err
	}
	lines, commits, err := h.git.Blame(r.Context(), h.commit, at)
	if err != nil {
		return nil, err
	}
	v := blameView{repositoryHead: h, At: at, Crumbs: h.crumbs(at), File: repositoryPath(h.Name, "files", "ref", h.Ref, "path", at)}
	last := ""
	for _, l := range lines[min(first-1, len(lines)):] {
		if len(v.Rows) == blameShown {
			v.Next = repositoryPath(h.Name, "blame", "ref", h.Ref, "path", at, "from", strconv.Itoa(l.Line))
			break
		}
		v.Rows = append(v.Rows, blameRow{Line: l.Line, Text: shown(l.Text), First: l.Commit != last, Commit: commitRowOf(h.Name, commits[l.Commit])})
		last = l.Commit
	}
	return v, nil
}

// commitRow is a commit in a line.
type commitRow struct {
	ID, Short, Path, Subject, Author string
	At                               time.Time
	Verified                         string // whose signature it bears, where that was looked at
	Why                              string
}

func commitRowOf(repository string, c git.Commit) commitRow {
	return commitRow{ID: c.ID, Short: c.ID[:min(len(c.ID), 10)], Path: repositoryPath(repository, "commits/"+c.ID), Subject: c.Subject(), Author: c.Author.Name, At: c.Author.Time}
}
