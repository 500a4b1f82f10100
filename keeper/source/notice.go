package source

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/haechi-dev/haechi/base/git"
)

// Notice is something in a change that a reviewer would easily overlook.
type Notice struct {
	Kind string // bidi, invisible, submodule, lfs, link, executable, definition, binary, cut
	Path string // "" where it is about several
	Line int    // in the new file; 0: the file
	Why  string
}

// mostNotices are as many of one kind, so that none hides another.
const mostNotices = 50

// Notices are what a reviewer of a difference ought to look at twice.
func Notices(files []git.Diff) (all []Notice) {
	count := map[string]int{}
	for _, d := range files {
		file := strings.ToValidUTF8(d.Path, "\uFFFD")
		add := func(kind string, line int, why string) {
			if count[kind]++; count[kind] <= mostNotices {
				all = append(all, Notice{kind, file, line, why})
			}
		}
		if c, name := hidden(file); name != "" {
			add(name, 0, fmt.Sprintf("the name of the file holds U+%04X", c))
		}
		switch {
		case d.New.Mode == git.ModeSubmodule || d.Old.Mode == git.ModeSubmodule:
			add("submodule", 0, "what it stands for lies in another repository, at "+short(d.New.ID))
		case d.New.Mode == git.ModeLink && d.Old.ID != d.New.ID:
			add("link", 0, "a symbolic link"+linkTo(d))
		case d.New.Mode == git.ModeExecutable && d.Old.Mode != git.ModeExecutable:
			add("executable", 0, "it can be run from now on")
		}
		if Definition(d.Path) || d.OldPath != "" && Definition(d.OldPath) {
			add("definition", 0, "it says how the repository is built, judged, shipped or owned")
		}
		if d.Binary {
			add("binary", 0, "its content cannot be shown")
		}
		for _, h := range d.Hunks {
			for _, l := range h.Lines {
				if l.Kind != '+' {
					continue
				}
				if c, name := hidden(l.Text); name != "" {
					add(name, l.New, fmt.Sprintf("the line holds U+%04X, which shows it otherwise than it is", c))
				}
				if l.New == 1 && strings.HasPrefix(l.Text, "version https://git-lfs.github.com/spec/") {
					add("lfs", 1, "its content lies in another store (Git LFS)")
				}
				if l.New > 1 && strings.HasPrefix(l.Text, "oid sha256:") && d.New.Mode != 0 && len(h.Lines) < 20 && lfs(h) {
					add("lfs", l.New, "another content of another store (Git LFS)")
				}
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		if more := count[kind] - mostNotices; more > 0 {
			all = append(all, Notice{Kind: kind, Why: fmt.Sprintf("and %d more", more)})
		}
	}
	return all
}

func lfs(h git.Hunk) bool {
	for _, l := range h.Lines {
		if strings.HasPrefix(l.Text, "version https://git-lfs.github.com/spec/") && l.Kind == ' ' {
			return true
		}
	}
	return false
}

func linkTo(d git.Diff) string {
	for _, h := range d.Hunks {
		for _, l := range h.Lines {
			if l.Kind == '+' {
				to := clip(l.Text, 200)
				if strings.HasPrefix(to, "/") || strings.HasPrefix(path.Join(path.Dir(d.Path), to), "..") {
					return " out of the repository, to " + to
				}
				return " to " + to
			}
		}
	}
	return ""
}

func short(id string) string { return id[:min(len(id), 10)] }

// hidden is the first character of a text that is not seen, or makes others be seen in another order.
func hidden(s string) (c rune, kind string) {
	for i, c := range s {
		switch {
		case c < 0x80:
		case c >= 0x202A && c <= 0x202E, c >= 0x2066 && c <= 0x2069, c == 0x200E, c == 0x200F, c == 0x061C:
			return c, "bidi"
		case c == 0xFEFF && i == 0: // a byte order mark
		case c == 0xFE0F, c == 0x200D: // within emoji
		case c == 0x115F, c == 0x1160, c == 0x3164, c == 0xFFA0, c == 0x00AD, c >= 0xFE00 && c <= 0xFE0E, c >= 0xE0100 && c <= 0xE01EF, c >= 0xE0000 && c <= 0xE007F:
			return c, "invisible"
		case unicode.Is(unicode.Cf, c):
			return c, "invisible"
		}
	}
	return 0, ""
}

// PullDiff is what a pull request changes: from the common ancestor to its head.
func (s *Source) PullDiff(ctx context.Context, p Pull, what git.Diffs) (files []git.Diff, more bool, err error) {
	repo, err := s.Git(p.Repository)
	if err != nil {
		return nil, false, err
	}
	return repo.Diff(ctx, p.Revision.Base, p.Revision.Head, what)
}

// PullNotices are what a reviewer of a pull request ought to look at twice.
func (s *Source) PullNotices(ctx context.Context, p Pull) ([]Notice, error) {
	files, more, err := s.PullDiff(ctx, p, git.Diffs{Lines: 5000})
	if err != nil {
		return nil, err
	}
	all, n := Notices(files), 0
	for _, d := range files {
		if !d.Cut || n == mostNotices {
			continue
		}
		n++
		all = append(all, Notice{Kind: "cut", Path: strings.ToValidUTF8(d.Path, "\uFFFD"), Why: "it has more lines than are looked through here: look at it in a clone"})
	}
	if more {
		all = append(all, Notice{Kind: "cut", Why: "there are more files than are looked through here: look at them in a clone"})
	}
	return all, nil
}

// PullCommits are the commits of a pull request, the newest first, at most limit.
func (s *Source) PullCommits(ctx context.Context, p Pull, limit int) ([]git.Commit, error) {
	repo, err := s.Git(p.Repository)
	if err != nil {
		return nil, err
	}
	return repo.Log(ctx, p.Revision.Head, "", 0, limit, p.Revision.Target)
}

// Branch is a branch as a page lists it.
type Branch struct {
	Name          string
	Commit        string
	Ahead, Behind int // commits, against the default branch
	Protected     bool
	Reviewed      bool
	Pull          int64 // the open pull request from it, 0 for none
}

// Branches are the branches of a repository by name, at most limit, with how far they are from the default branch.
func (s *Source) Branches(ctx context.Context, repository string, limit int) (all []Branch, err error) {
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return nil, err
	}
	repo, err := s.Git(repository)
	if err != nil {
		return nil, err
	}
	refs, err := s.Refs(ctx, repository, "refs/heads/", "", limit)
	if err != nil {
		return nil, err
	}
	open, err := s.Pulls(ctx, Pulls{Repository: repository, State: Open, Limit: 10_000})
	if err != nil {
		return nil, err
	}
	from := map[string]int64{}
	for _, p := range open {
		from[p.Source] = p.Number
	}
	base, err := s.Ref(ctx, repository, "refs/heads/"+r.DefaultBranch)
	if err != nil {
		base = ""
	}
	for _, ref := range refs {
		b := Branch{Name: strings.TrimPrefix(ref.Name, "refs/heads/"), Commit: ref.ID, Protected: r.Protected(ref.Name), Reviewed: r.Reviewed(ref.Name), Pull: from[ref.Name]}
		if base != "" && base != ref.ID {
			if b.Ahead, b.Behind, err = repo.AheadBehind(ctx, ref.ID, base); err != nil {
				return nil, err
			}
		}
		all = append(all, b)
	}
	return all, nil
}
