package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/schedule"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

// DefinitionFile is where a repository says what its pipeline is. It counts as the
// protected default branch has it; without one, a repository has the pipeline of Default.
const DefinitionFile = OwnFolder + "pipeline.yaml"

// Definition is a pipeline as it is now.
type Definition struct {
	Structure  structure.Pipeline `json:"structure"`
	Origin     Origin             `json:"origin"`
	Repository string             `json:"repository,omitzero"` // of its first source
	Commit     string             `json:"commit,omitzero"`     // that its file is from
	Problem    string             `json:"problem,omitzero"`    // why its file cannot be used; then it fails every run
	Where      string             `json:"where,omitzero"`      // the place of that
	Hint       string             `json:"hint,omitzero"`
	Created    time.Time          `json:"created"`
	Updated    time.Time          `json:"updated"`
	Tags       map[string]string  `json:"tags,omitzero"`
	Heads      map[string]string  `json:"heads,omitzero"` // where the branches of its sources were when it was made: "REPOSITORY REF" → commit
}

// isOld tells whether a push came before the pipeline did, though its event is told only now. Events know no parts of seconds.
func (d Definition) isOld(at time.Time, repository, ref, commit string) bool {
	made := d.Created.Truncate(time.Second)
	return d.Origin == FromAPI && (at.Before(made) || at.Equal(made) && d.Heads[repository+" "+ref] == commit)
}

// Default is the pipeline that every repository has: it is scanned, built if there is something to build, and gated.
func Default(repository string) structure.Pipeline {
	type m = map[string]string
	in := []structure.Input{{Name: "Source"}}
	id := func(category, owner, provider string) structure.TypeID {
		return structure.TypeID{Category: category, Owner: owner, Provider: provider, Version: "1"}
	}
	one := func(a structure.Action) structure.Stage {
		a.RunOrder = 1
		return structure.Stage{Name: a.Name, Actions: []structure.Action{a}}
	}
	return structure.Pipeline{
		Name: repository, Version: 1, ExecutionMode: structure.Queued, PipelineType: "V2",
		Stages: []structure.Stage{
			one(structure.Action{Name: "Source", Type: id(structure.Source, "AWS", "CodeCommit"), Configuration: m{"RepositoryName": repository, "OutputArtifactFormat": "CODEBUILD_CLONE_REF"}, Outputs: []structure.Output{{Name: "Source"}}, Namespace: "SourceVariables"}),
			one(structure.Action{Name: "Scan", Type: id(structure.Test, "ThirdParty", "HaechiScan"), Inputs: in}),
			one(structure.Action{Name: "Build", Type: id(structure.Build, "AWS", "CodeBuild"), Configuration: m{"ProjectName": repository}, Inputs: in, Namespace: "BuildVariables"}),
			one(structure.Action{Name: "Gate", Type: id(structure.Test, "ThirdParty", "HaechiGate")}),
		},
	}
}

func scanDefinition(scan db.Scan) (d Definition, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return d, err
	}
	return d, json.Unmarshal(body, &d)
}

// defined is the pipeline of that name that somebody has made or written down; fault.NotFound if it is none, or a repository's default.
func defined(tx *db.Tx, name string) (Definition, error) {
	d, err := db.One(tx, scanDefinition, "SELECT body FROM pipeline_definitions WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		return d, fault.NotFound.Errorf("there is no pipeline %q", name)
	}
	return d, err
}

// allDefined are all of these whose first or other source is a repository; "" is any.
func allDefined(tx *db.Tx) ([]Definition, error) {
	return db.All(tx, scanDefinition, "SELECT body FROM pipeline_definitions ORDER BY name")
}

// keepDefinition writes a pipeline down under a new version, with when its schedule is due.
func (p *Pipelines) keepDefinition(tx *db.Tx, d Definition) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	next := int64(0)
	if at := d.next(p.config.Now()); !at.IsZero() {
		next = at.UnixMicro()
	}
	if _, err := tx.Exec(`INSERT INTO pipeline_definitions (name, origin, next, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET origin = excluded.origin, next = excluded.next, body = excluded.body`, d.Structure.Name, string(d.Origin), next, body); err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO pipeline_versions (name, version, at, body) VALUES (?, ?, ?, ?) ON CONFLICT (name, version) DO UPDATE SET at = excluded.at, body = excluded.body",
		d.Structure.Name, d.Structure.Version, p.config.Now().UnixMicro(), body)
	tx.AfterCommit(p.wake)
	return err
}

// next is when one of a pipeline's schedules is due, or the zero time.
func (d Definition) next(after time.Time) (at time.Time) {
	if d.Structure.Haechi == nil || d.Problem != "" {
		return at
	}
	for _, on := range d.Structure.Haechi.On {
		s, err := schedule.Parse(on.Schedule)
		if on.Schedule == "" || err != nil {
			continue
		}
		if next := s.Next(d.Updated, after); at.IsZero() || !next.IsZero() && next.Before(at) {
			at = next
		}
	}
	return at
}

// Definition is the pipeline of that name, in its newest version.
func (p *Pipelines) Definition(ctx context.Context, name string) (d Definition, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error { d, err = defined(tx, name); return err })
	if !errors.Is(err, fault.NotFound) {
		return d, err
	}
	r, gone := p.config.Source.Repository(ctx, name)
	if gone != nil {
		return d, err
	}
	return defaultOf(r), nil
}

func defaultOf(r source.Repository) Definition {
	return Definition{Structure: Default(r.Name), Origin: FromNothing, Repository: r.Name, Created: r.Created, Updated: r.Created}
}

// DefinitionAt is a pipeline in one of its versions; version 0 is the newest.
func (p *Pipelines) DefinitionAt(ctx context.Context, name string, version int) (d Definition, err error) {
	if d, err = p.Definition(ctx, name); err != nil || version == 0 || version == d.Structure.Version {
		return d, err
	}
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		d, err = db.One(tx, scanDefinition, "SELECT body FROM pipeline_versions WHERE name = ? AND version = ?", name, version)
		if errors.Is(err, fault.NotFound) {
			err = fault.NotFound.Errorf("pipeline %s has no version %d", name, version)
		}
		return err
	})
	return d, err
}

// Definitions are the pipelines whose names come after the given one, in order, at most limit: those
// that somebody made, and those that repositories have by themselves.
func (p *Pipelines) Definitions(ctx context.Context, after string, limit int) (all []Definition, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanDefinition, "SELECT body FROM pipeline_definitions WHERE name > ? ORDER BY name LIMIT ?", after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	repositories, err := p.config.Source.Repositories(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	for _, r := range repositories {
		if !slices.ContainsFunc(all, func(d Definition) bool { return d.Structure.Name == r.Name }) {
			all = append(all, defaultOf(r))
		}
	}
	slices.SortFunc(all, func(a, b Definition) int { return strings.Compare(a.Structure.Name, b.Structure.Name) })
	return all[:min(len(all), limit)], nil
}

// firstRepository is the repository of a pipeline's first source.
func firstRepository(s structure.Pipeline) string {
	for _, a := range s.Sources() {
		return sourceRepository(a)
	}
	return ""
}

func sourceRepository(a structure.Action) string {
	if full := a.Configuration["FullRepositoryId"]; full != "" { // OWNER/NAME at a forge: here it has the name alone
		return full[strings.LastIndexByte(full, '/')+1:]
	}
	return a.Configuration["RepositoryName"]
}

// Create makes a pipeline and starts its first run, as CodePipeline does.
func (p *Pipelines) Create(ctx context.Context, s structure.Pipeline, tags map[string]string, who string) (d Definition, err error) {
	s.Version = 1
	if d, err = p.checked(ctx, s); err != nil {
		return d, err
	}
	if d.Heads, err = p.heads(ctx, s); err != nil {
		return d, err
	}
	now := p.config.Now().UTC()
	d.Created, d.Updated, d.Tags = now, now, tags
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := defined(tx, s.Name); err == nil {
			return fault.Exists.Errorf("there is a pipeline %q already", s.Name)
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		return p.keepDefinition(tx, d)
	})
	if err != nil {
		return d, err
	}
	// What cannot be started yet, such as an empty repository, is started by its first push.
	_, err = p.Begin(ctx, Start{Pipeline: s.Name, Who: who, Trigger: Trigger{Type: "CreatePipeline", Detail: who}})
	if fault.Permanent(err) {
		err = nil
	}
	return d, err
}

// heads are where the branches of a pipeline's sources are.
func (p *Pipelines) heads(ctx context.Context, s structure.Pipeline) (map[string]string, error) {
	all := map[string]string{}
	for _, a := range s.Sources() {
		if noRepository(a) {
			continue
		}
		repo, err := p.config.Source.Git(sourceRepository(a))
		if err != nil {
			return nil, err
		}
		refs, err := repo.Refs(ctx, "refs/")
		if err != nil {
			return nil, err
		}
		for _, r := range refs[:min(len(refs), 1000)] {
			all[sourceRepository(a)+" "+r.Name] = r.ID
		}
	}
	return all, nil
}

// checked is a pipeline that can be kept, as the API brings it.
func (p *Pipelines) checked(ctx context.Context, s structure.Pipeline) (d Definition, err error) {
	own, err := p.ownTypes(ctx)
	if err != nil {
		return d, err
	}
	version := s.Version
	if s, err = structure.Checked(s, own...); err != nil {
		return d, err
	}
	s.Version = version
	d = Definition{Structure: s, Origin: FromAPI, Repository: firstRepository(s)}
	for _, a := range s.Sources() {
		if noRepository(a) {
			continue
		}
		if _, err := p.config.Source.Repository(ctx, sourceRepository(a)); err != nil {
			return d, fault.Invalid.Errorf("source %s: %w", a.Name, err)
		}
	}
	return d, nil
}

// Update gives a pipeline another structure; its runs go on by the one that they began with.
func (p *Pipelines) Update(ctx context.Context, s structure.Pipeline) (d Definition, err error) {
	was, err := p.Definition(ctx, s.Name)
	if err != nil {
		return d, err
	}
	if was.Origin == FromFile {
		return d, fault.Conflict.Errorf("pipeline %s is what %s of its repository says: change that", s.Name, DefinitionFile)
	}
	s.Version = 1
	if d, err = p.checked(ctx, s); err != nil {
		return d, err
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if now, err := defined(tx, s.Name); err == nil {
			was = now
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		if d.Structure.Haechi == nil { // AWS's clients cannot say it
			d.Structure.Haechi = was.Structure.Haechi
		}
		d.Structure.Version = was.Structure.Version + 1
		d.Created, d.Updated, d.Tags, d.Heads = was.Created, p.config.Now().UTC(), was.Tags, was.Heads
		return p.keepDefinition(tx, d)
	})
	return d, err
}

// Delete takes a pipeline away that somebody made. Its runs are stopped, and stay to be looked at.
func (p *Pipelines) Delete(ctx context.Context, name, who string) error {
	d, err := p.Definition(ctx, name)
	switch {
	case errors.Is(err, fault.NotFound):
		return nil // as at AWS
	case err != nil:
		return err
	case d.Origin == FromFile:
		return fault.Conflict.Errorf("pipeline %s is what %s of its repository says: remove that", name, DefinitionFile)
	case d.Origin == FromNothing:
		return fault.Conflict.Errorf("pipeline %s is what every repository has: it goes with the repository", name)
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		open, err := db.All(tx, db.Value[string], "SELECT id FROM pipeline_runs WHERE pipeline = ? AND status IN (?, ?, ?) ORDER BY number DESC", name, string(Waiting), string(InProgress), string(Stopping))
		if err != nil {
			return err
		}
		for _, id := range open {
			if err := p.stop(tx, id, true, "the pipeline was deleted", who); err != nil {
				return err
			}
		}
		for _, table := range []string{"pipeline_definitions", "pipeline_versions"} {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE name = ?", name); err != nil {
				return err
			}
		}
		_, err = tx.Exec("DELETE FROM pipeline_transitions WHERE pipeline = ?", name)
		return err
	})
}

// Tag changes a pipeline's tags.
func (p *Pipelines) Tag(ctx context.Context, name string, add map[string]string, remove []string) error {
	d, err := p.Definition(ctx, name)
	if err != nil {
		return err
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if now, err := defined(tx, name); err == nil {
			d = now
		} else {
			return fault.Conflict.Errorf("pipeline %s is what every repository has, and has no tags", name)
		}
		if d.Tags, err = tagged(d.Tags, add, remove); err != nil {
			return err
		}
		return p.keepDefinition(tx, d)
	})
}

// tagged are tags with some more, and without others.
func tagged(tags, add map[string]string, remove []string) (map[string]string, error) {
	all := map[string]string{}
	maps.Copy(all, tags)
	maps.Copy(all, add)
	for _, key := range remove {
		delete(all, key)
	}
	if len(all) > 50 {
		return nil, fault.Limit.Errorf("there are at most 50 tags")
	}
	return all, nil
}
