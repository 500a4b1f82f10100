package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/base/program"
	"github.com/haechi-dev/haechi/tool/sandbox"
)

// What an attempt ends with.
const (
	managed    = 0  // to do what it should not
	kept       = 7  // from doing it
	impossible = 42 // on this kernel, walls or not
	strayed    = 43 // the step was this very program, by /proc/self/exe
)

// errImpossible says that no wall is needed here.
var errImpossible = errors.New("this kernel does not do that at all")

// attempting is what TestMain does when this program is a step of its own tests.
func attempting() {
	if os.Args[0] == "/proc/self/exe" {
		os.Exit(strayed)
	}
	if len(os.Args) < 3 || os.Args[1] != "attempt" {
		return
	}
	runtime.LockOSThread()
	err := attempted()[os.Args[2]](os.Args[3:])
	fmt.Println(err)
	switch {
	case err == nil:
		os.Exit(managed)
	case errors.Is(err, errImpossible), errors.Is(err, unix.ENOSYS) && os.Args[2] != "io_uring":
		os.Exit(impossible)
	}
	os.Exit(kept)
}

// attempted is what a hostile step tries, by name.
func attempted() map[string]func(args []string) error {
	call := func(e unix.Errno) error {
		if e != 0 {
			return e
		}
		return nil
	}
	return map[string]func(args []string) error{
		"mount":           func([]string) error { return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "") },
		"new mount calls": func([]string) error { _, err := unix.Fsopen("tmpfs", 0); return err },
		"chroot":          func([]string) error { return unix.Chroot("/work") },
		"pivot":           func([]string) error { return unix.Unmount("/work", unix.MNT_DETACH) },
		"user namespace": func([]string) error {
			c := exec.Command("/bin/sh", "-c", ":")
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
			return c.Run()
		},
		"ptrace": func([]string) error {
			_, _, e := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
			return call(e)
		},
		"memory of others": func([]string) error {
			b := make([]byte, 1)
			local := []unix.Iovec{{Base: &b[0], Len: 1}}
			_, err := unix.ProcessVMReadv(os.Getpid(), local, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&b[0])), Len: 1}}, 0)
			return err
		},
		"keys": func([]string) error {
			_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
			return err
		},
		"io_uring": func([]string) error {
			var params [120]byte
			fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
			switch e {
			case 0:
				unix.Close(int(fd))
			case unix.ENOMEM: // it may lock no memory: the call itself was let through
				return nil
			}
			return call(e)
		},
		"raw socket":      func([]string) error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP) },
		"packets":         func([]string) error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) },
		"news of devices": func([]string) error { return socket(unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_KOBJECT_UEVENT) },
		"bpf": func([]string) error {
			var attr [72]byte
			binary.NativeEndian.PutUint32(attr[:], 2) // a map of type array, of 1 entry
			binary.NativeEndian.PutUint32(attr[4:], 4)
			binary.NativeEndian.PutUint32(attr[8:], 4)
			binary.NativeEndian.PutUint32(attr[12:], 1)
			fd, _, e := unix.Syscall(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), uintptr(len(attr)))
			if e == 0 {
				unix.Close(int(fd))
			}
			return call(e)
		},
		"make device": func([]string) error { return unix.Mknod("/work/made", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))) },
		"device": func([]string) error { // that lies there already
			f, err := os.OpenFile("/work/device", os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err
		},
		"terminal":     typeForOthers,
		"own terminal": func([]string) error { return typeInto(0) },
		"line discipline": func([]string) error {
			return unix.IoctlSetPointerInt(0, unix.TIOCSETD, 0) // the one it has
		},
		"other calls": func([]string) error {
			if runtime.GOARCH != "amd64" {
				return errImpossible
			}
			_, _, e := unix.RawSyscall(unix.SYS_GETPID|0x40000000, 0, 0, 0)
			return call(e)
		},
		"read": func(args []string) error { _, err := os.ReadFile(args[0]); return err },
		"write": func(args []string) error {
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			_, err = f.WriteString("1\n")
			return errors.Join(err, f.Close())
		},
		"link":   func(args []string) error { return os.Link(args[0], "/work/linked") },
		"remove": func(args []string) error { return os.Remove(args[0]) },
		"host name": func(args []string) error {
			if name, err := os.Hostname(); name != args[0] {
				return fmt.Errorf("it is %s, %v", name, err)
			}
			return nil
		},
		"connect": func(args []string) error {
			c, err := net.Dial(args[0], args[1])
			if err == nil {
				c.Close()
			}
			return err
		},
		"shared memory": func(args []string) error {
			key, _ := strconv.Atoi(args[0])
			_, err := unix.SysvShmGet(key, 1, 0)
			return err
		},
		"signal": func(args []string) error {
			pid, _ := strconv.Atoi(args[0])
			return unix.Kill(pid, 0)
		},
		"process": func(args []string) error { // that of the server
			text, err := os.ReadFile("/proc/" + args[0] + "/cmdline")
			if err == nil && !strings.Contains(string(text), "sandbox.test") {
				err = errors.New("it is another's")
			}
			return err
		},
		"open to write": func(args []string) error {
			f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
			if err == nil {
				f.Close()
			}
			return err
		},
		"descriptors": func([]string) error {
			open, err := os.ReadDir("/proc/self/fd")
			for _, e := range open {
				if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasSuffix(to, "/state.db") {
					return nil
				}
			}
			return errors.Join(err, errors.New("none leads there"))
		},
		"first one": func([]string) error {
			_, err := os.ReadFile("/proc/1/environ")
			return err
		},
		"first one's program": func([]string) error { // who can read it can write to it when it is not at work any more
			f, err := os.Open("/proc/1/exe")
			if err == nil {
				f.Close()
			}
			return err
		},
		"kill the first one": func([]string) error {
			_ = unix.Kill(os.Getppid(), unix.SIGKILL)
			_ = unix.Kill(os.Getppid(), unix.SIGSTOP)
			time.Sleep(50 * time.Millisecond) // whoever kills it does not get to say so
			return errors.New("still here")
		},
		"groups": func([]string) error {
			text, err := os.ReadFile("/proc/self/cgroup")
			if err == nil && !strings.Contains(string(text), "haechi-") {
				err = errors.New("its group is the root to it")
			}
			return err
		},
		"set-user programs": func([]string) error { return exec.Command("/opt/root", "attempt", "be root").Run() },
		"root again": func([]string) error { // by a program of one's own, after root has become somebody else
			text, err := os.ReadFile("/opt/attempt")
			if err == nil {
				err = errors.Join(program.Write("/var/again", text, 0o755), os.Chmod("/var/again", 0o755|os.ModeSetuid))
			}
			if err != nil {
				return errors.Join(errImpossible, err)
			}
			c := exec.Command("/var/again", "attempt", "be root")
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 7, Gid: 7}}
			return c.Run()
		},
		"chroot out": func(args []string) error {
			at := "/work"
			if len(args) > 1 {
				at = args[1]
				if err := errors.Join(unix.Chroot(at), os.Chdir("/")); err != nil {
					return err
				}
				at = ""
			}
			if err := os.Mkdir(at+"/cell", 0o755); err != nil {
				return err
			}
			if err := unix.Chroot(at + "/cell"); err != nil {
				return err
			}
			for range 64 {
				_ = os.Chdir("..")
			}
			if err := unix.Chroot("."); err != nil {
				return err
			}
			_, err := os.ReadFile(args[0])
			return err
		},
		"more capabilities": func([]string) error {
			const own = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<10 | 1<<18 | 1<<31
			text, err := os.ReadFile("/proc/self/status")
			for line := range strings.Lines(string(text)) {
				if name, value, ok := strings.Cut(line, ":\t"); ok && strings.HasPrefix(name, "Cap") {
					if n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil || n&^own != 0 {
						return err
					}
				}
			}
			return errors.Join(err, errors.New("there are none"))
		},
		"be root": func([]string) error {
			if os.Geteuid() != 0 {
				return errors.New("it is not")
			}
			return nil
		},
		"capabilities": func([]string) error {
			text, err := os.ReadFile("/proc/self/status")
			for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
				if !strings.Contains(string(text), set+":\t0000000000000000") {
					return err
				}
			}
			return errors.Join(err, errors.New("there are none"))
		},
	}
}

// nosuid tells whether the machine itself forbids set-user programs there.
func nosuid(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) != nil || fs.Flags&unix.ST_NOSUID != 0
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// typeForOthers makes a terminal of its own the controlling one, and types into it.
func typeForOthers([]string) error {
	if text, err := os.ReadFile("/proc/sys/dev/tty/legacy_tiocsti"); err == nil && string(text) == "0\n" {
		return errImpossible
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return errImpossible
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return errImpossible
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return errImpossible
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return errImpossible
	}
	if _, err := unix.Setsid(); err != nil && err != unix.EPERM { // EPERM: it leads its session already
		return err
	}
	if err := unix.IoctlSetInt(int(slave.Fd()), unix.TIOCSCTTY, 0); err != nil {
		return errImpossible
	}
	return typeInto(int(slave.Fd()))
}

// typeInto types into the controlling terminal.
func typeInto(fd int) error {
	c := byte('x')
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&c))); e != 0 {
		return e
	}
	return nil
}

// attempt runs one attempt in a step, with walls left out, and tells how it ended.
func attempt(t *testing.T, step sandbox.Step, walls []string, name string, args ...string) (exit int, said string) {
	t.Helper()
	step.Argv = append([]string{"/opt/attempt", "attempt", name}, args...)
	var out bytes.Buffer
	exit, err := sandbox.RunWithout(t.Context(), step, &out, walls...)
	if err != nil && name == "kill the first one" && strings.Contains(err.Error(), "ended from outside") {
		return managed, "it is dead"
	}
	if err != nil {
		t.Fatalf("%s without %v: %v\n%s", name, walls, err, out.String())
	}
	return exit, strings.TrimSpace(out.String())
}

// ground is what the attempts aim at.
type ground struct {
	secret   string // a file of the server's, that anybody may read
	tool     string // a folder that steps may read, and anybody might write
	port     string
	abstract string
	shm      int
	work     string
	program  string // a copy of this one: steps do not run the server's own
	root     string // another, that anybody runs as its owner
	dir      string
}

// tools are what the attempts find of it.
func (g *ground) tools() []sandbox.Tool {
	return []sandbox.Tool{{From: g.tool, To: "/opt/tool"}, {From: g.program, To: "/opt/attempt"}, {From: g.root, To: "/opt/root"}}
}

func newGround(t *testing.T) *ground {
	t.Helper()
	dir := open(t)
	g := &ground{tool: open(t), work: open(t), secret: filepath.Join(open(t), "state.db"), program: filepath.Join(dir, "attempt"), root: filepath.Join(dir, "root"), dir: filepath.Dir(dir)}
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{g.program, g.root} {
		if err := program.Write(name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(g.root, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{g.secret, filepath.Join(g.tool, "x"), filepath.Join(g.tool, "y")} {
		if err := os.WriteFile(name, []byte("secret"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(g.secret)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 50) // open for whatever this starts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": "@haechi-test-" + strconv.Itoa(os.Getpid())} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if network == "tcp" {
			g.port = l.Addr().String()
		} else {
			g.abstract = address
		}
	}
	g.shm = 0x48610000 + os.Getpid()%0xffff
	id, err := unix.SysvShmGet(g.shm, 1, unix.IPC_CREAT|0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	if os.Getuid() == 0 {
		device := filepath.Join(g.work, "device")
		if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(device, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// open is a folder that everybody may read and write, and reach.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(reachable(dir), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// reachable opens a test's folder to everybody, and those of the test above it.
func reachable(dir string) (err error) {
	for top := filepath.Clean(os.TempDir()); dir != top && dir != "/"; dir = filepath.Dir(dir) {
		err = errors.Join(err, os.Chmod(dir, 0o755))
	}
	return err
}

// escape is something that a step may try, and what keeps it from that.
type escape struct {
	what  string
	args  []string
	walls []string     // each of them alone does, and without them all it succeeds
	where bool         // it can be tried on this machine, and as this user
	alone func() error // in place of walls: the kernel does, and it succeeds outside of a sandbox
}

func (e escape) name() string { return strings.TrimSpace(e.what + " " + strings.Join(e.args, " ")) }

// escapes are all attempts. What they aim at is the ground.
func escapes(g *ground) []escape {
	root := os.Getuid() == 0
	server, _ := os.Hostname()
	pid := strconv.Itoa(os.Getpid())
	_, sysrq := os.Stat("/proc/sysrq-trigger")
	machine := func(file string) string { return sandbox.Hole + file }
	scoped, bpf := []string{"pid"}, []string{"seccomp"}
	if sandbox.LandlockABI() >= 6 {
		scoped = append(scoped, "landlock")
	}
	if root { // whose the first one is
		scoped = append(scoped, "user", "capabilities")
	}
	if text, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled"); err == nil && string(text) != "0\n" {
		bpf = []string{"seccomp", "capabilities", "user"}
	}
	return []escape{
		{"mount", nil, []string{"seccomp", "capabilities", "landlock"}, true, nil},
		{"new mount calls", nil, []string{"seccomp", "capabilities"}, true, nil},
		{"pivot", nil, []string{"seccomp", "capabilities", "landlock"}, true, nil},
		{"chroot", nil, []string{"seccomp", "capabilities"}, true, nil},
		{"user namespace", nil, []string{"seccomp"}, true, nil},
		{"ptrace", nil, []string{"seccomp"}, true, nil},
		{"memory of others", nil, []string{"seccomp"}, true, nil},
		{"keys", nil, []string{"seccomp"}, true, nil},
		{"io_uring", nil, []string{"seccomp"}, true, nil},
		{"raw socket", nil, []string{"seccomp", "capabilities"}, true, nil},
		{"packets", nil, []string{"seccomp", "capabilities"}, true, nil},
		{"news of devices", nil, []string{"seccomp"}, true, nil},
		{"terminal", nil, []string{"seccomp"}, true, nil},
		{"other calls", nil, []string{"seccomp"}, true, nil},
		{"bpf", nil, bpf, root, nil},
		{"make device", nil, []string{"user", "capabilities", "landlock"}, root, nil},
		{"device", nil, []string{"nodev"}, root, nil},
		{"read", []string{machine(g.secret)}, []string{"mounts", "landlock"}, true, nil},
		{"read", []string{machine("/etc/shadow")}, []string{"mounts", "landlock", "user", "capabilities"}, root, nil},
		{"write", []string{machine(g.secret)}, []string{"mounts", "landlock", "read-only"}, true, nil},
		{"write", []string{"/opt/tool/x"}, []string{"read-only", "landlock"}, true, nil},
		{"remove", []string{"/opt/tool/x"}, []string{"read-only", "landlock"}, true, nil},
		{"open to write", []string{"/usr/lib/os-release"}, []string{"read-only", "landlock", "user", "capabilities"}, root, nil},
		{"write", []string{"/haechi-was-here"}, []string{"read-only", "landlock"}, true, nil},
		{"link", []string{"/opt/tool/y"}, nil, true, func() error {
			defer os.Remove(filepath.Join(g.tool, "linked"))
			return os.Link(filepath.Join(g.tool, "y"), filepath.Join(g.tool, "linked")) // there it is one mount, here it is two
		}},
		{"write", []string{"/proc/sys/net/ipv4/ip_forward"}, []string{"capabilities", "landlock"}, true, nil},
		{"open to write", []string{"/proc/sys/kernel/core_pattern"}, []string{"user", "capabilities", "landlock"}, root, nil},
		{"open to write", []string{"/proc/sysrq-trigger"}, []string{"user", "capabilities", "landlock"}, root && sysrq == nil, nil},
		{"host name", []string{server}, []string{"uts"}, server != "build", nil},
		{"connect", []string{"tcp", g.port}, []string{"network"}, true, nil},
		{"connect", []string{"unix", g.abstract}, []string{"network", "landlock"}, sandbox.LandlockABI() >= 6, nil},
		{"shared memory", []string{strconv.Itoa(g.shm)}, []string{"ipc"}, true, nil},
		{"process", []string{pid}, []string{"pid"}, true, nil},
		{"signal", []string{pid}, []string{"pid", "landlock"}, !root && sandbox.LandlockABI() >= 6, nil},
		{"descriptors", nil, []string{"descriptors"}, true, nil},
		{"first one", nil, []string{"capabilities", "user"}, root, nil},
		{"first one's program", nil, []string{"capabilities", "landlock"}, true, nil},
		{"kill the first one", nil, scoped, true, nil},
		{"groups", nil, []string{"cgroup"}, sandbox.GroupVersion() != 0, nil},
		{"capabilities", nil, []string{"capabilities"}, true, nil},
		{"set-user programs", nil, []string{"nosuid", "no new privileges", "user"}, root && !nosuid(g.root), nil},
	}
}

// prove shows that the attempt fails, also when all walls but one of those in
// front of it are left out, and succeeds when they all are. fixed is one that
// cannot be.
func (e escape) prove(t *testing.T, g *ground, step sandbox.Step, fixed string) {
	t.Run(strings.ReplaceAll(e.name(), g.dir, ""), func(t *testing.T) {
		t.Parallel()
		try := func(walls ...string) int {
			step := step
			step.Tools, step.Work = g.tools(), g.work
			if e.what != "device" {
				step.Work = open(t)
			}
			exit, said := attempt(t, step, walls, e.what, e.args...)
			t.Logf("without %v: %d, %s", walls, exit, said)
			return exit
		}
		if exit := try(); exit == managed || exit == strayed {
			t.Error("it succeeds")
		}
		switch {
		case e.alone != nil:
			if err := e.alone(); err != nil {
				t.Errorf("it fails outside, too: %v", err)
			}
			return
		case !e.where:
			t.Log("what is in front of it cannot be left out here")
			return
		}
		for i, wall := range e.walls {
			others := slices.Concat(e.walls[:i], e.walls[i+1:])
			if len(others) == 0 || slices.Contains(others, fixed) {
				continue
			}
			if try(others...) == managed {
				t.Errorf("without %v it succeeds: %s does not hold", others, wall)
			}
		}
		if slices.Contains(e.walls, fixed) {
			return
		}
		switch exit := try(e.walls...); exit {
		case managed:
		case impossible:
			t.Logf("this kernel does not do that at all")
		default:
			t.Errorf("without %v it fails too: this is no proof that they hold (%d)", e.walls, exit)
		}
	})
}

// Each attempt fails, and needs its walls to: so each of them holds, and no
// attempt is none.
func TestEscapes(t *testing.T) {
	g := newGround(t)
	for _, e := range escapes(g) {
		e.prove(t, g, sandbox.Step{}, "")
	}
}

// Every wall that can be left out is one that some attempt needs to be left
// out, and the table in the documents says which. Without a mount namespace no
// other wall could be built: there is no step then.
func TestEveryWallIsTried(t *testing.T) {
	tried := map[string][]string{"foreign": {"own program"}} // TestOwnProgram
	nowhere := &ground{secret: "/secret", port: "port", abstract: "abstract"}
	asRoot := rootEscapes(nowhere)
	for i, e := range slices.Concat(escapes(nowhere), asRoot) {
		if i >= len(asRoot) && e.what != "root again" && !slices.Contains(e.walls, "proc") {
			continue // the same
		}
		name := e.what
		if len(e.args) > 0 && strings.HasPrefix(e.args[0], "/") {
			name += " `" + strings.TrimPrefix(e.args[0], sandbox.Hole) + "`"
		}
		if e.what == "connect" {
			name += " by " + e.args[0]
		}
		if len(e.walls) == 0 && e.alone == nil {
			t.Errorf("%s: nothing is known to be in front of it", name)
		}
		for _, w := range e.walls {
			if !slices.Contains(tried[w], name) {
				tried[w] = append(tried[w], name)
			}
		}
	}
	text, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	// The document tells of a machine with all walls, where the server is root.
	whole := os.Getuid() == 0 && sandbox.LandlockABI() >= 6 && slices.Contains(tried["user"], "bpf")
	for _, wall := range sandbox.Parts() {
		if wall == "mount" {
			if exit, err := sandbox.RunWithout(t.Context(), sandbox.Step{Argv: []string{"true"}, Work: open(t)}, io.Discard, "mount"); err == nil {
				t.Errorf("a step without a mount namespace: %d", exit)
			}
			continue
		}
		if len(tried[wall]) == 0 {
			t.Errorf("no attempt succeeds without %s: is it a wall?", wall)
		}
		if row := fmt.Sprintf("| %s | %s |\n", wall, strings.Join(tried[wall], ", ")); whole && !strings.Contains(string(text), row) {
			t.Errorf("docs/sandbox.md lacks the line\n%s", row)
		}
		delete(tried, wall)
	}
	for wall := range tried {
		t.Errorf("%s is no wall", wall)
	}
}

// A program that an image brings as its shell may be a script run by
// /proc/self/exe, which would be the server's own program: that is never run.
func TestOwnProgram(t *testing.T) {
	work := open(t)
	if err := program.Write(filepath.Join(work, "sh"), []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(work, "sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		walls []string
		want  int
	}{{nil, 127}, {[]string{"landlock"}, 127}, {[]string{"foreign"}, 127}, {[]string{"foreign", "landlock"}, strayed}} {
		for _, name := range []string{"/work/sh", "./sh"} {
			exit, err := sandbox.RunWithout(t.Context(), sandbox.Step{Argv: []string{name}, Work: work}, io.Discard, c.walls...)
			if err != nil || exit != c.want {
				t.Errorf("%s without %v: %d, %v; want %d", name, c.walls, exit, err, c.want)
			}
		}
	}
}

// tiny is a program of another architecture, 32 bits of x86, that ends with status 0.
func tiny() []byte {
	code := []byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80} // exit(0) by int 0x80
	const at = 0x08048000
	b := []byte{0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, v := range []uint16{2, 3} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	for _, v := range []uint32{1, at + 84, 52, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for _, v := range []uint16{52, 32, 1, 0, 0, 0} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	size := uint32(84 + len(code))
	for _, v := range []uint32{1, 0, at, at, size, size, 5, 0x1000} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(b, code...)
}

// The numbers of another architecture's system calls mean other calls: none is let through.
func TestOtherArchitecture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("amd64 alone runs programs of another architecture")
	}
	work := open(t)
	file := filepath.Join(work, "tiny")
	if err := program.Write(file, tiny(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if exit, err := sandbox.RunWithout(t.Context(), sandbox.Step{Argv: []string{"/work/tiny"}, Work: work}, io.Discard, "seccomp"); err != nil || exit != 0 {
		t.Skipf("this kernel runs no 32-bit programs: %d, %v", exit, err)
	}
	if exit, err := sandbox.RunWithout(t.Context(), sandbox.Step{Argv: []string{"/work/tiny"}, Work: work}, io.Discard); err != nil || exit == 0 {
		t.Errorf("it runs: %d, %v", exit, err)
	}
}
