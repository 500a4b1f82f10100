package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Entry is one name in a folder of a commit.
type Entry struct {
	Name string // within its folder
	Path string
	Mode uint32
	Type string // blob, tree, or commit for a submodule
	ID   string
	Size int64 // of a blob
}

// The modes of a tree's entries.
const (
	ModeFile       = 0o100644
	ModeExecutable = 0o100755
	ModeLink       = 0o120000
	ModeTree       = 0o040000
	ModeSubmodule  = 0o160000
)

// CleanPath is a path within a tree, without slashes around it: "" is the top.
// What no tree holds is fault.Invalid.
func CleanPath(p string) (string, error) {
	p = strings.Trim(p, "/")
	if p == "" {
		return "", nil
	}
	if len(p) > 4096 || strings.ContainsRune(p, 0) || path.Clean(p) != p {
		return "", fault.Invalid.Errorf("%q is no path within a repository", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "." || part == ".." || strings.EqualFold(part, ".git") {
			return "", fault.Invalid.Errorf("%q is no path within a repository", p)
		}
	}
	return p, nil
}

// Folder lists a folder of a commit or tree, "" being the top.
func (r *Repo) Folder(ctx context.Context, commit, folder string) ([]Entry, error) {
	if !ValidID(commit) {
		return nil, fault.Invalid.Errorf("%q is no full name of a commit", commit)
	}
	folder, err := CleanPath(folder)
	if err != nil {
		return nil, err
	}
	if folder != "" {
		e, err := r.Entry(ctx, commit, folder)
		if err != nil {
			return nil, err
		}
		if e.Type != "tree" {
			return nil, fault.Invalid.Errorf("%s is no folder", folder)
		}
		commit = e.ID
	}
	out, err := r.answer(ctx, "ls-tree", "-z", "-l", "--full-tree", commit)
	if code(err) == 128 {
		return nil, fault.NotFound.Errorf("commit %s is not here", commit)
	}
	if err != nil {
		return nil, err
	}
	return parseEntries(string(out), folder)
}

// Entry is what lies at a path of a commit.
func (r *Repo) Entry(ctx context.Context, commit, at string) (e Entry, err error) {
	if !ValidID(commit) {
		return e, fault.Invalid.Errorf("%q is no full name of a commit", commit)
	}
	at, err = CleanPath(at)
	if err != nil {
		return e, err
	}
	if at == "" {
		return e, fault.Invalid.Errorf("a path is needed")
	}
	out, err := r.answer(ctx, "ls-tree", "-z", "-l", "--full-tree", commit, "--", at)
	if code(err) == 128 {
		return e, fault.NotFound.Errorf("commit %s is not here", commit)
	}
	if err != nil {
		return e, err
	}
	all, err := parseEntries(string(out), path.Dir(at))
	if err != nil {
		return e, err
	}
	for _, e := range all {
		if e.Path == at {
			return e, nil
		}
	}
	return e, fault.NotFound.Errorf("there is no %s in that commit", at)
}

func parseEntries(out, folder string) (all []Entry, err error) {
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if record == "" {
			continue
		}
		head, name, ok := strings.Cut(record, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 4 {
			return nil, fmt.Errorf("git ls-tree says %q", record)
		}
		mode, _ := strconv.ParseUint(f[0], 8, 32)
		e := Entry{Name: path.Base(name), Path: name, Mode: uint32(mode), Type: f[1], ID: f[2]}
		if folder != "" && folder != "." && !strings.Contains(name, "/") {
			e.Path = folder + "/" + name
		}
		e.Size, _ = strconv.ParseInt(f[3], 10, 64)
		all = append(all, e)
	}
	return all, nil
}

// Blob is the content of a blob by its name, of at most so many bytes.
func (r *Repo) Blob(ctx context.Context, id string, largest int64) (content []byte, err error) {
	if !ValidID(id) {
		return nil, fault.Invalid.Errorf("%q is no full name of an object", id)
	}
	err = r.ReadEach(ctx, []string{id}, largest, func(_ string, c []byte, err error) error {
		content = bytes.Clone(c)
		return err
	})
	if content == nil && err == nil {
		content = []byte{}
	}
	return content, err
}

// Type is what kind of object a name is: blob, commit, tree or tag.
func (r *Repo) Type(ctx context.Context, id string) (string, error) {
	if !ValidID(id) {
		return "", fault.Invalid.Errorf("%q is no full name of an object", id)
	}
	out, err := r.answer(ctx, "cat-file", "-t", id)
	if code(err) == 128 || code(err) == 1 {
		return "", fault.NotFound.Errorf("object %s is not here", id)
	}
	return strings.TrimSpace(string(out)), err
}

// File is the content of a file of a commit, of at most so many bytes.
func (r *Repo) File(ctx context.Context, commit, at string, largest int64) ([]byte, Entry, error) {
	e, err := r.Entry(ctx, commit, at)
	if err != nil {
		return nil, e, err
	}
	if e.Type != "blob" {
		return nil, e, fault.Invalid.Errorf("%s is no file", at)
	}
	content, err := r.Blob(ctx, e.ID, largest)
	return content, e, err
}

// Log are the commits that a commit's history holds, the newest first: those
// that changed a path, or all for "". It leaves out the first skip of them, and
// those that a commit of without reaches.
func (r *Repo) Log(ctx context.Context, commit, at string, skip, limit int, without ...string) ([]Commit, error) {
	args := []string{"rev-list", "--topo-order", "--max-count=" + strconv.Itoa(limit), "--skip=" + strconv.Itoa(skip)}
	for i, id := range append([]string{commit}, without...) {
		if !ValidID(id) {
			return nil, fault.Invalid.Errorf("%q is no full name of a commit", id)
		}
		if i > 0 {
			id = "^" + id
		}
		args = append(args, id)
	}
	at, err := CleanPath(at)
	if err != nil {
		return nil, err
	}
	if at != "" {
		args = append(args, "--", at)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pageTime, fault.Limit.Errorf("looking through the history takes longer than %v", pageTime))
	defer cancel()
	out, err := r.answer(ctx, args...)
	if code(err) == 128 {
		return nil, fault.NotFound.Errorf("commit %s is not here", commit)
	}
	if err != nil {
		return nil, err
	}
	return r.Commits(ctx, strings.Fields(string(out))...)
}

// Commits reads several commits, in the order of their names.
func (r *Repo) Commits(ctx context.Context, ids ...string) (all []Commit, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = r.ReadEach(ctx, ids, 1<<20, func(id string, content []byte, err error) error {
		if err != nil {
			return err
		}
		c := parseCommit(string(content))
		c.ID = id
		all = append(all, c)
		return nil
	})
	return all, err
}

// AheadBehind counts the commits that only one of two histories holds.
func (r *Repo) AheadBehind(ctx context.Context, commit, base string) (ahead, behind int, err error) {
	if !ValidID(commit) || !ValidID(base) {
		return 0, 0, fault.Invalid.Errorf("%q and %q are no full names of commits", commit, base)
	}
	out, err := r.answer(ctx, "rev-list", "--left-right", "--count", commit+"..."+base)
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(string(out), &ahead, &behind)
	return ahead, behind, err
}

// Tag is a tag with what it says, where it is one that says something.
type Tag struct {
	Name    string // v1
	ID      string // of what the ref points at
	Commit  string
	Tagger  Person
	Message string
	Signed  bool
}

// Tags are the tags, the newest first, at most limit.
func (r *Repo) Tags(ctx context.Context, limit int) (all []Tag, err error) {
	out, err := r.answer(ctx, "for-each-ref", "--sort=-creatordate", "--count="+strconv.Itoa(limit), "--format=%(refname) %(objectname) %(objecttype) %(*objectname) %(*objecttype)", "refs/tags")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		t := Tag{Name: strings.TrimPrefix(f[0], "refs/tags/"), ID: f[1]}
		if f[2] == "commit" {
			t.Commit = f[1]
		}
		if f[2] == "tag" {
			if len(f) == 5 && f[4] == "commit" {
				t.Commit = f[3]
			}
			if err := r.readTag(ctx, &t); err != nil {
				return nil, err
			}
		}
		all = append(all, t)
	}
	return all, nil
}

func (r *Repo) readTag(ctx context.Context, t *Tag) error {
	text, err := r.Blob(ctx, t.ID, 1<<20)
	if errors.Is(err, fault.Limit) {
		return nil
	}
	if err != nil {
		return err
	}
	head, message, _ := strings.Cut(string(text), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		if who, ok := strings.CutPrefix(line, "tagger "); ok {
			t.Tagger = parsePerson(who)
		}
	}
	t.Message = strings.ToValidUTF8(message, "\uFFFD")
	if i := strings.Index(t.Message, "-----BEGIN "); i >= 0 && (i == 0 || t.Message[i-1] == '\n') {
		t.Message, t.Signed = t.Message[:i], true
	}
	return nil
}
