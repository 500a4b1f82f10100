package route

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// LogEntry is an entry of the delivery log: one event on its way to one target.
type LogEntry struct {
	ID        string // of the delivery
	Message   string // that it went in with others, if it did: the id that the receiver saw
	Target    string // ARN
	Bus       string
	Rule      string // name; "" for notices of what is resolved
	TargetID  string
	EventID   string
	EventType string
	State     DeliveryState
	Group     string
	Created   time.Time
	Due       time.Time // when it is tried next
	Finished  time.Time
	Attempts  int
	Status    int    // of the last answer, if there was one
	Answer    string // an excerpt of the last refusal, masked
}

// DeliveryState is how far a delivery is.
type DeliveryState string

const (
	Waiting   DeliveryState = "waiting"
	Delivered DeliveryState = "delivered"
	Dead      DeliveryState = "dead"
	Dropped   DeliveryState = "dropped" // there was nothing to tell any more
)

var states = [...]DeliveryState{waiting: Waiting, told: Delivered, delivered: Delivered, dead: Dead, dropped: Dropped}

// rows is which numbers a state has in the database.
func (s DeliveryState) rows() (string, error) {
	var numbers []string
	for n, name := range states {
		if name == s || s == "" {
			numbers = append(numbers, fmt.Sprint(n))
		}
	}
	if numbers == nil {
		return "", fault.Invalid.Errorf("unknown state of a delivery %q", s)
	}
	return "state IN (" + strings.Join(numbers, ", ") + ")", nil
}

// LogQuery says which deliveries are wanted; what is empty does not matter.
type LogQuery struct {
	State  DeliveryState
	Target string // ARN
	Bus    string
	Rule   string
	Event  string // id
}

// Log lists deliveries, the newest first.
func (r *Router) Log(ctx context.Context, q LogQuery, p Page) (list []LogEntry, next string, err error) {
	where, err := q.State.rows()
	if err != nil {
		return nil, "", err
	}
	var args []any
	for _, c := range []struct{ column, value string }{{"queue", q.Target}, {"bus", q.Bus}, {"rule", q.Rule}, {"event", q.Event}} {
		if c.value != "" {
			where += " AND " + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	if p.After != "" {
		at, id, err := parseToken(p.After)
		if err != nil {
			return nil, "", err
		}
		where += " AND (created < ? OR created = ? AND id < ?)"
		args = append(args, at, at, id)
	}
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanLog, `SELECT id, message, queue, bus, rule, target, event, type, state, grp, created, due, finished, attempts, status, answer
			FROM route_deliveries WHERE `+where+" ORDER BY created DESC, id DESC LIMIT ?", append(args, p.limit()+1)...)
		return err
	})
	list, next = cut(list, p, func(e LogEntry) string { return fmt.Sprintf("%d/%s", e.Created.UnixMicro(), e.ID) })
	return list, next, err
}

func parseToken(token string) (at int64, id string, err error) {
	if _, err := fmt.Sscanf(token, "%d/%s", &at, &id); err != nil {
		return 0, "", fault.Invalid.Errorf("the page token is not ours")
	}
	return at, id, nil
}

func scanLog(scan db.Scan) (e LogEntry, err error) {
	var state, created, due, finished int64
	err = scan(&e.ID, &e.Message, &e.Target, &e.Bus, &e.Rule, &e.TargetID, &e.EventID, &e.EventType, &state, &e.Group, &created, &due, &finished, &e.Attempts, &e.Status, &e.Answer)
	e.State, e.Created = states[state], time.UnixMicro(created)
	if state == waiting {
		e.Due = time.UnixMicro(due)
	}
	if finished > 0 {
		e.Finished = time.UnixMicro(finished)
	}
	return e, err
}

// Count is how many deliveries to a target are in a state.
type Count struct {
	Target string
	State  DeliveryState
	N      int64
}

// Counts tells how many deliveries each target has in each state, as far back as the log goes.
func (r *Router) Counts(ctx context.Context) (counts []Count, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		counts, err = db.All(tx, func(scan db.Scan) (c Count, err error) {
			var state int64
			err = scan(&c.Target, &state, &c.N)
			c.State = states[state]
			return c, err
		}, "SELECT queue, CASE state WHEN 1 THEN 2 ELSE state END, COUNT(*) FROM route_deliveries GROUP BY queue, CASE state WHEN 1 THEN 2 ELSE state END")
		return err
	})
	slices.SortFunc(counts, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.State, b.State)) })
	return counts, err
}

// DeadDelivery is a dead letter in full.
type DeadDelivery struct {
	LogEntry
	Item Item
	// Attributes are what EventBridge gives a dead letter.
	Attributes map[string]string
}

// DeadLetter is one dead letter, with its event.
func (r *Router) DeadLetter(ctx context.Context, id string) (d DeadDelivery, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		d.LogEntry, err = db.One(tx, scanLog, `SELECT id, message, queue, bus, rule, target, event, type, state, grp, created, due, finished, attempts, status, answer
			FROM route_deliveries WHERE state = 3 AND id = ?`, id)
		if err != nil {
			return err
		}
		d.Item, err = db.One(tx, scanJSON[Item], "SELECT body FROM route_deliveries WHERE id = ?", id)
		return err
	})
	if fault.Of(err) == fault.NotFound {
		return d, fault.NotFound.Errorf("there is no dead letter %q", id)
	}
	d.Attributes = map[string]string{"RULE_ARN": d.Item.Rule, "TARGET_ARN": d.Target, "ERROR_CODE": fmt.Sprint(d.Status), "ERROR_MESSAGE": d.Answer, "RETRY_ATTEMPTS": fmt.Sprint(max(d.Attempts-1, 0))}
	for _, limit := range []string{exhaustedAttempts, exhaustedAge} {
		if strings.HasPrefix(d.Answer, limit+": ") {
			d.Attributes["EXHAUSTED_RETRY_CONDITION"] = limit
		}
	}
	return d, err
}

// DeadLetterQuery says which dead letters are meant: all of a target, of a
// dead-letter list, or some by id. An empty query means all.
type DeadLetterQuery struct {
	Target string   // ARN
	IDs    []string // of deliveries
}

func (q DeadLetterQuery) where() (string, []any) {
	where, args := "state = 3", []any{}
	if q.Target != "" {
		where += " AND queue = ?"
		args = append(args, q.Target)
	}
	if q.IDs != nil {
		where += " AND id IN (" + cmp.Or(marks(len(q.IDs)), "''") + ")"
		for _, id := range q.IDs {
			args = append(args, id)
		}
	}
	return where, args
}

// RetryDeadLetters delivers dead letters once more, with the target as their
// rule has it now. Those that there has been other news of meanwhile are dropped.
func (r *Router) RetryDeadLetters(ctx context.Context, q DeadLetterQuery) (n int64, err error) {
	const stride = 500 // in one transaction, so that nobody waits for long
	where, args := q.where()
	for more := true; more; {
		err := r.db.Write(ctx, func(tx *db.Tx) error {
			rows, err := db.All(tx, scanDead, "SELECT id, queue, bus, rule, target, subject, body FROM route_deliveries WHERE "+where+" ORDER BY id LIMIT ?", append(args, stride)...)
			if err != nil {
				return err
			}
			more = len(rows) == stride
			for _, d := range rows {
				again, err := r.retryDead(tx, d)
				if err != nil {
					return err
				}
				n += flag(again)
			}
			tx.AfterCommit(r.wake)
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// deadRow is a dead letter as it is kept.
type deadRow struct {
	id, queue, bus, rule, target, subject string
	body                                  []byte
}

func scanDead(scan db.Scan) (d deadRow, err error) {
	return d, scan(&d.id, &d.queue, &d.bus, &d.rule, &d.target, &d.subject, &d.body)
}

func (r *Router) retryDead(tx *db.Tx, d deadRow) (again bool, err error) {
	now := r.config.Now().UnixMicro()
	var item Item
	if err := json.Unmarshal(d.body, &item); err != nil {
		return false, err
	}
	fresh, err := db.One(tx, scanJSON[RuleTarget], "SELECT body FROM route_rule_targets WHERE bus = ? AND rule = ? AND id = ?", d.bus, d.rule, d.target)
	if err != nil && fault.Of(err) != fault.NotFound {
		return false, err
	}
	if err == nil {
		item.To = fresh
	}
	if item.Told == Opened || strings.HasPrefix(d.subject, "run"+between) {
		n, err := tx.Exec("INSERT INTO route_told (queue, subject, state, delivery, since) VALUES (?, ?, 0, ?, ?) ON CONFLICT (subject, queue) DO NOTHING", item.To.ARN, d.subject, d.id, now)
		if err != nil {
			return false, err
		}
		if n == 0 {
			_, err := tx.Exec("UPDATE route_deliveries SET state = 4, finished = ?, answer = 'told of by a later delivery', body = ? WHERE id = ?", now, []byte{}, d.id)
			return false, err
		}
	}
	body, err := json.Marshal(item)
	if err != nil {
		return false, err
	}
	_, age := item.To.Retry.limits()
	_, err = tx.Exec("UPDATE route_deliveries SET state = 0, message = '', queue = ?, due = ?, begun = ?, expires = ?, attempts = 0, finished = 0, status = 0, answer = '', body = ? WHERE id = ?",
		item.To.ARN, now, now, now+age.Microseconds(), body, d.id)
	return true, err
}

// PurgeDeadLetters throws dead letters away.
func (r *Router) PurgeDeadLetters(ctx context.Context, q DeadLetterQuery) (n int64, err error) {
	where, args := q.where()
	err = r.db.Write(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec("DELETE FROM route_deliveries WHERE "+where, args...)
		return err
	})
	return n, err
}
