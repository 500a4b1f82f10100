package db_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var shop = db.Schema{Room: "shop", Steps: []string{
	"CREATE TABLE shop_items (id TEXT PRIMARY KEY, price BIGINT NOT NULL, picture BLOB);\nCREATE INDEX shop_by_price ON shop_items (price)",
}}

func count(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shop_items")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What fails or panics leaves nothing behind, and what follows works.
func TestWriteIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(shop)
		insert := func(tx *db.Tx, id string) error {
			_, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", id, 7)
			return err
		}
		told := 0
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			tx.AfterCommit(func() { told++ })
			return errors.Join(insert(tx, "a"), io.ErrUnexpectedEOF)
		})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = d.Write(t.Context(), func(tx *db.Tx) error {
				_ = insert(tx, "b")
				panic("ours")
			})
		}()
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			_ = insert(tx, "c")
			return insert(tx, "c")
		})
		if !errors.Is(err, fault.Exists) {
			t.Errorf("the same key twice: %v, want exists", err)
		}
		if n := count(t, d); n != 0 || told != 0 {
			t.Errorf("%d rows are left, told %d times", n, told)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			tx.AfterCommit(func() { told++ })
			return insert(tx, "d")
		}); err != nil || count(t, d) != 1 || told != 1 {
			t.Errorf("afterwards: %v, %d rows, told %d times", err, count(t, d), told)
		}
	})
}

// The failure of a part undoes that part alone.
func TestSavepoint(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(shop)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range 4 {
				err := tx.Savepoint(func() error {
					if _, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", fmt.Sprint(i), i); err != nil {
						return err
					}
					if i%2 == 1 {
						_, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", fmt.Sprint(i), i)
						return err
					}
					return nil
				})
				if (err != nil) != (i%2 == 1) {
					return fmt.Errorf("part %d: %v", i, err)
				}
			}
			return nil
		})
		if err != nil || count(t, d) != 2 {
			t.Errorf("%v, %d rows, want 2", err, count(t, d))
		}
	})
}

// What a writer has read is still true when it commits, on several nodes too.
func TestOneWriter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		nodes := []*db.DB{open(shop), open(shop)}
		if !nodes[0].Postgres() {
			nodes[1] = nodes[0]
		}
		const each = 50
		var workers sync.WaitGroup
		for i := range 4 {
			workers.Go(func() {
				for range each {
					err := nodes[i%2].Write(context.Background(), func(tx *db.Tx) error {
						n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shop_items")
						if err != nil {
							return err
						}
						_, err = tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", fmt.Sprint(n), n)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
		if n := count(t, nodes[0]); n != 4*each {
			t.Errorf("%d rows, want %d", n, 4*each)
		}
	})
}

// A reader sees one state throughout, and cannot change it on PostgreSQL.
func TestReadIsOneState(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(shop)
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			before, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shop_items")
			if err != nil {
				return err
			}
			if err := d.Write(t.Context(), func(w *db.Tx) error {
				_, err := w.Exec("INSERT INTO shop_items (id, price, picture) VALUES (?, ?, ?)", "x", 1, []byte{0, 1})
				return err
			}); err != nil {
				return err
			}
			after, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM shop_items")
			if err == nil && before != after {
				t.Errorf("saw %d, then %d", before, after)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, d); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

// Question marks in quotes stay, texts compare by bytes, a missing row is not found.
func TestPortable(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(shop)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, id := range []string{"b", "a", "B", "가", "?"} {
				if _, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", id, 1); err != nil {
					return err
				}
			}
			all, err := db.All(tx, db.Value[string], "SELECT id FROM shop_items WHERE id <> '?' AND id >= ? ORDER BY id", "A")
			if got := strings.Join(all, " "); got != "B a b 가" {
				t.Errorf("order: %s", got)
			}
			if _, e := db.One(tx, db.Value[string], "SELECT id FROM shop_items WHERE id = ?", "zz"); !errors.Is(e, fault.NotFound) {
				t.Errorf("missing row: %v", e)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if size, err := d.Size(t.Context()); err != nil || size < 4096 {
			t.Errorf("size %d, %v", size, err)
		}
	})
}

// Steps are added to, never changed; an older program refuses what a newer one wrote.
func TestSchemaOnlyGrows(t *testing.T) {
	file := "sqlite:" + filepath.Join(t.TempDir(), "state.db")
	grown := db.Schema{Room: "shop", Steps: append(shop.Steps[:1:1], "ALTER TABLE shop_items ADD COLUMN name TEXT")}
	changed := db.Schema{Room: "shop", Steps: []string{strings.Replace(shop.Steps[0], "price", "cost", 1), grown.Steps[1]}}
	more := db.Schema{Room: "till", Steps: []string{"CREATE TABLE till_coins (n BIGINT)"}}
	for _, c := range []struct {
		schemas []db.Schema
		refused string
	}{
		{[]db.Schema{shop}, ""},
		{[]db.Schema{grown}, ""},
		{[]db.Schema{shop}, "newer"},
		{[]db.Schema{changed}, "never changed"},
		{[]db.Schema{grown, more}, ""},
		{[]db.Schema{grown}, "newer"},
	} {
		d, err := db.Open(t.Context(), file, c.schemas...)
		if err == nil {
			d.Close()
		}
		if (err == nil) != (c.refused == "") || err != nil && !(errors.Is(err, fault.Unsupported) && strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%v: got %v, want %q", c.schemas, err, c.refused)
		}
	}
	if info, err := os.Stat(strings.TrimPrefix(file, "sqlite:")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
}

// A given-up wait does not take the writer with it.
func TestCancelledWriter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(shop)
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Write(ctx, func(tx *db.Tx) error {
			cancel()
			_, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", "x", 1)
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", "y", 1)
			return err
		}); err != nil || count(t, d) != 1 {
			t.Errorf("afterwards: %v, %d rows", err, count(t, d))
		}
	})
}

// A copy made while it is in use opens as a database of its own.
func TestBackup(t *testing.T) {
	folder := t.TempDir()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(folder, "state.db"), shop)
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
	if err := d.Backup(t.Context(), filepath.Join(folder, "copy.db")); err != nil {
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
}

func TestBadAddresses(t *testing.T) {
	for _, address := range []string{"", "mysql://x", "sqlite:", "postgres://user:geheim@[::1/x"} {
		_, err := db.Open(t.Context(), address)
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want invalid", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("a password is in %v", err)
		}
	}
}

// Why there is no connection is told without where it would go.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = db.Open(t.Context(), "postgres://zoe:geheim@"+address+"/books?sslmode=disable", shop)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	for _, told := range []string{"zoe", "geheim", address, "books"} {
		if strings.Contains(err.Error(), told) {
			t.Errorf("%q is in %v", told, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "state.db"), shop)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	n := 0
	for b.Loop() {
		n++
		if err := d.Write(b.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO shop_items (id, price) VALUES (?, ?)", fmt.Sprint(n), n)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
