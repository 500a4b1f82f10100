package hub

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Presence says that a tool sees a finding on a branch of a target.
type Presence struct {
	Target, Branch, Tool, Scan, Commit string
	Since, Seen                        time.Time
}

// presenceRow is a presence that comes or, where gone, goes.
type presenceRow struct {
	row  *row
	scan finding.Scan
	gone bool
}

func (b *batch) present(r *row, s finding.Scan) {
	b.presence = append(b.presence, presenceRow{row: r, scan: s})
}

func (b *batch) absent(r *row, s finding.Scan) {
	if !r.isNew() {
		b.presence = append(b.presence, presenceRow{row: r, scan: s, gone: true})
	}
}

func (b *batch) storePresence() error {
	last := map[*row]int{} // the same finding twice in one batch: the last word counts
	for i, p := range b.presence {
		last[p.row] = i
	}
	var here []presenceRow
	for i, p := range b.presence {
		switch {
		case last[p.row] != i || p.row.seq == 0: // said again later, or refused after all
		case p.gone:
			if _, err := b.tx.Exec("DELETE FROM hub_presence WHERE finding = ? AND target = ? AND branch = ? AND tool = ?", p.row.seq, p.scan.Target, p.scan.Branch, p.scan.Tool); err != nil {
				return fmt.Errorf("writing presence: %w", err)
			}
		default:
			here = append(here, p)
		}
	}
	at := b.at.UnixMicro()
	return insert(b.tx, "hub_presence", "finding, target, branch, tool, scan, revision, since, seen",
		"ON CONFLICT (finding, target, branch, tool) DO UPDATE SET scan = excluded.scan, revision = excluded.revision, seen = excluded.seen", len(here), func(i int) []any {
			p := here[i]
			return []any{p.row.seq, p.scan.Target, p.scan.Branch, p.scan.Tool, p.scan.ID, p.scan.Commit, at, at}
		})
}

// begin writes down that a scan is being imported.
func (b *batch) begin(s finding.Scan) error {
	skipped, err := json.Marshal(s.Skipped)
	if err != nil {
		return fault.Invalid.Errorf("skipped places: %w", err)
	}
	_, err = b.tx.Exec(`INSERT INTO hub_scans (id, tool, version, target, branch, revision, digest, complete, skipped, at, found, closed, done, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?)
		ON CONFLICT (id) DO UPDATE SET complete = excluded.complete, skipped = excluded.skipped`,
		s.ID, s.Tool, s.Version, s.Target, s.Branch, s.Commit, s.Digest, flag(s.Complete), string(skipped), b.at.UnixMicro(), microsOf(s.Made))
	return err
}

// microsOf is a time as the tables have it; 0 is none.
func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// finish writes down what came of a scan. One of which a finding failed was not complete.
func (h *Hub) finish(ctx context.Context, s finding.Scan, did Imported) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE hub_scans SET found = found + ?, closed = closed + ?, complete = ?, done = 1 WHERE id = ?",
			did.Succeeded(), did.Closed, flag(s.Complete && len(did.Failed) == 0), s.ID)
		return err
	})
}

// closeMissing takes from the scan's branch what its tool saw there before began
// and this scan did not see, and archives what is then on no branch.
func (h *Hub) closeMissing(ctx context.Context, s finding.Scan, began time.Time) (closed int, err error) {
	why := "scan " + s.ID + " no longer sees it"
	if s.Commit != "" {
		why += " at " + s.Commit
	}
	return h.leave(ctx, cause{byScan, s.Tool, why},
		"target = ? AND branch = ? AND tool = ? AND scan <> ? AND seen <= ?", s.Target, s.Branch, s.Tool, s.ID, began.UnixMicro())
}

// Forget drops a branch of a target that is no more: what was seen only there is archived.
func (h *Hub) Forget(ctx context.Context, target, branch, by string) (closed int, err error) {
	return h.leave(ctx, cause{byScan, by, "branch " + branch + " of " + target + " is gone"}, "target = ? AND branch = ?", target, branch)
}

// leave ends presences, some hundred a transaction, until there are none that answer to where.
func (h *Hub) leave(ctx context.Context, c cause, where string, args ...any) (closed int, err error) {
	for {
		more := false
		err := h.change(ctx, func(b *batch) error {
			gone, err := db.All(b.tx, db.Value[int64], "SELECT DISTINCT finding FROM hub_presence WHERE "+where+" ORDER BY finding LIMIT 250", args...)
			if err != nil || len(gone) == 0 {
				return err
			}
			more = true
			if _, err := b.tx.Exec("DELETE FROM hub_presence WHERE "+where+" AND finding IN ("+marks(len(gone))+")", append(slices.Clone(args), anys(gone)...)...); err != nil {
				return err
			}
			n, err := b.archiveAbsent(gone, c)
			closed += n
			return err
		})
		if err != nil || !more {
			return closed, err
		}
	}
}

// archiveAbsent archives those of the findings that no branch has any more.
func (b *batch) archiveAbsent(seqs []int64, c cause) (archived int, err error) {
	still, err := db.All(b.tx, db.Value[int64], "SELECT DISTINCT finding FROM hub_presence WHERE finding IN ("+marks(len(seqs))+")", anys(seqs)...)
	if err != nil {
		return 0, err
	}
	kept := map[int64]bool{}
	for _, s := range still {
		kept[s] = true
	}
	var left []int64
	for _, s := range seqs {
		if !kept[s] {
			kept[s] = true
			left = append(left, s)
		}
	}
	rows, err := b.bySeq(left)
	if err != nil {
		return 0, err
	}
	rules, err := b.hub.rules.load(b.hub, b.tx, b.at)
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		if r.finding.RecordState == finding.Archived {
			continue
		}
		if err := b.archive(r, rules, c); err != nil {
			return archived, err
		}
		archived++
	}
	return archived, nil
}

func (b *batch) archive(r *row, rules *ruleset, c cause) error {
	f := r.finding
	f.RecordState = finding.Archived
	f.ProcessedAt = finding.Stamp(b.at)
	if later(f.ProcessedAt, f.UpdatedAt) {
		f.UpdatedAt = f.ProcessedAt
	}
	why, accept := rules.apply(&f, r.decided, b.at)
	if why != "" {
		c.why += "; " + why
	}
	doc, p := encode(&f, true)
	if p != nil {
		return fmt.Errorf("archiving %s: %w", r.id, refuse(p))
	}
	b.decide(r, &f, accept)
	b.put(r, f, doc, c, false)
	return nil
}

// NewSince is what is on branch head of a target and not on branch base: what
// a change brings. Where base was never scanned, everything is new.
func (h *Hub) NewSince(ctx context.Context, target, head, base string) (list []finding.Finding, err error) {
	return h.presentWhere(ctx, `SELECT f.doc FROM hub_findings f WHERE f.seq IN (SELECT h.finding FROM hub_presence h WHERE h.target = ? AND h.branch = ?
		AND NOT EXISTS (SELECT 1 FROM hub_presence b WHERE b.finding = h.finding AND b.target = ? AND b.branch = ?)) ORDER BY f.seq`, target, head, target, base)
}

// Present is what is on a branch of a target.
func (h *Hub) Present(ctx context.Context, target, branch string) ([]finding.Finding, error) {
	return h.presentWhere(ctx, `SELECT f.doc FROM hub_findings f WHERE f.seq IN (SELECT finding FROM hub_presence WHERE target = ? AND branch = ?) ORDER BY f.seq`, target, branch)
}

func (h *Hub) presentWhere(ctx context.Context, query string, args ...any) (list []finding.Finding, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanDoc, query, args...)
		return err
	})
	return list, err
}

func scanDoc(scan db.Scan) (f finding.Finding, err error) {
	var doc []byte
	if err := scan(&doc); err != nil {
		return f, err
	}
	return finding.Parse(doc)
}

// PresenceOf is where a finding is seen.
func (h *Hub) PresenceOf(ctx context.Context, ref Ref) (list []Presence, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, ref)
		if err != nil {
			return err
		}
		list, err = db.All(tx, func(scan db.Scan) (p Presence, err error) {
			var since, seen int64
			err = scan(&p.Target, &p.Branch, &p.Tool, &p.Scan, &p.Commit, &since, &seen)
			p.Since, p.Seen = time.UnixMicro(since).UTC(), time.UnixMicro(seen).UTC()
			return p, err
		}, "SELECT target, branch, tool, scan, revision, since, seen FROM hub_presence WHERE finding = ? ORDER BY target, branch, tool", r.seq)
		return err
	})
	return list, err
}

// ScanRecord is a scan that was imported.
type ScanRecord struct {
	finding.Scan
	At            time.Time
	Found, Closed int
	Done          bool // its import came to its end
}

// Scans are the latest scans of a target, the newest first; "" is of all targets.
func (h *Hub) Scans(ctx context.Context, target string, limit int) (list []ScanRecord, err error) {
	where, args := "", []any{}
	if target != "" {
		where, args = "WHERE target = ?", append(args, target)
	}
	if limit <= 0 {
		limit = 100
	}
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanScan, "SELECT id, tool, version, target, branch, revision, digest, complete, skipped, at, found, closed, done FROM hub_scans "+where+" ORDER BY at DESC, id LIMIT ?", append(args, limit)...)
		return err
	})
	return list, err
}

func scanScan(scan db.Scan) (s ScanRecord, err error) {
	var complete, done, at int64
	var skipped []byte
	if err := scan(&s.ID, &s.Tool, &s.Version, &s.Target, &s.Branch, &s.Commit, &s.Digest, &complete, &skipped, &at, &s.Found, &s.Closed, &done); err != nil {
		return s, err
	}
	s.Complete, s.Done, s.At = complete == 1, done == 1, time.UnixMicro(at).UTC()
	var places []diag.Place
	if err := json.Unmarshal(skipped, &places); err != nil {
		return s, fmt.Errorf("scan %s: %w", s.ID, err)
	}
	s.Skipped = places
	return s, nil
}
