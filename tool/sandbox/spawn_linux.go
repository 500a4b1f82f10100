package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// spawnerName is what the program is called when it starts the first processes of sandboxes.
const spawnerName = "haechi: spawner"

// spawner starts the first processes of sandboxes. One that is born into
// namespaces is born of a copy of the page tables of who starts it, and that
// takes the longer the more memory it has: 60 ms where it is 600 MB. So a small
// process of ours does it. The first step starts it, and the next one where it
// has died; it ends when nobody holds the other end of its socket any more.
type spawner struct {
	without []string // walls that a test leaves out

	mu   sync.Mutex
	conn *net.UnixConn // nil until a step needs it
}

// birth is how a process is to be born.
type birth struct {
	Flags     uintptr
	Users     []syscall.SysProcIDMap `json:",omitzero"` // not even an empty one where there is no namespace: the start would wait for it
	Groups    []syscall.SysProcIDMap `json:",omitzero"`
	SetGroups bool                   // it may change those
	Caps      []uintptr
}

// life is what the spawner says of a process: at its start, and at its end.
type life struct {
	PID    int
	Status uint32 // as wait4 gives it
	Errno  int    // what the kernel said to the start
	Error  string
}

// files are the descriptors of the first process, in the order of their numbers but for 2, which is 1.
type files struct{ in, out, control, report, complaint *os.File }

// process is a first process, which is a child of the spawner's.
type process struct {
	pid   int
	pidfd int           // -1 where the kernel knows none
	line  *net.UnixConn // to the spawner, about it; it is killed when this is closed
}

// errSpawner is a step whose spawner is no more.
var errSpawner = errors.New("the process that starts sandboxes was ended from outside, and this sandbox with it")

// start starts the first process of a sandbox.
func (s *spawner) start(b birth, f files) (*process, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	line, theirs, err := packets()
	if err != nil {
		return nil, err
	}
	rights := []int{int(theirs.Fd())}
	for _, f := range []*os.File{f.in, f.out, f.control, f.report, f.complaint} {
		rights = append(rights, int(f.Fd()))
	}
	err = s.send(text, unix.UnixRights(rights...))
	theirs.Close()
	if err == nil {
		var p *process
		if p, err = begun(line, b); err == nil {
			return p, nil
		}
	}
	line.Close()
	return nil, err
}

// send sends a request to the spawner, which is started where there is none.
func (s *spawner) send(text, rights []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_, _, err := s.conn.WriteMsgUnix(text, rights, nil)
		if err == nil {
			return nil
		}
		s.conn.Close() // it has died
		s.conn = nil
	}
	conn, err := s.begin()
	if err != nil {
		return fmt.Errorf("starting the process that starts sandboxes: %w", err)
	}
	s.conn = conn
	_, _, err = conn.WriteMsgUnix(text, rights, nil)
	return err
}

// begin starts the spawner, with nothing of ours but its end of a socket. It is
// of no session of ours: what ends a terminal's programs does not end it.
func (s *spawner) begin() (*net.UnixConn, error) {
	conn, theirs, err := packets()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{spawnerName}, s.without...)
	cmd.Env, cmd.Dir = []string{"GOMEMLIMIT=64MiB", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"}, "/"
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	go func() { _ = cmd.Wait() }() // buried when it ends, which is when the socket is closed, also by the collector
	return conn, nil
}

// packets is a pair of sockets that keep messages apart.
func packets() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(fds[1]), "spawner")
	if ours, err = connOf(fds[0]); err != nil {
		theirs.Close()
	}
	return ours, theirs, err
}

// connOf is the connection of a socket, which becomes its own.
func connOf(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// begun waits for what the spawner says of a process at its start.
func begun(line *net.UnixConn, b birth) (*process, error) {
	l, rights, err := hear(line)
	switch {
	case err != nil:
		return nil, errSpawner
	case l.Errno != 0:
		err := &os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: syscall.Errno(l.Errno)}
		if b.Flags == 0 {
			return nil, err
		}
		return nil, refused(err)
	case l.Error != "":
		return nil, errors.New(l.Error)
	}
	p := &process{pid: l.PID, pidfd: -1, line: line}
	if len(rights) == 1 {
		p.pidfd = rights[0]
	}
	return p, nil
}

// hear takes one message.
func hear(line *net.UnixConn) (l life, rights []int, err error) {
	text, room := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*8))
	n, oob, _, _, err := line.ReadMsgUnix(text, room)
	if err != nil {
		return l, nil, err
	}
	if n == 0 {
		return l, nil, io.EOF
	}
	if rights, err = rightsIn(room[:oob]); err != nil {
		return l, rights, err
	}
	return l, rights, json.Unmarshal(text[:n], &l)
}

// rightsIn are the descriptors that came with a message.
func rightsIn(room []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(room)
	for i := range messages {
		got, e := unix.ParseUnixRights(&messages[i])
		fds, err = append(fds, got...), errors.Join(err, e)
	}
	return fds, err
}

// entered says that the process is in its control groups: only now its number
// may become another's when it ends.
func (p *process) entered() error {
	if _, err := p.line.Write([]byte{'\n'}); err != nil {
		return errSpawner
	}
	return nil
}

// kill kills the process, and with it all that are in its namespace of processes.
func (p *process) kill() {
	if p.pidfd < 0 || unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0) == unix.ENOSYS {
		_ = p.line.CloseWrite()
	}
}

// waitDelay is how long what is to end may take until it is killed.
const waitDelay = 5 * time.Second

// wait waits for the end of the process, which stop asks for when done is
// closed, and when the spawner has died.
func (p *process) wait(done <-chan struct{}, stop func()) (syscall.WaitStatus, error) {
	defer p.line.Close()
	type end struct {
		status syscall.WaitStatus
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		l, _, err := hear(p.line)
		if err == nil && l.Error != "" {
			err = errors.New(l.Error)
		}
		ended <- end{syscall.WaitStatus(l.Status), err}
	}()
	var e end
	select {
	case e = <-ended:
	case <-done:
		stop()
		select {
		case e = <-ended:
		case <-time.After(waitDelay):
			p.kill()
			e = <-ended
		}
	}
	if e.err != nil {
		stop()
		p.gone()
		e.err = errSpawner
	}
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
	}
	return e.status, e.err
}

// gone sees to it that a process is gone whose parent, the spawner, is no more.
func (p *process) gone() {
	if p.pidfd < 0 {
		return // it has no walls, and ends when it notices that nobody is at the other end
	}
	poll := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(waitDelay); time.Now().Before(deadline); {
		if n, err := unix.Poll(poll, int(waitDelay/time.Millisecond)); n > 0 || err != nil && err != unix.EINTR {
			return
		}
	}
	p.kill()
	_, _ = unix.Poll(poll, int(waitDelay/time.Millisecond))
}
