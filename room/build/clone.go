package build

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// module is a submodule that is laid out with its source.
type module struct {
	name, in, path     string // as it is called in the folder that it is a submodule of, and where it lies below the source
	repository, commit string // of ours
}

const (
	mostModules    = 200 // of one source, those of submodules included
	deepestModules = 5
)

// cloned says how much of its repository a source brings along.
func (b *Builds) cloned(ctx context.Context, made *Build, s *TaskSource, of Source) (err error) {
	s.clone, s.depth, s.Clones = true, of.CloneDepth, []string{""}
	if of.Submodules == nil || !of.Submodules.Fetch {
		return nil
	}
	if s.modules, err = b.modules(ctx, made, s.repository, s.commit); err != nil {
		return err
	}
	for _, m := range s.modules {
		s.Clones = append(s.Clones, m.path)
	}
	return nil
}

// modules are the submodules of a commit, and theirs. They come from repositories of this server that whoever began the
// build may read; anything else is refused in words that help.
func (b *Builds) modules(ctx context.Context, made *Build, repository, commit string) (all []module, err error) {
	type from struct {
		at, repository, commit string
		deep                   int
	}
	for queue := []from{{"", repository, commit, 1}}; len(queue) > 0; queue = queue[1:] {
		in := queue[0]
		repo, err := b.config.Source.Git(in.repository)
		if err != nil {
			return nil, err
		}
		subs, err := repo.Submodules(ctx, in.commit)
		if err != nil {
			return nil, err
		}
		for _, s := range subs {
			place := diag.Place{File: path.Join(in.at, git.ModulesFile), Line: s.Line}
			if in.deep > deepestModules || len(all) >= mostModules {
				return nil, fault.Invalid.Wrap(diag.Errorf(place, "submodule %s: submodules lie more than %d deep in each other, or there are more than %d", s.Path, deepestModules, mostModules))
			}
			name, err := b.moduleAt(ctx, made, in.repository, s, place)
			if err != nil {
				return nil, err
			}
			m := module{name: s.Name, in: in.at, path: path.Join(in.at, s.Path), repository: name, commit: s.Commit}
			all = append(all, m)
			queue = append(queue, from{m.path, name, s.Commit, in.deep + 1})
		}
	}
	return all, nil
}

// moduleAt is the repository here that a submodule stands for.
func (b *Builds) moduleAt(ctx context.Context, made *Build, in string, s git.Submodule, place diag.Place) (string, error) {
	no := func(hint, format string, a ...any) error {
		return fault.Invalid.Wrap(diag.Errorf(place, "submodule %s: "+format, append([]any{s.Path}, a...)...).WithHint("%s", hint))
	}
	if s.URL == "" {
		return "", no("add it with 'git submodule add', or take it out with 'git rm'", "%s does not say where it is", git.ModulesFile)
	}
	name, err := b.repositoryAt(ctx, in, s.URL)
	if err != nil {
		return "", err
	}
	const mirrored = "push it to a repository here and name that as ../NAME.git, or let one follow it ('haechi forge add'); or leave fetchSubmodules out"
	if name == "" {
		return "", no(mirrored, "%.200q is no repository of this server", s.URL)
	}
	if err := b.mayRead(ctx, made, name); err != nil {
		if fault.Of(err) != fault.Denied {
			return "", err
		}
		return "", no("let them (codecommit:GitPull), or start the build as somebody who may", "repository %s: %v", name, err)
	}
	repo, err := b.config.Source.Git(name)
	if err != nil {
		return "", err
	}
	on, err := repo.OnRef(ctx, s.Commit)
	if err == nil && !on {
		err = no("push the commit there first", "repository %s has no branch or tag with the commit %s", name, s.Commit)
	}
	return name, err
}

// mayRead asks whether whoever began a build may read a repository.
func (b *Builds) mayRead(ctx context.Context, made *Build, name string) error {
	switch who := made.Facts.Who; {
	case name == made.Facts.Repository:
		return nil
	case b.config.MayRead == nil || who == "":
		return fault.Denied.Errorf("nobody began the build who could be asked whether they may read it")
	default:
		return b.config.MayRead(ctx, who, name)
	}
}

// repositoryAt is the repository here that an address stands for, or "": by its path here, relative to the repository that
// names it, or as that which follows the address.
func (b *Builds) repositoryAt(ctx context.Context, in, address string) (string, error) {
	r, err := b.config.Source.Repository(ctx, in)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		if r.Upstream != "" {
			if name, err := b.following(ctx, beside(r.Upstream, address)); name != "" || err != nil {
				return name, err
			}
		}
		return b.here(ctx, path.Join("/git", in, address))
	}
	if u, err := url.Parse(address); err == nil && (u.Scheme == "http" || u.Scheme == "https") && b.isHere(u) {
		return b.here(ctx, u.Path)
	}
	return b.following(ctx, address)
}

// isHere tells whether an address leads to this server.
func (b *Builds) isHere(u *url.URL) bool {
	own, err := url.Parse(b.config.Page("/"))
	return err == nil && own.Host != "" && strings.EqualFold(own.Host, u.Host)
}

// here is the repository at one of our paths, or "".
func (b *Builds) here(ctx context.Context, at string) (string, error) {
	name, ok := strings.CutPrefix(at, "/git/")
	if !ok {
		name, ok = strings.CutPrefix(at, "/v1/repos/")
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, "/"), ".git")
	if !ok || source.CheckName(name) != nil {
		return "", nil
	}
	_, err := b.config.Source.Repository(ctx, name)
	if fault.Of(err) == fault.NotFound {
		return "", nil
	}
	return name, err
}

// following is the repository here that follows an address, or "".
func (b *Builds) following(ctx context.Context, address string) (string, error) {
	want := plainAddress(address)
	if want == "" {
		return "", nil
	}
	for after := ""; ; {
		page, err := b.config.Source.Repositories(ctx, after, 1000)
		if err != nil {
			return "", err
		}
		for _, r := range page {
			if r.Upstream != "" && plainAddress(r.Upstream) == want {
				return r.Name, nil
			}
			after = r.Name
		}
		if len(page) < 1000 {
			return "", nil
		}
	}
}

// plainAddress is host/path of an address, however it is written: with a scheme, or as git@host:path; "" if it has no host.
func plainAddress(address string) string {
	host, at, ok := "", "", false
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host, at, ok = u.Hostname(), u.Path, true
	} else if host, at, ok = strings.Cut(address, ":"); ok {
		host = host[strings.LastIndexByte(host, '@')+1:]
	}
	at = strings.TrimSuffix(strings.Trim(at, "/"), ".git")
	if !ok || host == "" || at == "" || strings.Contains(host, "/") {
		return ""
	}
	return strings.ToLower(host) + "/" + at
}

// beside is where a relative address leads from another.
func beside(from, relative string) string {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return ""
	}
	u.Path = path.Join(u.Path, relative)
	return u.String()
}

// makeClone gives files that were laid out what makes a clone of them, and lays out submodules.
func (b *Builds) makeClone(ctx context.Context, s TaskSource, dir string) error {
	if err := b.cloneInto(ctx, s, "", dir); err != nil {
		return err
	}
	for _, m := range s.modules {
		at := filepath.Join(dir, filepath.FromSlash(m.path))
		root, err := os.OpenRoot(dir)
		if err == nil {
			err = root.MkdirAll(m.path, 0o755) // nowhere else, whatever links there are
			root.Close()
		}
		if err != nil {
			return fmt.Errorf("submodule %s: %w", m.path, err)
		}
		if real, err := filepath.EvalSymlinks(at); err != nil || !sameFolder(real, at) {
			return fault.Invalid.Errorf("submodule %s lies behind a link", m.path)
		}
		if err := b.layOut(ctx, TaskSource{repository: m.repository, commit: m.commit}, at); err != nil {
			return fmt.Errorf("submodule %s: %w", m.path, err)
		}
		one := s
		one.repository, one.commit, one.branch = m.repository, m.commit, ""
		if err := b.cloneInto(ctx, one, m.path, at); err != nil {
			return fmt.Errorf("submodule %s: %w", m.path, err)
		}
	}
	return nil
}

func sameFolder(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Lstat(b)
	return err == nil && os.SameFile(one, other)
}

// cloneInto makes a clone of a folder with a source's files; at is where that lies within the whole.
func (b *Builds) cloneInto(ctx context.Context, s TaskSource, at, dir string) error {
	r, err := b.config.Source.Repository(ctx, s.repository)
	if err != nil {
		return err
	}
	repo, err := b.config.Source.Git(s.repository)
	if err != nil {
		return err
	}
	c := git.Clone{Commit: s.commit, Depth: s.depth, URL: b.config.Page("/git/" + s.repository), Refs: map[string]string{}, Modules: map[string]string{}}
	for _, m := range s.modules {
		if m.in == at {
			c.Modules[m.name] = b.config.Page("/git/" + m.repository)
		}
	}
	if s.depth == 0 {
		if head, err := repo.Resolve(ctx, "refs/heads/"+r.DefaultBranch); err == nil { // what people compare with
			c.Refs["refs/remotes/origin/"+r.DefaultBranch] = head
		} else if fault.Of(err) != fault.NotFound {
			return err
		}
		if name, ok := strings.CutPrefix(s.branch, "refs/heads/"); ok {
			c.Refs["refs/remotes/origin/"+name] = s.commit
		}
	}
	return repo.Clone(ctx, dir, c)
}

// clones are the folders below a build's that came with a .git.
func (s TaskSource) clones() (all []string) {
	base := "src"
	if s.ID != "" {
		base = tool.Secondary("", s.ID)
	}
	for _, at := range s.Clones {
		all = append(all, path.Join(base, at))
	}
	return all
}

// Freshen lets the clones of a source that was copied know their files.
func (s TaskSource) Freshen(dir string) error {
	for _, at := range s.Clones {
		if at != "" && !filepath.IsLocal(at) {
			return fault.Invalid.Errorf("%.200q is no folder of a source", at)
		}
		if err := git.Freshen(filepath.Join(dir, filepath.FromSlash(at))); err != nil {
			return err
		}
	}
	return nil
}
