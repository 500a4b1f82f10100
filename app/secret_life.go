package app

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// secretLife is what people may ask about secrets that were found: whether one
// still works, and which are let be.
type secretLife struct {
	app     *App
	scanner *secret.Scanner // salted with the installation's
	salt    []byte
	checker *live.Checker
}

// Provider is who can be asked whether what a finding is of still works, or "".
func (l *secretLife) Provider(f finding.Finding) string { return l.checker.For(secret.RuleOf(&f)) }

// Ask reads the secret where it stands, asks its provider whether it still
// works, and writes the answer down. Nothing else is kept of the secret.
func (l *secretLife) Ask(ctx context.Context, ref hub.Ref, by string) (live.Answer, error) {
	f, err := l.app.Hub.Get(ctx, ref)
	if err != nil {
		return live.Answer{}, err
	}
	if l.Provider(f) == "" {
		return live.Answer{}, fault.Unsupported.Errorf("nobody can be asked about this secret; AWS, GitHub and Slack can about theirs")
	}
	credential, err := l.reveal(ctx, f)
	if err != nil {
		return live.Answer{}, err
	}
	answer, err := l.checker.Ask(ctx, credential)
	if err != nil {
		return live.Answer{}, err
	}
	return answer, l.note(ctx, ref, f, answer, by)
}

// reveal searches the file in which the finding's secret stands.
func (l *secretLife) reveal(ctx context.Context, f finding.Finding) (secret.Credential, error) {
	target, place := f.ProductFields[finding.FieldTarget], f.Place()
	commit := cmp.Or(f.ProductFields[finding.FieldLast], f.ProductFields[finding.FieldCommit])
	gone := fault.NotFound.Errorf("%s of %s is not there any more to read the secret from", place.File, target)
	repo, err := l.app.Source.Git(target)
	if err != nil {
		return secret.Credential{}, err
	}
	tree, err := repo.Tree(ctx, commit)
	if err != nil {
		return secret.Credential{}, gone
	}
	defer tree.Close()
	file, _, _ := strings.Cut(place.File, "!/")
	content, err := fs.ReadFile(tree, file)
	if err != nil {
		return secret.Credential{}, gone
	}
	credential, ok := l.scanner.Of(target).Reveal(place.File, content, f.ProductFields[finding.FieldFingerprint])
	if !ok {
		return secret.Credential{}, gone
	}
	return credential, nil
}

// note writes down what a provider said: a secret that is dead is mended.
func (l *secretLife) note(ctx context.Context, ref hub.Ref, f finding.Finding, a live.Answer, by string) error {
	u := hub.Update{Refs: []hub.Ref{ref}, By: by}
	provider := l.Provider(f)
	switch a.State {
	case live.Works:
		u.Why = provider + " was asked: it works"
		u.Verification = "TRUE_POSITIVE"
		if f.Status() == finding.Resolved {
			u.Workflow = &finding.Workflow{Status: finding.New}
		}
	case live.Dead:
		u.Why = provider + " was asked: it does not know the secret any more"
		if f.Status() != finding.Resolved {
			u.Workflow = &finding.Workflow{Status: finding.Resolved}
		}
	default:
		u.Why = provider + " was asked, and says neither: " + a.Why
	}
	u.Note = &hub.Note{Text: finding.Shorten(u.Why, 500), UpdatedBy: by}
	done, err := l.app.Hub.Update(ctx, u)
	if err == nil && len(done.Failed) > 0 {
		return fmt.Errorf("writing down the answer: %s", done.Failed[0].Message)
	}
	return err
}

// Allowed is the file of what is let be in a repository, as haechi scan reads it.
func (l *secretLife) Allowed(ctx context.Context, repository string) ([]byte, error) {
	accepted, err := l.app.Hub.Acceptances(ctx)
	if err != nil {
		return nil, err
	}
	a := &secret.Allow{Salt: secret.SaltOf(l.salt, repository)}
	for _, one := range accepted {
		f, err := l.app.Hub.Get(ctx, one.Ref)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if secret.RuleOf(&f) == "" || f.ProductFields[finding.FieldTarget] != repository {
			continue
		}
		let := secret.Allowed{Fingerprint: f.ProductFields[finding.FieldFingerprint], Rule: f.GeneratorID, Owner: one.Owner, Reason: one.Reason}
		if !one.Until.IsZero() {
			let.Until = one.Until.Add(-time.Nanosecond) // the last day on which it is let be
		}
		a.Secrets = append(a.Secrets, let)
	}
	return a.Text(), nil
}

func (a *App) newSecretLife(salt []byte) (*secretLife, error) {
	dialer, err := outbound.New(outbound.Config{Allow: a.Config.Outbound.Allow})
	if err != nil {
		return nil, err
	}
	return &secretLife{app: a, scanner: secret.New(salt), salt: salt, checker: live.New(dialer.Client(15*time.Second), a.now, live.Providers()...)}, nil
}
