package build

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Build is the build of an id or an ARN.
func (b *Builds) Build(ctx context.Context, id string) (made Build, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error { made, err = find(tx, id); return err })
	return made, err
}

// Query says which builds or batches are asked for.
type Query struct {
	Project   string // "" for all
	Status    Status // "" for all
	Batch     string // id; "" for all
	After     string // id of the last one of the page before
	Ascending bool   // the oldest first
	Limit     int    // 1 to 1,000; 0 for 100
}

// Builds are builds, the newest first.
func (b *Builds) Builds(ctx context.Context, q Query) (all []Build, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		query, args, err := q.say(tx, "build_builds")
		if err != nil {
			return err
		}
		all, err = db.All(tx, scanBuild, query, args...)
		return err
	})
	return all, err
}

// Batches are batches, the newest first.
func (b *Builds) Batches(ctx context.Context, q Query) (all []Batch, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		query, args, err := q.say(tx, "build_batches")
		if err != nil {
			return err
		}
		all, err = db.All(tx, scanBatch, query, args...)
		return err
	})
	return all, err
}

// say is the query in SQL, of one of the two tables.
func (q Query) say(tx *db.Tx, table string) (string, []any, error) {
	query, args := "SELECT body FROM "+table+" WHERE 1 = 1", []any{}
	add := func(condition string, values ...any) { query, args = query+" AND "+condition, append(args, values...) }
	if q.Project != "" {
		add("project = ?", q.Project)
	}
	if q.Status != "" {
		add("status = ?", string(q.Status))
	}
	if q.Batch != "" {
		add("batch = ?", q.Batch)
	}
	order, than := "DESC", "<"
	if q.Ascending {
		order, than = "ASC", ">"
	}
	if q.After != "" {
		at, err := db.One(tx, db.Value[int64], "SELECT created FROM "+table+" WHERE id = ?", q.After)
		if err != nil {
			return "", nil, fault.Invalid.Errorf("the token for the next page is of a list that is no more: begin anew")
		}
		add(fmt.Sprintf("(created %s ? OR created = ? AND id %s ?)", than, than), at, at, q.After)
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	return query + " ORDER BY created " + order + ", id " + order + " LIMIT ?", append(args, min(max(limit, 1), 1000)), nil
}

// Delete forgets builds that have ended; it answers the ARNs of those, and why others stay.
func (b *Builds) Delete(ctx context.Context, ids ...string) (deleted []string, kept map[string]string, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		deleted, kept = nil, map[string]string{}
		for _, id := range ids {
			made, err := find(tx, id)
			switch {
			case fault.Of(err) == fault.NotFound:
				kept[id] = "INVALID_BUILD_ID"
			case err != nil:
				return err
			case !made.Status.Ended():
				kept[id] = "BUILD_IN_PROGRESS"
			default:
				if err := b.forget(tx, made); err != nil {
					return err
				}
				deleted = append(deleted, made.ARN)
			}
		}
		return nil
	})
	return deleted, kept, err
}

// forget removes what is kept of a build, but for its reports, which end by themselves.
func (b *Builds) forget(tx *db.Tx, made Build) error {
	for _, query := range []string{"DELETE FROM build_builds WHERE id = ?", "DELETE FROM build_files WHERE build = ?", "DELETE FROM build_actions WHERE build = ?"} {
		if _, err := tx.Exec(query, made.ID); err != nil {
			return err
		}
	}
	return b.config.Work.Forget(tx, "build/"+uuidOf(made.ID))
}

// Stop ends a build that is under way.
func (b *Builds) Stop(ctx context.Context, id string) (made Build, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if made, err = find(tx, id); err != nil {
			return err
		}
		if made.Status.Ended() {
			return fault.Invalid.Errorf("the build %s has ended: it is %s", made.ID, made.Status)
		}
		made, err = b.stop(tx, id, "")
		return err
	})
	return made, err
}

// stop ends a build, if it has not ended. Whoever is at work on it finds its lease lost.
func (b *Builds) stop(tx *db.Tx, id, reason string) (Build, error) {
	made, err := find(tx, id)
	if err != nil || made.Status.Ended() {
		return made, err
	}
	if reason == "" {
		reason = "somebody stopped it"
	}
	return b.cut(tx, made, Stopped, Reason{Code: "STOPPED", Text: reason})
}

// cut ends a build from outside: its job is taken away from whoever has it.
func (b *Builds) cut(tx *db.Tx, made Build, how Status, why Reason) (Build, error) {
	if err := b.config.Work.Cancel(tx, jobOf(made.ID)); err != nil {
		return made, err
	}
	if err := b.config.Work.End(tx, made.Stream()); err != nil {
		return made, err
	}
	made.Facts.Reason = &why
	return b.end(tx, made, how, Context{why.Code, why.Text})
}

// end ends a build, in the phase that it is in, and tells of it.
func (b *Builds) end(tx *db.Tx, made Build, how Status, why ...Context) (Build, error) {
	now := b.config.Now().UTC()
	for _, query := range []string{"DELETE FROM build_brought WHERE build = ?", "DELETE FROM build_leases WHERE build = ?"} { // what of it counts is written down
		if _, err := tx.Exec(query, made.ID); err != nil {
			return made, err
		}
	}
	made.leave(how, now, why...)
	made.enter(Completed, now)
	made.Status, made.Ended, made.Complete = how, now, true
	made.Facts.Critical = made.critical()
	if how == Failed && made.AutoRetry != nil && made.AutoRetry.Number < made.AutoRetry.Limit && made.Facts.Action == "" && made.Facts.Batch == "" {
		next := again(made)
		next.AutoRetry = &AutoRetry{Limit: made.AutoRetry.Limit, Number: made.AutoRetry.Number + 1, Previous: made.ARN}
		next, err := b.begin(tx, next)
		if err != nil {
			return made, err
		}
		made.AutoRetry.Next = next.ARN
	}
	if err := b.tellNew(tx, &made); err != nil {
		return made, err
	}
	if err := keep(tx, made, time.Time{}); err != nil {
		return made, err
	}
	if err := b.tellState(tx, made); err != nil {
		return made, err
	}
	if made.Facts.Batch == "" {
		return made, nil
	}
	return made, b.advanceBatch(tx, made.Facts.Batch)
}

// watch ends builds that waited or ran too long, and batches that did.
func (b *Builds) watch(ctx context.Context) error {
	for {
		if err := b.overdue(ctx); err != nil && ctx.Err() == nil {
			b.config.Log.Error("looking for builds that take too long", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(b.config.Poll):
		}
	}
}

func (b *Builds) overdue(ctx context.Context) error {
	now := b.config.Now()
	var late, batches []string
	if err := b.db.Read(ctx, func(tx *db.Tx) (err error) {
		if late, err = db.All(tx, db.Value[string], "SELECT id FROM build_builds WHERE status = ? AND due > 0 AND due < ? LIMIT 100", string(InProgress), now.UnixMicro()); err != nil {
			return err
		}
		batches, err = db.All(tx, db.Value[string], "SELECT id FROM build_batches WHERE status = ? AND due > 0 AND due < ? LIMIT 100", string(InProgress), now.UnixMicro())
		return err
	}); err != nil {
		return err
	}
	for _, id := range late {
		if err := b.db.Write(ctx, func(tx *db.Tx) error {
			made, err := find(tx, id)
			if err != nil || made.Status.Ended() {
				return err
			}
			why := Reason{Code: "BUILD_TIMED_OUT", Text: fmt.Sprintf("the build took longer than %d minutes", made.Timeout), Do: "make it faster, or raise the project's timeout"}
			if made.Phase == Queued {
				why = Reason{Code: "BUILD_TIMED_OUT", Text: fmt.Sprintf("nobody took the build within %d minutes", made.QueuedTimeout), Do: "see whether workers or runners are there"}
			}
			_, err = b.cut(tx, made, TimedOut, why)
			return err
		}); err != nil {
			return err
		}
	}
	for _, id := range batches {
		if err := b.db.Write(ctx, func(tx *db.Tx) error {
			t, err := findBatch(tx, id)
			if err != nil || t.Status.Ended() {
				return err
			}
			return b.stopBatch(tx, t, "the batch took longer than its timeout")
		}); err != nil {
			return err
		}
	}
	return nil
}

// logsOf says where a build's log is to be found: under which names aws logs has it, and where the console shows
// it. What the build was planned with says where the project wants it, or the pipeline.
func (b *Builds) logsOf(made Build) *LogsLocation {
	l := &LogsLocation{CloudWatch: &CloudWatchLogs{Status: "ENABLED"}}
	if made.Logs != nil {
		*l = *made.Logs
	}
	own := uuidOf(made.ID)
	if l.CloudWatch.Stream != "" { // a prefix, to CodeBuild
		own = l.CloudWatch.Stream + "/" + own
	}
	l.Group, l.Stream = cmp.Or(l.Group, l.CloudWatch.Group, "/aws/codebuild/"+made.Project), cmp.Or(l.Stream, own)
	l.ARN = fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s:log-stream:%s", b.config.Region, b.config.Account, l.Group, l.Stream)
	l.DeepLink = b.config.Page(Path(made.ID))
	return l
}

// logsAsked is where a project wants the logs of its builds.
func logsAsked(p Project) *LogsLocation {
	if p.Logs == nil || p.Logs.CloudWatch == nil {
		return nil
	}
	return &LogsLocation{CloudWatch: &CloudWatchLogs{Status: "ENABLED", Group: p.Logs.CloudWatch.Group, Stream: p.Logs.CloudWatch.Stream}}
}

// Initiators of builds that nobody started by hand.
const webhookInitiator = "haechi/webhook"

// newID is an id that nothing has yet.
func newID() string { return bus.ID() }

// sorted is a list in order, each once.
func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// ByUUID is the build of that id, which is given without its project.
func (b *Builds) ByUUID(ctx context.Context, uuid string) (made Build, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		made, err = db.One(tx, scanBuild, "SELECT body FROM build_builds WHERE uuid = ?", uuid)
		if fault.Of(err) == fault.NotFound {
			err = fault.NotFound.Errorf("there is no build %.100q", uuid)
		}
		return err
	})
	return made, err
}
