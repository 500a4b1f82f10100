package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// used is what one run of a program took.
type used struct {
	wall, cpu time.Duration
	memory    int64 // at most, in MB
	out       []byte
}

// measured runs a program on one core; it may exit with 1, as scanners do that find something.
func measured(dir string, argv ...string) (u used, err error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOMAXPROCS=1")
	began := time.Now()
	u.out, err = cmd.Output()
	u.wall = time.Since(began)
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 || cmd.ProcessState.ExitCode() < 0 {
		return u, fmt.Errorf("%s: %w: %.300s", strings.Join(argv, " "), err, u.out)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss / 1000
	return u, nil
}

// secrets measures the scan for secrets beside gitleaks, which is built here, on
// the same trees: those in BENCH_TREES, else Go's own sources and what this
// module requires. Then a history of 2,000 commits, a commit's hook in a
// repository of 10,000 files, and the start alone.
func secrets(program string) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	gitleaks := filepath.Join(folder, "gitleaks")
	if out, err := exec.Command("go", "build", "-o", gitleaks, "github.com/zricethezav/gitleaks/v8").CombinedOutput(); err != nil {
		return fmt.Errorf("building gitleaks: %w: %s", err, out)
	}
	trees := filepath.SplitList(os.Getenv("BENCH_TREES"))
	if len(trees) == 0 {
		trees = []string{filepath.Join(runtime.GOROOT(), "src")}
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/zricethezav/gitleaks/v8").Output()
		if err != nil {
			return fmt.Errorf("where is gitleaks' source: %w", err)
		}
		trees = append(trees, strings.TrimSpace(string(out)))
	}
	for _, tree := range trees {
		if err := beside(program, gitleaks, tree); err != nil {
			return err
		}
	}
	if err := histories(program, gitleaks, folder); err != nil {
		return err
	}
	return hooked(program, folder)
}

func beside(program, gitleaks, tree string) error {
	size := sizeOf(tree)
	for name, argv := range map[string][]string{
		"haechi":   {program, "scan", "-only", "secret", "-fail-on", "none", "-format", "json", tree},
		"gitleaks": {gitleaks, "dir", tree, "--no-banner", "--exit-code", "0", "--log-level", "error"},
	} {
		u, err := measured("", argv...)
		if err != nil {
			return err
		}
		fmt.Printf("secrets: %s, %.1f MB: %s %.1f MB/s of CPU (%v of CPU, %v), %d MB RSS\n", filepath.Base(filepath.Dir(tree))+"/"+filepath.Base(tree), float64(size)/1e6, name, float64(size)/1e6/u.cpu.Seconds(), u.cpu.Round(10*time.Millisecond), u.wall.Round(10*time.Millisecond), u.memory)
	}
	return nil
}

// sizeOf is how many bytes the files of a tree have.
func sizeOf(tree string) (size int64) {
	_ = filepath.WalkDir(tree, func(_ string, d fs.DirEntry, err error) error { // what cannot be read is nobody's
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

// imported is a repository made of a stream of git fast-import.
func imported(dir string, stream func(*strings.Builder)) error {
	if out, err := exec.Command("git", "init", "-q", "-b", "main", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("git init: %w: %s", err, out)
	}
	var b strings.Builder
	stream(&b)
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git fast-import: %w: %s", err, out)
	}
	return nil
}

func histories(program, gitleaks, folder string) error {
	dir := filepath.Join(folder, "history")
	r := rand.New(rand.NewPCG(1, 1))
	line := func() string {
		return fmt.Sprintf("\tif err := store.Save(ctx, %d, value%d); err != nil {\n", r.IntN(1000), r.IntN(1000))
	}
	err := imported(dir, func(b *strings.Builder) {
		files := make([][]string, 200)
		for i := range files {
			for range 150 {
				files[i] = append(files[i], line())
			}
		}
		for i := range 2000 {
			fmt.Fprintf(b, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata 6\nchange\n", 1_700_000_000+i)
			for range 3 {
				n := r.IntN(len(files))
				files[n][r.IntN(150)] = line()
				text := strings.Join(files[n], "")
				fmt.Fprintf(b, "M 100644 inline src/f%d.go\ndata %d\n%s\n", n, len(text), text)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		argv []string
	}{
		{"haechi, first", []string{program, "scan", "-history", "-fail-on", "none", dir}},
		{"haechi, again", []string{program, "scan", "-history", "-fail-on", "none", dir}},
		{"gitleaks", []string{gitleaks, "git", dir, "--no-banner", "--exit-code", "0", "--log-level", "error"}},
	} {
		u, err := measured("", one.argv...)
		if err != nil {
			return err
		}
		fmt.Printf("secrets: history of 2,000 commits: %s %v, %v of CPU\n", one.name, u.wall.Round(10*time.Millisecond), u.cpu.Round(10*time.Millisecond))
	}
	return nil
}

func hooked(program, folder string) error {
	dir := filepath.Join(folder, "hook")
	err := imported(dir, func(b *strings.Builder) {
		fmt.Fprintf(b, "commit refs/heads/main\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\na\n")
		for i := range 10_000 {
			text := strings.Repeat(fmt.Sprintf("package p%d\n", i), 20)
			fmt.Fprintf(b, "M 100644 inline d%d/f%d.go\ndata %d\n%s\n", i%100, i, len(text), text)
		}
	})
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"reset", "-q", "--hard"}, {"add", "-A"}} {
		if err := os.WriteFile(filepath.Join(dir, "new.go"), []byte("package new\n"), 0o600); err != nil {
			return err
		}
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %v: %w: %s", args, err, out)
		}
	}
	var hooks, starts []time.Duration
	for range 20 {
		u, err := measured(dir, program, "hook", "run", "pre-commit")
		if err != nil {
			return err
		}
		hooks = append(hooks, u.wall)
		if u, err = measured(dir, program, "scan", "-only", "secret", "new.go"); err != nil {
			return err
		}
		starts = append(starts, u.wall)
	}
	fmt.Printf("secrets: hook before a commit, 10,000 files, one staged: median %v; scan of one file: median %v\n", percentile(hooks, .5).Round(time.Millisecond), percentile(starts, .5).Round(time.Millisecond))
	return nil
}
