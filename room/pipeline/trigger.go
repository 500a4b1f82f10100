package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// What starts runs besides pushes: as other rooms and AWS call these events.
const (
	pullChanged = "CodeCommit Pull Request State Change"
	imagePushed = "ECR Image Action"
)

// forgePulls are where the pull requests of a forge lie in a repository that follows it.
const forgePulls = "refs/heads/pr/"

// trigger starts the runs that an event asks for. What has to be read of the repository is read
// before the transaction that begins them; a run bears an id that is made of the event's, so that an
// event that is told again starts nothing.
func (p *Pipelines) trigger(ctx context.Context, e event.Event) error {
	var asked []Start
	var sync func(*db.Tx) error
	var err error
	switch {
	case e.Type == source.Moved && e.Source == source.EventSource:
		asked, sync, err = p.moved(ctx, e)
	case e.Type == pullChanged && e.Source == source.EventSource:
		asked, err = p.pulled(ctx, e)
	case e.Type == Changed && e.Source == EventSource:
		asked, err = p.after(ctx, e)
	case e.Type == shelf.Created && e.Source == shelf.EventSource:
		asked, err = p.put(ctx, e)
	case e.Type == imagePushed && e.Source == "aws.ecr":
		asked, err = p.image(ctx, e)
	}
	if err != nil || len(asked) == 0 && sync == nil {
		return err
	}
	if sync != nil { // first, so that what is started goes by it
		if err := p.db.Write(ctx, sync); err != nil {
			return err
		}
	}
	for _, s := range asked {
		if err := p.beginOnce(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// beginOnce begins a run that an event asks for, if it has not been.
func (p *Pipelines) beginOnce(ctx context.Context, s Start) error {
	d, err := p.Definition(ctx, s.Pipeline)
	if err != nil {
		return ignoreGone(err)
	}
	e, err := p.plan(ctx, d, s)
	if err != nil {
		p.config.Log.Warn("a run could not be started", "pipeline", s.Pipeline, "err", err)
		return ignoreGone(err)
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, e.ID); !errors.Is(err, fault.NotFound) {
			return err
		}
		_, err := p.begin(tx, e)
		return err
	})
}

// ignoreGone lets what can never be started not hold up what can.
func ignoreGone(err error) error {
	if fault.Permanent(err) {
		return nil
	}
	return err
}

// moved are the runs of a push.
func (p *Pipelines) moved(ctx context.Context, e event.Event) (asked []Start, sync func(*db.Tx) error, err error) {
	var d source.Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return nil, nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	r, err := p.config.Source.Repository(ctx, d.RepositoryName)
	if err != nil {
		return nil, nil, ignoreGone(err)
	}
	if d.ReferenceType != "branch" && d.ReferenceType != "tag" {
		return nil, nil, nil
	}
	if d.Event == source.Deleted {
		return nil, nil, nil
	}
	if d.ReferenceFullName == "refs/heads/"+r.DefaultBranch && r.Protected(d.ReferenceFullName) {
		if sync, err = p.sync(ctx, r, d.CommitID); err != nil {
			return nil, nil, err
		}
		if err := p.db.Write(ctx, sync); err != nil { // the push counts by what it brings
			return nil, nil, err
		}
		sync = nil
	}
	pushed := structure.Pushed{Files: func() ([]string, error) { return p.changed(ctx, r, d) }}
	branch := d.ReferenceName
	if d.ReferenceType == "tag" {
		pushed.Tag, branch = d.ReferenceName, d.ReferenceFullName
	} else {
		pushed.Branch = d.ReferenceName
	}
	err = p.listeners(ctx, r, func(def Definition, of structure.Action) error {
		if def.isOld(e.Time, r.Name, d.ReferenceFullName, d.CommitID) {
			return nil
		}
		if r.Upstream != "" && strings.HasPrefix(d.ReferenceFullName, forgePulls) && def.Structure.WantsPulls(of) {
			return nil // nobody pushed to it: it is a pull request of the forge, which has a word of its own
		}
		lets, err := def.Structure.OnPush(of, pushed)
		if err != nil || !lets {
			return err
		}
		s := Start{Pipeline: def.Structure.Name, Who: d.CallerUserARN, before: d.OldCommitID, foreign: true, id: e.ID, Trigger: Trigger{Type: "CloudWatchEvent", Detail: p.config.Source.ARN(r.Name)}}
		if def.Structure.Name != r.Name {
			s.id = derived(e.ID, def.Structure.Name)
		}
		if sources := def.Structure.Sources(); sources[0].Name == of.Name {
			s.Branch, s.Commit = branch, d.CommitID
		} else {
			s.Revisions, s.foreign = map[string]string{of.Name: d.CommitID}, false
		}
		asked = append(asked, s)
		return nil
	})
	return asked, sync, err
}

// listeners calls each with every pipeline that has a repository among its sources, and the action that reads it: once a pipeline.
func (p *Pipelines) listeners(ctx context.Context, r source.Repository, each func(Definition, structure.Action) error) error {
	var all []Definition
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) { all, err = allDefined(tx); return err })
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(d Definition) bool { return d.Structure.Name == r.Name }) {
		all = append(all, defaultOf(r))
	}
	for _, d := range all {
		for _, a := range d.Structure.Sources() {
			if sourceRepository(a) != r.Name {
				continue
			}
			if err := each(d, a); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// mostChanged is how many changed files filters look at: a push of more lets all filters of files decide by these.
const mostChanged = 10_000

// changed are the files that a push changed: since where the branch was, or since it left the default branch.
func (p *Pipelines) changed(ctx context.Context, r source.Repository, d source.Detail) ([]string, error) {
	repo, err := p.config.Source.Git(r.Name)
	if err != nil {
		return nil, err
	}
	from := d.OldCommitID
	if from == "" || git.IsZero(from) {
		head, err := p.config.Source.Ref(ctx, r.Name, "refs/heads/"+r.DefaultBranch)
		if err == nil && head != d.CommitID {
			if from, err = repo.MergeBase(ctx, head, d.CommitID); err != nil {
				from = ""
			}
		}
	}
	return paths(ctx, repo, from, d.CommitID)
}

// paths are the files that differ between two commits; from "" there are all.
func paths(ctx context.Context, repo *git.Repo, from, to string) (names []string, err error) {
	changes, err := repo.Changes(ctx, from, to)
	if err != nil {
		return nil, err
	}
	for _, c := range changes[:min(len(changes), mostChanged)] {
		names = append(names, c.Path)
	}
	return names, nil
}

// pullDetail is what CodeCommit's events say of pull requests.
type pullDetail struct {
	Event       string   `json:"event"`
	ID          string   `json:"pullRequestId"`
	Names       []string `json:"repositoryNames"`
	Source      string   `json:"sourceReference"`
	Commit      string   `json:"sourceCommit"`
	Target      string   `json:"destinationReference"`
	TargetAt    string   `json:"destinationCommit"`
	Status      string   `json:"pullRequestStatus"`
	Merged      string   `json:"isMerged"`
	MergeCommit string   `json:"mergeCommitId"`
	Who         string   `json:"callerUserArn"`
}

// happened is what happened to a pull request, as filters call it, or "".
func (d pullDetail) happened() string {
	switch {
	case d.Event == "pullRequestCreated":
		return structure.Opened
	case d.Event == "pullRequestSourceBranchUpdated":
		return structure.Updated
	case d.Merged == "True" && (d.Event == "pullRequestMergeStatusUpdated" || d.Event == "pullRequestStatusChanged"):
		return structure.Merged
	case d.Event == "pullRequestStatusChanged" && strings.EqualFold(d.Status, "Closed"):
		return structure.Closed
	}
	return ""
}

// pulled are the runs of what happened to a pull request.
func (p *Pipelines) pulled(ctx context.Context, e event.Event) (asked []Start, err error) {
	var d pullDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	what := d.happened()
	if what == "" || len(d.Names) == 0 {
		return nil, nil
	}
	r, err := p.config.Source.Repository(ctx, d.Names[0])
	if err != nil {
		return nil, ignoreGone(err)
	}
	repo, err := p.config.Source.Git(r.Name)
	if err != nil {
		return nil, err
	}
	pulled := structure.Pulled{Event: what, Branch: strings.TrimPrefix(d.Target, "refs/heads/"), Files: func() ([]string, error) {
		from, err := repo.MergeBase(ctx, d.TargetAt, d.Commit)
		if errors.Is(err, fault.NotFound) {
			from, err = "", nil
		}
		if err != nil {
			return nil, err
		}
		return paths(ctx, repo, from, d.Commit)
	}}
	err = p.listeners(ctx, r, func(def Definition, of structure.Action) error {
		lets, err := def.Structure.OnPull(of, pulled)
		// What was pushed to refs/for no push of a branch has brought: a pipeline that runs on every push runs on it.
		// One that is of a branch runs on no proposal for it.
		if len(def.Structure.Triggers) == 0 && of.Configuration["BranchName"] == "" && strings.HasPrefix(d.Source, "refs/pull/") && (what == structure.Opened || what == structure.Updated) {
			lets = true
		}
		if err != nil || !lets || def.Structure.Sources()[0].Name != of.Name {
			return err
		}
		s := Start{
			Pipeline: def.Structure.Name, Branch: d.Source, Commit: d.Commit, Pull: d.ID, Who: d.Who, foreign: true, id: derived(e.ID, def.Structure.Name),
			Trigger: Trigger{Type: "WebhookV2", Detail: "pull request " + d.ID + " " + strings.ToLower(what)},
		}
		if what == structure.Merged { // what is merged is the target's by now
			s.Branch, s.Commit, s.Pull = d.Target, d.MergeCommit, ""
			if s.Commit == "" {
				s.foreign = false // where the target is
			}
		}
		asked = append(asked, s)
		return nil
	})
	return asked, err
}

// waiting are the pipelines that want to know of something, since they came to be.
func (p *Pipelines) waitingFor(ctx context.Context, e event.Event, want func(Definition, structure.On) bool) (asked []Definition, err error) {
	var all []Definition
	err = p.db.Read(ctx, func(tx *db.Tx) (err error) { all, err = allDefined(tx); return err })
	for _, d := range all {
		if d.Structure.Haechi == nil || d.Problem != "" || e.Time.Before(d.Updated.Truncate(time.Second)) {
			continue
		}
		if slices.ContainsFunc(d.Structure.Haechi.On, func(on structure.On) bool { return want(d, on) }) {
			asked = append(asked, d)
		}
	}
	return asked, err
}

// mostChain is how many pipelines may start each other in a row.
const mostChain = 10

// after are the runs of pipelines that wait for the end of another.
func (p *Pipelines) after(ctx context.Context, e event.Event) (asked []Start, err error) {
	var d Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	if d.State != "SUCCEEDED" && d.State != "FAILED" && d.State != "STOPPED" && d.State != "SUPERSEDED" {
		return nil, nil
	}
	want, err := p.waitingFor(ctx, e, func(_ Definition, on structure.On) bool {
		states := on.States
		if len(states) == 0 {
			states = []string{"SUCCEEDED"}
		}
		return on.Pipeline != "" && on.Pipeline == d.Pipeline && slices.Contains(states, d.State)
	})
	if err != nil || len(want) == 0 {
		return nil, err
	}
	chain, err := p.chain(ctx, d.ID)
	if err != nil {
		return nil, ignoreGone(err)
	}
	for _, def := range want {
		name := def.Structure.Name
		if slices.Contains(chain, name) || len(chain) >= mostChain {
			p.config.Log.Warn("pipelines start each other in a circle: this one is not started again", "pipeline", name, "after", d.Pipeline)
			continue
		}
		asked = append(asked, Start{Pipeline: name, id: derived(e.ID, name), Trigger: Trigger{Type: "CloudWatchEvent", Detail: afterRun + d.ID}})
	}
	return asked, nil
}

const afterRun = "after run "

// chain are the pipelines whose ends led to a run, its own first.
func (p *Pipelines) chain(ctx context.Context, id string) (names []string, err error) {
	for len(names) < mostChain {
		e, err := p.Execution(ctx, id)
		if err != nil {
			return names, err
		}
		names = append(names, e.Pipeline)
		next, ok := strings.CutPrefix(e.Trigger.Detail, afterRun)
		if !ok {
			return names, nil
		}
		id = next
	}
	return names, nil
}

// image are the runs of pipelines that wait for something to be pushed to a registry.
func (p *Pipelines) image(ctx context.Context, e event.Event) (asked []Start, err error) {
	var d struct {
		Type       string `json:"action-type"`
		Result     string `json:"result"`
		Repository string `json:"repository-name"`
		Tag        string `json:"image-tag"`
		Digest     string `json:"image-digest"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	if d.Type != "PUSH" || d.Result != "SUCCESS" {
		return nil, nil
	}
	want, err := p.waitingFor(ctx, e, func(_ Definition, on structure.On) bool {
		return on.Artifact != "" && on.Artifact == d.Repository && (on.Tags == nil || on.Tags.Match(d.Tag))
	})
	for _, def := range want {
		asked = append(asked, Start{Pipeline: def.Structure.Name, id: derived(e.ID, def.Structure.Name), Trigger: Trigger{Type: "CloudWatchEvent", Detail: clip("image "+d.Repository+":"+d.Tag+" "+d.Digest, 300)}})
	}
	return asked, err
}

// schedules starts the runs of pipelines whose schedules are due: once for each time that was due, and
// once for what was missed while no node was up.
func (p *Pipelines) schedules(ctx context.Context) error {
	now := p.config.Now()
	type due struct {
		d    Definition
		next int64
	}
	var all []due
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = db.All(tx, func(scan db.Scan) (one due, err error) {
			var body []byte
			if err := scan(&one.next, &body); err != nil {
				return one, err
			}
			return one, json.Unmarshal(body, &one.d)
		}, "SELECT next, body FROM pipeline_definitions WHERE next > 0 AND next <= ? ORDER BY name", now.UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	for _, one := range all {
		name, at := one.d.Structure.Name, time.UnixMicro(one.next).UTC()
		s := Start{Pipeline: name, id: derived(name, at.Format(time.RFC3339Nano)), Trigger: Trigger{Type: "CloudWatchEvent", Detail: "schedule of " + at.Format(time.RFC3339)}}
		if err := p.beginOnce(ctx, s); err != nil {
			return err
		}
		next := int64(0)
		if at := one.d.next(now); !at.IsZero() {
			next = at.UnixMicro()
		}
		err := p.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE pipeline_definitions SET next = ? WHERE name = ? AND next = ?", next, name, one.next)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget tells the hub of branches that are gone: what was seen only there is seen no more.
func (p *Pipelines) forget(ctx context.Context, e event.Event) error {
	if e.Type != source.Moved || e.Source != source.EventSource {
		return nil
	}
	var d source.Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	if d.ReferenceType != "branch" || d.Event != source.Deleted {
		return nil
	}
	_, err := p.config.Source.Ref(ctx, d.RepositoryName, d.ReferenceFullName)
	if !errors.Is(err, fault.NotFound) {
		return err // it is back
	}
	if err := p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM pipeline_told WHERE target = ? AND branch = ?", d.RepositoryName, d.ReferenceName)
		return err
	}); err != nil {
		return err
	}
	if p.config.Components != nil {
		if err := p.config.Components.Forget(ctx, d.RepositoryName, d.ReferenceName); err != nil {
			return err
		}
	}
	_, err = p.config.Hub.Forget(ctx, d.RepositoryName, d.ReferenceName, "pipeline")
	return err
}
