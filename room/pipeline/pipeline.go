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
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

// Runner runs one step of a build; tool/sandbox is the first. All that the step
// started has ended when Run returns.
type Runner interface {
	Run(ctx context.Context, s sandbox.Step, out io.Writer) (exit int, err error)
	// Level is how well steps are walled in, or why none can be run.
	Level(ctx context.Context) (sandbox.Level, error)
}

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

// Config is what a Pipelines needs. All above Log must be given.
type Config struct {
	DB       *db.DB // with Schema, bus.Schema and source's
	Bus      *bus.Bus
	Queue    *work.Work // with its Schema
	Source   *source.Source
	Hub      Findings
	Scanners []scan.Scanner
	Runner   Runner
	Work     string // a folder for builds, emptied at every start
	Account  string // 12 digits
	Region   string

	Log        *slog.Logger
	Now        func() time.Time
	Policy     func() gate.Policy       // where a repository's protected base branch has none; nil is the default policy
	Components Components               // keeps what trees are made of; nil keeps nothing
	Reports    Reports                  // takes the reports that builds leave; nil refuses them
	Identity   *Identity                // tells builds who they are; nil: they are nobody
	Mask       func(line []byte) []byte // takes secrets out of what is logged; nil changes nothing
	Tools      []sandbox.Tool           // what builds may read besides the system's programs
	Env        []string                 // what builds find in their environment besides
	Limits     sandbox.Limits           // of a build
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
	return &Pipelines{config: c, db: c.DB, maker: finding.Maker{Account: c.Account, Region: c.Region}}
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
DROP TABLE pipeline_log`}}
}

// Run starts what pushes ask for and works on it until ctx ends.
func (p *Pipelines) Run(ctx context.Context) error {
	if err := p.tidyWork(); err != nil {
		return err
	}
	if err := p.wakeAll(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.config.Bus.Fold(ctx, "pipeline", p.trigger, source.Moved) })
	group.Go(func() error { return p.config.Bus.Follow(ctx, "pipeline-branches", p.forget, source.Moved) })
	group.Go(func() error { return p.work(ctx) })
	group.Go(func() error { return p.tidy(ctx) })
	return group.Wait()
}
