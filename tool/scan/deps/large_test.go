package deps_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
)

// A program that is too large to be read as a whole says the same as a small one: this test's own.
func TestLargeProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "program"), content, 0o700); err != nil {
		t.Fatal(err)
	}
	scanner := deps.New(nil)
	want, err := scanner.List(context.Background(), os.DirFS(dir), scan.File{Path: "program", Content: content, Binary: true})
	if err != nil || len(want) == 0 || len(content) < scan.LargeFrom {
		t.Fatalf("%d components of %d bytes, %v", len(want), len(content), err)
	}
	result, err := scan.Tree(context.Background(), os.DirFS(dir), scan.Options{Scanners: []scan.Scanner{scanner}, MaxFile: 1000})
	if err != nil {
		t.Fatal(err)
	}
	names := func(n int, name func(int) string) (all map[string]bool) {
		all = map[string]bool{}
		for i := range n {
			all[name(i)] = true
		}
		return all
	}
	if diff := cmp.Diff(names(len(want), func(i int) string { return want[i].Locator() }), names(len(result.Components), func(i int) string { return result.Components[i].Locator() })); diff != "" || !result.Runs[0].Scan.Complete {
		t.Errorf("%v %s", result.Runs[0].Scan.Skipped, diff)
	}
}
