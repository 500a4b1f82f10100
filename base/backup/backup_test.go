package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/backup"
	"github.com/haechi-dev/haechi/word/fault"
)

func fill(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(file, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func list(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			all[name+"/"] = ""
			return nil
		}
		text, err := os.ReadFile(filepath.Join(folder, name))
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func source(t *testing.T) backup.Source {
	return backup.Source{
		Folder: fill(t, map[string]string{"state.db": "in use", "lock": "", "journal/1": "records", "repos/a.git/HEAD": "ref", "repos/a.git/objects/ab/cd": "object", "repos/a.git/refs/heads/": ""}),
		About:  backup.About{Version: "test", Time: time.Unix(1_700_000_000, 0).UTC(), State: "state.db"},
		State:  filepath.Join(fill(t, map[string]string{"copy": "a copy"}), "copy"),
		Skip:   func(name string) bool { return name == "lock" || strings.HasPrefix(name, "state.db") },
		Late:   func(name string) bool { return strings.HasSuffix(name, "/objects") },
	}
}

// A folder comes back as it was, its database as the copy was; what was to stay out is not in it.
func TestRoundTrip(t *testing.T) {
	var file bytes.Buffer
	wrote, err := backup.Write(&file, source(t))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "new", "data")
	about, _, err := backup.Restore(&file, folder)
	if err != nil || about.Version != "test" || wrote.Files != 6 {
		t.Fatalf("%+v %+v %v", about, wrote, err)
	}
	want := map[string]string{"state.db": "a copy", "journal/": "", "journal/1": "records", "repos/": "", "repos/a.git/": "", "repos/a.git/HEAD": "ref", "repos/a.git/objects/": "",
		"repos/a.git/objects/ab/": "", "repos/a.git/objects/ab/cd": "object", "repos/a.git/refs/": "", "repos/a.git/refs/heads/": ""}
	if diff := cmp.Diff(want, list(t, folder)); diff != "" {
		t.Error(diff)
	}
}

// What other things refer to is packed after them.
func TestLate(t *testing.T) {
	var file bytes.Buffer
	if _, err := backup.Write(&file, source(t)); err != nil {
		t.Fatal(err)
	}
	names := entries(t, file.Bytes())
	at := func(name string) int {
		for i, h := range names {
			if h.header.Name == name {
				return i
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
	if at("repos/a.git/objects/ab/cd") < at("repos/a.git/HEAD") || at("backup.json") != 0 || at("SHA256SUMS") != len(names)-1 {
		t.Errorf("wrong order")
	}
}

type entry struct {
	header *tar.Header
	text   string
}

func entries(t *testing.T, file []byte) (all []entry) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{h, string(text)})
	}
}

func pack(t *testing.T, all []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range all {
		e.header.Size = int64(len(e.text))
		if err := w.WriteHeader(e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
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

// A backup that was cut, changed or made to do harm is refused, and leaves nothing behind.
func TestRefused(t *testing.T) {
	var whole bytes.Buffer
	if _, err := backup.Write(&whole, source(t)); err != nil {
		t.Fatal(err)
	}
	changed := func(change func([]entry) []entry) []byte { return pack(t, change(entries(t, whole.Bytes()))) }
	add := func(h tar.Header, text string) []byte {
		return changed(func(all []entry) []entry { return append(all[:1:1], append([]entry{{&h, text}}, all[1:]...)...) })
	}
	for name, file := range map[string][]byte{
		"nothing":           nil,
		"something else":    []byte("PK\x03\x04"),
		"cut":               whole.Bytes()[:whole.Len()/2],
		"without its end":   changed(func(all []entry) []entry { return all[:len(all)-1] }),
		"without a file":    changed(func(all []entry) []entry { return append(all[:3:3], all[4:]...) }),
		"without its start": changed(func(all []entry) []entry { return all[1:] }),
		"a changed file":    changed(func(all []entry) []entry { all[1].text = "another copy"; return all }),
		"a file too many":   add(tar.Header{Typeflag: tar.TypeReg, Name: "extra", Mode: 0o600}, "x"),
		"a file twice":      add(tar.Header{Typeflag: tar.TypeReg, Name: "journal/1", Mode: 0o600}, "x"),
		"a path upwards":    add(tar.Header{Typeflag: tar.TypeReg, Name: "../escaped", Mode: 0o600}, "x"),
		"a path in between": add(tar.Header{Typeflag: tar.TypeReg, Name: "a/../../escaped", Mode: 0o600}, "x"),
		"an absolute path":  add(tar.Header{Typeflag: tar.TypeReg, Name: "/escaped", Mode: 0o600}, "x"),
		"a link":            add(tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc", Mode: 0o777}, ""),
		"a bomb":            add(tar.Header{Typeflag: tar.TypeReg, Name: "bomb", Mode: 0o600}, strings.Repeat("\x00", 100<<20)),
		"another form of it": changed(func(all []entry) []entry {
			all[0].text = strings.Replace(all[0].text, `"form":1`, `"form":2`, 1)
			return all
		}),
	} {
		parent := t.TempDir()
		folder := filepath.Join(parent, "data")
		_, _, err := backup.Restore(bytes.NewReader(file), folder)
		if fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
		if left := list(t, parent); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
	folder := fill(t, map[string]string{"mine": "x"})
	if _, _, err := backup.Restore(bytes.NewReader(whole.Bytes()), folder); fault.Of(err) != fault.Exists || !strings.Contains(err.Error(), "mine") {
		t.Errorf("into a folder in use: %v", err)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte("\x1f\x8b"))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "backup.json", Size: 10})
	_, _ = io.WriteString(w, `{"form":1}`)
	_ = w.Close()
	_ = z.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		parent := t.TempDir()
		if _, _, err := backup.Restore(bytes.NewReader(file), filepath.Join(parent, "data")); err == nil {
			return
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
	})
}
