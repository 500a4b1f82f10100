package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A large tree that everybody can have: the module of Kubernetes, as the proxy packs it.
const largeTree = "k8s.io/kubernetes@v1.37.2"

// deps measures the inventory of a large tree against osv-scanner, which lies in
// peers, a module of its own; and with HAECHI_TESTDATA, matching against the same
// advisories. The two run by turns, so that both meet the same machine.
func deps(program string) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	peer := filepath.Join(folder, "osv-scanner")
	build := exec.Command("go", "build", "-C", "peers", "-o", peer, "github.com/google/osv-scanner/v2/cmd/osv-scanner")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building osv-scanner: %w: %s", err, out)
	}
	tree, err := download(folder)
	if err != nil {
		return err
	}
	plain := []string{"scan", "source", "-r", "--no-resolve", "--no-call-analysis=all", "--offline", "--offline-vulnerabilities", "--all-packages", "--format", "json"}
	if err := compare("inventory", []string{program, "sbom", "-format", "json", tree}, append(append([]string{peer}, plain...), tree), nil); err != nil {
		return err
	}
	data := os.Getenv("HAECHI_TESTDATA")
	if data == "" {
		fmt.Println("deps: HAECHI_TESTDATA is not set, so nothing is matched")
		return nil
	}
	index := filepath.Join(folder, "advisory.index")
	if out, err := exec.Command(program, "db", "import", "-db", index, filepath.Join(data, "vulns")).CombinedOutput(); err != nil {
		return fmt.Errorf("importing: %w: %s", err, out)
	}
	cache := filepath.Join(folder, "cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(data, "vulns", "osv"), filepath.Join(cache, "osv-scalibr")); err != nil {
		return err
	}
	for _, tree := range []string{tree, filepath.Join(data, "manifests", "juice-shop-2019"), filepath.Join(data, "manifests", "sbom")} {
		err := compare("matching "+filepath.Base(tree), []string{program, "scan", "-only", "deps", "-fail-on", "none", "-format", "json", "-db", index, tree}, append(append([]string{peer}, plain...), tree), []string{"OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY=" + cache, "XDG_CACHE_HOME=" + cache})
		if err != nil {
			return err
		}
	}
	return nil
}

// download is the folder of the tree.
func download(folder string) (string, error) {
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module bench\n\ngo 1.26\n"), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "mod", "download", "-json", largeTree)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	var said struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &said); jsonErr != nil || said.Dir == "" {
		return "", fmt.Errorf("downloading %s: %s: %w", largeTree, said.Error, errors.Join(err, jsonErr))
	}
	return said.Dir, nil
}

// compare runs two commands by turns, and prints the median of their CPU and the most that they hold.
func compare(what string, ours, theirs, env []string) error {
	return compareRounds(5, "deps", what, ours, theirs, env)
}

func compareRounds(rounds int, kind, what string, ours, theirs, env []string) error {
	type sum struct {
		cpus   []time.Duration
		memory int64
		bytes  int
	}
	var sums [2]sum
	for range rounds {
		for i, args := range [][]string{ours, theirs} {
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), env...)
			out, err := cmd.Output()
			if cmd.ProcessState == nil || len(out) == 0 {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			sums[i].cpus = append(sums[i].cpus, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			sums[i].memory = max(sums[i].memory, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			sums[i].bytes = len(out)
		}
	}
	for i, name := range []string{"haechi", "osv-scanner"} {
		fmt.Printf("%s: %s, %s: median %v of CPU, %d MB RSS at most, %d KB of output\n", kind, what, name, percentile(sums[i].cpus, 0.5).Round(time.Millisecond), sums[i].memory/1000, sums[i].bytes/1000)
	}
	return nil
}
