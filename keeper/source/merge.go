package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Option is a way to merge.
type Option string

// The ways to merge, in CodeCommit's words.
const (
	FastForward Option = "FAST_FORWARD_MERGE" // the target moves to the head
	Squash      Option = "SQUASH_MERGE"       // one new commit holds everything
	ThreeWay    Option = "THREE_WAY_MERGE"    // a new commit has both as its parents
)

// Merging says how somebody wants to merge.
type Merging struct {
	Option  Option
	Head    string // the commit that is meant, if another is to be refused
	By      Person
	Name    string // author of the commit that is made; "" is By's
	Email   string
	Message string // "" is the pull request's
	Settle  Settling
}

// mergeRecord is what is known of a move that merges a pull request.
type mergeRecord struct {
	Pull  int64  `json:"pull"`
	Tree  string `json:"tree"` // of the target after it
	Merge Merge  `json:"merge"`
}

// MergePull merges a pull request, if everything that is asked for is there: the server makes the commit,
// and git moves the target as after a push.
func (s *Source) MergePull(ctx context.Context, number int64, m Merging) (Pull, error) {
	p, err := s.open(ctx, number, "")
	if err != nil {
		return p, err
	}
	if m.Head != "" && m.Head != p.Revision.Head {
		return p, fault.Conflict.Errorf("pull request %d: %w", number, ErrTipMoved)
	}
	v, err := s.judge(ctx, p)
	if err != nil {
		return p, err
	}
	if !p.Revision.Clean() && (!m.Settle.any() || p.Revision.Problem != "" || m.Option == FastForward) {
		return p, fault.Conflict.Errorf("pull request %d: %w (%s)", number, ErrConflicts, p.Revision.why(""))
	}
	if !v.Approved {
		return p, fault.Denied.Errorf("pull request %d: %w: %s", number, ErrUnmet, v.Unmet())
	}
	repo, err := s.Git(p.Repository)
	if err != nil {
		return p, err
	}
	tree := p.Revision.Tree
	if !p.Revision.Clean() || len(m.Settle.Files) > 0 {
		if tree, err = s.settlePull(ctx, repo, p, v, m.Settle); err != nil {
			return p, err
		}
	}
	if m.Message == "" {
		m.Message = p.message(m.Option)
	}
	to, err := s.merged(ctx, repo, p.Revision.Target, p.Revision.Head, tree, m)
	if err != nil {
		return p, err
	}
	push := Push{ID: "merge/" + bus.ID(), Repository: p.Repository, Who: m.By.ARN, Updates: []Update{{Ref: p.Target, Old: p.Revision.Target, New: to}}}
	record := mergeRecord{Pull: number, Tree: tree, Merge: Merge{Option: m.Option, Commit: to, By: m.By.ARN, Revision: p.Revision.ID, Reviewed: v.reviewed()}}
	if err := s.carryOut(ctx, repo, push, &record); err != nil {
		return p, err
	}
	return s.fresh(ctx, number)
}

// message is what the commit that merges a pull request says.
func (p Pull) message(o Option) string {
	text := fmt.Sprintf("Merge pull request %d: %s", p.Number, p.Title)
	if o == Squash {
		text = fmt.Sprintf("%s (#%d)", p.Title, p.Number)
	}
	if d := strings.TrimSpace(p.Description); d != "" {
		text += "\n\n" + d
	}
	return text + "\n"
}

// merged is the commit that the target is to point at; nothing points at it yet.
func (s *Source) merged(ctx context.Context, repo *git.Repo, target, head, tree string, m Merging) (string, error) {
	c := git.Commit{Tree: tree, Message: m.Message}
	c.Author = s.person(m.By, m.Name, m.Email)
	c.Committer = s.person(m.By, "", "")
	switch m.Option {
	case FastForward:
		follows, err := repo.IsAncestor(ctx, target, head)
		if err == nil && !follows {
			err = fault.Conflict.Errorf("%w: the target has commits that the source lacks, so it cannot be moved forward: merge it three-way, or rebase the source", ErrConflicts)
		}
		return head, err
	case Squash:
		c.Parents = []string{target}
	case ThreeWay:
		c.Parents = []string{target, head}
	default:
		return "", fault.Invalid.Errorf("%q is no way to merge", m.Option)
	}
	return repo.Make(ctx, c, s.sign)
}

// person is somebody as the author of a commit.
func (s *Source) person(by Person, name, email string) git.Person {
	who := git.Person{Name: by.Name, Time: s.config.Now()}
	if len(by.Emails) > 0 {
		who.Email = by.Emails[0]
	}
	if name != "" {
		who.Name = name
	}
	if email != "" {
		who.Email = email
	}
	return who
}

// carryOut makes git do what a push asks for, as for somebody's push: intended, done, confirmed. A kill
// between any two of them is settled by Repair.
func (s *Source) carryOut(ctx context.Context, repo *git.Repo, p Push, m *mergeRecord) error {
	if err := s.intend(ctx, repo, p, m); err != nil {
		return err
	}
	// What began is brought to its end, whether or not the caller is still there.
	ctx = context.WithoutCancel(ctx)
	var moved []string
	var failed error
	for _, u := range p.Updates {
		if failed = repo.Move(ctx, u.Ref, u.Old, u.New); failed != nil {
			break
		}
		moved = append(moved, u.Ref)
	}
	if s.between != nil {
		s.between()
	}
	if err := s.Confirm(ctx, p.Repository, p.ID, moved); err != nil {
		return err
	}
	return failed
}

func keepRecord(tx *db.Tx, p Push, m mergeRecord) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO source_merges (push, repository, commit_id, ref, body) VALUES (?, ?, ?, ?, ?)", p.ID, p.Repository, m.Merge.Commit, p.Updates[0].Ref, body)
	return err
}

func scanRecord(scan db.Scan) (m mergeRecord, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return m, err
	}
	return m, json.Unmarshal(body, &m)
}

// landed makes a move that counts now the merge of the pull request that it is, if it is one.
func (s *Source) landed(tx *db.Tx, m row) error {
	if m.Push == "" {
		return nil
	}
	record, err := db.One(tx, scanRecord, "SELECT body FROM source_merges WHERE push = ?", m.Push)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := findPull(tx, record.Pull)
	if err != nil || p.State == Merged {
		if errors.Is(err, fault.NotFound) {
			return nil
		}
		return err
	}
	record.Merge.At = s.config.Now().UTC()
	p.State, p.Merge, p.Updated = Merged, &record.Merge, record.Merge.At
	if err := keepPull(tx, p); err != nil {
		return err
	}
	return s.noteMerged(tx, p)
}

func (s *Source) noteMerged(tx *db.Tx, p Pull) error {
	if err := s.note(tx, p, Happened{Type: HappenedMerged, Who: p.Merge.By, Revision: p.Merge.Revision, Merge: p.Merge, Head: p.Revision.Head, Target: p.Revision.Target}); err != nil {
		return err
	}
	return s.tellPull(tx, p, "pullRequestMergeStatusUpdated", p.Merge.By, nil)
}

// Options are the ways in which one commit can be merged into another, and what comes of it.
func (s *Source) Options(ctx context.Context, repository, target, head string) (git.Merged, []Option, error) {
	repo, err := s.Git(repository)
	if err != nil {
		return git.Merged{}, nil, err
	}
	m, err := repo.Merge(ctx, target, head)
	if err != nil {
		return m, nil, err
	}
	var all []Option
	if follows, err := repo.IsAncestor(ctx, target, head); err != nil {
		return m, nil, err
	} else if follows {
		all = append(all, FastForward)
	}
	if m.Clean() {
		all = append(all, Squash, ThreeWay)
	}
	return m, all, nil
}

// MergeBranches merges one commit into a branch without a pull request, which the branch's rules must allow.
func (s *Source) MergeBranches(ctx context.Context, repository, target, head string, m Merging) (commit, tree string, err error) {
	ref := full(target)
	at, err := s.Ref(ctx, repository, ref)
	if err != nil {
		return "", "", err
	}
	repo, err := s.Git(repository)
	if err != nil {
		return "", "", err
	}
	g, options, err := s.Options(ctx, repository, at, head)
	if err != nil {
		return "", "", err
	}
	tree = g.Tree
	switch {
	case slices.Contains(options, m.Option) && len(m.Settle.Files) == 0:
	case m.Settle.any() && m.Option != FastForward:
		if tree, err = s.resolve(ctx, repo, repository, g, m.Settle); err != nil {
			return "", "", err
		}
	default:
		return "", "", fault.Conflict.Errorf("%s into %s: %w", head, shortRef(ref), ErrConflicts)
	}
	if m.Message == "" {
		m.Message = "Merge " + head + " into " + shortRef(ref) + "\n"
	}
	to, err := s.merged(ctx, repo, at, head, tree, m)
	if err != nil {
		return "", "", err
	}
	if to == at {
		return to, tree, nil
	}
	push := Push{ID: "merge/" + bus.ID(), Repository: repository, Who: m.By.ARN, Updates: []Update{{Ref: ref, Old: at, New: to}}}
	return to, tree, s.carryOut(ctx, repo, push, nil)
}
