package work

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Streams can have names that people look for them by: a name within a group, as
// CloudWatch Logs has it. A piece of a stream bears the time at which it was kept,
// and that is the time of all its lines.

// Stream is what is known of a named stream.
type Stream struct {
	ID    string // as whoever logs calls it
	Group string
	Name  string
	Made  time.Time // when it was named, or first logged to
	First time.Time // of what was logged; zero as long as nothing was
	Last  time.Time
	Size  int64
	Ended bool // nothing more comes, for now
}

// Name gives a stream its names, in the transaction that makes whatever logs to it.
func (w *Work) Name(tx *db.Tx, stream, group, name string) error {
	now := w.config.Now().UnixMicro()
	_, err := tx.Exec("INSERT INTO work_streams (stream, size, ended, at, grp, name, made, began) VALUES (?, 0, 0, ?, ?, ?, ?, 0) ON CONFLICT (stream) DO UPDATE SET grp = excluded.grp, name = excluded.name",
		stream, now, group, name, now)
	return err
}

// Group is some named streams together.
type Group struct {
	Name    string
	Made    time.Time // of the oldest stream that is still kept
	Size    int64
	Streams int
}

// Groups are all groups of streams, by name.
func (w *Work) Groups(ctx context.Context) (all []Group, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, func(scan db.Scan) (g Group, err error) {
			var made, streams int64
			err = scan(&g.Name, &made, &g.Size, &streams)
			g.Made, g.Streams = time.UnixMicro(made).UTC(), int(streams)
			return g, err
		}, "SELECT grp, MIN(made), SUM(size), COUNT(*) FROM work_streams WHERE grp > '' GROUP BY grp ORDER BY grp")
		return err
	})
	return all, err
}

// StreamQuery says which streams of a group are meant.
type StreamQuery struct {
	Group      string
	Prefix     string // of their names
	ByTime     bool   // ordered by their last line, else by name
	Descending bool
	After      *Stream // the last one of the page before: its name and its last time
	Limit      int
}

const streamColumns = "stream, grp, name, made, began, at, size, ended"

func scanStream(scan db.Scan) (s Stream, err error) {
	var made, began, at, ended int64
	err = scan(&s.ID, &s.Group, &s.Name, &made, &began, &at, &s.Size, &ended)
	s.Made, s.Ended = time.UnixMicro(made).UTC(), ended != 0
	if s.Size > 0 {
		s.First, s.Last = time.UnixMicro(began).UTC(), time.UnixMicro(at).UTC()
	}
	return s, err
}

// lastOf is the column by which streams are ordered in time: those that nothing was said on come first.
const lastOf = "(CASE WHEN size > 0 THEN at ELSE 0 END)"

// Streams are the streams of a group, in order, a page of them.
func (w *Work) Streams(ctx context.Context, q StreamQuery) (all []Stream, err error) {
	query, args := "SELECT "+streamColumns+" FROM work_streams WHERE grp = ? AND grp > ''", []any{q.Group}
	if q.Prefix != "" {
		query, args = query+" AND name >= ? AND name < ?", append(args, q.Prefix, afterPrefix(q.Prefix))
	}
	order, than := "ASC", ">"
	if q.Descending {
		order, than = "DESC", "<"
	}
	switch {
	case q.After != nil && q.ByTime:
		at := int64(0)
		if !q.After.Last.IsZero() {
			at = q.After.Last.UnixMicro()
		}
		query += fmt.Sprintf(" AND (%s %s ? OR %s = ? AND name %s ?)", lastOf, than, lastOf, than)
		args = append(args, at, at, q.After.Name)
	case q.After != nil:
		query, args = query+" AND name "+than+" ?", append(args, q.After.Name)
	}
	query += " ORDER BY "
	if q.ByTime {
		query += lastOf + " " + order + ", "
	}
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanStream, query+"name "+order+" LIMIT ?", append(args, q.Limit)...)
		return err
	})
	return all, err
}

// afterPrefix is the first text after all that begin with a prefix of ASCII.
func afterPrefix(prefix string) string { return prefix + "\U0010ffff" }

// Stream is the stream of that name, or fault.NotFound.
func (w *Work) Stream(ctx context.Context, group, name string) (s Stream, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		s, err = db.One(tx, scanStream, "SELECT "+streamColumns+" FROM work_streams WHERE grp = ? AND grp > '' AND name = ? ORDER BY made DESC, stream LIMIT 1", group, name)
		if fault.Of(err) == fault.NotFound {
			err = fault.NotFound.Errorf("there is no log stream %.200q in %.200q", name, group)
		}
		return err
	})
	return s, err
}

// Mark is where a piece of a stream begins, when it was kept, and how long it is. A piece holds whole lines.
type Mark struct {
	Stream string // its ID
	Group  string
	Name   string
	At     time.Time
	Start  int64
	Size   int64
}

// MarkQuery says which pieces are meant.
type MarkQuery struct {
	Group  string
	Groups []string // in place of Group: several
	Names  []string // of streams; nil is all
	Prefix string   // of the names
	Stream string   // one alone, by its ID, in place of all of these
	Beyond int64    // of one stream: pieces that reach beyond this place in it
	Before int64    // of one stream: pieces that begin before this place, where it is not 0
	// Since and Until bound the times, both included; zero does not.
	Since, Until time.Time
	From         *Mark // the first one, or where it would be
	Descending   bool  // from the newest on; From is the last one then
	Limit        int
}

func scanMark(scan db.Scan) (m Mark, err error) {
	var at int64
	err = scan(&m.Stream, &m.Group, &m.Name, &at, &m.Start, &m.Size)
	m.At = time.UnixMicro(at).UTC()
	return m, err
}

// named are names without those that are none: streams that have none are nobody's to find.
func named(groups []string) []string {
	return slices.DeleteFunc(groups, func(name string) bool { return name == "" })
}

// Marks are pieces of streams in the order of time.
func (w *Work) Marks(ctx context.Context, q MarkQuery) (all []Mark, err error) {
	var where []string
	var args []any
	add := func(condition string, values ...any) { where, args = append(where, condition), append(args, values...) }
	if q.Stream != "" {
		add("l.stream = ? AND l.start + l.size > ?", q.Stream, q.Beyond)
		if q.Before > 0 {
			add("l.start < ?", q.Before)
		}
	} else {
		among, groups := list(named(append(slices.Clone(q.Groups), q.Group)))
		if len(groups) == 0 {
			return nil, nil
		}
		add("s.grp IN "+among, groups...)
	}
	if q.Prefix != "" {
		add("s.name >= ? AND s.name < ?", q.Prefix, afterPrefix(q.Prefix))
	}
	if q.Names != nil {
		among, names := list(q.Names)
		add("s.name IN "+among, names...)
	}
	if !q.Since.IsZero() { // a stream's own times spare a look at its pieces
		add("s.at >= ? AND l.at >= ?", q.Since.UnixMicro(), q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		add("s.began <= ? AND l.at <= ?", q.Until.UnixMicro(), q.Until.UnixMicro())
	}
	order, than := "ASC", ">"
	if q.Descending {
		order, than = "DESC", "<"
	}
	if f := q.From; f != nil {
		at := f.At.UnixMicro()
		if !q.Descending {
			add("s.at >= ?", at)
		}
		add(fmt.Sprintf("(l.at %s ? OR l.at = ? AND (l.stream %s ? OR l.stream = ? AND l.start %s= ?))", than, than, than), at, at, f.Stream, f.Stream, f.Start)
	}
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanMark, "SELECT l.stream, s.grp, s.name, l.at, l.start, l.size FROM work_log l JOIN work_streams s ON s.stream = l.stream WHERE "+strings.Join(where, " AND ")+
			fmt.Sprintf(" ORDER BY l.at %s, l.stream %s, l.start %s LIMIT ?", order, order, order), append(args, q.Limit)...)
		return err
	})
	return all, err
}

// Piece is the text of a piece, or fault.NotFound where it is kept no more.
func (w *Work) Piece(ctx context.Context, m Mark) (text []byte, err error) {
	var l logPiece
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		l, err = db.One(tx, scanPiece, "SELECT start, size, body FROM work_log WHERE stream = ? AND start = ?", m.Stream, m.Start)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.text(m.Stream)
}

// text unpacks a piece.
func (l logPiece) text(stream string) ([]byte, error) {
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(l.body)), l.size+1))
	if err != nil || int64(len(plain)) != l.size {
		return nil, fmt.Errorf("log %s is broken at %d: %w", stream, l.start, cmpErr(err))
	}
	return plain, nil
}
