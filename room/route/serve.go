package route

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	together = 256              // deliveries of one queue that are taken at a time
	parallel = 8                // and that are on their way at once
	patience = 30 * time.Second // for one delivery
	gathered = 10000            // what one message tells of at most
)

// serve works on a queue until nothing of it is due.
func (r *Router) serve(ctx context.Context, queue string) {
	l, ok, err := r.acquire(ctx, queue)
	if err != nil || !ok {
		if err != nil && ctx.Err() == nil {
			r.config.Log.Warn("taking a queue", "queue", queue, "error", err)
			sleep(ctx, r.config.Poll, nil)
		}
		return
	}
	defer r.release(ctx, l)
	r.holding(ctx, l, func(ctx context.Context) {
		for first := true; ctx.Err() == nil; first = false {
			more, err := r.work(ctx, l)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, errLost) {
					r.config.Log.Warn("delivering", "queue", queue, "error", err)
					sleep(ctx, r.config.Poll, nil)
				}
				return
			}
			if !more {
				if first { // the plan was wrong: it must not spin
					sleep(ctx, r.config.Poll, nil)
				}
				return
			}
		}
	})
}

// job is what a queue has to do next: rows to deliver, or to mark.
type job struct {
	live    *liveReceiver
	message string // of the rows, if they are one message
	bundle  bool   // there are rows to make a message of
	rows    []row
	mark    []row // told of, to be marked NOTIFIED
	target  Target
	err     error // there is no such target
}

// row is a delivery as it is kept.
type row struct {
	id       string
	attempts int
	begun    time.Time
	subject  string
	body     []byte
}

func scanRow(scan db.Scan) (w row, err error) {
	var begun, attempts int64
	err = scan(&w.id, &attempts, &begun, &w.subject, &w.body)
	w.attempts, w.begun = int(attempts), time.UnixMicro(begun)
	return w, err
}

const selectRow = "SELECT id, attempts, begun, subject, body FROM route_deliveries"

// work does one piece of what is due in a queue, and tells whether it found any.
func (r *Router) work(ctx context.Context, l lease) (more bool, err error) {
	j, err := r.next(ctx, l.queue)
	switch {
	case err != nil:
		return false, err
	case len(j.mark) > 0:
		return true, r.mark(ctx, l, j.mark)
	case j.bundle:
		return true, r.bundle(ctx, l, j.live)
	case len(j.rows) == 0:
		return false, nil
	case j.message != "":
		return true, r.deliverMessage(ctx, l, j)
	}
	return true, r.deliverRows(ctx, l, j)
}

func (r *Router) next(ctx context.Context, queue string) (j job, err error) {
	now := r.config.Now()
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		t, err := r.table(tx)
		if err != nil {
			return err
		}
		j.live = t.receivers[queue]
		j.target, j.err = r.target(t, queue)
		j.mark, err = db.All(tx, scanRow, selectRow+" WHERE state = 1 AND queue = ? AND due <= ? ORDER BY due LIMIT 500", queue, now.UnixMicro())
		if err != nil || len(j.mark) > 0 {
			return err
		}
		q, err := db.One(tx, scanQueue, selectQueue+" WHERE name = ?", queue)
		if err != nil || q.pause.After(now) {
			return err
		}
		if j.live == nil || !j.live.digest {
			take := together
			if q.pace.Down > 0 {
				take = parallel // see whether it is up again
			}
			single := " AND message = ''"
			if j.live == nil { // a target that took messages may be gone
				single = ""
			}
			j.rows, err = db.All(tx, scanRow, selectRow+" WHERE state = 0 AND queue = ?"+single+" AND due <= ? ORDER BY due, id LIMIT ?", queue, now.UnixMicro(), take)
			return err
		}
		return j.findMessage(tx, q, queue, now)
	})
	return j, err
}

// findMessage finds the message that is due, or whether one is to be made.
func (j *job) findMessage(tx *db.Tx, q queueRow, queue string, now time.Time) error {
	rows, err := db.All(tx, scanPending, "SELECT queue, state, message, MIN(due), MIN(attempts) FROM route_deliveries WHERE state = 0 AND queue = ? GROUP BY queue, state, message", queue)
	if err != nil {
		return err
	}
	for _, p := range rows {
		if p.message != "" && !p.due.After(now) {
			j.message = p.message
			j.rows, err = db.All(tx, scanRow, selectRow+" WHERE state = 0 AND message = ? ORDER BY created, id", p.message)
			return err
		}
	}
	for _, p := range rows {
		if p.message == "" && !gathering(rows) && !q.pace.ready(j.live.pacing, p.due).After(now) {
			j.bundle = true
		}
	}
	return nil
}

// bundle makes one message of all rows that are due, before it is sent: so a
// repeat bears the same id and tells of the same things.
func (r *Router) bundle(ctx context.Context, l lease, live *liveReceiver) error {
	now := r.config.Now()
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := l.held(tx); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE route_deliveries SET message = ?, begun = ? WHERE id IN
			(SELECT id FROM route_deliveries WHERE state = 0 AND queue = ? AND message = '' AND due <= ? ORDER BY due, id LIMIT ?)`,
			bus.ID(), now.UnixMicro(), l.queue, now.UnixMicro(), gathered)
		if err != nil {
			return err
		}
		q, err := db.One(tx, scanQueue, selectQueue+" WHERE name = ?", l.queue)
		if err != nil {
			return err
		}
		body, err := json.Marshal(q.pace.after(live.pacing, now, int(n)))
		if err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE route_queues SET body = ? WHERE name = ?", body, l.queue)
		return err
	})
}

func (r *Router) deliverMessage(ctx context.Context, l lease, j job) error {
	d := Delivery{ID: j.message, Attempt: j.rows[0].attempts + 1, Time: j.rows[0].begun}
	var retry RetryPolicy
	for i, w := range j.rows {
		item, err := r.item(w)
		if err != nil {
			return err
		}
		d.Items = append(d.Items, item)
		retry = lenient(retry, item.To.Retry, i == 0)
	}
	out := outcome{rows: j.rows, message: j.message, retry: &retry, err: r.hand(ctx, j, d)}
	if ctx.Err() != nil && out.err != nil {
		return ctx.Err()
	}
	return r.finish(ctx, l, j.live, []outcome{out})
}

// deliverRows delivers rows one by one, several at once, and writes down what
// became of each as soon as it is known.
func (r *Router) deliverRows(ctx context.Context, l lease, j job) error {
	results := r.stream(ctx, j)
	var failed error
	taken, tried := false, 0
	for out := range results {
		outs := gatherOutcomes(out, results, len(j.rows)-tried-1)
		for _, o := range outs {
			tried++
			taken = taken || !o.down()
		}
		failed = errors.Join(failed, r.finish(ctx, l, j.live, outs))
	}
	// One that fails alone may be at fault itself.
	if failed == nil && (taken || tried > 1) {
		failed = r.rest(ctx, l, !taken)
	}
	return failed
}

// gatherOutcomes is first and what else comes within a moment, at most more of
// it: they share a transaction.
func gatherOutcomes(first outcome, results <-chan outcome, more int) []outcome {
	outs := []outcome{first}
	moment := time.NewTimer(10 * time.Millisecond)
	defer moment.Stop()
	for len(outs) <= more {
		select {
		case o, ok := <-results:
			if !ok {
				return outs
			}
			outs = append(outs, o)
		case <-moment.C:
			return outs
		}
	}
	return outs
}

// stream hands rows to the target, as many at once as may be. It stops early
// when the receiver wants to be left alone. The channel has room for all.
func (r *Router) stream(ctx context.Context, j job) <-chan outcome {
	feed, results := make(chan row), make(chan outcome, len(j.rows))
	stop := make(chan struct{})
	var once sync.Once
	var workers sync.WaitGroup
	for range min(parallel, len(j.rows)) {
		workers.Go(func() {
			for w := range feed {
				out := r.deliverRow(ctx, j, w)
				if out.wait() > 0 {
					once.Do(func() { close(stop) })
				}
				if ctx.Err() == nil || out.err == nil {
					results <- out
				}
			}
		})
	}
	go func() {
		defer func() { close(feed); workers.Wait(); close(results) }()
		for _, w := range j.rows {
			select {
			case feed <- w:
			case <-stop:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return results
}

func (r *Router) deliverRow(ctx context.Context, j job, w row) outcome {
	out := outcome{rows: []row{w}}
	item, err := r.item(w)
	if err != nil {
		out.err = fault.Invalid.Wrap(err)
		return out
	}
	out.retry = item.To.Retry
	out.err = r.hand(ctx, j, Delivery{ID: w.id, Attempt: w.attempts + 1, Time: w.begun, Items: []Item{item}})
	return out
}

// item is what a row delivers, with its rule's transform applied.
func (r *Router) item(w row) (item Item, err error) {
	if err := json.Unmarshal(w.body, &item); err != nil {
		return item, err
	}
	shape, err := compile(item.To.Input, item.To.InputPath, item.To.Transformer)
	if err != nil {
		return item, err
	}
	body, err := envelope(item.Event)
	if err != nil {
		return item, err
	}
	_, name, _ := ruleOf(item.Rule)
	item.Shaped = item.To.Input != "" || item.To.InputPath != "" || item.To.Transformer != nil
	item.Input = shape.apply(subject{event: body, ruleARN: item.Rule, ruleName: name, received: item.Came})
	return item, nil
}

// hand gives a delivery to its target. A target that panics is at fault, not the router.
func (r *Router) hand(ctx context.Context, j job, d Delivery) (err error) {
	if j.err != nil {
		return j.err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.config.Log.Error("a target panicked", "delivery", d.ID, "panic", p, "stack", string(debug.Stack()))
			err = fault.Invalid.Errorf("the target panicked: %v", p)
		}
	}()
	return j.target.Deliver(ctx, d)
}

// lenient is the policy that gives up the last of both.
func lenient(a RetryPolicy, b *RetryPolicy, first bool) RetryPolicy {
	attempts, age := b.limits()
	seconds := int(age / time.Second)
	if !first {
		was, wasAge := a.limits()
		attempts, seconds = max(attempts, was), max(seconds, int(wasAge/time.Second))
	}
	return RetryPolicy{Attempts: &attempts, Age: &seconds}
}

// mark has findings that were told of marked NOTIFIED, and ends their deliveries.
func (r *Router) mark(ctx context.Context, l lease, rows []row) error {
	var ids []Identity
	args := []any{delivered}
	for _, w := range rows {
		if id, ok := identityOf(w.subject); ok {
			ids = append(ids, id)
		}
		args = append(args, w.id)
	}
	state := "state = ?"
	if r.config.Notify != nil && len(ids) > 0 {
		if err := r.config.Notify(ctx, ids); err != nil {
			if !fault.Permanent(err) {
				// They are told of; marking them is tried again for as long as it takes.
				err = fmt.Errorf("marking findings as notified: %w", err)
				r.config.Log.Warn("trying again", "error", err)
				state, args[0] = "due = ?", r.config.Now().Add(5*time.Second).UnixMicro()
			} else {
				r.config.Log.Error("findings cannot be marked as notified", "error", err)
			}
		}
	}
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := l.held(tx); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE route_deliveries SET "+state+" WHERE id IN ("+marks(len(rows))+")", args...)
		return err
	})
}
