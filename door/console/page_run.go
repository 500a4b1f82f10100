package console

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// reason is why a run failed, with the way to the finding that it is about.
type reason struct {
	pipeline.Reason
	Path string
}

type runAction struct {
	pipeline.Action
	Took string
}

type runView struct {
	Run         pipeline.Execution
	Row         runRow
	Actions     []runAction
	Reasons     []reason
	Found       []tile
	Fresh       []tile
	Log         string
	From        int64  // where the log that the page shows goes on
	Rest        string // path to where the log goes on, if that is more than a page shows
	Begins      int64  // where the log that the page shows begins
	Follow      bool   // the log grows
	Retry, Stop bool
	Findings    string // path to what the branch has
}

func (o *Console) run() page {
	ask := func(action string) func(r *request) []iam.Request {
		return func(r *request) []iam.Request {
			e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
			if err != nil { // told once whoever asks may look
				return r.ask("codepipeline:"+action, "")
			}
			return r.ask("codepipeline:"+action, o.pipelineARN(e.Pipeline))
		}
	}
	return page{
		name: "run", path: "/runs/{id}", under: "runs", asks: ask("GetPipelineExecution"), view: o.runView,
		actions: map[string]action{
			"/runs/{id}/retry": {asks: ask("RetryStageExecution"), do: func(r *request) (string, error) {
				e, err := o.config.Runs.Retry(r.Context(), r.PathValue("id"))
				return pipeline.Path(e.ID), err
			}},
			"/runs/{id}/stop": {asks: ask("StopPipelineExecution"), do: func(r *request) (string, error) {
				return pipeline.Path(r.PathValue("id")), o.config.Runs.Stop(r.Context(), r.PathValue("id"))
			}},
		},
		streams: map[string]stream{"/runs/{id}/log": o.runLog},
	}
}

func (o *Console) runView(r *request) (any, error) {
	e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := runView{
		Run: e, Row: r.runRow(e), Found: counted(e.Findings), Fresh: counted(e.Fresh),
		Retry:    (e.Status == pipeline.Failed || e.Status == pipeline.Stopped) && r.may("codepipeline:RetryStageExecution"),
		Stop:     !e.Status.Ended() && e.Status != pipeline.Stopping && r.may("codepipeline:StopPipelineExecution"),
		Findings: filterPath(openFilter + ` target:"` + e.Repository + `" branch:"` + e.Branch + `"`),
	}
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			v.Actions = append(v.Actions, runAction{a, r.took(a.Started, a.Ended)})
		}
	}
	for _, why := range e.Reasons {
		one := reason{Reason: why}
		if why.Finding != "" {
			one.Path = o.ownPath(why.Finding)
		}
		v.Reasons = append(v.Reasons, one)
	}
	if v.Begins, err = offset(r.FormValue("from")); err != nil {
		return nil, err
	}
	text, next, done, err := o.config.Runs.Log(r.Context(), e.ID, v.Begins)
	if err != nil {
		return nil, err
	}
	v.Log, v.From = plainText(text), next
	if v.Follow = !e.Status.Ended(); !done && !v.Follow {
		v.Rest = fmt.Sprintf("%s?from=%d#log", v.Row.Path, next)
	}
	return v, nil
}

// ownPath is the page of one of Haechi's own findings, by its Id.
func (o *Console) ownPath(id string) string {
	f := finding.Maker{Account: o.config.Account, Region: o.config.Region}.Own(finding.Scan{}, finding.Finding{ID: id}, time.Time{})
	return "/findings/" + encodeRef(hub.RefOf(f))
}

func offset(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Invalid.Errorf("%q is no place in a log", text)
	}
	return n, nil
}

// runLog is a run's log: as it grows for those who follow it, else as one text.
func (o *Console) runLog(r *request) error {
	id := r.PathValue("id")
	from, err := offset(r.FormValue("from"))
	if err != nil {
		return err
	}
	if _, err := o.config.Runs.Execution(r.Context(), id); err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return o.wholeLog(r, id, from)
	}
	if last, err := offset(r.Header.Get("Last-Event-ID")); err == nil && last > from {
		from = last
	}
	return o.followLog(r, id, from)
}

func (o *Console) wholeLog(r *request, id string, from int64) error {
	r.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for {
		text, next, _, err := o.config.Runs.Log(r.Context(), id, from)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			return nil
		}
		if _, err := r.w.Write(text); err != nil {
			return nil // nobody listens any more
		}
		from = next
	}
}

// followLog sends the log as server-sent events: text with what is new, end when there will be no more.
func (o *Console) followLog(r *request, id string, from int64) error {
	events := beginEvents(r.w)
	defer events.close()
	ctx, cancel := context.WithTimeout(r.Context(), liveLimit)
	defer cancel()
	var rest []byte // of a character whose end is yet to come
	err := o.config.Runs.Follow(ctx, id, from, func(text []byte, next int64) error {
		text, rest = wholeRunes(append(rest, text...))
		return events.send("text", next-int64(len(rest)), plainText(text))
	})
	if err == nil {
		err = events.send("end", -1, "")
	}
	if err != nil && ctx.Err() == nil {
		o.config.Log.Warn("a log could not be followed", "run", id, "error", err)
	}
	return nil // the answer has begun: there is no other to give
}

// wholeRunes parts text before a character that is cut off at its end.
func wholeRunes(text []byte) (whole, rest []byte) {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i], append([]byte(nil), text[i:]...)
			}
			break
		}
	}
	return text, nil
}

// escapes are what programs colour terminals with.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[@-Z\\-_]|\r(\n)`)

// plainText is a program's output without what steers terminals.
func plainText(text []byte) string {
	return strings.ToValidUTF8(string(escapes.ReplaceAll(text, []byte("$2"))), "\uFFFD")
}
