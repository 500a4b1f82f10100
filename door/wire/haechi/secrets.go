package haechi

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/word/fault"
)

// Secrets is what can be asked about secrets that were found.
type Secrets interface {
	// Allowed is the file of what is let be in a repository.
	Allowed(ctx context.Context, repository string) ([]byte, error)
	// TakeAllowed suppresses what files of other tools let be, and tells how many.
	TakeAllowed(ctx context.Context, repository string, files []File, accept hub.Acceptance) (int, error)
	// Ask asks a secret's provider whether it still works, and writes the answer down.
	Ask(ctx context.Context, ref hub.Ref, by string) (live.Answer, error)
}

type (
	exportInput  struct{ Repository string }
	exportOutput struct{ Name, Text string }

	takeInput struct {
		Repository    string
		Files         []File
		Reason, Owner string
		Until         string // 2027-01-31, or ""
	}
	takeOutput struct{ Suppressed int }

	validateInput  struct{ Finding hub.Ref }
	validateOutput struct {
		State string
		Who   string `json:"Who,omitzero"`
		Why   string `json:"Why,omitzero"`
	}
)

func (s *service) exportSecrets(ctx context.Context, _ *wire.Call, in *exportInput) (*exportOutput, error) {
	text, err := s.secrets.Allowed(ctx, in.Repository)
	return &exportOutput{".haechi-secrets", string(text)}, err
}

func (s *service) takeSecrets(ctx context.Context, c *wire.Call, in *takeInput) (*takeOutput, error) {
	accept := hub.Acceptance{Kind: "false-positive", Reason: in.Reason, Owner: in.Owner, By: c.Principal.ARN}
	if in.Until != "" {
		until, err := time.Parse(time.DateOnly, in.Until)
		if err != nil {
			return nil, fault.Invalid.Errorf("Until is a day such as 2027-01-31, not %q", in.Until)
		}
		accept.Until = until.AddDate(0, 0, 1)
	}
	n, err := s.secrets.TakeAllowed(ctx, in.Repository, in.Files, accept)
	return &takeOutput{n}, err
}

// askValidate asks for the right to have a provider asked.
func askValidate(c *wire.Call, _ *validateInput) []iam.Request {
	return c.AskFor("haechi:ValidateSecret", "*")
}

func (s *service) validateSecret(ctx context.Context, c *wire.Call, in *validateInput) (*validateOutput, error) {
	a, err := s.secrets.Ask(ctx, in.Finding, c.Principal.ARN)
	if err != nil {
		return nil, err
	}
	return &validateOutput{string(a.State), a.Who, a.Why}, nil
}
