package app_test

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/outbound"
	room "github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/tool/scan/image/imagetest"
)

// layout is an OCI layout with a few programs of this machine in it.
func layout(t *testing.T) string {
	t.Helper()
	entries := []imagetest.Entry{
		{Name: "bin/sh", Type: tar.TypeSymlink, Link: "../usr/bin/sh"}, {Name: "home/app/", Mode: 0o700, UID: 7, GID: 7},
		{Name: "etc/passwd", Body: "root:x:0:0:root:/root:/bin/sh\napp:x:7:7:App:/home/app:/bin/sh\n"}, {Name: "etc/group", Body: "root:x:0:\napp:x:7:\n"},
	}
	seen := map[string]bool{}
	for _, name := range []string{"sh", "id", "setpriv"} {
		file, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		out, err := exec.Command("ldd", file).Output()
		if err != nil {
			t.Skip("what a program needs is not known: ", err)
		}
		for _, at := range append(strings.Fields(string(out)), "/usr/bin/"+name) {
			if !strings.HasPrefix(at, "/") || seen[at] {
				continue
			}
			seen[at] = true
			text, err := os.ReadFile(at)
			if err != nil {
				t.Skip(err)
			}
			entries = append(entries, imagetest.Entry{Name: at[1:], Body: string(text), Mode: 0o755})
		}
	}
	return imagetest.Layout(t, imagetest.Files(t, imagetest.Image{Layers: []imagetest.Layer{{Entries: entries}}}))
}

// Builds in images are root there, where the machine has users to give to them
// and nobody says otherwise, and whom their buildspec names; else one user.
func TestBuildsAreRootInImages(t *testing.T) {
	file := layout(t)
	walls := sandbox.New(sandbox.Config{})
	dialer, err := outbound.New(outbound.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, unprivileged := range []bool{false, true} {
		dir := t.TempDir()
		config := app.Builds{Images: app.BuildImages{Folder: filepath.Dir(file), Unprivileged: unprivileged}}
		m, err := config.Machine(walls, dialer, filepath.Join(dir, "images"), nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		root := !unprivileged && walls.Ranges(t.Context(), dir) == nil
		at, done, err := room.MakeRoom(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		if _, err := at.SourceDir(room.TaskSource{}); err != nil {
			t.Fatal(err)
		}
		task := room.Task{
			SpecName: "buildspec.yml", Image: "oci:" + filepath.Base(file), Seconds: 60,
			Spec: "version: 0.2\nphases:\n  install:\n    commands: [id -u]\n  build:\n    run-as: app\n    commands: ['echo it is $(id -u)']\n",
		}
		var log bytes.Buffer
		d, err := m.Do(t.Context(), task, at, &log)
		if err != nil || d.Status != "SUCCEEDED" {
			t.Fatalf("%v %+v\n%s", err, d, log.String())
		}
		want := []string{"\n1000\n", "it is 1000\n", "phases/build/run-as: app is passed over"}
		if root {
			want = []string{", root in the image alone\n", "\n0\n", "it is 7\n"}
		}
		for _, w := range want {
			if !strings.Contains(log.String(), w) {
				t.Errorf("unprivileged %t: %q is not in\n%s", unprivileged, w, log.String())
			}
		}
	}
}
