package route

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// arrival is an event that comes to a bus.
type arrival struct {
	event event.Event
	bus   string
	body  jsontext.Value  // the event as JSON
	hops  int             // how many buses it has come over
	only  map[string]bool // ARNs of the rules that may see it; nil is all

	finding *finding.Finding // that the event is about, if it is news of one
}

// fold takes one event of the river. What it writes commits together with the cursor.
func (r *Router) fold(tx *db.Tx, e event.Event) error {
	body, err := envelope(e)
	if err != nil {
		return fault.Invalid.Wrap(err) // it will not become better
	}
	return r.fan(tx, arrival{event: e, bus: busName(e.Bus), body: body})
}

// fan makes a delivery of the arrival for each target of each rule that asks for it.
func (r *Router) fan(tx *db.Tx, a arrival) error {
	t, err := r.table(tx)
	if err != nil {
		return err
	}
	if f, ok := findingIn(a.event); ok && a.event.ReplayName == "" {
		a.finding = &f
		if a.hops == 0 {
			if err := r.settle(tx, t, a); err != nil {
				return err
			}
		}
	}
	b := t.buses[a.bus]
	if b == nil {
		return nil
	}
	if err := r.archive(tx, b, a); err != nil {
		return err
	}
	rules, err := b.matching(a.event, a.body)
	if err != nil {
		// Some rules could not be decided; those that match get it all the same.
		r.config.Log.Warn("matching an event", "event", a.event.ID, "bus", a.bus, "error", err)
	}
	for _, rule := range rules {
		if a.only != nil && !a.only[rule.arn] {
			continue
		}
		if err := r.send(tx, t, rule, a); err != nil {
			return err
		}
	}
	return nil
}

// send makes a delivery for each target of a rule.
func (r *Router) send(tx *db.Tx, t *table, rule *liveRule, a arrival) error {
	for i := range rule.targets {
		target := &rule.targets[i]
		item := Item{Event: a.event, Bus: a.bus, Rule: rule.arn, To: target.RuleTarget, Hops: a.hops, Came: r.config.Now()}
		var err error
		if target.once() && a.event.ReplayName == "" {
			err = r.sendOnce(tx, t, rule, target, item, a.finding)
		} else {
			err = r.enqueue(tx, t, rule.Name, item, target, nil)
		}
		if err != nil {
			return fmt.Errorf("rule %s, target %s: %w", rule.Name, target.ID, err)
		}
	}
	return nil
}

// States of a delivery's row.
const (
	waiting   = 0
	told      = 1 // taken by the receiver; findings are still to be marked NOTIFIED
	delivered = 2
	dead      = 3
	dropped   = 4 // there was nothing to tell any more
)

// enqueue makes a delivery row, unless it is there already. Its id follows
// from what it delivers, so that the same event never makes two.
func (r *Router) enqueue(tx *db.Tx, t *table, rule string, item Item, target *liveTarget, f *finding.Finding) error {
	body, err := json.Marshal(item)
	if err != nil {
		return err
	}
	now := r.config.Now()
	due := t.dueAt(now, item, target, f)
	_, age := item.To.Retry.limits()
	_, err = tx.Exec(`INSERT INTO route_deliveries (id, queue, bus, rule, target, event, type, state, message, subject, grp, created, begun, expires, due, attempts, finished, status, answer, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, 0, 0, 0, '', ?) ON CONFLICT (id) DO NOTHING`,
		item.id(), item.To.ARN, item.Bus, rule, item.To.ID, item.Event.ID, item.Event.Type, waiting, item.Subject, item.Group, now.UnixMicro(), due.UnixMicro(), due.Add(age).UnixMicro(), due.UnixMicro(), body)
	tx.AfterCommit(r.wake)
	return err
}

// id is a UUID made of what the delivery is.
func (i *Item) id() string {
	h := sha256.New()
	for _, s := range []string{i.Event.ID, i.Event.ReplayName, i.Bus, i.Rule, i.To.ID, i.To.ARN, string(i.Told)} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	u := h.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// dueAt is when the item may be delivered: now, or when a snooze or the quiet hours end.
func (t *table) dueAt(now time.Time, item Item, target *liveTarget, f *finding.Finding) time.Time {
	due := now
	if !target.digest() {
		return due
	}
	if f == nil || f.Label() != finding.Critical {
		due = target.receiver.pacing.Quiet.until(now)
	}
	for _, s := range t.snoozes[item.To.ARN] {
		if s.Group == "" || s.Group == item.Group {
			due = later(due, s.Until)
		}
	}
	return due
}
