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
	"sync"
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
	changed  chan struct{} // has something in it after a change that the index has not followed
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
	h := &Hub{config: c, db: c.DB, bus: c.Bus, index: newIndex(), changed: make(chan struct{}, 1), warming: make(chan struct{}, 1), products: map[string]Product{}}
	for _, p := range append(knownProducts(), c.Products...) {
		h.products[p.Company+"/"+p.Product] = p
	}
	return h, h.prepare(ctx)
}

// Run does what must happen on time, until ctx ends: it has the index follow
// what is committed, and ends suppressions that are over.
func (h *Hub) Run(ctx context.Context) error {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { h.follow(ctx) })
	both.Go(func() { h.tieStored(ctx) })
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
		sleep(ctx, wait, nil)
	}
	return nil
}

// follow reads into the index what was committed, here or on another node, so
// that whoever asks after a large import does not have to.
func (h *Hub) follow(ctx context.Context) {
	for ctx.Err() == nil {
		wait := time.Second
		if err := h.look(ctx, func(*db.Tx) error { return nil }); err != nil && ctx.Err() == nil {
			h.config.Log.Warn("hub: reading the findings for queries", "err", err)
			wait = 10 * time.Second
		}
		sleep(ctx, wait, h.changed)
		sleep(ctx, 50*time.Millisecond, nil) // what comes in many parts is read in few
	}
}

// sleep waits until it is time, ctx ends, or something comes.
func sleep(ctx context.Context, wait time.Duration, come <-chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-come:
	case <-timer.C:
	}
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
