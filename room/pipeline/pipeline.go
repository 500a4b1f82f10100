// Package pipeline takes a push to a yes or no: scan, build, gate, and what became of it.
//
// A run is rows of the database that one idempotent function moves on (advance):
// after every result, at every start. Its actions are jobs, leased with a nonce:
// a worker that lost its lease can change nothing any more. So a run goes on
// wherever it was killed, ends once, and tells of it once.
package pipeline

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// Findings is what a pipeline needs of the hub.
type Findings interface {
	Import(ctx context.Context, s finding.Scan, findings ...finding.Finding) (hub.Imported, error)
	// Present is what is on a branch of a target, with what people decided about it.
	Present(ctx context.Context, target, branch string) ([]finding.Finding, error)
	// Forget drops a branch that is no more.
	Forget(ctx context.Context, target, branch, by string) (closed int, err error)
}

// Components keeps what trees are made of, so that new advisories can be held against it.
type Components interface {
	Keep(ctx context.Context, s finding.Scan, components []component.Component) error
	// Forget drops a branch that is no more.
	Forget(ctx context.Context, target, branch string) error
}

// Webhooks calls addresses that people have given names.
type Webhooks interface {
	// Call sends a body to the one of that name, under an id that stays the same when it is sent again.
	Call(ctx context.Context, name, id string, body []byte) error
}

// Blobs keeps artifacts by their digests.
type Blobs interface {
	Put(ctx context.Context, r io.Reader, limit int64) (blob.Info, error)
	Open(ctx context.Context, digest string) (*os.File, error)
}

// Config is what a Pipelines needs. All above Log must be given.
type Config struct {
	DB       *db.DB // with Schema, bus.Schema and source's
	Bus      *bus.Bus
	Queue    *work.Work // with its Schema
	Source   *source.Source
	Hub      Findings
	Scanners []scan.Scanner
	Account  string // 12 digits
	Region   string

	Log        *slog.Logger
	Now        func() time.Time
	Starter    Starter                  // builds; nil builds nothing
	Webhooks   Webhooks                 // calls what people have named; nil refuses it
	Sealer     *seal.Sealer             // seals the secrets of webhooks; nil keeps none
	Blobs      Blobs                    // keeps artifacts; nil keeps none
	Shelf      Shelf                    // gives them names; nil: they have none
	JobKey     []byte                   // that keys for workers' artifacts are made of, the same on every node; nil makes none
	Policy     func() gate.Policy       // where a repository's protected base branch has none; nil is the default policy
	Components Components               // keeps what trees are made of; nil keeps nothing
	Mask       func(line string) string // takes secrets out of what is logged; nil changes nothing
	Node       string                   // this node's name
	Workers    int                      // jobs at once; 2
	Attempts   int                      // how often a job is tried when it is our fault; 3
	Kept       time.Duration            // how long logs and results of scans are kept; 90 days
}

// Pipelines is the room. It is safe for concurrent use.
type Pipelines struct {
	config Config
	db     *db.DB
	maker  finding.Maker

	mu   sync.Mutex
	news chan struct{} // closed when a run or a definition changed here
}

// New is the room; it works while Run runs.
func New(c Config) *Pipelines {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Policy == nil {
		c.Policy = func() gate.Policy { return gate.Policy{} }
	}
	c.Workers, c.Attempts = cmp.Or(c.Workers, 2), cmp.Or(c.Attempts, 3)
	c.Kept = cmp.Or(c.Kept, 90*24*time.Hour)
	return &Pipelines{config: c, db: c.DB, maker: finding.Maker{Account: c.Account, Region: c.Region}, news: make(chan struct{})}
}

// Schema is the room's tables.
func Schema() db.Schema {
	return db.Schema{Room: "pipeline", Steps: []string{`
CREATE TABLE pipeline_runs (id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, number BIGINT NOT NULL, branch TEXT NOT NULL, status TEXT NOT NULL, created BIGINT NOT NULL, logged BIGINT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX pipeline_runs_by_pipeline ON pipeline_runs (pipeline, number);
CREATE INDEX pipeline_runs_by_age ON pipeline_runs (created, id);
CREATE INDEX pipeline_runs_by_status ON pipeline_runs (status, pipeline, branch);
CREATE TABLE pipeline_jobs (run TEXT NOT NULL, action TEXT NOT NULL, nonce TEXT NOT NULL, until BIGINT NOT NULL, attempt BIGINT NOT NULL, created BIGINT NOT NULL, PRIMARY KEY (run, action));
CREATE INDEX pipeline_jobs_by_lease ON pipeline_jobs (until, created);
CREATE TABLE pipeline_log (run TEXT NOT NULL, start BIGINT NOT NULL, size BIGINT NOT NULL, at BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (run, start));
CREATE INDEX pipeline_log_by_age ON pipeline_log (at);
CREATE TABLE pipeline_outputs (run TEXT NOT NULL, action TEXT NOT NULL, at BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (run, action));
CREATE TABLE pipeline_seen (tree TEXT NOT NULL, tool TEXT NOT NULL, version TEXT NOT NULL, at BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tree, tool, version))`, `
DROP TABLE pipeline_jobs;
DROP TABLE pipeline_log`, `
ALTER TABLE pipeline_runs ADD COLUMN due BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pipeline_runs ADD COLUMN gated BIGINT NOT NULL DEFAULT 0;
UPDATE pipeline_runs SET gated = 1 WHERE status = 'Succeeded';
CREATE INDEX pipeline_runs_by_due ON pipeline_runs (due);
CREATE INDEX pipeline_runs_gated ON pipeline_runs (pipeline, branch, gated, number);
CREATE TABLE pipeline_definitions (name TEXT PRIMARY KEY, origin TEXT NOT NULL, next BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX pipeline_definitions_by_next ON pipeline_definitions (next);
CREATE TABLE pipeline_versions (name TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (name, version));
CREATE TABLE pipeline_transitions (pipeline TEXT NOT NULL, stage TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (pipeline, stage, kind));
CREATE TABLE pipeline_tokens (pipeline TEXT NOT NULL, token TEXT NOT NULL, run TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (pipeline, token));
CREATE TABLE pipeline_begun (action TEXT PRIMARY KEY, run TEXT NOT NULL);
CREATE TABLE pipeline_types (id TEXT PRIMARY KEY, body BLOB NOT NULL)`, `
CREATE TABLE pipeline_hooks (name TEXT PRIMARY KEY, token TEXT NOT NULL, secret TEXT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX pipeline_hooks_by_token ON pipeline_hooks (token)`, `
CREATE TABLE pipeline_told (target TEXT NOT NULL, branch TEXT NOT NULL, tool TEXT NOT NULL, told TEXT NOT NULL, run TEXT NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (target, branch, tool))`}}
}

// Run starts what pushes ask for and works on it until ctx ends.
func (p *Pipelines) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return p.config.Bus.Follow(ctx, "pipeline", p.trigger, source.Moved, pullChanged, Changed, imagePushed, shelf.Created)
	})
	group.Go(func() error { return p.config.Bus.Follow(ctx, "pipeline-branches", p.forget, source.Moved) })
	if p.config.Starter != nil {
		group.Go(func() error { return p.config.Bus.Fold(ctx, "pipeline-builds", p.built, p.config.Starter.Events()...) })
	}
	group.Go(func() error { return p.wakeAll(ctx) })
	group.Go(func() error { return p.serve(ctx) })
	group.Go(func() error { return p.clock(ctx) })
	group.Go(func() error { return p.tidy(ctx) })
	return group.Wait()
}

// waiting is closed at the next change. Ask before looking, so that nothing slips by.
func (p *Pipelines) waiting() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.news
}

func (p *Pipelines) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.news)
	p.news = make(chan struct{})
}
