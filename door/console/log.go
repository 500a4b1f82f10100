package console

import (
	"context"
	"fmt"
	"html/template"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/word/fault"
)

// logView is a log as a page shows it: a window of lines, which a script moves over the rest.
type logView struct {
	Title  string
	Path   string // of the log: below it are its lines, and what is found in them
	Page   string // of the page that shows it
	Of     string // which log of the page it is, "" where there is one
	Lines  template.HTML
	First  int
	Next   int
	Total  int
	Ended  bool
	Heads  []logPart
	Cut    bool // there are more heads
	Find   string
	Hits   []logHit
	More   bool
	Before string // the lines before those shown
	After  string
}

// logPart is a head with what is known of what is below it.
type logPart struct {
	logHead
	End  int // the first line that does not belong to it
	Took string
	Path string
}

type logHit struct {
	Line int
	Path string
	Text template.HTML
}

const (
	headsShown = 200
	hitsShown  = 100
)

// logPath is an address of a log or of the page that shows it, at a line if that is not 0.
func logPath(path, of string, line int, more ...string) string {
	q := url.Values{}
	if of != "" {
		q.Set("of", of)
	}
	if line > 0 {
		q.Set("line", strconv.Itoa(line))
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	if line > 0 {
		path += "#L" + strconv.Itoa(line)
	}
	return path
}

// logView is the window that the page's address asks for: around a line, or at the end, or at the beginning.
func (r *request) logView(s logSource, title, path, page, of string, atEnd bool) (v logView, err error) {
	x := r.console.logs.of(s.key)
	state, err := x.refresh(r.Context(), s)
	if err != nil {
		return v, err
	}
	v = logView{Title: title, Path: path, Page: page, Of: of, Total: state.Total, Ended: state.Ended, Find: r.FormValue("find"), First: 1}
	if atEnd {
		v.First = max(1, state.Total-windowLines+1)
	}
	if line := r.FormValue("line"); line != "" {
		n, err := strconv.Atoi(line)
		if err != nil || n < 1 {
			return v, fault.Invalid.Errorf("%q is no line of a log", line)
		}
		v.First = max(1, min(n, state.Total)-windowLines/5)
	}
	html, next, err := x.window(r.Context(), s, v.First, windowLines)
	if err != nil {
		return v, err
	}
	v.Lines, v.Next = template.HTML(html), next
	if v.First > 1 {
		v.Before = logPath(page, of, max(1, v.First-windowLines*4/5))
	}
	if v.Next <= v.Total {
		v.After = logPath(page, of, v.Next+windowLines/5)
	}
	v.Heads, v.Cut = parts(s, state, page, of)
	if v.Find != "" {
		err = r.findInLog(&v, s, x)
	}
	return v, err
}

// parts are the heads of a log with where they end, those of actions and phases first where there are many.
func parts(s logSource, state logState, page, of string) (all []logPart, cut bool) {
	heads := state.Heads
	for level := 3; len(heads) > headsShown && level > 1; level-- {
		cut = true
		var fewer []logHead
		for _, h := range heads {
			if h.Level < level {
				fewer = append(fewer, h)
			}
		}
		heads = fewer
	}
	for i, h := range heads[:min(len(heads), headsShown)] {
		p := logPart{logHead: h, End: state.Total + 1, Path: logPath(page, of, h.Line)}
		for _, later := range heads[i+1:] {
			if later.Level <= h.Level {
				p.End = later.Line
				break
			}
		}
		if s.took != nil {
			p.Took = s.took(h)
		}
		all = append(all, p)
	}
	return all, cut || len(heads) > headsShown
}

func (r *request) findInLog(v *logView, s logSource, x *logIndex) error {
	lines, more, err := x.find(r.Context(), s, v.Find, 1)
	if err != nil {
		return err
	}
	v.More = more || len(lines) > hitsShown
	for _, n := range lines[:min(len(lines), hitsShown)] {
		hit := logHit{Line: n, Path: logPath(v.Page, v.Of, n, "find", v.Find)}
		err := x.each(r.Context(), s, n, func(_ int, line []byte, look *paint) bool {
			var b strings.Builder
			look.painted(&b, line[:min(len(line), 400)])
			hit.Text = template.HTML(b.String())
			return false
		})
		if err != nil {
			return err
		}
		v.Hits = append(v.Hits, hit)
	}
	return nil
}

// window is a number of lines as HTML, and the line after them.
func (x *logIndex) window(ctx context.Context, s logSource, first, count int) (html string, next int, err error) {
	var b strings.Builder
	next = first
	err = x.each(ctx, s, first, func(n int, line []byte, look *paint) bool {
		if n >= first+count || b.Len() > windowBytes {
			return false
		}
		level, _ := headOf(line)
		if level > 0 {
			fmt.Fprintf(&b, `<div class="line head h-%d" id="L%d"><a href="#L%[2]d">%[2]d</a><span>`, level, n)
		} else {
			fmt.Fprintf(&b, `<div class="line" id="L%d"><a href="#L%[1]d">%[1]d</a><span>`, n)
		}
		look.painted(&b, line)
		b.WriteString(`</span>`)
		if level > 0 && s.took != nil {
			if took := s.took(logHead{n, level, headTitle(line)}); took != "" {
				fmt.Fprintf(&b, `<em>%s</em>`, template.HTMLEscapeString(took))
			}
		}
		b.WriteString("</div>")
		next = n + 1
		return true
	})
	return b.String(), next, err
}

func headTitle(line []byte) string {
	_, title := headOf(line)
	return title
}

// logWindow is what a script is given of a log.
type logWindow struct {
	First int      `json:"first"`
	Next  int      `json:"next"`
	Total int      `json:"total"`
	Ended bool     `json:"ended"`
	HTML  string   `json:"html"`
	Heads [][2]int `json:"heads"` // line and level of those that the script does not know yet
}

// logStreams are the addresses below a log: itself, its lines, what is found in it.
func logStreams(path string, source func(r *request) (logSource, error)) map[string]stream {
	with := func(do func(r *request, s logSource) error) stream {
		return func(r *request) error {
			s, err := source(r)
			if err != nil {
				return err
			}
			return do(r, s)
		}
	}
	return map[string]stream{path: with((*request).sendLog), path + "/lines": with((*request).sendLines), path + "/find": with((*request).sendHits)}
}

// number is a number of the request's, within bounds.
func (r *request) number(name string, without, least, most int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, fault.Invalid.Errorf("%q is no %s", text, name)
	}
	return min(n, most), nil
}

func (r *request) sendLines(s logSource) error {
	first, err := r.number("from", 1, 1, 1<<31)
	if err != nil {
		return err
	}
	count, err := r.number("count", windowLines, 1, windowLines)
	if err != nil {
		return err
	}
	known, err := r.number("heads", 0, 0, mostHeads)
	if err != nil {
		return err
	}
	x := r.console.logs.of(s.key)
	state, err := x.refresh(r.Context(), s)
	if err != nil {
		return err
	}
	w := logWindow{First: min(first, state.Total+1), Total: state.Total, Ended: state.Ended, Heads: [][2]int{}}
	if w.HTML, w.Next, err = x.window(r.Context(), s, w.First, count); err != nil {
		return err
	}
	for _, h := range state.Heads[min(known, len(state.Heads)):] {
		w.Heads = append(w.Heads, [2]int{h.Line, h.Level})
	}
	return r.sendJSON(w)
}

func (r *request) sendHits(s logSource) error {
	text := r.FormValue("find")
	if text == "" || len(text) > 1000 {
		return fault.Invalid.Errorf("say what is looked for, in 1,000 bytes at most")
	}
	x := r.console.logs.of(s.key)
	if _, err := x.refresh(r.Context(), s); err != nil {
		return err
	}
	lines, more, err := x.find(r.Context(), s, text, 1)
	if err != nil {
		return err
	}
	return r.sendJSON(map[string]any{"lines": append([]int{}, lines...), "more": more})
}

func (r *request) sendJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/json")
	_, _ = r.w.Write(text) // who does not listen any more needs no answer
	return nil
}

// sendLog is a log as it grows for those who follow it, else as one text.
func (r *request) sendLog(s logSource) error {
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return r.followLog(s)
	}
	if r.FormValue("download") != "" {
		r.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": strings.NewReplacer("/", "-", ":", "-").Replace(s.key) + ".log"}))
	}
	return r.wholeLog(s)
}

func (r *request) wholeLog(s logSource) error {
	r.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	r.w.Header().Set("X-Content-Type-Options", "nosniff")
	from := int64(0)
	for {
		text, next, _, err := s.read(r.Context(), from)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			return nil
		}
		if _, err := r.w.Write([]byte(plainText(text))); err != nil {
			return nil // nobody listens any more
		}
		from = next
	}
}

const logLook = 100 * time.Millisecond // how often a page is told that a log has grown, at most

// followLog tells how long the log is, as server-sent events: lines whenever it has grown, end when it will no more.
func (r *request) followLog(s logSource) error {
	x := r.console.logs.of(s.key)
	if _, err := x.refresh(r.Context(), s); err != nil {
		return err
	}
	events := beginEvents(r.w)
	defer events.close()
	ctx, cancel := context.WithTimeout(r.Context(), liveLimit)
	defer cancel()
	tell := func(name string) error {
		state, err := x.refresh(ctx, s)
		if err != nil {
			return err
		}
		return events.send(name, -1, strconv.Itoa(state.Total))
	}
	err := tell("lines")
	if err == nil {
		x.mu.Lock()
		from := x.next
		x.mu.Unlock()
		err = s.follow(ctx, from, func([]byte, int64) error {
			if err := tell("lines"); err != nil {
				return err
			}
			select { // what comes meanwhile is told of together
			case <-time.After(logLook):
			case <-ctx.Done():
			}
			return nil
		})
	}
	if err == nil {
		err = tell("end")
	}
	if err != nil && ctx.Err() == nil {
		r.console.config.Log.Warn("a log could not be followed", "log", s.key, "error", err)
	}
	return nil // the answer has begun: there is no other to give
}
