package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/room/pipeline"
)

// dora is how a team delivers, in the four figures of DevOps Research and
// Assessment, counted from runs of the default branch. A run that passed stands
// for a deployment as long as nothing else is known of deployments.
type dora struct {
	Days     int
	Passed   int // runs
	Failed   int
	PerWeek  float64
	Lead     time.Duration // from commit to passed, the median; 0 where there is none
	LeadOf   int           // runs that it is counted from
	FailRate int           // of 100 runs that ended
	Restore  time.Duration // from the first failed run to the next that passed, the median
	Restores int
	Broken   bool // the newest run failed
}

// doraOf counts runs that ended within some days before now. committed are the times of commits; a run of another
// counts from its push.
func doraOf(runs []pipeline.Execution, committed map[string]time.Time, now time.Time, days int) dora {
	d := dora{Days: days}
	runs = slices.Clone(runs)
	slices.SortFunc(runs, func(a, b pipeline.Execution) int { return a.Ended.Compare(b.Ended) })
	var leads, restores []time.Duration
	var broke time.Time
	for _, e := range runs {
		if e.Kind == pipeline.Rollback || e.Ended.IsZero() || e.Ended.Before(now.AddDate(0, 0, -days)) {
			continue
		}
		switch e.Status {
		case pipeline.Failed:
			d.Failed++
			if broke.IsZero() {
				broke = e.Ended
			}
		case pipeline.Succeeded:
			d.Passed++
			if !broke.IsZero() {
				restores, broke = append(restores, e.Ended.Sub(broke)), time.Time{}
			}
			from := e.Created
			if at, ok := committed[e.Commit]; ok && at.Before(from) {
				from = at
			}
			leads = append(leads, e.Ended.Sub(from))
		}
	}
	d.PerWeek = float64(d.Passed) * 7 / float64(days)
	d.Lead, d.LeadOf = median(leads), len(leads)
	d.Restore, d.Restores = median(restores), len(restores)
	if all := d.Passed + d.Failed; all > 0 {
		d.FailRate = (100*d.Failed + all/2) / all
	}
	d.Broken = !broke.IsZero()
	return d
}

func median[T cmp.Ordered](all []T) (zero T) {
	if len(all) == 0 {
		return zero
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
