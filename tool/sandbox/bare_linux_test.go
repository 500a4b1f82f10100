package sandbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// runBare runs a script at the level Bare although there are better ones here.
func runBare(t *testing.T, script string, without ...string) (string, int) {
	t.Helper()
	work := t.TempDir()
	if err := reachable(work); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := sandbox.RunBare(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", script}, Work: work}, &out, without...)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), exit
}

// Without namespaces landlock still keeps a step, whose user may be the
// server's own, from what it has no business with.
func TestBareLandlock(t *testing.T) {
	if sandbox.LandlockABI() < 2 {
		t.Skip("there is no landlock")
	}
	dir, err := os.MkdirTemp("/var/lib", "haechi-test-")
	if err != nil {
		t.Skip("nothing can be put where steps do not look: ", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.db"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := "cat " + filepath.Join(dir, "state.db")
	if out, exit := runBare(t, script); exit == 0 {
		t.Errorf("it is read: %s", out)
	}
	if out, exit := runBare(t, script, "landlock"); exit != 0 {
		t.Errorf("without landlock it is not read either: %s", out)
	}
	if out, exit := runBare(t, `echo x > y && cat y && ls /usr/bin > /dev/null && d=$(mktemp -d) && echo z > $d/z && cat $d/z && echo a > ~/b`); exit != 0 {
		t.Errorf("it cannot work: %s", out)
	}
}
