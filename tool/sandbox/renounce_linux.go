package sandbox

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// reserve is what the first process may have above the step's limits, for itself.
const (
	reserveThreads = 64
	reserveMemory  = 256 << 20
)

// limit takes on the step's limits for this process, whose child the step
// will be. raise then gives this process a little more than the step has, so
// that a step at its limits cannot keep it from doing its duty.
func limit(l Limits) (raise func(step int) error, err error) {
	own := map[int]uint64{unix.RLIMIT_NPROC: l.Processes + reserveThreads, unix.RLIMIT_DATA: l.Memory + reserveMemory}
	all := map[int]uint64{
		unix.RLIMIT_NPROC: l.Processes, unix.RLIMIT_NOFILE: l.Files, unix.RLIMIT_FSIZE: l.FileSize,
		unix.RLIMIT_DATA: l.Memory, unix.RLIMIT_CORE: 0, unix.RLIMIT_MEMLOCK: 0,
	}
	for what, value := range all {
		// syscall's, because Go's runtime would raise the number of open files again at exec.
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: value, Max: max(value, own[what])}); err != nil {
			return nil, fmt.Errorf("setting limit %d to %d: %w", what, value, err)
		}
	}
	return func(step int) error {
		for what, value := range own {
			if err := unix.Prlimit(step, what, &unix.Rlimit{Cur: all[what], Max: all[what]}, nil); err != nil && err != unix.ESRCH && err != unix.EPERM {
				return fmt.Errorf("setting the step's limit %d: %w", what, err)
			}
			if err := unix.Prlimit(0, what, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
				return fmt.Errorf("setting limit %d: %w", what, err)
			}
		}
		return nil
	}, nil
}

// renounce gives up, for this thread and what it starts, every right that it
// has and could get.
func renounce(p plan) error {
	rules, err := landlock(p) // while this thread may still look at all that the step is to see
	if err != nil {
		return wall("landlock", "gathering what may be touched", err)
	}
	if p.Level != Bare && !p.without("capabilities") {
		if err := dropBounding(p); err != nil {
			return err
		}
	}
	if p.User >= 0 && !(p.without("user") && p.without("capabilities")) {
		if err := turnInto(p); err != nil {
			return err
		}
	}
	if !p.without("capabilities") {
		if err := dropCapabilities(p); err != nil {
			return fmt.Errorf("giving up capabilities: %w", err)
		}
	}
	if p.without("no new privileges") { // without that the kernel lets nobody have the rest
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	if err := rules.restrict(); err != nil {
		return wall("landlock", "restricting ourselves", err)
	}
	if p.without("seccomp") {
		return nil
	}
	return wall("system call", "filtering system calls", filterCalls(p))
}

// rootCapabilities are those of a step that is root in its image: what package
// managers and those who become somebody else need, over what belongs to the
// step's own users. Against containers' usual ones there are no raw sockets
// (NET_RAW: the drivers behind them have had holes), no devices (MKNOD, which
// such a user is refused anyway), no audit (AUDIT_WRITE is the machine's), and
// nothing that hands capabilities on (SETPCAP).
func rootCapabilities() []uintptr {
	return []uintptr{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, // dpkg, apk, rpm: files of many owners
		unix.CAP_SETFCAP,                 // rpm: programs with capabilities, which no step gains: the mounts forbid it
		unix.CAP_SETUID, unix.CAP_SETGID, // apt's _apt, su, run-as
		unix.CAP_KILL,             // of what runs as these
		unix.CAP_NET_BIND_SERVICE, // servers of tests, in a network of their own
		unix.CAP_SYS_CHROOT,       // apk and rpm: their scripts run by chroot("/"); the machine's root is not there to be found
	}
}

func dropBounding(p plan) error {
	for c := uintptr(0); c <= 63; c++ {
		if p.AsRoot && slices.Contains(rootCapabilities(), c) {
			continue
		}
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
func turnInto(p plan) error {
	user := uintptr(p.User)
	if p.Level == Bare || p.Groups {
		if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
			return fmt.Errorf("giving up groups: %w", e)
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, user, user, user); e != 0 {
		return wall("user", "becoming the step's group", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, user, user, user); e != 0 {
		return wall("user", "becoming the step's user", e)
	}
	return nil
}

// dropCapabilities leaves none, or root in an image its own.
func dropCapabilities(p plan) error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	var left [2]unix.CapUserData
	if p.AsRoot {
		for _, c := range rootCapabilities() {
			left[c/32].Permitted |= 1 << (c % 32)
			left[c/32].Effective |= 1 << (c % 32)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capset(&header, &left[0])
}
