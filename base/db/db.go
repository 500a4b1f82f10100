// Package db keeps state in SQLite or PostgreSQL, in one portable SQL.
//
// Each room brings a Schema and is the only one to touch its tables, whose
// names start with the room's. SQL is what both engines say: ? placeholders;
// TEXT, BIGINT, DOUBLE PRECISION and BLOB; ON CONFLICT and RETURNING. Text
// compares by bytes on both. This package is the one place that knows which
// engine it is.
//
// There is one writer at a time in the whole installation, on PostgreSQL too
// (an advisory lock): what Write's function reads is still true when it
// commits, and what two writers publish lies in the order of their commits.
// So a Write is short: no network and no waiting inside.
package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/word/fault"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	engine engine
	pool   *sql.DB
	writer chan *session // holds one token: the right to write, and the writing session
	idle   chan *session // readers at rest
	spoken sync.Map      // queries as they were written → as the engine says them
}

// Open opens the database that url names, "sqlite:FILE" or "postgres://…", and
// brings the tables of every room up to date. It refuses a database that a
// newer Haechi has written to.
func Open(ctx context.Context, url string, schemas ...Schema) (*DB, error) {
	e, name, source, err := parse(url)
	if err != nil {
		return nil, err
	}
	pool, err := sql.Open(name, source)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	pool.SetMaxOpenConns(2 * readers)
	pool.SetMaxIdleConns(2 * readers)
	d := &DB{engine: e, pool: pool, writer: make(chan *session, 1), idle: make(chan *session, readers)}
	d.writer <- nil
	for range readers {
		d.idle <- nil
	}
	if err := d.migrate(ctx, schemas); err != nil {
		pool.Close()
		return nil, err
	}
	return d, nil
}

// Close ends the database; transactions under way fail.
func (d *DB) Close() error { return d.pool.Close() }

// Postgres tells whether several nodes may share the database.
func (d *DB) Postgres() bool { return d.engine == postgres }

// Write runs change in a transaction and commits it durably, or rolls it back
// if change fails or panics. It waits for its turn.
func (d *DB) Write(ctx context.Context, change func(*Tx) error) error {
	return d.transact(ctx, d.writer, d.engine.beginWrite(), change)
}

// Read runs look in a transaction that sees one state of the database throughout and changes nothing.
func (d *DB) Read(ctx context.Context, look func(*Tx) error) error {
	return d.transact(ctx, d.idle, d.engine.beginRead(), look)
}

func (d *DB) transact(ctx context.Context, sessions chan *session, begin []string, work func(*Tx) error) error {
	var s *session
	select {
	case s = <-sessions:
	case <-ctx.Done():
		return ctx.Err()
	}
	tx := &Tx{ctx: ctx, db: d}
	err := func() (err error) {
		defer func() { sessions <- s }()
		if s, err = d.begin(ctx, s, begin); err != nil {
			return err
		}
		tx.session = s
		done := false
		defer func() {
			if !done && !s.end("ROLLBACK") {
				s = nil
			}
		}()
		if err := work(tx); err != nil {
			return err
		}
		done = true
		if err := s.commit(); err != nil {
			if !s.end("ROLLBACK") {
				s = nil
			}
			return d.engine.translate(fmt.Errorf("committing: %w", err))
		}
		return nil
	}()
	tx.session = nil
	if gone := ctx.Err(); err != nil && gone != nil && !errors.Is(err, gone) {
		return fmt.Errorf("%w: %w", gone, err) // a driver may only say that its connection is bad
	}
	if err != nil {
		return err
	}
	for _, f := range tx.after {
		f()
	}
	return nil
}

// begin starts a transaction on s, or on a new session where s is nil or was lost.
func (d *DB) begin(ctx context.Context, s *session, statements []string) (*session, error) {
	for attempt := 0; ; attempt++ {
		if s == nil {
			conn, err := d.pool.Conn(ctx)
			if err != nil {
				return nil, unreachable(ctx, err)
			}
			s = &session{conn: conn, prepared: map[string]*sql.Stmt{}, prepares: d.engine == sqlite}
		}
		err := s.exec(ctx, statements)
		if err == nil {
			return s, nil
		}
		if !s.end("ROLLBACK") {
			s = nil
		}
		lost := errors.Is(err, driver.ErrBadConn) || s == nil
		if ctx.Err() != nil || !lost || attempt > 0 {
			return s, d.engine.translate(fmt.Errorf("beginning a transaction: %w", err))
		}
	}
}

// session is one connection and the statements prepared on it.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	prepares bool // pgx prepares by itself
}

func (s *session) exec(ctx context.Context, statements []string) error {
	for _, q := range statements {
		if _, err := s.conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// commit is not given up half-way when its caller goes away.
func (s *session) commit() error {
	_, err := s.conn.ExecContext(context.Background(), "COMMIT")
	return err
}

// end ends the transaction, or the session where that does not work.
func (s *session) end(how string) bool {
	_, err := s.conn.ExecContext(context.Background(), how)
	if err == nil || strings.Contains(err.Error(), "no transaction is active") {
		return true
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that the pool forgets it
	_ = s.conn.Close()
	return false
}

func (s *session) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := s.prepared[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	const most = 500 // statements of variable length must not pile up
	if len(s.prepared) >= most {
		for q, old := range s.prepared {
			old.Close()
			delete(s.prepared, q)
		}
	}
	s.prepared[query] = st
	return st, nil
}

// Backup writes a copy of the database as it is now to a new file. Only an
// embedded database can do it; PostgreSQL has its own tools.
func (d *DB) Backup(ctx context.Context, file string) error {
	if d.engine != sqlite {
		return fault.Unsupported.Errorf("the state is in PostgreSQL: back it up with pg_dump")
	}
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		return fmt.Errorf("backing up to %s: %w", file, err)
	}
	return os.Chmod(file, 0o600)
}

// Size is how many bytes the database takes.
func (d *DB) Size(ctx context.Context) (bytes int64, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		bytes, err = One(tx, func(scan Scan) (n int64, err error) { return n, scan(&n) }, d.engine.sizeQuery())
		return err
	})
	return bytes, err
}
