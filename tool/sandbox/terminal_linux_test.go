package sandbox_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// person sits at a terminal: what it shows is kept.
type person struct {
	t      *testing.T
	master *os.File
	done   chan struct{}

	mu    sync.Mutex
	shown string
	seen  int // what was waited for already
}

func sit(t *testing.T) (p *person, slave *os.File) {
	t.Helper()
	master, slave, err := sandbox.OpenTerminal()
	if err != nil {
		t.Skip("there are no terminals: ", err)
	}
	p = &person{t: t, master: master, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			p.mu.Lock()
			p.shown += string(buffer[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { slave.Close(); master.Close(); <-p.done })
	return p, slave
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, text); err != nil {
		p.t.Error(err)
	}
}

// sees waits for a text on the terminal, behind those that it has seen.
func (p *person) sees(want string) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		shown := p.shown[p.seen:]
		if i := strings.Index(shown, want); i >= 0 {
			p.seen += i + len(want)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			p.t.Fatalf("never saw %q in\n%q", want, p.shown)
		}
	}
}

// A step at a terminal has it whole: it is its own one, to be opened by its
// names, too, with a size, with job control and with keys that interrupt.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, level := range []sandbox.Level{sandbox.Namespaces, sandbox.Bare} {
		t.Run(level.String(), func(t *testing.T) {
			p, slave := sit(t)
			if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 77}); err != nil {
				t.Fatal(err)
			}
			step := sandbox.Step{Argv: []string{"bash", "--norc", "-i"}, Env: []string{"PS1=at> "}, Work: open(t), Terminal: slave, Stdin: strings.NewReader("exit 9\n")}
			run := sandbox.New(sandbox.Config{}).Run
			if level == sandbox.Bare {
				run = func(ctx context.Context, s sandbox.Step, out io.Writer) (int, error) {
					return sandbox.RunBare(ctx, s, out)
				}
			}
			var exit int
			var err error
			var out bytes.Buffer
			ended := make(chan struct{})
			go func() { defer close(ended); exit, err = run(t.Context(), step, &out) }()
			for _, c := range [][]string{
				{"test -t 0 && test -t 1 && test -t 2 && stty size\n", "\n33 77\r\n"},
				{"echo on$((1+1)) >/dev/tty; echo by$((1+1)) >/dev/stderr\n", "\non2\r\n", "by2\r\n"},
				{"sh -c 'echo begin$((1+1)); exec sleep 50'\n", "\nbegin2\r\n"},
				{"\x03", "^C"},
				{"echo interrupted: $?\n", "interrupted: 130"},
				{"sleep 50 & jobs; kill %1\n", "Running"},
			} {
				if c[0] != "\x03" {
					p.sees("at> ")
				}
				p.types(c[0])
				for _, want := range c[1:] {
					p.sees(want)
				}
			}
			p.sees("at> ")
			p.types("exit 3\n")
			<-ended
			if exit != 3 || err != nil || out.Len() > 0 {
				t.Errorf("%d, %v, said elsewhere %q", exit, err, out.String())
			}
		})
	}
}

// A person who leaves takes the step along.
func TestTerminalHangsUp(t *testing.T) {
	t.Parallel()
	p, slave := sit(t)
	step := sandbox.Step{Argv: []string{"bash", "--norc", "-i"}, Env: []string{"PS1=at> "}, Work: open(t), Terminal: slave}
	ended := make(chan error, 1)
	go func() { _, err := sandbox.New(sandbox.Config{}).Run(t.Context(), step, io.Discard); ended <- err }()
	p.sees("at> ")
	p.master.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on for nobody")
	}
}

// Nobody types into a terminal for the person in front of it, and no driver is
// put behind it: the filter of system calls forbids that, and nothing else does.
func TestTerminalAttempts(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	for _, name := range []string{"own terminal", "line discipline"} {
		for _, walls := range [][]string{nil, {"seccomp"}} {
			_, slave := sit(t)
			step := sandbox.Step{Argv: []string{"/opt/attempt", "attempt", name}, Work: open(t), Tools: []sandbox.Tool{{From: g.program, To: "/opt/attempt"}}, Terminal: slave}
			exit, err := sandbox.RunWithout(t.Context(), step, io.Discard, walls...)
			want := kept
			if walls != nil {
				want = managed
			}
			legacy, missing := os.ReadFile("/proc/sys/dev/tty/legacy_tiocsti")
			if name == "own terminal" && missing == nil && string(legacy) == "0\n" {
				want = kept // the kernel forbids it itself
			}
			if err != nil || exit != want {
				t.Errorf("%s without %v: %d, %v; want %d", name, walls, exit, err, want)
			}
		}
	}
}

// Steps that share a folder may work in it at once; those that do not take it
// from one another, where the server is root.
func TestShared(t *testing.T) {
	t.Parallel()
	s, work := sandbox.New(sandbox.Config{}), open(t)
	run := func(command string, shared bool) {
		t.Helper()
		var out bytes.Buffer
		if exit, err := s.Run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", command}, Work: work, Shared: shared}, &out); exit != 0 || err != nil {
			t.Errorf("%s: %d, %v: %s", command, exit, err, out.String())
		}
	}
	run("mkdir theirs; echo one > theirs/file; chmod 600 theirs/file; chmod 700 theirs", false)
	in, typed := io.Pipe()
	ended := make(chan struct{})
	var out bytes.Buffer
	go func() {
		defer close(ended)
		_, _ = s.Run(t.Context(), sandbox.Step{Argv: []string{"sh", "-c", "echo here > first; read line; cat theirs/file second >out"}, Work: work, Shared: true, Stdin: in}, &out)
	}()
	for _, err := os.Stat(filepath.Join(work, "first")); err != nil; _, err = os.Stat(filepath.Join(work, "first")) {
		time.Sleep(time.Millisecond)
	}
	run("echo two > second; chmod 600 second; cat theirs/file", true)
	_, _ = io.WriteString(typed, "go on\n")
	<-ended
	if text, err := os.ReadFile(filepath.Join(work, "out")); err != nil || string(text) != "one\ntwo\n" {
		t.Errorf("%q, %v, said %q", text, err, out.String())
	}
}
