package source_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// house is a keeper with one repository, and a person who pushes to it past the door.
type house struct {
	*source.Source
	t     *testing.T
	db    *db.DB
	bus   *bus.Bus
	clone *gittest.Clone
	repo  *git.Repo
	open  func() *source.Source // a restart

	findings []finding.Finding // that were kept, each once
	deaf     bool              // nobody keeps findings
	later    time.Duration     // that the clock is ahead
}

func each(t *testing.T, test func(t *testing.T, h *house)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := &house{t: t, clone: gittest.New(t)}
		dir := t.TempDir()
		h.db = open(source.Schema(), bus.Schema())
		h.bus = bus.New(h.db)
		h.open = func() *source.Source {
			return source.New(source.Config{DB: h.db, Bus: h.bus, Dir: dir, Account: "111122223333", Region: "eu-west-1", Keep: h.keep, Now: func() time.Time { return time.Now().Add(h.later) }})
		}
		h.Source = h.open()
		if _, err := h.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
			t.Fatal(err)
		}
		var err error
		if h.repo, err = h.Git("shop"); err != nil {
			t.Fatal(err)
		}
		test(t, h)
	})
}

func (h *house) keep(_ context.Context, _ finding.Scan, all ...finding.Finding) error {
	if h.deaf {
		return errors.New("nobody listens")
	}
	for _, f := range all {
		if !slices.ContainsFunc(h.findings, func(k finding.Finding) bool { return k.ID == f.ID }) {
			h.findings = append(h.findings, f)
		}
	}
	return nil
}

// intend says that main is about to move.
func (h *house) intend(push, from, to string) {
	h.t.Helper()
	h.move(push, "refs/heads/main", from, to)
}

func (h *house) move(push, ref, from, to string) {
	h.t.Helper()
	err := h.Intend(h.t.Context(), h.repo, source.Push{ID: push, Repository: "shop", Who: "ada", Updates: []source.Update{{Ref: ref, Old: from, New: to}}})
	if err != nil {
		h.t.Fatal(err)
	}
}

// git does what receive-pack does after the hook.
func (h *house) git(refspec string) {
	h.t.Helper()
	h.clone.Git("push", "-q", "--force", h.repo.Dir(), refspec)
}

// fetched lets the server have the objects without a branch that names them.
func (h *house) fetched(id string) {
	h.t.Helper()
	h.clone.Git("push", "-q", "--force", h.repo.Dir(), id+":refs/keep/"+id)
	if out, err := h.repo.Command(h.t.Context(), nil, "update-ref", "-d", "refs/keep/"+id).CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
}

func (h *house) confirm(push string) {
	h.t.Helper()
	if err := h.Confirm(h.t.Context(), "shop", push, []string{"refs/heads/main"}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) repair() {
	h.t.Helper()
	h.Source = h.open()
	if err := h.Repair(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// told are the moves that events have told of so far: "main old→new", each name by its first letters.
func (h *house) told() []string {
	h.t.Helper()
	end := event.Event{ID: bus.ID(), Type: "end", Source: "test", Account: "111122223333", Region: "eu-west-1"}
	if err := h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, end) }); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	var told []string
	err := h.bus.Follow(ctx, bus.ID(), func(_ context.Context, e event.Event) error {
		if e.ID == end.ID {
			cancel()
		}
		if e.Type != source.Moved {
			return nil
		}
		var d source.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		told = append(told, d.ReferenceName+" "+short(d.OldCommitID)+"→"+short(d.CommitID))
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return told
}

func short(id string) string { return id[:min(len(id), 7)] }

func (h *house) expect(want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.told()); diff != "" {
		h.t.Errorf("events (-want +got):\n%s", diff)
	}
}

func arrow(from, to string) string { return "main " + short(from) + "→" + short(to) }

// A move that git has made counts once, with one event, however often that is said.
func TestMoveCountsOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.git("main")
		h.confirm("p1")
		h.confirm("p1")
		h.repair()
		h.expect(arrow("", one))
		if got, err := h.Ref(t.Context(), "shop", "refs/heads/main"); got != one || err != nil {
			t.Errorf("main is at %s, %v", got, err)
		}
		moves, err := h.Moves(t.Context(), "shop", "refs/heads/main", 0, 10)
		if err != nil || len(moves) != 1 || moves[0].Who != "ada" || !moves[0].Done {
			t.Errorf("moves %+v, %v", moves, err)
		}
	})
}

// A kill after the intent and before git leaves nothing behind.
func TestKillBeforeGit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.repair()
		h.expect()
		if moves, _ := h.Moves(t.Context(), "shop", "", 0, 10); len(moves) != 0 {
			t.Errorf("moves %+v", moves)
		}
	})
}

// A kill after git and before the confirmation loses nothing: the start tells of it, once.
func TestKillAfterGit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.git("main")
		h.repair()
		h.repair()
		h.confirm("p1") // of a node that was only slow
		h.expect(arrow("", one))
	})
}

// The lock that a killed git has left on a branch stops nobody for long; one of a git that may be at work stays.
func TestLockLeftBehind(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.git("main")
		h.confirm("p1")
		two := h.clone.Commit("two", map[string]string{"a": "2"})
		h.fetched(two)
		lock := filepath.Join(h.repo.Dir(), "refs", "heads", "main.lock")
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h.repair()
		if err := h.repo.Move(t.Context(), "refs/heads/main", one, two); err == nil {
			t.Error("a lock that is somebody's is taken away")
		}
		h.later = time.Minute
		h.repair()
		if err := h.repo.Move(t.Context(), "refs/heads/main", one, two); err != nil {
			t.Error(err)
		}
	})
}

// A node that was only slow is believed after another one gave its move up.
func TestRepairTooEarly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.repair()
		h.git("main")
		h.confirm("p1")
		h.expect(arrow("", one))
	})
}

// A git that outlived its server made a move after it was given up: it is told of
// as the one who asked for it meant it, at the next start or before the next move.
func TestGitOutlivesTheServer(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.repair()
		h.git("main")
		two := h.clone.Commit("two", map[string]string{"a": "2"})
		h.fetched(two)
		h.intend("p2", one, two)
		h.git("main")
		h.confirm("p2")
		three := h.clone.Commit("three", map[string]string{"a": "3"})
		h.fetched(three)
		h.intend("p3", two, three)
		h.repair()
		h.git("main")
		h.repair()
		h.expect(arrow("", one), arrow(one, two), arrow(two, three))
		moves, err := h.Moves(t.Context(), "shop", "", 0, 10)
		if err != nil || len(moves) != 3 {
			t.Fatalf("moves %+v, %v", moves, err)
		}
		for _, m := range moves {
			if m.Who != "ada" {
				t.Errorf("nobody knows who moved main to %s", m.New)
			}
		}
	})
}

// Even a move past the door that nobody noticed leaves no hole in what is told.
func TestNoHoles(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.git("main")
		two := h.clone.Commit("two", map[string]string{"a": "2"})
		h.fetched(two)
		h.intend("p1", one, two)
		h.git("main")
		h.confirm("p1")
		h.expect(arrow("", one), arrow(one, two))
	})
}

// Moves are told of in the order in which git made them, whoever is confirmed first.
func TestOrder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.git("main")
		two := h.clone.Commit("two", map[string]string{"a": "2"})
		h.fetched(two)
		h.intend("p2", one, two)
		h.git("main")
		h.confirm("p2")
		h.confirm("p1")
		h.expect(arrow("", one), arrow(one, two))
		if got, _ := h.Ref(t.Context(), "shop", "refs/heads/main"); got != two {
			t.Errorf("main is at %s, want %s", got, two)
		}
	})
}

// Of two pushes that a kill caught, the one that git took counts.
func TestKillAmongTwo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.intend("p1", git.Zero, one)
		h.git("main")
		h.confirm("p1")
		two := h.clone.Commit("two", map[string]string{"a": "2"})
		h.fetched(two)
		h.intend("p2", one, two)
		h.clone.Git("reset", "-q", "--hard", one)
		three := h.clone.Commit("three", map[string]string{"a": "3"})
		h.fetched(three)
		h.intend("p3", one, three)
		h.git("main")
		h.repair()
		h.expect(arrow("", one), arrow(one, three))
	})
}

// A ref that somebody moved past the door is noticed and told of.
func TestUnknownMove(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.git("main")
		h.repair()
		h.expect(arrow("", one))
		if moves, _ := h.Moves(t.Context(), "shop", "", 0, 10); len(moves) != 1 || moves[0].Who != "" {
			t.Errorf("moves %+v", moves)
		}
	})
}

// The history of protected branches only grows; other branches are free.
func TestProtection(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		two := h.clone.Commit("two", map[string]string{"a": "2"})
		h.git("main")
		if _, err := h.Change(ctx, "shop", func(r *source.Repository) error { r.Rules.Protected = []string{"release/*"}; return nil }); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			update source.Update
			kind   error
		}{
			"force main":     {source.Update{Ref: "refs/heads/main", Old: two, New: one}, fault.Denied},
			"delete main":    {source.Update{Ref: "refs/heads/main", Old: two, New: git.Zero}, fault.Denied},
			"force release":  {source.Update{Ref: "refs/heads/release/1", Old: two, New: one}, fault.Denied},
			"grow main":      {source.Update{Ref: "refs/heads/main", Old: one, New: two}, nil},
			"force side":     {source.Update{Ref: "refs/heads/side", Old: two, New: one}, nil},
			"delete side":    {source.Update{Ref: "refs/heads/side", Old: two, New: git.Zero}, nil},
			"other refs":     {source.Update{Ref: "refs/haechi/x", Old: git.Zero, New: one}, fault.Denied},
			"no text":        {source.Update{Ref: "refs/heads/\xff", Old: git.Zero, New: one}, fault.Invalid},
			"no ref":         {source.Update{Ref: "refs/heads/../x", Old: git.Zero, New: one}, fault.Invalid},
			"hidden release": {source.Update{Ref: "refs/heads/release/1/x", Old: two, New: one}, nil},
		} {
			err := h.Intend(ctx, h.repo, source.Push{ID: name, Repository: "shop", Updates: []source.Update{c.update}})
			if !errors.Is(err, c.kind) {
				t.Errorf("%s: %v, want %v", name, err, c.kind)
			}
		}
	})
}

// The first branch of a repository becomes its default branch, and a clone finds it.
func TestFirstBranch(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1"})
		h.move("p1", "refs/heads/trunk", git.Zero, one)
		h.git("main:trunk")
		if err := h.Confirm(t.Context(), "shop", "p1", []string{"refs/heads/trunk"}); err != nil {
			t.Fatal(err)
		}
		r, err := h.Repository(t.Context(), "shop")
		if err != nil || r.DefaultBranch != "trunk" || !r.Protected("refs/heads/trunk") {
			t.Errorf("%+v, %v", r, err)
		}
		if head, err := h.repo.Resolve(t.Context(), "HEAD"); head != one || err != nil {
			t.Errorf("HEAD is %s, %v", head, err)
		}
	})
}

func TestRepositories(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		if _, err := h.Create(ctx, source.Repository{Name: "shop"}); !errors.Is(err, fault.Exists) {
			t.Errorf("a second shop: %v", err)
		}
		for _, name := range []string{"", ".", "..", "a/b", "../x", "x.git", "-x", ".x", "a b", "a\x00", "x..y", "x.", strings.Repeat("a", 101), "한글"} {
			if _, err := h.Create(ctx, source.Repository{Name: name}); !errors.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := h.Git(name); !errors.Is(err, fault.Invalid) {
				t.Errorf("opening %q: %v", name, err)
			}
		}
		if _, err := h.Create(ctx, source.Repository{Name: "blog"}); err != nil {
			t.Fatal(err)
		}
		all, err := h.Repositories(ctx, "", 10)
		if err != nil || len(all) != 2 || all[0].Name != "blog" {
			t.Errorf("%+v, %v", all, err)
		}
		if page, _ := h.Repositories(ctx, "blog", 1); len(page) != 1 || page[0].Name != "shop" {
			t.Errorf("second page %+v", page)
		}
	})
}
