package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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

// Merge is how a pull request came into its target.
type Merge struct {
	Option   Option    `json:"option,omitzero"` // "" where somebody pushed it past us
	Commit   string    `json:"commit"`          // where the target was after it
	By       string    `json:"by"`              // ARN
	At       time.Time `json:"at"`
	Revision string    `json:"revision"`
	Reviewed bool      `json:"reviewed"` // everything that the rules ask for was there, without an override
}

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

// shortRef is what people call a ref.
func shortRef(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/"} {
		if rest, ok := strings.CutPrefix(ref, prefix); ok {
			return rest
		}
	}
	return ref
}
