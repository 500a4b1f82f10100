package pipeline

import (
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
)

// lane is what a run shares with the others of its branch: who is where.
type lane struct {
	others   []Execution       // not ended, without the run itself: those at work, then those that wait, the oldest first
	disabled map[string]string // "Inbound/STAGE": why
}

// mostWaiting is how many of those that wait are looked at: the earliest.
const mostWaiting = 50

func (p *Pipelines) lane(tx *db.Tx, e Execution) (l lane, err error) {
	l.disabled = map[string]string{}
	closed, err := db.All(tx, scanTransition, "SELECT stage, kind, reason, who, at FROM pipeline_transitions WHERE pipeline = ?", e.Pipeline)
	for _, t := range closed {
		l.disabled[t.Kind+"/"+t.Stage] = t.Reason
	}
	if err != nil || e.Mode == structure.Parallel {
		return l, err
	}
	busy, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND id <> ? AND status IN (?, ?) ORDER BY number",
		e.Pipeline, e.Branch, e.ID, string(InProgress), string(Stopping))
	if err != nil {
		return l, err
	}
	waiting, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND id <> ? AND status = ? ORDER BY number LIMIT ?",
		e.Pipeline, e.Branch, e.ID, string(Waiting), mostWaiting)
	l.others = append(busy, waiting...)
	return l, err
}

// next are the runs that may go on when one has moved: of those that are queued, the first of each queue.
func (l lane) next() (ids []string) {
	var first *Execution
	for i := range l.others {
		o := &l.others[i]
		switch {
		case o.Mode == structure.Queued && o.Status == Waiting:
			if first == nil || o.before(first) {
				first = o
			}
		case o.Status == Waiting || o.held() >= 0:
			ids = append(ids, o.ID)
		}
	}
	if first != nil {
		ids = append(ids, first.ID)
	}
	return ids
}

// at is the stage that a run is in, or -1; held the one that it waits before.
func (e *Execution) at() int {
	return slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status == InProgress })
}

func (e *Execution) held() int {
	if e.Status != InProgress || e.at() >= 0 {
		return -1
	}
	return slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status == Waiting })
}

// mostAtWork is how many runs of a branch may be at work, or wait between stages, where they do not overtake each other.
const mostAtWork = 50

// begins tells whether it is a run's turn: those of a branch begin one after the other, a rollback first.
func (l lane) begins(e *Execution) bool {
	if e.Mode == structure.Parallel {
		return true
	}
	busy := 0
	for _, o := range l.others {
		switch {
		case o.Mode == structure.Parallel:
		case o.Status == Waiting:
			if o.front() == e.front() && o.before(e) {
				return false
			}
		default:
			busy++
		}
	}
	if e.Mode == structure.Queued && e.Kind != Rollback && busy >= mostAtWork {
		return false
	}
	ok, _ := l.enter(e, min(e.reached(), len(e.Stages)-1))
	return ok
}

// front is the name of the stage that a run is in or waits before, or "".
func (e *Execution) front() string {
	if i := e.reached(); i < len(e.Stages) {
		return e.Stages[i].Name
	}
	return ""
}

// before tells whether a run comes before another.
func (e *Execution) before(o *Execution) bool {
	if (e.Kind == Rollback) != (o.Kind == Rollback) {
		return e.Kind == Rollback
	}
	return e.Number < o.Number
}

// enter tells whether a run may enter a stage: its transition is not disabled, no other run is in it, and, where runs
// are queued, none that came before waits for it.
func (l lane) enter(e *Execution, stage int) (bool, string) {
	name := e.Stages[stage].Name
	if why, closed := l.disabled["Inbound/"+name]; closed {
		return false, "the transition into it is disabled: " + why
	}
	if stage > 0 {
		if why, closed := l.disabled["Outbound/"+e.Stages[stage-1].Name]; closed {
			return false, "the transition out of " + e.Stages[stage-1].Name + " is disabled: " + why
		}
	}
	if e.Mode == structure.Parallel {
		return true, ""
	}
	for i := range l.others {
		o := &l.others[i]
		if o.Mode == structure.Parallel {
			continue
		}
		if at := o.at(); at >= 0 && o.Stages[at].Name == name {
			return false, fmt.Sprintf("run %d is in it", o.Number)
		}
		if e.Mode == structure.Queued && (o.held() >= 0 || o.Status == Waiting) && o.front() == name && o.before(e) {
			return false, fmt.Sprintf("run %d comes before", o.Number)
		}
	}
	return true, ""
}

// overtake ends older runs that wait where a newer one waits, or has gone on from: in mode SUPERSEDED the newest wins,
// and none is ever behind an older one.
func (p *Pipelines) overtake(tx *db.Tx, e *Execution, l lane, now time.Time) (others []string, err error) {
	if e.Mode != structure.Superseded || e.Kind == Rollback || e.Status == Stopping || e.Status.Ended() && e.Status != Succeeded {
		return nil, nil
	}
	at := e.reached()
	for i := range l.others {
		o := &l.others[i]
		waits := o.Status == Waiting || o.held() >= 0
		if o.Mode != structure.Superseded || o.Kind == Rollback || o.Number > e.Number || !waits || o.reached() > at {
			continue
		}
		more, err := p.supersede(tx, o, e, now)
		if err != nil {
			return nil, err
		}
		others = append(others, more...)
	}
	return others, nil
}

// reached is the stage that a run is in or waits before.
func (e *Execution) reached() int {
	i := slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status != Succeeded && s.Status != Skipped })
	if i < 0 {
		return len(e.Stages)
	}
	return i
}

// supersede ends a run that a newer one has overtaken.
func (p *Pipelines) supersede(tx *db.Tx, o, by *Execution, now time.Time) ([]string, error) {
	o.Status, o.Ended, o.Changed = Superseded, now, now
	o.StoppedBy = fmt.Sprintf("run %d has overtaken it", by.Number)
	if err := keep(tx, *o); err != nil {
		return nil, err
	}
	if err := p.tell(tx, *o); err != nil {
		return nil, err
	}
	return p.ended(tx, *o)
}
