package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	errLoop    = errors.New("too many links one after the other")
	errSpecial = errors.New("not a file that can be read")
	errNoDir   = errors.New("not a folder")
	errIsDir   = errors.New("a folder")
)

// Bounds of one layer: above what real ones have.
const (
	longestName = 4096
	deepestName = 200
	longestPart = 255
	entryWeight = 400 // bytes of memory for each entry that an image may have
	// A layer that grows by more than that, and is no small one, is a bomb.
	mostGrowth  = 200
	smallEnough = 1 << 30
)

// ours is an error of this machine rather than of the image.
type ours struct{ error }

func isOurs(err error) bool {
	var o ours
	return errors.As(err, &o)
}

// uncompressed is the reader of what was not packed.
type uncompressed struct{ io.Reader }

// Close has nothing to close.
func (uncompressed) Close() error { return nil }

type zstdReader struct{ *zstd.Decoder }

// Close ends it.
func (z zstdReader) Close() error { z.Decoder.Close(); return nil }

// decompressed is what r holds, unpacked. closer is uncompressed where there is nothing to do.
func decompressed(r io.Reader) (io.Reader, io.Closer, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case hasMagic(head, "\x1f\x8b"):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, err
		}
		return z, z, nil
	case hasMagic(head, "\x28\xb5\x2f\xfd"), len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte("\x2a\x4d\x18")):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return z, zstdReader{z}, nil
	case hasMagic(head, "BZh"):
		return bzip2.NewReader(b), io.NopCloser(b), nil
	}
	for magic, name := range map[string]string{"\xfd7zXZ": "xz", "\x04\x22\x4d\x18": "lz4", "PK\x03\x04": "zip", "LZIP": "lzip"} {
		if hasMagic(head, magic) {
			return nil, nil, fault.Unsupported.Errorf("it is packed with %s, which is not read; gzip, zstd and bzip2 are", name)
		}
	}
	return b, uncompressed{b}, nil
}

// meter counts, hashes and keeps what passes.
type meter struct {
	io.Reader
	n, most int64
	left    *int64 // of the whole image
	hash    hash.Hash
	keep    *bufio.Writer // nil: it lies there already
}

var errTooMuch = fault.Limit.Errorf("it unpacks to more than an image may: this looks like a bomb")

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n += int64(n)
	*m.left -= int64(n)
	if m.n > m.most || *m.left < 0 {
		return 0, errTooMuch
	}
	m.hash.Write(p[:n])
	if m.keep != nil {
		if _, err := m.keep.Write(p[:n]); err != nil {
			return n, ours{err}
		}
	}
	return n, err
}

// passing ends with ctx.
type passing struct {
	ctx context.Context
	io.Reader
}

func (p passing) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.Reader.Read(b)
}

// unpack reads one layer into the tree, and holds it against its digests.
func (img *Image) unpack(ctx context.Context, l *Layer) error {
	b, err := l.open(ctx)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fault.NotFound.Errorf("it is not there")
		}
		return err
	}
	defer b.Close()
	if b.size >= 0 {
		l.Size = b.size
	}
	kept := sha256.New()
	raw := io.TeeReader(passing{ctx, b}, kept)
	unpacked, closer, err := decompressed(raw)
	if err != nil {
		return err
	}
	defer closer.Close()
	m := &meter{Reader: unpacked, left: &img.left, hash: sha256.New(), most: smallEnough + mostGrowth*max(l.Size, 0)}
	at, base := b.at, int64(0)
	_, plain := closer.(uncompressed)
	if at == nil || !plain {
		at, base = img.spool, img.spooled
		m.keep = bufio.NewWriterSize(io.NewOffsetWriter(img.spool, base), 256<<10)
	}
	err = img.entriesOf(l, m, at, base)
	if err == nil {
		_, err = io.Copy(io.Discard, m) // what follows the end of a tar is part of the layer
	}
	if m.keep != nil {
		if wrong := m.keep.Flush(); wrong != nil {
			return ours{wrong}
		}
		img.spooled += m.n
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return err
	}
	if l.named != "" {
		if err := same("", kept, l.named); err != nil {
			return err
		}
	}
	return same("unpacked", m.hash, l.DiffID)
}

// same tells whether what was read is what was promised.
func same(what string, got hash.Hash, want string) error {
	if digest := "sha256:" + hex.EncodeToString(got.Sum(nil)); digest != want {
		return wrong("%s", strings.TrimSpace(fmt.Sprintf("it is not what it says %s: its digest is %s, not %s", what, digest, want)))
	}
	return nil
}

// entriesOf reads the entries of a layer into the tree.
func (img *Image) entriesOf(l *Layer, m *meter, at io.ReaderAt, base int64) error {
	t := tar.NewReader(m)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if errors.Is(err, fault.Limit) || isOurs(err) {
				return err
			}
			return wrong("it is torn or broken after %d bytes: %w", m.n, err)
		}
		if img.entries++; img.entries > img.options.entries() {
			return fault.Limit.Errorf("the image holds more than %d files, folders and links", img.options.entries())
		}
		name, why := clean(h.Name)
		switch {
		case why != "":
			img.doubt(l, h.Name[:min(len(h.Name), 200)], why)
		case name != ".":
			if err := img.enter(l, name, h, at, base+m.n); err != nil {
				return err
			}
		}
		if img.tree.weight > entryWeight*int64(img.options.entries()) {
			return fault.Limit.Errorf("the names of what the image holds are longer, or deeper, than an image's may be")
		}
	}
}

// clean is a name in the tree, or why it is none.
func clean(name string) (string, string) {
	if len(name) > longestName || strings.Count(name, "/") > deepestName {
		return "", "its name is longer than a name may be"
	}
	if strings.ContainsRune(name, 0) {
		return "", "its name holds a zero byte"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", "its name leads out of the image"
		case len(part) > longestPart:
			return "", "its name is longer than a name may be"
		}
	}
	return path.Clean("./" + strings.TrimLeft(path.Clean("/"+name), "/")), ""
}

const whiteout = ".wh."

// enter adds one entry of a layer to the tree.
func (img *Image) enter(l *Layer, name string, h *tar.Header, at io.ReaderAt, offset int64) error {
	layer := int32(l.index)
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if hidden, ok := strings.CutPrefix(base, whiteout); ok {
		switch {
		case hidden == ".wh..opq":
			img.tree.hide(dir, layer)
		case strings.HasPrefix(hidden, whiteout), hidden == "", hidden == ".", hidden == "..":
			// what file systems note for themselves
		default:
			img.tree.remove(path.Join(dir, hidden), layer)
		}
		return nil
	}
	v := version{layer: layer, mode: h.FileInfo().Mode(), time: h.ModTime.Unix(), uid: id(h.Uid), gid: id(h.Gid)}
	switch h.Typeflag {
	case tar.TypeDir:
		v.kind = isDir
	case tar.TypeSymlink:
		v.kind, v.target = isLink, h.Linkname
		if len(v.target) > longestName {
			img.doubt(l, name, "it links to a name that is longer than a name may be")
			return nil
		}
	case tar.TypeReg, tar.TypeGNUSparse:
		if sparse(h) {
			img.doubt(l, name, "its content is kept with holes, which is not read")
			return nil
		}
		v.kind, v.at, v.offset, v.size = isFile, at, offset, h.Size
	case tar.TypeLink:
		target, why := clean(h.Linkname)
		_, other := img.tree.find(target, l.index)
		if why != "" || other == nil || other.kind != isFile {
			img.doubt(l, name, "it is another name of a file that is not there")
			return nil
		}
		if img.left -= other.size; img.left < 0 { // each name is looked at
			return errTooMuch
		}
		v = *other
		v.layer, v.again = layer, true
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		v.kind = isOther
		if h.Typeflag != tar.TypeFifo {
			img.devices = append(img.devices[:min(len(img.devices), 1000)], device{name, l.index, h.Devmajor, h.Devminor})
		}
	default:
		return nil // what tars say of themselves
	}
	img.tree.put(name, v)
	return nil
}

// id is a user or group that images have; others are nobody.
func id(n int) int32 {
	if n < 0 || n > 65_535 {
		return 65_534
	}
	return int32(n)
}

// device is a device that a layer brings.
type device struct {
	name         string
	layer        int
	major, minor int64
}
