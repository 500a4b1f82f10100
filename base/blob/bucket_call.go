package blob

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

// call is one call of the bucket, which may be made more than once.
type call struct {
	method string
	key    string // "" for the bucket itself
	query  url.Values
	body   *io.SectionReader // nil: none
	sum    string            // its SHA-256 in hex
	to     io.Writer         // an io.WriterAt beneath, or where each try begins anew; nil: the answer is kept
	from   int64             // what of the object is wanted, where length is above 0
	length int64
	match  string // the ETag that the object still must have
}

// answer is what came back.
type answer struct {
	header http.Header
	time   time.Time // by the bucket's clock
	text   []byte
	got    int64 // bytes that went to call.to
}

// mostText bounds the answers that are read into memory.
const mostText = 4 << 20

// refusal is a call that the bucket has refused.
type refusal struct {
	XMLName  xml.Name `xml:"Error"`
	Code     string   `xml:"Code"`
	Message  string   `xml:"Message"`
	Endpoint string   `xml:"Endpoint"`

	status int
	region string
	what   string // the call, and on what
	action string // that its policy must allow
	key    string // the access key id
}

// passing tells whether trying again may help.
func (r *refusal) passing() bool {
	switch r.Code {
	case "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Busy", "ThrottlingException", "Throttling", "RequestLimitExceeded":
		return true
	}
	return r.status >= 500 && r.status != http.StatusNotImplemented || r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout
}

// Error says what was refused, why, and what to do.
func (r *refusal) Error() string {
	said := r.Code
	if said == "" {
		said = "HTTP " + strconv.Itoa(r.status)
	}
	if r.Message != "" {
		said += ": " + strings.TrimSuffix(r.Message, ".")
	}
	do := ""
	switch {
	case r.status == http.StatusMovedPermanently || r.status == http.StatusTemporaryRedirect || r.Code == "AuthorizationHeaderMalformed":
		do = "; see region and endpoint of blobs in haechi.yaml"
		if r.region != "" {
			do = "; the bucket lies in the region " + r.region + ": write region=" + r.region + " to blobs in haechi.yaml"
		}
	case r.Code == "NoSuchBucket":
		do = "; make the bucket, or name another with blobs in haechi.yaml"
	case r.Code == "RequestTimeTooSkewed":
		do = "; set this machine's clock"
	case r.Code == "InvalidAccessKeyId" || r.Code == "SignatureDoesNotMatch" || r.Code == "ExpiredToken" || r.Code == "InvalidToken":
		do = "; see the credentials that blobs in haechi.yaml names"
	case r.status == http.StatusForbidden:
		do = "; the access key " + r.key + " needs " + r.action
	case r.passing():
		do = "; it was tried " + strconv.Itoa(tries) + " times"
	}
	return fmt.Sprintf("%s: %s%s", r.what, said, do)
}

// do makes a call, again where that may help.
func (b *Bucket) do(ctx context.Context, c call) (a answer, err error) {
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return a, ctx.Err()
			case <-time.After(b.pause(try - 1)):
			}
		}
		if a, err = b.once(ctx, c); err == nil || ctx.Err() != nil {
			return a, err
		}
		var r *refusal
		var blocked *outbound.Refused
		if errors.As(err, &r) && !r.passing() || errors.As(err, &blocked) || errors.Is(err, fault.Invalid) {
			break
		}
	}
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound && (r.Code == "" || r.Code == "NoSuchKey" || r.Code == "NoSuchUpload") { // HEAD has no code
		return a, fault.NotFound.Wrap(err)
	}
	return a, fault.Unavailable.Wrap(err)
}

func (b *Bucket) once(ctx context.Context, c call) (a answer, err error) {
	r, err := b.request(ctx, c)
	if err != nil {
		return a, err
	}
	w, err := b.http.Do(r)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // what it says of the address we say ourselves
		}
		return a, fmt.Errorf("%s: %w", b.what(c), err)
	}
	defer w.Body.Close()
	a = answer{header: w.Header, time: b.now()}
	if at, err := http.ParseTime(w.Header.Get("Date")); err == nil {
		a.time = at
	}
	if w.StatusCode/100 != 2 && (w.StatusCode != http.StatusRequestedRangeNotSatisfiable || c.from > 0) {
		return a, b.refused(c, r, w)
	}
	if c.to == nil {
		a.text, err = outbound.ReadAll(w.Body, mostText)
		if err != nil && c.method != http.MethodHead {
			return a, fmt.Errorf("%s: %w", b.what(c), err)
		}
		return a, nil
	}
	return a, b.receive(c, w, &a)
}

// receive copies what came of an object.
func (b *Bucket) receive(c call, w *http.Response, a *answer) (err error) {
	if w.StatusCode == http.StatusRequestedRangeNotSatisfiable { // it is empty
		a.header.Set("Content-Range", "bytes */0")
		return nil
	}
	to := c.to
	if at, ok := to.(io.WriterAt); ok {
		to = io.NewOffsetWriter(at, 0) // each try begins anew
	}
	most := c.length
	if w.StatusCode == http.StatusOK { // a server that knows no ranges gives all of it
		if c.from > 0 {
			return fault.Invalid.Errorf("%s: the server does not answer ranges", b.what(c))
		}
		most = max(w.ContentLength, 0)
		a.header.Set("Content-Range", "bytes 0-0/"+strconv.FormatInt(most, 10))
	}
	a.got, err = io.Copy(to, io.LimitReader(w.Body, most))
	if err == nil && w.ContentLength >= 0 && a.got < w.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.what(c), err)
	}
	return nil
}

func (b *Bucket) request(ctx context.Context, c call) (*http.Request, error) {
	u := *b.at.endpoint
	u.Path, u.RawQuery = b.at.path+c.key, c.query.Encode()
	if c.key == "" && len(u.Path) > 1 {
		u.Path = strings.TrimSuffix(u.Path, "/")
	}
	sum := sigv4.Hash(nil)
	r, err := http.NewRequestWithContext(ctx, c.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		sum = c.sum
		r.Body, r.ContentLength = io.NopCloser(io.NewSectionReader(c.body, 0, c.body.Size())), c.body.Size()
		if r.ContentLength == 0 {
			r.Body = http.NoBody
		}
	}
	if c.length > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", c.from, c.from+c.length-1))
	}
	if c.match != "" {
		r.Header.Set("If-Match", c.match)
	}
	keys, err := b.keys()
	if err != nil {
		return nil, err
	}
	keys.Sign(r, sum, b.now())
	return r, nil
}

// what names a call and what it is about.
func (b *Bucket) what(c call) string {
	return fmt.Sprintf("%s %s of bucket %s at %s", c.method, orBucket(c.key), b.at.bucket, b.at.endpoint.Host)
}

func orBucket(key string) string {
	if key == "" {
		return "the list"
	}
	return key
}

// refused reads why a call was refused.
func (b *Bucket) refused(c call, r *http.Request, w *http.Response) error {
	no := &refusal{}
	text, err := outbound.ReadAll(w.Body, 64<<10)
	if err != nil || xml.Unmarshal(text, no) != nil {
		no = &refusal{}
	}
	no.status, no.region, no.what = w.StatusCode, w.Header.Get("X-Amz-Bucket-Region"), b.what(c)
	no.Code, no.Message = clip(no.Code, 100), clip(no.Message, 300)
	no.action = needs(c.method) + " on arn:aws:s3:::" + b.at.bucket
	if c.key != "" {
		no.action += "/" + b.at.prefix + "*"
	}
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		no.key, _, _ = strings.Cut(rest, "/")
	}
	return no
}

// needs is the action that a policy must allow for a call.
func needs(method string) string {
	switch method {
	case http.MethodPut, http.MethodPost:
		return "s3:PutObject and s3:AbortMultipartUpload"
	case http.MethodDelete:
		return "s3:DeleteObject"
	}
	return "s3:GetObject and s3:ListBucket"
}

func clip(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s[:min(len(s), n)])
}

// whole is the size of the object that an answer is a part of.
func (a answer) whole() (int64, error) {
	_, size, ok := strings.Cut(a.header.Get("Content-Range"), "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, fmt.Errorf("its answer does not say how large it is (Content-Range)")
	}
	return n, nil
}
