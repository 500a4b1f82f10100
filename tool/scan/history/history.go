// Package history finds the secrets of all commits of a repository, and looks at each file's content once.
package history

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Config is what Scan needs.
type Config struct {
	Repo    *git.Repo
	Scanner *secret.Scanner
	Heads   []string // commits whose history is scanned, ^commits whose is not; none: everything that a ref reaches
	Head    string   // the commit whose files count as HEAD; "" for none
	Memory  string   // a file that remembers what was scanned and held nothing; "" for none
	Allowed func(commit string) bool
}

// Result is what was found, and how much was looked at.
type Result struct {
	Findings   []finding.Finding // one a secret, raw as a scanner's
	Commits    int
	Contents   int // of files, each different one once
	Remembered int // of these, not looked at again
	Bytes      int64
	Skipped    []diag.Place
}

// NotRemote among Heads leaves out what the remote repositories that git knows have.
const NotRemote = git.NotRemote

// message is what the message of a commit is called, as git itself does.
const message = "COMMIT_EDITMSG"

// largest is how much of one file is looked at; what is larger and text is told of.
const largest = 64 << 20

// content is one blob, or the message of a commit.
type content struct {
	id     string
	path   string
	commit int // that brought it first, by its place in the order of commits
	paths  []string
}

// occurrence is a secret in one content.
type occurrence struct {
	finding finding.Finding
	content *content
}

// Scan looks through a history. It may cost much memory and time where there
// is much; what it cannot read is skipped and told of, and the rest goes on.
func Scan(ctx context.Context, c Config) (Result, error) {
	s := &scan{Config: c, contents: map[string]*content{}}
	if err := s.list(ctx); err != nil {
		return Result{}, err
	}
	known := remembered(c.Memory, c.Scanner.Version())
	var ask []string
	for _, id := range s.order {
		if known.has(id) {
			s.result.Remembered++
		} else {
			ask = append(ask, id)
		}
	}
	s.result.Contents = len(s.order)
	if err := s.read(ctx, ask); err != nil {
		return Result{}, err
	}
	if err := s.tell(ctx); err != nil {
		return Result{}, err
	}
	known.add(s.clean)
	if err := known.save(c.Memory); err != nil {
		s.skip("", fmt.Errorf("what was scanned cannot be remembered: %w", err))
	}
	return s.result, nil
}

type scan struct {
	Config
	commits  []string
	contents map[string]*content
	order    []string // of contents

	mu     sync.Mutex
	found  []occurrence
	clean  []string
	result Result
}

func (s *scan) skip(path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 1000
	if len(s.result.Skipped) < most {
		s.result.Skipped = append(s.result.Skipped, diag.Place{File: strings.ToValidUTF8(cmp.Or(path, "."), "\uFFFD"), Why: err.Error()})
	}
}

// list finds every content, the first commit that brought it, and where.
func (s *scan) list(ctx context.Context) error {
	commits, err := s.Repo.Reachable(ctx, s.Heads...)
	if err == nil {
		s.commits, s.result.Commits = commits, len(commits)
		number := map[string]int{}
		for i, id := range commits {
			number[id] = i
		}
		err = s.Repo.Brought(ctx, commits, func(commit string, c git.Change) {
			if !git.IsZero(c.New) && c.Mode != 0o160000 {
				s.add(c.New, c.Path, number[commit])
			}
		})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, id := range s.commits {
		s.add(id, message, i)
	}
	if err == nil {
		return nil
	}
	// Broken commits or trees: the contents that are there are looked at all the same, without their places.
	s.skip("", err)
	blobs, err := s.Repo.All(ctx)
	if err != nil {
		return fmt.Errorf("listing what the repository holds: %w", err)
	}
	for _, id := range blobs {
		s.add(id, "unnamed/"+id, -1)
	}
	return nil
}

func (s *scan) add(id, path string, commit int) {
	if c := s.contents[id]; c != nil {
		if len(c.paths) < 20 && !slices.Contains(c.paths, path) && !strings.HasPrefix(path, "unnamed/") {
			c.paths = append(c.paths, path)
		}
		return
	}
	s.contents[id] = &content{id: id, path: path, commit: commit, paths: []string{path}}
	s.order = append(s.order, id)
}

// read looks at the contents, several at a time.
func (s *scan) read(ctx context.Context, ids []string) error {
	type job struct {
		content *content
		text    []byte
	}
	var wanted []string
	for _, id := range ids {
		if c := s.contents[id]; c.path == message || s.Scanner.Wants(c.path) {
			wanted = append(wanted, id)
		} else {
			s.clean = append(s.clean, id)
		}
	}
	jobs := make(chan job, 4)
	var workers sync.WaitGroup
	for range max(1, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for j := range jobs {
				s.look(j.content, j.text)
			}
		})
	}
	err := s.Repo.ReadEach(ctx, wanted, largest, func(id string, text []byte, err error) error {
		c := s.contents[id]
		if err != nil {
			s.skip(c.path, err)
			return ctx.Err()
		}
		s.result.Bytes += int64(len(text))
		jobs <- job{c, slices.Clone(text)}
		return ctx.Err()
	})
	close(jobs)
	workers.Wait()
	return err
}

// look finds the secrets of one content. A scanner that breaks costs that content alone.
func (s *scan) look(c *content, text []byte) {
	defer func() {
		if r := recover(); r != nil {
			s.skip(c.path, fmt.Errorf("scanner secret broke on it: %v", r))
		}
	}()
	if c.path == message {
		_, after, _ := strings.Cut(string(text), "\n\n")
		text = []byte(after)
	}
	findings, err := s.Scanner.Look(c.path, text)
	if err != nil {
		s.skip(c.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(findings) == 0 && err == nil {
		s.clean = append(s.clean, c.id)
	}
	for _, f := range findings {
		s.found = append(s.found, occurrence{f, c})
	}
}

// tell makes one finding of each secret: where it stands in HEAD, or else
// where it stood last, and which commit brought it.
func (s *scan) tell(ctx context.Context) error {
	head, err := s.headPaths(ctx)
	if err != nil {
		return err
	}
	same := map[string][]occurrence{}
	for _, o := range s.found {
		if s.Allowed != nil && o.content.commit >= 0 && s.Allowed(s.commits[o.content.commit]) {
			continue
		}
		key := o.finding.ProductFields[finding.FieldFingerprint]
		same[key] = append(same[key], o)
	}
	firsts := map[int]git.Commit{}
	for _, all := range same {
		f := s.one(all, head)
		first := slices.MinFunc(all, func(a, b occurrence) int { return a.content.commit - b.content.commit }).content.commit
		if first >= 0 {
			c, ok := firsts[first]
			if !ok {
				if c, err = s.Repo.Commit(ctx, s.commits[first]); err != nil {
					s.skip("", fmt.Errorf("reading commit %s: %w", s.commits[first], err))
				}
				firsts[first] = c
			}
			f.ProductFields[finding.FieldSince] = s.commits[first]
			if !c.Author.Time.IsZero() {
				f.ProductFields[finding.FieldSinceTime] = c.Author.Time.UTC().Format(time.RFC3339)
				f.ProductFields[finding.FieldAuthor] = finding.Shorten(person(c.Author), 200)
			}
		}
		s.result.Findings = append(s.result.Findings, f)
	}
	slices.SortFunc(s.result.Findings, func(a, b finding.Finding) int {
		p, q := a.Place(), b.Place()
		return cmp.Or(strings.Compare(p.File, q.File), p.Line-q.Line, strings.Compare(a.ProductFields[finding.FieldFingerprint], b.ProductFields[finding.FieldFingerprint]))
	})
	slices.SortFunc(s.result.Skipped, func(a, b diag.Place) int {
		return cmp.Or(strings.Compare(a.File, b.File), strings.Compare(a.Why, b.Why))
	})
	return nil
}

func person(p git.Person) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.TrimSpace(p.Name+" <"+p.Email+">"))
}

// headPaths are the paths of HEAD by content.
func (s *scan) headPaths(ctx context.Context) (map[string][]string, error) {
	byID := map[string][]string{}
	if s.Head == "" || len(s.found) == 0 {
		return byID, nil
	}
	files, err := s.Repo.Files(ctx, s.Head)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.skip("", err)
		return byID, nil
	}
	for path, id := range files {
		byID[id] = append(byID[id], path)
	}
	return byID, nil
}

// one is the finding of all occurrences of a secret.
func (s *scan) one(all []occurrence, head map[string][]string) finding.Finding {
	var here []finding.Finding
	for _, o := range all {
		for _, path := range head[o.content.id] {
			here = append(here, moved(o, path))
		}
	}
	reach := finding.InHead
	if len(here) == 0 {
		reach = finding.InHistory
		last := slices.MaxFunc(all, func(a, b occurrence) int {
			return cmp.Or(a.content.commit-b.content.commit, strings.Compare(b.content.path, a.content.path))
		})
		here = []finding.Finding{moved(last, last.content.path)}
		if last.content.commit >= 0 {
			here[0].ProductFields[finding.FieldLast] = s.commits[last.content.commit]
		}
	}
	f := secret.Merge(here)[0]
	if reach == finding.InHistory {
		f.Title = finding.Shorten(f.Title, 230) + " (only in history)"
	}
	f.ProductFields[finding.FieldStill] = reach
	return f
}

// moved is an occurrence as it stands at another path with the same content.
func moved(o occurrence, path string) finding.Finding {
	return secret.Moved(o.finding, o.content.path, path)
}
