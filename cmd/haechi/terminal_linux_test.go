package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/tool/sandbox"
)

// desk is a folder with credentials, and a server that has a build which failed.
type desk struct {
	t      *testing.T
	dir    string
	env    []string
	server *running
}

const failing = `version: 0.2
env:
  variables: {PLAIN: open}
phases:
  build:
    commands:
      - echo made > made.txt
      - exit 3
`

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	if master, slave, err := sandbox.OpenTerminal(); err != nil {
		t.Skip("there are no terminals: ", err)
	} else {
		slave.Close()
		master.Close()
	}
	d.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "HAECHI_DATA=" + filepath.Join(d.dir, "data"), "TERM=xterm-256color", "GIT_CONFIG_NOSYSTEM=1"}
	d.serve()
	t.Cleanup(d.stop)
	if err := os.Mkdir(filepath.Join(d.dir, "shop"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "shop", "buildspec.yml"), []byte(failing), 0o644); err != nil {
		t.Fatal(err)
	}
	d.run("git", "init", "-q", "-b", "main", "shop")
	d.run("git", "-C", "shop", "add", "-A")
	d.run("git", "-C", "shop", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "first")
	token := strings.TrimSpace(d.run("haechi", "access", "token", "git"))
	_, host, _ := strings.Cut(d.endpoint(), "://")
	d.run("git", "-C", "shop", "push", "-q", "http://admin:"+token+"@"+host+"/git/shop", "main")
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(d.run("haechi", "run"), "Failed"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the build did not fail")
		}
	}
	return d
}

// serve starts the server, at the address that it had.
func (d *desk) serve() {
	d.t.Helper()
	haechi, err := exec.LookPath("haechi")
	if err != nil {
		d.t.Fatal(err)
	}
	var flags []string
	if at := d.endpoint(); at != "" {
		flags = []string{"-listen", strings.TrimPrefix(at, "http://")}
	}
	server, address, err := start(haechi, d.dir, d.env, flags...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.server = server
	d.env = append(d.env, "HAECHI_ENDPOINT="+address)
}

// stop ends the server, if there is one.
func (d *desk) stop() {
	if d.server != nil {
		d.server.stop()
		d.server = nil
	}
}

func (d *desk) endpoint() (at string) {
	for _, e := range d.env {
		if value, ok := strings.CutPrefix(e, "HAECHI_ENDPOINT="); ok {
			at = value
		}
	}
	return at
}

func (d *desk) command(words ...string) *exec.Cmd {
	c := exec.Command(words[0], words[1:]...)
	c.Dir, c.Env = d.dir, d.env
	return c
}

func (d *desk) run(words ...string) string {
	d.t.Helper()
	out, err := d.command(words...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		d.t.Fatalf("%v: %v\n%s", words, err, exit.Stderr)
	}
	return string(out)
}

// person sits at a terminal: what it shows is kept.
type person struct {
	t             *testing.T
	master, slave *os.File
	before        unix.Termios
	client        *exec.Cmd

	mu    sync.Mutex
	shown string
	seen  int // what was waited for already
}

// sit runs a command at a terminal of 30 rows and 100 columns.
func (d *desk) sit(c *exec.Cmd) *person {
	d.t.Helper()
	master, slave, err := sandbox.OpenTerminal()
	if err != nil {
		d.t.Fatal(err)
	}
	p := &person{t: d.t, master: master, slave: slave, client: c}
	p.resize(30, 100)
	p.before = p.state()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for b := make([]byte, 4096); ; {
			n, err := master.Read(b)
			p.mu.Lock()
			p.shown += string(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		slave.Close()
		master.Close()
		<-read
	})
	return p
}

func (p *person) resize(rows, columns uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		p.t.Fatal(err)
	}
}

// state is how the terminal is set.
func (p *person) state() unix.Termios {
	p.t.Helper()
	s, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *s
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, text); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits for a text on the terminal, behind those that it has seen.
func (p *person) sees(want string) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		i := strings.Index(p.shown[p.seen:], want)
		if i >= 0 {
			p.seen += i + len(want)
		}
		shown := p.shown
		p.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("never saw %q in\n%q", want, shown)
		}
	}
}

// leaves waits for the end of the command, whose exit code and terminal must be as before.
func (p *person) leaves(code int) {
	p.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.client.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("it does not end:\n%q", p.shown)
	}
	if got := p.client.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit %d, want %d:\n%q", got, code, p.shown)
	}
	if after := p.state(); after != p.before {
		p.t.Errorf("the terminal was\n%+v and is\n%+v", p.before, after)
	}
}

// A failed build can be entered, by people and by scripts.
func TestShell(t *testing.T) {
	d := newDesk(t)
	t.Run("terminal", d.terminal)
	t.Run("lost", d.lost)
	t.Run("refused", d.refused)
}

// A failed build is entered with a terminal that is one: it has a size that
// follows, keys that interrupt and stop, completion, colours; nothing of it
// reaches beyond the screen; the exit status comes back, and two people are in
// one folder at once.
func (d *desk) terminal(t *testing.T) {
	d.t = t
	p := d.sit(d.command("haechi", "run", "shell", "shop#1"))
	p.sees("The folder of build shop#1, kept until ")
	p.sees("command 2 of build ended with status 3")
	p.sees("shop#1:/work/src$ ")
	p.types("stty size; echo $PLAIN $CODEBUILD_BUILD_NUMBER $TERM; cat ma\t\n")
	p.sees("\r30 100\r\nopen 1 xterm-256color\r\nmade\r\n")
	p.resize(24, 77)
	p.types("while [ \"$(stty size)\" != \"24 77\" ]; do sleep 0.01; done; echo re\"sized\"\n")
	p.sees("\rresized\r\n")
	// What says that it has begun has the terminal by then: what is pressed while the shell still starts it may reach nobody.
	p.types("sh -c 'echo begin$((1+1)); exec sleep 50'\n")
	p.sees("begin2\r\n")
	p.types("\x03")
	p.sees("^C")
	p.sees("shop#1:/work/src$ ")
	p.types("echo interrupted $?\n")
	p.sees("\rinterrupted 130")
	p.types("sh -c 'echo begin$((1+2)); exec sleep 50'\n")
	p.sees("begin3\r\n")
	p.types("\x1a")
	p.sees("Stopped")
	p.sees("shop#1:/work/src$ ")
	p.types("kill %1; printf '\\033]0;title\\007\\033[31mred\\033[m\\033]52;c;eA==\\007\\n'\n")
	p.sees("\x1b[31mred\x1b[m\r\n")

	other := d.sit(d.command("haechi", "run", "shell", "shop#1"))
	other.sees("shop#1:/work/src$ ")
	other.types("echo mine > mine.txt; cat made.txt; exit 7\n")
	other.sees("\rmade\r\n")
	other.leaves(7)
	p.types("cat mine.txt\n")
	p.sees("\rmine\r\n")
	p.sees("shop#1:/work/src$ ")
	p.types("\x04")
	p.leaves(0)
	for _, no := range []string{"\x1b]0;", "\x1b]52"} {
		if strings.Contains(p.shown, no) {
			t.Errorf("%q reached the terminal", no)
		}
	}
	log := d.run("haechi", "audit", "list", "-format", "json")
	for _, want := range []string{`"LeaveBuild"`, `"StartCommandExecution"`, `"exitCode": 7`, `"durationInSeconds"`, `"terminal": "xterm-256color"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit trail does not have %s", want)
		}
	}
}

// Whatever ends it, the terminal is as it was, and what was switched on is off again.
func (d *desk) lost(t *testing.T) {
	d.t = t
	enter := func() *person {
		t.Helper()
		p := d.sit(d.command("haechi", "run", "shell", "shop#1"))
		p.sees("shop#1:/work/src$ ")
		p.types("printf '\\033[?1049h\\033[?25l'; echo in$((1+1)); sleep 100\n")
		p.sees("in2\r\n")
		return p
	}
	p := enter()
	if err := p.client.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.sees("\x1b[?1049l\x1b[?25h")
	p.leaves(1)
	p = enter()
	if err := p.client.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.sees("hung up")
	p.leaves(255)
	p = enter()
	p.types("\r~.")
	p.sees("\x1b[?1049l\x1b[?25h")
	p.sees("hung up")
	p.leaves(255)

	p = enter()
	if err := d.server.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.server.ended
	p.sees("\x1b[?1049l\x1b[?25h")
	p.sees("the connection was lost")
	p.leaves(255)
	d.serve()
	p = enter()
	d.stop()
	p.sees("the server ends")
	p.leaves(255)
	d.serve()
}

// What is not there any more is said to be so; without a terminal commands
// come line by line, and the last one's status counts.
func (d *desk) refused(t *testing.T) {
	d.t = t
	piped := d.command("haechi", "run", "shell", "shop#1")
	piped.Stdin = strings.NewReader("cd ..\nexport A=b\ntest -t 0 || echo no terminal $A in $PWD\nfalse\n")
	out, err := piped.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || string(out) != "no terminal b in /work\n" {
		t.Errorf("%v %q", err, out)
	}
	one := d.command("haechi", "run", "shell", "shop#1", "exit 9")
	if err := one.Run(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("one command: %v", err)
	}

	if err := os.RemoveAll(filepath.Join(d.dir, "data", "builds", "kept")); err != nil {
		t.Fatal(err)
	}
	p := d.sit(d.command("haechi", "run", "shell", "shop#1"))
	p.sees("is not here, or not any more: this server keeps those of the last 3 builds that failed on it, for 24h")
	p.leaves(1)
	p = d.sit(d.command("haechi", "run", "shell", "shop#2"))
	p.leaves(1)
}
