package route

import (
	"context"
	"errors"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// lease is a queue that this node works on, until another may think it dead.
type lease struct {
	queue string
	fence int64
}

const (
	leaseTime  = 15 * time.Second
	leaseRenew = leaseTime / 3
)

// errLost says that another node has taken the queue over.
var errLost = errors.New("another node took the queue over")

// takeOver frees the leases that this node held when it ended, and all of
// them where no other node can share the database.
func (r *Router) takeOver(ctx context.Context) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE route_queues SET until = 0, fence = fence + 1 WHERE until > 0 AND (holder = ? OR ? = 1)", r.config.Node, flag(!r.db.Postgres()))
		return err
	})
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// acquire takes a queue, if nobody else has it.
func (r *Router) acquire(ctx context.Context, queue string) (l lease, ok bool, err error) {
	err = r.db.Write(ctx, func(tx *db.Tx) error {
		now := r.config.Now()
		q, err := db.One(tx, scanQueue, selectQueue+" WHERE name = ?", queue)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		if q.holder != r.config.Node && q.until.After(now) {
			return nil
		}
		l, ok = lease{queue, q.fence + 1}, true
		_, err = tx.Exec(`INSERT INTO route_queues (name, holder, fence, until, pause, body) VALUES (?, ?, ?, ?, 0, ?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, until = excluded.until`,
			queue, r.config.Node, l.fence, now.Add(leaseTime).UnixMicro(), []byte{})
		return err
	})
	return l, ok && err == nil, err
}

// held fails if the lease was lost.
func (l lease) held(tx *db.Tx) error {
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM route_queues WHERE name = ? AND fence = ?", l.queue, l.fence)
	if err == nil && n == 0 {
		return errLost
	}
	return err
}

func (r *Router) renew(ctx context.Context, l lease) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := l.held(tx); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE route_queues SET until = ? WHERE name = ?", r.config.Now().Add(leaseTime).UnixMicro(), l.queue)
		return err
	})
}

func (r *Router) release(ctx context.Context, l lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseRenew)
	defer cancel()
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE route_queues SET until = 0 WHERE name = ? AND fence = ?", l.queue, l.fence)
		return err
	})
	if err != nil {
		r.config.Log.Warn("releasing a queue", "queue", l.queue, "error", err)
	}
}

// holding runs f with a context that ends when the lease is lost, and renews the lease meanwhile.
func (r *Router) holding(ctx context.Context, l lease, f func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			sleep(ctx, leaseRenew, done)
			select {
			case <-done:
				return
			default:
			}
			if ctx.Err() != nil {
				return
			}
			if err := r.renew(ctx, l); errors.Is(err, errLost) {
				cancel()
			}
		}
	}()
	f(ctx)
	close(done)
	<-ended
	cancel()
}
