package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// architectures are those whose system calls we know how to tell apart.
var architectures = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// forbidden are the system calls that no build needs and that reach deep into
// the kernel, or out of the walls: they answer "operation not permitted".
var forbidden = [...]uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME,
	unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_FANOTIFY_INIT, unix.SYS_VHANGUP, unix.SYS_OPEN_TREE_ATTR, unix.SYS_MEMFD_SECRET,
}

// namespaceFlags are those of clone that would make a step its own master.
const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Where a filter finds what it asks for (struct seccomp_data, little endian).
const (
	offsetCall = 0
	offsetArch = 4
	offsetArg0 = 16
	offsetArg1 = 24
	offsetArg2 = 32
)

// What a filter is made of. A jump skips so many instructions; every test that
// holds jumps to the instruction right behind it.
const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opAnyOf = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opMask  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opGive  = unix.BPF_RET | unix.BPF_K
)

func refuse(e unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: opGive, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
}

func allow() unix.SockFilter { return unix.SockFilter{Code: opGive, K: unix.SECCOMP_RET_ALLOW} }

// of is what is asked of one system call alone; it ends with an answer.
func of(call uint32, then ...unix.SockFilter) []unix.SockFilter {
	return append([]unix.SockFilter{{Code: opLoad, K: offsetCall}, {Code: opEqual, K: call, Jf: uint8(len(then))}}, then...)
}

// program is the filter. Where nothing else bounds the memory, files that lie
// in memory alone are refused: nobody could count them. Root in an image may
// change its root, and finds nothing else there.
func program(arch uint32, noMemoryFiles, chroot bool) []unix.SockFilter {
	no := refuse(unix.EPERM)
	p := []unix.SockFilter{
		{Code: opLoad, K: offsetArch},
		{Code: opEqual, K: arch, Jt: 1}, // another architecture's numbers mean other calls
		no,
		{Code: opLoad, K: offsetCall},
		{Code: opLeast, K: 0x40000000, Jf: 1}, // the x32 numbers of amd64; nobody else has such
		no,
		{Code: opEqual, K: unix.SYS_CLONE3, Jf: 1}, // its flags cannot be seen: programs fall back on clone
		refuse(unix.ENOSYS),
	}
	for _, call := range forbidden {
		if chroot && call == unix.SYS_CHROOT {
			continue
		}
		p = append(p, unix.SockFilter{Code: opEqual, K: call, Jf: 1}, no)
	}
	if noMemoryFiles {
		p = append(p, unix.SockFilter{Code: opEqual, K: unix.SYS_MEMFD_CREATE, Jf: 1}, refuse(unix.ENOSYS))
	}
	p = append(p, of(unix.SYS_CLONE,
		unix.SockFilter{Code: opLoad, K: offsetArg0},
		unix.SockFilter{Code: opAnyOf, K: namespaceFlags, Jf: 1},
		no,
		allow(),
	)...)
	p = append(p, of(unix.SYS_IOCTL, // typing for a terminal's user, the console's ways to do so, and drivers for modems
		unix.SockFilter{Code: opLoad, K: offsetArg1},
		unix.SockFilter{Code: opEqual, K: unix.TIOCSTI, Jt: 2},
		unix.SockFilter{Code: opEqual, K: unix.TIOCSETD, Jt: 1},
		unix.SockFilter{Code: opEqual, K: tiocLinux, Jf: 1},
		no,
		allow(),
	)...)
	return append(append(p, sockets()...), allow())
}

// tiocLinux is TIOCLINUX, which pastes what was marked on a console.
const tiocLinux = 0x541c

// sockets lets a step have those of files and of the internet, not raw, and
// ask for its interfaces; the families behind the others have had most of the
// kernel's holes.
func sockets() []unix.SockFilter {
	no := refuse(unix.EPERM)
	return of(unix.SYS_SOCKET,
		unix.SockFilter{Code: opLoad, K: offsetArg0},
		unix.SockFilter{Code: opEqual, K: unix.AF_UNIX, Jf: 1},
		allow(),
		unix.SockFilter{Code: opEqual, K: unix.AF_NETLINK, Jf: 4},
		unix.SockFilter{Code: opLoad, K: offsetArg2},
		unix.SockFilter{Code: opEqual, K: unix.NETLINK_ROUTE, Jf: 1},
		allow(),
		refuse(unix.EPROTONOSUPPORT), // useradd and others do without the audit then
		unix.SockFilter{Code: opEqual, K: unix.AF_INET, Jt: 2},
		unix.SockFilter{Code: opEqual, K: unix.AF_INET6, Jt: 1},
		refuse(unix.EAFNOSUPPORT),
		unix.SockFilter{Code: opLoad, K: offsetArg1},
		unix.SockFilter{Code: opMask, K: 0xf},
		unix.SockFilter{Code: opEqual, K: unix.SOCK_RAW, Jt: 1},
		allow(),
		no,
	)
}

// filterCalls puts the filter on this thread and on what it becomes.
func filterCalls(p plan) error {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("the system calls of %s are not known to us", runtime.GOARCH)
	}
	filter := program(arch, p.Watch, p.AsRoot)
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}
