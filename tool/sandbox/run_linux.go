package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/word/fault"
)

// childName is what the program is called when it is to be the first process
// of a sandbox, and stepName when it is to become the step.
const (
	childName = "haechi: sandbox"
	stepName  = "haechi: step"
)

// The child's descriptors besides 0, 1 and 2.
const (
	controlFD = 3 // the plan comes in; when it ends, the parent is gone
	reportFD  = 4 // what the step says on its descriptor 3
	errorFD   = 5 // why there is no step
)

// inside is the step's user and group id as it sees them.
const inside = 1000

// walls are the namespaces of a step, by the names that people know.
var walls = [...]struct {
	flag uintptr
	name string
}{
	{unix.CLONE_NEWUSER, "user"}, {unix.CLONE_NEWNS, "mount"}, {unix.CLONE_NEWPID, "pid"},
	{unix.CLONE_NEWNET, "network"}, {unix.CLONE_NEWIPC, "ipc"}, {unix.CLONE_NEWUTS, "uts"},
}

// probe runs nothing in a full sandbox, to see whether the kernel lets us.
func (s *Sandbox) probe(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "haechi-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	exit, err := s.run(ctx, Step{Argv: []string{"true"}, Work: dir, Limits: Limits{Time: 20 * time.Second}}, Namespaces, io.Discard)
	if err == nil && exit != 0 {
		err = fmt.Errorf("a step that does nothing ends with status %d", exit)
	}
	return err
}

func (s *Sandbox) run(ctx context.Context, step Step, level Level, out io.Writer) (int, error) {
	limits := step.Limits.orDefault()
	work, err := filepath.Abs(step.Work)
	if err != nil {
		return -1, err
	}
	p := plan{Level: level, Argv: step.Argv, Dir: Work, Work: work, Tools: step.Tools, Limits: limits, User: inside, Stdin: step.Stdin != nil}
	p.Env = environment(step.Env, Home, "/tmp")
	user := os.Getuid()
	if user == 0 {
		user = s.config.FirstUser + int(s.turn.Add(1)%4096)
		if err := give(work, user); err != nil {
			return -1, fmt.Errorf("giving %s to the step's user: %w", work, err)
		}
	}
	if level == Bare {
		home, err := bareHome(user)
		if err != nil {
			return -1, err
		}
		defer os.RemoveAll(home)
		p.Env, p.Dir, p.User = environment(step.Env, home, home), work, -1
		if os.Getuid() == 0 {
			p.User = user
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, fault.Limit.Errorf("the step took longer than %v", limits.Time))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	return launch(ctx, stop, p, user, step, out)
}

// give makes a folder and all in it the step's user's. Links are not followed.
func give(dir string, user int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, user, user)
	})
}

// bareHome is a home for one step that is not walled in.
func bareHome(user int) (string, error) {
	home, err := os.MkdirTemp("", "haechi-home-")
	if err != nil {
		return "", err
	}
	if os.Getuid() == 0 {
		err = os.Chown(home, user, user)
	}
	return home, err
}

// launch starts the child, tells it the plan, and waits for its end.
func launch(ctx context.Context, stop context.CancelCauseFunc, p plan, user int, step Step, out io.Writer) (int, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return -1, err
	}
	over := func(what string) func() {
		return func() { stop(fault.Limit.Errorf("the step wrote more than %d bytes to its %s", p.Limits.Output, what)) }
	}
	output := &meter{to: out, left: p.Limits.Output, over: over("output")}
	report := step.Report
	if report == nil {
		report = io.Discard
	}
	reported := &meter{to: report, left: p.Limits.Output, over: over("report")}

	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{childName}
	cmd.Env = []string{} // not even ours
	cmd.Dir = "/"
	if step.Stdin != nil {
		cmd.Stdin = step.Stdin
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = attributes(p.Level, user)

	var pipes pipes
	defer pipes.close()
	control := pipes.toChild(cmd)
	if p.Level == Bare {
		cmd.Cancel = control.Close // the child ends the step: killed itself, it could not
	}
	reports := pipes.fromChild(cmd)
	complaints := pipes.fromChild(cmd)
	if pipes.err != nil {
		return -1, pipes.err
	}
	if err := cmd.Start(); err != nil {
		return -1, refused(err)
	}
	pipes.started()
	collected := collect(reports, reported)
	var complaint bytes.Buffer
	complained := collect(complaints, &meter{to: &complaint, left: 64 << 10})
	_, writeErr := control.Write(append(text, '\n'))

	waitErr := cmd.Wait()
	// Nobody is left to write: what there is to read is there.
	for _, c := range []chan struct{}{collected, complained} {
		select {
		case <-c:
		case <-time.After(cmd.WaitDelay):
		}
	}
	return verdict(ctx, waitErr, writeErr, complaint.String())
}

// verdict makes of what was seen of a step how it ended.
func verdict(ctx context.Context, waitErr, writeErr error, complaint string) (int, error) {
	switch {
	case context.Cause(ctx) != nil:
		return -1, context.Cause(ctx)
	case complaint != "":
		return -1, errors.New(complaint)
	case writeErr != nil:
		return -1, fmt.Errorf("telling the sandbox what to run: %w", writeErr)
	}
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) {
		if exit.ExitCode() < 0 {
			return -1, fmt.Errorf("the sandbox was ended from outside: %w", waitErr)
		}
		return exit.ExitCode(), nil
	}
	if waitErr != nil {
		return -1, waitErr
	}
	return 0, nil
}

// refused says which walls were asked for when the kernel would not have them.
func refused(err error) error {
	var names []string
	for _, w := range walls {
		names = append(names, w.name)
	}
	return fmt.Errorf("the kernel forbids new namespaces (%v): %w", names, err)
}

// attributes are how the child is born: within its walls, mapped to one user.
func attributes(level Level, user int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if level == Bare {
		return a
	}
	for _, w := range walls {
		a.Cloneflags |= w.flag
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: user, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: group(user), Size: 1}}
	// Without a user 0 inside, exec would take all rights away: these are kept
	// until the walls stand, and dropped for good before the step.
	a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP, unix.CAP_NET_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID}
	return a
}

func group(user int) int {
	if os.Getuid() == 0 {
		return user
	}
	return os.Getgid()
}

// pipes are those between parent and child; both ends are closed in time.
type pipes struct {
	ours, theirs []*os.File
	err          error
}

func (p *pipes) pair() (r, w *os.File) {
	r, w, err := os.Pipe()
	p.err = errors.Join(p.err, err)
	return r, w
}

func (p *pipes) toChild(cmd *exec.Cmd) *os.File {
	r, w := p.pair()
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	p.ours, p.theirs = append(p.ours, w), append(p.theirs, r)
	return w
}

func (p *pipes) fromChild(cmd *exec.Cmd) *os.File {
	r, w := p.pair()
	cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	p.ours, p.theirs = append(p.ours, r), append(p.theirs, w)
	return r
}

func (p *pipes) started() {
	for _, f := range p.theirs {
		f.Close()
	}
	p.theirs = nil
}

func (p *pipes) close() {
	p.started()
	for _, f := range p.ours {
		f.Close()
	}
}

// collect copies until there is no more, and closes what it gives.
func collect(from io.Reader, to io.Writer) chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, from)
	}()
	return done
}
