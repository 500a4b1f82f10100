package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// given is how many said yes.
func (a *Approval) given() (n int) {
	for _, v := range a.Votes {
		if v.Yes {
			n++
		}
	}
	return n
}

// Answer is what one person decides about an approval.
type Answer struct {
	Execution     string // id, or "" for the one that the token is of
	Pipeline      string // where there is no Execution
	Stage, Action string
	Token         string // of the question; "" is whichever is open
	Yes           bool
	Summary       string
	Who           string   // ARN
	As            []string // names and addresses that they write commits under
	Robot         bool     // it is nobody who could be asked why
}

// Approve takes an answer to an approval. One no ends it; it succeeds with as many yeses as it needs. Whoever
// pushed, started or wrote what is to be approved has no vote, unless the pipeline says otherwise.
func (p *Pipelines) Approve(ctx context.Context, answer Answer) (e Execution, err error) {
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		e, err = p.asked(tx, answer)
		if err != nil {
			return err
		}
		s := e.Stage(answer.Stage)
		if s == nil {
			return fault.NotFound.Errorf("run %d of %s has no stage %q", e.Number, e.Pipeline, clip(answer.Stage, 100))
		}
		a := s.Action(answer.Action)
		if a == nil || a.Runner != runApprove {
			return fault.NotFound.Errorf("stage %s of run %d of %s asks for no approval %q", s.Name, e.Number, e.Pipeline, clip(answer.Action, 100))
		}
		if a.Status != InProgress || a.Approval == nil {
			return fault.Conflict.Errorf("%s of run %d of %s waits for no answer: it is %s", a.Name, e.Number, e.Pipeline, a.Status)
		}
		if answer.Token != "" && answer.Token != a.Approval.Token {
			return fault.Invalid.Errorf("the token is not that of the question which is open now: look at it again")
		}
		if err := e.vote(s, a, answer, p); err != nil {
			return err
		}
		if err := p.moveOn(tx, e); err != nil {
			return err
		}
		e, err = find(tx, e.ID)
		return err
	})
	return e, err
}

// asked is the run that an answer is about.
func (p *Pipelines) asked(tx *db.Tx, answer Answer) (Execution, error) {
	if answer.Execution != "" {
		return find(tx, answer.Execution)
	}
	open, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND status = ? ORDER BY number DESC", answer.Pipeline, string(InProgress))
	if err != nil {
		return Execution{}, err
	}
	for _, e := range open {
		s := e.Stage(answer.Stage)
		if s == nil {
			continue
		}
		if a := s.Action(answer.Action); a != nil && a.Status == InProgress && a.Approval != nil && a.Approval.Token == answer.Token {
			return e, nil
		}
	}
	return Execution{}, fault.Invalid.Errorf("no run of %s waits for an answer with that token", clip(answer.Pipeline, 100))
}

// vote counts an answer.
func (e *Execution) vote(s *Stage, a *Action, answer Answer, p *Pipelines) error {
	ask, now := a.Approval, p.config.Now().UTC()
	if len(answer.Summary) > 512 {
		return fault.Limit.Errorf("a summary has at most 512 bytes")
	}
	if answer.Robot && answer.Yes && ask.Separate {
		return fault.Denied.Errorf("a robot approves nothing")
	}
	if why := e.hand(answer); answer.Yes && ask.Separate && why != "" {
		return fault.Denied.Errorf("%s: somebody else has to approve it", why)
	}
	if slices.ContainsFunc(ask.Votes, func(v Vote) bool { return v.Who == answer.Who && v.Yes == answer.Yes }) {
		return fault.Conflict.Errorf("%s has answered so already; it needs %d approvals and has %d", answer.Who, ask.Needs, ask.given())
	}
	ask.Votes = append(ask.Votes, Vote{Who: answer.Who, At: now, Yes: answer.Yes, Summary: answer.Summary})
	a.By = answer.Who
	switch {
	case !answer.Yes:
		a.Code, a.Summary = "JobFailed", clip(strings.TrimSpace("rejected by "+answer.Who+": "+answer.Summary), 500)
		e.Reasons = append(e.Reasons, Reason{Action: a.Name, Text: a.Summary})
		e.settle(s, a, Failed, now)
	case ask.given() >= ask.Needs:
		a.Summary = clip(strings.TrimSuffix(strings.TrimSpace("approved by "+strings.Join(ask.yeses(), ", ")+": "+answer.Summary), ":"), 500)
		e.settle(s, a, Succeeded, now)
	default:
		a.Summary = fmt.Sprintf("%d of %d approved", ask.given(), ask.Needs)
	}
	return nil
}

func (a *Approval) yeses() (who []string) {
	for _, v := range a.Votes {
		if v.Yes {
			who = append(who, v.Who)
		}
	}
	return who
}

// hand is how whoever answers had a hand in what is to be approved, or "".
func (e *Execution) hand(answer Answer) string {
	if answer.Who != "" && (answer.Who == e.Who || slices.Contains(e.Authors, answer.Who)) {
		return "you pushed or started it"
	}
	name := answer.Who[strings.LastIndexAny(answer.Who, "/:")+1:]
	for _, author := range e.Authors {
		for _, as := range append([]string{name}, answer.As...) {
			if as != "" && strings.EqualFold(as, author) {
				return "you wrote some of it"
			}
		}
	}
	return ""
}
