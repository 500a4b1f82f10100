package sandbox_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// owned is an image whose files lie with the owners that it says, or the test is passed over.
func owned(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := sandbox.New(sandbox.Config{}).Ranges(t.Context(), dir); err != nil {
		t.Skip(err)
	}
	root := busybox(t, "chown", "chmod", "mkdir", "rm", "mv", "mknod", "stat", "ln", "chroot", "env", "head", "sleep")
	for _, name := range []string{"root", "var", "home", "home/app"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"root", "home/app"} {
		if err := os.Chmod(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "root/secret"), []byte("image's own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"home/app", "home/app/file"} {
		at := filepath.Join(root, name)
		if name == "home/app/file" {
			if err := os.WriteFile(at, []byte("app's own\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Lchown(at, 7, 7); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// A step that is root in its image does there what root does: it changes,
// gives away and removes files of whoever, becomes somebody else and is
// stopped at what they own. Nothing of that stays in the image, and on the
// machine it is users of this step alone.
func TestAsRoot(t *testing.T) {
	root, work := owned(t), open(t)
	step := sandbox.Step{Root: root, Work: work, AsRoot: true, Egress: &greeter{}}
	exit, out := shell(t, step, `
		id -u; id -G; cat /root/secret /home/app/file; stat -c '%u:%g %a' /home/app /root /tmp /work /bin/sh
		echo mine > /etc/mine && chown 7:7 /etc/mine && stat -c %u:%g /etc/mine
		echo other > /etc/os-release; cat /etc/os-release
		rm /home/app/file && mkdir -p /var/lib/x/y && chown -R 33:33 /var/lib/x && chmod 4755 /var/lib/x && mv /var/lib/x /var/x && stat -c '%u %a' /var/x
		cat /run/haechi/ca.pem
		echo made > made; chown 7 made
		chroot --userspec=7:7 / sh -c 'exec 2>/dev/null; id -u; id -G; cat /root/secret || echo kept out; echo a > /home/app/a && cat /home/app/a; echo b > /etc/b || echo kept out'
		mknod /var/dev b 8 0 2>/dev/null || echo no device
	`)
	want := "0\n0\nimage's own\napp's own\n7:7 700\n0:0 700\n0:0 1777\n0:0 777\n0:0 755\n7:7\nother\n33 4755\ntrust me\n7\n7\nkept out\na\nkept out\nno device\n"
	if exit != 0 || out != want {
		t.Errorf("exit %d, got\n%s\nwant\n%s", exit, out, want)
	}
	if text, err := os.ReadFile(filepath.Join(root, "etc/os-release")); string(text) != "ID=tiny\n" || err != nil {
		t.Errorf("the image has changed: %q, %v", text, err)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(work), ".haechi-*"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	info, err := os.Stat(filepath.Join(work, "made"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := owner(info); uid < 1_879_065_536 || uid%65_536 != 1_879_000_000%65_536+7 {
		t.Errorf("what a step makes is user %d's on the machine", uid)
	}
}

// How long a step takes that does nothing and is root in its image.
func BenchmarkStartAsRoot(b *testing.B) {
	s := sandbox.New(sandbox.Config{})
	step := sandbox.Step{Argv: []string{"id"}, Work: b.TempDir(), Root: owned(b), AsRoot: true}
	for b.Loop() {
		if exit, err := s.Run(b.Context(), step, &bytes.Buffer{}); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}

// Steps that are root at once have no user of the machine in common.
func TestAsRootApart(t *testing.T) {
	root := owned(t)
	s := sandbox.New(sandbox.Config{})
	other := sandbox.New(sandbox.Config{})
	works := []string{open(t), open(t), open(t)}
	ended := make(chan error, len(works))
	hold, let, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	var out bytes.Buffer
	for i, work := range works {
		by := s
		if i == 2 {
			by = other // of another server
		}
		go func() {
			_, err := by.Run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", "echo > made; cat > /dev/null"}, Root: root, Work: work, AsRoot: true, Stdin: hold}, &bytes.Buffer{})
			ended <- err
		}()
	}
	seen := map[uint32]bool{}
	for _, work := range works {
		for {
			if info, err := os.Stat(filepath.Join(work, "made")); err == nil {
				seen[owner(info)] = true
				break
			}
		}
	}
	let.Close()
	for range works {
		if err := <-ended; err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
	if len(seen) != len(works) {
		t.Errorf("three steps have users %v", seen)
	}
}

// Why a step cannot be root in an image is said.
func TestAsRootRefused(t *testing.T) {
	owned(t)
	_, _, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Root: "/proc", AsRoot: true}, `true`)
	if err == nil || !strings.Contains(err.Error(), "the user wall cannot be built: giving the image to the step's users") {
		t.Errorf("%v", err)
	}
}

// What a step changes in its image counts as what it writes into its folder does.
func TestAsRootFills(t *testing.T) {
	root := owned(t)
	_, out, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Root: root, AsRoot: true, Limits: sandbox.Limits{Disk: 8 << 20}}, `head -c 100000000 /dev/zero > /var/big; sleep 20`)
	if err == nil || !strings.Contains(err.Error(), "holds more than 8388608 bytes") {
		t.Errorf("%v\n%s", err, out)
	}
}

func owner(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// rootEscapes are all attempts again, of a step that is root in its image. That
// its users are its own cannot be left out then: nothing of the image would be
// theirs. What stands behind that is tried with all others left out, and fails.
func rootEscapes(g *ground) []escape {
	var all []escape
	for _, e := range escapes(g) {
		switch key := e.what + " " + strings.Join(e.args, " "); {
		case e.what == "chroot": // that it may, and finds nothing
			e = escape{"chroot out", []string{g.secret}, nil, true, func() error {
				return exec.Command(g.program, "attempt", "chroot out", g.secret, g.work).Run()
			}}
		case e.what == "bpf" && len(e.walls) == 1: // anybody may
		case e.what == "read" && len(e.walls) == 2:
			e.walls = []string{"mounts"} // it may read all that it sees
		case e.what == "read":
			e.walls = []string{"mounts", "user"}
		case strings.HasSuffix(key, " /opt/tool/x"):
			e.walls = []string{"read-only"} // it may write below /opt
		case strings.HasSuffix(key, "os-release"):
			e.args, e.walls = []string{sandbox.Hole + e.args[0]}, []string{"mounts", "read-only", "landlock", "user"}
		case strings.HasSuffix(key, "here"):
			e.walls = []string{"landlock"} // its own folder
		case strings.Contains(key, "write /proc/"):
			e.walls = append(e.walls, "proc")
		case e.what == "kill the first one":
			e.walls = []string{"pid", "landlock"}
		case e.what == "capabilities":
			e.what = "more capabilities"
		case e.what == "set-user programs":
			e.what, e.walls = "root again", []string{"nosuid", "no new privileges"}
		}
		all = append(all, e)
	}
	return all
}

// Root in an image gets no further than others do.
func TestEscapesAsRoot(t *testing.T) {
	root := owned(t)
	if err := os.MkdirAll(filepath.Join(root, "opt"), 0o755); err != nil {
		t.Fatal(err)
	}
	g := newGround(t)
	for _, e := range rootEscapes(g) {
		e.prove(t, g, sandbox.Step{Root: root, AsRoot: true}, "user")
	}
}
