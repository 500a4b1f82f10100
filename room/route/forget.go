package route

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/base/db"
)

// forget lets go of what is older than it is kept: finished deliveries, dead
// letters, archived events, ended replays, threads and snoozes.
func (r *Router) forget(ctx context.Context) (more bool, err error) {
	now := r.config.Now()
	old := now.Add(-r.config.Kept).UnixMicro()
	var archives []Archive
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		archives, err = db.All(tx, scanJSON[Archive], "SELECT body FROM route_archives")
		return err
	})
	if err != nil {
		return false, err
	}
	deletes := []deletion{
		{"route_deliveries", "id", "state IN (2, 3, 4) AND finished < ?", []any{old}},
		{"route_threads", "opened", "opened < ?", []any{old}},
		{"route_snoozes", "until", "until < ?", []any{now.UnixMicro()}},
		// A finding that nobody has spoken of for a year may be told of anew.
		{"route_told", "since", "since < ?", []any{now.AddDate(-1, 0, 0).UnixMicro()}},
	}
	for _, a := range archives {
		if a.Days > 0 {
			deletes = append(deletes, deletion{"route_archived", "time", "archive = ? AND time < ?", []any{a.Name, now.Add(-time.Duration(a.Days) * 24 * time.Hour).UnixMicro()}})
		}
	}
	for _, d := range deletes {
		n, err := d.do(ctx, r.db)
		if err != nil {
			return false, err
		}
		more = more || n >= sweep
	}
	return more, nil
}

// sweep is how many rows are deleted in one transaction, so that nobody waits for long.
const sweep = 5000

type deletion struct {
	table, key, where string
	args              []any
}

func (d deletion) do(ctx context.Context, database *db.DB) (n int64, err error) {
	err = database.Write(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec("DELETE FROM "+d.table+" WHERE "+d.where+" AND "+d.key+" IN (SELECT "+d.key+" FROM "+d.table+" WHERE "+d.where+" ORDER BY "+d.key+" LIMIT ?)",
			append(append(append([]any{}, d.args...), d.args...), sweep)...)
		return err
	})
	return n, err
}
