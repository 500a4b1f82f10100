package db

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Copy writes a copy of the database at url as it is now to a new file, without
// bringing its tables up to date: a server, and one of another version, may be
// using it. As with Backup, PostgreSQL has its own tools.
func Copy(ctx context.Context, url, file string) error {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if _, err := os.Stat(strings.TrimPrefix(path, "//")); err != nil { // opening it would make it
			return fault.NotFound.Wrap(err)
		}
	}
	e, name, source, err := parse(url)
	if err != nil {
		return err
	}
	if e != sqlite {
		return fault.Unsupported.Errorf("the state is in PostgreSQL: back it up with pg_dump")
	}
	pool, err := sql.Open(name, source)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	d := &DB{engine: e, pool: pool}
	defer d.Close()
	return d.Backup(ctx, file)
}
