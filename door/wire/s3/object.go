package s3

import (
	"encoding/base64"
	"encoding/xml"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/keeper/shelf"
)

// plain are the headers that an object is kept with and that come back as they were.
var plain = [...]string{"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control", "Expires"}

// getObject gives out an object, all of it or a range, or what is known of it.
func (c *call) getObject() error {
	if v := c.query.Get("versionId"); v != "" && v != "null" {
		return no(http.StatusNotFound, "NoSuchVersion", "there are no versions here")
	}
	if p := c.query.Get("partNumber"); p != "" && p != "1" {
		return no(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "an object is one part here")
	}
	o, err := c.Shelf.Find(c.ctx, c.bucket, c.key)
	if err != nil {
		return err
	}
	if err := c.ranged(o.Size); err != nil {
		return err
	}
	c.describe(o)
	if c.r.Method == http.MethodHead {
		return c.head(o)
	}
	file, err := c.open(o)
	if err != nil {
		return err
	}
	defer file.Close()
	c.began = true
	http.ServeContent(c.w, c.r, "", o.Modified, file)
	return nil
}

// head answers as if the object were given out, without opening it.
func (c *call) head(o shelf.Object) error {
	c.began = true
	http.ServeContent(c.w, c.r, "", o.Modified, io.NewSectionReader(nothing{}, 0, o.Size))
	return nil
}

// nothing is the content of an object that is not read.
type nothing struct{}

// ReadAt reads zeros.
func (nothing) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// describe sets the headers that an object comes with. It is never a page of ours, whatever it is.
func (c *call) describe(o shelf.Object) {
	h := c.w.Header()
	for _, name := range plain {
		if v := o.Headers[name]; v != "" {
			h.Set(name, v)
		}
		if v := c.query.Get("response-" + strings.ToLower(name)); v != "" {
			h.Set(name, v)
		}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "binary/octet-stream")
	}
	if h.Get("Content-Disposition") == "" && c.query.Has("X-Amz-Signature") { // a link, for a browser
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(o.Key)}))
	}
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("Etag", `"`+o.Tag()+`"`)
	h.Set("Accept-Ranges", "bytes")
	for name, value := range o.Meta {
		h["x-amz-meta-"+name] = []string{value} // in small letters: clients take the name as it comes
	}
	if !o.Expires.IsZero() {
		h.Set("X-Amz-Expiration", `expiry-date="`+o.Expires.UTC().Format(http.TimeFormat)+`", rule-id="retention"`)
	}
}

// ranged refuses a range that the object does not have. Several at once are passed over, as S3 does.
func (c *call) ranged(size int64) error {
	text, ok := strings.CutPrefix(c.r.Header.Get("Range"), "bytes=")
	if !ok || strings.Contains(text, ",") {
		c.r.Header.Del("Range")
		return nil
	}
	from, _, _ := strings.Cut(text, "-")
	n, err := strconv.ParseInt(from, 10, 64)
	if err == nil && n >= size || err != nil && from == "" && (size == 0 || text == "-0") {
		c.w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return no(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "the object has %d bytes", size)
	}
	return nil
}

// described is an object as the headers of an upload describe it.
func (c *call) described() (o shelf.Object, err error) {
	o = shelf.Object{Bucket: c.bucket, Key: c.key, Who: c.who.ARN}
	size := 0
	for name, values := range c.r.Header {
		short, ok := strings.CutPrefix(name, "X-Amz-Meta-")
		if !ok {
			continue
		}
		if o.Meta == nil {
			o.Meta = map[string]string{}
		}
		value := strings.Join(values, ",")
		o.Meta[strings.ToLower(short)] = value
		size += len(short) + len(value)
	}
	for _, name := range plain {
		value := c.r.Header.Get(name)
		if name == "Content-Encoding" {
			value = withoutChunks(value)
		}
		if value == "" {
			continue
		}
		if o.Headers == nil {
			o.Headers = map[string]string{}
		}
		o.Headers[name] = value
		size += len(value)
	}
	if size > 8<<10 {
		return o, no(http.StatusBadRequest, "MetadataTooLarge", "the metadata of an object has at most 8 KiB")
	}
	return o, c.unsupported()
}

// withoutChunks is a Content-Encoding without the one that is of the way, and not of the object.
func withoutChunks(value string) string {
	var kept []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" && part != "aws-chunked" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ",")
}

// unsupported refuses what an upload asks for and does not get. Encryption by
// the server is not among it: the disk or the bucket beneath does that.
func (c *call) unsupported() error {
	for name := range c.r.Header {
		short, ok := strings.CutPrefix(name, "X-Amz-")
		if !ok {
			continue
		}
		value := c.r.Header.Get(name)
		switch {
		case short == "Acl" && value != "private" && value != "bucket-owner-full-control" && value != "bucket-owner-read",
			short == "Storage-Class" && value != "STANDARD",
			short == "Tagging" && value != "",
			short == "Website-Redirect-Location",
			short == "Write-Offset-Bytes",
			strings.HasPrefix(short, "Grant-"), strings.HasPrefix(short, "Object-Lock-"),
			strings.HasPrefix(short, "Server-Side-Encryption-Customer-"), strings.HasPrefix(short, "Copy-Source-Server-Side-"):
			return no(http.StatusNotImplemented, "NotImplemented", "%s: %.60q is not answered here: docs/artifacts.md lists what is", strings.ToLower(name), value)
		}
	}
	return nil
}

// conditions are what an upload asks of what is there.
func (c *call) conditions() (only shelf.If, err error) {
	only.Tag = strings.Trim(c.r.Header.Get("If-Match"), `"`)
	switch c.r.Header.Get("If-None-Match") {
	case "":
	case "*":
		only.Absent = true
	default:
		err = no(http.StatusNotImplemented, "NotImplemented", "If-None-Match of an upload is *")
	}
	return only, err
}

// file is the body of an upload, with the checksums that came with it.
func (c *call) file() (*summed, error) {
	if c.body.Size < 0 {
		return nil, no(http.StatusLengthRequired, "MissingContentLength", "an upload says how long it is")
	}
	if c.Largest > 0 && c.body.Size > c.Largest {
		return nil, no(http.StatusBadRequest, "EntityTooLarge", "an upload has at most %d bytes (buckets.object in haechi.yaml)", c.Largest)
	}
	return sums(c.r.Header, c.body)
}

func (c *call) putObject() error {
	o, err := c.described()
	if err != nil {
		return err
	}
	only, err := c.conditions()
	if err != nil {
		return err
	}
	body, err := c.file()
	if err != nil {
		return err
	}
	if o, err = c.Shelf.Put(c.ctx, o, body, only); err != nil {
		return err
	}
	body.echo(c.w.Header())
	c.w.Header().Set("Etag", `"`+o.Tag()+`"`)
	return c.done(http.StatusOK)
}

func (c *call) deleteObject() error {
	if v := c.query.Get("versionId"); v != "" && v != "null" {
		return no(http.StatusNotFound, "NoSuchVersion", "there are no versions here")
	}
	if _, err := c.Shelf.Delete(c.ctx, c.bucket, c.who.ARN, c.key); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

type taggingBody struct {
	XMLName xml.Name `xml:"Tagging"`
	Space   string   `xml:"xmlns,attr"`
	Tags    struct{} `xml:"TagSet"`
}

// tagging says that an object has no tags: there are none here.
func (c *call) tagging() error {
	if _, err := c.Shelf.Find(c.ctx, c.bucket, c.key); err != nil {
		return err
	}
	return c.say(taggingBody{Space: namespace})
}

// source is the object that a copy is made of, which must be readable for whoever copies.
func (c *call) source() (o shelf.Object, err error) {
	text, _, _ := strings.Cut(c.r.Header.Get(copySource), "?")
	if strings.Contains(c.r.Header.Get(copySource), "?versionId=") && !strings.HasSuffix(c.r.Header.Get(copySource), "?versionId=null") {
		return o, no(http.StatusNotFound, "NoSuchVersion", "there are no versions here")
	}
	text, err = url.PathUnescape(strings.TrimPrefix(text, "/"))
	name, key, ok := strings.Cut(text, "/")
	if err != nil || !ok || !shelf.ValidBucket(name) || !shelf.ValidKey(key) {
		return o, no(http.StatusBadRequest, "InvalidArgument", "x-amz-copy-source is BUCKET/KEY, encoded for a URL")
	}
	from := *c
	from.bucket, from.key = name, key
	if err := from.allowed("s3:GetObject", key); err != nil {
		return o, err
	}
	if o, err = c.Shelf.Find(c.ctx, name, key); err != nil {
		return o, err
	}
	tag := `"` + o.Tag() + `"`
	if want := c.r.Header.Get("X-Amz-Copy-Source-If-Match"); want != "" && strings.Trim(want, `"`) != o.Tag() || c.r.Header.Get("X-Amz-Copy-Source-If-None-Match") == tag {
		return o, shelf.ErrChanged
	}
	return o, nil
}

type copiedBody struct {
	XMLName xml.Name `xml:"CopyObjectResult"`
	Space   string   `xml:"xmlns,attr"`
	Time    string   `xml:"LastModified"`
	ETag    string   `xml:"ETag"`
}

func (c *call) copyObject() error {
	from, err := c.source()
	if err != nil {
		return err
	}
	o, err := c.described()
	if err != nil {
		return err
	}
	replace := c.r.Header.Get("X-Amz-Metadata-Directive") == "REPLACE"
	if !replace {
		if from.Bucket == o.Bucket && from.Key == o.Key {
			return no(http.StatusBadRequest, "InvalidRequest", "an object is copied to itself only with other metadata (x-amz-metadata-directive: REPLACE)")
		}
		o.Meta, o.Headers = from.Meta, from.Headers
	}
	if o, err = c.Shelf.Copy(c.ctx, from, o); err != nil {
		return err
	}
	return c.say(copiedBody{Space: namespace, Time: stamp(o.Modified), ETag: `"` + o.Tag() + `"`})
}

// md5Of is the MD5 that a header says, or nil.
func md5Of(h http.Header) ([]byte, error) {
	text := h.Get(textproto.CanonicalMIMEHeaderKey("Content-MD5"))
	if text == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != 16 {
		return nil, no(http.StatusBadRequest, "InvalidDigest", "Content-MD5 is 16 bytes in base64")
	}
	return sum, nil
}
