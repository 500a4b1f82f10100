package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

// Stop asks a run to end; what is at work is cut off.
func (p *Pipelines) Stop(ctx context.Context, id string) error {
	return p.StopFor(ctx, id, true, "", "")
}

// StopFor asks a run to end: at once, or when what is at work has come to its end.
func (p *Pipelines) StopFor(ctx context.Context, id string, abandon bool, reason, who string) error {
	return p.db.Write(ctx, func(tx *db.Tx) error { return p.stop(tx, id, abandon, reason, who) })
}

func (p *Pipelines) stop(tx *db.Tx, id string, abandon bool, reason, who string) error {
	e, err := find(tx, id)
	if err != nil {
		return err
	}
	if e.Status.Ended() {
		return fault.Conflict.Errorf("run %d of %s has ended: it is %s", e.Number, e.Pipeline, e.Status)
	}
	now := p.config.Now().UTC()
	if reason != "" || e.StoppedBy == "" {
		e.StoppedBy = clip(cmp.Or(reason, "stopped")+by(who), 300)
	}
	e.Abandon = e.Abandon || abandon
	if e.Status == Waiting {
		e.Status, e.Started = InProgress, now // it ends as all do
	}
	if e.Status != Stopping {
		e.Status = Stopping
		if err := p.tell(tx, e); err != nil {
			return err
		}
	}
	for i := range e.Stages {
		s := &e.Stages[i]
		for j := range s.Actions {
			a := &s.Actions[j]
			if a.Status != InProgress || !abandon && a.Approval == nil { // nobody is at work on an approval
				continue
			}
			if a.External == "" && p.doers()[a.Runner] != nil { // its worker ends it, so that nothing of it goes on when the next run begins
				if _, err := p.config.Queue.Stop(tx, a.ID); err != nil {
					return err
				}
				continue
			}
			if err := p.cancel(tx, a.ID, a.Runner, a.External, e.StoppedBy); err != nil {
				return err
			}
			if err := p.config.Queue.End(tx, a.stream(&e)); err != nil {
				return err
			}
			a.Summary = "stopped"
			e.settle(s, a, Abandoned, now)
		}
	}
	return p.moveOn(tx, e)
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return ", by " + who
}

// Retry tries the first stage of a run again that did not succeed, with what is known now.
func (p *Pipelines) Retry(ctx context.Context, id string) (Execution, error) {
	return p.RetryStage(ctx, id, "", structure.FailedActions)
}

// RetryStage tries a stage again that failed or was stopped: what of it did not succeed, or all of it. "" is the first such stage.
func (p *Pipelines) RetryStage(ctx context.Context, id, stage, mode string) (e Execution, err error) {
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if e, err = find(tx, id); err != nil {
			return err
		}
		if e.Status != Failed && e.Status != Stopped {
			return fault.Conflict.Errorf("run %d of %s is %s: only one that failed or was stopped can be tried again", e.Number, e.Pipeline, e.Status)
		}
		i := slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status != Succeeded && s.Status != Skipped })
		if i < 0 || stage != "" && e.Stages[i].Name != stage {
			return fault.Conflict.Errorf("stage %s of run %d did not fail", stage, e.Number)
		}
		s := &e.Stages[i]
		if err := p.newest(tx, e, s.Name); err != nil {
			return err
		}
		s.Manual++
		s.Retried = "ManualStageRetry"
		e.again(s, cmp.Or(mode, structure.FailedActions))
		s.Status = Waiting // it may have to wait for its turn
		e.Attempt++
		e.Status, e.Ended, e.StoppedBy, e.Abandon = Waiting, time.Time{}, "", false
		if err := keep(tx, e); err != nil {
			return err
		}
		if err := p.advance(tx, id); err != nil {
			return err
		}
		e, err = find(tx, id)
		return err
	})
	return e, err
}

// ErrOutdated says that a later run, or another structure, has made a run out of date.
var ErrOutdated = fault.Conflict.Errorf("it is out of date")

// mostLater is how many later runs are asked for whether they have been in a stage.
const mostLater = 1000

// newest refuses a run if a later one of its branch has been in a stage.
func (p *Pipelines) newest(tx *db.Tx, e Execution, stage string) error {
	if e.Mode == structure.Parallel {
		return nil
	}
	later, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND number > ? ORDER BY number DESC LIMIT ?", e.Pipeline, e.Branch, e.Number, mostLater)
	for _, o := range later {
		if s := o.Stage(stage); s != nil && !s.Entered.IsZero() && o.Kind != Rollback {
			return fmt.Errorf("%w: the later run %d of %s has been in stage %s", ErrOutdated, o.Number, e.Branch, stage)
		}
	}
	return err
}

// RollbackStage begins a run that brings a stage back to what an earlier run brought there.
func (p *Pipelines) RollbackStage(ctx context.Context, pipeline, stage, target, who string) (e Execution, err error) {
	d, err := p.Definition(ctx, pipeline)
	if err != nil {
		return e, err
	}
	now := fresh(d, Start{})
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		t, err := find(tx, target)
		if err != nil || t.Pipeline != pipeline {
			return fault.NotFound.Errorf("there is no run %s of %s", target, pipeline)
		}
		at := slices.IndexFunc(now.Stages, func(s Stage) bool { return s.Name == stage })
		switch s := t.Stage(stage); {
		case at < 0:
			return fault.NotFound.Errorf("pipeline %s has no stage %q", pipeline, stage)
		case at == 0:
			return fault.Invalid.Errorf("the stage of the sources cannot be rolled back")
		case d.Structure.ExecutionMode == structure.Parallel:
			return fault.Invalid.Errorf("pipeline %s runs in mode %s, in which nothing is rolled back: its runs know nothing of each other", pipeline, structure.Parallel)
		case t.Kind == Rollback:
			return fault.Invalid.Errorf("run %d is a rollback itself: name the run that it went back to", t.Number)
		case max(t.Version, 1) != d.Structure.Version:
			return fmt.Errorf("%w: run %d went by version %d of %s, which has version %d by now", ErrOutdated, t.Number, max(t.Version, 1), pipeline, d.Structure.Version)
		case s == nil || s.Status != Succeeded:
			return fault.Invalid.Errorf("run %d did not succeed in stage %s", t.Number, stage)
		}
		busy, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND status IN (?, ?)", pipeline, t.Branch, string(InProgress), string(Stopping))
		if err != nil {
			return err
		}
		for _, o := range busy {
			if s := o.Stage(stage); s != nil && s.Status == InProgress {
				return fault.Conflict.Errorf("run %d is in stage %s: stop it first", o.Number, stage)
			}
		}
		e, err = p.begin(tx, rolledBack(&now, t, stage, "ManualRollback", who))
		return err
	})
	return e, err
}

// When conditions are asked: what a condition is overridden by.
const (
	BeforeEntry = "BEFORE_ENTRY"
	OnSuccess   = "ON_SUCCESS"
)

// Override lets a stage's condition hold, whatever its rules say.
func (p *Pipelines) Override(ctx context.Context, id, stage, when, who string) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		e, err := find(tx, id)
		if err != nil {
			return err
		}
		s := e.Stage(stage)
		if s == nil {
			return fault.NotFound.Errorf("run %d has no stage %q", e.Number, stage)
		}
		c := s.Entry
		if when == OnSuccess {
			c = s.Success
		} else if when != BeforeEntry {
			return fault.Invalid.Errorf("there is no condition %q: %s or %s", clip(when, 50), BeforeEntry, OnSuccess)
		}
		if c == nil || c.Status != Asking && c.Status != Broken && c.Status != Errored {
			return fault.Conflict.Errorf("stage %s of run %d waits for no such condition", stage, e.Number)
		}
		now := p.config.Now().UTC()
		for i := range c.Rules {
			if r := &c.Rules[i]; r.Status == InProgress {
				if err := p.cancel(tx, r.ID, runnerOf(r.Type), r.External, "overridden"+by(who)); err != nil {
					return err
				}
				r.Status, r.Ended = Abandoned, now
			}
		}
		c.set(Overridden, "overridden"+by(who), now)
		if e.Status == Failed { // it goes on where the condition stopped it
			if err := p.newest(tx, e, stage); err != nil {
				return err
			}
			e.Reasons = slices.DeleteFunc(e.Reasons, func(r Reason) bool { return r.Action == stage })
			e.Attempt++
			e.Status, e.Ended, s.Status = Waiting, time.Time{}, Waiting // another may be in the stage
			if err := keep(tx, e); err != nil {
				return err
			}
		}
		return p.moveOn(tx, e)
	})
}

// Transition is the way into a stage, or out of it, that somebody has closed.
type Transition struct {
	Stage  string
	Kind   string // Inbound or Outbound
	Reason string
	Who    string
	At     time.Time
}

func scanTransition(scan db.Scan) (t Transition, err error) {
	var at int64
	err = scan(&t.Stage, &t.Kind, &t.Reason, &t.Who, &at)
	t.At = time.UnixMicro(at).UTC()
	return t, err
}

// Transitions are those of a pipeline that are closed.
func (p *Pipelines) Transitions(ctx context.Context, pipeline string) (all []Transition, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanTransition, "SELECT stage, kind, reason, who, at FROM pipeline_transitions WHERE pipeline = ? ORDER BY stage, kind", pipeline)
		return err
	})
	return all, err
}

// SetTransition closes a way, or with open lets runs through again, those that wait first.
func (p *Pipelines) SetTransition(ctx context.Context, pipeline string, t Transition, open bool) error {
	d, err := p.Definition(ctx, pipeline)
	if err != nil {
		return err
	}
	switch {
	case d.Structure.Stage(t.Stage) == nil:
		return fault.NotFound.Errorf("pipeline %s has no stage %q", pipeline, clip(t.Stage, 100))
	case t.Kind != "Inbound" && t.Kind != "Outbound":
		return fault.Invalid.Errorf("a transition is Inbound or Outbound, not %q", clip(t.Kind, 50))
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if !open {
			_, err := tx.Exec(`INSERT INTO pipeline_transitions (pipeline, stage, kind, reason, who, at) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (pipeline, stage, kind) DO UPDATE SET reason = excluded.reason, who = excluded.who, at = excluded.at`,
				pipeline, t.Stage, t.Kind, clip(t.Reason, 300), t.Who, p.config.Now().UnixMicro())
			return err
		}
		if _, err := tx.Exec("DELETE FROM pipeline_transitions WHERE pipeline = ? AND stage = ? AND kind = ?", pipeline, t.Stage, t.Kind); err != nil {
			return err
		}
		open, err := db.All(tx, db.Value[string], "SELECT id FROM pipeline_runs WHERE pipeline = ? AND status IN (?, ?) ORDER BY number DESC", pipeline, string(Waiting), string(InProgress))
		for _, id := range open {
			if err := p.advance(tx, id); err != nil {
				return err
			}
		}
		return err
	})
}
