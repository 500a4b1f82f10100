package rootfs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/rootfs"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/tool/scan/image/imagetest"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	if len(os.Args) == 3 && os.Args[1] == "unpack" { // what TestKilled kills
		s, err := rootfs.Open(rootfs.Config{Dir: os.Getenv("STORE")})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := s.File(context.Background(), os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

func open(t testing.TB, c rootfs.Config) *rootfs.Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "images")
	}
	s, err := rootfs.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listing is what a folder holds: kind, mode and content of each, as lines.
func listing(t testing.TB, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() + " " + rel
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			line += " " + string(text)
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			line += " → " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// layered has all that layers can do to each other, and some of what they should not.
func layered() imagetest.Image {
	return imagetest.Image{Name: "build:1", Config: map[string]any{"Env": []string{"PATH=/bin:/opt"}, "User": "app", "Entrypoint": []string{"/bin/tool"}}, Layers: []imagetest.Layer{
		{Packed: "gzip", Entries: []imagetest.Entry{
			{Name: "bin/tool", Body: "v1", Mode: 0o4755}, {Name: "etc/gone", Body: "x"}, {Name: "opaque/old", Body: "x"}, {Name: "opaque/deep/old", Body: "x"},
			{Name: "private/", Mode: 0o700}, {Name: "private/file", Body: "p", Mode: 0o600},
		}},
		{Packed: "zstd", Entries: []imagetest.Entry{
			{Name: "bin/tool", Body: "v2", Mode: 0o6750}, {Name: "bin/again", Type: tar.TypeLink, Link: "bin/tool"}, {Name: "etc/.wh.gone"},
			{Name: "opaque/.wh..wh..opq"}, {Name: "opaque/new", Body: "n"}, {Name: "out", Type: tar.TypeSymlink, Link: "../../../../etc"}, {Name: "abs", Type: tar.TypeSymlink, Link: "/etc/passwd"},
			{Name: "dev/sda", Type: tar.TypeBlock, Major: 8}, {Name: "dev/pipe", Type: tar.TypeFifo}, {Name: "world", Body: "w", Mode: 0o777},
		}},
	}}
}

func layeredLines() []string {
	return []string{
		"drwxr-xr-x .", "Lrwxrwxrwx abs → /etc/passwd", "drwxr-xr-x bin", "-rwxr-xr-x bin/again v2", "-rwxr-xr-x bin/tool v2", "drwxr-xr-x dev", "drwxr-xr-x etc",
		"drwxr-xr-x opaque", "-rw-r--r-- opaque/new n", "Lrwxrwxrwx out → ../../../../etc", "drwxr-xr-x private", "-rw-r--r-- private/file p", "-rwxr-xr-x world w",
	}
}

// Layers are laid over each other as containers see them, from a folder, a tar
// and an archive of docker save: deleted files are gone, set-user bits and
// devices too, links lead wherever they lead and are not followed.
func TestUnpack(t *testing.T) {
	img := layered()
	for name, file := range map[string]string{
		"folder": imagetest.Layout(t, imagetest.Files(t, img)),
		"tar":    imagetest.Save(t, "layout.tar", imagetest.LayoutTar(t, imagetest.Files(t, img))),
		"docker": imagetest.Save(t, "saved.tar", img.Docker(t)),
	} {
		t.Run(name, func(t *testing.T) {
			root, err := open(t, rootfs.Config{}).File(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if diff := cmp.Diff(layeredLines(), listing(t, root.Path)); diff != "" {
				t.Error(diff)
			}
			if root.Name != "build:1" || root.User != "app" || !strings.HasPrefix(root.Digest, "sha256:") || !cmp.Equal(root.Env, []string{"PATH=/bin:/opt"}) || !cmp.Equal(root.Entrypoint, []string{"/bin/tool"}) {
				t.Errorf("%+v", root)
			}
			one, err1 := os.Stat(filepath.Join(root.Path, "bin/tool"))
			two, err2 := os.Stat(filepath.Join(root.Path, "bin/again"))
			if err1 != nil || err2 != nil || !os.SameFile(one, two) {
				t.Error("one file with two names became two")
			}
		})
	}
}

// What is not whole or not honest is no root: nothing of it stays.
func TestHostile(t *testing.T) {
	layer := func(entries ...imagetest.Entry) imagetest.Image {
		return imagetest.Image{Layers: []imagetest.Layer{{Entries: entries}}}
	}
	many := make([]imagetest.Entry, 300)
	for i := range many {
		many[i] = imagetest.Entry{Name: fmt.Sprintf("f%d", i)}
	}
	for name, c := range map[string]struct {
		image imagetest.Image
		want  error
	}{
		"a name that leads out":    {layer(imagetest.Entry{Name: "../../evil", Body: "x"}), fault.Invalid},
		"a link to nothing":        {layer(imagetest.Entry{Name: "a", Type: tar.TypeLink, Link: "../../etc/passwd"}), fault.Invalid},
		"a torn layer":             {imagetest.Image{Layers: []imagetest.Layer{{Raw: []byte("no tar at all, and long enough to be read as the head of one" + strings.Repeat("x", 600))}}}, fault.Invalid},
		"more files than allowed":  {layer(many...), fault.Invalid},
		"more bytes than allowed":  {layer(imagetest.Entry{Name: "big", Body: strings.Repeat("x", 3<<20)}), fault.Invalid},
		"files through a link":     {layer(imagetest.Entry{Name: "d", Type: tar.TypeSymlink, Link: "/tmp"}, imagetest.Entry{Name: "d/evil", Body: "x"}), nil},
		"more than all may, small": {layer(many[:200]...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "images")
			root, err := open(t, rootfs.Config{Dir: dir, Most: 2 << 20, Entries: 250}).File(t.Context(), imagetest.Layout(t, imagetest.Files(t, c.image)))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				root.Close()
				if info, err := os.Lstat(filepath.Join(root.Path, "d")); err == nil && !info.IsDir() {
					t.Error("a file was laid out through a link")
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// What lies here already is not unpacked again, and what was used longest ago makes room, unless somebody uses it.
func TestCache(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := rootfs.Config{Dir: filepath.Join(t.TempDir(), "images"), Most: 100 << 10, Now: func() time.Time { now = now.Add(time.Minute); return now }}
	s := open(t, c)
	file := func(body string) string {
		return imagetest.Layout(t, imagetest.Files(t, imagetest.Image{Layers: []imagetest.Layer{{Entries: []imagetest.Entry{{Name: "f", Body: strings.Repeat(body, 40<<10)}}}}}))
	}
	a, b, d := file("a"), file("b"), file("d")
	get := func(s *rootfs.Store, file string) *rootfs.Root {
		t.Helper()
		root, err := s.File(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	there := func(r *rootfs.Root) bool { _, err := os.Stat(filepath.Join(r.Path, "f")); return err == nil }
	first, second := get(s, a), get(s, b)
	if again := get(s, a); again.Path != first.Path {
		t.Error("the same image lies in two folders")
	} else {
		again.Close()
	}
	third := get(s, d) // there is no room, and all are used
	if !there(first) || !there(second) || !there(third) {
		t.Error("an image in use was removed")
	}
	for _, r := range []*rootfs.Root{first, second, third} {
		r.Close()
		r.Close()
	}
	s = open(t, c) // as after a restart
	get(s, a).Close()
	get(s, file("e")).Close()
	if !there(first) || there(second) || there(third) {
		t.Errorf("kept %t %t %t, want the one that was used last", there(first), there(second), there(third))
	}
}

// Many who want the same image at once get one.
func TestTogether(t *testing.T) {
	s := open(t, rootfs.Config{})
	file := imagetest.Layout(t, imagetest.Files(t, layered()))
	var all sync.WaitGroup
	var paths sync.Map
	for range 8 {
		all.Go(func() {
			root, err := s.File(t.Context(), file)
			if err != nil {
				t.Error(err)
				return
			}
			paths.Store(root.Path, true)
			root.Close()
		})
	}
	all.Wait()
	n := 0
	paths.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d folders", n)
	}
}

// An end in the middle, whenever it comes, leaves a whole image or none.
func TestKilled(t *testing.T) {
	var entries []imagetest.Entry
	for i := range 400 {
		entries = append(entries, imagetest.Entry{Name: fmt.Sprintf("d%d/f%d", i%20, i), Body: strings.Repeat(fmt.Sprint(i), 500)})
	}
	file := imagetest.Layout(t, imagetest.Files(t, imagetest.Image{Layers: []imagetest.Layer{{Entries: entries}}}))
	dir := filepath.Join(t.TempDir(), "images")
	for after := 5 * time.Millisecond; after < 60*time.Millisecond; after += 8 * time.Millisecond {
		cmd := exec.Command(os.Args[0], "unpack", file)
		cmd.Env = append(os.Environ(), "STORE="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s := open(t, rootfs.Config{Dir: dir})
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 1 {
			t.Fatalf("left %v, %v", left, err)
		}
		root, err := s.File(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(listing(t, root.Path)); n != 421 {
			t.Fatalf("%d files and folders, want 421", n)
		}
		root.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// An image of a registry is taken by its tag or its digest; one that is named by its digest is asked for once.
func TestPull(t *testing.T) {
	var calls atomic.Int64
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { calls.Add(1); real.ServeHTTP(w, r) }))
	defer server.Close()
	files := imagetest.Files(t, layered())
	host := strings.TrimPrefix(server.URL, "http://")
	digest := ""
	for name, content := range files {
		hash, ok := strings.CutPrefix(name, "blobs/sha256/")
		if !ok {
			continue
		}
		method, path, kind := http.MethodPost, "/v2/build/blobs/uploads/?digest=sha256:"+hash, "application/octet-stream"
		if bytes.Contains(content, []byte(`"layers"`)) && bytes.Contains(content, []byte(`"config"`)) && bytes.HasPrefix(content, []byte("{")) && bytes.Contains(content, []byte("mediaType")) {
			digest = "sha256:" + hash
			continue
		}
		send(t, method, server.URL+path, kind, content)
	}
	manifest := files["blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")]
	send(t, http.MethodPut, server.URL+"/v2/build/manifests/1", "application/vnd.oci.image.manifest.v1+json", manifest)
	s := open(t, rootfs.Config{})
	for _, reference := range []string{host + "/build:1", host + "/build@" + digest} {
		root, err := s.Pull(t.Context(), reference)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(layeredLines(), listing(t, root.Path)); diff != "" {
			t.Error(diff)
		}
		root.Close()
	}
	s = open(t, rootfs.Config{}) // an empty one
	pinned := host + "/build@" + digest
	for range 2 {
		root, err := s.Pull(t.Context(), pinned)
		if err != nil {
			t.Fatal(err)
		}
		root.Close()
		calls.Store(0)
	}
	if root, err := s.Pull(t.Context(), pinned); err != nil || calls.Load() != 0 {
		t.Errorf("%v, %d calls", err, calls.Load())
	} else {
		root.Close()
	}
	if _, err := s.Pull(t.Context(), host+"/nothing:1"); err == nil {
		t.Error("an image that is not there")
	}
}

func send(t *testing.T, method, address, kind string, content []byte) {
	t.Helper()
	r, err := http.NewRequest(method, address, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, address, answer.Status)
	}
}

// A step runs in an unpacked image: a program that lies nowhere else, and nothing of the machine.
func TestStepInImage(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "main.go")
	text := `package main
import ("fmt"; "os")
func main() {
	entries, _ := os.ReadDir("/")
	for _, e := range entries { fmt.Print(e.Name(), " ") }
	fmt.Println(os.WriteFile("/opt/x", nil, 0o600) != nil, os.WriteFile("/work/x", nil, 0o600) == nil, os.Getuid())
}
`
	if err := os.WriteFile(program, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "tool"), program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(dir, "tool"))
	if err != nil {
		t.Fatal(err)
	}
	img := imagetest.Image{Layers: []imagetest.Layer{{Packed: "gzip", Entries: []imagetest.Entry{{Name: "opt/tool", Body: string(binary), Mode: 0o755}}}}}
	root, err := open(t, rootfs.Config{}).File(t.Context(), imagetest.Layout(t, imagetest.Files(t, img)))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var out bytes.Buffer
	exit, err := sandbox.New(sandbox.Config{}).Run(t.Context(), sandbox.Step{Argv: []string{"/opt/tool"}, Work: t.TempDir(), Root: root.Path}, &out)
	if err != nil || exit != 0 || out.String() != "dev etc home opt proc tmp work true true 1000\n" {
		t.Errorf("%d %v %q", exit, err, out.String())
	}
}

// A whole build runs in an image that holds little more than a shell: its
// phases, variables and artifacts are those of any build.
func TestBuildInImage(t *testing.T) {
	entries := []imagetest.Entry{{Name: "etc/os-release", Body: "ID=tiny\n"}}
	files := []string{"/bin/sh", "/bin/cat"}
	for _, pattern := range []string{"/lib/*/libc.so.6", "/lib64/ld-linux-*", "/lib/ld-linux-*", "/lib/ld-musl-*"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Skip(err)
		}
		entries = append(entries, imagetest.Entry{Name: strings.TrimPrefix(f, "/"), Body: string(text), Mode: 0o755})
	}
	img := imagetest.Image{Layers: []imagetest.Layer{{Packed: "gzip", Entries: entries}}}
	root, err := open(t, rootfs.Config{}).File(t.Context(), imagetest.Layout(t, imagetest.Files(t, img)))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	spec, err := build.Parse("buildspec.yml", []byte("version: 0.2\nenv:\n  exported-variables: [OS]\nphases:\n  build:\n    commands:\n      - . /etc/os-release\n      - OS=$ID; export OS\n      - echo $OS > made\nartifacts:\n  files: [made]\n"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := build.Sources(dir); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	r, err := build.New(build.Config{Runner: sandbox.New(sandbox.Config{})}).Run(t.Context(), build.Plan{Spec: spec, Dir: dir, Out: t.TempDir(), Root: root.Path}, &said)
	if err != nil || r.Status != build.Succeeded || len(r.Exported) != 1 || r.Exported[0].Value != "tiny" || len(r.Artifacts) != 1 {
		t.Errorf("%+v, %v\n%s", r, err, said.String())
	}
}

// programs are programs of this machine with the libraries that they need, for an image.
func programs(t *testing.T, names ...string) (entries []imagetest.Entry) {
	t.Helper()
	seen := map[string]bool{}
	add := func(file, as string) {
		if seen[as] {
			return
		}
		seen[as] = true
		text, err := os.ReadFile(file)
		if err != nil {
			t.Skip(err)
		}
		entries = append(entries, imagetest.Entry{Name: strings.TrimPrefix(as, "/"), Body: string(text), Mode: 0o755})
	}
	for _, name := range names {
		file, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		add(file, "/usr/bin/"+name)
		out, err := exec.Command("ldd", file).Output()
		if err != nil {
			t.Skip("what a program needs is not known: ", err)
		}
		for _, word := range strings.Fields(string(out)) {
			if strings.HasPrefix(word, "/") {
				add(word, word)
			}
		}
	}
	return append(entries, imagetest.Entry{Name: "bin/sh", Type: tar.TypeSymlink, Link: "../usr/bin/sh"})
}

// An image whose files keep their owners and modes is a root's that finds them
// so, and whose they are in the image, theirs they are. Set-user bits are gone.
func TestOwned(t *testing.T) {
	s := sandbox.New(sandbox.Config{})
	dir := t.TempDir()
	if err := s.Ranges(t.Context(), dir); err != nil {
		t.Skip(err)
	}
	img := imagetest.Image{Layers: []imagetest.Layer{{Entries: append(programs(t, "sh", "stat", "cat"),
		imagetest.Entry{Name: "home/app/", Mode: 0o700, UID: 1001, GID: 1002}, imagetest.Entry{Name: "home/app/x", Body: "x\n", Mode: 0o640, UID: 1001, GID: 1002},
		imagetest.Entry{Name: "home/app/y", Type: tar.TypeLink, Link: "home/app/x"}, imagetest.Entry{Name: "var/set", Body: "s", Mode: 0o6755, UID: 3, GID: 4},
		imagetest.Entry{Name: "var/tmp/", Mode: 0o1777}, imagetest.Entry{Name: "var/far", Body: "f", UID: 1 << 30}, imagetest.Entry{Name: "link", Type: tar.TypeSymlink, Link: "var", UID: 5, GID: 6},
	)}}}
	file := imagetest.Layout(t, imagetest.Files(t, img))
	root, err := open(t, rootfs.Config{Dir: filepath.Join(dir, "images"), Owned: true}).File(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if plain, err := open(t, rootfs.Config{Dir: filepath.Join(dir, "images")}).File(t.Context(), file); err != nil || plain.Owned || plain.Path == root.Path || !root.Owned {
		t.Errorf("%+v, %v", plain, err)
	}
	var out bytes.Buffer
	step := sandbox.Step{Argv: []string{"sh", "-c", `stat -c '%n %u:%g %a %h' /home/app /home/app/x /home/app/y /var/set /var/tmp /var/far /link; cat /home/app/y`}, Work: t.TempDir(), Root: root.Path, AsRoot: true}
	exit, err := s.Run(t.Context(), step, &out)
	want := "/home/app 1001:1002 700 2\n/home/app/x 1001:1002 640 2\n/home/app/y 1001:1002 640 2\n/var/set 3:4 755 1\n/var/tmp 0:0 1777 2\n/var/far 65534:0 644 1\n/link 5:6 777 1\nx\n"
	if exit != 0 || err != nil || out.String() != want {
		t.Errorf("%d, %v\n%s", exit, err, out.String())
	}
}

// run-as is who runs the commands of a phase, of the file or of nobody, in an
// image that knows them, with variables, folder and a home of their own; who
// is not known fails the build at the line that names them.
func TestRunAs(t *testing.T) {
	s := sandbox.New(sandbox.Config{})
	dir := t.TempDir()
	if err := s.Ranges(t.Context(), dir); err != nil {
		t.Skip(err)
	}
	base := []imagetest.Entry{
		{Name: "etc/passwd", Body: "root:x:0:0:root:/root:/bin/sh\napp:x:1001:1002:App:/home/app:/sbin/nologin\nother:x:1003:1003::/:/bin/sh\n"},
		{Name: "etc/group", Body: "root:x:0:\napp:x:1002:\nplus:x:50:other,app\n"}, {Name: "home/app/", Mode: 0o700, UID: 1001, GID: 1002}, {Name: "root/", Mode: 0o700},
	}
	const text = `version: 0.2
run-as: app
env:
  exported-variables: [WHO, HOME_OF]
phases:
  install:
    run-as: root
    commands:
      - id -u; id -G; echo "home $HOME"
      - chown app . && export CARRIED=yes && mkdir below && chown app below && cd below
  build:
    commands:
      - id -u; id -G; echo "home $HOME $CARRIED"; pwd
      - echo made > made; echo more > ~/more
      - cat /root/x 2>/dev/null || echo kept out
      - export WHO=$(id -u); exit 0
      - id -u
  post_build:
    run-as: %s
    commands:
      - id -u; id -G; echo "home $HOME $WHO"; pwd
artifacts:
  files: [below/made]
`
	for name, tool := range map[string][]string{"setpriv": {"setpriv"}, "chroot": {"chroot"}, "nothing": nil} {
		img := imagetest.Image{Layers: []imagetest.Layer{{Packed: "gzip", Entries: append(programs(t, append(tool, "sh", "id", "chown", "mkdir", "cat")...), base...)}}}
		root, err := open(t, rootfs.Config{Dir: filepath.Join(dir, name), Owned: true}).File(t.Context(), imagetest.Layout(t, imagetest.Files(t, img)))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		for _, third := range []string{"other", "nobody-knows", "root"} {
			t.Run(name+"/"+third, func(t *testing.T) {
				spec, err := build.Parse("buildspec.yml", fmt.Appendf(nil, text, third))
				if err != nil {
					t.Fatal(err)
				}
				work := filepath.Join(t.TempDir(), "work")
				if _, err := build.Sources(work); err != nil {
					t.Fatal(err)
				}
				var said bytes.Buffer
				r, err := build.New(build.Config{Runner: s}).Run(t.Context(), build.Plan{Spec: spec, Dir: work, Out: t.TempDir(), Root: root.Path, AsRoot: true}, &said)
				if err != nil {
					t.Fatal(err)
				}
				log := said.String()
				has := func(want string) {
					if !strings.Contains(log, want) {
						t.Errorf("%q is not in\n%s", want, log)
					}
				}
				has(", root in the image alone\n")
				if tool == nil {
					if r.Status != build.Failed || !strings.Contains(r.Reason, "buildspec.yml:2: run-as: the build's image has no program to become app with") {
						t.Errorf("%+v\n%s", r, log)
					}
					return
				}
				has("\n0\n0\nhome /work/home\n")
				has("\n1001\n1002 50\nhome /home/app yes\n/work/src/below\n")
				has("\nkept out\n")
				has("$ id -u\n1001\n")
				switch third {
				case "other":
					has("\n1003\n1003 50\nhome / 1001\n/work/src/below\n")
				case "root":
					has("\n0\n0\nhome /work/home 1001\n/work/src/below\n")
				default:
					if r.Status != build.Failed || r.Where != "post_build" || r.Reason != "buildspec.yml:19: run-as: there is no user nobody-knows in the build's file system" {
						t.Errorf("%+v\n%s", r, log)
					}
					return
				}
				if r.Status != build.Succeeded || len(r.Artifacts) != 1 || len(r.Exported) == 0 || r.Exported[0].Value != "1001" {
					t.Errorf("%+v\n%s", r, log)
				}
			})
		}
	}
}
