package sandbox

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenTerminal opens a pseudo terminal of the machine's: the master is what a
// person sees and types into, the slave is Step.Terminal. Neither becomes this
// process's own terminal.
func OpenTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("unlocking a terminal: %w", err)
	}
	// By its master rather than by its name: another /dev/pts may be mounted there.
	other, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if e != 0 {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("opening the other end of a terminal: %w", e)
	}
	// Without waiting, so that Go's poller does that, and Close ends a Read.
	return os.NewFile(uintptr(fd), "/dev/ptmx"), os.NewFile(other, "terminal "+strconv.Itoa(int(other))), nil
}
