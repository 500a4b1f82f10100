package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// advance moves a run on, begins what is due, and publishes what became of it: all
// in tx, and as often as one likes. Where that lets another run go on, it goes on too.
func (p *Pipelines) advance(tx *db.Tx, id string) error {
	e, err := find(tx, id)
	if err != nil {
		return err
	}
	return p.moveOn(tx, e)
}

// moveOn is advance for a run that was read in tx, and of which something may have changed since.
func (p *Pipelines) moveOn(tx *db.Tx, e Execution) error {
	queue, err := p.step(tx, e)
	if err != nil {
		return fmt.Errorf("run %s: %w", e.ID, err)
	}
	for steps := 0; len(queue) > 0; steps++ {
		if steps > 10_000 {
			return fmt.Errorf("run %s: there is no end to what it moves on", e.ID)
		}
		other, err := find(tx, queue[0])
		if err != nil {
			return err
		}
		queue = queue[1:]
		if other.Status.Ended() {
			continue
		}
		more, err := p.step(tx, other)
		if err != nil {
			return fmt.Errorf("run %s: %w", other.ID, err)
		}
		queue = append(queue, more...)
	}
	return nil
}

// step moves one run on, and names those that may go on now.
func (p *Pipelines) step(tx *db.Tx, e Execution) (others []string, err error) {
	if e.Status.Ended() {
		return nil, nil
	}
	was, now, started := e.Status, p.config.Now().UTC(), false
	lane, err := p.lane(tx, e)
	if err != nil {
		return nil, err
	}
	if e.Status == Waiting {
		if !lane.begins(&e) {
			return p.overtake(tx, &e, lane, now)
		}
		e.Status, was = InProgress, InProgress
		if e.Started.IsZero() {
			e.Started = now
		}
		if err := p.tell(tx, e); err != nil { // also where it ends at once
			return nil, err
		}
		started = true
	}
	todo := e.next(world{now: now, id: bus.ID, enter: func(stage int) (bool, string) { return lane.enter(&e, stage) }})
	for len(todo) > 0 {
		began, err := p.carryOut(tx, &e, todo, now)
		if err != nil {
			return nil, err
		}
		others = append(others, began...)
		// What could not be begun has failed by now; what that leads to follows.
		todo = e.next(world{now: now, id: bus.ID, enter: func(stage int) (bool, string) { return lane.enter(&e, stage) }})
	}
	over, err := p.overtake(tx, &e, lane, now)
	if err != nil {
		return nil, err
	}
	others = append(others, over...)
	moved := started || was != e.Status || len(e.news) > 0
	if moved {
		e.Changed = now
	}
	if err := keep(tx, e); err != nil {
		return nil, err
	}
	tx.AfterCommit(p.wake)
	if was != e.Status { // first: it says the most, and people are told of one failure once
		if err := p.tell(tx, e); err != nil {
			return nil, err
		}
	}
	if err := p.tellParts(tx, e); err != nil {
		return nil, err
	}
	if e.Status.Ended() {
		back, err := p.ended(tx, e)
		if err != nil {
			return nil, err
		}
		others = append(others, back...)
	}
	if moved { // a stage may be free now
		others = append(others, lane.next(&e)...)
	}
	return others, nil
}

// carryOut does outside what has to be done for a run.
func (p *Pipelines) carryOut(tx *db.Tx, e *Execution, todo []effect, now time.Time) (others []string, err error) {
	for _, t := range todo {
		switch {
		case t.do == doRollback:
			id, err := p.rollBack(tx, e, t.stage.Name)
			if err != nil {
				return nil, err
			}
			others = append(others, id...)
		case t.do == doCancel && t.action != nil:
			err = p.cancel(tx, t.action.ID, t.action.Runner, t.action.External, "it took too long, or its run was stopped")
		case t.do == doCancel:
			err = p.cancel(tx, t.rule.ID, runnerOf(t.rule.Type), t.rule.External, "it took too long, or its run was stopped")
		case t.action != nil:
			err = p.beginAction(tx, e, t.stage, t.action, now)
		default:
			err = p.beginRule(tx, e, t.stage, t.rule, now)
		}
		if err != nil {
			return nil, err
		}
	}
	return others, nil
}

// beginAction makes the job of an action, or begins it elsewhere. What nobody can begin has failed.
func (p *Pipelines) beginAction(tx *db.Tx, e *Execution, s *Stage, a *Action, now time.Time) error {
	switch a.Runner {
	case runPipeline:
		return p.beginPipeline(tx, e, s, a, now)
	case runBuild, runCommand:
		if p.config.Starter == nil {
			e.breakAction(s, a, "ConfigurationError", "nothing is built on this server", now)
			return nil
		}
		request, err := e.request(s, a)
		if err == nil {
			a.External, err = p.start(tx, request)
		}
		if err != nil {
			why := mistake(err)
			a.Code, a.Summary = "ConfigurationError", clip(why.Text, 500)
			why.Action = a.Name
			e.Reasons = append(e.Reasons, why)
			e.settle(s, a, Failed, now)
		}
		return nil
	}
	if a.Runner == runCustom && a.Type.Category != structure.Source && len(a.Outputs) > 0 {
		e.breakAction(s, a, "ConfigurationError", "a worker elsewhere cannot hand in artifacts: leave outputArtifacts out", now)
		return nil
	}
	if a.Runner == runCustom { // whoever polls for it knows no more than its id
		if err := begun(tx, a.ID, e.ID); err != nil {
			return err
		}
	}
	return p.add(tx, e.ID, a.ID, a.Type)
}

// begun remembers of which run something is that is done elsewhere.
func begun(tx *db.Tx, action, run string) error {
	_, err := tx.Exec("INSERT INTO pipeline_begun (action, run) VALUES (?, ?) ON CONFLICT (action) DO NOTHING", action, run)
	return err
}

// start begins something elsewhere, and remembers whose it is.
func (p *Pipelines) start(tx *db.Tx, q ActionRequest) (external string, err error) {
	if external, err = p.config.Starter.Start(tx, q); err != nil {
		return "", err
	}
	return external, begun(tx, q.ID, q.Execution)
}

// beginRule does the same for a rule.
func (p *Pipelines) beginRule(tx *db.Tx, e *Execution, s *Stage, r *Rule, now time.Time) error {
	switch runnerOf(r.Type) {
	case runBuild, runCommand:
		if p.config.Starter == nil {
			r.answer(false, "nothing is built on this server", true, now)
			return nil
		}
		external, err := p.start(tx, e.requestRule(s, r))
		if err != nil {
			r.answer(false, mistake(err).Text, true, now)
		}
		r.External = external
		return nil
	}
	return p.add(tx, e.ID, r.ID, r.Type)
}

// cancel takes away what was begun.
func (p *Pipelines) cancel(tx *db.Tx, id, runner, external, reason string) error {
	switch runner {
	case runApprove, runPipeline:
		return nil
	case runBuild, runCommand:
		if external != "" && p.config.Starter != nil {
			return p.config.Starter.Stop(tx, external, reason)
		}
	}
	return p.config.Queue.Cancel(tx, id)
}

// request is what an action asks of a Starter.
func (e *Execution) request(s *Stage, a *Action) (ActionRequest, error) {
	q := e.requestOf(s.Name, a.ID, a.Name, a.Type)
	q.Configuration, q.Commands, q.Outputs, q.Exports, q.Role, q.Minutes = a.Config, a.Commands, a.Outputs, a.Exports, a.Role, a.Minutes
	for _, v := range a.Env {
		value, err := e.Values.Resolve(v.Value)
		if err != nil {
			return q, err
		}
		v.Value = value
		q.Environment = append(q.Environment, v)
	}
	var err error
	q.Inputs, err = e.inputs(a.Inputs)
	return q, err
}

func (e *Execution) requestRule(s *Stage, r *Rule) ActionRequest {
	q := e.requestOf(s.Name, r.ID, r.Name, r.Type)
	q.Configuration, q.Commands, q.Minutes = r.Config, r.Commands, r.Minutes
	q.Inputs, _ = e.inputs(r.Inputs) // what is missing is missed there
	return q
}

func (e *Execution) requestOf(stage, id, name string, t structure.TypeID) ActionRequest {
	return ActionRequest{
		ID: id, Pipeline: e.Pipeline, Execution: e.ID, Number: e.Number, Stage: stage, Action: name, Type: t, Repository: e.Repository, Branch: e.Branch,
		Commit: e.Commit, Protected: e.Protected && e.Pull == "", Pull: e.Pull, Who: e.Who, Walls: e.Walls, Stream: "pipeline/" + e.ID + "/" + id,
	}
}

func (e *Execution) inputs(names []string) (all []Artifact, err error) {
	for _, name := range names {
		one, ok := e.Artifact(name)
		if !ok {
			return nil, fault.Invalid.Errorf("there is no artifact %q: the action that makes it did not", name)
		}
		all = append(all, one)
	}
	return all, nil
}

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

// next are the runs that may go on when one has moved: of those that are queued, the first when it has ended.
func (l lane) next(moved *Execution) (ids []string) {
	var first *Execution
	for i := range l.others {
		o := &l.others[i]
		switch {
		case o.Mode == structure.Queued && o.Status == Waiting:
			if moved.Status.Ended() && (first == nil || o.before(first)) {
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

// begins tells whether it is a run's turn. Queued runs of a branch come one after
// the other, a rollback first: so what the hub knows of a branch never goes back in time.
func (l lane) begins(e *Execution) bool {
	if e.Mode == structure.Parallel {
		return true
	}
	for _, o := range l.others {
		busy := o.Status == InProgress || o.Status == Stopping
		switch {
		case o.Mode == structure.Parallel:
		case e.Mode == structure.Queued && busy:
			return false
		case o.Status == Waiting && o.before(e):
			return false
		}
	}
	if e.Mode == structure.Superseded {
		ok, _ := l.enter(e, 0)
		return ok
	}
	return true
}

// before tells whether a run comes before another.
func (e *Execution) before(o *Execution) bool {
	if (e.Kind == Rollback) != (o.Kind == Rollback) {
		return e.Kind == Rollback
	}
	return e.Number < o.Number
}

// enter tells whether a run may enter a stage: its transition is not disabled, and no other run is in it.
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

// ended tells whoever waits for a run that it has ended.
func (p *Pipelines) ended(tx *db.Tx, e Execution) ([]string, error) {
	if e.Parent == nil {
		return nil, nil
	}
	parent, err := find(tx, e.Parent.Execution)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, a := parent.find(e.Parent.Action)
	if a == nil || a.Status != InProgress {
		return nil, nil
	}
	text := fmt.Sprintf("run %d of %s is %s", e.Number, e.Pipeline, e.Status)
	if e.Status == Succeeded {
		a.Summary = text
		parent.settle(s, a, Succeeded, p.config.Now().UTC())
	} else {
		parent.breakAction(s, a, "JobFailed", text, p.config.Now().UTC())
	}
	return nil, p.moveOn(tx, parent)
}

// save keeps a run of which parts have changed, and tells of these.
func (p *Pipelines) save(tx *db.Tx, e *Execution) error {
	e.Changed = p.config.Now().UTC()
	if err := keep(tx, *e); err != nil {
		return err
	}
	err := p.tellParts(tx, *e)
	e.news = nil
	return err
}

// beginPipeline starts another pipeline for an action.
func (p *Pipelines) beginPipeline(tx *db.Tx, e *Execution, s *Stage, a *Action, now time.Time) error {
	made, err := p.startFrom(tx, e, a)
	if err != nil {
		if !fault.Permanent(err) {
			return err
		}
		e.breakAction(s, a, "ConfigurationError", err.Error(), now)
		return nil
	}
	a.External, a.Link, a.Variables = made.ID, Path(made.ID), map[string]string{"PipelineExecutionId": made.ID}
	if a.Config["WaitForEnd"] == "true" {
		a.Summary = fmt.Sprintf("waits for run %d of %s", made.Number, made.Pipeline)
		return nil
	}
	e.give(a, a.Variables)
	a.Summary = fmt.Sprintf("started run %d of %s", made.Number, made.Pipeline)
	e.settle(s, a, Succeeded, now)
	return nil
}

// give keeps the variables that an action gave under its namespace.
func (e *Execution) give(a *Action, values map[string]string) {
	a.Variables = values
	if a.Namespace == "" || len(values) == 0 {
		return
	}
	if e.Values == nil {
		e.Values = structure.Values{}
	}
	e.Values[a.Namespace] = values
}
