package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// system is what every step may read of the machine: its programs, and the
// few files of /etc that these look at and that tell nothing of the machine.
var system = [...]string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
	"/etc/ca-certificates", "/etc/mime.types", "/etc/protocols", "/etc/services", "/etc/localtime",
}

// devices are the harmless ones.
var devices = [...]string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// etc are the files that a step finds in place of the machine's.
var etc = map[string]string{
	"passwd":        "root:x:0:0:root:/root:/usr/sbin/nologin\nbuild:x:1000:1000:build:" + Home + ":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"group":         "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n",
	"hosts":         "127.0.0.1 localhost build\n::1 localhost\n",
	"hostname":      "build\n",
	"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"resolv.conf":   "",
}

// stage is where the new root grows: any folder that every machine has.
const stage = "/tmp"

// part is something of the machine, taken before the new root exists.
type part struct {
	to       string
	fd       int    // a detached copy of the mount
	file     bool   // rather than a folder
	link     string // where it is a symbolic link: its target
	writable bool
}

// build makes the step's world and moves into it. The sources are taken first,
// while this thread still is the user who may read them; then it becomes the
// step's user, who owns what is made new.
func build(p plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return wall("mount", "making mounts our own", err)
	}
	parts, err := gather(p)
	if err != nil {
		return err
	}
	// x/sys gives no answer to these two; what follows fails where they did.
	_ = unix.Setfsgid(inside)
	_ = unix.Setfsuid(inside)
	scratch := fmt.Sprintf("mode=0700,size=%d,nr_inodes=1000000", p.Limits.Scratch)
	if err := tmpfs(stage, "mode=0755,size=16m,nr_inodes=10000"); err != nil {
		return err
	}
	for _, part := range parts {
		if err := part.place(); err != nil {
			return wall("mount", "placing "+part.to, err)
		}
	}
	if err := furnish(scratch); err != nil {
		return err
	}
	if err := pivot(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("build")); err != nil {
		return wall("uts", "naming the host", err)
	}
	return wall("network", "starting the loopback", loopback())
}

func wall(name, doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the %s wall cannot be built: %s: %w", name, doing, err)
}

// gather takes what the step is to see of the machine.
func gather(p plan) ([]part, error) {
	var parts []part
	for _, name := range system {
		part, err := take(name, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, wall("mount", "taking "+name, err)
		}
		parts = append(parts, part)
	}
	for _, name := range devices {
		part, err := take(name, name)
		if err != nil {
			return nil, wall("mount", "taking "+name, err)
		}
		part.writable = true
		parts = append(parts, part)
	}
	for _, t := range append(p.Tools, Tool{From: p.Work, To: Work}) {
		from, err := filepath.EvalSymlinks(t.From)
		if err != nil {
			return nil, err
		}
		part, err := take(from, filepath.Clean("/"+t.To))
		if err != nil {
			return nil, wall("mount", "taking "+t.From, err)
		}
		part.writable = t.To == Work
		parts = append(parts, part)
	}
	return parts, nil
}

func take(from, to string) (part, error) {
	info, err := os.Lstat(from)
	if err != nil {
		return part{}, err
	}
	if info.Mode().Type() == os.ModeSymlink {
		target, err := os.Readlink(from)
		return part{to: to, link: target}, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return part{}, err
	}
	return part{to: to, fd: fd, file: !info.IsDir()}, nil
}

// place puts a part into the growing root; only the work folder and the
// devices can be written, no program in it gains rights.
func (p part) place() error {
	at := stage + p.to
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if p.link != "" {
		return os.Symlink(p.link, at)
	}
	defer unix.Close(p.fd)
	if p.file {
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			return err
		}
	} else if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID}
	if !strings.HasPrefix(p.to, "/dev/") {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV
	}
	if !p.writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(p.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	return unix.MoveMount(p.fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func tmpfs(at, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return wall("mount", "making "+at, err)
	}
	return wall("mount", "memory for "+at, unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options))
}

// furnish adds what is the step's own: /proc, /tmp, home and a few files.
func furnish(scratch string) error {
	for _, at := range []string{"/tmp", Home, "/dev/shm"} {
		if err := tmpfs(stage+at, scratch); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(stage+"/proc", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("proc", stage+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return wall("pid", "a /proc of its own", err)
	}
	for name, text := range etc {
		if err := os.WriteFile(filepath.Join(stage, "etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(stage, "dev", name)); err != nil {
			return err
		}
	}
	return nil
}

// pivot makes the stage the root, lets go of the machine's, and freezes it.
func pivot() error {
	if err := os.Chdir(stage); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return wall("mount", "changing the root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return wall("mount", "letting go of the machine's files", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	return wall("mount", "freezing the root", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr))
}

// loopback starts the only network there is.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// renounce gives up, for this thread and what it becomes, every right that it
// has and could get, and takes on the limits.
func renounce(p plan) error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // rather the step than the server; not everywhere
	for _, l := range []struct {
		what  int
		value uint64
	}{
		{unix.RLIMIT_NPROC, p.Limits.Processes}, {unix.RLIMIT_NOFILE, p.Limits.Files}, {unix.RLIMIT_FSIZE, p.Limits.FileSize},
		{unix.RLIMIT_DATA, p.Limits.Memory}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_MEMLOCK, 0},
	} {
		// syscall's, because Go's runtime would raise the number of open files again at exec.
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("setting limit %d to %d: %w", l.what, l.value, err)
		}
	}
	if p.Level == Namespaces {
		if err := dropBounding(); err != nil {
			return err
		}
	}
	if p.User >= 0 {
		if err := turnInto(p.User, p.Level); err != nil {
			return err
		}
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	return wall("system call", "filtering system calls", filterCalls())
}

func dropBounding() error {
	for c := uintptr(0); c <= 63; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			if err == unix.EINVAL {
				return nil // the kernel knows no more
			}
			return wall("user", "dropping capabilities", err)
		}
	}
	return nil
}

// turnInto changes this thread's user and group; only the one that becomes the step counts.
func turnInto(user int, level Level) error {
	if level == Bare {
		if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
			return fmt.Errorf("giving up groups: %w", e)
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(user), uintptr(user), uintptr(user)); e != 0 {
		return wall("user", "becoming the step's group", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)); e != 0 {
		return wall("user", "becoming the step's user", e)
	}
	return nil
}

func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}
