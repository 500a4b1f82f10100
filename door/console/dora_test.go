package console

import (
	"testing"
	"time"

	"github.com/haechi-dev/haechi/room/pipeline"
)

// The four figures are counted from runs that ended within the days that are asked about.
func TestDORA(t *testing.T) {
	now := time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)
	run := func(commit string, status pipeline.Status, daysAgo, hours int) pipeline.Execution {
		began := now.AddDate(0, 0, -daysAgo)
		return pipeline.Execution{Commit: commit, Status: status, Created: began, Started: began, Ended: began.Add(time.Duration(hours) * time.Hour)}
	}
	back := run("b", pipeline.Succeeded, 3, 1)
	back.Kind = pipeline.Rollback
	runs := []pipeline.Execution{ // the newest first, as they are given
		{Commit: "n", Status: pipeline.InProgress, Created: now}, run("g", pipeline.Failed, 1, 1), back, run("f", pipeline.Stopped, 4, 1),
		run("e", pipeline.Succeeded, 5, 2), run("d", pipeline.Failed, 6, 1), run("c", pipeline.Failed, 7, 1), run("b", pipeline.Succeeded, 8, 1), run("a", pipeline.Succeeded, 40, 1),
	}
	got := doraOf(runs, map[string]time.Time{"e": now.AddDate(0, 0, -6)}, now, 28)
	want := dora{Days: 28, Passed: 2, Failed: 3, PerWeek: 0.5, Lead: time.Hour, LeadOf: 2, FailRate: 60, Restore: 49 * time.Hour, Restores: 1, Broken: true}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := doraOf(nil, nil, now, 28); got != (dora{Days: 28}) {
		t.Errorf("of nothing: %+v", got)
	}
}
