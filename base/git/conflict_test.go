package git_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/word/fault"
)

// A conflict is told piece by piece, with the lines of all three.
func TestPieces(t *testing.T) {
	c := gittest.New(t)
	c.Commit("base", map[string]string{"a": "1\n2\n3\n4\n5\n6\n7\n8\n9", "gone": "x\n", "bin": "\x00a"})
	c.Git("checkout", "-q", "-b", "side")
	theirs := c.Commit("theirs", map[string]string{"a": "0\n1\n2\n3\n4\nFIVE\n6\n8\n9", "gone": "y\n", "bin": "\x00b", "new": "one\n"})
	c.Git("checkout", "-q", "main")
	ours := c.Commit("ours", map[string]string{"a": "1\n2\n3\n4\nfive\n6\n8\n9\n10\n", "gone": "", "bin": "\x00c", "new": "two\n"})
	r := held(t, c)
	m, err := r.Merge(t.Context(), ours, theirs)
	if err != nil || len(m.Conflicts) != 4 {
		t.Fatalf("%+v %v", m.Conflicts, err)
	}
	of := map[string]git.Conflict{}
	for _, c := range m.Conflicts {
		of[c.Path] = c
	}
	said := func(path string) string {
		pieces, err := r.Pieces(t.Context(), of[path])
		if err != nil {
			return err.Error()
		}
		var b strings.Builder
		for _, p := range pieces {
			fmt.Fprintf(&b, "%v", p.Conflict)
			for _, s := range []git.Span{p.Base, p.Ours, p.Theirs} {
				fmt.Fprintf(&b, " %d-%d %q", s.Start, s.End, s.Text)
			}
			b.WriteString("\n")
		}
		return b.String()
	}
	want := `false 0-0 "" 0-0 "" 0-1 "0\n"
true 4-5 "5\n" 4-5 "five\n" 5-6 "FIVE\n"
false 6-7 "7\n" 6-6 "" 7-7 ""
false 8-9 "9" 7-9 "9\n10\n" 8-9 "9"
`
	if got := said("a"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := said("gone"); got != `true 0-1 "x\n" 0-0 "" 0-1 "y\n"`+"\n" {
		t.Errorf("%s", got)
	}
	if got := said("new"); got != `true 0-0 "" 0-1 "two\n" 0-1 "one\n"`+"\n" {
		t.Errorf("%s", got)
	}
	if _, err := r.Pieces(t.Context(), of["bin"]); !errors.Is(err, git.ErrBinary) {
		t.Errorf("binary: %v", err)
	}

	var all []git.Edit
	for _, c := range m.Conflicts {
		s, err := r.Take(t.Context(), c, git.Theirs, true)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if _, err := r.Settle(t.Context(), m, all[1:]); !errors.Is(err, fault.Conflict) {
		t.Errorf("one is left: %v", err)
	}
	if _, err := r.Settle(t.Context(), m, append(all, git.Edit{Path: "b"})); !errors.Is(err, fault.Invalid) {
		t.Errorf("one that is in no conflict: %v", err)
	}
	if _, err := r.Settle(t.Context(), m, append(all, all[0])); !errors.Is(err, fault.Invalid) {
		t.Errorf("one twice: %v", err)
	}
	tree, err := r.Settle(t.Context(), m, all)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a": "0\n1\n2\n3\n4\nFIVE\n6\n8\n9\n10\n", "gone": "y\n", "bin": "\x00b", "new": "one\n"} {
		if text, _, err := r.File(t.Context(), tree, path, 100); err != nil || string(text) != want {
			t.Errorf("%s: %q %v", path, text, err)
		}
	}
	// As a whole a file is one side's, and what a side has deleted goes.
	s, err := r.Take(t.Context(), of["a"], git.Ours, false)
	if err != nil || s.ID != of["a"].Ours {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := r.Take(t.Context(), of["gone"], git.Ours, true); err != nil || s.Mode != 0 {
		t.Errorf("%+v %v", s, err)
	}
}

// Whatever two sides make of a file, there is a conflict in it where git has one; and what comes of it, when one side
// is taken where both changed it, is what git merge-file makes.
func TestPiecesAsGit(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 17))
	lines := []string{"a\n", "b\n", "c\n", "d\n", "}\n", "\n", "@@ -1 +1 @@\n", "-x\n", "+y\n", "\\ No newline at end of file\n", "diff --git a/x b/x\n", "a\r\n"}
	some := func(n int) (all []string) {
		for range random.IntN(n + 1) {
			all = append(all, lines[random.IntN(len(lines))])
		}
		return all
	}
	changed := func(base []string) string {
		var all []string
		for _, l := range base {
			switch random.IntN(12) {
			case 0:
			case 1:
				all = append(all, some(2)...)
			case 2:
				all = append(append(all, some(2)...), l)
			default:
				all = append(all, l)
			}
		}
		text := strings.Join(append(all, some(1)...), "")
		if random.IntN(5) == 0 {
			text = strings.TrimSuffix(text, "\n")
		}
		return text + "."[:random.IntN(2)]
	}
	base, ours, theirs := map[string]string{}, map[string]string{}, map[string]string{}
	for i := range 50 {
		name, text := fmt.Sprintf("f%03d", i), some(14)
		base[name], ours[name], theirs[name] = "."+strings.Join(text, ""), "."+changed(text), "."+changed(text)
	}
	c := gittest.New(t)
	c.Commit("base", base)
	c.Git("checkout", "-q", "-b", "side")
	right := c.Commit("theirs", theirs)
	c.Git("checkout", "-q", "main")
	left := c.Commit("ours", ours)
	r := held(t, c)
	m, err := r.Merge(t.Context(), left, right)
	if err != nil {
		t.Fatal(err)
	}
	conflicts := map[string]bool{}
	for _, c := range m.Conflicts {
		conflicts[c.Path] = true
	}
	start, err := r.Commit(t.Context(), left)
	if err != nil {
		t.Fatal(err)
	}
	dir, compared := t.TempDir(), 0
	for name := range base {
		one := git.Conflict{Path: name}
		for i, commit := range []string{start.Parents[0], left, right} {
			e, err := r.Entry(t.Context(), commit, name)
			if err != nil {
				t.Fatal(err)
			}
			one.Modes[i] = e.Mode
			*[]*string{&one.Base, &one.Ours, &one.Theirs}[i] = e.ID
			text := []string{base[name], ours[name], theirs[name]}[i]
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pieces, err := r.Pieces(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		conflict := false
		for _, p := range pieces {
			conflict = conflict || p.Conflict
		}
		if conflict != conflicts[name] {
			t.Errorf("%q, %q and %q: conflict %v, git says %v", base[name], ours[name], theirs[name], conflict, conflicts[name])
		}
		for party, flag := range map[git.Party]string{git.Ours: "--ours", git.Theirs: "--theirs"} {
			if one.Ours == one.Theirs || one.Base == one.Ours || one.Base == one.Theirs {
				continue // git does not look at lines then
			}
			got, err := r.Take(t.Context(), one, party, true)
			if err != nil {
				t.Fatal(err)
			}
			want, err := c.Try("-c", "diff.algorithm=histogram", "merge-file", "-p", flag, filepath.Join(dir, "1"), filepath.Join(dir, "0"), filepath.Join(dir, "2"))
			if err != nil {
				t.Fatal(want, err)
			}
			compared++
			if string(got.Content) != want {
				t.Errorf("%s %q, %q and %q: %q, git makes %q", flag, base[name], ours[name], theirs[name], got.Content, want)
			}
		}
	}
	if compared < 30 || len(conflicts) < 5 {
		t.Errorf("only %d were compared, of which %d are conflicts", compared, len(conflicts))
	}
}
