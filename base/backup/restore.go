package backup

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/fault"
)

// What a backup may unpack to: so many times what was read of the file so far,
// beyond the first bytes, and so many files. Real state stays far below.
const (
	maxRatio  = 250
	freeBytes = 64 << 20
	maxFiles  = 20_000_000
	maxName   = 4096
)

// Restore unpacks a backup into a folder that is empty or not there yet. What is
// cut off, was changed, or would write elsewhere is refused, and nothing of it
// stays.
func Restore(r io.Reader, folder string) (about About, size Size, err error) {
	if err := empty(folder); err != nil {
		return about, size, err
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return about, size, err
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return about, size, err
	}
	staging, err := os.MkdirTemp(filepath.Dir(folder), ".restoring-")
	if err != nil {
		return about, size, err
	}
	defer os.RemoveAll(staging)
	root, err := os.OpenRoot(staging)
	if err != nil {
		return about, size, err
	}
	defer root.Close()
	u := unpacker{root: root, sums: map[string]string{}, read: &counter{r: r}}
	if err := u.unpack(); err != nil {
		return about, size, fault.Invalid.Errorf("this is not a whole backup: %w", err)
	}
	if u.broken != nil {
		return about, size, u.broken
	}
	syscall.Sync() // the rename must not be older than what it names
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return about, size, err
	}
	return u.about, u.size, os.Rename(staging, folder)
}

// empty refuses a folder that has something in it.
func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.Invalid.Wrap(err)
	case len(entries) > 0:
		return fault.Exists.Errorf("%s is not empty (%s is in it): give another folder, or move it away first", folder, entries[0].Name())
	}
	return nil
}

// counter counts what was read of the compressed file.
type counter struct {
	r io.Reader
	n int64
}

// Read reads on.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type unpacker struct {
	root   *os.Root
	read   *counter
	about  About
	sums   map[string]string // of what was unpacked
	size   Size
	out    int64 // bytes, headers included
	broken error // of the disk, not of the backup
}

func (u *unpacker) unpack() error {
	z, err := gzip.NewReader(bufio.NewReaderSize(u.read, 1<<16))
	if err != nil {
		return err
	}
	t := tar.NewReader(bounded{z, u})
	first := true
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("it ends before its checksums")
		}
		if err != nil {
			return err
		}
		if first != (h.Name == aboutFile) {
			return fmt.Errorf("it does not begin with %s", aboutFile)
		}
		switch {
		case first:
			first = false
			err = u.begin(h, t)
		case h.Name == sumsFile:
			return u.end(z, t)
		default:
			err = u.entry(h, t)
		}
		if err != nil || u.broken != nil {
			return err
		}
	}
}

// bounded reads what is unpacked, as long as it is in proportion to what it was packed into.
type bounded struct {
	r io.Reader
	u *unpacker
}

// Read reads on.
func (b bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.u.out += int64(n)
	if b.u.out > freeBytes+maxRatio*b.u.read.n {
		return n, errors.New("it unpacks to far more than any backup does")
	}
	return n, err
}

func (u *unpacker) begin(h *tar.Header, t io.Reader) error {
	const most = 64 << 10
	if h.Size > most {
		return fmt.Errorf("%s is too large", aboutFile)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &u.about); err != nil {
		return fmt.Errorf("%s: %w", aboutFile, err)
	}
	if u.about.Form != form {
		return fmt.Errorf("its form is %d, and this Haechi reads form %d: another version made it (%s)", u.about.Form, form, u.about.Version)
	}
	u.note(aboutFile, sha256.Sum256(text))
	return nil
}

func (u *unpacker) note(name string, sum [sha256.Size]byte) {
	u.sums[name] = hex.EncodeToString(sum[:])
}

func (u *unpacker) entry(h *tar.Header, t io.Reader) error {
	name := strings.TrimSuffix(h.Name, "/")
	if len(name) > maxName || !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00\n") {
		return fmt.Errorf("%q would lie elsewhere", h.Name)
	}
	if u.size.Files++; u.size.Files > maxFiles {
		return fmt.Errorf("it holds more than %d files", maxFiles)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		u.broken = u.root.MkdirAll(name, 0o700)
		return nil
	case tar.TypeReg:
		return u.file(name, h, t)
	}
	return fmt.Errorf("%s is neither a file nor a folder", name)
}

func (u *unpacker) file(name string, h *tar.Header, t io.Reader) error {
	if err := u.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		u.broken = err
		return nil
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(h.Mode)&0o755|0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is in it twice", name)
	}
	if err != nil {
		u.broken = err
		return nil
	}
	defer f.Close()
	sum := sha256.New()
	w := &disk{w: f}
	n, err := io.Copy(io.MultiWriter(w, sum), t)
	if w.err != nil {
		u.broken = w.err
		return nil
	}
	if err != nil {
		return err
	}
	u.size.Bytes += n
	u.note(name, [sha256.Size]byte(sum.Sum(nil)))
	u.broken = f.Close()
	return nil
}

// disk tells errors of writing from those of reading.
type disk struct {
	w   io.Writer
	err error
}

// Write writes on.
func (d *disk) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.err = err
	return n, err
}

// end compares what was unpacked with the checksums, and reads the rest of the
// file so that its own checksum is looked at, too.
func (u *unpacker) end(z io.Reader, t io.Reader) error {
	want, err := readSums(t)
	if err != nil {
		return err
	}
	for name, sum := range u.sums {
		if want[name] != sum {
			return fmt.Errorf("%s is not what was packed", name)
		}
	}
	for name := range want {
		if u.sums[name] == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	_, err = io.Copy(io.Discard, bounded{z, u})
	return err
}
