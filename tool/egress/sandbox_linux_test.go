package egress_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	os.Exit(m.Run())
}

// A step in a sandbox has the proxy for its only way out: what it dials itself
// fails, what is allowed comes through with no flag or file of its own, what is
// not is refused in clear text, and all of it is written down.
func TestStep(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	w := newWorld(t, hello())
	p, err := egress.New(egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, port, _ := net.SplitHostPort(w.plain.Listener.Addr().String())
	script := fmt.Sprintf(`
		bash -c 'echo > /dev/tcp/127.0.0.1/%s' 2>/dev/null && echo direct
		curl -sS --noproxy '*' --max-time 5 http://127.0.0.1:%s/ 2>/dev/null && echo direct
		curl -sS https://example.com/a.zip; echo
		curl -sS http://example.com/b; echo
		curl -sS http://other.example/ ; curl -sSv https://other.example/ 2>&1 | grep -o '403 haechi: .*'
		curl -sS https://example.com/a.zip -o a.zip && sha256sum < a.zip`, port, port)
	var out bytes.Buffer
	exit, err := sandbox.New(sandbox.Config{}).Run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", script}, Work: t.TempDir(), Egress: p}, &out)
	said := strings.ReplaceAll(out.String(), "\r", "")
	want := []string{
		"hello example.com /a.zip", "hello example.com /b",
		`haechi: other.example may not be reached from this build at port 80: to allow it, add {"type": "DOMAIN", "effect": "ALLOW", "entities": ["other.example"]}`,
		"403 haechi: other.example may not be reached from this build at port 443",
		strings.TrimPrefix(digest("hello example.com /a.zip"), "sha256:"),
	}
	for _, line := range want {
		if !strings.Contains(said, line) {
			t.Errorf("not said: %s", line)
		}
	}
	if err != nil || exit != 0 || strings.Contains(said, "direct") {
		t.Errorf("exit %d, %v\n%s", exit, err, said)
	}
	records := settled(t, p, 5)
	if len(records) != 5 || records[0].URL() != "https://example.com/a.zip" || records[0].Digest != digest("hello example.com /a.zip") || records[3].Refused == "" {
		t.Errorf("records %+v", records)
	}
}

// Other programs find the way by themselves, too: git, Python and Go, each through TLS that is opened.
func TestPrograms(t *testing.T) {
	w := newWorld(t, hello())
	for name, c := range map[string]struct{ needs, script, want string }{
		"python": {"python3", `python3 -c "import urllib.request as u; print(u.urlopen('https://example.com/x').read().decode())"`, "hello example.com /x"},
		"git":    {"git", `git -c http.version=HTTP/1.1 ls-remote https://example.com/r.git 2>&1`, ""},
		"wget":   {"wget", `wget -qO- https://example.com/x`, "hello example.com /x"},
	} {
		t.Run(name, func(t *testing.T) {
			if at, err := exec.LookPath(c.needs); err != nil || !strings.HasPrefix(at, "/usr/bin/") {
				c.script = "/usr/bin/" + c.script
				if _, err := os.Stat("/usr/bin/" + c.needs); err != nil {
					t.Skip("there is no ", c.needs)
				}
			}
			p, err := egress.New(egress.Config{Rules: allow("example.com"), Dial: w.Dial, Roots: w.roots()})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var out bytes.Buffer
			if _, err := sandbox.New(sandbox.Config{}).Run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", c.script}, Work: t.TempDir(), Egress: p}, &out); err != nil {
				t.Fatal(err)
			}
			records := settled(t, p, 1)
			if len(records) == 0 || records[0].Scheme != "https" || records[0].Status != 200 || !strings.Contains(out.String(), c.want) {
				t.Errorf("%s\n%+v", out.String(), records)
			}
		})
	}
}
