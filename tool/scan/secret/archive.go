package secret

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// What an archive may cost, whatever it says of itself.
const (
	deepestArchive  = 3         // archives within archives
	mostEntries     = 50_000    // of an archive with all that it holds
	largestEntry    = 16 << 20  // a larger one is no text that people write
	largestUnpacked = 256 << 20 // of all entries together
)

// isArchive tells by its name what Unpack reads.
func isArchive(name string) bool {
	return archiveOf(name) != ""
}

func archiveOf(name string) string {
	low := strings.ToLower(path.Base(name))
	for kind, ends := range map[string][]string{
		"zip":    {".zip", ".jar", ".war", ".ear", ".aar", ".apk", ".ipa", ".whl", ".egg", ".nupkg", ".vsix", ".xpi", ".crx"},
		"tar.gz": {".tar.gz", ".tgz", ".crate", ".gem.tar.gz"},
		"tar.bz": {".tar.bz2", ".tbz2"},
		"tar":    {".tar", ".gem"},
		"gz":     {".gz"},
		"bz":     {".bz2"},
	} {
		if slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(low, end) }) && (kind != "gz" && kind != "bz" || !strings.Contains(low, ".tar.")) {
			return kind
		}
	}
	return ""
}

// unpacking is one archive being read, with those in it.
type unpacking struct {
	entries int
	bytes   int64
	keep    func(path string, content []byte)
	wrong   []error
}

// Unpack shows the text files in an archive, by the name of the archive, !/ and
// their own. What cannot be read, or would cost too much, is an error; the rest
// was shown all the same.
func Unpack(name string, content []byte, keep func(path string, content []byte)) error {
	u := &unpacking{keep: keep}
	u.archive(name, content, 1)
	return errors.Join(u.wrong...)
}

var errEnough = fault.Limit.Errorf("the archive holds more than is unpacked: %d files or %d MB; the rest was left out", mostEntries, largestUnpacked>>20)

func (u *unpacking) fail(name string, err error) {
	if len(u.wrong) < 10 && !slices.ContainsFunc(u.wrong, func(e error) bool { return e.Error() == err.Error() }) {
		if !errors.Is(err, errEnough) {
			err = fmt.Errorf("unpacking %s: %w", name, err)
		}
		u.wrong = append(u.wrong, err)
	}
}

func (u *unpacking) archive(name string, content []byte, depth int) {
	var err error
	switch archiveOf(name) {
	case "zip":
		err = u.zip(name, content, depth)
	case "tar":
		err = u.tar(name, bytes.NewReader(content), depth)
	case "tar.gz":
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(content)); err == nil {
			err = u.tar(name, r, depth)
		}
	case "tar.bz":
		err = u.tar(name, bzip2.NewReader(bytes.NewReader(content)), depth)
	case "gz":
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(content)); err == nil {
			err = u.entry(name, strings.TrimSuffix(path.Base(name), path.Ext(name)), r, depth)
		}
	case "bz":
		err = u.entry(name, strings.TrimSuffix(path.Base(name), path.Ext(name)), bzip2.NewReader(bytes.NewReader(content)), depth)
	}
	if err != nil {
		u.fail(name, err)
	}
}

func (u *unpacking) zip(name string, content []byte, depth int) error {
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	for _, f := range r.File {
		if !f.Mode().IsRegular() || !u.wants(f.Name) {
			continue
		}
		if f.Flags&1 != 0 {
			return fault.Unsupported.Errorf("it is encrypted")
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		err = u.entry(name, f.Name, in, depth)
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) tar(name string, in io.Reader, depth int) error {
	// Skipping is unpacking, too: what is not looked at costs all the same.
	r := tar.NewReader(&counted{in, &u.bytes})
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case h.Typeflag != tar.TypeReg || !u.wants(h.Name):
			if u.entries++; u.entries > mostEntries {
				return errEnough
			}
			continue
		}
		if err := u.entry(name, h.Name, r, depth); err != nil {
			return err
		}
	}
}

// counted stops when more was read than may be.
type counted struct {
	in io.Reader
	n  *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if *c.n += int64(n); *c.n > largestUnpacked {
		return n, errEnough
	}
	return n, err
}

func (u *unpacking) wants(name string) bool { return isArchive(name) || !genreOf(name).none }

// entry reads one file of an archive and shows it if it is text.
func (u *unpacking) entry(archive, name string, in io.Reader, depth int) error {
	if u.entries++; u.entries > mostEntries {
		return errEnough
	}
	content, err := io.ReadAll(io.LimitReader(in, largestEntry+1))
	if err != nil {
		return err
	}
	if u.bytes += int64(len(content)); u.bytes > largestUnpacked {
		return errEnough
	}
	place := archive + "!/" + strings.TrimLeft(path.Clean("/"+strings.ReplaceAll(name, "\\", "/")), "/")
	binary := bytes.IndexByte(content[:min(len(content), 8<<10)], 0) >= 0
	switch {
	case len(content) > largestEntry:
		if !binary || isArchive(name) {
			u.fail(place, fault.Limit.Errorf("it has more than the %d MB that are looked at", largestEntry>>20))
		}
	case isArchive(name):
		if depth >= deepestArchive {
			u.fail(place, fault.Limit.Errorf("it lies in more than %d archives", deepestArchive))
			return nil
		}
		u.archive(place, content, depth+1)
	case !binary:
		u.keep(place, content)
	}
	return nil
}
