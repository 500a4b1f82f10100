package build_test

import (
	"archive/zip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// readers may read all repositories but those called private.
func readers(_ context.Context, who, repository string) error {
	if strings.HasPrefix(repository, "private") || !strings.HasSuffix(who, "user/ada") {
		return fault.Denied.Errorf("%s may not read it", who)
	}
	return nil
}

func cloning(c *build.Config) {
	c.MayRead, c.Page = readers, func(path string) string { return "http://haechi.example" + path }
}

// depth is how a build is started that wants so many commits, and submodules or not.
func depth(n int, submodules bool) build.Start {
	return build.Start{Restrict: func(p *build.Project) error {
		p.Source.CloneDepth, p.Source.Submodules = n, &build.Submodules{Fetch: submodules}
		return p.Check()
	}}
}

// A build has the clone that its project asks for: all of the commit's history with its tags, or so many commits; git works in
// it, nothing is changed, no password is in it, and what the build makes is the same.
func TestClone(t *testing.T) {
	h := alone(t, cloning)
	h.push("main", "one", map[string]string{"a.txt": "1"})
	h.clone.Git("tag", "-a", "v1", "-m", "first")
	h.clone.Git("push", "-q", h.repo.Dir(), "v1")
	commit := h.push("main", "two", map[string]string{
		"dir/b.sh": "#!/bin/sh\n",
		"buildspec.yml": spec("artifacts:\n  files: ['**/*']\n", "echo describe $(git describe --dirty)", "echo subjects $(git log --format=%s)", "echo head $(git rev-parse HEAD origin/main)",
			"test -z \"$(git status --porcelain)\"", "git diff-index --quiet HEAD", "git diff --exit-code HEAD~1 -- a.txt", "cat .git/config", "git fsck --full"),
	})
	made := h.built(build.Start{})
	log := h.log(made)
	if made.Status != build.Succeeded {
		t.Fatalf("%s %+v\n%s", made.Status, made.Facts.Reason, log)
	}
	for _, want := range []string{"describe v1-1-g" + commit[:7] + "\n", "subjects two one\n", "head " + commit + " " + commit + "\n", "url = \"http://haechi.example/git/shop\"\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	names := func(made build.Build) (all string) {
		a, file, err := h.room.Artifact(t.Context(), made.ID, "")
		must(t, err)
		defer file.Close()
		z, err := zip.NewReader(file, a.Size)
		must(t, err)
		for _, f := range z.File {
			all += f.Name + " "
		}
		return all
	}
	if got := names(made); got != "a.txt buildspec.yml dir/b.sh " {
		t.Errorf("the artifact has %s", got)
	}
	shallow := depth(1, false)
	shallow.Buildspec = spec("artifacts:\n  files: ['**/*']\n", "echo commits $(git rev-list --count HEAD)", "git diff-index --quiet HEAD", "git log --format=%an")
	again := h.built(shallow)
	if log := h.log(again); again.Status != build.Succeeded || !strings.Contains(log, "commits 1\n") {
		t.Errorf("%s %+v\n%s", again.Status, again.Facts.Reason, log)
	}
	if again.Artifacts.SHA256 != made.Artifacts.SHA256 {
		t.Errorf("an artifact of all files is another: %s", names(again))
	}
}

// A forge's pull request comes as a branch and as a pull request: a webhook that waits for pull requests builds it once.
func TestForgePull(t *testing.T) {
	h := alone(t, nil)
	h.push("main", "first", map[string]string{"buildspec.yml": spec("", "true")})
	_, err := h.room.ChangeProject(t.Context(), "shop", func(p *build.Project) error {
		p.Webhook = &build.Webhook{FilterGroups: [][]build.Filter{{{Type: "EVENT", Pattern: "PUSH"}}, {{Type: "EVENT", Pattern: "PULL_REQUEST_CREATED, PULL_REQUEST_UPDATED"}}}}
		return nil
	})
	must(t, err)
	commit := h.clone.Commit("pull", map[string]string{"a": "1"})
	h.clone.Git("push", "-q", h.repo.Dir(), "HEAD:refs/heads/pr/7")
	const forge = "arn:aws:haechi:eu-west-1:111122223333:forge/shop"
	tell := func(kind string, detail any) {
		text, err := json.Marshal(detail)
		must(t, err)
		must(t, h.db.Write(t.Context(), func(tx *db.Tx) error {
			return h.bus.Publish(tx, event.Event{ID: bus.ID(), Type: kind, Source: source.EventSource, Account: account, Region: region, Detail: text})
		}))
	}
	tell(source.Moved, source.Detail{Event: source.Created, RepositoryName: "shop", ReferenceType: "branch", ReferenceName: "pr/7", ReferenceFullName: "refs/heads/pr/7", CommitID: commit, CallerUserARN: forge})
	tell(source.PullChanged, source.PullDetail{Event: "pullRequestCreated", PullRequestID: "7", RepositoryNames: []string{"shop"}, SourceReference: "refs/heads/pr/7", SourceCommit: commit, DestinationReference: "refs/heads/main", DestinationCommit: commit, PullRequestStatus: "Open", IsMerged: "False", CallerUserARN: forge})
	last := h.push("main", "last", map[string]string{"b": "1"}) // when this is built, what came before was told
	var all []build.Build
	h.until("the last build", func() bool {
		all, err = h.room.Builds(t.Context(), build.Query{Ascending: true})
		must(t, err)
		return slices.ContainsFunc(all, func(b build.Build) bool { return b.Facts.Commit == last })
	})
	var pulls []string
	for _, b := range all {
		if b.Facts.Commit == commit {
			pulls = append(pulls, b.SourceVersion)
		}
	}
	if !slices.Equal(pulls, []string{"pr/7"}) {
		t.Errorf("the pull request was built as %v", pulls)
	}
}

// repository makes one with a commit, and gives the commit.
func (h *house) repository(r source.Repository, files map[string]string) string {
	h.t.Helper()
	_, err := h.source.Create(h.t.Context(), r)
	must(h.t, err)
	repo, err := h.source.Git(r.Name)
	must(h.t, err)
	c := gittest.New(h.t)
	commit := c.Commit("of "+r.Name, files)
	c.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	return commit
}

// with pushes a commit with submodules.
func (h *house) with(modules map[string][2]string) {
	h.t.Helper()
	for path, m := range modules {
		h.clone.Git("config", "-f", ".gitmodules", "submodule."+path+".path", path)
		h.clone.Git("config", "-f", ".gitmodules", "submodule."+path+".url", m[0])
		h.clone.Git("add", ".gitmodules")
		h.clone.Git("update-index", "--add", "--cacheinfo", "160000,"+m[1]+","+path)
	}
	h.clone.Git("commit", "-q", "-m", "submodules")
	h.pushed("main", h.clone.Git("rev-parse", "HEAD"))
}

// Submodules come from repositories here that whoever started the build may read, those of submodules too; whatever else
// stands for one fails the build in words that help.
func TestBuildSubmodules(t *testing.T) {
	h := alone(t, cloning)
	deep := h.repository(source.Repository{Name: "deep"}, map[string]string{"deep.txt": "deep"})
	lib := h.repository(source.Repository{Name: "lib", Upstream: "https://forge.example/acme/lib.git"}, map[string]string{"lib.txt": "lib"})
	repo, err := h.source.Git("lib")
	must(t, err)
	c := gittest.New(t)
	c.Git("fetch", "-q", repo.Dir(), "main")
	c.Git("reset", "-q", "--hard", lib)
	c.Git("config", "-f", ".gitmodules", "submodule.deep.path", "deep")
	c.Git("config", "-f", ".gitmodules", "submodule.deep.url", "http://haechi.example/git/deep.git")
	c.Git("add", ".gitmodules")
	c.Git("update-index", "--add", "--cacheinfo", "160000,"+deep+",deep")
	c.Git("commit", "-q", "-m", "deep")
	lib = c.Git("rev-parse", "HEAD")
	c.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	secret := h.repository(source.Repository{Name: "private"}, map[string]string{"secret.txt": "secret"})

	buildspec := spec("", "cat libs/one/lib.txt libs/one/deep/deep.txt libs/two/lib.txt", "git -C libs/one log --format='sub %s'", "git submodule status --recursive", "test -z \"$(git status --porcelain)\"")
	h.push("main", "first", map[string]string{"buildspec.yml": buildspec})
	h.with(map[string][2]string{"libs/one": {"../lib.git", lib}, "libs/two": {"git@forge.example:acme/lib.git", lib}})
	made := h.built(depth(0, true))
	if log := h.log(made); made.Status != build.Succeeded || !strings.Contains(log, "libdeeplib") || !strings.Contains(log, "sub deep\nsub of lib\n") || !strings.Contains(log, " "+deep+" libs/one/deep") {
		t.Fatalf("%s %+v\n%s", made.Status, made.Facts.Reason, log)
	}
	if made := h.built(depth(0, false)); made.Status != build.Failed {
		t.Errorf("submodules that nobody asked for are there: %s", made.Status)
	}
	for _, one := range []struct{ url, commit, who, want string }{
		{"https://elsewhere.example/lib.git", lib, "ada", `"https://elsewhere.example/lib.git" is no repository of this server`},
		{"/etc", lib, "ada", `"/etc" is no repository of this server`},
		{"file:///etc", lib, "ada", `is no repository of this server`},
		{"../../lib.git", lib, "ada", `is no repository of this server`},
		{"ext::sh -c true", lib, "ada", `is no repository of this server`},
		{"../private.git", secret, "ada", "repository private: arn:aws:iam::111122223333:user/ada may not read it"},
		{"../lib.git", lib, "bob", "repository lib: arn:aws:iam::111122223333:user/bob may not read it"},
		{"../lib.git", strings.Repeat("1", 40), "ada", "repository lib has no branch or tag with the commit 1111"},
	} {
		h.clone.Git("rm", "-q", "-r", "-f", "--cached", ".gitmodules", "libs")
		must(t, os.RemoveAll(filepath.Join(h.clone.Dir, ".gitmodules")))
		h.with(map[string][2]string{"libs/bad": {one.url, one.commit}})
		s := depth(0, true)
		s.Who = "arn:aws:iam::" + account + ":user/" + one.who
		made := h.built(s)
		reason := made.Facts.Reason
		if made.Status != build.Failed || reason == nil || !strings.Contains(reason.Text, one.want) || !strings.HasPrefix(reason.Where, ".gitmodules:") || reason.Do == "" || reason.Code != "CLIENT_ERROR" {
			t.Errorf("%s: %s %+v", one.url, made.Status, reason)
		}
	}
}
