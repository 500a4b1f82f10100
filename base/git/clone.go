package git

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Clone is what becomes of a commit's files that somebody is to work on.
type Clone struct {
	Commit string            // that is checked out
	Depth  int               // how many commits of its history come along; 0 is all
	Refs   map[string]string // other refs of the clone, such as refs/remotes/origin/main, and their commits; not of a shallow one
	URL    string            // of origin, or ""

	Modules map[string]string // submodules that are laid out as well, by their names, and their addresses
}

// mostTags is how many tags come along.
const mostTags = 50_000

// Clone gives a folder that holds a commit's files what makes a clone of it: a .git with the commit's history, the tags in
// it, and an index that knows the files (see Freshen). It holds nothing else of the repository, and no credentials.
func (r *Repo) Clone(ctx context.Context, dir string, c Clone) error {
	dir, err := filepath.Abs(dir) // git runs elsewhere
	if err != nil {
		return err
	}
	made := &Repo{dir: filepath.Join(dir, ".git")}
	if !ValidID(c.Commit) {
		return fault.Invalid.Errorf("%.100q is no full name of a commit", c.Commit)
	}
	for _, sub := range []string{"", "objects", "objects/pack", "objects/info", "refs", "refs/heads", "refs/tags"} {
		if err := os.Mkdir(filepath.Join(made.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(made.dir, "HEAD"), []byte(c.Commit+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(made.dir, "config"), []byte(c.config()), 0o644); err != nil {
		return err
	}
	refs := map[string]string{}
	if c.Depth > 0 {
		err = made.fetchShallow(ctx, r, c)
	} else {
		if refs, err = r.tagsIn(ctx, c.Commit); err == nil {
			for name, id := range c.Refs {
				refs[name] = id
			}
			err = made.take(ctx, r, c.Commit, refs)
		}
	}
	if err != nil {
		return fmt.Errorf("cloning %s: %w", c.Commit, err)
	}
	if c.Depth > 0 { // only tags of what there is
		if refs, err = r.tagsAt(ctx, made, c.Commit); err != nil {
			return err
		}
	}
	if err := made.pack(refs); err != nil {
		return err
	}
	if _, err := made.answer(ctx, "read-tree", c.Commit); err != nil {
		return err
	}
	return Freshen(dir)
}

// config is a clone's. Of a file, its time and size are enough to say that it is as it was: clones are copied about.
func (c Clone) config() string {
	text := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\ttrustctime = false\n\tcheckStat = minimal\n"
	if c.URL != "" {
		text += "[remote \"origin\"]\n\turl = " + quoted(c.URL) + "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		text += "[submodule " + quoted(name) + "]\n\tactive = true\n\turl = " + quoted(c.Modules[name]) + "\n"
	}
	return text
}

// quoted is a text as git's configuration has it.
func quoted(text string) string {
	text = strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", " ", "\x00", "").Replace(text)
	return "\"" + text + "\""
}

// tagsIn are the tags that point at history of a commit.
func (r *Repo) tagsIn(ctx context.Context, commit string) (map[string]string, error) {
	out, err := r.answer(ctx, "for-each-ref", "--merged="+commit, fmt.Sprintf("--count=%d", mostTags), "--format=%(objectname) %(refname)", "refs/tags/")
	return refLines(out), err
}

// tagsAt are the tags that point at a commit, where only that can be asked: of a shallow clone. Their own objects come along.
func (r *Repo) tagsAt(ctx context.Context, into *Repo, commit string) (map[string]string, error) {
	out, err := r.answer(ctx, "for-each-ref", "--points-at="+commit, "--count=1000", "--format=%(objectname) %(refname)", "refs/tags/")
	if err != nil {
		return nil, err
	}
	refs := refLines(out)
	for name, id := range refs {
		if id == commit {
			continue
		}
		tag, err := r.answer(ctx, "cat-file", "tag", id)
		if err != nil {
			return nil, err
		}
		if _, err := into.ask(ctx, tag, "hash-object", "-t", "tag", "-w", "--stdin", "--literally"); err != nil {
			return nil, fmt.Errorf("tag %s: %w", name, err)
		}
	}
	return refs, nil
}

func refLines(out []byte) map[string]string {
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if id, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok && ValidID(id) && ValidRef(name) {
			refs[name] = id
		}
	}
	return refs
}

// pack writes refs down.
func (r *Repo) pack(refs map[string]string) error {
	var names []string
	for name := range refs {
		if !ValidRef(name) || !ValidID(refs[name]) {
			return fault.Invalid.Errorf("%.200q at %.100q cannot be a ref", name, refs[name])
		}
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("# pack-refs with: sorted \n")
	for _, name := range names {
		b.WriteString(refs[name] + " " + name + "\n")
	}
	return os.WriteFile(filepath.Join(r.dir, "packed-refs"), []byte(b.String()), 0o644)
}

// cloneTime is how long a history may take to come along.
const cloneTime = 30 * time.Minute

// take takes over what a commit and refs reach in another repository.
func (r *Repo) take(ctx context.Context, from *Repo, commit string, refs map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, cloneTime)
	defer cancel()
	want := commit + "\n"
	for _, id := range refs {
		want += id + "\n"
	}
	give := from.Command(ctx, nil, "pack-objects", "--quiet", "--revs", "--stdout", "--delta-base-offset", "--threads=1")
	keep := r.Command(ctx, []string{"core.fsync=none"}, "index-pack", "--stdin", "--threads=1") // it lives as long as a build
	var gave, kept bounded
	gave.most, kept.most = 64<<10, 64<<10
	give.Stdin, give.Stderr, keep.Stderr = strings.NewReader(want), &gave, &kept
	pipe, err := give.StdoutPipe()
	if err != nil {
		return err
	}
	keep.Stdin = pipe
	if err := give.Start(); err != nil {
		return err
	}
	keeps := keep.Run()
	pipe.Close() // so that it does not write for ever to nobody
	gives := give.Wait()
	if keeps != nil && gives == nil {
		return describe(ctx, "index-pack", keeps, kept.Bytes())
	}
	if gives != nil {
		return describe(ctx, "pack-objects", gives, gave.Bytes())
	}
	return nil
}

// fetchShallow takes over a commit and some of its history.
func (r *Repo) fetchShallow(ctx context.Context, from *Repo, c Clone) error {
	ctx, cancel := context.WithTimeout(ctx, cloneTime)
	defer cancel()
	settings := []string{"protocol.file.allow=always", "core.fsync=none", "fetch.recurseSubmodules=false", "fetch.writeCommitGraph=false"}
	cmd := r.Command(ctx, settings, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", fmt.Sprintf("--depth=%d", c.Depth),
		"--upload-pack", "git -c uploadpack.allowAnySHA1InWant=true -c safe.directory=* -c core.hooksPath=/dev/null upload-pack", "--end-of-options", "file://"+from.dir, c.Commit)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "GIT_ALLOW_PROTOCOL=") })
	cmd.Env = append(cmd.Env, "GIT_ALLOW_PROTOCOL=file")
	var complaint bounded
	complaint.most = 64 << 10
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		return describe(ctx, "fetch", err, complaint.Bytes())
	}
	return nil
}

// errIndex says that what should be an index is none.
var errIndex = fault.Invalid.Errorf("the index of the clone cannot be read")

// mostIndex bounds an index.
const mostIndex = 1 << 30

// Freshen lets the index of a clone know when its files were written, and so that they are as they were committed: git
// says that a work tree is clean whose files were just laid out. Without an index nothing is done.
func Freshen(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	file, err := root.Open(".git/index")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	index, err := io.ReadAll(io.LimitReader(file, mostIndex))
	file.Close()
	if err != nil {
		return err
	}
	if err := freshen(index, root.Lstat); err != nil {
		return err
	}
	return root.WriteFile(".git/index", index, 0o644)
}

// freshen writes into an index of version 2 when files were written, and how large they are.
func freshen(index []byte, lstat func(string) (fs.FileInfo, error)) error {
	const fixed = 62 // bytes of an entry before its name
	if len(index) < 12+sha1.Size || !bytes.HasPrefix(index, []byte("DIRC\x00\x00\x00\x02")) {
		return errIndex
	}
	body := index[:len(index)-sha1.Size]
	at := 12
	for range binary.BigEndian.Uint32(index[8:]) {
		if at+fixed > len(body) {
			return errIndex
		}
		e := body[at:]
		end := bytes.IndexByte(e[fixed:], 0)
		if end < 1 {
			return errIndex
		}
		size := (fixed + end + 8) &^ 7
		if size > len(e) {
			return errIndex
		}
		mode := binary.BigEndian.Uint32(e[24:])
		if info, err := lstat(string(e[fixed : fixed+end])); err == nil && !info.IsDir() && mode != 0o160000 {
			when := info.ModTime()
			for _, time := range []int{0, 8} { // of the inode, and of the content
				binary.BigEndian.PutUint32(e[time:], uint32(when.Unix()))
				binary.BigEndian.PutUint32(e[time+4:], uint32(when.Nanosecond()))
			}
			binary.BigEndian.PutUint32(e[36:], uint32(info.Size()))
		}
		at += size
	}
	sum := sha1.Sum(body)
	copy(index[len(body):], sum[:])
	return nil
}
