// Package sandbox runs one step of a build, walled in.
package sandbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Level says how well a step is walled in.
type Level int

const (
	// Landlock is Namespaces with a second wall behind the mounts, of the kernel's
	// landlock: what files a step may touch even where a mount were missing.
	Landlock Level = iota - 1
	// Namespaces is a step with its own users, mounts, processes, network, IPC,
	// control groups and host name; it is what the zero Config asks for.
	Namespaces
	// Bare is a step with nothing but its own folder, an empty environment,
	// limits, and what the kernel lets anybody give up: it sees the processes and
	// networks of the machine, and, where there is no landlock, its files.
	Bare
)

// levels are all, the best first.
func levels() []Level { return []Level{Landlock, Namespaces, Bare} }

// String is the level's name in configuration and logs.
func (l Level) String() string {
	switch l {
	case Landlock:
		return "landlock"
	case Namespaces:
		return "namespaces"
	case Bare:
		return "bare"
	}
	return fmt.Sprintf("Level(%d)", int(l))
}

// ParseLevel is the level of that name.
func ParseLevel(name string) (Level, error) {
	for _, l := range levels() {
		if l.String() == name {
			return l, nil
		}
	}
	return 0, fault.Invalid.Errorf("%q is no level of isolation: there are landlock, namespaces and bare", name)
}

// Where a step finds things.
const (
	Work = "/work"       // its folder, writable; at the level Bare it is Step.Work itself
	Home = "/home/build" // fresh for each step; at the level Bare a folder for that step alone
	path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin"
)

// Step is one command, and all of the world that it is to see.
type Step struct {
	Argv  []string  // the command, looked up in its PATH, and its arguments
	Env   []string  // its environment; PATH, HOME, TMPDIR and LANG are set where it has none
	Work  string    // a folder of the machine: the step's, to read and write; its files become the step's user's
	Root  string    // a folder with an unpacked image, which is the step's file system, read-only; "" for the system's own programs
	Tools []Tool    // what it may read besides
	Stdin io.Reader // what it reads; nil for nothing. A Read that waits when the step ends goes on waiting
	// AsRoot says that the step is root in Root, and may change there for itself
	// whatever it likes: the files lie there with the owners and modes that the
	// image says (rootfs.Root.Owned). It takes what Ranges asks for.
	AsRoot bool
	// Shared says that other steps may be at work in the folder: this one runs as
	// the same user as they do, where the server is root.
	Shared bool
	// Terminal is the slave of a pseudo terminal (OpenTerminal), where the step
	// is to have one: its three descriptors and its controlling terminal, in
	// place of Stdin. What it says goes there, and Limits.Output does not count
	// it; out gets what the sandbox itself has to say. Who called closes it.
	Terminal *os.File
	Report   io.Writer // gets what the step writes to its descriptor 3, or nil
	Egress   Egress    // its way out; nil for none. At the level Bare it has the machine's network, and this is not asked
	Limits   Limits
}

// Egress is the only way out of a step: a proxy that the server serves on a
// listener within the step's own network, which has nothing else in it.
type Egress interface {
	// Serve answers what comes to l until it is closed, and returns when all
	// that it began has ended. It is called once for each step, at its start.
	Serve(l net.Listener)
	// Env are the variables that lead programs to the proxy, which they find at addr.
	Env(addr string) []string
	// Files are files that the step finds, by their names: certificates.
	Files() map[string][]byte
}

// EgressAddr is where a step finds its Egress.
const EgressAddr = "127.0.0.1:3128"

// Tool is a folder or file of the machine that a step may read, and where.
type Tool struct{ From, To string }

// Limits bound what a step may use; 0 stands for the default.
type Limits struct {
	Time      time.Duration `json:"-"` // from start to end; 1 hour
	Output    int64         // bytes on both outputs, and again on the report; 256 MiB
	Processes uint64        // processes and threads at once; 2,048
	Files     uint64        // open files of a process; 4,096
	FileSize  uint64        // bytes of one file; 8 GiB
	Memory    uint64        // bytes of data of one process; 8 GiB
	Total     uint64        // bytes of memory of all its processes and of what it keeps in /tmp and its home; 8 GiB, and never more than 3/4 of the machine's
	CPUs      float64       // processors' time, where there are control groups; 0 for all, behind the server
	Scratch   uint64        // bytes of /tmp, and again of the home; 2 GiB
	Disk      uint64        `json:"-"` // bytes of the work folder; 32 GiB
	Entries   uint64        `json:"-"` // files and folders in the work folder; 5,000,000
}

func (l Limits) orDefault() Limits {
	or := func(n *uint64, def uint64) {
		if *n == 0 {
			*n = def
		}
	}
	if l.Time == 0 {
		l.Time = time.Hour
	}
	if l.Output == 0 {
		l.Output = 256 << 20
	}
	or(&l.Processes, 2048)
	or(&l.Files, 4096)
	or(&l.FileSize, 8<<30)
	or(&l.Memory, 8<<30)
	or(&l.Total, 8<<30)
	if most := machineMemory() / 4 * 3; most > 0 {
		l.Total = min(l.Total, most)
	}
	or(&l.Scratch, 2<<30)
	or(&l.Disk, 32<<30)
	or(&l.Entries, 5_000_000)
	return l
}

// Config says what a Sandbox may do.
type Config struct {
	// Least is the level below which no step is run.
	Least Level
	// FirstUser is the first of 4,096 user and group ids of the machine that
	// steps run as when the server is root; 0 stands for 1,879,000,000. An
	// unprivileged server's steps run as its own user. Steps that are root in
	// their images have 65,536 each, of the 67,108,864 from 65,536 further on.
	FirstUser int
}

// Sandbox runs steps at the best level that the kernel gives.
type Sandbox struct {
	config Config
	turn   atomic.Uint32 // the last user id given out
	groups groups
	ranges ranges

	spawner spawner

	without []string // walls that a test leaves out

	mu    sync.Mutex
	built bool  // the walls have been built once, so they can be
	best  Level // then
}

// New is a Sandbox. The program that uses it calls Child first thing in main.
func New(c Config) *Sandbox {
	if c.FirstUser == 0 {
		c.FirstUser = 1_879_000_000
	}
	return &Sandbox{config: c}
}

// Level is the level that steps have here. Where it is less than the
// configuration asks for, the error says which wall the kernel forbids.
func (s *Sandbox) Level(ctx context.Context) (Level, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.built {
		return s.allowed(s.best, nil)
	}
	why := s.probe(ctx) // again each time: what failed once may have been short of something
	if ctx.Err() != nil {
		return Bare, ctx.Err()
	}
	if why != nil {
		return s.allowed(Bare, why)
	}
	s.built, s.best = true, Namespaces
	if landlockABI() >= leastLandlock {
		s.best = Landlock
	}
	return s.allowed(s.best, nil)
}

func (s *Sandbox) allowed(got Level, why error) (Level, error) {
	if got <= s.config.Least {
		return got, nil
	}
	if why == nil {
		why = fmt.Errorf("its kernel has no landlock, or it is not switched on (lsm=)")
	}
	return got, fault.Unsupported.Errorf("this machine isolates steps at level %s only, %s is asked for (sandbox.allow accepts less): %w", got, s.config.Least, why)
}

// Walls names what steps are walled in with here, for people:
// "namespaces, seccomp, landlock 7, cgroup v1". The error is Level's.
func (s *Sandbox) Walls(ctx context.Context) (string, error) {
	level, err := s.Level(ctx)
	if err != nil {
		return "", err
	}
	return s.walls(level), nil
}

// Run runs a step to its end and gives its exit status. All that it started
// is gone when Run returns. Both its outputs go to out as they come. An error
// means that the step did not run to its end: it could not be walled in or
// started, took more than a limit (fault.Limit), or ctx ended.
func (s *Sandbox) Run(ctx context.Context, step Step, out io.Writer) (exit int, err error) {
	level, err := s.Level(ctx)
	if err != nil {
		return -1, err
	}
	if len(step.Argv) == 0 || step.Work == "" {
		return -1, fault.Invalid.Errorf("a step needs a command and a folder")
	}
	if step.Root != "" && level == Bare {
		return -1, fault.Unsupported.Errorf("a step in an image needs walls, and this machine has none: %s", level)
	}
	if step.AsRoot && (step.Root == "" || os.Getuid() != 0) {
		return -1, fault.Unsupported.Errorf("only a server that is root has steps that are root, and only in images")
	}
	return s.run(ctx, step, level, out)
}
