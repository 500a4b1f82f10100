package app

import (
	"context"
	"fmt"
	"strings"

	iamdoor "github.com/haechi-dev/haechi/door/wire/iam"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/iam/account"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// accounts are those of which the console tells who may do what.
type accounts struct {
	*App
	access *access.Access
	kept   *snapshot.Snapshots
}

// List are the snapshots that are kept.
func (a accounts) List(ctx context.Context) ([]snapshot.Snapshot, error) { return a.kept.List(ctx) }

// Account is what is known of an account, "" for this installation.
func (a accounts) Account(ctx context.Context, id string) (*account.Account, error) {
	if id == "" {
		text, err := iamdoor.Snapshot(ctx, a.access)
		if err != nil {
			return nil, err
		}
		own, err := account.Parse("this installation", text)
		if err != nil {
			return nil, fmt.Errorf("reading who is who here: %w", fault.Internal.Wrap(err))
		}
		return own, nil
	}
	return a.kept.Account(ctx, id)
}

// Put keeps a snapshot, and what is wrong with it in the hub: a snapshot is
// whole, so that what an earlier one had and this one has not is mended.
func (a accounts) Put(ctx context.Context, who iam.Principal, name string, text []byte) (id string, findings int, err error) {
	got, err := a.kept.Put(ctx, who.ARN, name, text)
	if err != nil {
		return "", 0, err
	}
	scan := accountScan(got.ID)
	scan.ID = bus.ID()
	scan.Complete = len(got.Unread) == 0
	var all []finding.Finding
	for _, f := range got.Review(a.now()) {
		all = append(all, a.maker().Own(scan, f, a.now()))
	}
	return got.ID, len(all), a.keep(ctx, scan, all...)
}

func accountScan(id string) finding.Scan {
	return finding.Scan{Tool: account.Tool, Target: id}
}

// Delete forgets a snapshot.
func (a accounts) Delete(ctx context.Context, id string) error { return a.kept.Delete(ctx, id) }

// Explain is what guards this installation, asked at leisure.
func (a accounts) Explain(ctx context.Context, r iam.Request) (iam.Explanation, error) {
	return a.access.Explain(ctx, r)
}

// Escalation is the finding that Put makes of a way to more rights.
func (a accounts) Escalation(e account.Escalation) finding.Finding {
	f := e.Finding()
	id := ""
	if parts := strings.SplitN(e.Principal.ARN, ":", 6); len(parts) == 6 {
		id = parts[4]
	}
	return a.maker().Own(accountScan(id), f, a.now())
}
