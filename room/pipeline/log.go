package pipeline

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// The log of a run is one text, kept in packed pieces. It lies in the database
// rather than in a file so that every node can follow it, a backup has it, and
// only the holder of a job's lease can add to it.

const (
	piece   = 64 << 10               // bytes of a piece of log
	delay   = 200 * time.Millisecond // how long a line may wait for others to be kept with
	maxLine = 16 << 10               // what is longer is cut into lines of that length
)

// logger takes what an action says. It may be written to by several goroutines.
type logger struct {
	p   *Pipelines
	ctx context.Context
	job job

	mu      sync.Mutex
	line    []byte // not ended yet
	pending []byte // masked, not kept yet
	timer   *time.Timer
	err     error
	closed  bool
}

func (p *Pipelines) logger(ctx context.Context, j job) *logger {
	return &logger{p: p, ctx: ctx, job: j}
}

func (l *logger) printf(format string, a ...any) { fmt.Fprintf(l, format, a...) }

// Write takes lines in; a secret is masked within its line.
func (l *logger) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		switch room := maxLine - len(l.line); {
		case i >= 0 && i <= room:
			l.line = append(l.line, b[:i]...)
			b = b[i+1:]
			l.endLine("\n")
		case len(b) > room:
			l.line = append(l.line, b[:room]...)
			b = b[room:]
			l.endLine("\n")
		default:
			l.line = append(l.line, b...)
			b = nil
		}
	}
	switch {
	case len(l.pending) >= piece:
		l.flush()
	case len(l.pending) > 0 && l.timer == nil:
		l.timer = time.AfterFunc(delay, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.timer = nil; !l.closed {
				l.flush()
			}
		})
	}
	return n, l.err
}

// endLine adds the line to what is to be kept. The caller holds mu.
func (l *logger) endLine(end string) {
	line := l.line
	if mask := l.p.config.Mask; mask != nil {
		line = mask(line)
	}
	l.pending = append(append(l.pending, line...), end...)
	l.line = l.line[:0]
}

// flush keeps what is pending. The caller holds mu.
func (l *logger) flush() {
	if len(l.pending) == 0 || l.err != nil {
		return
	}
	text := l.pending
	l.pending = nil
	for len(text) > 0 && l.err == nil {
		part := text[:min(len(text), piece)]
		text = text[len(part):]
		l.err = l.p.append(context.WithoutCancel(l.ctx), l.job, part)
	}
}

// close keeps the rest. The error says that not all of the log could be kept.
func (l *logger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.endLine("\n")
	}
	l.flush()
	l.closed = true
	if errors.Is(l.err, errLost) {
		return nil // the one who has it now tells
	}
	return l.err
}

// append keeps a piece of log, if the job is still the caller's.
func (p *Pipelines) append(ctx context.Context, j job, text []byte) error {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		return err
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		held, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_jobs WHERE run = ? AND action = ? AND nonce = ?", j.run, j.action, j.nonce)
		if err != nil {
			return err
		}
		if held == 0 {
			return errLost
		}
		start, err := db.One(tx, db.Value[int64], "SELECT logged FROM pipeline_runs WHERE id = ?", j.run)
		if err != nil {
			return err
		}
		text := p.fit(text, start)
		if len(text) == 0 {
			return nil
		}
		packed.Reset()
		w.Reset(&packed)
		if _, err := w.Write(text); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO pipeline_log (run, start, size, at, body) VALUES (?, ?, ?, ?, ?)", j.run, start, len(text), p.config.Now().UnixMicro(), packed.Bytes()); err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE pipeline_runs SET logged = ? WHERE id = ?", start+int64(len(text)), j.run)
		tx.AfterCommit(p.wake)
		return err
	})
}

// fit cuts what goes beyond a log's bounds, and says so once.
func (p *Pipelines) fit(text []byte, start int64) []byte {
	room := p.config.MaxLog - start
	if int64(len(text)) <= room {
		return text
	}
	if room <= 0 {
		return nil
	}
	return append(bytes.Clone(text[:room]), fmt.Sprintf("\n(the log is longer than %d bytes: the rest is not kept)\n", p.config.MaxLog)...)
}

type logPiece struct {
	start, size int64
	body        []byte
}

func scanPiece(scan db.Scan) (l logPiece, err error) { return l, scan(&l.start, &l.size, &l.body) }

// Log is what a run has logged from an offset on, at most 1 MiB of it, and the
// offset to go on from; done is true when there is no more and will be none.
func (p *Pipelines) Log(ctx context.Context, id string, from int64) (text []byte, next int64, done bool, err error) {
	if from < 0 {
		return nil, 0, false, fault.Invalid.Errorf("a log does not start at %d", from)
	}
	next = from
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		e, err := find(tx, id)
		if err != nil {
			return err
		}
		pieces, err := db.All(tx, scanPiece, "SELECT start, size, body FROM pipeline_log WHERE run = ? AND start + size > ? ORDER BY start LIMIT 16", id, from)
		if err != nil {
			return err
		}
		done = e.Status.Ended() && len(pieces) < 16
		for _, l := range pieces {
			plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(l.body)))
			if err != nil || int64(len(plain)) != l.size {
				return fmt.Errorf("the log of run %s is broken at %d: %w", id, l.start, cmpErr(err))
			}
			if l.start > next { // older pieces are gone
				next = l.start
			}
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

// Follow gives the log from an offset on to take, as it grows, until the run
// has ended, ctx ends or take gives an error.
func (p *Pipelines) Follow(ctx context.Context, id string, from int64, take func(text []byte, next int64) error) error {
	for {
		news := p.waiting()
		text, next, done, err := p.Log(ctx, id, from)
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
		case <-time.After(p.config.Poll):
		}
	}
}
