package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/haechi-dev/haechi/word/fault"
)

func newHash() hash.Hash { return sha256.New() }

// summed reads a body whose sum was signed, and fails at its end where it is another.
type summed struct {
	from io.Reader
	want string
	hash hash.Hash
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.hash.Write(b[:n])
	if err == io.EOF && hex.EncodeToString(s.hash.Sum(nil)) != s.want {
		err = fault.Unauthenticated.Errorf("the body is not the one that was signed")
	}
	return n, err
}
