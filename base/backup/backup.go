// Package backup packs a folder of state into one file while it is in use, and unpacks it again.
//
// The file is a tar.gz: backup.json says what it is, then come the files, and
// SHA256SUMS at the end holds the checksum of each. Without that end a backup
// is not whole, and is not restored.
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
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// The first and the last file of a backup, and the form of it that we write.
const (
	aboutFile = "backup.json"
	sumsFile  = "SHA256SUMS"
	form      = 1
)

// About is what a backup says of itself.
type About struct {
	Form    int       `json:"form"`
	Version string    `json:"version"` // of the program that made it
	Time    time.Time `json:"time"`
	State   string    `json:"state"`          // the file of the state's database within, or "postgres" where it is elsewhere
	Files   string    `json:"files,omitzero"` // where files by digest are kept, if that is elsewhere
	Key     bool      `json:"rootKey"`
}

// Source is what is to be packed.
type Source struct {
	Folder string
	About  About
	State  string            // a copy of the database, which goes in as About.State; "" for none
	Skip   func(string) bool // what of the folder stays out, by its path within; a folder with all that is in it
	Late   func(string) bool // folders that are packed last: nothing in them goes before what refers to it is packed
}

// Size is what went in.
type Size struct {
	Files int
	Bytes int64
}

// Write packs a source. What is added to the folder meanwhile may be in or not;
// what is removed meanwhile is left out, and a folder that is packed late is then
// looked at again for what took its place.
func Write(w io.Writer, s Source) (Size, error) {
	z := gzip.NewWriter(w)
	p := packer{tar: tar.NewWriter(z), done: map[string]bool{}, time: s.About.Time}
	s.About.Form = form
	about, err := json.Marshal(s.About)
	if err != nil {
		return p.size, err
	}
	if err := p.text(aboutFile, about); err != nil {
		return p.size, err
	}
	if s.State != "" {
		if err := p.file(s.State, s.About.State); err != nil {
			return p.size, err
		}
	}
	if err := p.folder(s); err != nil {
		return p.size, err
	}
	if err := p.text(sumsFile, []byte(p.sums.String())); err != nil {
		return p.size, err
	}
	return p.size, errors.Join(p.tar.Close(), z.Close())
}

type packer struct {
	tar  *tar.Writer
	time time.Time
	done map[string]bool
	sums strings.Builder
	size Size
	gone int // files that were listed and not there any more
}

func (p *packer) folder(s Source) error {
	var late []string
	if err := p.walk(s, ".", &late); err != nil {
		return err
	}
	slices.Sort(late)
	for _, folder := range late {
		for range 5 { // what vanishes was packed into another file, which a new look finds
			p.gone = 0
			if err := p.walk(s, folder, nil); err != nil {
				return err
			}
			if p.gone == 0 {
				break
			}
		}
	}
	return nil
}

// walk packs what lies below top; late collects the folders that are left for later.
func (p *packer) walk(s Source, top string, late *[]string) error {
	return filepath.WalkDir(filepath.Join(s.Folder, top), func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && file != s.Folder {
			p.gone++
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.Folder, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case s.Skip != nil && s.Skip(name):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() && late != nil && s.Late != nil && s.Late(name):
			*late = append(*late, name)
			return fs.SkipDir
		case p.done[name]:
			return nil
		case d.IsDir():
			p.done[name] = true
			return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700, ModTime: p.time})
		case !d.Type().IsRegular():
			return nil
		}
		err = p.file(file, name)
		if errors.Is(err, fs.ErrNotExist) {
			p.gone++
			return nil
		}
		return err
	})
}

// file packs a file as long as it is now: what is appended meanwhile stays out.
func (p *packer) file(file, name string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p.done[name] = true
	return p.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Size: info.Size()}, f)
}

func (p *packer) text(name string, text []byte) error {
	return p.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: p.time, Size: int64(len(text))}, strings.NewReader(string(text)))
}

func (p *packer) add(h *tar.Header, from io.Reader) error {
	if strings.ContainsAny(h.Name, "\n\\") {
		return fmt.Errorf("%q cannot be named in a list of checksums", h.Name)
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("packing %s: %w", h.Name, err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(p.tar, sum), from, h.Size); err != nil {
		return fmt.Errorf("packing %s, which changed meanwhile: %w", h.Name, err)
	}
	p.size.Files++
	p.size.Bytes += h.Size
	fmt.Fprintf(&p.sums, "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), h.Name)
	return nil
}

// sums reads SHA256SUMS: name → checksum.
func readSums(r io.Reader) (map[string]string, error) {
	all := map[string]string{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		sum, name, ok := strings.Cut(s.Text(), "  ")
		if !ok || all[name] != "" {
			return nil, fmt.Errorf("%s: %q is not a checksum and a name", sumsFile, s.Text())
		}
		all[name] = sum
	}
	return all, s.Err()
}
