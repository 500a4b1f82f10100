package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// groups are the control groups that steps are put in, where there are any
// that we may make.
type groups struct {
	once    sync.Once
	version int               // 1, 2; 0 for none
	parents map[string]string // folder to make a group in, by controller; of version 2 it is one
}

// controllers are those that bound a step.
func controllers() []string { return []string{"memory", "pids", "cpu"} }

func (g *groups) find() {
	g.once.Do(func() {
		own, _ := os.ReadFile("/proc/self/cgroup")
		mounts, _ := os.ReadFile("/proc/self/mountinfo")
		g.version, g.parents = findGroups(string(own), string(mounts))
		for _, parent := range g.parents {
			sweep(parent, time.Now().Add(-time.Minute))
		}
	})
}

// sweep removes groups that a server has left that was killed. Those in which
// somebody lives cannot be removed, and what is new may be just about to be used.
func sweep(parent string, before time.Time) {
	left, _ := filepath.Glob(filepath.Join(parent, groupPrefix+"*"))
	for _, folder := range left {
		if info, err := os.Stat(folder); err == nil && info.ModTime().Before(before) {
			_ = os.Remove(folder)
		}
	}
}

// findGroups looks for groups below our own, the second version first: it has
// to be given to us (delegated), with its controllers switched on.
func findGroups(own, mounts string) (version int, parents map[string]string) {
	second := ""
	first := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(own), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[0] == "0" && f[1] == "" {
			second = groupFolder(mounts, "cgroup2", "", f[2])
			continue
		}
		for _, c := range controllers() {
			if slices.Contains(strings.Split(f[1], ","), c) {
				first[c] = groupFolder(mounts, "cgroup", c, f[2])
			}
		}
	}
	if second != "" {
		if folder := delegated(second, "memory", "pids"); folder != "" {
			return 2, map[string]string{"": folder}
		}
	}
	for c, folder := range first {
		if folder == "" || !canMake(folder) {
			delete(first, c)
		}
	}
	if first["memory"] == "" && first["pids"] == "" {
		return 0, nil
	}
	return 1, first
}

// groupFolder is where a group of that path lies, or "".
func groupFolder(mounts, kind, controller, group string) string {
	for line := range strings.SplitSeq(mounts, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 || g[0] != kind || controller != "" && !slices.Contains(strings.Split(g[2], ","), controller) {
			continue
		}
		root, at := f[3], f[4]
		below, ok := strings.CutPrefix(group, strings.TrimSuffix(root, "/"))
		if !ok {
			below = "" // a container sees its own group as the root
		}
		return filepath.Join(at, below)
	}
	return ""
}

// ownLeaf is the group that this process moves to, so that others can lie beside
// it: of the second version, processes live in leaves only.
const ownLeaf = "haechi-server"

// delegated is where groups with the controllers that we need can be made, when
// our own group has been given to us (Delegate=yes in a systemd unit), or "".
func delegated(own string, need ...string) string {
	folder := own
	if filepath.Base(own) == ownLeaf {
		folder = filepath.Dir(own)
	}
	if !lists(folder, "cgroup.controllers", need...) || !canMake(folder) {
		return ""
	}
	if lists(folder, "cgroup.subtree_control", need...) || takeOver(folder, need) == nil {
		return folder
	}
	return ""
}

func lists(folder, file string, all ...string) bool {
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		return false
	}
	for _, c := range all {
		if !slices.Contains(strings.Fields(string(text)), c) {
			return false
		}
	}
	return true
}

// takeOver makes room in our own group for others: what lives there moves into
// a leaf, if it is ourselves and what we have started, and nobody else.
func takeOver(folder string, need []string) error {
	text, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if err != nil {
		return err
	}
	pids := strings.Fields(string(text))
	for _, pid := range pids {
		if !descends(pid) {
			return fmt.Errorf("process %s is another's", pid)
		}
	}
	leaf := filepath.Join(folder, ownLeaf)
	if err := os.Mkdir(leaf, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	for _, pid := range pids {
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(pid), 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	err = os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+"+strings.Join(need, " +")), 0)
	if err != nil {
		for _, pid := range pids {
			_ = os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(pid), 0)
		}
		_ = os.Remove(leaf)
		return err
	}
	_ = os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+cpu"), 0) // it need not be there
	return nil
}

// descends tells whether a process is this one or was started by it, or by those.
func descends(pid string) bool {
	for range 100 {
		if pid == strconv.Itoa(os.Getpid()) {
			return true
		}
		text, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return false
		}
		_, rest, _ := strings.Cut(string(text), "\nPPid:")
		f := strings.Fields(rest[:min(len(rest), 30)])
		if len(f) == 0 || f[0] == "0" || f[0] == "1" {
			return false
		}
		pid = f[0]
	}
	return false
}

func canMake(folder string) bool {
	probe := filepath.Join(folder, groupName())
	if err := os.Mkdir(probe, 0o755); err != nil {
		return false
	}
	return os.Remove(probe) == nil
}

const groupPrefix = "haechi-step-"

func groupName() string { return groupPrefix + rand.Text() }

// group is what bounds one step.
type group struct {
	version int
	folders []string
	memory  string // the folder that bounds the memory, or ""
}

// whole tells whether they bound both the memory and the number of processes.
func (g *groups) whole() bool {
	g.find()
	return g.version == 2 || g.version == 1 && g.parents["memory"] != "" && g.parents["pids"] != ""
}

// say names the version, for people.
func (g *groups) say() string {
	g.find()
	if g.version == 0 {
		return "rlimits"
	}
	return "cgroup v" + strconv.Itoa(g.version)
}

// settings are the files of a group, by controller, and what is written there.
// Not all kernels have those that end with a question mark.
func settings(version int, controller string, l Limits) [][2]string {
	share := strconv.FormatInt(int64(l.CPUs*100_000), 10)
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	switch {
	case version == 2:
		all := [][2]string{
			{"memory.max", number(l.Total)}, {"memory.swap.max?", "0"}, {"memory.oom.group?", "1"},
			{"pids.max", number(l.Processes + reserveThreads)}, {"cpu.weight?", "50"},
		}
		if l.CPUs > 0 {
			all = append(all, [2]string{"cpu.max?", share + " 100000"})
		}
		return all
	case controller == "memory":
		return [][2]string{{"memory.limit_in_bytes", number(l.Total)}, {"memory.memsw.limit_in_bytes?", number(l.Total)}}
	case controller == "pids":
		return [][2]string{{"pids.max", number(l.Processes + reserveThreads)}}
	}
	all := [][2]string{{"cpu.shares?", "512"}}
	if l.CPUs > 0 {
		all = append(all, [2]string{"cpu.cfs_period_us", "100000"}, [2]string{"cpu.cfs_quota_us", share})
	}
	return all
}

// make makes a group with these limits; of version 0, one that bounds nothing.
func (g *groups) make(l Limits) (*group, error) {
	g.find()
	made := &group{version: g.version}
	name := groupName()
	for controller, parent := range g.parents {
		folder := filepath.Join(parent, name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			made.remove()
			return nil, wall("control group", "making "+folder, err)
		}
		made.folders = append(made.folders, folder)
		if controller == "memory" || g.version == 2 {
			made.memory = folder
		}
		for _, s := range settings(g.version, controller, l) {
			file, optional := strings.CutSuffix(s[0], "?")
			if err := os.WriteFile(filepath.Join(folder, file), []byte(s[1]), 0); err != nil && !optional {
				made.remove()
				return nil, wall("control group", "setting "+file, err)
			}
		}
	}
	return made, nil
}

// add puts a process in, which has started nothing yet.
func (g *group) add(pid int) error {
	for _, folder := range g.folders {
		if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return wall("control group", "entering "+folder, err)
		}
	}
	return nil
}

// exhausted tells that the kernel killed something because the memory was used up.
func (g *group) exhausted() bool {
	if g.memory == "" {
		return false
	}
	file := "memory.oom_control"
	if g.version == 2 {
		file = "memory.events"
	}
	text, _ := os.ReadFile(filepath.Join(g.memory, file))
	for line := range strings.SplitSeq(string(text), "\n") {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok && n != "0" {
			return true
		}
	}
	return false
}

// remove removes the group, whose processes are gone, or are just going. One
// that stays is swept later: it is no fault of the step's.
func (g *group) remove() {
	for _, folder := range g.folders {
		for wait := time.Millisecond; wait < time.Second; wait *= 2 {
			if err := os.Remove(folder); err == nil || os.IsNotExist(err) {
				break
			}
			time.Sleep(wait)
		}
	}
	g.folders = nil
}
