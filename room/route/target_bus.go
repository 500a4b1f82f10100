package route

import (
	"context"

	"github.com/haechi-dev/haechi/base/db"
)

// busTarget is another bus of ours. The event keeps its id there, so that a
// repeated delivery makes nothing twice, and so does a circle of buses: an
// event goes to each target of each rule once.
type busTarget struct {
	router *Router
	bus    string
}

// Deliver hands the event to the rules and archives of the bus.
func (b busTarget) Deliver(ctx context.Context, d Delivery) error {
	item := d.Items[0]
	return b.router.db.Write(ctx, func(tx *db.Tx) error {
		if err := b.router.busExists(tx, b.bus); err != nil {
			return err
		}
		body, err := envelope(item.Event)
		if err != nil {
			return err
		}
		return b.router.fan(tx, arrival{event: item.Event, bus: b.bus, body: body, hops: item.Hops + 1})
	})
}
