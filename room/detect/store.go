package detect

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/river/journal"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Schema is the room's tables. Times are microseconds since 1970.
//
// detect_seen holds which events a rule has counted, detect_windows what
// correlations remember, detect_findings the findings of the last weeks and
// whether the hub has them yet (pending).
func Schema() db.Schema {
	return db.Schema{Room: "detect", Steps: []string{`
CREATE TABLE detect_cursors (
	journal TEXT PRIMARY KEY,
	position BIGINT NOT NULL,
	records BIGINT NOT NULL,
	unread BIGINT NOT NULL
);
CREATE TABLE detect_seen (
	hit TEXT PRIMARY KEY,
	at BIGINT NOT NULL
);
CREATE INDEX detect_seen_at ON detect_seen (at);
CREATE TABLE detect_windows (
	rule TEXT NOT NULL,
	grp TEXT NOT NULL,
	doc TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (rule, grp)
);
CREATE INDEX detect_windows_at ON detect_windows (at);
CREATE TABLE detect_findings (
	id TEXT PRIMARY KEY,
	doc TEXT NOT NULL,
	count BIGINT NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	pending BIGINT NOT NULL,
	at BIGINT NOT NULL
);
CREATE INDEX detect_findings_pending ON detect_findings (pending, at);
CREATE INDEX detect_findings_at ON detect_findings (at)`}}
}

// cursor is how far a journal was read, and what came of it.
type cursor struct {
	at              journal.Position
	records, unread int64
}

func loadCursor(tx *db.Tx, name string) (c cursor, err error) {
	c, err = db.One(tx, func(scan db.Scan) (c cursor, err error) {
		return c, scan(&c.at, &c.records, &c.unread)
	}, `SELECT position, records, unread FROM detect_cursors WHERE journal = ?`, name)
	if fault.Of(err) == fault.NotFound {
		return cursor{}, nil
	}
	return c, err
}

func saveCursor(tx *db.Tx, name string, c cursor) error {
	_, err := tx.Exec(`INSERT INTO detect_cursors (journal, position, records, unread) VALUES (?, ?, ?, ?)
		ON CONFLICT (journal) DO UPDATE SET position = excluded.position, records = excluded.records, unread = excluded.unread`,
		name, int64(c.at), c.records, c.unread)
	return err
}

const parameters = 500 // of one statement

// among is a list of question marks, and the values as arguments.
func among(keys []string) (marks string, args []any) {
	for _, k := range keys {
		args = append(args, k)
	}
	return strings.TrimSuffix(strings.Repeat("?, ", len(keys)), ", "), args
}

// loadState reads what these hits need.
func loadState(tx *db.Tx, e *engine, hits []hit) (*state, error) {
	s := newState()
	var keys, ids []string
	windows := map[windowKey]bool{}
	for _, h := range hits {
		keys = append(keys, h.key)
		if h.raise {
			ids = append(ids, e.identity(h.rule, h.said, day(h.at)))
		}
		for _, c := range h.count {
			windows[windowKey{e.name(c.rule), c.group}] = true
		}
	}
	for part := range slices.Chunk(keys, parameters) {
		marks, args := among(part)
		seen, err := db.All(tx, db.Value[string], `SELECT hit FROM detect_seen WHERE hit IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, k := range seen {
			s.seen[k] = true
		}
	}
	for part := range slices.Chunk(ids, parameters) {
		if err := s.loadFound(tx, part); err != nil {
			return nil, err
		}
	}
	for k := range windows {
		if err := s.loadWindow(tx, k); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *state) loadFound(tx *db.Tx, ids []string) error {
	marks, args := among(ids)
	return tx.Each(func(scan db.Scan) error {
		var id string
		var count, first, last int64
		err := scan(&id, &count, &first, &last)
		s.found[id] = &found{occurrence: occurrence{int(count), time.UnixMicro(first), time.UnixMicro(last)}}
		return err
	}, `SELECT id, count, first, last FROM detect_findings WHERE id IN (`+marks+`)`, args...)
}

func (s *state) loadWindow(tx *db.Tx, k windowKey) error {
	doc, err := db.One(tx, db.Value[string], `SELECT doc FROM detect_windows WHERE rule = ? AND grp = ?`, k.rule, k.group)
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	s.windows[k] = &sigma.Window{}
	return json.Unmarshal([]byte(doc), s.windows[k])
}

// save writes what has changed; the findings wait for the hub.
func (s *state) save(tx *db.Tx, e *engine, now time.Time) error {
	at := now.UnixMicro()
	for _, k := range s.newSeen {
		if _, err := tx.Exec(`INSERT INTO detect_seen (hit, at) VALUES (?, ?) ON CONFLICT (hit) DO NOTHING`, k, at); err != nil {
			return err
		}
	}
	for k := range s.moved {
		doc, err := json.Marshal(s.windows[k])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO detect_windows (rule, grp, doc, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (rule, grp) DO UPDATE SET doc = excluded.doc, at = excluded.at`, k.rule, k.group, string(doc), at); err != nil {
			return err
		}
	}
	for _, id := range s.raised {
		f := s.found[id]
		if _, err := tx.Exec(`INSERT INTO detect_findings (id, doc, count, first, last, pending, at) VALUES (?, ?, ?, ?, ?, 1, ?)
			ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, count = excluded.count, first = excluded.first, last = excluded.last, pending = 1, at = excluded.at`,
			id, string(s.finding(e, id).JSON()), f.Count, f.First.UnixMicro(), f.Last.UnixMicro(), at); err != nil {
			return err
		}
	}
	return nil
}

// waiting is a finding that the hub does not have yet.
type waiting struct {
	count   int64
	finding finding.Finding
}

const deliverChunk = 100

func (d *Detect) waiting(ctx context.Context) (all []waiting, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = db.All(tx, func(scan db.Scan) (w waiting, err error) {
			var doc string
			if err := scan(&doc, &w.count); err != nil {
				return w, err
			}
			w.finding, err = finding.Parse([]byte(doc))
			return w, err
		}, `SELECT doc, count FROM detect_findings WHERE pending = 1 ORDER BY at, id LIMIT ?`, deliverChunk)
		return err
	})
	return all, err
}

// delivered marks findings that the hub has; one that was seen again meanwhile still waits.
func (d *Detect) delivered(ctx context.Context, all []waiting) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, w := range all {
			if _, err := tx.Exec(`UPDATE detect_findings SET pending = 0 WHERE id = ? AND count = ?`, w.finding.ID, w.count); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	remembered = 35 * 24 * time.Hour // longer than the journal keeps: until then a record may come again
	mostSeen   = 1_000_000
)

// prune forgets what is too old, and the oldest of what is too much.
func (d *Detect) prune(ctx context.Context) error {
	before := d.Now().Add(-remembered).UnixMicro()
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, q := range []string{`DELETE FROM detect_seen WHERE at < ?`, `DELETE FROM detect_windows WHERE at < ?`, `DELETE FROM detect_findings WHERE at < ? AND pending = 0`} {
			if _, err := tx.Exec(q, before); err != nil {
				return err
			}
		}
		oldest, err := db.One(tx, db.Value[int64], `SELECT at FROM detect_seen ORDER BY at DESC LIMIT 1 OFFSET ?`, mostSeen)
		if fault.Of(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM detect_seen WHERE at <= ?`, oldest)
		return err
	})
}
