package gitdoor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

// begun is a house with a protected main that takes pull requests only.
func begun(t *testing.T) *house {
	h := open(t, func(c *gitdoor.Config) {
		c.Link = func(repository string, n int64) string { return "http://haechi.test/" + repository }
	})
	h.clone.Commit("base", map[string]string{"a": "1\n", "b": "1\n"})
	h.clone.Git("push", "-q", "origin", "main")
	_, err := h.source.Change(t.Context(), "shop", func(r *source.Repository) error {
		r.Rules = source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}, Tags: []string{"v*"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A push to refs/for opens a pull request, another updates it, and anybody can fetch its head.
func TestRefsFor(t *testing.T) {
	h := begun(t)
	h.clone.Git("config", "push.pushOption", "")
	h.clone.Commit("a fine change", map[string]string{"a": "2\n"})
	wants(t, h.refused("origin", "main"), "branch main takes changes through pull requests only: git push origin HEAD:refs/for/main")
	out := h.clone.Git("-c", "advice.pushNonFastForward=false", "push", "origin", "HEAD:refs/for/main")
	_ = out
	p, err := h.source.Pull(t.Context(), 1)
	if err != nil || p.Title != "a fine change" || p.Author.Name != "ada" || p.Revision.Head != h.clone.Git("rev-parse", "HEAD") {
		t.Fatalf("%+v %v", p, err)
	}
	h.clone.Commit("on top", map[string]string{"b": "2\n"})
	text, err := h.clone.Try("push", "-o", "title=an even finer change", "origin", "HEAD:refs/for/main")
	if err != nil {
		t.Fatal(text)
	}
	wants(t, text, "Haechi updated pull request 1: an even finer change", "http://haechi.test/shop", "git fetch origin refs/pull/1/head", "git push -o pull=1 origin HEAD:refs/for/main", "-> refs/pull/1/head")
	if p, err = h.source.Pull(t.Context(), 1); err != nil || p.Revision.Number != 2 || p.Revision.Commits != 2 {
		t.Errorf("%+v %v", p.Revision, err)
	}
	h.clone.Git("commit", "-q", "--amend", "-m", "rewritten")
	if text, err := h.clone.Try("push", "-o", "pull=1", "origin", "HEAD:refs/for/main"); err != nil || !strings.Contains(text, "updated pull request 1") {
		t.Errorf("rewritten: %s", text)
	}
	if text, err := h.clone.Try("push", "-o", "topic=other", "origin", "HEAD:refs/for/main"); err != nil || !strings.Contains(text, "opened pull request 2: rewritten") {
		t.Errorf("another topic: %s", text)
	}
	h.clone.Git("fetch", "-q", "origin", "refs/pull/1/head")
	if got := h.clone.Git("rev-parse", "FETCH_HEAD"); got != h.clone.Git("rev-parse", "HEAD") {
		t.Errorf("fetched %s", got)
	}
}

// What no pull request can come of is refused, and nothing else of the push is taken with it.
func TestRefsForRefused(t *testing.T) {
	h := begun(t)
	h.clone.Commit("change", map[string]string{"a": "2\n"})
	wants(t, h.refused("origin", "HEAD:refs/for/nowhere"), "there is no branch nowhere")
	wants(t, h.refused("origin", ":refs/for/main"), "refs/for/main")
	wants(t, h.refused("origin", "HEAD~:refs/for/main"), "there is nothing in it that the target does not have")
	wants(t, h.refused("-o", "pull=7", "origin", "HEAD:refs/for/main"), "there is no pull request 7")
	wants(t, h.refused("-o", "pull=x", "origin", "HEAD:refs/for/main"), "the number of a pull request is meant")
	wants(t, h.refused("origin", "HEAD:refs/pull/1/head"), "refs/pull/1/head")
	wants(t, h.refused(h.as("eve"), "HEAD:refs/for/main"), "403")
	h.clone.Commit("secret", map[string]string{"s": secretText(1) + "\n"})
	wants(t, h.refused("origin", "HEAD:refs/for/main", "HEAD:side"), "it brings 1 secret")
	if got := h.ref("side"); got != "" {
		t.Errorf("side is at %s", got)
	}
	if _, err := h.source.Pull(t.Context(), 1); !errors.Is(err, fault.NotFound) {
		t.Errorf("a pull request: %v", err)
	}
	// A branch and a pull request in one push.
	h.clone.Commit("no secret any more", map[string]string{"s": ""})
	h.clone.Git("checkout", "-q", "-b", "clean", "main~2")
	h.clone.Git("push", "-q", "origin", "HEAD:refs/for/main", "HEAD:side")
	if got := h.ref("side"); got != h.clone.Git("rev-parse", "HEAD") {
		t.Errorf("side is at %q", got)
	}
}

// A tag that is made once neither moves nor goes.
func TestTagsStay(t *testing.T) {
	h := begun(t)
	h.clone.Git("tag", "v1")
	h.clone.Git("push", "-q", "origin", "v1")
	h.clone.Commit("more", map[string]string{"a": "2\n"})
	h.clone.Git("tag", "-f", "v1")
	wants(t, h.refused("--force", "origin", "v1"), "tag v1 is made once here")
	wants(t, h.refused("origin", ":v1"), "tag v1 is made once here")
}

// A mirror of a clone of a forge comes in, without the pull requests that were that forge's.
func TestMirrored(t *testing.T) {
	h := open(t, nil)
	h.clone.Commit("base", map[string]string{"a": "1\n"})
	h.clone.Git("tag", "v1")
	h.clone.Git("update-ref", "refs/pull/7/head", "HEAD")
	h.clone.Git("update-ref", "refs/pull/7/merge", "HEAD")
	text, err := h.clone.Try("push", "--mirror", "origin")
	if err == nil {
		t.Errorf("git takes what is the server's: %s", text)
	}
	wants(t, text, "Haechi leaves 2 refs below refs/pull out", "deny updating a hidden ref")
	got := h.clone.Git("ls-remote", "origin")
	if !strings.Contains(got, "refs/heads/main") || !strings.Contains(got, "refs/tags/v1") || strings.Contains(got, "refs/pull") {
		t.Errorf("%s", got)
	}
	h.clone.Git("update-ref", "-d", "refs/pull/7/merge")
	h.clone.Git("update-ref", "refs/remotes/x/main", "HEAD")
	wants(t, h.refused("--mirror", "origin"), "refs/remotes/", "is not to be pushed to", "git push --all")
}

// An option that means nothing is told, and hinders nothing.
func TestUnknownOptions(t *testing.T) {
	h := begun(t)
	h.clone.Commit("change", map[string]string{"a": "2\n"})
	text, err := h.clone.Try("push", "-o", "titel=x", "-o", "topic=t", "-o", "odd\x1b[31m", "origin", "HEAD:refs/for/main")
	if err != nil {
		t.Fatal(text)
	}
	wants(t, text, "Haechi does not know the option titel, odd?[31m", "opened pull request 1: change")
}

// Of the branches that a first push brings, the one that is called main is the default one, or one that is commonly called so.
func TestFirstBranches(t *testing.T) {
	for want, branches := range map[string][]string{"main": {"alpha", "main", "zeta"}, "master": {"develop", "master"}, "only": {"only"}, "alpha": {"alpha", "beta"}} {
		h := open(t, nil)
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		var refs []string
		for _, b := range branches {
			refs = append(refs, "HEAD:refs/heads/"+b)
		}
		h.clone.Git(append([]string{"push", "-q", "origin"}, refs...)...)
		r, err := h.source.Repository(t.Context(), "shop")
		if err != nil || r.DefaultBranch != want {
			t.Errorf("of %q it is %q: %v", branches, r.DefaultBranch, err)
		}
		if got := h.clone.Git("ls-remote", "--symref", "origin", "HEAD"); !strings.Contains(got, "refs/heads/"+want) {
			t.Errorf("HEAD is %s", got)
		}
		h.clone.Git("push", "-q", "origin", "HEAD:refs/heads/another")
		if r, err := h.source.Repository(t.Context(), "shop"); err != nil || r.DefaultBranch != want {
			t.Errorf("after another: %q %v", r.DefaultBranch, err)
		}
	}
}
