package s3

import (
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/keeper/shelf"
)

type begunBody struct {
	XMLName xml.Name `xml:"InitiateMultipartUploadResult"`
	Space   string   `xml:"xmlns,attr"`
	Bucket  string
	Key     string
	ID      string `xml:"UploadId"`
}

func (c *call) beginUpload() error {
	o, err := c.described()
	if err != nil {
		return err
	}
	u, err := c.Shelf.Begin(c.ctx, o)
	if err != nil {
		return err
	}
	return c.say(begunBody{Space: namespace, Bucket: c.bucket, Key: c.key, ID: u.ID})
}

func (c *call) partNumber() (int, error) {
	n, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || n < 1 || n > shelf.MostParts {
		return 0, no(http.StatusBadRequest, "InvalidArgument", "partNumber is a number from 1 to %d", shelf.MostParts)
	}
	return n, nil
}

func (c *call) uploadPart() error {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	if err := c.unsupported(); err != nil {
		return err
	}
	body, err := c.file()
	if err != nil {
		return err
	}
	p, err := c.Shelf.PutPart(c.ctx, c.bucket, c.key, c.query.Get("uploadId"), n, body)
	if err != nil {
		return err
	}
	body.echo(c.w.Header())
	c.w.Header().Set("Etag", `"`+p.ETag+`"`)
	return c.done(http.StatusOK)
}

type copiedPart struct {
	XMLName xml.Name `xml:"CopyPartResult"`
	Space   string   `xml:"xmlns,attr"`
	Time    string   `xml:"LastModified"`
	ETag    string   `xml:"ETag"`
}

func (c *call) copyPart() error {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	o, err := c.source()
	if err != nil {
		return err
	}
	from, to := int64(0), o.Size
	if text, ok := strings.CutPrefix(c.r.Header.Get("X-Amz-Copy-Source-Range"), "bytes="); ok {
		first, last, _ := strings.Cut(text, "-")
		a, errA := strconv.ParseInt(first, 10, 64)
		b, errB := strconv.ParseInt(last, 10, 64)
		if errA != nil || errB != nil || a > b || b >= o.Size {
			return no(http.StatusBadRequest, "InvalidArgument", "x-amz-copy-source-range is bytes=FIRST-LAST within the object's %d bytes", o.Size)
		}
		from, to = a, b+1
	}
	file, err := c.open(o)
	if err != nil {
		return err
	}
	defer file.Close()
	p, err := c.Shelf.PutPart(c.ctx, c.bucket, c.key, c.query.Get("uploadId"), n, io.NewSectionReader(file, from, to-from))
	if err != nil {
		return err
	}
	return c.say(copiedPart{Space: namespace, Time: stamp(p.At), ETag: `"` + p.ETag + `"`})
}

type completeBody struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		Number int    `xml:"PartNumber"`
		ETag   string `xml:"ETag"`
	} `xml:"Part"`
}

type completedBody struct {
	XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
	Space    string   `xml:"xmlns,attr"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

func (c *call) completeUpload() error {
	var in completeBody
	if err := c.read(&in); err != nil {
		return err
	}
	if len(in.Parts) > shelf.MostParts {
		return no(http.StatusBadRequest, "MalformedXML", "an upload has at most %d parts", shelf.MostParts)
	}
	only, err := c.conditions()
	if err != nil {
		return err
	}
	var want []shelf.Part
	for _, p := range in.Parts {
		want = append(want, shelf.Part{Number: p.Number, ETag: strings.Trim(p.ETag, `"`)})
	}
	o, err := c.Shelf.Complete(c.ctx, c.bucket, c.key, c.query.Get("uploadId"), want, only)
	if err != nil {
		return err
	}
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return c.say(completedBody{Space: namespace, Location: scheme + "://" + c.r.Host + c.r.URL.EscapedPath(), Bucket: c.bucket, Key: c.key, ETag: `"` + o.Tag() + `"`})
}

func (c *call) abortUpload() error {
	if err := c.Shelf.Abort(c.ctx, c.bucket, c.key, c.query.Get("uploadId")); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

type partLine struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
}

type partsBody struct {
	XMLName   xml.Name `xml:"ListPartsResult"`
	Space     string   `xml:"xmlns,attr"`
	Bucket    string
	Key       string
	ID        string `xml:"UploadId"`
	Initiator owner
	Owner     owner
	Class     string     `xml:"StorageClass"`
	Marker    int        `xml:"PartNumberMarker"`
	Next      int        `xml:"NextPartNumberMarker,omitempty"`
	MaxParts  int        `xml:"MaxParts"`
	Truncated bool       `xml:"IsTruncated"`
	Parts     []partLine `xml:"Part"`
}

func (c *call) listParts() error {
	most, err := c.number("max-parts", 1000, 1000)
	if err != nil {
		return err
	}
	after, err := c.number("part-number-marker", 0, shelf.MostParts)
	if err != nil {
		return err
	}
	_, parts, err := c.Shelf.Parts(c.ctx, c.bucket, c.key, c.query.Get("uploadId"), after, most+1)
	if err != nil {
		return err
	}
	out := partsBody{Space: namespace, Bucket: c.bucket, Key: c.key, ID: c.query.Get("uploadId"), Initiator: c.owner(), Owner: c.owner(), Class: "STANDARD", Marker: after, MaxParts: most}
	for i, p := range parts {
		if i == most {
			out.Truncated, out.Next = true, after
			break
		}
		out.Parts, after = append(out.Parts, partLine{p.Number, stamp(p.At), `"` + p.ETag + `"`, p.Size}), p.Number
	}
	return c.say(out)
}

type uploadLine struct {
	Key       string
	ID        string `xml:"UploadId"`
	Initiator owner
	Owner     owner
	Class     string `xml:"StorageClass"`
	Initiated string
}

type uploadsBody struct {
	XMLName    xml.Name `xml:"ListMultipartUploadsResult"`
	Space      string   `xml:"xmlns,attr"`
	Bucket     string
	KeyMarker  string
	IDMarker   string `xml:"UploadIdMarker"`
	NextKey    string `xml:"NextKeyMarker,omitempty"`
	NextID     string `xml:"NextUploadIdMarker,omitempty"`
	Prefix     string `xml:",omitempty"`
	Encoding   string `xml:"EncodingType,omitempty"`
	MaxUploads int
	Truncated  bool         `xml:"IsTruncated"`
	Uploads    []uploadLine `xml:"Upload"`
}

func (c *call) listUploads() error {
	if c.query.Get("delimiter") != "" {
		return no(http.StatusNotImplemented, "NotImplemented", "uploads are listed without a delimiter")
	}
	most, err := c.number("max-uploads", 1000, 1000)
	if err != nil {
		return err
	}
	encode, kind, err := c.encoder()
	if err != nil {
		return err
	}
	q := c.query
	for _, text := range []string{q.Get("prefix"), q.Get("key-marker"), q.Get("upload-id-marker")} {
		if text != "" && !shelf.ValidKey(text) {
			return no(http.StatusBadRequest, "InvalidArgument", "prefix and markers are UTF-8 without control characters")
		}
	}
	id := q.Get("upload-id-marker")
	if id == "" && q.Get("key-marker") != "" {
		id = "\U0010FFFF" // behind the key altogether
	}
	all, err := c.Shelf.Uploads(c.ctx, c.bucket, q.Get("prefix"), q.Get("key-marker"), id, most+1)
	if err != nil {
		return err
	}
	out := uploadsBody{Space: namespace, Bucket: c.bucket, KeyMarker: encode(q.Get("key-marker")), IDMarker: q.Get("upload-id-marker"), Prefix: encode(q.Get("prefix")), Encoding: kind, MaxUploads: most}
	for i, u := range all {
		if i == most {
			out.Truncated = true
			break
		}
		out.Uploads = append(out.Uploads, uploadLine{encode(u.Key), u.ID, c.owner(), c.owner(), "STANDARD", stamp(u.Began)})
		out.NextKey, out.NextID = encode(u.Key), u.ID
	}
	if !out.Truncated {
		out.NextKey, out.NextID = "", ""
	}
	return c.say(out)
}
