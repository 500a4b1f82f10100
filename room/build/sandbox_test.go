package build_test

import (
	"fmt"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/room/build"
)

// A sandbox ends with the server that has it, also when that is killed; nothing of it is left.
func TestSandboxEndsWithTheServer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d func(...db.Schema) *db.DB) {
		h := open(t, d(schemas()...), nil)
		h.push("main", "first", map[string]string{"a.txt": "a"})
		stop := h.run()
		begin := func() build.Sandbox {
			t.Helper()
			s, err := h.room.StartSandbox(t.Context(), "shop", "ada", "")
			must(t, err)
			h.until("the sandbox runs", func() bool {
				s, err = h.room.Sandbox(t.Context(), s.ID)
				must(t, err)
				return s.Status == build.SandboxRuns
			})
			return s
		}
		s := begin()
		c, err := h.room.StartCommand(t.Context(), s.ID, "sleep 100")
		must(t, err)
		stop()
		s, err = h.room.Sandbox(t.Context(), s.ID)
		must(t, err)
		all, err := h.room.Commands(t.Context(), s.ID, true)
		must(t, err)
		if s.Status != build.SandboxStopped || len(all) != 1 || all[0].ID != c.ID || all[0].Status != "STOPPED" {
			t.Errorf("%+v %+v", s, all)
		}
		must(t, h.db.Write(t.Context(), func(tx *db.Tx) error { // as a kill would have left it
			_, err := tx.Exec("UPDATE build_sandboxes SET status = ?, body = ?", build.SandboxRuns, fmt.Appendf(nil, `{"id": %q, "status": "RUN_SANDBOX", "currentSession": {"phases": []}, "haechi": {}}`, s.ID))
			return err
		}))
		h.run()
		h.until("what was left is ended", func() bool {
			s, err = h.room.Sandbox(t.Context(), s.ID)
			must(t, err)
			return s.Status == build.SandboxStopped
		})
		last := begin()
		_, err = h.room.StopSandbox(t.Context(), last.ID)
		must(t, err)
		h.until("the end", func() bool {
			last, err = h.room.Sandbox(t.Context(), last.ID)
			must(t, err)
			return last.Status == build.SandboxStopped
		})
	})
}
