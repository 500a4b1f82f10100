package sandbox

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haechi-dev/haechi/word/fault"
)

// machineMemory is how much memory the machine has, or 0.
func machineMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// watchMemory ends the sandbox from within when its processes and what lies in
// its memory file systems take more than limit together. It looks often, and
// never spends more than a tenth of its time on that.
func watchMemory(limit uint64) {
	for {
		began := time.Now()
		if used := usedMemory(); used > limit {
			complain(complaint{Limit: true, Text: tooMuchMemory(Limits{Total: limit}).Error()})
		}
		time.Sleep(max(30*time.Millisecond, 9*time.Since(began)))
	}
}

// usedMemory is what all processes here have for themselves, the largest
// shared memory of one of them (a quarter of the sum where that is more:
// many share the same), and what the memory file systems hold.
func usedMemory() uint64 {
	var own, shared, most uint64
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == 1 {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		own += statusBytes(string(text), "RssAnon:")
		s := statusBytes(string(text), "RssShmem:")
		shared += s
		most = max(most, s)
	}
	for _, at := range []string{"/tmp", Home, "/dev/shm"} {
		var fs unix.Statfs_t
		if unix.Statfs(at, &fs) == nil {
			own += (fs.Blocks - fs.Bfree) * uint64(fs.Bsize)
		}
	}
	return own + max(most, shared/4)
}

func statusBytes(status, key string) uint64 {
	_, rest, ok := strings.Cut(status, "\n"+key)
	if !ok {
		return 0
	}
	f := strings.Fields(rest[:min(len(rest), 40)])
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(f[0], 10, 64)
	return n << 10
}

// removeAll removes a folder that a step has filled, as well as it can be: a
// count of it ends the step long before it is too deep for that.
func removeAll(dir string) {
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
}

// reserveDisk is what a step must leave of the machine's disk, whatever its own limit.
const reserveDisk = 256 << 20

// watchDisk ends a step that fills its folders, which lie in one file system, and
// says at its end whether it did. What the file system as a whole has gained tells when it is time to
// count; so large trees that nobody adds to cost nothing.
func watchDisk(ctx context.Context, stop context.CancelCauseFunc, l Limits, work ...string) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	d := disk{work: slices.DeleteFunc(work, func(dir string) bool { return dir == "" }), limits: l}
	for {
		if err := d.look(ctx); err != nil {
			stop(err)
			return err
		}
		select {
		case <-ctx.Done():
			d.final = true // nobody writes any more
			return d.look(context.WithoutCancel(ctx))
		case <-ticker.C:
		}
	}
}

// disk is what is known of a step's folders.
type disk struct {
	work    []string
	limits  Limits
	base    unix.Statfs_t // of the file system, when it was counted last
	last    usage         // then
	counted bool
	final   bool      // it is the last look: what others remove meanwhile must not hide what was added
	next    time.Time // when it is counted even if nothing seems to have grown
}

func (d *disk) look(ctx context.Context) error {
	var now unix.Statfs_t
	if unix.Statfs(d.work[0], &now) != nil {
		return nil // the folder is gone, or no place to count in
	}
	grown := (int64(d.base.Bfree) - int64(now.Bfree)) * now.Bsize
	added := int64(d.base.Ffree) - int64(now.Ffree)
	left := int64(d.limits.Disk) - int64(d.last.bytes)
	many := min(int64(d.limits.Entries)-int64(d.last.entries), 10_000) // deep trees hide from a count that comes late
	if !d.counted || grown > left || added > many || time.Now().After(d.next) || d.final && (grown != 0 || added != 0) {
		began := time.Now()
		u := measure(ctx, d.limits, d.work...)
		if ctx.Err() != nil {
			return nil // it has ended meanwhile: there is another look
		}
		d.base, d.last, d.counted = now, u, true
		d.next = time.Now().Add(max(5*time.Second, 20*time.Since(began)))
	}
	free := now.Bavail * uint64(now.Bsize)
	switch {
	case d.last.deep:
		return fault.Limit.Errorf("the step's folder is more than %d folders deep", deepest)
	case d.last.bytes > d.limits.Disk:
		return fault.Limit.Errorf("the step's folder holds more than %d bytes", d.limits.Disk)
	case d.last.entries > d.limits.Entries:
		return fault.Limit.Errorf("the step's folder holds more than %d files and folders", d.limits.Entries)
	case free < reserveDisk && grown > 0:
		return fault.Limit.Errorf("the step was ended because the machine's disk is nearly full: %d bytes are left", free)
	}
	return nil
}

// watchGroup ends a step as soon as the kernel has ended one of its processes
// because the memory was used up: what goes on without it is not what was asked for.
func watchGroup(ctx context.Context, stop context.CancelCauseFunc, g *group, l Limits) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if g.exhausted() {
			stop(tooMuchMemory(l))
		}
	}
}

func tooMuchMemory(l Limits) error {
	return fault.Limit.Errorf("the step's processes took more than %d bytes of memory together", l.Total)
}

// deepest is how deep folders may lie in each other: nobody's do, and what is
// deeper can hardly be removed.
const deepest = 512

// usage is what a folder holds.
type usage struct {
	bytes, entries uint64
	deep           bool
}

// measure counts what folders hold, below descriptors rather than names, so
// that nothing is too deep for it, and stops as soon as it is too much.
func measure(ctx context.Context, l Limits, dirs ...string) usage {
	var u usage
	for _, dir := range dirs {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			u.folder(ctx, fd, 0, l)
		}
	}
	return u
}

func (u *usage) folder(ctx context.Context, fd, depth int, l Limits) {
	f := os.NewFile(uintptr(fd), "folder")
	defer f.Close()
	if u.deep = u.deep || depth > deepest; u.deep {
		return
	}
	for ctx.Err() == nil && u.bytes <= l.Disk && u.entries <= l.Entries {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			var s unix.Stat_t
			if unix.Fstatat(fd, name, &s, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue // it has just gone
			}
			u.entries++
			u.bytes += uint64(s.Blocks) * 512 / max(uint64(s.Nlink), 1)
			if s.Mode&unix.S_IFMT != unix.S_IFDIR {
				continue
			}
			if inner := enter(fd, name); inner >= 0 {
				u.folder(ctx, inner, depth+1, l)
			}
		}
		if err != nil || len(names) == 0 {
			return
		}
	}
}

// enter opens a folder, also one that its owner has closed to hide what is in
// it: a server that is not root has the same user.
func enter(at int, name string) int {
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(at, name, unix.O_RDONLY|flags, 0)
	if err == nil {
		return fd
	}
	if err != unix.EACCES {
		return -1
	}
	path, err := unix.Openat(at, name, unix.O_PATH|flags, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(path)
	// By this name it is the folder that was opened, whatever bears its name now.
	if unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", path), 0o700) != nil {
		return -1
	}
	fd, err = unix.Openat(path, ".", unix.O_RDONLY|flags, 0)
	if err != nil {
		return -1
	}
	return fd
}
