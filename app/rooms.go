package app

import (
	"context"

	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
)

// build builds the keepers and the rooms, those first that others need.
func (a *App) build(ctx context.Context) (err error) {
	c := &a.Config
	a.Access = access.New(access.Config{DB: a.DB, Sealer: a.sealer, Account: c.Account, Folder: c.Data, Now: a.now, Log: a.log})
	if a.Hub, err = hub.New(ctx, hub.Config{DB: a.DB, Bus: a.Bus, Log: a.log, Now: a.now, Account: c.Account, Region: c.Region}); err != nil {
		return err
	}
	a.rooms = []room{
		{"bus", a.Bus.Run},
		{"access", a.Access.Run},
		{"hub", a.Hub.Run},
	}
	return nil
}
