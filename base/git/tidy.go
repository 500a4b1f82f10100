package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// old is how long what no ref reaches is kept, and what a push left in
// quarantine when git was killed: a push takes less.
const old = 24 * time.Hour

// Unlock takes away the locks of refs and settings that are there since before
// then: a git that was killed, or that a machine lost, has left them behind, and
// no other git goes on while they are there. It gives their names.
func (r *Repo) Unlock(then time.Time) (taken []string, err error) {
	locks, err := filepath.Glob(filepath.Join(r.dir, "*.lock")) // HEAD, config, packed-refs, shallow
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(r.dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // moved meanwhile
		}
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".lock") {
			locks = append(locks, path)
		}
		return err
	})
	for _, path := range locks {
		info, statErr := os.Lstat(path)
		if statErr != nil || !info.ModTime().Before(then) {
			continue
		}
		if removed := os.Remove(path); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
			continue
		}
		name, _ := filepath.Rel(r.dir, path)
		taken = append(taken, filepath.ToSlash(name))
	}
	return taken, err
}

// Tidy packs the repository if it has more than so many loose objects, or 50
// packs, and drops what nobody can reach any more. Pushes and clones go on meanwhile.
func (r *Repo) Tidy(ctx context.Context, loose int) error {
	left, err := filepath.Glob(filepath.Join(r.dir, "objects", "tmp_objdir-*"))
	for _, dir := range left {
		info, statErr := os.Stat(dir)
		if statErr == nil && time.Since(info.ModTime()) > old {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	if err != nil {
		return err
	}
	counts, err := r.answer(ctx, "count-objects", "-v")
	if err != nil {
		return err
	}
	count := map[string]int{}
	for line := range strings.Lines(string(counts)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		count[name], _ = strconv.Atoi(value)
	}
	if count["count"] <= loose && count["packs"] <= 50 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	cmd := r.Command(ctx, []string{"gc.pruneExpire=1.day.ago", "pack.threads=1"}, "gc", "--quiet")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("packing %s: %w", filepath.Base(r.dir), describe(ctx, "gc", err, out))
	}
	return nil
}
