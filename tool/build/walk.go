package build

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/glob"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	mostWalked = 500_000 // files and folders that are looked at
	deepest    = 100     // folders
)

// walk shows each file and link below a folder, in order of their paths; folders
// themselves are not shown. Links are not followed. What a build has hidden from
// us is not there. It is bounded, however much lies there and however deep.
func walk(root *os.Root, folder string, show func(name string, entry fs.DirEntry) error) error {
	left := mostWalked
	var down func(name string, depth int) error
	down = func(name string, depth int) error {
		entries, err := list(root, name, &left)
		if err != nil {
			return err
		}
		for _, e := range entries {
			next := path.Join(name, e.Name())
			switch {
			case !e.IsDir():
				err = show(next, e)
			case depth >= deepest:
				err = fault.Invalid.Errorf("folders lie more than %d deep in %s", deepest, clip(name, 100))
			default:
				err = down(next, depth+1)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return down(folder, 0)
}

// list is what lies in a folder, in the order that paths have: a/b comes before a.b.
func list(root *os.Root, name string, left *int) ([]fs.DirEntry, error) {
	dir, err := root.Open(name)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var all []fs.DirEntry
	for {
		some, err := dir.ReadDir(1000)
		if *left -= len(some); *left < 0 {
			return nil, fault.Invalid.Errorf("more than %d files lie in the folder of the build", mostWalked)
		}
		all = append(all, some...)
		if errors.Is(err, io.EOF) || len(some) == 0 {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return cmp.Compare(key(a), key(b)) })
	return all, nil
}

// patterns are several, any of which may match.
type patterns []glob.Pattern

func compile(texts []string) (all patterns, err error) {
	for _, text := range texts {
		p, err := glob.Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (p patterns) match(name string) bool {
	return slices.ContainsFunc(p, func(g glob.Pattern) bool { return g.Match(name) })
}

// folders are those below src, or below another source, that a base-directory means.
func folders(root *os.Root, pattern string) ([]string, error) {
	source := "src"
	if strings.HasPrefix(pattern, "/") { // see meant
		source, pattern, _ = strings.Cut(pattern[1:], "/")
	}
	if pattern == "" || pattern == "." {
		return []string{source}, nil
	}
	if !strings.ContainsAny(pattern, `*?[{\`) {
		return []string{path.Join(source, pattern)}, nil
	}
	g, err := glob.Parse(pattern)
	if err != nil {
		return nil, err
	}
	depth, left := strings.Count(pattern, "/")+1, mostWalked
	if strings.Contains(pattern, "**") {
		depth = deepest
	}
	var all []string
	var down func(name string, depth int) error
	down = func(name string, depth int) error {
		entries, err := list(root, name, &left)
		if err != nil || depth == 0 {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			next := path.Join(name, e.Name())
			if g.Match(strings.TrimPrefix(next, source+"/")) {
				all = append(all, next)
			} else if err := down(next, depth-1); err != nil {
				return err
			}
		}
		return nil
	}
	return all, down(source, depth)
}
