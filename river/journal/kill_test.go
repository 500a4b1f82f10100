package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

const (
	childDir   = "HAECHI_JOURNAL_TEST_DIR"   // makes the test binary the one that is killed
	childStart = "HAECHI_JOURNAL_TEST_START" // the appenders' next requests
	appenders  = 8
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		appendUntilKilled(dir, strings.Fields(os.Getenv(childStart)))
	}
	os.Exit(m.Run())
}

// appendUntilKilled appends as fast as it can, and says on standard output what was acknowledged.
func appendUntilKilled(dir string, start []string) {
	j, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for a := range appenders {
		next, _ := strconv.Atoi(start[a])
		go func() {
			for i := next; ; i++ {
				id := fmt.Sprintf("%d %d", a, i)
				if err := j.Append(context.Background(), id, killRecords(a, i)...); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(id)
			}
		}()
	}
	select {}
}

// killRecords are 1 to 3 records, some of them long.
func killRecords(a, i int) []record.Record {
	var all []record.Record
	for n := range 1 + i%3 {
		text := fmt.Sprintf("%d %d %d", a, i, n)
		if i%50 == 0 {
			text += " " + strings.Repeat("long ", 5000)
		}
		all = append(all, record.Record{Time: time.Unix(int64(i), 0), Source: "text", Text: text})
	}
	return all
}

// A process that is killed at any moment loses nothing it acknowledged, and a
// request that is sent again afterwards is kept once.
func TestKill(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 5
	}
	dir := t.TempDir()
	var acked [appenders]int // how many requests of each appender were acknowledged
	for range kills {
		runAndKill(t, dir, &acked)
	}
	j := mustOpen(t, Config{Dir: dir, SegmentBytes: 64 << 10})
	got, gaps := all(t, j, Oldest)
	if gaps != nil {
		t.Errorf("gaps %v", gaps)
	}
	var next [appenders]int
	total := 0
	for len(got) > 0 {
		var a, i, n int
		fmt.Sscan(got[0].Text, &a, &i, &n)
		want := killRecords(a, i)
		if n != 0 || i != next[a] || len(got) < len(want) {
			t.Fatalf("got record %q, want request %d of appender %d", got[0].Text, next[a], a)
		}
		for k := range want {
			if got[k].Text != want[k].Text {
				t.Fatalf("got %q, want %q", got[k].Text, want[k].Text)
			}
		}
		got, next[a], total = got[len(want):], i+1, total+1
	}
	for a := range acked {
		if next[a] < acked[a] || next[a] > acked[a]+1 {
			t.Errorf("appender %d: %d acknowledged, %d kept", a, acked[a], next[a])
		}
	}
	t.Logf("%d kills, %d requests in %d segments", kills, total, j.Stats().Segments)
	if total < kills {
		t.Errorf("only %d requests: there was no load", total)
	}
}

func runAndKill(t *testing.T, dir string, acked *[appenders]int) {
	t.Helper()
	start := strings.Trim(fmt.Sprint(*acked), "[]")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, childStart+"="+start)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	first := sync.OnceFunc(func() { // under load, not while it starts
		time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { child.Process.Signal(syscall.SIGKILL) })
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a, i int
		if n, _ := fmt.Sscan(lines.Text(), &a, &i); n == 2 {
			acked[a] = i + 1
		}
		first()
	}
	if err := child.Wait(); child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// A file system that is really full refuses, and takes the same request when there is room.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	j := mustOpen(t, Config{Dir: dir + "/journal"})
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var noise [20 << 10]byte
	var kept []string
	for {
		for i := range noise {
			noise[i] = 'a' + byte(rand.IntN(26))
		}
		id := fmt.Sprint(len(kept))
		err := j.Append(t.Context(), id, lines(string(noise[:]))...)
		if err == nil {
			kept = append(kept, string(noise[:]))
			continue
		}
		if fault.Of(err) != fault.Unavailable || len(kept) == 0 {
			t.Fatal(err)
		}
		os.Remove(ballast)
		if err := j.Append(t.Context(), id, lines(string(noise[:]))...); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, string(noise[:]))
		break
	}
	j.Close()
	j = mustOpen(t, Config{Dir: dir + "/journal"})
	got, gaps := all(t, j, Oldest)
	if len(got) != len(kept) || gaps != nil {
		t.Fatalf("%d kept, want %d; gaps %v", len(got), len(kept), gaps)
	}
	for i := range got {
		if got[i].Text != kept[i] {
			t.Errorf("record %d differs", i)
		}
	}
	j.Close()
}
