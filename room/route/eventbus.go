package route

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// EventBus is a named bus: events are put on it, and its rules see them.
type EventBus struct {
	Name        string            `json:"Name"`
	ARN         string            `json:"Arn,omitzero"`
	Description string            `json:"Description,omitzero"`
	Policy      jsontext.Value    `json:"Policy,omitzero"` // IAM: who may put events on it
	DeadLetter  *DeadLetter       `json:"DeadLetterConfig,omitzero"`
	Created     time.Time         `json:"created,omitzero"`
	Changed     time.Time         `json:"changed,omitzero"`
	Tags        map[string]string `json:"tags,omitzero"`
	Origin      string            `json:"origin,omitzero"` // "file" if it came from a file of routes
}

// CreateBus makes a bus.
func (r *Router) CreateBus(ctx context.Context, b EventBus) (arn string, err error) {
	if !validName(b.Name, 256, ".-_/") {
		return "", fault.Invalid.Errorf("event bus %q: a name is 1 to 256 letters, digits, dots, dashes, underscores and slashes", b.Name)
	}
	if err := b.check(); err != nil {
		return "", err
	}
	err = r.change(ctx, func(tx *db.Tx) error {
		if r.busExists(tx, b.Name) == nil {
			return fault.Exists.Errorf("Event bus %s already exists.", b.Name)
		}
		b.Created, b.Changed = r.config.Now(), r.config.Now()
		return writeBus(tx, b)
	})
	return r.BusARN(b.Name), err
}

// UpdateBus changes a bus as change says.
func (r *Router) UpdateBus(ctx context.Context, name string, change func(*EventBus) error) error {
	name = busName(name)
	return r.change(ctx, func(tx *db.Tx) error {
		b, err := readBus(tx, name)
		if err != nil {
			return err
		}
		if err := change(&b); err != nil {
			return err
		}
		if err := b.check(); err != nil {
			return err
		}
		b.Name, b.Changed = name, r.config.Now()
		return writeBus(tx, b)
	})
}

func (b *EventBus) check() error {
	const longestPolicy = 10240
	switch {
	case len(b.Description) > 512:
		return fault.Invalid.Errorf("event bus %s: the description is longer than 512 characters", b.Name)
	case len(b.Policy) > longestPolicy:
		return fault.Limit.Errorf("event bus %s: the policy is longer than %d characters", b.Name, longestPolicy)
	case b.Policy != nil && (!b.Policy.IsValid() || b.Policy.Kind() != '{'):
		return fault.Invalid.Errorf("event bus %s: the policy is not a JSON object", b.Name)
	}
	return nil
}

func writeBus(tx *db.Tx, b EventBus) error {
	body, err := json.Marshal(b, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO route_buses (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body", b.Name, body)
	return err
}

func readBus(tx *db.Tx, name string) (EventBus, error) {
	b, err := db.One(tx, scanJSON[EventBus], "SELECT body FROM route_buses WHERE name = ?", name)
	if fault.Of(err) == fault.NotFound && name == DefaultBus {
		return EventBus{Name: DefaultBus}, nil
	}
	if fault.Of(err) == fault.NotFound {
		return b, fault.NotFound.Errorf("Event bus %s does not exist.", name)
	}
	return b, err
}

func (r *Router) busExists(tx *db.Tx, name string) error {
	_, err := readBus(tx, name)
	return err
}

// EventBus is one bus.
func (r *Router) EventBus(ctx context.Context, name string) (b EventBus, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		b, err = readBus(tx, busName(name))
		return err
	})
	b.ARN = r.BusARN(b.Name)
	return b, err
}

// Buses lists the buses whose names begin with prefix, the default one among them.
func (r *Router) Buses(ctx context.Context, prefix string, p Page) (buses []EventBus, next string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		buses, err = db.All(tx, scanJSON[EventBus], "SELECT body FROM route_buses WHERE name >= ? AND name < ? AND name > ? ORDER BY name LIMIT ?", prefix, beyond(prefix), p.After, p.limit()+1)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing event buses: %w", err)
	}
	buses = withDefault(buses, prefix, p.After)
	for i := range buses {
		buses[i].ARN = r.BusARN(buses[i].Name)
	}
	buses, next = cut(buses, p, func(b EventBus) string { return b.Name })
	return buses, next, nil
}

// withDefault puts the default bus where it belongs, if nobody has ever changed it.
func withDefault(buses []EventBus, prefix, after string) []EventBus {
	if DefaultBus < prefix || DefaultBus >= beyond(prefix) || DefaultBus <= after {
		return buses
	}
	at := 0
	for at < len(buses) && buses[at].Name < DefaultBus {
		at++
	}
	if at < len(buses) && buses[at].Name == DefaultBus {
		return buses
	}
	return append(buses[:at:at], append([]EventBus{{Name: DefaultBus}}, buses[at:]...)...)
}

// DeleteBus deletes a bus with no rules and no archives; one that is not there is fine.
func (r *Router) DeleteBus(ctx context.Context, name string) error {
	name = busName(name)
	if name == DefaultBus {
		return fault.Invalid.Errorf("Cannot delete event bus default.")
	}
	return r.change(ctx, func(tx *db.Tx) error { return deleteBus(tx, name) })
}

func deleteBus(tx *db.Tx, name string) error {
	n, err := db.One(tx, db.Value[int64], "SELECT (SELECT COUNT(*) FROM route_rules WHERE bus = ?) + (SELECT COUNT(*) FROM route_archives WHERE bus = ?)", name, name)
	if err != nil {
		return err
	}
	if n > 0 {
		return fault.Conflict.Errorf("Event bus %s still has rules or archives.", name)
	}
	_, err = tx.Exec("DELETE FROM route_buses WHERE name = ?", name)
	return err
}
