package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// scan measures haechi scan of a tree of 50 MB: source files of some kinds and sizes, with lock files.
func scan(program string) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	size, err := grow(folder, 50<<20, codeWords)
	if err != nil {
		return err
	}
	var walls, cpus []time.Duration
	memory := int64(0)
	for range 5 {
		cmd := exec.Command(program, "scan", "-format", "json", folder)
		began := time.Now()
		out, err := cmd.Output()
		walls = append(walls, time.Since(began))
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 {
			return fmt.Errorf("%w: %s", err, out)
		}
		cpus = append(cpus, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		memory = max(memory, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	fmt.Printf("scan: %.0f MB in median %v (%v of CPU), %d MB RSS at most\n", float64(size)/1e6, percentile(walls, 0.5).Round(time.Millisecond), percentile(cpus, 0.5).Round(time.Millisecond), memory/1000)
	return nil
}

// codeWords are those of which grow's code is.
const codeWords = "func return if else for range err nil string package import value config request response token user password key client server context handler error type struct interface map int64 byte slice append make len copy test assert equal data path file name list item order price count total"

// grow writes a tree of about size bytes that looks like code, made of some words.
func grow(folder string, size int, of string) (written int, err error) {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields(of)
	extensions := []string{".go", ".js", ".py", ".java", ".yaml", ".md", ".ts", ".json"}
	for n := 0; written < size; n++ {
		var b strings.Builder
		for b.Len() < 2000+r.IntN(20_000) {
			for range 3 + r.IntN(9) {
				b.WriteString(words[r.IntN(len(words))])
				b.WriteByte(" .=(){}[]:,;"[r.IntN(12)])
			}
			b.WriteByte('\n')
		}
		name := filepath.Join(folder, fmt.Sprintf("dir%02d", n%40), fmt.Sprintf("file%05d%s", n, extensions[n%len(extensions)]))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return written, err
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
			return written, err
		}
		written += b.Len()
	}
	return written, nil
}
