package mirror

import (
	"context"
	"crypto/rand"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

// Kind is which program a forge runs.
type Kind string

// The kinds there are. Forgejo is a Gitea.
const (
	GitHub Kind = "github"
	GitLab Kind = "gitlab"
	Gitea  Kind = "gitea"
)

// Pulls says whose pull requests come here.
type Pulls string

// Whose pull requests come here: everybody's, those of branches of the repository itself, nobody's.
const (
	AllPulls Pulls = "all"
	OwnPulls Pulls = "own"
	NoPulls  Pulls = "none"
)

// Connection is a repository and what it follows.
type Connection struct {
	Repository string
	Kind       Kind
	Clone      string    // https://github.com/acme/shop.git
	API        string    // https://api.github.com; "" follows from Clone
	Project    string    // acme/shop; "" follows from Clone
	User       string    `json:",omitzero"` // for git, with the token; "" is what the kind of forge takes
	Branches   []string  `json:",omitzero"` // that come here besides the default branch and what is pushed to: patterns
	Tags       []string  `json:",omitzero"` // the same
	Pulls      Pulls     // "" is all
	Who        string    // ARN of whoever made the connection
	Created    time.Time // when
	Default    string    `json:",omitzero"` // the forge's default branch, as far as it is known
	Looked     time.Time `json:",omitzero"` // when the forge was last asked with success
	Problem    string    `json:",omitzero"` // why it could not be asked since; "" is none

	HasToken bool  `json:"-"`
	Parked   int64 `json:"-"` // statuses of commits that the forge would not take, as Connections and Connection tell
}

const maxConnections = 5000

// check fills in what follows from the rest, and says what is wrong.
func (c *Connection) check() error {
	if err := source.CheckName(c.Repository); err != nil {
		return err
	}
	u, err := url.Parse(c.Clone)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") == "" {
		return fault.Invalid.Errorf("%.200q is not the address that git clones from, such as https://github.com/acme/shop.git; a token does not stand in it", c.Clone)
	}
	project := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	if c.Project == "" {
		c.Project = project
	}
	// What comes before the project is a path that the whole forge lies below.
	below := strings.TrimSuffix(strings.TrimSuffix(project, c.Project), "/")
	base := u.Scheme + "://" + u.Host
	if below != "" {
		base += "/" + below
	}
	if c.API == "" {
		switch c.Kind {
		case GitHub:
			if c.API = base + "/api/v3"; u.Hostname() == "github.com" {
				c.API = "https://api.github.com"
			}
		case GitLab:
			c.API = base + "/api/v4"
		case Gitea:
			c.API = base + "/api/v1"
		}
	}
	if c.Pulls == "" {
		c.Pulls = AllPulls
	}
	return c.sound()
}

func (c *Connection) sound() error {
	api, err := url.Parse(c.API)
	switch {
	case !slices.Contains([]Kind{GitHub, GitLab, Gitea}, c.Kind):
		return fault.Invalid.Errorf("%.40q is no forge that is known here: github, gitlab or gitea (Forgejo is a gitea)", c.Kind)
	case err != nil || api.Scheme != "https" && api.Scheme != "http" || api.Host == "" || api.User != nil:
		return fault.Invalid.Errorf("%.200q is not the address of a forge's API", c.API)
	case !slices.Contains([]Pulls{AllPulls, OwnPulls, NoPulls}, c.Pulls):
		return fault.Invalid.Errorf("pull requests that come here are all, own or none, not %.40q", c.Pulls)
	case !strings.Contains(c.Project, "/") || strings.Contains(c.Project, "..") || len(c.Project) > 500:
		return fault.Invalid.Errorf("%.100q is not a project, such as acme/shop", c.Project)
	case len(c.Branches)+len(c.Tags) > 50 || len(c.User) > 100 || strings.ContainsAny(c.User, ":\r\n"):
		return fault.Invalid.Errorf("a connection has at most 50 patterns of branches and tags, and a user's name without a colon")
	}
	for _, pattern := range append(slices.Clone(c.Branches), c.Tags...) {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return fault.Invalid.Errorf("%q is no pattern of branches or tags", pattern)
		}
	}
	return nil
}

// user is who git says it is.
func (c *Connection) user() string {
	if c.User != "" {
		return c.User
	}
	return map[Kind]string{GitHub: "x-access-token", GitLab: "oauth2", Gitea: "haechi"}[c.Kind]
}

func secretRow(repository string) seal.Row {
	return seal.Row{Table: "mirror_connections", ID: repository, Column: "secret"}
}

func tokenRow(repository string) seal.Row {
	return seal.Row{Table: "mirror_connections", ID: repository, Column: "token"}
}

// kept is a connection as its row has it.
type kept struct {
	Connection
	wanted, tries int64
	secret, token string // sealed
}

func scanKept(scan db.Scan) (k kept, err error) {
	var body []byte
	if err := scan(&k.wanted, &k.tries, &k.secret, &k.token, &body); err != nil {
		return k, err
	}
	err = json.Unmarshal(body, &k.Connection)
	k.HasToken = k.token != ""
	return k, err
}

const keptColumns = "wanted, tries, secret, token, body"

func find(tx *db.Tx, repository string) (kept, error) {
	k, err := db.One(tx, scanKept, "SELECT "+keptColumns+" FROM mirror_connections WHERE repository = ?", repository)
	if fault.Of(err) == fault.NotFound {
		return k, fault.NotFound.Errorf("repository %q follows no forge", repository)
	}
	return k, err
}

func (m *Mirror) load(ctx context.Context, repository string) (k kept, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		k, err = find(tx, repository)
		return err
	})
	return k, err
}

// Connections are all there are, by repository.
func (m *Mirror) Connections(ctx context.Context) (all []Connection, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := db.All(tx, scanKept, "SELECT "+keptColumns+" FROM mirror_connections ORDER BY repository")
		if err != nil {
			return err
		}
		parked, err := parkedStatuses(tx)
		all = nil
		for _, k := range rows {
			k.Parked = parked[k.Repository]
			all = append(all, k.Connection)
		}
		return err
	})
	return all, err
}

// parkedStatuses are how many statuses of commits wait for somebody to mend something, by repository.
func parkedStatuses(tx *db.Tx) (map[string]int64, error) {
	parked := map[string]int64{}
	_, err := db.All(tx, func(scan db.Scan) (none struct{}, err error) {
		var repository string
		var n int64
		err = scan(&repository, &n)
		parked[repository] = n
		return none, err
	}, "SELECT repository, COUNT(*) FROM mirror_statuses WHERE state = ? GROUP BY repository", string(Parked))
	return parked, err
}

// Connection is the one of a repository.
func (m *Mirror) Connection(ctx context.Context, repository string) (Connection, error) {
	var k kept
	err := m.db.Read(ctx, func(tx *db.Tx) (err error) {
		if k, err = find(tx, repository); err == nil {
			k.Parked, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM mirror_statuses WHERE repository = ? AND state = ?", repository, string(Parked))
		}
		return err
	})
	return k.Connection, err
}

// Put makes or changes a connection, and asks the forge at once. The repository is made unless it is there,
// and then it must be empty or have followed this forge before. token and secret are those of before where they are nil; the
// secret, which the forge proves its deliveries with, is made up where there was none. It is told this once.
func (m *Mirror) Put(ctx context.Context, c Connection, token, secret *seal.Secret) (Connection, seal.Secret, error) {
	if err := c.check(); err != nil {
		return c, "", err
	}
	for _, address := range []string{c.Clone, c.API} {
		if err := m.config.Check(address); err != nil {
			return c, "", fault.Invalid.Wrap(err)
		}
	}
	if secret != nil && (len(*secret) < 16 || len(*secret) > 500) {
		return c, "", fault.Invalid.Errorf("the secret of a webhook has 16 to 500 characters")
	}
	if token != nil && (len(*token) > 2000 || strings.ContainsAny(token.Reveal(), "\r\n")) {
		return c, "", fault.Invalid.Errorf("a token is one line of at most 2,000 characters")
	}
	if err := m.adopt(ctx, c); err != nil {
		return c, "", err
	}
	var told seal.Secret
	err := m.db.Write(ctx, func(tx *db.Tx) error {
		was, err := find(tx, c.Repository)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		k := kept{Connection: c, secret: was.secret, token: was.token}
		if was.Repository == "" {
			k.Created = m.config.Now().UTC()
			if n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM mirror_connections"); err != nil || n >= maxConnections {
				return fault.Limit.Errorf("%d repositories follow forges, and no more (%w)", maxConnections, err)
			}
			if secret == nil {
				made := seal.Secret(rand.Text() + rand.Text())
				secret = &made
			}
		} else {
			k.Created, k.Default, k.Looked = was.Created, was.Default, was.Looked
		}
		told = ""
		if secret != nil {
			told = *secret
			if k.secret, err = m.config.Sealer.Seal(secretRow(c.Repository), *secret); err != nil {
				return err
			}
		}
		if token != nil {
			k.token = ""
			if *token != "" {
				if k.token, err = m.config.Sealer.Seal(tokenRow(c.Repository), *token); err != nil {
					return err
				}
			}
		}
		c, c.HasToken = k.Connection, k.token != ""
		if err := k.keep(tx); err != nil {
			return err
		}
		if err := m.unpark(tx, c.Repository); err != nil {
			return err
		}
		return m.want(tx, c.Repository)
	})
	return c, told, err
}

func (k kept) keep(tx *db.Tx) error {
	body, err := json.Marshal(k.Connection)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO mirror_connections (repository, wanted, tries, asked, secret, token, body) VALUES (?, 0, 0, 0, ?, ?, ?) ON CONFLICT (repository) DO UPDATE SET secret = excluded.secret, token = excluded.token, body = excluded.body",
		k.Repository, k.secret, k.token, body)
	return err
}

// adopt makes a repository a mirror.
func (m *Mirror) adopt(ctx context.Context, c Connection) error {
	r, err := m.config.Source.Repository(ctx, c.Repository)
	if fault.Of(err) == fault.NotFound {
		r, err = m.config.Source.Create(ctx, source.Repository{Name: c.Repository, Description: "follows " + c.Clone})
	}
	if err != nil {
		return err
	}
	if r.Upstream == "" {
		moves, err := m.config.Source.Moves(ctx, c.Repository, "", 0, 1)
		if err != nil {
			return err
		}
		if len(moves) > 0 && moves[0].Who != m.who(c.Repository) { // else it was a mirror before, and nobody pushed since
			return fault.Conflict.Errorf("repository %q is there already, with a history of its own: what a forge has would take its place. Choose another name, or delete it first", c.Repository)
		}
	}
	_, err = m.config.Source.Change(ctx, c.Repository, func(r *source.Repository) error {
		r.Upstream = c.Clone
		return nil
	})
	return err
}

// Remove ends a connection. The repository stays, and can be pushed to again.
func (m *Mirror) Remove(ctx context.Context, repository string) error {
	err := m.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, repository); err != nil {
			return err
		}
		for _, table := range []string{"connections", "deliveries", "pulls", "statuses"} {
			if _, err := tx.Exec("DELETE FROM mirror_"+table+" WHERE repository = ?", repository); err != nil {
				return err
			}
		}
		return m.config.Work.Cancel(tx, "mirror/"+repository)
	})
	if err != nil {
		return err
	}
	_, err = m.config.Source.Change(ctx, repository, func(r *source.Repository) error {
		r.Upstream = ""
		return nil
	})
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	return err
}

// Look asks the forge of a repository now, and sends anew what could not be told it.
func (m *Mirror) Look(ctx context.Context, repository string) error {
	return m.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, repository); err != nil {
			return err
		}
		if err := m.unpark(tx, repository); err != nil {
			return err
		}
		return m.want(tx, repository)
	})
}

// Secret is what the forge of a repository proves its deliveries with, and which kind it is.
func (m *Mirror) Secret(ctx context.Context, repository string) (Kind, seal.Secret, error) {
	k, err := m.load(ctx, repository)
	if err != nil {
		return "", "", err
	}
	secret, err := m.config.Sealer.Open(secretRow(repository), k.secret)
	return k.Kind, secret, err
}

// token is what we prove ourselves to the forge with, or "".
func (m *Mirror) token(k kept) (seal.Secret, error) {
	if k.token == "" {
		return "", nil
	}
	return m.config.Sealer.Open(tokenRow(k.Repository), k.token)
}
