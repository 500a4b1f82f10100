// Package image reads container images: their layers, the tree of files that comes of them, and which layer brought what.
package image

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Options say which image of several is meant, and how much it may cost.
type Options struct {
	Platform string // linux/arm64; "" for Linux on the processor of this machine
	Bytes    int64  // that all layers may unpack to; 0 for 20 GiB
	Entries  int    // files, folders and links in all layers; 0 for 1,000,000
	Temp     string // the folder for what is unpacked; "" for the system's
}

func (o Options) bytes() int64   { return cmp.Or(o.Bytes, 20<<30) }
func (o Options) entries() int   { return cmp.Or(o.Entries, 1_000_000) }
func (o Options) system() string { return cmp.Or(o.Platform, "linux/"+runtime.GOARCH) }

// mostLayers is far above what runtimes take.
const mostLayers = 1000

// Image is an image of which the description was read. Unpack reads its layers.
type Image struct {
	Name        string            // what it is called where it came from: shop:1.4, or ""
	Digest      string            // of its manifest, or, in an archive that has none, of its configuration
	Annotations map[string]string // of its manifest, and of the index that led there
	Config      Config
	Layers      []*Layer

	options Options
	source  io.Closer // what the blobs are read from
	spool   *os.File  // unpacked layers
	spooled int64
	tree    *tree
	left    int64 // bytes that may still be unpacked
	entries int
	unread  []diag.Place
	devices []device
	assumed bool // that the lowest layers are the base's
}

// Config is what an image says that it runs, and how it was made.
type Config struct {
	Architecture string
	OS           string
	User         string
	Env          []string
	Labels       map[string]string
	Ports        []string // exposed: 22/tcp
	Entrypoint   []string
	Command      []string
	History      []Step
}

// Step is one command of the history of an image.
type Step struct {
	Command string
	Layer   int // that it made, or -1
}

// Layer is a layer of an image: what a command of its history changed.
type Layer struct {
	Digest  string // as it is kept, or, in an archive that does not say it, unpacked
	DiffID  string // unpacked
	Command string // of the history
	Size    int64  // as it is kept
	Base    string // the base image that it is of; see BasedOn

	index int
	named string // its digest is to be this; "" where nothing is promised
	open  func(ctx context.Context) (blob, error)
}

// blob is something of an image as it is kept. at is there where any part can be read at any time.
type blob struct {
	io.ReadCloser
	at   io.ReaderAt
	size int64
}

// Close ends the use of an image, and removes what was unpacked.
func (img *Image) Close() error {
	var first error
	if img.spool != nil {
		name := img.spool.Name()
		first = img.spool.Close()
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			first = cmp.Or(first, err)
		}
	}
	if img.source != nil {
		first = cmp.Or(first, img.source.Close())
	}
	return first
}

// Unpack reads the layers. What is wrong with one costs what of it cannot be
// read, and stands in Unread; only the end of ctx and a full disk are errors.
func (img *Image) Unpack(ctx context.Context) error {
	if img.tree != nil {
		return nil
	}
	spool, err := os.CreateTemp(img.options.Temp, "haechi-image-")
	if err != nil {
		return fmt.Errorf("unpacking an image: %w", err)
	}
	_ = os.Remove(spool.Name()) // where it can be: then nothing is left behind, whatever happens
	img.spool, img.tree, img.left = spool, &tree{}, img.options.bytes()
	seen := map[string]int{}
	for i, l := range img.Layers {
		if first, ok := seen[l.DiffID]; ok && l.DiffID != "" && img.Layers[first].empty() {
			continue // what commands that change nothing leave
		}
		seen[l.DiffID] = i
		if err := img.unpack(ctx, l); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if isOurs(err) {
				return fmt.Errorf("unpacking layer %d: %w", i, err)
			}
			img.doubt(l, "", err.Error())
		}
	}
	return nil
}

// empty tells that a layer is the well-known one that holds nothing.
func (l *Layer) empty() bool { return l.Size < 1100 && l.Size >= 0 }

// doubt notes what could not be looked at. Of a layer with many such places, the first are told.
func (img *Image) doubt(l *Layer, file, why string) {
	const most = 200
	if len(img.unread) == most {
		img.unread = append(img.unread, diag.Place{File: ".", Why: "more places that could not be looked at are not listed"})
	}
	if len(img.unread) > most {
		return
	}
	where := fmt.Sprintf("layer %d (%s)", l.index, short(l.Digest))
	if file == "" {
		img.unread = append(img.unread, diag.Place{File: ".", Why: where + ": " + why})
		return
	}
	img.unread = append(img.unread, diag.Place{File: strings.ToValidUTF8(file, "\uFFFD"), Why: where + ": " + why})
}

// short is a digest as people tell them apart.
func short(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	if !ok {
		hex = digest
	}
	return hex[:min(12, len(hex))]
}

// Unread are the places that Unpack could not look at.
func (img *Image) Unread() []diag.Place { return slices.Clone(img.unread) }

// FS is the tree of files that a container of the image begins with. It is there after Unpack, until Close.
func (img *Image) FS() fs.FS { return img.view(len(img.Layers) - 1) }

func (img *Image) view(layer int) view { return view{img, img.tree, layer} }

// Layer tells which layer brought the file of that name as it is at last, or nil.
func (img *Image) Layer(file string) *component.Layer {
	_, v := img.tree.find(file, len(img.Layers)-1)
	if v == nil {
		return nil
	}
	return img.layer(int(v.layer))
}

func (img *Image) layer(i int) *component.Layer {
	l := img.Layers[i]
	return &component.Layer{Digest: l.Digest, Index: i, Command: l.Command, Base: l.Base}
}

// Target is what scans of the image are of: its name without the version.
func (img *Image) Target() string {
	name, _, _ := strings.Cut(img.Name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}

// Revision is the commit that the image says it was made of, or "".
func (img *Image) Revision() string {
	const key = "org.opencontainers.image.revision"
	commit := cmp.Or(img.Annotations[key], img.Config.Labels[key])
	if len(commit) != 40 && len(commit) != 64 || strings.Trim(commit, "0123456789abcdef") != "" {
		return ""
	}
	return commit
}

// wrong is a mistake in an image, of the kind that its maker can do something about.
func wrong(format string, a ...any) error { return fault.Invalid.Errorf(format, a...) }
