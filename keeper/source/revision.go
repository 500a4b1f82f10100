package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Revision is what a pull request stands for at one time: what would be merged into what, and what comes
// of it. Approvals are bound to it. Any new commit, and any move of the target, makes another.
type Revision struct {
	ID        string    `json:"id"`
	Number    int       `json:"number"`             // from 1
	Head      string    `json:"head"`               // the commit to be merged
	Target    string    `json:"target"`             // where the target was
	Base      string    `json:"base"`               // their best common ancestor
	Tree      string    `json:"tree,omitzero"`      // what the merge gives; "" where people must settle something
	Conflicts []string  `json:"conflicts,omitzero"` // paths
	Problem   string    `json:"problem,omitzero"`   // why it cannot be merged, besides conflicts
	Commits   int       `json:"commits"`
	Makers    []Maker   `json:"makers,omitzero"` // who wrote, made or pushed what is in it
	At        time.Time `json:"at"`
	By        string    `json:"by,omitzero"` // ARN of who moved the ref
}

// Maker is somebody who had a hand in a revision: they do not approve it.
type Maker struct {
	ARN   string `json:"arn,omitzero"` // who pushed
	Name  string `json:"name,omitzero"`
	Email string `json:"email,omitzero"`
	As    string `json:"as"` // author, committer, co-author, pushed
}

// Clean tells whether the revision can be merged by itself.
func (r Revision) Clean() bool { return r.Tree != "" && len(r.Conflicts) == 0 && r.Problem == "" }

// The commits of a pull request that are looked through at most.
const mostCommits = 5000

// fresh is a pull request whose revision is what git would merge right now: git is asked outside the
// transaction, and if a ref has moved meanwhile, asked again.
func (s *Source) fresh(ctx context.Context, number int64) (p Pull, err error) {
	for range 10 {
		var head, target string
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			if p, err = findPull(tx, number); err != nil {
				return err
			}
			head, target, err = ends(tx, p)
			return err
		})
		if err != nil || p.State != Open {
			return p, err
		}
		if p.Gone = gone(head, target); p.Gone != "" || p.Revision.Head == head && p.Revision.Target == target {
			return p, nil
		}
		next, err := s.revise(ctx, p, head, target)
		if err != nil {
			return p, err
		}
		landed := false
		if next.Commits == 0 && p.Revision.Number > 0 {
			repo, err := s.Git(p.Repository)
			if err != nil {
				return p, err
			}
			if landed, err = repo.IsAncestor(ctx, p.Revision.Head, target); err != nil {
				return p, err
			}
		}
		settled := false
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			p, settled, err = s.turn(tx, number, next, landed)
			return err
		})
		if err == nil && settled && p.Revision.Number == 0 {
			err = fault.Invalid.Errorf("%s: %w", shortRef(p.Source), ErrNothing)
		}
		if err != nil || settled {
			return p, err
		}
	}
	return p, fault.Unavailable.Errorf("pull request %d is pushed to all the time", number)
}

func ends(tx *db.Tx, p Pull) (head, target string, err error) {
	if head, err = at(tx, p.Repository, p.Source); err == nil {
		target, err = at(tx, p.Repository, p.Target)
	}
	return head, target, err
}

func gone(head, target string) string {
	switch {
	case git.IsZero(target):
		return "target"
	case git.IsZero(head):
		return "source"
	}
	return ""
}

// revise asks git what comes of merging head into target.
func (s *Source) revise(ctx context.Context, p Pull, head, target string) (r Revision, err error) {
	repo, err := s.Git(p.Repository)
	if err != nil {
		return r, err
	}
	r = Revision{Head: head, Target: target, At: s.config.Now().UTC()}
	m, err := repo.Merge(ctx, target, head)
	switch {
	case errors.Is(err, fault.Conflict), errors.Is(err, fault.Limit):
		r.Problem = err.Error()
	case err != nil:
		return r, fmt.Errorf("merging pull request %d: %w", p.Number, err)
	case m.Clean():
		r.Tree = m.Tree
	default:
		for _, c := range m.Conflicts {
			r.Conflicts = append(r.Conflicts, strings.ToValidUTF8(c.Path, "\uFFFD"))
		}
		r.Conflicts = r.Conflicts[:min(len(r.Conflicts), 100)]
	}
	r.Base = m.Base
	commits, err := repo.Log(ctx, head, "", 0, mostCommits+1, target)
	if err != nil {
		return r, err
	}
	if r.Commits = len(commits); r.Commits > mostCommits {
		r.Problem = fmt.Sprintf("it has more than %d commits", mostCommits)
	}
	if err := s.makers(ctx, p, &r, commits); err != nil {
		return r, err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{strconv.FormatInt(p.Number, 10), head, target, r.Tree}, "\x00")))
	r.ID = hex.EncodeToString(sum[:])
	return r, nil
}

// makers notes who had a hand in the commits, and who pushed them.
func (s *Source) makers(ctx context.Context, p Pull, r *Revision, commits []git.Commit) error {
	seen := map[Maker]bool{}
	add := func(m Maker) {
		if !seen[m] {
			seen[m] = true
			r.Makers = append(r.Makers, m)
		}
	}
	within := map[string]bool{}
	for _, c := range commits {
		within[c.ID] = true
		add(Maker{Name: c.Author.Name, Email: c.Author.Email, As: "author"})
		add(Maker{Name: c.Committer.Name, Email: c.Committer.Email, As: "committer"})
		for _, o := range coAuthors(c.Message) {
			add(Maker{Name: o.Name, Email: o.Email, As: "co-author"})
		}
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		// Whom a commit names as its author, whoever made it chose: who pushed it to this branch counts as well, and who
		// brought it here first, to whichever.
		rows, err := db.All(tx, scanMove, "SELECT "+columns+" FROM source_moves WHERE repository = ? AND state = ? ORDER BY number DESC LIMIT 10000", p.Repository, done)
		first := map[string]string{}
		for _, m := range rows {
			here := m.Ref == p.Source
			if here && m.New == r.Head && r.By == "" {
				r.By = m.Who
			}
			if !within[m.New] || m.Who == "" {
				continue
			}
			if first[m.New] = m.Who; here { // the newest come first
				add(Maker{ARN: m.Who, As: "pushed"})
			}
		}
		for _, c := range commits {
			if who := first[c.ID]; who != "" {
				add(Maker{ARN: who, As: "pushed"})
			}
		}
		return err
	})
}

// coAuthors are those whom the message of a commit names as such.
func coAuthors(message string) (all []git.Person) {
	for line := range strings.Lines(message) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || !strings.EqualFold(key, "co-authored-by") || len(all) == 100 {
			continue
		}
		name, mail, _ := strings.Cut(value, "<")
		mail, _, _ = strings.Cut(mail, ">")
		all = append(all, git.Person{Name: strings.TrimSpace(name), Email: strings.TrimSpace(mail)})
	}
	return all
}

// turn makes next the current revision, unless a ref has moved meanwhile. One that brings nothing any more
// ends the pull request: as merged if what it brought has landed in the target past us, else as closed.
func (s *Source) turn(tx *db.Tx, number int64, next Revision, landed bool) (p Pull, settled bool, err error) {
	if p, err = findPull(tx, number); err != nil || p.State != Open {
		return p, true, err
	}
	head, target, err := ends(tx, p)
	if err != nil || head != next.Head || target != next.Target {
		return p, false, err
	}
	if p.Revision.ID == next.ID {
		return p, true, nil
	}
	was := p.Revision
	if next.Commits == 0 && was.Number == 0 {
		return p, true, dropPull(tx, number)
	}
	next.Number = was.Number + 1
	p.Revision, p.Updated = next, next.At
	body, err := json.Marshal(next)
	if err != nil {
		return p, false, err
	}
	if _, err := tx.Exec("INSERT INTO source_revisions (pull, number, id, body) VALUES (?, ?, ?, ?)", p.Number, next.Number, next.ID, body); err != nil {
		return p, false, err
	}
	if was.Number == 0 { // it is being opened
		if err := keepPull(tx, p); err != nil {
			return p, false, err
		}
		if err := s.note(tx, p, Happened{Type: HappenedCreated, Who: p.Author.ARN, Revision: next.ID, Head: next.Head, Target: next.Target, Base: next.Base}); err != nil {
			return p, false, err
		}
		return p, true, s.tellPull(tx, p, "pullRequestCreated", p.Author.ARN, nil)
	}
	if next.Commits == 0 && !landed {
		p.State, p.Revision = Closed, was
		if err := keepPull(tx, p); err != nil {
			return p, false, err
		}
		if err := s.note(tx, p, Happened{Type: HappenedStatus, Who: next.By, State: Closed, Why: "there is nothing in it any more"}); err != nil {
			return p, false, err
		}
		return p, true, s.tellPull(tx, p, "pullRequestStatusChanged", next.By, nil)
	}
	if next.Commits == 0 { // somebody brought it into the target past us
		p.State = Merged
		p.Merge = &Merge{Commit: target, By: s.mover(tx, p.Repository, p.Target, target), At: next.At, Revision: was.ID}
		p.Revision = was
		if err := keepPull(tx, p); err != nil {
			return p, false, err
		}
		return p, true, s.noteMerged(tx, p)
	}
	if err := keepPull(tx, p); err != nil {
		return p, false, err
	}
	happened := Happened{Type: HappenedSource, Who: next.By, Revision: next.ID, Head: next.Head, OldHead: was.Head, Target: next.Target, Base: next.Base}
	if was.Head == next.Head {
		happened.Type, happened.Who = HappenedTarget, s.mover(tx, p.Repository, p.Target, target)
	}
	if err := s.note(tx, p, happened); err != nil {
		return p, false, err
	}
	return p, true, s.tellPull(tx, p, map[string]string{HappenedSource: "pullRequestSourceBranchUpdated", HappenedTarget: "pullRequestDestinationBranchUpdated"}[happened.Type], happened.Who, nil)
}

// mover is who made a ref point where it does, "" where nobody knows.
func (s *Source) mover(tx *db.Tx, repository, ref, to string) string {
	who, err := db.One(tx, db.Value[string], "SELECT who FROM source_moves WHERE repository = ? AND ref = ? AND new_id = ? AND state = ? ORDER BY number DESC LIMIT 1", repository, ref, to, done)
	if err != nil {
		return ""
	}
	return who
}

// Revisions are all revisions that a pull request had, the oldest first.
func (s *Source) Revisions(ctx context.Context, number int64) (all []Revision, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, func(scan db.Scan) (r Revision, err error) {
			var body []byte
			if err := scan(&body); err != nil {
				return r, err
			}
			return r, json.Unmarshal(body, &r)
		}, "SELECT body FROM source_revisions WHERE pull = ? ORDER BY number", number)
		return err
	})
	return all, err
}

// open is a pull request that is, for a revision that must be the current one; "" is whichever is.
func (s *Source) open(ctx context.Context, number int64, revision string) (Pull, error) {
	p, err := s.fresh(ctx, number)
	switch {
	case err != nil:
		return p, err
	case p.State != Open:
		return p, fault.Conflict.Errorf("pull request %d is %s: %w", number, strings.ToLower(string(p.State)), ErrClosed)
	case p.Gone != "":
		return p, fault.Conflict.Errorf("the %s branch of pull request %d is gone: %w", p.Gone, number, ErrNoRef)
	case revision != "" && revision != p.Revision.ID:
		if !s.hasRevision(ctx, number, revision) {
			return p, fault.NotFound.Errorf("pull request %d has no revision %q", number, revision)
		}
		return p, fault.Conflict.Errorf("pull request %d: %w", number, ErrNotCurrent)
	}
	return p, nil
}

func (s *Source) hasRevision(ctx context.Context, number int64, id string) bool {
	all, err := s.Revisions(ctx, number)
	return err == nil && slices.ContainsFunc(all, func(r Revision) bool { return r.ID == id })
}
