// Package scantest proves that a scanner keeps the promises every scanner makes.
package scantest

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/finding"
)

// Prove runs the suite. tree holds files in which the scanner finds or lists something.
func Prove(t *testing.T, scanner func() scan.Scanner, tree fs.FS) {
	t.Helper()
	once := run(t, scanner(), tree)
	if len(once.Runs[0].Findings)+len(once.Components)+len(once.Items) == 0 {
		t.Fatal("the scanner finds nothing in the tree that it is proved on")
	}
	t.Run("same twice", func(t *testing.T) { same(t, scanner, tree, once) })
	t.Run("places", func(t *testing.T) { places(t, tree, once) })
	t.Run("complete findings", func(t *testing.T) { complete(t, once) })
	t.Run("hostile input", func(t *testing.T) { hostile(t, scanner(), tree) })
	t.Run("empty tree", func(t *testing.T) {
		if got := run(t, scanner(), fstest.MapFS{}); len(got.Runs[0].Findings) != 0 || !got.Runs[0].Scan.Complete {
			t.Errorf("nothing gives %+v", got)
		}
	})
}

func run(t *testing.T, s scan.Scanner, tree fs.FS) scan.Result {
	t.Helper()
	r, err := scan.Tree(context.Background(), tree, scan.Options{Scanners: []scan.Scanner{s}, Target: "proof", Skip: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// same: neither a second scan nor a new scanner changes anything.
func same(t *testing.T, scanner func() scan.Scanner, tree fs.FS, once scan.Result) {
	s := scanner()
	for range 2 {
		if diff := cmp.Diff(once, run(t, s, tree)); diff != "" {
			t.Errorf("another scan differs (-first +second):\n%s", diff)
		}
	}
}

// places: what is found lies in a file of the tree, within it.
func places(t *testing.T, tree fs.FS, r scan.Result) {
	inside := func(file string, line int) {
		content, err := fs.ReadFile(tree, file)
		if err != nil {
			t.Errorf("%q is not a file of the tree", file)
			return
		}
		if lines := 1 + strings.Count(string(content), "\n"); line < 0 || line > lines {
			t.Errorf("%s has %d lines, not %d", file, lines, line)
		}
	}
	for _, f := range r.Runs[0].Findings {
		inside(f.Place().File, f.Place().Line)
	}
	for _, c := range r.Components {
		inside(c.Place.File, c.Place.Line)
	}
}

// complete: a finding says what, how bad, where and what to do, and is unlike every other.
func complete(t *testing.T, r scan.Result) {
	seen := map[string]bool{}
	for _, f := range r.Runs[0].Findings {
		fingerprint := f.ProductFields[finding.FieldFingerprint]
		switch {
		case f.GeneratorID == "", f.Title == "", f.Description == "", f.Label().Rank() < 0:
			t.Errorf("a finding without rule, title, description or severity: %s", f.JSON())
		case f.Remediation == nil || f.Remediation.Recommendation == nil || f.Remediation.Recommendation.Text == "":
			t.Errorf("%s does not say what to do", f.Title)
		case len(f.Remediation.Recommendation.Text) > 512, len(f.Title) > 256, len(f.Description) > 1024:
			t.Errorf("%s: a text is longer than ASFF allows", f.Title)
		case fingerprint == "" || seen[fingerprint]:
			t.Errorf("%s: fingerprint %q is empty or not its own", f.Title, fingerprint)
		}
		seen[fingerprint] = true
	}
}

// hostile: whatever the files that the scanner wants hold, it comes back soon.
func hostile(t *testing.T, s scan.Scanner, tree fs.FS) {
	contents := map[string]string{
		"nothing":  "",
		"zeros":    strings.Repeat("\x00", 1<<16),
		"brackets": strings.Repeat("[", 1<<18),
		"objects":  strings.Repeat(`{"a":`, 1<<16),
		"elements": strings.Repeat("<a>", 1<<16),
		"quotes":   strings.Repeat(`"`, 1<<18),
		"one line": strings.Repeat("a", 1<<20),
		"lines":    strings.Repeat("a\n", 1<<18),
		"names":    strings.Repeat("password=", 1<<15),
		"latin":    strings.Repeat("\xff\xfe\xe9", 1<<16),
	}
	var paths []string
	_ = fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && s.Wants(p) {
			paths = append(paths, p)
		}
		return nil
	})
	for name, content := range contents {
		bad := fstest.MapFS{}
		for _, p := range paths[:min(len(paths), 4)] {
			good, _ := fs.ReadFile(tree, p)
			bad[p] = &fstest.MapFile{Data: []byte(content)}
			bad["half/"+p] = &fstest.MapFile{Data: append(good[:len(good)/2:len(good)/2], content...)}
		}
		start := time.Now()
		run(t, s, bad)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %d files took %v", name, len(bad), took)
		}
	}
}
