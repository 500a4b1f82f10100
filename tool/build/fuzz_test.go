package build_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/build"
)

// No entry of a cache gets out of the build's folder, or out of the paths that it is for.
func FuzzUnpack(f *testing.F) {
	add := func(headers ...tar.Header) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			h.Mode = 0o777
			if w.WriteHeader(&h) == nil {
				_, _ = w.Write(make([]byte, h.Size))
			}
		}
		_ = w.Close()
		f.Add(b.Bytes())
	}
	add(tar.Header{Name: "src/vendor/a", Size: 3}, tar.Header{Name: "home/.cache/b", Size: 600})
	add(tar.Header{Name: "src/vendor/up", Typeflag: tar.TypeSymlink, Linkname: "../../.."}, tar.Header{Name: "src/vendor/up/x", Size: 1})
	add(tar.Header{Name: "src/vendor/../../../x", Size: 1, Format: tar.FormatPAX})
	f.Fuzz(func(t *testing.T, entry []byte) {
		top := t.TempDir()
		dir := filepath.Join(top, "build")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, _ = build.Unpack(t.Context(), dir, []string{"src/vendor/**", "home/.cache/**"}, bytes.NewReader(entry))
		if left, err := os.ReadDir(top); err != nil || len(left) != 1 {
			t.Errorf("%v %v", left, err)
		}
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, name)
			if err == nil && !d.IsDir() && !strings.HasPrefix(rel+"/", "src/vendor/") && !strings.HasPrefix(rel+"/", "home/.cache/") {
				t.Errorf("%q is left", rel)
			}
			return nil
		})
	})
}
