package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Status is how a run, a stage or an action stands, in CodePipeline's words.
type Status string

const (
	Waiting    Status = "Waiting" // for what comes before it
	InProgress Status = "InProgress"
	Stopping   Status = "Stopping"
	Stopped    Status = "Stopped"
	Succeeded  Status = "Succeeded"
	Failed     Status = "Failed"
	Skipped    Status = "Skipped"
)

// Ended tells whether nothing will change any more.
func (s Status) Ended() bool {
	return s == Stopped || s == Succeeded || s == Failed || s == Skipped
}

// Execution is one run of a pipeline.
type Execution struct {
	ID         string                `json:"id"`
	Pipeline   string                `json:"pipeline"` // its repository's name
	Number     int64                 `json:"number"`   // from 1, within the pipeline
	Repository string                `json:"repository"`
	Branch     string                `json:"branch"`
	Commit     string                `json:"commit"`
	Before     string                `json:"before,omitzero"` // where the branch was
	Who        string                `json:"who,omitzero"`    // ARN of the one who pushed or started it
	Author     string                `json:"author,omitzero"`
	Subject    string                `json:"subject,omitzero"` // of the commit
	Base       string                `json:"base,omitzero"`    // commit that findings are compared with
	Attempt    int                   `json:"attempt"`          // from 1; counted up by Retry
	Status     Status                `json:"status"`
	Created    time.Time             `json:"created"`
	Started    time.Time             `json:"started,omitzero"`
	Ended      time.Time             `json:"ended,omitzero"`
	Level      string                `json:"level,omitzero"` // of the sandbox that it was built in
	Stages     []Stage               `json:"stages"`
	Reasons    []Reason              `json:"reasons,omitzero"` // why it failed
	Findings   map[finding.Label]int `json:"findings,omitzero"`
	Fresh      map[finding.Label]int `json:"fresh,omitzero"` // of them, those that the base has not
	Proposals  []string              `json:"proposals,omitzero"`
}

// Stage is a step of a run; the next one starts when all its actions succeeded.
type Stage struct {
	Name    string   `json:"name"`
	Status  Status   `json:"status"`
	Actions []Action `json:"actions"`
}

// Action is what a worker does. Its name is unique within the run.
type Action struct {
	Name    string    `json:"name"`
	Runner  string    `json:"runner"` // which of our actions it is
	Status  Status    `json:"status"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Summary string    `json:"summary,omitzero"`
	Phases  []Timing  `json:"phases,omitzero"` // of a build
}

// Timing is one phase of a build.
type Timing struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Reason is one reason why a run failed: what, where, and what to do.
type Reason struct {
	Action   string        `json:"action"`
	Text     string        `json:"text"`
	Where    string        `json:"where,omitzero"`
	Do       string        `json:"do,omitzero"`
	Severity finding.Label `json:"severity,omitzero"`
	Finding  string        `json:"finding,omitzero"` // Id
	Rule     string        `json:"rule,omitzero"`    // of the policy
}

// The pipeline that every repository has.
const (
	actionSource = "source"
	actionScan   = "scan"
	actionBuild  = "build"
	actionGate   = "gate"
)

func defaultStages() []Stage {
	var stages []Stage
	for _, s := range [...]struct{ name, runner string }{{"Source", actionSource}, {"Scan", actionScan}, {"Build", actionBuild}, {"Gate", actionGate}} {
		stages = append(stages, Stage{Name: s.name, Status: Waiting, Actions: []Action{{Name: s.name, Runner: s.runner, Status: Waiting}}})
	}
	return stages
}

// action finds an action by its name.
func (e *Execution) action(name string) *Action {
	for i := range e.Stages {
		for j := range e.Stages[i].Actions {
			if a := &e.Stages[i].Actions[j]; a.Name == name {
				return a
			}
		}
	}
	return nil
}

func scanRun(scan db.Scan) (e Execution, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return e, err
	}
	return e, json.Unmarshal(body, &e)
}

func find(tx *db.Tx, id string) (Execution, error) {
	e, err := db.One(tx, scanRun, "SELECT body FROM pipeline_runs WHERE id = ?", id)
	if errors.Is(err, fault.NotFound) {
		return e, fault.NotFound.Errorf("there is no run %q", id)
	}
	return e, err
}

func keep(tx *db.Tx, e Execution) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO pipeline_runs (id, pipeline, number, branch, status, created, logged, body) VALUES (?, ?, ?, ?, ?, ?, 0, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, body = excluded.body`,
		e.ID, e.Pipeline, e.Number, e.Branch, string(e.Status), e.Created.UnixMicro(), body)
	return err
}

// Execution is the run of that id.
func (p *Pipelines) Execution(ctx context.Context, id string) (e Execution, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		e, err = find(tx, id)
		return err
	})
	return e, err
}

// Query says which runs are asked for.
type Query struct {
	Pipeline string // "" for all
	Branch   string // "" for all; only with a Pipeline
	Status   Status // "" for all
	Before   string // id of the last one of the page before
	Limit    int    // 1 to 1,000; 0 for 50
}

// Executions are runs, the newest first.
func (p *Pipelines) Executions(ctx context.Context, q Query) (all []Execution, err error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	query, args := "SELECT body FROM pipeline_runs WHERE 1 = 1", []any{}
	add := func(condition string, values ...any) { query, args = query+" AND "+condition, append(args, values...) }
	if q.Pipeline != "" {
		add("pipeline = ?", q.Pipeline)
	}
	if q.Branch != "" {
		add("branch = ?", q.Branch)
	}
	if q.Status != "" {
		add("status = ?", string(q.Status))
	}
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		if q.Before != "" {
			before, err := find(tx, q.Before)
			if err != nil {
				return err
			}
			at := before.Created.UnixMicro()
			add("(created < ? OR created = ? AND id < ?)", at, at, before.ID)
		}
		all, err = db.All(tx, scanRun, query+" ORDER BY created DESC, id DESC LIMIT ?", append(slices.Clone(args), min(max(q.Limit, 1), 1000))...)
		return err
	})
	return all, err
}
