package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// hogs are many processes that each keep some memory, none of them much: sh
// reads 48 MB into a variable, and is not short of patience.
const hogs = `hog() { x=$(head -c 48000000 /dev/zero | tr '\0' x); sleep 20; }; for i in 1 2 3 4 5 6 7 8; do hog & done; wait`

// What all processes take together is bounded, by a control group where there
// are any and else by the first process; a step that takes more is ended and told so.
func TestMemory(t *testing.T) {
	t.Parallel()
	limits := sandbox.Limits{Total: 128 << 20, Time: 15 * time.Second}
	scripts := map[string]string{
		"many processes":   hogs,
		"files in memory":  `for i in 1 2 3; do head -c 60000000 /dev/zero > /tmp/$i; head -c 60000000 /dev/zero > ~/$i; done; sleep 10`,
		"shared memory":    `for i in 1 2 3; do head -c 60000000 /dev/zero > /dev/shm/$i; done; sleep 10`,
		"a bomb that hogs": `bomb() { x=$(head -c 20000000 /dev/zero | tr '\0' x); bomb & bomb & sleep 10; }; bomb`,
	}
	type runner func(context.Context, sandbox.Step, *bytes.Buffer) (int, error)
	ways := map[string]runner{"watched": func(ctx context.Context, s sandbox.Step, out *bytes.Buffer) (int, error) {
		return sandbox.WithoutGroups(ctx, s, out)
	}}
	if sandbox.GroupVersion() != 0 {
		ways["control group"] = func(ctx context.Context, s sandbox.Step, out *bytes.Buffer) (int, error) {
			return sandbox.New(sandbox.Config{}).Run(ctx, s, out)
		}
	}
	for way, run := range ways {
		for name, script := range scripts {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				began := time.Now()
				exit, err := run(t.Context(), sandbox.Step{Argv: []string{"bash", "-c", script}, Work: t.TempDir(), Limits: limits}, &out)
				if !errors.Is(err, fault.Limit) || !strings.Contains(err.Error(), "bytes of memory together") {
					t.Errorf("exit %d, %v after %v\n%.500s", exit, err, time.Since(began), out.String())
				}
			})
		}
	}
}

// A step that stays below its limits is left alone.
func TestEnoughMemory(t *testing.T) {
	var out bytes.Buffer
	step := sandbox.Step{Argv: []string{"bash", "-c", `x=$(head -c 20000000 /dev/zero | tr '\0' x); head -c 20000000 /dev/zero > /tmp/x; sleep 0.3; echo ${#x}`}, Work: t.TempDir(), Limits: sandbox.Limits{Total: 256 << 20}}
	if exit, err := sandbox.WithoutGroups(t.Context(), step, &out); exit != 0 || err != nil || out.String() != "20000000\n" {
		t.Errorf("%d %v %q", exit, err, out.String())
	}
}

// A step that fills its folder is ended before it has taken much more than it
// may, however it hides what it wrote; what is sparse or the same counts as it lies there.
func TestDisk(t *testing.T) {
	t.Parallel()
	limits := sandbox.Limits{Disk: 32 << 20, Entries: 5000, Time: 20 * time.Second}
	for name, c := range map[string]struct{ script, want string }{
		"one file":          {`head -c 4000000000 /dev/zero > big`, "holds more than 33554432 bytes"},
		"many":              {`i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; done`, "holds more than 33554432 bytes"},
		"in closed folders": {`mkdir d; cd d; chmod 0300 .; head -c 4000000000 /dev/zero > big; sleep 20`, "holds more than 33554432 bytes"},
		"empty files":       {`seq 6000 | xargs touch; sleep 20`, "holds more than 5000 files and folders"},
		"deep":              {`p=$(printf 'd/%.0s' $(seq 200)); for i in 1 2 3; do mkdir -p $p; cd -P $p; done`, "folders deep"},
		"sparse":            {`truncate -s 1G sparse; head -c 10000000 /dev/zero > a; for i in 1 2 3 4 5 6 7 8; do ln a a$i; done; sleep 0.5`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work := t.TempDir()
			var out bytes.Buffer
			exit, err := sandbox.New(sandbox.Config{}).Run(t.Context(), sandbox.Step{Argv: []string{"bash", "-c", c.script}, Work: work, Limits: limits}, &out)
			if c.want == "" {
				if exit != 0 || err != nil {
					t.Errorf("%d %v\n%s", exit, err, out.String())
				}
				return
			}
			if !errors.Is(err, fault.Limit) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d %v\n%.300s", exit, err, out.String())
			}
		})
	}
}

// What a step says at its end about its limits is true for a step that ends at once, too.
func TestDiskOfAShortStep(t *testing.T) {
	_, _, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Limits: sandbox.Limits{Disk: 1 << 20}}, `head -c 3000000 /dev/zero > f`)
	if !errors.Is(err, fault.Limit) {
		t.Errorf("got %v", err)
	}
}

// A step that does not want to end is ended: its time is up, or its server's.
func TestStubborn(t *testing.T) {
	began := time.Now()
	_, _, err := try(t, t.Context(), sandbox.Config{}, sandbox.Step{Limits: sandbox.Limits{Time: 300 * time.Millisecond}},
		`trap '' TERM INT HUP QUIT; (trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 1; done' &); while :; do sleep 1; done`)
	if !errors.Is(err, fault.Limit) || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// Control groups are found below our own: those of the second version where
// they are given to us, else those of the first, also where a container shows its own as the root.
func TestFindGroups(t *testing.T) {
	dir := t.TempDir()
	make := func(name string, files map[string]string) string {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(at, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return at
	}
	given := make("two/service", map[string]string{"cgroup.controllers": "cpu io memory pids\n", "cgroup.subtree_control": "cpu memory pids\n"})
	make("two/service/haechi-server", nil)
	make("bare/service", map[string]string{"cgroup.controllers": "cpu\n", "cgroup.subtree_control": "\n"})
	memory := make("memory/slice", nil)
	make("pids", nil)
	two := "30 20 0:26 / " + filepath.Join(dir, "two") + " rw - cgroup2 cgroup2 rw\n"
	one := "31 20 0:27 / " + filepath.Join(dir, "memory") + " rw shared:1 - cgroup cgroup rw,memory\n32 20 0:28 /docker/abc " + filepath.Join(dir, "pids") + " rw - cgroup cgroup rw,pids\n"
	for _, c := range []struct {
		own, mounts string
		version     int
		memory      string
	}{
		{"0::/service\n", two, 2, given}, {"0::/service/haechi-server\n", two, 2, given},
		{"0::/service\n", strings.ReplaceAll(two, "/two", "/bare"), 0, ""},
		{"4:memory:/slice\n3:pids:/docker/abc\n0::/service\n", one + strings.ReplaceAll(two, "/two", "/bare"), 1, memory},
		{"4:memory:/nowhere\n", one, 0, ""}, {"", "", 0, ""}, {"x", "y - z", 0, ""},
	} {
		version, parents := sandbox.FindGroups(c.own, c.mounts)
		got := parents["memory"]
		if version == 2 {
			got = parents[""]
		}
		if version != c.version || got != c.memory {
			t.Errorf("%q: version %d, %v", c.own, version, parents)
		}
	}
}

// A group of the second version that is given to us is made ready: this
// process moves into a leaf, and others can lie beside it. Of a group in which
// somebody else lives nothing is taken.
func TestDelegated(t *testing.T) {
	const second = "/sys/fs/cgroup/unified"
	if own := os.Getenv("HAECHI_TEST_GROUP"); own != "" {
		fmt.Print("group=", sandbox.Delegated(own, "hugetlb"), " again=", sandbox.Delegated(filepath.Join(own, "haechi-server"), "hugetlb"))
		return
	}
	controllers, err := os.ReadFile(second + "/cgroup.controllers")
	if err != nil || !strings.Contains(string(controllers), "hugetlb") {
		t.Skip("there are no groups of the second version to try this in")
	}
	if err := os.WriteFile(second+"/cgroup.subtree_control", []byte("+hugetlb"), 0); err != nil {
		t.Skip("no group can be given: ", err)
	}
	for _, others := range []bool{false, true} {
		own, err := os.MkdirTemp(second, "haechi-test-")
		if err != nil {
			t.Skip("no group can be made: ", err)
		}
		into := fmt.Sprintf("echo $$ > %s/cgroup.procs; ", own)
		cmd := exec.Command("sh", "-c", into+"exec "+os.Args[0]+" -test.run '^TestDelegated$'")
		cmd.Env = append(os.Environ(), "HAECHI_TEST_GROUP="+own)
		stranger := exec.Command("sh", "-c", into+"exec sleep 60")
		if others {
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			for text := ""; text == ""; {
				b, _ := os.ReadFile(own + "/cgroup.procs")
				text = string(b)
			}
		}
		out, err := cmd.CombinedOutput()
		want := "group=" + own + " again=" + own
		if others {
			_ = stranger.Process.Kill()
			_ = stranger.Wait()
			want = "group= again="
		}
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("others %t: %v %s", others, err, out)
		}
		_ = os.Remove(filepath.Join(own, "haechi-server"))
		if err := os.Remove(own); err != nil {
			t.Error(err)
		}
	}
}

// Walls tells, in words for people, what steps are walled in with.
func TestWallsTold(t *testing.T) {
	told, err := sandbox.New(sandbox.Config{}).Walls(t.Context())
	if err != nil || !strings.HasPrefix(told, "namespaces, seccomp, ") {
		t.Errorf("%q, %v", told, err)
	}
	if abi := sandbox.LandlockABI(); abi >= 2 != strings.Contains(told, "landlock ") {
		t.Errorf("%q with landlock %d", told, abi)
	}
	level, err := sandbox.New(sandbox.Config{}).Level(t.Context())
	if err != nil || level > sandbox.Namespaces {
		t.Errorf("%v, %v", level, err)
	}
	level, err = sandbox.New(sandbox.Config{Least: sandbox.Landlock}).Level(t.Context())
	if has := sandbox.LandlockABI() >= 2; has != (level == sandbox.Landlock && err == nil) || !has && !errors.Is(err, fault.Unsupported) {
		t.Errorf("%v, %v", level, err)
	}
	for _, name := range []string{"landlock", "namespaces", "bare"} {
		if l, err := sandbox.ParseLevel(name); err != nil || l.String() != name {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}
