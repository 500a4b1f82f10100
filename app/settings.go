package app

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Schema is what the roof itself keeps: what is made once for an installation.
func Schema() db.Schema {
	return db.Schema{Room: "app", Steps: []string{
		"CREATE TABLE app_once (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
		"CREATE TABLE app_files (name TEXT PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL)",
	}}
}

// once is 32 random bytes that are made at the first start and stay: the same on every node.
func (a *App) once(ctx context.Context, name string) (value []byte, err error) {
	err = a.DB.Write(ctx, func(tx *db.Tx) error {
		value, err = db.One(tx, db.Value[[]byte], "SELECT value FROM app_once WHERE name = ?", name)
		if !errors.Is(err, fault.NotFound) {
			return err
		}
		value = make([]byte, 32)
		rand.Read(value)
		_, err = tx.Exec("INSERT INTO app_once (name, value) VALUES (?, ?)", name, value)
		return err
	})
	return value, err
}
