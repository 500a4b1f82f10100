// Package gittest is a person with a clone, for tests: it runs the real git.
package gittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/git"
)

// Clone is a repository with a work tree, and who works in it.
type Clone struct {
	Dir string
	Env []string // what git sees besides
	t   testing.TB
}

// New is a clone of nothing yet, on branch main.
func New(t testing.TB) *Clone {
	t.Helper()
	c := &Clone{Dir: t.TempDir(), t: t}
	c.Git("init", "-q", "-b", "main")
	return c
}

// Of is the clone that lies at dir.
func Of(t testing.TB, dir string) *Clone { return &Clone{Dir: dir, t: t} }

// Bare is a new bare repository as the server keeps it, and its folder's name is name.
func Bare(t testing.TB, name string) *git.Repo {
	t.Helper()
	r, err := git.Init(t.Context(), filepath.Join(t.TempDir(), name), "main")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Git runs git in the clone and gives what it printed; it must succeed.
func (c *Clone) Git(args ...string) string {
	c.t.Helper()
	out, err := c.Try(args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// Try runs git in the clone and gives both what it printed and how it ended.
func (c *Clone) Try(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = c.Dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
		"GIT_COMMITTER_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000",
	}
	cmd.Env = append(cmd.Env, c.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Commit writes files (an empty text removes one), commits them and gives the commit's name.
func (c *Clone) Commit(message string, files map[string]string) string {
	c.t.Helper()
	for name, text := range files {
		path := filepath.Join(c.Dir, filepath.FromSlash(name))
		if text == "" {
			if err := os.Remove(path); err != nil {
				c.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	c.Git("add", "-A")
	c.Git("commit", "-q", "--allow-empty", "-m", message)
	return c.Git("rev-parse", "HEAD")
}
