package console

import (
	"cmp"
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
)

// diffView is what differs, as pages show it.
type diffView struct {
	Files          []diffFile
	More           bool // files
	Added, Deleted int
	Notices        []diffNotice
}

// diffNotice is what somebody who looks at a difference ought to look at twice.
type diffNotice struct {
	source.Notice
	To string // the place, within the page
}

type diffFile struct {
	ID             string
	Path           string
	Name, Old      template.HTML
	Status         string
	Binary, Cut    bool
	Added, Deleted int
	Note           string
	Whole          string // path to a page of this file alone, where not all of it is shown
	View           string // path of the file
	Rows           []diffRow
	Said           []remark // about the file
	Form           *remarkForm
	Closed         bool
}

type diffRow struct {
	Kind     string // same, add, del, hunk
	Old, New int
	Text     template.HTML
	ID       string
	To       string // where something can be said about the line
	NoEOL    bool
	Notices  []source.Notice
	Said     []remark
	Form     *remarkForm
}

// What a page shows of a difference.
const (
	diffFiles = 300
	diffTotal = 6000
	diffLines = 1500
	diffWhole = 20_000
)

// diffs is what is asked of git: everything in bounds, or one file as a whole.
func diffs(file string) git.Diffs {
	if file != "" {
		return git.Diffs{Context: 3, Path: file, Files: 1, Lines: diffWhole, Total: diffWhole}
	}
	return git.Diffs{Context: 3, Files: diffFiles, Lines: diffLines, Total: diffTotal}
}

// diffOf is a difference as it is shown. repository and ref say where a file as a whole can be looked at, whole where
// the difference of one file can.
func diffOf(files []git.Diff, more bool, repository, ref string, whole func(path string) string) diffView {
	v := diffView{More: more}
	byLine := map[string]map[int][]source.Notice{}
	notices := source.Notices(files)
	at := map[string]string{}
	for i, d := range files {
		f := diffFile{ID: "f" + strconv.Itoa(i+1), Path: d.Path, Name: shown(d.Path), Status: d.Status, Binary: d.Binary, Cut: d.Cut, Added: d.Added, Deleted: d.Deleted, Note: modeNote(d)}
		at[strings.ToValidUTF8(d.Path, "\uFFFD")] = f.ID
		if d.OldPath != "" && d.OldPath != d.Path {
			f.Old = shown(d.OldPath)
		}
		if d.New.Mode != 0 && d.New.Mode != git.ModeSubmodule {
			f.View = repositoryPath(repository, "files", "ref", ref, "path", d.Path)
		}
		if d.Cut && whole != nil {
			f.Whole = whole(d.Path)
		}
		v.Added += d.Added
		v.Deleted += d.Deleted
		v.Files = append(v.Files, f)
	}
	for _, n := range notices {
		to := "#" + cmp.Or(at[n.Path], "diff")
		if n.Line > 0 {
			to += "R" + strconv.Itoa(n.Line)
			if byLine[n.Path] == nil {
				byLine[n.Path] = map[int][]source.Notice{}
			}
			byLine[n.Path][n.Line] = append(byLine[n.Path][n.Line], n)
		}
		v.Notices = append(v.Notices, diffNotice{n, to})
	}
	for i, d := range files {
		v.Files[i].Rows = rowsOf(d, v.Files[i].ID, byLine[strings.ToValidUTF8(d.Path, "\uFFFD")])
	}
	return v
}

func rowsOf(d git.Diff, id string, notices map[int][]source.Notice) (rows []diffRow) {
	for _, h := range d.Hunks {
		rows = append(rows, diffRow{Kind: "hunk", Text: shown(fmt.Sprintf("@@ -%d,%d +%d,%d @@ %s", h.OldStart, h.OldLines, h.NewStart, h.NewLines, h.Section))})
		for _, l := range h.Lines {
			row := diffRow{Old: l.Old, New: l.New, Text: shown(strings.TrimSuffix(l.Text, "\r")), NoEOL: l.NoEOL}
			switch l.Kind {
			case '+':
				row.Kind, row.ID, row.Notices = "add", id+"R"+strconv.Itoa(l.New), notices[l.New]
			case '-':
				row.Kind, row.ID = "del", id+"L"+strconv.Itoa(l.Old)
			default:
				row.Kind, row.ID = "same", id+"R"+strconv.Itoa(l.New)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// modeNote says what a path is where that changed, or where it is no plain file.
func modeNote(d git.Diff) string {
	was, is := modeName(d.Old.Mode), modeName(d.New.Mode)
	switch {
	case d.New.Mode == git.ModeSubmodule || d.Old.Mode == git.ModeSubmodule:
		return "submodule"
	case d.Old.Mode != 0 && d.New.Mode != 0 && was != is && is != "":
		return is
	case d.Old.Mode == 0 && is != "":
		return is
	}
	return ""
}

// Mark is how a line of a difference begins.
func (d diffRow) Mark() string {
	switch d.Kind {
	case "add":
		return "+"
	case "del":
		return "-"
	}
	return " "
}
