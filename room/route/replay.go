package route

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Replay sends archived events to the rules of their bus once more, in the
// order of their times. They bear the replay's name, and are not archived again.
type Replay struct {
	Name        string    `json:"ReplayName"`
	Description string    `json:"Description,omitzero"`
	Archive     string    `json:"archive"`
	Bus         string    `json:"bus"`            // the archive's own
	Rules       []string  `json:"rules,omitzero"` // ARNs of those that may see it; none is all
	From        time.Time `json:"EventStartTime"` // of the events
	To          time.Time `json:"EventEndTime"`   // not included
	State       string    `json:"State"`          // STARTING RUNNING CANCELLING COMPLETED CANCELLED FAILED
	Reason      string    `json:"StateReason,omitzero"`
	Started     time.Time `json:"ReplayStartTime"`
	Ended       time.Time `json:"ReplayEndTime,omitzero"`
	Last        time.Time `json:"EventLastReplayedTime,omitzero"`
	LastID      string    `json:"lastId,omitzero"` // where it goes on: after Last and LastID
	Sent        int64     `json:"sent"`            // events
}

// ReplayARN is the address of a replay.
func (r *Router) ReplayARN(name string) string { return r.arn("replay/" + name) }

func (p *Replay) running() bool {
	return p.State == "STARTING" || p.State == "RUNNING" || p.State == "CANCELLING"
}

func (p *Replay) check(r *Router, tx *db.Tx) error {
	if err := checkName("replay", p.Name, 64); err != nil {
		return err
	}
	if !p.From.Before(p.To) {
		return fault.Invalid.Errorf("EventEndTime is not after EventStartTime")
	}
	a, err := readArchive(tx, p.Archive)
	if err != nil {
		return err
	}
	if p.Bus = busName(p.Bus); p.Bus != a.Bus {
		return fault.Invalid.Errorf("Archive %s is of event bus %s: it can be replayed to that one only.", a.Name, a.Bus)
	}
	for _, arn := range p.Rules {
		bus, name, err := ruleOf(arn)
		if err != nil {
			return err
		}
		if bus != p.Bus {
			return fault.Invalid.Errorf("%s is not a rule of event bus %s", arn, p.Bus)
		}
		if _, err := readRule(tx, bus, name); err != nil {
			return err
		}
	}
	return nil
}

// StartReplay begins a replay. At most ten run at once.
func (r *Router) StartReplay(ctx context.Context, p Replay) (Replay, error) {
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.check(r, tx); err != nil {
			return err
		}
		if _, err := readReplay(tx, p.Name); fault.Of(err) != fault.NotFound {
			return orElse(err, fault.Exists.Errorf("Replay %s already exists.", p.Name))
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM route_replays WHERE state IN ('STARTING', 'RUNNING', 'CANCELLING')")
		if err != nil {
			return err
		}
		if n >= 10 {
			return fault.Limit.Errorf("ten replays are running already")
		}
		p.State, p.Started = "STARTING", r.config.Now()
		return writeReplay(tx, p)
	})
	return p, err
}

// CancelReplay ends a replay that is running.
func (r *Router) CancelReplay(ctx context.Context, name string) (p Replay, err error) {
	err = r.db.Write(ctx, func(tx *db.Tx) error {
		if p, err = readReplay(tx, name); err != nil {
			return err
		}
		if !p.running() {
			return fault.Conflict.Errorf("Replay %s is not in a valid state for this operation.", name)
		}
		p.State = "CANCELLING"
		return writeReplay(tx, p)
	})
	return p, err
}

// Replay is one replay.
func (r *Router) Replay(ctx context.Context, name string) (p Replay, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		p, err = readReplay(tx, name)
		return err
	})
	return p, err
}

// Replays lists the replays whose names begin with prefix, of one archive and in one state if these are not "".
func (r *Router) Replays(ctx context.Context, prefix, archive, state string, p Page) (list []Replay, next string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanJSON[Replay], `SELECT body FROM route_replays WHERE name >= ? AND name < ? AND name > ? AND (archive = ? OR ? = '') AND (state = ? OR ? = '') ORDER BY name LIMIT ?`,
			prefix, beyond(prefix), p.After, archive, archive, state, state, p.limit()+1)
		return err
	})
	list, next = cut(list, p, func(p Replay) string { return p.Name })
	return list, next, err
}

func writeReplay(tx *db.Tx, p Replay) error {
	body, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO route_replays (name, archive, state, body) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET state = excluded.state, body = excluded.body", p.Name, p.Archive, p.State, body)
	return err
}

func readReplay(tx *db.Tx, name string) (Replay, error) {
	p, err := db.One(tx, scanJSON[Replay], "SELECT body FROM route_replays WHERE name = ?", name)
	if fault.Of(err) == fault.NotFound {
		err = fault.NotFound.Errorf("Replay %s does not exist.", name)
	}
	return p, err
}

// replayed is how many events are replayed in one transaction.
const replayed = 100

// replayStep moves the running replays on. How far they are commits together
// with the deliveries they make.
func (r *Router) replayStep(ctx context.Context) (more bool, err error) {
	// Looking costs no write while nothing runs.
	var names []string
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		names, err = db.All(tx, db.Value[string], "SELECT name FROM route_replays WHERE state IN ('STARTING', 'RUNNING', 'CANCELLING') ORDER BY name")
		return err
	})
	if err != nil {
		return false, err
	}
	for _, name := range names {
		err := r.db.Write(ctx, func(tx *db.Tx) error {
			p, err := readReplay(tx, name)
			if err != nil || !p.running() {
				return err
			}
			if err := r.advance(tx, &p); err != nil {
				return err
			}
			more = more || p.running()
			return writeReplay(tx, p)
		})
		if err != nil {
			return false, fmt.Errorf("replay %s: %w", name, err)
		}
	}
	return more, nil
}

func (r *Router) advance(tx *db.Tx, p *Replay) error {
	if p.State == "CANCELLING" {
		p.State, p.Ended = "CANCELLED", r.config.Now()
		return nil
	}
	p.State = "RUNNING"
	events, err := readArchived(tx, p, replayed)
	if err != nil {
		return err
	}
	for _, a := range events {
		a.event.ReplayName = p.Name
		body, err := envelope(a.event)
		if err != nil {
			return err
		}
		if err := r.fan(tx, arrival{event: a.event, bus: p.Bus, body: body, only: p.only()}); err != nil {
			return err
		}
		p.Last, p.LastID = time.UnixMicro(a.time).UTC(), a.id
		p.Sent++
	}
	if len(events) < replayed {
		p.State, p.Ended = "COMPLETED", r.config.Now()
	}
	return nil
}

func (p *Replay) only() map[string]bool {
	if len(p.Rules) == 0 {
		return nil
	}
	only := map[string]bool{}
	for _, arn := range p.Rules {
		only[arn] = true
	}
	return only
}

// readArchived reads the next events of a replay.
func readArchived(tx *db.Tx, p *Replay, limit int) ([]archived, error) {
	from, id := p.From.UnixMicro(), ""
	if !p.Last.IsZero() {
		from, id = p.Last.UnixMicro(), p.LastID
	}
	return db.All(tx, scanArchived, "SELECT time, id, body FROM route_archived WHERE archive = ? AND (time > ? OR time = ? AND id > ?) AND time < ? ORDER BY time, id LIMIT ?",
		p.Archive, from, from, id, p.To.UnixMicro(), limit)
}

// Forecast is what a replay would do.
type Forecast struct {
	Events     int64            // in the archive and the time asked for
	Deliveries map[string]int64 // by rule ARN, a blank, and target id
}

// DryReplay tells what a replay would deliver, and delivers nothing.
func (r *Router) DryReplay(ctx context.Context, p Replay) (f Forecast, err error) {
	if p.Name == "" {
		p.Name = "dry-run"
	}
	f.Deliveries = map[string]int64{}
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if err := p.check(r, tx); err != nil {
			return err
		}
		t, err := r.table(tx)
		if err != nil {
			return err
		}
		for {
			events, err := readArchived(tx, &p, 1000)
			if err != nil {
				return err
			}
			for _, a := range events {
				p.Last, p.LastID = time.UnixMicro(a.time), a.id
				a.event.ReplayName = p.Name
				if err := f.count(t.buses[p.Bus], a, p.only()); err != nil {
					return err
				}
			}
			if len(events) < 1000 {
				return nil
			}
		}
	})
	return f, err
}

func (f *Forecast) count(b *liveBus, a archived, only map[string]bool) error {
	f.Events++
	body, err := envelope(a.event)
	if err != nil {
		return err
	}
	// What could not be decided is not delivered by the replay either.
	rules, _ := b.matching(a.event, body)
	for _, rule := range rules {
		if only != nil && !only[rule.arn] {
			continue
		}
		for _, target := range rule.targets {
			f.Deliveries[rule.arn+" "+target.ID]++
		}
	}
	return nil
}
