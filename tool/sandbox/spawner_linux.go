package sandbox

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// spawn is the life of the spawner: it starts what it is asked for until nobody
// can ask any more. What it has started ends by itself then.
func spawn(without []string) {
	const socketFD = 3
	if !slices.Contains(without, "descriptors") {
		_ = unix.CloseRange(socketFD+1, ^uint(0), 0) // what the server left open is nobody's business
	}
	unix.CloseOnExec(socketFD)
	// A unit's end is told to all of its processes: the server decides what becomes
	// of its steps. To ignore them would have every step ignore them, too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	conn, err := connOf(socketFD)
	if err != nil {
		os.Exit(1)
	}
	var lives sync.WaitGroup
	text, room := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*16))
	for {
		n, oob, flags, _, err := conn.ReadMsgUnix(text, room)
		if err != nil || n == 0 {
			lives.Wait() // who could ask may be gone before those who wait
			os.Exit(0)
		}
		fds, err := rightsIn(room[:oob])
		if err != nil || len(fds) != 6 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			os.Exit(1) // not what our own server says: the next one is told by somebody else
		}
		var b birth
		if err := json.Unmarshal(text[:n], &b); err != nil {
			os.Exit(1)
		}
		line, err := connOf(fds[0])
		if err != nil {
			os.Exit(1)
		}
		lives.Go(func() { b.live(line, fds[1:]) })
	}
}

// live starts a process, says so, and says so when it has ended.
func (b birth) live(line *net.UnixConn, fds []int) {
	defer line.Close()
	var f [5]*os.File
	for i, fd := range fds {
		f[i] = os.NewFile(uintptr(fd), "step")
	}
	pidfd := -1
	p, err := os.StartProcess("/proc/self/exe", []string{childName}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{f[0], f[1], f[1], f[2], f[3], f[4]},
		// Not even ours. It lives shortly and small: it neither collects garbage
		// nor asks again and again how many processors it may use.
		Env: []string{"GOGC=off", "GOMEMLIMIT=64MiB", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"},
		Sys: &syscall.SysProcAttr{
			Setsid: true, Cloneflags: b.Flags, UidMappings: b.Users, GidMappings: b.Groups,
			GidMappingsEnableSetgroups: b.SetGroups, AmbientCaps: b.Caps, PidFD: &pidfd,
		},
	})
	for _, f := range f {
		f.Close()
	}
	if err != nil {
		tell(line, life{Errno: errnoOf(err), Error: err.Error()}, -1)
		return
	}
	tell(line, life{PID: p.Pid}, pidfd)
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	if _, err := line.Read(make([]byte, 1)); err == nil { // it is in its control groups
		go b.follow(line, p)
	} else {
		b.abandon(p)
	}
	state, err := p.Wait()
	if err != nil {
		tell(line, life{Error: err.Error()}, -1)
		return
	}
	tell(line, life{Status: uint32(state.Sys().(syscall.WaitStatus))}, -1)
}

// follow ends a process that nobody waits for any more.
func (b birth) follow(line *net.UnixConn, p *os.Process) {
	_, _ = line.Read(make([]byte, 1)) // nothing comes
	b.abandon(p)
}

// abandon kills a process that takes all others of its sandbox with it. One that
// does not ends them itself when it notices that the server is gone.
func (b birth) abandon(p *os.Process) {
	if b.Flags&unix.CLONE_NEWPID != 0 {
		_ = p.Kill()
	}
}

// tell says something of a process; who does not listen any more is no matter.
func tell(line *net.UnixConn, l life, pidfd int) {
	text, err := json.Marshal(l)
	if err != nil {
		return
	}
	var rights []byte
	if pidfd >= 0 {
		rights = unix.UnixRights(pidfd)
	}
	_, _, _ = line.WriteMsgUnix(text, rights, nil)
}

// errnoOf is what the kernel said, or 0.
func errnoOf(err error) int {
	var e syscall.Errno
	if errors.As(err, &e) {
		return int(e)
	}
	return 0
}
