package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/jackc/pgx/v5/pgconn"
)

type engine int

const (
	sqlite engine = iota
	postgres
)

// writeLock is the advisory lock that makes one writer of many nodes: "haechi".
const writeLock = 0x686165636869

// parse tells the engine, its driver and the driver's own name for the database.
func parse(address string) (e engine, name, source string, err error) {
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		file := strings.TrimPrefix(rest, "//")
		if file == "" {
			return 0, "", "", fault.Invalid.Errorf("%q names no file (sqlite:FILE)", address)
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600) // before SQLite makes it readable by all
		if err != nil {
			return 0, "", "", fmt.Errorf("opening the database: %w", err)
		}
		f.Close()
		pragmas := "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(8000)"
		return sqlite, "sqlite", "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + pragmas, nil
	case "postgres", "postgresql":
		u, err := url.Parse(address)
		if err != nil {
			return 0, "", "", fault.Invalid.Errorf("the database's address is not a URL (postgres://user@host/name)") // not the text: it may hold a password
		}
		q := u.Query()
		// A node that stops in the middle of a Write must not hold all others up for ever.
		q.Set("idle_in_transaction_session_timeout", "30000")
		u.RawQuery = q.Encode()
		return postgres, "pgx", u.String(), nil
	}
	return 0, "", "", fault.Invalid.Errorf("a database is sqlite:FILE or postgres://…, not %q", scheme+":")
}

func (e engine) beginWrite() []string {
	if e == sqlite {
		return []string{"BEGIN IMMEDIATE"}
	}
	return []string{"BEGIN", "SELECT pg_advisory_xact_lock(" + strconv.Itoa(writeLock) + ")"}
}

func (e engine) beginRead() []string {
	if e == sqlite {
		return []string{"BEGIN"}
	}
	return []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
}

func (e engine) sizeQuery() string {
	if e == sqlite {
		return "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	}
	return "SELECT pg_database_size(current_database())"
}

var (
	blobType = regexp.MustCompile(`\bBLOB\b`)
	textType = regexp.MustCompile(`\bTEXT\b`)
)

// ddl is a schema's statement as the engine says it.
func (e engine) ddl(statement string) string {
	if e == sqlite {
		return statement
	}
	statement = blobType.ReplaceAllString(statement, "BYTEA")
	return textType.ReplaceAllString(statement, `TEXT COLLATE "C"`)
}

// sql is a query as the engine says it.
func (d *DB) sql(query string) string {
	if d.engine == sqlite {
		return query
	}
	if q, ok := d.spoken.Load(query); ok {
		return q.(string)
	}
	q := number(query)
	if len(query) < 4096 { // the long ones vary in their number of rows
		d.spoken.Store(query, q)
	}
	return q
}

// number makes $1, $2 … of the question marks outside quotes.
func number(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	n, quote := 0, byte(0)
	for i := range len(query) {
		c := query[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '?':
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unreachable says why there is no connection, without the address, user and
// database that the driver names: callers see it.
func unreachable(ctx context.Context, err error) error {
	if gone := ctx.Err(); gone != nil {
		return gone
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fault.Unavailable.Errorf("the database cannot be reached: %w", errno)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fault.Unavailable.Errorf("the database lets nobody in: %s", pg.Message)
	}
	return fault.Unavailable.Errorf("the database cannot be reached")
}

// translate gives an engine's error the kind that callers can act upon.
func (e engine) translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		switch {
		case pg.Code == "23505": // unique_violation
			return fault.Exists.Wrap(err)
		case strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57"), strings.HasPrefix(pg.Code, "08"), pg.Code == "25P03": // resources, operator intervention, connection, idle time-out
			return fault.Unavailable.Wrap(err)
		case strings.HasPrefix(pg.Code, "22"): // data: a NUL in a text, say
			return fault.Invalid.Wrap(err)
		}
	case errors.Is(err, driver.ErrBadConn):
		return fault.Unavailable.Errorf("the connection to the database was lost")
	case strings.Contains(err.Error(), "UNIQUE constraint failed"):
		return fault.Exists.Wrap(err)
	case strings.Contains(err.Error(), "SQLITE_FULL"), strings.Contains(err.Error(), "SQLITE_BUSY"), strings.Contains(err.Error(), "disk is full"):
		return fault.Unavailable.Wrap(err)
	}
	return err
}
