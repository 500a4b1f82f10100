package app

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/room/mirror"
)

// buildMirror builds what follows repositories on other forges.
func (a *App) buildMirror(context.Context) error {
	dialer, err := outbound.New(outbound.Config{Allow: a.Config.Outbound.Allow})
	if err != nil {
		return err
	}
	a.Mirror = mirror.New(mirror.Config{
		DB: a.DB, Bus: a.Bus, Work: a.Work, Source: a.Source, Sealer: a.sealer, Dial: dialer.DialContext, HTTP: dialer.Client(30 * time.Second), Check: dialer.Check,
		Link: a.page, Account: a.Config.Account, Region: a.Config.Region, Log: a.log, Now: a.now, Kept: a.Config.Retention.Deliveries,
	})
	return nil
}

// ForgeARN is the ARN of what ties a repository to a forge.
func (a *App) ForgeARN(repository string) string {
	return "arn:aws:haechi:" + a.Config.Region + ":" + a.Config.Account + ":forge/" + repository
}
