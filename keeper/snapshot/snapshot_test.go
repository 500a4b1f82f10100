package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// The last snapshot of an account counts, on every node; what is none is refused and changes nothing.
func TestSnapshots(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		ctx, now := dbtest.Context(t), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		clock := func() time.Time { now = now.Add(time.Minute); return now }
		d := open(snapshot.Schema())
		s, other := snapshot.New(d, clock), snapshot.New(d, clock)
		text, err := os.ReadFile(filepath.Join("..", "..", "lang", "iam", "account", "testdata", "shop.json"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Put(ctx, "arn:kim", "shop.json", text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := other.Account(ctx, a.ID)
		if err != nil || len(got.Principals) != len(a.Principals) {
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := s.Put(ctx, "arn:kim", "none.json", []byte(`{}`)); !errors.Is(err, fault.Invalid) {
			t.Errorf("no snapshot: %v", err)
		}
		const one = `{"UserDetailList":[{"UserName":"solo","Arn":"arn:aws:iam::ACCOUNT:user/solo"}]}`
		if _, err := s.Put(ctx, "arn:ann", "new.json", []byte(strings.Replace(one, "ACCOUNT", a.ID, 1))); err != nil {
			t.Fatal(err)
		}
		if got, err = other.Account(ctx, a.ID); err != nil || len(got.Principals) != 1 {
			t.Errorf("the other node sees %d principals, %v", len(got.Principals), err)
		}
		list, err := s.List(ctx)
		if err != nil || len(list) != 1 || list[0].Who != "arn:ann" || list[0].Principals != 1 || list[0].Name != "new.json" {
			t.Errorf("%+v, %v", list, err)
		}
		if err := s.Delete(ctx, a.ID); err != nil {
			t.Error(err)
		}
		if _, err := other.Account(ctx, a.ID); !errors.Is(err, fault.NotFound) {
			t.Errorf("a snapshot that was deleted: %v", err)
		}
	})
}
