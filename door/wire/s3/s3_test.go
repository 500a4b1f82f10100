package s3_test

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/door/wire/s3"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestMain(m *testing.M) { dbtest.Main(m) }

type house struct {
	*wiretest.Server
	t     *testing.T
	shelf *shelf.Shelf
	deny  func(iam.Request) bool
}

func open(t *testing.T) *house {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), shelf.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	files, err := blob.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t}
	h.shelf = shelf.New(shelf.Config{DB: d, Bus: bus.New(d, bus.Config{}), Files: files, Account: wiretest.Account, Region: wiretest.Region, Largest: 64 << 20, Most: 200 << 20})
	h.Server = wiretest.Of(t, s3.Handler(s3.Config{
		Shelf: h.shelf, Region: wiretest.Region, Largest: 64 << 20,
		Access: wiretest.Access{Deny: func(r iam.Request) bool { return h.deny != nil && h.deny(r) }},
		Bucket: func(host string) string {
			name, ok := strings.CutSuffix(strings.SplitN(host, ":", 2)[0], ".localhost")
			if !ok {
				return ""
			}
			return name
		},
	}))
	return h
}

func noise(t *testing.T, size int) []byte {
	text := make([]byte, size)
	rand.Read(text)
	return text
}

// What is answered is written down beside the door, and nothing else is.
func TestOps(t *testing.T) {
	text, err := os.ReadFile("ops.txt")
	if err != nil {
		t.Fatal(err)
	}
	answered := map[string]bool{}
	for _, name := range s3.Answered() {
		answered[name] = true
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, line := range lines[1:] {
		name := strings.Fields(line)[0]
		mark := "-"
		if answered[name] {
			mark = "answered"
		}
		delete(answered, name)
		lines[i+1] = fmt.Sprintf("%-50s %s", name, mark)
	}
	if len(answered) > 0 {
		t.Errorf("answered, and no operation of S3: %v", answered)
	}
	want := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile("ops.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("ops.txt is old: run go test -update")
	}
}

// The aws command, of both versions, makes buckets, brings files large and
// small, lists, fetches and deletes, as it does at AWS.
func TestCommand(t *testing.T) {
	for _, c := range wiretest.Clients(t) {
		t.Run(fmt.Sprintf("old=%v", c.Old), func(t *testing.T) {
			t.Parallel()
			h, dir := open(t), t.TempDir()
			run := func(args ...string) string {
				t.Helper()
				out, problems, err := c.Run(t, h.Server, args...)
				if err != nil {
					t.Fatalf("aws %s: %v\n%s%s", strings.Join(args, " "), err, out, problems)
				}
				return out
			}
			files := map[string][]byte{"a/small.txt": []byte("hello"), "a/b/large bin+ä.zip": noise(t, 9<<20+7), "empty": {}}
			for name, text := range files {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, "here", name)), 0o700))
				must(t, os.WriteFile(filepath.Join(dir, "here", name), text, 0o600))
			}
			run("s3", "mb", "s3://shop")
			run("s3", "sync", filepath.Join(dir, "here"), "s3://shop", "--metadata", "who=ann")
			if got := run("s3", "ls", "s3://shop/a/"); !strings.Contains(got, "PRE b/") || !strings.Contains(got, "5 small.txt") {
				t.Errorf("ls: %s", got)
			}
			run("s3", "cp", "s3://shop/a/b/large bin+ä.zip", filepath.Join(dir, "back.zip"))
			if got, err := os.ReadFile(filepath.Join(dir, "back.zip")); err != nil || !bytes.Equal(got, files["a/b/large bin+ä.zip"]) {
				t.Errorf("%d bytes come back, %v", len(got), err)
			}
			run("s3", "cp", "s3://shop/a/b/large bin+ä.zip", "s3://shop/copy.zip") // in parts
			run("s3", "sync", "s3://shop", filepath.Join(dir, "all"))
			files["copy.zip"] = files["a/b/large bin+ä.zip"]
			for name, want := range files {
				if got, err := os.ReadFile(filepath.Join(dir, "all", name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
			if got := run("s3", "rb", "--force", "s3://shop"); !strings.Contains(got, "remove_bucket: shop") {
				t.Errorf("rb: %s", got)
			}
		})
	}
}

// boto3 does the same, with every checksum that it knows, in chunks and pages, and hears S3's own errors.
func TestBoto(t *testing.T) {
	h := open(t)
	out, problems, err := h.Python(t, `
import io, os, hashlib
from botocore.exceptions import ClientError
from boto3.s3.transfer import TransferConfig
def refused(code, f, **a):
    try: f(**a)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return
    raise AssertionError("not refused: " + code)
for style in ["path", "virtual"]:
    s3 = boto3.client("s3", endpoint_url=client("s3").meta.endpoint_url.replace("127.0.0.1", "localhost") if style == "virtual" else client("s3").meta.endpoint_url, config=Config(retries={"max_attempts": 0}, signature_version="s3v4", s3={"addressing_style": style}))
    if style == "virtual":
        import socket
        real = socket.getaddrinfo
        socket.getaddrinfo = lambda host, *a, **k: real("127.0.0.1" if str(host).endswith("localhost") else host, *a, **k)
    b = "files-" + style
    s3.create_bucket(Bucket=b, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=b)
    for a in ["CRC32", "SHA1", "SHA256"]:
        r = s3.put_object(Bucket=b, Key="sum/" + a, Body=b"hello", ChecksumAlgorithm=a)
        assert r["Checksum" + a], r
    refused("BadDigest", s3.put_object, Bucket=b, Key="bad", Body=b"hello", ChecksumCRC32="AAAAAA==")
    refused("BadDigest", s3.put_object, Bucket=b, Key="bad", Body=b"hello", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    refused("404", s3.head_object, Bucket=b, Key="bad")
    refused("NoSuchKey", s3.get_object, Bucket=b, Key="bad")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="none-" + style)
    class Stream(io.RawIOBase): # of which nobody knows the end, nor can go back
        def __init__(self, n): self.left = n
        def readable(self): return True
        def seekable(self): return False
        def readinto(self, buf):
            n = min(len(buf), self.left); buf[:n] = b"x" * n; self.left -= n; return n
    s3.upload_fileobj(Stream(20 << 20), b, "streamed", Config=TransferConfig(multipart_threshold=8 << 20))
    assert s3.head_object(Bucket=b, Key="streamed")["ContentLength"] == 20 << 20
    s3.upload_fileobj(io.BytesIO(b"y" * 100), b, "meta", ExtraArgs={"Metadata": {"a": "1"}, "ContentType": "text/html", "CacheControl": "no-cache"})
    r = s3.get_object(Bucket=b, Key="meta", IfMatch=s3.head_object(Bucket=b, Key="meta")["ETag"])
    assert r["Metadata"] == {"a": "1"} and r["ContentType"] == "text/html" and r["CacheControl"] == "no-cache", r
    refused("304", s3.get_object, Bucket=b, Key="meta", IfNoneMatch=r["ETag"])
    refused("InvalidRange", s3.get_object, Bucket=b, Key="meta", Range="bytes=100-")
    refused("PreconditionFailed", s3.put_object, Bucket=b, Key="meta", Body=b"z", IfNoneMatch="*")
    s3.put_object(Bucket=b, Key="meta", Body=b"", IfMatch=r["ETag"])
    assert s3.get_object(Bucket=b, Key="meta")["Body"].read() == b""
    for i in range(25): s3.put_object(Bucket=b, Key="many/%d/%02d" % (i // 5, i), Body=b"")
    s3.put_object(Bucket=b, Key="many/odd name+%&<\u00e9", Body=b"")
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=b, Prefix="many/", PaginationConfig={"PageSize": 4}))
    keys = [o["Key"] for p in pages for o in p["Contents"]]
    assert len(pages) == 7 and len(keys) == 26 and keys == sorted(keys), (len(pages), keys)
    for kind in ["list_objects_v2", "list_objects"]:
        for size in [1, 2, 1000]:
            pages = list(s3.get_paginator(kind).paginate(Bucket=b, Prefix="many/", Delimiter="/", PaginationConfig={"PageSize": size}))
            groups = [o["Prefix"] for p in pages for o in p.get("CommonPrefixes", [])]
            keys = [o["Key"] for p in pages for o in p.get("Contents", [])]
            assert groups == ["many/%d/" % i for i in range(5)] and keys == ["many/odd name+%&<\u00e9"], (kind, size, groups, keys)
    up = s3.create_multipart_upload(Bucket=b, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=b, Key="parts", UploadId=up, PartNumber=1, Body=b"p" * 10)
    refused("NoSuchKey", s3.get_object, Bucket=b, Key="parts")
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=b)["Uploads"]] == ["parts"]
    assert s3.list_parts(Bucket=b, Key="parts", UploadId=up)["Parts"][0]["Size"] == 10
    refused("InvalidPart", s3.complete_multipart_upload, Bucket=b, Key="parts", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": part["ETag"]}]})
    two = s3.upload_part(Bucket=b, Key="parts", UploadId=up, PartNumber=2, Body=b"p")
    refused("EntityTooSmall", s3.complete_multipart_upload, Bucket=b, Key="parts", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}, {"PartNumber": 2, "ETag": two["ETag"]}]})
    s3.abort_multipart_upload(Bucket=b, Key="parts", UploadId=up)
    refused("NoSuchUpload", s3.upload_part, Bucket=b, Key="parts", UploadId=up, PartNumber=1, Body=b"p")
    link = s3.generate_presigned_url("put_object", Params={"Bucket": b, "Key": "linked"})
    import urllib.request
    urllib.request.urlopen(urllib.request.Request(link, method="PUT", data=b"by a link"))
    assert s3.get_object(Bucket=b, Key="linked")["Body"].read() == b"by a link"
    assert "Status" not in s3.get_bucket_versioning(Bucket=b) and s3.get_bucket_location(Bucket=b)["LocationConstraint"] is None
    assert s3.get_object(Bucket=b, Key="linked", Range="bytes=1-3")["Body"].read() == b"y a"
    s3.copy_object(Bucket=b, Key="moved", CopySource={"Bucket": b, "Key": "meta"}, Metadata={"b": "2"}, MetadataDirective="REPLACE")
    assert s3.head_object(Bucket=b, Key="moved")["Metadata"] == {"b": "2"}
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=b)
    r = urllib.request.urlopen(s3.generate_presigned_url("get_object", Params={"Bucket": b, "Key": "linked"}))
    assert r.read() == b"by a link" and r.headers["Content-Disposition"].startswith("attachment") and r.headers["Content-Security-Policy"] == "sandbox", r.headers
    refused("EntityTooLarge", s3.put_object, Bucket=b, Key="huge", Body=b"x" * (65 << 20))
    refused("NotImplemented", s3.put_object, Bucket=b, Key="public", Body=b"x", ACL="public-read")
    refused("NotImplemented", s3.get_object_acl, Bucket=b, Key="linked")
    r = s3.delete_objects(Bucket=b, Delete={"Objects": [{"Key": "linked"}, {"Key": "never"}]})
    assert len(r["Deleted"]) == 2, r
print("done")
`)
	if err != nil || !strings.Contains(out, "done") {
		t.Errorf("%v\n%s%s", err, out, problems)
	}
}

// Nobody does what they may not: each operation asks for its own action on its own resource.
func TestAsks(t *testing.T) {
	h := open(t)
	must(t, h.shelf.CreateBucket(t.Context(), "shop", ""))
	_, err := h.shelf.Put(t.Context(), shelf.Object{Bucket: "shop", Key: "k"}, strings.NewReader("v"), shelf.If{})
	must(t, err)
	for _, test := range []struct{ method, path, header, action, resource string }{
		{"GET", "/", "", "s3:ListAllMyBuckets", "*"},
		{"GET", "/shop?list-type=2", "", "s3:ListBucket", "arn:aws:s3:::shop"},
		{"HEAD", "/shop", "", "s3:ListBucket", "arn:aws:s3:::shop"},
		{"GET", "/shop/k", "", "s3:GetObject", "arn:aws:s3:::shop/k"},
		{"HEAD", "/shop/k", "", "s3:GetObject", "arn:aws:s3:::shop/k"},
		{"PUT", "/shop/k", "", "s3:PutObject", "arn:aws:s3:::shop/k"},
		{"PUT", "/other/k", "shop/k", "s3:GetObject", "arn:aws:s3:::shop/k"},
		{"DELETE", "/shop/k", "", "s3:DeleteObject", "arn:aws:s3:::shop/k"},
		{"PUT", "/new", "", "s3:CreateBucket", "arn:aws:s3:::new"},
		{"DELETE", "/shop", "", "s3:DeleteBucket", "arn:aws:s3:::shop"},
		{"POST", "/shop/k?uploads=", "", "s3:PutObject", "arn:aws:s3:::shop/k"},
		{"GET", "/shop/k?uploadId=x", "", "s3:ListMultipartUploadParts", "arn:aws:s3:::shop/k"},
		{"DELETE", "/shop/k?uploadId=x", "", "s3:AbortMultipartUpload", "arn:aws:s3:::shop/k"},
	} {
		asked := false
		h.deny = func(r iam.Request) bool {
			if r.Action == test.action && r.Resource == test.resource {
				asked = true
				return true
			}
			return false
		}
		r, body := h.send(test.method, test.path, nil, func(r *http.Request) {
			if test.header != "" {
				r.Header.Set("X-Amz-Copy-Source", test.header)
			}
		})
		if !asked || r.StatusCode != http.StatusForbidden || test.method != "HEAD" && !strings.Contains(string(body), "<Code>AccessDenied</Code>") {
			t.Errorf("%s %s: asked %v, %s %s", test.method, test.path, asked, r.Status, body)
		}
	}
	h.deny = func(r iam.Request) bool { return r.Resource == "arn:aws:s3:::shop/k" }
	r, body := h.send("POST", "/shop?delete=", []byte("<Delete><Object><Key>k</Key></Object><Object><Key>free</Key></Object></Delete>"), nil)
	if r.StatusCode != http.StatusOK || !strings.Contains(string(body), "<Key>k</Key><Code>AccessDenied</Code>") || !strings.Contains(string(body), "<Deleted><Key>free</Key>") {
		t.Errorf("%s %s", r.Status, body)
	}
	if _, err := h.shelf.Find(t.Context(), "shop", "k"); err != nil {
		t.Error(err)
	}
}

// send sends a request, signed by the hash of its body.
func (h *house) send(method, path string, body []byte, change func(*http.Request)) (*http.Response, []byte) {
	h.t.Helper()
	r, err := http.NewRequest(method, h.URL+path, bytes.NewReader(body))
	must(h.t, err)
	if change != nil {
		change(r)
	}
	sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: wiretest.Secret, Region: wiretest.Region, Service: "s3"}.Sign(r, sigv4.Hash(body), time.Now())
	return h.Do(h.t, r)
}

// What is not the body that was signed, what is no S3 and what is not answered is refused in S3's own shape, and nothing of it is kept.
func TestRefuses(t *testing.T) {
	h := open(t)
	must(t, h.shelf.CreateBucket(t.Context(), "shop", ""))
	for _, test := range []struct {
		method, path, body string
		change             func(*http.Request)
		status             int
		code               string
	}{
		{"GET", "/shop/k?acl=", "", nil, 501, "NotImplemented"},
		{"PUT", "/shop/k?tagging=", "<Tagging/>", nil, 501, "NotImplemented"},
		{"PUT", "/shop?policy=", "{}", nil, 501, "NotImplemented"},
		{"GET", "/Shop", "", nil, 400, "InvalidBucketName"},
		{"GET", "/192.168.1.1", "", nil, 400, "InvalidBucketName"},
		{"GET", "/shop/" + strings.Repeat("k", 1025), "", nil, 400, "KeyTooLongError"},
		{"PUT", "/shop/a%00b", "", nil, 400, "InvalidURI"},
		{"PUT", "/shop/a%ff", "", nil, 400, "InvalidURI"},
		{"PATCH", "/shop/k", "", nil, 405, "MethodNotAllowed"},
		{"POST", "/shop?delete=", "<Delete><Object><Key>", nil, 400, "MalformedXML"},
		{"POST", "/shop?delete=", `<!DOCTYPE x [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>`, nil, 400, "MalformedXML"},
		{"GET", "/shop?list-type=2&continuation-token=%21", "", nil, 400, "InvalidArgument"},
		{"GET", "/shop?list-type=2&max-keys=-1", "", nil, 400, "InvalidArgument"},
		{"PUT", "/shop/k", "x", func(r *http.Request) { r.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key", "x") }, 501, "NotImplemented"},
		{"PUT", "/shop/k", "x", func(r *http.Request) { r.Header.Set("X-Amz-Meta-Big", strings.Repeat("x", 9000)) }, 400, "MetadataTooLarge"},
	} {
		r, body := h.send(test.method, test.path, []byte(test.body), test.change)
		var e struct {
			XMLName xml.Name `xml:"Error"`
			Code    string
			Message string
		}
		if err := xml.Unmarshal(body, &e); err != nil || e.Code != test.code || r.StatusCode != test.status || e.Message == "" {
			t.Errorf("%s %s: %s %s, want %d %s", test.method, test.path, r.Status, body, test.status, test.code)
		}
	}
	// A body that was changed on the way.
	r, err := http.NewRequest("PUT", h.URL+"/shop/k", strings.NewReader("hullo"))
	must(t, err)
	sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: wiretest.Secret, Region: wiretest.Region, Service: "s3"}.Sign(r, sigv4.Hash([]byte("hello")), time.Now())
	if _, body := h.Do(t, r); !strings.Contains(string(body), "XAmzContentSHA256Mismatch") {
		t.Errorf("%s", body)
	}
	if l, err := h.shelf.List(t.Context(), shelf.Query{Bucket: "shop", Most: 10}); err != nil || len(l.Objects) != 0 {
		t.Errorf("kept: %+v, %v", l, err)
	}
}

// A signature that nobody made, and one that is over, are refused.
func TestStrangers(t *testing.T) {
	h := open(t)
	r, err := http.NewRequest("GET", h.URL+"/", nil)
	must(t, err)
	sigv4.Signer{AccessKey: "AKSTRANGER", Secret: "x", Region: "r", Service: "s3"}.Sign(r, sigv4.Hash(nil), time.Now())
	if _, body := h.Do(t, r); !strings.Contains(string(body), "InvalidAccessKeyId") {
		t.Errorf("%s", body)
	}
	r, err = http.NewRequest("GET", h.URL+"/", nil)
	must(t, err)
	sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: "x", Region: "r", Service: "s3"}.Sign(r, sigv4.Hash(nil), time.Now())
	if _, body := h.Do(t, r); !strings.Contains(string(body), "SignatureDoesNotMatch") {
		t.Errorf("%s", body)
	}
	r, err = http.NewRequest("GET", h.URL+"/shop/k", nil)
	must(t, err)
	sigv4.Signer{AccessKey: wiretest.AccessKey, Secret: wiretest.Secret, Region: "r", Service: "s3"}.Presign(r, time.Minute, time.Now().Add(-time.Hour))
	if _, body := h.Do(t, r); !strings.Contains(string(body), "RequestTimeTooSkewed") {
		t.Errorf("%s", body)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
