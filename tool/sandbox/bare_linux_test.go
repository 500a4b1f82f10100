package sandbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// runBare runs a script at the level Bare although there are better ones here.
func runBare(t *testing.T, script string) (string, int) {
	t.Helper()
	work := t.TempDir()
	for d := work; d != "/"; d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755)
	}
	var out bytes.Buffer
	exit, err := sandbox.RunBare(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", script}, Work: work}, &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), exit
}
