package sandbox

import (
	"fmt"
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
		if err := dropBounding(); err != nil {
			return err
		}
	}
	if p.User >= 0 && !(p.without("user") && p.without("capabilities")) {
		if err := turnInto(p.User, p.Level); err != nil {
			return err
		}
	}
	if !p.without("capabilities") {
		if err := dropCapabilities(); err != nil {
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
	return wall("system call", "filtering system calls", filterCalls(p.Watch))
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
