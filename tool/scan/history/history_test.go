package history_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/tool/scan/history"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/finding"
)

// token is made when the test runs.
func token(seed uint64) string {
	const alphabet = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	r, b := rand.New(rand.NewPCG(seed, 7)), make([]byte, 40)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func env(seed uint64) string { return "PORT=1\nAPI_TOKEN=" + token(seed) + "\n" }

func scan(t *testing.T, c *gittest.Clone, memory string) history.Result {
	t.Helper()
	repo, top, err := git.Find(context.Background(), c.Dir)
	if err != nil || top == "" {
		t.Fatal(top, err)
	}
	head, err := repo.Resolve(context.Background(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	r, err := history.Scan(context.Background(), history.Config{Repo: repo, Scanner: secret.New(nil), Head: head, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each secret of all commits is one finding, which says where it stands or
// stood, which commit brought it and who made that.
func TestLife(t *testing.T) {
	c := gittest.New(t)
	c.Commit("start", map[string]string{"README": "x"})
	first := c.Commit("secrets", map[string]string{"kept.env": env(1), "gone.env": env(2)})
	c.Commit("more", map[string]string{"kept.env": "# moved\n\n" + env(1), "copy/kept.env": env(1), "gone.env": "nothing\n"})
	c.Git("switch", "-q", "-c", "side")
	side := c.Commit("on a branch\n\npass"+"word=Kp4mWz8sQ1nD", map[string]string{"side.env": env(3)})
	c.Git("switch", "-q", "-")
	r := scan(t, c, "")
	got := map[string]finding.Finding{}
	for _, f := range r.Findings {
		got[f.Place().File] = f
	}
	if len(r.Findings) != 4 || len(r.Skipped) != 0 || r.Commits != 4 {
		t.Fatalf("%d findings, %d commits, skipped %v: %v", len(r.Findings), r.Commits, r.Skipped, got)
	}
	kept, gone, branch, message := got["copy/kept.env"], got["gone.env"], got["side.env"], got["COMMIT_EDITMSG"]
	if kept.ProductFields[finding.FieldPlaces] != "copy/kept.env:2 kept.env:4" || kept.ProductFields[finding.FieldStill] != finding.InHead || kept.ProductFields[finding.FieldSince] != first || kept.ProductFields[finding.FieldAuthor] == "" || kept.ProductFields[finding.FieldSinceTime] == "" {
		t.Errorf("what is in HEAD: %v", kept.ProductFields)
	}
	if gone.ProductFields[finding.FieldStill] != finding.InHistory || gone.ProductFields[finding.FieldSince] != first || gone.ProductFields[finding.FieldLast] != first || gone.Place().Line != 2 {
		t.Errorf("what is only in history: %v", gone.ProductFields)
	}
	if branch.ProductFields[finding.FieldSince] != side || message.ProductFields[finding.FieldSince] != side {
		t.Errorf("of a branch: %v, of its message %v", branch.ProductFields, message.ProductFields)
	}
}

// What was scanned and held nothing is not looked at again; what held something is found again.
func TestRemembers(t *testing.T) {
	c, memory := gittest.New(t), filepath.Join(t.TempDir(), "scanned")
	c.Commit("a", map[string]string{"a.env": env(1), "b.txt": "nothing"})
	if r := scan(t, c, memory); r.Remembered != 0 || len(r.Findings) != 1 {
		t.Fatalf("first %+v", r)
	}
	c.Commit("b", map[string]string{"c.txt": "nothing else"})
	r := scan(t, c, memory)
	if r.Remembered != r.Contents-3 || len(r.Findings) != 1 { // a.env, c.txt and the new message
		t.Errorf("then %d of %d remembered, %d findings", r.Remembered, r.Contents, len(r.Findings))
	}
	if err := os.WriteFile(memory, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := scan(t, c, memory); r.Remembered != 0 || len(r.Findings) != 1 {
		t.Errorf("with a broken memory %+v", r)
	}
	text, err := os.ReadFile(memory)
	if err != nil || strings.Contains(string(text), token(1)[:8]) {
		t.Errorf("%v, or the memory holds the secret", err)
	}
}

// An object that is broken or missing costs itself alone, and the scan says so.
func TestBrokenObjects(t *testing.T) {
	c := gittest.New(t)
	for i := range uint64(5) {
		c.Commit(fmt.Sprint("commit ", i), map[string]string{fmt.Sprintf("f%d.env", i): env(i)})
	}
	object := func(rev string) string {
		id := strings.TrimSpace(c.Git("rev-parse", rev))
		return filepath.Join(c.Dir, ".git", "objects", id[:2], id[2:])
	}
	broken, missing := object("HEAD:f1.env"), object("HEAD:f3.env")
	if err := os.Chmod(broken, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("not an object"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	r := scan(t, c, "")
	if len(r.Findings) != 3 || len(r.Skipped) != 2 || r.Skipped[0].File != "f1.env" || r.Skipped[1].File != "f3.env" {
		t.Errorf("%d findings, skipped %v", len(r.Findings), r.Skipped)
	}
	// A tree that is gone: the contents are there still.
	if err := os.Remove(object("HEAD~2^{tree}")); err != nil {
		t.Fatal(err)
	}
	if r := scan(t, c, ""); len(r.Findings) != 3 || len(r.Skipped) == 0 {
		t.Errorf("without a tree %d findings, skipped %v", len(r.Findings), r.Skipped)
	}
}

// A history of 2,000 commits is read in about a second.
func BenchmarkHistory(b *testing.B) {
	dir := b.TempDir()
	c := gittest.Of(b, dir)
	c.Git("init", "-q", "-b", "main", ".")
	var stream strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	line := func() string {
		return fmt.Sprintf("\tif err := store.Save(ctx, %d, value%d); err != nil {\n", r.IntN(1000), r.IntN(1000))
	}
	files := make([][]string, 200)
	for i := range files {
		for range 150 {
			files[i] = append(files[i], line())
		}
	}
	for i := range 2000 {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata 6\nchange\n", 1_700_000_000+i)
		for range 3 {
			n := r.IntN(len(files))
			files[n][r.IntN(150)] = line()
			text := strings.Join(files[n], "")
			fmt.Fprintf(&stream, "M 100644 inline src/f%d.go\ndata %d\n%s\n", n, len(text), text)
		}
	}
	importer := filepath.Join(dir, "stream")
	if err := os.WriteFile(importer, []byte(stream.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	c.Git("-c", "core.quotePath=false", "-c", "alias.load=!git fast-import --quiet < stream", "load")
	repo, _, err := git.Find(context.Background(), dir)
	if err != nil {
		b.Fatal(err)
	}
	s := secret.New(nil)
	for b.Loop() {
		start := time.Now()
		r, err := history.Scan(context.Background(), history.Config{Repo: repo, Scanner: s})
		if err != nil || r.Commits != 2000 {
			b.Fatal(r, err)
		}
		b.ReportMetric(float64(r.Bytes)/1e6, "MB")
		b.ReportMetric(time.Since(start).Seconds(), "s/history")
	}
}
