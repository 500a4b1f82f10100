package blob

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/word/fault"
)

// Bucket keeps files in a bucket of S3, or of anything that speaks it, under
// the keys that a Folder gives its files: what lies in a folder can be copied
// into a bucket, and back. It is safe for use by any number of processes.
//
// A file is whole on this machine before its upload begins and its digest is
// what the upload is signed with, so that the bucket holds all of it or nothing;
// and it is whole on this machine, and its digest checked, before it is read.
type Bucket struct {
	at     address
	folder *Folder // its files on their way
	http   *http.Client
	getenv func(string) string
	now    func() time.Time
	wait   time.Duration // before the second try
	part   int64
}

// BucketConfig is how a bucket is reached.
type BucketConfig struct {
	// Address is s3://BUCKET/PREFIX?region=…&endpoint=…&style=path|host&credentials=env:NAME|file:PATH,
	// all but the bucket may be left out.
	Address string
	Dialer  *outbound.Dialer
	Folder  string // for files on their way
	Getenv  func(string) string
	Now     func() time.Time // time.Now
	Wait    time.Duration    // before a call is tried again the first time; 200 ms
	Part    int64            // bytes of one call, either way; 16 MiB, and at least 5 MiB
}

const (
	tries     = 6
	callTime  = 3 * time.Minute // of one call with its body
	sideways  = 4               // parts of a file at once
	mostParts = 10000
	// fresh is how young a file in the bucket must be so that it is not put again.
	// A sweep leaves alone what is younger than two of it.
	fresh = 10 * time.Minute
)

// OpenBucket reads the address. Nothing is called before it is used: see Check.
func OpenBucket(c BucketConfig) (*Bucket, error) {
	at, err := parseAddress(c.Address)
	if err != nil {
		return nil, err
	}
	if err := c.Dialer.Check(at.endpoint.String()); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	folder, err := Open(c.Folder)
	if err != nil {
		return nil, err
	}
	b := &Bucket{at: at, folder: folder, http: c.Dialer.Client(callTime), getenv: c.Getenv, now: c.Now, wait: cmp.Or(c.Wait, 200*time.Millisecond), part: max(cmp.Or(c.Part, 16<<20), 5<<20)}
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // what is signed for one host is not for another
	if b.now == nil {
		b.now = time.Now
	}
	if b.getenv == nil {
		b.getenv = os.Getenv
	}
	if _, err := b.keys(); err != nil {
		return nil, err
	}
	return b, nil
}

// String is the bucket and the prefix, as people know them.
func (b *Bucket) String() string { return b.at.String() }

// Check asks whether the bucket is there and may be read. An answer that only
// another configuration changes is fault.Invalid.
func (b *Bucket) Check(ctx context.Context) error {
	_, err := b.page(ctx, "", 1)
	var r *refusal
	if errors.As(err, &r) && !r.passing() {
		return fault.Invalid.Wrap(err)
	}
	return err
}

// Put keeps what r holds. What came less than ten minutes ago is not sent again.
func (b *Bucket) Put(ctx context.Context, r io.Reader, limit int64) (Info, error) {
	temp, err := b.folder.begin()
	if err != nil {
		return Info{}, err
	}
	defer temp.Close()
	defer os.Remove(temp.Name())
	info, err := spool(ctx, temp, r, limit)
	if err != nil {
		return info, fmt.Errorf("keeping a file: %w", err)
	}
	if have, age, err := b.stat(ctx, info.Digest); err == nil && have.Size == info.Size && age < fresh {
		return info, nil
	}
	key, err := b.key(info.Digest)
	if err != nil {
		return info, err
	}
	if info.Size <= b.part {
		_, err = b.do(ctx, call{method: http.MethodPut, key: key, body: io.NewSectionReader(temp, 0, info.Size), sum: info.Digest[len("sha256:"):]})
		return info, err
	}
	return info, b.inParts(ctx, key, temp, info.Size)
}

// key is the key of a file in the bucket.
func (b *Bucket) key(digest string) (string, error) {
	name, err := below(digest)
	return b.at.prefix + name, err
}

// stat says what the bucket knows of a file, and how old that is by the
// bucket's own clock.
func (b *Bucket) stat(ctx context.Context, digest string) (Info, time.Duration, error) {
	key, err := b.key(digest)
	if err != nil {
		return Info{}, 0, err
	}
	a, err := b.do(ctx, call{method: http.MethodHead, key: key})
	if errors.Is(err, fault.NotFound) {
		return Info{}, 0, absent(digest)
	}
	if err != nil {
		return Info{}, 0, err
	}
	size, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
	at, wrong := http.ParseTime(a.header.Get("Last-Modified"))
	if err = errors.Join(err, wrong); err != nil {
		return Info{}, 0, fault.Unavailable.Errorf("%s: what it says of %s cannot be read: %w", b.at, key, err)
	}
	return Info{digest, size, at}, a.time.Sub(at), nil
}

// Open fetches a file, in parts and several at once, and opens it once its
// digest is what it should be. The file has no name and is gone when it is closed.
func (b *Bucket) Open(ctx context.Context, digest string) (file *os.File, err error) {
	key, err := b.key(digest)
	if err != nil {
		return nil, err
	}
	temp, err := b.folder.begin()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			temp.Close()
		}
	}()
	if err := os.Remove(temp.Name()); err != nil {
		return nil, err
	}
	if err := b.fetch(ctx, key, temp); errors.Is(err, fault.NotFound) {
		return nil, absent(digest)
	} else if err != nil {
		return nil, err
	}
	if _, err := temp.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, untilDone{ctx, temp}); err != nil {
		return nil, err
	}
	if is := "sha256:" + hex.EncodeToString(hash.Sum(nil)); is != digest {
		return nil, fault.Conflict.Errorf("%s: the file under %s was changed there: it is %s now; put it back from a copy, or build it again", b.at, key, is)
	}
	_, err = temp.Seek(0, io.SeekStart)
	return temp, err
}

// fetch writes what lies under a key to a file.
func (b *Bucket) fetch(ctx context.Context, key string, to *os.File) error {
	first, err := b.do(ctx, call{method: http.MethodGet, key: key, from: 0, length: b.part, to: to})
	if err != nil {
		return err
	}
	size, err := first.whole()
	if err != nil {
		return fault.Unavailable.Errorf("%s: fetching %s: %w", b.at, key, err)
	}
	if first.got == size { // it is small, or the server knows no ranges
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideways)
	for from := b.part; from < size; from += b.part {
		group.Go(func() error {
			length := min(b.part, size-from)
			_, err := b.do(ctx, call{method: http.MethodGet, key: key, from: from, length: length, to: io.NewOffsetWriter(to, from), match: first.header.Get("ETag")})
			return err
		})
	}
	return group.Wait()
}

// Sweep deletes what nobody wants, as a Folder's does; and it gives up uploads
// that were begun a day before that and never ended.
func (b *Bucket) Sweep(ctx context.Context, before time.Time, keep func(digest string) (bool, error), only ...string) (freed int64, err error) {
	before = minTime(before, b.now().Add(-2*fresh))
	least := b.now().Sub(before)
	one := func(digest string, age time.Duration) error {
		if age < least {
			return nil
		}
		if wanted, err := keep(digest); err != nil || wanted {
			return err
		}
		now, age, err := b.stat(ctx, digest)
		if errors.Is(err, fault.NotFound) || err == nil && age < least {
			return nil // gone, or put again meanwhile
		}
		if err != nil {
			return err
		}
		freed += now.Size
		return b.remove(ctx, digest)
	}
	for _, digest := range only {
		_, age, err := b.stat(ctx, digest)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err == nil {
			err = one(digest, age)
		}
		if err != nil {
			return freed, err
		}
	}
	if len(only) > 0 {
		return freed, nil
	}
	if err := b.each(ctx, one); err != nil {
		return freed, err
	}
	return freed, b.giveUp(ctx, least+24*time.Hour)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (b *Bucket) remove(ctx context.Context, digest string) error {
	key, err := b.key(digest)
	if err == nil {
		_, err = b.do(ctx, call{method: http.MethodDelete, key: key})
	}
	return err
}

// each calls do with every file in the bucket and its age by the bucket's clock.
func (b *Bucket) each(ctx context.Context, do func(digest string, age time.Duration) error) error {
	for after := ""; ; {
		list, err := b.page(ctx, after, 1000)
		if err != nil {
			return err
		}
		for _, o := range list.Contents {
			name := strings.TrimPrefix(o.Key, b.at.prefix)
			digest := "sha256:" + name[strings.LastIndexByte(name, '/')+1:]
			if where, err := below(digest); err != nil || where != name {
				continue // not ours
			}
			if err := do(digest, list.at.Sub(o.LastModified)); err != nil {
				return err
			}
		}
		if after = list.Next; !list.Truncated || after == "" {
			return nil
		}
	}
}

// pause is how long to wait before a call is tried again.
func (b *Bucket) pause(try int) time.Duration {
	most := min(b.wait<<try, 10*time.Second)
	return most/2 + rand.N(most/2+1)
}
