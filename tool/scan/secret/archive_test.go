package secret_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

func zipped(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func scanned(t testing.TB, files map[string][]byte) scan.Run {
	t.Helper()
	tree := fstest.MapFS{}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: content}
	}
	r, err := scan.Tree(context.Background(), tree, scan.Options{Scanners: []scan.Scanner{secret.New(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Runs[0]
}

// Secrets in archives, and archives in these, are found at the place in them.
func TestArchives(t *testing.T) {
	env := func(seed uint64) string { return "A=1\nAPI_TOKEN=" + random(seed, 40) + "\n" }
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	fmt.Fprint(z, env(1))
	z.Close()
	run := scanned(t, map[string][]byte{
		"logs/a.env.gz": gz.Bytes(), "lib/b.jar": zipped(t, map[string]string{"conf/app.env": env(2), "A.class": "\x00" + env(9)}), "c.tgz": tarred(t, map[string]string{"../../etc/c.env": env(3)}),
		"d.zip": zipped(t, map[string]string{"inner/e.tar.gz": string(tarred(t, map[string]string{"app.env": env(4)}))}),
	})
	var places []string
	for _, f := range run.Findings {
		places = append(places, f.Place().String())
	}
	for _, want := range []string{"logs/a.env.gz!/a.env:2", "lib/b.jar!/conf/app.env:2", "c.tgz!/etc/c.env:2", "d.zip!/inner/e.tar.gz!/app.env:2"} {
		if !strings.Contains(strings.Join(places, " "), want) {
			t.Errorf("nothing at %s, but at %q", want, places)
		}
	}
	if len(places) != 4 || !run.Scan.Complete {
		t.Errorf("%q, %+v", places, run.Scan)
	}
}

// An archive that unpacks to more than it may, is broken, encrypted or nested
// without end costs itself alone, and the scan says that it saw a part.
func TestArchiveBombs(t *testing.T) {
	large := strings.Repeat("\x00", 15<<20)
	bomb := map[string]string{}
	for i := range 18 {
		bomb[fmt.Sprint(i, ".txt")] = large
	}
	nested := zipped(t, map[string]string{"a.env": "x"})
	for range 6 {
		nested = zipped(t, map[string]string{"a.zip": string(nested)})
	}
	many := map[string]string{}
	for i := range 50_010 {
		many[fmt.Sprint(i)] = ""
	}
	broken := tarred(t, map[string]string{"a.env": large})
	for name, content := range map[string][]byte{"bomb.zip": zipped(t, bomb), "bomb.tgz": tarred(t, bomb), "nested.zip": nested, "many.tgz": tarred(t, many), "half.tgz": broken[:len(broken)/2], "none.zip": []byte("PK\x03\x04"), "none.gz": []byte("x")} {
		start := time.Now()
		run := scanned(t, map[string][]byte{name: content, "app.env": []byte("API_TOKEN=" + random(1, 40) + "\n")})
		if len(run.Findings) != 1 || run.Scan.Complete || len(run.Scan.Skipped) == 0 {
			t.Errorf("%s: %d findings, %+v", name, len(run.Findings), run.Scan)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// Whatever an archive holds, unpacking it ends and shows no more than it may.
func FuzzUnpack(f *testing.F) {
	f.Add("a.zip", zipped(f, map[string]string{"a.env": "x=1", "b/c.zip": "PK"}))
	f.Add("a.tgz", tarred(f, map[string]string{"a.env": "x=1"}))
	f.Add("a.gz", []byte{0x1f, 0x8b})
	f.Add("a.tar", []byte(strings.Repeat("\x00", 1024)))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		n := 0
		_ = secret.Unpack(name, content, func(path string, content []byte) {
			if n += len(content); !strings.Contains(path, "!/") || n > 600<<20 {
				t.Errorf("%q, %d bytes", path, n)
			}
		})
	})
}
