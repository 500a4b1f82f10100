package build_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/build"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	if dir := os.Getenv("HAECHI_TEST_BUILD"); dir != "" {
		workUntilKilled(dir, os.Getenv("HAECHI_TEST_DATABASE"))
	}
	dbtest.Main(m)
}

const account, region = "111122223333", "eu-west-1"

// house is the room with its real neighbours, and a person who pushes.
type house struct {
	t      *testing.T
	db     *db.DB
	bus    *bus.Bus
	work   *work.Work
	source *source.Source
	blobs  *blob.Folder
	room   *build.Builds
	clone  *gittest.Clone
	repo   *git.Repo
	n      int
}

// values are secrets and parameters by their names.
type values map[string]string

func (v values) Secret(_ context.Context, _, reference string) (seal.Secret, error) {
	if value, ok := v[reference]; ok {
		return seal.Secret(value), nil
	}
	return "", fault.NotFound.Errorf("there is no secret %s", reference)
}

func (v values) Parameter(ctx context.Context, made, name string) (value seal.Secret, secret bool, err error) {
	value, err = v.Secret(ctx, made, name)
	return value, strings.HasPrefix(name, "secure-"), err
}

func schemas() []db.Schema {
	return []db.Schema{bus.Schema(), source.Schema(), work.Schema(), build.Schema()}
}

func furnish(d *db.DB, dir string, change func(*build.Config)) (*house, error) {
	h := &house{db: d, bus: bus.New(d, bus.Config{Poll: 50 * time.Millisecond})}
	quiet := slog.New(slog.DiscardHandler)
	h.source = source.New(source.Config{DB: d, Bus: h.bus, Dir: filepath.Join(dir, "repos"), Account: account, Region: region, Log: quiet})
	h.work = work.New(work.Config{DB: d, Poll: 50 * time.Millisecond, Log: quiet})
	var err error
	if h.blobs, err = blob.Open(filepath.Join(dir, "blobs")); err != nil {
		return nil, err
	}
	walls := sandbox.New(sandbox.Config{})
	c := build.Config{
		DB: d, Bus: h.bus, Work: h.work, Source: h.source, Blobs: h.blobs, Folder: filepath.Join(dir, "work"), Account: account, Region: region, Log: quiet,
		Machine: build.Machine{Builder: tool.New(tool.Config{Runner: walls}), Level: walls.Level}, Steps: walls, Poll: 50 * time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	h.room = build.New(c)
	return h, nil
}

// open is a house with a repository shop, whose branch main is protected.
func open(t *testing.T, d *db.DB, change func(*build.Config)) *house {
	t.Helper()
	h, err := furnish(d, t.TempDir(), change)
	if err != nil {
		t.Fatal(err)
	}
	h.t, h.clone = t, gittest.New(t)
	if _, err := h.source.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	if h.repo, err = h.source.Git("shop"); err != nil {
		t.Fatal(err)
	}
	return h
}

// alone is a house on SQLite, at work.
func alone(t *testing.T, change func(*build.Config)) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), schemas()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	h := open(t, d, change)
	h.run()
	return h
}

// run lets the room work until the test ends or stop is called.
func (h *house) run() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := h.room.Run(ctx); err != nil && ctx.Err() == nil {
			h.t.Errorf("the room ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wait.Wait() })
	h.t.Cleanup(stop)
	return stop
}

// push does what the git door does, and gives the commit.
func (h *house) push(branch, message string, files map[string]string) (commit string) {
	h.t.Helper()
	commit = h.clone.Commit(message, files)
	h.pushed(branch, commit)
	return commit
}

// pushed pushes a commit of the clone.
func (h *house) pushed(branch, commit string) {
	h.t.Helper()
	ref := "refs/heads/" + branch
	old, err := h.source.Ref(h.t.Context(), "shop", ref)
	if errors.Is(err, fault.NotFound) {
		old, err = git.Zero, nil
	}
	must(h.t, err)
	h.n++
	id := fmt.Sprint("push", h.n)
	h.clone.Git("push", "-q", h.repo.Dir(), "+HEAD:refs/keep/x") // the objects come first
	must(h.t, h.source.Intend(h.t.Context(), h.repo, source.Push{ID: id, Repository: "shop", Who: "ada", Updates: []source.Update{{Ref: ref, Old: old, New: commit}}}))
	h.clone.Git("push", "-q", h.repo.Dir(), "HEAD:"+ref)
	must(h.t, h.source.Confirm(h.t.Context(), "shop", id, []string{ref}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for something to be true, but not for ever.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 40 s", what)
		}
	}
}

func (h *house) start(s build.Start) build.Build {
	h.t.Helper()
	if s.Project == "" {
		s.Project = "shop"
	}
	if s.Who == "" {
		s.Who = "arn:aws:iam::" + account + ":user/ada"
	}
	made, err := h.room.Start(h.t.Context(), s)
	must(h.t, err)
	return made
}

// ended is a build when it has ended.
func (h *house) ended(id string) (made build.Build) {
	h.t.Helper()
	h.until("the end of build "+id, func() bool {
		var err error
		made, err = h.room.Build(h.t.Context(), id)
		must(h.t, err)
		return made.Status.Ended()
	})
	return made
}

// built is a build from start to end.
func (h *house) built(s build.Start) build.Build {
	h.t.Helper()
	return h.ended(h.start(s).ID)
}

// log is all that a build said.
func (h *house) log(made build.Build) string {
	h.t.Helper()
	var b strings.Builder
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	must(h.t, h.work.Follow(ctx, made.Stream(), 0, func(text []byte, _ int64) error { b.Write(text); return nil }))
	return b.String()
}

// told are the events of a type so far.
func (h *house) told(kind string) (all []build.Detail) {
	h.t.Helper()
	end := event.Event{ID: bus.ID(), Type: "end", Source: "test", Account: account, Region: region}
	must(h.t, h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, end) }))
	ctx, cancel := context.WithCancel(h.t.Context())
	err := h.bus.Follow(ctx, bus.ID(), func(_ context.Context, e event.Event) error {
		if e.ID == end.ID {
			cancel()
		}
		if e.Type != kind {
			return nil
		}
		var d build.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		all = append(all, d)
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		h.t.Fatal(err)
	}
	return all
}

// spec is a buildspec with commands of the phase build, and what else there is.
func spec(more string, commands ...string) string {
	text := "version: 0.2\nphases:\n  build:\n    commands:\n"
	for _, c := range commands {
		text += "      - " + fmt.Sprintf("%q", c) + "\n"
	}
	return text + more
}
