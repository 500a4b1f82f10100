// Package live asks providers whether a secret still works, when somebody asks for that.
package live

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
)

// State is what a provider says of a secret.
type State string

const (
	Works   State = "works"   // whoever has it can use it
	Dead    State = "dead"    // the provider does not know it any more
	Unknown State = "unknown" // the provider says neither
)

// Answer is a provider's, without anything of the secret.
type Answer struct {
	State State
	Who   string // whom the secret lets one be, where the provider says
	Why   string // what the provider said, where the state is unknown
}

// Provider knows one service. It is called one call at a time.
type Provider interface {
	// Name is what people call the service.
	Name() string
	// Knows tells whether the provider can be asked about what a rule finds.
	Knows(rule string) bool
	// Ask makes one call that changes nothing at the provider. An error says that
	// it could not be reached; it must not hold the secret.
	Ask(ctx context.Context, client *http.Client, c secret.Credential) (Answer, error)
}

// Checker asks providers, each no more often than it may.
type Checker struct {
	client    *http.Client
	providers []Provider
	now       func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // by provider
}

// pause is how long a provider is left alone after a question.
const pause = 2 * time.Second

// patience is how long a provider may take.
const patience = 15 * time.Second

// New is a checker that reaches providers through client.
func New(client *http.Client, now func() time.Time, providers ...Provider) *Checker {
	return &Checker{client: client, providers: providers, now: now, last: map[string]time.Time{}}
}

// Providers are those that there are, at their own addresses.
func Providers() []Provider {
	return []Provider{AWS{}, GitHub{}, Slack{}}
}

// For is what the service is called that can be asked about what a rule finds, or "".
func (c *Checker) For(rule string) string {
	if p := c.provider(rule); p != nil {
		return p.Name()
	}
	return ""
}

func (c *Checker) provider(rule string) Provider {
	for _, p := range c.providers {
		if p.Knows(rule) {
			return p
		}
	}
	return nil
}

// Ask asks the provider of a secret whether it still works. fault.Limit: it was
// asked a moment ago.
func (c *Checker) Ask(ctx context.Context, credential secret.Credential) (Answer, error) {
	p := c.provider(credential.Rule)
	if p == nil {
		return Answer{}, fault.Unsupported.Errorf("nobody can be asked about what %s finds; AWS, GitHub and Slack can", credential.Rule)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if wait := pause - now.Sub(c.last[p.Name()]); wait > 0 && !c.last[p.Name()].IsZero() {
		return Answer{}, fault.Limit.Errorf("%s was asked a moment ago; ask again in %s", p.Name(), wait.Round(time.Second))
	}
	c.last[p.Name()] = now
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Ask(ctx, c.client, credential)
}

// answer sends a request and reads a short answer.
func answer(client *http.Client, r *http.Request, who string) (status int, body []byte, err error) {
	r.Header.Set("User-Agent", "haechi")
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("asking %s: %w", who, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", who, err)
	}
	return resp.StatusCode, body, nil
}

// GitHub asks api.github.com, or another address, who a token belongs to.
type GitHub struct{ Address string }

// Name is GitHub.
func (GitHub) Name() string { return "GitHub" }

// Knows personal and OAuth tokens.
func (GitHub) Knows(rule string) bool {
	return rule == "github-pat" || rule == "github-fine-grained-pat" || rule == "github-app-token"
}

// Ask asks for the user of the token.
func (g GitHub) Ask(ctx context.Context, client *http.Client, c secret.Credential) (Answer, error) {
	address := "https://api.github.com"
	if g.Address != "" {
		address = g.Address
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/user", nil)
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Secret)
	r.Header.Set("Accept", "application/vnd.github+json")
	status, body, err := answer(client, r, g.Name())
	if err != nil {
		return Answer{}, err
	}
	var user struct {
		Login   string `json:"login"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &user) // what is no JSON says nothing
	switch status {
	case http.StatusOK:
		return Answer{State: Works, Who: user.Login}, nil
	case http.StatusUnauthorized:
		return Answer{State: Dead}, nil
	}
	return Answer{State: Unknown, Why: fmt.Sprintf("%d %.100s", status, user.Message)}, nil
}

// Slack asks slack.com, or another address, who a token belongs to.
type Slack struct{ Address string }

// Name is Slack.
func (Slack) Name() string { return "Slack" }

// Knows tokens of bots, users and apps.
func (Slack) Knows(rule string) bool { return rule == "slack-token" }

// Ask asks for the team and user of the token.
func (s Slack) Ask(ctx context.Context, client *http.Client, c secret.Credential) (Answer, error) {
	address := "https://slack.com"
	if s.Address != "" {
		address = s.Address
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/api/auth.test", nil)
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Secret)
	status, body, err := answer(client, r, s.Name())
	if err != nil {
		return Answer{}, err
	}
	var said struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
		Team  string `json:"team"`
		User  string `json:"user"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return Answer{State: Unknown, Why: fmt.Sprint(status)}, nil
	}
	switch said.Error {
	case "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_authed":
		return Answer{State: Dead}, nil
	}
	if said.OK {
		return Answer{State: Works, Who: said.User + " of " + said.Team}, nil
	}
	return Answer{State: Unknown, Why: fmt.Sprintf("%d %.100s", status, said.Error)}, nil
}
