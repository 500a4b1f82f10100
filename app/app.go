package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/journal"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/detect"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/mirror"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/fault"
)

// App is one installation's rooms, built and wired.
type App struct {
	Config Config
	DB     *db.DB
	Bus    *bus.Bus
	Work   *work.Work
	Access *access.Access
	Audit  *audit.Trail
	Hub    *hub.Hub
	Vault  *vault.Vault

	Source    *source.Source
	Inventory *inventory.Inventory
	Journal   *journal.Journal
	Route     *route.Router
	Detect    *detect.Detect
	Comply    *comply.Comply
	Pipeline  *pipeline.Pipelines
	Mirror    *mirror.Mirror
	Builds    *build.Builds
	Shelf     *shelf.Shelf // buckets, and what lies in them by name
	Blobs     blob.Store   // what builds made and are given, by digest
	Inspect   *inspect.Inspector

	packs   []comply.Pack // those that come with Haechi
	inForce []comply.Pack // and people's own, at the start
	rules   []sigma.File  // at the start

	bucket   *blob.Bucket                // Blobs, where it is one
	own      gate.Policy                 // what haechi.yaml names
	policy   atomic.Pointer[gate.Policy] // what counts: a file's that was applied, else own
	guards   atomic.Pointer[iac.Scanner] // with the rules that come with Haechi, and those that were applied
	deps     *freshDeps
	life     *secretLife
	files    sync.Mutex
	taken    []keptFile // what the rooms go by
	log      *slog.Logger
	now      func() time.Time
	sealer   *seal.Sealer
	logins   []access.Login
	lock     *os.File
	node     string // name of this node
	rooms    []room
	handler  http.Handler
	pages    *console.Console
	reports  *reports.Door // takes other tools' reports
	ownTools []string      // what the server's own findings on repositories are by
	began    time.Time
	version  string
	anyKey   bool
	url      atomic.Value // string: how people reach the console, once it listens
}

// room is what runs beside the doors: a name for the log, and a method that blocks until ctx ends.
type room struct {
	name string
	run  func(ctx context.Context) error
}

// Env is what a process knows besides its Config.
type Env struct {
	Log     *slog.Logger
	Getenv  func(string) string
	Now     func() time.Time // time.Now
	Version string           // of this program, for people
	NoWait  bool             // for the data folder, which a server that was killed lets go of a moment later
	AnyKey  bool             // open also where the root key is not the one that secrets were sealed under: to reset access
}

// Open makes or opens the installation in c.Data and builds its rooms. Nothing
// runs and nobody is let in until Serve; Close must be called.
func Open(ctx context.Context, c Config, env Env) (a *App, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	a = &App{Config: c, log: env.Log, now: env.Now, began: time.Now(), version: env.Version, anyKey: env.AnyKey}
	if a.now == nil {
		a.now = time.Now
	}
	defer func() {
		if err != nil {
			_ = a.Close()
			a = nil
		}
	}()
	if err := a.ground(ctx, env); err != nil {
		return a, err
	}
	if err := a.build(ctx); err != nil {
		return a, err
	}
	return a, a.open(ctx)
}

// ground is what every room stands on: folder, lock, key, database, bus.
func (a *App) ground(ctx context.Context, env Env) (err error) {
	if err := os.MkdirAll(a.Config.Data, 0o700); err != nil {
		return fault.Invalid.Errorf("making the data folder: %w (-data names another)", err)
	}
	patience := lockPatience
	if env.NoWait {
		patience = 0
	}
	if a.lock, err = lockPatiently(ctx, a.Config.Data, patience, a.log); err != nil {
		return err
	}
	if a.node, err = nodeName(a.lock); err != nil {
		return err
	}
	key := env.Getenv("HAECHI_ROOT_KEY_FILE")
	if key == "" {
		key = filepath.Join(a.Config.Data, "root.key")
	}
	if a.sealer, err = seal.OpenOrCreate(key); err != nil {
		return err
	}
	if a.logins, err = a.Config.logins(env.Getenv); err != nil {
		return err
	}
	url, err := a.Config.database(env.Getenv)
	if err != nil {
		return err
	}
	if a.DB, err = db.Open(ctx, url, Schemas()...); err != nil {
		return err
	}
	a.Bus = bus.New(a.DB, bus.Config{Log: a.log, Now: a.now, Kept: a.Config.Retention.Events})
	return a.openBlobs(env.Getenv)
}

// Schemas are the tables of every room there is.
func Schemas() []db.Schema {
	return []db.Schema{
		Schema(), bus.Schema(), work.Schema(), access.Schema(), audit.Schema(), snapshot.Schema(), hub.Schema(), inventory.Schema(), source.Schema(), vault.Schema(), shelf.Schema(), build.Schema(),
		route.Schema(), detect.Schema(), comply.Schema(), pipeline.Schema(), mirror.Schema(), inspect.Schema(),
	}
}

// nodeName is what tells this node from others on the same database. It stands
// in the lock, so that it stays with the folder, whose journal is its own.
func nodeName(lock *os.File) (string, error) {
	text := make([]byte, 64)
	n, err := lock.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the node's name: %w", err)
	}
	if name := strings.TrimSpace(string(text[:n])); name != "" {
		return name, nil
	}
	name := bus.ID()
	_, err = lock.WriteAt([]byte(name+"\n"), 0)
	return name, errors.Join(err, lock.Sync())
}

// Close lets go of everything. Serve must have returned.
func (a *App) Close() error {
	var errs []error
	if a.Audit != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		errs = append(errs, a.Audit.Flush(ctx)) // what came while the rooms ended
	}
	if a.Journal != nil {
		errs = append(errs, a.Journal.Close())
	}
	if a.DB != nil {
		errs = append(errs, a.DB.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
