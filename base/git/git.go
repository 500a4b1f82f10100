// Package git keeps bare repositories and reads their commits through the system's git, with nothing of the system's configuration.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// oldest is the oldest git that can be used: the first with core.fsync,
// --end-of-options everywhere and merge-tree --write-tree.
const oldest = "2.38"

// Zero is the object name that stands for "no object" in a ref update.
const Zero = "0000000000000000000000000000000000000000"

// patience is how long one git command that answers a question may take.
const patience = 2 * time.Minute

// Repo is one bare repository. The zero value is of no use; see Init and Open.
type Repo struct {
	dir        string
	quarantine []string // environment that adds the objects of a push, or nothing
	memory     int      // in KB that git may hold to answer a question; 0 is mostMemory
}

// CheckVersion tells whether there is a git, and one that is new enough.
func CheckVersion(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "git", "version").Output()
	if err != nil {
		return fault.Unavailable.Errorf("git is needed and cannot be run: %w", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "git version %d.%d", &major, &minor); err != nil {
		return fault.Unavailable.Errorf("%q is no version of git that we know", bytes.TrimSpace(out))
	}
	if major < 2 || major == 2 && minor < 38 {
		return fault.Unavailable.Errorf("git %d.%d is too old: %s or newer is needed", major, minor, oldest)
	}
	return nil
}

// Init makes an empty repository at dir, whose HEAD names branch. It does
// nothing to a repository that is there already.
func Init(ctx context.Context, dir, branch string) (*Repo, error) {
	dir, err := filepath.Abs(dir) // git runs elsewhere
	if err != nil {
		return nil, err
	}
	r := &Repo{dir: dir}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	if !ValidRef("refs/heads/" + branch) {
		return nil, fault.Invalid.Errorf("%q cannot be a branch", branch)
	}
	// An empty template: no sample hooks, no info/exclude.
	if _, err := r.answer(ctx, "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, dir); err != nil {
		return nil, fmt.Errorf("making repository %s: %w", filepath.Base(dir), err)
	}
	return r, nil
}

// Open is the repository at dir.
func Open(dir string) (*Repo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fault.NotFound.Errorf("there is no repository at %s", filepath.Base(dir))
		}
		return nil, err
	}
	return &Repo{dir: dir}, nil
}

// Dir is the folder that the repository lies in.
func (r *Repo) Dir() string { return r.dir }

// safe are the settings of every command, whatever a configuration file says:
// no hook and no helper runs, nothing is fetched, what is written is on disk.
var safe = [...]string{
	"core.hooksPath=/dev/null",
	"core.fsync=all",
	"core.fsmonitor=false",
	"core.askPass=",
	"core.quotePath=false",
	"core.alternateRefsCommand=/bin/false",
	"credential.helper=",
	"gc.auto=0",
	"receive.autogc=false",
	"maintenance.auto=false",
	"protocol.allow=never",
	"advice.objectNameWarning=false",
}

// Command is a git command in this repository, to be run by the caller. When
// ctx ends git is asked to end, so that it leaves no lock behind. settings are name=value pairs that come after, and so win over, our own.
func (r *Repo) Command(ctx context.Context, settings []string, args ...string) *exec.Cmd {
	argv := []string{"--no-replace-objects", "--no-optional-locks", "-c", "safe.directory=" + r.dir}
	for _, s := range safe {
		argv = append(argv, "-c", s)
	}
	for _, s := range settings {
		argv = append(argv, "-c", s)
	}
	cmd := exec.CommandContext(ctx, "git", append(argv, args...)...)
	cmd.Dir = "/"
	cmd.Env = append(environment(), "GIT_DIR="+r.dir)
	cmd.Env = append(cmd.Env, r.quarantine...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// mostMemory is how much git may hold to answer a question, in KB: few objects can stand for more files than
// there is memory for, and some commands hold all of them before they say the first.
const mostMemory = 768 << 10

// contain bounds the memory of a command that answers a question.
func (r *Repo) contain(cmd *exec.Cmd) {
	most := mostMemory
	if r.memory > 0 {
		most = r.memory
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		return
	}
	cmd.Path = sh
	cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -d %d 2>/dev/null; exec git "$@"`, most)}, cmd.Args...)
}

// hungry are the commands that hold every file of a tree.
func hungry(command string) bool {
	switch command {
	case "diff-tree", "rev-list", "blame", "read-tree", "update-index", "write-tree":
		return true
	}
	return false
}

// environment is all that git sees of ours: where programs are.
func environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=/nonexistent",
		"XDG_CONFIG_HOME=/nonexistent",
		"LC_ALL=C",
		"TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ALLOW_PROTOCOL=none",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_FLUSH=1",
		"GIT_LITERAL_PATHSPECS=1", // a path is a path
	}
}

// answer runs a command that ends soon and gives what it printed.
func (r *Repo) answer(ctx context.Context, args ...string) ([]byte, error) {
	return r.ask(ctx, nil, args...)
}

func (r *Repo) ask(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := r.Command(ctx, nil, args...)
	if hungry(args[0]) {
		r.contain(cmd)
	}
	cmd.Stdin = bytes.NewReader(stdin)
	var out, complaint bounded
	out.most, out.full, complaint.most = 256<<20, cancel, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if out.over {
		return nil, fault.Limit.Errorf("git %s says more than %d MB", args[0], out.most>>20)
	}
	if err != nil {
		return nil, describe(ctx, args[0], err, complaint.Bytes())
	}
	return out.Bytes(), nil
}

// describe makes one line of what git printed when it gave up.
func describe(ctx context.Context, command string, err error, complaint []byte) error {
	if ctx.Err() != nil {
		return fmt.Errorf("git %s: %w", command, context.Cause(ctx))
	}
	said, _, _ := strings.Cut(strings.TrimSpace(string(complaint)), "\n")
	said = strings.TrimPrefix(strings.TrimPrefix(said, "fatal: "), "error: ")
	if strings.Contains(strings.ToLower(said), "out of memory") {
		return fault.Limit.Errorf("git %s would need more memory than it is given: there are too many files", command)
	}
	if said == "" {
		return fmt.Errorf("git %s: %w", command, err)
	}
	return fmt.Errorf("git %s: %s: %w", command, said, err)
}

// bounded keeps the first so many bytes of what is written to it.
type bounded struct {
	bytes.Buffer
	most int
	over bool
	full func() // called once it is over: whoever writes may as well stop
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); len(p) > room {
		if !b.over && b.full != nil {
			b.full()
		}
		b.over = true
		b.Buffer.Write(p[:room])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

var objectName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// ValidID tells whether id is the full name of an object.
func ValidID(id string) bool { return objectName.MatchString(id) }

// IsZero tells whether id stands for "no object".
func IsZero(id string) bool { return strings.Trim(id, "0") == "" }

// ValidRef tells whether name may be a full ref, as git check-ref-format has
// it, within a length that is of use.
func ValidRef(name string) bool {
	if len(name) > 512 || !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, ".") ||
		strings.ContainsAny(name, " ~^:?*[\\\x7f") || strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for _, c := range []byte(name) {
		if c < ' ' {
			return false
		}
	}
	parts := strings.Split(name, "/")
	for _, p := range parts {
		if p == "" || p[0] == '.' || strings.HasSuffix(p, ".lock") {
			return false
		}
	}
	return len(parts) > 2
}

// Ref is a name and what it points at.
type Ref struct {
	Name string // refs/heads/main
	ID   string // of the object: a commit, or a tag
}

// Refs are all refs, or those below a prefix such as refs/heads, by name.
func (r *Repo) Refs(ctx context.Context, prefix string) ([]Ref, error) {
	args := []string{"for-each-ref", "--format=%(objectname) %(refname)"}
	if prefix != "" {
		args = append(args, prefix)
	}
	out, err := r.answer(ctx, args...)
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		id, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !ValidID(id) {
			return nil, fmt.Errorf("git for-each-ref says %q", line)
		}
		refs = append(refs, Ref{Name: name, ID: id})
	}
	return refs, nil
}

// Resolve is the commit that a ref, an abbreviated name or an expression such
// as main~2 stands for. What is not there, or no commit, is fault.NotFound.
func (r *Repo) Resolve(ctx context.Context, rev string) (string, error) {
	if rev == "" || len(rev) > 1024 || strings.ContainsAny(rev, "\x00\n") {
		return "", fault.Invalid.Errorf("%q names no revision", rev)
	}
	out, err := r.answer(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if code(err) == 1 || code(err) == 128 {
		return "", fault.NotFound.Errorf("%q is no commit here", rev)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// code is the exit status that err tells of, or 0.
func code(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// MergeBase is the best common ancestor of two commits; histories that have
// nothing in common are fault.NotFound.
func (r *Repo) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := r.answer(ctx, "merge-base", "--end-of-options", a, b)
	if code(err) == 1 {
		return "", fault.NotFound.Errorf("%s and %s have no commit in common", a, b)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// IsAncestor tells whether b's history holds a.
func (r *Repo) IsAncestor(ctx context.Context, a, b string) (bool, error) {
	_, err := r.answer(ctx, "merge-base", "--is-ancestor", "--end-of-options", a, b)
	if code(err) == 1 {
		return false, nil
	}
	return err == nil, err
}

// Commit is what a commit says about itself.
type Commit struct {
	ID, Tree          string
	Parents           []string
	Author, Committer Person
	Message           string
}

// Person is who wrote or made a commit, and when.
type Person struct {
	Name, Email string
	Time        time.Time
	Zone        string // +0900, as it was written; "" is UTC
}

// Subject is the first line of the message.
func (c Commit) Subject() string {
	s, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return s
}

// Commit reads one commit, named by its full name.
func (r *Repo) Commit(ctx context.Context, id string) (Commit, error) {
	if !ValidID(id) {
		return Commit{}, fault.Invalid.Errorf("%q is no full name of a commit", id)
	}
	out, err := r.answer(ctx, "cat-file", "commit", id)
	if code(err) == 128 {
		return Commit{}, fault.NotFound.Errorf("commit %s is not here", id)
	}
	if err != nil {
		return Commit{}, err
	}
	c := parseCommit(string(out))
	c.ID = id
	return c, nil
}

func parseCommit(text string) Commit {
	var c Commit
	head, message, _ := strings.Cut(text, "\n\n")
	c.Message = strings.ToValidUTF8(message, "\uFFFD")
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			c.Tree = value
		case "parent":
			c.Parents = append(c.Parents, value)
		case "author":
			c.Author = parsePerson(value)
		case "committer":
			c.Committer = parsePerson(value)
		}
	}
	return c
}

// parsePerson reads `Name <mail> 1700000000 +0900`.
func parsePerson(s string) Person {
	s = strings.ToValidUTF8(s, "\uFFFD")
	name, rest, _ := strings.Cut(s, "<")
	mail, when, _ := strings.Cut(rest, ">")
	stamp, zone, _ := strings.Cut(strings.TrimSpace(when), " ")
	seconds, _ := strconv.ParseInt(stamp, 10, 64)
	return Person{Name: strings.TrimSpace(name), Email: mail, Time: time.Unix(seconds, 0).UTC(), Zone: zone}
}

// Change is one path that differs between two trees.
type Change struct {
	Path     string
	Old, New string // object names; Zero where the path is not there
	Mode     uint32 // of New, or of Old where it is gone
}

// Changes are the files that differ from commit a to commit b; with a as ""
// all files of b. Renames are a path that goes and another that comes.
func (r *Repo) Changes(ctx context.Context, a, b string) ([]Change, error) {
	if a == "" {
		a = "4b825dc642cb6eb9a060e54bf8d69288fbee4904" // the empty tree, which every repository knows
	}
	out, err := r.answer(ctx, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--end-of-options", a, b)
	if err != nil {
		return nil, err
	}
	var changes []Change
	err = eachRaw(out, func(_ string, c Change) { changes = append(changes, c) })
	return changes, err
}
