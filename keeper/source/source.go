// Package source keeps repositories, where their refs point, and every move of these.
//
// Git cannot join our transactions. Before git moves a ref the door says so
// (Intend), and afterwards that it did (Confirm): then the move counts, and its
// event is published in the same transaction. What a crash leaves between the
// two is settled by Repair, which compares the refs with this log.
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config is what a Source needs. DB, Bus, Dir, Account and Region must be given.
type Config struct {
	DB      *db.DB // with Schema and bus.Schema
	Bus     *bus.Bus
	Dir     string // the folder of repositories
	Account string // 12 digits
	Region  string
	Log     *slog.Logger
	Now     func() time.Time
}

// Source is the keeper. It is safe for concurrent use.
type Source struct {
	config Config
	db     *db.DB
}

// New is the keeper of the repositories in c.Dir.
func New(c Config) *Source {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Source{config: c, db: c.DB}
}

// Schema is the keeper's tables.
func Schema() db.Schema {
	return db.Schema{Room: "source", Steps: []string{`
CREATE TABLE source_repositories (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE source_refs (repository TEXT NOT NULL, ref TEXT NOT NULL, target TEXT NOT NULL, moved BIGINT NOT NULL, PRIMARY KEY (repository, ref));
CREATE TABLE source_moves (repository TEXT NOT NULL, number BIGINT NOT NULL, push TEXT NOT NULL, ref TEXT NOT NULL, old_id TEXT NOT NULL, new_id TEXT NOT NULL, who TEXT NOT NULL, at BIGINT NOT NULL, forced BIGINT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (repository, number));
CREATE INDEX source_moves_by_ref ON source_moves (repository, ref, number);
CREATE INDEX source_moves_by_push ON source_moves (push);
CREATE INDEX source_moves_by_state ON source_moves (state, repository)`}}
}

// Repository is what is known of a repository besides its refs.
type Repository struct {
	Name          string    `json:"name"`
	ID            string    `json:"id"`
	Description   string    `json:"description,omitzero"`
	DefaultBranch string    `json:"defaultBranch"`
	Created       time.Time `json:"created"`
	Rules         Rules     `json:"rules,omitzero"`
}

// Rules say who may move which refs, and how.
type Rules struct {
	// Protected are the branches, besides the default branch, whose history
	// only grows: path.Match patterns such as release/*.
	Protected []string `json:"protected,omitzero"`
	// Unprotected takes the default branch's protection away.
	Unprotected bool `json:"unprotected,omitzero"`
}

// Protected tells whether a full ref may neither be deleted nor be moved to
// what does not follow from where it is; and, with that, whether what lies
// there counts: policies, secrets, caches.
func (r Repository) Protected(ref string) bool {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return false
	}
	if branch == r.DefaultBranch {
		return !r.Rules.Unprotected
	}
	return slices.ContainsFunc(r.Rules.Protected, func(pattern string) bool {
		match, err := path.Match(pattern, branch)
		return match && err == nil
	})
}

// names are CodeCommit's, less what a file system or a URL would trip over.
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// CheckName tells what is wrong with the name of a repository.
func CheckName(name string) error {
	if !names.MatchString(name) || strings.HasSuffix(name, ".git") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return fault.Invalid.Errorf("%q cannot be a repository: a name is 1 to 100 letters, digits, and . _ - within, and does not end in .git", name)
	}
	return nil
}

// ARN is the repository's, as CodeCommit has them.
func (s *Source) ARN(name string) string {
	return "arn:aws:codecommit:" + s.config.Region + ":" + s.config.Account + ":" + name
}

// Create makes an empty repository; its default branch is main unless r says otherwise.
func (s *Source) Create(ctx context.Context, r Repository) (Repository, error) {
	if err := CheckName(r.Name); err != nil {
		return r, err
	}
	r.DefaultBranch = cmp.Or(r.DefaultBranch, "main")
	if err := r.check(); err != nil {
		return r, err
	}
	r.ID, r.Created = bus.ID(), s.config.Now().UTC()
	// First the folder: one without a row is harmless, and taken over by the next try.
	if _, err := git.Init(ctx, s.folder(r.Name), r.DefaultBranch); err != nil {
		return r, err
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, r.Name); err == nil {
			return fault.Exists.Errorf("there is a repository %q already", r.Name)
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		return keep(tx, r)
	})
	return r, err
}

func (r Repository) check() error {
	for _, pattern := range r.Rules.Protected {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return fault.Invalid.Errorf("%q is no pattern of branches", pattern)
		}
	}
	if len(r.Description) > 1000 {
		return fault.Limit.Errorf("a description has at most 1,000 bytes")
	}
	if !git.ValidRef("refs/heads/" + r.DefaultBranch) {
		return fault.Invalid.Errorf("%q cannot be a branch", r.DefaultBranch)
	}
	return nil
}

func keep(tx *db.Tx, r Repository) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO source_repositories (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body", r.Name, body)
	return err
}

func scanRepository(scan db.Scan) (r Repository, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

func find(tx *db.Tx, name string) (Repository, error) {
	r, err := db.One(tx, scanRepository, "SELECT body FROM source_repositories WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		return r, fault.NotFound.Errorf("there is no repository %q", name)
	}
	return r, err
}

// Repository is the one of that name.
func (s *Source) Repository(ctx context.Context, name string) (r Repository, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = find(tx, name)
		return err
	})
	return r, err
}

// Repositories are those whose names come after the given one, in order, at most limit.
func (s *Source) Repositories(ctx context.Context, after string, limit int) (all []Repository, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanRepository, "SELECT body FROM source_repositories WHERE name > ? ORDER BY name LIMIT ?", after, limit)
		return err
	})
	return all, err
}

// Change changes what is known of a repository; its name, id and age stay.
func (s *Source) Change(ctx context.Context, name string, change func(*Repository) error) (r Repository, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		was, err := find(tx, name)
		if err != nil {
			return err
		}
		r = was
		if err := change(&r); err != nil {
			return err
		}
		r.Name, r.ID, r.Created = was.Name, was.ID, was.Created
		if err := r.check(); err != nil {
			return err
		}
		return keep(tx, r)
	})
	if err != nil {
		return r, err
	}
	return r, s.point(ctx, r)
}

// point makes git's HEAD name the default branch; Repair does it again.
func (s *Source) point(ctx context.Context, r Repository) error {
	repo, err := s.Git(r.Name)
	if err != nil {
		return err
	}
	if out, err := repo.Command(ctx, nil, "symbolic-ref", "HEAD", "refs/heads/"+r.DefaultBranch).CombinedOutput(); err != nil {
		return fmt.Errorf("making %s the default branch: %s: %w", r.DefaultBranch, strings.TrimSpace(string(out)), err)
	}
	return nil
}

func (s *Source) folder(name string) string { return filepath.Join(s.config.Dir, name+".git") }

// Git is the repository's own git, which is there when Repository is.
func (s *Source) Git(name string) (*git.Repo, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	return git.Open(s.folder(name))
}

// Ref is where a ref points, as far as it is known to count.
func (s *Source) Ref(ctx context.Context, repository, ref string) (target string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		target, err = at(tx, repository, ref)
		return err
	})
	if err == nil && git.IsZero(target) {
		return "", fault.NotFound.Errorf("there is no %s in %q", ref, repository)
	}
	return target, err
}

// at is where a ref points, Zero when it is not there.
func at(tx *db.Tx, repository, ref string) (string, error) {
	target, err := db.One(tx, db.Value[string], "SELECT target FROM source_refs WHERE repository = ? AND ref = ?", repository, ref)
	if errors.Is(err, fault.NotFound) {
		return git.Zero, nil
	}
	return target, err
}
