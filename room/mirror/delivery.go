package mirror

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// Delivery is what a forge tells, as far as it matters here.
type Delivery struct {
	ID      string // unique within the repository
	Event   string // in the forge's words
	Ref     string `json:",omitzero"` // that was pushed to, in full
	Commit  string `json:",omitzero"` // where it points now, or git.Zero
	Who     string `json:",omitzero"` // whoever did it, as the forge calls them
	Default string `json:",omitzero"` // the default branch
	Project string `json:",omitzero"` // which the forge says it is of
	Pull    *Pull  `json:",omitzero"`

	Number int64     `json:"-"` // counts a repository's deliveries
	At     time.Time `json:"-"`
	State  State     `json:"-"`
}

// State is how far something has come.
type State string

// A delivery waits until its forge was asked; a status until the forge has taken it. What was tried often enough is parked.
const (
	Waiting State = "waiting"
	Done    State = "done"
	Ignored State = "ignored" // a delivery that asks for nothing
	Parked  State = "parked"
)

// Pull is a pull request on a forge.
type Pull struct {
	Number  int64
	Open    bool
	Merged  string `json:",omitzero"` // the commit that it was merged as
	Title   string `json:",omitzero"`
	Head    string // commit
	Source  string `json:",omitzero"` // branch
	Target  string `json:",omitzero"` // branch
	Fork    bool   // it comes from another repository
	Who     string `json:",omitzero"`
	URL     string `json:",omitzero"`
	Updated time.Time
}

// Branch is what a pull request is called here.
func (p *Pull) Branch() string { return "pr/" + strconv.FormatInt(p.Number, 10) }

// check says what is wrong with a delivery, which its forge has signed but may have got wrong.
func (d *Delivery) check() error {
	switch {
	case d.ID == "" || len(d.ID) > 200:
		return fault.Invalid.Errorf("a delivery has an id of at most 200 bytes")
	case d.Ref != "" && (!git.ValidRef(d.Ref) || !git.ValidID(d.Commit)):
		return fault.Invalid.Errorf("%.200q cannot be a ref that points at %.80q", d.Ref, d.Commit)
	case d.Default != "" && !git.ValidRef("refs/heads/"+d.Default):
		return fault.Invalid.Errorf("%.200q cannot be a branch", d.Default)
	case d.Pull != nil && (d.Pull.Number < 1 || !git.ValidID(d.Pull.Head) || d.Pull.Merged != "" && !git.ValidID(d.Pull.Merged)):
		return fault.Invalid.Errorf("pull request %d with head %.80q cannot be", d.Pull.Number, d.Pull.Head)
	}
	return nil
}

// Take keeps a delivery and asks for what follows from it; fresh is false for one that was taken before. One that
// is delivered again after it was parked is tried again.
func (m *Mirror) Take(ctx context.Context, repository string, d Delivery) (fresh bool, err error) {
	if err := d.check(); err != nil {
		return false, err
	}
	err = m.db.Write(ctx, func(tx *db.Tx) error {
		k, err := find(tx, repository)
		if err != nil {
			return err
		}
		if d.Project != "" && !strings.EqualFold(d.Project, k.Project) {
			return fault.Invalid.Errorf("this is of %.100q, and %s follows %s: a webhook there names another repository here", d.Project, repository, k.Project)
		}
		d.State = Ignored
		if d.asks(k.Connection) {
			d.State = Waiting
		}
		if d.Number, err = db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM mirror_deliveries WHERE repository = ?", repository); err != nil {
			return err
		}
		body, err := json.Marshal(d)
		if err != nil {
			return err
		}
		n, err := tx.Exec("INSERT INTO mirror_deliveries (repository, id, number, at, state, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (repository, id) DO NOTHING",
			repository, d.ID, d.Number, m.config.Now().UnixMicro(), string(d.State), body)
		if err != nil {
			return err
		}
		if fresh = n > 0; !fresh {
			n, err := tx.Exec("UPDATE mirror_deliveries SET state = ? WHERE repository = ? AND id = ? AND state = ?", string(Waiting), repository, d.ID, string(Parked))
			if err != nil || n == 0 {
				return err
			}
			return m.want(tx, repository)
		}
		if d.State == Ignored {
			return nil
		}
		if d.Pull != nil {
			if err := keepPull(tx, repository, *d.Pull); err != nil {
				return err
			}
		}
		if d.Default != "" && d.Default != k.Default {
			k.Default = d.Default
			if err := k.keep(tx); err != nil {
				return err
			}
		}
		return m.want(tx, repository)
	})
	return fresh, err
}

// asks tells whether something follows from a delivery.
func (d *Delivery) asks(c Connection) bool {
	if d.Pull != nil {
		return c.Pulls == AllPulls || c.Pulls == OwnPulls && !d.Pull.Fork
	}
	return strings.HasPrefix(d.Ref, "refs/heads/") || strings.HasPrefix(d.Ref, "refs/tags/")
}

// keepPull keeps how a pull request stands, unless something newer is known: deliveries overtake each other.
func keepPull(tx *db.Tx, repository string, p Pull) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	open := 0
	if p.Open {
		open = 1
	}
	_, err = tx.Exec("INSERT INTO mirror_pulls (repository, number, open, updated, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (repository, number) DO UPDATE SET open = excluded.open, updated = excluded.updated, body = excluded.body WHERE mirror_pulls.updated <= excluded.updated",
		repository, p.Number, open, p.Updated.UnixMicro(), body)
	return err
}

func scanPull(scan db.Scan) (p Pull, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return p, err
	}
	return p, json.Unmarshal(body, &p)
}

// stands is how a pull request stands, in a word for what events were told of it.
func (p *Pull) stands() string {
	if p.Open {
		return "open " + p.Head
	}
	return "closed"
}

// PullRequests are those that a forge has told of, the newest first, at most limit.
func (m *Mirror) PullRequests(ctx context.Context, repository string, limit int) (all []Pull, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanPull, "SELECT body FROM mirror_pulls WHERE repository = ? ORDER BY number DESC LIMIT ?", repository, limit)
		return err
	})
	return all, err
}

func scanDelivery(scan db.Scan) (d Delivery, err error) {
	var body []byte
	var number, at int64
	var state string
	if err := scan(&number, &at, &state, &body); err != nil {
		return d, err
	}
	err = json.Unmarshal(body, &d)
	d.Number, d.At, d.State = number, time.UnixMicro(at).UTC(), State(state)
	return d, err
}

// Deliveries are the latest of a repository, the newest first.
func (m *Mirror) Deliveries(ctx context.Context, repository string, limit int) (all []Delivery, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanDelivery, "SELECT number, at, state, body FROM mirror_deliveries WHERE repository = ? ORDER BY number DESC LIMIT ?", repository, limit)
		return err
	})
	return all, err
}
