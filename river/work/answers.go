package work

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// answersKept is how long an answer is kept.
const answersKept = 24 * time.Hour

// KeepAnswer keeps what came of a question about logs, so that every node can tell it, for a day.
func (w *Work) KeepAnswer(ctx context.Context, id string, body []byte) error {
	packed, err := w.pack(body)
	if err != nil {
		return err
	}
	return w.db.Write(ctx, func(tx *db.Tx) error {
		now := w.config.Now()
		if _, err := tx.Exec("DELETE FROM work_answers WHERE at < ?", now.Add(-answersKept).UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO work_answers (id, at, size, body) VALUES (?, ?, ?, ?)", id, now.UnixMicro(), len(body), packed)
		return err
	})
}

// Answer is an answer that was kept, or fault.NotFound.
func (w *Work) Answer(ctx context.Context, id string) (body []byte, err error) {
	var l logPiece
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		l, err = db.One(tx, scanPiece, "SELECT 0, size, body FROM work_answers WHERE id = ? AND at >= ?", id, w.config.Now().Add(-answersKept).UnixMicro())
		return err
	})
	if fault.Of(err) == fault.NotFound {
		err = fault.NotFound.Errorf("there is no answer %.100q", id)
	}
	if err != nil {
		return nil, err
	}
	return l.text("answer " + id)
}
