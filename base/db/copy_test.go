package db_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// A database can be copied while it is in use, by a program that knows nothing of its tables.
func TestCopy(t *testing.T) {
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "state.db")
	d, err := db.Open(t.Context(), url, shop)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", "x", 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Copy(t.Context(), url, filepath.Join(folder, "copy.db")); err != nil {
		t.Fatal(err)
	}
	c, err := db.Open(t.Context(), "sqlite:"+filepath.Join(folder, "copy.db"), shop)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n := count(t, c); n != 1 {
		t.Errorf("the copy has %d rows", n)
	}
	missing := filepath.Join(folder, "missing.db")
	if err := db.Copy(t.Context(), "sqlite:"+missing, filepath.Join(folder, "other.db")); !errors.Is(err, fault.NotFound) {
		t.Errorf("a copy of nothing: %v", err)
	}
	if found, _ := filepath.Glob(missing); len(found) > 0 {
		t.Error("copying made the database")
	}
}
