package git

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/word/fault"
)

// most objects, changed paths and files that one push or tree may have.
const most = 2_000_000

// Quarantined is the repository as it would be if the push were taken whose
// objects lie in the folder objects (GIT_QUARANTINE_PATH in a hook of git).
func (r *Repo) Quarantined(objects string) *Repo {
	return &Repo{dir: r.dir, quarantine: []string{
		"GIT_OBJECT_DIRECTORY=" + objects,
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + filepath.Join(r.dir, "objects"),
	}}
}

// Object is one that a push brings.
type Object struct {
	ID, Type string // blob, commit, tag or tree
	Size     int64
	Commit   string // of a blob: the first commit that has it, or "" when none of the push's commits does
	Path     string // of a blob: where it is in that commit; of a name with a line feed, what stands before it
}

// Incoming are the objects that a push brings and the repository lacks, each
// once, the oldest commit's first: also those that a later commit of the same
// push takes away again, and those that no ref reaches. r is Quarantined;
// tips are what the refs are to point at.
func (r *Repo) Incoming(ctx context.Context, objects string, tips []string) ([]Object, error) {
	var fresh []*Object
	var named []byte
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		fresh, err = (&Repo{dir: r.dir}).fresh(both, objects)
		return err
	})
	group.Go(func() (err error) {
		named, err = r.named(both, tips)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return arrange(place(fresh, named), fresh), nil
}

// fresh are the objects that lie in a folder, but for those that the repository has.
func (r *Repo) fresh(ctx context.Context, objects string) ([]*Object, error) {
	all, err := (&Repo{dir: r.dir, quarantine: []string{"GIT_OBJECT_DIRECTORY=" + objects}}).
		answer(ctx, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname) %(objecttype) %(objectsize)")
	if err != nil {
		return nil, fmt.Errorf("listing what the push brings: %w", err)
	}
	n := bytes.Count(all, []byte{'\n'})
	if n > most {
		return nil, fault.Limit.Errorf("the push brings %d objects, %d are allowed", n, most)
	}
	known, err := r.known(ctx, all)
	if err != nil {
		return nil, err
	}
	fresh := make([]*Object, 0, n)
	for line := range strings.Lines(string(all)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("git cat-file says %q", line)
		}
		if known[f[0]] {
			continue
		}
		size, _ := strconv.ParseInt(f[2], 10, 64)
		fresh = append(fresh, &Object{ID: f[0], Type: f[1], Size: size})
	}
	return fresh, nil
}

// arrange puts the blobs of commits first, in the order of these, then the rest.
func arrange(placed, all []*Object) []Object {
	out := make([]Object, 0, len(all))
	for _, o := range placed {
		out = append(out, *o)
	}
	for _, o := range all {
		if o.Commit == "" {
			out = append(out, *o)
		}
	}
	return out
}

// known tells which of the objects in list are in the repository already.
func (r *Repo) known(ctx context.Context, list []byte) (map[string]bool, error) {
	if r.empty() {
		return nil, nil // git would look for every object in vain, each time anew
	}
	var ask bytes.Buffer
	for line := range bytes.Lines(list) {
		id, _, _ := bytes.Cut(line, []byte{' '})
		ask.Write(id)
		ask.WriteByte('\n')
	}
	out, err := r.ask(ctx, ask.Bytes(), "cat-file", "--batch-check=%(objectname)")
	if err != nil {
		return nil, fmt.Errorf("looking for what is here already: %w", err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if !strings.HasSuffix(line, " missing") {
			known[line] = true
		}
	}
	return known, nil
}

// empty tells whether the repository surely has no object: nothing was ever pushed to it.
func (r *Repo) empty() bool {
	for _, folder := range []string{"objects", "objects/pack", "objects/info"} {
		entries, err := os.ReadDir(filepath.Join(r.dir, folder))
		if err != nil {
			return false
		}
		for _, e := range entries {
			if name := e.Name(); folder != "objects" || name != "pack" && name != "info" && !strings.HasPrefix(name, "tmp_objdir-") {
				return false
			}
		}
	}
	return true
}

// named are the objects that the tips reach and no ref does, each with its path: git walks the commits from
// the oldest and names each object once, however often the commits' trees hold it.
func (r *Repo) named(ctx context.Context, tips []string) ([]byte, error) {
	stdin, err := wanted(tips)
	if err != nil || stdin == "" {
		return nil, err
	}
	out, err := r.ask(ctx, []byte(stdin), "rev-list", "--objects", "--in-commit-order", "--reverse", "--topo-order", "--stdin", "--not", "--all")
	if code(err) == 128 && fault.Of(err) != fault.Limit {
		return nil, fault.Invalid.Errorf("listing what the push brings: %w", err) // it names an object that it does not bring
	}
	if err != nil {
		return nil, fmt.Errorf("listing what the push brings: %w", err)
	}
	return out, nil
}

// place says of each fresh blob which commit brought it and where.
func place(fresh []*Object, named []byte) (placed []*Object) {
	known := make(map[string]*Object, len(fresh))
	for _, o := range fresh {
		known[o.ID] = o
	}
	commit := ""
	for line := range strings.Lines(string(named)) {
		id, path, object := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !object {
			commit = id
			continue
		}
		if o := known[id]; o != nil && o.Type == "blob" && o.Commit == "" && path != "" {
			o.Commit, o.Path = commit, path
			placed = append(placed, o)
		}
	}
	return placed
}

// wanted are the tips that are objects, for a command that reads revisions.
func wanted(tips []string) (string, error) {
	var ask strings.Builder
	for _, t := range tips {
		if !ValidID(t) {
			return "", fault.Invalid.Errorf("%q is no full name of an object", t)
		}
		if !IsZero(t) {
			ask.WriteString(t + "\n")
		}
	}
	return ask.String(), nil
}

// NewCommits are the commits that tips reach and no ref does, the oldest first.
func (r *Repo) NewCommits(ctx context.Context, tips []string) ([]string, error) {
	ask, err := wanted(tips)
	if err != nil || ask == "" {
		return nil, err
	}
	out, err := r.ask(ctx, []byte(ask), "rev-list", "--reverse", "--topo-order", "--stdin", "--not", "--all")
	if code(err) == 128 {
		return nil, fault.Invalid.Errorf("listing the commits of the push: %w", err) // it names an object that it does not bring
	}
	if err != nil {
		return nil, fmt.Errorf("listing the commits of the push: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// eachRaw reads what diff-tree --raw -z prints: names of commits, and records
// that begin with one colon for each parent and are followed by a path.
func eachRaw(out []byte, f func(commit string, c Change)) error {
	commit, n := "", 0
	rest := string(out)
	next := func() (string, bool) {
		s, after, ok := strings.Cut(rest, "\x00")
		rest = after
		return s, ok
	}
	for rest != "" {
		token, ok := next()
		if !ok {
			return fmt.Errorf("git diff-tree ends within a record")
		}
		if !strings.HasPrefix(token, ":") {
			commit = token
			continue
		}
		path, ok := next()
		parents := len(token) - len(strings.TrimLeft(token, ":"))
		field := strings.Fields(token[parents:])
		if !ok || len(field) != 2*(parents+1)+1 {
			return fmt.Errorf("git diff-tree says %q", token)
		}
		mode, _ := strconv.ParseUint(field[parents], 8, 32)
		if mode == 0 {
			mode, _ = strconv.ParseUint(field[0], 8, 32)
		}
		if n++; n > most {
			return fault.Limit.Errorf("more than %d files change", most)
		}
		f(commit, Change{Path: path, Old: field[parents+1], New: field[2*parents+1], Mode: uint32(mode)})
	}
	return nil
}
