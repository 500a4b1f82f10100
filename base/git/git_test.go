package git_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/word/fault"
)

// push puts the clone's main into the bare repository, past every door.
func push(t *testing.T, c *gittest.Clone, r *git.Repo, refspecs ...string) {
	t.Helper()
	c.Git(append([]string{"push", "-q", "--force", r.Dir()}, refspecs...)...)
}

// A commit's files can be read as a file system without a checkout.
func TestTreeIsAFileSystem(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(c.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"main.go": "package main\n", "a/b/c.txt": "deep", "odd \n\"name\".txt": "odd", "한글.txt": "hangul"}
	id := c.Commit("one", files)
	push(t, c, r, "main")

	tree, err := r.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := fstest.TestFS(tree, slices.Collect(maps(files))...); err != nil {
		t.Error(err)
	}
	info, err := fs.Stat(tree, "link")
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("link: %v, %v", info, err)
	}
	if target, _ := fs.ReadFile(tree, "link"); string(target) != "/etc/passwd" {
		t.Errorf("link holds %q", target)
	}
	if _, err := tree.Open("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func maps(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// What a tree cannot show is named, and the rest is shown.
func TestTreeSkipsWhatCannotBeShown(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	c.Commit("one", map[string]string{"good.txt": "good", "bad\xff.txt": "bad"})
	c.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub")
	c.Git("commit", "-q", "-m", "two")
	push(t, c, r, "main")
	tree, err := r.Tree(t.Context(), c.Git("rev-parse", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if got, err := fs.ReadFile(tree, "good.txt"); string(got) != "good" {
		t.Errorf("good.txt: %q, %v", got, err)
	}
	if len(tree.Skipped) != 1 || !slices.Equal(tree.Submodules, []string{"sub"}) {
		t.Errorf("skipped %v, submodules %v", tree.Skipped, tree.Submodules)
	}
}

// The questions that a pipeline asks of history are answered.
func TestHistory(t *testing.T) {
	ctx := t.Context()
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	one := c.Commit("one\n\nwhy", map[string]string{"a": "1", "b": "1"})
	c.Git("checkout", "-q", "-b", "side")
	side := c.Commit("side", map[string]string{"c": "1"})
	c.Git("checkout", "-q", "main")
	two := c.Commit("two", map[string]string{"a": "2", "b": ""})
	push(t, c, r, "main", "side")

	if got, err := r.MergeBase(ctx, side, two); err != nil || got != one {
		t.Errorf("merge base: %s, %v", got, err)
	}
	if got, err := r.Resolve(ctx, "main"); err != nil || got != two {
		t.Errorf("main is %s, %v", got, err)
	}
	for _, rev := range []string{"nothing", "--all", "main:a", strings.Repeat("0", 40)} {
		if got, err := r.Resolve(ctx, rev); !errors.Is(err, fault.NotFound) {
			t.Errorf("Resolve(%q) = %q, %v", rev, got, err)
		}
	}
	for b, want := range map[string]bool{two: true, one: false} {
		if got, err := r.IsAncestor(ctx, one, b); err != nil || got != (want || b == one) {
			t.Errorf("IsAncestor(one, %s) = %v, %v", b, got, err)
		}
	}
	if got, _ := r.IsAncestor(ctx, side, two); got {
		t.Error("side is no ancestor of two")
	}
	commit, err := r.Commit(ctx, two)
	if err != nil || commit.Subject() != "two" || commit.Author.Email != "ada@example.com" || !slices.Equal(commit.Parents, []string{one}) {
		t.Errorf("commit %+v, %v", commit, err)
	}
	changes, err := r.Changes(ctx, one, two)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ch := range changes {
		got = append(got, fmt.Sprintf("%s %v", ch.Path, git.IsZero(ch.New)))
	}
	if diff := cmp.Diff([]string{"a false", "b true"}, got); diff != "" {
		t.Error(diff)
	}
	if all, err := r.Changes(ctx, "", one); err != nil || len(all) != 2 {
		t.Errorf("all files of one: %v, %v", all, err)
	}
	refs, err := r.Refs(ctx, "refs/heads")
	if diff := cmp.Diff([]git.Ref{{Name: "refs/heads/main", ID: two}, {Name: "refs/heads/side", ID: side}}, refs); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// A push's objects are found wherever they hide: in a middle commit that a
// later one takes back, in a merge, behind a tag, and without any name.
func TestIncomingFindsEveryObject(t *testing.T) {
	ctx := t.Context()
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	c.Commit("one", map[string]string{"old": "old"})
	push(t, c, r, "main")

	middle := c.Commit("middle", map[string]string{"odd\n\"name": "middle"})
	c.Commit("after", map[string]string{"odd\n\"name": ""})
	c.Git("checkout", "-q", "-b", "side", "HEAD~2")
	c.Commit("side", map[string]string{"side": "side"})
	c.Git("checkout", "-q", "main")
	c.Git("merge", "-q", "--no-ff", "--no-commit", "side")
	merge := c.Commit("merge", map[string]string{"evil": "evil"})
	if err := os.WriteFile(filepath.Join(c.Dir, "loose"), []byte("loose"), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := c.Git("hash-object", "-w", "loose")
	c.Git("tag", "-m", "a blob", "behind", loose)

	quarantine := filepath.Join(t.TempDir(), "incoming")
	if err := os.MkdirAll(filepath.Join(quarantine, "pack"), 0o700); err != nil {
		t.Fatal(err)
	}
	// What receive-pack does: the client's objects that the server lacks, in a pack of their own.
	pack := filepath.Join(t.TempDir(), "p")
	c.Git("-c", "alias.p=!git rev-list --objects HEAD behind --not HEAD~3 | cut -d' ' -f1 | git pack-objects -q "+pack, "p")
	for _, ext := range []string{"pack", "idx"} {
		found, _ := filepath.Glob(pack + "*." + ext)
		if len(found) != 1 {
			t.Fatalf("%v", found)
		}
		if err := os.Rename(found[0], filepath.Join(quarantine, "pack", "pack-"+filepath.Base(found[0])[2:])); err != nil {
			t.Fatal(err)
		}
	}
	q := r.Quarantined(quarantine)
	objects, err := q.Incoming(ctx, quarantine, []string{merge, c.Git("rev-parse", "behind")})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := q.Objects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got := map[string]git.Object{}
	for _, o := range objects {
		if o.Type != "blob" {
			continue
		}
		content, err := reader.Read(o.ID)
		if err != nil {
			t.Fatal(err)
		}
		got[string(content)] = o
	}
	for content, want := range map[string]git.Object{
		"middle": {Commit: middle, Path: "odd"},
		"evil":   {Commit: merge, Path: "evil"},
		"side":   {Commit: c.Git("rev-parse", "side"), Path: "side"},
		"loose":  {},
	} {
		if o, ok := got[content]; !ok || o.Commit != want.Commit || o.Path != want.Path {
			t.Errorf("%s: got %+v, want %+v", content, o, want)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d blobs, want 4: %v", len(got), got)
	}
	if _, err := reader.Read(strings.Repeat("7", 40)); !errors.Is(err, fault.NotFound) {
		t.Errorf("an object that is not there: %v", err)
	}
}

// Neither the system's, the user's nor the repository's configuration makes git run anything.
func TestConfigurationIsNotHeeded(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	id := c.Commit("one", map[string]string{"a": "1"})
	push(t, c, r, "main")
	home, mark := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	evil := "[alias]\n\trev-parse = !touch " + mark + "\n[core]\n\tfsmonitor = touch " + mark + "\n\thooksPath = " + home + "\n[diff]\n\texternal = touch " + mark + "\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(evil), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
	t.Setenv("GIT_CONFIG_VALUE_0", "touch "+mark)
	if got, err := r.Resolve(t.Context(), "main"); err != nil || got != id {
		t.Errorf("main is %s, %v", got, err)
	}
	if _, err := r.Changes(t.Context(), "", id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("git ran what a configuration said")
	}
}

// A question ends when nobody waits for the answer any more.
func TestContextEndsGit(t *testing.T) {
	r := gittest.Bare(t, "shop.git")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Refs(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}

func TestOpenNothing(t *testing.T) {
	if _, err := git.Open(filepath.Join(t.TempDir(), "x")); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if err := git.CheckVersion(t.Context()); err != nil {
		t.Error(err)
	}
}

// Our word on a ref's name is git's own.
func TestValidRef(t *testing.T) {
	c := gittest.New(t)
	for _, name := range []string{
		"refs/heads/main", "refs/heads/a/b", "refs/heads/한글", "refs/tags/v1.0", "refs/heads/-x", "refs/heads/a.b", "refs/heads/@",
		"refs/heads/", "refs/heads/.a", "refs/heads/a..b", "refs/heads/a.lock", "refs/heads/a b", "refs/heads/a\x01", "refs/heads/a~1",
		"refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/a[", "refs/heads/a\\b", "refs/heads/a@{b",
		"refs/heads/a.", "refs/heads//a", "refs/heads/a/", "refs/heads/a/.b", "refs/heads/a.lock/b", "refs/heads/\x7f",
	} {
		_, err := c.Try("check-ref-format", name)
		if got, want := git.ValidRef(name), err == nil; got != want {
			t.Errorf("ValidRef(%q) = %v, git says %v", name, got, want)
		}
	}
	for _, name := range []string{"HEAD", "main", "refs/x", "refs/heads/" + strings.Repeat("a", 600), "../refs/heads/x", ""} {
		if git.ValidRef(name) {
			t.Errorf("ValidRef(%q)", name)
		}
	}
}

// A repository is packed when it has come apart, loses nothing by it, and is rid of what dead pushes left.
func TestTidy(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	for i := range 5 {
		c.Commit(fmt.Sprint(i), map[string]string{"a": fmt.Sprint(i)})
		push(t, c, r, "main")
	}
	dead, fresh := filepath.Join(r.Dir(), "objects", "tmp_objdir-incoming-dead"), filepath.Join(r.Dir(), "objects", "tmp_objdir-incoming-new")
	for _, dir := range []string{dead, fresh} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(dead, time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	packs := func() int {
		found, _ := filepath.Glob(filepath.Join(r.Dir(), "objects", "pack", "*.pack"))
		return len(found)
	}
	if err := r.Tidy(t.Context(), 1000); err != nil || packs() != 0 {
		t.Errorf("there was nothing to do: %d packs, %v", packs(), err)
	}
	if err := r.Tidy(t.Context(), 10); err != nil || packs() != 1 {
		t.Errorf("%d packs, %v", packs(), err)
	}
	if _, err := r.Tree(t.Context(), c.Git("rev-parse", "HEAD~4")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("what a dead push left is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("what a push is about to bring is gone")
	}
}
