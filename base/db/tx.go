package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/haechi-dev/haechi/word/fault"
)

// Tx is a transaction. It belongs to one goroutine and is over when the function it was given to returns.
type Tx struct {
	ctx     context.Context
	db      *DB
	session *session
	after   []func()
}

// Scan reads the columns of a row into dest, as (*sql.Rows).Scan does.
type Scan = func(dest ...any) error

// Exec runs a statement and tells how many rows it touched.
func (tx *Tx) Exec(query string, args ...any) (affected int64, err error) {
	var result sql.Result
	query = tx.db.sql(query)
	if tx.session.prepares {
		st, err := tx.session.statement(tx.ctx, query)
		if err != nil {
			return 0, tx.db.engine.translate(err)
		}
		result, err = st.ExecContext(tx.ctx, args...)
		if err != nil {
			return 0, tx.db.engine.translate(err)
		}
	} else if result, err = tx.session.conn.ExecContext(tx.ctx, query, args...); err != nil {
		return 0, tx.db.engine.translate(err)
	}
	return result.RowsAffected()
}

// AfterCommit has f run once the transaction is committed, in order, and not at all if it is not.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Savepoint runs part of a transaction so that its failure undoes only that part.
func (tx *Tx) Savepoint(part func() error) error {
	if _, err := tx.Exec("SAVEPOINT part"); err != nil {
		return err
	}
	kept := len(tx.after)
	done := false
	undo := func() error {
		tx.after = tx.after[:kept]
		if _, err := tx.Exec("ROLLBACK TO part"); err != nil {
			return err
		}
		_, err := tx.Exec("RELEASE part")
		return err
	}
	defer func() {
		if !done {
			_ = undo() // a panic passes through
		}
	}()
	err := part()
	done = true
	if err != nil {
		return errors.Join(err, undo())
	}
	_, err = tx.Exec("RELEASE part")
	return err
}

func (tx *Tx) query(query string, args []any) (*sql.Rows, error) {
	query = tx.db.sql(query)
	if !tx.session.prepares {
		return tx.session.conn.QueryContext(tx.ctx, query, args...)
	}
	st, err := tx.session.statement(tx.ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(tx.ctx, args...)
}

// Each calls row for each row of a query. No other query may run meanwhile on tx. An error of row ends it.
func (tx *Tx) Each(row func(Scan) error, query string, args ...any) (err error) {
	rows, err := tx.query(query, args)
	if err != nil {
		return tx.db.engine.translate(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return tx.db.engine.translate(rows.Err())
}

// All is what row makes of each row of a query.
func All[T any](tx *Tx, row func(Scan) (T, error), query string, args ...any) (all []T, err error) {
	err = tx.Each(func(scan Scan) error {
		one, err := row(scan)
		all = append(all, one)
		return err
	}, query, args...)
	return all, err
}

var errEnough = errors.New("enough")

// One is what row makes of the first row of a query; without a row it is fault.NotFound.
func One[T any](tx *Tx, row func(Scan) (T, error), query string, args ...any) (one T, err error) {
	found := false
	err = tx.Each(func(scan Scan) error {
		if one, err = row(scan); err != nil {
			return err
		}
		found = true
		return errEnough
	}, query, args...)
	switch {
	case errors.Is(err, errEnough):
		return one, nil
	case err == nil && !found:
		return one, fault.NotFound.Wrap(fmt.Errorf("no such row"))
	}
	return one, err
}

// Value is for One and All where a row is one column: db.Value[int64].
func Value[T any](scan Scan) (v T, err error) { return v, scan(&v) }
