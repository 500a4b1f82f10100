// Package work hands out jobs, leased to one worker at a time, and keeps what their workers log.
//
// A job is added in the transaction of the change that asks for it, and ended in
// the transaction that keeps its result. Between the two it is leased: the lease
// has a nonce, and whoever lost his lease (he stalled, or was presumed dead) can
// end nothing and log nothing any more. Workers are goroutines of ours (Serve) or
// machines elsewhere that ask for work (Claim, Renew): a job does not know which.
package work

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what a Work needs; all but DB may be left out.
type Config struct {
	DB     *db.DB // with Schema
	Log    *slog.Logger
	Now    func() time.Time
	Lease  time.Duration // how long a job is held without a sign of life; 30 s
	Poll   time.Duration // how often to look for other nodes' doings; 1 s
	MaxLog int64         // bytes of a stream; 256 MiB
	Kept   time.Duration // how long streams are kept after their last line; 90 days
}

// Work is the queue and its logs. It is safe for concurrent use.
type Work struct {
	config Config
	db     *db.DB
	jobs   signal // of jobs added, ended, stopped
	lines  signal // of what was logged

	packers sync.Pool // of *flate.Writer
}

// New is a Work on a database.
func New(c Config) *Work {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Lease, c.Poll = cmp.Or(c.Lease, 30*time.Second), cmp.Or(c.Poll, time.Second)
	c.MaxLog, c.Kept = cmp.Or(c.MaxLog, 256<<20), cmp.Or(c.Kept, 90*24*time.Hour)
	return &Work{config: c, db: c.DB, packers: sync.Pool{New: newPacker}}
}

// Schema is the queue's tables.
func Schema() db.Schema {
	return db.Schema{Room: "work", Steps: []string{`
CREATE TABLE work_jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, holder TEXT NOT NULL, nonce TEXT NOT NULL, until BIGINT NOT NULL, attempt BIGINT NOT NULL, stopped BIGINT NOT NULL, created BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX work_jobs_by_kind ON work_jobs (kind, until, created);
CREATE TABLE work_streams (stream TEXT PRIMARY KEY, size BIGINT NOT NULL, ended BIGINT NOT NULL, at BIGINT NOT NULL);
CREATE INDEX work_streams_by_age ON work_streams (at);
CREATE TABLE work_log (stream TEXT NOT NULL, start BIGINT NOT NULL, size BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (stream, start))`, `
ALTER TABLE work_streams ADD COLUMN grp TEXT NOT NULL DEFAULT '';
ALTER TABLE work_streams ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE work_streams ADD COLUMN made BIGINT NOT NULL DEFAULT 0;
ALTER TABLE work_streams ADD COLUMN began BIGINT NOT NULL DEFAULT 0;
CREATE INDEX work_streams_by_name ON work_streams (grp, name);
ALTER TABLE work_log ADD COLUMN at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX work_log_by_time ON work_log (stream, at, start, size)`, `
CREATE TABLE work_answers (id TEXT PRIMARY KEY, at BIGINT NOT NULL, size BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX work_answers_by_age ON work_answers (at)`}}
}

// Job is something to be done once.
type Job struct {
	ID   string // unique for ever, such as build/7f0c…
	Kind string // who can do it: category/owner/provider/version, as CodePipeline tells types of actions apart
	Body []byte // what is to be done, in its kind's own words; may be empty
}

// Lease is a job, and the right to end it and to log for it.
type Lease struct {
	Job
	Nonce   string
	Attempt int  // from 1
	Stopped bool // somebody asked for its end before it was taken up
}

var (
	// ErrLost says that the job is another worker's by now, or is no more.
	ErrLost = fault.Conflict.Errorf("the job is another worker's by now")
	// ErrStopped is the cause of the end of a job's context when Stop was asked for.
	ErrStopped = errors.New("the job was stopped")
)

// Add makes a job part of tx. One that is there already stays as it is.
func (w *Work) Add(tx *db.Tx, j Job) error {
	body := j.Body
	if body == nil {
		body = []byte{}
	}
	_, err := tx.Exec("INSERT INTO work_jobs (id, kind, holder, nonce, until, attempt, stopped, created, body) VALUES (?, ?, '', '', 0, 0, 0, ?, ?) ON CONFLICT (id) DO NOTHING",
		j.ID, j.Kind, w.config.Now().UnixMicro(), body)
	tx.AfterCommit(w.jobs.wake)
	return err
}

// Stop asks for the end of a job: its worker's context ends with ErrStopped, and he ends the job, saying what
// became of it. One that nobody holds is handed out for that alone. held tells whether somebody has it.
func (w *Work) Stop(tx *db.Tx, id string) (held bool, err error) {
	until, err := db.All(tx, db.Value[int64], "UPDATE work_jobs SET stopped = 1 WHERE id = ? RETURNING until", id)
	tx.AfterCommit(w.jobs.wake)
	return len(until) == 1 && until[0] > w.config.Now().UnixMicro(), err
}

// Cancel takes a job away, whoever holds it: he finds it lost.
func (w *Work) Cancel(tx *db.Tx, id string) error {
	_, err := tx.Exec("DELETE FROM work_jobs WHERE id = ?", id)
	tx.AfterCommit(w.jobs.wake)
	return err
}

func scanLease(scan db.Scan) (l Lease, err error) {
	var stopped int64
	err = scan(&l.ID, &l.Kind, &l.Attempt, &stopped, &l.Body)
	l.Stopped = stopped != 0
	return l, err
}

// Claim leases the oldest job of some kinds that nobody holds. by says who holds it, for people.
func (w *Work) Claim(ctx context.Context, by string, kinds ...string) (l Lease, ok bool, err error) {
	if len(kinds) == 0 {
		return l, false, nil
	}
	among, args := list(kinds)
	var free int64
	err = w.db.Read(ctx, func(tx *db.Tx) error { // most looks find nothing: they need not be the one writer
		free, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM work_jobs WHERE kind IN "+among+" AND until < ?", append(args, w.config.Now().UnixMicro())...)
		return err
	})
	if err != nil || free == 0 {
		return l, false, err
	}
	err = w.db.Write(ctx, func(tx *db.Tx) error {
		ok = false
		now := w.config.Now()
		due, err := db.All(tx, scanLease, "SELECT id, kind, attempt, stopped, body FROM work_jobs WHERE kind IN "+among+" AND until < ? ORDER BY created, id LIMIT 1", append(args, now.UnixMicro())...)
		if err != nil || len(due) == 0 {
			return err
		}
		l, ok = due[0], true
		l.Nonce, l.Attempt = rand.Text(), l.Attempt+1
		_, err = tx.Exec("UPDATE work_jobs SET holder = ?, nonce = ?, until = ?, attempt = ? WHERE id = ?",
			by, l.Nonce, now.Add(w.config.Lease).UnixMicro(), l.Attempt, l.ID)
		return err
	})
	return l, ok, err
}

func list(kinds []string) (among string, args []any) {
	among = "("
	for i, k := range kinds {
		if i > 0 {
			among += ", "
		}
		among += "?"
		args = append(args, k)
	}
	return among + ")", args
}

// Hold renews a lease in tx: who may, holds the job until tx ends at least. It is ErrLost when the job is
// another's; stopped tells whether its end was asked for.
func (w *Work) Hold(tx *db.Tx, l Lease) (stopped bool, err error) {
	asked, err := db.All(tx, db.Value[int64], "UPDATE work_jobs SET until = ? WHERE id = ? AND nonce = ? AND nonce <> '' RETURNING stopped",
		w.config.Now().Add(w.config.Lease).UnixMicro(), l.ID, l.Nonce)
	if err == nil && len(asked) == 0 {
		err = ErrLost
	}
	return err == nil && asked[0] != 0, err
}

// Renew is Hold in a transaction of its own: a worker's sign of life.
func (w *Work) Renew(ctx context.Context, l Lease) (stopped bool, err error) {
	err = w.db.Write(ctx, func(tx *db.Tx) error {
		stopped, err = w.Hold(tx, l)
		return err
	})
	return stopped, err
}

// Find is the lease of a job by its id and nonce, with its body: for workers elsewhere, who know no more.
func (w *Work) Find(ctx context.Context, id, nonce string) (l Lease, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		l, err = db.One(tx, scanLease, "SELECT id, kind, attempt, stopped, body FROM work_jobs WHERE id = ? AND nonce = ? AND nonce <> ''", id, nonce)
		return err
	})
	if fault.Of(err) == fault.NotFound {
		err = ErrLost
	}
	l.Nonce = nonce
	return l, err
}

// Done ends a job, in the transaction that keeps its result.
func (w *Work) Done(tx *db.Tx, l Lease) error {
	n, err := tx.Exec("DELETE FROM work_jobs WHERE id = ? AND nonce = ? AND nonce <> ''", l.ID, l.Nonce)
	if err == nil && n == 0 {
		err = ErrLost
	}
	tx.AfterCommit(w.jobs.wake)
	return err
}

// Release gives a job back, to be taken up again at a time. What was tried does not count when it was cut off.
func (w *Work) Release(ctx context.Context, l Lease, at time.Time, counts bool) error {
	attempt := l.Attempt
	if !counts {
		attempt--
	}
	return w.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE work_jobs SET nonce = '', holder = '', until = ?, attempt = ? WHERE id = ? AND nonce = ?", at.UnixMicro(), attempt, l.ID, l.Nonce)
		tx.AfterCommit(w.jobs.wake)
		return err
	})
}

// Hurry takes a job that was released for later up at once. One that somebody holds stays with him.
func (w *Work) Hurry(tx *db.Tx, id string) error {
	_, err := tx.Exec("UPDATE work_jobs SET until = 0 WHERE id = ? AND nonce = ''", id)
	tx.AfterCommit(w.jobs.wake)
	return err
}

// Recover frees the jobs of workers that ended with this process: for the start
// of an installation that has one node only. Who is known by an ARN works on
// another machine, and goes on meanwhile: what he has let go of ends with its lease.
func (w *Work) Recover(ctx context.Context) error {
	if w.db.Postgres() {
		return nil // other nodes may be at work; what they let go of ends with its lease
	}
	return w.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE work_jobs SET until = 0, nonce = '', holder = '' WHERE holder < 'arn:' OR holder >= 'arn;'")
		tx.AfterCommit(w.jobs.wake)
		return err
	})
}

// Changed is closed at the next change of a job here. Ask before looking, so that nothing slips by.
func (w *Work) Changed() <-chan struct{} { return w.jobs.next() }

// Logged is closed at the next line that is logged here. Ask before looking, so that nothing slips by.
func (w *Work) Logged() <-chan struct{} { return w.lines.next() }

// signal tells everybody who waits that something has changed.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
