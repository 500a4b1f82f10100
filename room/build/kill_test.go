package build_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/build"
)

// workUntilKilled is the server that TestKill kills.
func workUntilKilled(dir, database string) {
	d, err := db.Open(context.Background(), database, schemas()...)
	if err != nil {
		panic(err)
	}
	h, err := furnish(d, dir, func(c *build.Config) { c.Workers = 2 })
	if err != nil {
		panic(err)
	}
	if err := h.work.Recover(context.Background()); err != nil {
		panic(err)
	}
	panic(h.room.Run(context.Background()))
}

// Builds wait for two workers, whose server is killed every second: each ends
// once, is told of once, and has one artifact and one report. HAECHI_TEST_BUILDS=200
// is the full number; bench/RESULTS.md has what came of it.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	builds := 30
	if n := os.Getenv("HAECHI_TEST_BUILDS"); n != "" {
		if _, err := fmt.Sscan(n, &builds); err != nil {
			t.Fatal(err)
		}
	}
	dir, database := t.TempDir(), "sqlite:"+filepath.Join(t.TempDir(), "state.db")
	d, err := db.Open(t.Context(), database, schemas()...)
	must(t, err)
	defer d.Close()
	h, err := furnish(d, dir, nil)
	must(t, err)
	h.t, h.clone = t, gittest.New(t)
	_, err = h.source.Create(t.Context(), source.Repository{Name: "shop"})
	must(t, err)
	h.repo, err = h.source.Git("shop")
	must(t, err)
	h.push("main", "first", map[string]string{"buildspec.yml": spec("artifacts:\n  files: [j.xml]\nreports:\n  unit:\n    files: [j.xml]\n", `echo "<testsuite name='s'><testcase name='t$CODEBUILD_BUILD_NUMBER'/></testsuite>" > j.xml`)})
	for range builds {
		h.start(build.Start{})
	}
	began, kills := time.Now(), 0
	for left := builds; left > 0; kills++ {
		if time.Since(began) > 4*time.Minute {
			t.Fatalf("after %d kills %d builds have not ended", kills, left)
		}
		server := exec.Command(os.Args[0])
		server.Env = append(os.Environ(), "HAECHI_TEST_BUILD="+dir, "HAECHI_TEST_DATABASE="+database)
		must(t, server.Start())
		for end := time.Now().Add(time.Second); time.Now().Before(end) && left > 0; time.Sleep(20 * time.Millisecond) {
			must(t, d.Read(t.Context(), func(tx *db.Tx) error {
				n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_builds WHERE status = 'IN_PROGRESS'")
				left = int(n)
				return err
			}))
		}
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	took := time.Since(began)
	var reports, files, jobs int64
	must(t, d.Read(t.Context(), func(tx *db.Tx) (err error) {
		for table, n := range map[string]*int64{"build_reports": &reports, "build_files": &files, "work_jobs": &jobs} {
			if *n, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM "+table); err != nil {
				return err
			}
		}
		return nil
	}))
	if reports != int64(builds) || files != int64(builds) || jobs != 0 {
		t.Errorf("%d builds have %d reports and %d artifacts, and %d jobs are left", builds, reports, files, jobs)
	}
	ends := map[string]int{}
	for _, e := range h.told(build.Changed) {
		if e.Status.Ended() {
			if ends[e.Build]++; e.Status != build.Succeeded {
				t.Errorf("%s is %s: %+v", e.Build, e.Status, e.Ours.Reason)
			}
		}
	}
	for id, n := range ends {
		if n != 1 {
			t.Errorf("the end of %s was told %d times", id, n)
		}
	}
	if len(ends) != builds {
		t.Errorf("%d ends were told", len(ends))
	}
	t.Logf("%d builds, %d kills, %v", builds, kills, took.Round(time.Millisecond))
}
