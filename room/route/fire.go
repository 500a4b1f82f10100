package route

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
)

// fire sends an event to the targets of every rule whose schedule is due, and
// says when it is due next in the same transaction: once for all nodes, and
// once for what was missed while no node was up.
func (r *Router) fire(ctx context.Context) (more bool, err error) {
	now := r.config.Now()
	var due int64
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		due, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM route_rules WHERE next > 0 AND next <= ?", now.UnixMicro())
		return err
	})
	if err != nil || due == 0 {
		return false, err
	}
	return false, r.db.Write(ctx, func(tx *db.Tx) error {
		rules, err := db.All(tx, scanDue, "SELECT next, body FROM route_rules WHERE next > 0 AND next <= ? ORDER BY next", now.UnixMicro())
		if err != nil {
			return err
		}
		t, err := r.table(tx)
		if err != nil {
			return err
		}
		for _, d := range rules {
			if err := r.fireRule(tx, t, d, now); err != nil {
				return fmt.Errorf("rule %s: %w", d.rule.Name, err)
			}
		}
		return nil
	})
}

// dueRule is a rule whose schedule is due.
type dueRule struct {
	next int64
	rule storedRule
}

func scanDue(scan db.Scan) (d dueRule, err error) {
	var body []byte
	if err := scan(&d.next, &body); err != nil {
		return d, err
	}
	err = json.Unmarshal(body, &d.rule)
	return d, err
}

func (r *Router) fireRule(tx *db.Tx, t *table, d dueRule, now time.Time) error {
	if err := writeRule(tx, d.rule, now); err != nil {
		return err
	}
	live := t.buses[d.rule.Bus].rules[d.rule.Name] // it was read in the same transaction
	e := event.Event{Version: "0", ID: bus.ID(), Type: "Scheduled Event", Source: "aws.events", Account: r.config.Account, Region: r.config.Region,
		Time: time.UnixMicro(d.next).UTC(), Resources: []string{live.arn}, Detail: jsontext.Value("{}"), Bus: d.rule.Bus}
	body, err := envelope(e)
	if err != nil {
		return err
	}
	return r.send(tx, t, live, arrival{event: e, bus: d.rule.Bus, body: body})
}
