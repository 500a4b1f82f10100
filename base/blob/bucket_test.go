package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	testKey    = "AKTESTBLOB"
	testSecret = "nothing-that-is-" + "kept"
	// testServer is the server that speaks S3, and how it is had.
	testServer  = "versitygw"
	testInstall = "go install github.com/versity/versitygw/cmd/versitygw@latest"
)

func testEnv(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": testKey, "AWS_SECRET_ACCESS_KEY": testSecret, "HAECHI_KEYS": testKey + ":" + testSecret}[name]
}

// gateway is a server that speaks S3, with the bucket haechi: its address, and its folder.
func gateway(t *testing.T) (address, dir string) {
	t.Helper()
	program, err := exec.LookPath(testServer)
	if err != nil {
		out, _ := exec.Command("go", "env", "GOPATH").Output()
		if program, err = exec.LookPath(filepath.Join(strings.TrimSpace(string(out)), "bin", testServer)); err != nil {
			t.Skip("no server that speaks S3: ", testInstall)
		}
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "haechi"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	var said bytes.Buffer
	c := exec.Command(program, "--quiet", "--access", testKey, "--secret", testSecret, "--port", address, "--virtual-domain", "s3.test", "posix", dir)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	for range 200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address, dir
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer: %s", testServer, &said)
	return "", ""
}

func dialer(t testing.TB) *outbound.Dialer {
	t.Helper()
	d, err := outbound.New(outbound.Config{Allow: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func bucket(t testing.TB, address string, changes ...func(*blob.BucketConfig)) *blob.Bucket {
	t.Helper()
	c := blob.BucketConfig{Address: "s3://haechi/kept?endpoint=http://" + address, Dialer: dialer(t), Folder: t.TempDir(), Getenv: testEnv, Wait: time.Millisecond, Part: 5 << 20}
	for _, change := range changes {
		change(&c)
	}
	b, err := blob.OpenBucket(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noise(size int) string {
	text := make([]byte, size)
	rand.Read(text)
	return string(text)
}

func content(t *testing.T, s blob.Store, digest string) string {
	t.Helper()
	file, err := s.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whatever a store is, it keeps what it is given under its digest, refuses what
// is too large, finds what it has and nothing else, and sweeps what nobody wants.
func TestStores(t *testing.T) {
	t.Run("folder", func(t *testing.T) { prove(t, open(t)) })
	t.Run("bucket", func(t *testing.T) {
		address, _ := gateway(t)
		prove(t, bucket(t, address))
	})
}

func prove(t *testing.T, s blob.Store) {
	ctx := t.Context()
	large := noise(12<<20 + 3) // three parts
	for _, text := range []string{"", "hello", large, "hello"} {
		info, err := s.Put(ctx, strings.NewReader(text), 20<<20)
		if err != nil || info.Digest != digestOf(text) || info.Size != int64(len(text)) {
			t.Fatalf("%+v, %v", info, err)
		}
		if got := content(t, s, info.Digest); got != text {
			t.Errorf("%d bytes of %d come back", len(got), len(text))
		}
	}
	file, err := s.Open(ctx, digestOf(large))
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 10)
	if _, err := file.ReadAt(part, 11<<20); err != nil || string(part) != large[11<<20:11<<20+10] {
		t.Errorf("in the middle: %v", err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != int64(len(large)) {
		t.Errorf("%v, %v", info, err)
	}
	file.Close()
	if _, err := s.Put(ctx, strings.NewReader("hello"), 4); !errors.Is(err, fault.Limit) {
		t.Errorf("too large: %v", err)
	}
	if _, err := s.Put(ctx, io.MultiReader(strings.NewReader("cut"), iotestErr{}), 100); err == nil {
		t.Error("what was cut off is kept")
	}
	if _, err := s.Open(ctx, digestOf("cut")); !errors.Is(err, fault.NotFound) {
		t.Errorf("what was cut off: %v", err)
	}
	if _, err := s.Open(ctx, "sha256:../../etc/passwd"); !errors.Is(err, fault.Invalid) {
		t.Errorf("no digest: %v", err)
	}
	keep := func(d string) (bool, error) { return d == digestOf("hello"), nil }
	if freed, err := s.Sweep(ctx, time.Now().Add(-time.Hour), keep); err != nil || freed != 0 {
		t.Errorf("young: %d, %v", freed, err)
	}
}

// A sweep of a bucket goes by the bucket's clock, spares what is wanted and what
// is young, and looks at what it is told to.
func TestBucketSweeps(t *testing.T) {
	address, dir := gateway(t)
	b, ctx := bucket(t, address), t.Context()
	for _, text := range []string{"wanted", "old", "older", "young"} {
		if _, err := b.Put(ctx, strings.NewReader(text), 100); err != nil {
			t.Fatal(err)
		}
		if text != "young" {
			age(t, dir, text, 3*time.Hour)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "haechi", "kept", "sha256", "somebody-elses"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	keep := func(d string) (bool, error) { asked[d] = true; return d == digestOf("wanted"), nil }
	if freed, err := b.Sweep(ctx, time.Now().Add(-time.Hour), keep, digestOf("older"), digestOf("never put")); err != nil || freed != 5 || len(asked) != 1 {
		t.Errorf("of two: %d, %v, %v", freed, err, asked)
	}
	// Even a sweep that wants everything gone leaves what another server has put just now and not written down yet.
	if freed, err := b.Sweep(ctx, time.Now().Add(time.Hour), keep); err != nil || freed != 3 {
		t.Errorf("of all: %d, %v", freed, err)
	}
	for text, there := range map[string]bool{"wanted": true, "young": true, "old": false, "older": false} {
		file, err := b.Open(ctx, digestOf(text))
		if err == nil {
			file.Close()
		}
		if there != (err == nil) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "haechi", "kept", "sha256", "somebody-elses")); err != nil {
		t.Error(err)
	}
}

// age makes a file older than it is, behind the server's back.
func age(t *testing.T, dir, text string, by time.Duration) {
	t.Helper()
	hash := strings.TrimPrefix(digestOf(text), "sha256:")
	at := time.Now().Add(-by)
	if err := os.Chtimes(filepath.Join(dir, "haechi", "kept", "sha256", hash[:2], hash), at, at); err != nil {
		t.Fatal(err)
	}
}

// What was put again within minutes is not sent again; what is older is, so that no sweep takes it.
func TestBucketPutsAgain(t *testing.T) {
	address, dir := gateway(t)
	var puts atomic.Int64
	front := between(t, address, func(r *http.Request) int {
		if r.Method == http.MethodPut {
			puts.Add(1)
		}
		return 0
	})
	b := bucket(t, front)
	put := func() {
		t.Helper()
		if _, err := b.Put(t.Context(), strings.NewReader("again"), 100); err != nil {
			t.Fatal(err)
		}
	}
	put()
	put()
	if n := puts.Load(); n != 1 {
		t.Errorf("sent %d times, want once", n)
	}
	age(t, dir, "again", time.Hour)
	put()
	if n := puts.Load(); n != 2 {
		t.Errorf("sent %d times, want twice", n)
	}
}

// between is a way to the server that answers some calls itself, and cuts others off (-1).
func between(t *testing.T, address string, judge func(*http.Request) int) string {
	t.Helper()
	to := &url.URL{Scheme: "http", Host: address}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch status := judge(r); {
		case status < 0: // as a server that dies in the middle of its answer
			w.Header().Set("Content-Length", "1000000")
			w.WriteHeader(http.StatusOK)
			w.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		case status > 0:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>said\nso</Message></Error>", map[int]string{503: "SlowDown", 500: "InternalError", 403: "AccessDenied", 301: "PermanentRedirect"}[status])
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	front.Config.ErrorLog = nil
	t.Cleanup(front.Close)
	return front.Listener.Addr().String()
}

// A server that is busy, falls over or hangs up is asked again, and everything comes and goes whole.
func TestBucketTriesAgain(t *testing.T) {
	address, _ := gateway(t)
	var n atomic.Int64
	front := between(t, address, func(r *http.Request) int {
		switch n.Add(1) % 5 {
		case 1:
			return 503
		case 3:
			if r.Method == http.MethodGet {
				return -1
			}
			return 500
		}
		return 0
	})
	text := noise(17 << 20)
	b := bucket(t, front)
	info, err := b.Put(t.Context(), strings.NewReader(text), 20<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, b, info.Digest); got != text {
		t.Errorf("%d bytes of %d come back", len(got), len(text))
	}
}

// An upload that fails in the middle leaves nothing, neither a file nor its parts.
func TestBucketAborts(t *testing.T) {
	address, dir := gateway(t)
	front := between(t, address, func(r *http.Request) int {
		if r.URL.Query().Get("partNumber") == "3" {
			return 403
		}
		return 0
	})
	text := noise(12 << 20)
	_, err := bucket(t, front).Put(t.Context(), strings.NewReader(text), 20<<20)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "AccessDenied: said so") || !strings.Contains(err.Error(), "needs s3:PutObject and s3:AbortMultipartUpload on arn:aws:s3:::haechi/kept/*") {
		t.Errorf("%v", err)
	}
	if strings.Contains(fmt.Sprint(err), testSecret) {
		t.Errorf("the secret is in %v", err)
	}
	if _, err := bucket(t, address).Open(t.Context(), digestOf(text)); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	if left := parts(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// parts are what the server keeps of uploads that have not ended.
func parts(dir string) (all []string) {
	filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && strings.Contains(name, "multipart") {
			all = append(all, name)
		}
		return nil
	})
	return all
}

// A file that was changed in the bucket is not read.
func TestBucketChecks(t *testing.T) {
	address, dir := gateway(t)
	b := bucket(t, address)
	info, err := b.Put(t.Context(), strings.NewReader("hello"), 100)
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.TrimPrefix(info.Digest, "sha256:")
	if err := os.WriteFile(filepath.Join(dir, "haechi", "kept", "sha256", hash[:2], hash), []byte("hullo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), info.Digest); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "s3://haechi/kept/") {
		t.Errorf("%v", err)
	}
}

// What is wrong with a bucket is said at the start, with what to do.
func TestBucketRefuses(t *testing.T) {
	address, _ := gateway(t)
	for name, test := range map[string]struct {
		change func(*blob.BucketConfig)
		want   string
	}{
		"bucket": {func(c *blob.BucketConfig) { c.Address = "s3://other?endpoint=http://" + address }, "make the bucket"},
		"secret": {func(c *blob.BucketConfig) {
			c.Getenv = func(n string) string { return strings.Replace(testEnv(n), "nothing", "x", 1) }
		}, "credentials that blobs"},
		"moved": {func(c *blob.BucketConfig) {
			c.Address = "s3://haechi?endpoint=http://" + between(t, address, func(*http.Request) int { return 301 })
		}, "region and endpoint"},
		"clock": {func(c *blob.BucketConfig) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } }, "clock"},
	} {
		t.Run(name, func(t *testing.T) {
			err := bucket(t, address, test.change).Check(t.Context())
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), testSecret) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if err := bucket(t, address).Check(t.Context()); err != nil {
		t.Error(err)
	}
	d, err := outbound.New(outbound.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.OpenBucket(blob.BucketConfig{Address: "s3://haechi?endpoint=http://" + address, Dialer: d, Folder: t.TempDir(), Getenv: testEnv}); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "outbound.allow") {
		t.Errorf("a private address: %v", err)
	}
}

// A bucket is called by its name in the host, too, as AWS wants it.
func TestBucketInHost(t *testing.T) {
	address, _ := gateway(t)
	_, port, _ := net.SplitHostPort(address)
	d, err := outbound.New(outbound.Config{Allow: []string{"127.0.0.0/8"}, Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go answerNames(theirs)
		return ours, nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	b := bucket(t, address, func(c *blob.BucketConfig) {
		c.Address, c.Dialer = "s3://haechi/a/b?style=host&credentials=env:HAECHI_KEYS&endpoint=http://s3.test:"+port, d
	})
	info, err := b.Put(t.Context(), strings.NewReader("hello"), 100)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, b, info.Digest); got != "hello" {
		t.Errorf("%q", got)
	}
}

// answerNames answers every question for a name with 127.0.0.1.
func answerNames(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := 12
		for q[end] != 0 {
			end += 1 + int(q[end])
		}
		reply := append([]byte{q[0], q[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end+5]...)
		if q[end+2] == 1 {
			reply[7] = 1
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
		}
		if _, err := c.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...)); err != nil {
			return
		}
	}
}

// Killed at any moment of its uploads, what a server was told is kept is there,
// what is there is whole, and a file that was half sent is not seen.
func TestBucketKilled(t *testing.T) {
	address, _ := gateway(t)
	for i := range 4 {
		var said bytes.Buffer
		c := exec.Command(os.Args[0])
		c.Env, c.Stdout = append(os.Environ(), "BLOB_TEST_PUT="+t.TempDir(), "BLOB_TEST_BUCKET="+address), &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(250+77*i) * time.Millisecond)
		c.Process.Kill()
		c.Wait()
		b := bucket(t, address)
		for _, digest := range strings.Fields(said.String()) {
			if content(t, b, digest) == "" {
				t.Error("empty")
			}
		}
		var there sync.Map
		if _, err := b.Sweep(t.Context(), time.Now().Add(-time.Hour), func(string) (bool, error) { return true, nil }); err != nil {
			t.Error(err)
		}
		for _, digest := range list(t, address) {
			there.Store(digest, true)
			content(t, b, digest) // whole, or this fails
		}
		for _, digest := range strings.Fields(said.String()) {
			if _, ok := there.Load(digest); !ok {
				t.Errorf("%s was kept, and is not listed", digest)
			}
		}
	}
}

// list are the digests that the server lists.
func list(t *testing.T, address string) (all []string) {
	t.Helper()
	if err := blob.EachInBucket(t.Context(), bucket(t, address), func(digest string) { all = append(all, digest) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Addresses are read strictly, and say nothing of keys.
func TestBucketAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"s3://b-1":                                     "https://b-1.s3.us-east-1.amazonaws.com/ ",
		"s3://b-1/p?region=eu-west-1":                  "https://b-1.s3.eu-west-1.amazonaws.com/ p/",
		"s3://b.1/p/q/?region=eu-west-1":               "https://s3.eu-west-1.amazonaws.com/b.1/ p/q/",
		"s3://b-1?endpoint=https://minio.example:9000": "https://minio.example:9000/b-1/ ",
		"s3://b-1?endpoint=https://s.example/&style=host&credentials=file:/k": "https://b-1.s.example/ ",
		"s3://B":                           "no name of a bucket",
		"s3://key:hush@bucket":             "keys do not stand in an address",
		"s3://bucket?secret=hush":          `"secret" stands once among`,
		"s3://bucket?region=a&region=b":    "stands once",
		"s3://bucket?credentials=AKX:hush": "env:NAME or file:PATH",
		"s3://bucket?endpoint=ftp://h":     "an endpoint is https://HOST",
		"s3://bucket?endpoint=http://h/p":  "an endpoint is https://HOST",
		"s3://bucket?style=sideways":       "style is path or host",
		"s3://bucket/a/../b":               "the prefix has",
		"s3://bucket/a%00":                 "the prefix has",
		"s3://bu cket:hush@x":              "no URL",
		"http://bucket":                    "begins with s3://",
	} {
		got, err := blob.Address(address)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "hush") {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// Whatever a server answers, reading it ends, and what is listed that is not ours is not touched.
func FuzzAnswers(f *testing.F) {
	f.Add("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken><Contents><Key>kept/sha256/aa/b</Key><LastModified>2026-01-02T03:04:05Z</LastModified></Contents></ListBucketResult>")
	f.Add("<Error><Code>SlowDown</Code><Message>m</Message></Error>")
	f.Add("<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>x</Initiated></Upload></ListMultipartUploadsResult>")
	f.Fuzz(func(_ *testing.T, text string) { blob.ReadAnswers([]byte(text)) })
}

// Whatever stands in haechi.yaml, an address that is taken leads to its own bucket.
func FuzzAddress(f *testing.F) {
	f.Add("s3://bucket/prefix?region=eu-west-1&endpoint=https://h:1&style=host&credentials=env:X")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := blob.Address(text)
		if err == nil && !strings.HasPrefix(got, "http") {
			t.Errorf("%q leads to %q", text, got)
		}
	})
}
