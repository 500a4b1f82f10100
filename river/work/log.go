package work

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// A stream of log is one text, kept in packed pieces. It lies in the database
// rather than in a file so that every node can follow it, a backup has it, and
// only the holder of a job's lease can add to it.

const (
	smallPiece = 64 << 10              // bytes of log that are kept without waiting for more
	piece      = 512 << 10             // at most so many in one piece
	delay      = 75 * time.Millisecond // how long a line may wait for others to be kept with
	mostAhead  = 4 << 20               // bytes that a worker may be ahead of the database
	maxLine    = 16 << 10              // what is longer is cut into lines of that length
)

// Log takes what a worker says of his job, line by line. It may be written to by several goroutines. What is
// written is kept in the background; a worker waits only when he is far ahead.
type Log struct {
	w      *Work
	ctx    context.Context
	lease  Lease
	stream string
	mask   func(line string) string

	mu      sync.Mutex
	space   sync.Cond // something was kept
	line    []byte    // not ended yet
	pending []byte    // masked, not kept yet
	keeping bool      // a goroutine is keeping what is pending
	timer   *time.Timer
	err     error
}

// Log is the end of a stream that the holder of a lease writes to. mask takes secrets out of a line; nil changes nothing.
func (w *Work) Log(ctx context.Context, l Lease, stream string, mask func(line string) string) *Log {
	log := &Log{w: w, ctx: context.WithoutCancel(ctx), lease: l, stream: stream, mask: mask}
	log.space.L = &log.mu
	return log
}

// Printf writes a line, or several.
func (l *Log) Printf(format string, a ...any) { fmt.Fprintf(l, format, a...) }

// Write takes text in. The error says that the log cannot be kept; ErrLost, that it is another's by now.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	if len(l.line) == 0 && l.mask == nil { // whole lines need not be looked at one by one
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 && i < maxLine {
			l.pending = append(l.pending, b[:i+1]...)
			b = b[i+1:]
		}
	}
	for text := string(b); text != ""; { // one piece of memory, not one for each line
		room := maxLine - len(l.line)
		i := strings.IndexByte(text[:min(len(text), room+1)], '\n')
		switch {
		case i >= 0:
			l.endLine(text[:i])
			text = text[i+1:]
		case len(text) > room:
			l.endLine(text[:room])
			text = text[room:]
		default:
			l.line = append(l.line, text...)
			text = ""
		}
	}
	l.schedule()
	for len(l.pending) > mostAhead && l.err == nil {
		l.space.Wait()
	}
	return n, l.err
}

// endLine adds the line that ends with end to what is to be kept. The caller holds mu.
func (l *Log) endLine(end string) {
	if len(l.line) > 0 {
		end = string(append(l.line, end...))
		l.line = l.line[:0]
	}
	if l.mask != nil {
		end = l.mask(end)
	}
	l.pending = append(append(l.pending, end...), '\n')
}

// schedule sees to it that what is pending is kept soon. The caller holds mu.
func (l *Log) schedule() {
	switch {
	case l.keeping || len(l.pending) == 0:
	case len(l.pending) >= smallPiece:
		l.keep()
	case l.timer == nil:
		l.timer = time.AfterFunc(delay, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.timer = nil; !l.keeping {
				l.keep()
			}
		})
	}
}

// keep begins to keep what is pending, until nothing is. The caller holds mu.
func (l *Log) keep() {
	l.keeping = true
	go func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		var spare []byte
		for len(l.pending) > 0 && l.err == nil {
			text := l.pending
			l.pending = spare[:0]
			l.mu.Unlock()
			err := l.w.Append(l.ctx, l.lease, l.stream, text)
			l.mu.Lock()
			spare = text
			l.err = err
			l.space.Broadcast()
		}
		l.keeping = false
		l.space.Broadcast()
	}()
}

// Close keeps the rest, and waits for it. The error says that not all of the log could be kept.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.endLine("")
	}
	for l.err == nil && (l.keeping || len(l.pending) > 0) {
		if !l.keeping {
			l.keep()
		}
		l.space.Wait()
	}
	if errors.Is(l.err, ErrLost) {
		return nil // the one who has it now tells
	}
	return l.err
}

// Append keeps whole lines of a stream, if the job is still the caller's (else ErrLost).
func (w *Work) Append(ctx context.Context, l Lease, stream string, text []byte) error {
	for len(text) > 0 {
		part := wholeLines(text, piece)
		if err := w.appendPiece(ctx, l, stream, part); err != nil {
			return err
		}
		text = text[len(part):]
	}
	return nil
}

// wholeLines is the start of a text, of at most so many bytes: up to the end of a line, unless one is longer than that.
func wholeLines(text []byte, most int) []byte {
	if len(text) <= most {
		return text
	}
	if i := bytes.LastIndexByte(text[:most], '\n'); i >= 0 {
		return text[:i+1]
	}
	return text[:most]
}

func newPacker() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is one that there is
	return w
}

func (w *Work) pack(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	packer := w.packers.Get().(*flate.Writer)
	defer w.packers.Put(packer)
	packer.Reset(&packed)
	if _, err := packer.Write(text); err != nil {
		return nil, err
	}
	if err := packer.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func (w *Work) appendPiece(ctx context.Context, l Lease, stream string, text []byte) error {
	packed, err := w.pack(text) // outside: it need not hold up the one writer
	if err != nil {
		return err
	}
	return w.db.Write(ctx, func(tx *db.Tx) error {
		held, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM work_jobs WHERE id = ? AND nonce = ? AND nonce <> ''", l.ID, l.Nonce)
		if err != nil {
			return err
		}
		if held == 0 {
			return ErrLost
		}
		now := w.config.Now().UnixMicro()
		end, err := db.One(tx, scanEnd, "INSERT INTO work_streams (stream, size, ended, at, made, began) VALUES (?, 0, 0, ?, ?, ?) ON CONFLICT (stream) DO UPDATE SET at = "+
			later+", began = CASE WHEN work_streams.began = 0 THEN excluded.at ELSE work_streams.began END, ended = 0 RETURNING size, at", stream, now, now, now)
		if err != nil {
			return err
		}
		start := end.size
		text, packed := text, packed
		if cut := w.fit(text, start); len(cut) != len(text) {
			if text = cut; len(text) == 0 {
				return nil
			}
			if packed, err = w.pack(text); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("INSERT INTO work_log (stream, start, size, body, at) VALUES (?, ?, ?, ?, ?)", stream, start, len(text), packed, end.at); err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE work_streams SET size = ? WHERE stream = ?", start+int64(len(text)), stream)
		tx.AfterCommit(w.lines.wake)
		return err
	})
}

// later is a stream's last time or the one that is given, whichever is later: the clocks of nodes differ, and what is
// said after something else is not older.
const later = "CASE WHEN excluded.at > work_streams.at THEN excluded.at ELSE work_streams.at END"

// streamEnd is where a stream goes on.
type streamEnd struct{ size, at int64 }

func scanEnd(scan db.Scan) (e streamEnd, err error) { return e, scan(&e.size, &e.at) }

// fit cuts what goes beyond a stream's bounds, and says so once.
func (w *Work) fit(text []byte, start int64) []byte {
	room := w.config.MaxLog - start
	if int64(len(text)) <= room {
		return text
	}
	if room <= 0 {
		return nil
	}
	return append(bytes.Clone(text[:room]), fmt.Sprintf("\n(the log is longer than %d bytes: the rest is not kept)\n", w.config.MaxLog)...)
}

// End says that nothing more comes on a stream, for now: who follows it stops.
func (w *Work) End(tx *db.Tx, stream string) error {
	_, err := tx.Exec("INSERT INTO work_streams (stream, size, ended, at) VALUES (?, 0, 1, ?) ON CONFLICT (stream) DO UPDATE SET ended = 1", stream, w.config.Now().UnixMicro())
	tx.AfterCommit(w.lines.wake)
	return err
}

type logPiece struct {
	start, size int64
	body        []byte
}

func scanPiece(scan db.Scan) (l logPiece, err error) { return l, scan(&l.start, &l.size, &l.body) }

// Read is what a stream has from an offset on, at most a few MiB of it, and the offset to go on from; done is
// true when there is no more and will be none. A stream that nothing was said on yet is empty, and not done.
func (w *Work) Read(ctx context.Context, stream string, from int64) (text []byte, next int64, done bool, err error) {
	if from < 0 {
		return nil, 0, false, fault.Invalid.Errorf("a log does not start at %d", from)
	}
	const most = 8
	next = from
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		ended, err := db.All(tx, db.Value[int64], "SELECT ended FROM work_streams WHERE stream = ?", stream)
		if err != nil {
			return err
		}
		// The piece that from lies in starts at or before it, and is not longer than one can be.
		pieces, err := db.All(tx, scanPiece, "SELECT start, size, body FROM work_log WHERE stream = ? AND start > ? AND start + size > ? ORDER BY start LIMIT ?", stream, from-2*piece, from, most)
		if err != nil {
			return err
		}
		done = len(ended) == 1 && ended[0] != 0 && len(pieces) < most
		for _, l := range pieces {
			plain, err := l.text(stream)
			if err != nil {
				return err
			}
			next = max(next, l.start) // older pieces may be gone
			text = append(text, plain[next-l.start:]...)
			next = l.start + l.size
		}
		return nil
	})
	return text, next, done, err
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("its length is wrong")
	}
	return err
}

// Size is how many bytes a stream has.
func (w *Work) Size(ctx context.Context, stream string) (size int64, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		sizes, err := db.All(tx, db.Value[int64], "SELECT size FROM work_streams WHERE stream = ?", stream)
		if len(sizes) == 1 {
			size = sizes[0]
		}
		return err
	})
	return size, err
}

// Follow gives a stream from an offset on to take, as it grows, until it has ended, ctx ends or take gives an error.
func (w *Work) Follow(ctx context.Context, stream string, from int64, take func(text []byte, next int64) error) error {
	for {
		news := w.lines.next()
		text, next, done, err := w.Read(ctx, stream, from)
		if err != nil {
			return err
		}
		if len(text) > 0 {
			if err := take(text, next); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		if from = next; len(text) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-time.After(w.config.Poll):
		}
	}
}

// Forget drops a stream, in the transaction that drops what it was of.
func (w *Work) Forget(tx *db.Tx, stream string) error {
	if _, err := tx.Exec("DELETE FROM work_log WHERE stream = ?", stream); err != nil {
		return err
	}
	_, err := tx.Exec("DELETE FROM work_streams WHERE stream = ?", stream)
	return err
}

// Tidy drops streams that nobody has written to since a time.
func (w *Work) Tidy(ctx context.Context, before time.Time) error {
	return w.db.Write(ctx, func(tx *db.Tx) error {
		at := before.UnixMicro()
		if _, err := tx.Exec("DELETE FROM work_log WHERE stream IN (SELECT stream FROM work_streams WHERE at < ?)", at); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM work_streams WHERE at < ?", at)
		return err
	})
}

// Run drops streams that are older than they are kept, until ctx ends.
func (w *Work) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
		if err := w.Tidy(ctx, w.config.Now().Add(-w.config.Kept)); err != nil && ctx.Err() == nil {
			w.config.Log.Error("dropping old logs", "err", err)
		}
	}
}

// Kept is how many bytes all streams have together.
func (w *Work) Kept(ctx context.Context) (bytes int64, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		bytes, err = db.One(tx, db.Value[int64], "SELECT COALESCE(SUM(size), 0) FROM work_streams")
		return err
	})
	return bytes, err
}
