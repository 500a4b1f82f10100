package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// Haechi finds nothing severe in its own tree: what looks like a secret is
// assembled or written as digits where a rule or a test needs it.
func TestScanOwnTree(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := haechi(context.Background(), call{args: []string{"scan", "../.."}, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: func(string) string { return "" }})
	if code != exitFine {
		t.Errorf("exit %d:\n%s%s", code, stdout.String(), stderr.String())
	}
}

// BenchmarkScanNothing is what a scan costs before it looks at anything.
func BenchmarkScanNothing(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		var out bytes.Buffer
		if code := haechi(context.Background(), call{args: []string{"scan", dir}, stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(string) string { return "" }}); code != exitFine {
			b.Fatal(out.String())
		}
	}
}
