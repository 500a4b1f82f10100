package build

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// Size is that of a terminal, in characters.
type Size struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// Visit is a person's wish to be in the folder of a failed build, at a terminal.
type Visit struct {
	Who  string
	Term string // what kind of terminal it is, as TERM has it
	Size Size

	// Open is called once, when the person can be let in: an error keeps them out.
	Open func(Entered) (Line, error)
	// Left is called when they have left, before Enter returns, where Open was.
	Left func(Leave)
}

// Entered is where a person is.
type Entered struct {
	Build Build
	Until time.Time     // the folder is kept
	Idle  time.Duration // after which the terminal is closed
	Most  time.Duration // that it is open
}

// Line is the way to the person's terminal.
type Line struct {
	Typed io.Reader // its end hangs up
	Shown io.Writer
	Sizes <-chan Size
}

// Leave is how a person left.
type Leave struct {
	Exit         int // of the shell; -1 where it did not end by itself
	Took         time.Duration
	Typed, Shown int64 // bytes
	Why          error // the terminal was closed; nil: the shell ended
}

const (
	shownAtOnce    = 32 << 10
	shownPerSecond = 2 << 20 // bytes; a program that says more waits, and can be interrupted
	hangUp         = 5 * time.Second
)

// errHungUp ends what goes on when the person has gone.
var errHungUp = fault.Unavailable.Errorf("the person has gone")

// session is a terminal at work.
type session struct {
	master, slave *os.File
	line          Line
	last          atomic.Int64 // when something was typed or said, in nanoseconds since began
	began         time.Time
	typed, shown  atomic.Int64
	gone          atomic.Bool // the person has
}

// Enter lets a person into the folder of a build that failed, with a shell at a
// terminal of its own, in walls as the build had them, without its secrets and
// with no way out. It returns when they have left.
func (b *Builds) Enter(ctx context.Context, build string, v Visit) error {
	if !termName().MatchString(v.Term) {
		return fault.Invalid.Errorf("%.40q is no kind of terminal (TERM)", v.Term)
	}
	in, err := b.enter(ctx, v.Who, build)
	if err != nil {
		return err
	}
	defer func() { in.leave() }()
	s := &session{began: time.Now()}
	if s.master, s.slave, err = sandbox.OpenTerminal(); err != nil {
		return err
	}
	defer s.slave.Close()
	defer s.master.Close()
	if err := s.resize(v.Size); err != nil {
		return err
	}
	c := &b.config
	if s.line, err = v.Open(Entered{in.build, b.KeptUntil(in.folder), c.ShellIdle, c.ShellMost}); err != nil {
		return err
	}
	step := in.step
	step.Terminal = s.slave
	step.Argv = []string{"/bin/sh", "-c", seated, in.folder.Shell, whereabouts(in.build)}
	step.Env = append(step.Env, "TERM="+v.Term)
	step.Limits.Time = c.ShellMost + time.Minute // ours comes first, and says so
	ctx, stop := context.WithTimeoutCause(ctx, c.ShellMost, fault.Limit.Errorf("a terminal is open for %s at most", lasting(c.ShellMost)))
	defer stop()
	exit, why := s.run(ctx, b.config.Steps, step, c.ShellIdle)
	v.Left(Leave{Exit: exit, Took: time.Since(s.began), Typed: s.typed.Load(), Shown: s.shown.Load(), Why: why})
	return nil
}

func termName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`) }

// seated begins the shell that a person has: one that completes and remembers
// lines, where there is one, else the build's. $1 is the build's name.
const seated = `cd src || exit 125
PATH="$PATH:${PWD%/src}/bin"
export PATH
if command -v bash >/dev/null 2>&1; then
PS1="$1:\w\$ " exec bash --noprofile --norc -i
fi
PS1="$1:"'$PWD$ ' ENV= exec "$0" -i
`

// run runs a shell at the terminal until it ends, or the person has gone.
func (s *session) run(ctx context.Context, steps Steps, step sandbox.Step, idle time.Duration) (exit int, why error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	over := make(chan struct{})
	go func() { // it may wait for the person when all is over: nobody waits for it
		_, _ = io.Copy(s.master, counted{s.line.Typed, s})
		s.gone.Store(true)
		s.hangUp(over, stop)
	}()
	shown := make(chan struct{})
	go func() {
		err := s.show(ctx)
		close(shown)
		if err != nil {
			s.hangUp(over, stop)
		}
	}()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(over, idle, stop)
	}()
	exit, err := steps.Run(ctx, step, s.line.Shown)
	cause := context.Cause(ctx)
	s.slave.Close() // nobody holds it now: what was said is read to its end
	select {
	case <-shown:
	case <-time.After(2 * time.Second):
		s.master.Close()
		<-shown
	}
	close(over)
	<-watched
	if err != nil && cause != nil {
		err = cause
	}
	if err == nil && s.gone.Load() {
		err = errHungUp
	}
	return exit, err
}

// hangUp is what a terminal does whose person has gone: programs are told so,
// and ended when they do not mind.
func (s *session) hangUp(over <-chan struct{}, stop context.CancelCauseFunc) {
	s.master.Close()
	select {
	case <-over:
	case <-time.After(hangUp):
		stop(errHungUp)
	}
}

// show passes on what is said, no faster than a person's line may bear.
func (s *session) show(ctx context.Context) error {
	b := make([]byte, shownAtOnce)
	for ahead, at := time.Duration(0), time.Now(); ; {
		n, err := s.master.Read(b)
		if err != nil {
			return nil // the terminal is no more
		}
		s.touch()
		s.shown.Add(int64(n))
		if _, err := s.line.Shown.Write(b[:n]); err != nil {
			return err
		}
		now := time.Now()
		ahead, at = max(0, ahead-now.Sub(at))+time.Duration(n)*time.Second/shownPerSecond, now
		if ahead > time.Second/4 {
			select {
			case <-ctx.Done():
			case <-time.After(ahead):
			}
		}
	}
}

// watch follows the size of the person's terminal, and closes one that nobody uses.
func (s *session) watch(over <-chan struct{}, idle time.Duration, stop context.CancelCauseFunc) {
	look := time.NewTicker(max(idle/20, time.Millisecond))
	defer look.Stop()
	sizes := s.line.Sizes
	for {
		select {
		case <-over:
			return
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			_ = s.resize(size) // it may be closed by now
		case <-look.C:
			if time.Since(s.began)-time.Duration(s.last.Load()) > idle {
				stop(fault.Limit.Errorf("nothing was typed and nothing was said for %s", lasting(idle)))
				return
			}
		}
	}
}

func (s *session) touch() { s.last.Store(int64(time.Since(s.began))) }

// resize tells the programs how large the terminal is. What is no size is not told.
func (s *session) resize(size Size) error {
	const most = 2000
	if size.Rows == 0 || size.Columns == 0 || size.Rows > most || size.Columns > most {
		return nil
	}
	raw, err := s.master.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	})
	return errors.Join(err, set)
}

// counted is what is typed, and that it was.
type counted struct {
	io.Reader
	s *session
}

// Read is the Reader's.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.s.touch()
	c.s.typed.Add(int64(n))
	return n, err
}
