package release_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/app"
	"go.yaml.in/yaml/v4"
)

// uncommented is the example of haechi.yaml with every setting said: lines of
// prose have one blank behind the #, settings none, or two as they are further in.
func uncommented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("haechi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		setting, ok := strings.CutPrefix(line, "#")
		if prose := strings.HasPrefix(setting, " ") && !strings.HasPrefix(setting, "  "); ok && !prose {
			b.WriteString(setting)
		}
	}
	return b.String()
}

// The example can be taken as it is, and with every line of it in force.
func TestExampleConfiguration(t *testing.T) {
	nothing := func(string) string { return "" }
	c := app.Default(nothing)
	if err := c.ReadConfig("haechi.yaml"); err != nil {
		t.Error(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	all := filepath.Join(t.TempDir(), "haechi.yaml")
	if err := os.WriteFile(all, []byte(uncommented(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	c = app.Default(nothing)
	if err := c.ReadConfig(all); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if c.Commands["ticket"].Timeout != 30*time.Second || len(c.Proxies) != 1 || c.Retention.Records != 30*24*time.Hour {
		t.Errorf("read as %+v", c)
	}
}

// What the example says of defaults is so, and no key is missing in it.
func TestExampleIsWhole(t *testing.T) {
	var said map[string]any
	if err := yaml.Unmarshal([]byte(uncommented(t)), &said); err != nil {
		t.Fatal(err)
	}
	keys := func(v reflect.Type) (names []string) {
		for f := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			if name != "-" {
				names = append(names, name)
			}
		}
		return names
	}
	for _, name := range keys(reflect.TypeFor[app.Config]()) {
		if _, ok := said[name]; !ok {
			t.Errorf("%s is not in the example", name)
		}
	}
	for part, v := range map[string]reflect.Type{"tls": reflect.TypeFor[app.TLS](), "outbound": reflect.TypeFor[app.Outbound](), "sandbox": reflect.TypeFor[app.Sandbox](), "builds": reflect.TypeFor[app.Builds](), "retention": reflect.TypeFor[app.Retention]()} {
		for _, name := range keys(v) {
			if inner, ok := said[part].(map[string]any); !ok || inner[name] == nil {
				t.Errorf("%s.%s is not in the example", part, name)
			}
		}
	}
	for _, name := range keys(reflect.TypeFor[app.Command]()) {
		if said["commands"].(map[string]any)["ticket"].(map[string]any)[name] == nil {
			t.Errorf("commands: %s is not in the example", name)
		}
	}
	var c app.Config
	text := filepath.Join(t.TempDir(), "defaults.yaml")
	retention, err := yaml.Marshal(map[string]any{"retention": said["retention"]})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, retention, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadConfig(text); err != nil {
		t.Fatal(err)
	}
	if want := app.Default(func(string) string { return "" }).Retention; c.Retention != want {
		t.Errorf("the example keeps things for %+v, and the default is %+v", c.Retention, want)
	}
}

// The jobs for CI are YAML, scan with a report, and keep it where the scan fails.
func TestJobs(t *testing.T) {
	for file, keeps := range map[string]string{"github-actions.yml": "if: always()", "gitlab-ci.yml": "when: always"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var job map[string]any
		if err := yaml.Unmarshal(text, &job); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, part := range []string{"haechi scan -format sarif -fail-on high . > haechi.sarif", "sha256sum -c -", keeps} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s lacks %q", file, part)
			}
		}
	}
}

// Building twice, in two places, gives the same bytes. It is asked for by
// HAECHI_TEST_RELEASE, since building takes minutes; with =full the second build
// has a cache of its own, so that everything is compiled anew.
func TestReproducible(t *testing.T) {
	if os.Getenv("HAECHI_TEST_RELEASE") == "" {
		t.Skip("set HAECHI_TEST_RELEASE=1 to build a release twice")
	}
	for _, tool := range []string{"git", "tar", "gzip", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here: releases are built where it is", tool)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("releases are built on Linux, with GNU tar")
	}
	first := build(t, "..", nil)
	elsewhere := filepath.Join(t.TempDir(), "another", "place")
	copyTree(t, "..", elsewhere)
	var env []string
	if os.Getenv("HAECHI_TEST_RELEASE") == "full" {
		env = append(env, "GOCACHE="+t.TempDir())
	}
	second := build(t, elsewhere, env)
	if !bytes.Equal(first["SHA256SUMS"], second["SHA256SUMS"]) {
		t.Errorf("the first build\n%s\nthe second\n%s", first["SHA256SUMS"], second["SHA256SUMS"])
	}
	for name, text := range first {
		if sha256.Sum256(text) != sha256.Sum256(second[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// build runs the script in a source tree and returns what came of it.
func build(t *testing.T, tree string, env []string) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	c := exec.Command(filepath.Join("release", "build"), "v0.0.1", out)
	c.Dir = tree
	c.Env = append(append(os.Environ(), "TARGETS="+runtime.GOOS+"/"+runtime.GOARCH, "SOURCE_DATE_EPOCH=1700000000"), env...)
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) != 2 {
		t.Errorf("%d files, want an archive and SHA256SUMS", len(files))
	}
	return files
}

// copyTree copies what belongs to the source: what git knows, or would.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	c := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	c.Dir = from
	list, err := c.Output()
	if err != nil {
		t.Skipf("not in a repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			continue // removed, and not committed yet
		}
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if name == "release/build" {
			mode = 0o755
		}
		if err := os.WriteFile(file, text, mode); err != nil {
			t.Fatal(err)
		}
	}
}
