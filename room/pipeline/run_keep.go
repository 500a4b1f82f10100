package pipeline

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

func scanRun(scan db.Scan) (e Execution, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return e, err
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, err
	}
	e.kept = body
	return upgraded(e), nil
}

// upgraded is a run that was kept before pipelines could be defined, in today's words.
func upgraded(e Execution) Execution {
	if e.Mode != "" {
		return e
	}
	def := stages(Default(e.Repository))
	e.Mode, e.Kind, e.Version, e.Origin = structure.Queued, Standard, 1, FromNothing
	e.Gated = e.Status == Succeeded
	if len(e.Stages) > 0 && e.Stages[0].Status == Succeeded {
		e.Artifacts = []Artifact{{Name: "Source", Stage: "Source", Action: "Source", Repository: e.Repository, Branch: e.Branch, Commit: e.Commit}}
	}
	for i := range e.Stages {
		for j := range e.Stages[i].Actions {
			a := &e.Stages[i].Actions[j]
			for _, s := range def {
				if s.Name == e.Stages[i].Name && a.Type.Provider == "" {
					made := s.Actions[0]
					made.Status, made.Started, made.Ended, made.Summary, made.Phases, made.Attempt = a.Status, a.Started, a.Ended, a.Summary, a.Phases, 1
					made.ID = derived(e.ID, s.Name, a.Name, "1")
					*a = made
				}
			}
		}
	}
	return e
}

func find(tx *db.Tx, id string) (Execution, error) {
	e, err := db.One(tx, scanRun, "SELECT body FROM pipeline_runs WHERE id = ?", id)
	if errors.Is(err, fault.NotFound) {
		return e, fault.NotFound.Errorf("there is no run %q", id)
	}
	return e, err
}

// keep writes a run down, if anything of it has changed since it was read.
func keep(tx *db.Tx, e Execution) error {
	body, err := json.Marshal(e, json.Deterministic(true))
	if err != nil || bytes.Equal(body, e.kept) {
		return err
	}
	due := int64(0)
	if at := e.due(); !at.IsZero() {
		due = at.UnixMicro()
	}
	gated := 0
	if e.Gated && e.Status == Succeeded {
		gated = 1
	}
	_, err = tx.Exec(`INSERT INTO pipeline_runs (id, pipeline, number, branch, status, created, logged, due, gated, body) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET branch = excluded.branch, status = excluded.status, due = excluded.due, gated = excluded.gated, body = excluded.body`,
		e.ID, e.Pipeline, e.Number, e.Branch, string(e.Status), e.Created.UnixMicro(), due, gated, body)
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
