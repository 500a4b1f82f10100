package reports

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/finding"
)

// Raw records lie beside the database, a file for each import: they are for looking at, and nothing depends on them.

const (
	keptRaw = 5      // imports of a tool and target whose records are kept
	maxRaws = 25_000 // records of one import; what comes after is not kept, so that large imports stay quick
)

// rawFile writes the records of one import.
type rawFile struct {
	file *os.File
	zip  *gzip.Writer
	out  *bufio.Writer
	left int
}

func (d *Door) rawFolder(tool, target string) string {
	folder := d.Folder
	if folder == "" {
		folder = os.TempDir()
	}
	return filepath.Join(folder, "raw", finding.Fingerprint(tool, target))
}

func (d *Door) keepRaw(s finding.Scan) (*rawFile, error) {
	folder := d.rawFolder(s.Tool, s.Target)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("keeping records: %w", err)
	}
	file, err := os.CreateTemp(folder, "new-*")
	if err != nil {
		return nil, fmt.Errorf("keeping records: %w", err)
	}
	zip, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one
	}
	return &rawFile{file: file, zip: zip, out: bufio.NewWriter(zip), left: maxRaws}, nil
}

// rawKey is what a finding's record is found by.
func rawKey(f *finding.Finding) string { return finding.Fingerprint(f.AccountID, f.ProductARN, f.ID) }

func (w *rawFile) add(f *finding.Finding, raw func() string) error {
	if w.left--; w.left < 0 {
		return nil
	}
	_, err := w.out.WriteString(rawKey(f) + " " + strings.ReplaceAll(raw(), "\n", " ") + "\n")
	return err
}

// done puts the records where they are looked for, and throws the oldest away.
func (w *rawFile) done(name string) error {
	folder := filepath.Dir(w.file.Name())
	err := errors.Join(w.out.Flush(), w.zip.Close(), w.file.Close())
	if err == nil {
		err = os.Rename(w.file.Name(), filepath.Join(folder, name+".gz"))
	}
	if err != nil {
		return fmt.Errorf("keeping records: %w", err)
	}
	kept, err := rawFiles(folder)
	if err != nil {
		return err
	}
	for _, old := range kept[min(len(kept), keptRaw):] {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) { // another import may have been faster
			return fmt.Errorf("throwing old records away: %w", err)
		}
	}
	return nil
}

// drop throws away what was written of an import that was broken off.
func (w *rawFile) drop() {
	w.file.Close()
	os.Remove(w.file.Name())
}

// rawFiles are those of a folder, the newest first.
func rawFiles(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.gz"))
	if err != nil {
		return nil, fmt.Errorf("looking for records: %w", err)
	}
	slices.Sort(files)
	slices.Reverse(files)
	return files, nil
}

// Raw is the record that a finding was made of, as its tool wrote it: masked, and cut where it is long. "" is one
// that is not kept, or not on this node.
func (d *Door) Raw(f *finding.Finding) (string, error) {
	tool, target := f.ProductFields[finding.FieldTool], f.ProductFields[finding.FieldTarget]
	if tool == "" || target == "" {
		return "", nil
	}
	files, err := rawFiles(d.rawFolder(tool, target))
	if err != nil {
		return "", err
	}
	key := rawKey(f) + " "
	for _, name := range files {
		raw, err := findRaw(name, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a later import has thrown it away
		}
		if err != nil || raw != "" {
			return raw, err
		}
	}
	return "", nil
}

func findRaw(name, key string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		return "", fmt.Errorf("records of %s: %w", filepath.Base(name), err)
	}
	in := bufio.NewReaderSize(zip, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if rest, ok := strings.CutPrefix(line, key); ok && err == nil {
			return strings.TrimSuffix(rest, "\n"), nil
		}
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("records of %s: %w", filepath.Base(name), err)
		}
	}
}
