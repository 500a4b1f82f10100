package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// job is one action of a run, leased to a worker. The nonce is its proof: the
// next lease has another one, and then this worker can change nothing.
type job struct {
	run, action string
	nonce       string
	attempt     int64
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

var errLost = fault.Conflict.Errorf("the job is another worker's by now")

func scanJob(scan db.Scan) (j job, err error) { return j, scan(&j.run, &j.action, &j.attempt) }

// claim leases the oldest job that nobody holds.
func (p *Pipelines) claim(ctx context.Context) (j job, ok bool, err error) {
	var free int64
	if err := p.db.Read(ctx, func(tx *db.Tx) error { // most looks find nothing: they need not be the one writer
		free, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_jobs WHERE until < ?", p.config.Now().UnixMicro())
		return err
	}); err != nil || free == 0 {
		return j, false, err
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		ok = false
		now := p.config.Now()
		due, err := db.All(tx, scanJob, "SELECT run, action, attempt FROM pipeline_jobs WHERE until < ? ORDER BY created, run, action LIMIT 1", now.UnixMicro())
		if err != nil || len(due) == 0 {
			return err
		}
		j, ok = due[0], true
		j.nonce, j.attempt = bus.ID(), j.attempt+1
		_, err = tx.Exec("UPDATE pipeline_jobs SET nonce = ?, until = ?, attempt = ? WHERE run = ? AND action = ?",
			j.nonce, now.Add(p.config.Lease).UnixMicro(), j.attempt, j.run, j.action)
		return err
	})
	return j, ok, err
}

// hold renews the lease of a job, and answers the run it is of.
func (p *Pipelines) hold(tx *db.Tx, j job, until time.Time) (Execution, error) {
	n, err := tx.Exec("UPDATE pipeline_jobs SET until = ? WHERE run = ? AND action = ? AND nonce = ?", until.UnixMicro(), j.run, j.action, j.nonce)
	if err != nil {
		return Execution{}, err
	}
	if n == 0 {
		return Execution{}, errLost
	}
	return find(tx, j.run)
}

// finish keeps the outcome of a job and moves its run on, if the job is still ours.
func (p *Pipelines) finish(ctx context.Context, j job, o outcome) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		e, err := p.hold(tx, j, p.config.Now())
		if err != nil {
			return err
		}
		if err := p.result(tx, &e, j.action, o); err != nil {
			return err
		}
		return p.advance(tx, j.run)
	})
}

// result writes an outcome down and takes the job away.
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
	if _, err := tx.Exec("DELETE FROM pipeline_jobs WHERE run = ? AND action = ?", e.ID, name); err != nil {
		return err
	}
	return keep(tx, *e)
}

// release gives a job back, to be taken up again at a time; what was tried does not count when it was cut off.
func (p *Pipelines) release(ctx context.Context, j job, at time.Time, counts bool) error {
	attempt := j.attempt
	if !counts {
		attempt--
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE pipeline_jobs SET nonce = '', until = ?, attempt = ? WHERE run = ? AND action = ? AND nonce = ?", at.UnixMicro(), attempt, j.run, j.action, j.nonce)
		tx.AfterCommit(p.wake)
		return err
	})
}

// work takes jobs and does them until ctx ends.
func (p *Pipelines) work(ctx context.Context) error {
	for ctx.Err() == nil {
		news := p.waiting()
		j, ok, err := p.claim(ctx)
		if err != nil && ctx.Err() == nil {
			p.config.Log.Error("looking for work", "err", err)
		}
		if ok {
			p.do(ctx, j)
			continue
		}
		select {
		case <-ctx.Done():
		case <-news:
		case <-time.After(p.config.Poll/2 + rand.N(p.config.Poll)):
		}
	}
	return nil
}

// errStop ends a job whose run is to stop.
var errStop = errors.New("the run was stopped")

// do does one job. An error that is ours, not the repository's, is tried again.
func (p *Pipelines) do(ctx context.Context, j job) {
	jobCtx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.beat(jobCtx, j, cancel)
	}()
	o, err := p.perform(jobCtx, j)
	cause := context.Cause(jobCtx)
	cancel(nil)
	<-over

	// What is to be said of the job is said even when we are to end.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	switch {
	case errors.Is(cause, errLost):
		err = nil
	case errors.Is(cause, errStop):
		err = p.finish(ctx, j, outcome{status: Stopped, summary: "stopped"})
	case err != nil && cause != nil: // the server ends
		err = p.release(ctx, j, time.UnixMicro(0), false)
	case err != nil && !fault.Permanent(err) && j.attempt < int64(p.config.Attempts):
		p.config.Log.Warn("a job is tried again", "run", j.run, "action", j.action, "attempt", j.attempt, "err", err)
		err = p.release(ctx, j, p.config.Now().Add(time.Duration(j.attempt)*p.config.Poll), true)
	case err != nil:
		p.config.Log.Error("a job failed", "run", j.run, "action", j.action, "err", err)
		err = p.finish(ctx, j, failed(j.action, blame(err)))
	default:
		err = p.finish(ctx, j, o)
	}
	if err != nil && !errors.Is(err, errLost) {
		p.config.Log.Error("ending a job", "run", j.run, "action", j.action, "err", err)
	}
}

// beat keeps the lease, and ends the job when it is lost or its run is to stop.
func (p *Pipelines) beat(ctx context.Context, j job, cancel context.CancelCauseFunc) {
	renewed := p.config.Now()
	for {
		news := p.waiting()
		select {
		case <-ctx.Done():
			return
		case <-news:
		case <-time.After(p.config.Lease / 3):
		}
		e, err := p.look(ctx, j, &renewed)
		switch {
		case errors.Is(err, errLost):
			cancel(errLost)
			return
		case err == nil && e.Status == Stopping:
			cancel(errStop)
			return
		case err != nil && ctx.Err() == nil && p.config.Now().Sub(renewed) > p.config.Lease:
			cancel(errLost) // it may be another's by now: better to stop than to do it twice
			return
		}
	}
}

// look reads the run, and renews the lease when a third of it has gone.
func (p *Pipelines) look(ctx context.Context, j job, renewed *time.Time) (e Execution, err error) {
	now := p.config.Now()
	if now.Sub(*renewed) < p.config.Lease/3 {
		err = p.db.Read(ctx, func(tx *db.Tx) error { e, err = find(tx, j.run); return err })
		return e, err
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error { e, err = p.hold(tx, j, now.Add(p.config.Lease)); return err })
	if err == nil {
		*renewed = now
	}
	return e, err
}

// perform does what a job's action is.
func (p *Pipelines) perform(ctx context.Context, j job) (outcome, error) {
	e, err := p.Execution(ctx, j.run)
	if err != nil {
		return outcome{}, err
	}
	a := e.action(j.action)
	if a == nil {
		return outcome{}, fault.Invalid.Errorf("run %s has no action %q", j.run, j.action)
	}
	do, ok := map[string]func(context.Context, Execution, *logger) (outcome, error){
		actionSource: p.doSource, actionScan: p.doScan, actionBuild: p.doBuild, actionGate: p.doGate,
	}[a.Runner]
	if !ok {
		return outcome{}, fault.Unsupported.Errorf("there is no action %q here", a.Runner)
	}
	log := p.logger(ctx, j)
	if j.attempt > 1 {
		log.printf("\n(attempt %d: the one before was cut off)\n", j.attempt)
	}
	log.printf("\n=== %s ===\n", a.Name)
	o, err := guard(func() (outcome, error) { return do(ctx, e, log) })
	if err != nil && ctx.Err() == nil {
		log.printf("%s\n", blame(err).Text)
	}
	return o, errors.Join(err, log.close())
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

// guard makes a panic the error of the one job that it is in.
func guard(do func() (outcome, error)) (o outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it broke: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

// wakeAll moves on what a kill may have left between two steps. Where there is
// one server only, all leases are of a dead one.
func (p *Pipelines) wakeAll(ctx context.Context) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if !p.db.Postgres() {
			if _, err := tx.Exec("UPDATE pipeline_jobs SET until = 0, nonce = ''"); err != nil {
				return err
			}
		}
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
