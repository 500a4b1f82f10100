package pipeline

import (
	"cmp"
	"fmt"
	"time"

	"github.com/haechi-dev/haechi/lang/schedule"
	"github.com/haechi-dev/haechi/lang/structure"
)

// ask answers a condition as far as it can be answered now. No condition holds.
func (e *Execution) ask(s *Stage, c *Condition, w world, todo *[]effect) (held, done bool) {
	if c == nil {
		return true, true
	}
	switch c.Status {
	case Holds, Overridden:
		return true, true
	case Broken, Errored, Cancelled, Dropped:
		return false, true
	}
	if e.Status == Stopping {
		for i := range c.Rules {
			if r := &c.Rules[i]; r.Status == InProgress {
				*todo = append(*todo, effect{do: doCancel, stage: s, rule: r})
				r.Status, r.Ended = Abandoned, w.now
			}
		}
		how := Cancelled
		if e.Abandon {
			how = Dropped
		}
		c.set(how, "the run was stopped", w.now)
		return false, true
	}
	if c.Status == "" {
		c.set(Asking, "", w.now)
	}
	busy, broken, errored := false, "", false
	for i := range c.Rules {
		r := &c.Rules[i]
		e.askRule(s, r, w, todo)
		switch r.Status {
		case InProgress:
			busy = true
		case Failed:
			broken, errored = cmp.Or(broken, r.Name+": "+r.Summary), errored || r.Broke
		}
	}
	switch {
	case busy:
		return false, false
	case errored:
		c.set(Errored, broken, w.now)
		return false, true
	case broken != "":
		c.set(Broken, broken, w.now)
		return false, true
	}
	c.set(Holds, "", w.now)
	return true, true
}

func (c *Condition) set(status, summary string, now time.Time) {
	c.Status, c.Summary, c.Changed = status, clip(summary, 1000), now
}

// reset makes a condition one that nobody has asked.
func (c *Condition) reset() {
	if c == nil {
		return
	}
	c.Status, c.Summary, c.Changed = "", "", time.Time{}
	for i := range c.Rules {
		r := &c.Rules[i]
		*r = Rule{Name: r.Name, Type: r.Type, Asked: r.Asked, Commands: r.Commands, Inputs: r.Inputs, Minutes: r.Minutes, Status: Waiting}
	}
}

func (c *Condition) reason(s *Stage, when string) Reason {
	return Reason{Action: s.Name, Text: clip(fmt.Sprintf("a condition %s stage %s does not hold: %s", when, s.Name, c.Summary), 500)}
}

// askRule begins a rule, and answers one that needs nobody.
func (e *Execution) askRule(s *Stage, r *Rule, w world, todo *[]effect) {
	began := false
	if r.Status == Waiting {
		began = true
		minutes := time.Duration(cmp.Or(r.Minutes, 24*60))
		r.Status, r.Started, r.Deadline = InProgress, w.now, w.now.Add(minutes*time.Minute)
		r.ID = derived(w.id(), e.ID, s.Name, r.Name)
		var err error
		if r.Config, err = e.Values.ResolveAll(r.Asked); err != nil {
			r.answer(false, err.Error(), true, w.now)
		}
	}
	if r.Status != InProgress {
		return
	}
	switch r.Type.Provider {
	case "VariableCheck":
		met, why, err := structure.CheckVariable(r.Config)
		if err != nil {
			why = err.Error()
		}
		r.answer(met, why, err != nil, w.now)
	case "DeploymentWindow":
		window, err := schedule.ParseWindow(r.Config["Cron"], r.Config["TimeZone"])
		switch {
		case err != nil:
			r.answer(false, err.Error(), true, w.now)
		case window.Open(w.now):
			r.answer(true, "the window is open", false, w.now)
		default:
			if r.Again = window.Next(w.now); r.Again.IsZero() {
				r.answer(false, "the window never opens again", false, w.now)
			} else {
				r.Summary = "the window opens at " + r.Again.Format(time.RFC3339)
			}
		}
	default:
		if began {
			*todo = append(*todo, effect{do: doBegin, stage: s, rule: r})
		}
	}
	if r.Status == InProgress && !w.now.Before(r.Deadline) {
		*todo = append(*todo, effect{do: doCancel, stage: s, rule: r})
		r.answer(false, fmt.Sprintf("there was no answer within %v", r.Deadline.Sub(r.Started)), false, w.now)
	}
}

func (r *Rule) answer(met bool, why string, broke bool, now time.Time) {
	r.Status, r.Summary, r.Broke, r.Ended, r.Again = Failed, clip(why, 500), broke, now, time.Time{}
	if met {
		r.Status = Succeeded
	}
}
