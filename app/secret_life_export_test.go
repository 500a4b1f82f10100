package app

import (
	"context"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// AskSecret asks about a secret through a checker of the test's.
func (a *App) AskSecret(ctx context.Context, c *live.Checker, ref hub.Ref, by string) (live.Answer, error) {
	salt, err := a.once(ctx, "scan.salt")
	if err != nil {
		return live.Answer{}, err
	}
	return (&secretLife{app: a, scanner: secret.New(salt), salt: salt, checker: c}).Ask(ctx, ref, by)
}
