package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/word/fault"
)

// The test binary is also the process that is killed while it puts files.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BLOB_TEST_PUT"); dir != "" {
		putForEver(dir, os.Getenv("BLOB_TEST_BUCKET"))
	}
	os.Exit(m.Run())
}

func putForEver(dir, bucket string) {
	var s blob.Store
	s, err := blob.Open(dir)
	size := 300 << 10
	if bucket != "" {
		size = 11 << 20
		var d *outbound.Dialer
		if d, err = outbound.New(outbound.Config{Allow: []string{"127.0.0.0/8"}}); err == nil {
			s, err = blob.OpenBucket(blob.BucketConfig{Address: "s3://haechi/kept?endpoint=http://" + bucket, Dialer: d, Folder: dir, Getenv: testEnv, Part: 5 << 20})
		}
	}
	if err != nil {
		panic(err)
	}
	for {
		text := make([]byte, size)
		rand.Read(text)
		info, err := s.Put(context.Background(), bytes.NewReader(text), 20<<20)
		if err != nil {
			panic(err)
		}
		fmt.Println(info.Digest)
	}
}

func open(t *testing.T) *blob.Folder {
	t.Helper()
	f, err := blob.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A file is kept once under the digest of its bytes, read back as it was, listed and deleted.
func TestKeepsByDigest(t *testing.T) {
	f, ctx := open(t), t.Context()
	for range 2 {
		info, err := f.Put(ctx, strings.NewReader("hello"), 5)
		if err != nil || info.Digest != digestOf("hello") || info.Size != 5 {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	file, err := f.Open(ctx, digestOf("hello"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(file)
	file.Close()
	if err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := f.Stat(ctx, digestOf("hello")); err != nil || info.Size != 5 {
		t.Errorf("%+v, %v", info, err)
	}
	n := 0
	if err := f.Each(ctx, func(blob.Info) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d files, %v", n, err)
	}
	for range 2 {
		if err := f.Delete(ctx, digestOf("hello")); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Open(ctx, digestOf("hello")); !errors.Is(err, fault.NotFound) {
		t.Errorf("after deleting: %v", err)
	}
}

// What is too long, cut off or named by no digest is refused, and leaves nothing.
func TestRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	f, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(t.Context(), strings.NewReader("hello!"), 5); !errors.Is(err, fault.Limit) {
		t.Errorf("too long: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("he"), iotestErr{})
	if _, err := f.Put(t.Context(), broken, 5); err == nil {
		t.Error("a reader that failed was kept")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Put(gone, strings.NewReader("x"), 5); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, bad := range []string{"", "sha256:", "../../etc/passwd", "sha256:" + strings.Repeat("../", 21) + "x", "sha256:" + strings.Repeat("A", 64)} {
		if _, err := f.Open(t.Context(), bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
		if err := f.Delete(t.Context(), bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "incoming", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("cut off") }

// What was changed on disk is told.
func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	f, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Put(t.Context(), strings.NewReader("hello"), 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(t.Context(), info.Digest); err != nil {
		t.Error(err)
	}
	hash := strings.TrimPrefix(info.Digest, "sha256:")
	path := filepath.Join(dir, "sha256", hash[:2], hash)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("hullo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(t.Context(), info.Digest); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
}

// A sweep takes what is old and unwanted, and no file that was put again.
func TestSweep(t *testing.T) {
	f, ctx := open(t), t.Context()
	for _, text := range []string{"wanted", "not wanted"} {
		if _, err := f.Put(ctx, strings.NewReader(text), 100); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(d string) (bool, error) { return d == digestOf("wanted"), nil }
	if freed, err := f.Sweep(ctx, time.Now().Add(-time.Hour), keep); err != nil || freed != 0 {
		t.Errorf("young: %d, %v", freed, err)
	}
	if freed, err := f.Sweep(ctx, time.Now().Add(time.Hour), keep); err != nil || freed != 10 {
		t.Errorf("old: %d, %v", freed, err)
	}
	if _, err := f.Stat(ctx, digestOf("wanted")); err != nil {
		t.Error(err)
	}
}

// Many put the same and other files at once, also while the folder is opened anew.
func TestManyAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 10 {
				f, err := blob.Open(dir)
				if err != nil {
					t.Error(err)
					return
				}
				text := fmt.Sprint("file ", (i+j)%5)
				info, err := f.Put(t.Context(), strings.NewReader(text), 100)
				if err != nil || info.Digest != digestOf(text) {
					t.Errorf("%+v, %v", info, err)
				}
				if err := f.Check(t.Context(), info.Digest); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// Killed at any moment, what Put had answered is there and whole, what is there
// is whole, and nothing half written stays.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	for i := range 5 {
		var said bytes.Buffer
		c := exec.Command(os.Args[0])
		c.Env, c.Stdout = append(os.Environ(), "BLOB_TEST_PUT="+dir), &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+17*i) * time.Millisecond)
		c.Process.Kill()
		c.Wait()
		f, err := blob.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(said.String(), "\n")
		for _, digest := range lines[:len(lines)-1] {
			if err := f.Check(t.Context(), digest); err != nil {
				t.Errorf("acknowledged, and then: %v", err)
			}
		}
		if err := f.Each(t.Context(), func(i blob.Info) error { return f.Check(t.Context(), i.Digest) }); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "incoming", "*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
