package app

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/word/fault"
)

// openBlobs opens what keeps artifacts, caches and sources: a folder of this
// server's own, or a bucket for all that share the database.
func (a *App) openBlobs(env func(string) string) (err error) {
	folder := filepath.Join(a.Config.Data, "blobs")
	at, err := a.Config.BlobsAddress(env)
	if err != nil {
		return err
	}
	if at == "" {
		a.Blobs, err = blob.Open(folder)
		return err
	}
	dialer, err := outbound.New(outbound.Config{Allow: a.Config.Outbound.Allow})
	if err != nil {
		return err
	}
	a.bucket, err = blob.OpenBucket(blob.BucketConfig{Address: at, Dialer: dialer, Folder: folder, Getenv: env, Now: a.now})
	a.Blobs = a.bucket
	return err
}

// buildShelf makes the keeper of buckets.
func (a *App) buildShelf() {
	a.Shelf = shelf.New(shelf.Config{
		DB: a.DB, Bus: a.Bus, Files: a.Blobs, Account: a.Config.Account, Region: a.Config.Region, Log: a.log, Now: a.now,
		Largest: a.Config.Buckets.Object, Most: a.Config.Buckets.Bytes,
	})
}

// bucketOf is the bucket that a host's name begins with, where we answer to the rest of it, or "".
func (a *App) bucketOf(host string) string {
	name, rest, ok := strings.Cut(host, ".")
	for ok {
		if shelf.ValidBucket(name) && a.known(rest) {
			return name
		}
		var more string
		more, rest, ok = strings.Cut(rest, ".") // a bucket's name may have dots
		name += "." + more
	}
	return ""
}

// BlobsAddress is the address of the bucket, with what env: and file: stand
// for, or "" where files are kept in the data folder.
func (c *Config) BlobsAddress(env func(string) string) (string, error) {
	at, err := reveal(c.Blobs, env)
	if err != nil {
		return "", fmt.Errorf("blobs: %w", err)
	}
	if at != "" && !blob.IsBucket(at.Reveal()) {
		return "", fault.Invalid.Errorf("blobs: write s3://BUCKET/PREFIX, or nothing to keep files in the data folder")
	}
	return at.Reveal(), nil
}

// checkBucket refuses to start with a bucket that only another configuration
// opens. One that does not answer now may do so later: /readyz says so.
func (a *App) checkBucket(ctx context.Context) error {
	if a.bucket == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := a.bucket.Check(ctx)
	if err != nil && !fault.Permanent(err) {
		a.log.Warn("the bucket does not answer yet", "bucket", a.bucket.String(), "error", err)
		return nil
	}
	return err
}
