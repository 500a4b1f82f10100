package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/river/journal"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/detect"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/finding"
)

// build builds the keepers and the rooms, those first that others need.
func (a *App) build(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.buildKeepers, a.buildRoute, a.buildDetect, a.buildComply, a.buildPipeline, a.buildMirror} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	a.rooms = append(a.rooms, []room{
		{"bus", a.Bus.Run}, {"work", a.Work.Run}, {"access", a.Access.Run}, {"audit", a.Audit.Run}, {"hub", a.Hub.Run}, {"source", a.Source.Run}, {"vault", a.Vault.Run}, {"shelf", a.Shelf.Run}, {"leaks", a.followLeaks},
		{"route", a.Route.Run}, {"detect", a.Detect.Run}, {"comply", a.Comply.Run}, {"pipeline", a.Pipeline.Run}, {"build", a.Builds.Run}, {"mirror", a.Mirror.Run}, {"inspect", a.Inspect.Run}, {"files", a.followFiles},
	}...)
	return nil
}

func (a *App) maker() finding.Maker {
	return finding.Maker{Account: a.Config.Account, Region: a.Config.Region}
}

func (a *App) buildKeepers(ctx context.Context) (err error) {
	c := &a.Config
	dialer, err := outbound.New(outbound.Config{Allow: c.Outbound.Allow})
	if err != nil {
		return err
	}
	keys, err := c.providerKeys()
	if err != nil {
		return err
	}
	a.Vault = vault.New(vault.Config{DB: a.DB, Sealer: a.sealer, Account: c.Account, Region: c.Region, Log: a.log, Now: a.now})
	a.Access = access.New(access.Config{PolicyOf: a.Vault.PolicyOf, DB: a.DB, Sealer: a.sealer, Account: c.Account, Folder: c.Data, HTTP: dialer.Client(10 * time.Second), Issuer: a.issuer, Logins: a.logins, Keys: keys, Now: a.now, Log: a.log})
	if !a.anyKey {
		if err := a.Access.CheckKey(ctx); err != nil {
			return err
		}
	}
	packs, err := comply.Packs()
	if err != nil {
		return err
	}
	a.packs = packs
	applied, err := a.keptFiles(ctx)
	if err != nil {
		return fmt.Errorf("reading the files that were applied: %w", err)
	}
	if a.own, err = c.policy(); err != nil {
		return err
	}
	a.taken = applied.kept
	a.setPolicy(applied)
	if err = a.setGuards(applied); err != nil {
		return err
	}
	if a.rules, err = detections(applied); err != nil {
		return err
	}
	packs = packsWith(packs, applied)
	a.inForce = packs
	var standards []hub.Standard
	for _, p := range packs {
		standards = append(standards, p.Standard(c.Region))
	}
	if a.Hub, err = hub.New(ctx, hub.Config{DB: a.DB, Bus: a.Bus, Log: a.log, Now: a.now, Account: c.Account, Region: c.Region, Standards: standards}); err != nil {
		return err
	}
	a.Work = work.New(work.Config{DB: a.DB, Log: a.log, Now: a.now, Kept: c.Retention.Logs})
	if err := a.Work.Recover(ctx); err != nil {
		return err
	}
	if err := a.buildSource(ctx); err != nil {
		return err
	}
	a.Inventory = inventory.New(inventory.Config{DB: a.DB, Bus: a.Bus, Shapes: shape.New(), Now: a.now, Account: c.Account, Region: c.Region})
	a.Journal, err = journal.Open(journal.Config{Dir: filepath.Join(c.Data, "journal"), MaxBytes: c.Retention.RecordBytes, MaxAge: c.Retention.Records, Log: a.log, Now: a.now})
	if err != nil {
		return err
	}
	a.Audit, err = audit.New(audit.Config{DB: a.DB, Sealer: a.sealer, Node: a.node, Account: c.Account, Region: c.Region, Folder: c.Data, Journal: a.Journal, Kept: c.Retention.Audit, Most: c.Retention.AuditBytes, Now: a.now, Log: a.log})
	return err
}

func (a *App) buildRoute(context.Context) error {
	dialer, err := outbound.New(outbound.Config{Allow: a.Config.Outbound.Allow})
	if err != nil {
		return err
	}
	commands := map[string]route.Command{}
	for name, c := range a.Config.Commands {
		commands[name] = route.Command{Argv: c.Argv, Dir: c.Dir, Env: c.Env, UID: c.UID, GID: c.GID, Timeout: c.Timeout}
	}
	a.Route = route.New(route.Config{
		DB: a.DB, Bus: a.Bus, Account: a.Config.Account, Region: a.Config.Region, Log: a.log, Now: a.now,
		HTTP: dialer.Client(30 * time.Second), Dial: dialer.DialContext, Seal: a.sealer, Commands: commands,
		Link: a.link, Page: a.page, Rooms: []route.Room{{Prefix: "arn:aws:codepipeline:", Target: startRun{a}}}, Notify: a.notified, Kept: a.Config.Retention.Deliveries, Node: a.node,
	})
	return nil
}

func (a *App) buildDetect(context.Context) error {
	var err error
	a.Detect, err = detect.New(detect.Config{DB: a.DB, Journal: a.Journal, Name: a.node, Hub: a.Hub, Rules: a.rules, Maker: a.maker(), Log: a.log, Now: a.now})
	return err
}

func (a *App) buildComply(context.Context) error {
	a.Comply = comply.New(comply.Config{DB: a.DB, Bus: a.Bus, Inventory: a.Inventory, Hub: a.Hub, Shapes: shape.New(), Packs: a.inForce, Log: a.log, Now: a.now, Account: a.Config.Account, Region: a.Config.Region})
	return nil
}

func (a *App) buildPipeline(ctx context.Context) error {
	scanners, err := a.scanners(ctx)
	if err != nil {
		return err
	}
	a.Inspect = inspect.New(inspect.Config{DB: a.DB, Hub: a.Hub, Maker: a.maker(), Newest: a.deps.Newest, Log: a.log, Now: a.now})
	least, err := a.Config.walls()
	if err != nil {
		return err
	}
	walls := sandbox.New(sandbox.Config{Least: least})
	a.buildShelf()
	a.ownTools = append(names(scanners), source.Tool)
	if err := a.buildBuilds(walls, a.ownTools); err != nil {
		return err
	}
	jobKey, err := a.once(ctx, "job.keys")
	if err != nil {
		return err
	}
	a.Pipeline = pipeline.New(pipeline.Config{
		DB: a.DB, Bus: a.Bus, Queue: a.Work, Node: a.node, Source: a.Source, Hub: a.Hub, Scanners: scanners,
		Starter: builder{a.Builds}, Webhooks: a.Route, Blobs: a.Blobs, Shelf: a.Shelf, JobKey: jobKey, Sealer: a.sealer,
		Components: sources{a.Inspect}, Account: a.Config.Account, Region: a.Config.Region, Log: a.log, Now: a.now,
		Mask: mask.Text, Kept: a.Config.Retention.Logs, Policy: func() gate.Policy { return *a.policy.Load() },
	})
	return nil
}
