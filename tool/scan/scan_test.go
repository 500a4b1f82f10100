package scan_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/scantest"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// words finds the word "bad" in .txt files, and breaks on "panic" and "error".
type words struct{ binaries bool }

func (words) Name() string           { return "words" }
func (words) Wants(path string) bool { return strings.HasSuffix(path, ".txt") }
func (w words) Begin(_ context.Context, _ fs.FS, out scan.Out) scan.Pass {
	return &wordsPass{out: out, binaries: w.binaries}
}

type wordsPass struct {
	out      scan.Out
	binaries bool
	seen     atomic.Int64
}

func (p *wordsPass) File(f scan.File) error {
	p.seen.Add(1)
	text := string(f.Content)
	switch {
	case f.Binary && !p.binaries:
		return nil
	case strings.HasPrefix(text, "panic"):
		panic("as told")
	case strings.HasPrefix(text, "error"):
		return diag.Errorf(diag.Place{File: f.Path, Line: 1}, "as told")
	}
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "bad") {
			fields := finding.At(diag.Place{File: f.Path, Line: i + 1})
			fields[finding.FieldFingerprint] = finding.Fingerprint(f.Path, line)
			p.out.Finding(finding.Finding{GeneratorID: "words/bad", Title: "a bad word", Description: "a word that is bad", ProductFields: fields,
				Severity: &finding.Severity{Label: finding.Low}, Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: "find a better one"}}})
		}
	}
	return nil
}

func (p *wordsPass) End() error { return nil }

func tree(t *testing.T, files fs.FS, o scan.Options) scan.Result {
	t.Helper()
	o.Scanners = []scan.Scanner{words{}}
	r, err := scan.Tree(context.Background(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wheres(r scan.Result) []string {
	var all []string
	for _, f := range r.Runs[0].Findings {
		all = append(all, f.Where())
	}
	return all
}

// The suite that every scanner runs holds for the plainest scanner.
func TestProve(t *testing.T) {
	scantest.Prove(t, func() scan.Scanner { return words{} }, fstest.MapFS{"a.txt": {Data: []byte("x\nbad\nbad luck")}, "b/c.txt": {Data: []byte("bad")}})
}

// Findings come in the order of files and lines, however many files there are.
func TestOrder(t *testing.T) {
	files, want := fstest.MapFS{}, []string(nil)
	for i := range 500 {
		name := fmt.Sprintf("d%d/f%03d.txt", i/100, i)
		files[name] = &fstest.MapFile{Data: []byte("good\nbad\nbad again")}
		want = append(want, name+":2", name+":3")
	}
	if diff := cmp.Diff(want, wheres(tree(t, files, scan.Options{}))); diff != "" {
		t.Error(diff)
	}
}

// What version control and package managers keep beside the sources is not entered, nor what the base branch ignores.
func TestSkip(t *testing.T) {
	bad := &fstest.MapFile{Data: []byte("bad")}
	files := fstest.MapFS{".git/a.txt": bad, "x/node_modules/y/a.txt": bad, "vendor/a.txt": bad, "docs/a.txt": bad, "a.txt": bad}
	ignore := func(path string) bool { return strings.HasPrefix(path, "docs/") }
	if diff := cmp.Diff([]string{"a.txt:1", "vendor/a.txt:1"}, wheres(tree(t, files, scan.Options{Ignore: ignore}))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{".git/a.txt:1", "a.txt:1", "docs/a.txt:1", "x/node_modules/y/a.txt:1"}, wheres(tree(t, files, scan.Options{Skip: []string{"vendor"}}))); diff != "" {
		t.Error(diff)
	}
}

// denying refuses to open some files.
type denying struct{ fs.FS }

func (d denying) Open(name string) (fs.File, error) {
	if strings.Contains(name, "locked") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.FS.Open(name)
}

// What cannot be read, is too large or breaks a scanner is named with its reason; the rest is scanned, and the scan is incomplete.
func TestUnread(t *testing.T) {
	files := denying{fstest.MapFS{
		"a.txt": {Data: []byte("bad")}, "e.txt": {Data: []byte("error")}, "p.txt": {Data: []byte("panic")},
		"large.txt": {Data: []byte(strings.Repeat("bad ", 100))}, "locked.txt": {Data: []byte("bad")}, "dir/locked/x.txt": {Data: []byte("bad")},
	}}
	r := tree(t, files, scan.Options{MaxFile: 100})
	want := finding.Scan{Tool: "words", Skipped: []diag.Place{
		{File: "dir/locked", Why: "permission denied"}, {File: "e.txt", Line: 1, Why: "as told"},
		{File: "large.txt", Why: "400 bytes: larger than a file may be"}, {File: "locked.txt", Why: "permission denied"},
		{File: "p.txt", Why: "scanner words broke on it: as told"},
	}}
	if diff := cmp.Diff(want, r.Runs[0].Scan); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a.txt:1"}, wheres(r)); diff != "" {
		t.Error(diff)
	}
}

// A large binary is no reason to doubt a scan, and UTF-16 is text.
func TestBinary(t *testing.T) {
	files := fstest.MapFS{
		"big.txt":  {Data: append([]byte{0}, strings.Repeat("bad", 1000)...)},
		"bin.txt":  {Data: []byte("bad\x00bad")},
		"wide.txt": {Data: []byte("\xff\xfeb\x00a\x00d\x00")},
	}
	r := tree(t, files, scan.Options{MaxFile: 100})
	if diff := cmp.Diff([]string{"wide.txt:1"}, wheres(r)); diff != "" || !r.Runs[0].Scan.Complete {
		t.Errorf("complete %v: %s", r.Runs[0].Scan.Complete, diff)
	}
}

// A link is not followed, be it to the outside, to a folder above or to itself.
func TestLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.txt"), []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"file.txt": filepath.Join(outside, "secret.txt"), "dir": outside, "loop": ".", "self.txt": "self.txt"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip("no links here:", err)
		}
	}
	if got := wheres(tree(t, os.DirFS(dir), scan.Options{})); len(got) != 0 {
		t.Errorf("found %v through a link", got)
	}
}

// A scan whose context ends gives no result that could be taken for a clean one.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := scan.Tree(ctx, fstest.MapFS{"a.txt": {Data: []byte("bad")}}, scan.Options{Scanners: []scan.Scanner{words{}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want cancelled", err)
	}
}
