package route

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Receiver is a configured target: a Slack channel, a webhook, a mailbox. A
// rule's target names it by its ARN. Secrets are written and never read back:
// a listed receiver has their names alone.
type Receiver struct {
	Kind        string                 `json:"kind"`
	Name        string                 `json:"name"`
	ARN         string                 `json:"arn,omitzero"`
	Description string                 `json:"description,omitzero"`
	Settings    map[string]string      `json:"settings,omitzero"`
	Secrets     map[string]seal.Secret `json:"secrets,omitzero"`
	Once        bool                   `json:"once,omitzero"` // tell of a finding once for each time that it is new, as those that people read are told anyway
	Pacing      Pacing                 `json:"pacing,omitzero"`
	Origin      string                 `json:"origin,omitzero"` // "file" if it came from a file of routes
	Stamp       string                 `json:"stamp,omitzero"`  // of the secrets, to tell whether they changed
}

// PutReceiver makes a configured target or replaces it. Secrets that are not
// given stay as they are.
func (r *Router) PutReceiver(ctx context.Context, c Receiver) (arn string, err error) {
	err = r.change(ctx, func(tx *db.Tx) error { return r.putReceiver(tx, c) })
	if err != nil {
		return "", fmt.Errorf("putting target %s/%s: %w", c.Kind, c.Name, err)
	}
	return r.ReceiverARN(c.Kind, c.Name), nil
}

func (r *Router) putReceiver(tx *db.Tx, c Receiver) error {
	if err := checkName("target", c.Name, 64); err != nil {
		return err
	}
	was, err := r.readReceiver(tx, c.Kind, c.Name)
	if err != nil && fault.Of(err) != fault.NotFound {
		return err
	}
	secrets := maps.Clone(was.Secrets)
	if secrets == nil {
		secrets = map[string]seal.Secret{}
	}
	maps.Copy(secrets, c.Secrets)
	c.Secrets = secrets
	c.Origin = cmp.Or(c.Origin, was.Origin)
	c.ARN = r.ReceiverARN(c.Kind, c.Name)
	if _, err := openReceiver(c, &r.env); err != nil {
		return err
	}
	return r.writeReceiver(tx, c)
}

// openReceiver checks a receiver and makes its target.
func openReceiver(c Receiver, env *Env) (Target, error) {
	kind, err := kindOf(c.Kind)
	if err != nil {
		return nil, err
	}
	if err := kind.check(c); err != nil {
		return nil, err
	}
	return kind.Open(c, env)
}

func kindOf(name string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	hint := diag.DidYouMean(name, names)
	if hint == "" {
		hint = "one of " + strings.Join(names, ", ")
	}
	return Kind{}, fault.Invalid.Errorf("unknown kind of target %q (%s)", name, hint)
}

func (k Kind) check(c Receiver) error {
	known := map[string]Field{}
	for _, f := range k.Fields {
		known[f.Name] = f
		if f.Required && c.Settings[f.Name] == "" && c.Secrets[f.Name] == "" {
			return fault.Invalid.Errorf("a target of kind %s needs %s: %s", k.Name, f.Name, f.Help)
		}
	}
	names := slices.Sorted(maps.Keys(known))
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		if f, ok := known[name]; !ok || f.Secret {
			return fault.Invalid.Errorf("a target of kind %s has no setting %q (%s)", k.Name, name, diag.DidYouMean(name, names))
		}
	}
	for name := range c.Secrets {
		if f, ok := known[name]; !ok || !f.Secret {
			return fault.Invalid.Errorf("a target of kind %s has no secret %q", k.Name, name)
		}
	}
	_, _, _, err := c.Pacing.Quiet.parse()
	return err
}

func (r *Router) writeReceiver(tx *db.Tx, c Receiver) error {
	sealed, err := r.seal(receiverRow(c), c.Secrets)
	if err != nil {
		return err
	}
	names := map[string]seal.Secret{}
	for name := range c.Secrets {
		names[name] = ""
	}
	c.Secrets, c.ARN, c.Stamp = names, "", bus.ID()
	body, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO route_receivers (kind, name, body, sealed) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body, sealed = excluded.sealed`, c.Kind, c.Name, body, sealed)
	return err
}

func receiverRow(c Receiver) seal.Row {
	return seal.Row{Table: "route_receivers", ID: c.Kind + "/" + c.Name, Column: "sealed"}
}

// seal makes unreadable what nobody but us may read. Nothing secret needs no key.
func (r *Router) seal(row seal.Row, secrets map[string]seal.Secret) (string, error) {
	if len(secrets) == 0 {
		return "", nil
	}
	if r.config.Seal == nil {
		return "", fault.Unsupported.Errorf("there is no root key to seal secrets with")
	}
	plain := map[string]string{}
	for name, secret := range secrets {
		plain[name] = secret.Reveal()
	}
	text, err := json.Marshal(plain, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	return r.config.Seal.Seal(row, seal.Secret(text))
}

func (r *Router) unseal(row seal.Row, sealed string) (secrets map[string]seal.Secret, err error) {
	if sealed == "" {
		return nil, nil
	}
	if r.config.Seal == nil {
		return nil, fault.Unsupported.Errorf("there is no root key to open the secrets of %s with", row.ID)
	}
	text, err := r.config.Seal.Open(row, sealed)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal([]byte(text.Reveal()), &secrets)
	return secrets, err
}

// sealedRow is a body with what is sealed beside it.
type sealedRow struct {
	body   []byte
	sealed string
}

func scanSealed(scan db.Scan) (s sealedRow, err error) {
	return s, scan(&s.body, &s.sealed)
}

func (r *Router) readReceiver(tx *db.Tx, kind, name string) (Receiver, error) {
	row, err := db.One(tx, scanSealed, "SELECT body, sealed FROM route_receivers WHERE kind = ? AND name = ?", kind, name)
	if fault.Of(err) == fault.NotFound {
		return Receiver{}, fault.NotFound.Errorf("there is no target %s/%s", kind, name)
	}
	if err != nil {
		return Receiver{}, err
	}
	return r.openRow(row)
}

func (r *Router) openRow(row sealedRow) (c Receiver, err error) {
	if err := json.Unmarshal(row.body, &c); err != nil {
		return c, err
	}
	c.ARN = r.ReceiverARN(c.Kind, c.Name)
	c.Secrets, err = r.unseal(receiverRow(c), row.sealed)
	return c, err
}

// Receivers lists the configured targets, without their secrets.
func (r *Router) Receivers(ctx context.Context) (list []Receiver, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanJSON[Receiver], "SELECT body FROM route_receivers ORDER BY kind, name")
		return err
	})
	for i := range list {
		list[i].ARN = r.ReceiverARN(list[i].Kind, list[i].Name)
	}
	return list, err
}

// DeleteReceiver deletes a configured target that no rule names any more.
func (r *Router) DeleteReceiver(ctx context.Context, kind, name string) error {
	return r.change(ctx, func(tx *db.Tx) error { return r.deleteReceiver(tx, kind, name) })
}

func (r *Router) deleteReceiver(tx *db.Tx, kind, name string) error {
	rules, err := db.All(tx, db.Value[string], "SELECT DISTINCT rule FROM route_rule_targets WHERE arn = ? ORDER BY rule LIMIT 10", r.ReceiverARN(kind, name))
	if err != nil {
		return err
	}
	if len(rules) > 0 {
		return fault.Conflict.Errorf("target %s/%s is used by rules: %s", kind, name, strings.Join(rules, ", "))
	}
	n, err := tx.Exec("DELETE FROM route_receivers WHERE kind = ? AND name = ?", kind, name)
	if err == nil && n == 0 {
		err = fault.NotFound.Errorf("there is no target %s/%s", kind, name)
	}
	return err
}

// Try sends a test event to a configured target at once, past queues and log,
// and tells what came of it.
func (r *Router) Try(ctx context.Context, kind, name string) error {
	var live *liveReceiver
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := r.readReceiver(tx, kind, name); err != nil {
			return err
		}
		t, err := r.table(tx)
		if err == nil {
			live = t.receivers[r.ReceiverARN(kind, name)]
		}
		return err
	})
	if err != nil {
		return err
	}
	e := event.Event{Version: "0", ID: bus.ID(), Type: "Haechi Test", Source: "haechi.route", Account: r.config.Account, Region: r.config.Region, Time: r.config.Now().UTC(),
		Resources: []string{r.ReceiverARN(kind, name)}, Detail: jsontext.Value(`{"message":"This is a test: events reach you."}`)}
	body, err := envelope(e)
	if err != nil {
		return err
	}
	item := Item{Event: e, Bus: DefaultBus, To: RuleTarget{ID: "test", ARN: r.ReceiverARN(kind, name)}, Input: body, Came: e.Time}
	err = r.hand(ctx, job{live: live, target: live.target, err: live.broken}, Delivery{ID: bus.ID(), Attempt: 1, Time: e.Time, Items: []Item{item}})
	if err == nil {
		return nil
	}
	return fault.Of(err).Errorf("%s", mask(err, live))
}
