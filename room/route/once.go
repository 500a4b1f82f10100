package route

import (
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/finding"
)

// What a queue knows of a subject (a finding, or a failed run) that it has to
// tell of, or has told of, in its present period.
const (
	toTell   = 0 // a delivery waits
	hasTold  = 1 // the receiver knows
	notified = 2 // and the hub has said so: a NEW after this begins a new period
)

// sendOnce is send for targets that are told of a finding once per period, and
// of a failed run once. Other events go as they are.
func (r *Router) sendOnce(tx *db.Tx, t *table, rule *liveRule, target *liveTarget, item Item, f *finding.Finding) error {
	if run, ok := failedRun(item.Event); ok {
		item.Subject = run
	} else if f == nil {
		return r.enqueue(tx, t, rule.Name, item, target, nil)
	} else if !wrong(f) || f.Status() != finding.New {
		return nil // settle tells of what is resolved
	} else {
		item.Subject, item.Group, item.Told = identity(f).subject(), groupOf(f), Opened
	}
	// A row that is there says that this period is told of, or will be; only
	// a finding that was marked NOTIFIED and is NEW again begins another one.
	n, err := tx.Exec(`INSERT INTO route_told (queue, subject, state, delivery, since) VALUES (?, ?, 0, ?, ?)
		ON CONFLICT (subject, queue) DO UPDATE SET state = 0, delivery = excluded.delivery, since = excluded.since WHERE route_told.state = 2 AND ? = 1`,
		item.To.ARN, item.Subject, item.id(), r.config.Now().UnixMicro(), flag(f != nil))
	if err != nil || n == 0 {
		return err
	}
	return r.enqueue(tx, t, rule.Name, item, target, f)
}

// telling is a queue that tells, or has told, of a subject.
type telling struct {
	queue, delivery string
	state           int64
}

func scanTelling(scan db.Scan) (t telling, err error) {
	return t, scan(&t.queue, &t.state, &t.delivery)
}

// settle does what a change of a finding means to the queues that tell of it,
// whether a rule matches it any more or not: one that is closed before it was
// told of is not told of; one that was gets a notice; one marked NOTIFIED may begin anew.
func (r *Router) settle(tx *db.Tx, t *table, a arrival) error {
	f := a.finding
	if wrong(f) && f.Status() == finding.New {
		return nil
	}
	subject := identity(f).subject()
	tellings, err := db.All(tx, scanTelling, "SELECT queue, state, delivery FROM route_told WHERE subject = ?", subject)
	if err != nil {
		return err
	}
	for _, was := range tellings {
		if wrong(f) { // NOTIFIED
			if was.state == hasTold {
				_, err = tx.Exec("UPDATE route_told SET state = ? WHERE queue = ? AND subject = ?", notified, was.queue, subject)
			}
		} else {
			err = r.close(tx, t, a, was)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) close(tx *db.Tx, t *table, a arrival, was telling) error {
	f := a.finding
	subject := identity(f).subject()
	if _, err := tx.Exec("DELETE FROM route_told WHERE queue = ? AND subject = ?", was.queue, subject); err != nil {
		return err
	}
	if was.state == toTell {
		// One that is in a message already may have been heard: that goes out.
		n, err := tx.Exec("UPDATE route_deliveries SET state = ?, finished = ?, answer = 'closed before it was told of', body = ? WHERE id = ? AND state = ? AND message = ''",
			dropped, r.config.Now().UnixMicro(), []byte{}, was.delivery, waiting)
		if err != nil || n > 0 {
			return err
		}
	}
	live := t.receivers[was.queue]
	if live == nil || live.pacing.Silent || f.Status() == finding.Suppressed {
		return nil
	}
	item := Item{Event: a.event, Bus: a.bus, To: RuleTarget{ID: "resolved", ARN: was.queue}, Told: Closed, Group: groupOf(f), Subject: subject, Came: r.config.Now()}
	return r.enqueue(tx, t, "", item, &liveTarget{RuleTarget: item.To, receiver: live}, f)
}
