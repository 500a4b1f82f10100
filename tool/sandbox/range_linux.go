package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/word/fault"
)

const (
	width  = 65_536 // users and groups of the machine that a step has for its own that is root in its image
	widths = 1024   // steps that may be that at once
)

// ranges are those users of the machine that steps have which are root in their
// images. No two steps at work have one in common, also of other servers here.
type ranges struct {
	mu   sync.Mutex
	last int
	used map[int]*held
}

// held is a range in use, by several steps where they share a folder.
type held struct {
	lock  net.PacketConn
	steps int
}

// take takes a range that nobody has; done gives it back. want is the first user
// of one that is to be shared with who has it, or 0.
func (r *ranges) take(base, want int) (first int, done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.used[want]; h != nil {
		h.steps++
		return want, func() { r.leave(want) }, nil
	}
	for try := range widths + 1 {
		first = want
		if try > 0 || want == 0 {
			r.last = (r.last + 1) % widths
			first = base + width*(1+r.last)
		}
		if r.used[first] != nil {
			continue
		}
		// A name that one process alone can have, and that nobody has any more when it has ended.
		lock, err := net.ListenPacket("unixgram", fmt.Sprintf("@haechi-users-%d", first))
		if err != nil {
			continue
		}
		if r.used == nil {
			r.used = map[int]*held{}
		}
		r.used[first] = &held{lock: lock, steps: 1}
		return first, func() { r.leave(first) }, nil
	}
	return 0, nil, fault.Unsupported.Errorf("%d steps are root in their images already: there are no users for one more", widths)
}

func (r *ranges) leave(first int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.used[first]; h.steps > 1 {
		h.steps--
	} else {
		h.lock.Close()
		delete(r.used, first)
	}
}

// rangeOf is the range of a step that is root in its image, with the folder
// made its root's; or the one whose the folder is already, where it is shared.
func (s *Sandbox) rangeOf(work string, shared bool) (first int, done func(), err error) {
	want := 0
	if shared {
		var st unix.Stat_t
		if err := unix.Stat(work, &st); err != nil {
			return 0, nil, err
		}
		if n := int(st.Uid) - s.config.FirstUser; n >= width && n < width*(1+widths) && n%width == 0 {
			want = int(st.Uid)
		}
	}
	first, done, err = s.ranges.take(s.config.FirstUser, want)
	if err != nil || first == want {
		return first, done, err
	}
	if err := give(work, first); err != nil {
		done()
		return 0, nil, err
	}
	return first, done, nil
}

// changes is a folder for what a step changes in its image, beside its work,
// where nobody else looks.
func changes(work string, user int) (dir string, err error) {
	if dir, err = os.MkdirTemp(filepath.Dir(work), ".haechi-changes-"); err != nil {
		return "", err
	}
	if err := os.Lchown(dir, user, user); err != nil {
		return dir, err
	}
	for _, name := range []string{"upper", "work"} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(at, 0o755), os.Chmod(at, 0o755), os.Lchown(at, user, user)); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// ownedMount is an image's folder as the users of a process's namespace see it:
// whose number 0 it is on the disk, theirs it is.
func ownedMount(root string, pid int) (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	fd, err := unix.OpenTree(unix.AT_FDCWD, root, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, wall("mount", "taking "+root, err)
	}
	f := os.NewFile(uintptr(fd), root)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		f.Close()
		return nil, wall("user", "giving the image to the step's users (idmapped mounts, Linux 5.19)", err)
	}
	return f, nil
}

// Ranges tells whether steps can be root in images that lie in a folder: nil
// where they can. That takes a server that is root, control groups, and a file
// system whose files can be shown as another user's.
func (s *Sandbox) Ranges(ctx context.Context, dir string) error {
	if os.Getuid() != 0 {
		return fault.Unsupported.Errorf("the server is not root, and has no users to give to steps")
	}
	level, err := s.Level(ctx)
	if err != nil {
		return err
	}
	if level == Bare {
		return fault.Unsupported.Errorf("steps have no users of their own here")
	}
	if !s.groups.whole() {
		return fault.Unsupported.Errorf("no control groups bound memory and processes here, and the limits of one user are not those of many")
	}
	probe, err := os.MkdirTemp(dir, ".haechi-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(probe)
	root, work := filepath.Join(probe, "root"), filepath.Join(probe, "work")
	if err := errors.Join(os.Mkdir(root, 0o755), os.Mkdir(work, 0o755), os.Mkdir(filepath.Join(root, "etc"), 0o755)); err != nil {
		return err
	}
	_, err = s.run(ctx, Step{Work: work, Root: root, AsRoot: true}, level, nothing{})
	if err != nil {
		err = fault.Unsupported.Errorf("steps cannot be root in images that lie in %s: %w", dir, err)
	}
	return err
}

// nothing takes what a probe says.
type nothing struct{}

func (nothing) Write(b []byte) (int, error) { return len(b), nil }
