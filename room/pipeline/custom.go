package pipeline

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// OwnType is a type of actions that people have made: workers of theirs poll for its jobs.
type OwnType struct {
	ID         structure.TypeID  `json:"id"`
	Inputs     [2]int            `json:"inputs"`
	Outputs    [2]int            `json:"outputs"`
	Properties []OwnProperty     `json:"properties,omitzero"`
	Links      map[string]string `json:"links,omitzero"` // settings: templates of addresses
	Tags       map[string]string `json:"tags,omitzero"`
	Created    time.Time         `json:"created"`
}

// OwnProperty is a key of the configuration of such actions.
type OwnProperty struct {
	Name        string `json:"name"`
	Required    bool   `json:"required"`
	Key         bool   `json:"key"`
	Secret      bool   `json:"secret"`
	Queryable   bool   `json:"queryable,omitzero"`
	Description string `json:"description,omitzero"`
	Type        string `json:"type,omitzero"`
}

func (t OwnType) structure() structure.Type {
	made := structure.Type{ID: t.ID, Inputs: t.Inputs, Outputs: t.Outputs}
	for _, p := range t.Properties {
		made.Properties = append(made.Properties, structure.Property{Name: p.Name, Required: p.Required, About: p.Description})
	}
	return made
}

var (
	providerForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_-]{1,35}$`) })
	versionForm  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_-]{1,9}$`) })
)

const mostOwnTypes = 100

// CreateType makes a type of actions. Its owner is Custom.
func (p *Pipelines) CreateType(ctx context.Context, t OwnType) (OwnType, error) {
	t.ID.Owner = "Custom"
	if !slices.Contains([]string{structure.Source, structure.Build, structure.Test, structure.Deploy, structure.Approval, structure.Invoke}, t.ID.Category) || t.ID.Category == structure.Approval {
		return t, fault.Invalid.Errorf("a custom action is of category Source, Build, Test, Deploy or Invoke, not %q", clip(t.ID.Category, 50))
	}
	if !providerForm().MatchString(t.ID.Provider) || !versionForm().MatchString(t.ID.Version) {
		return t, fault.Invalid.Errorf("%q names no type of actions", clip(t.ID.String(), 100))
	}
	queryable := 0
	for _, property := range t.Properties {
		if property.Queryable {
			queryable++
		}
	}
	if len(t.Properties) > 10 || queryable > 1 {
		return t, fault.Limit.Errorf("a type has at most 10 properties, and one that jobs are asked for by")
	}
	if b := [2][2]int{t.Inputs, t.Outputs}; slices.ContainsFunc(b[:], func(n [2]int) bool { return n[0] < 0 || n[1] > 5 || n[0] > n[1] }) {
		return t, fault.Invalid.Errorf("an action takes and gives 0 to 5 artifacts")
	}
	t.Created = p.config.Now().UTC()
	body, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	return t, p.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_types")
		if err != nil {
			return err
		}
		if n >= mostOwnTypes {
			return fault.Limit.Errorf("there are %d types of actions: that is the most", n)
		}
		added, err := tx.Exec("INSERT INTO pipeline_types (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", t.ID.String(), body)
		if err == nil && added == 0 {
			err = fault.Exists.Errorf("there is a type %s already", t.ID)
		}
		return err
	})
}

// DeleteType takes a type away. Pipelines that have such actions fail in them, and so do jobs that nobody has
// acknowledged: nobody can poll for them any more. A worker that has one ends it.
func (p *Pipelines) DeleteType(ctx context.Context, id structure.TypeID) error {
	id.Owner = "Custom"
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM pipeline_types WHERE id = ?", id.String()); err != nil {
			return err
		}
		open, err := db.All(tx, scanRun, "SELECT body FROM pipeline_runs WHERE status IN (?, ?) ORDER BY created, id", string(InProgress), string(Stopping))
		if err != nil {
			return err
		}
		for _, e := range open {
			for _, job := range e.unclaimed(id) {
				if err := p.config.Queue.Cancel(tx, job); err != nil {
					return err
				}
				o := failed(Reason{Text: "type " + id.String() + " was deleted before a worker took the job"})
				o.code = "ConfigurationError"
				if err := p.end(tx, e.ID, job, o); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// unclaimed are the jobs of a type that people have made which no worker has acknowledged.
func (e *Execution) unclaimed(id structure.TypeID) (jobs []string) {
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Status == InProgress && a.Runner == runCustom && a.Type == id && a.By == "" {
				jobs = append(jobs, a.ID)
			}
		}
	}
	return jobs
}

// isOwnType tells whether there is such a type that people have made.
func isOwnType(tx *db.Tx, id structure.TypeID) (bool, error) {
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM pipeline_types WHERE id = ?", id.String())
	return n > 0, err
}

// OwnTypes are those that people have made.
func (p *Pipelines) OwnTypes(ctx context.Context) (all []OwnType, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, func(scan db.Scan) (t OwnType, err error) {
			var body []byte
			if err := scan(&body); err != nil {
				return t, err
			}
			return t, json.Unmarshal(body, &t)
		}, "SELECT body FROM pipeline_types ORDER BY id")
		return err
	})
	return all, err
}

func (p *Pipelines) ownTypes(ctx context.Context) (all []structure.Type, err error) {
	own, err := p.OwnTypes(ctx)
	for _, t := range own {
		all = append(all, t.structure())
	}
	return all, err
}

// Job is an action of a custom type, as a worker elsewhere sees it.
type Job struct {
	ID            string
	Nonce         string // of this hand-out; "" once somebody has it
	Type          structure.TypeID
	Configuration map[string]string
	Pipeline      string
	Execution     string
	Stage, Action string
	Inputs        []Artifact
	Outputs       []string
	Made          []Artifact   // the outputs, by where the worker puts them
	Keys          *Credentials // for the artifacts, of whom it was handed out to; else nil
	Continuation  string       // what the worker said last
	Revision      string       // commit
	Status        string       // Queued, Dispatched, InProgress, Succeeded, Failed, TimedOut
}

// Poll hands out jobs of a type. Who does not acknowledge one within the queue's lease has lost it.
func (p *Pipelines) Poll(ctx context.Context, t structure.TypeID, by string, most int, query map[string]string) (jobs []Job, err error) {
	if t.Owner != "Custom" {
		return nil, fault.NotFound.Errorf("nobody polls for %s here", t)
	}
	own, err := p.OwnTypes(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(own, func(o OwnType) bool { return o.ID == t }) {
		return nil, fault.NotFound.Errorf("there is no type %s", clip(t.String(), 100))
	}
	var back []work.Lease
	for tries := 0; len(jobs) < max(most, 1) && tries < 100; tries++ {
		l, ok, err := p.config.Queue.Claim(ctx, by, t.String())
		if err != nil || !ok {
			break
		}
		j, err := p.job(ctx, l.ID)
		if errors.Is(err, fault.NotFound) { // its run is gone
			err = p.db.Write(ctx, func(tx *db.Tx) error { return p.config.Queue.Done(tx, l) })
			if err != nil {
				return jobs, err
			}
			continue
		}
		if err != nil {
			return jobs, err
		}
		if !j.asked(query) {
			back = append(back, l)
			continue
		}
		if err := p.offer(ctx, &j); err != nil {
			return jobs, err
		}
		j.Nonce, j.Status, j.Keys = l.Nonce, "Dispatched", p.lend(j.ID, l.Nonce)
		jobs = append(jobs, j)
	}
	for _, l := range back {
		if err := p.config.Queue.Release(ctx, l, time.UnixMicro(0), false); err != nil {
			return jobs, err
		}
	}
	return jobs, err
}

func (j Job) asked(query map[string]string) bool {
	for key, value := range query {
		if j.Configuration[key] != value {
			return false
		}
	}
	return true
}

// job is the action of that id, whichever run it is of. A job's id stands in the run's row, so that it is found by it.
func (p *Pipelines) job(ctx context.Context, id string) (j Job, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		e, s, a, err := p.custom(tx, id)
		if err == nil {
			j, err = e.job(s, a)
		}
		return err
	})
	return j, err
}

// custom is the action of a custom type with that id.
func (p *Pipelines) custom(tx *db.Tx, id string) (*Execution, *Stage, *Action, error) {
	run, err := db.One(tx, db.Value[string], "SELECT run FROM pipeline_begun WHERE action = ?", id)
	if err == nil {
		var e Execution
		if e, err = find(tx, run); err == nil {
			if s, a := e.find(id); a != nil && a.Runner == runCustom {
				return &e, s, a, nil
			}
		}
	}
	if err == nil || errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("there is no job %s", clip(id, 100))
	}
	return nil, nil, nil, err
}

func (e *Execution) job(s *Stage, a *Action) (Job, error) {
	j := Job{
		ID: a.ID, Type: a.Type, Configuration: a.Config, Pipeline: e.Pipeline, Execution: e.ID, Stage: s.Name, Action: a.Name, Continuation: a.Token, Revision: e.Commit,
		Status: map[Status]string{InProgress: "Queued", Succeeded: "Succeeded", Failed: "Failed", Abandoned: "TimedOut", Stopped: "TimedOut"}[a.Status],
	}
	if a.Percent > 0 || a.By != "" {
		j.Status = strings.Replace(j.Status, "Queued", "InProgress", 1)
	}
	for _, out := range a.Outputs {
		j.Outputs = append(j.Outputs, out.Name)
	}
	var err error
	j.Inputs, err = e.inputs(a.Inputs)
	return j, err
}

// Acknowledge is a worker's word that a job which was handed out to it is its own from now on, until the
// action's deadline.
func (p *Pipelines) Acknowledge(ctx context.Context, id, nonce, who string) (status string, err error) {
	l, err := p.config.Queue.Find(ctx, id, nonce)
	if err != nil {
		j, gone := p.job(ctx, id)
		if gone != nil {
			return "", gone
		}
		if errors.Is(err, work.ErrLost) {
			return "", fault.Invalid.Errorf("the nonce of job %s is not that of its last hand-out; it is %s", id, j.Status)
		}
		return "", err
	}
	return "InProgress", p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.config.Queue.Done(tx, l); err != nil {
			return err
		}
		e, _, a, err := p.custom(tx, id)
		if err != nil {
			return err
		}
		a.By, a.Lease, a.Summary = who, nonce, "a worker has it"
		return p.save(tx, e)
	})
}

// JobDetails are what is known of a job.
func (p *Pipelines) JobDetails(ctx context.Context, id string) (Job, error) {
	j, err := p.job(ctx, id)
	if err != nil {
		return j, err
	}
	return j, p.place(ctx, &j)
}

// JobSuccess is what a worker says of a job that went well, or that goes on.
type JobSuccess struct {
	Continuation string // the job is not at its end: it is handed out again with this
	Summary      string
	External     string
	Percent      int
	Revision     string // of a source: what it took
	Variables    map[string]string
}

// Succeed takes in that a job went well.
func (p *Pipelines) Succeed(ctx context.Context, id, by string, r JobSuccess) error {
	size := 0
	for key, value := range r.Variables {
		size += len(key) + len(value)
	}
	if size > 122_880 {
		return fault.Limit.Errorf("the output variables have %d bytes, more than 122,880", size)
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		e, _, a, err := p.held(tx, id, by)
		if err != nil {
			return err
		}
		if r.Continuation != "" {
			a.Token, a.Percent, a.Summary, a.External, a.By = r.Continuation, r.Percent, clip(r.Summary, 500), r.External, ""
			a.Lease = ""
			if err := p.save(tx, e); err != nil {
				return err
			}
			return p.add(tx, e, a.ID, a.Type)
		}
		o := outcome{status: Succeeded, summary: r.Summary, external: r.External, variables: r.Variables}
		var missing string
		if o.artifacts, missing, err = p.handedIn(tx, e, a, r.Revision); err != nil {
			return err
		}
		if missing != "" {
			o = failed(Reason{Text: "the worker says that it succeeded, and has put no artifact " + missing + " where its job said", Do: "see to the worker: it uploads to the outputArtifacts' s3Location with the job's artifactCredentials"})
			o.external = r.External
			return p.end(tx, e.ID, id, o)
		}
		o.change = func(e *Execution, a *Action) {
			a.Percent = 100
			if a.Type.Category == structure.Source && e.Commit == "" {
				e.Commit = clip(r.Revision, 200)
			}
		}
		return p.end(tx, e.ID, id, o)
	})
}

// Fail takes in that a job failed.
func (p *Pipelines) Fail(ctx context.Context, id, by, kind, message, external string) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		e, _, _, err := p.held(tx, id, by)
		if err != nil {
			return err
		}
		o := failed(Reason{Text: clip(message, 500)})
		o.code, o.external = kind, external
		return p.end(tx, e.ID, id, o)
	})
}

// held is the action of a job that a worker has acknowledged and not ended.
func (p *Pipelines) held(tx *db.Tx, id, by string) (*Execution, *Stage, *Action, error) {
	e, s, a, err := p.custom(tx, id)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case a.Status != InProgress:
		return nil, nil, nil, fault.Conflict.Errorf("job %s is at its end: it is %s", id, a.Status)
	case a.By == "":
		return nil, nil, nil, fault.Conflict.Errorf("nobody has acknowledged job %s", id)
	case a.By != by:
		return nil, nil, nil, fault.Conflict.Errorf("job %s is another worker's", id)
	}
	return e, s, a, nil
}
