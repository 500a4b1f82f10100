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
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Person is somebody who does something to a pull request, as the doors know them.
type Person struct {
	ARN    string   `json:"arn"`
	Name   string   `json:"name"`            // of the user, or of the session of a role
	Emails []string `json:"emails,omitzero"` // by which commits name them
	Groups []string `json:"groups,omitzero"` // they are in, by name
	Robot  bool     `json:"robot,omitzero"`  // what it approves does not count
}

// State is how far a pull request has come.
type State string

// The states of a pull request.
const (
	Open   State = "OPEN"
	Closed State = "CLOSED" // given up; it can be opened again
	Merged State = "MERGED"
)

// Pull is a pull request: a change that somebody wants to have in a branch.
type Pull struct {
	Number      int64          `json:"number"` // unique in the installation
	Repository  string         `json:"repository"`
	Title       string         `json:"title"`
	Description string         `json:"description,omitzero"`
	Author      Person         `json:"author"`
	Source      string         `json:"source"` // full ref: a branch, or refs/pull/N/head for what was pushed to refs/for
	Target      string         `json:"target"` // full ref of the branch it is for
	Topic       string         `json:"topic,omitzero"`
	State       State          `json:"state"`
	Created     time.Time      `json:"created"`
	Updated     time.Time      `json:"updated"`
	Token       string         `json:"token,omitzero"` // of the client that asked for it
	Asked       string         `json:"asked,omitzero"` // a sum of what was asked for with the token
	Revision    Revision       `json:"revision"`       // what is to be merged, as it is now
	Rules       []ApprovalRule `json:"rules,omitzero"`
	Override    *Override      `json:"override,omitzero"`
	Merge       *Merge         `json:"merge,omitzero"` // once it is merged

	// Gone says that the source or the target is not there any more: "source", "target" or "".
	Gone string `json:"-"`
}

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

// Merge is how a pull request came into its target.
type Merge struct {
	Option   Option    `json:"option,omitzero"` // "" where somebody pushed it past us
	Commit   string    `json:"commit"`          // where the target was after it
	By       string    `json:"by"`              // ARN
	At       time.Time `json:"at"`
	Revision string    `json:"revision"`
	Reviewed bool      `json:"reviewed"` // everything that the rules ask for was there, without an override
}

// Clean tells whether the revision can be merged by itself.
func (r Revision) Clean() bool { return r.Tree != "" && len(r.Conflicts) == 0 && r.Problem == "" }

// The commits of a pull request that are looked through at most.
const mostCommits = 5000

// What a caller may have done wrong, besides what its kind says.
var (
	ErrNotCurrent    = errors.New("that revision is not the current one any more: look at it again")
	ErrClosed        = errors.New("it is not open")
	ErrTipMoved      = errors.New("its source has moved on from the commit that was named")
	ErrConflicts     = errors.New("it does not merge by itself: people must settle what both sides changed")
	ErrUnmet         = errors.New("not everything that is asked for is there")
	ErrOwn           = errors.New("who made a change does not approve it")
	ErrNothing       = errors.New("there is nothing in it that the target does not have")
	ErrNoRef         = errors.New("there is no such branch")
	ErrContent       = errors.New("the approval rule cannot be read")
	ErrHash          = errors.New("the approval rule is another by now")
	ErrFromATemplate = errors.New("the approval rule is a template's")
	ErrToken         = errors.New("the client's token has been used for another request")
)

// NewPull is a pull request that somebody asks for.
type NewPull struct {
	Repository, Title, Description string
	Source, Target                 string // branches, or full refs
	Token                          string // a repeated request with the same gives the same pull request
	Author                         Person
}

// sum tells what was asked for from anything else, however the pull request is edited later.
func (n NewPull) sum() string {
	h := sha256.New()
	for _, text := range []string{n.Title, n.Description, n.Source, n.Target} {
		fmt.Fprintf(h, "%d %s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

const (
	mostTitle       = 150
	mostDescription = 10240
)

// CreatePull opens a pull request from one branch to another.
func (s *Source) CreatePull(ctx context.Context, n NewPull) (Pull, error) {
	r, err := s.Repository(ctx, n.Repository)
	if err != nil {
		return Pull{}, err
	}
	if n.Target == "" {
		n.Target = r.DefaultBranch
	}
	n.Source, n.Target = full(n.Source), full(n.Target)
	if n.Source == n.Target {
		return Pull{}, fault.Invalid.Errorf("%s is both source and target: %w", n.Source, ErrNothing)
	}
	return s.openPull(ctx, n, func(*db.Tx, *Pull) error { return nil })
}

// full is a branch's full ref.
func full(ref string) string {
	if strings.HasPrefix(ref, "refs/") {
		return ref
	}
	return "refs/heads/" + ref
}

// openPull keeps a new pull request; prepare is called within, once it has its number.
func (s *Source) openPull(ctx context.Context, n NewPull, prepare func(*db.Tx, *Pull) error) (p Pull, err error) {
	if err := checkText(n.Title, n.Description); err != nil {
		return p, err
	}
	again := false
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if n.Token != "" {
			was, err := db.One(tx, scanPull, "SELECT body FROM source_pulls WHERE author = ? AND token = ? ORDER BY number LIMIT 1", n.Author.ARN, n.Token)
			if err == nil && (was.Repository != n.Repository || was.Asked != "" && was.Asked != n.sum()) {
				return fault.Conflict.Errorf("it asked for pull request %d: %w", was.Number, ErrToken)
			}
			if err == nil {
				p, again = was, true
				return nil
			}
			if !errors.Is(err, fault.NotFound) {
				return err
			}
		}
		number, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM source_pulls")
		if err != nil {
			return err
		}
		now := s.config.Now().UTC()
		p = Pull{Number: number, Repository: n.Repository, Title: n.Title, Description: n.Description, Author: n.Author, Source: n.Source, Target: n.Target,
			State: Open, Created: now, Updated: now, Token: n.Token}
		if n.Token != "" {
			p.Asked = n.sum()
		}
		if err := prepare(tx, &p); err != nil {
			return err
		}
		for _, ref := range []string{p.Source, p.Target} {
			if to, err := at(tx, p.Repository, ref); err != nil {
				return err
			} else if git.IsZero(to) {
				return fault.NotFound.Errorf("%s in %q: %w", ref, p.Repository, ErrNoRef)
			}
		}
		if p.Rules, err = s.fromTemplates(tx, p); err != nil {
			return err
		}
		return keepPull(tx, p)
	})
	if err != nil {
		return p, err
	}
	if strings.HasPrefix(p.Source, pullRefs) && !again {
		if err := s.pin(ctx, p.Repository, p.Source); err != nil {
			return p, err
		}
	}
	return s.fresh(ctx, p.Number)
}

func dropPull(tx *db.Tx, number int64) error {
	for _, table := range []string{"source_revisions", "source_approvals", "source_pull_events"} {
		if _, err := tx.Exec("DELETE FROM "+table+" WHERE pull = ?", number); err != nil {
			return err
		}
	}
	_, err := tx.Exec("DELETE FROM source_pulls WHERE number = ?", number)
	return err
}

func checkText(title, description string) error {
	switch {
	case strings.TrimSpace(title) == "":
		return fault.Invalid.Errorf("a pull request needs a title")
	case utf8.RuneCountInString(title) > mostTitle || strings.ContainsAny(title, "\n\r"):
		return fault.Limit.Errorf("a title is one line of at most %d characters", mostTitle)
	case utf8.RuneCountInString(description) > mostDescription:
		return fault.Limit.Errorf("a description has at most %d characters", mostDescription)
	}
	return nil
}

func scanPull(scan db.Scan) (p Pull, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return p, err
	}
	return p, json.Unmarshal(body, &p)
}

func keepPull(tx *db.Tx, p Pull) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO source_pulls (number, repository, source, target, author, state, topic, updated, token, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (number) DO UPDATE SET repository = excluded.repository, source = excluded.source, target = excluded.target, state = excluded.state, topic = excluded.topic, updated = excluded.updated, body = excluded.body`,
		p.Number, p.Repository, p.Source, p.Target, p.Author.ARN, string(p.State), p.Topic, p.Updated.UnixMicro(), p.Token, body)
	return err
}

func findPull(tx *db.Tx, number int64) (Pull, error) {
	p, err := db.One(tx, scanPull, "SELECT body FROM source_pulls WHERE number = ?", number)
	if errors.Is(err, fault.NotFound) {
		return p, fault.NotFound.Errorf("there is no pull request %d", number)
	}
	return p, err
}

// Pull is a pull request, with the revision that it has now.
func (s *Source) Pull(ctx context.Context, number int64) (Pull, error) { return s.fresh(ctx, number) }

// Pulls says which pull requests are asked for.
type Pulls struct {
	Repository string // "" is all
	State      State  // "" is any
	Author     string // ARN
	Source     string // full ref
	Target     string // full ref
	Before     int64  // numbers below it; 0 is all
	Limit      int
}

// Pulls are pull requests, the newest first, as they were last looked at.
func (s *Source) Pulls(ctx context.Context, q Pulls) (all []Pull, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = pulls(tx, q)
		return err
	})
	return all, err
}

func pulls(tx *db.Tx, q Pulls) ([]Pull, error) {
	where, args := []string{"number < ?"}, []any{int64(1 << 62)}
	if q.Before > 0 {
		args[0] = q.Before
	}
	for _, c := range []struct{ column, value string }{{"repository", q.Repository}, {"state", string(q.State)}, {"author", q.Author}, {"source", q.Source}, {"target", q.Target}} {
		if c.value != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.value)
		}
	}
	return db.All(tx, scanPull, "SELECT body FROM source_pulls WHERE "+strings.Join(where, " AND ")+" ORDER BY number DESC LIMIT ?", append(args, max(q.Limit, 1))...)
}

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
		rows, err := db.All(tx, scanMove, "SELECT "+columns+" FROM source_moves WHERE repository = ? AND ref = ? AND state = ? ORDER BY number DESC LIMIT 10000", p.Repository, p.Source, done)
		for _, m := range rows {
			if m.New == r.Head && r.By == "" {
				r.By = m.Who
			}
			if within[m.New] && m.Who != "" {
				add(Maker{ARN: m.Who, As: "pushed"})
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

// EditPull changes what a pull request is called and says.
func (s *Source) EditPull(ctx context.Context, number int64, by string, title, description *string) (Pull, error) {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := findPull(tx, number)
		if err != nil {
			return err
		}
		if title != nil {
			p.Title = *title
		}
		if description != nil {
			p.Description = *description
		}
		if err := checkText(p.Title, p.Description); err != nil {
			return err
		}
		if p.State == Merged && title != nil {
			return fault.Conflict.Errorf("pull request %d: %w", number, ErrClosed)
		}
		p.Updated = s.config.Now().UTC()
		return keepPull(tx, p)
	})
	if err != nil {
		return Pull{}, err
	}
	return s.fresh(ctx, number)
}

// SetState closes a pull request, or opens a closed one again.
func (s *Source) SetState(ctx context.Context, number int64, by string, state State) (Pull, error) {
	if state != Open && state != Closed {
		return Pull{}, fault.Invalid.Errorf("a pull request is made OPEN or CLOSED, not %s", state)
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := findPull(tx, number)
		if err != nil || p.State == state {
			return err
		}
		if p.State == Merged {
			return fault.Conflict.Errorf("pull request %d is merged: %w", number, ErrClosed)
		}
		p.State, p.Updated = state, s.config.Now().UTC()
		if err := keepPull(tx, p); err != nil {
			return err
		}
		if err := s.note(tx, p, Happened{Type: HappenedStatus, Who: by, State: state}); err != nil {
			return err
		}
		return s.tellPull(tx, p, "pullRequestStatusChanged", by, nil)
	})
	if err != nil {
		return Pull{}, err
	}
	return s.fresh(ctx, number)
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

// shortRef is what people call a ref.
func shortRef(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/"} {
		if rest, ok := strings.CutPrefix(ref, prefix); ok {
			return rest
		}
	}
	return ref
}

// PullRepository is the repository of a pull request.
func (s *Source) PullRepository(ctx context.Context, number int64) (name string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		name, err = db.One(tx, db.Value[string], "SELECT repository FROM source_pulls WHERE number = ?", number)
		return err
	})
	if errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("there is no pull request %d", number)
	}
	return name, err
}
