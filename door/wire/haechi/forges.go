package haechi

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/mirror"
)

// Forges follows repositories on other forges.
type Forges interface {
	Put(ctx context.Context, c mirror.Connection, token, secret *seal.Secret) (mirror.Connection, seal.Secret, error)
	Remove(ctx context.Context, repository string) error
	Look(ctx context.Context, repository string) error
	Connections(ctx context.Context) ([]mirror.Connection, error)
	Connection(ctx context.Context, repository string) (mirror.Connection, error)
	Deliveries(ctx context.Context, repository string, limit int) ([]mirror.Delivery, error)
	PullRequests(ctx context.Context, repository string, limit int) ([]mirror.Pull, error)
	Statuses(ctx context.Context, repository string, limit int) ([]mirror.Status, error)
}

// Forge is a connection as it is told and asked for.
type Forge struct {
	Repository string
	Kind       mirror.Kind
	Clone      string
	API        string       `json:"Api,omitzero"`
	Project    string       `json:"Project,omitzero"`
	User       string       `json:"User,omitzero"`
	Branches   []string     `json:"Branches,omitzero"`
	Tags       []string     `json:"Tags,omitzero"`
	Pulls      mirror.Pulls `json:"Pulls,omitzero"`
	Who        string       `json:"Who,omitzero"`
	Created    time.Time    `json:"Created,omitzero"`
	Looked     time.Time    `json:"Looked,omitzero"`
	Problem    string       `json:"Problem,omitzero"`
	Parked     int64        `json:"Parked,omitzero"` // statuses of commits that the forge would not take
	HasToken   bool         `json:"HasToken"`
	Hook       string       `json:"Hook,omitzero"` // the path that deliveries go to
}

// HookPath is where a forge delivers what is of a repository.
const HookPath = "/hooks/forge/"

func told(c mirror.Connection) Forge {
	return Forge{Repository: c.Repository, Kind: c.Kind, Clone: c.Clone, API: c.API, Project: c.Project, User: c.User, Branches: c.Branches, Tags: c.Tags, Pulls: c.Pulls,
		Who: c.Who, Created: c.Created, Looked: c.Looked, Problem: c.Problem, Parked: c.Parked, HasToken: c.HasToken, Hook: HookPath + c.Repository}
}

func (f Forge) connection(who string) mirror.Connection {
	return mirror.Connection{Repository: f.Repository, Kind: f.Kind, Clone: f.Clone, API: f.API, Project: f.Project, User: f.User, Branches: f.Branches, Tags: f.Tags, Pulls: f.Pulls, Who: who}
}

type putForgeInput struct {
	Forge
	Token  *seal.Secret
	Secret *seal.Secret
}

type putForgeOutput struct {
	Forge  Forge
	Secret string `json:"Secret,omitzero"` // of deliveries: told this once
}

// askForge asks about the connection of a repository.
func (s *service) askForge(c *wire.Call, repository string) []iam.Request {
	return c.Ask(s.settings.ForgeARN(repository))
}

func (s *service) putForge(ctx context.Context, c *wire.Call, in *putForgeInput) (*putForgeOutput, error) {
	made, secret, err := s.forges.Put(ctx, in.connection(c.Principal.ARN), in.Token, in.Secret)
	if err != nil {
		return nil, err
	}
	return &putForgeOutput{told(made), secret.Reveal()}, nil
}

type listForgesOutput struct{ Forges []Forge }

func (s *service) listForges(ctx context.Context, _ *wire.Call, _ *struct{}) (*listForgesOutput, error) {
	all, err := s.forges.Connections(ctx)
	out := &listForgesOutput{Forges: []Forge{}}
	for _, c := range all {
		out.Forges = append(out.Forges, told(c))
	}
	return out, err
}

type forgeInput struct{ Repository string }

// Delivery is what a forge told, and what came of it.
type Delivery struct {
	ID     string `json:"Id"`
	Event  string
	Ref    string `json:"Ref,omitzero"`
	Pull   int64  `json:"Pull,omitzero"`
	Who    string `json:"Who,omitzero"`
	At     time.Time
	Status mirror.State
}

// CommitStatus is what a forge was told of a commit.
type CommitStatus struct {
	Commit, Context, State string
	Description            string `json:"Description,omitzero"`
	At                     time.Time
	Status                 mirror.State
	Problem                string `json:"Problem,omitzero"`
}

// PullRequest is one that a forge told of.
type PullRequest struct {
	Number               int64
	Open                 bool
	Title                string
	Head, Source, Target string
	Branch               string // what it is called here
	Fork                 bool
	Who                  string
	URL                  string `json:"Url"`
}

type getForgeOutput struct {
	Forge      Forge
	Deliveries []Delivery
	Statuses   []CommitStatus
	Pulls      []PullRequest
}

func (s *service) getForge(ctx context.Context, _ *wire.Call, in *forgeInput) (*getForgeOutput, error) {
	const most = 50
	c, err := s.forges.Connection(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	out := &getForgeOutput{Forge: told(c), Deliveries: []Delivery{}, Statuses: []CommitStatus{}, Pulls: []PullRequest{}}
	deliveries, err := s.forges.Deliveries(ctx, in.Repository, most)
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		one := Delivery{ID: d.ID, Event: d.Event, Ref: d.Ref, Who: d.Who, At: d.At, Status: d.State}
		if d.Pull != nil {
			one.Pull = d.Pull.Number
		}
		out.Deliveries = append(out.Deliveries, one)
	}
	statuses, err := s.forges.Statuses(ctx, in.Repository, most)
	if err != nil {
		return nil, err
	}
	for _, st := range statuses {
		out.Statuses = append(out.Statuses, CommitStatus{st.Commit, st.Context, string(st.State), st.Description, st.At, st.Sent, st.Problem})
	}
	pulls, err := s.forges.PullRequests(ctx, in.Repository, most)
	for _, p := range pulls {
		out.Pulls = append(out.Pulls, PullRequest{p.Number, p.Open, p.Title, p.Head, p.Source, p.Target, p.Branch(), p.Fork, p.Who, p.URL})
	}
	return out, err
}

func (s *service) deleteForge(ctx context.Context, _ *wire.Call, in *forgeInput) (*struct{}, error) {
	return nil, s.forges.Remove(ctx, in.Repository)
}

func (s *service) followForge(ctx context.Context, _ *wire.Call, in *forgeInput) (*struct{}, error) {
	return nil, s.forges.Look(ctx, in.Repository)
}
