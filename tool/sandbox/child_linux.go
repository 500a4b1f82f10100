package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// Child is to be called first thing in main, and in TestMain of tests that run
// steps. When this process is a sandbox's own it builds the walls and runs the
// step, or starts those that do, and never returns; in every other process it
// does nothing.
func Child() {
	switch {
	case len(os.Args) == 1 && os.Args[0] == childName:
		first()
	case len(os.Args) > 0 && os.Args[0] == spawnerName:
		spawn(os.Args[1:])
	}
}

// first is the first process of a sandbox: it builds the walls, starts the
// step, buries the dead and ends with the step, and all the rest with it.
func first() {
	runtime.LockOSThread() // so that no thread is born of one whose user has changed
	image := handed()
	control := bufio.NewReader(os.NewFile(uintptr(dup(controlFD)), "control"))
	p := receive(control)
	p.lower = image
	if !p.without("descriptors") {
		_ = unix.CloseRange(controlFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // ours, and what the server left open
	}
	if p.Level == Bare {
		// The kernel ends nothing for us here: what loses its parent becomes our child.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	} else if err := enclose(p); err != nil {
		fail(err)
	}
	// Meanwhile the parent has put us into our control groups, which may take as long.
	if _, err := control.ReadByte(); err != nil {
		os.Exit(137)
	}
	if p.Probe {
		os.Exit(0)
	}
	gone := make(chan struct{})
	go func() {
		// The parent holds the other end and writes no more: this returns when it is gone.
		_, _ = control.ReadByte()
		close(gone)
	}()
	step, err := startStep(p)
	var missing *missing
	if errors.As(err, &missing) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Argv[0], missing.why)
		os.Exit(127) // as a shell does
	}
	if err != nil {
		fail(err)
	}
	unix.Close(reportFD)
	if p.Watch && p.Level != Bare {
		go watchMemory(p.Limits.Total)
	}
	go func() {
		<-gone
		end(p.Level, 137)
	}()
	end(p.Level, bury(step))
}

// enclose builds the walls around this process.
func enclose(p plan) error {
	if err := apart(func() error { return build(p) }); err != nil {
		return err
	}
	if p.Egress {
		return wall("network", "opening the way out", passListener())
	}
	return nil
}

// passListener opens what a step's egress is served on, and hands it to the
// parent: the network that it belongs to goes with it.
func passListener() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	at, err := netip.ParseAddrPort(EgressAddr)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return err
	}
	return unix.Sendmsg(controlFD, []byte{1}, unix.UnixRights(fd), nil, 0)
}

// end ends the sandbox. The first process of a pid namespace takes all others
// with it; without one, all that is our child, or becomes it, is killed.
func end(level Level, status int) {
	for level == Bare {
		children := children()
		if len(children) == 0 {
			break
		}
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}
	os.Exit(status)
}

// children are the processes whose parent is this one, whichever thread made them.
func children() []int {
	var pids []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		text, _ := os.ReadFile(name)
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// bury waits for every process that ends until the step does, and gives its status.
func bury(step int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 255
		case pid == step && status.Signaled():
			return 128 + int(status.Signal())
		case pid == step && status.Exited():
			return status.ExitStatus()
		}
	}
}

// missing says that the step's command cannot be run.
type missing struct{ why error }

// Error says why.
func (m *missing) Error() string { return m.why.Error() }

// startStep starts the step from a thread that has given up every right. The
// process it becomes inherits that, and shares nothing else with us. It was
// this program once more that became the step before; its start alone took
// a third of the time.
func startStep(p plan) (pid int, err error) {
	stdin := 0
	files, born := []uintptr{0, 1, 2, reportFD}, &syscall.SysProcAttr{}
	if p.Terminal {
		files, born.Setsid, born.Setctty = []uintptr{0, 0, 0, reportFD}, true, true
	} else if !p.Stdin {
		if stdin, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return 0, fmt.Errorf("opening /dev/null: %w", err)
		}
		defer unix.Close(stdin)
		files[0] = uintptr(stdin)
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // rather the step than the server; not everywhere
	raise, err := limit(p.Limits)
	if err != nil {
		return 0, err
	}
	err = apart(func() error {
		if p.Level != Bare && !p.without("cgroup") {
			if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil && err != unix.EINVAL { // the kernel may have none
				return wall("control group", "making them our own", err)
			}
		}
		if err := renounce(p); err != nil {
			return err
		}
		command := lookup(p.Argv[0], p.Env)
		at := command
		if !filepath.IsAbs(at) {
			at = filepath.Join(p.Dir, at)
		}
		if err := foreign(at); err != nil && !p.without("foreign") {
			return &missing{err}
		}
		pid, err = syscall.ForkExec(command, p.Argv, &syscall.ProcAttr{
			Dir: p.Dir, Env: p.Env, Files: files, Sys: born,
		})
		switch err {
		case nil:
			return nil
		case syscall.EAGAIN, syscall.ENOMEM:
			return fmt.Errorf("starting the step: %w", err)
		}
		return &missing{err}
	})
	if err != nil {
		return 0, err
	}
	return pid, raise(pid)
}

// foreign refuses a command that is this very program: a script or link that an
// image brings as /bin/sh may lead to /proc/self/exe, and the step, once it were
// that, could keep it open and write over the server's own file later.
func foreign(command string) error {
	ours, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil // there is no /proc, and no such way
	}
	for range 6 { // the kernel follows fewer
		info, err := os.Stat(command)
		if err != nil {
			return nil // it will say so itself
		}
		if os.SameFile(info, ours) {
			return fmt.Errorf("it leads to the server's own program")
		}
		if !info.Mode().IsRegular() {
			return nil // no script; and to open a pipe would be to wait for somebody
		}
		f, err := os.Open(command)
		if err != nil {
			return nil
		}
		head := make([]byte, 256)
		n, _ := io.ReadFull(f, head)
		f.Close()
		line, script := strings.CutPrefix(string(head[:n]), "#!")
		words := strings.Fields(strings.SplitN(line, "\n", 2)[0])
		if !script || len(words) == 0 {
			return nil
		}
		command = words[0]
	}
	return nil
}

// handed takes what the parent hands over before it says anything: a mount, or -1.
func handed() int {
	text, room := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for {
		_, n, _, _, err := unix.Recvmsg(controlFD, text, room, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			fail(fmt.Errorf("listening to the server: %w", err))
		}
		if fds, err := rightsIn(room[:n]); err == nil && len(fds) == 1 {
			return fds[0]
		}
		return -1
	}
}

func receive(control *bufio.Reader) plan {
	var p plan
	line, err := control.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p)
	}
	for i := range p.Files {
		f := &p.Files[i]
		f.Content = make([]byte, f.Size)
		if _, e := io.ReadFull(control, f.Content); e != nil {
			err = e
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		os.Exit(137) // the parent is gone, or knows why it says no more
	}
	if err != nil {
		fail(fmt.Errorf("reading the plan of the step: %w", err))
	}
	return p
}

// dup keeps fd itself out of reach of the garbage collector, who would close it.
func dup(fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		fail(err)
	}
	return n
}

// fail tells the parent why there is no step.
func fail(err error) { complain(complaint{Text: err.Error()}) }

// complain tells the parent why this ends.
func complain(c complaint) {
	text, err := json.Marshal(c)
	if err != nil {
		text = []byte(`{"Text":"the sandbox cannot say why it ends"}`)
	}
	_, _ = unix.Write(errorFD, text)
	os.Exit(1)
}

// apart runs f on a thread of its own that ends with it, because f changes
// what that thread may do to files.
func apart(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		done <- f()
	}()
	return <-done
}
