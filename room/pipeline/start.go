package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Start says which pipeline is to run, and of what.
type Start struct {
	Pipeline  string
	Branch    string            // or the full name of another ref; "" is what its first source names, or else the default branch
	Commit    string            // on that branch; "" is where it is
	Pull      string            // number of the pull request that it is of
	Who       string            // ARN
	Trigger   Trigger           // StartPipelineExecution if it is not said
	Variables map[string]string // the pipeline's own
	Revisions map[string]string // commits, by the names of source actions
	Token     string            // clientRequestToken: the same within a day gives the same run

	id      string // of an event that starts it once
	before  string // where the branch was
	foreign bool   // whether the commit is on the branch is known
	parent  *Parent
}

// Begin starts a run.
func (p *Pipelines) Begin(ctx context.Context, s Start) (e Execution, err error) {
	d, err := p.Definition(ctx, s.Pipeline)
	if err != nil {
		return e, err
	}
	e, err = p.plan(ctx, d, s)
	if err != nil {
		return e, err
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if s.Token != "" {
			id, err := db.One(tx, db.Value[string], "SELECT run FROM pipeline_tokens WHERE pipeline = ? AND token = ?", s.Pipeline, s.Token)
			if err == nil {
				e, err = find(tx, id)
				return err
			}
			if !errors.Is(err, fault.NotFound) {
				return err
			}
		}
		if e, err = p.begin(tx, e); err != nil || s.Token == "" {
			return err
		}
		_, err := tx.Exec("INSERT INTO pipeline_tokens (pipeline, token, run, at) VALUES (?, ?, ?, ?)", s.Pipeline, s.Token, e.ID, p.config.Now().UnixMicro())
		return err
	})
	return e, err
}

// Start starts a run of a repository's pipeline by hand, of a commit or of where the branch is.
func (p *Pipelines) Start(ctx context.Context, repository, branch, commit, who string) (Execution, error) {
	return p.Begin(ctx, Start{Pipeline: repository, Branch: branch, Commit: commit, Who: who})
}

// plan is the run that s asks for, not begun yet.
func (p *Pipelines) plan(ctx context.Context, d Definition, s Start) (e Execution, err error) {
	e = fresh(d, s)
	if e.Variables, err = ownValues(d.Structure, s.Variables); err != nil {
		return e, err
	}
	sources := d.Structure.Sources()
	for name := range s.Revisions {
		if !slices.ContainsFunc(sources, func(a structure.Action) bool { return a.Name == name }) {
			return e, fault.Invalid.Errorf("pipeline %s has no source action %q", d.Structure.Name, name)
		}
	}
	first := sources[0]
	if noRepository(first) {
		return e, nil // whoever polls for it knows what it reads
	}
	e.Repository = sourceRepository(first)
	r, err := p.config.Source.Repository(ctx, e.Repository)
	if err != nil {
		return e, err
	}
	e.Branch = strings.TrimPrefix(cmp.Or(s.Branch, first.Configuration["BranchName"], r.DefaultBranch), "refs/heads/")
	e.Protected = r.Protected(e.Ref())
	if e.Commit = cmp.Or(s.Commit, s.Revisions[first.Name]); s.foreign {
		return e, nil
	}
	head, err := p.config.Source.Ref(ctx, e.Repository, e.Ref())
	if err != nil {
		return e, err
	}
	if e.Commit == "" {
		e.Commit = head
	}
	return e, p.belongs(ctx, e.Repository, e.Commit, head)
}

// fresh is a run of a pipeline before anything is known of its commit.
func fresh(d Definition, s Start) Execution {
	e := Execution{
		ID: cmp.Or(s.id, bus.ID()), Pipeline: d.Structure.Name, Version: d.Structure.Version, Mode: d.Structure.ExecutionMode, Kind: Standard, Origin: d.Origin,
		Repository: d.Repository, Branch: strings.TrimPrefix(s.Branch, "refs/heads/"), Commit: s.Commit, Before: s.before, Pull: s.Pull, Who: s.Who, Trigger: s.Trigger,
		Revisions: s.Revisions, Parent: s.parent, Stages: stages(d.Structure),
	}
	if e.Trigger.Type == "" {
		e.Trigger = Trigger{Type: "StartPipelineExecution", Detail: s.Who}
	}
	if d.Structure.Haechi != nil {
		e.Walls = d.Structure.Haechi.Walls
	}
	if d.Problem != "" {
		// It fails where people look: in its first action.
		e.Reasons = []Reason{{Action: e.Stages[0].Actions[0].Name, Text: d.Problem, Where: d.Where, Do: d.Hint}}
	}
	return e
}

// ownValues are the pipeline's own, as they were given or are by default.
func ownValues(s structure.Pipeline, given map[string]string) (map[string]string, error) {
	all := map[string]string{}
	for _, v := range s.Variables {
		value, ok := given[v.Name]
		if !ok {
			value = v.Default
		}
		if value == "" {
			return nil, fault.Invalid.Errorf("variable %s has no default: give it a value", v.Name)
		}
		if len(value) > 1000 {
			return nil, fault.Limit.Errorf("variable %s has more than 1,000 bytes", v.Name)
		}
		all[v.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := all[name]; !ok {
			return nil, fault.Invalid.Errorf("pipeline %s has no variable %q", s.Name, name)
		}
	}
	return all, nil
}

// belongs refuses a commit that is not the branch's: its result would count as the branch's.
func (p *Pipelines) belongs(ctx context.Context, repository, commit, head string) error {
	if !git.ValidID(commit) {
		return fault.Invalid.Errorf("%q is no full name of a commit", clip(commit, 100))
	}
	repo, err := p.config.Source.Git(repository)
	if err != nil {
		return err
	}
	if _, err := repo.Commit(ctx, commit); err != nil {
		return err
	}
	ok, err := repo.IsAncestor(ctx, commit, head)
	if err == nil && !ok {
		err = fault.Invalid.Errorf("commit %s is not on that branch", commit)
	}
	return err
}

// mostOpen is how many runs of one pipeline may wait or be at work.
const mostOpen = 1000

// begin keeps a new run, and starts it when it is its turn.
func (p *Pipelines) begin(tx *db.Tx, e Execution) (Execution, error) {
	number, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM pipeline_runs WHERE pipeline = ?", e.Pipeline)
	if err != nil {
		return e, err
	}
	open, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_runs WHERE pipeline = ? AND status IN (?, ?, ?)", e.Pipeline, string(Waiting), string(InProgress), string(Stopping))
	if err != nil {
		return e, err
	}
	if open >= mostOpen {
		return e, fault.Limit.Errorf("%d runs of %s have not ended: that is the most", open, e.Pipeline)
	}
	e.Number, e.Attempt, e.Status, e.Created = number, 1, Waiting, p.config.Now().UTC()
	e.Changed = e.Created
	if e.Values == nil {
		e.Values = structure.Values{}
	}
	e.Values[structure.OwnNamespace] = map[string]string{structure.ExecutionID: e.ID}
	e.Values[structure.OfPipeline] = e.Variables
	if len(e.Reasons) > 0 { // its definition cannot be used
		return e, p.stillborn(tx, e)
	}
	if err := keep(tx, e); err != nil {
		return e, err
	}
	if err := p.advance(tx, e.ID); err != nil {
		return e, err
	}
	return find(tx, e.ID)
}

// stillborn keeps a run that has failed before it could begin.
func (p *Pipelines) stillborn(tx *db.Tx, e Execution) error {
	now := p.config.Now().UTC()
	s := &e.Stages[0]
	a := &s.Actions[0]
	a.ID, a.Attempt, a.Started, a.Ended, a.Status, a.Code, a.Summary = derived(e.ID, s.Name, a.Name, "1"), 1, now, now, Failed, "ConfigurationError", e.Reasons[0].Text
	s.Status, s.Entered, s.Ended = Failed, now, now
	e.Status, e.Started, e.Ended = InProgress, now, now
	if err := p.tell(tx, e); err != nil {
		return err
	}
	e.Status = Failed
	if err := keep(tx, e); err != nil {
		return err
	}
	tx.AfterCommit(p.wake)
	return p.tell(tx, e)
}

// startFrom starts the pipeline that an action names. It is begun where its first source is by now.
func (p *Pipelines) startFrom(tx *db.Tx, e *Execution, a *Action) (Execution, error) {
	name := a.Config["PipelineName"]
	if name == e.Pipeline {
		return Execution{}, fault.Invalid.Errorf("a pipeline does not start itself")
	}
	for up, depth := e.Parent, 0; up != nil; depth++ {
		parent, err := find(tx, up.Execution)
		if err != nil || depth > 10 {
			return Execution{}, fault.Invalid.Errorf("pipelines start each other more than 10 deep")
		}
		if parent.Pipeline == name {
			return Execution{}, fault.Invalid.Errorf("pipelines %s and %s start each other", name, e.Pipeline)
		}
		up = parent.Parent
	}
	d, err := defined(tx, name)
	if err != nil {
		return Execution{}, err
	}
	if e.Origin == FromFile && d.Repository != e.Repository {
		// Whoever may push to the one would start what only others may start.
		return Execution{}, fault.Denied.Errorf("the pipeline %s is the repository %s's: the file of %s starts those of its own repository; another one is started by a trigger of its own, on the end of this", name, d.Repository, e.Repository)
	}
	s := Start{Pipeline: name, Who: e.Who, Trigger: Trigger{Type: "StartPipelineExecution", Detail: "pipeline " + e.Pipeline}, parent: &Parent{e.ID, a.ID}, id: derived(a.ID, "started")}
	if s.Variables, s.Revisions, err = passed(a.Config); err != nil {
		return Execution{}, err
	}
	made := fresh(d, s)
	if made.Variables, err = ownValues(d.Structure, s.Variables); err != nil {
		return made, err
	}
	first := d.Structure.Sources()[0]
	made.Branch, made.Commit = strings.TrimPrefix(first.Configuration["BranchName"], "refs/heads/"), s.Revisions[first.Name]
	if a.Config["WaitForEnd"] != "true" {
		made.Parent = nil
	}
	return p.begin(tx, made)
}

// passed are the variables and source revisions that an action hands on: lists of name and value as JSON, as CodePipeline has them.
func passed(config map[string]string) (values, revisions map[string]string, err error) {
	var vars []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	var revs []struct {
		Action string `json:"actionName"`
		Type   string `json:"revisionType"`
		Value  string `json:"revisionValue"`
	}
	if err := readList(config, "Variables", &vars); err != nil {
		return nil, nil, err
	}
	if err := readList(config, "SourceRevisions", &revs); err != nil {
		return nil, nil, err
	}
	for _, v := range vars {
		if values == nil {
			values = map[string]string{}
		}
		values[v.Name] = v.Value
	}
	for _, r := range revs {
		if r.Type != "COMMIT_ID" || !git.ValidID(r.Value) {
			return nil, nil, fault.Invalid.Errorf("SourceRevisions: only a revisionType COMMIT_ID with the full name of a commit is understood here")
		}
		if revisions == nil {
			revisions = map[string]string{}
		}
		revisions[r.Action] = r.Value
	}
	return values, revisions, nil
}

// rollBack begins a run that brings one stage back to what the last run before brought there that succeeded in it.
func (p *Pipelines) rollBack(tx *db.Tx, e *Execution, stage string) ([]string, error) {
	earlier, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE pipeline = ? AND branch = ? AND number < ? ORDER BY number DESC LIMIT 100", e.Pipeline, e.Branch, e.Number)
	if err != nil {
		return nil, err
	}
	for _, t := range earlier {
		if s := t.Stage(stage); s != nil && s.Status == Succeeded && t.Kind != Rollback && max(t.Version, 1) == max(e.Version, 1) {
			made, err := p.begin(tx, rolledBack(e, t, stage, "AutomatedRollback", "run "+fmt.Sprint(e.Number)))
			return []string{made.ID}, err
		}
	}
	e.Reasons = append(e.Reasons, Reason{Action: stage, Text: fmt.Sprintf("there is no earlier run of version %d of the pipeline that succeeded in stage %s: nothing was rolled back", max(e.Version, 1), stage)})
	return nil, nil
}

// rolledBack is a run of one stage as a pipeline has it now, of what an earlier run had.
func rolledBack(now *Execution, target Execution, stage, how, who string) Execution {
	e := Execution{
		ID: bus.ID(), Pipeline: now.Pipeline, Version: now.Version, Mode: now.Mode, Kind: Rollback, Origin: now.Origin, Repository: target.Repository, Branch: target.Branch,
		Commit: target.Commit, Protected: target.Protected, Who: who, Author: target.Author, Authors: target.Authors, Subject: target.Subject, Base: target.Base,
		Trigger: Trigger{Type: how, Detail: who}, Variables: target.Variables, Target: target.ID, Walls: now.Walls, Artifacts: slices.Clone(target.Artifacts), Values: structure.Values{},
	}
	for name, values := range target.Values {
		e.Values[name] = values
	}
	of := now.Stage(stage)
	made := Stage{Name: stage, Status: Waiting, Entry: of.Entry.again(), Success: of.Success.again()}
	for i := range of.Actions {
		a := of.Actions[i].fresh()
		a.Attempt = 0
		made.Actions = append(made.Actions, a)
	}
	e.Stages = []Stage{made}
	e.Artifacts = slices.DeleteFunc(e.Artifacts, func(a Artifact) bool { return a.Stage == stage })
	return e
}

// again is a condition like c that nobody has asked.
func (c *Condition) again() *Condition {
	if c == nil {
		return nil
	}
	copied := Condition{Result: c.Result, Rules: slices.Clone(c.Rules)}
	copied.reset()
	return &copied
}

// tokenKept is how long a token stands for the run that it started.
const tokenKept = 24 * time.Hour

// readList reads a key of a configuration that holds a list as JSON; one that is not there is none.
func readList(config map[string]string, key string, list any) error {
	text := config[key]
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), list); err != nil {
		return fault.Invalid.Errorf("%s is no list as JSON: %w", key, err)
	}
	return nil
}
