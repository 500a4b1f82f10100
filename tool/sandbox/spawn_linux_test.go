package sandbox_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// spawners are the processes that start sandboxes for a server.
func spawners(t *testing.T, server int) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", server))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tasks {
		text, _ := os.ReadFile(file)
		for _, f := range strings.Fields(string(text)) {
			if name, _ := os.ReadFile("/proc/" + f + "/cmdline"); strings.HasPrefix(string(name), "haechi: spawner\x00") {
				pid, _ := strconv.Atoi(f)
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// What starts sandboxes may be ended by anybody who may end the server: its
// steps end with it and say so, and the next one has another.
func TestSpawnerKilled(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("bare %t", bare), func(t *testing.T) {
			s := sandbox.New(sandbox.Config{})
			run := s.Run
			if bare {
				run = sandbox.Barely(s)
			}
			before := spawners(t, os.Getpid())
			work := open(t)
			script := `while :; do date +%N > alive; sleep 0.01; done`
			ended := make(chan error, 3)
			for range 3 {
				go func() {
					_, err := run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", script}, Work: work}, io.Discard)
					ended <- err
				}()
			}
			alive := filepath.Join(work, "alive")
			for text := ""; text == ""; time.Sleep(time.Millisecond) {
				b, _ := os.ReadFile(alive)
				text = string(b)
			}
			time.Sleep(100 * time.Millisecond) // until the other two have begun, too
			for _, pid := range spawners(t, os.Getpid()) {
				if !slices.Contains(before, pid) {
					if err := unix.Kill(pid, unix.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 3 {
				select {
				case err := <-ended:
					if err == nil || !strings.Contains(err.Error(), "starts sandboxes was ended from outside") {
						t.Errorf("got %v", err)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("a step goes on")
				}
			}
			one, _ := os.ReadFile(alive)
			time.Sleep(50 * time.Millisecond)
			if two, _ := os.ReadFile(alive); !bytes.Equal(one, two) {
				t.Error("a process of the step goes on")
			}
			var out bytes.Buffer
			if exit, err := run(t.Context(), sandbox.Step{Argv: []string{"echo", "again"}, Work: work}, &out); exit != 0 || err != nil || out.String() != "again\n" {
				t.Errorf("the next step: %d, %v, %q", exit, err, out.String())
			}
		})
	}
}

// The spawner has nothing of the server's: no variable, no open file but its
// socket and nothing; and it is gone when the server is.
func TestSpawnerIsEmpty(t *testing.T) {
	if os.Getenv("HAECHI_TEST_SPAWNER") != "" {
		exit, out := shell(t, sandbox.Step{}, `echo started`)
		fmt.Println(exit, out)
		time.Sleep(time.Minute)
		return
	}
	server := exec.Command(os.Args[0], "-test.run", "^TestSpawnerIsEmpty$", "-test.v")
	server.Env = append(os.Environ(), "HAECHI_TEST_SPAWNER=secret")
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	server.ExtraFiles = []*os.File{secret} // open in the server for all that it starts
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for text := ""; !strings.Contains(text, "started"); {
		n, err := said.Read(b)
		if text += string(b[:n]); err != nil {
			t.Fatal(err, text)
		}
	}
	all := spawners(t, server.Process.Pid)
	if len(all) != 1 {
		t.Fatalf("there are %v", all)
	}
	at := fmt.Sprintf("/proc/%d", all[0])
	if env, err := os.ReadFile(at + "/environ"); err != nil || bytes.Contains(env, []byte("secret")) || bytes.Contains(env, []byte("PATH=")) {
		t.Errorf("its environment: %q, %v", env, err)
	}
	open, err := os.ReadDir(at + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range open {
		if to, _ := os.Readlink(at + "/fd/" + e.Name()); to != "/dev/null" && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "anon_inode:[event") {
			t.Errorf("it has %s", to)
		}
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if name, err := os.ReadFile(at + "/cmdline"); err != nil || len(name) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it outlives the server")
		}
	}
}

// Many steps start at once, and each has its own end.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := sandbox.New(sandbox.Config{})
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			var out bytes.Buffer
			exit, err := s.Run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)}, Work: t.TempDir()}, &out)
			if exit != i || err != nil || out.String() != fmt.Sprintln(i) {
				t.Errorf("%d: %d, %v, %q", i, exit, err, out.String())
			}
		})
	}
	all.Wait()
}

// How long a step takes that does nothing, when the server itself is large, in small pages.
func BenchmarkStartOfLargeServer(b *testing.B) {
	memory, err := unix.Mmap(-1, 0, 600<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Munmap(memory)
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	BenchmarkStart(b)
}
