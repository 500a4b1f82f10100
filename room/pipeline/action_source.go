package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

// doSource reads a commit. The first source of a run says what the run is about: what its
// findings are compared with, who wrote it, and whether there is anything to build.
func (p *Pipelines) doSource(ctx context.Context, t *task) (outcome, error) {
	e, a := &t.run, t.action
	if bucket, key, ok := ObjectOf(configured(a)); ok {
		return p.doObject(ctx, t, bucket, key)
	}
	name := sourceRepository(configured(a))
	r, err := p.config.Source.Repository(ctx, name)
	if err != nil {
		return outcome{}, err
	}
	repo, err := p.config.Source.Git(name)
	if err != nil {
		return outcome{}, err
	}
	first := t.stage.Name == e.Stages[0].Name && a.Name == firstSource(e.Stages[0])
	branch, id, err := p.revision(ctx, e, a, r, first)
	if err != nil {
		return outcome{}, err
	}
	commit, err := repo.Commit(ctx, id)
	if err != nil {
		return outcome{}, err
	}
	files, err := repo.Tree(ctx, id)
	if err != nil {
		return outcome{}, err
	}
	defer files.Close()
	t.log.Printf("%s at %s of %s\n%s\nby %s <%s>\n", name, id, branch, commit.Subject(), commit.Author.Name, commit.Author.Email)
	for _, s := range files.Submodules {
		t.log.Printf("%s is a submodule: it is not looked into\n", s)
	}
	o := outcome{status: Succeeded, summary: clip(commit.Subject(), 100), external: id, variables: sourceValues(e, a, name, branch, commit)}
	for _, out := range a.Outputs {
		o.artifacts = append(o.artifacts, Artifact{Name: out.Name, Repository: name, Branch: branch, Commit: id, Clone: a.Config["OutputArtifactFormat"] == "CODEBUILD_CLONE_REF"})
	}
	if !first {
		return o, nil
	}
	about := *e
	about.Repository, about.Branch, about.Commit = name, branch, id
	base, err := p.base(ctx, repo, about)
	if err != nil {
		return outcome{}, err
	}
	if base == "" {
		t.log.Printf("compared with nothing: every finding is new\n")
	} else {
		t.log.Printf("compared with %s\n", base)
	}
	authors, err := p.authors(ctx, repo, about, commit)
	if err != nil {
		return outcome{}, err
	}
	_, err = fs.Stat(files, buildspec.File)
	builds := err == nil
	author := clip(fmt.Sprintf("%s <%s>", commit.Author.Name, commit.Author.Email), 200)
	o.change = func(e *Execution, _ *Action) {
		e.Repository, e.Branch, e.Commit, e.Protected = name, branch, id, r.Protected(about.Ref())
		e.Base, e.Author, e.Authors, e.Subject = base, author, authors, clip(commit.Subject(), 200)
		if s := e.Stage("Build"); e.Origin == FromNothing && s != nil && !builds {
			s.Actions[0].Status, s.Actions[0].Summary = Skipped, "there is no "+buildspec.File
		}
	}
	return o, nil
}

// configured is an action as its structure has it, with its variables put in.
func configured(a *Action) structure.Action {
	return structure.Action{Name: a.Name, Type: a.Type, Configuration: a.Config}
}

func firstSource(s Stage) string {
	for _, a := range s.Actions {
		if a.Type.Category == structure.Source {
			return a.Name
		}
	}
	return ""
}

// revision is the branch and the commit that a source takes.
func (p *Pipelines) revision(ctx context.Context, e *Execution, a *Action, r source.Repository, first bool) (branch, commit string, err error) {
	branch = cmp.Or(a.Config["BranchName"], r.DefaultBranch)
	commit = e.Revisions[a.Name]
	if first {
		branch, commit = cmp.Or(e.Branch, branch), cmp.Or(e.Commit, commit)
	}
	branch = strings.TrimPrefix(branch, "refs/heads/")
	about := Execution{Branch: branch}
	if commit != "" {
		if !first || e.Commit == "" { // whoever names a commit names one of the branch
			head, err := p.config.Source.Ref(ctx, r.Name, about.Ref())
			if err != nil {
				return "", "", err
			}
			return branch, commit, p.belongs(ctx, r.Name, commit, head)
		}
		return branch, commit, nil
	}
	commit, err = p.config.Source.Ref(ctx, r.Name, about.Ref())
	return branch, commit, err
}

// sourceValues are the variables that a source gives, as CodePipeline's do.
func sourceValues(e *Execution, a *Action, name, branch string, c git.Commit) map[string]string {
	v := map[string]string{
		"RepositoryName": name, "BranchName": branch, "CommitId": c.ID, "CommitMessage": clip(strings.TrimSpace(c.Message), 1000), "AuthorDate": stamp(c.Author.Time), "CommitterDate": stamp(c.Committer.Time),
		"AuthorDisplayName": clip(c.Author.Name, 200), "AuthorEmail": clip(c.Author.Email, 200), "AuthorId": clip(c.Author.Email, 200), "TagName": "", "PullRequestId": e.Pull,
	}
	if tag, ok := strings.CutPrefix(branch, "refs/tags/"); ok {
		v["TagName"] = tag
	}
	if a.Type.Provider == "CodeStarSourceConnection" {
		v["ConnectionArn"], v["FullRepositoryName"] = a.Config["ConnectionArn"], cmp.Or(a.Config["FullRepositoryId"], name)
	}
	return v
}

// mostAuthors is how many commits are asked for who wrote them.
const mostAuthors = 500

// authors are the names and addresses of who wrote or made what a run brings, and the ARNs of who brought it here: all
// commits since the last run of its pipeline that succeeded, and its own in any case.
func (p *Pipelines) authors(ctx context.Context, repo *git.Repo, e Execution, own git.Commit) (names []string, err error) {
	var without []string
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		runs, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND status = ? AND number < ? ORDER BY number DESC LIMIT 1", e.Pipeline, e.Branch, string(Succeeded), e.Number)
		for _, r := range runs {
			if r.Repository == e.Repository {
				without = append(without, r.Commit)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	commits, err := repo.Log(ctx, own.ID, "", 0, mostAuthors, without...)
	if err != nil && len(without) > 0 { // what it had then may be gone
		commits, err = repo.Log(ctx, own.ID, "", 0, mostAuthors)
	}
	if err != nil {
		return nil, err
	}
	names, err = p.pushers(ctx, e, append(commits, own))
	for _, c := range append(commits, own) {
		for _, who := range []git.Person{c.Author, c.Committer} {
			for _, name := range []string{clip(who.Email, 200), clip(who.Name, 200)} {
				if name != "" && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names, err
}

// mostPushes is how many moves of refs are asked for who made them.
const mostPushes = 1000

// pushers are the ARNs of who pushed commits: whom a commit names as its author, whoever made it chose. To the run's own
// ref everybody's push counts, to others the one that brought a commit here.
func (p *Pipelines) pushers(ctx context.Context, e Execution, commits []git.Commit) (arns []string, err error) {
	within := map[string]bool{}
	for _, c := range commits {
		within[c.ID] = true
	}
	moves, err := p.config.Source.Moves(ctx, e.Repository, "", 0, mostPushes)
	first := map[string]string{}
	for _, m := range moves {
		if !within[m.New] || m.Who == "" {
			continue
		}
		first[m.New] = m.Who // the newest come first
		if m.Ref == e.Ref() && !slices.Contains(arns, m.Who) {
			arns = append(arns, m.Who)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(first)) {
		if !slices.Contains(arns, first[id]) {
			arns = append(arns, first[id])
		}
	}
	return arns, err
}

// base is the commit that a run's findings are compared with, or "": the last one of the
// default branch that a gate let through and that what is looked at has in it. What a run
// brought that did not pass stays new until it is mended, however often it is pushed on, and
// on every branch that leaves from it.
func (p *Pipelines) base(ctx context.Context, repo *git.Repo, e Execution) (string, error) {
	r, err := p.config.Source.Repository(ctx, e.Repository)
	if err != nil {
		return "", err
	}
	if e.Branch == r.DefaultBranch {
		return p.lastPassed(ctx, e.Repository, r.DefaultBranch, e.counted())
	}
	passed, err := p.passed(ctx, e.Repository, r.DefaultBranch, 1<<62, mostPassed)
	if err != nil {
		return "", err
	}
	for _, commit := range passed {
		has, err := repo.IsAncestor(ctx, commit, e.Commit)
		if errors.Is(err, fault.NotFound) {
			continue // it is gone: somebody rewrote the branch
		}
		if err != nil || has {
			return commit, err
		}
	}
	return "", nil
}

// counted is the number before which runs count for a run: its own, in the pipeline that its repository has.
func (e *Execution) counted() int64 {
	if e.Pipeline == e.Repository {
		return e.Number
	}
	return 1 << 62
}

// mostPassed is how far back a branch's base is looked for.
const mostPassed = 200

// lastPassed is the commit of the last run of a repository's branch, before a number, that a gate let through, or "".
func (p *Pipelines) lastPassed(ctx context.Context, repository, branch string, before int64) (string, error) {
	commits, err := p.passed(ctx, repository, branch, before, 1)
	for _, commit := range commits {
		return commit, err
	}
	return "", err
}

// passed are the commits of a branch that a gate let through, the newest run first.
func (p *Pipelines) passed(ctx context.Context, repository, branch string, before int64, most int) (commits []string, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		runs, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND gated = 1 AND number < ? ORDER BY number DESC LIMIT ?", repository, branch, before, most)
		for _, r := range runs {
			if !slices.Contains(commits, r.Commit) {
				commits = append(commits, r.Commit)
			}
		}
		return err
	})
	return commits, err
}

// clip keeps the beginning of what others wrote, as valid text.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
