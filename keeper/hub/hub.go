// Package hub keeps every finding once, with what people decided about it.
//
// It is Security Hub's semantics with a memory. A finding is one row per
// (account, ProductArn, Id). Providers say what they see, people say what they
// think of it, and neither overwrites the other. What scans saw on which
// branch is kept beside, so that a finding is archived only when a complete
// scan lacks it and no other branch has it. Every change is told on the bus in
// its own transaction, and can be taken back in thought: see At.
package hub

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
)

// Hub is the keeper of findings. It is safe for concurrent use.
type Hub struct {
	config   Config
	db       *db.DB
	bus      *bus.Bus
	index    *index
	warming  chan struct{} // held by whoever reads the findings into the index for the first time
	rules    ruleCache
	products map[string]Product // by company/product
}

// Config says what a Hub works with and whose it is.
type Config struct {
	DB           *db.DB
	Bus          *bus.Bus
	Log          *slog.Logger
	Now          func() time.Time
	Account      string            // twelve digits: whose hub it is
	Region       string            // where its own ARNs lie; findings of all regions are taken
	AccountNames map[string]string // account → name, for findings' AwsAccountName
	Products     []Product         // products that are known beside the usual ones
	Standards    []Standard        // standards that can be enabled
}

// New is a hub on a database whose tables include Schema. A new hub is
// enabled, and takes findings of the account's own product and of those
// products that are on from the start.
func New(ctx context.Context, c Config) (*Hub, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Account, c.Region = cmp.Or(c.Account, "000000000000"), cmp.Or(c.Region, "us-east-1")
	if err := checkStandards(c.Standards); err != nil {
		return nil, err
	}
	h := &Hub{config: c, db: c.DB, bus: c.Bus, index: newIndex(), warming: make(chan struct{}, 1), products: map[string]Product{}}
	for _, p := range append(knownProducts(), c.Products...) {
		h.products[p.Company+"/"+p.Product] = p
	}
	return h, h.prepare(ctx)
}

// Run does what must happen on time, until ctx ends: it makes ready for
// queries, and ends suppressions that are over.
func (h *Hub) Run(ctx context.Context) error {
	if err := h.Warm(ctx); err != nil && ctx.Err() == nil {
		h.config.Log.Warn("hub: reading the findings for queries", "err", err)
	}
	for ctx.Err() == nil {
		next, err := h.Expire(ctx)
		if err != nil && ctx.Err() == nil {
			h.config.Log.Warn("hub: ending suppressions", "err", err)
		}
		const often = 10 * time.Second // another node may have added one that ends sooner
		wait := often
		if !next.IsZero() {
			wait = min(often, max(next.Sub(h.config.Now()), time.Millisecond))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// Warm reads what queries look at, so that the first one does not have to.
// Whoever comes meanwhile waits here, and not with a part of the database in
// his hands.
func (h *Hub) Warm(ctx context.Context) error {
	if h.index.warm.Load() {
		return nil
	}
	select {
	case h.warming <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.warming }()
	if h.index.warm.Load() {
		return nil
	}
	return h.db.Read(ctx, func(tx *db.Tx) error { return h.index.sync(tx) })
}

// look runs ask in a transaction in which the index knows all that is committed.
func (h *Hub) look(ctx context.Context, ask func(*db.Tx) error) error {
	if err := h.Warm(ctx); err != nil {
		return err
	}
	return h.db.Read(ctx, func(tx *db.Tx) error {
		if err := h.index.sync(tx); err != nil {
			return err
		}
		return ask(tx)
	})
}

func (h *Hub) now() time.Time { return h.config.Now().UTC() }

// arn is one of the hub's own.
func (h *Hub) arn(rest string) string {
	return "arn:aws:securityhub:" + h.config.Region + ":" + h.config.Account + ":" + rest
}
