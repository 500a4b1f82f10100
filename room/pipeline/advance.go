package pipeline

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// next moves a run on as far as it goes without a worker, and gives the names
// of the actions that workers have to do now. It is pure, and asked again it
// gives the same: what is in progress has its job already.
func (e *Execution) next(now time.Time) (start []string) {
	if e.Status.Ended() || e.Status == Waiting {
		return nil
	}
	for i := range e.Stages {
		s := &e.Stages[i]
		if s.Status == Waiting && e.Status == InProgress {
			s.Status = InProgress
		}
		if s.Status == InProgress {
			start = append(start, s.next(now, e.Status == Stopping)...)
		}
		switch s.Status {
		case Succeeded, Skipped:
			continue
		case Failed, Stopped:
			e.end(s.Status, now)
			return nil
		case Waiting:
			e.end(Stopped, now) // stopping, and nothing is at work
			return nil
		}
		return start
	}
	e.end(Succeeded, now)
	return nil
}

// next moves a stage that is in progress on.
func (s *Stage) next(now time.Time, stopping bool) (start []string) {
	count := map[Status]int{}
	for i := range s.Actions {
		a := &s.Actions[i]
		if a.Status == Waiting && stopping {
			a.Status = Stopped
		}
		if a.Status == Waiting {
			a.Status, a.Started = InProgress, now
			start = append(start, a.Name)
		}
		count[a.Status]++
	}
	switch {
	case count[InProgress] > 0:
	case count[Failed] > 0:
		s.Status = Failed
	case count[Stopped] > 0:
		s.Status = Stopped
	case count[Skipped] == len(s.Actions):
		s.Status = Skipped
	default:
		s.Status = Succeeded
	}
	return start
}

func (e *Execution) end(how Status, now time.Time) {
	if e.Status == Stopping {
		how = Stopped
	}
	e.Status, e.Ended = how, now
}

// advance moves a run on, makes the jobs that are due, and publishes what
// became of it: all in tx, and as often as one likes.
func (p *Pipelines) advance(tx *db.Tx, id string) error {
	e, err := find(tx, id)
	if err != nil {
		return err
	}
	was, now := e.Status, p.config.Now().UTC()
	if e.Status == Waiting {
		free, err := p.turn(tx, e)
		if err != nil || !free {
			return err
		}
		e.Status, e.Started = InProgress, now
	}
	for _, name := range e.next(now) {
		if err := p.ask(tx, e.ID, name); err != nil {
			return err
		}
	}
	if err := keep(tx, e); err != nil {
		return err
	}
	if was == e.Status {
		return nil
	}
	if err := p.tell(tx, e); err != nil || !e.Status.Ended() {
		return err
	}
	return p.ended(tx, e)
}

// turn tells whether no earlier run of the branch is at work: runs of one
// branch come one after the other, so that what the hub knows of the branch
// never goes back in time.
func (p *Pipelines) turn(tx *db.Tx, e Execution) (bool, error) {
	ahead, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND number < ? AND status IN (?, ?, ?)",
		e.Pipeline, e.Branch, e.Number, string(Waiting), string(InProgress), string(Stopping))
	if err != nil || ahead > 0 {
		return false, err
	}
	// A run that is tried again may be older than one at work.
	busy, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND id <> ? AND status IN (?, ?)",
		e.Pipeline, e.Branch, e.ID, string(InProgress), string(Stopping))
	return busy == 0, err
}

// ended tidies up after a run and lets the next one of its branch begin.
func (p *Pipelines) ended(tx *db.Tx, e Execution) error {
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if err := p.config.Queue.Cancel(tx, jobBody{e.ID, a.Name}.id()); err != nil {
				return err
			}
		}
	}
	if err := p.config.Queue.End(tx, stream(e.ID)); err != nil {
		return err
	}
	next, err := db.All(tx, db.Value[string], "SELECT id FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND status = ? ORDER BY number LIMIT 1", e.Pipeline, e.Branch, string(Waiting))
	for _, id := range next {
		if err := p.advance(tx, id); err != nil {
			return err
		}
	}
	return err
}

// What the events that tell of runs are called (EventBridge's detail-type and source).
const (
	EventSource = "aws.codepipeline"
	Changed     = "CodePipeline Pipeline Execution State Change"
)

// Detail is what a Changed event says: CodePipeline's members, then ours.
type Detail struct {
	Pipeline string `json:"pipeline"`
	ID       string `json:"execution-id"`
	State    string `json:"state"` // STARTED, SUCCEEDED, FAILED, STOPPING, STOPPED
	Version  int    `json:"version"`
	Attempt  int    `json:"pipeline-execution-attempt"`

	Number      int64                 `json:"number"`
	Repository  string                `json:"repository"`
	Branch      string                `json:"branch"`
	Commit      string                `json:"commit"`
	Subject     string                `json:"subject,omitzero"`
	Author      string                `json:"author,omitzero"`
	Who         string                `json:"who,omitzero"`
	Path        string                `json:"path"` // of the run in the console
	FailedStage string                `json:"failed-stage,omitzero"`
	Reasons     []Reason              `json:"reasons,omitzero"` // the worst first, at most 20
	ReasonCount int                   `json:"reason-count,omitzero"`
	Findings    map[finding.Label]int `json:"findings,omitzero"`
	Fresh       map[finding.Label]int `json:"new-findings,omitzero"`
	Seconds     float64               `json:"seconds,omitzero"`
}

// Path is where the console shows a run.
func Path(id string) string { return "/runs/" + id }

var states = map[Status]string{InProgress: "STARTED", Succeeded: "SUCCEEDED", Failed: "FAILED", Stopping: "STOPPING", Stopped: "STOPPED"}

// tell publishes that the run's status changed.
func (p *Pipelines) tell(tx *db.Tx, e Execution) error {
	d := Detail{
		Pipeline: e.Pipeline, ID: e.ID, State: states[e.Status], Version: 1, Attempt: e.Attempt, Number: e.Number,
		Repository: e.Repository, Branch: e.Branch, Commit: e.Commit, Subject: e.Subject, Author: e.Author, Who: e.Who, Path: Path(e.ID),
		Reasons: e.Reasons[:min(len(e.Reasons), 20)], ReasonCount: len(e.Reasons), Findings: e.Findings, Fresh: e.Fresh,
	}
	if e.Status.Ended() {
		d.Seconds = e.Ended.Sub(e.Started).Seconds()
	}
	if i := slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status == Failed }); i >= 0 {
		d.FailedStage = e.Stages[i].Name
	}
	detail, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return err
	}
	return p.config.Bus.Publish(tx, event.Event{
		Type: Changed, Source: EventSource, Account: p.config.Account, Region: p.config.Region, Time: p.config.Now(),
		Resources: []string{"arn:aws:codepipeline:" + p.config.Region + ":" + p.config.Account + ":" + e.Pipeline}, Detail: detail,
	})
}

// begin keeps a new run and starts it when it is its turn.
func (p *Pipelines) begin(tx *db.Tx, e Execution) (Execution, error) {
	number, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM pipeline_runs WHERE pipeline = ?", e.Pipeline)
	if err != nil {
		return e, err
	}
	e.ID, e.Number, e.Attempt, e.Status, e.Created = cmp.Or(e.ID, bus.ID()), number, 1, Waiting, p.config.Now().UTC()
	e.Stages = defaultStages()
	if err := keep(tx, e); err != nil {
		return e, err
	}
	return e, p.advance(tx, e.ID)
}

// stop asks a run to end.
func (p *Pipelines) stop(tx *db.Tx, id string) error {
	e, err := find(tx, id)
	if err != nil {
		return err
	}
	switch {
	case e.Status.Ended():
		return fault.Conflict.Errorf("run %d of %s has ended: it is %s", e.Number, e.Pipeline, e.Status)
	case e.Status == Stopping:
		return nil
	case e.Status == Waiting:
		e.Status = Stopping
		e.end(Stopped, p.config.Now().UTC())
		if err := keep(tx, e); err != nil {
			return err
		}
		if err := p.tell(tx, e); err != nil {
			return err
		}
		return p.ended(tx, e)
	}
	e.Status = Stopping
	if err := keep(tx, e); err != nil {
		return err
	}
	if err := p.tell(tx, e); err != nil {
		return err
	}
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Status != InProgress {
				continue
			}
			if _, err := p.config.Queue.Stop(tx, jobBody{e.ID, a.Name}.id()); err != nil {
				return err
			}
		}
	}
	return p.advance(tx, id)
}
