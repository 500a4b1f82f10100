package source

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Outcome is what a check says of a commit.
type Outcome string

// The outcomes of a check.
const (
	Pending Outcome = "pending"
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// Status is what one check says of a commit.
type Status struct {
	Context     string    `json:"context"` // which check: pipeline/shop
	State       Outcome   `json:"state"`
	Description string    `json:"description,omitzero"`
	URL         string    `json:"url,omitzero"` // a path of the console, or an address
	At          time.Time `json:"at"`
}

// StatusChanged is what the events that tell of statuses are called.
const StatusChanged = "Haechi Commit Status Change"

// SetStatus keeps what a check says of a commit, in the transaction of whoever says it.
func (s *Source) SetStatus(tx *db.Tx, repository, commit string, st Status) error {
	if !git.ValidID(commit) || st.Context == "" || len(st.Context) > 200 {
		return fault.Invalid.Errorf("a status needs a commit and a context of at most 200 bytes")
	}
	if st.State != Pending && st.State != Success && st.State != Failure {
		return fault.Invalid.Errorf("%q is no state of a check", st.State)
	}
	st.Description, st.At = clip(st.Description, 1000), s.config.Now().UTC()
	body, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if _, err = tx.Exec("INSERT INTO source_statuses (repository, commit_id, context, body) VALUES (?, ?, ?, ?) ON CONFLICT (repository, commit_id, context) DO UPDATE SET body = excluded.body", repository, commit, st.Context, body); err != nil {
		return err
	}
	return s.publish(tx, StatusChanged, repository, map[string]any{"repositoryName": repository, "commitId": commit, "context": st.Context, "state": st.State, "description": st.Description, "url": st.URL})
}

func scanStatus(scan db.Scan) (st Status, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return st, err
	}
	return st, json.Unmarshal(body, &st)
}

// Statuses are what checks say of a commit, by context.
func (s *Source) Statuses(ctx context.Context, repository, commit string) (all []Status, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanStatus, "SELECT body FROM source_statuses WHERE repository = ? AND commit_id = ? ORDER BY context", repository, commit)
		return err
	})
	return all, err
}

// StatusOf is what one check says of a commit.
func (s *Source) StatusOf(ctx context.Context, repository, commit, check string) (st Status, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		st, err = db.One(tx, scanStatus, "SELECT body FROM source_statuses WHERE repository = ? AND commit_id = ? AND context = ?", repository, commit, check)
		return err
	})
	if errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("check %q has not run on %s", check, commit)
	}
	return st, err
}
