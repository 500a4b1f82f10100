package build_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/room/build"
)

// Whatever a source is packed of, nothing is written outside of its folder.
func FuzzUnpack(f *testing.F) {
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeReg, Name: "a/b", Size: 1, Mode: 0o755}, {Typeflag: tar.TypeDir, Name: "a/"}, {Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../outside"},
		{Typeflag: tar.TypeReg, Name: "../outside", Size: 1}, {Typeflag: tar.TypeReg, Name: "/outside", Size: 1}, {Typeflag: tar.TypeLink, Name: "h", Linkname: "../outside"}, {Typeflag: tar.TypeBlock, Name: "b"},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for range 2 {
			if w.WriteHeader(&h) == nil && h.Size > 0 {
				_, _ = w.Write([]byte("x"))
			}
		}
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "l/through", Size: 0})
		_ = w.Close()
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = build.Unpack(t.Context(), bytes.NewReader(text), dir)
		if err := filepath.WalkDir(outside, func(name string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Dir(name) == outside && name != dir {
				t.Errorf("%s was written outside", name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}
