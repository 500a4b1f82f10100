package sandbox

import (
	"bufio"
	"fmt"
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
// steps. When this process is a sandbox's own it builds the walls, runs the
// step and never returns; in every other process it does nothing.
func Child() {
	if len(os.Args) != 1 {
		return
	}
	switch os.Args[0] {
	case childName:
		first()
	case stepName:
		become()
	}
}

// first is the first process of a sandbox: it builds the walls, starts the
// step, buries the dead and ends with the step, and all the rest with it.
func first() {
	runtime.LockOSThread() // so that no thread is born of one whose user has changed
	p := receive(controlFD)
	_ = unix.CloseRange(errorFD+1, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // what the server left open
	if p.Level == Bare {
		// The kernel ends nothing for us here: what loses its parent becomes our child.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if p.Level == Namespaces {
		if err := apart(func() error { return build(p) }); err != nil {
			fail(err)
		}
	}
	step, err := startStep(p)
	if err != nil {
		fail(err)
	}
	unix.Close(errorFD) // the step's copy closes when it has become the step
	unix.Close(reportFD)
	go func() {
		// The parent holds the other end and writes no more: this returns when it is gone.
		_, _ = os.NewFile(controlFD, "control").Read(make([]byte, 1))
		end(p.Level, 137)
	}()
	end(p.Level, bury(step))
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

// startStep starts this program once more, to become the step, and hands it the plan.
func startStep(p plan) (pid int, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("opening /dev/null: %w", err)
	}
	stdin := uintptr(null)
	if p.Stdin {
		stdin = 0
	}
	pid, err = syscall.ForkExec("/proc/self/exe", []string{stepName}, &syscall.ProcAttr{
		Env:   []string{},
		Files: []uintptr{stdin, 1, 2, reportFD, uintptr(pipe[0]), errorFD},
		Sys:   &syscall.SysProcAttr{},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the step: %w", err)
	}
	unix.Close(pipe[0])
	unix.Close(null)
	text, err := json.Marshal(p)
	if err != nil {
		return 0, err
	}
	to := os.NewFile(uintptr(pipe[1]), "plan")
	defer to.Close()
	_, _ = to.Write(append(text, '\n')) // one that died says why itself
	return pid, nil
}

// planFD is where the process that becomes the step reads the plan.
const planFD = 4

// become gives up every right and is the step from then on.
func become() {
	runtime.LockOSThread() // rights belong to a thread, and exec keeps this one's
	p := receive(planFD)
	if err := unix.CloseRange(planFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fail(fmt.Errorf("closing descriptors: %w", err))
	}
	if err := renounce(p); err != nil {
		fail(err)
	}
	if err := os.Chdir(p.Dir); err != nil {
		fail(err)
	}
	command := lookup(p.Argv[0], p.Env)
	if err := unix.Exec(command, p.Argv, p.Env); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Argv[0], err)
		os.Exit(127) // as a shell does
	}
}

func receive(fd int) plan {
	var p plan
	line, err := bufio.NewReader(os.NewFile(uintptr(dup(fd)), "plan")).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p)
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
func fail(err error) {
	_, _ = unix.Write(errorFD, []byte(err.Error()))
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
