package git_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/word/fault"
)

// worked is a folder with the files of a commit, and what git says in it.
func worked(t *testing.T, r *git.Repo, c git.Clone, files map[string]string) *gittest.Clone {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Clone(t.Context(), dir, c); err != nil {
		t.Fatal(err)
	}
	return gittest.Of(t, dir)
}

// A clone has what git describe, git log and git status ask for, and nothing else of the repository.
func TestClone(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	one := c.Commit("one", map[string]string{"a": "1"})
	c.Git("tag", "-a", "v1", "-m", "the first")
	two := c.Commit("two", map[string]string{"a": "2"})
	c.Git("tag", "light")
	three := c.Commit("three", map[string]string{"a": "3"})
	c.Git("checkout", "-q", "-b", "side", one)
	hidden := c.Commit("hidden", map[string]string{"secret": "x"})
	c.Git("tag", "aside")
	push(t, c, r, "main", "side", "v1", "light", "aside")

	w := worked(t, r, git.Clone{Commit: three, URL: "http://127.0.0.1:8080/git/shop", Modules: map[string]string{"a \"b\\": "x\n[core]\n\tfsmonitor = /bin/false"}, Refs: map[string]string{"refs/remotes/origin/main": three}}, map[string]string{"a": "3"})
	for args, want := range map[string]string{
		"describe --tags --dirty":           "light-1-g" + three[:7],
		"describe":                          "v1-2-g" + three[:7],
		"rev-parse HEAD":                    three,
		"rev-parse origin/main":             three,
		"log --format=%s":                   "three\ntwo\none",
		"status --porcelain":                "",
		"diff-index --quiet HEAD":           "",
		"tag":                               "light\nv1",
		"remote get-url origin":             "http://127.0.0.1:8080/git/shop",
		"rev-parse --is-shallow-repository": "false",
		"fsck --full --strict":              "",
		"count-objects":                     "0 objects, 0 kilobytes",
	} {
		if got := w.Git(strings.Fields(args)...); got != want {
			t.Errorf("git %s: %q, want %q", args, got, want)
		}
	}
	if got := w.Git("config", `submodule.a "b\.url`); got != "x [core] \tfsmonitor = /bin/false" {
		t.Errorf("a submodule's address is %q", got)
	}
	if _, err := w.Try("cat-file", "-e", hidden); err == nil {
		t.Error("what lies on another branch came along")
	}

	w = worked(t, r, git.Clone{Commit: two, Depth: 1}, map[string]string{"a": "2"})
	for args, want := range map[string]string{"describe --tags": "light", "log --format=%s": "two", "status --porcelain": "", "rev-parse --is-shallow-repository": "true", "fsck --full": ""} {
		if got := w.Git(strings.Fields(args)...); got != want {
			t.Errorf("of one commit, git %s: %q, want %q", args, got, want)
		}
	}
	w = worked(t, r, git.Clone{Commit: one, Depth: 5}, map[string]string{"a": "1"})
	if got := w.Git("describe", "--dirty"); got != "v1" {
		t.Errorf("a tag with an object of its own: %s", got)
	}
	if got := worked(t, r, git.Clone{Commit: three, Depth: 2}, nil).Git("log", "--format=%s"); got != "three\ntwo" {
		t.Errorf("of two commits there are %q", got)
	}
	// What was changed is seen.
	w = worked(t, r, git.Clone{Commit: three}, map[string]string{"a": "3"})
	if err := os.WriteFile(filepath.Join(w.Dir, "a"), []byte("4"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(w.Dir, "a"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := w.Git("status", "--porcelain"); got != "M a" {
		t.Errorf("changed, it is %q", got)
	}
	for _, bad := range []git.Clone{{Commit: "main"}, {Commit: strings.Repeat("1", 40)}, {Commit: three, Refs: map[string]string{"../x": three}}, {Commit: strings.Repeat("1", 40), Depth: 1}} {
		if err := r.Clone(t.Context(), t.TempDir(), bad); err == nil {
			t.Errorf("%+v is cloned", bad)
		}
	}
}

// A clone that was copied elsewhere is clean again once its index knows the files.
func TestFreshen(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	head := c.Commit("one", map[string]string{"a": "1", "b": "2"})
	push(t, c, r, "main")
	w := worked(t, r, git.Clone{Commit: head}, map[string]string{"a": "1", "b": "2"})
	there := t.TempDir()
	if out, err := exec.Command("cp", "-r", w.Dir+"/.", there).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	later := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(there, "a"), later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := gittest.Of(t, there).Try("diff-index", "--quiet", "HEAD"); err == nil {
		t.Error("it is fresh by itself")
	}
	if err := git.Freshen(there); err != nil {
		t.Fatal(err)
	}
	gittest.Of(t, there).Git("diff-index", "--quiet", "HEAD")
	if err := git.Freshen(t.TempDir()); err != nil {
		t.Errorf("without an index: %v", err)
	}
	if err := os.WriteFile(filepath.Join(there, ".git/index"), []byte("DIRC\x00\x00\x00\x02\x00\x00\x00\x09"+strings.Repeat("x", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := git.Freshen(there); !errors.Is(err, fault.Invalid) {
		t.Errorf("an index that is none: %v", err)
	}
}

// Submodules are told with the commit and the address that they stand for.
func TestSubmodulesAt(t *testing.T) {
	r, c := gittest.Bare(t, "shop.git"), gittest.New(t)
	id := strings.Repeat("1", 40)
	c.Commit("one", map[string]string{".gitmodules": "[submodule \"the lib\"]\n\tpath = deps/lib\n\turl = ../lib.git\n[submodule \"gone\"]\n\tpath = gone\n\turl = x\n[include]\n\tpath = /etc/passwd\n"})
	c.Git("update-index", "--add", "--cacheinfo", "160000,"+id+",deps/lib", "--cacheinfo", "160000,"+id+",unknown")
	c.Git("commit", "-q", "-m", "two")
	push(t, c, r, "main")
	head := c.Git("rev-parse", "HEAD")
	all, err := r.Submodules(t.Context(), head)
	if err != nil || len(all) != 2 || all[0] != (git.Submodule{Path: "deps/lib", Commit: id, Name: "the lib", URL: "../lib.git", Line: 3}) || all[1] != (git.Submodule{Path: "unknown", Commit: id}) {
		t.Errorf("%+v %v", all, err)
	}
	if on, err := r.OnRef(t.Context(), head); !on || err != nil {
		t.Error(on, err)
	}
	c.Git("checkout", "-q", "-b", "x")
	loose := c.Commit("loose", map[string]string{"a": "1"})
	c.Git("push", "-q", r.Dir(), "x:refs/pull/1/head")
	for _, commit := range []string{loose, id, "main"} {
		if on, err := r.OnRef(t.Context(), commit); on || err != nil {
			t.Errorf("%s: %v %v", commit, on, err)
		}
	}
}

// Any index is freshened or refused, and stays as long as it was.
func FuzzFreshen(f *testing.F) {
	dir := f.TempDir()
	if out, err := exec.Command("sh", "-c", "cd "+dir+" && git init -q . && echo 1 > a && mkdir d && echo 2 > d/bb && git add -A").CombinedOutput(); err != nil {
		f.Skipf("%v %s", err, out)
	}
	index, err := os.ReadFile(filepath.Join(dir, ".git/index"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(index)
	f.Add([]byte("DIRC\x00\x00\x00\x02\xff\xff\xff\xff"))
	info, err := os.Lstat(filepath.Join(dir, "a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, index []byte) {
		_ = git.FreshenIndex(index, func(string) (fs.FileInfo, error) { return info, nil })
	})
}
