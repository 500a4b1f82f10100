// Package imagetest builds small container images for tests, good ones and hostile ones.
package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

// Entry is one entry of a layer. Without a Type it is a file, or, if its name ends in a slash, a folder.
type Entry struct {
	Name, Body, Link string
	Mode             int64
	UID, GID         int
	Type             byte
	Major, Minor     int64 // of a device
}

// Layer is one step of an image.
type Layer struct {
	By      string // the command in the history
	Entries []Entry
	Raw     []byte // the layer itself, in the place of Entries
	Packed  string // gzip, zstd or nothing
	Empty   bool   // it changes no file, and is no layer
}

// Image is what is built.
type Image struct {
	Name        string // shop:1.4
	Config      map[string]any
	Annotations map[string]string
	Layers      []Layer
	Platform    string // linux/amd64, where the index is to say one
}

// Tar is a tar of entries.
func Tar(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Linkname: e.Link, Mode: e.Mode, Typeflag: e.Type, Size: int64(len(e.Body)), Devmajor: e.Major, Devminor: e.Minor, Uid: e.UID, Gid: e.GID, ModTime: time.Unix(1_700_000_000, 0)}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if strings.HasSuffix(e.Name, "/") {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.Body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Pack packs content with gzip or zstd.
func Pack(t testing.TB, content []byte, with string) []byte {
	t.Helper()
	var b bytes.Buffer
	switch with {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, _ = w.Write(content)
		_ = w.Close()
	case "zstd":
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(content)
		_ = w.Close()
	default:
		return content
	}
	return b.Bytes()
}

// Folder are the entries of a folder on disk.
func Folder(t testing.TB, dir string) (all []Entry) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		all = append(all, Entry{Name: filepath.ToSlash(name), Body: string(content)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Digest is that of content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// built are the parts of an image.
func (img Image) built(t testing.TB) (config []byte, layers [][]byte) {
	t.Helper()
	var diffs []string
	history := []map[string]any{}
	for _, l := range img.Layers {
		history = append(history, map[string]any{"created_by": l.By, "empty_layer": l.Empty})
		if l.Empty {
			continue
		}
		raw := l.Raw
		if raw == nil {
			raw = Tar(t, l.Entries...)
		}
		diffs = append(diffs, Digest(raw))
		layers = append(layers, Pack(t, raw, l.Packed))
	}
	return encode(t, map[string]any{"architecture": "amd64", "os": "linux", "config": img.Config, "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}, "history": history}), layers
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Docker is the image as docker save writes it.
func (img Image) Docker(t testing.TB) []byte {
	t.Helper()
	config, layers := img.built(t)
	name := strings.TrimPrefix(Digest(config), "sha256:") + ".json"
	var names []string
	entries := []Entry{{Name: name, Body: string(config)}}
	for i, l := range layers {
		names = append(names, strings.Repeat(string(rune('a'+i%6)), 64)+"/layer.tar")
		entries = append(entries, Entry{Name: names[i], Body: string(l)})
	}
	manifest := map[string]any{"Config": name, "Layers": names}
	if img.Name != "" {
		manifest["RepoTags"] = []string{img.Name}
	}
	return Tar(t, append(entries, Entry{Name: "manifest.json", Body: string(encode(t, []any{manifest}))})...)
}

// Files are those of the OCI layout of images, by their names.
func Files(t testing.TB, images ...Image) map[string][]byte {
	t.Helper()
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	blob := func(mediaType string, content []byte) map[string]any {
		files["blobs/sha256/"+strings.TrimPrefix(Digest(content), "sha256:")] = content
		return map[string]any{"mediaType": mediaType, "digest": Digest(content), "size": len(content)}
	}
	var manifests []any
	for _, img := range images {
		config, layers := img.built(t)
		var list []any
		next := 0
		for _, l := range img.Layers {
			if l.Empty {
				continue
			}
			list = append(list, blob(strings.TrimSuffix("application/vnd.oci.image.layer.v1.tar+"+l.Packed, "+"), layers[next]))
			next++
		}
		d := blob("application/vnd.oci.image.manifest.v1+json", encode(t, map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": blob("application/vnd.oci.image.config.v1+json", config), "layers": list, "annotations": img.Annotations}))
		if img.Name != "" {
			d["annotations"] = map[string]string{"org.opencontainers.image.ref.name": img.Name}
		}
		if os, arch, ok := strings.Cut(img.Platform, "/"); ok {
			d["platform"] = map[string]string{"os": os, "architecture": arch}
		}
		manifests = append(manifests, d)
	}
	files["index.json"] = encode(t, map[string]any{"schemaVersion": 2, "manifests": manifests})
	return files
}

// Layout writes the OCI layout of files to a folder, and returns its path.
func Layout(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// LayoutTar is the tar of the OCI layout of files.
func LayoutTar(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var entries []Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, Entry{Name: name, Body: string(files[name])})
	}
	return Tar(t, entries...)
}

// Save writes content to a file of a folder of the test, and returns its path.
func Save(t testing.TB, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
