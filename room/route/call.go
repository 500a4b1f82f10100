package route

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Call calls an API destination by its name, once, with a body and its connection's credentials: for rooms that
// have something to say to one address rather than an event for everybody. A body that is no JSON is sent as a text in JSON.
func (r *Router) Call(ctx context.Context, name, id string, body []byte) error {
	var live *liveReceiver
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		d, err := readDestination(tx, name)
		if err != nil {
			return err
		}
		t, err := r.table(tx)
		if err == nil {
			live = t.receivers[d.ARN]
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case live == nil:
		return noDestination(name)
	case live.broken != nil:
		return live.broken
	}
	input := jsontext.Value(body)
	if !input.IsValid() {
		if input, err = jsontext.AppendQuote(nil, body); err != nil {
			return fault.Invalid.Wrap(err)
		}
	}
	now := r.config.Now()
	e := event.Event{Version: "0", ID: id, Type: "Call", Source: "haechi", Account: r.config.Account, Region: r.config.Region, Time: now, Resources: []string{}, Detail: jsontext.Value("{}")}
	return live.target.Deliver(ctx, Delivery{ID: id, Attempt: 1, Time: now, Items: []Item{{Event: e, Input: input}}})
}
