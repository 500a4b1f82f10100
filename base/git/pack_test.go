package git_test

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
)

// grown is a clone with a history of small changes: what git packs as changes of one another, in folders, twice in a
// tree, large, empty, with a tag.
func grown(t testing.TB, commits int) *gittest.Clone {
	r := rand.New(rand.NewPCG(5, 6))
	line := func() string { return fmt.Sprintf("line %d of something\n", r.IntN(1_000_000)) }
	text, noise := "", make([]byte, 3<<20)
	for range 300 {
		text += line()
	}
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	c := gittest.New(t)
	c.Commit("begin", map[string]string{"large": string(noise), "sub/same": text, "sub/deeper/same": text, "packed": strings.Repeat(text, 800), "README": "x"})
	for i := range commits {
		text += line()
		c.Commit(fmt.Sprint("change ", i), map[string]string{fmt.Sprintf("sub/%d/file", i%3): text, "sub/deeper/other": strings.Repeat(line(), i+1)})
	}
	c.Git("tag", "-m", "a tag", "v1")
	return c
}

func packOf(t testing.TB, c *gittest.Clone, revs string, flags ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", append([]string{"pack-objects", "--revs", "--stdout", "-q"}, flags...)...)
	cmd.Dir, cmd.Stdin = c.Dir, strings.NewReader(revs)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every object of a pack is read as git has it, also those that are packed as changes of others,
// and blobs are where git says that they are.
func TestReadPack(t *testing.T) {
	c := grown(t, 12)
	paths := map[string]string{}
	for line := range strings.Lines(c.Git("rev-list", "--objects", "--in-commit-order", "--reverse", "--all")) {
		if id, path, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			paths[id] = path
		}
	}
	sizes := map[string]string{}
	for line := range strings.Lines(c.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype) %(objectsize)")) {
		id, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		sizes[id] = what
	}
	for _, flags := range [][]string{{"--delta-base-offset"}, {}, {"--no-reuse-delta", "--window=0"}} {
		pack, n := packOf(t, c, "main\nv1\n", flags...), 0
		err := git.ReadPack(bytes.NewReader(pack), func(o git.Packed) error {
			n++
			if what := fmt.Sprint(o.Type, " ", len(o.Content)); what != sizes[o.ID] {
				t.Errorf("%s is %s, and should be %s", o.ID, what, sizes[o.ID])
			}
			if o.Type == "blob" && o.Path != paths[o.ID] {
				t.Errorf("blob %s is at %q, and should be at %q", o.ID, o.Path, paths[o.ID])
			}
			return nil
		})
		if err != nil || n != len(sizes) {
			t.Errorf("%v: %d objects of %d, %v", flags, n, len(sizes), err)
		}
	}
}

// Of a push onto a history that is there, all is read but what is told as a change of that.
func TestReadThinPack(t *testing.T) {
	c := grown(t, 3)
	c.Commit("more", map[string]string{"sub/new": "new\n", "new/file": "newer\n"})
	seen := map[string]string{}
	err := git.ReadPack(bytes.NewReader(packOf(t, c, "main\n^main~1\n", "--thin", "--delta-base-offset")), func(o git.Packed) error {
		if o.Type == "blob" {
			seen[string(o.Content)] = o.Path
		}
		return nil
	})
	if err != nil || len(seen) != 2 || seen["newer\n"] != "new/file" {
		t.Errorf("%v, %v", seen, err)
	}
}

// FuzzReadPack: what is shown of a pack, however broken that is, has the name that it is shown under.
func FuzzReadPack(f *testing.F) {
	c := gittest.New(f)
	text := strings.Repeat("some words\n", 60)
	c.Commit("one", map[string]string{"a": text, "b/c": "x"})
	c.Commit("two", map[string]string{"a": text + "more\n"})
	whole := packOf(f, c, "main\n", "--delta-base-offset")
	for _, pack := range [][]byte{whole, packOf(f, c, "main\n"), packOf(f, c, "main\n^main~1\n", "--thin"), whole[:len(whole)/2], []byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff")} {
		f.Add(pack)
	}
	f.Fuzz(func(t *testing.T, pack []byte) {
		_ = git.ReadPack(bytes.NewReader(pack), func(o git.Packed) error {
			if id := fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", o.Type, len(o.Content), o.Content))); id != o.ID {
				t.Errorf("%s is shown as %s", id, o.ID)
			}
			return nil
		})
	})
}
