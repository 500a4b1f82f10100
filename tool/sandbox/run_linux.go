package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/word/fault"
)

// childName is what the program is called when it is to be the first process of a sandbox.
const childName = "haechi: sandbox"

// The child's descriptors besides 0, 1 and 2.
const (
	controlFD = 3 // the plan comes in, the listener goes out; when it ends, the parent is gone
	reportFD  = 4 // what the step says on its descriptor 3
	errorFD   = 5 // why there is no step
)

// inside is the step's user and group id as it sees them.
const inside = 1000

// namespaces are those of a step, by the names that people know.
var namespaces = [...]struct {
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

// walls names what a step at that level is walled in with.
func (s *Sandbox) walls(level Level) string {
	names := []string{Namespaces.String(), "seccomp"}
	if level == Bare {
		names = []string{Bare.String(), "seccomp"}
	}
	if abi := landlockABI(); abi >= leastLandlock {
		names = append(names, fmt.Sprintf("landlock %d", abi))
	}
	return strings.Join(append(names, s.groups.say()), ", ")
}

func (s *Sandbox) run(ctx context.Context, step Step, level Level, out io.Writer) (int, error) {
	limits := step.Limits.orDefault()
	if f, ok := step.Stdin.(*os.File); ok && f == nil {
		step.Stdin = nil
	}
	work, err := filepath.Abs(step.Work)
	if err != nil {
		return -1, err
	}
	p := plan{
		Terminal: step.Terminal != nil,
		Level:    level, Argv: step.Argv, Dir: Work, Work: work, Root: step.Root, Tools: step.Tools,
		Groups: os.Getuid() == 0,
		Stdin:  step.Stdin != nil, Limits: limits, User: inside, Without: s.without,
	}
	env := step.Env
	if step.Egress != nil && level != Bare {
		p.Egress = true
		for name, content := range step.Egress.Files() {
			p.Files = append(p.Files, file{Name: name, Size: len(content), Content: content})
		}
		env = append(step.Egress.Env(EgressAddr), env...) // what the step says itself comes later, and counts
	}
	p.Env = environment(env, Home, "/tmp")
	user := os.Getuid()
	switch {
	case step.AsRoot:
		var done func()
		if user, done, err = s.rangeOf(work, step.Shared); err != nil {
			return -1, fmt.Errorf("giving %s to the step's users: %w", work, err)
		}
		defer done()
		p.Changes, err = changes(work, user)
		defer removeAll(p.Changes)
		if err != nil {
			return -1, err
		}
		p.AsRoot, p.User, p.Probe = true, 0, len(step.Argv) == 0
	case user == 0:
		if user, err = s.turnOf(work, step.Shared); err != nil {
			return -1, fmt.Errorf("giving %s to the step's user: %w", work, err)
		}
	}
	if p.Terminal && os.Getuid() == 0 {
		if err := step.Terminal.Chown(user, user); err != nil { // who opens /dev/stdin opens it anew
			return -1, fmt.Errorf("giving the terminal to the step's user: %w", err)
		}
	}
	if level == Bare {
		home, err := bareHome(user)
		if err != nil {
			return -1, err
		}
		defer os.RemoveAll(home)
		p.Env, p.Dir, p.Home, p.User = environment(step.Env, home, home), work, home, -1
		if os.Getuid() == 0 {
			p.User = user
		}
	}
	group, err := s.groups.make(limits)
	if err != nil {
		return -1, err
	}
	p.Watch = group.memory == ""
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, fault.Limit.Errorf("the step took longer than %v", limits.Time))
	defer cancel()
	l := launch{spawner: &s.spawner, plan: p, user: user, group: group, step: step, out: out}
	exit, err := l.run(ctx)
	if (exit != 0 || err != nil) && ctx.Err() == nil && group.exhausted() {
		exit, err = -1, tooMuchMemory(limits)
	}
	group.remove()
	return exit, err
}

// users are how many of the machine's steps run as, in turn.
const users = 4096

// turnOf is the user whose turn it is, with the folder made theirs; or the one
// whose it is already, where it is shared.
func (s *Sandbox) turnOf(work string, shared bool) (user int, err error) {
	first := s.config.FirstUser
	if shared {
		var st unix.Stat_t
		if err := unix.Stat(work, &st); err != nil {
			return 0, err
		}
		if u := int(st.Uid); u >= first && u < first+users {
			return u, nil // and so is what lies in it
		}
	}
	user = first + int(s.turn.Add(1)%users)
	return user, give(work, user)
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

// launch is one start of a step.
type launch struct {
	spawner *spawner
	plan    plan
	user    int
	group   *group
	step    Step
	out     io.Writer
}

// run starts the child, tells it the plan, and waits for its end.
func (l *launch) run(ctx context.Context) (int, error) {
	text, err := json.Marshal(l.plan)
	if err != nil {
		return -1, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limits := l.step.Limits.orDefault()
	over := func(what string) func() {
		return func() { stop(fault.Limit.Errorf("the step wrote more than %d bytes to its %s", limits.Output, what)) }
	}
	output := &meter{to: l.out, left: limits.Output, over: over("output")}
	reported := &meter{to: io.Discard, left: limits.Output, over: over("report")}
	if l.step.Report != nil {
		reported.to = l.step.Report
	}

	said, err := newFlow()
	if err != nil {
		return -1, err
	}
	var pipes pipes
	defer pipes.close()
	theirs := files{out: said.w}
	var control *net.UnixConn
	var reports, complaints *os.File
	control, theirs.control = pipes.control()
	reports, theirs.report = pipes.fromChild()
	complaints, theirs.complaint = pipes.fromChild()
	input := pipes.stdin(&theirs, l.step)
	if pipes.err != nil {
		said.r.Close()
		said.w.Close()
		return -1, pipes.err
	}
	child, err := l.spawner.start(attributes(l.plan, l.user), theirs)
	said.w.Close()
	go said.take(output)
	if err != nil {
		return -1, err
	}
	pipes.started()
	collected := collect(reports, reported)
	var complaint bytes.Buffer
	complained := collect(complaints, &meter{to: &complaint, left: 64 << 10})
	writeErr := l.tell(control, text, child.pid)
	if writeErr != nil {
		control.Close() // it ends, and may have said why
	}
	if err := child.entered(); writeErr == nil {
		writeErr = err
	}
	var others sync.WaitGroup
	var full error
	others.Go(func() { full = watchDisk(ctx, stop, limits, l.plan.Work, l.plan.Changes) })
	if l.group.memory != "" {
		others.Go(func() { watchGroup(ctx, stop, l.group, limits) })
	}
	served := l.serve(control)
	if input != nil {
		go func() { // it may wait for a person when the step has ended: nobody waits for it
			_, _ = io.Copy(input, l.step.Stdin)
			input.Close()
		}()
	}

	stopChild := child.kill
	if l.plan.Level == Bare {
		stopChild = func() { control.Close() } // the child ends the step: killed itself, it could not
	}
	status, waitErr := child.wait(ctx.Done(), stopChild)
	// Nobody is left to write: what there is to read is there.
	for _, c := range []chan struct{}{said.done, collected, complained} {
		select {
		case <-c:
		case <-time.After(waitDelay):
		}
	}
	close(said.stop)
	<-said.done
	cause := context.Cause(ctx)
	stop(nil)
	control.Close()
	served()
	others.Wait()
	if cause == nil {
		cause = full
	}
	return verdict(cause, status, errors.Join(waitErr, writeErr), complaint.Bytes())
}

// tell tells the child the plan and the files, puts it into its control groups
// meanwhile, and lets it start the step then.
func (l *launch) tell(control *net.UnixConn, plan []byte, pid int) error {
	entered := make(chan error, 1)
	go func() { entered <- l.group.add(pid) }()
	err := l.hand(control, pid)
	if err == nil {
		_, err = control.Write(append(plan, '\n'))
	}
	for _, f := range l.plan.Files {
		if err == nil {
			_, err = control.Write(f.Content)
		}
	}
	if e := <-entered; err == nil {
		err = e
	}
	if err == nil {
		_, err = control.Write([]byte{'\n'})
	}
	return err
}

// hand begins the talk with the child, and hands it what it cannot take itself:
// the image as its users see it.
func (l *launch) hand(control *net.UnixConn, pid int) error {
	var rights []byte
	if l.plan.AsRoot {
		image, err := ownedMount(l.plan.Root, pid)
		if err != nil {
			return err
		}
		defer image.Close()
		rights = unix.UnixRights(int(image.Fd()))
	}
	_, _, err := control.WriteMsgUnix([]byte{'\n'}, rights, nil)
	return err
}

// serve takes the listener that the child opens within the step's network, and
// has it served. What it gives ends that, once the child is gone.
func (l *launch) serve(control *net.UnixConn) (end func()) {
	if !l.plan.Egress {
		return func() {}
	}
	done := make(chan struct{})
	var mu sync.Mutex
	var listener net.Listener
	ended := false
	go func() {
		defer close(done)
		got, err := receiveListener(control)
		if err != nil {
			return // the child ended before; it says why
		}
		mu.Lock()
		listener = got
		if ended {
			got.Close()
		}
		mu.Unlock()
		l.step.Egress.Serve(got)
	}()
	return func() {
		mu.Lock()
		ended = true
		if listener != nil {
			listener.Close()
		}
		mu.Unlock()
		<-done
	}
}

// receiveListener takes a listener that comes over a socket.
func receiveListener(control *net.UnixConn) (net.Listener, error) {
	room := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := control.ReadMsgUnix(make([]byte, 1), room)
	if err != nil {
		return nil, err
	}
	fds, err := rightsIn(room[:n])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	f := os.NewFile(uintptr(fds[0]), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// verdict makes of what was seen of a step how it ended.
func verdict(cause error, status syscall.WaitStatus, lost error, said []byte) (int, error) {
	var c complaint
	if len(said) > 0 {
		if err := json.Unmarshal(said, &c); err != nil {
			c.Text = string(said)
		}
	}
	switch {
	case cause != nil:
		return -1, cause
	case c.Limit:
		return -1, fault.Limit.Errorf("%s", c.Text)
	case c.Text != "":
		return -1, errors.New(c.Text)
	case errors.Is(lost, errSpawner):
		return -1, errSpawner
	case lost != nil:
		return -1, fmt.Errorf("telling the sandbox what to run: %w", lost)
	case !status.Exited():
		return -1, fmt.Errorf("the sandbox was ended from outside: %v", status.Signal())
	}
	return status.ExitStatus(), nil
}

// refused says which walls were asked for when the kernel would not have them.
func refused(err error) error {
	var names []string
	for _, w := range namespaces {
		names = append(names, w.name)
	}
	return fmt.Errorf("the kernel forbids new namespaces (%v): %w", names, err)
}

// attributes are how the child is born: within its walls, mapped to one user, or
// to a range of them.
func attributes(p plan, user int) (b birth) {
	if p.Level == Bare {
		return b
	}
	for _, w := range namespaces {
		if !p.without(w.name) {
			b.Flags |= w.flag
		}
	}
	if p.without("user") { // the machine's own, with all that its root may
		return b
	}
	b.Users = []syscall.SysProcIDMap{{ContainerID: p.User, HostID: user, Size: 1}}
	b.Groups = []syscall.SysProcIDMap{{ContainerID: p.User, HostID: groupOf(user), Size: 1}}
	b.SetGroups = p.Groups
	if p.AsRoot {
		b.Users[0].Size, b.Groups[0].Size = width, width
		b.Caps = rootCapabilities()
	}
	// Without a user 0 inside, exec would take all rights away: these are kept
	// until the walls stand, and dropped for good before the step.
	b.Caps = append(b.Caps, unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP, unix.CAP_NET_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID)
	if p.without("capabilities") {
		b.Caps = append(b.Caps, unix.CAP_SYS_CHROOT, unix.CAP_NET_RAW, unix.CAP_SYS_PTRACE)
	}
	return b
}

func groupOf(user int) int {
	if os.Getuid() == 0 {
		return user
	}
	return os.Getgid()
}

// pipes are those between parent and child; both ends are closed in time.
type pipes struct {
	ours, theirs []*os.File
	conn         *net.UnixConn
	err          error
}

func (p *pipes) pair() (r, w *os.File) {
	r, w, err := os.Pipe()
	p.err = errors.Join(p.err, err)
	return r, w
}

// control is a socket to the child, over which descriptors can go.
func (p *pipes) control() (*net.UnixConn, *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.err = errors.Join(p.err, err)
		return nil, nil
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	p.theirs = append(p.theirs, theirs)
	if p.conn, err = connOf(fds[0]); err != nil {
		p.err = errors.Join(p.err, err)
	}
	return p.conn, theirs
}

// stdin is a pipe, whatever the step reads: a terminal of the server's is none
// of its business. It gives the end that is to be filled, where that is for us to do.
func (p *pipes) stdin(theirs *files, s Step) *os.File {
	if s.Terminal != nil {
		theirs.in = s.Terminal
		return nil
	}
	if s.Stdin == nil {
		null, err := os.Open(os.DevNull)
		p.err = errors.Join(p.err, err)
		theirs.in, p.theirs = null, append(p.theirs, null)
		return nil
	}
	if f, ok := s.Stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			theirs.in = f
			return nil
		}
	}
	r, w := p.pair()
	theirs.in = r
	p.ours, p.theirs = append(p.ours, w), append(p.theirs, r)
	return w
}

func (p *pipes) fromChild() (ours, theirs *os.File) {
	r, w := p.pair()
	p.ours, p.theirs = append(p.ours, r), append(p.theirs, w)
	return r, w
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
	if p.conn != nil {
		p.conn.Close()
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
