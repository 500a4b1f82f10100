package advisory_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
)

// BenchmarkIndex opens an index of all documents, and matches a thousand
// package versions of real projects: it needs HAECHI_TESTDATA.
func BenchmarkIndex(b *testing.B) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		b.Skip("HAECHI_TESTDATA is not set")
	}
	file := filepath.Join(b.TempDir(), "index")
	if _, err := advisory.Import(context.Background(), filepath.Join(dir, "vulns"), file, time.Now(), nil); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			x, err := advisory.Open(file)
			if err != nil {
				b.Fatal(err)
			}
			if err := x.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	text, err := os.ReadFile(filepath.Join(dir, "manifests", "juice-shop-2019", "package-lock.json"))
	if err != nil {
		b.Fatal(err)
	}
	packages := regexp.MustCompile(`"([^"]+)": \{\s+"version": "([^"]+)"`).FindAllStringSubmatch(string(text), 1000)
	if len(packages) < 1000 {
		b.Fatal(len(packages))
	}
	x, err := advisory.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	b.Run("thousand", func(b *testing.B) {
		for b.Loop() {
			for _, p := range packages { // of a project that is vulnerable on purpose
				if _, err := x.Match("npm", p[1], p[2]); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
