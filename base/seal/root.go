package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// A root key file has one line a key, the newest last, so that a key can be
// added while what older ones sealed stays readable:
//
//	haechi-root-key 1 BASE64
const (
	linePrefix = "haechi-root-key 1 "
	keySize    = 32
	maxFile    = 64 << 10
)

// Open reads the root keys of the file at path. A file that others than its
// owner may read, and one without a key, are refused.
func Open(path string) (*Sealer, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("reading the root key: %w", err)
	}
	s := &Sealer{roots: map[string][]byte{}}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		encoded, ok := strings.CutPrefix(strings.TrimRight(line, "\r"), linePrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) != keySize {
			return nil, fault.Invalid.Errorf("reading the root key: %s:%d: want %q and %d bytes in base64", path, i+1, strings.TrimSpace(linePrefix), keySize)
		}
		s.newest = idOf(key)
		s.roots[s.newest] = key
	}
	return s, nil
}

// OpenOrCreate is Open, after making a file with one new key where there is none.
func OpenOrCreate(path string) (*Sealer, error) {
	s, err := Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	line, err := newLine()
	if err != nil {
		return nil, err
	}
	// Whoever is first makes the key: a file that is there by now stays.
	if err := place(path, line, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the root key: %w", err)
	}
	return Open(path)
}

// Rotate adds a new key to the file at path. What Open answers from then on
// seals with it, and still opens what the older ones sealed; Stale tells what
// is left to be sealed again.
func Rotate(path string) error {
	if _, err := Open(path); err != nil {
		return err
	}
	text, err := readPrivate(path)
	if err != nil {
		return err
	}
	line, err := newLine()
	if err != nil {
		return err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	if err := place(path, append(text, line...), os.Rename); err != nil {
		return fmt.Errorf("adding a root key: %w", err)
	}
	return nil
}

func newLine() ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making a root key: %w", err)
	}
	return []byte(linePrefix + base64.StdEncoding.EncodeToString(key) + "\n"), nil
}

// readPrivate reads a regular file that only its owner can read. It looks at
// what it opened, not at what the name may point to a moment later.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Invalid.Errorf("%s is no regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.Invalid.Errorf("%s can be used by others (mode %04o): chmod 600 it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fault.Invalid.Errorf("%s is larger than a key file can be", path)
	}
	return bytes.TrimRight(text, "\n"), err
}

// place writes text durably beside path and then puts it there in one step.
func place(path string, text []byte, put func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".root-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// idOf names a key without telling anything about it.
func idOf(key []byte) string {
	sum := sha256.Sum256(append([]byte("haechi root key id\x00"), key...))
	return hex.EncodeToString(sum[:8])
}
