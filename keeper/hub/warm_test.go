package hub_test

import (
	"context"
	"sync"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
)

// Those who ask while the findings are read for the first time wait without
// holding up others, who want something else of the database.
func TestManyWaitForTheFirst(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.importing(many(200)...)
		again, err := hub.New(t.Context(), hub.Config{DB: h.db, Bus: h.bus, Now: h.time, Account: account})
		h.check(err)
		var askers sync.WaitGroup
		for range 40 {
			askers.Go(func() {
				if n, err := again.Count(t.Context(), nil); err != nil || n != 200 {
					t.Errorf("counted %d, %v", n, err)
				}
			})
		}
		h.check(h.db.Read(t.Context(), func(tx *db.Tx) error {
			_, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM hub_findings")
			return err
		}))
		askers.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := again.Find(gone, hub.Query{}); err == nil {
			t.Error("who went away was answered")
		}
	})
}
