package console

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
)

// conflictView is a file that people must settle, as a page shows it.
type conflictView struct {
	Name   template.HTML
	Target string // which side has no such file any more, or has another kind: said in a word, or ""
	Source string
	Why    string
	Rows   []diffRow
	Cut    bool
}

// What a page shows of conflicts.
const (
	conflictFiles = 20
	conflictLines = 60 // of one side of a piece
	conflictRows  = 600
)

// conflictsOf shows where a pull request's two sides meet: the target's lines, and then its own.
func conflictsOf(all []source.Conflicting) (views []conflictView) {
	for _, c := range all {
		v := conflictView{Name: shown(c.Path), Why: c.Why, Target: sideNote(c.Base, c.Ours), Source: sideNote(c.Base, c.Theirs)}
		for _, p := range c.Pieces {
			if !p.Conflict {
				continue
			}
			if len(v.Rows) > conflictRows {
				v.Cut = true
				break
			}
			v.Rows = append(v.Rows, diffRow{Kind: "hunk", Text: shown(fmt.Sprintf("@@ -%d,%d +%d,%d @@", p.Ours.Start+1, p.Ours.End-p.Ours.Start, p.Theirs.Start+1, p.Theirs.End-p.Theirs.Start))})
			v.side(p.Ours, "del")
			v.side(p.Theirs, "add")
		}
		views = append(views, v)
	}
	return views
}

// side are the lines of one side, in bounds.
func (v *conflictView) side(s git.Span, kind string) {
	n := 0
	for line := range bytes.Lines(s.Text) {
		if n == conflictLines {
			v.Cut = true
			return
		}
		text, end := strings.CutSuffix(strings.ToValidUTF8(string(line), "\uFFFD"), "\n")
		row := diffRow{Kind: kind, Text: shown(strings.TrimSuffix(text, "\r")), NoEOL: !end}
		n++
		if row.Old = s.Start + n; kind == "add" {
			row.Old, row.New = 0, s.Start+n
		}
		v.Rows = append(v.Rows, row)
	}
}

// sideNote says what a side did to a file as a whole, where it is not that it changed it.
func sideNote(base, id string) string {
	switch {
	case id == "":
		return "deleted"
	case base == "":
		return "added"
	}
	return ""
}
