package build

import (
	"context"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/word/fault"
)

func scanProject(scan db.Scan) (p Project, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return p, err
	}
	return p, json.Unmarshal(body, &p)
}

// ARN is the ARN of something of this room: project/NAME, build/ID, report-group/NAME ….
func (b *Builds) ARN(what string) string {
	return "arn:aws:codebuild:" + b.config.Region + ":" + b.config.Account + ":" + what
}

// project is the project of a name: one that was made, or the one that a repository has by itself.
func (b *Builds) project(tx *db.Tx, name string, repository bool) (Project, error) {
	p, err := db.One(tx, scanProject, "SELECT body FROM build_projects WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) && repository {
		p, err = repositoryProject(name), nil
		p.ARN = b.ARN("project/" + name)
	}
	if errors.Is(err, fault.NotFound) {
		return p, fault.NotFound.Errorf("there is no project %.200q, and no repository of that name", name)
	}
	return p, err
}

// Project is the project of a name or an ARN. Every repository has one of its
// name, until somebody makes another.
func (b *Builds) Project(ctx context.Context, name string) (p Project, err error) {
	name = bare(name, "project/")
	repository := b.hasRepository(ctx, name)
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		p, err = b.project(tx, name, repository)
		return err
	})
	return p, err
}

func (b *Builds) hasRepository(ctx context.Context, name string) bool {
	r, err := b.config.Source.Repository(ctx, name)
	return err == nil && r.Name == name
}

// Projects are the names of all projects: those made and those of repositories, in order of their names.
func (b *Builds) Projects(ctx context.Context) ([]Project, error) {
	var made []Project
	if err := b.db.Read(ctx, func(tx *db.Tx) (err error) {
		made, err = db.All(tx, scanProject, "SELECT body FROM build_projects ORDER BY name")
		return err
	}); err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, p := range made {
		have[p.Name] = true
	}
	after := ""
	for {
		page, err := b.config.Source.Repositories(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if !have[r.Name] {
				p := repositoryProject(r.Name)
				p.ARN = b.ARN("project/" + r.Name)
				made = append(made, p)
			}
			after = r.Name
		}
		if len(page) < 1000 {
			return made, nil
		}
	}
}

// CreateProject makes a project.
func (b *Builds) CreateProject(ctx context.Context, p Project) (Project, error) {
	if err := b.complete(&p); err != nil {
		return p, err
	}
	now := b.config.Now().UTC()
	p.Created, p.LastModified = now, now
	return p, b.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_projects WHERE name = ?", p.Name)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Exists.Errorf("there is a project %s already", p.Name)
		}
		return b.keepProject(tx, p)
	})
}

// complete checks a project and gives it what follows from its name.
func (b *Builds) complete(p *Project) error {
	p.ARN = b.ARN("project/" + p.Name)
	if err := p.Check(); err != nil {
		return err
	}
	if p.Environment.Fleet != nil && p.Environment.Fleet.ARN == "" {
		p.Environment.Fleet = nil
	}
	if w := p.Webhook; w != nil {
		return w.check()
	}
	return nil
}

func (b *Builds) keepProject(tx *db.Tx, p Project) error {
	if f := p.Environment.Fleet; f != nil {
		if _, err := b.fleet(tx, f.ARN); err != nil {
			return err
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO build_projects (name, created, modified, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET modified = excluded.modified, body = excluded.body`, p.Name, p.Created.UnixMicro(), p.LastModified.UnixMicro(), body)
	return err
}

// ChangeProject changes a project, or makes that of a repository one that was made.
func (b *Builds) ChangeProject(ctx context.Context, name string, change func(*Project) error) (p Project, err error) {
	name = bare(name, "project/")
	repository := b.hasRepository(ctx, name)
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if p, err = b.project(tx, name, repository); err != nil {
			return err
		}
		if p.Implicit && !projectName().MatchString(name) {
			return fault.Invalid.Errorf("the repository %s has a name that no project may have: make a project of another name for it", name)
		}
		p.Implicit = false
		if err := change(&p); err != nil {
			return err
		}
		if err := b.complete(&p); err != nil {
			return err
		}
		p.LastModified = b.config.Now().UTC()
		if p.Created.IsZero() {
			p.Created = p.LastModified
		}
		return b.keepProject(tx, p)
	})
	return p, err
}

// DeleteProject deletes a project; its builds stay as long as they are kept. A
// repository's own project is there as long as the repository is.
func (b *Builds) DeleteProject(ctx context.Context, name string) error {
	name = bare(name, "project/")
	return b.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM build_projects WHERE name = ?", name); err != nil {
			return err
		}
		return nil
	})
}

// egressOf are the rules for what a project's builds may fetch: its fleet's, or the server's.
func (b *Builds) egressOf(tx *db.Tx, e Environment) (egress.Rules, error) {
	if e.Fleet == nil || e.Fleet.ARN == "" {
		return b.config.Egress, nil
	}
	f, err := b.fleet(tx, e.Fleet.ARN)
	if err != nil || f.Proxy == nil {
		return b.config.Egress, err
	}
	return *f.Proxy, nil
}

// isText tells whether a buildspec is given by its text and not by where it lies.
func isText(spec string) bool {
	return strings.ContainsAny(spec, "\n{") || strings.HasPrefix(strings.TrimSpace(spec), "version:")
}
