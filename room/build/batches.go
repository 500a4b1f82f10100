package build

import (
	"context"
	"fmt"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// StartBatch begins a batch: what its buildspec says of one is read first.
func (b *Builds) StartBatch(ctx context.Context, s Start, config *BatchConfig) (t Batch, err error) {
	made, err := b.plan(ctx, s)
	if err != nil {
		return t, err
	}
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if id, ok, err := b.askedBatch(tx, s.Token); err != nil || ok {
			if err == nil {
				t, err = findBatch(tx, id)
			}
			return err
		}
		p, err := b.project(tx, made.Project, true)
		if err != nil {
			return err
		}
		if config == nil {
			config = p.Batch
		}
		r := &refused{}
		if config.check(r); r.err != nil {
			return r.err
		}
		if t, err = b.beginBatch(tx, made, config); err != nil {
			return err
		}
		return b.remember(tx, s.Token, t.ID)
	})
	return t, err
}

func (b *Builds) askedBatch(tx *db.Tx, token string) (string, bool, error) {
	if token == "" {
		return "", false, nil
	}
	ids, err := db.All(tx, db.Value[string], "SELECT id FROM build_asked WHERE token = ? AND at > ?", token, b.config.Now().Add(-sameFor).UnixMicro())
	if err != nil || len(ids) == 0 {
		return "", false, err
	}
	return ids[0], true, nil
}

// beginBatch writes a new batch down and has its buildspec read.
func (b *Builds) beginBatch(tx *db.Tx, made Build, config *BatchConfig) (t Batch, err error) {
	number, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM build_batches WHERE project = ?", made.Project)
	if err != nil {
		return t, err
	}
	now := b.config.Now().UTC()
	t = Batch{
		ID: made.Project + ":" + bus.ID(), Number: number, Started: now, Status: InProgress, SourceVersion: made.SourceVersion, ResolvedVersion: made.ResolvedVersion,
		Project: made.Project, Source: made.Source, SecondarySources: made.SecondarySources, SecondaryVersions: made.SecondaryVersions, Cache: made.Cache,
		Environment: made.Environment, ServiceRole: made.ServiceRole, Timeout: made.Timeout, QueuedTimeout: made.QueuedTimeout, Initiator: made.Initiator, Config: config,
		Facts: &BatchFacts{Build: made},
	}
	t.ARN = b.ARN("build-batch/" + t.ID)
	t.enter(Submitted, now)
	t.enter(downloadBatchspec, now)
	if err := askedBy(tx, made.Facts, t.ID); err != nil {
		return t, err
	}
	if err := keepBatch(tx, t); err != nil {
		return t, err
	}
	if err := b.tellBatch(tx, t); err != nil {
		return t, err
	}
	return t, b.config.Work.Add(tx, work.Job{ID: jobOfBatch(t), Kind: kindBatch, Body: []byte(t.ID)})
}

// doBatch does what a batch needs a worker for: reads its buildspec, or combines what it made.
func (b *Builds) doBatch(ctx context.Context, l work.Lease) error {
	t, err := b.Batch(ctx, string(l.Body))
	if err != nil {
		return err
	}
	switch {
	case t.Status.Ended() || jobOfBatch(t) != l.ID: // stopped meanwhile
		return b.db.Write(ctx, func(tx *db.Tx) error { return b.config.Work.Done(tx, l) })
	case t.Phase == downloadBatchspec:
		return b.expand(ctx, l, t)
	case t.Phase == combineArtifacts:
		return b.combine(ctx, l, t)
	}
	return fmt.Errorf("the batch %s is in phase %s, and no worker is for that", t.ID, t.Phase)
}

// expand reads what builds a batch has, and begins the first of them.
func (b *Builds) expand(ctx context.Context, l work.Lease, t Batch) error {
	spec, _, err := b.specOf(ctx, &t.Facts.Build)
	reason := mistake(err)
	if err != nil && reason == nil {
		return err
	}
	if reason == nil && spec.Batch == nil {
		reason = &Reason{Code: "BATCH_YAML_ERROR", Text: "the buildspec says nothing of a batch", Where: b.specName(&t.Facts.Build), Do: "write batch: with build-list, build-graph, build-matrix or build-fanout"}
	}
	if reason == nil {
		reason = t.restricted(spec.Batch)
	}
	return b.endJob(ctx, l, func(tx *db.Tx) error {
		now := b.config.Now().UTC()
		t, err := findBatch(tx, t.ID)
		if err != nil || t.Status.Ended() {
			return err
		}
		if reason != nil {
			t.Facts.Reason = reason
			t.end(Failed, now)
			if err := b.tellBatch(tx, t); err != nil {
				return err
			}
			return keepBatch(tx, t)
		}
		t.take(spec.Batch)
		t.enter(string(InProgress), now)
		if err := keepBatch(tx, t); err != nil {
			return err
		}
		return b.advanceBatch(tx, t.ID)
	})
}

// take makes the groups of a batch of what its buildspec says.
func (t *Batch) take(spec *buildspec.Batch) {
	t.Facts.FastFail, t.Facts.Members, t.Groups = spec.FastFail, map[string]Member{}, nil
	for _, m := range spec.Builds {
		t.Groups = append(t.Groups, Group{Identifier: m.Identifier, DependsOn: m.DependOn, IgnoreFailure: m.IgnoreFailure})
		own := Member{Buildspec: m.Buildspec, Image: m.Env.Image, Compute: m.Env.Compute, Fleet: m.Env.Fleet, Variables: m.Env.Variables}
		if m.Shards > 0 {
			own.Fanout = &FanoutShare{m.Shard, m.Shards}
		}
		t.Facts.Members[m.Identifier] = own
	}
}

// restricted is what of a batch is not allowed.
func (t *Batch) restricted(spec *buildspec.Batch) *Reason {
	no := func(format string, a ...any) *Reason {
		return &Reason{Code: "BATCH_RESTRICTION", Text: fmt.Sprintf(format, a...), Where: "batch", Do: "make the batch smaller, or change the project's buildBatchConfig"}
	}
	most, types, fleets := maxBatch, []string(nil), []string(nil)
	if c := t.Config; c != nil && c.Restrictions != nil {
		if c.Restrictions.MaximumBuilds > 0 {
			most = c.Restrictions.MaximumBuilds
		}
		types, fleets = c.Restrictions.ComputeTypes, c.Restrictions.Fleets
	}
	if len(spec.Builds) > most {
		return no("the batch has %d builds, and may have %d", len(spec.Builds), most)
	}
	for _, m := range spec.Builds {
		e := Environment{Type: m.Env.Type, Image: m.Env.Image, ComputeType: m.Env.Compute, Privileged: &m.Env.Privileged}
		if e.Type == "" {
			e.Type = t.Environment.Type
		}
		if e.Image == "" {
			e.Image = t.Environment.Image
		}
		if e.ComputeType == "" {
			e.ComputeType = t.Environment.ComputeType
		}
		r := &refused{}
		if e.check(r); r.err != nil {
			return no("build %s: %v", m.Identifier, r.err)
		}
		if len(types) > 0 && !contains(types, e.ComputeType) {
			return no("build %s wants a machine of type %s, and the project allows %s", m.Identifier, e.ComputeType, joined(types, 5))
		}
		if m.Env.Fleet != "" && !contains(fleets, m.Env.Fleet) {
			return no("build %s names the fleet %s, which the project's buildBatchConfig does not allow", m.Identifier, m.Env.Fleet)
		}
	}
	return nil
}

func contains(list []string, one string) bool {
	for _, l := range list {
		if l == one {
			return true
		}
	}
	return false
}

// StopBatch ends a batch and all its builds.
func (b *Builds) StopBatch(ctx context.Context, id string) (t Batch, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if t, err = findBatch(tx, id); err != nil {
			return err
		}
		if t.Status.Ended() {
			return fault.Invalid.Errorf("the batch %s has ended: it is %s", t.ID, t.Status)
		}
		if err := b.stopBatch(tx, t, ""); err != nil {
			return err
		}
		t, err = findBatch(tx, t.ID)
		return err
	})
	return t, err
}

func (b *Builds) stopBatch(tx *db.Tx, t Batch, reason string) error {
	t.Facts.Stopping = true
	if reason != "" {
		t.Facts.Reason = &Reason{Code: "STOPPED", Text: reason}
	}
	if t.Phase == string(InProgress) {
		if err := keepBatch(tx, t); err != nil {
			return err
		}
		return b.advanceBatch(tx, t.ID)
	}
	if err := b.config.Work.Cancel(tx, jobOfBatch(t)); err != nil {
		return err
	}
	t.end(Stopped, b.config.Now().UTC())
	if err := b.tellBatch(tx, t); err != nil {
		return err
	}
	return keepBatch(tx, t)
}

// RetryBatch begins those builds of a batch anew that failed, or all.
func (b *Builds) RetryBatch(ctx context.Context, id, token string, all bool) (t Batch, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if same, ok, err := b.askedBatch(tx, token); err != nil || ok {
			if err == nil {
				t, err = findBatch(tx, same)
			}
			return err
		}
		if t, err = findBatch(tx, id); err != nil {
			return err
		}
		switch {
		case !t.Status.Ended():
			return fault.Invalid.Errorf("the batch %s is under way", t.ID)
		case t.Status == Succeeded && !all:
			return fault.Invalid.Errorf("nothing of the batch %s failed", t.ID)
		case t.Facts.Build.Facts.Action != "":
			return fault.Invalid.Errorf("the batch %s was asked for by a pipeline: retry its stage", t.ID)
		}
		t.again(all, b.config.Now().UTC())
		if err := b.tellBatch(tx, t); err != nil {
			return err
		}
		if err := keepBatch(tx, t); err != nil {
			return err
		}
		if len(t.Groups) == 0 {
			err = b.config.Work.Add(tx, work.Job{ID: jobOfBatch(t), Kind: kindBatch, Body: []byte(t.ID)})
		} else {
			err = b.advanceBatch(tx, t.ID)
		}
		if err != nil {
			return err
		}
		if err := b.remember(tx, token, t.ID); err != nil {
			return err
		}
		t, err = findBatch(tx, t.ID)
		return err
	})
	return t, err
}

// again makes a batch that has ended one that is under way.
func (t *Batch) again(all bool, now time.Time) {
	t.Status, t.Complete, t.Ended, t.Phases = InProgress, false, time.Time{}, nil
	t.Artifacts, t.Facts.Made, t.Facts.Reason, t.Facts.Stopping = nil, nil, nil, false
	t.Facts.Tries++
	t.enter(Submitted, now)
	if len(t.Groups) == 0 {
		t.enter(downloadBatchspec, now)
		return
	}
	t.enter(string(InProgress), now)
	for i := range t.Groups {
		g := &t.Groups[i]
		if g.Current != nil && (all || g.Current.Status != Succeeded) {
			g.Prior = append(g.Prior, *g.Current)
			g.Current = nil
		}
	}
}

// Batch is the batch of an id or an ARN.
func (b *Builds) Batch(ctx context.Context, id string) (t Batch, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error { t, err = findBatch(tx, id); return err })
	return t, err
}

// DeleteBatch forgets a batch that has ended, and its builds.
func (b *Builds) DeleteBatch(ctx context.Context, id string) (deleted []string, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		t, err := findBatch(tx, id)
		if err != nil {
			return err
		}
		if !t.Status.Ended() {
			return fault.Invalid.Errorf("the batch %s is under way: stop it first", t.ID)
		}
		ids, err := db.All(tx, db.Value[string], "SELECT id FROM build_builds WHERE batch = ? ORDER BY created, id", t.ID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			made, err := find(tx, id)
			if err != nil {
				return err
			}
			if err := b.forget(tx, made); err != nil {
				return err
			}
			deleted = append(deleted, made.ARN)
		}
		_, err = tx.Exec("DELETE FROM build_batches WHERE id = ?", t.ID)
		return err
	})
	return deleted, err
}
