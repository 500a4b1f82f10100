package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/keeper/shelf"
)

type owner struct {
	ID          string
	DisplayName string
}

type bucketLine struct {
	Name         string
	CreationDate string
	BucketRegion string `xml:",omitempty"`
}

type bucketsBody struct {
	XMLName xml.Name `xml:"ListAllMyBucketsResult"`
	Space   string   `xml:"xmlns,attr"`
	Owner   owner
	Buckets []bucketLine `xml:"Buckets>Bucket"`
	Next    string       `xml:"ContinuationToken,omitempty"`
	Prefix  string       `xml:",omitempty"`
}

func (c *call) listBuckets() error {
	all, err := c.Shelf.Buckets(c.ctx)
	if err != nil {
		return err
	}
	most, err := c.number("max-buckets", 10_000, 10_000)
	if err != nil {
		return err
	}
	after, err := c.token()
	if err != nil {
		return err
	}
	out := bucketsBody{Space: namespace, Owner: c.owner(), Prefix: c.query.Get("prefix")}
	for _, b := range all {
		if b.Name <= after || !strings.HasPrefix(b.Name, out.Prefix) {
			continue
		}
		if len(out.Buckets) == most {
			out.Next = tokenOf(out.Buckets[most-1].Name)
			break
		}
		out.Buckets = append(out.Buckets, bucketLine{b.Name, stamp(b.Created), c.Region})
	}
	return c.say(out)
}

func (c *call) owner() owner { return owner{c.who.Account, c.who.Account} }

// number is a parameter that bounds an answer.
func (c *call) number(name string, unsaid, most int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return unsaid, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, no(http.StatusBadRequest, "InvalidArgument", "%s is a number from 0 on", name)
	}
	return min(n, most), nil
}

// A continuation token is where the next page begins.
func tokenOf(after string) string { return base64.URLEncoding.EncodeToString([]byte(after)) }

func (c *call) token() (string, error) {
	after, err := base64.URLEncoding.DecodeString(c.query.Get("continuation-token"))
	if err != nil || len(after) > 2048 {
		return "", no(http.StatusBadRequest, "InvalidArgument", "the continuation token is none of ours")
	}
	return string(after), nil
}

func (c *call) createBucket() error {
	for _, h := range []string{"X-Amz-Bucket-Object-Lock-Enabled", "X-Amz-Grant-Full-Control", "X-Amz-Grant-Read", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write", "X-Amz-Grant-Write-Acp"} {
		if v := c.r.Header.Get(h); v != "" && !strings.EqualFold(v, "false") {
			return no(http.StatusNotImplemented, "NotImplemented", "%s: buckets here have policies of IAM alone", h)
		}
	}
	if acl := c.r.Header.Get("X-Amz-Acl"); acl != "" && acl != "private" {
		return no(http.StatusNotImplemented, "NotImplemented", "x-amz-acl: buckets here are private")
	}
	var said struct {
		XMLName xml.Name `xml:"CreateBucketConfiguration"`
	}
	if c.r.ContentLength != 0 {
		if err := c.read(&said); err != nil {
			return err
		}
	}
	if err := c.Shelf.CreateBucket(c.ctx, c.bucket, c.who.ARN); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	return c.done(http.StatusOK)
}

func (c *call) deleteBucket() error {
	err := c.Shelf.DeleteBucket(c.ctx, c.bucket)
	if err == nil {
		return c.done(http.StatusNoContent)
	}
	if w := c.words(err); w.code == "OperationAborted" {
		return no(http.StatusConflict, "BucketNotEmpty", "%v", err)
	}
	return err
}

func (c *call) headBucket() error {
	if _, err := c.Shelf.Bucket(c.ctx, c.bucket); err != nil {
		return err
	}
	c.w.Header().Set("X-Amz-Bucket-Region", c.Region)
	return c.done(http.StatusOK)
}

type locationBody struct {
	XMLName xml.Name `xml:"LocationConstraint"`
	Space   string   `xml:"xmlns,attr"`
	Region  string   `xml:",chardata"`
}

func (c *call) location() error {
	if _, err := c.Shelf.Bucket(c.ctx, c.bucket); err != nil {
		return err
	}
	out := locationBody{Space: namespace, Region: c.Region}
	if c.Region == "us-east-1" { // which S3 says as nothing
		out.Region = ""
	}
	return c.say(out)
}

type versioningBody struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Space   string   `xml:"xmlns,attr"`
}

// versioning says that there are no versions: without a status it was never switched on.
func (c *call) versioning() error {
	if _, err := c.Shelf.Bucket(c.ctx, c.bucket); err != nil {
		return err
	}
	return c.say(versioningBody{Space: namespace})
}

type objectLine struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

type prefixLine struct{ Prefix string }

type listBody struct {
	XMLName   xml.Name `xml:"ListBucketResult"`
	Space     string   `xml:"xmlns,attr"`
	Name      string
	Prefix    string
	Delimiter string `xml:",omitempty"`
	MaxKeys   int
	Encoding  string `xml:"EncodingType,omitempty"`
	Count     *int   `xml:"KeyCount"`
	Truncated bool   `xml:"IsTruncated"`

	Token      string  `xml:"ContinuationToken,omitempty"`
	Next       string  `xml:"NextContinuationToken,omitempty"`
	StartAfter string  `xml:",omitempty"`
	Marker     *string `xml:"Marker"`
	NextMarker string  `xml:",omitempty"`

	Contents []objectLine
	Common   []prefixLine `xml:"CommonPrefixes"`
}

func (c *call) listObjects() error {
	if c.query.Get("list-type") != "2" {
		return no(http.StatusBadRequest, "InvalidArgument", "list-type is 2")
	}
	after, err := c.token()
	if err != nil {
		return err
	}
	out := listBody{Token: c.query.Get("continuation-token"), StartAfter: c.query.Get("start-after")}
	if after == "" {
		after = out.StartAfter
	}
	next, err := c.list(&out, after, c.query.Get("fetch-owner") == "true")
	if err != nil {
		return err
	}
	n := len(out.Contents) + len(out.Common)
	out.Count = &n
	if next != "" {
		out.Next = tokenOf(next)
	}
	return c.say(out)
}

func (c *call) listObjectsV1() error {
	marker := c.query.Get("marker")
	out := listBody{Marker: &marker}
	next, err := c.list(&out, marker, true)
	if err != nil {
		return err
	}
	encode, _, err := c.encoder()
	if err != nil {
		return err
	}
	if next != "" && out.Delimiter != "" { // else clients take the last key
		out.NextMarker = encode(shelf.Marker(next))
	}
	return c.say(out)
}

// list fills an answer with the names behind one, and says where the next page begins.
func (c *call) list(out *listBody, after string, owners bool) (next string, err error) {
	most, err := c.number("max-keys", 1000, 1000)
	if err != nil {
		return "", err
	}
	encode, kind, err := c.encoder()
	if err != nil {
		return "", err
	}
	q := shelf.Query{Bucket: c.bucket, Prefix: c.query.Get("prefix"), Delimiter: c.query.Get("delimiter"), After: after, Most: most}
	for _, text := range []string{q.Prefix, q.Delimiter, q.After} {
		if text != "" && !shelf.ValidKey(strings.TrimSuffix(text, "\U0010FFFF")) && text != "\U0010FFFF" {
			return "", no(http.StatusBadRequest, "InvalidArgument", "prefix, delimiter and marker are UTF-8 without control characters")
		}
	}
	l, err := c.Shelf.List(c.ctx, q)
	if err != nil {
		return "", err
	}
	out.Space, out.Name, out.Prefix, out.Delimiter, out.MaxKeys, out.Encoding, out.Truncated = namespace, c.bucket, encode(q.Prefix), encode(q.Delimiter), most, kind, l.Next != ""
	for _, o := range l.Objects {
		line := objectLine{Key: encode(o.Key), LastModified: stamp(o.Modified), ETag: `"` + o.Tag() + `"`, Size: o.Size, StorageClass: "STANDARD"}
		if owners {
			who := c.owner()
			line.Owner = &who
		}
		out.Contents = append(out.Contents, line)
	}
	for _, p := range l.Prefixes {
		out.Common = append(out.Common, prefixLine{encode(p)})
	}
	return l.Next, nil
}

type deleteBody struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool     `xml:"Quiet"`
	Objects []struct {
		Key     string `xml:"Key"`
		Version string `xml:"VersionId"`
	} `xml:"Object"`
}

type deletedLine struct{ Key string }

type deleteError struct{ Key, Code, Message string }

type deletedBody struct {
	XMLName xml.Name      `xml:"DeleteResult"`
	Space   string        `xml:"xmlns,attr"`
	Deleted []deletedLine `xml:"Deleted"`
	Errors  []deleteError `xml:"Error"`
}

// deleteObjects deletes up to a thousand objects, each if it may be.
func (c *call) deleteObjects() error {
	var in deleteBody
	if err := c.read(&in); err != nil {
		return err
	}
	if len(in.Objects) == 0 || len(in.Objects) > 1000 {
		return no(http.StatusBadRequest, "MalformedXML", "1 to 1000 objects are deleted at once, not %d", len(in.Objects))
	}
	out := deletedBody{Space: namespace}
	var keys []string
	for _, o := range in.Objects {
		err := error(nil)
		switch {
		case !shelf.ValidKey(o.Key):
			err = no(http.StatusBadRequest, "InvalidArgument", "this is no key")
		case o.Version != "" && o.Version != "null":
			err = no(http.StatusBadRequest, "NoSuchVersion", "there are no versions here")
		default:
			err = c.allowed("s3:DeleteObject", o.Key)
		}
		if err != nil {
			w := c.words(err)
			out.Errors = append(out.Errors, deleteError{strings.ToValidUTF8(o.Key, "\uFFFD"), w.code, w.text})
			continue
		}
		keys = append(keys, o.Key)
	}
	if _, err := c.Shelf.Delete(c.ctx, c.bucket, c.who.ARN, keys...); err != nil {
		return err
	}
	if !in.Quiet {
		for _, key := range keys {
			out.Deleted = append(out.Deleted, deletedLine{key})
		}
	}
	return c.say(out)
}
