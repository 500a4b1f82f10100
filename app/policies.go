package app

import (
	"context"
	"io/fs"
	"sync/atomic"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/rules"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/iac"
)

// Policies are the Guard rules that come with Haechi, of every family.
func Policies() (all []*guard.Policy, err error) {
	for _, family := range rules.Policies() {
		some, err := guard.ParsePolicies(family.Files)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// setGuards makes the rules that come with Haechi and those of files count for
// what is scanned, and at the hooks.
func (a *App) setGuards(f Files) error {
	policies, err := Policies()
	if err != nil {
		return err
	}
	a.guards.Store(iac.New(iac.Rules(append(policies, f.Policies...)...)...))
	return nil
}

// freshRules is the scanner of infrastructure with the rules as they are when a scan begins.
type freshRules struct{ now *atomic.Pointer[iac.Scanner] }

// Name is that of the scanner within.
func (f freshRules) Name() string { return f.now.Load().Name() }

// Version is that of the rules.
func (f freshRules) Version() string { return f.now.Load().Version() }

// Wants is that of the scanner within.
func (f freshRules) Wants(path string) bool { return f.now.Load().Wants(path) }

// Begin begins a pass with the rules as they are.
func (f freshRules) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	return f.now.Load().Begin(ctx, tree, out)
}

// Under is the scanner for a change to a protected branch.
func (f freshRules) Under(base fs.FS) scan.Scanner { return f.now.Load().Under(base) }
