package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/program"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	attempting()
	os.Exit(m.Run())
}

// shell runs a script in a sandbox and gives its status and what it said.
func shell(t *testing.T, step sandbox.Step, script string) (int, string) {
	t.Helper()
	exit, out, err := try(t, t.Context(), sandbox.Config{}, step, script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exit, out
}

func try(t *testing.T, ctx context.Context, c sandbox.Config, step sandbox.Step, script string) (int, string, error) {
	t.Helper()
	if step.Work == "" {
		step.Work = t.TempDir()
	}
	step.Argv = []string{"sh", "-c", script}
	var out bytes.Buffer
	exit, err := sandbox.New(c).Run(ctx, step, &out)
	return exit, out.String(), err
}

// A step does its work in its folder, and its status comes out.
func TestStep(t *testing.T) {
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "in"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	exit, out := shell(t, sandbox.Step{Work: work, Env: []string{"A=b c"}}, `pwd; cat in; echo " $A" | tee out; echo loud >&2; exit 7`)
	if exit != 7 || out != "/work\nhello b c\nloud\n" {
		t.Errorf("exit %d, output %q", exit, out)
	}
	if text, err := os.ReadFile(filepath.Join(work, "out")); string(text) != " b c\n" {
		t.Errorf("left %q, %v", text, err)
	}
	if exit, _ := shell(t, sandbox.Step{}, `kill -9 $$`); exit != 137 {
		t.Errorf("a killed step has status %d, want 137", exit)
	}
	exit, err := sandbox.New(sandbox.Config{}).Run(t.Context(), sandbox.Step{Argv: []string{"no-such-thing"}, Work: work}, &bytes.Buffer{})
	if exit != 127 || err != nil {
		t.Errorf("a command that is not there: %d, %v", exit, err)
	}
}

// What a step writes on its descriptor 3 comes out apart from its output.
func TestReport(t *testing.T) {
	var report bytes.Buffer
	_, out := shell(t, sandbox.Step{Report: &report}, `echo aside >&3; echo said`)
	if report.String() != "aside\n" || out != "said\n" {
		t.Errorf("report %q, output %q", report.String(), out)
	}
}

// attempts are what a step may try to get out, each a script that must not succeed.
func attempts(t *testing.T) map[string]string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := reachable(filepath.Dir(secret)); err != nil { // so that only the wall keeps the step out
		t.Fatal(err)
	}
	t.Setenv("HAECHI_TEST_SECRET", "secret")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	port := listener.Addr().(*net.TCPAddr).Port
	return map[string]string{
		"data folder":            `cat ` + secret,
		"host's root":            `ls -d /root /home/* /var /srv /opt /boot /sys /run 2>/dev/null | grep -v '^/home/build$'`,
		"host's processes":       fmt.Sprintf(`test -d /proc/%d && [ $(ls -d /proc/[0-9]* | wc -l) -gt 9 ]`, os.Getpid()),
		"root through proc":      `cat /proc/1/root` + secret,
		"environment":            `env | grep HAECHI || cat /proc/1/environ | grep HAECHI`,
		"writing programs":       `echo x > /usr/bin/x || echo x > /bin/sh || touch /etc/x || touch /x`,
		"shadow":                 `cat /etc/shadow`,
		"host name":              `[ "$(cat /proc/sys/kernel/hostname)" != build ]`,
		"network":                fmt.Sprintf(`bash -c 'echo > /dev/tcp/127.0.0.1/%d'`, port),
		"interfaces":             `grep -v -e lo: -e '|' /proc/net/dev`,
		"mount":                  `mkdir -p /tmp/m; mount -t tmpfs x /tmp/m`,
		"remount":                `mount -o remount,rw /`,
		"user namespace":         `unshare -Ur true`,
		"mount namespace":        `unshare -m true`,
		"chroot":                 `chroot / true`,
		"device node":            `mknod /tmp/sda b 8 0`,
		"capabilities":           `grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | grep -v 0000000000000000`,
		"new privileges":         `grep NoNewPrivs /proc/self/status | grep 0`,
		"system call filter":     `grep ^Seccomp: /proc/self/status | grep -v 2`,
		"set-user programs":      `su -c true || sudo true || mount -t tmpfs x /tmp`,
		"signals to the host":    `kill -0 ` + fmt.Sprint(os.Getpid()+100000) + ` 2>/dev/null || [ $(ls -d /proc/[0-9]* | wc -l) -gt 9 ]`,
		"kernel log":             `dmesg`,
		"kernel settings":        `echo 1 > /proc/sys/kernel/sysrq || echo 1 > /proc/sysrq-trigger`,
		"user 0":                 `[ $(id -u) = 0 ] || [ $(id -G) = 0 ]`,
		"parent's descriptors":   `cd /proc/self/fd; set -- *; [ $(readlink $1 $2 $3 $4 | wc -l) != 4 ] || [ $# != 5 ]`,
		"first one's memory":     `cat /proc/1/mem || cat /proc/1/maps || readlink /proc/1/fd/0 || readlink /proc/1/exe`,
		"first one's life":       `kill -9 1; sleep 0.1; false`,
		"terminal of the server": `echo x > /dev/tty`,
	}
}

// No wall has a hole that we know of.
func TestWalls(t *testing.T) {
	for name, script := range attempts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exit, out, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{}, script)
			if err != nil {
				t.Fatal(err)
			}
			if exit == 0 {
				t.Errorf("%s: succeeded\n%s", script, out)
			}
		})
	}
}

// What the namespaces keep a step from doing it can do without them: so TestWalls sees when one is missing.
func TestWallsAreNeeded(t *testing.T) {
	all := attempts(t)
	for _, name := range []string{"data folder", "host's root", "host's processes", "host name", "network"} {
		if out, exit := runBare(t, all[name]); exit != 0 {
			t.Errorf("%s: %s fails without walls too:\n%s", name, all[name], out)
		}
	}
}

// Folders that the step is given to read can be read, and only that.
func TestTools(t *testing.T) {
	tool := t.TempDir()
	if err := os.WriteFile(filepath.Join(tool, "x"), []byte("tool"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	_, out := shell(t, sandbox.Step{Tools: []sandbox.Tool{{From: tool, To: "/opt/tool"}}}, `cat /opt/tool/x; touch /opt/tool/y 2>/dev/null || echo " read-only"`)
	if out != "tool read-only\n" {
		t.Errorf("got %q", out)
	}
}

// The loopback of the sandbox works, so that tests of a build may listen.
func TestLoopback(t *testing.T) {
	exit, out := shell(t, sandbox.Step{}, `command -v python3 >/dev/null || exit 0; python3 -c "
import socket
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); print('ok')"`)
	if exit != 0 {
		t.Errorf("exit %d: %s", exit, out)
	}
}

// A step that takes too long, or says too much, ends with an error that says so.
func TestLimits(t *testing.T) {
	began := time.Now()
	_, _, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Limits: sandbox.Limits{Time: 300 * time.Millisecond}}, `sleep 60 & sleep 60`)
	if !errors.Is(err, fault.Limit) || time.Since(began) > 10*time.Second {
		t.Errorf("a long step: %v after %v", err, time.Since(began))
	}
	_, out, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Limits: sandbox.Limits{Output: 1000}}, `while :; do echo flood; done`)
	if !errors.Is(err, fault.Limit) || len(out) != 1000 {
		t.Errorf("a loud step: %v after %d bytes", err, len(out))
	}
	exit, out := shell(t, sandbox.Step{Limits: sandbox.Limits{FileSize: 1 << 20, Scratch: 1 << 20}}, `
		head -c 2000000 /dev/zero > big; [ $(stat -c %s big) -le 1048576 ] || exit 1
		head -c 900000 /dev/zero > /tmp/a; head -c 900000 /dev/zero > /tmp/b && exit 2; exit 0`)
	if exit != 0 {
		t.Errorf("large files: exit %d\n%s", exit, out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := try(t, ctx, sandbox.Config{}, sandbox.Step{}, `true`); !errors.Is(err, context.Canceled) {
		t.Errorf("a step nobody waits for: %v", err)
	}
}

// A fork bomb fills its own sandbox and nothing else, and ends with it.
func TestForkBomb(t *testing.T) {
	limits := sandbox.Limits{Time: 2 * time.Second, Processes: 64, Output: 1 << 20}
	_, out, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Limits: limits}, `bomb() { bomb | bomb & }; bomb; sleep 1; echo survived`)
	if err != nil && !errors.Is(err, fault.Limit) {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "ork") && !errors.Is(err, fault.Limit) {
		t.Errorf("nothing stopped the bomb: %q", out)
	}
}

// Whatever a step leaves in the background is gone when Run returns.
func TestNothingIsLeftBehind(t *testing.T) {
	work := t.TempDir()
	shell(t, sandbox.Step{Work: work}, `setsid sh -c 'trap "" TERM HUP; while :; do date +%N > alive; sleep 0.01; done' & until test -s alive; do sleep 0.01; done`)
	before, err := os.ReadFile(filepath.Join(work, "alive"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if after, _ := os.ReadFile(filepath.Join(work, "alive")); !bytes.Equal(before, after) {
		t.Error("a background process goes on")
	}
}

// A step dies with the server, even if that was killed at once.
func TestStepDiesWithTheServer(t *testing.T) {
	if dir := os.Getenv("HAECHI_TEST_SERVER"); dir != "" {
		shell(t, sandbox.Step{Work: dir}, `while :; do date +%N > alive; sleep 0.01; done`)
		return
	}
	work := t.TempDir()
	server := exec.Command(os.Args[0], "-test.run", "^TestStepDiesWithTheServer$")
	server.Env = append(os.Environ(), "HAECHI_TEST_SERVER="+work)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	alive := func() string { text, _ := os.ReadFile(filepath.Join(work, "alive")); return string(text) }
	for deadline := time.Now().Add(20 * time.Second); alive() == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the step never started")
		}
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	for deadline := time.Now().Add(10 * time.Second); ; {
		one := alive()
		time.Sleep(100 * time.Millisecond)
		if alive() == one {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the step outlives the server")
		}
	}
}

// Without root on the machine the walls are the same.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the other tests are that already")
	}
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(reachable(dir), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "sandbox.test")
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Write(copied, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run", "^(TestStep|TestWalls|TestEscapes|TestOwnProgram|TestNothingIsLeftBehind|TestMemory|TestDisk|TestRoot|TestEgress|TestTerminal|TestTerminalAttempts)$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Where the kernel forbids a wall no step runs, unless the configuration says
// so; then it still has an empty environment, limits, and an end.
func TestForbiddenWalls(t *testing.T) {
	if os.Getenv("HAECHI_TEST_FORBIDDEN") == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestForbiddenWalls$", "-test.v")
		cmd.Env = append(os.Environ(), "HAECHI_TEST_FORBIDDEN=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		t.Skip("this kernel's namespaces cannot be forbidden: ", err)
	}
	_, _, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{}, `true`)
	if !errors.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "user") {
		t.Errorf("got %v, want unsupported", err)
	}
	level, err := sandbox.New(sandbox.Config{Least: sandbox.Bare}).Level(t.Context())
	if level != sandbox.Bare || err != nil {
		t.Errorf("level %v, %v", level, err)
	}
}

// At the level Bare a step still has its own user, an empty environment, limits and an end.
func TestBare(t *testing.T) {
	t.Setenv("HAECHI_TEST_SECRET", "secret")
	out, exit := runBare(t, `env | grep SECRET; pwd; id -u; sleep 100 & echo done`)
	if exit != 0 || strings.Contains(out, "secret") || !strings.HasSuffix(out, "done\n") {
		t.Errorf("%d: %q", exit, out)
	}
	if os.Getuid() == 0 && strings.Contains(out, "\n0\n") {
		t.Errorf("the step is root: %q", out)
	}
}

// How long a step takes that does nothing.
func BenchmarkStart(b *testing.B) {
	s := sandbox.New(sandbox.Config{})
	step := sandbox.Step{Argv: []string{"true"}, Work: b.TempDir()}
	for b.Loop() {
		if exit, err := s.Run(b.Context(), step, &bytes.Buffer{}); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}

// A step reads what it is handed, to its end; one that is handed nothing reads nothing.
func TestStdin(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		_, _ = w.WriteString("one\ntwo\n")
	}()
	if exit, out := shell(t, sandbox.Step{Stdin: r}, "cat; echo end"); exit != 0 || out != "one\ntwo\nend\n" {
		t.Errorf("exit %d, output %q", exit, out)
	}
	if exit, out := shell(t, sandbox.Step{}, "cat; echo end"); exit != 0 || out != "end\n" {
		t.Errorf("exit %d, output %q", exit, out)
	}
}
