// Package s3 speaks S3's protocol over the buckets of artifacts: the aws command, SDKs and workers fetch what builds made, and bring what is to be built.
//
// A request comes here by the service in its credential scope. The bucket
// stands in the path or before the host's name. Bodies are files: they are
// verified while they are read, and what breaks off is never seen.
package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Mine tells whether a request is for this door.
func Mine(r *http.Request) bool { return sigv4.Service(r) == "s3" }

// Access knows who has which key, and what they may.
type Access interface {
	Secret(ctx context.Context, accessKeyID, token string) (seal.Secret, iam.Principal, error)
	Allow(ctx context.Context, requests ...iam.Request) error
}

// Config is what the door needs.
type Config struct {
	Shelf  *shelf.Shelf
	Access Access
	Region string
	// Bucket is the bucket that a host's name says, or "" where it says none.
	Bucket   func(host string) string
	Largest  int64 // bytes of one upload, so that a larger one is refused before it is read
	Now      func() time.Time
	SourceIP func(*http.Request) string
	Log      *slog.Logger
}

type door struct{ Config }

// Handler is the door.
func Handler(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.SourceIP == nil {
		c.SourceIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	if c.Bucket == nil {
		c.Bucket = func(string) string { return "" }
	}
	return &door{c}
}

// call is one call on its way.
type call struct {
	*door
	w           http.ResponseWriter
	r           *http.Request
	ctx         context.Context
	id          string
	began       bool
	query       url.Values
	bucket, key string
	who         iam.Principal
	body        *sigv4.Body
}

// operation is what can be asked for: how it is called, what must be allowed, and what is done.
type operation struct {
	name   string
	method string
	at     place
	marks  []string // query parameters that make it this one
	also   []string // others that it reads
	header string   // that must be there; "" asks nothing
	action string   // of IAM
	do     func(*call) error
}

type place int

const (
	service place = iota
	bucket
	object
)

// operations are those that are answered. Of those that fit a call the first is meant.
func operations() []operation {
	list := []string{"prefix", "delimiter", "max-keys", "encoding-type"}
	shown := []string{"response-content-type", "response-content-disposition", "response-content-encoding", "response-content-language", "response-cache-control", "response-expires", "partNumber", "versionId"}
	return []operation{
		{"ListBuckets", "GET", service, nil, []string{"max-buckets", "continuation-token", "prefix", "bucket-region"}, "", "s3:ListAllMyBuckets", (*call).listBuckets},
		{"CreateBucket", "PUT", bucket, nil, nil, "", "s3:CreateBucket", (*call).createBucket},
		{"DeleteBucket", "DELETE", bucket, nil, nil, "", "s3:DeleteBucket", (*call).deleteBucket},
		{"HeadBucket", "HEAD", bucket, nil, nil, "", "s3:ListBucket", (*call).headBucket},
		{"GetBucketLocation", "GET", bucket, []string{"location"}, nil, "", "s3:GetBucketLocation", (*call).location},
		{"GetBucketVersioning", "GET", bucket, []string{"versioning"}, nil, "", "s3:GetBucketVersioning", (*call).versioning},
		{"ListMultipartUploads", "GET", bucket, []string{"uploads"}, []string{"prefix", "key-marker", "upload-id-marker", "max-uploads", "encoding-type", "delimiter"}, "", "s3:ListBucketMultipartUploads", (*call).listUploads},
		{"ListObjectsV2", "GET", bucket, []string{"list-type"}, append([]string{"continuation-token", "start-after", "fetch-owner"}, list...), "", "s3:ListBucket", (*call).listObjects},
		{"ListObjects", "GET", bucket, nil, append([]string{"marker"}, list...), "", "s3:ListBucket", (*call).listObjectsV1},
		{"DeleteObjects", "POST", bucket, []string{"delete"}, nil, "", "", (*call).deleteObjects},
		{"GetObjectTagging", "GET", object, []string{"tagging"}, []string{"versionId"}, "", "s3:GetObjectTagging", (*call).tagging},
		{"ListParts", "GET", object, []string{"uploadId"}, []string{"max-parts", "part-number-marker"}, "", "s3:ListMultipartUploadParts", (*call).listParts},
		{"GetObject", "GET", object, nil, shown, "", "s3:GetObject", (*call).getObject},
		{"HeadObject", "HEAD", object, nil, shown, "", "s3:GetObject", (*call).getObject},
		{"UploadPartCopy", "PUT", object, []string{"partNumber", "uploadId"}, nil, copySource, "s3:PutObject", (*call).copyPart},
		{"UploadPart", "PUT", object, []string{"partNumber", "uploadId"}, nil, "", "s3:PutObject", (*call).uploadPart},
		{"CopyObject", "PUT", object, nil, nil, copySource, "s3:PutObject", (*call).copyObject},
		{"PutObject", "PUT", object, nil, nil, "", "s3:PutObject", (*call).putObject},
		{"CreateMultipartUpload", "POST", object, []string{"uploads"}, nil, "", "s3:PutObject", (*call).beginUpload},
		{"CompleteMultipartUpload", "POST", object, []string{"uploadId"}, nil, "", "s3:PutObject", (*call).completeUpload},
		{"AbortMultipartUpload", "DELETE", object, []string{"uploadId"}, nil, "", "s3:AbortMultipartUpload", (*call).abortUpload},
		{"DeleteObject", "DELETE", object, nil, []string{"versionId"}, "", "s3:DeleteObject", (*call).deleteObject},
	}
}

const copySource = "X-Amz-Copy-Source"

// ServeHTTP verifies who asks, finds what is asked for and whether it may be, and answers.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	c := &call{door: d, w: w, r: r, ctx: r.Context(), id: strings.ToUpper(hex.EncodeToString(id[:]))}
	h := w.Header()
	h.Set("X-Amz-Request-Id", c.id)
	h.Set("Cache-Control", "no-store")
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// net/http says it for bodies alone. botocore asks for empty ones, too, and where it
		// does not hear it, it reads the next answer on the connection wrongly, and hangs.
		w.WriteHeader(http.StatusContinue)
	}
	err := c.answer()
	switch {
	case err == nil:
	case c.began:
		d.Log.Error("an answer broke off", "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	default:
		c.refuse(err)
	}
}

func (c *call) answer() error {
	if err := c.admit(); err != nil {
		return err
	}
	if err := c.aim(); err != nil {
		return err
	}
	o, err := c.meant()
	if err != nil {
		return err
	}
	if o.action != "" { // one that asks for itself, else
		if err := c.allowed(o.action, c.key); err != nil {
			return err
		}
	}
	return o.do(c)
}

// admit verifies who asks. The body is verified while it is read.
func (c *call) admit() error {
	claim, err := sigv4.Parse(c.r)
	if err == nil {
		err = claim.Timely(c.Now())
	}
	if err != nil {
		return refusal(err)
	}
	secret, who, err := c.Access.Secret(c.ctx, claim.AccessKey, claim.Token)
	switch {
	case errors.Is(err, fault.NotFound):
		return no(http.StatusForbidden, "InvalidAccessKeyId", "the access key is not known here, or its session token is another's")
	case errors.Is(err, fault.Unauthenticated):
		return no(http.StatusBadRequest, "ExpiredToken", "the session is over")
	case err != nil:
		return err
	}
	if c.body, err = new(sigv4.Verifier).Stream(c.r, claim, secret.Reveal(), c.Now()); err != nil {
		return refusal(err)
	}
	c.who = who
	return nil
}

// aim reads which bucket and which key a call is about.
func (c *call) aim() (err error) {
	path, rawQuery, _ := strings.Cut(c.r.RequestURI, "?")
	if c.query, err = url.ParseQuery(rawQuery); err != nil {
		return no(http.StatusBadRequest, "InvalidURI", "the query cannot be read")
	}
	path, err = url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return no(http.StatusBadRequest, "InvalidURI", "the path cannot be read")
	}
	if c.bucket = c.Bucket(c.r.Host); c.bucket != "" {
		c.key = path
	} else {
		c.bucket, c.key, _ = strings.Cut(path, "/")
	}
	switch {
	case c.bucket == "" && c.key != "":
		return no(http.StatusBadRequest, "InvalidBucketName", "the path begins with the name of a bucket")
	case c.bucket != "" && !shelf.ValidBucket(c.bucket):
		return no(http.StatusBadRequest, "InvalidBucketName", "a bucket's name has 3 to 63 small letters, digits, dots and dashes")
	case len(c.key) > 1024:
		return no(http.StatusBadRequest, "KeyTooLongError", "a key has at most 1024 bytes")
	case c.key != "" && !shelf.ValidKey(c.key):
		return no(http.StatusBadRequest, "InvalidURI", "a key is UTF-8 without control characters")
	}
	return nil
}

// meant is the operation that a call means. A parameter that it does not know
// may make it another one, which is not answered here.
func (c *call) meant() (operation, error) {
	at := object
	switch {
	case c.bucket == "":
		at = service
	case c.key == "":
		at = bucket
	}
	for _, o := range operations() {
		if o.at != at || o.method != c.r.Method || o.header != "" && c.r.Header.Get(o.header) == "" {
			continue
		}
		if slices.ContainsFunc(o.marks, func(m string) bool { return !c.query.Has(m) }) {
			continue
		}
		for name := range c.query {
			if !slices.Contains(o.marks, name) && !slices.Contains(o.also, name) && name != "x-id" && !strings.HasPrefix(name, "X-Amz-") {
				return o, no(http.StatusNotImplemented, "NotImplemented", "%.60s is not answered here: docs/artifacts.md lists what is", c.r.Method+" with "+name)
			}
		}
		return o, nil
	}
	return operation{}, no(http.StatusMethodNotAllowed, "MethodNotAllowed", "%.20s is no method of this", c.r.Method)
}

// allowed asks whether an action may be done on a key of the bucket, or on the bucket.
func (c *call) allowed(action, key string) error {
	resource := "*"
	if c.bucket != "" {
		resource = "arn:aws:s3:::" + c.bucket
	}
	if key != "" {
		resource += "/" + key
	}
	known := map[string][]string{"aws:SourceIp": {c.SourceIP(c.r)}}
	if action == "s3:ListBucket" {
		for _, name := range []string{"prefix", "delimiter", "max-keys"} {
			if c.query.Has(name) {
				known["s3:"+name] = []string{c.query.Get(name)}
			}
		}
	}
	return c.Access.Allow(c.ctx, iam.Request{Principal: c.who, Action: action, Resource: resource, Context: known})
}

// open opens an object that was found.
func (c *call) open(o shelf.Object) (*os.File, error) { return c.Shelf.Open(c.ctx, o) }

// Action is what a request asks for, as IAM would say it, where nobody was asked.
func Action(r *http.Request) string {
	c := &call{door: &door{Config{Bucket: func(string) string { return "" }}}, r: r}
	if c.aim() == nil {
		if o, err := c.meant(); err == nil {
			return "s3:" + o.name
		}
	}
	return "s3:Unknown"
}
