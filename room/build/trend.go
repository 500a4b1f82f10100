package build

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Point is one report's value of what a trend is of.
type Point struct {
	Report string // ARN
	Time   time.Time
	Commit string
	Value  float64
}

// Trend is how a value of a group's reports went, the newest report first: one
// of PASS_RATE, DURATION, TOTAL, LINE_COVERAGE, LINES_COVERED, LINES_MISSED,
// BRANCH_COVERAGE, BRANCHES_COVERED and BRANCHES_MISSED.
func (b *Builds) Trend(ctx context.Context, group, field string, reports int) (points []Point, err error) {
	all, err := b.Reports(ctx, group, "", false, 0, min(max(reports, 1), 100))
	if err != nil {
		return nil, err
	}
	var why error
	for _, r := range all {
		v, err := r.value(field)
		if err != nil { // a group may have reports of both kinds
			why = err
			continue
		}
		points = append(points, Point{r.ARN, r.Created, r.Commit, v})
	}
	if len(points) == 0 {
		return nil, why
	}
	return points, nil
}

func (r *Report) value(field string) (float64, error) {
	t, c := r.Tests, r.Coverage
	switch field {
	case "PASS_RATE", "DURATION", "TOTAL":
		if t == nil {
			return 0, fault.Invalid.Errorf("%s is a trend of tests, and the group has reports of coverage", field)
		}
	default:
		if c == nil {
			return 0, fault.Invalid.Errorf("%s is a trend of coverage, and the group has reports of tests", field)
		}
	}
	switch field {
	case "PASS_RATE":
		return percent(t.Counts[Passed], t.Total-t.Counts[Passed]), nil
	case "DURATION":
		return float64(t.Duration), nil
	case "TOTAL":
		return float64(t.Total), nil
	case "LINE_COVERAGE":
		return c.LinePercent, nil
	case "LINES_COVERED":
		return float64(c.LinesCovered), nil
	case "LINES_MISSED":
		return float64(c.LinesMissed), nil
	case "BRANCH_COVERAGE":
		return c.BranchPercent, nil
	case "BRANCHES_COVERED":
		return float64(c.BranchesCovered), nil
	case "BRANCHES_MISSED":
		return float64(c.BranchesMissed), nil
	}
	return 0, fault.Invalid.Errorf("there is no trend of %.40q", field)
}

// Say is a trend's value in CodeBuild's words.
func (p Point) Say() string { return strconv.FormatFloat(p.Value, 'f', -1, 64) }

// Flaky is a test of which nobody can say whether it passes.
type Flaky struct {
	Name    string
	Passed  int       // of its last runs
	Failed  int       // of its last runs
	Flips   int       // how often it changed from one run to the next
	Commit  string    // on which it passed and failed, or ""
	Last    string    // its last status
	LastBad time.Time // when it failed last
	Why     string    // in a sentence
}

// What makes a test flaky.
const (
	flakyRuns  = 50 // of a group's last reports
	flakyFlips = 3  // changes among its last runs
)

type outcome struct {
	name, status, version string
	at                    int64
}

// Flaky are the flaky tests of a group: those that passed and failed on one and
// the same commit, and those that changed three times or more within the last
// 50 reports. The worst come first.
func (b *Builds) Flaky(ctx context.Context, group string) (all []Flaky, err error) {
	var runs []outcome
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		g, err := findGroup(tx, group)
		if err != nil {
			return err
		}
		since, err := db.All(tx, db.Value[int64], "SELECT created FROM build_reports WHERE grp = ? ORDER BY created DESC LIMIT ?", g.Name, flakyRuns)
		if err != nil || len(since) == 0 {
			return err
		}
		from := since[len(since)-1]
		// Only a test that failed can be flaky: most never did.
		runs, err = db.All(tx, func(scan db.Scan) (o outcome, err error) { return o, scan(&o.name, &o.status, &o.version, &o.at) },
			`SELECT name, status, version, at FROM build_cases WHERE grp = ? AND at >= ? AND name IN
			(SELECT name FROM build_cases WHERE grp = ? AND status IN (?, ?) AND at >= ?) ORDER BY name, at`, g.Name, from, g.Name, Broken, Errored, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].name == runs[0].name {
			n++
		}
		if f, ok := judge(runs[:n]); ok {
			all = append(all, f)
		}
		runs = runs[n:]
	}
	slices.SortStableFunc(all, func(a, b Flaky) int { return b.Flips*100 + b.Failed - a.Flips*100 - a.Failed })
	return all, nil
}

// judge tells whether a test is flaky from its runs, the oldest first.
func judge(runs []outcome) (f Flaky, flaky bool) {
	f.Name = runs[0].name
	seen := map[string][2]bool{} // by commit: passed, failed
	was := ""
	for _, r := range runs {
		if r.status != Passed && !bad(r.status) {
			continue // skipped: it says nothing
		}
		at := seen[r.version]
		if bad(r.status) {
			f.Failed++
			f.LastBad, at[1] = time.UnixMicro(r.at).UTC(), true
		} else {
			f.Passed++
			at[0] = true
		}
		if seen[r.version] = at; at[0] && at[1] && r.version != "" {
			f.Commit = r.version
		}
		now := "passed"
		if bad(r.status) {
			now = "failed"
		}
		if was != "" && was != now {
			f.Flips++
		}
		was, f.Last = now, r.status
	}
	switch {
	case f.Commit != "":
		f.Why = fmt.Sprintf("it passed and failed on commit %.10s", f.Commit)
	case f.Flips >= flakyFlips:
		f.Why = fmt.Sprintf("it changed %d times in %d runs", f.Flips, f.Passed+f.Failed)
	default:
		return f, false
	}
	return f, true
}
