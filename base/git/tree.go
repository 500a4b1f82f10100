package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Tree is the files of a commit as a read-only file system; nothing is checked
// out. A symbolic link is a file of that type whose content is its target: it
// is never followed. Close it when done.
type Tree struct {
	ID         string       // of the tree object: equal trees have equal names
	Skipped    []diag.Place // files that cannot be shown, since their names are no UTF-8
	Submodules []string     // folders whose commits lie in other repositories

	repo    *Repo
	commit  string
	objects *Objects
	entries map[string]*entry
	time    time.Time
}

// Commit is the commit whose files they are, and its repository.
func (t *Tree) Commit() (*Repo, string) { return t.repo, t.commit }

type entry struct {
	name     string
	id       string
	mode     fs.FileMode
	size     int64
	children []fs.DirEntry
	tree     *Tree
}

// Tree is the tree of a commit, to be read as long as ctx lasts.
func (r *Repo) Tree(ctx context.Context, commit string) (*Tree, error) {
	c, err := r.Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	out, err := r.answer(ctx, "ls-tree", "-r", "-t", "-z", "-l", "--full-tree", c.Tree)
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s: %w", commit, err)
	}
	if n := bytes.Count(out, []byte{0}); n > most {
		return nil, fault.Limit.Errorf("commit %s has %d files, %d are read", commit, n, most)
	}
	t := &Tree{ID: c.Tree, repo: r, commit: commit, time: c.Committer.Time}
	if err := t.list(string(out)); err != nil {
		return nil, err
	}
	t.objects, err = r.Objects(ctx)
	return t, err
}

// list reads `100644 blob <id>    <size>\t<path>` records. Parents come before their children.
func (t *Tree) list(out string) error {
	root := &entry{name: ".", mode: fs.ModeDir | 0o755, tree: t}
	t.entries = map[string]*entry{".": root}
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if record == "" {
			continue
		}
		head, name, ok := strings.Cut(record, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 4 {
			return fmt.Errorf("git ls-tree says %q", record)
		}
		e := &entry{name: path.Base(name), id: f[2], tree: t}
		e.size, _ = strconv.ParseInt(f[3], 10, 64) // "-" for what is no blob
		if f[0] == "160000" {
			t.Submodules = append(t.Submodules, strings.ToValidUTF8(name, "\uFFFD"))
			continue
		}
		e.mode = modeOf(f[0])
		parent := t.entries[path.Dir(name)]
		if parent == nil || !fs.ValidPath(name) {
			if !e.IsDir() {
				t.Skipped = append(t.Skipped, diag.Place{File: strings.ToValidUTF8(name, "\uFFFD"), Why: "its name cannot be shown"})
			}
			continue
		}
		t.entries[name] = e
		parent.children = append(parent.children, e)
	}
	for _, e := range t.entries {
		slices.SortFunc(e.children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return nil
}

// modeOf is a file's mode.
func modeOf(mode string) fs.FileMode {
	switch mode {
	case "040000":
		return fs.ModeDir | 0o755
	case "100755":
		return 0o755
	case "120000":
		return fs.ModeSymlink | 0o777
	}
	return 0o644 // 100644, and 100664 of very old commits
}

// Close ends reading.
func (t *Tree) Close() error { return t.objects.Close() }

// Open implements fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	return &file{entry: e}, nil
}

// Stat implements fs.StatFS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	return slices.Clone(e.children), nil
}

// ReadFile implements fs.ReadFileFS.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	return e.content()
}

func (t *Tree) find(op, name string) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, ok := t.entries[name]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return e, nil
}

func (e *entry) content() ([]byte, error) {
	if e.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: e.name, Err: fs.ErrInvalid}
	}
	content, err := e.tree.objects.Read(e.id)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: e.name, Err: err}
	}
	return content, nil
}

func (e *entry) Name() string               { return e.name }
func (e *entry) IsDir() bool                { return e.mode.IsDir() }
func (e *entry) Type() fs.FileMode          { return e.mode.Type() }
func (e *entry) Mode() fs.FileMode          { return e.mode }
func (e *entry) Size() int64                { return e.size }
func (e *entry) ModTime() time.Time         { return e.tree.time }
func (e *entry) Sys() any                   { return nil }
func (e *entry) Info() (fs.FileInfo, error) { return e, nil }

// file is an open entry; a blob is fetched when it is first read.
type file struct {
	entry *entry
	rest  io.Reader
	next  int // child that ReadDir answers next
}

func (f *file) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *file) Close() error               { return nil }

func (f *file) Read(p []byte) (int, error) {
	if f.rest == nil {
		content, err := f.entry.content()
		if err != nil {
			return 0, err
		}
		f.rest = bytes.NewReader(content)
	}
	return f.rest.Read(p)
}

func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.entry.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: f.entry.name, Err: fs.ErrInvalid}
	}
	rest := f.entry.children[f.next:]
	if n > 0 && len(rest) == 0 {
		return nil, io.EOF
	}
	if n > 0 && len(rest) > n {
		rest = rest[:n]
	}
	f.next += len(rest)
	return slices.Clone(rest), nil
}
