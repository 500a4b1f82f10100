package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// ErrNoImage is what Open says of a file or folder that is something else.
var ErrNoImage = errors.New("no container image")

// files are the files that an image was saved as.
type files interface {
	file(name string) (blob, error)
	Close() error
}

// Open reads the description of an image that lies on disk: an OCI layout,
// which is a folder or a tar of it, or an archive of docker save, either
// compressed or not.
func Open(ctx context.Context, file string, o Options) (*Image, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	var source files
	if info.IsDir() {
		source, err = openFolder(file)
	} else {
		source, err = openArchive(file, o)
	}
	if err != nil {
		return nil, err
	}
	img := &Image{options: o, source: source}
	if err := img.load(ctx, source); err != nil {
		_ = source.Close()
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return img, nil
}

// IsImage tells whether Open has a chance: by the file that every image has.
func IsImage(file string) bool {
	info, err := os.Stat(file)
	if err != nil {
		return false
	}
	if info.IsDir() {
		_, err := os.Stat(path.Join(file, "oci-layout"))
		return err == nil
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	r, packed, err := decompressed(f)
	if err != nil {
		return false
	}
	if _, plain := packed.(uncompressed); plain { // then the heads alone are read, wherever they lie
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return false
		}
		return isArchive(f, false)
	}
	return isArchive(io.LimitReader(r, 64<<20), true)
}

// isArchive tells by the names in a tar. Of a long one that is packed the
// beginning must do, and what tells may come last.
func isArchive(r io.Reader, beginning bool) bool {
	t := tar.NewReader(r)
	for n := range 5000 {
		h, err := t.Next()
		if err != nil {
			return beginning && n > 0 && err != io.EOF
		}
		switch path.Clean(h.Name) {
		case "oci-layout", "index.json", "manifest.json", "blobs", "blobs/sha256":
			return true
		}
		if !strings.HasPrefix(path.Clean(h.Name), "blobs/") && !isDockerLayer(h.Name) {
			return false
		}
	}
	return false
}

// isDockerLayer: older archives of docker save begin with folders that are called after layers.
func isDockerLayer(name string) bool {
	first, _, _ := strings.Cut(path.Clean(name), "/")
	first = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(first, ".json"), ".tar"), "sha256:")
	first = strings.TrimSuffix(first, ".tar.gz")
	return len(first) == 64 && strings.Trim(first, "0123456789abcdef") == ""
}

func readSmall(f files, name string, most int64) ([]byte, error) {
	b, err := f.file(name)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	text, err := io.ReadAll(io.LimitReader(b, most+1))
	if err == nil && int64(len(text)) > most {
		err = fault.Limit.Errorf("%s: more than %d bytes", name, most)
	}
	return text, err
}

// load reads what lies in source: where both are there, the layout of OCI counts.
func (img *Image) load(ctx context.Context, source files) error {
	index, err := readSmall(source, "index.json", largestManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return img.loadDocker(source)
	}
	if err != nil {
		return err
	}
	get := getter(func(_ context.Context, d descriptor) (blob, error) {
		hex, err := hexOf(d.Digest)
		if err != nil {
			return blob{}, err
		}
		return source.file("blobs/sha256/" + hex)
	})
	if err := img.choose(ctx, descriptor{Digest: "index.json"}, index, get, 0); err != nil {
		return err
	}
	for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if name := img.Annotations[key]; name != "" && img.Name == "" {
			img.Name = name
		}
	}
	return nil
}

// loadDocker reads an archive of docker save without an OCI layout.
func (img *Image) loadDocker(source files) error {
	text, err := readSmall(source, "manifest.json", largestManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Invalid.Wrap(ErrNoImage)
	}
	if err != nil {
		return err
	}
	var all []struct {
		Config   string   `json:"Config"`
		RepoTags []string `json:"RepoTags"`
		Layers   []string `json:"Layers"`
	}
	if err := parse("manifest.json", text, &all); err != nil {
		return err
	}
	if len(all) != 1 {
		return wrong("there are %d images in this archive: save one at a time", len(all))
	}
	m := all[0]
	if len(m.Layers) > mostLayers {
		return fault.Limit.Errorf("%d layers are more than the %d that an image may have", len(m.Layers), mostLayers)
	}
	if len(m.RepoTags) > 0 {
		img.Name = m.RepoTags[0]
	}
	config, err := readSmall(source, m.Config, largestConfig)
	if err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	sum := sha256.Sum256(config)
	img.Digest = "sha256:" + hex.EncodeToString(sum[:])
	// Docker calls the configuration by its digest; others call it as they like.
	if base := strings.TrimPrefix(strings.TrimSuffix(path.Base(m.Config), ".json"), "sha256:"); isDockerLayer(base) && base != hex.EncodeToString(sum[:]) {
		return wrong("the configuration %s is not what it says: its digest is %s", m.Config, img.Digest)
	}
	for _, name := range m.Layers {
		img.Layers = append(img.Layers, &Layer{Size: -1, open: func(context.Context) (blob, error) { return source.file(name) }})
	}
	return img.configure(config)
}

// folder is an OCI layout.
type folder struct{ root *os.Root }

func openFolder(dir string) (files, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return folder{root}, nil
}

func (f folder) Close() error { return f.root.Close() }

func (f folder) file(name string) (blob, error) {
	file, err := f.root.Open(path.Clean(name))
	if err != nil {
		return blob{}, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = wrong("%s is not a file", name)
	}
	if err != nil {
		_ = file.Close()
		return blob{}, err
	}
	return blob{file, nil, info.Size()}, nil // it is closed, and many folders are slow to read at random
}

// archive is a tar of either kind.
type archive struct {
	disk     *os.File
	sections map[string]section
	links    map[string]string
	temp     string
}

type section struct{ at, size int64 }

func openArchive(name string, o Options) (files, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	a := &archive{disk: f, sections: map[string]section{}, links: map[string]string{}}
	if err := a.plain(o); err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := a.list(); err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// plain unpacks an archive that is compressed as a whole.
func (a *archive) plain(o Options) error {
	r, packed, err := decompressed(a.disk)
	if err != nil {
		return err
	}
	if _, plain := packed.(uncompressed); !plain {
		spool, err := os.CreateTemp(o.Temp, "haechi-image-")
		if err != nil {
			return err
		}
		a.temp = spool.Name()
		_ = os.Remove(a.temp)
		n, err := io.Copy(spool, io.LimitReader(r, o.bytes()+1))
		_ = a.disk.Close()
		a.disk = spool
		if err != nil {
			return wrong("it cannot be unpacked: %w", err)
		}
		if n > o.bytes() {
			return fault.Limit.Errorf("it unpacks to more than %d bytes", o.bytes())
		}
	}
	_, err = a.disk.Seek(0, io.SeekStart)
	return err
}

// list notes where each file of the archive lies. It reads the heads alone.
func (a *archive) list() error {
	const most = 100_000
	t := tar.NewReader(a.disk)
	for range most {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if len(a.sections) == 0 {
				return fault.Invalid.Wrap(ErrNoImage)
			}
			return wrong("the archive is torn or broken: %w", err)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := a.disk.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			if !sparse(h) {
				a.sections[name] = section{at, h.Size}
			}
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
	return fault.Limit.Errorf("it holds more than %d files", most)
}

func (a *archive) Close() error {
	err := a.disk.Close()
	if a.temp != "" {
		_ = os.Remove(a.temp)
	}
	return err
}

func (a *archive) find(name string) (section, bool) {
	name = path.Clean(name)
	for range 10 {
		if s, ok := a.sections[name]; ok {
			return s, true
		}
		next, ok := a.links[name]
		if !ok {
			break
		}
		name = next
	}
	return section{}, false
}

func (a *archive) file(name string) (blob, error) {
	s, ok := a.find(name)
	if !ok {
		return blob{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	part := io.NewSectionReader(a.disk, s.at, s.size)
	return blob{io.NopCloser(part), part, s.size}, nil
}

// sparse tells a file of which the tar leaves out the holes: it does not lie there as it is.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// hasMagic tells by its beginning what something is packed with.
func hasMagic(head []byte, magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
