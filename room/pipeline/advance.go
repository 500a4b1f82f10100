package pipeline

import (
	"errors"
	"fmt"
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
		others = append(others, lane.next()...)
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
	if a.Runner == runCustom && a.Type.Category != structure.Source && len(a.Outputs) > 0 && p.config.Shelf == nil {
		e.breakAction(s, a, "ConfigurationError", "a worker elsewhere can hand in no artifacts: there are no buckets on this server", now)
		return nil
	}
	if a.Runner == runCustom {
		is, err := isOwnType(tx, a.Type)
		if err == nil && !is { // nobody could poll for it
			e.breakAction(s, a, "ConfigurationError", "there is no type "+a.Type.String()+" any more: make it again, or change the pipeline", now)
			return nil
		}
		if err == nil { // whoever polls for it knows no more than its id
			err = begun(tx, a.ID, e.ID)
		}
		if err != nil {
			return err
		}
	}
	return p.add(tx, e, a.ID, a.Type)
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
	return p.add(tx, e, r.ID, r.Type)
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
	group, logged := LogNames(e.Pipeline, id)
	return ActionRequest{
		LogGroup: group, LogName: logged, ID: id, Pipeline: e.Pipeline, Execution: e.ID, Number: e.Number, Stage: stage, Action: name, Type: t, Repository: e.Repository, Branch: e.Branch,
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
