package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// trigger starts a run for every branch that came or moved. It shares the
// transaction of the bus's cursor: one event, one run.
func (p *Pipelines) trigger(tx *db.Tx, e event.Event) error {
	if e.Type != source.Moved || e.Source != source.EventSource {
		return nil
	}
	var d source.Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	if d.ReferenceType != "branch" || d.Event == source.Deleted {
		return nil
	}
	if _, err := find(tx, e.ID); !errors.Is(err, fault.NotFound) {
		return err // an event that is told again has its run already
	}
	_, err := p.begin(tx, Execution{
		ID: e.ID, Pipeline: d.RepositoryName, Repository: d.RepositoryName, Branch: d.ReferenceName,
		Commit: d.CommitID, Before: d.OldCommitID, Who: d.CallerUserARN,
	})
	return err
}

// forget tells the hub of branches that are gone: what was seen only there is
// seen no more.
func (p *Pipelines) forget(ctx context.Context, e event.Event) error {
	if e.Type != source.Moved || e.Source != source.EventSource {
		return nil
	}
	var d source.Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	if d.ReferenceType != "branch" || d.Event != source.Deleted {
		return nil
	}
	_, err := p.config.Source.Ref(ctx, d.RepositoryName, d.ReferenceFullName)
	if !errors.Is(err, fault.NotFound) {
		return err // it is back
	}
	if p.config.Components != nil {
		if err := p.config.Components.Forget(ctx, d.RepositoryName, d.ReferenceName); err != nil {
			return err
		}
	}
	_, err = p.config.Hub.Forget(ctx, d.RepositoryName, d.ReferenceName, "pipeline")
	return err
}

// Start starts a run by hand, of a commit or of where the branch is.
func (p *Pipelines) Start(ctx context.Context, repository, branch, commit, who string) (e Execution, err error) {
	branch = strings.TrimPrefix(branch, "refs/heads/")
	r, err := p.config.Source.Repository(ctx, repository)
	if err != nil {
		return e, err
	}
	if branch == "" {
		branch = r.DefaultBranch
	}
	head, err := p.config.Source.Ref(ctx, repository, "refs/heads/"+branch)
	if err != nil {
		return e, err
	}
	if commit == "" {
		commit = head
	}
	if err := p.belongs(ctx, repository, commit, head); err != nil {
		return e, err
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		e, err = p.begin(tx, Execution{Pipeline: repository, Repository: repository, Branch: branch, Commit: commit, Who: who})
		return err
	})
	return e, err
}

// belongs refuses a commit that is not the branch's: its result would count as the branch's.
func (p *Pipelines) belongs(ctx context.Context, repository, commit, head string) error {
	if !git.ValidID(commit) {
		return fault.Invalid.Errorf("%q is no full name of a commit", commit)
	}
	repo, err := p.config.Source.Git(repository)
	if err != nil {
		return err
	}
	if _, err := repo.Commit(ctx, commit); err != nil {
		return err
	}
	ok, err := repo.IsAncestor(ctx, commit, head)
	if err == nil && !ok {
		err = fault.Invalid.Errorf("commit %s is not on that branch", commit)
	}
	return err
}

// Stop asks a run to end; what is at work is cut off.
func (p *Pipelines) Stop(ctx context.Context, id string) error {
	return p.db.Write(ctx, func(tx *db.Tx) error { return p.stop(tx, id) })
}

// Retry runs again what of a run did not succeed, with what is known now.
func (p *Pipelines) Retry(ctx context.Context, id string) (e Execution, err error) {
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if e, err = find(tx, id); err != nil {
			return err
		}
		if e.Status != Failed && e.Status != Stopped {
			return fault.Conflict.Errorf("run %d of %s is %s: only one that failed or was stopped can be tried again", e.Number, e.Pipeline, e.Status)
		}
		later, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND number > ?", e.Pipeline, e.Branch, e.Number)
		if err != nil {
			return err
		}
		if later > 0 {
			return fault.Conflict.Errorf("branch %s has a later run: what this one found is out of date", e.Branch)
		}
		e.again()
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

// again sets back what did not succeed. What is scanned is scanned again
// whenever the gate is asked again: people may have decided, advisories may be newer.
func (e *Execution) again() {
	e.Attempt++
	e.Status, e.Reasons, e.Ended = Waiting, nil, time.Time{}
	for i := range e.Stages {
		s := &e.Stages[i]
		for j := range s.Actions {
			a := &s.Actions[j]
			if a.Status == Skipped || a.Status == Succeeded && a.Runner != actionScan {
				continue
			}
			*a = Action{Name: a.Name, Runner: a.Runner, Status: Waiting}
			s.Status = Waiting
		}
	}
}

// tidy drops logs and results of scans that are older than they are kept.
func (p *Pipelines) tidy(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
		old := p.config.Now().Add(-p.config.Kept).UnixMicro()
		err := p.db.Write(ctx, func(tx *db.Tx) error {
			for _, table := range []string{"pipeline_outputs", "pipeline_seen"} {
				if _, err := tx.Exec("DELETE FROM "+table+" WHERE at < ?", old); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			p.config.Log.Error("dropping old logs", "err", err)
		}
	}
}
