package pipeline

import (
	"context"
	"strings"
	"time"
)

// A run's log is those of its actions, one after the other in the order in which they
// began, each under its name. What is done at the same time as something else is shown
// after it: so an offset into the log stays what it is.

// stream is where the queue keeps what an action logs, in this attempt.
func (a *Action) stream(e *Execution) string { return "pipeline/" + e.ID + "/" + a.ID }

// LogNames are the group and the stream by which aws logs finds what an action of a pipeline logs, or a rule, by its
// id in this attempt: as CodePipeline names those of commands.
func LogNames(pipeline, id string) (group, stream string) {
	// A group's name has no @, which a pipeline's may have.
	return "/aws/codepipeline/" + strings.ReplaceAll(pipeline, "@", "#"), id
}

// Logs tells whether an action has a log under its LogNames: a build's is found under its project.
func (a *Action) Logs() bool {
	switch a.Runner {
	case runApprove, runPipeline, runCustom, runBuild:
		return false
	}
	return a.ID != ""
}

// part is one action's log within that of its run.
type part struct {
	head   string // what stands above it
	stream string
	ended  bool
}

// parts are the actions of a run that have begun, in the order in which they did.
func (e *Execution) parts() (all []part) {
	type begun struct {
		at  time.Time
		one part
	}
	var list []begun
	add := func(s *Stage, a *Action) {
		if a.ID == "" || a.Started.IsZero() || a.Runner == runApprove || a.Runner == runPipeline {
			return
		}
		name := a.Name
		if s.Name != a.Name {
			name = s.Name + "/" + a.Name
		}
		list = append(list, begun{a.Started, part{"\n=== " + name + " ===\n", a.stream(e), a.Status.Ended()}})
	}
	for i := range e.Stages {
		s := &e.Stages[i]
		for j := range s.Past {
			add(s, &s.Past[j])
		}
		for j := range s.Actions {
			add(s, &s.Actions[j])
		}
	}
	// Stages come one after the other, so they are in order but for what is tried again and runOrder.
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && list[j].at.Before(list[j-1].at); j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	for _, b := range list {
		all = append(all, b.one)
	}
	return all
}

// Log is what a run has logged from an offset on, a few MiB of it at most, and the
// offset to go on from; done is true when there is no more and will be none.
func (p *Pipelines) Log(ctx context.Context, id string, from int64) (text []byte, next int64, done bool, err error) {
	e, err := p.Execution(ctx, id)
	if err != nil {
		return nil, 0, false, err
	}
	start := int64(0) // of the part within the log
	next = from
	for _, one := range e.parts() {
		size, err := p.config.Queue.Size(ctx, one.stream)
		if err != nil {
			return nil, 0, false, err
		}
		head := int64(len(one.head))
		if one.ended && start+head+size <= next {
			start += head + size
			continue
		}
		if next < start+head {
			text = append(text, one.head[max(0, next-start):]...)
			next = start + head
		}
		more, to, _, err := p.config.Queue.Read(ctx, one.stream, next-start-head)
		if err != nil {
			return nil, 0, false, err
		}
		text = append(text, more...)
		next = start + head + to
		if !one.ended || to < size || len(text) > mostRead {
			return text, next, false, nil
		}
		start += head + to
	}
	return text, next, e.Status.Ended(), nil
}

const mostRead = 2 << 20

// Follow gives the log from an offset on to take, as it grows, until the run
// has ended, ctx ends or take gives an error.
func (p *Pipelines) Follow(ctx context.Context, id string, from int64, take func(text []byte, next int64) error) error {
	for {
		changed, logged := p.waiting(), p.config.Queue.Logged()
		text, next, done, err := p.Log(ctx, id, from)
		if err != nil {
			return err
		}
		if len(text) > 0 {
			if err := take(text, next); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		if from = next; len(text) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-logged:
		case <-time.After(time.Second): // another node's doing
		}
	}
}
