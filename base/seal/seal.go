// Package seal keeps what must be read back, such as access keys and tokens, encrypted for the one row that it belongs to.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
)

// A Failure is why something sealed could not be opened. It is an error, to be
// compared with by errors.Is.
type Failure string

const (
	// Malformed is text that Seal never made.
	Malformed Failure = "malformed sealed text"
	// UnknownKey is text that was sealed under a root key that is not in the key file.
	UnknownKey Failure = "sealed under a root key that is not in the key file"
	// Changed is text that was changed, or that was sealed for another row.
	Changed Failure = "sealed text was changed, or belongs to another row"
)

// Error says which.
func (f Failure) Error() string { return string(f) }

// A Row is whose secret it is. What was sealed for one row does not open for
// another, so that nobody can move it by writing to the database.
type Row struct{ Table, ID, Column string }

// A Sealer seals under the newest root key and opens what any of them sealed.
type Sealer struct {
	roots  map[string][]byte
	newest string
}

// String names the newest key, and tells none.
func (s *Sealer) String() string { return "root key " + s.newest }

// GoString is String.
func (s *Sealer) GoString() string { return s.String() }

// LogValue is String.
func (s *Sealer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Format is String for every verb, so that %+v does not walk into the keys.
func (s *Sealer) Format(w fmt.State, _ rune) { _, _ = w.Write([]byte(s.String())) }

const (
	version   = "s1"
	saltSize  = 16
	nonceSize = 12
)

// Seal encrypts a secret for its row, with AES-256-GCM under a key of its own
// that is derived from the newest root key. The text says which key it was:
//
//	s1.KEYID.BASE64(salt nonce ciphertext)
func (s *Sealer) Seal(row Row, secret Secret) (string, error) {
	random := make([]byte, saltSize+nonceSize, saltSize+nonceSize+len(secret)+16)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("sealing %s of %s: %w", row.Column, row.Table, err)
	}
	box, err := s.box(s.newest, random[:saltSize])
	if err != nil {
		return "", err
	}
	text := box.Seal(random, random[saltSize:], []byte(secret), row.data(s.newest))
	return version + "." + s.newest + "." + base64.RawStdEncoding.EncodeToString(text), nil
}

// Open is the secret that was sealed for row.
func (s *Sealer) Open(row Row, text string) (Secret, error) {
	secret, err := s.open(row, text)
	if err != nil {
		return "", fmt.Errorf("opening %s of %s %q: %w", row.Column, row.Table, row.ID, err)
	}
	return secret, nil
}

func (s *Sealer) open(row Row, text string) (Secret, error) {
	id, encoded, ok := split(text)
	raw, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) < saltSize+nonceSize {
		return "", Malformed
	}
	if s.roots[id] == nil {
		return "", UnknownKey
	}
	box, err := s.box(id, raw[:saltSize])
	if err != nil {
		return "", err
	}
	plain, err := box.Open(nil, raw[saltSize:saltSize+nonceSize], raw[saltSize+nonceSize:], row.data(id))
	if err != nil {
		return "", Changed
	}
	return Secret(plain), nil
}

// Stale tells whether text was sealed under another than the newest key, and
// should be opened and sealed again.
func (s *Sealer) Stale(text string) bool {
	id, _, ok := split(text)
	return !ok || id != s.newest
}

func split(text string) (id, encoded string, ok bool) {
	v, rest, _ := strings.Cut(text, ".")
	id, encoded, ok = strings.Cut(rest, ".")
	return id, encoded, ok && v == version
}

func (s *Sealer) box(id string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.roots[id], salt, "haechi seal "+version, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return cipher.NewGCM(block)
}

// data is the associated data: the version, the key and the row, each with its
// length before it, so that no two rows are written alike.
func (row Row) data(id string) []byte {
	var b []byte
	for _, part := range []string{version, id, row.Table, row.ID, row.Column} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}
