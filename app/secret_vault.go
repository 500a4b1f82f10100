package app

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// vaultField is what a finding says of the vault, in its UserDefinedFields.
const vaultField = "haechi/vault"

// followLeaks holds every secret that is found against the vault: one that is kept
// there is in use, and its finding says which it is.
func (a *App) followLeaks(ctx context.Context) error {
	return a.Bus.Follow(ctx, "vault", a.leaked, finding.Imported)
}

func (a *App) leaked(ctx context.Context, e event.Event) error {
	var detail struct {
		Findings []finding.Finding `json:"findings"`
	}
	if e.Source != finding.Source {
		return nil
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	for _, f := range detail.Findings {
		if secret.RuleOf(&f) == "" {
			continue
		}
		if err := a.leakedOne(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) leakedOne(ctx context.Context, f finding.Finding) error {
	is, err := a.life.is(ctx, f)
	if err != nil || is == nil {
		return err
	}
	holders, err := a.Vault.Holders(ctx, is)
	if err != nil || len(holders) == 0 {
		return err
	}
	text := whose(holders)
	if f.UserFields[vaultField] == text {
		return nil
	}
	fields := maps.Clone(f.UserFields)
	if fields == nil {
		fields = map[string]string{}
	}
	fields[vaultField] = text
	by := "arn:aws:haechi:" + a.Config.Region + ":" + a.Config.Account + ":vault"
	u := hub.Update{Refs: []hub.Ref{hub.RefOf(f)}, By: by, Why: "it is in the vault: " + text}
	u.UserFields, u.Verification = fields, "TRUE_POSITIVE"
	if f.Note == nil || f.Note.UpdatedBy == by { // what people wrote stays
		u.Note = &hub.Note{Text: finding.Shorten("This is a secret of the vault: "+text+". Put another value there, and tell whoever uses it.", 500), UpdatedBy: by}
	}
	done, err := a.Hub.Update(ctx, u)
	if err == nil && len(done.Failed) > 0 && done.Failed[0].Code != hub.FailNotFound {
		return fault.Invalid.Errorf("saying that a secret is in the vault: %s", done.Failed[0].Message)
	}
	return err
}

// is tells whether a text is the secret of a finding; nil where nobody can know that any more.
func (l *secretLife) is(ctx context.Context, f finding.Finding) (func(string) bool, error) {
	if hash := f.ProductFields[finding.FieldSecret]; hash != "" {
		scanner := l.scanner.Of(f.ProductFields[finding.FieldTarget])
		return func(value string) bool { return scanner.Hash(value) == hash }, nil
	}
	found, err := l.reveal(ctx, f) // it is too weak for a hash: it is read where it stands
	if kind := fault.Of(err); err != nil && (kind == fault.NotFound || kind == fault.Invalid) {
		return nil, nil // not in one of our repositories, or gone
	}
	if err != nil {
		return nil, err
	}
	return func(value string) bool { return value == found.Secret }, nil
}

// whose says in which secrets, and as which versions of them, a value is.
func whose(holders []vault.Holder) string {
	var all []string
	for _, h := range holders {
		labels := "a version that does not count any more"
		if len(h.Labels) > 0 {
			labels = strings.Join(h.Labels, ", ")
		}
		all = append(all, h.Secret.Name+" ("+labels+")")
	}
	slices.Sort(all)
	return finding.Shorten(strings.Join(slices.Compact(all), "; "), 900)
}
