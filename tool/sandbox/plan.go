package sandbox

import (
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// plan is what the parent tells the child to do.
type plan struct {
	Level    Level
	Argv     []string
	Env      []string
	Dir      string // to start in: below the new root, or of the machine
	Work     string
	Home     string // at the level Bare
	Root     string // a folder with an unpacked image
	Tools    []Tool
	Files    []file // that are made for it; what they hold follows the plan
	Stdin    bool   // rather than nothing
	Terminal bool   // it is one, and the step's
	AsRoot   bool   // in the image, with a range of users
	Changes  string // a folder for what is changed in it then
	Groups   bool   // the kernel lets us give up those of the server
	Probe    bool   // the walls are all that is asked for
	Egress   bool   // a listener is to be opened, and passed out
	Watch    bool   // no control group bounds the memory: see to it
	Limits   Limits
	User     int      // inside; -1 to stay who one is
	Without  []string // walls that a test leaves out, to see that another test notices

	lower int // a descriptor of the image's mount, as its users see it
}

// file is one that a step finds.
type file struct {
	Name    string
	Size    int
	Content []byte `json:"-"`
}

// without tells that a test leaves this wall out.
func (p plan) without(wall string) bool { return slices.Contains(p.Without, wall) }

// complaint is what the child says when something ended before the step did.
type complaint struct {
	Limit bool // the step took more than one
	Text  string
}

// environment is what the step says, completed with what every program needs.
func environment(env []string, home, tmp string) []string {
	full := append([]string(nil), env...)
	for _, def := range []string{"PATH=" + path, "HOME=" + home, "TMPDIR=" + tmp, "LANG=C.UTF-8"} {
		name, _, _ := strings.Cut(def, "=")
		if !has(env, name) {
			full = append(full, def)
		}
	}
	return full
}

func has(env []string, name string) bool {
	for _, e := range env {
		if strings.HasPrefix(e, name+"=") {
			return true
		}
	}
	return false
}

// lookup finds a command in the PATH of env, as the child sees the files.
func lookup(command string, env []string) string {
	if strings.Contains(command, "/") {
		return command
	}
	for _, e := range env {
		dirs, ok := strings.CutPrefix(e, "PATH=")
		for dir := range strings.SplitSeq(dirs, ":") {
			if !ok || dir == "" {
				continue
			}
			if info, err := os.Stat(dir + "/" + command); err == nil && info.Mode()&0o111 != 0 && !info.IsDir() {
				return dir + "/" + command
			}
		}
	}
	return command
}

// meter passes on what is written, up to a number of bytes; then it calls over,
// once, and swallows the rest. Its writers may be several.
type meter struct {
	mu   sync.Mutex
	to   io.Writer
	left int64
	over func()
	err  error
}

func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(p)
	if int64(n) > m.left {
		p = p[:m.left]
		if m.over != nil {
			m.over()
			m.over = nil
		}
	}
	m.left -= int64(len(p))
	if len(p) > 0 && m.err == nil {
		_, m.err = m.to.Write(p)
	}
	return n, m.err
}
