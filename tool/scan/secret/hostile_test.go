package secret_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf16"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// Folders that link to themselves, files that nobody may read, and what is no
// text cost themselves alone; the rest is looked at, and what was not is named.
func TestHostileTree(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := "API_TOKEN=" + random(31, 40) + "\n"
	write("a/app.env", env)
	write("a/program", "\x7fELF\x00"+env)
	write("a/closed.env", env)
	for link, to := range map[string]string{"loop": ".", "a/up": "..", "a/self": "self", "a/gone": "nowhere", "outside": "/etc"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "a/closed.env"), 0); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r, err := scan.Tree(context.Background(), os.DirFS(dir), scan.Options{Scanners: []scan.Scanner{secret.New(nil)}})
	if err != nil || len(r.Runs[0].Findings) != 1 || time.Since(start) > 5*time.Second {
		t.Errorf("%v, %d findings in %v", err, len(r.Runs[0].Findings), time.Since(start))
	}
	if s := r.Runs[0].Scan; os.Getuid() != 0 && (s.Complete || len(s.Skipped) != 1) {
		t.Errorf("a file that nobody may read is not told of: %+v", s)
	}
}

// A line without end, and text in other encodings or in none, is looked at.
func TestHostileText(t *testing.T) {
	env := "API_TOKEN=" + random(32, 40)
	var wide bytes.Buffer
	wide.Write([]byte{0xff, 0xfe})
	for _, u := range utf16.Encode([]rune("한글=값\n" + env + "\n")) {
		wide.Write([]byte{byte(u), byte(u >> 8)})
	}
	for name, text := range map[string]string{
		"one line":  strings.Repeat("lorem ipsum ", 4<<20/12) + env + " " + strings.Repeat("dolor sit ", 4<<20/10),
		"no spaces": strings.Repeat("abcdefghij", 4<<20/10) + " " + env,
		"Latin-1":   "# f\xfcr die T\xfcr\n" + env,
		"broken":    "\xc3\x28\xa0\xa1\xe2\x28\xa1\n" + env + "\n\xf0\x28",
		"UTF-16":    wide.String(),
		"returns":   "A=1\r" + env + "\rB=2",
	} {
		start := time.Now()
		r, err := scan.Tree(context.Background(), fstest.MapFS{"app.env": {Data: []byte(text)}}, scan.Options{Scanners: []scan.Scanner{secret.New(nil)}})
		if err != nil || len(r.Runs[0].Findings) != 1 {
			t.Errorf("%s: %d findings, %v", name, len(r.Runs[0].Findings), err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// What is larger than a file may be is not looked at, and the scan says so.
func TestHostileSize(t *testing.T) {
	tree := fstest.MapFS{"huge.log": {Data: bytes.Repeat([]byte("a"), 2<<20)}, "app.env": {Data: []byte("API_TOKEN=" + random(33, 40))}}
	r, err := scan.Tree(context.Background(), tree, scan.Options{Scanners: []scan.Scanner{secret.New(nil)}, MaxFile: 1 << 20})
	if err != nil || len(r.Runs[0].Findings) != 1 {
		t.Fatalf("%d findings, %v", len(r.Runs[0].Findings), err)
	}
	if s := r.Runs[0].Scan; s.Complete || len(s.Skipped) != 1 || !strings.Contains(s.Skipped[0].Why, "larger than a file may be") {
		t.Errorf("%+v", s)
	}
}

// Text that is made to be read again and again is read once: 256 KB of it cost no more than other text.
func TestHostileRepetition(t *testing.T) {
	s := secret.New(nil)
	for name, part := range map[string]string{"commands": "curl -u a ", "names": "pass x ", "assignments": "pass" + "word=", "calls": "auth=(a,", "objects": `{"pass` + `word":"`, "escapes": "%2fab", "echoes": "echo a | docker login --password-stdin "} {
		text := []byte(strings.Repeat(part, (1<<18)/len(part)))
		for _, path := range []string{"a.env", "a.py"} {
			start := time.Now()
			s.Check(path, text)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%s in %s took %v", name, path, took)
			}
		}
	}
}
