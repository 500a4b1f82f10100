package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/lang/structure"
)

// drawn is a run of a random structure.
func drawn(t *rapid.T) Execution {
	e := Execution{ID: "run", Status: InProgress, Kind: Standard, Mode: structure.Queued, Attempt: 1, Values: structure.Values{}}
	check := func(name, value string) *Condition {
		return &Condition{Result: rapid.SampledFrom([]string{structure.Fail, structure.Skip}).Draw(t, "result"), Rules: []Rule{{Name: name, Status: Waiting, Asked: map[string]string{"Variable": "a", "Value": value, "Operator": "EQ"},
			Type: structure.TypeID{Category: "Rule", Owner: "AWS", Provider: rapid.SampledFrom([]string{"VariableCheck", "LambdaInvoke"}).Draw(t, "rule"), Version: "1"}}}}
	}
	for s := range rapid.IntRange(1, 4).Draw(t, "stages") {
		stage := Stage{Name: string(rune('A' + s)), Status: Waiting}
		if rapid.IntRange(0, 3).Draw(t, "entry") == 0 {
			stage.Entry = check("entry", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "holds"))
		}
		if rapid.IntRange(0, 3).Draw(t, "success") == 0 {
			stage.Success = check("success", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "holds"))
			stage.Success.Result = rapid.SampledFrom([]string{structure.Fail, structure.Rollback}).Draw(t, "then")
		}
		if rapid.IntRange(0, 2).Draw(t, "failure") == 0 {
			stage.OnFail = &structure.Failure{Result: rapid.SampledFrom([]string{structure.TryAgain, structure.Rollback}).Draw(t, "onFailure"), Retry: &structure.Retry{Mode: rapid.SampledFrom([]string{structure.FailedActions, structure.AllActions}).Draw(t, "mode")}}
		}
		for a := range rapid.IntRange(1, 4).Draw(t, "actions") {
			runner := rapid.SampledFrom([]string{runScan, runApprove}).Draw(t, "runner")
			stage.Actions = append(stage.Actions, Action{Name: fmt.Sprint("a", a), Runner: runner, Status: Waiting, Order: rapid.IntRange(1, 3).Draw(t, "order")})
		}
		e.Stages = append(e.Stages, stage)
	}
	return e
}

// Whatever comes in whatever order, a run ends; no stage begins before the one ahead of it has passed, no action before
// those of a lower runOrder have; every attempt of an action is begun once; asked again, nothing new is due; and what is due
// at some time is due when the run says.
func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_000_000, 0)
		e := drawn(t)
		ids := 0
		closed := false // the transition
		w := world{id: func() string { ids++; return fmt.Sprint("id", ids) }, enter: func(int) (bool, string) { return !closed, "closed" }}
		begun := map[string]bool{}
		rollbacks := 0
		for step := 0; !e.Status.Ended(); step++ {
			if step > 1000 {
				t.Fatalf("no end: %+v", e)
			}
			w.now = now
			for _, todo := range e.next(w) {
				switch {
				case todo.do == doRollback:
					if rollbacks++; rollbacks > 1 {
						t.Fatalf("it is rolled back twice")
					}
				case todo.do == doBegin:
					id := ""
					if todo.action != nil {
						id = todo.action.ID
					} else {
						id = todo.rule.ID
					}
					if begun[id] || id == "" {
						t.Fatalf("%q is begun twice", id)
					}
					begun[id] = true
				}
			}
			before := string(mustJSON(e))
			if again := e.next(w); len(again) > 0 || string(mustJSON(e)) != before {
				t.Fatalf("asked again %v is due", again)
			}
			inOrder(t, e)
			if e.Status.Ended() {
				break
			}
			stir(t, &e, &now, &closed, w)
		}
		for _, s := range e.Stages {
			for _, a := range s.Actions {
				if a.Status == InProgress {
					t.Fatalf("it is %s, and %s is at work", e.Status, a.Name)
				}
			}
		}
		w.now = now
		if todo := e.next(w); len(todo) > 0 {
			t.Fatalf("it has ended, and %v is due", todo)
		}
	})
}

// stir lets something happen to a run.
func stir(t *rapid.T, e *Execution, now *time.Time, closed *bool, w world) {
	type open struct {
		s *Stage
		a *Action
		r *Rule
	}
	var all []open
	for i := range e.Stages {
		s := &e.Stages[i]
		for j := range s.Actions {
			if s.Actions[j].Status == InProgress {
				all = append(all, open{s, &s.Actions[j], nil})
			}
		}
		for _, c := range []*Condition{s.Entry, s.Success, s.Failure} {
			if c != nil {
				for j := range c.Rules {
					if c.Rules[j].Status == InProgress {
						all = append(all, open{s, nil, &c.Rules[j]})
					}
				}
			}
		}
	}
	switch n := rapid.IntRange(0, 19).Draw(t, "what"); {
	case n == 0:
		e.Status = Stopping
	case n == 1:
		*closed = !*closed
	case n == 2 && len(all) > 0:
		due := e.due()
		if due.IsZero() {
			t.Fatalf("%d things are at work, and nothing is ever due", len(all))
		}
		*now = due
	case len(all) == 0:
		*closed = false
		if e.Status == Stopping {
			return
		}
		if e.held() < 0 {
			t.Fatalf("nothing is at work, and it waits for nothing: %+v", e)
		}
	default:
		o := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
		if o.r != nil {
			o.r.answer(rapid.Bool().Draw(t, "met"), "asked", rapid.IntRange(0, 9).Draw(t, "broke") == 0, *now)
			return
		}
		o.a.Status = rapid.SampledFrom([]Status{Succeeded, Succeeded, Succeeded, Failed, Abandoned}).Draw(t, "result")
		o.a.Ended = *now
	}
}

func inOrder(t *rapid.T, e Execution) {
	ahead := true
	for _, s := range e.Stages {
		if !ahead && s.Status != Waiting {
			t.Fatalf("stage %s is %s before its turn", s.Name, s.Status)
		}
		ahead = s.Status == Succeeded || s.Status == Skipped
		for _, a := range s.Actions {
			if a.Status == Waiting || a.Status == Skipped || a.Status == Stopped {
				continue
			}
			if slices.ContainsFunc(s.Actions, func(b Action) bool { return b.Order < a.Order && (b.Status == InProgress || b.Status == Waiting) }) {
				t.Fatalf("stage %s: %s is %s before its turn", s.Name, a.Name, a.Status)
			}
		}
	}
	if e.Status == Succeeded && !ahead {
		t.Fatalf("it succeeded without its last stage: %+v", e)
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return text
}
