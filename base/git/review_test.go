package git_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/word/fault"
)

// held is a clone's history as the server has it.
func held(t *testing.T, c *gittest.Clone) *git.Repo {
	t.Helper()
	r := gittest.Bare(t, "shop.git")
	c.Git("push", "-q", "--force", r.Dir(), "--all")
	c.Git("push", "-q", "--force", r.Dir(), "--tags")
	return r
}

// A difference is told file by file, with the numbers of its lines, whatever the files are called and hold.
func TestDiff(t *testing.T) {
	c := gittest.New(t)
	odd := "a \"b\"\n@@ -1 +1 @@\té"
	from := c.Commit("one", map[string]string{"keep": "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "gone": "x\n", "old/name": strings.Repeat("line\n", 20), odd: "odd\n", "bin": "\x00\x01", "link": "to be a link\n"})
	c.Commit("two", map[string]string{"keep": "1\n2\nTHREE\n4\n5\n6\n7\n8\n9\n@@ -1 +1 @@\ndiff --git a/x b/x", "gone": "", "old/name": "", "new/name": strings.Repeat("line\n", 20), odd: "diff --git a/x b/x\n", "bin": "\x00\x02", "fresh": "hello\n", "link": ""})
	if err := symlink(c, "keep", "link"); err != nil {
		t.Fatal(err)
	}
	to := c.Commit("three", nil)
	r := held(t, c)
	files, more, err := r.Diff(t.Context(), from, to, git.Diffs{Context: 1, Lines: 100})
	if err != nil || more {
		t.Fatal(err, more)
	}
	got := map[string]string{}
	for _, f := range files {
		var lines []string
		for _, h := range f.Hunks {
			for _, l := range h.Lines {
				lines = append(lines, fmt.Sprintf("%c%d/%d %s %v", l.Kind, l.Old, l.New, l.Text, l.NoEOL))
			}
		}
		got[f.Path] = fmt.Sprintf("%s %s bin=%v +%d-%d %q", f.Status, f.OldPath, f.Binary, f.Added, f.Deleted, lines)
	}
	want := map[string]string{
		"keep":     `modified  bin=false +3-1 [" 2/2 2 false" "-3/0 3 false" "+0/3 THREE false" " 4/4 4 false" " 9/9 9 false" "+0/10 @@ -1 +1 @@ false" "+0/11 diff --git a/x b/x true"]`,
		"gone":     `deleted  bin=false +0-1 ["-1/0 x false"]`,
		"new/name": `renamed old/name bin=false +0-0 []`,
		odd:        `modified  bin=false +1-1 ["-1/0 odd false" "+0/1 diff --git a/x b/x false"]`,
		"bin":      `modified  bin=true +0-0 []`,
		"fresh":    `added  bin=false +1-0 ["+0/1 hello false"]`,
		"link":     `typechanged  bin=false +1-1 ["-1/0 to be a link false" "+0/1 keep true"]`,
	}
	for path, w := range want {
		if got[path] != w {
			t.Errorf("%q:\n%s, want\n%s", path, got[path], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d: %q", len(got), len(want), got)
	}
	if one, _, err := r.Diff(t.Context(), from, to, git.Diffs{Path: "new"}); err != nil || len(one) != 1 || one[0].Hunks != nil {
		t.Errorf("one folder, no lines: %v %v", one, err)
	}
	if some, more, err := r.Diff(t.Context(), "", to, git.Diffs{Lines: 2, Files: 3}); err != nil || !more || len(some) != 3 {
		t.Errorf("three of all files: %v %v %v", some, more, err)
	}
	cut, _, err := r.Diff(t.Context(), from, to, git.Diffs{Lines: 2})
	if i := slices.IndexFunc(cut, func(d git.Diff) bool { return d.Path == "keep" }); err != nil || !cut[i].Cut || cut[i].Added != 3 {
		t.Errorf("two lines of each: %v %v", cut, err)
	}
}

// Each line of a file is traced to the commit that brought it.
func TestBlame(t *testing.T) {
	c := gittest.New(t)
	one := c.Commit("one", map[string]string{"f": "a\nb\n"})
	two := c.Commit("two, of which\n\nthere is more", map[string]string{"f": "a\n\tnew\nb\n"})
	lines, commits, err := held(t, c).Blame(t.Context(), two, "f")
	if err != nil || len(lines) != 3 {
		t.Fatal(lines, err)
	}
	if lines[0].Commit != one || lines[1] != (git.Blamed{Commit: two, From: 2, Line: 2, Text: "\tnew"}) || lines[2].From != 2 {
		t.Errorf("%+v", lines)
	}
	if w := commits[two]; w.Message != "two, of which" || w.Author.Email != "ada@example.com" || w.Author.Time.Unix() != 1700000000 {
		t.Errorf("%+v", w)
	}
	if _, _, err := held(t, c).Blame(t.Context(), two, "../f"); fault.Of(err) != fault.Invalid {
		t.Errorf("out of the tree: %v", err)
	}
}

// Two histories are merged without a work tree; what people must settle is named.
func TestMerge(t *testing.T) {
	c := gittest.New(t)
	base := c.Commit("base", map[string]string{"a": "1\n2\n3\n4\n5\n", "b": "b\n"})
	ours := c.Commit("ours", map[string]string{"a": "ONE\n2\n3\n4\n5\n"})
	c.Git("checkout", "-q", "-b", "theirs", base)
	theirs := c.Commit("theirs", map[string]string{"a": "1\n2\n3\n4\nFIVE\n", "c/d": "new\n"})
	c.Git("checkout", "-q", "-b", "worse", base)
	worse := c.Commit("worse", map[string]string{"a": "eins\n2\n3\n4\n5\n"})
	c.Git("checkout", "-q", "--orphan", "alien")
	alien := c.Commit("alien", map[string]string{"z": "z\n"})
	r := held(t, c)
	m, err := r.Merge(t.Context(), ours, theirs)
	if err != nil || !m.Clean() || m.Base != base {
		t.Fatal(m, err)
	}
	who := git.Person{Name: "Kim\n<evil>", Email: "kim@shop.example", Time: time.Unix(1700000001, 0)}
	id, err := r.Make(t.Context(), git.Commit{Tree: m.Tree, Parents: []string{ours, theirs}, Author: who, Committer: who, Message: "merged"}, func(text []byte) (string, error) { return "-----BEGIN X-----\nabc\n-----END X-----\n", nil })
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.Commit(t.Context(), id)
	if err != nil || made.Author.Name != "Kimevil" || made.Subject() != "merged" || len(made.Parents) != 2 {
		t.Errorf("%+v %v", made, err)
	}
	err = r.EachSigned(t.Context(), []string{id, ours}, func(s git.Signed, err error) error {
		switch payload := string(s.Payload); {
		case s.ID == ours && s.Signature != "":
			t.Errorf("%s is not signed: %q", ours, s.Signature)
		case s.ID == id && (s.Signature != "-----BEGIN X-----\nabc\n-----END X-----\n" || strings.Contains(payload, "gpgsig") || !strings.HasSuffix(payload, "\n\nmerged\n")):
			t.Errorf("%q %q", payload, s.Signature)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if text, _, err := r.File(t.Context(), id, "a", 100); err != nil || string(text) != "ONE\n2\n3\n4\nFIVE\n" {
		t.Errorf("%q %v", text, err)
	}
	m, err = r.Merge(t.Context(), ours, worse)
	if err != nil || len(m.Conflicts) != 1 || m.Conflicts[0].Path != "a" || m.Conflicts[0].Ours == m.Conflicts[0].Theirs {
		t.Errorf("a conflict: %+v %v", m, err)
	}
	if _, err := r.Merge(t.Context(), ours, alien); fault.Of(err) != fault.Conflict {
		t.Errorf("no common commit: %v", err)
	}
	if ahead, behind, err := r.AheadBehind(t.Context(), theirs, ours); err != nil || ahead != 1 || behind != 1 {
		t.Error(ahead, behind, err)
	}
	if err := r.Move(t.Context(), "refs/heads/main", base, id); fault.Of(err) != fault.Conflict {
		t.Errorf("a move from where it is not: %v", err)
	}
	if err := r.Move(t.Context(), "refs/heads/main", ours, id); err != nil {
		t.Error(err)
	}
}

// Trees are changed without a work tree, and what git would not check out is refused.
func TestEdited(t *testing.T) {
	c := gittest.New(t)
	at := c.Commit("one", map[string]string{"a/b": "b\n", "c": "c\n", "d": "d\n"})
	r := held(t, c)
	tree, err := r.Edited(t.Context(), at, []git.Edit{{Path: "a", Mode: git.ModeExecutable, Content: []byte("now a file\n")}, {Path: "c"}, {Path: "x/y/z é", Mode: git.ModeFile, Content: []byte{}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Folder(t.Context(), tree, "")
	var names []string
	for _, e := range out {
		names = append(names, fmt.Sprintf("%o %s", e.Mode, e.Name))
	}
	if want := "[100755 a 100644 d 40000 x]"; err != nil || fmt.Sprint(names) != want {
		t.Errorf("%v %v, want %s", names, err, want)
	}
	for _, bad := range []string{"../x", ".git/config", "a/../b", "", "x//y", "a/.GIT/hooks"} {
		if _, err := r.Edited(t.Context(), at, []git.Edit{{Path: bad, Mode: git.ModeFile}}); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The history of a path names the commits that changed it, also one that looks like git's magic.
func TestLog(t *testing.T) {
	c := gittest.New(t)
	c.Commit("one", map[string]string{":(glob)**": "1\n", "b": "1\n"})
	c.Commit("two", map[string]string{"b": "2\n"})
	head := c.Commit("three", map[string]string{":(glob)**": "3\n"})
	c.Git("tag", "light")
	c.Git("tag", "-a", "-m", "heavy, it says", "heavy")
	r := held(t, c)
	log, err := r.Log(t.Context(), head, ":(glob)**", 0, 10)
	if err != nil || len(log) != 2 || log[0].Subject() != "three" || log[1].Subject() != "one" {
		t.Errorf("%+v %v", log, err)
	}
	if log, err = r.Log(t.Context(), head, "", 1, 1); err != nil || len(log) != 1 || log[0].Subject() != "two" {
		t.Errorf("%+v %v", log, err)
	}
	tags, err := r.Tags(t.Context(), 10)
	if err != nil || len(tags) != 2 || tags[0].Commit != head || tags[1].Commit != head || tags[0].Message+tags[1].Message != "heavy, it says\n" {
		t.Errorf("%+v %v", tags, err)
	}
}

func symlink(c *gittest.Clone, to, name string) error {
	return os.Symlink(to, filepath.Join(c.Dir, name))
}
