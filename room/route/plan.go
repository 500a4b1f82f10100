package route

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// fromFile is the origin of what files say.
const fromFile = "file"

// Change is one difference between what there is and what files say.
type Change struct {
	Do     string   // create, update or delete
	What   string   // bus, target, route, or target of a route
	Name   string   // kind/name, bus/name, or bus/name and the target's id
	Fields []string // of an update: what differs; secrets by name alone
}

// String is the change in one line.
func (c Change) String() string {
	s := c.Do + " " + c.What + " " + c.Name
	if len(c.Fields) > 0 {
		s += " (" + strings.Join(c.Fields, ", ") + ")"
	}
	return s
}

// Secrets resolves a reference, env:NAME or file:PATH.
type Secrets func(reference string) (seal.Secret, error)

// Plan tells what Apply would change.
func (r *Router) Plan(ctx context.Context, want Desired, secrets Secrets) (changes []Change, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		a, err := r.compare(tx, want, secrets)
		changes = a.changes
		return err
	})
	return changes, err
}

// Apply makes what files say so, in one transaction, and tells what it changed.
func (r *Router) Apply(ctx context.Context, want Desired, secrets Secrets) (changes []Change, err error) {
	err = r.change(ctx, func(tx *db.Tx) error {
		a, err := r.compare(tx, want, secrets)
		if err != nil {
			return err
		}
		for i, do := range a.steps {
			if err := do(tx); err != nil {
				return fmt.Errorf("%s: %w", a.changes[i], err)
			}
		}
		changes = a.changes
		return nil
	})
	return changes, err
}

// agenda is a list of changes and how each is done. Their order is one in which
// every step finds what it needs.
type agenda struct {
	changes []Change
	steps   []func(*db.Tx) error
}

func (a *agenda) add(c Change, do func(*db.Tx) error) {
	a.changes = append(a.changes, c)
	a.steps = append(a.steps, do)
}

func (r *Router) compare(tx *db.Tx, want Desired, secrets Secrets) (a agenda, err error) {
	for _, step := range []func() error{
		func() error { return r.compareBuses(tx, &a, want) },
		func() error { return r.compareReceivers(tx, &a, want, secrets) },
		func() error { return r.compareRules(tx, &a, want) },
		func() error { return r.dropReceivers(tx, &a, want) },
		func() error { return r.dropBuses(tx, &a, want) },
	} {
		if err := step(); err != nil {
			return agenda{}, err
		}
	}
	return a, nil
}

func (r *Router) compareBuses(tx *db.Tx, a *agenda, want Desired) error {
	for _, b := range want.Buses {
		was, err := readBus(tx, b.Name)
		switch {
		case fault.Of(err) == fault.NotFound:
			a.add(Change{Do: "create", What: "bus", Name: b.Name}, func(tx *db.Tx) error {
				b.Created, b.Changed = r.config.Now(), r.config.Now()
				return writeBus(tx, b)
			})
		case err != nil:
			return err
		case was.Description != b.Description || was.Origin != fromFile:
			a.add(Change{"update", "bus", b.Name, differences("description", was.Description, b.Description, "origin", was.Origin, fromFile)}, func(tx *db.Tx) error {
				was.Description, was.Origin, was.Changed = b.Description, fromFile, r.config.Now()
				return writeBus(tx, was)
			})
		}
	}
	return nil
}

// differences are the names of the pairs that differ: name, one, other, name, one, other …
func differences(triples ...string) (names []string) {
	for i := 0; i+2 < len(triples); i += 3 {
		if triples[i+1] != triples[i+2] {
			names = append(names, triples[i])
		}
	}
	return names
}

func standIns(references map[string]string) map[string]seal.Secret {
	m := map[string]seal.Secret{}
	for name, reference := range references {
		m[name] = seal.Secret(reference)
	}
	return m
}

func (r *Router) compareReceivers(tx *db.Tx, a *agenda, want Desired, secrets Secrets) error {
	for _, w := range want.Receivers {
		c := w.Receiver
		c.Secrets = map[string]seal.Secret{}
		for _, name := range slices.Sorted(maps.Keys(w.References)) {
			secret, err := secrets(w.References[name])
			if err != nil {
				return fmt.Errorf("target %s/%s: %s: %w", c.Kind, c.Name, name, err)
			}
			c.Secrets[name] = secret
		}
		full := c
		full.ARN = r.ReceiverARN(c.Kind, c.Name)
		if _, err := openReceiver(full, &r.env); err != nil {
			return fmt.Errorf("target %s/%s: %w", c.Kind, c.Name, err)
		}
		was, err := r.readReceiver(tx, c.Kind, c.Name)
		write := func(tx *db.Tx) error { return r.writeReceiver(tx, c) }
		if fault.Of(err) == fault.NotFound {
			a.add(Change{Do: "create", What: "target", Name: c.Kind + "/" + c.Name}, write)
			continue
		}
		if err != nil {
			return err
		}
		if fields := receiverDifferences(was, c); len(fields) > 0 {
			a.add(Change{"update", "target", c.Kind + "/" + c.Name, fields}, write)
		}
	}
	return nil
}

func receiverDifferences(was, c Receiver) (fields []string) {
	fields = differences("description", was.Description, c.Description, "origin", was.Origin, c.Origin)
	names := map[string]bool{}
	for _, settings := range []map[string]string{was.Settings, c.Settings} {
		for name := range settings {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fields = append(fields, differences(name, was.Settings[name], c.Settings[name])...)
	}
	if !maps.Equal(was.Secrets, c.Secrets) {
		for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
			fields = append(fields, differences(name, was.Secrets[name].Reveal(), c.Secrets[name].Reveal())...)
		}
		for _, name := range slices.Sorted(maps.Keys(was.Secrets)) {
			if _, ok := c.Secrets[name]; !ok {
				fields = append(fields, name)
			}
		}
	}
	if was.Once != c.Once {
		fields = append(fields, "once")
	}
	if was.Pacing != c.Pacing {
		fields = append(fields, "pacing")
	}
	return fields
}

func (r *Router) compareRules(tx *db.Tx, a *agenda, want Desired) error {
	keep := map[string]bool{}
	for _, w := range want.Rules {
		keep[w.Rule.Bus+"/"+w.Rule.Name] = true
		if err := r.compareRule(tx, a, w); err != nil {
			return err
		}
	}
	all, err := db.All(tx, scanJSON[storedRule], "SELECT body FROM route_rules ORDER BY bus, name")
	if err != nil {
		return err
	}
	for _, rule := range all {
		if name := rule.Bus + "/" + rule.Name; rule.Origin == fromFile && !keep[name] {
			a.add(Change{Do: "delete", What: "route", Name: name}, func(tx *db.Tx) error {
				if _, err := tx.Exec("DELETE FROM route_rule_targets WHERE bus = ? AND rule = ?", rule.Bus, rule.Name); err != nil {
					return err
				}
				_, err := tx.Exec("DELETE FROM route_rules WHERE bus = ? AND name = ?", rule.Bus, rule.Name)
				return err
			})
		}
	}
	return nil
}

func (r *Router) compareRule(tx *db.Tx, a *agenda, w DesiredRule) error {
	rule, name := w.Rule, w.Rule.Bus+"/"+w.Rule.Name
	put := func(tx *db.Tx) error { return r.putRule(tx, storedRule{Rule: rule, Origin: fromFile}) }
	was, err := readRule(tx, rule.Bus, rule.Name)
	switch {
	case fault.Of(err) == fault.NotFound:
		a.add(Change{Do: "create", What: "route", Name: name}, put)
	case err != nil:
		return err
	default:
		fields := differences("pattern", was.Pattern, rule.Pattern, "schedule", was.Schedule, rule.Schedule, "state", string(was.State), string(rule.State), "description", was.Description, rule.Description, "origin", was.Origin, fromFile)
		if len(fields) > 0 {
			a.add(Change{"update", "route", name, fields}, put)
		}
	}
	return r.compareTargets(tx, a, w, name)
}

func (r *Router) compareTargets(tx *db.Tx, a *agenda, w DesiredRule, name string) error {
	all, err := db.All(tx, scanJSON[RuleTarget], "SELECT body FROM route_rule_targets WHERE bus = ? AND rule = ? ORDER BY id", w.Rule.Bus, w.Rule.Name)
	if err != nil {
		return err
	}
	was := map[string]RuleTarget{}
	for _, t := range all {
		was[t.ID] = t
	}
	const what = "target of route"
	for _, t := range w.Targets {
		t.ARN = r.longName(t.ARN)
		put := func(tx *db.Tx) error { return r.putTarget(tx, w.Rule.Bus, w.Rule.Name, t) }
		old, ok := was[t.ID]
		delete(was, t.ID)
		if !ok {
			a.add(Change{Do: "create", What: what, Name: name + " " + t.ID}, put)
		} else if fields := targetDifferences(old, t); len(fields) > 0 {
			a.add(Change{"update", what, name + " " + t.ID, fields}, put)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		a.add(Change{Do: "delete", What: what, Name: name + " " + id}, func(tx *db.Tx) error {
			_, err := tx.Exec("DELETE FROM route_rule_targets WHERE bus = ? AND rule = ? AND id = ?", w.Rule.Bus, w.Rule.Name, id)
			return err
		})
	}
	return nil
}

// longName is the ARN of a target that a file names in short.
func (r *Router) longName(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	if bus, ok := strings.CutPrefix(name, "bus/"); ok {
		return r.BusARN(bus)
	}
	kind, short, _ := strings.Cut(name, "/")
	return r.ReceiverARN(kind, short)
}

func targetDifferences(was, t RuleTarget) (fields []string) {
	text := func(v any) string {
		out, err := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
	return differences("target", was.ARN, t.ARN, "input", was.Input, t.Input, "input-path", was.InputPath, t.InputPath,
		"transform", text(was.Transformer), text(t.Transformer), "retry", text(was.Retry), text(t.Retry), "dead-letter", text(was.DeadLetter), text(t.DeadLetter))
}

func (r *Router) dropReceivers(tx *db.Tx, a *agenda, want Desired) error {
	all, err := db.All(tx, scanJSON[Receiver], "SELECT body FROM route_receivers ORDER BY kind, name")
	if err != nil {
		return err
	}
	for _, c := range all {
		wanted := slices.ContainsFunc(want.Receivers, func(w DesiredReceiver) bool { return w.Kind == c.Kind && w.Name == c.Name })
		if c.Origin == fromFile && !wanted {
			a.add(Change{Do: "delete", What: "target", Name: c.Kind + "/" + c.Name}, func(tx *db.Tx) error { return r.deleteReceiver(tx, c.Kind, c.Name) })
		}
	}
	return nil
}

func (r *Router) dropBuses(tx *db.Tx, a *agenda, want Desired) error {
	all, err := db.All(tx, scanJSON[EventBus], "SELECT body FROM route_buses ORDER BY name")
	if err != nil {
		return err
	}
	for _, b := range all {
		wanted := slices.ContainsFunc(want.Buses, func(w EventBus) bool { return w.Name == b.Name })
		if b.Origin == fromFile && !wanted && b.Name != DefaultBus {
			a.add(Change{Do: "delete", What: "bus", Name: b.Name}, func(tx *db.Tx) error { return deleteBus(tx, b.Name) })
		}
	}
	return nil
}
