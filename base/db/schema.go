package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// Schema is what a room keeps. Each step is one or more statements separated
// by ";\n"; steps that were released are never changed, new ones are only ever
// appended. A room that goes away leaves its Schema here, with a last step that drops its tables.
type Schema struct {
	Room  string
	Steps []string
}

type applied struct {
	room  string
	steps int
	sum   string
}

// migrate brings every room's tables up to date, in one transaction.
func (d *DB) migrate(ctx context.Context, schemas []Schema) error {
	return d.Write(ctx, func(tx *Tx) error {
		create := "CREATE TABLE IF NOT EXISTS db_schema (room TEXT PRIMARY KEY, steps BIGINT NOT NULL, sum TEXT NOT NULL)"
		if _, err := tx.Exec(tx.db.engine.ddl(create)); err != nil {
			return err
		}
		have, err := All(tx, func(scan Scan) (a applied, err error) { return a, scan(&a.room, &a.steps, &a.sum) }, "SELECT room, steps, sum FROM db_schema")
		if err != nil {
			return err
		}
		for _, a := range have {
			if !slices.ContainsFunc(schemas, func(s Schema) bool { return s.Room == a.room }) {
				return fault.Unsupported.Errorf("the database holds %q, which this Haechi does not know: it was written by a newer one; run that, or restore a backup", a.room)
			}
		}
		for _, s := range schemas {
			i := slices.IndexFunc(have, func(a applied) bool { return a.room == s.Room })
			if i < 0 {
				have = append(have, applied{room: s.Room, sum: checksum(nil)})
				i = len(have) - 1
			}
			if err := s.bring(tx, have[i]); err != nil {
				return fmt.Errorf("tables of %s: %w", s.Room, err)
			}
		}
		return nil
	})
}

func (s Schema) bring(tx *Tx, have applied) error {
	if have.steps > len(s.Steps) {
		return fault.Unsupported.Errorf("the database is at step %d and this Haechi knows %d: it was written by a newer one; run that, or restore a backup", have.steps, len(s.Steps))
	}
	if have.sum != checksum(s.Steps[:have.steps]) {
		return fault.Unsupported.Errorf("steps 1 to %d are not those that made the database: released steps are never changed", have.steps)
	}
	if have.steps == len(s.Steps) {
		return nil
	}
	for i, step := range s.Steps[have.steps:] {
		for statement := range strings.SplitSeq(step, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := tx.Exec(tx.db.engine.ddl(strings.TrimSuffix(strings.TrimSpace(statement), ";"))); err != nil {
				return fmt.Errorf("step %d: %w", have.steps+i+1, err)
			}
		}
	}
	_, err := tx.Exec("INSERT INTO db_schema (room, steps, sum) VALUES (?, ?, ?) ON CONFLICT (room) DO UPDATE SET steps = excluded.steps, sum = excluded.sum",
		s.Room, len(s.Steps), checksum(s.Steps))
	return err
}

func checksum(steps []string) string {
	h := sha256.New()
	for _, s := range steps {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
