package pipeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever comes in whatever order, a run only goes forward, ends, and then stays as it is;
// no stage begins before the one ahead of it has passed; asked again, nothing new is due.
func TestNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		e := Execution{Status: InProgress}
		for s := range rapid.IntRange(1, 5).Draw(t, "stages") {
			stage := Stage{Name: string(rune('A' + s)), Status: Waiting}
			for a := range rapid.IntRange(1, 3).Draw(t, "actions") {
				stage.Actions = append(stage.Actions, Action{Name: stage.Name + string(rune('0'+a)), Status: Waiting})
			}
			e.Stages = append(e.Stages, stage)
		}
		started := map[string]bool{}
		var open []string
		for step := 0; ; step++ {
			if step > 100 {
				t.Fatalf("no end: %+v", e)
			}
			due := e.next(now)
			for _, name := range due {
				if started[name] {
					t.Fatalf("%s is started twice", name)
				}
				started[name] = true
			}
			open = append(open, due...)
			before := e
			if again := e.next(now); len(again) > 0 || e.Status != before.Status {
				t.Fatalf("asked again %v is due, status %s became %s", again, before.Status, e.Status)
			}
			check(t, e)
			if e.Status.Ended() {
				break
			}
			if rapid.IntRange(0, 9).Draw(t, "stop") == 0 {
				e.Status = Stopping
			}
			if len(open) == 0 {
				if e.Status != Stopping {
					t.Fatalf("nothing is at work, and it has not ended: %+v", e)
				}
				continue
			}
			i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
			e.action(open[i]).Status = rapid.SampledFrom([]Status{Succeeded, Succeeded, Skipped, Failed, Stopped}).Draw(t, "result")
			open = append(open[:i], open[i+1:]...)
		}
		if len(open) > 0 {
			t.Fatalf("it is %s, and %v are at work", e.Status, open)
		}
	})
}

func check(t *rapid.T, e Execution) {
	ahead := true
	for _, s := range e.Stages {
		if !ahead && s.Status != Waiting {
			t.Fatalf("stage %s is %s before its turn", s.Name, s.Status)
		}
		ahead = s.Status == Succeeded || s.Status == Skipped
	}
	if e.Status == Succeeded && !ahead {
		t.Fatalf("it succeeded without its last stage: %+v", e)
	}
}
