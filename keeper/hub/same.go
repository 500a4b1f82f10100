package hub

import (
	"context"
	"errors"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Known is the scan that saw the same digest on the same branch and commit of a target, if it
// was complete, its tool has looked at nothing else there since, and all that it saw is still
// there by it: to import it again would change nothing. There is fault.NotFound otherwise.
func (h *Hub) Known(ctx context.Context, target, branch, commit, digest string) (s ScanRecord, err error) {
	unknown := fault.NotFound.Errorf("%s is not what was seen last", digest)
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		const columns = "SELECT id, tool, version, target, branch, revision, digest, complete, skipped, at, found, closed, done FROM hub_scans "
		s, err = db.One(tx, scanScan, columns+"WHERE target = ? AND branch = ? AND digest = ? ORDER BY at DESC, id LIMIT 1", target, branch, digest)
		if err != nil {
			return err
		}
		latest, err := db.One(tx, scanScan, columns+"WHERE target = ? AND branch = ? AND tool = ? ORDER BY at DESC, id LIMIT 1", target, branch, s.Tool)
		if err != nil {
			return err
		}
		seen, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM hub_presence p JOIN hub_findings f ON f.seq = p.finding
			WHERE p.target = ? AND p.branch = ? AND p.tool = ? AND p.scan = ?`, target, branch, s.Tool, s.ID)
		if err != nil {
			return err
		}
		if latest.ID != s.ID || !s.Done || !s.Complete || s.Commit != commit || seen != int64(s.Found) {
			return unknown
		}
		return nil
	})
	if errors.Is(err, fault.NotFound) {
		return ScanRecord{}, unknown
	}
	return s, err
}

// Newest is when the newest complete scan of a tool on a branch of a target was made, as the tool says; zero where
// none says so.
func (h *Hub) Newest(ctx context.Context, target, branch, tool string) (made time.Time, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		at, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(made), 0) FROM hub_scans WHERE target = ? AND branch = ? AND tool = ? AND complete = 1 AND done = 1", target, branch, tool)
		made = fromMicros(at)
		return err
	})
	return made, err
}
