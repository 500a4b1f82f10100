package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Store keeps files by their digests: a Folder of this machine, or a Bucket
// that several share. Both are safe for concurrent use.
type Store interface {
	// Put keeps what r holds, which must not be longer than limit bytes (else
	// fault.Limit). What it has answered survives, whole.
	Put(ctx context.Context, r io.Reader, limit int64) (Info, error)
	// Open opens a file for reading (fault.NotFound: it is not there). What is
	// read from a Bucket's file has the digest that was asked for.
	Open(ctx context.Context, digest string) (*os.File, error)
	// Sweep deletes the files that were put before a time and that keep does not
	// want, of all that are there or of these only, and answers how many bytes
	// that gave back.
	Sweep(ctx context.Context, before time.Time, keep func(digest string) (bool, error), only ...string) (freed int64, err error)
}

// spool copies what r holds, at most limit bytes, to a file and says what it is.
func spool(ctx context.Context, to io.Writer, r io.Reader, limit int64) (Info, error) {
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(to, hash), io.LimitReader(untilDone{ctx, r}, limit+1))
	if err != nil {
		return Info{}, err
	}
	if size > limit {
		return Info{}, fault.Limit.Errorf("it is larger than %d bytes", limit)
	}
	return Info{Digest: "sha256:" + hex.EncodeToString(hash.Sum(nil)), Size: size, Time: time.Now()}, nil
}
