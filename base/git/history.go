package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/fault"
)

// Find is the repository that the folder dir belongs to, and the top of its
// working tree, or "" where it has none. fault.NotFound: dir is in no repository.
func Find(ctx context.Context, dir string) (r *Repo, top string, err error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", err
	}
	ask := func(what string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", "-c", "safe.directory=*", "rev-parse", what)
		cmd.Dir, cmd.Env = absolute, environment()
		out, err := cmd.Output()
		return strings.TrimRight(string(out), "\n"), err
	}
	folder, err := ask("--absolute-git-dir")
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		if errors.Is(err, exec.ErrNotFound) {
			return nil, "", fault.NotFound.Errorf("git is not installed")
		}
		return nil, "", fault.NotFound.Errorf("%s is in no git repository", dir)
	}
	top, err = ask("--show-toplevel")
	if err != nil {
		top = ""
	}
	return &Repo{dir: folder}, top, nil
}

// Staged are the files that differ from the last commit to the index: what git
// commit would commit. index is git's GIT_INDEX_FILE, or "".
func (r *Repo) Staged(ctx context.Context, index string) (changes []Change, err error) {
	cmd := r.Command(ctx, nil, "diff-index", "--cached", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--diff-filter=ACMT", "HEAD")
	if _, err := r.Resolve(ctx, "HEAD"); err != nil { // the first commit: all of the index
		cmd = r.Command(ctx, nil, "diff-index", "--cached", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--diff-filter=ACMT", "4b825dc642cb6eb9a060e54bf8d69288fbee4904")
	}
	if index != "" {
		cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+index)
	}
	var out, complaint bounded
	out.most, complaint.most = 256<<20, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, describe(ctx, "diff-index", err, complaint.Bytes())
	}
	if out.over {
		return nil, fault.Limit.Errorf("more is staged than git says in %d MB", out.most>>20)
	}
	err = eachRaw(out.Bytes(), func(_ string, c Change) { changes = append(changes, c) })
	return changes, err
}

// NotRemote, among the revisions of Reachable, leaves out what remote branches reach.
const NotRemote = "^remotes"

// Reachable are the commits that revs reach, or all refs for none, the oldest
// first. A revision with ^ before it leaves out what it reaches.
func (r *Repo) Reachable(ctx context.Context, revs ...string) ([]string, error) {
	args := []string{"rev-list", "--reverse", "--topo-order"}
	for _, rev := range revs {
		switch {
		case rev == NotRemote:
			args = append(args, "--not", "--remotes", "--not")
		case !ValidID(strings.TrimPrefix(rev, "^")):
			return nil, fault.Invalid.Errorf("%q is no full name of a commit", rev)
		default:
			args = append(args, rev)
		}
	}
	if len(revs) == 0 {
		args = append(args, "--all")
	}
	out, err := r.answer(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("listing commits: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// Brought calls each for every file that a commit brings or changes, commit by
// commit. A merge is compared with all its parents: what equals one of them came with that one.
func (r *Repo) Brought(ctx context.Context, commits []string, each func(commit string, c Change)) error {
	out, err := r.ask(ctx, []byte(strings.Join(commits, "\n")+"\n"), "diff-tree", "--stdin", "-r", "-c", "--root", "-z", "--raw", "--no-renames", "--no-abbrev")
	if err != nil {
		return fmt.Errorf("comparing commits: %w", err)
	}
	return eachRaw(out, each)
}

// All are the blobs of the repository, whether or not anything reaches them.
func (r *Repo) All(ctx context.Context) (blobs []string, err error) {
	out, err := r.answer(ctx, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname) %(objecttype)")
	for line := range strings.Lines(string(out)) {
		if id, kind, _ := strings.Cut(strings.TrimSpace(line), " "); kind == "blob" {
			blobs = append(blobs, id)
		}
	}
	return blobs, err
}

// ReadEach reads objects one after the other and shows their content, which is
// valid until each returns. What has more than largest bytes, is missing or
// broken comes with an error, and the rest goes on. It ends at the first error
// that each returns.
func (r *Repo) ReadEach(ctx context.Context, ids []string, largest int64, each func(id string, content []byte, err error) error) error {
	for len(ids) > 0 {
		done, err := r.readSome(ctx, ids, largest, each)
		var broken *brokenError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &broken) || done >= len(ids):
			return err
		}
		// git gives up on an object that is corrupt: the next one is asked of another process.
		if err := each(ids[done], nil, fmt.Errorf("the object is broken: %w", broken.cause)); err != nil {
			return err
		}
		ids = ids[done+1:]
	}
	return nil
}

// brokenError says that git ended within an object.
type brokenError struct{ cause error }

func (e *brokenError) Error() string { return e.cause.Error() }

// readSome reads until git gives up, and says how many objects were shown.
func (r *Repo) readSome(ctx context.Context, ids []string, largest int64, each func(string, []byte, error) error) (done int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := r.Command(ctx, nil, "cat-file", "--batch")
	cmd.Env = append(cmd.Env, "GIT_FLUSH=0") // all is asked at once
	cmd.Stdin = strings.NewReader(strings.Join(ids, "\n") + "\n")
	var complaint bounded
	complaint.most = 4 << 10
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("reading objects: %w", err)
	}
	end := sync.OnceFunc(func() {
		cancel()
		_ = cmd.Wait() // what went wrong was seen on its output
	})
	defer end()
	out := bufio.NewReaderSize(pipe, 256<<10)
	var buffer []byte
	for _, id := range ids {
		content, failed, err := readNext(out, id, largest, &buffer)
		if err != nil {
			end() // by then all that git complains of is there
			why := string(bytes.TrimSpace(complaint.Bytes()))
			if why == "" {
				why = err.Error()
			}
			return done, &brokenError{errors.New(firstLine(why))}
		}
		if err := each(id, content, failed); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// readNext reads one object: failed is its own fault, err that of the conversation.
func readNext(out *bufio.Reader, id string, largest int64, buffer *[]byte) (content []byte, failed, err error) {
	head, err := out.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	f := strings.Fields(head)
	if len(f) == 2 && f[1] == "missing" {
		return nil, fault.NotFound.Errorf("the object is not here"), nil
	}
	if len(f) != 3 || f[0] != id {
		return nil, nil, fmt.Errorf("git cat-file says %q", head)
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return nil, nil, err
	}
	if size > largest {
		_, err := io.CopyN(io.Discard, out, size+1)
		return nil, fault.Limit.Errorf("%d bytes, more than the %d that are read", size, largest), err
	}
	if int64(cap(*buffer)) < size+1 {
		*buffer = make([]byte, size+1+size/4)
	}
	content = (*buffer)[:size+1]
	if _, err := io.ReadFull(out, content); err != nil {
		return nil, nil, err
	}
	return content[:size], nil, nil
}

// Files are the files of a commit's tree: the names of their blobs by path.
func (r *Repo) Files(ctx context.Context, commit string) (map[string]string, error) {
	if !ValidID(commit) {
		return nil, fault.Invalid.Errorf("%q is no full name of a commit", commit)
	}
	out, err := r.answer(ctx, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s: %w", commit, err)
	}
	files := map[string]string{}
	for record := range strings.SplitSeq(string(out), "\x00") {
		head, path, ok := strings.Cut(record, "\t")
		if f := strings.Fields(head); ok && len(f) == 3 && f[1] == "blob" {
			files[path] = f[2]
		}
	}
	return files, nil
}

// HooksDir is where git looks for the hooks of this repository, as the user's
// own configuration has it.
func HooksDir(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "--git-path", "hooks")
	cmd.Dir = dir
	cmd.Env = os.Environ()
	out, err := cmd.Output()
	if err != nil {
		return "", fault.NotFound.Errorf("%s is in no git repository", dir)
	}
	path := strings.TrimRight(string(out), "\n")
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return path, nil
}
