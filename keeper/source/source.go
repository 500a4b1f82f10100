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
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/ssh"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
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

	// Keep keeps findings about repositories: of overrides, and of moves that the rules do not like. An
	// override whose finding cannot be kept does not count. nil: there are none.
	Keep func(ctx context.Context, scan finding.Scan, findings ...finding.Finding) error
	// Fresh are the findings on one branch that another lacks, for the pull request from one to the other; or nil.
	Fresh func(ctx context.Context, repository, head, base string) ([]finding.Finding, error)
	// Incoming is asked about files before the server makes a commit of them, as a push is checked at its
	// door; or nil.
	Incoming func(ctx context.Context, repository string, edits []git.Edit) error
	// Key signs the commits that the server makes; nil leaves them unsigned.
	Key ssh.Signer
	// Random is what Key signs with; crypto/rand's reader.
	Random io.Reader
}

// Source is the keeper. It is safe for concurrent use.
type Source struct {
	config  Config
	db      *db.DB
	sign    func(payload []byte) (string, error)
	between func() // in tests: what happens between a move of git's and its confirmation
}

// New is the keeper of the repositories in c.Dir.
func New(c Config) *Source {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	s := &Source{config: c, db: c.DB}
	if c.Key != nil {
		s.sign = func(payload []byte) (string, error) { return SignSSH(c.Key, c.Random, payload) }
	}
	return s
}

// Schema is the keeper's tables.
func Schema() db.Schema {
	return db.Schema{Room: "source", Steps: []string{`
CREATE TABLE source_repositories (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE source_refs (repository TEXT NOT NULL, ref TEXT NOT NULL, target TEXT NOT NULL, moved BIGINT NOT NULL, PRIMARY KEY (repository, ref));
CREATE TABLE source_moves (repository TEXT NOT NULL, number BIGINT NOT NULL, push TEXT NOT NULL, ref TEXT NOT NULL, old_id TEXT NOT NULL, new_id TEXT NOT NULL, who TEXT NOT NULL, at BIGINT NOT NULL, forced BIGINT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (repository, number));
CREATE INDEX source_moves_by_ref ON source_moves (repository, ref, number);
CREATE INDEX source_moves_by_push ON source_moves (push);
CREATE INDEX source_moves_by_state ON source_moves (state, repository)`, `
CREATE TABLE source_pulls (number BIGINT PRIMARY KEY, repository TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, author TEXT NOT NULL, state TEXT NOT NULL, topic TEXT NOT NULL, updated BIGINT NOT NULL, token TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX source_pulls_by_repository ON source_pulls (repository, state, number);
CREATE INDEX source_pulls_by_token ON source_pulls (author, token);
CREATE TABLE source_revisions (pull BIGINT NOT NULL, number BIGINT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (pull, number));
CREATE TABLE source_approvals (pull BIGINT NOT NULL, revision TEXT NOT NULL, who TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (pull, revision, who));
CREATE TABLE source_pull_events (pull BIGINT NOT NULL, number BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (pull, number));
CREATE TABLE source_comments (id TEXT PRIMARY KEY, repository TEXT NOT NULL, pull BIGINT NOT NULL, before_id TEXT NOT NULL, after_id TEXT NOT NULL, author TEXT NOT NULL, token TEXT NOT NULL, at BIGINT NOT NULL, body BLOB NOT NULL);
CREATE INDEX source_comments_by_pull ON source_comments (pull, at);
CREATE INDEX source_comments_by_commit ON source_comments (repository, after_id, pull);
CREATE INDEX source_comments_by_token ON source_comments (author, token);
CREATE TABLE source_statuses (repository TEXT NOT NULL, commit_id TEXT NOT NULL, context TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (repository, commit_id, context));
CREATE TABLE source_merges (push TEXT PRIMARY KEY, repository TEXT NOT NULL, commit_id TEXT NOT NULL, ref TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX source_merges_by_commit ON source_merges (repository, commit_id);
CREATE TABLE source_templates (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE source_template_uses (repository TEXT NOT NULL, template TEXT NOT NULL, PRIMARY KEY (repository, template));
CREATE TABLE source_signers (fingerprint TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE source_trash (folder TEXT PRIMARY KEY, at BIGINT NOT NULL)`}}
}

// Repository is what is known of a repository besides its refs.
type Repository struct {
	Name          string    `json:"name"`
	ID            string    `json:"id"`
	Description   string    `json:"description,omitzero"`
	DefaultBranch string    `json:"defaultBranch"`
	Created       time.Time `json:"created"`
	Modified      time.Time `json:"modified,omitzero"`
	Rules         Rules     `json:"rules,omitzero"`

	Folder string            `json:"folder,omitzero"` // where it lies, if not by its name
	Tags   map[string]string `json:"tags,omitzero"`

	Upstream string `json:"upstream,omitzero"` // the address on another forge that it mirrors: pushes go there, and not here
}

// names are CodeCommit's, less what a file system or a URL would trip over.
var names = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`) })

// CheckName tells what is wrong with the name of a repository.
func CheckName(name string) error {
	if !names().MatchString(name) || strings.HasSuffix(name, ".git") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
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
	r.ID, r.Created, r.Folder = bus.ID(), s.config.Now().UTC(), ""
	if _, err := s.Repository(ctx, r.Name); err == nil {
		return r, fault.Exists.Errorf("there is a repository %q already", r.Name)
	}
	r.Modified = r.Created
	// First the folder: one without a row is harmless. One that is there already is not taken over: it may
	// be another's that was renamed, or is being deleted.
	if _, err := os.Lstat(s.folder(r)); err == nil {
		r.Folder = r.Name + "-" + r.ID + ".git"
	}
	if _, err := git.Init(ctx, s.folder(r), r.DefaultBranch); err != nil {
		return r, err
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if trash, err := db.All(tx, db.Value[string], "SELECT folder FROM source_trash WHERE folder = ?", filepath.Base(s.folder(r))); err != nil {
			return err
		} else if len(trash) > 0 {
			return fault.Unavailable.Errorf("a repository %q is just being deleted: try again", r.Name)
		}
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
	if err := r.Rules.check(); err != nil {
		return err
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
		r.Name, r.ID, r.Created, r.Folder, r.Modified = was.Name, was.ID, was.Created, was.Folder, s.config.Now().UTC()
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

func (s *Source) folder(r Repository) string {
	return filepath.Join(s.config.Dir, cmp.Or(r.Folder, r.Name+".git"))
}

// Git is the repository's own git, which is there when Repository is.
func (s *Source) Git(name string) (*git.Repo, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r, err := s.Repository(context.Background(), name) // one row: nothing that a caller would want to give up
	if err != nil {
		return nil, err
	}
	return git.Open(s.folder(r))
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
