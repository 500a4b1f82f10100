package git_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/word/fault"
)

// made is a repository in which git makes what the script of git fast-import says.
func made(t *testing.T, script string) *git.Repo {
	t.Helper()
	r := gittest.Bare(t, "hostile.git")
	cmd := exec.Command("git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Stdin = r.Dir(), strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return r
}

// commitHead begins a commit on a branch, which another may follow by its mark.
const commitHead = "commit refs/heads/%s\nmark :1\ncommitter Mal <mal@example.com> 1700000000 +0000\ndata 1\nx\n"

func object(t *testing.T, r *git.Repo, kind, content string) string {
	t.Helper()
	cmd := exec.Command("git", "hash-object", "-w", "-t", kind, "--stdin", "--literally")
	cmd.Dir, cmd.Stdin = r.Dir(), strings.NewReader(content)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// bomb is a commit of few objects whose files are 10^10.
func bomb(t *testing.T, r *git.Repo) string {
	t.Helper()
	raw := func(hex string) string {
		var b strings.Builder
		for i := 0; i < len(hex); i += 2 {
			var c byte
			if _, err := fmt.Sscanf(hex[i:i+2], "%02x", &c); err != nil {
				t.Fatal(err)
			}
			b.WriteByte(c)
		}
		return b.String()
	}
	id, mode := object(t, r, "blob", "one file to rule them all\n"), "100644"
	for range 10 {
		var tree strings.Builder
		for n := range 10 {
			fmt.Fprintf(&tree, "%s d%d\x00%s", mode, n, raw(id))
		}
		id, mode = object(t, r, "tree", tree.String()), "40000"
	}
	commit, err := r.Make(t.Context(), git.Commit{Tree: id, Message: "bomb"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// A bomb of trees is refused in words, soon, and costs the one question alone.
func TestBomb(t *testing.T) {
	r := gittest.Bare(t, "bomb.git")
	commit := bomb(t, r)
	r.Starve(64 << 10)
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	if _, _, err := r.Diff(t.Context(), "", commit, git.Diffs{Files: 10}); fault.Of(err) != fault.Limit {
		t.Errorf("its files: %v", err)
	}
	if _, err := r.Tree(soon(), commit); err == nil {
		t.Error("it has a tree")
	}
	if all, err := r.Folder(soon(), commit, "d1/d2/d3"); err != nil || len(all) != 10 {
		t.Errorf("one of its folders: %v %v", all, err)
	}
	if e, err := r.Entry(soon(), commit, "d1/d2/d3/d4/d5/d6/d7/d8/d9/d0"); err != nil || e.Type != "blob" {
		t.Errorf("one of its files: %v %v", e, err)
	}
}

// Folders within folders, names of all kinds and folders of many files are shown, compared, merged and traced.
func TestDeepOddAndMany(t *testing.T) {
	deep := strings.Repeat("d/", 1500) + "file"
	odd := []string{`-rf`, `--upload-pack=x`, `a b`, `$(touch x)`, `%2e%2e`, `ÿ`, "tab\tnew\nline", `"quoted"`, `back\slash`, `:(exclude)*`, `CON`, `.gitmodules2`, strings.Repeat("n", 255)}
	var script strings.Builder
	fmt.Fprintf(&script, commitHead, "main")
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	}
	put := func(name, text string) {
		fmt.Fprintf(&script, "M 100644 inline %s\ndata %d\n%s\n", quote(name), len(text), text)
	}
	put(deep, "deep\n")
	for _, name := range odd {
		put(name, name+"\n")
	}
	for i := range 3000 {
		put(fmt.Sprintf("many/%04d", i), "x\n")
	}
	fmt.Fprintf(&script, strings.Replace(commitHead, ":1", ":2", 1)+"from :1\n", "side")
	put(deep, "deeper\n")
	put(odd[0], "changed\n")
	r := made(t, script.String())
	main, err := r.Resolve(t.Context(), "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	side, err := r.Resolve(t.Context(), "refs/heads/side")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := r.Folder(t.Context(), main, "many"); err != nil || len(all) != 3000 {
		t.Errorf("many: %d %v", len(all), err)
	}
	for _, name := range append(odd, deep) {
		e, err := r.Entry(t.Context(), main, name)
		if err != nil || e.Type != "blob" {
			t.Errorf("%.40q: %v %v", name, e, err)
		}
		lines, _, err := r.Blame(t.Context(), main, name)
		if err != nil || len(lines) == 0 || lines[0].Commit != main {
			t.Errorf("the lines of %.40q: %v %v", name, lines, err)
		}
		if log, err := r.Log(t.Context(), side, name, 0, 10); err != nil || len(log) == 0 {
			t.Errorf("the history of %.40q: %v %v", name, log, err)
		}
	}
	files, more, err := r.Diff(t.Context(), main, side, git.Diffs{Lines: 10})
	if err != nil || more || len(files) != 2 || files[0].Path != odd[0] || files[1].Path != deep || files[1].Hunks[0].Lines[0].Text != "deep" {
		t.Errorf("%d files, %v %v", len(files), more, err)
	}
	if m, err := r.Merge(t.Context(), main, side); err != nil || !m.Clean() {
		t.Errorf("%+v %v", m, err)
	}
	if tree, err := r.Edited(t.Context(), main, []git.Edit{{Path: deep}}); err != nil || tree == "" {
		t.Errorf("%v %v", tree, err)
	}
}

// A submodule is what it is: a commit elsewhere, which is neither fetched nor entered.
func TestSubmodules(t *testing.T) {
	var script strings.Builder
	fmt.Fprintf(&script, commitHead, "main")
	text := "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch\n"
	fmt.Fprintf(&script, "M 100644 inline .gitmodules\ndata %d\n%s\nM 160000 %s x\n", len(text), text, strings.Repeat("1", 40))
	fmt.Fprintf(&script, strings.Replace(commitHead, ":1", ":2", 1)+"from :1\nM 160000 %s x\n", "side", strings.Repeat("2", 40))
	fmt.Fprintf(&script, strings.Replace(commitHead, ":1", ":2", 1)+"from :1\nM 160000 %s x\n", "other", strings.Repeat("3", 40))
	r := made(t, script.String())
	ids := map[string]string{}
	for _, b := range []string{"main", "side", "other"} {
		id, err := r.Resolve(t.Context(), "refs/heads/"+b)
		if err != nil {
			t.Fatal(err)
		}
		ids[b] = id
	}
	files, _, err := r.Diff(t.Context(), ids["main"], ids["side"], git.Diffs{Lines: 10})
	if err != nil || len(files) != 1 || files[0].New != (git.Side{Mode: git.ModeSubmodule, ID: strings.Repeat("2", 40)}) {
		t.Errorf("%+v %v", files, err)
	}
	if m, err := r.Merge(t.Context(), ids["main"], ids["side"]); err != nil || !m.Clean() {
		t.Errorf("%+v %v", m, err)
	}
	if m, err := r.Merge(t.Context(), ids["side"], ids["other"]); err != nil || m.Clean() || m.Conflicts[0].Path != "x" {
		t.Errorf("%+v %v", m, err)
	}
	if _, _, err := r.File(t.Context(), ids["main"], "x", 100); fault.Of(err) != fault.Invalid {
		t.Errorf("the file of a submodule: %v", err)
	}
	if _, _, err := r.File(t.Context(), ids["main"], "x/y", 100); fault.Of(err) != fault.NotFound {
		t.Errorf("a file in a submodule: %v", err)
	}
}
