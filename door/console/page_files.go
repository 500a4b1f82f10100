package console

import (
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// entryRow is a name in a folder.
type entryRow struct {
	Path  string
	Shown template.HTML
	Kind  string
	File  bool
	Size  int64
}

func entryRows(h repositoryHead, entries []git.Entry) (rows []entryRow) {
	for _, folders := range []bool{true, false} {
		for _, e := range entries {
			if (e.Type == "tree") != folders {
				continue
			}
			row := entryRow{Path: repositoryPath(h.Name, "files", "ref", h.Ref, "path", e.Path), Shown: shown(e.Name), Kind: modeName(e.Mode), File: e.Type == "blob", Size: e.Size}
			rows = append(rows, row)
		}
	}
	return rows
}

// shown is a text in which every character shows.
func shown(text string) template.HTML {
	var b strings.Builder
	visible(&b, text)
	return template.HTML(b.String())
}

type filesView struct {
	repositoryHead
	At      string
	Crumbs  []crumb
	Entries []entryRow
	More    int // entries that are not shown
	File    *fileView
}

type fileView struct {
	Name                      template.HTML
	Kind                      string
	Size                      int64
	Lines                     template.HTML
	Count                     int // lines
	First, Last               int
	Next                      string // path of the lines after those shown
	Unshown                   string // why its content is not shown
	Target                    string // of a link, commit of a submodule
	Raw, History, Blame, Edit string
	Unseen                    int // lines with characters that do not show
}

const (
	entriesShown = 2000
	fileMost     = 2 << 20
	linesShown   = 5000
)

func (o *Console) files() page {
	return page{
		name: "files", path: repositoriesPath + "/{repository}/files", under: "repositories", view: o.filesView,
		asks: func(r *request) []iam.Request {
			return append(o.askRepository("GetFolder")(r), o.askRepository("GetFile")(r)...)
		},
		streams: map[string]stream{repositoriesPath + "/{repository}/raw": o.raw},
	}
}

func (o *Console) filesView(r *request) (any, error) {
	h, err := r.repository("files")
	if err != nil {
		return nil, err
	}
	at, err := r.filePath()
	if err != nil {
		return nil, err
	}
	v := filesView{repositoryHead: h, At: at, Crumbs: h.crumbs(at)}
	if h.commit == "" {
		return v, nil
	}
	if at != "" {
		e, err := h.git.Entry(r.Context(), h.commit, at)
		if err != nil {
			return nil, err
		}
		if e.Type != "tree" {
			v.File, err = o.fileView(r, h, e)
			return v, err
		}
	}
	entries, err := h.git.Folder(r.Context(), h.commit, at)
	if err != nil {
		return nil, err
	}
	v.Entries = entryRows(h, entries)
	if v.More = len(v.Entries) - entriesShown; v.More > 0 {
		v.Entries = v.Entries[:entriesShown]
	}
	return v, nil
}

func (o *Console) fileView(r *request, h repositoryHead, e git.Entry) (*fileView, error) {
	to := func(page string, more ...string) string {
		return repositoryPath(h.Name, page, append([]string{"ref", h.Ref, "path", e.Path}, more...)...)
	}
	v := &fileView{Name: shown(e.Name), Kind: modeName(e.Mode), Size: e.Size, Raw: to("raw"), History: to("commits"), Blame: to("blame")}
	if e.Type == "commit" {
		v.Raw, v.Blame, v.Target = "", "", e.ID
		return v, nil
	}
	text, _, err := h.git.File(r.Context(), h.commit, e.Path, fileMost)
	switch {
	case errors.Is(err, fault.Limit):
		v.Unshown, v.Blame = r.t("It is too large to be shown."), ""
		return v, nil
	case err != nil:
		return nil, err
	case e.Mode == git.ModeLink:
		v.Target, v.Blame = strings.ToValidUTF8(string(text), "\uFFFD"), ""
		return v, nil
	case binary(text):
		v.Unshown, v.Blame = r.t("It is no text."), ""
		return v, nil
	}
	first, err := r.number("from", 1, 1, 1<<31)
	if err != nil {
		return nil, err
	}
	v.show(string(text), first)
	if v.Last < v.Count {
		v.Next = to("files", "from", strconv.Itoa(v.Last+1))
	}
	return v, nil
}

// show writes the lines of a text, from one on.
func (v *fileView) show(text string, first int) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	v.Count, v.First = len(lines), min(first, max(len(lines), 1))
	v.Last = v.First - 1
	var b strings.Builder
	for i := v.First; i <= len(lines) && i < v.First+linesShown && b.Len() < 4*windowBytes; i++ {
		writeLine(&b, i, "", strings.TrimSuffix(lines[i-1], "\r"))
		v.Last = i
	}
	v.Lines = template.HTML(b.String())
	for _, l := range lines {
		if strings.IndexFunc(strings.TrimSuffix(l, "\r"), unseen) >= 0 {
			v.Unseen++
		}
	}
}

// writeLine writes a line with its number.
func writeLine(b *strings.Builder, n int, class, text string) {
	fmt.Fprintf(b, `<div class="line%s" id="L%d"><a href="#L%[2]d">%[2]d</a><span>`, class, n)
	visible(b, text)
	b.WriteString("</span></div>")
}

// linePath is a line of a file of a commit.
func linePath(repository, commit string, at diag.Place) string {
	from := ""
	if at.Line > linesShown {
		from = strconv.Itoa(at.Line - 100)
	}
	to := repositoryPath(repository, "files", "ref", commit, "path", at.File, "from", from)
	if at.Line > 0 {
		to += "#L" + strconv.Itoa(at.Line)
	}
	return to
}

// raw is a file as it is. It is never a page of ours: a browser stores it.
func (o *Console) raw(r *request) error {
	h, err := r.repository("raw")
	if err != nil {
		return err
	}
	at, err := r.filePath()
	if err != nil {
		return err
	}
	e, err := h.git.Entry(r.Context(), h.commit, at)
	if err != nil {
		return err
	}
	if e.Type != "blob" {
		return fault.Invalid.Errorf("%s is no file", at)
	}
	content, err := h.git.Blob(r.Context(), e.ID, git.Largest)
	if err != nil {
		return err
	}
	attach(r.w, base(e.Path))
	http.ServeContent(r.w, r.Request, "", time.Time{}, strings.NewReader(string(content)))
	return nil
}

// attach says that what follows is a file to be stored, whatever it holds.
func attach(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == '"' || c == '/' || c == '\\' || c == 0x7f || unseen(c) {
			return '_'
		}
		return c
	}, strings.ToValidUTF8(name, "_"))
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	if disposition == "" {
		disposition = "attachment"
	}
	w.Header().Set("Content-Disposition", disposition)
}
