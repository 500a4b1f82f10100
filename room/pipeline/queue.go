package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// jobKind is what the queue calls an action of a run.
const jobKind = "Invoke/Haechi/Action/1"

// job is one action of a run, leased to a worker.
type job struct {
	work.Lease
	jobBody
}

// jobBody is what the queue keeps of an action.
type jobBody struct {
	Run    string `json:"run"`
	Action string `json:"action"`
}

func (b jobBody) id() string { return "pipeline/" + b.Run + "/" + b.Action }

// ask makes an action a job of the queue.
func (p *Pipelines) ask(tx *db.Tx, run, action string) error {
	b := jobBody{run, action}
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return p.config.Queue.Add(tx, work.Job{ID: b.id(), Kind: jobKind, Body: body})
}

// jobOf is the action that a lease is for.
func jobOf(l work.Lease) (job, error) {
	j := job{Lease: l}
	if err := json.Unmarshal(l.Body, &j.jobBody); err != nil {
		return j, fault.Invalid.Errorf("reading job %s: %w", l.ID, err)
	}
	return j, nil
}

// outcome is what became of an action.
type outcome struct {
	status  Status
	summary string
	reasons []Reason
	change  func(*Execution) // what else the run learns, or nil
	output  []byte           // for a later action, or nil
}

// failed is an outcome for one reason.
func failed(action string, r Reason) outcome {
	r.Action = action
	return outcome{status: Failed, summary: r.Text, reasons: []Reason{r}}
}

// finish keeps the outcome of a job and moves its run on, if the job is still ours.
func (p *Pipelines) finish(ctx context.Context, j job, o outcome) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.config.Queue.Done(tx, j.Lease); err != nil {
			return err
		}
		e, err := find(tx, j.Run)
		if err != nil {
			return err
		}
		if err := p.result(tx, &e, j.Action, o); err != nil {
			return err
		}
		return p.advance(tx, j.Run)
	})
}

// result writes an outcome down.
func (p *Pipelines) result(tx *db.Tx, e *Execution, name string, o outcome) error {
	a := e.action(name)
	if a == nil {
		return fmt.Errorf("run %s has no action %q", e.ID, name)
	}
	if e.Status == Stopping && o.status == Failed {
		o.status, o.reasons = Stopped, nil
	}
	a.Status, a.Summary, a.Ended = o.status, o.summary, p.config.Now().UTC()
	e.Reasons = append(e.Reasons, o.reasons...)
	if o.change != nil {
		o.change(e)
	}
	if o.output != nil {
		if _, err := tx.Exec("INSERT INTO pipeline_outputs (run, action, at, body) VALUES (?, ?, ?, ?) ON CONFLICT (run, action) DO UPDATE SET at = excluded.at, body = excluded.body",
			e.ID, name, p.config.Now().UnixMicro(), o.output); err != nil {
			return err
		}
	}
	return keep(tx, *e)
}

// work takes jobs and does them until ctx ends.
func (p *Pipelines) work(ctx context.Context) error {
	return p.config.Queue.Serve(ctx, work.Worker{
		By: p.config.Node, Kinds: []string{jobKind}, Workers: p.config.Workers, Attempts: p.config.Attempts,
		Do: p.do,
		GiveUp: func(ctx context.Context, l work.Lease, why error) error {
			j, err := jobOf(l)
			if err != nil {
				return err
			}
			if errors.Is(why, work.ErrStopped) {
				return p.finish(ctx, j, outcome{status: Stopped, summary: "stopped"})
			}
			return p.finish(ctx, j, failed(j.Action, blame(why)))
		},
	})
}

// do does one job.
func (p *Pipelines) do(ctx context.Context, l work.Lease) error {
	j, err := jobOf(l)
	if err != nil {
		return err
	}
	o, err := p.perform(ctx, j)
	if err != nil {
		return err
	}
	return p.finish(ctx, j, o)
}

// perform does what a job's action is.
func (p *Pipelines) perform(ctx context.Context, j job) (outcome, error) {
	e, err := p.Execution(ctx, j.Run)
	if err != nil {
		return outcome{}, err
	}
	a := e.action(j.Action)
	if a == nil {
		return outcome{}, fault.Invalid.Errorf("run %s has no action %q", j.Run, j.Action)
	}
	do, ok := map[string]func(context.Context, Execution, *work.Log) (outcome, error){
		actionSource: p.doSource, actionScan: p.doScan, actionBuild: p.doBuild, actionGate: p.doGate,
	}[a.Runner]
	if !ok {
		return outcome{}, fault.Unsupported.Errorf("there is no action %q here", a.Runner)
	}
	log := p.config.Queue.Log(ctx, j.Lease, stream(j.Run), p.config.Mask)
	if j.Attempt > 1 {
		log.Printf("\n(attempt %d: the one before was cut off)\n", j.Attempt)
	}
	log.Printf("\n=== %s ===\n", a.Name)
	o, err := do(ctx, e, log)
	if err != nil && ctx.Err() == nil {
		log.Printf("%s\n", blame(err).Text)
	}
	return o, errors.Join(err, log.Close())
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

// wakeAll moves on what a kill may have left between two steps.
func (p *Pipelines) wakeAll(ctx context.Context) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		open, err := db.All(tx, db.Value[string], "SELECT id FROM pipeline_runs WHERE status IN (?, ?, ?) ORDER BY created, id", string(Waiting), string(InProgress), string(Stopping))
		if err != nil {
			return err
		}
		for _, id := range open {
			if err := p.advance(tx, id); err != nil {
				return fmt.Errorf("run %s: %w", id, err)
			}
		}
		return nil
	})
}
