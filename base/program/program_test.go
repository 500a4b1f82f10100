package program_test

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/haechi-dev/haechi/base/program"
)

// What was written can be run at once, however many programs are being started
// elsewhere in the process.
func TestWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its programs are no scripts")
	}
	dir := t.TempDir()
	var done atomic.Bool
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for !done.Load() {
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 100 {
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := program.Write(path, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(path).Run(); err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	others.Wait()
}
