package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// A folder that is let go of a moment later is waited for, with a word about who holds it; one that is not is refused.
func TestLockPatiently(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("no flock here")
	}
	folder := t.TempDir()
	hold := func(seconds string) *exec.Cmd {
		t.Helper()
		first, err := lockFolder(folder)
		if err != nil {
			t.Fatal(err)
		}
		first.Close()
		c := exec.Command("flock", "--no-fork", filepath.Join(folder, "lock"), "sleep", seconds)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		for deadline := time.Now().Add(20 * time.Second); Unused(folder) == nil; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("flock holds nothing")
			}
		}
		return c
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	c := hold("0.5")
	f, err := lockPatiently(t.Context(), folder, 20*time.Second, log)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if who := "process " + strconv.Itoa(c.Process.Pid); strings.Count(said.String(), "waiting") != 1 || !strings.Contains(said.String(), who) {
		t.Errorf("it said %q, not of %s", said.String(), who)
	}
	c = hold("60")
	if _, err := lockPatiently(t.Context(), folder, 50*time.Millisecond, log); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "(process "+strconv.Itoa(c.Process.Pid)+")") {
		t.Errorf("a folder that stays locked: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockPatiently(ctx, folder, time.Hour, log); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever is to end waits: %v", err)
	}
}
