// Package build builds what projects say: one build or a batch of them, in walls, with its phases, log, reports and artifacts.
//
// A build is a row of the database and a job of river/work, which a worker of
// this server or a runner on another machine takes. Who holds the job's lease
// may write the log and give the result; the server hashes what was made,
// parses the reports and says what became of it, in one transaction with the
// event that tells of it. A build that lost its worker is done anew. A batch is
// a state machine that is moved on (advanceBatch) after each of its builds.
package build

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/word/finding"
)

// Repositories is what builds need of keeper/source.
type Repositories interface {
	Repository(ctx context.Context, name string) (source.Repository, error)
	Repositories(ctx context.Context, after string, limit int) ([]source.Repository, error)
	Git(name string) (*git.Repo, error)
}

// Reports takes the reports of security tools that builds leave into the hub.
type Reports interface {
	// Take imports a report as the scan s, by s.Tool, and says in one line what came of it. Where it is not
	// counted, what it suppresses is a proposal.
	Take(ctx context.Context, s finding.Scan, counted bool, file *os.File) (line string, err error)
}

// Secrets has the values that buildspecs and projects refer to.
type Secrets interface {
	// Secret is the value of a secret: id:json-key:version-stage:version-id.
	Secret(ctx context.Context, build, reference string) (seal.Secret, error)
	// Parameter is the value of a parameter, and whether it is a secret (SecureString).
	Parameter(ctx context.Context, build, name string) (value seal.Secret, secret bool, err error)
}

// An Identity tells builds who they are: a token that is good for a while, for
// one of the roles that trust it, and no key that stays.
type Identity struct {
	Token    func(ctx context.Context, made Build) (seal.Secret, error)
	Endpoint func() string // where it can be changed for credentials
}

// Config is what a Builds needs. All above Log must be given.
type Config struct {
	DB      *db.DB // with Schema, bus.Schema and work.Schema
	Bus     *bus.Bus
	Work    *work.Work
	Source  Repositories
	Blobs   blob.Store
	Shelf   Shelf   // where artifacts get their names; nil: they have none but their builds'
	Machine Machine // this server's
	Folder  string  // of builds at work: what a kill has left there is removed at the start
	Account string  // 12 digits
	Region  string

	Log      *slog.Logger
	Now      func() time.Time
	Reports  Reports  // takes reports of security tools; nil refuses them
	Scanners []string // names that no build's tool may take
	Secrets  Secrets  // nil: there are none
	Identity *Identity
	Mask     func(line string) string                                // takes what looks like a secret out of logs; nil changes nothing
	Page     func(path string) string                                // the address of a page of the console; nil and "" are none
	Egress   egress.Rules                                            // what builds may fetch whose project names no fleet; zero: nothing
	Wanted   func(ctx context.Context, digest string) (bool, error)  // whether somebody else needs a file; nil: nobody
	MayRead  func(ctx context.Context, who, repository string) error // whether an ARN may clone a repository; nil: nobody may another than the build's

	Workers     int           // builds at once on this server; 2; below 0 none: runners do them
	Steps       Steps         // runs commands in the folders of failed builds; nil: nobody may
	Node        string        // what this server is called among those that share the database
	Attempts    int           // how often a build is begun that fails by our fault; 3
	Poll        time.Duration // how often to look for what is due; 1 s
	Kept        time.Duration // of builds, logs and artifacts; 90 days
	KeptReports time.Duration // of reports of tests; 30 days
	CacheBytes  int64         // of all caches; 10 GiB
	MaxArtifact int64         // bytes of an artifact; 1 GiB
	KeptFolders int           // work folders of failed builds that stay for a look; 3; below 0 none
	KeptBytes   int64         // of these folders together; 4 GiB
	KeptFor     time.Duration // how long they stay; a day
	ShellIdle   time.Duration // how long a terminal in one of them is open where nothing is typed and said; 20 minutes
	ShellMost   time.Duration // how long it is open at most; 2 hours
}

// Builds is the room. It is safe for concurrent use.
type Builds struct {
	config Config
	db     *db.DB
	leases leases // of runners
	inside inside // those in the folders of failed builds

	benches benches // sandboxes
}

// New is the room; it works while Run runs.
func New(c Config) *Builds {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Page == nil {
		c.Page = func(string) string { return "" }
	}
	c.Workers, c.Attempts, c.Poll = cmp.Or(c.Workers, 2), cmp.Or(c.Attempts, 3), cmp.Or(c.Poll, time.Second)
	c.Kept, c.KeptReports = cmp.Or(c.Kept, 90*24*time.Hour), cmp.Or(c.KeptReports, 30*24*time.Hour)
	c.CacheBytes, c.MaxArtifact = cmp.Or(c.CacheBytes, 10<<30), cmp.Or(c.MaxArtifact, 1<<30)
	c.KeptFolders, c.KeptBytes, c.KeptFor = cmp.Or(c.KeptFolders, 3), cmp.Or(c.KeptBytes, 4<<30), cmp.Or(c.KeptFor, 24*time.Hour)
	c.ShellIdle, c.ShellMost = cmp.Or(c.ShellIdle, 20*time.Minute), cmp.Or(c.ShellMost, 2*time.Hour)
	return &Builds{config: c, db: c.DB}
}

// Schema is the room's tables.
func Schema() db.Schema {
	return db.Schema{Room: "build", Steps: []string{`
CREATE TABLE build_projects (name TEXT PRIMARY KEY, created BIGINT NOT NULL, modified BIGINT NOT NULL, body BLOB NOT NULL);
CREATE TABLE build_fleets (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE build_builds (id TEXT PRIMARY KEY, uuid TEXT NOT NULL, project TEXT NOT NULL, number BIGINT NOT NULL, status TEXT NOT NULL, phase TEXT NOT NULL, batch TEXT NOT NULL, created BIGINT NOT NULL, ended BIGINT NOT NULL, due BIGINT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX build_builds_by_number ON build_builds (project, number);
CREATE UNIQUE INDEX build_builds_by_uuid ON build_builds (uuid);
CREATE INDEX build_builds_by_age ON build_builds (created, id);
CREATE INDEX build_builds_by_due ON build_builds (status, due);
CREATE INDEX build_builds_by_batch ON build_builds (batch);
CREATE TABLE build_actions (action TEXT PRIMARY KEY, build TEXT NOT NULL);
CREATE INDEX build_actions_by_build ON build_actions (build);
CREATE TABLE build_asked (token TEXT PRIMARY KEY, id TEXT NOT NULL, at BIGINT NOT NULL);
CREATE TABLE build_batches (id TEXT PRIMARY KEY, project TEXT NOT NULL, number BIGINT NOT NULL, status TEXT NOT NULL, created BIGINT NOT NULL, due BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX build_batches_by_age ON build_batches (created, id);
CREATE TABLE build_files (build TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, at BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (build, name));
CREATE INDEX build_files_by_digest ON build_files (digest);
CREATE TABLE build_brought (build TEXT NOT NULL, nonce TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, said TEXT NOT NULL, size BIGINT NOT NULL, PRIMARY KEY (build, nonce, kind, id, name));
CREATE INDEX build_brought_by_digest ON build_brought (digest);
CREATE TABLE build_leases (job TEXT PRIMARY KEY, build TEXT NOT NULL, nonce TEXT NOT NULL, who TEXT NOT NULL);
CREATE INDEX build_leases_by_build ON build_leases (build);
CREATE TABLE build_groups (name TEXT PRIMARY KEY, created BIGINT NOT NULL, modified BIGINT NOT NULL, body BLOB NOT NULL);
CREATE TABLE build_reports (id TEXT PRIMARY KEY, grp TEXT NOT NULL, build TEXT NOT NULL, status TEXT NOT NULL, created BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX build_reports_by_group ON build_reports (grp, created);
CREATE INDEX build_reports_by_age ON build_reports (created, id);
CREATE TABLE build_cases (report TEXT NOT NULL, n BIGINT NOT NULL, grp TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, at BIGINT NOT NULL, version TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (report, n));
CREATE INDEX build_cases_by_status ON build_cases (grp, status, at);
CREATE INDEX build_cases_by_name ON build_cases (grp, name, at);
CREATE TABLE build_covered (report TEXT NOT NULL, n BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (report, n));
CREATE TABLE build_caches (project TEXT NOT NULL, class TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, created BIGINT NOT NULL, used BIGINT NOT NULL, PRIMARY KEY (project, class, name));
CREATE INDEX build_caches_by_use ON build_caches (used);
CREATE INDEX build_caches_by_digest ON build_caches (digest)`, `
CREATE TABLE build_sandboxes (id TEXT PRIMARY KEY, project TEXT NOT NULL, status TEXT NOT NULL, node TEXT NOT NULL, created BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX build_sandboxes_by_age ON build_sandboxes (created, id);
CREATE INDEX build_sandboxes_by_status ON build_sandboxes (status, created);
CREATE TABLE build_commands (id TEXT PRIMARY KEY, sandbox TEXT NOT NULL, status TEXT NOT NULL, created BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX build_commands_by_sandbox ON build_commands (sandbox, created)`}}
}

// Run builds what was asked for until ctx ends.
func (b *Builds) Run(ctx context.Context) error {
	if err := b.tidyFolder(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if b.config.Workers > 0 {
		group.Go(func() error {
			return b.config.Work.Serve(ctx, work.Worker{By: b.config.Node, Kinds: []string{Kind}, Workers: b.config.Workers, Attempts: b.config.Attempts, Do: b.do, GiveUp: b.giveUp})
		})
	}
	group.Go(func() error {
		return b.config.Work.Serve(ctx, work.Worker{By: b.config.Node, Kinds: []string{kindBatch}, Workers: 1, Attempts: b.config.Attempts, Do: b.doBatch, GiveUp: b.giveUpBatch})
	})
	group.Go(func() error {
		return b.config.Bus.Follow(ctx, "build", b.hooked, source.Moved, source.PullChanged)
	})
	group.Go(func() error { return b.watch(ctx) })
	group.Go(func() error { return b.sweep(ctx) })
	group.Go(func() error { return b.inside.wait(ctx) })
	group.Go(func() error { return b.serveSandboxes(ctx) })
	return group.Wait()
}
