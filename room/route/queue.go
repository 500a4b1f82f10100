package route

import (
	"context"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
)

// dispatch starts a worker for every queue that has something to do, as long as ctx lasts.
func (r *Router) dispatch(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	var mu sync.Mutex
	busy := map[string]bool{}
	for ctx.Err() == nil {
		news := r.news() // before looking, so that nothing slips by
		begun := time.Now()
		plan, err := r.plan(ctx)
		if err != nil && ctx.Err() == nil {
			r.config.Log.Warn("looking for deliveries", "error", err)
		}
		now, pause := r.config.Now(), r.config.Poll
		for queue, at := range plan {
			mu.Lock()
			idle := !busy[queue]
			mu.Unlock()
			if !idle {
				continue // its worker wakes us when it ends
			}
			if at.After(now) {
				pause = min(pause, at.Sub(now))
				continue
			}
			mu.Lock()
			busy[queue] = true
			mu.Unlock()
			workers.Go(func() {
				r.serve(ctx, queue)
				mu.Lock()
				delete(busy, queue)
				mu.Unlock()
				r.wake()
			})
		}
		took := time.Since(begun)
		sleep(ctx, max(pause, time.Millisecond), news)
		sleep(ctx, max(took, 5*time.Millisecond), nil) // much news is looked at together
	}
}

// pending is what waits in a queue: rows of one message, or rows that are in none yet.
type pending struct {
	queue, message string
	state          int64
	due            time.Time
	attempts       int64
}

func scanPending(scan db.Scan) (p pending, err error) {
	var due int64
	err = scan(&p.queue, &p.state, &p.message, &due, &p.attempts)
	p.due = time.UnixMicro(due)
	return p, err
}

// queueRow is what is kept of a queue.
type queueRow struct {
	name, holder string
	fence        int64
	until, pause time.Time
	pace         pace
}

func scanQueue(scan db.Scan) (q queueRow, err error) {
	var until, pause int64
	var body []byte
	if err := scan(&q.name, &q.holder, &q.fence, &until, &pause, &body); err != nil {
		return q, err
	}
	q.until, q.pause = time.UnixMicro(until), time.UnixMicro(pause)
	if len(body) > 0 {
		err = json.Unmarshal(body, &q.pace)
	}
	return q, err
}

const selectQueue = "SELECT name, holder, fence, until, pause, body FROM route_queues"

// plan says when each queue that has something to do can do it.
func (r *Router) plan(ctx context.Context) (plan map[string]time.Time, err error) {
	var t *table
	var rows []pending
	queues := map[string]queueRow{}
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if t, err = r.table(tx); err != nil {
			return err
		}
		// What is in no message may be much: the index alone answers it.
		rows, err = db.All(tx, scanPending, "SELECT queue, state, '', MIN(due), 0 FROM route_deliveries WHERE state IN (0, 1) AND message = '' GROUP BY queue, state")
		if err != nil {
			return err
		}
		messages, err := db.All(tx, scanPending, "SELECT queue, state, message, MIN(due), MIN(attempts) FROM route_deliveries WHERE state IN (0, 1) AND message > '' GROUP BY queue, state, message")
		if err != nil {
			return err
		}
		rows = append(rows, messages...)
		all, err := db.All(tx, scanQueue, selectQueue)
		for _, q := range all {
			queues[q.name] = q
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	byQueue := map[string][]pending{}
	for _, p := range rows {
		byQueue[p.queue] = append(byQueue[p.queue], p)
	}
	plan = map[string]time.Time{}
	for name, waiting := range byQueue {
		q := queues[name]
		at := soonest(q, t.receivers[name], waiting)
		if q.holder != "" && q.holder != r.config.Node && q.until.After(at) {
			at = q.until
		}
		plan[name] = at
	}
	return plan, nil
}

// far is so late that news comes first.
var far = time.Unix(1<<40, 0)

// soonest is when the first of what waits in a queue can be worked on.
func soonest(q queueRow, live *liveReceiver, rows []pending) time.Time {
	at := far
	for _, p := range rows {
		due := p.due
		if p.state == waiting {
			due = later(due, q.pause)
		}
		if live != nil && live.digest && p.state == waiting && p.message == "" {
			if gathering(rows) {
				continue
			}
			due = later(due, q.pace.ready(live.pacing, p.due))
		}
		if due.Before(at) {
			at = due
		}
	}
	return at
}

// gathering is whether news should wait for a message that has not gone out
// yet, so that it is told together with what else comes meanwhile. A message
// that has failed several times does not hold up the next one.
func gathering(rows []pending) bool {
	const tries = 3
	for _, p := range rows {
		if p.state == waiting && p.message != "" && p.attempts < tries {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
