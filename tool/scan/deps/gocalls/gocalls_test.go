package gocalls_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/scan/deps/gocalls"
)

// A function that a program can reach is told with the way to it, one that lies there uncalled is not.
func TestCalled(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.com/app\n\ngo 1.21\n",
		"main.go":     "package main\n\nimport \"example.com/app/lib\"\n\ntype parser interface{ Parse(string) }\n\nfunc main() { run(lib.Reader{}) }\n\nfunc run(p parser) { p.Parse(\"x\") }\n",
		"lib/lib.go":  "package lib\n\ntype Reader struct{}\n\nfunc (Reader) Parse(s string) { inner(s) }\n\nfunc inner(string) {}\n\nfunc Unused() {}\n",
		"lib/more.go": "package lib\n\nfunc Other() { Unused() }\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	called, err := gocalls.Called(context.Background(), dir, gocalls.Symbols{"example.com/app/lib": {"Reader.Parse", "Unused", "inner"}})
	if err != nil {
		t.Fatal(err)
	}
	if way := called["example.com/app/lib Reader.Parse"]; !strings.HasPrefix(way, "example.com/app.main > example.com/app.run > ") {
		t.Errorf("the way through an interface is %q", way)
	}
	if called["example.com/app/lib inner"] == "" || called["example.com/app/lib Unused"] != "" {
		t.Errorf("called are %v", called)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.go"), []byte("package main\n\nfunc x() { y() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := gocalls.Called(context.Background(), dir, nil); err == nil {
		t.Error("what does not compile has a call graph")
	}
}
