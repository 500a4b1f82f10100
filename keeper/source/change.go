package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Commit is a commit that somebody asks the server to make.
type Commit struct {
	Repository, Branch string
	Parent             string // where the branch must be; "" where the repository has no branch yet
	By                 Person
	Name, Email        string // of the author; "" is By's
	Message            string
	Edits              []git.Edit
}

// What a caller may have got wrong about a commit.
var (
	ErrParent = errors.New("the branch has moved on from the parent commit that was named")
	ErrSame   = errors.New("nothing would change")
)

// Commit makes a commit on a branch, as if somebody had pushed it: the branch's rules hold.
func (s *Source) Commit(ctx context.Context, c Commit) (id, tree string, err error) {
	ref := full(c.Branch)
	at, err := s.Ref(ctx, c.Repository, ref)
	switch {
	case errors.Is(err, fault.NotFound):
		if _, err := s.Repository(ctx, c.Repository); err != nil {
			return "", "", err
		}
		refs, err := s.Refs(ctx, c.Repository, "refs/heads/", "", 1)
		if err != nil {
			return "", "", err
		}
		if len(refs) > 0 { // in a repository that has nothing the branch comes to be
			return "", "", fault.NotFound.Errorf("%s in %q: %w", c.Branch, c.Repository, ErrNoRef)
		}
		at = git.Zero
	case err != nil:
		return "", "", err
	case c.Parent != at:
		return "", "", fault.Conflict.Errorf("%s: %w", shortRef(ref), ErrParent)
	}
	repo, err := s.Git(c.Repository)
	if err != nil {
		return "", "", err
	}
	made := git.Commit{Author: s.person(c.By, c.Name, c.Email), Committer: s.person(c.By, c.Name, c.Email), Message: c.Message}
	from := ""
	if !git.IsZero(at) {
		was, err := repo.Commit(ctx, at)
		if err != nil {
			return "", "", err
		}
		from, made.Parents = was.Tree, []string{at}
	}
	if s.config.Incoming != nil {
		if err := s.config.Incoming(ctx, c.Repository, c.Edits); err != nil {
			return "", "", err
		}
	}
	if made.Tree, err = repo.Edited(ctx, from, c.Edits); err != nil {
		return "", "", err
	}
	if made.Tree == from {
		return "", "", fault.Invalid.Errorf("%s: %w", shortRef(ref), ErrSame)
	}
	if id, err = repo.Make(ctx, made, s.sign); err != nil {
		return "", "", err
	}
	push := Push{ID: "commit/" + bus.ID(), Repository: c.Repository, Who: c.By.ARN, Updates: []Update{{Ref: ref, Old: at, New: id}}}
	return id, made.Tree, s.carryOut(ctx, repo, push, nil)
}

// CreateBranch makes a branch at a commit that is here.
func (s *Source) CreateBranch(ctx context.Context, repository, branch, commit, by string) error {
	ref := full(branch)
	if !git.ValidRef(ref) || !strings.HasPrefix(ref, "refs/heads/") {
		return fault.Invalid.Errorf("%q cannot be a branch", branch)
	}
	if _, err := s.Ref(ctx, repository, ref); err == nil {
		return fault.Exists.Errorf("%q has a branch %s already", repository, branch)
	} else if !errors.Is(err, fault.NotFound) {
		return err
	}
	repo, err := s.Git(repository)
	if err != nil {
		return err
	}
	if _, err := repo.Commit(ctx, commit); err != nil {
		return err
	}
	return s.carryOut(ctx, repo, Push{ID: "branch/" + bus.ID(), Repository: repository, Who: by, Updates: []Update{{Ref: ref, Old: git.Zero, New: commit}}}, nil)
}

// DeleteBranch takes a branch away that is neither the default branch nor protected, and says where it was.
func (s *Source) DeleteBranch(ctx context.Context, repository, branch, by string) (commit string, err error) {
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return "", err
	}
	ref := full(branch)
	if shortRef(ref) == r.DefaultBranch {
		return "", fault.Denied.Errorf("%s is the default branch of %q: it stays", r.DefaultBranch, repository)
	}
	if commit, err = s.Ref(ctx, repository, ref); err != nil {
		return "", err
	}
	repo, err := s.Git(repository)
	if err != nil {
		return "", err
	}
	return commit, s.carryOut(ctx, repo, Push{ID: "branch/" + bus.ID(), Repository: repository, Who: by, Updates: []Update{{Ref: ref, Old: commit, New: git.Zero}}}, nil)
}

// Refs are the refs below a prefix that come after a name, as far as they are known to count, at most limit.
func (s *Source) Refs(ctx context.Context, repository, prefix, after string, limit int) (all []git.Ref, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, repository); err != nil {
			return err
		}
		// The prefix ends in a slash, and nothing but a digit 0 comes right after one.
		all, err = db.All(tx, scanRef, "SELECT ref, target FROM source_refs WHERE repository = ? AND ref >= ? AND ref < ? AND ref > ? ORDER BY ref LIMIT ?",
			repository, prefix, strings.TrimSuffix(prefix, "/")+"0", after, limit)
		return err
	})
	return all, err
}

// The tables that name repositories, besides source_repositories.
var ofRepository = [...]string{"source_refs", "source_moves", "source_pulls", "source_comments", "source_statuses", "source_merges", "source_template_uses"}

// Delete forgets a repository and everything in it. There is no way back.
func (s *Source) Delete(ctx context.Context, name string) (r Repository, err error) {
	folder := ""
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if r, err = find(tx, name); err != nil {
			return err
		}
		folder = filepath.Base(s.folder(r))
		for _, table := range [...]string{"source_revisions", "source_approvals", "source_pull_events"} {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE pull IN (SELECT number FROM source_pulls WHERE repository = ?)", name); err != nil {
				return err
			}
		}
		for _, table := range ofRepository {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE repository = ?", name); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("DELETE FROM source_repositories WHERE name = ?", name); err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO source_trash (folder, at) VALUES (?, ?) ON CONFLICT (folder) DO NOTHING", folder, s.config.Now().UnixMicro())
		return err
	})
	if err != nil {
		return r, err
	}
	if err := s.empty(context.WithoutCancel(ctx)); err != nil {
		s.config.Log.Error("removing the folder of a repository that is deleted", "repository", name, "err", err)
	}
	return r, nil
}

// empty removes the folders of repositories that are deleted.
func (s *Source) empty(ctx context.Context) error {
	var folders []string
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		folders, err = db.All(tx, db.Value[string], "SELECT folder FROM source_trash ORDER BY folder")
		return err
	})
	for _, f := range folders {
		if f == "" || f != filepath.Base(f) {
			continue
		}
		if gone := os.RemoveAll(filepath.Join(s.config.Dir, f)); gone != nil {
			err = errors.Join(err, gone)
			continue
		}
		err = errors.Join(err, s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("DELETE FROM source_trash WHERE folder = ?", f)
			return err
		}))
	}
	return err
}

// Rename calls a repository otherwise. Its folder stays where it is; findings and runs keep the old name.
func (s *Source) Rename(ctx context.Context, name, to string) error {
	if err := CheckName(to); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		r, err := find(tx, name)
		if err != nil {
			return err
		}
		if _, err := find(tx, to); err == nil {
			return fault.Exists.Errorf("there is a repository %q already", to)
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		r.Folder, r.Name, r.Modified = filepath.Base(s.folder(r)), to, s.config.Now().UTC()
		if _, err := tx.Exec("DELETE FROM source_repositories WHERE name = ?", name); err != nil {
			return err
		}
		if err := keep(tx, r); err != nil {
			return err
		}
		for _, table := range ofRepository {
			if _, err := tx.Exec("UPDATE "+table+" SET repository = ? WHERE repository = ?", to, name); err != nil {
				return err
			}
		}
		return renameBodies(tx, to)
	})
}

// renameBodies makes what is kept as a whole say the new name, too.
func renameBodies(tx *db.Tx, to string) error {
	all, err := db.All(tx, scanPull, "SELECT body FROM source_pulls WHERE repository = ?", to)
	if err != nil {
		return err
	}
	for _, p := range all {
		p.Repository = to
		if err := keepPull(tx, p); err != nil {
			return err
		}
	}
	comments, err := db.All(tx, scanComment, "SELECT body FROM source_comments WHERE repository = ?", to)
	if err != nil {
		return err
	}
	for _, c := range comments {
		c.Repository = to
		if err := keepComment(tx, c); err != nil {
			return err
		}
	}
	return nil
}
