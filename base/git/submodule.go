package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// ModulesFile is where a commit says where its submodules are.
const ModulesFile = ".gitmodules"

// Submodule is a folder of a commit whose files lie in another repository.
type Submodule struct {
	Path   string
	Commit string
	Name   string // in ModulesFile; "" where that does not know the path
	URL    string // as it is written there
	Line   int    // where, or 0
}

// mostSubmodules is how many a commit may have.
const mostSubmodules = 100

// Submodules are those of a commit, in the order of their paths.
func (r *Repo) Submodules(ctx context.Context, commit string) (all []Submodule, err error) {
	tree, err := r.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	if len(tree.Submodules) == 0 {
		return nil, nil
	}
	if len(tree.Submodules) > mostSubmodules {
		return nil, fault.Limit.Errorf("the commit has %d submodules, more than %d", len(tree.Submodules), mostSubmodules)
	}
	text, err := fs.ReadFile(tree, ModulesFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	known := map[string]Submodule{}
	if err == nil {
		if known, err = r.modules(ctx, commit, string(text)); err != nil {
			return nil, err
		}
	}
	for _, path := range tree.Submodules {
		if !fs.ValidPath(path) {
			return nil, fault.Invalid.Errorf("the submodule %q has a name that cannot be a folder's", path)
		}
		s := known[path]
		s.Path = path
		out, err := r.answer(ctx, "ls-tree", "-z", "--full-tree", commit, "--", path)
		if err != nil {
			return nil, err
		}
		f := strings.Fields(strings.SplitN(string(out), "\t", 2)[0])
		if len(f) != 3 || f[0] != "160000" || !ValidID(f[2]) {
			return nil, fmt.Errorf("git ls-tree says %.200q of submodule %s", out, path)
		}
		s.Commit = f[2]
		all = append(all, s)
	}
	return all, nil
}

// modules is what a commit's ModulesFile says, by path.
func (r *Repo) modules(ctx context.Context, commit, text string) (map[string]Submodule, error) {
	out, err := r.answer(ctx, "config", "--no-includes", "--blob="+commit+":"+ModulesFile, "-z", "--list")
	if err != nil {
		return nil, fault.Invalid.Errorf("%s cannot be read: %w", ModulesFile, err)
	}
	byName, order := map[string]Submodule{}, []string{}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		rest, ok := strings.CutPrefix(key, "submodule.")
		dot := strings.LastIndexByte(rest, '.')
		if !ok || dot < 0 {
			continue
		}
		name := rest[:dot]
		s, there := byName[name]
		if !there {
			order = append(order, name)
		}
		s.Name = name
		switch rest[dot+1:] {
		case "path":
			s.Path = value
		case "url":
			s.URL = value
		}
		byName[name] = s
	}
	known := map[string]Submodule{}
	for _, name := range order {
		s := byName[name]
		n := 0
		for line := range strings.Lines(text) {
			n++
			if s.URL != "" && strings.Contains(line, s.URL) && s.Line == 0 {
				s.Line = n
			}
		}
		known[s.Path] = s
	}
	return known, nil
}

// OnRef tells whether a commit is part of a branch or a tag: what lies in a repository besides is nobody's to read.
func (r *Repo) OnRef(ctx context.Context, commit string) (bool, error) {
	if !ValidID(commit) {
		return false, nil
	}
	if _, err := r.Commit(ctx, commit); err != nil {
		if errors.Is(err, fault.NotFound) {
			return false, nil
		}
		return false, err
	}
	out, err := r.answer(ctx, "for-each-ref", "--contains="+commit, "--count=1", "--format=%(refname)", "refs/heads/", "refs/tags/")
	return len(out) > 0, err
}
