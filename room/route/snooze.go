package route

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Snooze keeps a target that people read from being told of things until a
// time. What is still so then is told of then.
type Snooze struct {
	Target string    `json:"target"`         // ARN
	Group  string    `json:"group,omitzero"` // of findings that belong together (Entry.Group); "" is everything
	Until  time.Time `json:"until"`
	By     string    `json:"by,omitzero"`
	Reason string    `json:"reason,omitzero"`
}

// PutSnooze begins a snooze, or changes when it ends.
func (r *Router) PutSnooze(ctx context.Context, s Snooze) error {
	if !s.Until.After(r.config.Now()) {
		return fault.Invalid.Errorf("the snooze ends before it begins")
	}
	return r.change(ctx, func(tx *db.Tx) error {
		t, err := r.table(tx)
		if err != nil {
			return err
		}
		if live := t.receivers[s.Target]; live == nil || !live.digest {
			return fault.NotFound.Errorf("there is no target %s that people read", s.Target)
		}
		body, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO route_snoozes (queue, grp, until, body) VALUES (?, ?, ?, ?) ON CONFLICT (queue, grp) DO UPDATE SET until = excluded.until, body = excluded.body",
			s.Target, s.Group, s.Until.UnixMicro(), body); err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE route_deliveries SET due = ? WHERE state = 0 AND queue = ? AND message = '' AND (grp = ? OR ? = '') AND due < ?",
			s.Until.UnixMicro(), s.Target, s.Group, s.Group, s.Until.UnixMicro())
		return err
	})
}

// EndSnooze ends a snooze: what it held back is told of now, except in quiet hours.
func (r *Router) EndSnooze(ctx context.Context, target, group string) error {
	return r.change(ctx, func(tx *db.Tx) error {
		now := r.config.Now()
		n, err := tx.Exec("DELETE FROM route_snoozes WHERE queue = ? AND grp = ?", target, group)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NotFound.Errorf("nothing is snoozed there")
		}
		t, err := r.table(tx)
		if err != nil {
			return err
		}
		due := now
		if live := t.receivers[target]; live != nil {
			due = live.pacing.Quiet.until(now)
		}
		tx.AfterCommit(r.wake)
		// Other snoozes of the same target still hold.
		_, err = tx.Exec(`UPDATE route_deliveries SET due = ? WHERE state = 0 AND queue = ? AND message = '' AND due > ? AND (grp = ? OR ? = '')
			AND NOT EXISTS (SELECT 1 FROM route_snoozes WHERE route_snoozes.queue = route_deliveries.queue AND route_snoozes.grp IN ('', route_deliveries.grp) AND route_snoozes.until > ?)`,
			due.UnixMicro(), target, due.UnixMicro(), group, group, now.UnixMicro())
		return err
	})
}

// Snoozes lists the snoozes that have not ended.
func (r *Router) Snoozes(ctx context.Context) (list []Snooze, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanJSON[Snooze], "SELECT body FROM route_snoozes WHERE until > ? ORDER BY until, queue, grp", r.config.Now().UnixMicro())
		return err
	})
	return list, err
}
