package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Version is one of the three that a file in conflict has.
type Version string

// The versions of a file in conflict.
const (
	FromSource      Version = "source"      // what is merged
	FromDestination Version = "destination" // what it is merged into
	FromBase        Version = "base"        // what both had
)

// Settling says how conflicts are settled that git leaves. The zero value leaves them to people.
type Settling struct {
	Take  Version // what counts of each file that Files does not name: FromSource, FromDestination, or nothing
	Lines bool    // only where both changed the same lines: what else they changed is merged
	Files []SettledFile
}

// SettledFile is how one file is settled.
type SettledFile struct {
	Path    string
	Keep    Version // or Content, or Delete, or Mode alone
	Content []byte
	Delete  bool
	Mode    uint32 // 0: that of the version that is kept
}

// ErrSettling says that conflicts cannot be settled in the way that somebody asks for.
var ErrSettling = errors.New("the conflicts cannot be settled so")

func (g Settling) any() bool { return g.Take != "" || len(g.Files) > 0 }

// resolve is the tree of a merge: git's own, or what comes of it when its conflicts are settled.
func (s *Source) resolve(ctx context.Context, repo *git.Repo, repository string, m git.Merged, how Settling) (tree string, err error) {
	named := map[string]SettledFile{}
	for _, f := range how.Files {
		if _, twice := named[f.Path]; twice {
			return "", fault.Invalid.Errorf("%w: %s is settled twice", ErrSettling, f.Path)
		}
		named[f.Path] = f
	}
	var all []git.Edit
	var left []string
	for _, c := range m.Conflicts {
		f, ok := named[c.Path]
		delete(named, c.Path)
		switch {
		case ok:
			one, err := settled(c, f)
			if err != nil {
				return "", err
			}
			all = append(all, one)
		case how.Take != "":
			party := git.Ours
			if how.Take == FromSource {
				party = git.Theirs
			}
			one, err := repo.Take(ctx, c, party, how.Lines)
			if err != nil {
				return "", err
			}
			all = append(all, one)
		default:
			left = append(left, c.Path)
		}
	}
	for path := range named {
		return "", fault.Invalid.Errorf("%w: %s is in no conflict", ErrSettling, clip(path, 200))
	}
	if len(left) > 0 {
		return "", fault.Conflict.Errorf("%w (%s)", ErrConflicts, Revision{Conflicts: left}.why(""))
	}
	if len(all) == 0 {
		return m.Tree, nil
	}
	if err := s.incoming(ctx, repository, all); err != nil {
		return "", err
	}
	return repo.Settle(ctx, m, all)
}

// incoming has the content looked at that comes with a merge.
func (s *Source) incoming(ctx context.Context, repository string, all []git.Edit) error {
	if s.config.Incoming == nil {
		return nil
	}
	var edits []git.Edit
	for _, f := range all {
		if f.Mode != 0 && f.ID == "" {
			edits = append(edits, f)
		}
	}
	if len(edits) == 0 {
		return nil
	}
	return s.config.Incoming(ctx, repository, edits)
}

// settled is one file as it is asked for.
func settled(c git.Conflict, f SettledFile) (git.Edit, error) {
	one := git.Edit{Path: c.Path}
	version := map[Version]int{FromBase: 0, FromDestination: 1, FromSource: 2}
	switch i, keep := version[f.Keep]; {
	case f.Delete:
		return one, nil
	case keep:
		one.ID, one.Mode = [...]string{c.Base, c.Ours, c.Theirs}[i], c.Modes[i]
		if one.ID == "" {
			return git.Edit{Path: c.Path}, nil // there it was not, or not any more
		}
	case f.Keep != "":
		return one, fault.Invalid.Errorf("%w: %q is no version of a file", ErrSettling, f.Keep)
	case f.Content == nil && (c.Ours != c.Theirs || f.Mode == 0):
		return one, fault.Invalid.Errorf("%w: the content of %s is in conflict, and not its mode alone", ErrSettling, c.Path)
	case f.Content == nil:
		one.ID = c.Ours
	default:
		one.Content, one.Mode = f.Content, git.ModeFile
		for _, m := range [...]uint32{c.Modes[1], c.Modes[2], c.Modes[0]} {
			if m == git.ModeFile || m == git.ModeExecutable || m == git.ModeLink {
				one.Mode = m
				break
			}
		}
	}
	if f.Mode != 0 {
		if one.Mode == git.ModeSubmodule {
			return one, fault.Invalid.Errorf("%w: %s is a submodule, which has no mode", ErrSettling, c.Path)
		}
		one.Mode = f.Mode
	}
	return one, nil
}

// settleable tells whether the conflicts of a pull request may be settled as it is merged: what reviews approve of is
// what git makes of both sides, so nothing that asks for one can be met by something else.
func (s *Source) settleable(ctx context.Context, p Pull, v Verdict) error {
	if v.Overridden {
		return nil
	}
	r, err := s.Repository(ctx, p.Repository)
	if err != nil {
		return err
	}
	asks := len(p.Rules) > 0
	for _, b := range r.Asked(p.Target) {
		asks = asks || b.Approvals > 0 || b.CodeOwners || len(b.Owners) > 0 || len(b.Checks) > 0
	}
	if asks {
		return fault.Conflict.Errorf("%w (%s): %s takes what was reviewed, so settle it in the source, and have that reviewed", ErrConflicts, p.Revision.why(""), shortRef(p.Target))
	}
	return nil
}

// settlePull is the tree of a pull request's merge when its conflicts are settled.
func (s *Source) settlePull(ctx context.Context, repo *git.Repo, p Pull, v Verdict, how Settling) (string, error) {
	m, err := repo.Merge(ctx, p.Revision.Target, p.Revision.Head)
	if err == nil && !m.Clean() {
		err = s.settleable(ctx, p, v)
	}
	if err != nil {
		return "", err
	}
	return s.resolve(ctx, repo, p.Repository, m, how)
}

// Conflicting is a file in which a pull request, or a merge, has conflicts.
type Conflicting struct {
	git.Conflict
	Pieces []git.Piece // nil where there are no lines to compare
	Why    string      // why there are none, or ""
}

// Conflicts are the files of a pull request that people must settle, at most so many, and where in them.
func (s *Source) Conflicts(ctx context.Context, p Pull, most int) (all []Conflicting, err error) {
	if p.State != Open || len(p.Revision.Conflicts) == 0 {
		return nil, nil
	}
	repo, err := s.Git(p.Repository)
	if err != nil {
		return nil, err
	}
	m, err := repo.Merge(ctx, p.Revision.Target, p.Revision.Head)
	if err != nil {
		return nil, err
	}
	for _, c := range m.Conflicts[:min(len(m.Conflicts), most)] {
		one := Conflicting{Conflict: c}
		if one.Pieces, err = repo.Pieces(ctx, c); errors.Is(err, git.ErrBinary) || errors.Is(err, fault.Limit) {
			one.Why = strings.TrimPrefix(fmt.Sprint(err), c.Path+": ")
		} else if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Unreferenced makes the commit of a merge at which nothing points.
func (s *Source) Unreferenced(ctx context.Context, repository, target, head string, m Merging) (commit, tree string, err error) {
	if m.Option != Squash && m.Option != ThreeWay {
		return "", "", fault.Invalid.Errorf("%q makes no commit", m.Option)
	}
	repo, err := s.Git(repository)
	if err != nil {
		return "", "", err
	}
	g, _, err := s.Options(ctx, repository, target, head)
	if err != nil {
		return "", "", err
	}
	if tree, err = s.resolve(ctx, repo, repository, g, m.Settle); err != nil {
		return "", "", err
	}
	if m.Message == "" {
		m.Message = "Merge " + head + " into " + target + "\n"
	}
	commit, err = s.merged(ctx, repo, target, head, tree, m)
	return commit, tree, err
}
