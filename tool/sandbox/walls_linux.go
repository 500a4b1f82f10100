package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// system is what every step may read of the machine: its programs, and the
// few files of /etc that these look at and that tell nothing of the machine.
var system = [...]string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
	"/etc/ca-certificates", "/etc/mime.types", "/etc/protocols", "/etc/services", "/etc/localtime",
}

// devices are the harmless ones.
var devices = [...]string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// etc are the files that a step finds in place of the machine's.
var etc = map[string]string{
	"passwd":        "root:x:0:0:root:/root:/usr/sbin/nologin\nbuild:x:1000:1000:build:" + Home + ":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"group":         "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n",
	"hosts":         "127.0.0.1 localhost build\n::1 localhost\n",
	"hostname":      "build\n",
	"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"resolv.conf":   "",
}

// stageChanges is where what a step changes in its image lies on the stage: no step has it.
const stageChanges = "/changes"

// stage is where the new root grows: any folder that every machine has.
const stage = "/tmp"

// part is something of the machine, taken before the new root exists.
type part struct {
	to       string
	fd       int    // a detached copy of the mount
	file     bool   // rather than a folder
	link     string // where it is a symbolic link: its target
	writable bool
}

// build makes the step's world and moves into it. The sources are taken first,
// while this thread still is the user who may read them; then it becomes the
// step's user, who owns what is made new.
func build(p plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return wall("mount", "making mounts our own", err)
	}
	parts, err := gather(p)
	if err != nil {
		return err
	}
	image, err := p.image()
	if err != nil {
		return err
	}
	// x/sys gives no answer to these two; what follows fails where they did.
	_ = unix.Setfsgid(p.User)
	_ = unix.Setfsuid(p.User)
	if err := tmpfs(stage, "mode=0755,size=16m,nr_inodes=10000"); err != nil {
		return err
	}
	root := stage
	if p.Root != "" {
		if root, err = overlay(p, image, parts); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if part.to == stageChanges {
			continue
		}
		if err := part.place(root, p); err != nil {
			return wall("mount", "placing "+part.to, err)
		}
	}
	if err := furnish(root, p); err != nil {
		return err
	}
	if err := pivot(root, p); err != nil {
		return err
	}
	if !p.without("uts") {
		if err := unix.Sethostname([]byte("build")); err != nil {
			return wall("uts", "naming the host", err)
		}
	}
	if p.without("network") {
		return nil
	}
	return wall("network", "starting the loopback", loopback())
}

func wall(name, doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the %s wall cannot be built: %s: %w", name, doing, err)
}

// gather takes what the step is to see of the machine.
func gather(p plan) ([]part, error) {
	var parts []part
	for _, name := range system {
		if p.Root != "" {
			break // it has an image's
		}
		part, err := take(name, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, wall("mount", "taking "+name, err)
		}
		part.writable = p.without("read-only")
		parts = append(parts, part)
	}
	names := devices[:]
	if p.Terminal {
		names = append(names, "/dev/tty") // to each session its own
	}
	for _, name := range names {
		part, err := take(name, name)
		if err != nil {
			return nil, wall("mount", "taking "+name, err)
		}
		part.writable = true
		parts = append(parts, part)
	}
	all := append(p.Tools, Tool{From: p.Work, To: Work})
	if p.AsRoot {
		all = append(all, Tool{From: p.Changes, To: stageChanges})
	}
	if p.without("mounts") {
		all = append(all, Tool{From: "/", To: hole})
	}
	if p.without("pid") {
		all = append(all, Tool{From: "/proc", To: "/proc"})
	}
	for _, t := range all {
		from, err := filepath.EvalSymlinks(t.From)
		if err != nil {
			return nil, err
		}
		part, err := take(from, filepath.Clean("/"+t.To))
		if err != nil {
			return nil, wall("mount", "taking "+t.From, err)
		}
		part.writable = t.To == Work || t.To == stageChanges || p.without("read-only")
		parts = append(parts, part)
	}
	return parts, nil
}

// image takes the folder with the image, if there is one.
func (p plan) image() (part, error) {
	if p.Root == "" {
		return part{}, nil
	}
	if p.AsRoot {
		return part{to: "/image", fd: p.lower}, nil
	}
	from, err := filepath.EvalSymlinks(p.Root)
	if err != nil {
		return part{}, err
	}
	lower, err := take(from, "/image")
	if err != nil {
		return part{}, wall("mount", "taking "+p.Root, err)
	}
	if lower.file {
		return part{}, fmt.Errorf("%s is no folder with an image", p.Root)
	}
	return lower, nil
}

// overlay makes a file system of an image and of what the step needs in it,
// which lies above: so no link in the image leads a mount elsewhere. Nobody
// can write to it, but a step that is root in it: that finds its changes over
// all of it, and nobody else does.
func overlay(p plan, lower part, parts []part) (root string, err error) {
	ours, image, root := stage+"/ours", stage+lower.to, stage+"/root"
	if err := lower.place(stage, p); err != nil {
		return "", wall("mount", "placing the image", err)
	}
	for _, part := range parts {
		if part.to == stageChanges {
			err = part.place(stage, p)
		} else {
			err = part.prepare(ours)
		}
		if err != nil {
			return "", err
		}
	}
	for _, dir := range []string{"/proc", "/tmp", Home, "/dev/shm", "/dev/pts", "/etc"} {
		if err := os.MkdirAll(ours+dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := write(ours, p.Files); err != nil {
		return "", err
	}
	if err := write(ours, p.etcFiles(image)); err != nil {
		return "", err
	}
	if err := link(ours); err != nil {
		return "", err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	flags, options := uintptr(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV), "lowerdir="+ours+":"+image
	if p.AsRoot { // what it writes need not outlive a fall of the machine: it is removed at the step's end
		flags &^= unix.MS_RDONLY
		options += fmt.Sprintf(",upperdir=%[1]s/upper,workdir=%[1]s/work,userxattr,volatile", stage+stageChanges)
	}
	if p.without("nosuid") {
		flags &^= unix.MS_NOSUID
	}
	err = unix.Mount("overlay", root, "overlay", flags, options)
	return root, wall("mount", "laying the step's files over the image's (overlayfs in a user namespace, Linux 5.11)", err)
}

// etcFiles are the files of /etc that a step finds: those that name users are
// an image's own, with the step's user in them, who is no other than root where
// it is root.
func (p plan) etcFiles(image string) (files []file) {
	for name, text := range etc {
		if p.AsRoot && (name == "passwd" || name == "group" || name == "nsswitch.conf") {
			if _, err := os.Lstat(filepath.Join(image, "etc", name)); err == nil {
				continue
			}
		}
		if name == "passwd" || name == "group" {
			own, err := readRegular(filepath.Join(image, "etc", name), 1<<20)
			if err == nil && image != "" {
				text = withStep(string(own), text)
			}
		}
		files = append(files, file{Name: "/etc/" + name, Content: []byte(text)})
	}
	return files
}

// readRegular reads a file of an image, if it is one.
func readRegular(name string, most int64) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, os.ErrInvalid
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// withStep is an image's passwd or group with the line of the step's own user
// in place of those that have its name or number.
func withStep(own, text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(own), "\n") {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] != "build" && f[2] != "1000" {
			lines = append(lines, line)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "build:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// write makes files below root. One that lies in what is mounted there already,
// read-only, gets the new one laid over it.
func write(root string, files []file) error {
	for i, f := range files {
		at := filepath.Join(root, filepath.Clean("/"+f.Name))
		err := writeAt(at, f.Content)
		if errors.Is(err, unix.EROFS) || errors.Is(err, os.ErrPermission) {
			if _, missing := os.Lstat(at); missing != nil {
				continue // nobody looks for it there either
			}
			beside := fmt.Sprintf("%s/run/haechi/files/%d", root, i)
			if err = writeAt(beside, f.Content); err == nil {
				err = wall("mount", "laying a file over "+f.Name, unix.Mount(beside, at, "", unix.MS_BIND, ""))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeAt(at string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return os.WriteFile(at, content, 0o644)
}

// link makes the links of /dev.
func link(root string) error {
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(root, "dev", name)); err != nil {
			return err
		}
	}
	return nil
}

// hole is where a test that leaves the wall of mounts out finds the machine.
const hole = "/machine"

func take(from, to string) (part, error) {
	info, err := os.Lstat(from)
	if err != nil {
		return part{}, err
	}
	if info.Mode().Type() == os.ModeSymlink {
		target, err := os.Readlink(from)
		return part{to: to, link: target}, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return part{}, err
	}
	return part{to: to, fd: fd, file: !info.IsDir()}, nil
}

// prepare makes what a part is placed on.
func (p part) prepare(root string) error {
	at := root + p.to
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	switch {
	case p.link != "":
		return os.Symlink(p.link, at)
	case p.file:
		return os.WriteFile(at, nil, 0o644)
	}
	return os.MkdirAll(at, 0o755)
}

// place puts a part into the growing root; only the work folder and the
// devices can be written, no program in it gains rights.
func (p part) place(root string, plan plan) error {
	if _, err := os.Lstat(root + p.to); err != nil {
		if err := p.prepare(root); err != nil {
			return err
		}
	}
	if p.link != "" {
		return nil
	}
	defer unix.Close(p.fd)
	attr := unix.MountAttr{}
	if !plan.without("nosuid") {
		attr.Attr_set = unix.MOUNT_ATTR_NOSUID
	}
	if !strings.HasPrefix(p.to, "/dev/") && !plan.without("nodev") {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV
	}
	if !p.writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(p.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	return unix.MoveMount(p.fd, "", unix.AT_FDCWD, root+p.to, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func tmpfs(at, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return wall("mount", "making "+at, err)
	}
	return wall("mount", "memory for "+at, unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options))
}

// furnish adds what is the step's own: /proc, /tmp, home and a few files.
func furnish(root string, p plan) error {
	for _, at := range []string{"/tmp", Home, "/dev/shm"} {
		mode := "0700"
		if p.AsRoot && at != Home { // others are at work there, too
			mode = "1777"
		}
		if err := tmpfs(root+at, fmt.Sprintf("mode=%s,size=%d,nr_inodes=1000000", mode, p.Limits.Scratch)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(root+"/proc", 0o755); err != nil {
		return err
	}
	if !p.without("pid") {
		if err := unix.Mount("proc", root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return wall("pid", "a /proc of its own", err)
		}
	}
	if p.AsRoot && !p.without("proc") {
		if err := settle(root); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(root+"/dev/pts", 0o755); err != nil {
		return err
	}
	// Where there can be none, a step has no terminals: few want one.
	_ = unix.Mount("devpts", root+"/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,max=64")
	if p.Root != "" {
		return nil // they lie there already
	}
	if err := write(root, p.Files); err != nil {
		return err
	}
	if err := write(root, p.etcFiles("")); err != nil {
		return err
	}
	return link(root)
}

// settle makes what sets the kernel read-only: some of it belongs to whoever is
// root in a namespace.
func settle(root string) error {
	for _, name := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi"} {
		part, err := take(root+name, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = part.place(root, plan{})
		}
		if err != nil {
			return wall("proc", "making "+name+" read-only", err)
		}
	}
	return nil
}

// pivot makes a folder the root, lets go of the machine's, and freezes it for
// all but who is root in it.
func pivot(root string, p plan) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return wall("mount", "changing the root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return wall("mount", "letting go of the machine's files", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV}
	if !p.without("nosuid") {
		attr.Attr_set |= unix.MOUNT_ATTR_NOSUID
	}
	if !p.AsRoot && !p.without("read-only") {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	return wall("mount", "freezing the root", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr))
}

// loopback starts the only network there is.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
