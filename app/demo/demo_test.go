package demo_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/app/demo"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	os.Exit(m.Run())
}

// All three rivers run from their source to what Slack hears, within twenty seconds; the first one by way of a review, a build with its tests, and a release.
func TestThreeRivers(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git (apt-get install git)")
	}
	var out, log bytes.Buffer
	folder := filepath.Join(t.TempDir(), "demo")
	began := time.Now()
	for range 2 { // a second demo begins anew where the first one was
		out.Reset()
		r, err := demo.Run(t.Context(), demo.Config{Data: folder, Listen: "127.0.0.1:0", Exit: true, Out: &out, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		for name, least := range map[string]demo.River{"push": {Findings: 1, Messages: 1}, "log": {Findings: 2, Messages: 1}, "resource": {Findings: 1, Messages: 2}} {
			if got := r.Rivers[name]; got.Findings < least.Findings || got.Messages < least.Messages {
				t.Errorf("%s: %+v, want at least %+v\n%s", name, got, least, out.String())
			}
		}
		for _, told := range []string{"refused  a push to main", "proposed pull request 1 by ann", "merged   after ben approved", "tested   3 cases: succeeded", "built    shop.zip", "approved by ben"} {
			if !strings.Contains(out.String(), told) {
				t.Errorf("the demo does not say %q\n%s", told, out.String())
			}
		}
		if got := r.Rivers["push"].Messages; got != 1 {
			t.Errorf("a failed run was told of in %d messages, want 1: %q", got, r.Slack)
		}
		if len(r.Slack) == 0 || strings.Contains(strings.Join(r.Slack, ""), "AKIA") {
			t.Errorf("slack heard %q", r.Slack)
		}
	}
	noSecrets(t, folder, log.String()+out.String())
	t.Logf("two demos took %v\n%s", time.Since(began), out.String())
}

// noSecrets looks for the administrator's credentials where they must not be:
// in what is logged and said, and in every file but those that keep them.
func noSecrets(t *testing.T, folder, said string) {
	t.Helper()
	c, err := access.ReadCredentials(filepath.Join(folder, access.FirstFile))
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	look := func(where, text string) {
		looked++
		for what, secret := range map[string]string{"secret access key": c.Secret.Reveal(), "password": c.Password.Reveal()} {
			if strings.Contains(text, secret) {
				t.Errorf("the administrator's %s is in %s", what, where)
			}
		}
	}
	look("the log", said)
	err = filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(name) == access.FirstFile {
			return err
		}
		text, err := os.ReadFile(name)
		look(name, string(text))
		return err
	})
	if err != nil || looked < 5 {
		t.Errorf("looked at %d files: %v", looked, err)
	}
}

// A folder that is somebody's is left alone.
func TestForeignFolder(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "thesis.txt"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := demo.Run(t.Context(), demo.Config{Data: folder, Listen: "127.0.0.1:0", Exit: true, Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "no demo's") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "thesis.txt")); err != nil {
		t.Error(err)
	}
}
