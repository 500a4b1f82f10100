// Package mirror keeps repositories alike with those on other forges, and tells these what became of their commits.
//
// A forge tells of a push or a pull request (a delivery, taken in by a door). What it
// says is a reason to look, and no more: where its refs are the forge is asked, git fetches what is new, and the
// refs move here in the same log as for a push, so that events and pipelines follow as they do for one. Heads of
// pull requests become branches pr/NUMBER, which are never protected. What a check says of a commit is sent back as a commit status.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
)

// Config is what a Mirror needs. All but Log, Now, Kept and Every must be given.
type Config struct {
	DB      *db.DB // with Schema, and those of Bus, Work and Source
	Bus     *bus.Bus
	Work    *work.Work
	Source  *source.Source
	Sealer  *seal.Sealer
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // to addresses that people chose
	HTTP    *http.Client                                                         // the same
	Check   func(address string) error                                           // what is wrong with an address, before it is kept
	Link    func(path string) string                                             // the address of one of the console's paths, or ""
	Account string
	Region  string
	Log     *slog.Logger
	Now     func() time.Time
	Kept    time.Duration // how long deliveries and statuses are shown; 30 days
	Every   time.Duration // how often forges are asked without having told anything; an hour
}

// Mirror is the room. It is safe for concurrent use.
type Mirror struct {
	config Config
	db     *db.DB
}

// New is the room.
func New(c Config) *Mirror {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Kept, c.Every = cmp.Or(c.Kept, 30*24*time.Hour), cmp.Or(c.Every, time.Hour)
	return &Mirror{config: c, db: c.DB}
}

// Schema is the room's tables.
func Schema() db.Schema {
	return db.Schema{Room: "mirror", Steps: []string{`
CREATE TABLE mirror_connections (repository TEXT PRIMARY KEY, wanted BIGINT NOT NULL, tries BIGINT NOT NULL, asked BIGINT NOT NULL, secret TEXT NOT NULL, token TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE mirror_deliveries (repository TEXT NOT NULL, id TEXT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (repository, id));
CREATE INDEX mirror_deliveries_by_number ON mirror_deliveries (repository, number);
CREATE INDEX mirror_deliveries_by_age ON mirror_deliveries (at);
CREATE TABLE mirror_pulls (repository TEXT NOT NULL, number BIGINT NOT NULL, open BIGINT NOT NULL, updated BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (repository, number));
CREATE TABLE mirror_statuses (repository TEXT NOT NULL, commit_id TEXT NOT NULL, context TEXT NOT NULL, seq BIGINT NOT NULL, tries BIGINT NOT NULL, at BIGINT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (repository, commit_id, context));
CREATE INDEX mirror_statuses_by_age ON mirror_statuses (at)`, `
ALTER TABLE mirror_pulls ADD COLUMN told TEXT NOT NULL DEFAULT ''`}}
}

// What jobs are called.
const (
	followKind = "Source/Haechi/Mirror/1"
	statusKind = "Invoke/Haechi/CommitStatus/1"
)

// Run follows forges and tells them of statuses until ctx ends.
func (m *Mirror) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.config.Bus.Fold(ctx, "mirror", m.hear, source.StatusChanged) })
	group.Go(func() error { return m.config.Work.Serve(ctx, m.worker(followKind, 2, m.follow)) })
	group.Go(func() error { return m.config.Work.Serve(ctx, m.worker(statusKind, 2, m.send)) })
	group.Go(func() error { return m.mind(ctx) })
	return group.Wait()
}

// worker does jobs of one kind, which know themselves when to give up.
func (m *Mirror) worker(kind string, many int, do func(context.Context, work.Lease) error) work.Worker {
	return work.Worker{
		By: "mirror", Kinds: []string{kind}, Workers: many, Attempts: 1 << 30, Do: do,
		GiveUp: func(ctx context.Context, l work.Lease, why error) error {
			m.config.Log.Error("a job of the mirror was given up", "job", l.ID, "error", why)
			return m.db.Write(ctx, func(tx *db.Tx) error { return m.config.Work.Done(tx, l) })
		},
	}
}

// mind asks forges that have said nothing for long, since not all try again what did not
// arrive, and forgets what is old.
func (m *Mirror) mind(ctx context.Context) error {
	for {
		if err := errors.Join(m.askAll(ctx), m.forget(ctx)); err != nil && ctx.Err() == nil {
			m.config.Log.Warn("minding mirrors", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Minute):
		}
	}
}

func (m *Mirror) askAll(ctx context.Context) error {
	return m.db.Write(ctx, func(tx *db.Tx) error {
		names, err := db.All(tx, db.Value[string], "SELECT repository FROM mirror_connections WHERE asked < ?", m.config.Now().Add(-m.config.Every).UnixMicro())
		for _, name := range names {
			if err := m.want(tx, name); err != nil {
				return err
			}
		}
		return err
	})
}

func (m *Mirror) forget(ctx context.Context) error {
	old := m.config.Now().Add(-m.config.Kept).UnixMicro()
	return m.db.Write(ctx, func(tx *db.Tx) error {
		for _, query := range []string{
			"DELETE FROM mirror_deliveries WHERE at < ? AND state <> 'waiting'",
			"DELETE FROM mirror_statuses WHERE at < ? AND state <> 'waiting'",
			"DELETE FROM mirror_pulls WHERE updated < ? AND open = 0",
		} {
			if _, err := tx.Exec(query, old); err != nil {
				return err
			}
		}
		return nil
	})
}

// want asks for a look at a repository's forge, as part of tx.
func (m *Mirror) want(tx *db.Tx, repository string) error {
	if _, err := tx.Exec("UPDATE mirror_connections SET wanted = wanted + 1, tries = 0, asked = ? WHERE repository = ?", m.config.Now().UnixMicro(), repository); err != nil {
		return err
	}
	id := "mirror/" + repository
	if err := m.config.Work.Add(tx, work.Job{ID: id, Kind: followKind, Body: []byte(repository)}); err != nil {
		return err
	}
	return m.config.Work.Hurry(tx, id) // it may wait to be tried again
}
