package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Comment is what somebody said about a pull request, or a commit: as a whole, about a file, or a line of it.
type Comment struct {
	ID         string            `json:"id"`
	Repository string            `json:"repository"`
	Pull       int64             `json:"pull,omitzero"`   // 0: of commits alone
	Before     string            `json:"before,omitzero"` // the commits that were compared
	After      string            `json:"after"`
	Place      Place             `json:"place,omitzero"`
	Reply      string            `json:"reply,omitzero"` // the comment that it answers
	Author     string            `json:"author"`         // ARN
	Text       string            `json:"text"`
	Created    time.Time         `json:"created"`
	Modified   time.Time         `json:"modified"`
	Token      string            `json:"token,omitzero"`
	Deleted    bool              `json:"deleted,omitzero"`
	Finding    string            `json:"finding,omitzero"`   // the Id of the finding that it shows
	Reactions  map[string]string `json:"reactions,omitzero"` // by whom
}

// Place is where a comment is: Side BEFORE or AFTER, Line from 1, or 0 for the file.
type Place struct {
	Path string `json:"path,omitzero"`
	Line int    `json:"line,omitzero"`
	Side string `json:"side,omitzero"`
}

// The sides of a comparison.
const (
	SideBefore = "BEFORE"
	SideAfter  = "AFTER"
)

const (
	mostComment  = 10240
	mostComments = 20_000 // of one pull request
)

// Say keeps a comment. Said again with the same token by the same author it is the same comment.
func (s *Source) Say(ctx context.Context, c Comment) (Comment, error) {
	if c.Place.Side == "" && c.Place.Path != "" {
		c.Place.Side = SideAfter
	}
	switch {
	case strings.TrimSpace(c.Text) == "":
		return c, fault.Invalid.Errorf("a comment says something")
	case utf8.RuneCountInString(c.Text) > mostComment:
		return c, fault.Limit.Errorf("a comment has at most %d characters", mostComment)
	case c.Place.Side != "" && c.Place.Side != SideBefore && c.Place.Side != SideAfter:
		return c, fault.Invalid.Errorf("%q is no side of a comparison", c.Place.Side)
	case c.Place.Line < 0 || c.Place.Path == "" && c.Place.Line > 0:
		return c, fault.Invalid.Errorf("a comment on a line says in which file")
	}
	err := s.db.Write(ctx, func(tx *db.Tx) (err error) {
		c, err = s.say(tx, c)
		return err
	})
	return c, err
}

// say keeps a comment in a transaction.
func (s *Source) say(tx *db.Tx, c Comment) (Comment, error) {
	if c.Reply != "" {
		to, err := findComment(tx, c.Reply)
		if err != nil {
			return c, err
		}
		c.Repository, c.Pull, c.Before, c.After, c.Place = to.Repository, to.Pull, to.Before, to.After, to.Place
	}
	if _, err := find(tx, c.Repository); err != nil {
		return c, err
	}
	if c.Pull > 0 {
		p, err := findPull(tx, c.Pull)
		if err != nil {
			return c, err
		}
		if p.Repository != c.Repository {
			return c, fault.Invalid.Errorf("pull request %d is not of %q", c.Pull, c.Repository)
		}
	}
	if c.Token != "" {
		was, err := db.One(tx, scanComment, "SELECT body FROM source_comments WHERE author = ? AND token = ?", c.Author, c.Token)
		if err == nil {
			return was, nil
		}
		if !errors.Is(err, fault.NotFound) {
			return c, err
		}
	}
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM source_comments WHERE repository = ? AND pull = ? AND after_id = ?", c.Repository, c.Pull, c.After)
	if err == nil && n >= mostComments {
		err = fault.Limit.Errorf("there are %d comments already", n)
	}
	if err != nil {
		return c, err
	}
	c.ID, c.Created = bus.ID(), s.config.Now().UTC()
	c.Modified = c.Created
	if err := keepComment(tx, c); err != nil {
		return c, err
	}
	return c, s.tellComment(tx, c, "Created")
}

func (s *Source) tellComment(tx *db.Tx, c Comment, what string) error {
	kind, name := PullCommented, "commentOnPullRequest"
	if c.Pull == 0 {
		kind, name = CommitCommented, "commentOnCommit"
	}
	detail := map[string]any{
		"event": name + what, "repositoryId": c.Repository, "repositoryName": c.Repository, "afterCommitId": c.After, "beforeCommitId": c.Before, "commentId": c.ID, "callerUserArn": c.Author,
		"notificationBody": "A comment was made in the repository " + c.Repository,
	}
	if c.Pull > 0 {
		detail["pullRequestId"] = c.Pull
	}
	if c.Reply != "" {
		detail["inReplyTo"] = c.Reply
	}
	return s.publish(tx, kind, c.Repository, detail)
}

func keepComment(tx *db.Tx, c Comment) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO source_comments (id, repository, pull, before_id, after_id, author, token, at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
		c.ID, c.Repository, c.Pull, c.Before, c.After, c.Author, c.Token, c.Created.UnixMicro(), body)
	return err
}

func scanComment(scan db.Scan) (c Comment, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return c, err
	}
	return c, json.Unmarshal(body, &c)
}

func findComment(tx *db.Tx, id string) (Comment, error) {
	c, err := db.One(tx, scanComment, "SELECT body FROM source_comments WHERE id = ?", id)
	if errors.Is(err, fault.NotFound) {
		return c, fault.NotFound.Errorf("there is no comment %q", id)
	}
	return c, err
}

// Comment is the one with that id.
func (s *Source) Comment(ctx context.Context, id string) (c Comment, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error { c, err = findComment(tx, id); return err })
	return c, err
}

// PullComments are the comments of a pull request, the oldest first. Those of findings that are not there
// any more at its head are still there: Outdated tells them.
func (s *Source) PullComments(ctx context.Context, number int64) (all []Comment, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := findPull(tx, number); err != nil {
			return err
		}
		all, err = db.All(tx, scanComment, "SELECT body FROM source_comments WHERE pull = ? ORDER BY at, id", number)
		return err
	})
	return all, err
}

// Outdated tells whether a comment is about another commit than the pull request's head.
func (c Comment) Outdated(p Pull) bool { return c.Place.Path != "" && c.After != p.Revision.Head }

// CommitComments are the comments of a comparison of commits, or of one commit with "" before it, the oldest first.
func (s *Source) CommitComments(ctx context.Context, repository, before, after string) (all []Comment, err error) {
	query, args := "SELECT body FROM source_comments WHERE repository = ? AND pull = 0 AND after_id = ?", []any{repository, after}
	if before != "" {
		query, args = query+" AND before_id = ?", append(args, before)
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, repository); err != nil {
			return err
		}
		all, err = db.All(tx, scanComment, query+" ORDER BY at, id", args...)
		return err
	})
	return all, err
}

// ChangeComment changes what a comment says; only its author does. An empty text takes it away, which
// whoever may delete comments does as well.
func (s *Source) ChangeComment(ctx context.Context, id, by, text string) (c Comment, err error) {
	if utf8.RuneCountInString(text) > mostComment {
		return c, fault.Limit.Errorf("a comment has at most %d characters", mostComment)
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if c, err = findComment(tx, id); err != nil {
			return err
		}
		switch {
		case c.Deleted:
			return fault.Conflict.Errorf("comment %q is deleted", id)
		case text != "" && c.Author != by:
			return fault.Denied.Errorf("comment %q is %s's: only they change it", id, c.Author)
		}
		c.Text, c.Modified, c.Deleted = text, s.config.Now().UTC(), text == ""
		if err := keepComment(tx, c); err != nil {
			return err
		}
		return s.tellComment(tx, c, "Updated")
	})
	return c, err
}

// Reactions that CodeCommit knows, by their short codes.
var reactions = []string{":thumbsup:", ":thumbsdown:", ":smile:", ":heart:", ":thinking:", ":tada:", ":shipit:", "none"}

// React keeps somebody's reaction to a comment; "none" takes it back.
func (s *Source) React(ctx context.Context, id, by, reaction string) error {
	if !slices.Contains(reactions, reaction) {
		return fault.Invalid.Errorf("%q is no reaction: %s are", reaction, strings.Join(reactions, " "))
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		c, err := findComment(tx, id)
		if err != nil {
			return err
		}
		if c.Deleted {
			return fault.Conflict.Errorf("comment %q is deleted", id)
		}
		if c.Reactions == nil {
			c.Reactions = map[string]string{}
		}
		if c.Reactions[by] = reaction; reaction == "none" {
			delete(c.Reactions, by)
		}
		if len(c.Reactions) > 1000 {
			return fault.Limit.Errorf("a comment has at most 1,000 reactions")
		}
		return keepComment(tx, c)
	})
}
