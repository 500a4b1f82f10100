// Package route carries events from the river to those who asked.
//
// People ask with rules: an event pattern, or a schedule, and targets. Every
// event of the river that a rule of its bus matches becomes one delivery for
// each of the rule's targets, kept in the database together with the river's
// cursor: none is lost, none is made twice. Each target has its own queue, so
// that a slow one holds up nobody else. A queue is worked on by one node at a
// time; a delivery is tried until the receiver takes it, refuses it for good or
// its retry policy ends, and then it is a dead letter. A repeat bears the same id.
//
// Targets that people read (Slack, e-mail) are told of a finding once for each
// time that it is new, in messages that gather what comes together.
package route

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/finding"
	"golang.org/x/sync/errgroup"
)

// Config is what a router needs. DB, Bus, Account and Region must be given.
type Config struct {
	DB      *db.DB // with Schema and bus.Schema
	Bus     *bus.Bus
	Account string // 12 digits
	Region  string
	Log     *slog.Logger
	Now     func() time.Time

	HTTP     *http.Client                                                         // for calls to addresses that users chose; nil allows none
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // the same for e-mail
	Seal     *seal.Sealer                                                         // for targets' secrets; nil refuses them
	Commands map[string]Command                                                   // what targets of kind command may name
	Rooms    []Room                                                               // targets that are other rooms
	Link     func(*finding.Finding) string                                        // the console's page of a finding, of all of them for nil; "" is none
	Page     func(path string) string                                             // the console's address of a path such as /runs/ID; "" or nil is none

	// Notify marks findings that were told of as NOTIFIED, those that are still
	// NEW. It may be called again for the same ones. Nil marks none.
	Notify func(ctx context.Context, findings []Identity) error

	Node string        // who holds leases; empty is a random name
	Poll time.Duration // how often to look for what other nodes did: 500 ms
	Kept time.Duration // how long finished deliveries are listed: 30 days
}

// Identity is which finding is meant.
type Identity struct{ Account, ProductARN, ID string }

// Router is the room. It is safe for concurrent use.
type Router struct {
	config Config
	db     *db.DB
	env    Env

	mu      sync.Mutex
	known   *table        // as of its revision
	arrived chan struct{} // closed when there is something to deliver
}

// New is a router on config's database. It delivers while Run runs.
func New(config Config) *Router {
	config.Log = cmp.Or(config.Log, slog.Default())
	config.Node = cmp.Or(config.Node, bus.ID())
	config.Poll = cmp.Or(config.Poll, 500*time.Millisecond)
	config.Kept = cmp.Or(config.Kept, 30*24*time.Hour)
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Link == nil {
		config.Link = func(*finding.Finding) string { return "" }
	}
	if config.Page == nil {
		config.Page = func(string) string { return "" }
	}
	r := &Router{config: config, db: config.DB, arrived: make(chan struct{})}
	r.env = Env{HTTP: straight(config.HTTP), Dial: config.Dial, Commands: config.Commands, Link: config.Link, Page: config.Page, Log: config.Log, Now: config.Now, threads: threads{r.db}}
	return r
}

// straight is client without redirects: one would turn a delivery into a
// question to somebody else.
func straight(client *http.Client) *http.Client {
	if client == nil {
		return nil
	}
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Run folds the river into deliveries, delivers them, fires schedules, replays
// archives and forgets what is old, until ctx ends; then it returns nil.
func (r *Router) Run(ctx context.Context) error {
	if err := r.takeOver(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.config.Bus.Fold(ctx, "route", r.fold) })
	group.Go(func() error { r.dispatch(ctx); return nil })
	group.Go(func() error { r.every(ctx, time.Second, "firing schedules", r.fire); return nil })
	group.Go(func() error { r.every(ctx, time.Second, "replaying", r.replayStep); return nil })
	group.Go(func() error { r.every(ctx, time.Hour, "forgetting what is old", r.forget); return nil })
	return group.Wait()
}

// every calls do now and then, and again at once while it says that there is more.
func (r *Router) every(ctx context.Context, pause time.Duration, what string, do func(context.Context) (more bool, err error)) {
	for {
		more, err := do(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.config.Log.Warn("trying again later", "what", what, "error", err)
		}
		if !more || err != nil {
			sleep(ctx, pause, nil)
		}
	}
}

// sleep waits for d, for news, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration, news <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-news:
	case <-ctx.Done():
	}
}

// wake tells this node's dispatcher that there is something to deliver.
func (r *Router) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.arrived)
	r.arrived = make(chan struct{})
}

func (r *Router) news() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived
}

func chance() float64 { return rand.Float64() }
