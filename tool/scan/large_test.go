package scan_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/haechi-dev/haechi/tool/scan"
)

// ends looks at the last bytes of large binaries, and at everything else as a whole; of what is called whole it wants all.
type ends struct {
	mu   *sync.Mutex
	seen *[]string
}

func (ends) Name() string                                       { return "ends" }
func (ends) Wants(string) bool                                  { return true }
func (e ends) Begin(context.Context, fs.FS, scan.Out) scan.Pass { return e }
func (e ends) End() error                                       { return nil }
func (e ends) note(s string)                                    { e.mu.Lock(); defer e.mu.Unlock(); *e.seen = append(*e.seen, s) }
func (e ends) File(f scan.File) error                           { e.note("file " + f.Path); return nil }
func (e ends) Large(f scan.LargeFile) (bool, error) {
	if strings.HasPrefix(f.Path, "whole") {
		return false, nil
	}
	last := make([]byte, 3)
	if _, err := f.Content.ReadAt(last, f.Size-3); err != nil && err != io.EOF {
		return true, err
	}
	e.note("large " + f.Path + " " + string(last))
	return true, nil
}

// A large binary is looked into where it lies, even over the limit, by those who
// can; text, small files and what they ask for come as they always do.
func TestLarge(t *testing.T) {
	big := append(append([]byte("\x7fELF\x00"), bytes.Repeat([]byte{1}, 2<<20)...), "end"...)
	tree := fstest.MapFS{"big": {Data: big}, "whole": {Data: big}, "text": {Data: bytes.Repeat([]byte("a line\n"), 300_000)}, "small": {Data: []byte("\x00end")}}
	seen := []string{}
	result, err := scan.Tree(context.Background(), tree, scan.Options{Scanners: []scan.Scanner{ends{new(sync.Mutex), &seen}}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(seen)
	if want := []string{"file small", "file text", "file whole", "large big end"}; !slices.Equal(seen, want) || result.Files != 4 {
		t.Errorf("saw %v, want %v; %d files", seen, want, result.Files)
	}
	seen = nil
	if _, err = scan.Tree(context.Background(), tree, scan.Options{MaxFile: 1000, Scanners: []scan.Scanner{ends{new(sync.Mutex), &seen}}}); err != nil || !slices.Contains(seen, "large big end") {
		t.Errorf("over the limit %v, %v", seen, err)
	}
}
