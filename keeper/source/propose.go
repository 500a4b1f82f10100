package source

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// pullRefs is where the heads of pull requests are that no branch names: refs/pull/7/head.
const pullRefs = "refs/pull/"

// ForRefs is what is pushed to for a pull request: refs/for/main, or refs/for/main/topic.
const ForRefs = "refs/for/"

// Proposal is a commit that somebody pushed to refs/for/BRANCH.
type Proposal struct {
	Repository string
	Ref        string // refs/for/BRANCH or refs/for/BRANCH/TOPIC
	Head       string
	Who        Person
	Topic      string // tells this one from others of the same person for the same branch
	Number     int64  // the pull request that is meant, 0 if it is not said
	Title      string // "" is the commit's
	Text       string // the description; "" is the commit's
}

// Proposed is what became of a Proposal.
type Proposed struct {
	Pull Pull
	New  bool   // it was opened; else updated
	Old  string // where its head was, git.Zero for a new one
	Same bool   // it was there already
}

// HeadRef is where a pull request's head can be fetched that was pushed to refs/for.
func HeadRef(number int64) string { return pullRefs + strconv.FormatInt(number, 10) + "/head" }

// Propose opens a pull request for a commit that is in the repository, or gives one that is open another
// head: the one that is named by its number; else the author's for the same branch and topic; and without a
// topic the author's whose head the commit follows, or whose change it is: by Gerrit's Change-Id, or by what git
// keeps of a commit that is amended or rebased, where one pull request alone is meant by that.
func (s *Source) Propose(ctx context.Context, p Proposal) (done Proposed, err error) {
	target, topic, err := s.forBranch(ctx, p.Repository, p.Ref)
	if err != nil {
		return done, err
	}
	if p.Topic == "" {
		p.Topic = topic
	}
	if len(p.Topic) > 100 {
		return done, fault.Limit.Errorf("a topic has at most 100 bytes")
	}
	p.Topic = clip(p.Topic, 100)
	repo, err := s.Git(p.Repository)
	if err != nil {
		return done, err
	}
	c, err := repo.Commit(ctx, p.Head)
	if err != nil {
		return done, fault.Invalid.Errorf("only commits are proposed: %w", err)
	}
	meant, err := s.meant(ctx, repo, p, target, c)
	if err != nil {
		return done, err
	}
	if meant.Number > 0 {
		return s.repropose(ctx, p, meant)
	}
	n := NewPull{Repository: p.Repository, Title: p.Title, Description: p.Text, Target: target, Author: p.Who}
	subject, body, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	if n.Title == "" {
		n.Title = strings.Join(strings.Fields(subject), " ")
	}
	if n.Title == "" {
		n.Title = "Change " + short(p.Head)
	}
	n.Title = firstRunes(n.Title, mostTitle)
	if n.Description == "" {
		n.Description = firstRunes(strings.TrimSpace(body), mostDescription)
	}
	done.New, done.Old = true, git.Zero
	done.Pull, err = s.openPull(ctx, n, func(tx *db.Tx, made *Pull) error {
		made.Topic, made.Source = p.Topic, HeadRef(made.Number)
		return s.setHead(tx, p, made.Source, git.Zero)
	})
	return done, err
}

func firstRunes(s string, most int) string {
	r := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}

// CanPropose tells whether a ref below refs/for/ names a branch that is there.
func (s *Source) CanPropose(ctx context.Context, repository, ref string) error {
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return err
	}
	if r.Upstream != "" {
		return fault.Denied.Errorf("%s mirrors %s: open the pull request there", r.Name, r.Upstream)
	}
	_, _, err = s.forBranch(ctx, repository, ref)
	return err
}

// forBranch parts refs/for/a/b/c into the branch that there is, and a topic.
func (s *Source) forBranch(ctx context.Context, repository, ref string) (target, topic string, err error) {
	rest, ok := strings.CutPrefix(ref, ForRefs)
	if !ok {
		return "", "", fault.Invalid.Errorf("%q is not below refs/for/", ref)
	}
	for branch := rest; branch != ""; {
		if _, err := s.Ref(ctx, repository, "refs/heads/"+branch); err == nil {
			return "refs/heads/" + branch, strings.TrimPrefix(strings.TrimPrefix(rest, branch), "/"), nil
		} else if !errors.Is(err, fault.NotFound) {
			return "", "", err
		}
		i := strings.LastIndexByte(branch, '/')
		if i < 0 {
			break
		}
		branch = branch[:i]
	}
	return "", "", fault.NotFound.Errorf("there is no branch %s in %q to open a pull request for: %w", rest, repository, ErrNoRef)
}

// meant is the open pull request that a proposal is for, with Number 0 for none.
func (s *Source) meant(ctx context.Context, repo *git.Repo, p Proposal, target string, c git.Commit) (Pull, error) {
	if p.Number > 0 {
		was, err := s.Pull(ctx, p.Number)
		switch {
		case err != nil:
			return was, err
		case was.Repository != p.Repository || was.Target != target:
			return was, fault.Invalid.Errorf("pull request %d is for %s of %q", p.Number, shortRef(was.Target), was.Repository)
		case was.State != Open:
			return was, fault.Conflict.Errorf("pull request %d: %w", p.Number, ErrClosed)
		case !strings.HasPrefix(was.Source, pullRefs):
			return was, fault.Invalid.Errorf("pull request %d is made of branch %s: push to that", p.Number, shortRef(was.Source))
		}
		return was, nil
	}
	open, err := s.Pulls(ctx, Pulls{Repository: p.Repository, State: Open, Author: p.Who.ARN, Target: target, Limit: 1000})
	if err != nil {
		return Pull{}, err
	}
	var rewritten []Pull
	brought := sync.OnceValues(func() ([]git.Commit, error) { return s.broughtBy(ctx, repo, p, target) })
	for _, was := range open {
		if !strings.HasPrefix(was.Source, pullRefs) || was.Topic != p.Topic {
			continue
		}
		if p.Topic != "" {
			return was, nil
		}
		follows, err := repo.IsAncestor(ctx, was.Revision.Head, p.Head)
		if err != nil {
			return Pull{}, err
		}
		if follows {
			return was, nil
		}
		old, err := repo.Commit(ctx, was.Revision.Head)
		if err != nil {
			continue
		}
		if id := changeID(c.Message); id != "" && changeID(old.Message) == id {
			return was, nil
		}
		fresh, err := brought()
		if err != nil {
			return Pull{}, err
		}
		if slices.ContainsFunc(fresh, func(c git.Commit) bool { return rewrites(c, old) }) {
			rewritten = append(rewritten, was)
		}
	}
	if len(rewritten) == 1 {
		return rewritten[0], nil
	}
	return Pull{}, nil
}

// broughtBy are the newest commits of a proposal that its target does not have.
func (s *Source) broughtBy(ctx context.Context, repo *git.Repo, p Proposal, target string) ([]git.Commit, error) {
	to, err := s.Ref(ctx, p.Repository, target)
	if err != nil {
		return nil, err
	}
	return repo.Log(ctx, p.Head, "", 0, 100, to)
}

// rewrites tells whether a commit is another one amended or rebased: git keeps who wrote it and when, to the second,
// and people its subject.
func rewrites(c, old git.Commit) bool {
	a, b := changeID(c.Message), changeID(old.Message)
	return c.Author.Name == old.Author.Name && c.Author.Email == old.Author.Email && c.Author.Time.Equal(old.Author.Time) &&
		c.Subject() == old.Subject() && (a == b || a == "" || b == "")
}

// changeID is what Gerrit's hook writes into messages, so that a change is known again when it is rewritten.
func changeID(message string) string {
	id := ""
	for line := range strings.Lines(message) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "Change-Id: "); ok {
			id = strings.TrimSpace(rest)
		}
	}
	return id
}

// repropose gives a pull request another head.
func (s *Source) repropose(ctx context.Context, p Proposal, was Pull) (done Proposed, err error) {
	done.Old = was.Revision.Head
	if done.Old == p.Head {
		done.Pull, done.Same = was, true
		return done, nil
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		now, err := findPull(tx, was.Number)
		if err != nil {
			return err
		}
		if now.State != Open {
			return fault.Conflict.Errorf("pull request %d: %w", was.Number, ErrClosed)
		}
		if p.Title != "" {
			now.Title = p.Title
		}
		if p.Text != "" {
			now.Description = p.Text
		}
		if err := checkText(now.Title, now.Description); err != nil {
			return err
		}
		if err := keepPull(tx, now); err != nil {
			return err
		}
		old, err := at(tx, p.Repository, was.Source)
		if err != nil {
			return err
		}
		return s.setHead(tx, p, was.Source, old)
	})
	if err != nil {
		return done, err
	}
	if err := s.pin(ctx, p.Repository, was.Source); err != nil {
		return done, err
	}
	done.Pull, err = s.fresh(ctx, was.Number)
	return done, err
}

// setHead makes the head of a pull request count, and keeps who pushed it.
func (s *Source) setHead(tx *db.Tx, p Proposal, ref, old string) error {
	number, err := next(tx, p.Repository)
	if err != nil {
		return err
	}
	m := row{state: done, Move: Move{Update: Update{Ref: ref, Old: old, New: p.Head}, Number: number, Who: p.Who.ARN, At: s.config.Now()}}
	if err := m.insert(tx, p.Repository); err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO source_refs (repository, ref, target, moved) VALUES (?, ?, ?, ?) ON CONFLICT (repository, ref) DO UPDATE SET target = excluded.target, moved = excluded.moved",
		p.Repository, ref, p.Head, s.config.Now().UnixMicro())
	return err
}

// pin makes git's ref of a pull request's head point where ours does, so that it can be fetched and stays.
func (s *Source) pin(ctx context.Context, repository, ref string) error {
	to, err := s.Ref(ctx, repository, ref)
	if err != nil {
		return err
	}
	repo, err := s.Git(repository)
	if err != nil {
		return err
	}
	return repo.Point(ctx, ref, to)
}

// pinAll pins what a crash may have left behind.
func (s *Source) pinAll(ctx context.Context, repository string) error {
	var known []git.Ref
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		known, err = db.All(tx, scanRef, "SELECT ref, target FROM source_refs WHERE repository = ? AND ref >= 'refs/pull/' AND ref < 'refs/pull0' ORDER BY ref", repository)
		return err
	})
	if err != nil || len(known) == 0 {
		return err
	}
	repo, err := s.Git(repository)
	if err != nil {
		return err
	}
	refs, err := repo.Refs(ctx, "refs/pull")
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, r := range refs {
		there[r.Name] = r.ID
	}
	var wrong error
	for _, k := range known {
		if there[k.Name] != k.ID {
			wrong = errors.Join(wrong, s.pin(ctx, repository, k.Name))
		}
	}
	return wrong
}
