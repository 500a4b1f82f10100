package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// sync reads a repository's file as its default branch has it now. It answers how the pipeline is
// defined after that; a file that cannot be used is a Definition with a Problem.
func (p *Pipelines) sync(ctx context.Context, r source.Repository, commit string) (changed func(tx *db.Tx) error, err error) {
	repo, err := p.config.Source.Git(r.Name)
	if err != nil {
		return nil, err
	}
	text, err := fileOf(ctx, repo, commit, DefinitionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return func(tx *db.Tx) error { return p.withoutFile(tx, r.Name) }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", DefinitionFile, commit, err)
	}
	own, err := p.ownTypes(ctx)
	if err != nil {
		return nil, err
	}
	d := readFile(r.Name, commit, text, own)
	return func(tx *db.Tx) error { return p.withFile(tx, d) }, nil
}

// readFile is what a repository's file says.
func readFile(repository, commit string, text []byte, own []structure.Type) Definition {
	d := Definition{Origin: FromFile, Repository: repository, Commit: commit}
	s, err := structure.Parse(DefinitionFile, text, repository, own...)
	if err == nil {
		err = ownFile(repository, &s)
	}
	if err != nil {
		why := mistake(err)
		d.Structure = Default(repository)
		d.Problem, d.Where, d.Hint = clip(why.Text, 500), why.Where, clip(why.Do, 200)
		return d
	}
	d.Structure = s
	return d
}

// ownFile refuses what a repository's file must not say: it names its own pipeline, and reads its own repository.
func ownFile(repository string, s *structure.Pipeline) error {
	at := diag.Place{File: DefinitionFile}
	if s.Name != repository {
		return fault.Invalid.Wrap(diag.Errorf(at, "the pipeline of repository %s cannot be called %s", repository, s.Name).WithHint("leave the name out; others are made with 'aws codepipeline create-pipeline'"))
	}
	for i := range s.Stages[0].Actions {
		a := &s.Stages[0].Actions[i]
		if a.Configuration == nil {
			a.Configuration = map[string]string{}
		}
		if noRepository(*a) {
			return fault.Invalid.Wrap(diag.Errorf(at, "the file of a repository reads that repository alone, not %s", a.Type))
		}
		if sourceRepository(*a) == "" {
			a.Configuration["RepositoryName"] = repository
		}
		if sourceRepository(*a) != repository {
			return fault.Invalid.Wrap(diag.Errorf(at, "source %s reads repository %s: the file of a repository reads that repository alone", a.Name, sourceRepository(*a)).WithHint("make a pipeline of both with 'aws codepipeline create-pipeline'"))
		}
	}
	return nil
}

func (p *Pipelines) withFile(tx *db.Tx, d Definition) error {
	was, err := defined(tx, d.Structure.Name)
	switch {
	case err == nil && was.Origin == FromFile && was.Problem == d.Problem && structure.Same(was.Structure, d.Structure):
		return nil
	case err != nil && !errors.Is(err, fault.NotFound):
		return err
	}
	d.Created, d.Updated = p.config.Now().UTC(), p.config.Now().UTC()
	if err == nil {
		d.Created, d.Tags = was.Created, was.Tags
	}
	if d.Structure.Version, err = nextVersion(tx, d.Structure.Name); err != nil {
		return err
	}
	return p.keepDefinition(tx, d)
}

func nextVersion(tx *db.Tx, name string) (int, error) {
	n, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(version), 0) + 1 FROM pipeline_versions WHERE name = ?", name)
	return int(n), err
}

// withoutFile lets a repository go back to what every repository has.
func (p *Pipelines) withoutFile(tx *db.Tx, name string) error {
	_, err := tx.Exec("DELETE FROM pipeline_definitions WHERE name = ? AND origin = ?", name, string(FromFile))
	return err
}

// ReadDefinition is what the file of a repository says at one commit: for showing what a branch proposes. fault.NotFound: it has none.
func (p *Pipelines) ReadDefinition(ctx context.Context, repository, commit string) (d Definition, err error) {
	repo, err := p.config.Source.Git(repository)
	if err != nil {
		return d, err
	}
	text, err := fileOf(ctx, repo, commit, DefinitionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return d, fault.NotFound.Errorf("%s has no %s at %s", repository, DefinitionFile, commit)
	}
	if err != nil {
		return d, err
	}
	own, err := p.ownTypes(ctx)
	if err != nil {
		return d, err
	}
	return readFile(repository, commit, text, own), nil
}
