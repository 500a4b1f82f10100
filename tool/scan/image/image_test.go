package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/tool/scan/image/imagetest"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

type entry = imagetest.Entry

// token is made when the test runs.
func token(seed int) string {
	const alphabet = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	b := make([]byte, 40)
	x := uint32(seed)*2654435761 + 12345
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = alphabet[int(x>>16)%len(alphabet)]
	}
	return string(b)
}

func dpkg(packages ...string) string {
	var b strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, "=")
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n", name, version)
	}
	return b.String()
}

const debian = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"11\"\n"

// base is a Debian with two packages.
func base() imagetest.Image {
	return imagetest.Image{Name: "debian:11", Layers: []imagetest.Layer{
		{By: "/bin/sh -c #(nop) ADD file:abc in / ", Entries: []entry{{Name: "usr/lib/os-release", Body: debian}, {Name: "etc/os-release", Type: tar.TypeSymlink, Link: "../usr/lib/os-release"},
			{Name: "var/lib/dpkg/status", Body: dpkg("openssl=1.1.1k-1", "zlib1g=1:1.2.11")}}},
		{By: `/bin/sh -c #(nop)  CMD ["bash"]`, Empty: true},
	}}
}

// shop is an image on that base, of four layers.
func shop() imagetest.Image {
	img := base()
	img.Name = "shop:1.4"
	img.Config = map[string]any{"Env": []string{"PATH=/bin", "API_TOKEN=" + token(1)}, "ExposedPorts": map[string]any{"22/tcp": map[string]any{}, "8080/tcp": map[string]any{}}}
	img.Layers = append(img.Layers,
		imagetest.Layer{By: "RUN /bin/sh -c apt-get install curl # buildkit", Packed: "gzip", Entries: []entry{
			{Name: "var/lib/dpkg/status", Body: dpkg("openssl=1.1.1k-1", "zlib1g=1:1.2.11", "curl=7.74.0")}, {Name: "opt/app/secret.env", Body: "API_TOKEN=" + token(2) + "\n"}, {Name: "opt/app/both.env", Body: "API_TOKEN=" + token(3) + "\n"}}},
		imagetest.Layer{By: "COPY . /opt/app", Packed: "zstd", Entries: []entry{{Name: "opt/app/.wh.secret.env"}, {Name: "opt/app/both.env", Body: "# kept\nAPI_TOKEN=" + token(3) + "\n"},
			{Name: "opt/app/requirements.txt", Body: "requests==2.19.0\n"}, {Name: "opt/app/run", Body: "#!/bin/sh\n", Mode: 0o4777}}},
		imagetest.Layer{By: `CMD ["/opt/app/run"]`, Empty: true})
	return img
}

func open(t *testing.T, file string, o image.Options) *image.Image {
	t.Helper()
	img, err := image.Open(context.Background(), file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

func unpacked(t *testing.T, file string, o image.Options) *image.Image {
	t.Helper()
	img := open(t, file, o)
	if err := img.Unpack(context.Background()); err != nil {
		t.Fatal(err)
	}
	return img
}

// docker saves layers as docker does.
func docker(t *testing.T, layers ...[]entry) string {
	t.Helper()
	var img imagetest.Image
	for i, l := range layers {
		img.Layers = append(img.Layers, imagetest.Layer{By: fmt.Sprint("step ", i), Entries: l})
	}
	return imagetest.Save(t, "image.tar", img.Docker(t))
}

// files are all files of a tree with what they hold.
func files(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			all[name] = d.Type().String()
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What a layer deletes, hides or replaces is not there any more, and the rest is.
func TestWhiteouts(t *testing.T) {
	img := unpacked(t, docker(t,
		[]entry{{Name: "a/"}, {Name: "a/one", Body: "1"}, {Name: "a/two", Body: "2"}, {Name: "b/c/deep", Body: "d"}, {Name: "file", Body: "f"}, {Name: "dir/x", Body: "x"}, {Name: "link", Type: tar.TypeSymlink, Link: "file"}},
		[]entry{{Name: "a/.wh.one"}, {Name: "b/.wh.c"}, {Name: "b/c/new", Body: "n"}, {Name: "dir", Body: "now a file"}, {Name: "file/"}, {Name: "file/inside", Body: "i"}},
		[]entry{{Name: "a/three", Body: "3"}, {Name: "a/.wh..wh..opq"}, {Name: "./b/c/./new", Body: "newer"}, {Name: ".wh.link"}, {Name: ".wh..wh.aufs", Body: "x"}, {Name: ".wh.nothing"}},
	), image.Options{})
	want := map[string]string{"a/three": "3", "b/c/new": "newer", "dir": "now a file", "file/inside": "i"}
	if diff := cmp.Diff(want, files(t, img.FS())); diff != "" {
		t.Error(diff)
	}
	if unread := img.Unread(); len(unread) != 0 {
		t.Error(unread)
	}
}

// Links lead to where they do in a container, and never out of the image or round in circles.
func TestLinks(t *testing.T) {
	img := unpacked(t, docker(t,
		[]entry{{Name: "etc/os-release", Type: tar.TypeSymlink, Link: "../usr/lib/os-release"}, {Name: "usr/lib/os-release", Body: "ID=x"}, {Name: "lib", Type: tar.TypeSymlink, Link: "/usr/lib"},
			{Name: "out", Type: tar.TypeSymlink, Link: "../../../../etc/passwd"}, {Name: "loop", Type: tar.TypeSymlink, Link: "loop"}, {Name: "p", Type: tar.TypeSymlink, Link: "q"}, {Name: "q", Type: tar.TypeSymlink, Link: "p/x"},
			{Name: "hard", Type: tar.TypeLink, Link: "usr/lib/os-release"}, {Name: "h1", Type: tar.TypeLink, Link: "h2"}, {Name: "h2", Type: tar.TypeLink, Link: "h1"}},
		[]entry{{Name: "usr/lib/.wh.os-release"}, {Name: "again", Type: tar.TypeLink, Link: "hard"}},
	), image.Options{})
	for name, want := range map[string]string{"hard": "ID=x", "again": "ID=x"} {
		if text, err := fs.ReadFile(img.FS(), name); string(text) != want {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	for _, name := range []string{"etc/os-release", "out", "loop", "p", "q", "h1", "lib/os-release", "../etc/passwd", "/etc"} {
		if text, err := fs.ReadFile(img.FS(), name); err == nil {
			t.Errorf("%s is %q", name, text)
		}
	}
	if unread := img.Unread(); len(unread) != 2 || unread[0].File != "h1" || unread[1].File != "h2" {
		t.Errorf("two names of each other: %v", unread)
	}
}

// The tree keeps the promises of every fs.FS.
func TestFS(t *testing.T) {
	img := unpacked(t, docker(t, []entry{{Name: "a/b/c", Body: "1"}, {Name: "d", Body: "2"}, {Name: "e/"}}, []entry{{Name: "a/b/x", Body: "3"}, {Name: ".wh.d"}}), image.Options{})
	if err := fstest.TestFS(img.FS(), "a/b/c", "a/b/x", "e"); err != nil {
		t.Error(err)
	}
}

// However an image was saved, it is the same.
func TestKinds(t *testing.T) {
	img := shop()
	ociFiles := imagetest.Files(t, img)
	saved := map[string]string{
		"docker": imagetest.Save(t, "i.tar", img.Docker(t)), "docker gzip": imagetest.Save(t, "i.tar.gz", imagetest.Pack(t, img.Docker(t), "gzip")),
		"folder": imagetest.Layout(t, ociFiles), "tar": imagetest.Save(t, "i.tar", imagetest.LayoutTar(t, ociFiles)), "tar zstd": imagetest.Save(t, "i.tar.zst", imagetest.Pack(t, imagetest.LayoutTar(t, ociFiles), "zstd")),
	}
	var want map[string]string
	for kind, file := range saved {
		if !image.IsImage(file) {
			t.Errorf("%s: is not seen to be an image", kind)
		}
		img := unpacked(t, file, image.Options{})
		got := files(t, img.FS())
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(img.Unread()) > 0 || len(got) < 5 {
			t.Errorf("%s: %v %s", kind, img.Unread(), diff)
		}
		if img.Name != "shop:1.4" || img.Target() != "shop" || len(img.Layers) != 3 || img.Layers[1].Command != "RUN apt-get install curl" {
			t.Errorf("%s: %q %q %d layers", kind, img.Name, img.Target(), len(img.Layers))
		}
	}
	for _, file := range []string{imagetest.Save(t, "no.tar", imagetest.Tar(t, entry{Name: "src/main.go", Body: "x"})), imagetest.Save(t, "text", []byte("hello")), imagetest.Save(t, "nothing", nil), t.TempDir()} {
		if _, err := image.Open(context.Background(), file, image.Options{}); err == nil || image.IsImage(file) {
			t.Errorf("%s is taken for an image", file)
		}
	}
}

// What go-containerregistry saves, as crane and many builders do, is read, too: packed layers, and a configuration without an ending.
func TestCrane(t *testing.T) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(imagetest.Tar(t, entry{Name: "opt/x", Body: "x"}))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("shop:2")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tarball.Write(tag, made, &b); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{imagetest.Save(t, "i.tar", b.Bytes()), imagetest.Save(t, "i.tar.gz", imagetest.Pack(t, b.Bytes(), "gzip"))} {
		img := unpacked(t, file, image.Options{})
		if got := files(t, img.FS()); !image.IsImage(file) || got["opt/x"] != "x" || len(img.Unread()) > 0 || img.Target() != "index.docker.io/library/shop" && img.Target() != "shop" {
			t.Errorf("%v %v %s", got, img.Unread(), img.Target())
		}
	}
}

func scanned(t *testing.T, img *image.Image, scanners ...scan.Scanner) scan.Result {
	t.Helper()
	result, err := img.Scan(context.Background(), scan.Options{Scanners: scanners})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A secret that a layer brings and a higher one deletes is found, and said to
// be in that layer only; one that is there still is told of once.
func TestSecrets(t *testing.T) {
	img := open(t, imagetest.Save(t, "shop.tar", shop().Docker(t)), image.Options{})
	result := scanned(t, img, secret.New(nil))
	var got []string
	for _, f := range result.Runs[0].Findings {
		got = append(got, fmt.Sprintf("%s %s layer=%s %s", f.Place().File, f.ProductFields[finding.FieldStill], f.ProductFields[finding.FieldLayerIndex], f.ProductFields[finding.FieldLayerBy]))
		if strings.Contains(string(f.JSON()), token(1)) || strings.Contains(string(f.JSON()), token(2)) {
			t.Errorf("it holds the secret: %s", f.JSON())
		}
	}
	slices.Sort(got)
	want := []string{"(image)/env  layer= ", "opt/app/both.env  layer=2 COPY . /opt/app", "opt/app/secret.env layer layer=1 RUN apt-get install curl"}
	if diff := cmp.Diff(want, got); diff != "" || !result.Runs[0].Scan.Complete {
		t.Errorf("%v %s", result.Runs[0].Scan.Skipped, diff)
	}
}

// index is the advisories of the tests: an openssl mended in Debian 12 and a curl that is not.
func index(t *testing.T) *advisory.Index {
	t.Helper()
	dir := t.TempDir()
	for id, text := range map[string]string{
		"D-1": `{"id":"D-1","modified":"2026-01-01T00:00:00Z","summary":"openssl","affected":[{"package":{"ecosystem":"Debian:11","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.1.1w-1"}]}]},{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.1-1"}]}]}]}`,
		"D-2": `{"id":"D-2","modified":"2026-01-01T00:00:00Z","summary":"zlib","affected":[{"package":{"ecosystem":"Debian:11","name":"zlib1g"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]},{"package":{"ecosystem":"Debian:12","name":"zlib1g"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`,
		"D-3": `{"id":"D-3","modified":"2026-01-01T00:00:00Z","summary":"curl","affected":[{"package":{"ecosystem":"Debian:11","name":"curl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"7.88"}]}]}]}`,
		"P-1": `{"id":"P-1","modified":"2026-01-01T00:00:00Z","summary":"requests","affected":[{"package":{"ecosystem":"PyPI","name":"requests"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.20.0"}]}]}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, id+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "index")
	compile(t, dir, file)
	x, err := advisory.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// A package is of the layer from which on the package manager has named it, and
// that of the base image is the base's; a newer base mends some of it.
func TestBase(t *testing.T) {
	advisories := index(t)
	img := open(t, imagetest.Save(t, "shop.tar", shop().Docker(t)), image.Options{})
	old := open(t, imagetest.Save(t, "base.tar", base().Docker(t)), image.Options{})
	if b := img.Base(); b.How != image.Guessed || b.Layers != 1 {
		t.Errorf("guessed %+v", b)
	}
	if err := img.BasedOn(old, "debian:11"); err != nil {
		t.Fatal(err)
	}
	result := scanned(t, img, deps.New(advisories))
	var got []string
	for _, c := range result.Components {
		if c.Layer == nil {
			t.Errorf("%s is of no layer", c.Name)
			continue
		}
		got = append(got, fmt.Sprint(c.Name, " ", c.Layer.Index, " ", c.Layer.Base))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"curl 1 ", "openssl 0 debian:11", "requests 2 ", "zlib1g 0 debian:11"}, got); diff != "" {
		t.Error(diff)
	}
	next := base()
	next.Layers[0].Entries = []entry{{Name: "etc/os-release", Body: strings.ReplaceAll(debian, "11", "12")}, {Name: "var/lib/dpkg/status", Body: dpkg("openssl=3.0.11-1", "zlib1g=1:1.3")}}
	newer := open(t, imagetest.Save(t, "newer.tar", next.Docker(t)), image.Options{})
	mended := image.Mend(&result, scanned(t, newer, deps.New(advisories)), "debian:12")
	if diff := cmp.Diff(image.Mended{Newer: "debian:12", Before: 2, Gone: 1, Left: 1}, mended); diff != "" {
		t.Error(diff)
	}
	for _, f := range result.Runs[0].Findings {
		if by := f.ProductFields[finding.FieldNewerBase]; (by != "") != (f.GeneratorID == "deps/D-1") {
			t.Errorf("%s is mended by %q", f.Title, by)
		}
	}
	if err := newer.BasedOn(old, "debian:11"); err == nil {
		t.Error("an image of other layers is taken for one that is built on it")
	}
}

// What an image says of its base is its name; where that ends, its history suggests or nobody knows.
func TestBaseByAnnotation(t *testing.T) {
	named := map[string]string{"org.opencontainers.image.base.name": "debian:11", "org.opencontainers.image.base.digest": "sha256:12"}
	by := shop()
	by.Annotations = named
	img := open(t, imagetest.Layout(t, imagetest.Files(t, by)), image.Options{})
	if diff := cmp.Diff(image.Base{Name: "debian:11", Digest: "sha256:12", Layers: 1, How: image.Guessed}, img.Base()); diff != "" {
		t.Error(diff)
	}
	if !img.Assume() || img.Base().How != image.Guessed {
		t.Errorf("%+v", img.Base())
	}
	for _, c := range scanned(t, img, deps.New(nil)).Components {
		if (c.Layer.Base == "debian:11") != (c.Name == "openssl" || c.Name == "zlib1g") {
			t.Errorf("%s is of %+v", c.Name, c.Layer)
		}
	}
	by.Layers = slices.DeleteFunc(by.Layers, func(l imagetest.Layer) bool { return l.Empty })
	by.Annotations, by.Config["Labels"] = nil, named
	img = open(t, imagetest.Layout(t, imagetest.Files(t, by)), image.Options{})
	if diff := cmp.Diff(image.Base{Name: "debian:11", Digest: "sha256:12"}, img.Base()); diff != "" || img.Assume() {
		t.Error(diff)
	}
}

// What Debian packed of Python's packages is Debian's; what pip installed is Python's.
func TestOwned(t *testing.T) {
	metadata := "Metadata-Version: 2.1\nName: requests\nVersion: 2.19.0\n\n"
	const debians, pips, alpines = "usr/lib/python3/dist-packages/requests-2.19.0.dist-info/METADATA", "usr/local/lib/python3.11/site-packages/requests-2.19.0.dist-info/METADATA", "usr/lib/python3.12/site-packages/requests-2.19.0.dist-info/METADATA"
	img := base()
	img.Layers[0].Entries = append(img.Layers[0].Entries, entry{Name: debians, Body: metadata}, entry{Name: pips, Body: metadata}, entry{Name: alpines, Body: metadata},
		entry{Name: "var/lib/dpkg/info/python3-requests.list", Body: "/.\n/usr\n/" + debians + "\n"}, entry{Name: "lib/apk/db/installed", Body: "P:py3-requests\nV:2.19.0-r0\nF:" + filepath.ToSlash(filepath.Dir(alpines)) + "\nR:METADATA\n\n"})
	result := scanned(t, open(t, imagetest.Save(t, "i.tar", img.Docker(t)), image.Options{}), deps.New(index(t)))
	var got []string
	for _, c := range result.Components {
		if c.Ecosystem == "PyPI" {
			got = append(got, c.Place.File)
		}
	}
	for _, f := range result.Runs[0].Findings {
		if f.GeneratorID == "deps/P-1" {
			got = append(got, f.Place().File)
		}
	}
	if diff := cmp.Diff([]string{pips, pips}, got); diff != "" {
		t.Error(diff)
	}
}

// The image's own configuration and modes are looked at.
func TestCheck(t *testing.T) {
	img := shop()
	img.Layers[2].By = "ADD https://user:pw@example.com/tool.tgz?key=x /opt/ # buildkit"
	img.Layers[3].By = "RUN /bin/sh -c curl -fsSL https://example.com/install | bash # buildkit"
	img.Layers[3].Entries = append(img.Layers[3].Entries, entry{Name: "etc/shadow", Body: "root::19000:0:99999:7:::\nbin:*:19000:0:99999:7:::\n"}, entry{Name: "dev/sda", Type: tar.TypeBlock, Major: 8}, entry{Name: "dev/null", Type: tar.TypeChar, Major: 1, Minor: 3}, entry{Name: "opt/open", Mode: 0o666})
	result := scanned(t, open(t, imagetest.Save(t, "i.tar", img.Docker(t)), image.Options{}), image.Scanner{})
	var got []string
	for _, f := range result.Runs[0].Findings {
		got = append(got, fmt.Sprintf("%s %s %s", f.GeneratorID, f.Where(), f.ProductFields[finding.FieldLayerIndex]))
		if strings.Contains(f.Title, "pw@") || strings.Contains(f.Title, "key=") {
			t.Error(f.Title)
		}
	}
	want := []string{"image/root (image)/config ", "image/ssh (image)/config ", "image/add-remote (image)/history:3 1", "image/pipe-shell (image)/history:4 2",
		"image/device dev/sda 2", "image/no-password etc/shadow:1 2", "image/setuid-writable opt/app/run 2", "image/world-writable opt/open 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	img.Config["User"] = "1000:1000"
	for _, f := range scanned(t, open(t, imagetest.Save(t, "i.tar", img.Docker(t)), image.Options{}), image.Scanner{}).Runs[0].Findings {
		if f.GeneratorID == "image/root" {
			t.Error(f.Title)
		}
	}
}

// Of an index the image for the platform is taken; where several could be meant, it is an error that lists them.
func TestPlatform(t *testing.T) {
	amd, arm := shop(), base()
	amd.Platform, arm.Platform, arm.Name = "linux/amd64", "linux/arm64", "shop:1.4"
	dir := imagetest.Layout(t, imagetest.Files(t, amd, arm))
	if img := open(t, dir, image.Options{Platform: "linux/arm64"}); len(img.Layers) != 1 {
		t.Errorf("%d layers", len(img.Layers))
	}
	if img := open(t, dir, image.Options{Platform: "linux/amd64"}); len(img.Layers) != 3 {
		t.Errorf("%d layers", len(img.Layers))
	}
	_, err := image.Open(context.Background(), dir, image.Options{Platform: "linux/s390x"})
	if err == nil || !strings.Contains(err.Error(), "linux/arm64 (shop:1.4)") {
		t.Error(err)
	}
}

// An image in a registry is read like one on disk, and the digests are checked.
func TestRegistry(t *testing.T) {
	host, forge := registryOf(t)
	server := httptest.NewServer(host)
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/shop:1.4"
	push(t, server.URL, "team/shop", "1.4", imagetest.Files(t, shop()))
	img, err := image.Pull(context.Background(), ref, image.Registry{}, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	result := scanned(t, img, deps.New(nil))
	if len(result.Components) != 4 || !result.Runs[0].Scan.Complete || !strings.HasSuffix(img.Target(), "/team/shop") {
		t.Errorf("%s: %d components, %v", img.Target(), len(result.Components), result.Runs[0].Scan.Skipped)
	}
	amd, arm := shop(), base()
	amd.Platform, arm.Platform = "linux/amd64", "linux/arm64"
	push(t, server.URL, "team/shop", "both", imagetest.Files(t, amd, arm))
	several, err := image.Pull(context.Background(), strings.TrimSuffix(ref, "1.4")+"both", image.Registry{}, image.Options{Platform: "linux/arm64"})
	if err != nil {
		t.Fatal(err)
	}
	defer several.Close()
	if got := scanned(t, several, deps.New(nil)).Components; len(got) != 2 {
		t.Errorf("of the one for linux/arm64: %v", got)
	}
	forge.Store(true)
	forged, err := image.Pull(context.Background(), ref, image.Registry{}, image.Options{})
	if err == nil {
		defer forged.Close()
		if err = forged.Unpack(context.Background()); err == nil && len(forged.Unread()) > 0 {
			err = fmt.Errorf("%v", forged.Unread())
		}
	}
	if err == nil {
		t.Error("blobs that are not what they say are taken")
	}
	for _, bad := range []string{"", "UPPER", "a b", "x@sha256:12", strings.Repeat("a/", 300)} {
		if _, err := image.Pull(context.Background(), bad, image.Registry{}, image.Options{}); err == nil {
			t.Errorf("%q is taken for the name of an image", bad)
		}
	}
}

// Where what may be reached is bounded, as it is on a server, a registry is not reached past these bounds.
func TestRegistryBounds(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = true; http.NotFound(w, r) }))
	defer server.Close()
	dialer, err := outbound.New(outbound.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = image.Pull(context.Background(), strings.TrimPrefix(server.URL, "http://")+"/shop:1", image.Registry{Transport: dialer.Client(time.Minute).Transport}, image.Options{})
	if !errors.Is(err, fault.Denied) || asked {
		t.Errorf("a registry on this machine: %v, asked %v", err, asked)
	}
}

// A list of an image twice gives the same, in the same order, and nothing is left on disk.
func TestSame(t *testing.T) {
	temp := t.TempDir()
	file := imagetest.Save(t, "shop.tar", shop().Docker(t))
	run := func() scan.Result {
		img, err := image.Open(context.Background(), file, image.Options{Temp: temp})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		return scanned(t, img, secret.New(nil), deps.New(index(t)), image.Scanner{})
	}
	once := run()
	for range 5 {
		if diff := cmp.Diff(once, run()); diff != "" {
			t.Fatal(diff)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	var c component.Component = once.Components[0]
	if c.Layer == nil {
		t.Error("a component without a layer")
	}
	for _, f := range once.Own(finding.Maker{Account: "123456789012", Region: "x"}, time.Unix(0, 0)) {
		if f.Remediation == nil || f.Title == "" || f.Description == "" {
			t.Errorf("%s", f.JSON())
		}
	}
}
