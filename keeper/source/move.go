package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// What the events that tell of refs are called (EventBridge's detail-type and source).
const (
	EventSource = "aws.codecommit"
	Moved       = "CodeCommit Repository State Change"
)

// The values of Detail.Event.
const (
	Created = "referenceCreated"
	Updated = "referenceUpdated"
	Deleted = "referenceDeleted"
)

// Detail is what a Moved event says, in CodeCommit's words.
type Detail struct {
	Event             string `json:"event"`
	RepositoryName    string `json:"repositoryName"`
	RepositoryID      string `json:"repositoryId"`
	ReferenceType     string `json:"referenceType"` // branch or tag
	ReferenceName     string `json:"referenceName"` // main
	ReferenceFullName string `json:"referenceFullName"`
	CommitID          string `json:"commitId,omitzero"`    // where the ref points now, unless it is gone
	OldCommitID       string `json:"oldCommitId,omitzero"` // where it pointed before, if it was there
	CallerUserARN     string `json:"callerUserArn,omitzero"`
	Forced            bool   `json:"forced,omitzero"` // what it pointed at is no part of its history any more
}

// state says how far a move has come.
const (
	pending = "PENDING" // git may have made it, or be about to
	done    = "DONE"    // git has made it, and its event is published
	dropped = "DROPPED" // git has not made it
)

// Update is one move of a ref that somebody asks for.
type Update struct {
	Ref      string // full name
	Old, New string // git.Zero for "not there"
}

// Push is what somebody asks for in one go.
type Push struct {
	ID         string // unique
	Repository string
	Who        string // ARN
	Updates    []Update
	Mirror     bool // what the repository's upstream has taken already: our rules do not refuse it
}

// Move is a line of the log of refs.
type Move struct {
	Update
	Number int64 // within the repository
	Push   string
	Who    string // "" for one that was made behind our back
	At     time.Time
	Forced bool
	Done   bool
}

// row is a Move and its state as the table has it.
type row struct {
	Move
	state string
}

const columns = "number, push, ref, old_id, new_id, who, at, forced, state"

func scanMove(scan db.Scan) (r row, err error) {
	var at, forced int64
	err = scan(&r.Number, &r.Push, &r.Ref, &r.Old, &r.New, &r.Who, &at, &forced, &r.state)
	r.At, r.Forced, r.Done = time.UnixMicro(at).UTC(), forced != 0, r.state == done
	return r, err
}

// Intend keeps what a push is about to do, if the repository's rules allow all
// of it; repo is where the push's objects can be read. After it git may move
// the refs, and Confirm must be told.
func (s *Source) Intend(ctx context.Context, repo *git.Repo, p Push) error {
	return s.intend(ctx, repo, p, nil)
}

// intend is Intend, for a push that merges a pull request if m says so: then it was judged already.
func (s *Source) intend(ctx context.Context, repo *git.Repo, p Push, m *mergeRecord) error {
	r, err := s.Repository(ctx, p.Repository)
	if err != nil {
		return err
	}
	if r.Upstream != "" && !p.Mirror {
		return fault.Denied.Errorf("%s mirrors %s: push there, and it comes here by itself", r.Name, r.Upstream)
	}
	forced := make([]bool, len(p.Updates))
	for i, u := range p.Updates {
		forced[i], err = allowed(ctx, repo, r, u)
		if p.Mirror && (err == nil || fault.Of(err) == fault.Denied) {
			continue
		}
		if err != nil {
			return err
		}
		if m == nil {
			err = s.reviewed(ctx, repo, r, u)
		}
		if err == nil && r.signed(u.Ref) && !git.IsZero(u.New) {
			err = s.allSigned(ctx, repo, u)
		}
		if err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if m != nil {
			if err := s.stillOpen(tx, *m, p.Updates[0]); err != nil {
				return err
			}
			if err := keepRecord(tx, p, *m); err != nil {
				return err
			}
		}
		number, err := next(tx, p.Repository)
		if err != nil {
			return err
		}
		for i, u := range p.Updates {
			m := row{state: pending, Move: Move{Update: u, Number: number + int64(i), Push: p.ID, Who: p.Who, At: s.config.Now(), Forced: forced[i]}}
			if err := m.insert(tx, p.Repository); err != nil {
				return err
			}
		}
		return nil
	})
}

func next(tx *db.Tx, repository string) (int64, error) {
	return db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM source_moves WHERE repository = ?", repository)
}

func (m row) insert(tx *db.Tx, repository string) error {
	forced := 0
	if m.Forced {
		forced = 1
	}
	_, err := tx.Exec("INSERT INTO source_moves (repository, "+columns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		repository, m.Number, m.Push, m.Ref, m.Old, m.New, m.Who, m.At.UnixMicro(), forced, m.state)
	return err
}

// allowed refuses what the rules forbid, and tells whether a move gives up history.
func allowed(ctx context.Context, repo *git.Repo, r Repository, u Update) (forced bool, err error) {
	short, isBranch := strings.CutPrefix(u.Ref, "refs/heads/")
	switch {
	case !git.ValidRef(u.Ref) || !utf8.ValidString(u.Ref): // git takes any bytes; events and people do not
		return false, fault.Invalid.Errorf("%q cannot be a ref", u.Ref)
	case !isBranch && !strings.HasPrefix(u.Ref, "refs/tags/") && !strings.HasPrefix(u.Ref, "refs/notes/"):
		return false, fault.Denied.Errorf("%s is not to be pushed to: only branches (refs/heads), tags (refs/tags), notes (refs/notes) and pull requests (refs/for/BRANCH) are (git push --all, and git push --tags, instead of --mirror)", u.Ref)
	case r.Fixed(u.Ref) && !git.IsZero(u.Old):
		return false, fault.Denied.Errorf("tag %s is made once here: it neither moves nor goes; make another", strings.TrimPrefix(u.Ref, "refs/tags/"))
	case git.IsZero(u.New) && r.Protected(u.Ref):
		return false, fault.Denied.Errorf("branch %s is protected: it cannot be deleted", short)
	case git.IsZero(u.New) || git.IsZero(u.Old):
		return false, nil
	}
	if !isBranch {
		return true, nil // a tag that moves never follows from what it was
	}
	follows, err := repo.IsAncestor(ctx, u.Old, u.New)
	if err != nil {
		return false, fmt.Errorf("comparing %s and %s: %w", u.Old, u.New, err)
	}
	if !follows && r.Protected(u.Ref) {
		return true, fault.Denied.Errorf("branch %s is protected: its history only grows, and this push would take commits away (git pull --rebase, then push without --force)", short)
	}
	return !follows, nil
}

// reviewed refuses what is to come by a pull request. A branch that is new begins where a protected branch has been:
// what it holds came by the rules of that one. Where there is none yet, it comes as it is.
func (s *Source) reviewed(ctx context.Context, repo *git.Repo, r Repository, u Update) error {
	short := shortRef(u.Ref)
	switch {
	case !r.Reviewed(u.Ref):
		return nil
	case !git.IsZero(u.Old):
		return fault.Denied.Errorf("branch %s takes changes through pull requests only: git push origin HEAD:refs/for/%s opens one, and pushing there again updates it", short, short)
	}
	heads, err := s.protectedHeads(ctx, r, u.Ref)
	if err != nil {
		return err
	}
	begins, err := begins(ctx, repo, u.New, heads)
	if err != nil || begins {
		return err
	}
	return fault.Denied.Errorf("branch %s takes changes through pull requests only, and begins with what a protected branch has: git push origin origin/%s:refs/heads/%s makes it, and git push origin HEAD:refs/for/%s proposes the rest", short, r.DefaultBranch, short, short)
}

// protectedHeads are where the protected branches are, but for one.
func (s *Source) protectedHeads(ctx context.Context, r Repository, but string) (heads []string, err error) {
	refs, err := s.Refs(ctx, r.Name, "refs/heads/", "", 100_000)
	for _, ref := range refs {
		if ref.Name != but && r.Protected(ref.Name) && len(heads) < 5000 {
			heads = append(heads, ref.ID)
		}
	}
	return heads, err
}

// begins tells whether a new branch holds nothing but what others do; where there are none, anything is.
func begins(ctx context.Context, repo *git.Repo, commit string, heads []string) (bool, error) {
	if len(heads) == 0 {
		return true, nil
	}
	fresh, err := repo.Log(ctx, commit, "", 0, 1, heads...)
	return len(fresh) == 0, err
}

// allSigned refuses commits whose signatures are not verified.
func (s *Source) allSigned(ctx context.Context, repo *git.Repo, u Update) error {
	bad, err := s.unsigned(ctx, repo, u.Old, u.New, s.config.Now())
	if err != nil {
		return fmt.Errorf("looking at signatures: %w", err)
	}
	if len(bad) == 0 {
		return nil
	}
	return fault.Denied.Errorf("branch %s takes signed commits only, and commit %s %s: sign with ssh or OpenPGP (git config gpg.format ssh; git rebase --exec 'git commit --amend --no-edit -S' %s), and have the key known here (haechi repo signer add)",
		shortRef(u.Ref), short(bad[0].Commit), bad[0].Why, since(u.Old))
}

func since(old string) string {
	if git.IsZero(old) {
		return "--root"
	}
	return short(old)
}

// stillOpen refuses to merge what somebody has merged, closed or changed meanwhile.
func (s *Source) stillOpen(tx *db.Tx, m mergeRecord, u Update) error {
	p, err := findPull(tx, m.Pull)
	if err != nil {
		return err
	}
	if p.State != Open {
		return fault.Conflict.Errorf("pull request %d: %w", m.Pull, ErrClosed)
	}
	head, target, err := ends(tx, p)
	if err != nil {
		return err
	}
	if p.Revision.ID != m.Merge.Revision || head != p.Revision.Head || target != u.Old {
		return fault.Conflict.Errorf("pull request %d: %w", m.Pull, ErrNotCurrent)
	}
	return nil
}

// Confirm says which refs of a push git has moved. Each counts from now on,
// once, however often it is confirmed.
func (s *Source) Confirm(ctx context.Context, repository, push string, moved []string) error {
	adopted := false
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		adopted = false
		rows, err := db.All(tx, scanMove, "SELECT "+columns+" FROM source_moves WHERE push = ? ORDER BY number", push)
		if err != nil {
			return err
		}
		for _, m := range rows {
			if m.state != done && !slices.Contains(moved, m.Ref) {
				if err := m.set(tx, repository, dropped); err != nil {
					return err
				}
			}
		}
		for _, m := range rows {
			if m.state == done || !slices.Contains(moved, m.Ref) {
				continue
			}
			adopt, err := s.settle(tx, repository, m)
			if err != nil {
				return err
			}
			adopted = adopted || adopt
		}
		return nil
	})
	if err != nil || !adopted {
		return err
	}
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return err
	}
	return s.point(ctx, r)
}

// settle makes a move count that git has made. Since git moves a ref only from
// where the move says, the moves that lead there have been made too, although
// nobody has confirmed them yet: they count first. If nobody intended such,
// the gap is written down, so that what is told of a ref has no holes.
func (s *Source) settle(tx *db.Tx, repository string, m row) (adopted bool, err error) {
	here, err := at(tx, repository, m.Ref)
	if err != nil {
		return false, err
	}
	way, err := s.way(tx, repository, m.Ref, here, m.Old, m.Number)
	if err != nil {
		return false, err
	}
	for _, earlier := range append(way, m) {
		adopt, err := s.count(tx, repository, earlier)
		if err != nil {
			return false, err
		}
		adopted = adopted || adopt
	}
	return adopted, nil
}

// way are the moves by which a ref has come from one target to another, without
// the move of a number: those that were intended, even if they were given up
// already, since git may outlive the server that started it; else one by nobody we know.
func (s *Source) way(tx *db.Tx, repository, ref, from, to string, without int64) ([]row, error) {
	if from == to {
		return nil, nil
	}
	open, err := db.All(tx, scanMove, `SELECT `+columns+` FROM source_moves WHERE repository = ? AND ref = ? AND number <> ? AND (state = ? OR state = ? AND number >
		(SELECT COALESCE(MAX(number), 0) FROM source_moves WHERE repository = ? AND ref = ? AND state = ?)) ORDER BY number`,
		repository, ref, without, pending, dropped, repository, ref, done)
	if err != nil {
		return nil, err
	}
	if made := chain(open, from, to); made != nil {
		return made, nil
	}
	number, err := next(tx, repository)
	if err != nil {
		return nil, err
	}
	s.config.Log.Warn("a ref was moved by nobody we know", "repository", repository, "ref", ref, "from", from, "to", to)
	unknown := row{state: pending, Move: Move{Update: Update{Ref: ref, Old: from, New: to}, Number: number, At: s.config.Now()}}
	return []row{unknown}, unknown.insert(tx, repository)
}

// chain is the shortest way from one target to another over moves, or nil.
func chain(moves []row, from, to string) []row {
	type step struct {
		at  string
		way []row
	}
	seen := map[string]bool{from: true}
	for queue := []step{{at: from}}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if s.at == to {
			return s.way
		}
		for _, m := range moves {
			if m.Old == s.at && !seen[m.New] {
				seen[m.New] = true
				queue = append(queue, step{m.New, append(slices.Clone(s.way), m)})
			}
		}
	}
	return nil
}

// count makes one move count: its state, where the ref is, and the event. It
// tells whether the branch became the default one of a repository that had none.
func (s *Source) count(tx *db.Tx, repository string, m row) (adopted bool, err error) {
	if err := m.set(tx, repository, done); err != nil {
		return false, err
	}
	if git.IsZero(m.New) {
		_, err = tx.Exec("DELETE FROM source_refs WHERE repository = ? AND ref = ?", repository, m.Ref)
	} else {
		_, err = tx.Exec("INSERT INTO source_refs (repository, ref, target, moved) VALUES (?, ?, ?, ?) ON CONFLICT (repository, ref) DO UPDATE SET target = excluded.target, moved = excluded.moved",
			repository, m.Ref, m.New, s.config.Now().UnixMicro())
	}
	if err != nil {
		return false, err
	}
	r, err := find(tx, repository)
	if err != nil {
		return false, err
	}
	if adopted, err = adopt(tx, r, m); err != nil {
		return false, err
	}
	if err := s.landed(tx, m); err != nil {
		return false, err
	}
	detail, err := json.Marshal(m.detail(r))
	if err != nil {
		return false, err
	}
	return adopted, s.config.Bus.Publish(tx, event.Event{
		Type: Moved, Source: EventSource, Account: s.config.Account, Region: s.config.Region,
		Time: s.config.Now(), Resources: []string{s.ARN(repository)}, Detail: detail,
	})
}

// adopt makes the first branch of a repository its default branch, as CodeCommit does. Of several that come with one
// push it is the one that the repository calls so already, or else one that is commonly called so.
func adopt(tx *db.Tx, r Repository, m row) (bool, error) {
	branch, ok := strings.CutPrefix(m.Ref, "refs/heads/")
	if !ok || branch == r.DefaultBranch || git.IsZero(m.New) {
		return false, nil
	}
	const heads = "ref >= 'refs/heads/' AND ref < 'refs/heads0'"
	together := []string{m.Ref}
	if m.Push != "" {
		all, err := db.All(tx, db.Value[string], "SELECT ref FROM source_moves WHERE repository = ? AND push = ? AND new_id <> ? AND state <> ? AND "+heads+" ORDER BY number", r.Name, m.Push, git.Zero, dropped)
		if err != nil {
			return false, err
		}
		if len(all) > 0 {
			together = all
		}
	}
	first := together[0]
	for _, name := range []string{"trunk", "master", "main", r.DefaultBranch} {
		if slices.Contains(together, "refs/heads/"+name) {
			first = "refs/heads/" + name
		}
	}
	if first != m.Ref {
		return false, nil
	}
	others, err := db.All(tx, db.Value[string], "SELECT ref FROM source_refs WHERE repository = ? AND "+heads+" LIMIT ?", r.Name, len(together)+1)
	if err != nil || slices.ContainsFunc(others, func(ref string) bool { return !slices.Contains(together, ref) }) {
		return false, err
	}
	r.DefaultBranch = branch
	return true, keep(tx, r)
}

func (m row) set(tx *db.Tx, repository, state string) error {
	_, err := tx.Exec("UPDATE source_moves SET state = ? WHERE repository = ? AND number = ?", state, repository, m.Number)
	return err
}

func (m row) detail(r Repository) Detail {
	d := Detail{
		Event: Updated, RepositoryName: r.Name, RepositoryID: r.ID, ReferenceFullName: m.Ref, ReferenceType: "branch",
		CommitID: m.New, OldCommitID: m.Old, CallerUserARN: m.Who, Forced: m.Forced,
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(m.Ref, "refs/"), "/")
	d.ReferenceName = name
	switch kind {
	case "tags":
		d.ReferenceType = "tag"
	case "notes":
		d.ReferenceType = "note"
	}
	if git.IsZero(m.Old) {
		d.Event, d.OldCommitID = Created, ""
	}
	if git.IsZero(m.New) {
		d.Event, d.CommitID = Deleted, ""
	}
	return d
}

// Moves are the latest lines of the log of a repository's refs, or of one of
// them, the newest first, those before a number (0 for all), at most limit.
func (s *Source) Moves(ctx context.Context, repository, ref string, before int64, limit int) (moves []Move, err error) {
	if before == 0 {
		before = 1 << 62
	}
	query, args := "SELECT "+columns+" FROM source_moves WHERE repository = ? AND number < ? AND state <> ?", []any{repository, before, dropped}
	if ref != "" {
		query, args = query+" AND ref = ?", append(args, ref)
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := db.All(tx, scanMove, query+" ORDER BY number DESC LIMIT ?", append(args, limit)...)
		moves = moves[:0]
		for _, r := range rows {
			moves = append(moves, r.Move)
		}
		return err
	})
	return moves, err
}
