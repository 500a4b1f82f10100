package scan_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// BenchmarkTree scans a made tree of 50 MB, 5,000 files of source text and a
// hundred manifests, with all scanners.
func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	r := rand.New(rand.NewPCG(1, 1))
	words := strings.Fields("func return if err != nil { } := range token user request the of and a to config.Load(ctx) \"hello world\" // comment fmt.Errorf(\"reading %s: %w\", path, err) " +
		"switch case name string for i int len(text) append lines break continue type struct interface map[string]bool method http.StatusOK response value count index offset start end buffer")
	write := func(name string, text []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 5000 {
		var text bytes.Buffer
		for text.Len() < 10_000 {
			for range 10 {
				text.WriteString(words[r.IntN(len(words))] + " ")
			}
			text.WriteByte('\n')
		}
		write(fmt.Sprintf("src/%02d/file%04d.go", i%50, i), text.Bytes())
	}
	for i := range 100 {
		write(fmt.Sprintf("app%02d/requirements.txt", i), []byte(strings.Repeat("requests==2.19.0\nsix==1.0\n", 20)))
	}
	scanners := []scan.Scanner{secret.New(nil), deps.New(advisory.Few())}
	for b.Loop() {
		result, err := scan.Tree(context.Background(), os.DirFS(dir), scan.Options{Scanners: scanners})
		if err != nil {
			b.Fatal(err)
		}
		if !result.Runs[0].Scan.Complete || len(result.Runs[1].Findings) == 0 {
			b.Fatalf("%+v", result.Runs[0].Scan)
		}
		b.SetBytes(result.Bytes)
	}
}
