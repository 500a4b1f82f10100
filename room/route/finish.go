package route

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// outcome is what became of one delivery.
type outcome struct {
	rows    []row
	message string // of the rows, or ""
	retry   *RetryPolicy
	err     error
}

// wait is how long the receiver wants to be left alone.
func (o *outcome) wait() time.Duration {
	var refusal *Refusal
	if errors.As(o.err, &refusal) {
		return refusal.After
	}
	return 0
}

func (o *outcome) status() int {
	var refusal *Refusal
	switch {
	case o.err == nil:
		return 200
	case errors.As(o.err, &refusal):
		return refusal.Status
	}
	return 0
}

// down is whether the receiver did not answer as one that is up would.
func (o *outcome) down() bool { return o.err != nil && !fault.Permanent(o.err) }

// rest leaves a target alone for a while if it was down for all that was
// tried, and gives up what is too old meanwhile without trying each.
func (r *Router) rest(ctx context.Context, l lease, failed bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var was queueRow
	err := r.db.Read(ctx, func(tx *db.Tx) (err error) {
		was, err = db.One(tx, scanQueue, selectQueue+" WHERE name = ?", l.queue)
		return err
	})
	if err != nil || !failed && was.pace.Down == 0 {
		return err
	}
	now := r.config.Now()
	pace, wait := was.pace.rest(failed, chance())
	body, err := json.Marshal(pace)
	if err != nil {
		return err
	}
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := l.held(tx); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE route_queues SET body = ?, pause = ? WHERE name = ?", body, later(now.Add(wait), was.pause).UnixMicro(), l.queue); err != nil || !failed {
			return err
		}
		_, err := tx.Exec("UPDATE route_deliveries SET state = 3, finished = ?, answer = ? WHERE state = 0 AND queue = ? AND message = '' AND expires < ?",
			now.UnixMicro(), exhaustedAge+": the target was down all the time", l.queue, now.UnixMicro())
		return err
	})
}

// finish writes down what became of deliveries.
func (r *Router) finish(ctx context.Context, l lease, live *liveReceiver, outs []outcome) error {
	// What a receiver has taken is written down even when we are about to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := l.held(tx); err != nil {
			return err
		}
		for _, o := range outs {
			if err := r.finishOne(tx, l, live, o); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Router) finishOne(tx *db.Tx, l lease, live *liveReceiver, o outcome) error {
	now := r.config.Now()
	which, arg := "id = ?", o.rows[0].id
	if o.message != "" {
		which, arg = "message = ?", o.message
	}
	if o.err == nil {
		// Findings that were told of are marked next; all else is done.
		if _, err := tx.Exec("UPDATE route_told SET state = 1 WHERE state = 0 AND delivery IN (SELECT id FROM route_deliveries WHERE state = 0 AND "+which+")", arg); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE route_deliveries SET state = CASE WHEN EXISTS (SELECT 1 FROM route_told WHERE route_told.delivery = route_deliveries.id) THEN 1 ELSE 2 END,
			attempts = attempts + 1, finished = ?, due = ?, status = 200, answer = '', body = ? WHERE state = 0 AND `+which, now.UnixMicro(), now.UnixMicro(), []byte{}, arg)
		return err
	}
	answer := mask(o.err, live)
	attempts := o.rows[0].attempts + 1
	r.config.Log.Info("a delivery was not taken", "queue", l.queue, "delivery", arg, "attempt", attempts, "error", answer)
	if wait := o.wait(); wait > 0 {
		if _, err := tx.Exec("UPDATE route_queues SET pause = ? WHERE name = ?", now.Add(wait).UnixMicro(), l.queue); err != nil {
			return err
		}
	}
	exhausted := ""
	if !fault.Permanent(o.err) {
		var at time.Time
		if at, exhausted = o.retry.again(now, o.rows[0].begun, attempts, o.wait(), chance()); exhausted == "" {
			_, err := tx.Exec("UPDATE route_deliveries SET attempts = attempts + 1, due = ?, status = ?, answer = ? WHERE state = 0 AND "+which, at.UnixMicro(), o.status(), answer, arg)
			return err
		}
	}
	if exhausted != "" {
		answer = exhausted + ": " + answer
	}
	// What was not told of may be told of again when there is news of it.
	if _, err := tx.Exec("DELETE FROM route_told WHERE state = 0 AND delivery IN (SELECT id FROM route_deliveries WHERE state = 0 AND "+which+")", arg); err != nil {
		return err
	}
	_, err := tx.Exec("UPDATE route_deliveries SET state = 3, attempts = attempts + 1, finished = ?, status = ?, answer = ? WHERE state = 0 AND "+which, now.UnixMicro(), o.status(), answer, arg)
	return err
}

// marks is n placeholders.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }
