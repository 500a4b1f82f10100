package pipeline

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/base/db"
)

// clock looks after what is due: deadlines, windows that open, schedules, until ctx ends. What is due stands in
// the database, so that a server that was down when it was catches up.
func (p *Pipelines) clock(ctx context.Context) error {
	for ctx.Err() == nil {
		news := p.waiting()
		next, err := p.tick(ctx)
		if err != nil && ctx.Err() == nil {
			p.config.Log.Error("looking for what is due", "err", err)
		}
		wait := time.Minute // other nodes may have changed something
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(p.config.Now()), 10*time.Millisecond))
		}
		if err != nil {
			wait = min(max(wait, time.Second), time.Second)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-news:
			if next, soon := p.earliest(ctx); soon == nil && !next.IsZero() && next.Sub(p.config.Now()) < wait {
				continue
			}
			select { // most changes make nothing due
			case <-ctx.Done():
			case <-time.After(min(wait, time.Second)):
			}
		}
	}
	return nil
}

// tick does what is due by now, and says when something is due next.
func (p *Pipelines) tick(ctx context.Context) (next time.Time, err error) {
	now := p.config.Now()
	var due []string
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		due, err = db.All(tx, db.Value[string], "SELECT id FROM pipeline_runs WHERE due > 0 AND due <= ? ORDER BY due, id LIMIT 100", now.UnixMicro())
		return err
	})
	if err != nil {
		return next, err
	}
	for _, id := range due {
		if err := p.db.Write(ctx, func(tx *db.Tx) error { return p.advance(tx, id) }); err != nil {
			return next, err
		}
	}
	if err := p.schedules(ctx); err != nil {
		return next, err
	}
	return p.earliest(ctx)
}

// earliest is when something is due next, or the zero time.
func (p *Pipelines) earliest(ctx context.Context) (next time.Time, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		for _, query := range []string{"SELECT COALESCE(MIN(due), 0) FROM pipeline_runs WHERE due > 0", "SELECT COALESCE(MIN(next), 0) FROM pipeline_definitions WHERE next > 0"} {
			at, err := db.One(tx, db.Value[int64], query)
			if err != nil {
				return err
			}
			if t := time.UnixMicro(at); at > 0 && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
		return nil
	})
	return next, err
}

// tidy drops what is older than it is kept.
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
			if _, err := tx.Exec("DELETE FROM pipeline_begun WHERE run IN (SELECT id FROM pipeline_runs WHERE created < ?)", old); err != nil {
				return err
			}
			_, err := tx.Exec("DELETE FROM pipeline_tokens WHERE at < ?", p.config.Now().Add(-tokenKept).UnixMicro())
			return err
		})
		if err != nil && ctx.Err() == nil {
			p.config.Log.Error("dropping what is old", "err", err)
		}
	}
}
