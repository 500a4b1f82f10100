// Package shelf keeps files under names: buckets, the keys in them, and the digest of what lies under each.
//
// What builds and pipelines make is placed here in the transaction that tells
// of it; what people and tools upload is put first and named after, so that an
// upload that breaks off is never seen. Each file that appears or goes is an
// event, as S3's are.
package shelf

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// What the events say that tell of objects.
const (
	EventSource = "aws.s3"
	Created     = "Object Created"
	Deleted     = "Object Deleted"
)

// Bucket is a named set of objects.
type Bucket struct {
	Name    string
	Created time.Time
	Who     string // ARN of who made it; "" where a build or a pipeline did
}

// Object is a file under its name.
type Object struct {
	Bucket   string            `json:"-"`
	Key      string            `json:"-"`
	Digest   string            `json:"-"` // sha256:…
	Size     int64             `json:"-"`
	Modified time.Time         `json:"-"`
	Expires  time.Time         `json:"-"` // zero: it stays
	ETag     string            `json:"etag,omitzero"`
	Meta     map[string]string `json:"meta,omitzero"`    // x-amz-meta-NAME, by the name in small letters
	Headers  map[string]string `json:"headers,omitzero"` // Content-Type and others that come back as they were
	Who      string            `json:"who,omitzero"`     // ARN of who put it
}

// Tag is what clients compare: the digest's hash where nothing else is known.
func (o Object) Tag() string {
	if o.ETag != "" || len(o.Digest) < 7 {
		return o.ETag
	}
	return o.Digest[len("sha256:"):]
}

// Config is what a Shelf needs. All above Log must be given.
type Config struct {
	DB      *db.DB
	Bus     *bus.Bus
	Files   blob.Store
	Account string
	Region  string

	Log     *slog.Logger
	Now     func() time.Time
	Largest int64         // bytes of one upload; 5 GiB
	Most    int64         // bytes of all that was uploaded, with what is under way; 100 GiB
	Unended time.Duration // how long an upload in parts may take; a day
}

// Shelf is the keeper. It is safe for concurrent use.
type Shelf struct {
	config Config
	db     *db.DB
}

// New is the keeper; what is to go goes while Run runs.
func New(c Config) *Shelf {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Largest, c.Most, c.Unended = cmp.Or(c.Largest, 5<<30), cmp.Or(c.Most, 100<<30), cmp.Or(c.Unended, 24*time.Hour)
	return &Shelf{config: c, db: c.DB}
}

// Schema is the keeper's tables.
func Schema() db.Schema {
	return db.Schema{Room: "shelf", Steps: []string{`
CREATE TABLE shelf_buckets (name TEXT PRIMARY KEY, created BIGINT NOT NULL, who TEXT NOT NULL);
CREATE TABLE shelf_objects (bucket TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, at BIGINT NOT NULL, expires BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (bucket, name));
CREATE INDEX shelf_objects_by_digest ON shelf_objects (digest);
CREATE INDEX shelf_objects_by_expiry ON shelf_objects (expires);
CREATE TABLE shelf_uploads (id TEXT PRIMARY KEY, bucket TEXT NOT NULL, name TEXT NOT NULL, began BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX shelf_uploads_by_name ON shelf_uploads (bucket, name, id);
CREATE INDEX shelf_uploads_by_age ON shelf_uploads (began);
CREATE TABLE shelf_parts (upload TEXT NOT NULL, n BIGINT NOT NULL, digest TEXT NOT NULL, size BIGINT NOT NULL, at BIGINT NOT NULL, etag TEXT NOT NULL, PRIMARY KEY (upload, n));
CREATE INDEX shelf_parts_by_digest ON shelf_parts (digest)`}}
}

var (
	bucketForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*$`) })
	addressLie = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]+(\.[0-9]+){3}$`) })
)

// ValidBucket tells whether a text may be a bucket's name.
func ValidBucket(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && bucketForm().MatchString(name) && name[len(name)-1] != '-' && !addressLie().MatchString(name)
}

// ValidKey tells whether a text may be an object's key: text, without control characters, that XML can hold.
func ValidKey(key string) bool {
	if key == "" || len(key) > 1024 || !utf8.ValidString(key) {
		return false
	}
	for _, r := range key {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return true
}

func check(bucket, key string) error {
	switch {
	case !ValidBucket(bucket):
		return fault.Invalid.Errorf("%.100q is no name of a bucket: 3 to 63 small letters, digits, dots and dashes", bucket)
	case !ValidKey(key):
		return fault.Invalid.Errorf("a key has 1 to 1024 bytes of UTF-8 without control characters")
	}
	return nil
}

func noBucket(name string) error { return fault.NotFound.Errorf("there is no bucket %.100q", name) }

func scanBucket(scan db.Scan) (b Bucket, err error) {
	var at int64
	err = scan(&b.Name, &at, &b.Who)
	b.Created = time.UnixMicro(at).UTC()
	return b, err
}

func findBucket(tx *db.Tx, name string) (Bucket, error) {
	b, err := db.One(tx, scanBucket, "SELECT name, created, who FROM shelf_buckets WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		err = noBucket(name)
	}
	return b, err
}

// CreateBucket makes a bucket (fault.Exists: it is there).
func (s *Shelf) CreateBucket(ctx context.Context, name, who string) error {
	if err := check(name, "k"); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := s.addBucket(tx, name, who)
		if err == nil && n == 0 {
			err = fault.Exists.Errorf("there is a bucket %s already", name)
		}
		return err
	})
}

// mostBuckets bounds how many there are.
const mostBuckets = 10_000

func (s *Shelf) addBucket(tx *db.Tx, name, who string) (int64, error) {
	have, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shelf_buckets")
	if err != nil {
		return 0, err
	}
	if have >= mostBuckets {
		return 0, fault.Limit.Errorf("there are %d buckets: that is the most", have)
	}
	return tx.Exec("INSERT INTO shelf_buckets (name, created, who) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING", name, s.config.Now().UnixMicro(), who)
}

// DeleteBucket removes a bucket that is empty (fault.Conflict: it is not).
func (s *Shelf) DeleteBucket(ctx context.Context, name string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findBucket(tx, name); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT (SELECT COUNT(*) FROM shelf_objects WHERE bucket = ?) + (SELECT COUNT(*) FROM shelf_uploads WHERE bucket = ?)", name, name)
		if err == nil && n > 0 {
			err = fault.Conflict.Errorf("the bucket %s is not empty: delete its objects and end its uploads first", name)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM shelf_buckets WHERE name = ?", name)
		return err
	})
}

// Bucket is a bucket (fault.NotFound: there is none of that name).
func (s *Shelf) Bucket(ctx context.Context, name string) (b Bucket, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error { b, err = findBucket(tx, name); return err })
	return b, err
}

// Buckets are all buckets by name.
func (s *Shelf) Buckets(ctx context.Context) (all []Bucket, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanBucket, "SELECT name, created, who FROM shelf_buckets ORDER BY name")
		return err
	})
	return all, err
}

const objectColumns = "bucket, name, digest, size, at, expires, body"

func scanObject(scan db.Scan) (o Object, err error) {
	var at, expires int64
	var body []byte
	if err := scan(&o.Bucket, &o.Key, &o.Digest, &o.Size, &at, &expires, &body); err != nil {
		return o, err
	}
	o.Modified = time.UnixMicro(at).UTC()
	if expires > 0 {
		o.Expires = time.UnixMicro(expires).UTC()
	}
	return o, json.Unmarshal(body, &o)
}

// Find is the object of that name (fault.NotFound: there is none).
func (s *Shelf) Find(ctx context.Context, bucket, key string) (o Object, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error { o, err = s.FindIn(tx, bucket, key); return err })
	return o, err
}

// FindIn is Find within a transaction.
func (s *Shelf) FindIn(tx *db.Tx, bucket, key string) (Object, error) {
	o, err := db.One(tx, scanObject, "SELECT "+objectColumns+" FROM shelf_objects WHERE bucket = ? AND name = ? AND (expires = 0 OR expires > ?)", bucket, key, s.config.Now().UnixMicro())
	if errors.Is(err, fault.NotFound) {
		if _, err := findBucket(tx, bucket); err != nil {
			return o, err
		}
		err = ErrNoKey
	}
	return o, err
}

// ErrNoKey is of a name that nothing lies under, in a bucket that is there.
var ErrNoKey = fault.NotFound.Errorf("there is no object of that name")

// Open opens what lies under a name.
func (s *Shelf) Open(ctx context.Context, o Object) (*os.File, error) {
	return s.config.Files.Open(ctx, o.Digest)
}

// Place names a file that is kept already, as part of tx. The bucket is made if
// it is not there: a project or a pipeline has named it.
func (s *Shelf) Place(tx *db.Tx, o Object) error {
	if err := check(o.Bucket, o.Key); err != nil {
		return err
	}
	if _, err := s.addBucket(tx, o.Bucket, ""); err != nil {
		return err
	}
	return s.keep(tx, o, "PutObject")
}

// Reserve has a bucket be there, and says until when what lies under a name in
// it is kept, as part of tx.
func (s *Shelf) Reserve(tx *db.Tx, bucket, key string, until time.Time) error {
	if err := check(bucket, key); err != nil {
		return err
	}
	if _, err := s.addBucket(tx, bucket, ""); err != nil {
		return err
	}
	_, err := tx.Exec("UPDATE shelf_objects SET expires = ? WHERE bucket = ? AND name = ?", until.UnixMicro(), bucket, key)
	return err
}

// keep writes an object down and tells of it.
func (s *Shelf) keep(tx *db.Tx, o Object, reason string) error {
	body, err := json.Marshal(o, json.Deterministic(true))
	if err != nil {
		return err
	}
	expires := int64(0)
	if !o.Expires.IsZero() {
		expires = o.Expires.UnixMicro()
	}
	if _, err := tx.Exec(`INSERT INTO shelf_objects (`+objectColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (bucket, name) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at, expires = excluded.expires, body = excluded.body`,
		o.Bucket, o.Key, o.Digest, o.Size, s.config.Now().UnixMicro(), expires, body); err != nil {
		return err
	}
	return s.tell(tx, Created, o, reason)
}

// Happened is the detail of an event that tells of an object.
type Happened struct {
	Version string `json:"version"`
	Bucket  struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key       string `json:"key"`
		Size      int64  `json:"size,omitzero"`
		ETag      string `json:"etag,omitzero"`
		Sequencer string `json:"sequencer"`
	} `json:"object"`
	Requester string `json:"requester,omitzero"`
	Reason    string `json:"reason,omitzero"`
	Deletion  string `json:"deletion-type,omitzero"`
}

func (s *Shelf) tell(tx *db.Tx, kind string, o Object, reason string) error {
	now := s.config.Now().UTC()
	d := Happened{Version: "0", Requester: cmp.Or(o.Who, s.config.Account), Reason: reason}
	d.Bucket.Name, d.Object.Key, d.Object.Sequencer = o.Bucket, o.Key, sequencer(now)
	if kind == Created {
		d.Object.Size, d.Object.ETag = o.Size, o.Tag()
	} else {
		d.Deletion = "Permanently Deleted"
	}
	detail, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return err
	}
	return s.config.Bus.Publish(tx, event.Event{
		Type: kind, Source: EventSource, Account: s.config.Account, Region: s.config.Region, Time: now.Truncate(time.Second),
		Resources: []string{"arn:aws:s3:::" + o.Bucket}, Detail: detail,
	})
}

// sequencer is a text that grows with time.
func sequencer(at time.Time) string {
	const digits = "0123456789ABCDEF"
	n, text := uint64(at.UnixNano()), [16]byte{}
	for i := range text {
		text[len(text)-1-i] = digits[n&15]
		n >>= 4
	}
	return string(text[:])
}

// Delete takes objects away; one that is not there is gone already. It answers
// which of them were there.
func (s *Shelf) Delete(ctx context.Context, bucket, who string, keys ...string) (gone int, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		gone = 0
		if _, err := findBucket(tx, bucket); err != nil {
			return err
		}
		for _, key := range keys {
			n, err := tx.Exec("DELETE FROM shelf_objects WHERE bucket = ? AND name = ?", bucket, key)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			gone++
			if err := s.tell(tx, Deleted, Object{Bucket: bucket, Key: key, Who: who}, "DeleteObject"); err != nil {
				return err
			}
		}
		return nil
	})
	return gone, err
}

// Wanted tells whether a name leads to a file, or a part of an upload is it.
func (s *Shelf) Wanted(ctx context.Context, digest string) (bool, error) {
	var n int64
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int64], "SELECT (SELECT COUNT(*) FROM shelf_objects WHERE digest = ?) + (SELECT COUNT(*) FROM shelf_parts WHERE digest = ?)", digest, digest)
		return err
	})
	return n > 0, err
}

// Size is how many objects there are and how large they are together, with
// uploads that have not ended, and the most of what people may upload.
func (s *Shelf) Size(ctx context.Context) (objects, bytes, most int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if objects, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shelf_objects"); err != nil {
			return err
		}
		bytes, err = db.One(tx, db.Value[int64], "SELECT (SELECT COALESCE(SUM(size), 0) FROM shelf_objects) + (SELECT COALESCE(SUM(size), 0) FROM shelf_parts)")
		return err
	})
	return objects, bytes, s.config.Most, err
}

// Run takes away what was to be kept for a while only, and uploads that nobody
// has ended, until ctx ends.
func (s *Shelf) Run(ctx context.Context) error {
	for {
		if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
			s.config.Log.Error("tidying up the buckets", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Minute):
		}
	}
}

func (s *Shelf) tidy(ctx context.Context) error {
	for n := int64(1); n > 0; {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			now := s.config.Now()
			old, err := db.All(tx, scanObject, "SELECT "+objectColumns+" FROM shelf_objects WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT 200", now.UnixMicro())
			if err != nil {
				return err
			}
			n = int64(len(old))
			for _, o := range old {
				if _, err := tx.Exec("DELETE FROM shelf_objects WHERE bucket = ? AND name = ?", o.Bucket, o.Key); err != nil {
					return err
				}
				o.Who = ""
				if err := s.tell(tx, Deleted, o, "Lifecycle Expiration"); err != nil {
					return err
				}
			}
			ids, err := db.All(tx, db.Value[string], "SELECT id FROM shelf_uploads WHERE began < ? ORDER BY began LIMIT 200", now.Add(-s.config.Unended).UnixMicro())
			if err != nil {
				return err
			}
			n += int64(len(ids))
			for _, id := range ids {
				if err := drop(tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
