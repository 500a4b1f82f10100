package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// workUntilKilled is the server that TestKill kills.
func workUntilKilled(dir, database string) {
	d, err := db.Open(context.Background(), database, schemas()...)
	if err != nil {
		panic(err)
	}
	h, err := furnish(context.Background(), d, dir, 300*time.Millisecond, nil)
	if err != nil {
		panic(err)
	}
	h.shop.took = 150 * time.Millisecond
	go func() { panic(h.shop.run(context.Background())) }()
	panic(h.room.Run(context.Background()))
}

// A server is killed at any moment of a run, again and again: every run goes
// on, ends once, and is told of once.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Run("sqlite", func(t *testing.T) { killed(t, "sqlite:"+filepath.Join(t.TempDir(), "state.db")) })
	t.Run("postgres", func(t *testing.T) { killed(t, dbtest.Postgres(t)) })
}

func killed(t *testing.T, database string) {
	dir := t.TempDir()
	d, err := db.Open(t.Context(), database, schemas()...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h, err := furnish(t.Context(), d, dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.t, h.clone = t, gittest.New(t)
	if _, err := h.source.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	if h.repo, err = h.source.Git("shop"); err != nil {
		t.Fatal(err)
	}
	const runs = 4
	for i := range runs {
		files := map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [echo begun, sleep 0.15, echo built]}}\n", "packages.txt": fmt.Sprintf("p%d LOW\n", i)}
		if i == runs-1 {
			files["packages.txt"] = "bad HIGH\n"
		}
		h.give("main", fmt.Sprint("run ", i), files)
	}
	kills := 0
	for all := []pipeline.Execution(nil); len(all) < runs || slices.ContainsFunc(all, func(e pipeline.Execution) bool { return !e.Status.Ended() }); {
		if kills > 200 {
			t.Fatalf("after %d kills there is no end: %+v", kills, all)
		}
		server := exec.Command(os.Args[0])
		server.Env = append(os.Environ(), "HAECHI_TEST_PIPELINE="+dir, "HAECHI_TEST_DATABASE="+database)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(150+kills*97%700+kills*20) * time.Millisecond) // ever longer: a slow machine ends it too
		_ = server.Process.Kill()
		_ = server.Wait()
		kills++
		if all, err = h.room.Executions(t.Context(), pipeline.Query{}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := h.room.Executions(t.Context(), pipeline.Query{})
	if err != nil || len(all) != runs {
		t.Fatalf("%d runs, %v", len(all), err)
	}
	for i, e := range all {
		want, last := pipeline.Succeeded, "SUCCEEDED"
		if i == 0 {
			want, last = pipeline.Failed, "FAILED"
		}
		if e.Status != want {
			t.Errorf("run %d is %s: %+v\n%s", e.Number, e.Status, e.Reasons, h.log(e.ID))
		}
		if states, _ := h.told(e.ID); !slices.Equal(states, []string{"STARTED", last}) {
			t.Errorf("events of run %d: %v", e.Number, states)
		}
	}
	t.Logf("%d kills", kills)
}
