package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/tool/scan/image/imagetest"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
)

// whys are the reasons of what was not looked at.
func whys(img *image.Image) string {
	var all []string
	for _, p := range img.Unread() {
		all = append(all, p.File+": "+p.Why)
	}
	return strings.Join(all, "\n")
}

// Names that lead out of the image, and others that no file can have, are not taken; the rest is, and the scan says so.
func TestTraversal(t *testing.T) {
	img := open(t, docker(t, []entry{
		{Name: "../../etc/passwd", Body: "x"}, {Name: "/absolute", Body: "fine"}, {Name: "a/../../b", Body: "x"}, {Name: "ok", Body: "fine"},
		{Name: strings.Repeat("d/", 300) + "x", Body: "x"}, {Name: strings.Repeat("n", 300), Body: "x"}, {Name: "hard", Type: tar.TypeLink, Link: "../../etc/passwd"},
		{Name: "../.wh.ok", Body: ""}, {Name: ".wh...", Body: ""},
	}), image.Options{})
	result := scanned(t, img, deps.New(nil))
	got := files(t, img.FS())
	if len(got) != 2 || got["absolute"] != "fine" || got["ok"] != "fine" {
		t.Errorf("%v", got)
	}
	if result.Runs[0].Scan.Complete || strings.Count(whys(img), "leads out of the image") != 3 || strings.Count(whys(img), "longer than a name may be") != 2 || !strings.Contains(whys(img), "another name of a file that is not there") {
		t.Errorf("%v\n%s", result.Runs[0].Scan.Complete, whys(img))
	}
	if _, err := os.Stat(filepath.Join(os.TempDir(), "etc/passwd")); err == nil {
		t.Error("it was written outside")
	}
}

// bomb is a layer of zeros that packs into a thousandth.
func bomb(t *testing.T, size int) []byte {
	return imagetest.Tar(t, entry{Name: "first.env", Body: "API_TOKEN=" + token(7) + "\n"}, entry{Name: "zeros", Body: string(make([]byte, size))})
}

// What unpacks to more than it may is not unpacked on; what came before it is looked at.
func TestBombs(t *testing.T) {
	for name, file := range map[string]string{
		"in a layer": imagetest.Save(t, "i.tar", imagetest.Image{Layers: []imagetest.Layer{{Raw: bomb(t, 8<<20), Packed: "gzip"}, {Entries: []entry{{Name: "above", Body: "x"}}}}}.Docker(t)),
		"zstd":       imagetest.Layout(t, imagetest.Files(t, imagetest.Image{Layers: []imagetest.Layer{{Raw: bomb(t, 8<<20), Packed: "zstd"}}})),
		"by names":   docker(t, append([]entry{{Name: "first.env", Body: "API_TOKEN=" + token(7) + "\n"}, {Name: "one", Body: strings.Repeat("a", 1<<16)}}, names(100)...)),
	} {
		img := open(t, file, image.Options{Bytes: 4 << 20})
		result := scanned(t, img, secret.New(nil))
		if run := result.Runs[0]; run.Scan.Complete || len(run.Findings) != 1 || !strings.Contains(whys(img), "bomb") {
			t.Errorf("%s: complete %v, %d findings: %s", name, run.Scan.Complete, len(run.Findings), whys(img))
		}
	}
	_, err := image.Open(context.Background(), imagetest.Save(t, "i.tar.gz", imagetest.Pack(t, bomb(t, 8<<20), "gzip")), image.Options{Bytes: 4 << 20})
	if !errors.Is(err, fault.Limit) {
		t.Errorf("an archive that is a bomb itself: %v", err)
	}
}

// names are many names of one file.
func names(n int) (all []entry) {
	for i := range n {
		all = append(all, entry{Name: fmt.Sprint("name", i), Type: tar.TypeLink, Link: "one"})
	}
	return all
}

// Many entries, and deep ones, are bounded by their number and by the memory that they take.
func TestManyEntries(t *testing.T) {
	var many, deep []entry
	for i := range 3000 {
		many = append(many, entry{Name: fmt.Sprint("f", i)})
		deep = append(deep, entry{Name: fmt.Sprint(i) + strings.Repeat("/abcdefgh", 190)})
	}
	for _, test := range []struct {
		entries []entry
		why     string
	}{{many, "more than 2000 files"}, {deep[:1500], "deeper"}} {
		img := unpacked(t, docker(t, test.entries), image.Options{Entries: 2000})
		if !strings.Contains(whys(img), test.why) {
			t.Error(whys(img))
		}
	}
}

// A layer that is torn, packed as nobody reads it, not there or not what it says costs itself.
func TestBrokenLayers(t *testing.T) {
	whole := imagetest.Tar(t, entry{Name: "a.env", Body: "API_TOKEN=" + token(7) + "\n"}, entry{Name: "b", Body: strings.Repeat("b", 5000)})
	for name, test := range map[string]struct {
		layer imagetest.Layer
		why   string
		found int
	}{
		"torn":    {imagetest.Layer{Raw: whole[:2000]}, "torn or broken", 1},
		"rubbish": {imagetest.Layer{Raw: bytes.Repeat([]byte("rubbish!"), 300)}, "torn or broken", 0},
		"xz":      {imagetest.Layer{Raw: []byte("\xfd7zXZ\x00rest")}, "packed with xz, which is not read", 0},
		"gzip":    {imagetest.Layer{Raw: append([]byte("\x1f\x8b\x08\x00"), make([]byte, 100)...)}, "", 0},
		"zstd":    {imagetest.Layer{Raw: append([]byte("\x28\xb5\x2f\xfd"), make([]byte, 100)...)}, "", 0},
	} {
		img := open(t, imagetest.Save(t, "i.tar", imagetest.Image{Layers: []imagetest.Layer{{Entries: []entry{{Name: "below", Body: "x"}}}, test.layer, {Entries: []entry{{Name: "above", Body: "x"}}}}}.Docker(t)), image.Options{})
		result := scanned(t, img, secret.New(nil))
		got := files(t, img.FS())
		if result.Runs[0].Scan.Complete || !strings.Contains(whys(img), "layer 1 (") || !strings.Contains(whys(img), test.why) || len(result.Runs[0].Findings) != test.found || got["above"] != "x" || got["below"] != "x" {
			t.Errorf("%s: %d findings, %v\n%s", name, len(result.Runs[0].Findings), got, whys(img))
		}
	}
}

// What is not what its digest says is told of, wherever it stands.
func TestDigests(t *testing.T) {
	for kind, changed := range map[string]string{"config": `"architecture":"amd64"`, "manifest": `"schemaVersion"`, "layer": "ustar"} {
		ociFiles := imagetest.Files(t, base())
		n := 0
		for name, content := range ociFiles {
			if strings.HasPrefix(name, "blobs/") && bytes.Contains(content, []byte(changed)) {
				ociFiles[name] = append(bytes.Clone(content), '\n')
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%s: %d blobs changed", kind, n)
		}
		img, err := image.Open(context.Background(), imagetest.Layout(t, ociFiles), image.Options{})
		if err == nil {
			err = errors.Join(img.Unpack(context.Background()), errors.New(whys(img)), img.Close())
		}
		if !strings.Contains(err.Error(), "is not what it says") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	ociFiles := imagetest.Files(t, base())
	for name, content := range ociFiles {
		if bytes.Contains(content, []byte("ustar")) {
			delete(ociFiles, name)
		}
	}
	img := unpacked(t, imagetest.Layout(t, ociFiles), image.Options{})
	if !strings.Contains(whys(img), "it is not there") {
		t.Error(whys(img))
	}
}

// What describes an image is bounded, and says what is wrong with it.
func TestBadDescriptions(t *testing.T) {
	index := func(text string) string {
		return imagetest.Layout(t, map[string][]byte{"oci-layout": []byte("{}"), "index.json": []byte(text)})
	}
	loop := `{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	hexLoop := imagetest.Digest([]byte(loop))
	for name, test := range map[string]struct{ file, why string }{
		"no JSON":       {index("{"), "index.json"},
		"two names":     {index(`{"manifests":[],"manifests":[]}`), "duplicate"},
		"huge":          {index(`{"x":"` + strings.Repeat("x", 5<<20) + `"}`), "more than"},
		"a bad digest":  {index(`{"manifests":[{"digest":"sha256:../../../../etc/passwd"}]}`), "no digest"},
		"other digests": {index(`{"manifests":[{"digest":"md5:` + strings.Repeat("a", 32) + `"}]}`), "no digest"},
		"nothing there": {index(`{"manifests":[{"digest":"` + hexLoop + `"}]}`), "no such file"},
		"no image":      {index(`{"config":{},"layers":[]}`), "names no configuration"},
		"docker: none":  {imagetest.Save(t, "i.tar", imagetest.Tar(t, entry{Name: "manifest.json", Body: "[]"})), "0 images"},
		"docker: two":   {imagetest.Save(t, "i.tar", imagetest.Tar(t, entry{Name: "manifest.json", Body: "[{},{}]"})), "2 images"},
		"docker: away":  {imagetest.Save(t, "i.tar", imagetest.Tar(t, entry{Name: "manifest.json", Body: `[{"Config":"../../etc/passwd"}]`})), "configuration"},
		"docker: loop":  {imagetest.Save(t, "i.tar", imagetest.Tar(t, entry{Name: "manifest.json", Body: `[{"Config":"c"}]`}, entry{Name: "c", Type: tar.TypeSymlink, Link: "c"})), "configuration"},
		"torn archive":  {imagetest.Save(t, "i.tar", shop().Docker(t)[:3000]), "torn"},
	} {
		img, err := image.Open(context.Background(), test.file, image.Options{})
		if err == nil {
			_ = img.Close()
			t.Errorf("%s: is taken", name)
		} else if !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A layout's links lead nowhere outside of it.
func TestLayoutLinks(t *testing.T) {
	ociFiles := imagetest.Files(t, base())
	dir := imagetest.Layout(t, ociFiles)
	outside := filepath.Join(t.TempDir(), "index.json")
	if err := os.WriteFile(outside, ociFiles["index.json"], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "index.json")); err != nil {
		t.Skip(err)
	}
	if img, err := image.Open(context.Background(), dir, image.Options{}); err == nil {
		_ = img.Close()
		t.Error("it followed a link to the outside")
	}
}

// A layer of 50 MB is not held in memory.
func TestMemory(t *testing.T) {
	var entries []entry
	for i := range 50 {
		entries = append(entries, entry{Name: fmt.Sprintf("opt/data%d.bin", i), Body: string(bytes.Repeat([]byte{byte(i), 0, 1, 2, 3, 4, 5, 6}, 1<<17))})
	}
	file := imagetest.Save(t, "i.tar", imagetest.Image{Layers: []imagetest.Layer{{Entries: entries, Packed: "gzip"}}}.Docker(t))
	entries = nil
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	img := unpacked(t, file, image.Options{})
	runtime.ReadMemStats(&after)
	if made := after.TotalAlloc - before.TotalAlloc; made > 20<<20 {
		t.Errorf("%d MB were allocated for 50 MB", made>>20)
	}
	text, err := fs.ReadFile(img.FS(), "opt/data7.bin")
	if err != nil || len(text) != 1<<20 || text[0] != 7 {
		t.Errorf("%v, %d bytes", err, len(text))
	}
}

// Whatever a layer holds, it is read to an end, and the tree that comes of it can be walked.
func FuzzLayer(f *testing.F) {
	f.Add(imagetest.Tar(f, entry{Name: "a/b", Body: "x"}, entry{Name: "a/.wh.b"}, entry{Name: "l", Type: tar.TypeSymlink, Link: "../a"}), imagetest.Tar(f, entry{Name: ".wh.a"}, entry{Name: "a", Body: "y"}, entry{Name: "h", Type: tar.TypeLink, Link: "a"}))
	f.Add(imagetest.Tar(f, entry{Name: "var/lib/dpkg/status", Body: dpkg("a=1")}), imagetest.Tar(f, entry{Name: "var/lib/.wh..wh..opq"}, entry{Name: "var/lib/dpkg", Body: "file"}))
	f.Add(imagetest.Pack(f, imagetest.Tar(f, entry{Name: "x", Body: "1"}), "zstd"), imagetest.Pack(f, imagetest.Tar(f, entry{Name: "x", Body: "1"}), "gzip"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		if len(one)+len(two) > 1<<16 {
			return
		}
		file := imagetest.Save(t, "i.tar", imagetest.Image{Layers: []imagetest.Layer{{Raw: one}, {Raw: two}}}.Docker(t))
		img := unpacked(t, file, image.Options{Bytes: 1 << 20, Entries: 1000})
		err := fs.WalkDir(img.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.Type().IsRegular() {
				_, err = fs.ReadFile(img.FS(), name)
				if err != nil {
					return fmt.Errorf("%q: %w", name, err)
				}
				if img.Layer(name) == nil {
					return fmt.Errorf("%q is of no layer", name)
				}
			}
			_, _ = fs.Stat(img.FS(), name)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Whatever describes an image, it is read or refused.
func FuzzManifest(f *testing.F) {
	ociFiles := imagetest.Files(f, base())
	f.Add(ociFiles["index.json"], []byte("[]"))
	f.Add([]byte(nil), []byte(`[{"Config":"c.json","Layers":["l.tar"]}]`))
	for name, content := range ociFiles {
		if strings.HasPrefix(name, "blobs/") && content[0] == '{' {
			f.Add(content, content)
		}
	}
	layer := imagetest.Tar(f, entry{Name: "a", Body: "x"})
	f.Fuzz(func(t *testing.T, index, other []byte) {
		if len(index)+len(other) > 1<<16 {
			return
		}
		entries := []entry{{Name: "blobs/sha256/" + strings.TrimPrefix(imagetest.Digest(other), "sha256:"), Body: string(other)},
			{Name: "manifest.json", Body: string(other)}, {Name: "c.json", Body: string(index)}, {Name: "l.tar", Body: string(layer)}}
		if len(index)%2 == 0 {
			entries = append(entries, entry{Name: "index.json", Body: string(index)})
		}
		img, err := image.Open(context.Background(), imagetest.Save(t, "i.tar", imagetest.Tar(t, entries...)), image.Options{Bytes: 1 << 20})
		if err != nil {
			return
		}
		defer img.Close()
		_, _ = img.Base(), img.Assume()
		if err := img.Unpack(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
