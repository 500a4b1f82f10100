package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// The people of the shop: ann writes, ben reviews and releases.
const (
	ann = "ann"
	ben = "ben"
)

func (p *play) arn(user string) string {
	return "arn:aws:iam::" + p.app.Config.Account + ":user/" + user
}

func (p *play) person(user string) source.Person {
	return source.Person{ARN: p.arn(user), Name: user, Emails: []string{user + "@shop.example"}}
}

// release waits until the run of main asks somebody, and answers: not ann, who wrote it, but ben.
func (p *play) release(ctx context.Context) error {
	e, err := p.until(ctx, "main", func(e pipeline.Execution) bool {
		s := e.Stage("Release")
		return e.Status.Ended() || s != nil && s.Actions[0].Approval != nil
	})
	if err != nil {
		return err
	}
	if e.Status.Ended() {
		return p.ended(ctx, e, pipeline.Succeeded)
	}
	if err := p.tellBuild(ctx, e); err != nil {
		return err
	}
	answer := pipeline.Answer{Execution: e.ID, Stage: "Release", Action: "Approve", Yes: true, Summary: "tea for all", Who: p.arn(ann), As: []string{ann + "@shop.example"}}
	if _, err := p.app.Pipeline.Approve(ctx, answer); err == nil {
		return fmt.Errorf("%s released what %s wrote", ann, ann)
	} else {
		p.say("  waits    for somebody to release it. %s may not: %v", ann, err)
	}
	answer.Who, answer.As = p.arn(ben), []string{ben + "@shop.example"}
	if _, err := p.app.Pipeline.Approve(ctx, answer); err != nil {
		return err
	}
	p.say("  approved by %s: %s", ben, answer.Summary)
	return p.run(ctx, "main", pipeline.Succeeded)
}

// tellBuild says what the build of a run has made and tested.
func (p *play) tellBuild(ctx context.Context, e pipeline.Execution) error {
	all, err := p.app.Builds.Builds(ctx, build.Query{Project: "shop", Limit: 1})
	if err != nil || len(all) == 0 {
		return err
	}
	b := all[0]
	for _, arn := range b.Reports {
		r, err := p.app.Builds.Report(ctx, arn)
		if err != nil {
			return err
		}
		if r.Tests != nil {
			p.say("  tested   %d cases: %s", r.Tests.Total, strings.ToLower(r.Status))
		}
	}
	for _, a := range b.Facts.Made {
		p.say("  built    %s of %s, sha256:%.12s…, walls: %s", a.File, e.Commit[:12], strings.TrimPrefix(a.Digest, "sha256:"), b.Facts.Level)
	}
	return nil
}

// review is how a change comes to main from now on: proposed, reviewed by somebody else, merged, released.
func (p *play) review(ctx context.Context, c checkout) error {
	a := p.app
	_, err := a.Source.Change(ctx, "shop", func(r *source.Repository) error {
		r.Rules.Branches = []source.BranchRule{{Pattern: "main", PullRequest: true, Approvals: 1}}
		return nil
	})
	if err != nil {
		return err
	}
	if out, err := c.git(ctx, "push", "origin", "HEAD:main"); err == nil {
		return fmt.Errorf("what nobody reviewed came to main: %s", out)
	}
	p.say("  refused  a push to main: it takes only what was reviewed")
	if _, err := c.git(ctx, "push", "-q", "-o", "title=search with a good lodash", "origin", "HEAD:refs/for/main"); err != nil {
		return err
	}
	all, err := a.Source.Pulls(ctx, source.Pulls{Repository: "shop", State: source.Open})
	if err != nil || len(all) != 1 {
		return fmt.Errorf("%d pull requests are open: %w", len(all), err)
	}
	pull := all[0]
	p.say("  proposed pull request %d by %s: %s", pull.Number, pull.Author.Name, pull.Title)
	if _, err := a.Source.MergePull(ctx, pull.Number, source.Merging{Option: source.Squash, By: p.person(ann)}); err == nil {
		return fmt.Errorf("pull request %d was merged though nobody reviewed it", pull.Number)
	}
	if err := a.Source.Approve(ctx, pull.Number, pull.Revision.ID, p.person(ben), true); err != nil {
		return err
	}
	merged, err := a.Source.MergePull(ctx, pull.Number, source.Merging{Option: source.Squash, Head: pull.Revision.Head, By: p.person(ann)})
	if err != nil {
		return err
	}
	p.say("  merged   after %s approved revision %d, as %.12s", ben, merged.Revision.Number, merged.Merge.Commit)
	return p.release(ctx)
}

// until waits for the newest run of where a branch is to be as wanted.
func (p *play) until(ctx context.Context, branch string, so func(pipeline.Execution) bool) (pipeline.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	head, err := p.app.Source.Ref(ctx, "shop", "refs/heads/"+branch)
	if err != nil {
		return pipeline.Execution{}, err
	}
	for {
		runs, err := p.app.Pipeline.Executions(ctx, pipeline.Query{Pipeline: "shop", Branch: branch, Limit: 1})
		if err != nil {
			return pipeline.Execution{}, err
		}
		if len(runs) == 1 && runs[0].Commit == head && so(runs[0]) {
			return runs[0], nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return pipeline.Execution{}, fmt.Errorf("waiting for the run of %s: %w", branch, ctx.Err())
		}
	}
}
