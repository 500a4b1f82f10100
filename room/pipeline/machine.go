package pipeline

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

// The state machine of a run is pure: what is known of the run, the time, and
// whether its next stage may be entered go in; what the run is then, and what
// has to be done for it, come out. Asked again at the same moment it changes
// nothing: what is in progress has been begun.

// world is what the machine asks of what is around it.
type world struct {
	now   time.Time
	id    func() string                         // a new random id
	enter func(stage int) (ok bool, why string) // whether a stage may be begun
}

// effect is what has to be done outside.
type effect struct {
	do     string // begin, cancel, rollback
	stage  *Stage
	action *Action // of begin and cancel
	rule   *Rule   // or this
}

const (
	doBegin    = "begin"
	doCancel   = "cancel"
	doRollback = "rollback"
)

// news is what became of a part of a run.
type news struct {
	stage  string
	action *Action // nil for the stage
	status Status
	retry  bool // it had ended before
}

// next moves a run on as far as it goes, and says what has to be done now.
func (e *Execution) next(w world) (todo []effect) {
	if e.Status != InProgress && e.Status != Stopping {
		return nil
	}
	for {
		i := slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Status != Succeeded && s.Status != Skipped })
		if i < 0 {
			e.end(Succeeded, w.now)
			return todo
		}
		s := &e.Stages[i]
		more := e.nextStage(i, w, &todo)
		if s.Status == Failed || s.Status == Stopped {
			e.end(s.Status, w.now)
			return todo
		}
		if e.Status.Ended() || !more {
			return todo
		}
	}
}

func (e *Execution) end(how Status, now time.Time) {
	if e.Status == Stopping && how != Succeeded {
		how = Stopped
	}
	e.Status, e.Ended = how, now
}

// set changes a stage's status and remembers it to be told.
func (e *Execution) set(s *Stage, status Status, now time.Time) {
	s.Status, s.Held = status, ""
	if status.Ended() {
		s.Ended = now
	}
	e.news = append(e.news, news{stage: s.Name, status: status, retry: status == InProgress && s.Auto+s.Manual > 0})
}

// settle changes an action's status and remembers it to be told.
func (e *Execution) settle(s *Stage, a *Action, status Status, now time.Time) {
	a.Status = status
	if status.Ended() {
		a.Ended = now
	}
	told := *a
	e.news = append(e.news, news{stage: s.Name, action: &told, status: status})
}

// nextStage moves the first stage that is not done on; more is true when it is worth asking again.
func (e *Execution) nextStage(i int, w world, todo *[]effect) (more bool) {
	s := &e.Stages[i]
	if s.Status == Waiting {
		if e.Status == Stopping {
			e.end(Stopped, w.now)
			return false
		}
		ok, why := w.enter(i)
		if !ok {
			s.Held = why
			return false
		}
		s.Entered, s.Ended = w.now, time.Time{}
		e.set(s, InProgress, w.now)
	}
	if held, done := e.ask(s, s.Entry, w, todo); !done {
		return false
	} else if !held {
		return e.unentered(s, w)
	}
	if !e.nextActions(s, w, todo) {
		return false
	}
	switch outcome := s.outcome(); outcome {
	case Failed:
		return e.failed(s, w, todo)
	case Stopped, Skipped:
		e.set(s, outcome, w.now)
		return true
	}
	held, done := e.ask(s, s.Success, w, todo)
	switch {
	case !done:
		return false
	case held:
		e.set(s, Succeeded, w.now)
	case e.Status == Stopping:
		e.set(s, Stopped, w.now)
	default:
		e.Reasons = append(e.Reasons, s.Success.reason(s, "after"))
		if s.Success.Result == structure.Rollback && e.Kind != Rollback {
			*todo = append(*todo, effect{do: doRollback, stage: s})
		}
		e.set(s, Failed, w.now)
	}
	return true
}

// unentered is a stage whose entry condition does not hold.
func (e *Execution) unentered(s *Stage, w world) bool {
	if e.Status == Stopping {
		e.set(s, Stopped, w.now)
		return true
	}
	if s.Entry.Result == structure.Skip {
		for i := range s.Actions {
			s.Actions[i].Status = Skipped
		}
		e.set(s, Skipped, w.now)
		return true
	}
	e.Reasons = append(e.Reasons, s.Entry.reason(s, "before"))
	e.set(s, Failed, w.now)
	return true
}

// nextActions begins what is due, by runOrder, and ends what has taken too long; done is true when nothing of the stage is at work.
func (e *Execution) nextActions(s *Stage, w world, todo *[]effect) (done bool) {
	failed := false
	for _, order := range s.orders() {
		busy := false
		for i := range s.Actions {
			a := &s.Actions[i]
			if cmp.Or(a.Order, 1) != order {
				continue
			}
			switch {
			case a.Status == Waiting && (failed || e.Status == Stopping):
				if e.Status == Stopping {
					a.Status = Stopped
				}
				continue
			case a.Status == Waiting:
				e.beginAction(s, a, w, todo)
			case a.Status == InProgress && !a.Deadline.IsZero() && !w.now.Before(a.Deadline):
				e.overdue(s, a, w, todo)
			}
			busy = busy || a.Status == InProgress
			failed = failed || a.Status == Failed || a.Status == Stopped || a.Status == Abandoned
		}
		if busy {
			return false
		}
	}
	return true
}

// orders are the runOrders of a stage, ascending.
func (s *Stage) orders() (all []int) {
	for _, a := range s.Actions {
		all = append(all, cmp.Or(a.Order, 1))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// outcome is what a stage comes to whose actions are not at work.
func (s *Stage) outcome() Status {
	count := map[Status]int{}
	for _, a := range s.Actions {
		count[a.Status]++
	}
	switch {
	case count[Failed] > 0:
		return Failed
	case count[Stopped]+count[Abandoned] > 0:
		return Stopped
	case count[Skipped] == len(s.Actions):
		return Skipped
	}
	return Succeeded
}

// derived is an id that is always the same for the same parts, in the form of a UUID.
func derived(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // version 8: our own
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// beginAction puts variables in, and says that an action is to be begun.
func (e *Execution) beginAction(s *Stage, a *Action, w world, todo *[]effect) {
	a.Attempt++
	a.ID = derived(e.ID, s.Name, a.Name, strconv.Itoa(a.Attempt))
	a.Started, a.Deadline = w.now, w.now.Add(a.timeout())
	e.settle(s, a, InProgress, w.now)
	if err := e.resolve(a); err != nil {
		e.breakAction(s, a, "ConfigurationError", err.Error(), w.now)
		return
	}
	if a.Runner == runApprove {
		a.ask(w)
		return
	}
	*todo = append(*todo, effect{do: doBegin, stage: s, action: a})
}

func (e *Execution) resolve(a *Action) (err error) {
	if a.Config, err = e.Values.ResolveAll(a.Asked); err != nil {
		return err
	}
	for i := range a.Env {
		if _, err := e.Values.Resolve(a.Env[i].Value); err != nil {
			return fault.Of(err).Errorf("%s: %w", a.Env[i].Name, err)
		}
	}
	return nil
}

// ask makes an approval of an action.
func (a *Action) ask(w world) {
	needs, err := strconv.Atoi(a.Config["RequiredApprovals"])
	if err != nil || needs < 1 {
		needs = 1
	}
	a.Approval = &Approval{
		Token: w.id(), Needs: needs, Separate: a.Config["SeparationOfDuties"] != "false", Text: a.Config["CustomData"],
		Link: a.Config["ExternalEntityLink"], Tell: a.Config["NotificationArn"], Expires: a.Deadline,
	}
}

// How long an action may take that does not say it.
var (
	approvalTimeout = 7 * 24 * time.Hour
	buildTimeout    = 8 * time.Hour
	customTimeout   = 24 * time.Hour
	otherTimeout    = time.Hour
)

func (a *Action) timeout() time.Duration {
	switch {
	case a.Minutes > 0:
		return time.Duration(a.Minutes) * time.Minute
	case a.Runner == runApprove:
		return approvalTimeout
	case a.Runner == runBuild, a.Runner == runCommand:
		return buildTimeout
	case a.Runner == runCustom, a.Runner == runPipeline:
		return customTimeout
	}
	return otherTimeout
}

// overdue ends an action that has taken too long.
func (e *Execution) overdue(s *Stage, a *Action, w world, todo *[]effect) {
	text := fmt.Sprintf("it took longer than %v", a.Deadline.Sub(a.Started))
	if a.Approval != nil {
		text = fmt.Sprintf("nobody decided within %v", a.Deadline.Sub(a.Started))
		if n := len(a.Approval.Votes); n > 0 {
			text = fmt.Sprintf("%d of %d approved within %v", n, a.Approval.Needs, a.Deadline.Sub(a.Started))
		}
	}
	*todo = append(*todo, effect{do: doCancel, stage: s, action: a})
	e.breakAction(s, a, "JobFailed", text, w.now)
}

// breakAction fails an action for one reason.
func (e *Execution) breakAction(s *Stage, a *Action, code, text string, now time.Time) {
	a.Code, a.Summary = code, clip(text, 500)
	e.Reasons = append(e.Reasons, Reason{Action: a.Name, Text: a.Summary})
	e.settle(s, a, Failed, now)
}

// failed is a stage of which an action failed: it is tried again, rolled back, or has failed.
func (e *Execution) failed(s *Stage, w world, todo *[]effect) (more bool) {
	if e.Status == Stopping {
		e.set(s, Stopped, w.now)
		return true
	}
	result := ""
	if s.OnFail != nil && e.Kind != Rollback {
		result = s.OnFail.Result
		if s.Failure != nil {
			held, done := e.ask(s, s.Failure, w, todo)
			if !done {
				return false
			}
			if result = ""; !held {
				result = s.Failure.Result
			}
		}
	}
	switch {
	case result == structure.TryAgain && s.Auto == 0:
		s.Auto++
		s.Retried = "AutomatedStageRetry"
		mode := structure.FailedActions
		if s.OnFail.Retry != nil {
			mode = cmp.Or(s.OnFail.Retry.Mode, mode)
		}
		e.again(s, mode)
		e.set(s, InProgress, w.now)
		return true
	case result == structure.Rollback:
		*todo = append(*todo, effect{do: doRollback, stage: s})
	}
	e.set(s, Failed, w.now)
	return true
}

// mostPast is how many attempts of a stage's actions are kept.
const mostPast = 100

// again sets back what of a stage is to be done again, and what it has said and made.
func (e *Execution) again(s *Stage, mode string) {
	for i := range s.Actions {
		a := &s.Actions[i]
		if a.Status == Waiting || a.Status == Skipped || a.Status == Succeeded && mode != structure.AllActions {
			continue
		}
		if a.ID != "" {
			s.Past = append(s.Past, *a)
		}
		*a = a.fresh()
		e.Reasons = slices.DeleteFunc(e.Reasons, func(r Reason) bool { return r.Action == a.Name })
		e.Artifacts = slices.DeleteFunc(e.Artifacts, func(m Artifact) bool { return m.Stage == s.Name && m.Action == a.Name })
		delete(e.Values, a.Namespace)
	}
	if over := len(s.Past) - mostPast; over > 0 {
		s.Past = slices.Delete(s.Past, 0, over)
	}
	s.askAgain(s.Success)
	s.askAgain(s.Failure)
	if s.Entry != nil && s.Entry.Status != Holds && s.Entry.Status != Overridden {
		s.askAgain(s.Entry)
	}
	e.Reasons = slices.DeleteFunc(e.Reasons, func(r Reason) bool { return r.Action == s.Name })
	s.Ended = time.Time{}
}

// askAgain makes a condition one that nobody has asked, and keeps what its rules have said.
func (s *Stage) askAgain(c *Condition) {
	if c == nil {
		return
	}
	for _, r := range c.Rules {
		if r.ID != "" {
			s.PastRules = append(s.PastRules, r)
		}
	}
	if over := len(s.PastRules) - mostPast; over > 0 {
		s.PastRules = slices.Delete(s.PastRules, 0, over)
	}
	c.reset()
}

// fresh is the action before it has begun, in the attempt that it was.
func (a *Action) fresh() Action {
	return Action{
		Name: a.Name, Runner: a.Runner, Type: a.Type, Order: a.Order, Asked: a.Asked, Commands: a.Commands, Env: a.Env, Inputs: a.Inputs, Outputs: a.Outputs,
		Exports: a.Exports, Namespace: a.Namespace, Role: a.Role, Region: a.Region, Minutes: a.Minutes, Status: Waiting, Attempt: a.Attempt,
	}
}

// due is when the run has to be looked at again though nothing happens, or the zero time.
func (e *Execution) due() (at time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if e.Status != InProgress && e.Status != Stopping {
		return at
	}
	for i := range e.Stages {
		s := &e.Stages[i]
		for j := range s.Actions {
			if a := &s.Actions[j]; a.Status == InProgress {
				earlier(a.Deadline)
			}
		}
		for _, c := range []*Condition{s.Entry, s.Success, s.Failure} {
			if c == nil {
				continue
			}
			for j := range c.Rules {
				if r := &c.Rules[j]; r.Status == InProgress {
					earlier(r.Deadline)
					earlier(r.Again)
				}
			}
		}
	}
	return at
}
