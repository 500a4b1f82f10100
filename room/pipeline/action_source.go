package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// doSource reads the commit, finds out what its findings are compared with, and
// whether there is anything to build.
func (p *Pipelines) doSource(ctx context.Context, e Execution, log *work.Log) (outcome, error) {
	repo, err := p.config.Source.Git(e.Repository)
	if err != nil {
		return outcome{}, err
	}
	commit, err := repo.Commit(ctx, e.Commit)
	if err != nil {
		return outcome{}, err
	}
	base, err := p.base(ctx, repo, e)
	if err != nil {
		return outcome{}, err
	}
	files, err := repo.Tree(ctx, e.Commit)
	if err != nil {
		return outcome{}, err
	}
	defer files.Close()
	_, err = fs.Stat(files, buildspec.File)
	builds := err == nil
	log.Printf("%s at %s of %s\n%s\nby %s <%s>\n", e.Repository, e.Commit, e.Branch, commit.Subject(), commit.Author.Name, commit.Author.Email)
	if base == "" {
		log.Printf("compared with nothing: every finding is new\n")
	} else {
		log.Printf("compared with %s\n", base)
	}
	for _, s := range files.Submodules {
		log.Printf("%s is a submodule: it is not looked into\n", s)
	}
	author := clip(fmt.Sprintf("%s <%s>", commit.Author.Name, commit.Author.Email), 200)
	return outcome{status: Succeeded, summary: clip(commit.Subject(), 100), change: func(e *Execution) {
		e.Base, e.Author, e.Subject = base, author, clip(commit.Subject(), 200)
		if a := e.action("Build"); a != nil && !builds {
			a.Status, a.Summary = Skipped, "there is no "+buildspec.File
		}
	}}, nil
}

// base is the commit that a run's findings are compared with, or "". On the
// default branch it is the last one that passed: what a failed run brought
// stays new until it is mended, however often it is pushed on. Elsewhere it is
// where the branch left the default branch.
func (p *Pipelines) base(ctx context.Context, repo *git.Repo, e Execution) (string, error) {
	r, err := p.config.Source.Repository(ctx, e.Repository)
	if err != nil {
		return "", err
	}
	if e.Branch == r.DefaultBranch {
		return p.lastPassed(ctx, e.Pipeline, r.DefaultBranch, e.Number)
	}
	head, err := p.config.Source.Ref(ctx, e.Repository, "refs/heads/"+r.DefaultBranch)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	base, err := repo.MergeBase(ctx, head, e.Commit)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	return base, err
}

// lastPassed is the commit of the last run of a branch, before a number, that succeeded, or "".
func (p *Pipelines) lastPassed(ctx context.Context, pipeline, branch string, before int64) (string, error) {
	commit := ""
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		runs, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND status = ? AND number < ? ORDER BY number DESC LIMIT 1",
			pipeline, branch, string(Succeeded), before)
		for _, r := range runs {
			commit = r.Commit
		}
		return err
	})
	return commit, err
}

// clip keeps the beginning of what others wrote, as valid text.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// mostSource is how many bytes a commit's files may have to be built.
const mostSource = 4 << 30

// extract writes a commit's files into an empty folder. Nothing is written
// outside of it, whatever the files are called and the links among them point at.
func extract(ctx context.Context, files fs.FS, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(mostSource)
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == ".":
			return nil
		case d.IsDir():
			return root.Mkdir(name, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if left -= info.Size(); left < 0 {
			return fault.Limit.Errorf("the files of the commit have more than %d bytes", mostSource)
		}
		return extractFile(root, files, name, info)
	})
}

func extractFile(root *os.Root, files fs.FS, name string, info fs.FileInfo) error {
	from, err := files.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := io.ReadAll(io.LimitReader(from, 4096))
		if err != nil {
			return err
		}
		if err := root.Symlink(string(target), path.Clean(name)); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
		return nil
	}
	to, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
