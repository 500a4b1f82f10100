package sandbox_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/haechi-dev/haechi/base/program"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// greeter answers everybody with a line.
type greeter struct{ served sync.WaitGroup }

func (g *greeter) Serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			g.served.Wait()
			return
		}
		g.served.Go(func() {
			defer c.Close()
			fmt.Fprintf(c, "hello from %s\n", c.LocalAddr())
		})
	}
}

func (*greeter) Env(addr string) []string { return []string{"WAY_OUT=" + addr} }

func (*greeter) Files() map[string][]byte {
	return map[string][]byte{"/run/haechi/ca.pem": []byte("trust me\n")}
}

// A step with a way out finds it on its own loopback, and the server at its other end.
func TestEgress(t *testing.T) {
	exit, out := shell(t, sandbox.Step{Egress: &greeter{}}, `cat /run/haechi/ca.pem; echo $WAY_OUT; bash -c 'exec 4<>/dev/tcp/${WAY_OUT%:*}/${WAY_OUT#*:}; cat <&4'`)
	if exit != 0 || out != "trust me\n127.0.0.1:3128\nhello from 127.0.0.1:3128\n" {
		t.Errorf("exit %d: %q", exit, out)
	}
}

// A step may be typed into by any reader, also one that never ends.
func TestTypedInto(t *testing.T) {
	exit, out := shell(t, sandbox.Step{Stdin: strings.NewReader("echo typed\nexit 3\n")}, `exec sh`)
	if exit != 3 || out != "typed\n" {
		t.Errorf("exit %d: %q", exit, out)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if exit, _ := shell(t, sandbox.Step{Stdin: io.MultiReader(r)}, `exit 4`); exit != 4 {
		t.Errorf("exit %d", exit)
	}
}

// copyOf lays out a file of the machine below root, with the libraries it needs.
func copyOf(t testing.TB, root, file, as string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skip(err)
	}
	at := filepath.Join(root, as)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := program.Write(at, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// busybox is an image with a shell and a few programs.
func busybox(t testing.TB, more ...string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"sh", "ls", "cat", "touch", "id"}, more...) {
		file, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		copyOf(t, root, file, "/bin/"+name)
	}
	for _, pattern := range []string{"/lib/*/libc.so.6", "/lib/*/libacl.so.1", "/lib/*/libattr.so.1", "/lib/*/libgmp.so.10", "/lib/*/libcrypto.so.3", "/lib/*/libselinux.so.1", "/lib/*/libpcre2-8.so.0", "/lib/*/ld-linux-*", "/lib64/ld-linux-*"} {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			copyOf(t, root, f, f)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\napp:x:7:7::/:/bin/sh\n", "os-release": "ID=tiny\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"work": "/etc", "proc": "/etc", "tmp": "../../..", "run": "/"} { // they lead nowhere
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// An image is a step's file system, to read; its own folders lie in it, and nothing of the machine does.
func TestRoot(t *testing.T) {
	tool := t.TempDir()
	if err := os.WriteFile(filepath.Join(tool, "x"), []byte("tool\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	step := sandbox.Step{Root: busybox(t), Tools: []sandbox.Tool{{From: tool, To: "/opt/tool"}}, Egress: &greeter{}}
	exit, out := shell(t, step, `
		cat /etc/os-release /opt/tool/x /run/haechi/ca.pem /etc/passwd
		pwd; id -un
		touch /x 2>/dev/null || echo no; touch /etc/x 2>/dev/null || echo no; touch /bin/ls 2>/dev/null || echo no
		touch here /tmp/x ~/x && ls
		ls -d /usr/bin/python* /root /var 2>/dev/null; ls /`)
	want := "ID=tiny\ntool\ntrust me\nroot:x:0:0::/root:/bin/sh\napp:x:7:7::/:/bin/sh\nbuild:x:1000:1000:build:/home/build:/bin/sh\n" +
		"/work\nbuild\nno\nno\nno\nhere\nbin\ndev\netc\nhome\nlib\nlib64\nopt\nproc\nrun\ntmp\nwork\n"
	if exit != 0 || out != want {
		t.Errorf("exit %d, got\n%s\nwant\n%s", exit, out, want)
	}
}
