package gitdoor_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/word/finding"
)

// counting counts how often it is asked of a path.
type counting struct {
	tokens
	mu    sync.Mutex
	asked map[string]int
}

func (c *counting) Check(ctx context.Context, repository, path string, content []byte) []finding.Finding {
	c.mu.Lock()
	c.asked[path]++
	c.mu.Unlock()
	return c.tokens.Check(ctx, repository, path, content)
}

// Each object of a push is looked at once, while it comes; what is told as a change of what the server has
// already is looked at when git knows it. Either way a secret is found, at its place.
func TestAhead(t *testing.T) {
	secrets := &counting{asked: map[string]int{}}
	h := open(t, func(c *gitdoor.Config) { c.Secrets = secrets })
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "line %d\n", i*i)
	}
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("dir%d/sub/file%d", i%7, i)] = fmt.Sprint(text.String()[i:], i)
	}
	h.clone.Commit("files", files)
	h.clone.Git("push", "-q", "origin", "main")
	for path := range files {
		if secrets.asked[path] != 1 {
			t.Errorf("%s was looked at %d times", path, secrets.asked[path])
		}
	}
	if secrets.asked["COMMIT_EDITMSG"] != 1 {
		t.Errorf("the message was looked at %d times", secrets.asked["COMMIT_EDITMSG"])
	}
	h.clone.Commit("a change", map[string]string{"dir1/sub/file1": files["dir1/sub/file1"] + secretText(1) + "\n", "dir9/new": "a\n" + secretText(2)})
	wants(t, h.refused("origin", "main"), "dir1/sub/file1:501", "dir9/new:2")
}

// A scanner that breaks refuses the push, whenever it looks.
func TestAheadBreaks(t *testing.T) {
	h := open(t, func(c *gitdoor.Config) { c.Secrets = breaking{} })
	h.clone.Commit("one", map[string]string{"a": "a\n"})
	wants(t, h.refused("origin", "main"), "cannot check this push")
	if h.ref("main") != "" {
		t.Error("it was taken")
	}
}

type breaking struct{}

func (breaking) Check(context.Context, string, string, []byte) []finding.Finding { panic("broken") }
