package gitdoor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// scanner is the tool that push protection's findings are from: the same
// secret has the same Id here and in a scan of the tree.
const scanner = "secret"

// message is what the message of a commit or tag is called, as git itself does.
const message = "COMMIT_EDITMSG"

// found is a secret that a push brings.
type found struct {
	finding.Finding
	object git.Object
	more   int  // other places that hold it
	first  bool // the commit that brings it has none before it
}

// maxFound is how many secrets are looked for before a push is refused.
const maxFound = 1000

// check looks for secrets in everything that the push brings.
func (t *talk) check(ctx context.Context, repo *git.Repo, q question) ([]found, error) {
	var tips []string
	for _, u := range q.updates {
		tips = append(tips, u.New)
	}
	objects, err := repo.Incoming(ctx, q.quarantine, tips)
	t.ahead.end()
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.Size > t.door.config.MaxFile && o.Type != "tree" {
			return nil, fault.Limit.Errorf("%s has %d bytes, a file may have %d: large files belong elsewhere", objectName(o), o.Size, t.door.config.MaxFile)
		}
	}
	each, err := t.lookAll(ctx, repo, objects)
	if err != nil {
		return nil, err
	}
	return once(slices.Concat(each...)), nil
}

// lookAll looks into every object that is no tree, and was not looked at while it came: as many processes
// of git as there are processors read them, one after the other, and each is looked at as it comes.
func (t *talk) lookAll(ctx context.Context, repo *git.Repo, objects []git.Object) ([][]found, error) {
	s := search{talk: t, objects: objects, each: make([][]found, len(objects)), firsts: map[string]bool{}}
	group, ctx := errgroup.WithContext(ctx)
	for _, share := range shares(objects, s.unseen(), runtime.GOMAXPROCS(0)) {
		group.Go(func() error { return s.some(ctx, repo, share) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	for _, all := range s.each {
		for i := range all {
			all[i].first = s.firsts[all[i].commit()]
		}
	}
	return s.each, nil
}

// unseen are the numbers of the objects that are still to be looked at.
func (s *search) unseen() (numbers []int) {
	for i, o := range s.objects {
		if o.Type == "tree" {
			continue
		}
		if l, ok := s.talk.ahead.of(o); ok {
			s.found(i, l.first, s.talk.own(o, l.findings))
			continue
		}
		numbers = append(numbers, i)
	}
	return numbers
}

// shares are numbers of objects, parted so that each part has as many bytes.
func shares(objects []git.Object, numbers []int, n int) (all [][]int) {
	total, sum := int64(0), int64(0)
	for _, i := range numbers {
		total += objects[i].Size + 1
	}
	for _, i := range numbers {
		if len(all) == 0 || sum*int64(n) >= total*int64(len(all)) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], i)
		sum += objects[i].Size + 1
	}
	return all
}

// search is the look into all objects of a push, from several goroutines.
type search struct {
	talk    *talk
	objects []git.Object

	mu     sync.Mutex
	each   [][]found // by object
	firsts map[string]bool
	count  int
}

// some looks into a share of the objects.
func (s *search) some(ctx context.Context, repo *git.Repo, share []int) error {
	ids := make([]string, len(share))
	for n, i := range share {
		ids[n] = s.objects[i].ID
	}
	n := 0
	return repo.ReadEach(ctx, ids, git.Largest, func(id string, content []byte, err error) error {
		if err != nil {
			return fmt.Errorf("reading %s of the push: %w", id, err)
		}
		i := share[n]
		n++
		o := s.objects[i]
		secrets, err := s.talk.look(ctx, o, content)
		if err != nil {
			return err
		}
		if s.found(i, isFirst(o.Type, content), secrets) > maxFound {
			return errEnough
		}
		return ctx.Err()
	})
}

// found keeps the secrets of an object, and says how many there are by now.
func (s *search) found(i int, first bool, secrets []found) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each[i] = secrets
	if first {
		s.firsts[s.objects[i].ID] = true
	}
	s.count += len(secrets)
	return s.count
}

// isFirst tells whether an object is a commit that has none before it.
func isFirst(kind string, content []byte) bool {
	return kind == "commit" && !bytes.Contains(header(content), []byte("\nparent "))
}

// once is each finding once, where it is met first: a secret in ten places is one.
func once(all []found) []found {
	seen := map[string]int{}
	var kept []found
	for _, f := range all {
		if i, ok := seen[f.ID]; ok {
			kept[i].more++
			continue
		}
		seen[f.ID] = len(kept)
		kept = append(kept, f)
	}
	return kept
}

// header is what a commit or tag has before its message.
func header(content []byte) []byte {
	h, _, _ := bytes.Cut(content, []byte("\n\n"))
	return h
}

// errEnough ends the search: the push is refused whatever else it brings.
var errEnough = fault.Limit.Errorf("more than %d secrets", maxFound)

// look finds the secrets in one object. A scanner that breaks on it refuses that push alone.
func (t *talk) look(ctx context.Context, o git.Object, content []byte) (secrets []found, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("looking for secrets in %s: %v", o.ID, r)
		}
	}()
	path, content := lookedAt(o.ID, o.Type, o.Path, content)
	return t.own(o, t.door.config.Secrets.Check(ctx, t.call.repository, path, content)), nil
}

// lookedAt is what is looked at of an object, and under which path.
func lookedAt(id, kind, path string, content []byte) (string, []byte) {
	if kind != "blob" {
		_, text, _ := bytes.Cut(content, []byte("\n\n"))
		return message, text
	}
	if path == "" {
		return "unnamed/" + id, content
	}
	return strings.ToValidUTF8(path, "\uFFFD"), content // git takes any bytes, a finding does not
}

// own are what was found in an object, as this server's findings.
func (t *talk) own(o git.Object, findings []finding.Finding) (secrets []found) {
	scan := finding.Scan{Tool: scanner, Target: t.call.repository, Commit: o.Commit}
	for _, f := range findings {
		secrets = append(secrets, found{Finding: t.door.config.Maker.Own(scan, f, t.door.config.Now()), object: o})
	}
	return secrets
}

// objectName is what people call an object.
func objectName(o git.Object) string {
	if o.Path == "" {
		return o.Type + " " + o.ID
	}
	return printable(o.Path)
}
