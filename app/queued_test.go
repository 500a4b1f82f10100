package app_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/river/bus"
	builds "github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// queuedRuns is how many runs wait: HAECHI_RUNS, such as 200, or a few.
func queuedRuns() int {
	if n, err := strconv.Atoi(os.Getenv("HAECHI_RUNS")); err == nil {
		return n
	}
	if testing.Short() {
		return 2
	}
	return 5
}

// Runs wait for two workers of a server that is killed with kill -9 every second: each run ends once, each result of an
// action and of a build counts once.
func TestQueuedRuns(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); queued(t, "sqlite:") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); queued(t, dbtest.Postgres(t)) })
}

const queuedPipeline = `
name: queue
executionMode: PARALLEL
stages:
  - name: Source
    actions:
      - {name: Code, actionTypeId: {category: Source, provider: CodeCommit}, configuration: {RepositoryName: shop, BranchName: main}, outputArtifacts: [{name: code}]}
  - name: Check
    actions:
      - {name: Scan, actionTypeId: {category: Test, owner: ThirdParty, provider: HaechiScan}, inputArtifacts: [{name: code}]}
      - {name: Build, actionTypeId: {category: Build, provider: CodeBuild}, inputArtifacts: [{name: code}]}
  - name: Gate
    actions:
      - {name: Gate, actionTypeId: {category: Test, owner: ThirdParty, provider: HaechiGate}}
`

func queued(t *testing.T, database string) {
	folder := t.TempDir()
	runs := queuedRuns()
	prepare(t, folder, database, runs)
	if database == "sqlite:" {
		database += filepath.Join(folder, "state.db")
	}
	d, err := db.Open(t.Context(), database, app.Schemas()...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	began, kills, least := time.Now(), 0, 0
	for done := 0; done < runs; kills++ {
		if kills > 2*runs+60 {
			t.Fatalf("after %d kills only %d of %d runs have ended", kills, done, runs)
		}
		v := startAgain(t, folder, database)
		time.Sleep(time.Second + time.Duration(kills)*10*time.Millisecond) // ever longer: a slow machine ends it too
		if err := v.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = v.cmd.Wait()
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_runs WHERE pipeline = 'queue' AND status NOT IN ('Waiting', 'InProgress')")
			done = int(n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if done < least {
			t.Fatalf("%d runs had ended, and now %d have", least, done)
		}
		least = done
	}
	once(t, d, runs)
	t.Logf("%d runs, %d kills, %v", runs, kills, time.Since(began).Round(time.Millisecond))
}

// prepare makes an installation with runs that wait.
func prepare(t *testing.T, folder, database string, runs int) {
	t.Helper()
	env := map[string]string{"HAECHI_DATA": folder, "HAECHI_DATABASE": database}
	getenv := func(name string) string { return env[name] }
	c := app.Default(getenv)
	c.Environment(getenv)
	a, err := app.Open(t.Context(), c, app.Env{Log: slog.New(slog.DiscardHandler), Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Access.First(t.Context(), folder, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Source.Create(t.Context(), source.Repository{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	repo, err := a.Source.Git("shop")
	if err != nil {
		t.Fatal(err)
	}
	clone := gittest.New(t)
	clone.Commit("one", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['true']}}\n"})
	clone.Git("push", "-q", repo.Dir(), "HEAD:refs/heads/main")
	if err := a.Source.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := structure.Parse("queue.yaml", []byte(queuedPipeline), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Pipeline.Create(t.Context(), s, nil, "arn:ada"); err != nil {
		t.Fatal(err)
	}
	for range runs - 1 { // its making has started one
		if _, err := a.Pipeline.Begin(t.Context(), pipeline.Start{Pipeline: "queue", Who: "arn:ada"}); err != nil {
			t.Fatal(err)
		}
	}
}

// once holds what the river tells against what there should be: each run, action and build has begun once and ended once.
func once(t *testing.T, d *db.DB, runs int) {
	t.Helper()
	told := map[string][]string{} // of each run, action and build
	built := map[string]string{}  // the action that each build was for
	b := bus.New(d)
	for after := int64(0); ; {
		events, next, err := b.Range(t.Context(), time.Unix(0, 0), time.Now().Add(time.Hour), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			var x struct {
				Pipeline string `json:"pipeline"`
				ID       string `json:"execution-id"`
				Action   string `json:"action"`
				State    string `json:"state"`
				Build    string `json:"build-id"`
				Status   string `json:"build-status"`
				Ours     struct {
					ID     string `json:"id"`
					Action string `json:"action"`
				} `json:"haechi"`
				More struct {
					Initiator string `json:"initiator"`
				} `json:"additional-information"`
			}
			if err := json.Unmarshal(e.Detail, &x); err != nil {
				continue // somebody else's
			}
			switch {
			case e.Type == pipeline.Changed && x.Pipeline == "queue":
				told["run "+x.ID] = append(told["run "+x.ID], x.State)
			case e.Type == pipeline.ActionChanged && x.Pipeline == "queue":
				told["action "+x.ID+"/"+x.Action] = append(told["action "+x.ID+"/"+x.Action], x.State)
			case e.Type == builds.Changed && x.More.Initiator == "codepipeline/queue": // and not of the run that the push itself began, which may go on
				if other := built[x.Ours.Action]; other != "" && other != x.Build {
					t.Errorf("action %s was built twice: %s and %s", x.Ours.Action, other, x.Build)
				}
				built[x.Ours.Action] = x.Build
				told["build "+x.Build] = append(told["build "+x.Build], x.Status)
			}
		}
		if after = next; after == 0 {
			break
		}
	}
	counts := map[string]int{}
	for what, states := range told {
		kind, _, _ := strings.Cut(what, " ")
		counts[kind]++
		want := []string{"STARTED", "SUCCEEDED"}
		if kind == "build" {
			states, want = slices.DeleteFunc(states, func(s string) bool { return s == "IN_PROGRESS" }), []string{"SUCCEEDED"}
		}
		if !slices.Equal(states, want) {
			t.Errorf("%s: %v", what, states)
		}
	}
	if counts["run"] != runs || counts["action"] != 4*runs || counts["build"] < runs {
		t.Errorf("the river tells of %v, for %d runs", fmt.Sprint(counts), runs)
	}
}
