package sandbox

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// flow takes a step's output in. A step that says much writes it in small pieces,
// and to wake somebody up for each of them costs more than all the rest: while
// there is much, nobody waits at the pipe, which is wide, and a little gathers.
// The reads block a thread, because Go's poller would wake up for each piece.
type flow struct {
	r, w *os.File
	done chan struct{} // closed when all is taken in
	stop chan struct{} // closed when nobody is left to write
}

const (
	pipeSize = 1 << 20
	pause    = 500 * time.Microsecond // how long a little gathers
	busy     = time.Millisecond       // since the last piece came: then there is much
)

func newFlow() (*flow, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	// One of an unprivileged user's may be refused: it is good at its own size, too.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	return &flow{r: os.NewFile(uintptr(fds[0]), "output"), w: os.NewFile(uintptr(fds[1]), "output"), done: make(chan struct{}), stop: make(chan struct{})}, nil
}

// take passes on what comes until there is no more, and closes done.
func (f *flow) take(to io.Writer) {
	defer close(f.done)
	defer f.r.Close()
	buffer := make([]byte, pipeSize/4)
	var last time.Time
	for f.wait() {
		n, err := f.r.Read(buffer)
		if n > 0 {
			_, _ = to.Write(buffer[:n]) // a meter: it keeps its error
		}
		if err != nil {
			return
		}
		now := time.Now()
		if now.Sub(last) < busy && n < len(buffer) {
			time.Sleep(pause)
			now = time.Now()
		}
		last = now
	}
}

// wait waits until there is something to read, also the end. It gives up on a
// pipe that somebody holds who should be gone.
func (f *flow) wait() bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.r.Fd()), Events: unix.POLLIN}}, 100)
		switch {
		case n > 0:
			return true
		case err != nil && err != unix.EINTR:
			return false
		}
		select {
		case <-f.stop:
			return false
		default:
		}
	}
}
