package sandbox

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// RunBare runs a step at the level Bare, wherever.
func RunBare(ctx context.Context, step Step, out io.Writer, walls ...string) (int, error) {
	s := New(Config{Least: Bare})
	s.without, s.spawner.without = walls, walls
	return s.run(ctx, step, Bare, out)
}

// Barely runs steps at the level Bare, one after the other with what is there.
func Barely(s *Sandbox) func(context.Context, Step, io.Writer) (int, error) {
	return func(ctx context.Context, step Step, out io.Writer) (int, error) { return s.run(ctx, step, Bare, out) }
}

// RunWithout runs a step with these walls left out, to see that they are what holds.
func RunWithout(ctx context.Context, step Step, out io.Writer, walls ...string) (int, error) {
	s := New(Config{})
	s.without, s.spawner.without = walls, walls
	return s.run(ctx, step, Namespaces, out)
}

// LandlockABI is the version of the kernel's landlock.
func LandlockABI() int { return landlockABI() }

// WithoutGroups runs a step as where there are no control groups.
func WithoutGroups(ctx context.Context, step Step, out io.Writer) (int, error) {
	s := New(Config{})
	s.groups.once.Do(func() {})
	return s.run(ctx, step, Namespaces, out)
}

// GroupVersion is that of the control groups that steps are put in here, 0 for none.
func GroupVersion() int {
	var g groups
	g.find()
	return g.version
}

// FindGroups is findGroups.
func FindGroups(own, mounts string) (int, map[string]string) { return findGroups(own, mounts) }

// Delegated is delegated.
func Delegated(own string, need ...string) string { return delegated(own, need...) }

// Hole is where the machine is seen without the wall of mounts.
const Hole = hole

// Parts are all parts of the wall that can be left out, by what the sources ask.
func Parts() []string {
	var parts []string
	for _, w := range namespaces {
		parts = append(parts, w.name)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		panic(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`without(?:\(|, )"([^"]+)"\)`).FindAllSubmatch(text, -1) {
			parts = append(parts, string(m[1]))
		}
	}
	slices.Sort(parts)
	return slices.Compact(parts)
}
