package sandbox

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leastLandlock is the first version that lets a file be moved from one folder
// to another; with the one before, no build would work.
const leastLandlock = 2

// landlockABI is the version of the kernel's landlock, 0 where it has none.
func landlockABI() int {
	abi, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(abi)
}

// What may be done with files, by what for.
const (
	mayLook   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayRead   = mayLook | unix.LANDLOCK_ACCESS_FS_EXECUTE
	mayUse    = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	mayWrite  = mayRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | mayMake | unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	mayMake   = unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	mayNobody = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK // no rule gives these
	ofFiles   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// handled are the rights that a kernel of that version knows.
func handled(abi int) (files, scopes uint64) {
	files = mayWrite | mayUse | mayNobody
	if abi < 3 {
		files &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi < 5 {
		files &^= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		scopes = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return files, scopes
}

// ruleset is what a thread may still do once it is restricted to it.
type ruleset struct {
	fd    int // -1: none
	files uint64
}

// landlock gathers what the step may touch: nearly what the mounts leave it,
// said once more, so that a hole in one wall is none in both. Of the network it
// says nothing: it knows ports and no addresses, and tests of a build listen
// where they like.
func landlock(p plan) (*ruleset, error) {
	abi := landlockABI()
	if abi < leastLandlock || p.without("landlock") {
		return &ruleset{fd: -1}, nil
	}
	files, scopes := handled(abi)
	attr := unix.LandlockRulesetAttr{Handled_access_fs: files, Scoped: scopes}
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return nil, e
	}
	r := &ruleset{fd: int(fd), files: files}
	for _, a := range touchable(p) {
		if err := r.allow(a.path, a.access); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			unix.Close(r.fd)
			return nil, &os.PathError{Op: "allowing", Path: a.path, Err: err}
		}
	}
	return r, nil
}

type allowance struct {
	path   string
	access uint64
}

// touchable is what the step may touch, as it sees it.
func touchable(p plan) []allowance {
	all := []allowance{{"/", unix.LANDLOCK_ACCESS_FS_READ_DIR}, {"/proc", mayRead}, {"/etc", mayRead}, {"/dev", mayLook}}
	if p.Root != "" {
		all = append(all, allowance{"/", mayRead})
	}
	for _, name := range system {
		all = append(all, allowance{name, mayRead})
	}
	for _, name := range append(devices[:], "/dev/pts", "/dev/ptmx", "/dev/tty") {
		all = append(all, allowance{name, mayUse | unix.LANDLOCK_ACCESS_FS_READ_DIR})
	}
	if p.Terminal {
		all = append(all, allowance{"/proc/self/fd/0", mayUse})
	}
	if p.Level == Bare {
		for _, name := range []string{"/opt", "/nix", "/snap", "/sys"} { // where tools of a machine lie
			all = append(all, allowance{name, mayRead})
		}
		for _, t := range p.Tools {
			all = append(all, allowance{t.From, mayRead})
		}
		for _, name := range []string{p.Work, p.Home, "/tmp", "/var/tmp", "/dev/shm"} {
			all = append(all, allowance{name, mayWrite})
		}
		return all
	}
	if p.AsRoot {
		all = append(all, ownFolders()...)
	}
	for _, t := range p.Tools {
		all = append(all, allowance{t.To, mayRead})
	}
	for _, f := range p.Files {
		all = append(all, allowance{f.Name, mayRead})
	}
	for _, name := range []string{Work, Home, "/tmp", "/dev/shm"} {
		all = append(all, allowance{name, mayWrite})
	}
	return all
}

// ownFolders are those of an image that its root may write to. The root folder
// itself is none: that would be all that is ever seen below it. So what the
// image has no place for is made below a folder that it has.
func ownFolders() (all []allowance) {
	entries, _ := os.ReadDir("/")
	for _, e := range entries {
		switch name := "/" + e.Name(); name {
		case "/proc", "/dev", "/sys", hole:
		default:
			if e.Type() != os.ModeSymlink {
				all = append(all, allowance{name, mayWrite})
			}
		}
	}
	return all
}

// allow lets a file, or all that lies below a folder, be touched.
func (r *ruleset) allow(path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= ofFiles
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access & r.files, Parent_fd: int32(fd)}
	_, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if e != 0 {
		return e
	}
	return nil
}

// restrict is for this thread and what it starts, for ever.
func (r *ruleset) restrict() error {
	if r.fd < 0 {
		return nil
	}
	defer unix.Close(r.fd)
	if _, _, e := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.fd), 0, 0); e != 0 {
		return e
	}
	return nil
}
