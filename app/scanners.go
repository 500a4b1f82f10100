package app

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/deps/gocalls"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// AdvisoryFile is the index of vulnerabilities in the data folder, which haechi db import replaces.
const AdvisoryFile = "advisory.index"

// Local are the repositories that package managers keep for the user whose environment this is.
func Local(env func(string) string) deps.Local {
	open := func(dirs ...string) fs.FS {
		for _, dir := range dirs {
			if info, err := os.Stat(dir); dir != "" && err == nil && info.IsDir() {
				return os.DirFS(dir)
			}
		}
		return nil
	}
	home := env("HOME")
	if home == "" {
		return deps.Local{}
	}
	goCache := filepath.Join(home, "go", "pkg", "mod")
	if path := env("GOPATH"); path != "" {
		goCache = filepath.Join(path, "pkg", "mod")
	}
	return deps.Local{
		Maven: open(env("HAECHI_MAVEN"), filepath.Join(home, ".m2", "repository")),
		Go:    open(env("GOMODCACHE"), goCache),
		Cargo: open(env("CARGO_HOME"), filepath.Join(home, ".cargo")),
	}
}

// Scanners are those that look at every tree; salt keys the hashes of secrets.
func Scanners(salt []byte, index *advisory.Index) ([]scan.Scanner, error) {
	policies, err := Policies()
	if err != nil {
		return nil, err
	}
	return []scan.Scanner{secret.New(salt), deps.New(index), iac.New(iac.Rules(policies...)...)}, nil
}

// LocalScanners are those of somebody at their own machine: the repositories of
// package managers are looked into, sources are searched for what they import,
// and old advisories are named, unless they are only the few that come with Haechi.
func LocalScanners(env func(string) string, index *advisory.Index, now time.Time, few bool) ([]scan.Scanner, error) {
	all, err := Scanners(nil, index)
	if err != nil {
		return nil, err
	}
	scanner := deps.New(index).Beside(Local(env)).Reaching()
	if !few {
		scanner = scanner.At(now)
	}
	for i := range all {
		if all[i].Name() == scanner.Name() {
			all[i] = scanner
		}
	}
	return all, nil
}

// ImageScanners are those for a container image. It is looked at as it is: what
// the caches of this machine hold says nothing of it.
func ImageScanners(index *advisory.Index, now time.Time, few bool) ([]scan.Scanner, error) {
	all, err := Scanners(nil, index)
	if err != nil {
		return nil, err
	}
	scanner := deps.New(index)
	if !few {
		scanner = scanner.At(now)
	}
	for i := range all {
		if all[i].Name() == scanner.Name() {
			all[i] = scanner
		}
	}
	return append(all, image.Scanner{}), nil
}

// AskCalls lets the scanner of dependencies among all ask the call graph of Go
// modules below root. That runs the go command on them, so somebody must ask for it.
func AskCalls(all []scan.Scanner, root string) {
	for i := range all {
		if scanner, ok := all[i].(*deps.Scanner); ok {
			all[i] = scanner.Calling(func(ctx context.Context, dir string, symbols map[string][]string) (map[string]string, error) {
				return gocalls.Called(ctx, filepath.Join(root, filepath.FromSlash(dir)), symbols)
			})
		}
	}
}

// scanners are the server's: they use the newest vulnerability data.
func (a *App) scanners(ctx context.Context) ([]scan.Scanner, error) {
	salt, err := a.once(ctx, "scan.salt")
	if err != nil {
		return nil, err
	}
	file := a.Config.Advisory
	if file == "" {
		file = filepath.Join(a.Config.Data, AdvisoryFile)
	}
	few := advisory.Few()
	a.deps = &freshDeps{file: file, log: a.log, now: deps.New(few), index: few}
	return []scan.Scanner{lives{secret.New(salt)}, a.deps, freshRules{&a.guards}}, nil
}

// freshDeps is the scanner of dependencies with the index as it is when a scan
// begins. Before there is one, the few advisories that come with Haechi serve.
type freshDeps struct {
	file string
	log  *slog.Logger

	mu    sync.Mutex
	seen  time.Time
	now   *deps.Scanner
	index *advisory.Index
}

func (f *freshDeps) newest() *deps.Scanner {
	scanner, _ := f.Newest()
	return scanner
}

// Newest is the scanner as it is now, and its index.
func (f *freshDeps) Newest() (*deps.Scanner, *advisory.Index) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.file)
	if err != nil || info.ModTime().Equal(f.seen) {
		return f.now, f.index
	}
	index, err := advisory.Open(f.file)
	if err != nil {
		f.log.Error("the vulnerability data cannot be read; the former stays in use", "file", f.file, "error", err)
		f.seen = info.ModTime()
		return f.now, f.index
	}
	// The former index stays mapped: scans under way may be reading it.
	f.seen, f.now, f.index = info.ModTime(), deps.New(index), index
	return f.now, f.index
}

// Name is that of the scanner within.
func (f *freshDeps) Name() string { return f.newest().Name() }

// Version is that of the newest data.
func (f *freshDeps) Version() string { return f.newest().Version() }

// Wants is that of the scanner within.
func (f *freshDeps) Wants(path string) bool { return f.newest().Wants(path) }

// Begin begins a pass with the newest data.
func (f *freshDeps) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	return f.newest().Begin(ctx, tree, out)
}
