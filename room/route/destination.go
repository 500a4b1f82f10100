package route

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Destination is an API destination: an address, called with a connection's credentials.
type Destination struct {
	Name        string    `json:"Name"`
	ARN         string    `json:"ApiDestinationArn"`
	Description string    `json:"Description,omitzero"`
	State       string    `json:"ApiDestinationState"` // ACTIVE, or INACTIVE without its connection
	Connection  string    `json:"ConnectionArn"`
	Endpoint    string    `json:"InvocationEndpoint"`
	Method      string    `json:"HttpMethod"`
	Rate        int       `json:"InvocationRateLimitPerSecond,omitzero"`
	Created     time.Time `json:"CreationTime"`
	Changed     time.Time `json:"LastModifiedTime"`
}

func (d *Destination) check(r *Router, tx *db.Tx) error {
	if err := checkName("API destination", d.Name, 64); err != nil {
		return err
	}
	if err := checkURL(d.Endpoint); err != nil || !strings.HasPrefix(d.Endpoint, "https://") || len(d.Endpoint) > 2048 {
		return fault.Invalid.Errorf("API destination %s: InvocationEndpoint is not an https address of at most 2,048 characters", d.Name)
	}
	switch d.Method {
	case "POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE":
	default:
		return fault.Invalid.Errorf("API destination %s: unknown HttpMethod %q", d.Name, d.Method)
	}
	if d.Rate < 0 {
		return fault.Invalid.Errorf("API destination %s: InvocationRateLimitPerSecond is less than 1", d.Name)
	}
	c, _, err := r.readConnection(tx, connectionName(d.Connection))
	if err == nil && c.ARN != d.Connection {
		err = fault.NotFound.Errorf("Connection '%s' does not exist.", d.Connection)
	}
	return err
}

// CreateDestination makes an API destination.
func (r *Router) CreateDestination(ctx context.Context, d Destination) (Destination, error) {
	err := r.change(ctx, func(tx *db.Tx) error {
		if err := d.check(r, tx); err != nil {
			return err
		}
		if _, err := readDestination(tx, d.Name); fault.Of(err) != fault.NotFound {
			return orElse(err, fault.Exists.Errorf("API destination %s already exists.", d.Name))
		}
		d.ARN = r.arn("api-destination/" + d.Name + "/" + bus.ID())
		d.Created, d.Changed, d.State = r.config.Now(), r.config.Now(), "ACTIVE"
		return writeDestination(tx, d)
	})
	return d, err
}

// UpdateDestination changes an API destination.
func (r *Router) UpdateDestination(ctx context.Context, name string, change func(*Destination)) (d Destination, err error) {
	err = r.change(ctx, func(tx *db.Tx) error {
		if d, err = readDestination(tx, name); err != nil {
			return err
		}
		change(&d)
		if err := d.check(r, tx); err != nil {
			return err
		}
		d.Changed = r.config.Now()
		return writeDestination(tx, d)
	})
	return d, err
}

// DeleteDestination deletes an API destination.
func (r *Router) DeleteDestination(ctx context.Context, name string) error {
	return r.change(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM route_destinations WHERE name = ?", name)
		if err == nil && n == 0 {
			err = noDestination(name)
		}
		return err
	})
}

// Destination is one API destination.
func (r *Router) Destination(ctx context.Context, name string) (d Destination, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if d, err = readDestination(tx, name); err != nil {
			return err
		}
		return r.activity(tx, &d)
	})
	return d, err
}

// Destinations lists the API destinations whose names begin with prefix, of one connection if that is not "".
func (r *Router) Destinations(ctx context.Context, prefix, connection string, p Page) (list []Destination, next string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanJSON[Destination], "SELECT body FROM route_destinations WHERE name >= ? AND name < ? AND name > ? AND (connection = ? OR ? = '') ORDER BY name LIMIT ?",
			prefix, beyond(prefix), p.After, connection, connection, p.limit()+1)
		for i := range list {
			if err == nil {
				err = r.activity(tx, &list[i])
			}
		}
		return err
	})
	list, next = cut(list, p, func(d Destination) string { return d.Name })
	return list, next, err
}

// activity says whether d's connection is there and authorized.
func (r *Router) activity(tx *db.Tx, d *Destination) error {
	c, _, err := r.readConnection(tx, connectionName(d.Connection))
	if err != nil && fault.Of(err) != fault.NotFound {
		return err
	}
	d.State = "ACTIVE"
	if err != nil || c.State != "AUTHORIZED" {
		d.State = "INACTIVE"
	}
	return nil
}

func noDestination(name string) error {
	return fault.NotFound.Errorf("An api-destination '%s' does not exist.", name)
}

func writeDestination(tx *db.Tx, d Destination) error {
	body, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO route_destinations (name, connection, body) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET connection = excluded.connection, body = excluded.body", d.Name, d.Connection, body)
	return err
}

func readDestination(tx *db.Tx, name string) (Destination, error) {
	d, err := db.One(tx, scanJSON[Destination], "SELECT body FROM route_destinations WHERE name = ?", name)
	if fault.Of(err) == fault.NotFound {
		err = noDestination(name)
	}
	return d, err
}

// destinationAt is the API destination of an ARN.
func destinationAt(tx *db.Tx, arn string) (Destination, error) {
	_, rest, _ := resource(arn)
	name, _, _ := strings.Cut(strings.TrimPrefix(rest, "api-destination/"), "/")
	d, err := readDestination(tx, name)
	if err == nil && d.ARN != arn {
		err = fault.NotFound.Errorf("there is no API destination %s", arn)
	}
	return d, err
}

// readDestinations opens the API destinations as targets.
func (r *Router) readDestinations(tx *db.Tx, t, old *table) error {
	all, err := db.All(tx, scanJSON[Destination], "SELECT body FROM route_destinations")
	if err != nil {
		return err
	}
	for _, d := range all {
		_, c, err := r.readConnection(tx, connectionName(d.Connection))
		live := &liveReceiver{stamp: d.Changed.String() + c.Changed.String() + c.State}
		if old != nil && old.receivers[d.ARN] != nil && old.receivers[d.ARN].stamp == live.stamp {
			t.receivers[d.ARN] = old.receivers[d.ARN]
			continue
		}
		if err == nil && c.State != "AUTHORIZED" {
			err = fault.Denied.Errorf("connection %s is not authorized", c.Name)
		}
		live.broken = err
		for _, secret := range c.Auth.secrets() {
			live.secrets = append(live.secrets, masked(secret)...)
		}
		live.target = newAPI(d, c, &r.env)
		t.receivers[d.ARN] = live
	}
	return nil
}
