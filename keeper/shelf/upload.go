package shelf

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// If is what must hold of what lies under a name when something else is put there.
type If struct {
	Absent bool   // nothing does
	Tag    string // it has this tag; "" asks nothing
}

func (s *Shelf) holds(tx *db.Tx, o Object, only If) error {
	if !only.Absent && only.Tag == "" {
		return nil
	}
	have, err := s.FindIn(tx, o.Bucket, o.Key)
	switch {
	case err == nil && (only.Absent || have.Tag() != only.Tag):
		return ErrChanged
	case errors.Is(err, ErrNoKey) && only.Absent:
		return nil
	}
	return err
}

// ErrChanged is of something that is put on a condition that does not hold.
var ErrChanged = fault.Conflict.Errorf("what lies under that name is not what was asked for")

// Put keeps what body holds under a name: all of it, or nothing. o says the name and what is told with it.
func (s *Shelf) Put(ctx context.Context, o Object, body io.Reader, only If) (Object, error) {
	if err := check(o.Bucket, o.Key); err != nil {
		return o, err
	}
	if _, err := s.Bucket(ctx, o.Bucket); err != nil {
		return o, err
	}
	sum := md5.New() // what clients call an ETag; nothing is believed because of it
	info, err := s.config.Files.Put(ctx, io.TeeReader(body, sum), s.config.Largest)
	if err != nil {
		return o, err
	}
	o.Digest, o.Size, o.ETag = info.Digest, info.Size, hex.EncodeToString(sum.Sum(nil))
	return s.name(ctx, o, only, "PutObject")
}

// Copy puts what lies under one name under another.
func (s *Shelf) Copy(ctx context.Context, from, o Object) (Object, error) {
	if err := check(o.Bucket, o.Key); err != nil {
		return o, err
	}
	o.Digest, o.Size, o.ETag = from.Digest, from.Size, from.ETag
	return s.name(ctx, o, If{}, "CopyObject")
}

func (s *Shelf) name(ctx context.Context, o Object, only If, reason string) (Object, error) {
	o.Modified = s.config.Now().UTC()
	return o, s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findBucket(tx, o.Bucket); err != nil {
			return err
		}
		if err := s.holds(tx, o, only); err != nil {
			return err
		}
		if err := s.room(tx, o.Size); err != nil {
			return err
		}
		return s.keep(tx, o, reason)
	})
}

// room refuses what would be more than may be uploaded in all.
func (s *Shelf) room(tx *db.Tx, more int64) error {
	have, err := db.One(tx, db.Value[int64], "SELECT (SELECT COALESCE(SUM(size), 0) FROM shelf_objects WHERE expires = 0) + (SELECT COALESCE(SUM(size), 0) FROM shelf_parts)")
	if err == nil && have+more > s.config.Most {
		err = fault.Limit.Errorf("what was uploaded has %d bytes, and %d are the most: delete something, or raise buckets.bytes in haechi.yaml", have, s.config.Most)
	}
	return err
}

// Upload is a file that comes in parts.
type Upload struct {
	ID          string
	Bucket, Key string
	Began       time.Time
	Object      Object // what is told with it
}

// Part is one part of an upload.
type Part struct {
	Number int
	Digest string
	Size   int64
	ETag   string
	At     time.Time
}

// MostParts is how many parts an upload has at most.
const MostParts = 10_000

// Begin begins an upload in parts.
func (s *Shelf) Begin(ctx context.Context, o Object) (u Upload, err error) {
	if err := check(o.Bucket, o.Key); err != nil {
		return u, err
	}
	u = Upload{ID: bus.ID(), Bucket: o.Bucket, Key: o.Key, Began: s.config.Now().UTC(), Object: o}
	body, err := json.Marshal(o, json.Deterministic(true))
	if err != nil {
		return u, err
	}
	return u, s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findBucket(tx, o.Bucket); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shelf_uploads")
		if err == nil && n >= 10_000 {
			err = fault.Limit.Errorf("there are %d uploads under way: that is the most", n)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO shelf_uploads (id, bucket, name, began, body) VALUES (?, ?, ?, ?, ?)", u.ID, u.Bucket, u.Key, u.Began.UnixMicro(), body)
		return err
	})
}

func scanUpload(scan db.Scan) (u Upload, err error) {
	var began int64
	var body []byte
	if err := scan(&u.ID, &u.Bucket, &u.Key, &began, &body); err != nil {
		return u, err
	}
	u.Began = time.UnixMicro(began).UTC()
	err = json.Unmarshal(body, &u.Object)
	u.Object.Bucket, u.Object.Key = u.Bucket, u.Key
	return u, err
}

// ErrNoUpload is of an upload that never began, or is at its end.
var ErrNoUpload = fault.NotFound.Errorf("there is no such upload (any more)")

func findUpload(tx *db.Tx, bucket, key, id string) (Upload, error) {
	u, err := db.One(tx, scanUpload, "SELECT id, bucket, name, began, body FROM shelf_uploads WHERE id = ? AND bucket = ? AND name = ?", id, bucket, key)
	if errors.Is(err, fault.NotFound) {
		err = ErrNoUpload
	}
	return u, err
}

// Uploads are the uploads of a bucket that are under way, by key, behind a key and an id.
func (s *Shelf) Uploads(ctx context.Context, bucket, prefix, afterKey, afterID string, most int) (all []Upload, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := findBucket(tx, bucket); err != nil {
			return err
		}
		all, err = db.All(tx, scanUpload, "SELECT id, bucket, name, began, body FROM shelf_uploads WHERE bucket = ? AND name >= ? AND name <= ? AND (name > ? OR name = ? AND id > ?) ORDER BY name, id LIMIT ?",
			bucket, prefix, prefix+last+last, afterKey, afterKey, afterID, most)
		return err
	})
	return all, err
}

// PutPart keeps one part of an upload. One of the same number takes its place.
func (s *Shelf) PutPart(ctx context.Context, bucket, key, id string, n int, body io.Reader) (p Part, err error) {
	if n < 1 || n > MostParts {
		return p, fault.Invalid.Errorf("parts have the numbers 1 to %d", MostParts)
	}
	if err := s.db.Read(ctx, func(tx *db.Tx) error { _, err := findUpload(tx, bucket, key, id); return err }); err != nil {
		return p, err
	}
	sum := md5.New() // as clients have it
	info, err := s.config.Files.Put(ctx, io.TeeReader(body, sum), s.config.Largest)
	if err != nil {
		return p, err
	}
	p = Part{n, info.Digest, info.Size, hex.EncodeToString(sum.Sum(nil)), s.config.Now().UTC()}
	return p, s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findUpload(tx, bucket, key, id); err != nil {
			return err
		}
		if err := s.room(tx, p.Size); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO shelf_parts (upload, n, digest, size, at, etag) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (upload, n) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at, etag = excluded.etag",
			id, n, p.Digest, p.Size, p.At.UnixMicro(), p.ETag)
		return err
	})
}

func scanPart(scan db.Scan) (p Part, err error) {
	var at int64
	err = scan(&p.Number, &p.Digest, &p.Size, &at, &p.ETag)
	p.At = time.UnixMicro(at).UTC()
	return p, err
}

// Parts are the parts of an upload that have come, behind a number.
func (s *Shelf) Parts(ctx context.Context, bucket, key, id string, after, most int) (u Upload, all []Part, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if u, err = findUpload(tx, bucket, key, id); err != nil {
			return err
		}
		all, err = db.All(tx, scanPart, "SELECT n, digest, size, at, etag FROM shelf_parts WHERE upload = ? AND n > ? ORDER BY n LIMIT ?", id, after, most)
		return err
	})
	return u, all, err
}

// Abort gives an upload up.
func (s *Shelf) Abort(ctx context.Context, bucket, key, id string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findUpload(tx, bucket, key, id); err != nil {
			return err
		}
		return drop(tx, id)
	})
}

func drop(tx *db.Tx, id string) error {
	if _, err := tx.Exec("DELETE FROM shelf_parts WHERE upload = ?", id); err != nil {
		return err
	}
	_, err := tx.Exec("DELETE FROM shelf_uploads WHERE id = ?", id)
	return err
}

// Wrong is why parts do not make a file, by the code that S3 has for it.
type Wrong struct{ Code, Text string }

// Error is the text.
func (w *Wrong) Error() string { return w.Text }

// Unwrap makes it fault.Invalid.
func (w *Wrong) Unwrap() error { return fault.Invalid }

// leastPart is the least that a part has that is not the last one.
const leastPart = 5 << 20

// chosen are the parts that were asked for, in their order.
func chosen(have []Part, want []Part) (all []Part, size int64, err error) {
	by := map[int]Part{}
	for _, p := range have {
		by[p.Number] = p
	}
	for i, w := range want {
		p, ok := by[w.Number]
		switch {
		case i > 0 && w.Number <= want[i-1].Number:
			return nil, 0, &Wrong{"InvalidPartOrder", "the parts are not in the order of their numbers"}
		case !ok || w.ETag != p.ETag:
			return nil, 0, &Wrong{"InvalidPart", fmt.Sprintf("part %d was not uploaded, or has another ETag", w.Number)}
		case i < len(want)-1 && p.Size < leastPart:
			return nil, 0, &Wrong{"EntityTooSmall", fmt.Sprintf("part %d has %d bytes: all but the last have at least %d", w.Number, p.Size, leastPart)}
		}
		all, size = append(all, p), size+p.Size
	}
	if len(all) == 0 {
		return nil, 0, &Wrong{"MalformedXML", "no part is named"}
	}
	return all, size, nil
}

// Complete makes one file of the parts that want names, by number and ETag, and names it.
func (s *Shelf) Complete(ctx context.Context, bucket, key, id string, want []Part, only If) (o Object, err error) {
	u, have, err := s.Parts(ctx, bucket, key, id, 0, MostParts)
	if err != nil {
		return o, err
	}
	parts, size, err := chosen(have, want)
	if err != nil {
		return o, err
	}
	if size > s.config.Largest {
		return o, fault.Limit.Errorf("the upload has %d bytes, and %d are the most", size, s.config.Largest)
	}
	info, err := s.config.Files.Put(ctx, &joined{ctx: ctx, s: s, parts: parts}, s.config.Largest)
	if err != nil {
		return o, err
	}
	o = u.Object
	o.Digest, o.Size, o.ETag, o.Modified = info.Digest, info.Size, tagOf(parts), s.config.Now().UTC()
	return o, s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findUpload(tx, bucket, key, id); err != nil { // ended or given up meanwhile
			return err
		}
		if err := s.holds(tx, o, only); err != nil {
			return err
		}
		if err := drop(tx, id); err != nil {
			return err
		}
		if err := s.room(tx, o.Size); err != nil {
			return err
		}
		return s.keep(tx, o, "CompleteMultipartUpload")
	})
}

// tagOf is the tag of a file that came in parts, as S3 makes it.
func tagOf(parts []Part) string {
	sum := md5.New()
	for _, p := range parts {
		part, err := hex.DecodeString(p.ETag)
		if err != nil {
			part = []byte(p.ETag)
		}
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// joined reads parts one after the other.
type joined struct {
	ctx   context.Context
	s     *Shelf
	parts []Part
	now   io.ReadCloser
}

// Read reads on, in the next part where one is at its end.
func (j *joined) Read(b []byte) (int, error) {
	for {
		if j.now == nil {
			if len(j.parts) == 0 {
				return 0, io.EOF
			}
			file, err := j.s.config.Files.Open(j.ctx, j.parts[0].Digest)
			if err != nil {
				return 0, err
			}
			j.now, j.parts = file, j.parts[1:]
		}
		n, err := j.now.Read(b)
		if err == io.EOF {
			err = j.now.Close()
			j.now = nil
		} else if err != nil {
			j.now.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
