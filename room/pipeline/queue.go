package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// jobBody is what the queue keeps of an action: the run that it is of. Which action, its id says.
type jobBody struct {
	Run string `json:"run"`
}

// add makes a job of an action or a rule.
func (p *Pipelines) add(tx *db.Tx, e *Execution, id string, t structure.TypeID) error {
	body, err := json.Marshal(jobBody{e.ID})
	if err != nil {
		return err
	}
	if runnerOf(t) != runCustom {
		group, stream := LogNames(e.Pipeline, id)
		if err := p.config.Queue.Name(tx, "pipeline/"+e.ID+"/"+id, group, stream); err != nil {
			return err
		}
	}
	return p.config.Queue.Add(tx, work.Job{ID: id, Kind: t.String(), Body: body})
}

// runOf is the run that a job is of.
func runOf(l work.Lease) (string, error) {
	var b jobBody
	if err := json.Unmarshal(l.Body, &b); err != nil || b.Run == "" {
		return "", fault.Invalid.Errorf("job %s is of no run", l.ID)
	}
	return b.Run, nil
}

// task is one action, or one rule, that a worker does.
type task struct {
	run    Execution
	stage  *Stage
	action *Action // or
	rule   *Rule
	lease  work.Lease
	log    *work.Log
}

// outcome is what became of an action.
type outcome struct {
	status    Status
	summary   string
	code      string
	external  string
	link      string
	reasons   []Reason
	variables map[string]string
	artifacts []Artifact
	change    func(*Execution, *Action) // what else the run learns, or nil
	output    []byte                    // for a later action, or nil
}

// failed is an outcome for one reason.
func failed(r Reason) outcome {
	return outcome{status: Failed, code: "JobFailed", summary: r.Text, reasons: []Reason{r}}
}

// finish keeps the outcome of a job and moves its run on, if the job is still the worker's.
func (p *Pipelines) finish(ctx context.Context, l work.Lease, o outcome) error {
	run, err := runOf(l)
	if err != nil {
		return err
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.config.Queue.Done(tx, l); err != nil {
			return err
		}
		return p.end(tx, run, l.ID, o)
	})
}

// end writes down what became of an action or a rule, once, and moves the run on.
func (p *Pipelines) end(tx *db.Tx, run, id string, o outcome) error {
	e, err := find(tx, run)
	if err != nil {
		return err
	}
	now := p.config.Now().UTC()
	if _, r := e.rule(id); r != nil && r.Status == InProgress {
		r.answer(o.status == Succeeded, o.summary, o.code == "ConfigurationError", now)
		return p.moveOn(tx, e)
	}
	s, a := e.find(id)
	if a == nil || a.Status != InProgress {
		return nil // it was ended otherwise
	}
	if e.Status == Stopping && o.status == Failed {
		o.status, o.reasons = Stopped, nil
	}
	for i := range o.reasons {
		o.reasons[i].Action = a.Name
	}
	if n := sizeOf(o.variables); n > mostVariables {
		o = failed(Reason{Action: a.Name, Text: fmt.Sprintf("its output variables have %d bytes, more than %d", n, mostVariables), Do: "hand on less, or an artifact"})
	}
	a.Summary, a.Code = clip(o.summary, 500), o.code
	if o.external != "" {
		a.External = o.external
	}
	if o.link != "" {
		a.Link = o.link
	}
	e.Reasons = append(e.Reasons, o.reasons...)
	if o.status == Succeeded {
		o.code = ""
		e.give(a, o.variables)
	}
	if err := e.made(s, a, &o); err != nil {
		a.Code, a.Summary, o.status = "JobFailed", clip(err.Error(), 500), Failed
		e.Reasons = append(e.Reasons, Reason{Action: a.Name, Text: a.Summary})
	}
	if err := p.shelve(tx, &e, s, a); err != nil {
		return err
	}
	if o.change != nil {
		o.change(&e, a)
	}
	if o.output != nil {
		if _, err := tx.Exec("INSERT INTO pipeline_outputs (run, action, at, body) VALUES (?, ?, ?, ?) ON CONFLICT (run, action) DO UPDATE SET at = excluded.at, body = excluded.body",
			e.ID, outputName(s, a), now.UnixMicro(), o.output); err != nil {
			return err
		}
	}
	e.settle(s, a, o.status, now)
	if err := p.config.Queue.End(tx, a.stream(&e)); err != nil {
		return err
	}
	return p.moveOn(tx, e)
}

// mostVariables is how many bytes the variables that an action gives may have, with their names.
const mostVariables = 122_880

func sizeOf(variables map[string]string) (n int) {
	for name, value := range variables {
		n += len(name) + len(value)
	}
	return n
}

func outputName(s *Stage, a *Action) string { return s.Name + "/" + a.Name }

// made keeps the artifacts that an action has made. One that it should have made and did not is a mistake.
func (e *Execution) made(s *Stage, a *Action, o *outcome) error {
	if o.status != Succeeded {
		return nil
	}
	for _, out := range a.Outputs {
		found := false
		for _, m := range o.artifacts {
			if m.Name == out.Name {
				m.Stage, m.Action = s.Name, a.Name
				if m.Commit == "" {
					m.Repository, m.Branch, m.Commit = e.Repository, e.Branch, e.Commit
				}
				e.Artifacts = append(e.Artifacts, m)
				found = true
			}
		}
		if !found {
			return fault.Invalid.Errorf("it did not make the artifact %q", out.Name)
		}
	}
	return nil
}

// serve takes the jobs of this room and does them until ctx ends.
func (p *Pipelines) serve(ctx context.Context) error {
	return p.config.Queue.Serve(ctx, work.Worker{
		By: p.config.Node, Kinds: p.kinds(), Workers: p.config.Workers, Attempts: p.config.Attempts,
		Do: p.do,
		GiveUp: func(ctx context.Context, l work.Lease, why error) error {
			if errors.Is(why, work.ErrStopped) {
				return p.finish(ctx, l, outcome{status: Abandoned, summary: "stopped"})
			}
			return p.finish(ctx, l, failed(blame(why)))
		},
	})
}

// doers are what this room does itself, by what it is called.
func (p *Pipelines) doers() map[string]func(context.Context, *task) (outcome, error) {
	return map[string]func(context.Context, *task) (outcome, error){
		runSource: p.doSource, runScan: p.doScan, runGate: p.doGate, runInspect: p.doInspect, runWebhook: p.doWebhook,
		runNotify: p.doNotify, runSBOM: p.doSBOM, runGuard: p.doGuard,
	}
}

// kinds are the jobs that this room does, as the queue calls them.
func (p *Pipelines) kinds() (all []string) {
	doers := p.doers()
	for _, t := range append(structure.Types(), structure.RuleTypes()...) {
		if doers[runnerOf(t.ID)] != nil && t.Refused == "" {
			all = append(all, t.ID.String())
		}
	}
	return all
}

// do does one job.
func (p *Pipelines) do(ctx context.Context, l work.Lease) error {
	run, err := runOf(l)
	if err != nil {
		return err
	}
	t := &task{lease: l}
	if t.run, err = p.Execution(ctx, run); err != nil {
		return err
	}
	name, stream, runner := "", "", ""
	if t.stage, t.action = t.run.find(l.ID); t.action != nil {
		name, stream, runner = t.action.Name, t.action.stream(&t.run), t.action.Runner
	} else if t.stage, t.rule = t.run.rule(l.ID); t.rule != nil {
		name, stream, runner = t.rule.Name, "pipeline/"+run+"/"+l.ID, runnerOf(t.rule.Type)
	}
	do := p.doers()[runner]
	if do == nil || t.stage == nil {
		return fault.Unsupported.Errorf("run %s has nothing to do for job %s here", run, l.ID)
	}
	t.log = p.config.Queue.Log(ctx, l, stream, p.config.Mask)
	if l.Attempt > 1 {
		t.log.Printf("\n(attempt %d: the one before was cut off)\n", l.Attempt)
	}
	o, err := do(ctx, t)
	if err != nil && ctx.Err() == nil {
		t.log.Printf("%s\n", blame(err).Text)
	}
	if err := errors.Join(err, t.log.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return p.finish(ctx, l, o)
}

// built takes in how what was begun elsewhere has ended.
func (p *Pipelines) built(tx *db.Tx, ev event.Event) error {
	r, ok, err := p.config.Starter.Ended(ev)
	if err != nil || !ok {
		return err
	}
	runs, err := db.All(tx, db.Value[string], "SELECT run FROM pipeline_begun WHERE action = ?", r.Action)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := p.end(tx, run, r.Action, resultOf(r)); err != nil {
			return err
		}
	}
	return nil
}

// resultOf is the outcome that a result from elsewhere is.
func resultOf(r Result) outcome {
	o := outcome{status: r.Status, summary: r.Summary, external: r.External, reasons: r.Reasons, variables: r.Variables, artifacts: r.Artifacts}
	if r.Status != Succeeded {
		o.code = "JobFailed"
		if len(o.reasons) == 0 && r.Status == Failed {
			o.reasons = []Reason{{Text: clip(r.Summary, 500)}}
		}
	}
	for i := range o.artifacts {
		o.artifacts[i].Made = r.External
	}
	o.change = func(e *Execution, a *Action) {
		if r.Level != "" {
			e.Level = r.Level
		}
		a.Phases = r.Phases
	}
	return o
}

// blame is the reason for a run that an error ended, in a line.
func blame(err error) Reason {
	text, _, _ := strings.Cut(err.Error(), "\n")
	r := Reason{Text: clip(text, 500)}
	if !fault.Permanent(err) {
		r.Do = "this is the server's fault, not the commit's: see its log, and try the run again"
	}
	return r
}

// mistake is a reason for a file that somebody has to mend.
func mistake(err error) Reason {
	r := Reason{Text: err.Error(), Do: "mend the file"}
	var at *diag.Error
	if errors.As(err, &at) {
		r.Text, r.Where = at.Message, at.Place.String()
		if at.Hint != "" {
			r.Do = at.Hint
		}
	}
	return r
}

// wakeAll moves on what a kill may have left between two steps: beside the workers, and many runs in a
// transaction, so that a server which never lives long gets something done.
func (p *Pipelines) wakeAll(ctx context.Context) error {
	var open []string
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) {
		open, err = db.All(tx, db.Value[string], "SELECT id FROM pipeline_runs WHERE status IN (?, ?, ?) ORDER BY created, id", string(Waiting), string(InProgress), string(Stopping))
		return err
	})
	if err != nil {
		return err
	}
	const most = 50
	for len(open) > 0 && ctx.Err() == nil {
		some := open[:min(len(open), most)]
		open = open[len(some):]
		err := p.db.Write(ctx, func(tx *db.Tx) error {
			for _, id := range some {
				if err := tx.Savepoint(func() error { return p.again(tx, id) }); err != nil { // one that is broken holds up no other
					p.config.Log.Error("a run cannot go on", "run", id, "err", err)
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// again begins once more whatever a run has in progress: what was begun already stays as it is.
func (p *Pipelines) again(tx *db.Tx, id string) error {
	e, err := find(tx, id)
	if err != nil {
		return err
	}
	for i := range e.Stages {
		s := &e.Stages[i]
		for j := range s.Actions {
			a := &s.Actions[j]
			if a.Status != InProgress || p.doers()[a.Runner] == nil && (a.Runner != runCustom || a.By != "") {
				continue
			}
			if err := p.add(tx, &e, a.ID, a.Type); err != nil {
				return err
			}
		}
	}
	return p.advance(tx, id)
}
